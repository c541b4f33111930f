"""How many threads the numeric libraries of a process use, and how long idle threads spin.

Libraries read both from the environment when they are loaded, so they are set before PyTorch is
imported.
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
    """Environment variables for a new process whose libraries are to use so many threads each."""
    return {f"{library}_NUM_THREADS": str(threads) for library in LIBRARIES}


def environment(threads: int, before: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a new worker: `before` with thread limits, and with `SPIN` unless it is
    set.
    """
    return {**before, **spin(before), **limits(threads)}
