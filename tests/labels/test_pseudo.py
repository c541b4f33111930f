"""Guessed labels: means and shares of the frames with both labels, nothing where nobody knows,
labels untouched.
"""

import numpy as np
import pytest

from lib.labels import pseudo

VA = np.array(
    [[0.9, 0.9], [0.7, 0.7], [-0.9, -0.9], [-0.9, -0.9], [np.nan, np.nan], [0.1, 0.1]], np.float32
)
EXPRESSION = np.array([4, 4, 5, 1, 5, -1])


def test_an_expression_stands_for_the_mean_of_its_frames_and_one_never_seen_for_nothing():
    found = pseudo.fit(VA, EXPRESSION, 7)
    va, shares = pseudo.complete(np.full(2, np.nan), 4, found)
    assert va == pytest.approx([0.8, 0.8])
    assert shares is None
    assert np.isnan(pseudo.complete(np.full(2, np.nan), 0, found)[0]).all()


def test_a_place_in_the_plane_stands_for_the_shares_of_expressions_there():
    found = pseudo.fit(VA, EXPRESSION, 7)
    va, shares = pseudo.complete(np.array([-0.95, -0.85]), -1, found)
    assert va == pytest.approx([-0.95, -0.85])
    assert shares == pytest.approx([0, 0.5, 0, 0, 0, 0.5, 0])
    assert pseudo.complete(np.array([0.0, 0.0]), -1, found)[1] is None, (
        "no frame of both labels lies there"
    )


def test_labels_that_are_there_stay_and_without_both_kinds_nothing_is_guessed():
    found = pseudo.fit(VA, EXPRESSION, 7)
    va, shares = pseudo.complete(np.array([0.2, -0.2]), 3, found)
    assert (va == np.array([0.2, -0.2], np.float32)).all()
    assert shares is None
    nothing = pseudo.fit(VA, np.full(6, -1), 7)
    assert nothing == {}
    assert np.isnan(pseudo.complete(np.full(2, np.nan), 4, nothing)[0]).all()


def test_the_edges_of_the_plane_belong_to_its_outermost_cells():
    found = pseudo.fit(np.array([[1.0, -1.0]]), np.array([2]), 3)
    assert pseudo.complete(np.array([1.0, -1.0]), -1, found)[1] == pytest.approx([0, 0, 1])
