"""Mean and standard deviation of features over training frames, and normalisation by them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from .. import store
from ..errors import InputError
from ..files import clear_leftovers
from ..parallel.locks import locked
from ..store import Shelf

VERSION = 1  # of the rules; raised, it invalidates stored statistics


def of_dimensions(arrays: Iterable[np.ndarray]) -> dict[str, list[float]]:
    """Mean and standard deviation of each column over all rows of all arrays (N, k) together: the
    corrected rule.

    A constant column gets the deviation 1, so that it becomes 0 instead of infinite. Rows with NaN,
    of frames that the published LFAN database lacks, do not count. Raises InputError without any
    row.
    """
    rows = (array[np.isfinite(array).all(axis=1)] for array in map(np.asarray, arrays))
    count, mean, squares = _moments(rows)
    if not count:
        raise InputError(
            "no row to take statistics of",
            where="features.statistics",
            expected="training trials with sound, or in which a face was found",
        )
    spread = np.sqrt(squares / count)
    spread = np.where(spread > 1e-6 * np.maximum(np.abs(mean), 1e-6), spread, 1.0)
    return {"mean": mean.tolist(), "std": spread.tolist()}


def of_known(arrays: Iterable[np.ndarray]) -> dict[str, list[float]]:
    """Mean and standard deviation of each column over its known numbers: a frame that lacks one
    (the pitch of an unvoiced frame) still counts with its others.

    Otherwise like `of_dimensions`; a column that is never known gets mean 0 and deviation 1.
    """
    rows = np.concatenate([np.asarray(array, np.float64) for array in arrays])
    known = np.isfinite(rows)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, rows, 0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, rows - mean, 0) ** 2).sum(axis=0) / count)
    spread = np.where(spread > 1e-6 * np.maximum(np.abs(mean), 1e-6), spread, 1.0)
    return {"mean": mean.tolist(), "std": spread.tolist()}


def of_everything(arrays: Iterable[np.ndarray]) -> dict[str, list[float]]:
    """One mean and deviation of all numbers (LFAN specification 1.10): the published rule."""
    count, mean, squares = _moments(
        array[np.isfinite(array)][:, None] for array in map(np.asarray, arrays)
    )
    if count < 2 or not squares[0] > 0:
        return {"mean": [float(mean[0]) if count else 0.0], "std": [1.0]}
    return {"mean": [float(mean[0])], "std": [float(np.sqrt(squares[0] / (count - 1)))]}


def _moments(arrays: Iterable[np.ndarray]) -> tuple[int, np.ndarray, np.ndarray]:
    """Rows, mean (k,) and squared distances from it (k,), one array in memory at a time."""
    count, shift, total, squares = 0, None, np.zeros(1), np.zeros(1)
    for array in arrays:
        if not len(array):
            continue
        shift = array[0].astype(np.float64) if shift is None else shift
        rows = array.astype(np.float64) - shift  # so that large means cost no precision
        count = count + len(rows)
        total = total + rows.sum(axis=0)
        squares = squares + (rows**2).sum(axis=0)
    if not count:
        return 0, total, squares
    return count, total / count + shift, np.maximum(squares - total**2 / count, 0)


def kept(
    shelf: Shelf, made_from: Mapping, compute: Callable[[], Mapping[str, list[float]]]
) -> dict[str, list[float]]:
    """Statistics that are stored on a shelf as an array (2, k), mean and deviation; computed by the
    first process that needs them.

    Other processes that need the same ones wait for it. Nothing is stored on a shelf that cannot be
    written.
    """
    path = shelf.path(made_from)
    if not path.with_suffix(".json").is_file():
        if not _writable(shelf.folder):
            return dict(compute())
        with locked(shelf.folder, wait=math.inf):
            clear_leftovers(shelf.folder, deep=False)  # of a process that was killed
            if not path.with_suffix(".json").is_file():  # nor made by somebody else meanwhile
                statistics = compute()
                rows = np.array([statistics["mean"], statistics["std"]])
                with shelf.creating(made_from, rows.shape, rows.dtype) as array:
                    array[:] = rows
    mean, std = store.read(path).tolist()
    return {"mean": mean, "std": std}


def _writable(folder: Path) -> bool:
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    return os.access(existing, os.W_OK)


def normalised(rows: np.ndarray, statistics: dict[str, list[float]]) -> np.ndarray:
    """(N, k) -> (N, k) float32: minus the mean, divided by the deviation; NaN becomes 0, the mean.

    Raises InputError for statistics of another number of columns.
    """
    mean, std = (np.asarray(statistics[name], np.float64) for name in ("mean", "std"))
    if len(mean) not in (1, rows.shape[1]):
        raise InputError(
            f"statistics of {len(mean)} dimensions",
            where="features.statistics",
            expected=f"{rows.shape[1]}, as the features have",
            todo="use the statistics of the run that was trained on these features",
        )
    return np.nan_to_num((rows - mean) / std, nan=0.0).astype(np.float32)
