"""Calibrate predicted uncertainty: one factor on the predicted deviations, fitted on val trials
(temperature scaling for regression, as in Kuleshov et al. 2018 and Levi et al. 2022).
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from ..errors import InputError

BAND = 0.9  # nominal coverage of the intervals that are drawn and reported
MIN_LABELLED_FRAMES = 2  # labelled frames needed to fit a factor


def half_width(share: float) -> float:
    """Half width, in standard deviations, of the central interval with a given share of a normal
    distribution: 1.645 for 0.9.
    """
    return NormalDist().inv_cdf((1 + share) / 2)


def factors(errors: np.ndarray, spread: np.ndarray) -> list[float]:
    """The maximum-likelihood factor of each column of predicted deviations for normal errors: the
    root mean square of the errors in units of their deviations.

    errors : (N, k) label − prediction, NaN where either is unknown. spread : (N, k) predicted
        standard deviations, above 0. Returns k numbers; 1 for a column with fewer than
        `MIN_LABELLED_FRAMES` known rows, or without any error. Raises InputError for a deviation
        that is not above 0.
    """
    errors, spread = np.asarray(errors, np.float64), np.asarray(spread, np.float64)
    known = np.isfinite(errors) & np.isfinite(spread)
    if (spread[known] <= 0).any():
        raise InputError(
            f"a predicted deviation of {spread[known].min():g}",
            where="uncertainty.factors",
            expected="above 0",
        )
    ratio = np.divide(errors, spread, out=np.zeros_like(errors), where=known)
    count = known.sum(axis=0)
    mean = (ratio**2).sum(axis=0) / np.maximum(count, 1)
    return np.where((count >= MIN_LABELLED_FRAMES) & (mean > 0), np.sqrt(mean), 1.0).tolist()
