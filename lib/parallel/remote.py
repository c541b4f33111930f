"""Use a cluster's workers from a notebook: environment variables tell the kernel which cluster `lib
run --cluster` opened, and `lib.parallel.mapping.map` sends its items there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

VARIABLE = "LIB_CLUSTER"  # environment variable of notebooks, never of workers
ITEMS_LEFT_NAME = "wanted"  # name under which a Dask scheduler keeps how many items are left


@dataclass(frozen=True)
class Remote:
    """Addresses of two Dask schedulers, which may be the same one.

    cpu, gpu : for items without and with networks. tries : how often an item may lose its worker.
    gpus : whether the workers of `gpu` have GPUs.
    """

    cpu: str
    gpu: str
    tries: int = 3
    gpus: bool = False

    @property
    def told(self) -> str:
        """ ", jobs with GPUs" if networks run there, else ""."""
        return ", jobs with GPUs" if self.gpus else ""

    @property
    def apart(self) -> bool:
        """Whether networks run in jobs of their own."""
        return self.cpu != self.gpu

    def environment(self) -> dict[str, str]:
        """The environment variables with which a notebook uses these workers."""
        return {VARIABLE: json.dumps(asdict(self))}


def current(environment: Mapping[str, str] = os.environ) -> Remote | None:
    """The workers that this process is to use; None if no cluster was opened for it."""
    text = environment.get(VARIABLE, "")
    return Remote(**json.loads(text)) if text else None
