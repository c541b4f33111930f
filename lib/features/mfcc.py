"""MFCC on the frame grid of a video, as TalkNet and Light-ASD use them: four rows per frame.

The 13 coefficients are those of `python_speech_features` (speaker specification §3.1): pre-emphasis
0.97, rectangular window of 25 ms · 25/fps, 512-point FFT, 26 mel bands from 0 to 8 kHz, orthonormal
DCT, lifter 22, and the log energy instead of the first coefficient. Sound is on the scale of 16-bit
integers; another scale changes the first coefficient only.

Corrected rule: row k starts at sample round(k · rate / (4 · fps)). Published rule
(`published_starts`): each row starts a whole number of samples after the last one, which drifts by
0.25 % at 30 fps (speaker specification §0, fact 3).

This is our own code because the published networks were trained on the numbers of
`python_speech_features`, whose mel corners lie on FFT bins, and because rows may start at any
sample; torchaudio's MFCC have neither, and differ by several units.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np

from ..errors import InputError

RATE = 16_000  # Hz
ROWS_A_FRAME = 4
COEFFICIENTS = 13
PRE_EMPHASIS = 0.97
BANDS = 26
LIFTER = 22
FFT = 512
SMALLEST = np.finfo(np.float64).eps  # stands for zero under a logarithm
BLOCK = 4096  # rows transformed at a time


def window(fps: float, rate: int = RATE) -> int:
    """Samples of a window: 25 ms · 25/fps, rounded half up (400 at 25 fps, 333 at 30)."""
    return max(1, int(np.floor(rate * 0.625 / float(fps) + 0.5)))


def starts(n_frames: int, fps: Fraction | float, rate: int = RATE) -> np.ndarray:
    """First samples of the 4·T rows of a clip that starts at sample 0, corrected: (4T,) int64."""
    return np.floor(
        np.arange(ROWS_A_FRAME * n_frames) * (rate / (ROWS_A_FRAME * float(fps))) + 0.5
    ).astype(np.int64)


def published_starts(n_frames: int, fps: Fraction | float, rate: int = RATE) -> np.ndarray:
    """Like `starts`, by the published rule: a hop of 10 ms · 25/fps in whole samples (133 at 30
    fps).
    """
    hop = max(1, int(np.floor(rate * 0.25 / float(fps) + 0.5)))
    return np.arange(ROWS_A_FRAME * n_frames, dtype=np.int64) * hop


def at_times(times: np.ndarray, t0: float, fps: float) -> np.ndarray:
    """First samples of the rows of frames at `times` (T,) s in a sound whose sample 0 is at `t0` s:
    (4T,) int64.

    fps : of the grid that the times are on; the four rows of a frame are 1/(4·fps) s apart.
    """
    row_times = np.asarray(times, np.float64)[:, None] + np.arange(ROWS_A_FRAME) / (
        ROWS_A_FRAME * fps
    )
    return np.floor((row_times.ravel() - t0) * RATE + 0.5).astype(np.int64)


def rows(samples: np.ndarray, starts: np.ndarray, length: int, rate: int = RATE) -> np.ndarray:
    """Features of windows of a sound.

    Arguments
    ---------
    samples : (n,) on the scale of int16, mono. starts : (N,) first sample of each window; what lies
        outside the sound
    is silence. length : samples of a window (`window`). rate : Hz.

    Returns (N, 13) float32.
    """
    samples = np.asarray(samples, np.float64)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise InputError(
            f"sound of shape {samples.shape}, or with values that are no numbers",
            where="features.mfcc",
            expected="(n,) finite samples of one channel",
        )
    raised = samples.copy()
    raised[1:] -= PRE_EMPHASIS * samples[:-1]
    starts, points = np.asarray(starts, np.int64), max(FFT, 1 << (length - 1).bit_length())
    before = max(0, -int(starts.min(initial=0)))
    after = max(0, int(starts.max(initial=0)) + length - len(raised))
    # A window far outside the sound is moved into the silence beside it, which needs less padding.
    before, after = min(before, length), min(after, length)
    padded = np.concatenate([np.zeros(before), raised, np.zeros(after)])
    first = np.clip(starts + before, 0, max(len(padded) - length, 0))
    if len(padded) < length:
        padded = np.concatenate([padded, np.zeros(length - len(padded))])
    windows = np.lib.stride_tricks.sliding_window_view(padded, length)
    blocks = [
        _of_windows(windows[first[n : n + BLOCK]], points, rate)
        for n in range(0, len(first), BLOCK)
    ]
    return np.concatenate([np.zeros((0, COEFFICIENTS), np.float32), *blocks])


def of_clip(
    samples: np.ndarray, n_frames: int, fps: Fraction | float, rules: str = "corrected"
) -> np.ndarray:
    """(4T, 13) features of a clip whose sound starts with its first frame.

    samples : (n,) on the scale of int16.
    rules : "corrected": exact times, silence after the end; "published": rounded hop, and where the
        sound is too short the first rows again.
    """
    length = window(fps)
    if rules == "corrected":
        return rows(samples, starts(n_frames, fps), length)
    places = published_starts(n_frames, fps)
    hop = int(places[1]) if len(places) > 1 else 1
    n_rows = 1 + max(0, -(-(len(samples) - length) // hop))
    return rows(samples, places[:n_rows], length)[
        np.arange(len(places)) % min(n_rows, max(len(places), 1))
    ]


def _of_windows(windows: np.ndarray, points: int, rate: int) -> np.ndarray:
    power = np.abs(np.fft.rfft(windows, points)) ** 2 / points
    energy = power.sum(axis=1)
    bands = power @ _bank(points, rate).T
    logs = np.log(np.where(bands > 0, bands, SMALLEST))
    from scipy.fft import dct  # takes long to import, and training needs only rows that are there

    cepstra = dct(logs, type=2, axis=1, norm="ortho")[:, :COEFFICIENTS]
    cepstra *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    cepstra[:, 0] = np.log(np.where(energy > 0, energy, SMALLEST))
    return cepstra.astype(np.float32)


@cache
def _bank(points: int, rate: int) -> np.ndarray:
    """(26, points/2 + 1) triangular bands, equally wide in mel, whose corners lie on FFT bins."""
    mel = np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), BANDS + 2)
    corner = np.floor((points + 1) * 700 * (10 ** (mel / 2595) - 1) / rate)
    bins = np.arange(points // 2 + 1)
    bank = np.zeros((BANDS, len(bins)))
    for band, (low, middle, high) in enumerate(zip(corner, corner[1:], corner[2:], strict=False)):
        rising, falling = (bins >= low) & (bins < middle), (bins >= middle) & (bins < high)
        bank[band, rising] = (bins[rising] - low) / (middle - low)
        bank[band, falling] = (high - bins[falling]) / (high - middle)
    return bank
