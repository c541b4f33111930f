"""Recordings: what is in a file, its frames and its sound with their times, and writing mp4.

One clock: every time is in seconds from the recording's time 0 (`clock.origin`). Nothing is padded
or trimmed so that picture and sound start together; a caller that needs that must do it explicitly.
Decoding and encoding are PyAV's (FFmpeg).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from . import chunks, clock, containers, hearing, orientation, pictures, reading_ahead

# MPEG's clock: 24, 25, 30 and 30000/1001 fps are whole numbers of ticks
CLOCK = Fraction(1, 90_000)
# 16 bits per sample, like the wav files of the published pipelines (TSAV specification, §1.4)
FULL_SCALE = 32767
MAX_SIDE = 1280  # px of a side of a video for people: enough to judge it, and small files


@dataclass(frozen=True)
class Info:
    """What the container says about a recording; nothing was decoded, so counts and times are only
    claims.

    Codec names are "" where there is no such track. `n_frames` is 0 where the container does not
    say; `fps` (1/s) is an average; `origin` is the recording's time 0 on the container's clock
    (`clock.origin`), from which `video_start` and `audio_start` count; these, `duration` and
    `audio_duration` (0 = not said) are in s, `audio_rate` in 1/s; `width` and `height` are the
    stored picture's, before its pixels (`pixel_aspect` times as wide as high) are made square, and
    before `rotation` (degrees anticlockwise, as a viewer would turn it); `display` says what a
    viewer does besides ("mirrored", "flipped", "transposed"), "" for nothing. `pixels` is the
    stored format (yuv420p10le: 10 bits; gray: no colour); `interlaced` says whether the first frame
    is two fields. `picture` is the place, from 0, of the video track that is shown; `others` are
    tracks of pictures in motion beside it, in words.
    """

    path: str
    width: int = 0
    height: int = 0
    n_frames: int = 0
    fps: float = 0.0
    duration: float = 0.0
    video_codec: str = ""
    audio_codec: str = ""
    audio_rate: int = 0
    video_start: float = 0.0
    audio_start: float = 0.0
    rotation: int = 0
    display: str = ""
    origin: float = 0.0
    audio_duration: float = 0.0
    pixels: str = ""
    interlaced: bool = False
    pixel_aspect: float = 1.0
    picture: int = 0
    others: tuple[str, ...] = ()


def probe(path: Path) -> Info:
    """Read a recording's header (and, for its rotation, the first frame).

    Raises InputError when the file is missing, empty or no recording. A missing track is no error
    here: its codec name is "". A folder of numbered pictures is a recording without sound.
    """
    if Path(path).is_dir():
        return Info(str(path), video_codec="jpeg", **pictures.probe(path))
    with containers.opened(path) as container:
        facts = {
            "path": str(path),
            "duration": (container.duration or 0) / containers.pyav().time_base,
        }
        if container.streams.video:
            facts |= _video_facts(containers.picture(container), facts["duration"])
            facts |= _beside(container)
        if container.streams.audio:
            track = clock.sound(container, path)
            facts |= {
                "audio_codec": track.codec_context.name,
                "audio_rate": track.rate,
                "audio_start": _seconds(track.start_time, track),
                "audio_duration": _seconds(track.duration, track),
            }
        if container.streams.video:
            first = next(containers.decoded(container, containers.picture(container), path))
            facts |= {
                "rotation": first.rotation,
                "display": orientation.of(first).name,
                "pixels": first.format.name,
                "interlaced": first.interlaced_frame,
            }
    zero = clock.origin(path)
    starts = {name: facts[name] - zero for name in ("video_start", "audio_start") if name in facts}
    return Info(**facts | starts, origin=zero)


def _video_facts(track, duration: float) -> dict:
    return {
        "video_codec": track.codec_context.name,
        "width": track.codec_context.width,
        "height": track.codec_context.height,
        "n_frames": track.frames,
        "fps": float(track.average_rate or track.guessed_rate or 0),
        "duration": _seconds(track.duration, track) or duration,
        "video_start": _seconds(track.start_time, track),
        "pixel_aspect": containers.pixel_aspect(track),
    }


def _beside(container) -> dict:
    """Which of the video tracks is shown, and what else is there besides covers."""
    shown, every = containers.picture(container), container.streams.video
    moving = [track for track in every if track is not shown and not containers.is_cover(track)]
    coded = [track.codec_context for track in moving]
    words = (f"{codec.width}×{codec.height}" if codec else "of an unknown codec" for codec in coded)
    return {"picture": every.index(shown), "others": tuple(words)}


def _seconds(stamp: int | None, track) -> float:
    return float(stamp * track.time_base) if stamp is not None else 0.0


def missing_bytes(path: Path) -> int:
    """By how many bytes the file is too short for its own index or its header (`chunks.end`): 0 for
    a whole file and for one that has neither.
    """
    with containers.opened(path) as container:
        tracks = [track for track in container.streams if track.type in ("video", "audio")]
        entries = chain.from_iterable(track.index_entries for track in tracks)
        ends = [chunks.end(path), *(entry.pos + entry.size for entry in entries)]
    return max(0, max(ends) - Path(path).stat().st_size)


def missing_seconds(path: Path) -> float:
    """By how many s a FLAC file is shorter than its header says, which counts samples and no bytes;
    0.0 for a whole file, for one whose length was not known when its header was written, and for a
    file of another kind.
    """
    with containers.opened(path) as container:
        if container.format.name != "flac":
            return 0.0
        [track] = container.streams.audio
        packets = containers.packets(container, track, path)
        ends = [packet.pts + packet.duration for packet in packets if packet.pts is not None]
        return max(0.0, float(((track.duration or 0) - max(ends, default=0)) * track.time_base))


def length(info: Info) -> tuple[float, int]:
    """Seconds and frames of a recording: as its header claims, else (a browser's recorder writes no
    length) by the stamps of its packets, which are read but not decoded; 0.0 without stamps.
    """
    if info.duration or not info.video_codec:
        return info.duration, info.n_frames or round(info.duration * info.fps)
    with containers.opened(info.path) as container:
        track = containers.picture(container)
        packets = containers.packets(container, track, info.path)
        stamps = [packet.pts for packet in packets if packet.pts is not None]
        first = min(stamps, default=0)
        return float((max(stamps, default=0) - first) * track.time_base), len(stamps)


def frame_times(path: Path) -> np.ndarray:
    """Presentation times of all frames in display order, (T,) float64, s. Raises like `frames`."""
    if Path(path).is_dir():
        return np.arange(pictures.whole(path).count) / pictures.FPS
    with containers.opened(path) as container:
        seen = containers.timed(container, path, looked_at=False)
        times = np.array([time for time, _ in seen], np.float64)
    return times - clock.origin(path)


def frames(
    path: Path, start: int = 0, rotate: bool = True, square: bool = True
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (time in s, picture (H, W, 3) uint8 RGB) of every frame, in display order.

    Arguments
    ---------
    start : frames to skip at the beginning (they are decoded, because later frames depend on them).
    rotate : turn and mirror the picture as the container asks a viewer to; False gives it as it is
        stored.
    square : stretch a picture whose pixels are not square (DV, DVD, anamorphic lenses) to the width
        that a viewer shows: a squeezed face fits no template. False keeps the stored pixels.

    Interlaced frames are made whole, more than 8 bits are reduced, grey has three equal channels.
    All pictures have the size of the first one: a recording that changes its resolution is scaled
    to it. The next pictures are decoded by a thread while the caller works on one.

    Raises InputError when there is no video track, or at the place where it does not decode: a
    frame that was skipped silently would shift every later row.
    """
    return reading_ahead.pictures(_frames(path, start, rotate, square))


