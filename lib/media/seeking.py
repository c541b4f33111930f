"""Frames from the middle of a recording, without decoding all that lies before: the same ones, with
the same numbers and times, as one pass from the beginning gives.

A frame is identified by its time: the times of all frames are known from an earlier pass (the array
`time`), and the frames decoded after a jump must have consecutive times of that list. A file for
which that does not hold (no stamps, decreasing stamps, a wrong index, too few key frames) is
inexact and must be decoded from its beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np

from ..errors import InputError
from . import clock, containers, pictures, reading_ahead

MARGIN_FRAMES = 12  # frames decoded before the first one, since a filter looks at neighbours
FAR = 3000  # frames that may be decoded only to reach the first one
FAR_SECONDS = 120.0  # the same where frames are not counted yet
# s before the wanted time, tried in turn until a jump lands before the wanted frame
SEEK_BACK_SECONDS = (0.0, 1.0, 4.0, 16.0)
LOOKED_AT = 4  # frames whose times must match for a jump to be accepted


class InexactError(InputError):
    """Seeking in this file does not lead exactly to a frame; the message says why."""


def frames(
    path: Path, times: np.ndarray, first: int, stop: int, lead: int = 0
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (number from 0, picture (H, W, 3) uint8 RGB) of frames `first` to `stop` − 1, as
    `recordings.frames` shows them.

    times : (T,) s of all frames, as `recordings.frame_times` gives them. lead : frames before the
        first one that are decoded, too, so that the jump goes to frame `first` − `lead`.

    Raises InexactError, perhaps after some frames, if the file does not give exactly these frames.
    """
    return reading_ahead.pictures(_frames(Path(path), times, first, stop, lead))


def _frames(
    path: Path, times: np.ndarray, first: int, stop: int, lead: int
) -> Iterator[tuple[int, np.ndarray]]:
    if path.is_dir():
        shown = pictures.frames(path, first)
        yield from ((number, next(shown)[1]) for number in range(first, stop))
        return
    if not (np.diff(times) > 0).all():
        raise InexactError("its time stamps do not rise from frame to frame", where=path)
    try:
        yield from _shown(path, np.asarray(times), first, stop, first - lead)
    except InexactError:
        raise
    except InputError as error:  # a frame that does not decode after a jump may do so in one pass
        raise InexactError(error.what, where=path) from error


def times(
    path: Path, begin: float, end: float, more: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times (s) of the frames from `begin` on and before `end`, of up to `more` frames before them,
    and of up to `more` after them: what `recordings.frame_times` gives, without decoding the rest.

    begin : −inf for the first frame. end : inf for all.

    Raises InexactError where the file has no rising stamps, or no key frame is found before.
    """
    stamps: list[float] = []
    after = 0
    try:
        for time in _from_before(Path(path), begin, more):
            if stamps and time <= stamps[-1]:
                raise InexactError("its time stamps do not rise from frame to frame", where=path)
            stamps.append(time)
            after += time >= end
            if after == more:
                break
    except InexactError:
        raise
    except InputError as error:
        raise InexactError(error.what, where=path) from error
    seen = np.array(stamps)
    first, stop = np.searchsorted(seen, [begin, end])
    return seen[:first][-more:], seen[first:stop], seen[stop:]


def _from_before(path: Path, begin: float, more: int) -> Iterator[float]:
    """Times of frames, from `more` frames before `begin` on at least; of all for −inf."""
    zero = clock.origin(path)
    for stamp in [begin - back for back in SEEK_BACK_SECONDS if begin > back]:
        stored = _stamped(path, _after_jump(path, stamp + zero), zero)
        head = list(islice(stored, more))
        if len(head) == more and head[-1] < begin:
            yield from chain(head, stored)
            return
    if begin > FAR_SECONDS:
        raise InexactError(f"no key frame is found before {begin:.1f} s", where=path)
    yield from _stamped(path, _after_jump(path, None), zero)


def _stamped(path: Path, stored: Iterator, zero: float) -> Iterator[float]:
    for frame in stored:
        if frame.time is None:
            raise InexactError("a frame has no time stamp", where=path)
        yield frame.time - zero


def _shown(
    path: Path, times: np.ndarray, first: int, stop: int, begin: int
) -> Iterator[tuple[int, np.ndarray]]:
    converter = containers.pyav().video.reformatter.VideoReformatter()
    width, height = _size(path)
    whole = containers.progressive(_numbered(path, times, begin))
    for number, frame, shown in whole:
        if number >= first:
            picture = converter.reformat(frame, width, height, "rgb24").to_ndarray()
            yield number, shown.apply(picture)
        if number + 1 == stop:
            return
    raise InexactError(f"it ends before frame {stop}", where=path)


def _size(path: Path) -> tuple[int, int]:
    """Width and height of the recording's first picture, which all others are scaled to."""
    with containers.opened(path) as container:
        track = containers.picture(container)
        return containers.square_size(track, next(containers.decoded(container, track, path)))


def _numbered(path: Path, times: np.ndarray, begin: int) -> Iterator[tuple[int, object]]:
    """(number, frame as it is stored) from a key frame before frame `begin` on."""
    zero = clock.origin(path)
    reached, stored = _from_key_frame(path, times, zero, max(0, begin - MARGIN_FRAMES))
    if begin - reached > FAR:
        raise InexactError(f"no key frame in {FAR} frames before frame {begin}", where=path)
    for number, frame in enumerate(stored, reached):
        if not _is(number, frame, times, zero):
            raise InexactError(f"after a jump, frame {number} has another time", where=path)
        yield number, frame


def _is(number: int, frame, times: np.ndarray, zero: float) -> bool:
    """Whether a frame has the time of that number."""
    stamped = frame.time is not None and number < len(times)
    return stamped and times[number] == frame.time - zero


def _from_key_frame(
    path: Path, times: np.ndarray, zero: float, target: int
) -> tuple[int, Iterator]:
    """The number of a frame that is not later than frame `target`, and the frames from it on."""
    for back in SEEK_BACK_SECONDS:
        stamp = times[target] - back
        if stamp <= times[0]:
            break
        stored = _after_jump(path, stamp + zero)
        head = list(islice(stored, LOOKED_AT))
        if not head or head[0].time is None:
            break
        number = int(np.searchsorted(times, head[0].time - zero))
        if number <= target and all(
            _is(index, frame, times, zero) for index, frame in enumerate(head, number)
        ):
            return number, chain(head, stored)
    return 0, _after_jump(path, None)


def _after_jump(path: Path, stamp: float | None) -> Iterator:
    """Frames as they are stored, after a jump to a time of the file's clock; all for None."""
    with containers.opened(path) as container:
        track = containers.picture(container)
        track.thread_type = "AUTO"
        try:
            if stamp is not None:
                container.seek(int(stamp / track.time_base), stream=track)
        except containers.pyav().error.FFmpegError as error:
            raise InexactError(f"it has no index ({error.strerror})", where=path) from error
        yield from containers.decoded(container, track, path)
