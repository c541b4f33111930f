"""Track the faces of a video: detection on every n-th frame, optical flow of the landmarks in
between.

If the two disagree (a face comes or goes, a cut, a fast movement) the stretch is halved and both
are repeated, down to single frames: the result is that of detection on every frame, at a fraction
of the work. Memory does not grow with the video's length, apart from one row for each face of each
frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

from ..media.reading_ahead import ahead
from . import detection

# One row per face and frame: frame and track, the columns of lib.faces.detection, and 1 if it was
# followed by optical flow.
COLUMNS = ("frame", "track", *detection.COLUMNS, "followed")
BOX, LANDMARKS = slice(2, 6), slice(6, 16)
AHEAD = 8  # pictures that are reduced while a detector looks at one
EVERY = 6  # frames from one detection to the next: 0.2–0.25 s
# score from which a face begins a track (0.7 is also what the shared recordings were counted with)
NEW = 0.7
# face widths between where a face was expected and found, up to which it is the same one
SAME = 0.4
GROWTH = 1.7  # factor between the widths of the same face in two detections
DRIFT = 0.15  # face widths by which a followed landmark may differ from the next detection
RETURN = 0.05  # face widths by which a landmark that is followed forth and back may miss its start
# grey levels: mean change from frame to frame of a thumbnail, without the change in brightness
CUT = 30.0
# A smaller change is a cut, too, if it is isolated: two people before the same wall. In a shot and
# counter-shot of such recordings it is 19 grey levels, 34 times what surrounds it; in 18 recordings
# of talking people without a cut none above 4 is over 3.1 times its surroundings.
SMALL_CUT, ALONE, AROUND = 4.0, 5.0, 3  # grey levels; times the largest change in so many frames
LEAST = 0.5  # grey levels of noise, below which surroundings count as this much
THUMBNAIL = (32, 18)
FLOW = {
    "winSize": (17, 17),
    "maxLevel": 3,
    "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.02),
}


def track(
    pictures: Iterable[np.ndarray],
    detector,
    every: int = EVERY,
    side: int = detection.SIDE,
    progress: Callable[[int], None] | None = None,
    changes: list[float] | None = None,
) -> np.ndarray:
    """Follow all faces through a video.

    Arguments
    ---------
    pictures : (H, W, 3) uint8 RGB of one frame after the other, all of one size.
    detector : see `lib.faces.detection`. every : frames from one detection to the next, from 1.
    side : longest side in px of the pictures that are looked at; larger ones are reduced.
    progress : called with the number of frames done. changes : takes the change from each frame to
        the next one (`shot_changes`).

    Returns (N, 18) float32, columns as in `COLUMNS`, sorted by frame and track; pixels are those of
    `pictures`.
    """
    tracker = Tracker(detector, every)
    scale = np.ones(2)
    views = (view(*detection.reduced(picture, side)) for picture in pictures)
    for index, seen in enumerate(ahead(views, AHEAD)):
        tracker.feed(seen)
        scale = seen.scale
        if progress:
            progress(index + 1)
    if changes is not None:
        changes += tracker.changes
    rows = tracker.finish()
    rows[:, 2:16] = detection.enlarged(rows[:, 2:16].reshape(-1, 7, 2), scale, boxes=1).reshape(
        -1, 14
    )
    return rows


class View(NamedTuple):
    """A picture as a tracker looks at it (`view`)."""

    picture: np.ndarray  # (H, W, 3) uint8 RGB
    scale: np.ndarray  # (2,) px of the whole picture per px of this one, x and y
    grey: np.ndarray  # (H, W) uint8
    thumbnail: np.ndarray  # grey levels of `THUMBNAIL` less their mean, float32


def view(picture: np.ndarray, scale: np.ndarray) -> View:
    """The view of a picture (H, W, 3) uint8 RGB that was reduced (`detection.reduced`)."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
    return View(picture, scale, grey, small - small.mean())


