"""The GPUs that this process may use, and one worker process for each of them."""

from __future__ import annotations

import os
from collections.abc import Mapping

VISIBLE = "CUDA_VISIBLE_DEVICES"


def names(count: int, before: Mapping[str, str] = os.environ) -> list[str]:
    """What `VISIBLE` must say for each GPU alone, of `count` that PyTorch sees.

    A choice that was made before us stays: of a person, of SLURM, a part of a GPU (MIG-…).
    """
    chosen = [name.strip() for name in before.get(VISIBLE, "").split(",") if name.strip()]
    return chosen[:count] if chosen else [str(number) for number in range(count)]


def environments(count: int, before: Mapping[str, str] = os.environ) -> list[dict[str, str]]:
    """One for each GPU: a process that is started with it sees that GPU alone, as its first."""
    return [{VISIBLE: name} for name in names(count, before)]
