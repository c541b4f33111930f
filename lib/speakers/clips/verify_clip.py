"""Verify one clip: its pictures, its sound, its description."""

from __future__ import annotations

import os
import wave
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...media import pictures
from . import RATE, Settings, Span, first_number, numbering, schema
from .checks import MAX_LISTED, Checks, numbers
from .sound import sound_of
from .sources import Source
from .video import Facts


def pictures_of(
    source: Source, facts: Facts, settings: Settings, span: Span, folder: str, checks: Checks
) -> tuple[set, int]:
    """Numbers of a clip's pictures, and how many of them are right."""
    if settings.frames == "none" and source.pictures:
        return pictures.numbered(source.pictures), span.n_frames
    frames = os.path.join(folder, "frames")
    try:
        marker = numbering.read(frames)
    except InputError as error:
        checks.fail("pictures in clips", frames, error.what)
        marker = {"first": span.start, "scope": "global"}
    if marker["scope"] != "source" and marker["first"] != first_number(span, marker["scope"]):
        checks.fail(
            "pictures in clips",
            frames,
            f"the first one is called {pictures.PATTERN % marker['first']}",
        )
    expected = set(range(marker["first"], marker["first"] + span.n_frames))
    present = pictures.numbered(frames)
    numbers(expected, present, frames, "pictures in clips", checks)
    empty = [entry.name for entry in _entries(frames) if _is_hollow(entry)]
    if empty:
        checks.fail(
            "pictures in clips",
            frames,
            f"{len(empty)} pictures are empty, or links to nothing: "
            f"{', '.join(sorted(empty)[:MAX_LISTED])}",
        )
    return present, len(expected & present)


def _entries(folder: str) -> list[os.DirEntry]:
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        return [entry for entry in entries if entry.name.endswith(".jpg")]


def _is_hollow(entry: os.DirEntry) -> bool:
    try:
        return entry.stat().st_size == 0
    except FileNotFoundError:
        return True


def sound(source: Source, span: Span, folder: str, checks: Checks) -> bool:
    """Whether a clip's wav file is of the right kind and length."""
    path = os.path.join(folder, span.sound_name)
    first, last = sound_of(span, source.fps)
    try:
        with wave.open(path) as file:
            kind = (
                file.getframerate(),
                file.getnchannels(),
                file.getsampwidth(),
                file.getnframes(),
            )
            whole = len(file.readframes(last - first)) == 2 * (last - first)
    except (OSError, wave.Error, EOFError) as error:
        checks.fail(
            "wav files, 16 kHz, mono, 16 bits, exact length", path, f"cannot be read ({error})"
        )
        return False
    if right := (kind == (RATE, 1, 2, last - first) and whole):
        return right
    checks.fail(
        "wav files, 16 kHz, mono, 16 bits, exact length",
        path,
        f"{kind[0]} Hz, {kind[1]} channels, {8 * kind[2]} bits, {kind[3]} samples"
        f"{'' if whole else ', cut off'}; expected {last - first} samples",
    )
    return False


def description(
    source: Source,
    settings: Settings,
    span: Span,
    folder: str,
    size,
    there: set[int],
    checks: Checks,
) -> tuple[bool, int]:
    """Whether a clip's description is right, and how many units with a face it tells of."""
    path, check = os.path.join(folder, "clip.json"), "descriptions (clip.json)"
    before = len(checks.failures)
    try:
        clip = schema.read(Path(path))
    except InputError as error:
        checks.fail(check, path, error.what)
        return False, 0
    except (KeyError, TypeError, ValueError) as error:
        checks.fail(check, path, f"not a whole description ({error!r})")
        return False, 0
    expected = {
        "split": source.split,
        "video_id": source.video,
        "start_frame": span.start,
        "n_frames": span.n_frames,
        "clip_len": settings.length,
        "clip_id": f"{source.video}/{span.name}",
    }
    for name, value in expected.items():
        if clip.get(name) != value:
            checks.fail(check, path, f"{name} is {clip.get(name)!r}, expected {value!r}")
    _frame_paths(clip, there, check, path, checks)
    for name in ("valid", *schema.TRACKS):
        if name in clip and not set(clip[name].tolist()) <= {0, 1}:
            checks.fail(check, path, f"{name} holds other values than 0 and 1")
    for person in clip["persons"]:
        _person(person, clip["n_frames"], size, path, check, checks)
    return len(checks.failures) == before, sum(
        bool(person["visible"].any()) for person in clip["persons"]
    )


def _frame_paths(clip: dict, there: set[int], check: str, path: str, checks: Checks) -> None:
    frames = clip["frames"]
    if missing := set(range(frames["first"], frames["first"] + clip["n_frames"])) - there:
        checks.fail(
            check,
            path,
            f"{len(missing)} pictures that it names are not there, for example "
            f"{os.path.join(str(frames['dir']), pictures.PATTERN % min(missing))}"
            " (renumbered since? python -m lib clips index)",
        )


def _person(person: dict, n_frames: int, size, path: str, check: str, checks: Checks) -> None:
    who = f"person {person['person_id']}"
    for name, values in (("visible", {0, 1}), ("speech", {0, 1}), ("asd", {-1, 0, 1})):
        if name in person and not set(person[name].tolist()) <= values:
            checks.fail(check, path, f"{who}: {name} holds other values than {sorted(values)}")
    rows = np.array([row[:5] for row in person["boxes"]], np.float64).reshape(-1, 5)
    good = (
        np.isfinite(rows).all(axis=1)
        & (rows[:, 3] > rows[:, 1])
        & (rows[:, 4] > rows[:, 2])
        & (rows[:, 0] >= 0)
        & (rows[:, 0] < n_frames)
        & (rows[:, 1:] >= 0).all(axis=1)
        & (rows[:, 3] <= size[0])
        & (rows[:, 4] <= size[1])
    )
    if not good.all():
        checks.fail(
            check, path, f"{who}: {int((~good).sum())} boxes that are none, or outside the picture"
        )
    if len(rows) and not person["visible"][rows[good, 0].astype(int)].all():
        checks.fail(check, path, f"{who}: boxes where no face is visible")
