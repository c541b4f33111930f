"""Progressive release: when frozen groups of layers are unfrozen, when the learning rate falls,
when training ends.

LFAN specification 3.6, 3.7. All decisions are functions of a training's state, so that a resumed
training takes the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Course:
    """Settings of the learning rate's decay and of the releases; epochs are counted from 0.

    groups : number of releases. milestones : epochs at whose start a release is due whatever the
        rate.
    min_lr : when the rate is below it, the next release is due, or the end if no group is left (0:
        never).
    patience, factor : epochs without a better score before the rate is multiplied by `factor`; 0:
        never.
    warmup : epochs over which the rate rises, at the start and after a release.
    reload_best : after an epoch that was not better, go on from the best weights; moments of the
        optimiser are kept.
    reset_stale : a release starts the count of early stopping anew (published ABAW2: it does not).
    """

    groups: int = 0
    milestones: tuple[int, ...] = ()
    min_lr: float = 0.0
    patience: int = 5
    factor: float = 0.1
    warmup: int = 0
    reload_best: bool = False
    reset_stale: bool = True


def rate(course: Course, lr: float, state) -> float:
    """The learning rate of the epoch that begins: lowered by plateaus, lifted by the warm-up."""
    since = state.epoch - max(state.released_at, 0)
    return (
        lr
        * course.factor**state.plateau
        * min(1.0, (since + 1) / course.warmup if course.warmup else 1.0)
    )


def decide(course: Course, lr: float, state) -> str:
    """ "go", "release" or "stop" at the start of an epoch."""
    low = lr * course.factor**state.plateau < course.min_lr
    due = state.epoch in course.milestones and state.released_at != state.epoch
    if (due or low) and state.released < course.groups:
        return "release"
    return "stop" if low else "go"


def waited(course: Course, state, for_stop: bool = False) -> int:
    """Epochs without a better score before `state.epoch`, counted for the rate, or `for_stop` for
    early stopping.

    For the rate the first epoch after a release counts as an improvement, as if the scheduler were
    restarted.
    """
    if for_stop:
        start = (
            max(state.best_epoch, state.released_at - 1) if course.reset_stale else state.best_epoch
        )
    else:
        start = max(state.best_epoch, state.released_at, state.lowered_at)
    return state.epoch - 1 - start


def lower(course: Course, state) -> bool:
    """Whether the rate is to be lowered after the epoch before `state.epoch`."""
    return course.patience > 0 and waited(course, state) > course.patience
