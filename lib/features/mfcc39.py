"""39 MFCC on the frame grid: 13 coefficients, their slopes, and the slopes of those (LFAN
specification 1.7).

The numbers are openSMILE's with `MFCC12_0_D_A`: 16 kHz, 25 ms every 10 ms, order c1 … c12, c0 in
each group of 13. This is our own code because of openSMILE's floor:
`torchaudio.compliance.kaldi.mfcc` gives the same cepstra to about a millionth, but has a lower
floor, so that digital silence and very quiet sound differ.
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
    n_rows = max(0, 1 + (len(samples) - WINDOW) // HOP)
    hamming = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(WINDOW) / (WINDOW - 1))
    blocks = [np.zeros((0, CEPSTRA))]
    for first in range(0, n_rows, BLOCK):
        last = min(first + BLOCK, n_rows)
        piece = samples[first * HOP : (last - 1) * HOP + WINDOW].astype(np.float64)
        frames = np.lib.stride_tricks.sliding_window_view(piece, WINDOW)[::HOP]
        # Pre-emphasis is applied within each frame: its first sample counts as its own predecessor.
        frames = frames - EMPHASIS * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        power = np.abs(np.fft.rfft(frames * hamming, FFT)) ** 2
        blocks.append(np.log(np.maximum(power @ _triangles(), FLOOR)) @ _cosines())
    return np.concatenate(blocks)


def slopes(rows: np.ndarray) -> np.ndarray:
    """(N + 4, k) -> (N, k): regression over two rows on either side."""
    return (rows[3:-1] - rows[1:-3] + 2 * (rows[4:] - rows[:-4])) / 10


def mfcc39(samples: np.ndarray) -> np.ndarray:
    """(n,) int16 samples at 16 kHz -> (rows, 39) float64: static, slopes, slopes of slopes."""
    found = static(samples)
    return _with_slopes(found, np.arange(len(found)))


def _with_slopes(found: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(N, 13) and rows (T,) of it -> (T, 39) float64: slopes take the memory of these rows only."""
    if not len(found):
        return np.zeros((0, 3 * CEPSTRA))
    delta = slopes(np.pad(found, ((2, 2), (0, 0)), mode="edge"))[rows]
    # Behind the end the second slopes use two rows more that the first ones have there; in front
    # their first row.
    longer = slopes(np.pad(found, ((2, 4), (0, 0)), mode="edge"))
    second = slopes(np.pad(longer, ((2, 0), (0, 0)), mode="edge"))[rows]
    return np.concatenate([found[rows], delta, second], axis=1)


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
    first = round((times[0] - t0) * RATE)
    heard = cut(samples, first, first + int(rows.max()) * HOP + WINDOW)
    return _with_slopes(static(heard), rows).astype(np.float32)
