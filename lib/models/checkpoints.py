"""Checkpoints of our own trainings: what may stand in them, and reading them without running
anything.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy._core.multiarray import scalar

from ..errors import InputError

KEPT = 2  # files whose contents are remembered: a prediction uses a network and one that hears
_FLOATS = [np.float64, np.float32, np.float16, np.int64, np.int32, np.bool_]
# What a file may hold beside tensors, numbers and text: the scores beside the weights of JCA are
# NumPy scalars.
ALLOWED = [
    scalar,
    (scalar, "numpy.core.multiarray.scalar"),
    np.dtype,  # the second: NumPy 1's name for it
    *{type(np.dtype(each)) for each in _FLOATS},
    *_FLOATS,
]


def contents(path: Path) -> object:
    """What a file of PyTorch's holds, without running anything in it.

    It is read once as long as the file is the same: whoever asks again gets the same tensors, and
    must not change them. What torch.load raises is left as it is.
    """
    status = Path(path).stat()
    return _contents(Path(path), status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=KEPT)
def _contents(path: Path, *version: int) -> object:
    with torch.serialization.safe_globals(ALLOWED):
        # Mapped: a file that is remembered takes memory only where it is looked at.
        return torch.load(path, "cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


def plain(params: Mapping) -> dict:
    """Parameters as numbers and text, as a checkpoint may hold them."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dict(params).items()
    }


def load(path: Path) -> dict:
    """A checkpoint of ours (see `contents`). Raises InputError when it is missing or no such
    file.
    """
    if not Path(path).is_file():
        raise InputError(
            "the checkpoint is not there",
            where=path,
            todo="train first (notebook 05_train), or correct the run's name",
        )
    try:
        # Anything but a zip archive would be read as an old bare pickle, which fails in many ways.
        saved = contents(path) if zipfile.is_zipfile(path) else None
    except (pickle.UnpicklingError, RuntimeError) as error:  # code in it, or a damaged archive
        raise InputError(
            "a checkpoint that is damaged or holds more than numbers and text",
            where=path,
            expected="a file as 05_train writes it",
            todo="copy it again, or train again",
        ) from error
    if not isinstance(saved, dict) or not {"model", "params"} <= set(saved):
        raise InputError(
            "a file that is not a checkpoint of this project",
            where=path,
            expected="model, params, state, … as 05_train writes them",
        )
    tensors = ("model", "optimizer")  # large, and nobody changes them
    return {name: each if name in tensors else deepcopy(each) for name, each in saved.items()}


def fill(model: torch.nn.Module, saved: Mapping, path: Path) -> None:
    """Give a network the weights of a checkpoint. Raises InputError where they are those of a
    network of another form, as after an upgrade that changed the method's sizes.
    """
    if odd := misfits(model.state_dict(), saved["model"]):
        raise InputError(
            f"weights of a network of another form: {len(odd)} differ in name or size, first "
            f"{odd[0]}",
            where=path,
            expected="weights that this version of the method has trained",
            todo="give this experiment another name with `run`, or rename the old folder, and "
            "train again",
        )
    model.load_state_dict(saved["model"])


def misfits(mine: Mapping[str, torch.Tensor], its: Mapping[str, torch.Tensor]) -> list[str]:
    """Names of weights that only one of two state dicts has, or that differ in shape."""
    return sorted(
        name
        for name in {*mine, *its}
        if name not in mine or name not in its or mine[name].shape != its[name].shape
    )
