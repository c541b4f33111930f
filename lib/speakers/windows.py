"""The frames on which a speaker network is trained and scored, as numbers: stretches of the clips
of one person.

Training takes random stretches of random length; all stretches of a batch have one length, and the
frame budget decides how many there are. Evaluation cuts gapless runs into pieces, and a piece that
is longer than a window into windows that overlap by a third (speaker specification §4.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..features import speaker_scores


def runs(units: Sequence) -> list[tuple[int, int]]:
    """First and one past last frame of each stretch of clips without a gap; `units` in order."""
    stretches: list[list[int]] = []
    for unit in units:
        if stretches and stretches[-1][1] == unit.start:
            stretches[-1][1] += unit.n_frames
        else:
            stretches.append([unit.start, unit.start + unit.n_frames])
    return [tuple(run) for run in stretches]


def evaluation(
    stretches: Sequence[tuple[int, int]], piece: int, window: int
) -> tuple[np.ndarray, np.ndarray]:
    """Starts and stops, (n,) int64 each, of the windows that cover every frame of some `runs`.

    piece : frames that are scored together, −1 for a whole run.
    window : frames of a window of a longer piece, −1 for no windows.
    """
    starts, stops = [], []
    for first, last in stretches:
        step = last - first if piece < 0 else piece
        for begin in range(first, last, max(step, 1)):
            end = min(begin + step, last)
            windows = speaker_scores.windows(end - begin, window if window > 0 else end - begin)
            starts += [begin + start for start, _ in windows]
            stops += [begin + stop for _, stop in windows]
    return np.array(starts, np.int64), np.array(stops, np.int64)


def longest(stretches: Sequence[tuple[int, int]], piece: int, window: int) -> int:
    """Frames of the longest window that `evaluation` can give."""
    if window > 0:
        return min(window, piece) if piece > 0 else window
    whole = max((last - first for first, last in stretches), default=0)
    return min(piece, whole) if piece > 0 else whole


def training(
    clips: Sequence[tuple[str, object]],
    times: int,
    shortest: int,
    longest: int,
    budget: int,
    generator: np.random.Generator,
) -> Iterator[tuple[str, int, int, int]]:
    """(trial, number of the batch, start, stop) of random stretches, in the order of their batches.

    clips : (trial, unit) of every clip with labels; each is taken `times` times. shortest, longest
        : frames, the
    length of a batch is uniform between them. budget : frames of a batch, which has at least two
    stretches.
    """
    order = np.concatenate([generator.permutation(len(clips)) for _ in range(times)] or [[]])
    at = number = 0
    while at < len(order):
        length = int(generator.integers(min(shortest, longest), longest + 1))
        count = max(2, round(budget / length))
        for index in order[at : at + count]:
            trial, unit = clips[int(index)]
            yield trial, number, *_stretch(unit, length, generator)
        at, number = at + count, number + 1


def _stretch(unit, length: int, generator: np.random.Generator) -> tuple[int, int]:
    length = min(length, unit.n_frames)
    start = unit.start + int(generator.integers(unit.n_frames - length + 1))
    return start, start + length
