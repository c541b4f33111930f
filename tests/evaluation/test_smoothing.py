"""Smoothing neither shrinks the ends of a trial nor mixes trials, and its width is chosen by
CCC.
"""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d

from lib import metrics
from lib.errors import InputError
from lib.evaluation import smoothing
from lib.recipes import jca

WIDTHS = jca.Recipe.published_widths


def plain_box(x, width):
    windows = (x[max(0, i - width // 2) : i + (width - 1) // 2 + 1] for i in range(len(x)))
    return np.array([np.nan if np.isnan(x[i]) else np.nanmean(w) for i, w in enumerate(windows)])


@pytest.mark.parametrize("width", [1, 2, 3, 20, 50, 400])
def test_the_box_is_the_mean_of_what_lies_in_the_window(width):
    x = np.random.default_rng(0).uniform(-1, 1, 120)
    x[[0, 5, 6, 7, 119]] = np.nan
    np.testing.assert_allclose(smoothing.box(x, width), plain_box(x, width), atol=1e-12)
    both = smoothing.box(np.stack([x, -x], 1), width)
    np.testing.assert_allclose(both[:, 1], -plain_box(x, width), atol=1e-12)


def test_a_constant_stays_constant_up_to_the_ends():
    np.testing.assert_allclose(smoothing.box(np.full(30, 0.7), 20), 0.7, atol=1e-12)


def test_an_even_width_looks_one_frame_further_back_than_ahead():
    impulse = np.zeros(41)
    impulse[20] = 1
    assert (np.flatnonzero(smoothing.box(impulse, 4)) - 20).tolist() == [-1, 0, 1, 2]
    assert (np.flatnonzero(smoothing.box(impulse, 5)) - 20).tolist() == [-2, -1, 0, 1, 2]


def test_inside_a_trial_the_box_equals_the_published_one():
    va = np.random.default_rng(1).uniform(-1.5, 1.5, (200, 2))
    published, ours = smoothing.published_box(va, WIDTHS), smoothing.smooth(va, WIDTHS)
    np.testing.assert_allclose(ours[25:-25], published[25:-25], atol=1e-12)
    expected = uniform_filter1d(np.clip(va[:, 0], -1, 1), 20, mode="constant")
    np.testing.assert_array_equal(published[:, 0], expected)


def test_the_published_box_shrinks_the_ends_towards_zero_and_counts_gaps_as_zero():
    va = np.full((100, 2), 0.8)
    np.testing.assert_allclose(smoothing.published_box(va, WIDTHS)[0], [0.4, 0.4])
    va[50] = np.nan
    assert np.isfinite(smoothing.published_box(va, WIDTHS)).all()


def test_predictions_are_clipped_before_they_are_smoothed():
    va = np.array([[3.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(smoothing.smooth(va, {"valence": 3})[:, 0], [0.5, 1 / 3, 0])


@pytest.mark.parametrize("width", [0, -3, 2.5])
def test_a_width_that_is_no_number_of_frames_is_refused(width):
    with pytest.raises(InputError, match="smoothing width"):
        smoothing.box(np.zeros(4), width)


def noisy(trials=8, frames=300, seed=0):
    rng = np.random.default_rng(seed)
    labels, predictions = {}, {}
    for i in range(trials):
        steps = np.arange(frames)
        slow = np.stack([np.sin(steps / 40 + i), np.cos(steps / 50 + i)], 1) * 0.6
        labels[f"t{i}"] = slow
        predictions[f"t{i}"] = slow + rng.normal(0, [0.3, 0.0], slow.shape)
    return labels, predictions


def test_the_width_with_the_highest_ccc_is_chosen_for_each_emotion():
    labels, predictions = noisy()
    table = smoothing.ccc_by_width(labels, predictions)
    chosen = smoothing.choose(labels, predictions)
    assert chosen["arousal"] == 1
    assert chosen["valence"] > 3
    smoothed = {t: smoothing.smooth(p, chosen) for t, p in predictions.items()}
    score = metrics.va_scores(labels, smoothed)["valence"]["ccc"]
    assert table.loc[chosen["valence"], "valence"] == pytest.approx(score, abs=1e-9)
    assert score == pytest.approx(table["valence"].max(), abs=1e-9)


def test_smoothing_never_reaches_into_the_next_trial():
    labels = {"a": np.ones((10, 2)), "b": -np.ones((10, 2))}
    table = smoothing.ccc_by_width(labels, labels, [1, 9])
    np.testing.assert_allclose(table.to_numpy(), 1)


def test_of_equal_widths_the_smallest_is_chosen_and_without_labels_none():
    flat = {"a": np.zeros((10, 2))}
    assert smoothing.choose(flat, flat, [9, 5, 3]) == {"valence": 3, "arousal": 3}
    assert smoothing.choose({"a": np.full((10, 2), np.nan)}, {}) == {"valence": 1, "arousal": 1}


def test_a_trial_without_its_predictions_is_refused():
    labels, predictions = noisy(2)
    with pytest.raises(InputError, match="trial t1"):
        smoothing.choose(labels, {"t0": predictions["t0"]})
