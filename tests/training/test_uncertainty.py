"""One factor on predicted deviations: found again on made data; intervals as wide as they say."""

import numpy as np
import pytest

from lib.errors import InputError
from lib.training import uncertainty


def test_a_known_factor_is_found_again():
    draw = np.random.default_rng(0)
    spread = draw.uniform(0.05, 0.6, (40_000, 2))
    errors = draw.normal(size=spread.shape) * spread * [0.5, 3.0]
    assert uncertainty.factors(errors, spread) == pytest.approx([0.5, 3.0], rel=0.02)


def test_what_is_not_known_does_not_count():
    errors = np.array([[0.2, np.nan], [-0.2, 0.1], [np.nan, np.nan], [9.0, 9.0]])
    spread = np.array([[0.1, 0.1], [0.1, 0.1], [0.1, 0.1], [np.nan, np.nan]])
    assert uncertainty.factors(errors, spread) == pytest.approx([2.0, 1.0]), "one row: not fitted"
    assert uncertainty.factors(np.zeros((0, 2)), np.zeros((0, 2))) == [1.0, 1.0]
    assert uncertainty.factors(np.zeros((5, 1)), np.ones((5, 1))) == [1.0], "not 0: no interval"


def test_a_deviation_of_nothing_is_named():
    with pytest.raises(InputError, match="a predicted deviation of 0"):
        uncertainty.factors(np.ones((3, 1)), np.zeros((3, 1)))


def test_the_interval_of_a_share_is_that_of_a_normal_distribution():
    assert uncertainty.half_width(0.9) == pytest.approx(1.6449, abs=1e-4)
    assert uncertainty.half_width(0.6827) == pytest.approx(1.0, abs=1e-3)
