"""Checkpoints of our own trainings: their allowed content, and reading them safely."""

from __future__ import annotations

import mmap
import pickle
import zipfile
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy._core.multiarray import scalar

from .. import files
from ..errors import InputError
from ..media import bounds

CACHED_FILES = 2  # cached files: a prediction uses a network and one that tells who speaks
_FLOATS = [np.float64, np.float32, np.float16, np.int64, np.int32, np.bool_]
# Types that a file may hold besides tensors, numbers and text: JCA's files contain scores as NumPy
# scalars.
SAFE_TYPES = [
    scalar,
    (scalar, "numpy.core.multiarray.scalar"),
    np.dtype,  # the second: NumPy 1's name for it
    *{type(np.dtype(each)) for each in _FLOATS},
    *_FLOATS,
]
# Functions that it may call: none that creates a large object from a number, as bytearray(10**9)
# does.
CALLED = {
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch.Size",
    "torch.device",
    "torch.serialization._get_layout",
    "_codecs.encode",
    "builtins.set",
    "builtins.complex",
    "__builtin__.set",
    "__builtin__.complex",
    "numpy.dtype",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
}
# Exceptions that PyTorch raises for a damaged pickle.
DAMAGED = (ValueError, LookupError, AttributeError, TypeError, AssertionError)
PICKLES = 5  # number of consecutive pickles in a file by PyTorch before 1.6


def write(content: object, path: Path) -> Path:
    """Write a PyTorch file atomically. Raises InputError if the disk is full."""
    # Written into an open file: given a path, PyTorch does not report that the disk is full.
    with files.whole(path) as temporary, temporary.open("wb") as stream:
        torch.save(content, stream)
    return path


def contents(path: Path) -> object:
    """The content of a PyTorch file, read without running anything in it.

    It is cached while the file does not change, and read again if a training replaces it meanwhile
    (PyTorch opens a mapped file twice, and would mix two epochs); all callers get the same tensors
    and must not change them. Before reading, its check-sums are compared and the size of what it
    would build is estimated (`lib.media.bounds`): InputError for a changed bit,
    pickle.UnpicklingError for a file that asks for too much. Exceptions of torch.load are passed
    on.
    """
    path = Path(path)
    return files.while_unchanged(path, lambda: _contents(path, *files.version(path)))


@lru_cache(maxsize=CACHED_FILES)
def _contents(path: Path, *version: int) -> object:
    zipped = bounds.is_archive(path)
    (_bounded_archive if zipped else _bounded_pickles)(path)
    with torch.serialization.safe_globals(SAFE_TYPES):
        # Memory-mapped: a cached file takes memory only for the parts that are read.
        saved = torch.load(path, "cpu", weights_only=True, mmap=zipped)
    _no_repeated_numbers(saved)
    return saved


def _bounded_archive(path: Path) -> None:
    try:
        programs = bounds.archive(path, "data.pkl")
    except zipfile.BadZipFile as error:
        raise InputError(
            f"a file of weights that is damaged: {error}",
            where=path,
            expected="every part with the check-sum that it was written with",
            todo="copy or download it again; a training's last.pt and best.pt: remove them and "
            "train again with the same command",
        ) from error
    for program in programs:
        _within(bounds.scan(program, callables=CALLED), path)


def _bounded_pickles(path: Path) -> None:
    """The same for a file by PyTorch before 1.6."""
    position = 0
    with path.open("rb") as stream:
        if not path.stat().st_size:
            raise pickle.UnpicklingError("an empty file")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for _ in range(PICKLES):
                scan = bounds.scan(content, position, CALLED)
                _within(scan, path)
                position = scan.end


def _within(scan: bounds.Scan, path: Path) -> None:
    """Raise an error if the tensors would take more bytes than the file has."""
    total, size = sum(scan.stored.values()), path.stat().st_size
    if total > size:
        raise bounds.RefusedError(f"{total:,} numbers in a file of {size:,} bytes")


