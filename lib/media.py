"""Recordings: what is in a file, its frames and its sound with their times, and writing mp4.

One clock: every time is a presentation time of the container in seconds. Nothing is padded or trimmed so that
picture and sound start together; who needs that does it knowingly. Decoding and encoding are PyAV's (FFmpeg).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOSPC
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from lib import pictures
from lib.errors import InputError

CLOCK = Fraction(1, 90_000)  # MPEG's clock: 24, 25, 30 and 30000/1001 fps are whole numbers of ticks
AAC_FRAME = 1024             # samples that an AAC encoder takes at once, and its priming (ISO/IEC 14496-3)
# Players want the index first; times of edit lists are rounded to 1/1000 s unless a finer scale is asked for.
MP4 = {"movflags": "faststart", "movie_timescale": "90000"}
GAP = 0.05                   # s; a longer jump between two pieces of sound is a hole, not rounding
AGAIN = "play the file in a video player; copy or download it again, or leave the recording out"


@dataclass(frozen=True)
class Info:
    """What the container says about a recording; nothing was decoded, so counts and times are claims.

    Codec names are "" where there is no such track. `n_frames` is 0 where the container does not say; `fps`
    (1/s) is an average; `duration`, `video_start`, `audio_start`, `audio_duration` (0 = not said) are in s,
    `audio_rate` in 1/s; `width` and `height` are the stored picture's, before `rotation` (degrees anticlockwise,
    as a viewer would turn it).
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
    audio_duration: float = 0.0


def probe(path: Path) -> Info:
    """Read a recording's header (and, for its rotation, the first frame).

    Raises InputError when the file is missing, empty or no recording. A missing track is no error here: its
    codec name is "". A folder of numbered pictures is a recording without sound.
    """
    if Path(path).is_dir():
        return Info(str(path), video_codec="jpeg", **pictures.probe(path))
    with _opened(path) as container:
        facts = {"path": str(path), "duration": (container.duration or 0) / av.time_base}
        if container.streams.video:
            facts |= _video_facts(container.streams.video[0], facts["duration"])
        if container.streams.audio:
            track = container.streams.audio[0]
            facts |= {"audio_codec": track.codec_context.name, "audio_rate": track.rate,
                      "audio_start": _seconds(track.start_time, track),
                      "audio_duration": _seconds(track.duration, track)}
        if container.streams.video:
            first = next(_decoded(container, container.streams.video[0], path), None)
            facts["rotation"] = first.rotation if first is not None else 0
    return Info(**facts)


def _video_facts(track, duration: float) -> dict:
    return {"video_codec": track.codec_context.name, "width": track.codec_context.width,
            "height": track.codec_context.height, "n_frames": track.frames,
            "fps": float(track.average_rate or track.guessed_rate or 0),
            "duration": _seconds(track.duration, track) or duration,
            "video_start": _seconds(track.start_time, track)}


def _seconds(stamp: int | None, track) -> float:
    return float(stamp * track.time_base) if stamp is not None else 0.0


def frame_times(path: Path) -> np.ndarray:
    """Presentation times of all frames in display order, (T,) float64, s. Raises like `frames`."""
    if Path(path).is_dir():
        return np.arange(pictures.whole(path).count) / pictures.FPS
    with _opened(path) as container:
        return np.array([time for time, _ in _timed(container, path)], np.float64)


