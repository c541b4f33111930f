"""The plan of the sample set: recordings, frame times, persons, turns to speak, gaps and label
curves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...errors import InputError
from . import curves as samples_curves
from .curves import Curve

LEAST_TRIALS = 4
FRAME_RATES = (24, 25, 30)
SOUND_DELAY = 0.08  # s that the sound of one recording starts after its picture
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Person:
    """One trial. Its number is that of its random stream; masks: (T,) bool, one value per frame."""

    number: int
    turns: list[tuple[float, float]]  # s in which the person speaks
    own_turn: np.ndarray
    labelled: np.ndarray  # False in a gap, turns apart
    cropped: np.ndarray
    unlabelled: str  # how an unlabelled VA row is written
    curves: tuple[Curve, Curve] | None = None  # valence and arousal


@dataclass(frozen=True)
class Recording:
    """One video. `times` (T,) s are its frames'; `sound_start` in s; `persons` by trial name, the
    left one first.
    """

    video: str
    number: int
    split: str
    folder: str
    fps: int
    times: np.ndarray
    sound_start: float
    persons: dict[str, Person]

    @property
    def seconds(self) -> float:
        return float(self.times[-1] + 1 / self.fps)


def plan(seed: int, trials: int, seconds: float) -> list[Recording]:
    """All recordings of a set. Raises InputError for fewer than 4 trials or less than a second."""
    if trials < LEAST_TRIALS or seconds < 1:
        raise InputError(
            f"a sample set of {trials} trials of {seconds:g} s cannot be made",
            expected=f"at least {LEAST_TRIALS} trials and 1 s",
            todo="raise sample_trials or sample_seconds",
        )
    layout = _layout(trials)
    singles = [number for number, (_, persons) in enumerate(layout) if persons == 1]
    recordings, first = [], 0
    for number, (split, persons) in enumerate(layout):
        folder = "batch1" if number < len(layout) / 2 else "batch2"
        recordings.append(
            _recording(
                seed,
                number,
                split,
                folder,
                range(first, first + persons),
                seconds,
                uneven=number == singles[0],
                late=number == singles[1],
            )
        )
        first += persons
    labelled = []
    for split in SPLITS:
        labelled += _labelled(
            seed, [recording for recording in recordings if recording.split == split]
        )
    return labelled


def _layout(trials: int) -> list[tuple[str, int]]:
    """(split, persons) of each recording; of 24 trials 14/8/2, with one pair in training and one in
    validation.
    """
    test, val = max(1, trials // 12), max(2, trials // 3)
    counts = {"train": trials - test - val, "val": val, "test": test}
    pairs = {"train": int(trials >= 6), "val": int(trials >= 12), "test": 0}
    layout = []
    for split in SPLITS:
        layout += [(split, 1)] * (counts[split] - 2 * pairs[split])
        layout += [(split, 2)] * pairs[split]
    return layout


def _recording(
    seed: int,
    number: int,
    split: str,
    folder: str,
    trials: range,
    seconds: float,
    uneven: bool,
    late: bool,
) -> Recording:
    generator = np.random.default_rng([seed, number, 1])
    fps = FRAME_RATES[number % len(FRAME_RATES)]
    times = np.arange(round(seconds * generator.uniform(8.5, 15.5) / 12 * fps)) / fps
    # A stretch where every other frame comes late by half a step, as from a phone in the dark.
    if uneven:
        first = len(times) // 3 + 1
        times[first : first + round(4 * seconds) : 2] += 0.5 / fps
    pair, length = len(trials) == 2, times[-1] + 1 / fps
    video = f"{number + 1}-{fps}-640x240" if pair else str(number + 1)
    names = [f"{video}_left", f"{video}_right"] if pair else [video]
    turns = _turns(generator, length, seconds) if pair else [[(0.0, length)]]
    persons = {
        name: _person(seed, trial, times, its_turns, seconds)
        for name, trial, its_turns in zip(names, trials, turns, strict=True)
    }
    return Recording(
        video, number, split, folder, fps, times, SOUND_DELAY if late else 0.0, persons
    )


def _turns(
    generator: np.random.Generator, length: float, seconds: float
) -> list[list[tuple[float, float]]]:
    """Turns of the left and of the right person, one after the other; 2–4 s where a trial has
    12 s.
    """
    turns: list[list[tuple[float, float]]] = [[], []]
    now, who = 0.0, 0
    while now < length:
        stop = now + generator.uniform(2, 4) * seconds / 12
        turns[who].append((now, stop))
        now, who = stop, 1 - who
    return turns


def _person(seed: int, trial: int, times: np.ndarray, turns: list, seconds: float) -> Person:
    generator = np.random.default_rng([seed, trial, 2])
    own_turn = np.any([(times >= start) & (times < stop) for start, stop in turns], axis=0)
    cropped, labelled = np.ones(len(times), bool), np.ones(len(times), bool)
    # About 12 frames of 12 s, in every fourth and fifth trial: with the uneven stretch under 3 % of
    # all frames.
    for mask, has_gap in ((cropped, trial % 4 == 1), (labelled, trial % 5 == 2)):
        start = generator.integers(0, len(times) // 2)
        if has_gap:
            mask[start : start + max(1, round(generator.uniform(0.8, 1.2) * seconds))] = False
    return Person(trial, turns, own_turn, labelled, cropped, ("-5", "-5.0")[trial % 2])


def _labelled(seed: int, recordings: list[Recording]) -> list[Recording]:
    """The recordings of one split with the label curves drawn for them together."""
    timelines = {}
    for recording in recordings:
        for person in recording.persons.values():
            timelines[person.number] = recording.times, person.own_turn & person.labelled
    curves = samples_curves.draw(seed, timelines)
    labelled = []
    for recording in recordings:
        persons = {
            name: replace(person, curves=curves[person.number])
            for name, person in recording.persons.items()
        }
        labelled.append(replace(recording, persons=persons))
    return labelled
