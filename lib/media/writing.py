"""Write video and sound files."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from ..errors import InputError
from ..files import whole
from ..store import give_back
from . import containers
from .recordings import CLOCK, MAX_SIDE

AAC_FRAME = 1024  # samples that an AAC encoder takes at once, and its priming (ISO/IEC 14496-3)

# Players want the index first; times of edit lists are rounded to 1/1000 s unless a finer scale is
# asked for.
MP4 = {"movflags": "faststart", "movie_timescale": "90000"}


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    times: np.ndarray,
    sound: np.ndarray | None = None,
    rate: int = 44100,
    sound_start: float = 0.0,
    crf: int = 23,
    preset: str = "veryfast",
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write an H.264/AAC mp4 atomically.

    Arguments
    ---------
    frames : pictures (H, W, 3) uint8 RGB, one per time; an odd last row or column is left out
        (4:2:0).
    times : (T,) s, increasing, from 0; uneven steps are kept.
    sound : (n,) −1…1, or None for a silent file; its first sample is played at `sound_start` (s,
        from 0). With a start later than 1024 samples, the track begins with 1024 silent samples of
        priming.
    crf, preset : x264's quality (0–51, less is better) and speed.
    progress : called with (frames written, T).

    One encoder thread: the same input gives the same bytes. Raises InputError for bad times or
    where it cannot be written.
    """
    path, times = Path(path), np.asarray(times, np.float64)
    _refuse_unordered(times, path)
    with (
        whole(path) as part,
        containers.pyav().open(str(part), "w", format="mp4", options=MP4) as container,
    ):
        _encode(container, iter(frames), times, sound, rate, sound_start, crf, preset, progress)
    return path


def _refuse_unordered(times: np.ndarray, path: Path) -> None:
    if not len(times) or times[0] < 0 or np.any(np.diff(times) <= 0):
        raise InputError(
            "frame times do not increase from 0 on",
            where=path,
            expected="one time per frame, in s",
            todo="pass the times of lib.media.recordings.frame_times",
        )


def _encode(container, frames, times, sound, rate, sound_start, crf, preset, progress) -> None:
    first = next(frames)
    fps = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 25
    video = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
    video.width, video.height = first.shape[1] // 2 * 2, first.shape[0] // 2 * 2
    video.pix_fmt = "yuv420p"
    video.time_base = video.codec_context.time_base = CLOCK
    video.codec_context.thread_count = 1
    # Without this, x264 gave other bytes for the same input in one of about ten runs (PyAV 18.1,
    # measured).
    video.options = {"crf": str(crf), "preset": preset, "x264-params": "cpu-independent=1"}
    audio = _audio_track(container, rate) if sound is not None else None
    heard = 0
    for index, time in enumerate(times):
        picture = first if index == 0 else next(frames)
        picture = np.ascontiguousarray(picture[: video.height, : video.width])
        frame = containers.pyav().VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = round(time / CLOCK), CLOCK
        container.mux(video.encode(frame))
        # sound up to this frame, so that the file can be played while it loads
        if audio is not None:
            heard = _encode_sound(
                container, audio, sound, heard, time - sound_start, rate, sound_start
            )
        if progress:
            progress(index + 1, len(times))
    container.mux(video.encode(None))
    if audio is not None:
        _encode_sound(container, audio, sound, heard, np.inf, rate, sound_start)
        container.mux(audio.encode(None))


def _audio_track(container, rate: int):
    track = container.add_stream("aac", rate=rate, layout="mono")
    track.time_base = track.codec_context.time_base = Fraction(1, rate)
    track.bit_rate = 96_000
    return track


def _encode_sound(
    container, track, sound, heard: int, until: float, rate: int, start: float
) -> int:
    while heard < len(sound) and heard / rate < until:
        piece = np.asarray(sound[heard : heard + AAC_FRAME], np.float32)
        frame = containers.pyav().AudioFrame.from_ndarray(
            np.ascontiguousarray(piece[None]), format="fltp", layout="mono"
        )
        frame.sample_rate = rate
        frame.pts = heard + round(start * rate)
        frame.time_base = Fraction(1, rate)
        container.mux(track.encode(frame))
        heard += len(piece)
    give_back(sound)
    return heard


def fitted(picture: np.ndarray, largest: int = MAX_SIDE) -> np.ndarray:
    """(H, W, 3) for a video to look at: no side above `largest` px, and even sides, which H.264
    needs.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, largest / max(height, width))
    size = (max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2))
    if size == (width, height):
        return picture
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def wav(samples: np.ndarray, rate: int) -> bytes:
    """The content of a wav file, mono: (n,) of whole numbers −32768…32767 at `rate` per second."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return stream.getvalue()
