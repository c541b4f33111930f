"""The GPUs that this process may use, and one worker process for each of them."""

from __future__ import annotations

import os
from collections.abc import Mapping

VISIBLE = "CUDA_VISIBLE_DEVICES"


def names(count: int, before: Mapping[str, str] = os.environ) -> list[str]:
    """The value of the variable `VISIBLE` that shows one GPU alone, for each of the `count` that
    PyTorch sees.

    An earlier choice is kept: one that a person or SLURM made, or a part of a GPU (MIG-…).
    """
    chosen = [name.strip() for name in before.get(VISIBLE, "").split(",") if name.strip()]
    return chosen[:count] if chosen else [str(number) for number in range(count)]


def environments(count: int, before: Mapping[str, str] = os.environ) -> list[dict[str, str]]:
    """One environment per GPU: a process that is started with it sees that GPU only."""
    return [{VISIBLE: name} for name in names(count, before)]
