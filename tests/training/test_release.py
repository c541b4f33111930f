"""Progressive release: the published course epoch by epoch, and what is different in ours."""

from dataclasses import replace

import pytest

from lib.training import release
from lib.training.release import Course
from lib.training.trainer import State

PUBLISHED = Course(
    groups=3, milestones=(0,), min_lr=1e-6, patience=5, factor=0.1, reset_stale=False
)


def simulate(course, scores, lr=1e-5, patience=20, epochs=100):
    """What a trainer does with these scores (the last one for ever): releases {group: epoch}, the
    epoch it ended at.
    """
    state, released = State(), {}
    while state.epoch < epochs:
        if state.epoch and release.waited(course, state, for_stop=True) >= patience:
            return released, state.epoch, "early stop"
        while (verdict := release.decide(course, lr, state)) == "release":
            state.released, state.released_at, state.plateau = state.released + 1, state.epoch, 0
            released[state.released] = state.epoch
        if verdict == "stop":
            return released, state.epoch, "lowest rate"
        score = scores[min(state.epoch, len(scores) - 1)]
        if score > state.best_score:
            state.best_score, state.best_epoch = score, state.epoch
        state.epoch += 1
        if release.lower(course, state):
            state.plateau, state.lowered_at = state.plateau + 1, state.epoch - 1
    return released, state.epoch, "all epochs"


def test_a_release_comes_13_epochs_after_the_last_improvement():
    """1e-5 times 0.1 is just above 1e-6 in floating point, so that two reductions are needed."""
    released, _, _ = simulate(PUBLISHED, [0.1, 0.2, 0.3, 0.3])
    assert released[1] == 0
    assert released[2] == 2 + 13


def test_by_the_published_rule_8_epochs_remain_after_the_second_release():
    released, end, why = simulate(PUBLISHED, [0.1, 0.2, 0.3, 0.3])
    assert (end - released[2], why) == (8, "early stop")
    assert 3 not in released


def test_a_release_that_resets_early_stopping_lets_all_groups_go_and_ends_at_the_lowest_rate():
    released, end, why = simulate(replace(PUBLISHED, reset_stale=True), [0.1, 0.2, 0.3, 0.3])
    assert released == {1: 0, 2: 15, 3: 28}
    assert (end, why) == (41, "lowest rate")


def test_milestones_release_whatever_the_rate_and_only_what_there_is():
    course = Course(groups=2, milestones=(1, 3, 5), patience=0)
    released, end, why = simulate(course, [0.1] * 3, patience=1000, epochs=8)
    assert released == {1: 1, 2: 3}
    assert (end, why) == (8, "all epochs")


def test_without_patience_the_rate_never_falls():
    state = State(epoch=50, best_epoch=3)
    assert not release.lower(Course(patience=0), state)
    assert release.lower(Course(patience=5), state)


def test_the_rate_rises_again_after_a_release():
    course, state = Course(groups=1, warmup=4, factor=0.1), State()
    rates = []
    for epoch in range(8):
        state.epoch = epoch
        if epoch == 5:
            state.released_at = 5
        rates.append(release.rate(course, 1.0, state))
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 0.25, 0.5, 0.75])
    state.plateau = 2
    assert release.rate(Course(), 1.0, state) == pytest.approx(0.01)
