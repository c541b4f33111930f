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


def test_a_log_gets_a_line_per_tenth_and_thirty_seconds_and_the_last_one(clock):
    assert told(clock, step=10.0).splitlines() == [
        *(
            f"trials {done}/30 ({100 * done // 30} %) {progress.span(10 * done)}, 0.1/s, "
            f"{progress.span(10 * (30 - done))} left"
            for done in range(3, 30, 3)
        ),
        "trials 30/30 (100 %) 5 min",
    ]
    assert told(clock, step=1.0).count("\n") == 1, "30 s are up with the last one"
    assert told(clock, step=3600.0).count("\n") <= 11, "of 30 h ten lines"


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


def test_a_log_names_each_trial_that_was_lost_and_not_each_that_was_not(clock):
    stream = io.StringIO()
    tell = Progress("trials", stream, live=False)
    clock.now += 2
    tell(1, 3, Outcome({"trial": "5_left"}, value=[], seconds=1.96))
    tell(2, 3, Outcome("6", error=InputError("damaged"), seconds=0.1))
    tell(3, 3, Outcome({"trial": "7"}, value=[], seconds=1.96))
    assert stream.getvalue().splitlines() == [
        "trials 2/3 (66 %) 6: 0.1 s, LOST; 2 s, 1/s, 1 s left",
        "trials 3/3 (100 %) 7: 2.0 s; 2 s",
    ]


def test_an_epoch_is_told_while_it_runs_and_its_end_by_the_line_of_its_scores(clock):
    stream = io.StringIO()
    tell = training_history.EpochProgress(2, stream, live=False)
    for epoch, seconds in ((1, 10.0), (2, 1.0)):
        for done in range(1, 11):
            clock.now += seconds
            tell(epoch, done, 10)
    lines = stream.getvalue().splitlines()
    assert lines == [
        "epoch 1 of 2, batch 4/10 (40 %) 30 s, 0.1/s, 60 s left",
        "epoch 1 of 2, batch 7/10 (70 %) 60 s, 0.1/s, 30 s left",
    ], "nothing of an epoch of ten seconds"


def test_in_a_notebook_the_line_of_an_epoch_moves(clock):
    stream = io.StringIO()
    tell = training_history.EpochProgress(1, stream, live=True)
    for done in range(1, 4):
        clock.now += 1
        tell(1, done, 3)
    assert stream.getvalue().count("\r") == 2
    assert stream.getvalue().endswith("\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(119, "119 s"), (600, "10 min"), (9000, "2 h 30 min")]
)
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
    Progress("videos cut", stream, False)(2, 2, Outcome(source, value=[], seconds=1.0))
    assert stream.getvalue().startswith("videos cut 2/2 (100 %) 5-60: 1.0 s;")
