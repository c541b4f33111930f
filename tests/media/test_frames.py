"""Frames on a time line: their distance, the nearest one, runs of them."""

import numpy as np
import pytest

from lib.media import frames


def test_the_nearest_of_a_grid_is_taken_and_its_ends_hold_beyond_it():
    grid = np.array([0.0, 1.0, 2.0])
    assert frames.nearest(grid, np.array([-5, 0.4, 0.6, 1.9, 7])).tolist() == [0, 0, 1, 2, 2]
    assert frames.nearest(np.array([0.0]), np.array([0.0, 3.0])).tolist() == [0, 0]


def test_of_two_that_are_equally_near_the_earlier_one_is_taken():
    assert frames.nearest(np.array([0.0, 1.0]), np.array([0.5])).tolist() == [0]


@pytest.mark.parametrize(
    ("flags", "runs"),
    [
        ([], []),
        ([0, 0], []),
        ([1, 1], [(0, 2)]),
        ([1, 0, 1, 1, 0], [(0, 1), (2, 4)]),
    ],
)
def test_runs_are_found_at_both_ends_too(flags, runs):
    assert frames.runs(np.array(flags, np.int8)) == runs


def test_a_frame_lasts_until_the_next_one_is_shown_and_the_last_as_long_as_most():
    assert frames.ends(np.array([0.0, 0.5, 2.0, 2.5])).tolist() == [0.5, 2.0, 2.5, 3.0]
    assert frames.ends(np.array([3.0])).tolist() == [3.0 + frames.ALONE]
    assert frames.ends(np.array([])).tolist() == []


def test_a_frame_whose_next_one_is_left_out_lasts_as_long_as_most():
    times, numbers = np.array([0.0, 0.5, 2.0, 9.0]), np.array([1, 2, 3, 15])
    assert frames.ends(times, numbers).tolist() == [0.5, 2.0, 3.5, 10.5]
    assert frames.ends(times[:0], numbers[:0]).tolist() == []


def test_one_long_gap_does_not_change_the_spacing():
    assert frames.spacing(np.array([0.0, 0.04, 0.08, 9.0, 9.04])) == pytest.approx(0.04)
    assert frames.spacing(np.array([3.0]), alone=0.5) == 0.5