class Tracker:
    """Takes views in order (`feed`) and returns all rows at the end (`finish`)."""

    def __init__(self, detector, every: int = EVERY):
        self._detector, self._every = detector, max(1, every)
        self._start = 0  # number of the first picture in the buffer
        self._views: list[View] = []  # the first of them done with
        self._found: dict[int, np.ndarray] = {}  # frame -> detections
        # track -> (15,) where it is in the frame done last
        self._active: dict[int, np.ndarray] = {}
        self._tracks = 0
        self._rows: list[np.ndarray] = []
        self.changes: list[float] = []  # grey levels, from each frame to the next one

    def feed(self, seen: View) -> None:
        """The view of the next picture."""
        self._views.append(seen)
        if len(self._views) > 1:
            before, after = (one.thumbnail for one in self._views[-2:])
            self.changes.append(float(np.abs(after - before).mean()))
        if self._start == 0 and len(self._views) == 1:
            self._begin(0, self._detect(0))
        elif len(self._views) > self._every:
            self._done()

    def finish(self) -> np.ndarray:
        """All rows (N, 18) float32, sorted by frame and track."""
        if len(self._views) > 1:
            self._done()
        rows = np.array(self._rows, np.float32).reshape(-1, len(COLUMNS))
        return rows[np.lexsort((rows[:, 1], rows[:, 0]))]

    def _done(self) -> None:
        last = len(self._views) - 1
        self._span(0, last)
        self._start += last
        self._found = {0: self._found[last]}
        del self._views[:last]

    def _detect(self, frame: int) -> np.ndarray:
        if frame not in self._found:
            self._found[frame] = self._detector.detect(self._views[frame].picture)
        return self._found[frame]

    def _span(self, first: int, last: int) -> None:
        """Bring the tracks from frame `first`, where they are known, to frame `last`."""
        faces = self._detect(last)
        names = list(self._active)
        views = self._views[first : last + 1]
        cut = is_cut([one.thumbnail for one in views])
        paths, held = follow([one.grey for one in views], [self._active[name] for name in names])
        pairs = {} if cut else match(paths[-1], faces)
        unsure = (
            len(pairs) < len(names)
            or any(row not in pairs.values() for row in np.flatnonzero(_certain(faces)))
            or (cut and bool(names))
        )
        if unsure and last - first > 1:
            middle = (first + last) // 2
            self._span(first, middle)
            self._span(middle, last)
            return
        before, self._active = self._active, {}
        for index, row in pairs.items():
            between = bridge(before[names[index]], faces[row], paths[:, index], held[index])
            self._emit(names[index], first + 1, between, faces[row])
        self._begin(last, faces[[row for row in range(len(faces)) if row not in pairs.values()]])

    def _emit(self, name: int, start: int, between: np.ndarray, face: np.ndarray) -> None:
        for step, row in enumerate([*between, face]):
            followed = step < len(between)
            self._rows.append(
                np.array([self._start + start + step, name, *row, followed], np.float32)
            )
        self._active[name] = face

    def _begin(self, frame: int, detections: np.ndarray) -> None:
        for row in detections[_certain(detections)]:
            self._emit(self._tracks, frame, np.zeros((0, 15), np.float32), row)
            self._tracks += 1


def _certain(detections: np.ndarray) -> np.ndarray:
    return detections[:, 14] >= NEW


def is_cut(thumbnails: list[np.ndarray]) -> bool:
    """Whether a scene changes between neighbours of these pictures (h, w), less their means."""
    return any(float(np.abs(after - before).mean()) > CUT for before, after in pairwise(thumbnails))


def shot_changes(changes: Sequence[float]) -> list[int]:
    """Frames, from 0, with which a new shot begins.

    changes : mean change of a thumbnail from frame k to k + 1, grey levels (T − 1).
    """
    changes = np.asarray(changes, np.float64)
    padded = np.pad(changes, AROUND)
    shifts = [shift for shift in range(2 * AROUND + 1) if shift != AROUND]
    around = np.max([padded[shift : shift + len(changes)] for shift in shifts], axis=0)
    alone = changes > ALONE * np.maximum(around, LEAST)
    return (np.flatnonzero((changes > CUT) | ((changes > SMALL_CUT) & alone)) + 1).tolist()


def rows(tracks: np.ndarray, first: int, stop: int) -> tuple[int, int]:
    """First row of `tracks`, and one past the last, of the frames `first` to `stop` − 1."""
    # of the column's own type: of another one, all of an hour's rows would be copied per frame
    begin, end = np.searchsorted(tracks[:, 0], np.array((first, stop), tracks.dtype))
    return int(begin), int(end)


