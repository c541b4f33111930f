"""Cut one video into the folders of its clips: pictures linked, sound cut. What is there already is kept.

    <split>/<video>/clip_f000450/frames/img_00451.jpg …   audio_f000450_f000899.wav

Every step can be broken off and taken up again: a picture, a sound file or a marker exists whole or not at all, and a
clip's pictures count as complete when ``frames/.numbering.json`` is there.
"""

from __future__ import annotations

import json
import os
import wave
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from lib import crops, media, pictures
from lib.clips import RATE, Settings, Span, first_number, sample_of, spans
from lib.clips.operations import PART, Disk
from lib.clips.sources import Source
from lib.errors import InputError

MARKER = ".numbering.json"  # in a clip's frames: how its pictures are numbered, and that all are there
FACTS = ".video.json"       # beside a video's clips: what was known of its pictures and sound
SOURCE = "source"           # pictures have the numbers of the data set
QUALITY = 92                # of pictures made from a film, JPEG
UNEVEN = 0.5                # of a frame: a film whose frames are farther off an even grid is no base for clips


@dataclass(frozen=True)
class Facts:
    """Of one video: pictures, the number of the first one in the source, size in px, samples of its sound."""

    n_frames: int
    base: int
    size: tuple[int, int]
    n_samples: int

    def text(self) -> bytes:
        return as_json({"n_frames": self.n_frames, "base": self.base, "size": list(self.size),
                        "n_samples": self.n_samples})


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


def as_json(told: object) -> bytes:
    return (json.dumps(told, separators=(",", ":")) + "\n").encode()


def folder_of(root: Path, source: Source) -> str:
    return os.path.join(root, source.split, source.video)


def make_video(source: Source, root: Path, settings: Settings, disk: Disk | None = None, scope: str = SOURCE) -> Made:
    """Make, or complete, the clips of one video below `root`.

    scope : how pictures are numbered at once, as in the source or ("global", "clip") as after renumbering.

    Raises InputError for holes in the pictures' numbering, sound that is missing (unless `no_sound`) or of another
    kind than 16 kHz mono, a film of uneven frame times, a full disk; what was made before stays.
    """
    disk = disk or Disk()
    folder = folder_of(root, source)
    facts = look(source, folder, settings, disk)
    some, dropped = spans(facts.n_frames, source.fps, settings)
    made = Made(source.video, source.split, facts.n_frames, len(some), dropped=dropped)
    places = [os.path.join(folder, span.name) for span in some]
    _frames(source, facts, settings, scope, some, places, disk, made)
    sound = Sound(source, facts)
    for span, place in zip(some, places, strict=True):
        path = os.path.join(place, span.sound_name)
        if not os.path.isfile(path):
            disk.write(path, media.wav(sound.between(*sound_of(span, source.fps)), RATE))
    return made


def sound_of(span: Span, fps: Fraction) -> tuple[int, int]:
    """First and last (exclusive) sample of a clip; of a filled-up one, at its nominal end."""
    return sample_of(span.start, fps), sample_of(span.stop, fps)


# ---- what there is

def look(source: Source, folder: str, settings: Settings, disk: Disk) -> Facts:
    """What is known of a video, kept beside its clips: pictures that were moved can be counted only once."""
    kept = os.path.join(folder, FACTS)
    if facts := read_facts(kept):
        return facts
    facts = _look(source, settings)
    disk.make_folder(folder)
    disk.write(kept, facts.text())
    return facts


