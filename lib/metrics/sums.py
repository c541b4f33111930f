"""What the scores are made of: sums over the labelled frames of each trial, and scores as functions of them.

The sums of trials add up, so the score of any selection of trials (all, one, a bootstrap replicate) is a sum
of rows. A selection is an array (…, k) of sums; a score of it has shape (…). Frames without a label add
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_CONSTANT = 1e-12  # variance below this share of the mean square is rounding, not variation

Pairs = Sequence[tuple[np.ndarray, np.ndarray]]


def labelled(label: np.ndarray) -> np.ndarray:
    """Where there is a label (or prediction): not NaN for numbers, not −1 for classes. Same shape, bool."""
    label = np.asarray(label)
    return ~np.isnan(label) if label.dtype.kind == "f" else label >= 0


def moments(trials: Pairs) -> np.ndarray:
    """(trials, 9) float64: n, Σx, Σy, Σxx, Σyy, Σxy, n·(shift of x against y), Σ(x−y)², Σ|x−y|.

    x (prediction) and y (label) are counted from the first value of all: moments do not depend on the origin,
    and so a constant gives sums that are exactly 0.
    """
    kept = [(np.asarray(x, np.float64)[known], np.asarray(y, np.float64)[known])
            for x, y in trials for known in [labelled(y)]]
    x0, y0 = next(((x[0], y[0]) for x, y in kept if len(x)), (0.0, 0.0))
    return np.array([_moments(x - x0, y - y0, x - y, x0 - y0) for x, y in kept])


def _moments(x: np.ndarray, y: np.ndarray, apart: np.ndarray, shift: float) -> list[float]:
    return [len(x), x.sum(), y.sum(), x @ x, y @ y, x @ y, len(x) * shift, apart @ apart, np.abs(apart).sum()]


def ccc(sums: np.ndarray) -> np.ndarray:
    """2·cov / (var x + var y + (difference of means)²); 0 where x or y is constant, NaN without a frame."""
    apart, var_x, var_y, cov = _central(sums)
    return _ratio(2 * cov, var_x + var_y + apart**2, sums[..., 0])


def pcc(sums: np.ndarray) -> np.ndarray:
    """cov / √(var x · var y); 0 where x or y is constant, NaN without a frame."""
    _, var_x, var_y, cov = _central(sums)
    return _ratio(cov, np.sqrt(var_x * var_y), sums[..., 0])


def rmse(sums: np.ndarray) -> np.ndarray:
    """√(mean (x−y)²)."""
    return np.sqrt(_ratio(sums[..., 7], sums[..., 0], sums[..., 0]))


def mae(sums: np.ndarray) -> np.ndarray:
    """mean |x−y|."""
    return _ratio(sums[..., 8], sums[..., 0], sums[..., 0])


def _central(sums: np.ndarray) -> tuple[np.ndarray, ...]:
    """Difference of means, variances, covariance; the last three are 0 where x or y is constant."""
    x, y, xx, yy, xy, shift = (sums[..., i] / np.maximum(sums[..., 0], 1) for i in range(1, 7))
    var_x, var_y = xx - x * x, yy - y * y
    varies = (var_x > _CONSTANT * xx) & (var_y > _CONSTANT * yy)
    return x - y + shift, *(np.where(varies, v, 0.0) for v in (var_x, var_y, xy - x * y))


def _ratio(above: np.ndarray, below: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """above / below; 0 for 0 / 0; NaN where there is no frame."""
    return np.where(frames > 0, above / np.where(below > 0, below, 1.0), np.nan)


def classes(trials: Pairs) -> np.ndarray:
    """(trials, 3·C): hits, labelled and predicted frames of each class, over the labelled frames."""
    number = 1 + max(int(np.max(array, initial=0)) for pair in trials for array in pair)
    kept = [(x[known], y[known]) for x, y in trials for known in [labelled(y)]]
    return np.array([np.concatenate([np.bincount(part.astype(np.int64), minlength=number)
                                     for part in (x[x == y], y, x)]) for x, y in kept], np.float64)


def units(trials: Pairs) -> np.ndarray:
    """(trials, 3·U): hits, frames labelled active, frames predicted active of each unit, where labelled."""
    active = [((x == 1) & (y >= 0), y == 1) for x, y in trials]
    return np.array([np.concatenate([(x & y).sum(axis=0), y.sum(axis=0), x.sum(axis=0)]) for x, y in active],
                    np.float64)


def f1(sums: np.ndarray) -> np.ndarray:
    """Mean of 2·hits / (labelled + predicted) over the classes (units) that occur among the labels."""
    hits, there, predicted = np.split(sums, 3, axis=-1)
    each = np.where(there > 0, 2 * hits / np.maximum(there + predicted, 1), 0.0)
    number = (there > 0).sum(axis=-1)
    return _ratio(each.sum(axis=-1), number, number)


# name of the score: (sums of each trial, score of sums)
SCORES = {"ccc": (moments, ccc), "pcc": (moments, pcc), "rmse": (moments, rmse), "mae": (moments, mae),
          "f1_macro": (classes, f1), "f1_mean": (units, f1)}
