"""Shared functions of the six notebooks: from recordings to per-frame affect. Importing it is
cheap.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

# How long threads wait for work before they sleep: rounds at a barrier of GNU OpenMP (PyTorch), and
# processor cycles of OpenBLAS (NumPy), as a power of two. By default both spin for milliseconds; on
# a busy machine a training step took ten times as long, a ridge regression up to seven times. With
# these values they do not; on an idle machine training is as fast, the regression up to a tenth
# slower (benchmarks/contention.py). The libraries read the variables once, when they are imported;
# a person's own setting is kept.
SPIN = {"GOMP_SPINCOUNT": "1000", "OPENBLAS_THREAD_TIMEOUT": "14"}


for _name, _value in SPIN.items():
    os.environ.setdefault(_name, _value)


def __getattr__(name: str) -> Any:
    """Import `predict`, which needs the whole package, on first use."""
    if name == "predict":
        # Imported by name, so that the code digest of a notebook that imports `lib` does not
        # include everything.
        return import_module(f"{__name__}.evaluation.python").predict
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
