"""Time 0 of a recording: where a person starts to count. One function for all formats.

Files whose own clock starts at 0 (MP4, MOV, Matroska, WebM, AVI) count from that 0, after their
edit lists: a picture that is late there is really late. All others (transport streams, VOB,
broadcasts, …) have a clock that started somewhere, so they count from their first picture, unless
the sound begins more than one frame earlier: then from its first sample. So the 21 ms of priming of
an encoder shift nothing.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ..errors import InputError
from ..files import version
from . import containers, tracks

FROM_ZERO = {"mov", "mp4", "matroska", "webm", "avi"}  # FFmpeg's names of these formats


def origin(path: Path) -> float:
    """Time 0 of a recording in s on its container's clock; all times in this repository count from
    it.

    0 for a folder of pictures, and for formats whose own clock starts at 0. Raises InputError for a
    file that cannot be opened.
    """
    path = Path(path)
    if path.is_dir() or not path.exists():
        return 0.0
    return _origin(path, version(path))


@lru_cache(maxsize=4096)
def _origin(path: Path, _version: tuple) -> float:
    with containers.opened(path) as container:
        if FROM_ZERO & set(container.format.name.split(",")):
            return 0.0
        videos, sounds = container.streams.video, container.streams.audio
        shown = containers.picture(container) if videos else None
        step = 1 / float(shown.average_rate or shown.guessed_rate or 25) if videos else 0.0
        stream = sound(container, path) if sounds else None
        heard = None if stream is None else _first(path, "audio", sounds.index(stream))
        seen = _first(path, "video", videos.index(shown)) if videos else None
    if seen is None or heard is None:
        return next((time for time in (seen, heard) if time is not None), 0.0)
    return heard if heard < seen - step else seen


def sound(container, path: Path):
    """The stream of the sound track that a player would play; the only one where there is one."""
    streams = container.streams.audio
    if len(streams) < 2:
        return streams[0]
    return streams[tracks.playing(tracks.of(path)).number - 1]


def _first(path: Path, kind: str, index: int) -> float | None:
    """Time of the first frame of a track that decodes; None where there is none."""
    with containers.opened(path) as container:
        stream = getattr(container.streams, kind)[index]
        try:
            frame = next(containers.decoded(container, stream, path))
        except (InputError, StopIteration):
            return None
    return frame.time
