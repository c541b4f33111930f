"""The workers of a cluster's jobs, for notebooks: a kernel learns from its environment that
`lib run --cluster` opened them, and `lib.parallel.mapping.map` then shares its items among them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

VARIABLE = "LIB_CLUSTER"  # in the environment of notebooks, never of workers
WANTED = "wanted"  # name under which a Dask scheduler knows how many items are still to do


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
        """ ", jobs with GPUs" where networks run there, else ""."""
        return ", jobs with GPUs" if self.gpus else ""

    @property
    def apart(self) -> bool:
        """Whether networks have jobs of their own."""
        return self.cpu != self.gpu

    def environment(self) -> dict[str, str]:
        """What a notebook must have in its environment to use these workers."""
        return {VARIABLE: json.dumps(asdict(self))}


def current(environment: Mapping[str, str] = os.environ) -> Remote | None:
    """The workers that this process shall use; None where nobody opened a cluster for it."""
    text = environment.get(VARIABLE, "")
    return Remote(**json.loads(text)) if text else None