def frames(path: Path, start: int = 0, rotate: bool = True) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (time in s, picture (H, W, 3) uint8 RGB) of every frame, in display order.

    Arguments
    ---------
    start : frames to pass over at the beginning (they are decoded, as their followers depend on them).
    rotate : turn the picture as the container asks a viewer to; False gives it as it is stored.

    Raises InputError when there is no video track, or at the place where it does not decode: a frame that is
    passed over in silence would shift every later row.
    """
    if Path(path).is_dir():
        yield from ((time, picture) for time, picture in pictures.frames(path, start))
        return
    with _opened(path) as container:
        for index, (time, frame) in enumerate(_timed(container, path)):
            if index >= start:
                picture = frame.to_ndarray(format="rgb24")
                turns = round(frame.rotation / 90) % 4 if rotate else 0
                yield time, np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def _timed(container, path: Path) -> Iterator[tuple[float, av.VideoFrame]]:
    if not container.streams.video:
        raise InputError("no video track", where=path, expected="a recording with picture",
                         todo="leave the file out, or use it with modality: audio")
    track = container.streams.video[0]
    track.thread_type = "AUTO"
    step, last = 1 / float(track.average_rate or 25), None
    for frame in _decoded(container, track, path):
        # Some AVI frames carry no stamp: they follow the last one at the average rate.
        time = frame.time if frame.time is not None else (0.0 if last is None else last + step)
        last = time
        yield time, frame


def _decoded(container, track, path: Path) -> Iterator:
    """Every frame of a track. A refused packet of sound is passed over (a hole), one of picture an error."""
    good = refused = 0
    reason = ""
    for packet in container.demux(track):
        try:
            decoded = packet.decode()
        except av.error.FFmpegError as error:
            refused, reason, decoded = refused + 1, error.strerror, []
        if refused and (track.type == "video" or refused > good + 8):
            break
        good += len(decoded)
        yield from decoded
    if not good or refused > (good if track.type == "audio" else 0):
        raise InputError(f"the {track.type} track ({track.codec_context.name}) does not decode: "
                         f"{reason or 'nothing in it'} after {good} frames", where=path,
                         expected="a track that decodes to its end",
                         todo="leave the recording out, or save what is good: ffmpeg -i OLD NEW.mp4")


def sound(path: Path, rate: int) -> tuple[np.ndarray, float]:
    """The sound as one channel, on the container's clock.

    Arguments
    ---------
    rate : samples a second wanted.

    Returns waveform (n,) float32 in −1…1, the mean of all channels, and the time t0 (s) of its first sample:
    sample i is at t0 + i/rate. The beginning is neither padded nor trimmed; holes inside are filled with
    silence, because otherwise all later sound would lie too early. Raises InputError when there is no audio
    track or it does not decode.
    """
    with _opened(path) as container:
        if not container.streams.audio:
            raise InputError("no audio track", where=path, expected="a recording with sound",
                             todo="leave the recording out, or train with modality: video")
        pieces, t0 = _resampled(container, container.streams.audio[0], rate, path)
    return np.clip(np.concatenate(pieces), -1, 1).astype(np.float32), t0


def _resampled(container, track, rate: int, path: Path) -> tuple[list[np.ndarray], float]:
    resampler = av.AudioResampler(format="fltp", rate=rate)
    pieces: list[np.ndarray] = []
    t0 = end = None
    for frame in _decoded(container, track, path):
        time = frame.time if frame.time is not None else (end or 0.0)
        if t0 is None:
            t0 = end = time
        elif time - end > GAP:
            pieces += _mono(resampler.resample(None))
            resampler = av.AudioResampler(format="fltp", rate=rate)  # a flushed one takes no more sound
            filled = sum(map(len, pieces))
            pieces.append(np.zeros(max(0, round((time - t0) * rate) - filled), np.float32))
            end = time
        end += frame.samples / frame.sample_rate
        frame.pts = None  # the times are kept here; the filter would warn about uneven stamps
        pieces += _mono(resampler.resample(frame))
    return pieces + _mono(resampler.resample(None)), t0


def _mono(resampled: list[av.AudioFrame]) -> list[np.ndarray]:
    # FFmpeg's own down-mix to one float channel adds 0.71 of each side and can pass 1.
    return [frame.to_ndarray().mean(axis=0) for frame in resampled]


def write_video(path: Path, frames: Iterable[np.ndarray], times: np.ndarray, sound: np.ndarray | None = None,
                rate: int = 44100, sound_start: float = 0.0, crf: int = 23, preset: str = "veryfast",
                progress: Callable[[int, int], None] | None = None) -> Path:
    """Write an H.264/AAC mp4, under a temporary name first, so that a file that exists is whole.

    Arguments
    ---------
    frames : pictures (H, W, 3) uint8 RGB, one for every time; an odd last row or column is left out (4:2:0).
    times : (T,) s, increasing, from 0; uneven steps are kept.
    sound : (n,) −1…1, or None for a silent file; its first sample is played at `sound_start` (s, from 0).
        With a start later than 1024 samples, the track begins with 1024 silent samples of priming.
    crf, preset : x264's quality (0–51, less is better) and speed.
    progress : called with (frames written, T).

    One encoder thread: the same input gives the same bytes. Raises InputError for bad times or a full disk.
    """
    path, times = Path(path), np.asarray(times, np.float64)
    if not len(times) or times[0] < 0 or np.any(np.diff(times) <= 0):
        raise InputError("frame times do not increase from 0 on", where=path,
                         expected="one time a frame, in s", todo="pass the times of media.frame_times")
    temporary = path.with_name(path.name + ".part")
    try:
        with av.open(str(temporary), "w", format="mp4", options=MP4) as container:
            _encode(container, iter(frames), times, sound, rate, sound_start, crf, preset, progress)
        temporary.replace(path)
    except OSError as error:
        if error.errno != ENOSPC:
            raise
        raise InputError("no space left on the disk", where=path, expected="room for the recording",
                         todo="free some space, then run the same command again") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _encode(container, frames, times, sound, rate, sound_start, crf, preset, progress) -> None:
    first = next(frames)
    fps = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 25
    video = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
    video.width, video.height = first.shape[1] // 2 * 2, first.shape[0] // 2 * 2
    video.pix_fmt = "yuv420p"
    video.time_base = video.codec_context.time_base = CLOCK
    video.codec_context.thread_count = 1
    # Without this, x264 gave other bytes for the same input in one of about ten runs (PyAV 18.1, measured).
    video.options = {"crf": str(crf), "preset": preset, "x264-params": "cpu-independent=1"}
    audio = _audio_track(container, rate) if sound is not None else None
    heard = 0
    for index, time in enumerate(times):
        picture = first if index == 0 else next(frames)
        picture = np.ascontiguousarray(picture[:video.height, :video.width])
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = round(time / CLOCK), CLOCK
        container.mux(video.encode(frame))
        if audio is not None:  # sound up to this frame, so that the file can be played while it loads
            heard = _encode_sound(container, audio, sound, heard, time - sound_start, rate, sound_start)
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


def _encode_sound(container, track, sound, heard: int, until: float, rate: int, start: float) -> int:
    while heard < len(sound) and heard / rate < until:
        piece = np.asarray(sound[heard:heard + AAC_FRAME], np.float32)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece[None]), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, heard + round(start * rate), Fraction(1, rate)
        container.mux(track.encode(frame))
        heard += len(piece)
    return heard


@contextmanager
def _opened(path: Path):
    path = Path(path)
    if not path.is_file():
        raise InputError("the recording is not there", where=path, todo="correct the path")
    if path.stat().st_size == 0:
        raise InputError("the file is empty (0 bytes)", where=path, expected="a recording",
                         todo="copy or download it again")
    try:
        container = av.open(str(path))
    except av.error.FFmpegError as error:
        raise InputError(f"not a recording that can be read ({error.strerror})", where=path,
                         expected="a media file such as mp4, avi, mov or webm", todo=AGAIN) from error
    with container:
        yield container