def _frames(
    path: Path, start: int, rotate: bool, square: bool
) -> Iterator[tuple[float, np.ndarray]]:
    if Path(path).is_dir():
        yield from ((time, picture) for time, picture in pictures.frames(path, start))
        return
    width = height = 0
    zero = clock.origin(path)
    # One converter for all frames: making one per frame costs several times the conversion itself.
    converter = containers.pyav().video.reformatter.VideoReformatter()
    with containers.opened(path) as container:
        whole = containers.progressive(containers.timed(container, path))
        for index, (time, frame, shown) in enumerate(whole):
            if index == 0:
                track = containers.picture(container)
                width, height = (
                    containers.square_size(track, frame) if square else (frame.width, frame.height)
                )
            if index >= start:
                picture = converter.reformat(frame, width, height, "rgb24").to_ndarray()
                yield time - zero, shown.apply(picture) if rotate else picture


def sound(path: Path, rate: int, track: int = 0) -> tuple[np.ndarray, float]:
    """The sound as one channel, on the recording's clock.

    Arguments
    ---------
    rate : samples per second of the result. track : number of the sound track from 1, 0 for the one
        that a player would play (`tracks.playing`).

    Returns waveform (n,) float32 in −1…1, and the time t0 (s) of its first sample: sample i is at
    t0 + i/rate. It is the mean of all channels if that loses nothing (`channels.weights`). The
    beginning is neither padded nor trimmed; holes inside are filled with silence, because otherwise
    all later sound would be too early; if the stamps drift away from the samples, the stamps count
    (`drift`). Raises InputError when there is no audio track or it does not decode.
    """
    pieces = list(sound_pieces(path, rate, track))
    return np.concatenate([piece for _, piece in pieces]), pieces[0][0]


def sound_pieces(path: Path, rate: int, track: int = 0) -> Iterator[tuple[float, np.ndarray]]:
    """`sound` piece by piece, so that hours need little memory: (time in s of its first sample,
    (n,) float32).
    """
    zero = clock.origin(path)
    for time, piece in hearing.pieces(path, rate, track):
        yield time - zero, piece