def read_facts(path: str) -> Facts | None:
    """What `look` kept, None when it is not there."""
    try:
        with open(path, "rb") as file:
            told = json.loads(file.read())
        return Facts(told["n_frames"], told["base"], tuple(told["size"]), told["n_samples"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("what was noted of a video cannot be read", where=path,
                         todo="remove the folder that it is in and run the command again") from error


def _look(source: Source, settings: Settings) -> Facts:
    if source.pictures:
        found = pictures.whole(source.pictures)
        first = crops.read(source.pictures / (pictures.PATTERN % found.base))
        n_frames, base, size = found.count, found.base, first.shape[1::-1]
    else:
        times = media.frame_times(source.film)
        off = np.abs(times - times[0] - np.arange(len(times)) / float(source.fps)) * float(source.fps)
        if off.max() > UNEVEN:
            raise InputError(f"frame {int(off.argmax())} stands {off.max():.1f} frames off an even grid",
                             where=source.film, expected=f"{float(source.fps):g} frames a second throughout",
                             todo="encode it at a constant rate: ffmpeg -i OLD -vf fps=30 NEW.mp4")
        _, picture = next(iter(media.frames(source.film)))
        n_frames, base, size = len(times), 1, picture.shape[1::-1]
    return Facts(n_frames, base, tuple(map(int, size)), Sound.length(source, settings))


# ---- pictures

def _frames(source: Source, facts: Facts, settings: Settings, scope: str, some: list[Span], places: list[str],
            disk: Disk, made: Made) -> None:
    """Bring every picture that is not there to its clip, also one that was lost since."""
    film: dict[int, list[str]] = {}  # frame -> where its picture goes
    new = []
    for span, place in zip(some, places, strict=True):
        if settings.frames == "none" and source.pictures:
            disk.make_folder(place)
            continue
        frames = os.path.join(place, "frames")
        told = _numbered(span, facts, frames, scope)
        missing = _missing(span, told, frames)
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
            new.append((frames, told))
            if source.pictures:
                disk.write(os.path.join(frames, MARKER), as_json(told))
    if not source.pictures:
        _decode(source, facts, film, disk, made)
        for frames, told in new:
            disk.write(os.path.join(frames, MARKER), as_json(told))


def marker(scope: str, base: int, first: int, count: int, source: int) -> dict:
    """What ``.numbering.json`` says: scope and base of the numbers, the first one, how many, the source's first."""
    return {"scope": scope, "base": base, "first": first, "count": count, "source": source}


def _numbered(span: Span, facts: Facts, frames: str, scope: str) -> dict:
    """The marker that a clip has, or will have: of pictures from a run that was broken off, the lowest number tells."""
    try:
        with open(os.path.join(frames, MARKER), "rb") as file:
            told = json.loads(file.read())
        return marker(*(told[key] for key in ("scope", "base", "first", "count", "source")))
    except FileNotFoundError:
        there, source = pictures.numbered(frames), span.start + facts.base
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("how the pictures of a clip are numbered cannot be read", where=frames,
                         todo="remove this clip's folder and run the command again") from error
    first = source if scope == SOURCE else first_number(span, scope)
    if there and min(there) != first:
        scope, first = next((name for name in ("global", "clip") if first_number(span, name) == min(there)), SOURCE), \
            min(there)
    return marker(scope, facts.base if scope == SOURCE else 0, first, span.n_frames, source)


def _missing(span: Span, told: dict, frames: str) -> list[tuple[int, str]]:
    """(frame, name) of the pictures that a clip lacks, whichever way it is numbered.

    Where names are there that its marker does not explain, a renumbering was broken off: nothing is missing then.
    """
    there, first = pictures.numbered(frames), told["first"]
    wanted = range(first, first + span.n_frames)
    if there - set(wanted):
        return []
    return [(span.start + number - first, pictures.PATTERN % number) for number in wanted if number not in there]


def _decode(source: Source, facts: Facts, wanted: dict[int, list[str]], disk: Disk, made: Made) -> None:
    """Pictures out of a film, in one pass up to the last one that is wanted."""
    last, done = max(wanted, default=-1), 0
    for frame, (_, picture) in enumerate(media.frames(source.film) if wanted else ()):
        if frame in wanted:
            coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
            for path in wanted[frame]:
                disk.write(path, coded)
                made.placed["decoded"] = made.placed.get("decoded", 0) + 1
            done += 1
        if frame == last:
            break
    if done < len(wanted):
        raise InputError(f"the film ends before frame {last}", where=source.film,
                         expected=f"{facts.n_frames} frames, as when it was counted",
                         todo="was it changed? remove its folder of clips and run the command again")


# ---- sound

class Sound:
    """The sound of a video, sample 0 at its first frame: a wav file is read piece by piece, a film's at once."""

    def __init__(self, source: Source, facts: Facts):
        self.source, self.total, self.film = source, facts.n_samples, None

    @staticmethod
    def length(source: Source, settings: Settings) -> int:
        """Samples that there are; 0 without sound."""
        if source.sound is None:
            if settings.no_sound:
                return 0
            raise InputError("no sound", where=f"video {source.video}", expected=f"wav/{source.video}.wav",
                             todo="extract it, or set `clip_no_sound: true` for silent clips")
        if source.sound.suffix.lower() == ".wav":
            with _opened(source.sound) as file:
                return file.getnframes()
        return len(_of_film(source))

    def between(self, first: int, last: int) -> np.ndarray:
        """(last − first,) int16; silence where there is no sound."""
        out = np.zeros(last - first, "<i2")
        if self.total <= first:
            return out
        if self.source.sound.suffix.lower() == ".wav":
            with _opened(self.source.sound) as file:
                file.setpos(first)
                piece = np.frombuffer(file.readframes(min(last, self.total) - first), "<i2")
        else:
            self.film = _of_film(self.source) if self.film is None else self.film
            piece = self.film[first:last]
        out[:len(piece)] = piece
        return out


def _opened(path: Path):
    """A wav file of the one right kind."""
    try:
        file = wave.open(str(path))  # noqa: SIM115 - the caller closes it
    except FileNotFoundError as error:
        raise InputError("the wav file is not there", where=path, todo="extract it again") from error
    except (wave.Error, EOFError, OSError) as error:
        raise InputError(f"the wav file cannot be read ({error or 'it ends in its header'})", where=path,
                         expected=f"{RATE} Hz, mono, 16 bits", todo="extract it again") from error
    kind = (file.getframerate(), file.getnchannels(), file.getsampwidth())
    if kind != (RATE, 1, 2):
        file.close()
        raise InputError(f"a wav file of {kind[0]} Hz, {kind[1]} channels, {8 * kind[2]} bits", where=path,
                         expected=f"{RATE} Hz, mono, 16 bits",
                         todo=f"extract it again: ffmpeg -i VIDEO -ac 1 -ar {RATE} {path.name}")
    return file


def _of_film(source: Source) -> np.ndarray:
    """(n,) int16 from the time of the first frame on."""
    sound, t0 = media.sound(source.sound, RATE)
    start = media.probe(source.film).video_start if source.film else 0.0
    shift = round((t0 - start) * RATE)
    sound = np.concatenate([np.zeros(shift, np.float32), sound]) if shift > 0 else sound[-shift:]
    return np.round(sound * media.FULL_SCALE).astype("<i2")


def tidy(root: Path, disk: Disk) -> int:
    """Remove what a break left half written below `root`; returns how many files."""
    parts = [os.path.join(place, name) for place, _, names in os.walk(root) for name in names if name.endswith(PART)]
    for path in sorted(parts):
        disk.remove(path)
    return len(parts)
