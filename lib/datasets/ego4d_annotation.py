"""Read Ego4D's audio-visual annotation files one clip at a time, so that a file of a gigabyte needs
little memory.

`Annotations` notes where each clip stands in the file; `parse` turns one clip into boxes and
voices. Frames count from 0 within the clip; voice segments include their last frame (speaker
specification §1.3).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

import numpy as np

from .. import errors
from ..files import MAX_NAME_BYTES

CHUNK = 1 << 20  # bytes read at a time
MAX_FRAME_NUMBER = 1e9  # number of a frame; a year at 30 frames/s has fewer
IGNORED = "visual_anchor"  # tracks that do not track a face (speaker specification §1.3)
UNSAFE = re.compile(r"[/\\\x00]|^\.*$")
_CLIPS = re.compile(rb'"clips"\s*:\s*\[')
_BLANK = b" \t\r\n,"
_NAMES = ("frame", "x", "y", "width", "height")
_FIELDS = itemgetter(*_NAMES)
# Exceptions of a clip whose content is not that of an annotation.
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Person:
    """Somebody in a clip. tracks : name -> (n, 5) frame, x1, y1, x2, y2 in px. voice : (k, 2)
    frames, inclusive.
    """

    name: str
    tracks: dict[str, np.ndarray]
    voice: np.ndarray


@dataclass(frozen=True)
class Clip:
    """One annotated clip (a "video" of this project). `faults` are sentences about what was left
    out.
    """

    uid: str
    persons: tuple[Person, ...] = ()
    wearer_voice: np.ndarray | None = None  # (k, 2); None if nothing is known about the wearer
    n_frames: int = 0  # claimed by the annotation, 0 = unknown
    faults: tuple[str, ...] = ()


def is_safe(uid: object) -> bool:
    """Whether an id can be the name of a folder."""
    if not isinstance(uid, str) or UNSAFE.search(uid) or uid.startswith("."):
        return False
    return len(uid.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES


@dataclass
class Annotations:
    """The place of each clip in a file: uid -> (first byte, length). `faults`: (item, what) of
    unusable entries.
    """

    path: Path
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)

    def read(self, uid: str) -> Clip:
        """The annotation of one clip. Raises InputError when the file has been changed
        meanwhile.
        """
        first, length = self.places[uid]
        with open(self.path, "rb") as file:
            file.seek(first)
            text = file.read(length)
        todo = "was the file changed? run the command again; or leave this clip out"
        with errors.foreign(f"{self.path}, clip {uid}", "the annotation of a clip", todo):
            return parse(json.loads(text))


def scan(path: Path) -> Annotations:
    """Find all clips of an annotation file; a truncated file gives the clips before its end, and a
    fault.
    """
    annotations = Annotations(Path(path))
    try:
        for first, clip, length in _objects(Path(path)):
            uid = clip.get("clip_uid")
            if not is_safe(uid):
                annotations.faults.append(
                    (str(uid)[:60], f"clip_uid {str(uid)[:60]!r} cannot be a folder's name")
                )
            elif uid in annotations.places:
                annotations.faults.append((uid, "annotated twice; the first one is used"))
            else:
                annotations.places[uid] = (first, length)
    except (ValueError, RecursionError) as error:
        annotations.faults.append(
            (Path(path).name, f"broken after {len(annotations.places)} clips: {error}")
        )
    return annotations


def _objects(path: Path) -> Iterator[tuple[int, dict, int]]:
    """Yield (place in the file, object, bytes) of every object in every list called "clips"."""
    buffer, start, ended = b"", 0, False  # `buffer` stands at byte `start` of the file
    inside = False
    with open(path, "rb") as file:
        while True:
            if inside:
                spare = len(buffer) - len(buffer.lstrip(_BLANK))
                buffer, start = buffer[spare:], start + spare
                if buffer[:1] == b"]":
                    buffer, start, inside = buffer[1:], start + 1, False
                    continue
                if whole := _whole(buffer):
                    clip, length = whole
                    yield start, clip, length
                    buffer, start = buffer[length:], start + length
                    continue
            elif match := _CLIPS.search(buffer):
                buffer, start, inside = buffer[match.end() :], start + match.end(), True
                continue
            elif len(buffer) > 64:  # the key may be cut by the end of the chunk
                buffer, start = buffer[-64:], start + len(buffer) - 64
            if ended:
                break
            more = file.read(max(CHUNK, len(buffer)) if inside else CHUNK)
            ended = not more
            buffer += more
    if inside:
        raise ValueError("the file ends in the middle of a clip")
    if not start and not buffer.strip():
        raise ValueError("the file is empty")
    if not buffer.rstrip().endswith(b"}"):
        raise ValueError("the file ends too early")


def _whole(buffer: bytes) -> tuple[dict, int] | None:
    """The object that the buffer begins with and its length, None if its end has not been
    read yet.
    """
    if buffer[:1] not in (b"{", b""):
        raise ValueError(f"{buffer[:20]!r} where a clip should stand")
    try:
        # In Latin-1 a character is a byte, so positions are right; texts may be garbled, but only
        # ids are used.
        return _DECODER.raw_decode(buffer.decode("latin-1"))
    except ValueError:
        return None


# ---- one clip
def parse(clip: dict) -> Clip:
    """Boxes and voices of one clip; unusable entries are named in `faults`."""
    faults: list[str] = []
    wearers = _entries([clip.get("camera_wearer") or {}], "the camera wearer", faults)
    persons, wearer = [], next(filter(None, wearers), None)
    for entry in _entries(clip.get("persons"), "persons", faults):
        name = str(entry.get("person_id"))
        if not is_safe(name):
            faults.append(f"person {name[:40]!r} cannot be a name and is left out")
        elif entry.get("camera_wearer") is True:  # the camera wearer never has a face
            wearer = wearer or entry
        else:
            persons.append(_person(name, entry, faults))
    voice = _voice(wearer.get("voice_segments"), faults) if wearer else None
    if wearer and not (wearer.get("voice_segments") or wearer.get("camera_wearer")):
        voice = None
    return Clip(str(clip.get("clip_uid")), tuple(persons), voice, _n_frames(clip), tuple(faults))


def _entries(items: object, where: str, faults: list[str]) -> list[dict]:
    """The objects in a list of the file; other entries (null, a number) are reported."""
    if items is None:
        items = []
    elif not isinstance(items, list):
        items = [items]
    good = [item for item in items if isinstance(item, dict)]
    if len(good) < len(items):
        odd = next(item for item in items if not isinstance(item, dict))
        count = len(items) - len(good)
        faults.append(f"{where}: {count} entries that are none ({str(odd)[:40]}), left out")
    return good


def _n_frames(clip: dict) -> int:
    first, last = (_number(clip.get(f"clip_{end}_frame")) for end in ("start", "end"))
    return int(last - first) if 0 < last - first < MAX_FRAME_NUMBER else 0


def _person(name: str, entry: dict, faults: list[str]) -> Person:
    tracks = {}
    for path in _entries(entry.get("tracking_paths"), f"tracks of person {name}", faults):
        track = str(path.get("track_id"))
        if IGNORED not in track:
            where = f"person {name}, track {track}"
            rows = _boxes(_entries(path.get("track"), where, faults), where, faults)
            if len(rows):
                tracks[track] = np.concatenate([tracks[track], rows]) if track in tracks else rows
    return Person(name, tracks, _voice(entry.get("voice_segments"), faults))


def _boxes(items: list, where: str, faults: list[str]) -> np.ndarray:
    """(n, 5) frame, x1, y1, x2, y2 sorted by frame, without invalid boxes."""
    try:
        rows = np.array([*map(_FIELDS, items)], np.float64).reshape(-1, 5)  # null becomes NaN
    except (KeyError, TypeError, ValueError, OverflowError):
        rows = np.array(
            [[_number(item.get(key)) for key in _NAMES] for item in items], np.float64
        ).reshape(-1, 5)
    rows[np.abs(rows[:, 0]) > MAX_FRAME_NUMBER] = np.nan
    good = np.isfinite(rows).all(axis=1) & (rows[:, 0] >= 0) & (rows[:, 3] > 0) & (rows[:, 4] > 0)
    for what, bad in (
        ("not a number", ~np.isfinite(rows).all(axis=1)),
        ("of a negative frame", rows[:, 0] < 0),
        ("of zero or negative size", (rows[:, 3] <= 0) | (rows[:, 4] <= 0)),
    ):
        if bad.any():
            faults.append(f"{where}: {int(bad.sum())} boxes {what}, left out")
    rows = rows[good]
    rows[:, 3:] += rows[:, 1:3]
    return rows[np.argsort(rows[:, 0], kind="stable")]


def written_box(frame: int, corners: list[float], start: int = 0) -> dict:
    """A box in the form of Ego4D's files. corners : x1, y1, x2, y2 in px. start : frame of the
    video with which the clip begins.
    """
    x1, y1, x2, y2 = corners
    return {
        "x": x1,
        "y": y1,
        "width": round(x2 - x1, 2),
        "height": round(y2 - y1, 2),
        "frame": frame,
        "video_frame": start + frame,
        "clip_frame": None,
    }


def _number(value: object) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _voice(segments: list | None, faults: list[str]) -> np.ndarray:
    """(k, 2) first and last frame of each segment."""
    rows = np.array(
        [
            [_number(segment.get("start_frame")), _number(segment.get("end_frame"))]
            for segment in _entries(segments, "voice segments", faults)
        ],
        np.float64,
    ).reshape(-1, 2)
    good = np.isfinite(rows).all(axis=1) & (np.abs(rows) < MAX_FRAME_NUMBER).all(axis=1)
    good[good] = rows[good, 1] >= rows[good, 0]
    if not good.all():
        faults.append(
            f"{int((~good).sum())} voice segments end before they begin, or are no numbers: left "
            "out"
        )
    return rows[good].astype(np.int64)
