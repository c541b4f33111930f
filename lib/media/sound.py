"""Sound of a video on the recording's clock, as the store keeps it: sample i is heard at ``t0 + i /
rate``.

The sound of a frame is a pair of indices into it (`segments`), cut when needed (`cut`): there is no
file per frame. Section numbers are those of the TSAV/JCA specification.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import InputError
from . import recordings, separate
from .recordings import FULL_SCALE

SOUND_RATE = 44_100  # Hz, TSAV and JCA (specs §1.4, §2.2)
SPEECH_RATE = 16_000  # Hz, MFCC, VGGish and eGeMAPS (LFAN specification §1.7)
# frame intervals that JCA's published code cuts out; the name "32 frames" counts their ends (§2.2)
INTERVALS = 31
LOOK_BACK = 32  # frame intervals under corrected rules (§7.2)
START_RATE = 100  # possible starts of a segment per second: the hop of the spectrogram (§7.2)
ROW_RATE = 25  # rows per second that stand for frames where a recording has no picture
ANCHORS = ("published", "end", "centre")


def decode(path: Path, rate: int, track: int = 0) -> tuple[np.ndarray, float]:
    """Mono sound of a media file: (n,) int16 at `rate` Hz and ``t0`` in s, without padding or
    trimming.

    track : number of the sound track, see `recordings.sound`. Raises InputError when the file
    cannot be read or has no audio track.
    """
    times, samples = zip(*pieces(path, rate, track), strict=True)
    return np.concatenate(samples), times[0]


def pieces(path: Path, rate: int, track: int = 0) -> Iterator[tuple[float, np.ndarray]]:
    """`decode` piece by piece, so that hours need little memory: (s of its first sample, (n,)
    int16).
    """
    for time, piece in recordings.sound_pieces(path, rate, track):
        yield time, np.round(piece * FULL_SCALE).astype(np.int16)


def frame_times(path: Path) -> np.ndarray:
    """Times of the rows that stand for frames where there is sound only, (T,) float64, s:
    `ROW_RATE` per second from its first sample on, at least one. Raises like `decode`.
    """
    samples, start = decode(path, SPEECH_RATE)
    return start + np.arange(max(1, len(samples) * ROW_RATE // SPEECH_RATE)) / ROW_RATE


@contextmanager
def on_disk(
    path: Path, rate: int, track: int, folder: Path, moved: Mapping | None = None
) -> Iterator[tuple[np.ndarray | None, float]]:
    """`recordings.sound` as a memory map of a file without a name in `folder`, so that hours need
    little memory: (n,) float32, or None of a recording without sound, and t0 in s.

    moved : ``offset`` and ``speed`` of a recorder's file (`separate.placing`), {} for none.
    """
    if not recordings.probe(path).audio_codec:
        yield None, 0.0
        return
    with tempfile.TemporaryFile(dir=folder) as file:
        start, parts = None, recordings.sound_pieces(path, rate, track)
        if moved:
            parts = separate.placed(parts, rate, moved["offset"], moved["speed"])
        for time, piece in parts:
            start = time if start is None else start
            file.write(piece.astype(np.float32).data)
        file.flush()
        yield np.memmap(file, np.float32, "r"), start


def during(
    samples: np.ndarray, start: float, rate: int, times: np.ndarray
) -> tuple[np.ndarray, float]:
    """What of a sound (n,), whose first sample is at `start` s, is heard while pictures are shown,
    from time 0 or an earlier first picture to a second after the last one; and its start in s.
    """
    begin = min(0.0, float(times.min()))
    first = max(0, math.ceil((begin - start) * rate))
    last = max(first, math.ceil((float(times.max()) + 1 - start) * rate))
    return samples[first:last], start + first / rate


def in_one(samples: np.ndarray) -> np.ndarray:
    """Samples between −1 and 1, whether they are kept as int16 or so already."""
    return as_float(samples) if samples.dtype == np.int16 else np.asarray(samples)


def as_float(samples: np.ndarray) -> np.ndarray:
    """(n,) int16 -> (n,) float32 in −1 … 1."""
    return np.asarray(samples, np.float32) / FULL_SCALE


def between(samples: np.ndarray, t0: float, rate: float, start: float, stop: float) -> np.ndarray:
    """Sound from `start` to `stop` s on the recording's clock, float32; silence where the file has
    none.
    """
    return as_float(cut(samples, round((start - t0) * rate), round((stop - t0) * rate)))


def segments(
    times: np.ndarray, n_samples: int, t0: float, rate: int, anchor: str, seconds: float = 0.0
) -> np.ndarray:
    """What every frame hears, as samples of the waveform.

    Arguments
    ---------
    times : (T,) s, time stamps of the frames on the recording's clock.
    n_samples, t0, rate : of the waveform: length, time of sample 0 on the same clock (s), samples
        per second.
    anchor : "published": JCA's own cuts, from 31 frames before to the frame's stamp, of a sound
        that was padded or trimmed to begin with the picture (§2.2); "end": the last `seconds` up to
        the frame (JCA, §7.2); "centre": `seconds` round it (TSAV, §7.2). Those two start on the 10
        ms grid of the whole file.

    Returns (T, 2) int64, [start, stop). "end" and "centre" all have one length and may reach
    outside the file, where `cut` gives silence; "published" ends with the file, as reading one
    does, and before its start (a sound that was padded) is negative. A defect of "published" that
    is kept: the wav begins with the picture (§1.8, 5), the cuts are made at the picture's stamps as
    they are (§2.2), so where those begin at 0.5 s all sound is 0.5 s too late.
    """
    times = np.asarray(times, np.float64)
    if anchor not in ANCHORS:
        raise InputError(
            f"anchor {anchor!r}", where="media.sound.segments", expected=", ".join(ANCHORS)
        )
    if anchor == "published":
        starts, stops = published_spans(times, np.arange(len(times)))
        # silence in front of the published wav
        moved = round((t0 - times[0]) * rate) if len(times) else 0
        bounds = (
            np.stack([np.rint(starts * rate), np.rint(stops * rate)], axis=1).astype(np.int64)
            - moved
        )
        return np.minimum(bounds, n_samples)
    before = seconds / 2 if anchor == "centre" else seconds
    places = np.floor((times - before - t0) * START_RATE + 0.5)
    starts = np.rint(places * rate / START_RATE).astype(np.int64)
    return np.stack([starts, starts + round(seconds * rate)], axis=1)


def published_spans(times: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Start and stop (s) of frames' sound by JCA's published rule (§2.2), by the stamps as they are
    (see `segments`).

    times : (T,) s. frames : numbers from 0. The first frame ends at the second one's stamp, if its
        own is 0.
    """
    times, frames = np.asarray(times, np.float64), np.asarray(frames)
    following = times[np.minimum(frames + 1, len(times) - 1)]
    stops = np.where(times[frames] == 0, following, times[frames])
    return np.where(frames < INTERVALS, 0.0, times[np.maximum(frames - INTERVALS, 0)]), stops


def look_back(fps: float) -> float:
    """Seconds that a JCA step hears under corrected rules; `fps` is the lowest of the data set
    (§7.2).
    """
    return round(LOOK_BACK / fps, 3)


def cut(samples: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Samples start…stop−1 of a waveform (n,), or rows of (n, …), that goes on with zeros on both
    sides; same type, its own memory.
    """
    out = np.zeros((max(stop - start, 0), *samples.shape[1:]), samples.dtype)
    inside = slice(max(start, 0), min(max(stop, 0), len(samples)))
    if inside.start < inside.stop:
        out[inside.start - start : inside.stop - start] = samples[inside]
    return out
