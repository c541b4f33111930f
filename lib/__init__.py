"""Shared functions of the six notebooks: from recordings to per-frame affect. Importing it is
cheap.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

# Rounds that a thread of GNU OpenMP spins at a barrier before it sleeps. By default it spins for
# milliseconds, and a training step took ten times as long on a busy machine; with this value it
# does not, and on an idle machine nothing is slower (benchmarks/contention.py). PyTorch reads the
# variable once, when it is imported; a person's own setting is kept.
SPIN = {"GOMP_SPINCOUNT": "1000"}


for _name, _value in SPIN.items():
    os.environ.setdefault(_name, _value)


def __getattr__(name: str) -> Any:
    """Import `predict`, which needs the whole package, on first use."""
    if name == "predict":
        # Imported by name, so that the code digest of a notebook that imports `lib` does not
        # include everything.
        return import_module(f"{__name__}.evaluation.python").predict
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
