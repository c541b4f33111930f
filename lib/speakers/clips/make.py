"""Cut one video into the folders of its clips: pictures linked, sound cut. Existing files are kept.

    <split>/<video>/clip_f000450/frames/img_00451.jpg …   audio_f000450_f000899.wav

Every step can be interrupted and resumed: pictures, sound files and markers are written atomically,
and a clip's pictures count as complete once ``frames/.numbering.json`` exists.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from ...errors import InputError
from ...media import pictures, recordings, writing
from . import RATE, Settings, Span, first_number, spans
from .disk import PART, Disk, as_json
from .sound import Sound, sound_of
from .sources import Source
from .video import Facts, folder_of, look

# marker in a clip's frames: how its pictures are numbered, and that all exist
MARKER = ".numbering.json"
SOURCE = "source"  # pictures have the numbers of the data set
QUALITY = 92  # of pictures made from a film, JPEG


@dataclass
class Made:
    """What became of one video."""

    video: str
    split: str
    n_frames: int = 0
    clips: int = 0
    placed: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    faults: tuple[str, ...] = ()


def make_video(
    source: Source, root: Path, settings: Settings, disk: Disk | None = None, scope: str = SOURCE
) -> Made:
    """Make, or complete, the clips of one video below `root`.

    scope : how pictures are numbered: as in the source, or ("global", "clip") at once as after
        renumbering.

    Raises InputError for holes in the pictures' numbering, sound that is missing (unless
    `no_sound`) or of another kind than 16 kHz mono, a film of uneven frame times, a full disk; what
    was made before stays.
    """
    disk = disk or Disk()
    folder = folder_of(root, source)
    facts = look(source, folder, settings, disk)
    clips, dropped = spans(facts.n_frames, source.fps, settings)
    made = Made(source.video, source.split, facts.n_frames, len(clips), dropped=dropped)
    places = [os.path.join(folder, span.name) for span in clips]
    _frames(source, facts, settings, scope, clips, places, disk, made)
    sound = Sound(source, facts.n_samples)
    for span, clip_folder in zip(clips, places, strict=True):
        path = os.path.join(clip_folder, span.sound_name)
        if not os.path.isfile(path):
            disk.write(path, writing.wav(sound.between(*sound_of(span, source.fps)), RATE))
    return made


def _frames(
    source: Source,
    facts: Facts,
    settings: Settings,
    scope: str,
    some: list[Span],
    places: list[str],
    disk: Disk,
    made: Made,
) -> None:
    """Bring every missing picture to its clip, including pictures that were lost since."""
    film: dict[int, list[str]] = {}  # frame -> target path of its picture
    new = []
    for span, clip_folder in zip(some, places, strict=True):
        if settings.frames == "none" and source.pictures:
            disk.make_folder(clip_folder)
            continue
        frames = os.path.join(clip_folder, "frames")
        numbering = _numbered(span, facts, frames, scope)
        missing = _missing(span, numbering, frames)
        disk.make_folder(frames)
        for frame, name in missing:
            target = f"{frames}{os.sep}{name}"
            if source.pictures:
                origin = f"{source.pictures}{os.sep}{pictures.PATTERN % (frame + facts.base)}"
                done = disk.place(origin, target, settings.frames)
                made.placed[done] = made.placed.get(done, 0) + 1
            else:
                film.setdefault(frame, []).append(target)
        if not os.path.isfile(os.path.join(frames, MARKER)):
            new.append((frames, numbering))
            if source.pictures:
                disk.write(os.path.join(frames, MARKER), as_json(numbering))
    if not source.pictures:
        _decode(source, facts, film, disk, made)
        for frames, numbering in new:
            disk.write(os.path.join(frames, MARKER), as_json(numbering))


def marker(scope: str, base: int, first: int, count: int, source: int) -> dict:
    """What ``.numbering.json`` says: scope, base, first number, how many, the source's first."""
    return {"scope": scope, "base": base, "first": first, "count": count, "source": source}


def _numbered(span: Span, facts: Facts, frames: str, scope: str) -> dict:
    """The marker that a clip has or will have; after an interrupted run it follows from the lowest
    number.
    """
    try:
        with open(os.path.join(frames, MARKER), "rb") as file:
            content = json.loads(file.read())
        return marker(*(content[key] for key in ("scope", "base", "first", "count", "source")))
    except FileNotFoundError:
        numbers, source = pictures.numbered(frames), span.start + facts.base
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            "how the pictures of a clip are numbered cannot be read",
            where=frames,
            todo="remove this clip's folder and run the command again",
        ) from error
    first = source if scope == SOURCE else first_number(span, scope)
    if numbers and min(numbers) != first:
        scope = next(
            (name for name in ("global", "clip") if first_number(span, name) == min(numbers)),
            SOURCE,
        )
        first = min(numbers)
    return marker(scope, facts.base if scope == SOURCE else 0, first, span.n_frames, source)


def _missing(span: Span, numbering: dict, frames: str) -> list[tuple[int, str]]:
    """(frame, name) of the pictures that a clip lacks, whichever way it is numbered.

    If there are names that the marker does not explain, a renumbering was interrupted, and nothing
    is missing.
    """
    numbers, first = pictures.numbered(frames), numbering["first"]
    expected = range(first, first + span.n_frames)
    if numbers - set(expected):
        return []
    return [
        (span.start + number - first, pictures.PATTERN % number)
        for number in expected
        if number not in numbers
    ]


def _decode(
    source: Source, facts: Facts, paths: dict[int, list[str]], disk: Disk, made: Made
) -> None:
    """Decode pictures of a film in one pass up to the last one needed."""
    last, done = max(paths, default=-1), 0
    for frame, (_, picture) in enumerate(recordings.frames(source.film) if paths else ()):
        if frame in paths:
            coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[
                1
            ].tobytes()
            for path in paths[frame]:
                disk.write(path, coded)
                made.placed["decoded"] = made.placed.get("decoded", 0) + 1
            done += 1
        if frame == last:
            break
    if done < len(paths):
        raise InputError(
            f"the film ends before frame {last}",
            where=source.film,
            expected=f"{facts.n_frames} frames, as when it was counted",
            todo="was it changed? remove its folder of clips and run the command again",
        )


def tidy(root: Path, disk: Disk) -> int:
    """Remove unfinished files below `root`; returns how many."""
    parts = []
    for folder, _, names in os.walk(root):
        parts += [os.path.join(folder, name) for name in names if name.endswith(PART)]
    for path in sorted(parts):
        disk.remove(path)
    return len(parts)