def follow(grey: list[np.ndarray], faces: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Follow faces from the first of several pictures through the others by the optical flow of
    their landmarks.

    Arguments
    ---------
    grey : F pictures (H, W) uint8. faces : N rows (15,) of the first picture (see
        `lib.faces.detection`).

    Returns paths (F, N, 15), rows whose box moves with the landmarks' median, and held (N, 5) bool:
    landmarks that come back to where they were when followed backwards from the last picture.
    """
    faces = np.array(faces, np.float32).reshape(-1, len(detection.COLUMNS))
    paths = np.repeat(faces[None], len(grey), axis=0)
    if not len(faces):
        return paths, np.zeros((0, 5), bool)
    points = [faces[:, 4:14].reshape(-1, 1, 2)]
    alive = np.ones(len(points[0]), bool)
    for before, after in pairwise(grey):
        moved, status, _ = cv2.calcOpticalFlowPyrLK(before, after, points[-1], None, **FLOW)
        points.append(moved)
        alive &= status[:, 0] > 0
    back, status, _ = cv2.calcOpticalFlowPyrLK(
        grey[-1], grey[0], points[-1], points[0].copy(), **FLOW, flags=cv2.OPTFLOW_USE_INITIAL_FLOW
    )
    missed = np.linalg.norm((back - points[0])[:, 0], axis=1).reshape(-1, 5)
    held = (alive & (status[:, 0] > 0)).reshape(-1, 5) & (missed <= RETURN * faces[:, 2, None])
    placed = np.stack(points).reshape(len(grey), -1, 5, 2)
    paths[:, :, 4:14] = placed.reshape(len(grey), -1, 10)
    for index, reliable in enumerate(held):
        chosen = reliable if reliable.any() else slice(None)
        paths[:, index, :2] += np.median((placed[:, index] - placed[0, index])[:, chosen], axis=1)
        # A lost landmark (behind a hand, a closing eye) moves with the others.
        lost = placed[0, index] + (paths[:, index, :2] - faces[index, :2])[:, None]
        kept = np.where(reliable[:, None], placed[:, index], lost)
        paths[:, index, 4:14] = kept.reshape(len(grey), 10)
    return paths, held


def match(expected: np.ndarray, detections: np.ndarray) -> dict[int, int]:
    """Pair faces (N, 15), where they should be, with detections (M, 15): index -> row."""
    if not len(expected) or not len(detections):
        return {}
    widths = np.sqrt(expected[:, None, 2] * detections[None, :, 2])
    apart = (expected[:, None, 4:14] - detections[None, :, 4:14]).reshape(
        len(expected), len(detections), 5, 2
    )
    distance = np.linalg.norm(apart, axis=-1).mean(axis=-1) / widths
    growth = np.maximum(
        expected[:, None, 2] / detections[None, :, 2], detections[None, :, 2] / expected[:, None, 2]
    )
    allowed = (distance <= SAME) & (growth <= GROWTH)
    if max(allowed.sum(axis=0).max(), allowed.sum(axis=1).max()) > 1:
        return _nearest(distance, allowed)
    return {int(row): int(column) for row, column in np.argwhere(allowed)}


def _nearest(distance: np.ndarray, allowed: np.ndarray) -> dict[int, int]:
    """The pairs of least total distance where a face has several to choose from."""
    # half a second to import, and needed only where faces are close to each other
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(np.where(allowed, distance, 1e3))
    return {
        int(row): int(column)
        for row, column in zip(rows, columns, strict=True)
        if allowed[row, column]
    }


def bridge(before: np.ndarray, after: np.ndarray, path: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Faces between two detections of the same one.

    before, after : (15,), frames 0 and F−1.
    path : (F, 15), where it was followed to.
    held : (5,) bool, landmarks whose flow can be believed: their error at the end is taken back
        evenly; the others go straight.

    Returns (F−2, 15); the score is the lower of the two.
    """
    share = np.linspace(0, 1, len(path))[1:-1, None]
    straight = before + share * (after - before)
    believed = path[1:-1] + share * (after - path[-1])
    off = np.linalg.norm((after - path[-1])[4:14].reshape(5, 2), axis=1)
    use = np.repeat(held & (off <= DRIFT * after[2]), 2)
    rows = straight
    rows[:, 4:14] = np.where(use, believed[:, 4:14], straight[:, 4:14])
    rows[:, :4] = believed[:, :4] if use.any() else straight[:, :4]
    rows[:, 14] = min(before[14], after[14])
    return rows
