"""The sound of a step by JCA's published rule, defects included (specification 2.2 and 2.3).

Only for ``rules: published``: 31 frame intervals instead of 32, filled up with silence on the left
to 45 599 samples and, where that is not the longest segment, with a value that is not silence after
normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..media import sound
from . import mel

# samples: shorter waveforms are filled up with silence on the left; 104 columns
MIN_SAMPLES = 45_599


def anchored(waveform: np.ndarray, t0: float, first: float) -> np.ndarray:
    """Add silence at the beginning, or cut samples off, so that sample 0 is at the first video
    frame.

    waveform : (n,) at 44.1 kHz. t0, first : s, times of its first sample and of the first frame on
        one clock.
    """
    shift = round((t0 - first) * mel.RATE)
    if shift < 0:
        return waveform[-shift:]
    return np.concatenate([np.zeros(shift, waveform.dtype), waveform])


def span(times: Sequence[float], frame: int) -> tuple[float, float]:
    """Start and stop in s of a frame's sound: from 31 frames before (or 0) to its own time stamp.

    times : (T,) s. frame : counted from 0; the first one ends at the second one's stamp, if its own
        is 0.
    """
    start, stop = sound.published_spans(times, frame)
    return float(start), float(stop)


def segment(waveform: np.ndarray, start: float, stop: float) -> np.ndarray:
    """(64, columns) float32, normalised; 104 columns up to 45 599 samples, 1 + n // 441 beyond.

    waveform : (n,) float, sample 0 at the first frame (`anchored`). start, stop : s, see `span`.
    """
    read = waveform[max(round(start * mel.RATE), 0) : max(round(stop * mel.RATE), 0)].astype(
        np.float32
    )
    filled = np.concatenate([np.zeros(max(MIN_SAMPLES - len(read), 0), np.float32), read])
    return mel.published_input(torch.from_numpy(filled))


def segments(
    waveform: np.ndarray, times: Sequence[float], frames: Sequence[int], columns: int
) -> np.ndarray:
    """(N, 1, 64, columns) float32: the segments of several frames, each filled up to `columns`.

    The published code fills up to the longest segment of a batch, so that a prediction depends on
    the others in it. Here the longest of the trial: what a batch of one trial's windows gives.
    """
    # 0 is −14.8 dB, not silence: as published
    out = np.zeros((len(frames), 1, mel.BANDS, columns), np.float32)
    for row, frame in zip(out, frames, strict=True):
        piece = segment(waveform, *span(times, frame))
        row[0, :, columns - piece.shape[1] :] = piece
    return out


def longest(times: np.ndarray) -> int:
    """Columns of the longest segment of a trial."""
    times = np.asarray(times, np.float64)
    spans = [span(times, frame) for frame in range(len(times))]
    samples = max(
        (round(stop * mel.RATE) - round(start * mel.RATE) for start, stop in spans), default=0
    )
    return 1 + max(samples, MIN_SAMPLES) // mel.HOP


def silence(columns: int) -> np.ndarray:
    """(1, 1, 64, columns) float32: the sound of a step beyond the recording's end, filled up."""
    out = np.zeros((1, 1, mel.BANDS, columns), np.float32)
    piece = segment(np.zeros(0, np.float32), 0.0, 0.0)
    out[0, 0, :, columns - piece.shape[1] :] = piece
    return out
