"""Track faces through a long recording stretch by stretch, and join the stretches.

Each stretch is tracked on its own, from `stretches.LEAD` frames before it to the first frame of the
next one. Both stretches see that frame, so faces with exactly the same position in it are the same
track. The result equals that of one pass, except for a face with a low score at the border: if it
was last detected with a high score before the lead, its track ends at the border, and a new one
begins when its score is high again.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

import numpy as np

from ..media import stretches
from ..models import weights
from . import detection
from .tracking import COLUMNS, Tracker, view

FRAME, TRACK, CHANGE = 0, 1, 2  # columns
NOBODY = -1  # track number of the rows that hold how much each frame differs from the one before
HEAD, TAIL = "head", "tail"  # facts: check-sums of the pictures that two stretches both see


def detector(inputs: Mapping, parameters: Mapping):
    """The detector that a request for tracks names, from its file among the inputs."""
    file = inputs.get("detector")
    if file is not None:
        weights.verify(file)
    return detection.create(parameters["detector"], file, parameters["side"])


@contextmanager
def part(inputs, parameters, piece, create, device) -> Iterator[Callable]:
    """Tracks of one stretch (`store.ByStretch`): takes pictures, writes `Follower.rows`."""
    follower = Follower(
        detector(inputs, parameters), parameters["every"], parameters["side"], piece
    )
    yield follower.feed
    rows = follower.rows()
    with create(rows.shape, np.float32, **follower.facts) as out:
        out[...] = rows


class Follower:
    """Takes the pictures of one stretch; `rows` returns its tracks."""

    def __init__(self, detector, every: int, side: int, piece: stretches.Piece):
        self._tracker, self._piece, self._side = Tracker(detector, every), piece, side
        self._scale, self.facts = np.ones(2), {}

    def feed(self, frame: int, picture: np.ndarray) -> None:
        """The next picture, (H, W, 3) uint8 RGB, from `Piece.begin` on."""
        small, self._scale = detection.reduced(picture, self._side)
        self.facts.update(width=picture.shape[1], height=picture.shape[0])
        piece = self._piece
        if frame <= piece.first and piece.number:
            self._sum(HEAD, small)
        if piece.stop - stretches.LEAD <= frame <= piece.stop < piece.end:
            self._sum(TAIL, small)
        self._tracker.feed(view(small, self._scale))

    def _sum(self, name: str, small: np.ndarray) -> None:
        self.facts[name] = zlib.crc32(np.ascontiguousarray(small), self.facts.get(name, 0))

    def rows(self) -> np.ndarray:
        """(N, 18) float32 as from `tracking.track`, with tracks numbered within the stretch, and a
        row of `NOBODY` per frame after the first with how much it changed.
        """
        begin, first = self._piece.begin, self._piece.first
        rows = self._tracker.finish()
        points = rows[:, 2:16].reshape(-1, 7, 2)
        rows[:, 2:16] = detection.enlarged(points, self._scale, boxes=1).reshape(-1, 14)
        changes = np.zeros((len(self._tracker.changes), len(COLUMNS)), np.float32)
        changes[:, FRAME] = np.arange(1, len(changes) + 1)
        changes[:, TRACK], changes[:, CHANGE] = NOBODY, self._tracker.changes
        all_rows = np.concatenate([changes, rows])
        all_rows[:, FRAME] += begin
        kept = (all_rows[:, FRAME] > first) | (
            (all_rows[:, FRAME] == first) & (all_rows[:, TRACK] >= 0)
        )
        return all_rows[kept]


def check(facts: Sequence[dict]) -> None:
    """Raise `stretches.UnlikeError` where two neighbours did not see the same pictures at their
    border. facts : of the stretches that have frames, in order.
    """
    for number, (before, after) in enumerate(pairwise(facts), 1):
        if before.get(TAIL) != after.get(HEAD):
            raise stretches.UnlikeError(number)


def join(parts: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Put stretches together, in order.

    parts : what `Follower.rows` gave. Returns rows (N, 18) float32 as of `tracking.track`, with
    tracks numbered in the order in which they begin, and (T − 1,) how much each frame changed.
    """
    kept: list[np.ndarray] = [np.zeros((0, len(COLUMNS)), np.float32)]
    changes: list[np.ndarray] = [np.zeros(0, np.float32)]
    count, border = 0, kept[0]
    for part in parts:
        rows = np.array(part)
        nobody = rows[:, TRACK] == NOBODY
        changes.append(rows[nobody, CHANGE])
        rows = rows[~nobody]
        rows[:, TRACK], count, known = _numbered(rows, border, count)
        kept.append(rows[~known])
        last = max(changes[-1].size and int(part[nobody, FRAME].max()), 0)
        border = rows[rows[:, FRAME] == last]
    rows = np.concatenate(kept)
    return rows[np.lexsort((rows[:, TRACK], rows[:, FRAME]))], np.concatenate(changes)


def _numbered(
    rows: np.ndarray, border: np.ndarray, count: int
) -> tuple[np.ndarray, int, np.ndarray]:
    """Numbers of the tracks of a stretch's rows: those of the same faces in the frame before whose
    rows are `border`, the others from `count` on; the count then; and which rows are in `border`.
    """
    known = np.zeros(len(rows), bool)
    names: dict[float, int] = {}
    seen = {row[2:].tobytes(): int(row[TRACK]) for row in border}
    for index in np.flatnonzero(rows[:, FRAME] == border[0, FRAME]) if len(border) else ():
        number = seen.get(rows[index, 2:].tobytes())
        if number is not None:
            names[rows[index, TRACK]], known[index] = number, True
    for name in np.unique(rows[:, TRACK]):
        if name not in names:
            names[name], count = count, count + 1
    return np.array([names[name] for name in rows[:, TRACK]], np.float32), count, known
