"""Align the sound of a separate recorder with a camera's clock by cross-correlation.

Both sounds are turned into onsets in ten frequency bands, 200 times per second, because level,
microphone and room hardly change when something begins. Windows of the shorter sound (usually the
camera's) are searched in the whole of the longer one. A window counts if its highest correlation
peak is far above the second one. All windows that count must agree up to a small drift between the
clocks; a line through them gives the offset of the recorder's first sample and the speed of its
clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

RATE = 8000  # Hz; the sound that is compared
ONSET_RATE = 200  # onsets per s
BANDS, LOWEST, HIGHEST = 10, 150.0, 3800.0  # Hz: what speech has and small microphones hear
LENGTH = 160  # samples of a spectrum, 20 ms
RISE_STEPS = 4  # steps, over which a level must rise
ONSET_SHARE = 0.01  # of a band's mean power (−20 dB); quieter sound is no onset
WINDOW_SECONDS = 60.0  # s of the camera's sound per window: a drift of 100 ppm is 6 ms
MOST_WINDOWS = 9
# s, at least, and this share of a window that must lie inside the recorder's sound
OVERLAP_SECONDS = 2.0
OVERLAP_SHARE = 0.25
PEAK_SECONDS = 0.25  # s around the highest peak in which no second peak is searched
# Times as high as the second peak must the highest be; in less than `SHORT_SECONDS` s, where one
# beginning is like another, `CLEAR_SHORT` times. Of 322 pairs of different recordings
# (benchmarks/sound_beside.py) none of 5 s reaches 2.1, and none of 3 s 3.1.
CLEAR, SHORT_SECONDS, CLEAR_SHORT = 2.2, 5.0, 3.3
APART, SLIP = 0.05, 5e-4  # s, and s per s, that two windows may disagree about the shift
LONG_SECONDS = 60.0  # s between the first and the last window, from which a drift can be told
LEAST_DRIFT = 0.005  # s over the whole recording below which no drift is reported


@dataclass(frozen=True)
class Match:
    """Where a recorder's sound belongs.

    offset : s on the camera's clock at which the recorder's clock says 0. speed : s of the camera's
    clock per s of the recorder's. peak : the highest peak of the correlation by the second one (the
    median of the windows that count; from `CLEAR` on they do). windows : how many counted and
    agreed, clear : how many counted, tried : how many there were. spread : s, the largest distance
    of one of them from the line.
    """

    offset: float
    speed: float = 1.0
    peak: float = 0.0
    windows: int = 0
    clear: int = 0
    tried: int = 0
    spread: float = 0.0

    @property
    def found(self) -> bool:
        """Whether both recorded the same sound: most of the clear windows agree on one offset, and
        a quarter of all windows do (in the others perhaps nobody speaks).
        """
        return self.windows > 0 and 2 * self.windows > self.clear and 4 * self.windows >= self.tried


def onsets(pieces: Iterable[np.ndarray]) -> np.ndarray:
    """(n, BANDS) float32: rise of the level in each band, `ONSET_RATE` per s, of sound at `RATE` Hz
    that comes piece by piece.
    """
    hop = RATE // ONSET_RATE
    weights, taper = _bands(), np.hanning(LENGTH + 1)[:-1].astype(np.float32)
    rows, held = [], np.zeros(LENGTH - hop, np.float32)
    for piece in pieces:
        held = np.concatenate([held, piece.astype(np.float32)])
        count = (len(held) - LENGTH) // hop + 1
        if count < 1:
            continue
        frames = np.lib.stride_tricks.sliding_window_view(held, LENGTH)[: count * hop : hop]
        rows.append((np.abs(np.fft.rfft(frames * taper)) ** 2).astype(np.float32) @ weights)
        held = held[count * hop :]
    power = np.concatenate(rows) if rows else np.zeros((0, BANDS), np.float32)
    floor = ONSET_SHARE * power.sum(axis=0) / max(1, len(power)) + 1e-12
    level = np.log(power + floor)
    rise = np.zeros_like(level)
    rise[RISE_STEPS:] = np.maximum(level[RISE_STEPS:] - level[:-RISE_STEPS], 0)
    return rise


def _bands() -> np.ndarray:
    """(LENGTH / 2 + 1, BANDS): which lines of the spectrum belong to which band."""
    edges = np.geomspace(LOWEST, HIGHEST, BANDS + 1)
    lines = np.fft.rfftfreq(LENGTH, 1 / RATE)
    number = np.searchsorted(edges, lines, side="right") - 1
    return (number[:, None] == np.arange(BANDS)).astype(np.float32)


def match(camera: np.ndarray, recorder: np.ndarray) -> Match:
    """Find the shorter of a camera's and a recorder's sound in the longer one.

    camera, recorder : `onsets` of both. Returns where the recorder's first row belongs, in s from
    the camera's first row.
    """
    if len(camera) <= len(recorder):
        return _match(camera, recorder)
    turned = _match(recorder, camera)
    return replace(turned, offset=-turned.offset / turned.speed, speed=1 / turned.speed)


def _match(camera: np.ndarray, recorder: np.ndarray) -> Match:
    """`match` of a camera's sound that is no longer than the recorder's."""
    results = []
    for start, stop in _windows(len(camera)):
        shift, peak = _shift(camera[start:stop], recorder)
        if np.isfinite(shift):
            results.append(((start + stop) / 2 / ONSET_RATE, start / ONSET_RATE - shift, peak))
    least = CLEAR if min(len(camera), len(recorder)) >= SHORT_SECONDS * ONSET_RATE else CLEAR_SHORT
    clear = [result for result in results if result[2] >= least]
    agreed = _agreeing(clear)
    if not agreed:
        peaks = [peak for _, _, peak in results]
        return Match(0.0, peak=max(peaks, default=0.0), tried=len(results))
    times, shifts, peaks = (np.array(column) for column in zip(*agreed, strict=True))
    slope, middle, level = 0.0, times.mean(), np.median(shifts)
    if np.ptp(times) >= LONG_SECONDS:
        slope, level = np.polyfit(times - middle, shifts, 1)
        slope = slope if abs(slope) * len(camera) / ONSET_RATE >= LEAST_DRIFT else 0.0
    off = np.abs(shifts - level - slope * (times - middle)).max()
    speed = 1 / (1 - slope)  # camera = shift + recorder, and the shift grows with the camera's time
    offset = (level - slope * middle) * speed
    counts = len(agreed), len(clear), len(results)
    return Match(float(offset), float(speed), float(np.median(peaks)), *counts, float(off))


def _windows(length: int) -> list[tuple[int, int]]:
    """Stretches of the camera's sound, evenly from its beginning to its end."""
    size = min(length, round(WINDOW_SECONDS * ONSET_RATE))
    count = min(MOST_WINDOWS, -(-length // size)) if size else 0
    starts = np.linspace(0, length - size, count).round().astype(int)
    return [(start, start + size) for start in starts.tolist()]


def _agreeing(clear: list[tuple]) -> list[tuple]:
    """The largest set of windows whose shifts are near that of one of them."""
    best: list[tuple] = []
    for time, shift, _ in clear:
        near = [
            window
            for window in clear
            if abs(window[1] - shift) <= APART + SLIP * abs(window[0] - time)
        ]
        best = max(best, near, key=len)
    return best


def _shift(window: np.ndarray, whole: np.ndarray) -> tuple[float, float]:
    """(s from the beginning of `whole` to where `window` begins in it, its peak by the second one);
    (NaN, 0) where one of them has no onsets.
    """
    lags, score = _scores(window, whole)
    if not len(lags) or not score.max() > 0:
        return float("nan"), 0.0
    best = int(np.argmax(score))
    away = np.abs(lags - lags[best]) > PEAK_SECONDS * ONSET_RATE
    second = score[away].max(initial=0.0)
    peak = score[best] / second if second > 0 else float("inf")
    return (lags[best] + _between(score, best)) / ONSET_RATE, float(peak)


def _scores(window: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lags in steps, and the correlation at each by what sounds of that length have by chance."""
    few, many = len(window), len(whole)
    least = min(few, many, round(max(OVERLAP_SECONDS * ONSET_RATE, OVERLAP_SHARE * few)))
    if least < OVERLAP_SECONDS * ONSET_RATE / 2:
        return np.zeros(0, int), np.zeros(0)
    size = 1 << (few + many - 1).bit_length()
    lags = np.arange(least - few, many - least + 1)
    total = np.zeros(len(lags))
    for band in range(BANDS):
        first, second = (part[:, band] - part[:, band].mean() for part in (window, whole))
        both = np.fft.rfft(second, size) * np.conj(np.fft.rfft(first, size))
        spread = first.std() * second.std()
        if spread > 0:
            total += np.fft.irfft(both, size)[lags % size] / spread
    inside = np.minimum(lags + few, many) - np.maximum(lags, 0)
    return lags, total / np.sqrt(inside)


def _between(score: np.ndarray, best: int) -> float:
    """Where the top of a parabola through a peak and its neighbours lies, −0.5…0.5 steps."""
    if not 0 < best < len(score) - 1:
        return 0.0
    low, top, high = score[best - 1 : best + 2]
    bend = low - 2 * top + high
    return float(np.clip(0.5 * (low - high) / bend, -0.5, 0.5)) if bend < 0 else 0.0
