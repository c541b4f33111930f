import io
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from lib.errors import InputError
from lib.parallel import Outcome, progress
from lib.parallel.progress import Progress
from lib.speakers.clips.sources import Source
from lib.training import history as training_history


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def told(clock, live=False, step=1.0, total=30):
    stream = io.StringIO()
    tell = Progress("trials", stream, live)
    for done in range(1, total + 1):
        clock.now += step
        tell(done, total, f"item {done}")
    return stream.getvalue()


def test_a_log_gets_a_line_now_and_then_with_rate_and_time_left_and_the_last_one(clock):
    assert told(clock).splitlines() == [
        "trials 10/30 (33 %) 10 s, 1/s, 20 s left",
        "trials 20/30 (66 %) 20 s, 1/s, 10 s left",
        "trials 30/30 (100 %) 30 s",
    ]


def test_quick_work_is_one_line(clock):
    assert told(clock, step=0.01) == "trials 30/30 (100 %) 0 s\n"


def test_a_live_line_has_a_bar_is_written_over_itself_and_ends_with_a_line_end(clock):
    text = told(clock, live=True, total=4)
    assert text == (
        "\rtrials [#####...............] 1/4 (25 %) 1 s, 1/s, 3 s left"
        "\rtrials [##########..........] 2/4 (50 %) 2 s, 1/s, 2 s left"
        "\rtrials [###############.....] 3/4 (75 %) 3 s, 1/s, 1 s left"
        "\rtrials [####################] 4/4 (100 %) 4 s" + 14 * " " + "\n"
    )


def test_of_a_longer_line_no_letter_is_left_behind(clock):
    """120 s, 99 s: the line gets shorter while it moves, and again at its end."""
    states = told(clock, live=True, step=60.0, total=5).rstrip("\n").split("\r")[1:]
    words = [state.rstrip() for state in states]
    assert any(len(after) < len(before) for before, after in pairwise(words))
    assert all(len(after) >= len(before.rstrip()) for before, after in pairwise(states))


def test_a_log_has_a_line_for_each_trial_and_says_which_were_lost(clock):
    stream = io.StringIO()
    tell = Progress("trials", stream, live=False)
    clock.now += 2
    tell(1, 3, Outcome({"trial": "5_left"}, value=[], seconds=1.96))
    tell(2, 3, Outcome("6", error=InputError("damaged"), seconds=0.1))
    assert stream.getvalue().splitlines() == [
        "trials 1/3 (33 %) 5_left: 2.0 s; 2 s, 0.5/s, 4 s left",
        "trials 2/3 (66 %) 6: 0.1 s, LOST; 2 s, 1/s, 1 s left",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(119, "119 s"), (600, "10 min"), (9000, "2.5 h")])
def test_a_long_time_is_told_in_minutes_and_hours(clock, seconds, text):
    assert told(clock, step=seconds / 2, total=2).endswith(f" {text}\n")


def test_work_of_unknown_size_has_no_share(clock):
    stream = io.StringIO()
    Progress("frames", stream)(5, 0)
    assert stream.getvalue() == "frames 5/0 0 s\n"


def test_a_line_an_epoch_has_loss_scores_and_rate():
    history = pd.DataFrame(
        [
            {"epoch": 1, "loss": 1.0, "val_ccc_valence": 0.0, "lr": 1.0, "seconds": 1.0},
            {"epoch": 2, "loss": 0.5, "val_ccc_valence": 0.25, "lr": 3e-4, "seconds": 12.34},
        ]
    )
    stream = io.StringIO()
    training_history.epoch_line(history, stream)
    assert stream.getvalue() == "epoch 2  loss 0.5000  ccc_valence +0.250  lr 3.0e-04  12.3 s\n"


def test_a_video_that_is_cut_is_called_by_its_name(clock):
    source = Source(
        "5-60", "train", Fraction(30), "sample", None, Path("5-60.mp4"), None, lambda *_: None, {}
    )
    stream = io.StringIO()
    Progress("videos cut", stream, False)(1, 2, Outcome(source, value=[], seconds=1.0))
    assert stream.getvalue().startswith("videos cut 1/2 (50 %) 5-60: 1.0 s;")
