"""Mean and standard deviation of features over the frames of training trials, and what they do to a row."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lib.errors import InputError


def of_dimensions(arrays: Iterable[np.ndarray]) -> dict[str, list[float]]:
    """Mean and standard deviation of each column over all rows of all arrays (N, k) together: the corrected rule.

    A column that never changes gets the deviation 1: it becomes 0 and says nothing, instead of becoming infinite.
    Rows with NaN, of frames that the published LFAN database lacks, do not count. Raises InputError without any row.
    """
    count, total, squares = 0, 0.0, 0.0
    arrays = [np.asarray(each) for each in arrays]
    arrays = [each[np.isfinite(each).all(axis=1)] for each in arrays]
    shift = next((each[0].astype(np.float64) for each in arrays if len(each)), None)
    if shift is None:
        raise InputError("no row to take statistics of", where="features.statistics",
                         expected="training trials with sound")
    for each in arrays:   # shifted by a row of theirs, so that large means cost no digits
        rows = each.astype(np.float64) - shift
        count, total, squares = count + len(rows), total + rows.sum(axis=0), squares + (rows**2).sum(axis=0)
    mean = total / count
    spread = np.sqrt(np.maximum(squares / count - mean**2, 0))
    spread = np.where(spread > 1e-6 * np.maximum(np.abs(mean + shift), 1e-6), spread, 1.0)
    return {"mean": (mean + shift).tolist(), "std": spread.tolist()}


def of_everything(arrays: Iterable[np.ndarray]) -> dict[str, list[float]]:
    """One mean and one deviation of all numbers together (LFAN specification 1.10): the published rule."""
    values = np.concatenate([np.asarray(each, np.float64).ravel() for each in arrays] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    if values.size < 2 or not values.std() > 0:
        return {"mean": [float(values.mean()) if values.size else 0.0], "std": [1.0]}
    return {"mean": [float(values.mean())], "std": [float(values.std(ddof=1))]}


def normalised(rows: np.ndarray, statistics: dict[str, list[float]]) -> np.ndarray:
    """(N, k) -> (N, k) float32: minus the mean, divided by the deviation; NaN becomes 0, the mean.

    Raises InputError for statistics of another number of columns.
    """
    mean, std = (np.asarray(statistics[name], np.float64) for name in ("mean", "std"))
    if len(mean) not in (1, rows.shape[1]):
        raise InputError(f"statistics of {len(mean)} dimensions", where="features.statistics",
                         expected=f"{rows.shape[1]}, as the features have",
                         todo="use the statistics of the run that was trained on these features")
    return np.nan_to_num((rows - mean) / std, nan=0.0).astype(np.float32)
