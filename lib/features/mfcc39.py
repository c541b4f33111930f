"""39 MFCC on the frame grid: 13 coefficients, their slopes, and the slopes of those (LFAN
specification 1.7).

The numbers are openSMILE's with `MFCC12_0_D_A`: 16 kHz, 25 ms every 10 ms, order c1 … c12, c0 in
each group of 13. This is our own code because of openSMILE's floor:
`torchaudio.compliance.kaldi.mfcc` gives the same cepstra to about a millionth, but has a lower
floor, so that digital silence and very quiet sound differ. This is our own code because of
openSMILE's floor: `torchaudio.compliance.kaldi.mfcc` gives the same cepstra to about a millionth,
but has a lower floor, so that digital silence and very quiet sound differ.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ..errors import InputError
from ..media.sound import cut
from . import filterbanks

RATE = 16_000  # Hz
WINDOW, HOP = 400, 160  # samples: 25 ms, 10 ms
FFT = 512
BANDS = 26
TOP = 8000.0  # Hz
EMPHASIS = 0.97
LIFTER = 22
CEPSTRA = 13
FLOOR = 1.0  # least power of a band, in squared int16 units: digital silence gives zeros
BLOCK = 6000  # rows transformed at a time: one minute, 25 MB of spectrum
ROWS_A_SECOND = RATE // HOP


@cache
def _triangles() -> np.ndarray:
    """(257, 26) weights of the bands, from 0 to 8000 Hz."""
    return filterbanks.triangles(0.0, TOP, BANDS, FFT, RATE)


@cache
def _cosines() -> np.ndarray:
    """(26, 13) discrete cosine transform with lifter, columns c1 … c12, c0."""
    order = np.r_[1:CEPSTRA, 0]
    cosines = np.cos(np.pi * order * (np.arange(BANDS)[:, None] + 0.5) / BANDS) * np.sqrt(2 / BANDS)
    return cosines * (1 + LIFTER / 2 * np.sin(np.pi * order / LIFTER))


def static(samples: np.ndarray) -> np.ndarray:
    """(n,) samples in int16 units at 16 kHz -> (1 + (n − 400) // 160, 13) float64; no rows below
    400 samples.

    Row i covers samples 160·i … 160·i + 399; nothing is padded.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise InputError(f"sound of shape {samples.shape}", where="mfcc39", expected="(n,), mono")
    return _static(samples, 0, max(0, 1 + (len(samples) - WINDOW) // HOP))


def _static(samples: np.ndarray, first: int, count: int) -> np.ndarray:
    """(count, 13) `static` rows from sample `first` on; outside of the sound silence is heard. A
    block is taken out of it at a time, so that hours need the memory of their rows only.
    """
    hamming = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(WINDOW) / (WINDOW - 1))
    cepstra = np.empty((count, CEPSTRA))
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        heard = cut(samples, first + start * HOP, first + (stop - 1) * HOP + WINDOW)
        frames = np.lib.stride_tricks.sliding_window_view(heard.astype(np.float64), WINDOW)[::HOP]
        # Pre-emphasis is applied within each frame: its first sample counts as its own predecessor.
        frames = frames - EMPHASIS * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        power = np.abs(np.fft.rfft(frames * hamming, FFT)) ** 2
        cepstra[start:stop] = np.log(np.maximum(power @ _triangles(), FLOOR)) @ _cosines()
    return cepstra


def slopes(rows: np.ndarray) -> np.ndarray:
    """(N, 5, …) -> (N, …): regression over five rows, of which the third one is meant."""
    return (rows[:, 3] - rows[:, 1] + 2 * (rows[:, 4] - rows[:, 0])) / 10


def mfcc39(samples: np.ndarray) -> np.ndarray:
    """(n,) int16 samples at 16 kHz -> (rows, 39) float64: static, slopes, slopes of slopes."""
    cepstra = static(samples)
    return _with_slopes(cepstra, np.arange(len(cepstra)))


def _with_slopes(coefficients: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(N, 13) and rows (T,) of it -> (T, 39) float64."""
    around, last = np.arange(-2, 3), len(coefficients) - 1
    near = rows[:, None] + around  # (T, 5)
    # The second slopes are made of the first ones, which go on behind the end: there the last row
    # stands again and again. In front of the beginning the first slope itself does.
    nearer = np.maximum(near, 0)[..., None] + around  # (T, 5, 5)
    delta = slopes(coefficients[near.clip(0, last)])
    second = slopes(slopes(np.moveaxis(coefficients[nearer.clip(0, last)], 2, 1)))
    return np.concatenate([coefficients[rows], delta, second], axis=1)


def grid(times: np.ndarray) -> np.ndarray:
    """(T,) row of each frame on a 10 ms grid from the first one; halves go to the even row."""
    times = np.asarray(times, np.float64)
    # The rounding takes away what a container's clock adds in the last binary digit.
    return np.rint(np.round((times - times[:1]) * ROWS_A_SECOND, 6)).astype(np.int64)


def on_frames(samples: np.ndarray, t0: float, times: np.ndarray) -> np.ndarray:
    """(T, 39) float32: the row that starts with each frame, on the container's clock.

    samples : (n,) int16 at 16 kHz; sample i is heard at ``t0 + i / 16000`` s. times : (T,) s.

    Where the file has no sound, silence is heard (39 zeros), so that a sound shorter than its video
    loses no frame.
    """
    rows = grid(times)
    if not len(rows):
        return np.zeros((0, 3 * CEPSTRA), np.float32)
    cepstra = _static(samples, round((times[0] - t0) * RATE), int(rows.max()) + 1)
    values = np.empty((len(rows), 3 * CEPSTRA), np.float32)
    for start in range(0, len(rows), BLOCK):
        values[start : start + BLOCK] = _with_slopes(cepstra, rows[start : start + BLOCK])
    return values
