"""Shared functions of the six notebooks: recordings to per-frame affect. Its import is cheap."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

# Rounds that a thread of GNU OpenMP waits at a barrier before it sleeps. Its default spins for
# milliseconds: on a busy machine a step took ten times as long, with this value it takes what it
# must, and alone no longer than before (benchmarks/contention.py). PyTorch reads it once, when it
# is imported; a person's own setting stays.
SPIN = {"GOMP_SPINCOUNT": "1000"}


for _name, _value in SPIN.items():
    os.environ.setdefault(_name, _value)


def __getattr__(name: str) -> Any:
    """`predict`, which needs all of it, is imported when somebody asks for it."""
    if name == "predict":
        # By name: a notebook that imports `lib` does not depend on the code of all of it.
        return import_module(f"{__name__}.evaluation.python").predict
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