def _no_repeated_numbers(saved: object) -> None:
    """Raise an error for a tensor that repeats its numbers (by strides): a copy would need more
    memory.
    """
    waiting, seen = [saved], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, torch.Tensor):
            held = value.untyped_storage().nbytes()
            if value.numel() * value.element_size() > max(held, 1 << 20):
                raise bounds.RefusedError(f"{value.numel():,} numbers out of {held:,} bytes")
        elif isinstance(value, Mapping | list | tuple | set) and id(value) not in seen:
            seen.add(id(value))
            waiting += value.values() if isinstance(value, Mapping) else value


def plain(params: Mapping) -> dict:
    """Parameters as numbers and text, the types that a checkpoint may hold."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dict(params).items()
    }


def load(path: Path) -> dict:
    """A checkpoint of ours (see `contents`). Raises InputError if it is missing or not one of
    ours.
    """
    if not Path(path).is_file():
        raise InputError(
            "the checkpoint is not there",
            where=path,
            todo="train first (notebook 05_train), or correct the run's name",
        )
    try:
        # Anything but a zip archive would be read as a bare pickle, which fails in many ways.
        saved = contents(path) if bounds.is_archive(path) else None
    except InputError:
        raise
    # It contains code, asks for too much memory, or is damaged.
    except (pickle.UnpicklingError, RuntimeError, EOFError, *DAMAGED) as error:
        raise InputError(
            "a checkpoint that is damaged or holds more than numbers and text",
            where=path,
            expected="a file as 05_train writes it",
            todo="copy it again, or train again",
        ) from error
    if not is_run(saved) or not {"recipe", "dataset"} <= saved["params"].keys():
        raise InputError(
            "a file that is not a checkpoint of this project",
            where=path,
            expected="model, params, state, … as 05_train writes them",
        )
    tensors = ("model", "raw", "optimizer")  # large, and never changed
    return {name: value if name in tensors else deepcopy(value) for name, value in saved.items()}


def is_run(content: object) -> bool:
    """Whether what a file holds is the checkpoint of a run here, and not the weights of others."""
    if not isinstance(content, Mapping):
        return False
    return all(isinstance(content.get(name), Mapping) for name in ("model", "params"))


def fill(model: torch.nn.Module, saved: Mapping, path: Path) -> None:
    """Load the weights of a checkpoint into a network. Raises InputError if they belong to a
    network of another shape, for example after an upgrade that changed the method's sizes.
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
    require_numbers(saved["model"], path)
    model.load_state_dict(saved["model"])


def require_numbers(state: Mapping[str, torch.Tensor], path: Path | str) -> None:
    """Raise InputError where weights hold what no network can compute with (`without_numbers`)."""
    if lost := without_numbers(state):
        raise InputError(
            f"weights that are no finite numbers: {len(lost)} of {len(state)}, first {lost[0]}",
            where=path,
            expected="a network that was trained to its end",
            todo="download or copy the file again, or train again with a lower lr",
        )


def without_numbers(state: Mapping[str, torch.Tensor]) -> list[str]:
    """Names of the weights that hold NaN, infinity or complex numbers; a GPU is waited for once."""
    sums = {
        name: tensor.detach().sum(dtype=torch.float64)
        for name, tensor in state.items()
        if tensor.is_floating_point()
    }
    finite = torch.stack([*sums.values()]).isfinite().tolist() if sums else []
    whole = dict(zip(sums, finite, strict=True))
    return [
        name for name, tensor in state.items() if tensor.is_complex() or not whole.get(name, True)
    ]


def misfits(mine: Mapping[str, torch.Tensor], its: Mapping[str, torch.Tensor]) -> list[str]:
    """Names of weights that only one of two state dicts has, or that differ in shape or kind: what
    is no tensor, or whole numbers where the other one has fractions.
    """
    return sorted(
        name
        for name in {*mine, *its}
        if name not in mine or name not in its or _kind(mine[name]) != _kind(its[name])
    )


def _kind(weight: object) -> tuple:
    """Shape, and whether there may be fractions."""
    if not isinstance(weight, torch.Tensor):
        return (type(weight).__name__,)
    return tuple(weight.shape), weight.is_floating_point() or weight.is_complex()
