"""The sound file of a separate recorder: a file beside a video with the same name, and its offset
on the video's clock.

If the camera recorded sound, too, the two are aligned by cross-correlation (`synchrony`). Otherwise
the file is taken to begin with the video.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import folded, version
from . import drift, recordings, synchrony, tracks

SUFFIXES = (
    ".wav",
    ".wave",
    ".flac",
    ".mp3",
    ".m4a",
    ".aac",
    ".oga",
    ".opus",
    ".wma",
    ".aif",
    ".aiff",
    ".w64",
    ".caf",
    ".mka",
)
MAX_SOUND_SECONDS = 1e6  # s, twelve days: no sound file is longer
PARAMETER = "separate_sound"  # parameter: whether the file replaces the video's own sound


def beside(video: Path) -> Path | None:
    """The sound file of a video's name in its folder, the first one by `SUFFIXES`; None where there
    is none. Capitals and the two spellings of Unicode do not matter.
    """
    video, name = Path(video), folded(Path(video).stem)
    beside_it = sorted(video.parent.iterdir()) if video.parent.is_dir() else []
    sounds = [path for path in beside_it if path.suffix.lower() in SUFFIXES]
    files = [path for path in sounds if folded(path.stem) == name and path.is_file()]
    return min(files, key=lambda path: SUFFIXES.index(path.suffix.lower()), default=None)


def heard(video: Path, codec: str, take: bool) -> Path | None:
    """The file whose sound is heard: with `take` the one beside a video, else the video itself;
    None where there is no sound. codec : of the video's own sound, "" for none.
    """
    other = beside(video) if take else None
    return other or (Path(video) if codec else None)


def placing(video: Path, sound: Path) -> dict:
    """The offset of a sound file on a video's clock, by the camera's own sound.

    Returns {} where the camera has no sound to compare with, so that the file begins with the
    video; else ``offset`` (s on the video's clock at which the file's clock says 0), ``speed`` (s
    of the video per s of the file), and how sure it is: ``peak``, ``windows``, ``tried``
    (`synchrony.Match`). Raises InputError where the two have not heard the same.
    """
    film, file = (Path(path).absolute() for path in (video, sound))
    match, offset = _placing((film, version(film)), (file, version(file)))
    if match is None:
        return {}
    if not match.found:
        raise InputError(
            f"{file.name} and the sound of {film.name} do not sound alike (the highest peak of "
            f"their correlation is {match.peak:.1f} times the second one, {match.windows} of "
            f"{match.tried} stretches agree)",
            where=file,
            expected=f"the same voices in both, one peak {synchrony.CLEAR:g} times the second one "
            f"({synchrony.CLEAR_SHORT:g} times in less than {synchrony.SHORT_SECONDS:g} s)",
            todo=f"set `{PARAMETER}: false`, or give the file of this recording; to hear it "
            f"from the video's first moment on, take the camera's sound away: "
            f"ffmpeg -i {film.name} -map 0:v -c copy silent.mp4",
        )
    facts = {"offset": round(offset, 3), "speed": round(match.speed, 6)}
    return facts | {"peak": round(match.peak, 1), "windows": match.windows, "tried": match.tried}


@lru_cache(maxsize=256)
def _placing(video: tuple, sound: tuple) -> tuple[synchrony.Match | None, float]:
    """What the two sounds have in common, kept whether they are alike or not, and the offset of
    the file's clock; None where the camera heard nothing.
    """
    film, file = video[0], sound[0]
    if not any(track.heard for track in tracks.of(film)):
        return None, 0.0
    (camera, begins), (recorder, first) = _onsets(film), _onsets(file)
    match = synchrony.match(camera, recorder)
    return match, begins + match.offset - match.speed * first


def _onsets(path: Path) -> tuple[np.ndarray, float]:
    """Onsets of a file's sound, and the time of its first sample in s on its own clock."""
    starts: list[float] = []

    def pieces() -> Iterator[np.ndarray]:
        for time, piece in recordings.sound_pieces(path, synchrony.RATE):
            starts.append(time)
            yield piece

    return synchrony.onsets(pieces()), starts[0] if starts else 0.0


def said(facts: Mapping) -> str:
    """The facts that `placing` returns, in a sentence."""
    if not facts:
        return "the sound file begins with the video: the camera has no sound to compare it with"
    drifts = f", its clock is {1e6 * (facts['speed'] - 1):+.0f} ppm off and was corrected"
    short = "; too short to tell whether the two clocks run apart" if facts["tried"] < 2 else ""
    return (
        f"the sound file begins at {facts['offset']:+.3f} s of the recording, by comparing it with "
        f"the camera's own sound (peak {facts['peak']:.1f} times the second one in "
        f"{facts['windows']} of {facts['tried']} stretches)"
        f"{drifts if facts['speed'] != 1 else ''}{short}"
    )


def placed(
    pieces: Iterator[tuple[float, np.ndarray]], rate: int, offset: float, speed: float = 1.0
) -> Iterator[tuple[float, np.ndarray]]:
    """Pieces of a sound file, (s on its own clock, samples) without a gap, on the video's clock.

    offset, speed : as `placing` finds them; with a speed the sound is stretched. Samples keep their
    type.
    """
    stretcher, count = None, 0
    for time, piece in pieces:
        start = offset + speed * time
        if speed == 1:
            yield start, piece
            continue
        if stretcher is None:
            begin, kind = start, piece.dtype
            ends = (time, time + MAX_SOUND_SECONDS), (start, start + speed * MAX_SOUND_SECONDS)
            stretcher = drift.Stretcher(*ends, rate, begin)
        out = stretcher.push(piece)
        yield begin + count / rate, _as(out, kind)
        count += len(out)
    if stretcher is not None:
        yield begin + count / rate, _as(stretcher.close(), kind)


def _as(samples: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Stretched samples in the type of those that came in."""
    if np.issubdtype(kind, np.integer):
        limits = np.iinfo(kind)
        samples = np.clip(np.round(samples), limits.min, limits.max)
    return samples.astype(kind)
