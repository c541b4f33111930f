"""How sure a network is, made right: one factor on its predicted deviations, fitted on val trials
(temperature scaling of a regression, as of Kuleshov et al. 2018 and Levi et al. 2022).
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from ..errors import InputError

BAND = 0.9  # share of the labels that the intervals hold which are drawn and told
LEAST = 2  # known frames; from fewer nothing is fitted


def half_width(share: float) -> float:
    """Deviations to either side that hold a share of a normal distribution: 1.645 for 0.9."""
    return NormalDist().inv_cdf((1 + share) / 2)


def factors(errors: np.ndarray, spread: np.ndarray) -> list[float]:
    """The likeliest factor of each column of predicted deviations: the root of the mean square of
    errors in units of their deviations. It is that of a normal distribution.

    errors : (N, k) label − prediction, NaN where either is unknown. spread : (N, k) predicted
        standard deviations, above 0. Returns k numbers; 1 for a column with fewer than `LEAST`
        known rows, or without any error. Raises InputError for a deviation that is not above 0.
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
    return np.where((count >= LEAST) & (mean > 0), np.sqrt(mean), 1.0).tolist()
