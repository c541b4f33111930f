"""Valence and arousal derived from the logits of seven expressions."""

import numpy as np
import pytest

from lib.errors import InputError
from lib.features import expression
from lib.models.affect.face_api import CLASSES

HAPPY, SAD = CLASSES.index("happy"), CLASSES.index("sad")


def sure(name, frames=1):
    """Logits that leave no doubt."""
    logits = np.full((frames, 7), -100.0)
    logits[:, CLASSES.index(name)] = 100
    return logits


def test_every_expression_has_its_place_in_the_table():
    table = {
        "neutral": (0, 0),
        "happy": (0.70, 0.20),
        "sad": (-0.65, -0.30),
        "angry": (-0.45, 0.60),
        "fearful": (-0.20, 0.75),
        "disgusted": (-0.65, 0.40),
        "surprised": (0.20, 0.75),
    }
    for name, (valence, arousal) in table.items():
        out = expression.derived(sure(name), [0])
        assert out["valence_derived"] == pytest.approx([valence])
        assert out["arousal_derived"] == pytest.approx([arousal])


def test_half_happy_and_half_sad_lies_half_way():
    logits = sure("happy")
    logits[0, SAD] = 100
    out = expression.derived(logits, [0])
    assert out["valence_derived"] == pytest.approx([0.025])
    assert out["arousal_derived"] == pytest.approx([-0.05])


def test_a_temperature_divides_the_logits():
    logits = np.log([[1, 9, 1e-9, 1e-9, 1e-9, 1e-9, 1e-9]])
    soft = expression.probabilities(logits, 2)[0]
    assert soft[1] / soft[0] == pytest.approx(3)
    assert soft.sum() == pytest.approx(1)
    assert expression.probabilities(logits, 1)[0, 1] == pytest.approx(0.9)
    assert expression.probabilities(logits + 5000, 2)[0] == pytest.approx(soft)


def test_smoothing_takes_half_a_second_to_each_side_whatever_the_frame_rate():
    for fps in (10, 25, 30, 60):
        times = 3.7 + np.arange(4 * fps) / fps
        logits = np.where((np.arange(len(times)) < 2 * fps)[:, None], sure("sad"), sure("happy"))
        happy = expression.derived(logits, times)["expression"][:, HAPPY]
        since = times - times[2 * fps]  # the first happy frame
        assert happy[since < -0.5 - 1e-4] == pytest.approx(0)
        assert happy[since > 0.5 + 1e-4] == pytest.approx(1)
        reached = np.flatnonzero((happy > 1e-9) & (since < 0))
        assert len(reached) == fps // 2


def test_a_window_is_as_long_as_the_times_say_where_frames_are_uneven():
    times = np.array([0, 0.1, 0.5, 0.61, 5])
    mean = expression.running_mean(np.array([[0.0], [1], [2], [3], [8]]), times)
    assert mean[:, 0] == pytest.approx([1, 1, 1.5, 2.5, 8])


def test_frames_without_a_face_stay_missing_and_count_in_no_mean():
    values = np.array([[1.0, 2], [np.nan, 2], [3, 4]])
    mean = expression.running_mean(values, [0, 0.04, 0.08])
    assert np.isnan(mean[1]).all()
    assert mean[[0, 2]].tolist() == [[2, 3], [2, 3]]
    logits = sure("happy", 5)
    logits[1:4] = np.nan
    out = expression.derived(logits, np.arange(5) / 25)
    assert np.isnan(out["valence_derived"]).tolist() == [False, True, True, True, False]
    assert out["valence_derived"][[0, 4]] == pytest.approx([0.7, 0.7])


def test_nobody_and_nothing_are_possible():
    out = expression.derived(np.full((3, 7), np.nan), [0, 1, 2])
    assert all(np.isnan(column).all() for column in out.values())
    out = expression.derived(np.zeros((0, 7)), [])
    assert out["expression"].shape == (0, 7)
    assert out["arousal_derived"].shape == (0,)


def test_no_reach_is_no_smoothing():
    values = np.arange(6.0).reshape(3, 2)
    assert np.array_equal(expression.running_mean(values, [0, 0.04, 0.08], 0), values)


def test_derived_values_never_leave_the_table():
    logits = np.random.default_rng(0).normal(size=(500, 7)) * 20
    out = expression.derived(logits, np.arange(500) / 25, temperature=1, reach=0)
    assert -0.65 <= out["valence_derived"].min() < out["valence_derived"].max() <= 0.70
    assert -0.30 <= out["arousal_derived"].min() < out["arousal_derived"].max() <= 0.75


@pytest.mark.parametrize(
    ("logits", "times", "more", "what"),
    [
        (np.zeros((2, 8)), [0, 1], {}, r"shape \(2, 8\)"),
        (np.zeros(7), [0], {}, r"shape \(7,\)"),
        (np.full((1, 7), np.inf), [0], {}, "logits"),
        (np.zeros((2, 7)), [0], {}, r"times of \(1,\)"),
        (np.zeros((2, 7)), [0, np.nan], {}, "times that fall, or are none"),
        (np.zeros((2, 7)), [0, 1], {"temperature": 0}, "temperature 0"),
        (np.zeros((2, 7)), [0, 1], {"temperature": np.nan}, "temperature nan"),
        (np.zeros((2, 7)), [0, 1], {"reach": -1}, "reach of -1"),
        (np.zeros((2, 7)), [0, 1], {"reach": np.nan}, "reach of nan"),
    ],
)
def test_what_cannot_be_derived_from_is_refused(logits, times, more, what):
    with pytest.raises(InputError, match=what) as raised:
        expression.derived(logits, times, **more)
    assert raised.value.expected


def test_the_text_says_that_nothing_was_trained_on_valence():
    for text in (expression.__doc__, expression.derived.__doc__):
        assert "derived" in text
        assert "by hand" in text
        assert "trained on" in " ".join(text.split())
