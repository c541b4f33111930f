"""How many threads the numeric libraries of a process take, and how long idle ones spin.

Both are read from the environment when libraries load, so they are set before PyTorch's import.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from .. import SPIN

LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")


def spin(before: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`SPIN`, or what a person has set instead in the environment `before`."""
    return {name: before.get(name, value) for name, value in SPIN.items()}


def limits(threads: int) -> dict[str, str]:
    """Environment variables for a new process whose libraries shall take so many threads each."""
    return {f"{library}_NUM_THREADS": str(threads) for library in LIBRARIES}


def environment(threads: int, before: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a new worker: `before` with thread limits, and `SPIN` if not set."""
    return {**before, **spin(before), **limits(threads)}
