"""From voices and boxes to labels per frame, arrays in and out: speaker specification §2.4.

Labels are computed from voice segments frame by frame, never from a list of boxes, so that they
cannot shift against the faces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ...datasets.ego4d_annotation import Clip
from ...datasets.ego4d_annotation import Person as Annotated

UNLABELLED_CODE, ANNOTATED, FILLED = 0, 1, 2
SOURCE_OF_CODE = {ANNOTATED: "gt", FILLED: "interp"}


@dataclass(frozen=True)
class Person:
    """One sequence of a video: a person, or a single track.

    boxes : (T, 4) x1, y1, x2, y2 px, NaN where there is none.
    kind : (T,) 0 none, 1 annotated, 2 filled up.
    visible : (T,) bool.
    voice : (T,) bool, None = unknown.
    more : label blocks of other tasks, (T, …) each.
    """

    name: str
    tracks: tuple[str, ...]
    boxes: np.ndarray
    kind: np.ndarray
    visible: np.ndarray
    voice: np.ndarray | None
    more: Mapping[str, np.ndarray] = field(default_factory=dict)

    def speaks(self) -> np.ndarray:
        """(T,) int8: 1 visible and voiced, 0 visible and silent, −1 not defined."""
        if self.voice is None:
            return np.full(len(self.visible), -1, np.int8)
        return np.where(self.visible, self.voice, -1).astype(np.int8)


@dataclass(frozen=True)
class Labels:
    """Labels of the frames of a video; (T,) bool each, None = unknown. `faults`: what was left out.

    face_visible : anybody's face is in the picture.
    speech : anybody is heard.
    wearer : the camera wearer is heard.
    speech_visible : somebody is heard whose face is in the picture.
    offscreen : somebody is heard whose face is not, and who does not wear the camera; with two
        voices at once both may hold.
    """

    persons: tuple[Person, ...]
    face_visible: np.ndarray | None = None
    speech: np.ndarray | None = None
    wearer: np.ndarray | None = None
    speech_visible: np.ndarray | None = None
    offscreen: np.ndarray | None = None
    faults: tuple[str, ...] = ()


def of_annotation(
    clip: Clip, n_frames: int, size: tuple[int, int], unit: str, max_gap: int
) -> Labels:
    """Labels of an annotated clip with `n_frames` pictures of `size` (width, height)."""
    if not clip.persons and clip.wearer_voice is None:
        return Labels((), faults=(*clip.faults, "nothing is annotated"))
    faults: list[str] = []
    persons: list[Person] = []
    none = np.zeros(n_frames, bool)
    face_visible, speech_visible, offscreen = none, none, none
    for person in clip.persons:
        voice = voiced(person.voice, n_frames)
        sequences = _sequences(person, voice, size, unit, max_gap, faults)
        seen = np.any([none, *(sequence.visible for sequence in sequences)], axis=0)
        face_visible = face_visible | seen
        speech_visible, offscreen = speech_visible | voice & seen, offscreen | voice & ~seen
        persons += sequences
    wearer = None if clip.wearer_voice is None else voiced(clip.wearer_voice, n_frames)
    speech = speech_visible | offscreen | (none if wearer is None else wearer)
    return Labels(
        tuple(persons),
        face_visible,
        speech,
        wearer,
        speech_visible,
        offscreen,
        (*clip.faults, *faults),
    )


def _sequences(
    person: Annotated,
    voice: np.ndarray,
    size: tuple[int, int],
    unit: str,
    max_gap: int,
    faults: list[str],
) -> list[Person]:
    """One sequence with all tracks of a person, or one per track."""
    groups = [(f"{person.name}:{track}", (track,)) for track in person.tracks]
    if unit == "person":
        groups = [(person.name, tuple(person.tracks))]
    persons = []
    for name, tracks in groups:
        boxes, kind = follow(
            [person.tracks[track] for track in tracks],
            len(voice),
            size,
            max_gap,
            faults,
            f"person {person.name}",
        )
        persons.append(Person(name, tracks, boxes, kind, kind > 0, voice))
    return persons


def voiced(segments: np.ndarray, n_frames: int) -> np.ndarray:
    """(T,) bool of segments (k, 2), their last frame included, cut to the video."""
    mask = np.zeros(n_frames, bool)
    for first, last in np.asarray(segments).reshape(-1, 2):
        mask[max(0, int(first)) : max(0, min(n_frames, int(last) + 1))] = True
    return mask


def follow(
    tracks: Iterable[np.ndarray],
    n_frames: int,
    size: tuple[int, int],
    max_gap: int,
    faults: list[str],
    where: str = "",
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (T, 4) and their kind (T,) of all tracks (n, 5) of a person.

    Boxes are cut at the picture's edges; those outside of it, and beyond the last frame, are left
    out. Gaps up to `max_gap` frames within a track are filled linearly. Of two boxes in a frame the
    larger one stays.
    """
    boxes, kind = np.full((n_frames, 4), np.nan), np.zeros(n_frames, np.int8)
    twice = outside = late = 0
    for rows in tracks:
        late += int((rows[:, 0] >= n_frames).sum())
        rows = rows[rows[:, 0] < n_frames]
        cut = np.clip(rows[:, 1:], 0, [*size, *size])
        inside = (cut[:, 2] > cut[:, 0]) & (cut[:, 3] > cut[:, 1])
        outside += int((~inside).sum())
        frames, cut = rows[inside, 0].astype(int), cut[inside]
        for where_to, new_boxes, how in (
            (frames, cut, ANNOTATED),
            (*fill(frames, cut, max_gap), FILLED),
        ):
            twice += _put(boxes, kind, where_to, new_boxes, how)
    for count, what in (
        (twice, "times more than one box in a frame: the larger one is kept"),
        (outside, "boxes outside the picture are left out"),
        (late, "boxes beyond the last picture are left out"),
    ):
        if count:
            faults.append(f"{where}: {count} {what}")
    return boxes, kind


def _put(
    boxes: np.ndarray, kind: np.ndarray, frames: np.ndarray, some: np.ndarray, how: int
) -> int:
    """Write boxes into their frames; returns how many met another annotated box there."""
    if not kind[frames].any() and (np.diff(frames) > 0).all():  # the usual case, at once
        boxes[frames], kind[frames] = some, how
        return 0
    met = 0
    for frame, box in zip(frames, some, strict=True):
        met += kind[frame] == how == ANNOTATED
        larger = np.prod(box[2:] - box[:2]) > np.prod(boxes[frame, 2:] - boxes[frame, :2])
        if not kind[frame] or (how < kind[frame]) or (how == kind[frame] and larger):
            boxes[frame], kind[frame] = box, how
    return met


def fill(frames: np.ndarray, boxes: np.ndarray, max_gap: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames (m,) and boxes (m, 4) between neighbours at most `max_gap` apart, linearly."""
    gaps = [(i, frames[i + 1] - frames[i]) for i in np.flatnonzero(np.diff(frames) > 1)]
    short = [(i, step) for i, step in gaps if step - 1 <= max_gap]
    if not short:
        return np.zeros(0, int), np.zeros((0, 4))
    missing = np.concatenate([np.arange(frames[i] + 1, frames[i + 1]) for i, _ in short])
    return missing, np.stack([np.interp(missing, frames, boxes[:, k]) for k in range(4)], axis=1)
