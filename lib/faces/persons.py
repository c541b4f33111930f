"""Who is who in a video: tracks joined to people by position over time, and the people's names.

Faces are identified by position, and after a cut by appearance (`looks`). Persons are named as in
the data sets: "" is the one seen longest; two are ``left`` and ``right``; more are ``1``, ``2``, …
from the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .tracking import BOX, LANDMARKS

# face widths between the end of a track and the beginning of the next one of the same person
NEAR = 1.5
# share of the longest-seen person's frames that a person must be seen in to count
PERSON_SHARE = 0.2
# share of the frames with a face that must show two faces before two people are told apart
TOGETHER_SHARE = 0.2
MAIN = ("", "main")
WHO, ALIKE = 18, 19  # columns of tracks whose people were told apart by their looks (`looks`)


@dataclass(frozen=True)
class Person:
    """Somebody in a video: name, tracks, frames, mean horizontal place (px) of the face."""

    name: str
    tracks: tuple[int, ...]
    n_frames: int
    x: float


def find(tracks: np.ndarray) -> list[Person]:
    """The people of a video, the one seen longest first.

    tracks : (N, 18), rows of `lib.faces.tracking.track`. A track belongs to the person who was
        nearest when it began, and never to two at a time. If two faces are hardly ever seen
        together, all belong to one person: positions in a swinging picture say nothing about who is
        who. Or (N, 20) of a film with cuts, which have the person in a column
        (`looks.with_people`).

    A person seen in less than a fifth of the frames of the one seen longest (a passer-by) is left
    out.
    """
    tracks = np.asarray(tracks)
    groups = _by_looks(tracks) if tracks.shape[1] > WHO else _join(tracks)
    groups = sorted(groups, key=lambda rows: (-len(np.unique(rows[:, 0])), rows[0, 0]))
    groups = [
        rows
        for rows in groups
        if len(np.unique(rows[:, 0])) >= PERSON_SHARE * len(np.unique(groups[0][:, 0]))
    ]
    places = [float(np.mean(rows[:, BOX][:, 0] + rows[:, BOX][:, 2] / 2)) for rows in groups]
    order = list(np.argsort(np.argsort(places, kind="stable"), kind="stable"))
    if len(groups) == 2:
        order = [0, 1] if _is_left(groups[0], groups[1], places) else [1, 0]
    names = {1: [""], 2: ["left", "right"]}.get(
        len(groups), [str(n + 1) for n in range(len(groups))]
    )
    persons = []
    for rows, centre, rank in zip(groups, places, order, strict=True):
        tracks = tuple(sorted({int(number) for number in rows[:, 1]}))
        persons.append(Person(names[rank], tracks, len(np.unique(rows[:, 0])), centre))
    return persons


def of_one_shot(tracks: np.ndarray) -> list[np.ndarray]:
    """Row numbers of every person in tracks without a cut, however briefly seen."""
    numbered = np.column_stack([tracks.astype(np.float64), np.arange(len(tracks))])
    return [group[:, -1].astype(int) for group in _join(numbered)]


def _by_looks(tracks: np.ndarray) -> list[np.ndarray]:
    who = tracks[:, WHO]
    return [tracks[who == number] for number in np.unique(who[np.isfinite(who)])]


class _Group:
    """One person's rows while tracks are joined: `frames` (n,) in ascending order, each once, and
    `rows` (n,), which row of all tracks belongs to each.
    """

    def __init__(self, tracks: np.ndarray, rows: np.ndarray):
        self.tracks, self.rows, self.frames = tracks, rows, tracks[rows, 0]

    def has(self, frames: np.ndarray) -> np.ndarray:
        """(m,) bool: which of these frames, in ascending order, it has."""
        places = np.searchsorted(self.frames, frames).clip(max=len(self.frames) - 1)
        return self.frames[places] == frames

    def add(self, rows: np.ndarray) -> None:
        """Take rows of frames that it does not have."""
        frames = self.tracks[rows, 0]
        places = np.searchsorted(self.frames, frames)
        self.frames = np.insert(self.frames, places, frames)
        self.rows = np.insert(self.rows, places, rows)


def _join(tracks: np.ndarray) -> list[np.ndarray]:
    """Rows of each person."""
    every = np.lexsort((tracks[:, 0], tracks[:, 1]))
    starts = np.flatnonzero(np.diff(tracks[every, 1])) + 1
    single = [rows for rows in np.split(every, starts) if len(rows)]
    single.sort(key=lambda rows: (-len(rows), tracks[rows[0], 0]))
    alone = _together(tracks) < TOGETHER_SHARE
    groups: list[_Group] = []
    for rows in single:
        frames = tracks[rows, 0]
        if alone and groups:  # of two faces in one frame, the one of the longer track counts
            groups[0].add(rows[~groups[0].has(frames)])
            continue
        free = [group for group in groups if not group.has(frames).any()]
        apart = [_apart(group, tracks[rows[[0, -1]]]) for group in free]
        if apart and min(apart) <= NEAR:
            free[int(np.argmin(apart))].add(rows)
        else:
            groups.append(_Group(tracks, rows))
    return [tracks[group.rows] for group in groups]


def _together(tracks: np.ndarray) -> float:
    """Share of the frames with a face that have several."""
    return (
        float(np.mean(np.unique(tracks[:, 0], return_counts=True)[1] > 1)) if len(tracks) else 0.0
    )


def _apart(group: _Group, ends: np.ndarray) -> float:
    """Distance in face widths between a track (`ends`: its first and last row) and a person, at the
    moment when they are nearest in time.
    """
    pairs = []
    for row in ends:
        index = np.searchsorted(group.frames, row[0])
        pairs += [
            (abs(group.frames[n] - row[0]), n, row)
            for n in (index - 1, index)
            if 0 <= n < len(group.frames)
        ]
    _, nearest, row = min(pairs, key=lambda pair: pair[0])
    other = group.tracks[group.rows[nearest]]
    centres = [face[BOX][:2] + face[BOX][2:] / 2 for face in (row, other)]
    return float(np.linalg.norm(centres[0] - centres[1]) / max(row[BOX][2], other[BOX][2], 1))


def _is_left(one: np.ndarray, other: np.ndarray, places: list[float]) -> bool:
    """Whether the first is left of the second, judged on the frames in which both are seen."""
    _, first, second = np.intersect1d(one[:, 0], other[:, 0], return_indices=True)
    if not len(first):
        return places[0] < places[1]
    centre = lambda rows: rows[:, BOX][:, 0] + rows[:, BOX][:, 2] / 2  # noqa: E731
    return float(np.mean(centre(one[first]) - centre(other[second]))) < 0


def choose(people: list[Person], name: str, width: float) -> Person | None:
    """The person of that name; None if the video does not show such a person.

    "" and "main" mean the one seen longest. With more than two people, ``left`` and ``right`` mean
    the two seen longest; a single person has the name of the half of the picture (`width` px) where
    he or she is.
    """
    if name in MAIN or not people:
        return people[0] if people else None
    if name in ("left", "right"):
        if len(people) == 1:
            return people[0] if (people[0].x < width / 2) == (name == "left") else None
        pair = sorted(
            people[:2], key=lambda person: person.x if len(people) > 2 else person.name != "left"
        )
        return pair[name == "right"]
    if not name.isdigit():
        raise InputError(
            f"a person is called {name!r}",
            expected='"", main, left, right or a number from the left',
            todo="correct the name",
        )
    ordered = sorted(people, key=lambda person: person.x)
    return ordered[int(name) - 1] if 1 <= int(name) <= len(ordered) else None


def joined(
    tracks: np.ndarray, person: Person | None, cuts: Sequence[int]
) -> list[tuple[int, float]]:
    """Cuts over which a person was followed because the faces before and after look similar: (frame
    from 0, similarity 0…1).

    tracks : (N, 20). cuts : frames, from 0, with which a new shot begins (`tracking.shot_changes`).
    """
    if person is None:
        return []
    rows = tracks[np.isin(tracks[:, 1], person.tracks) & np.isfinite(tracks[:, WHO])]
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    shots = np.searchsorted(np.asarray(cuts), rows[:, 0], side="right")
    starts = np.flatnonzero(np.diff(shots)) + 1
    both = [np.array([rows[start - 1, ALIKE], rows[start, ALIKE]]) for start in starts]
    return [
        (int(rows[start, 0]), float(np.nanmin(pair)))
        for start, pair in zip(starts, both, strict=True)
        if np.isfinite(pair).any()
    ]


def landmarks(tracks: np.ndarray, person: Person | None, n_frames: int) -> np.ndarray:
    """Five landmarks of one person per frame, (T, 5, 2) float32 px; NaN where not seen."""
    return _of_frames(tracks, person, n_frames, LANDMARKS).reshape(-1, 5, 2)


def boxes(tracks: np.ndarray, person: Person | None, n_frames: int) -> np.ndarray:
    """x, y, width, height of one person's face per frame, (T, 4) float32 px; NaN if not seen."""
    return _of_frames(tracks, person, n_frames, BOX)


def _of_frames(
    tracks: np.ndarray, person: Person | None, n_frames: int, columns: slice
) -> np.ndarray:
    values = np.full((n_frames, columns.stop - columns.start), np.nan, np.float32)
    chosen = rows(tracks, person, n_frames)
    values[chosen >= 0] = tracks[chosen[chosen >= 0], columns]
    return values


def rows(tracks: np.ndarray, person: Person | None, n_frames: int) -> np.ndarray:
    """Which row of `tracks` is one person's face in every frame, (T,) int; −1 where not seen."""
    row_of_frame = np.full(n_frames, -1)
    if person is not None:
        own = np.flatnonzero(np.isin(tracks[:, 1], person.tracks))
        # Two tracks of one person in one frame: the longer one counts, so it is written last.
        lengths = dict(zip(*np.unique(tracks[own, 1], return_counts=True), strict=True))
        own = own[np.argsort([lengths[name] for name in tracks[own, 1]], kind="stable")]
        row_of_frame[tracks[own, 0].astype(int)] = own
    return row_of_frame
