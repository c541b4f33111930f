"""Clock drift: sound whose time stamps run slower or faster than its samples, and where each sample
belongs.

Programs that write what arrives (screen recorders, browsers, capture cards) stamp sound by one
clock while another one made its samples. Where samples are simply counted, the sound is soon out of
step with the pictures. Here the stamps count, as in FFmpeg's asynchronous resampling: sound is
stretched between points of time (`course`), and what jumps is cut or filled with silence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GAP_SECONDS = 0.05  # s; a longer jump between two pieces of sound is a hole, not rounding
MAX_OFFSET_SECONDS = 0.03  # s between counted samples and stamps; lips are out of step from 0.04 on
STEP = 5.0  # s between two points of the course: clocks do not change faster
SPIKE = 5  # pieces of a running median; a single deviating stamp among them is an error of writing
HALF = 16  # samples on each side from which a value between two samples is interpolated
PHASES = 4096  # places between two samples that the filter is made for: 72 dB below the sound


def counted(times: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Start times (s) of pieces of sound by counting samples, with holes where stamps jump ahead.

    times : (n,) stamps in s, NaN where there is none. lengths : (n,) s of the pieces.
    """
    places, end = np.empty(len(times)), None
    for number, (time, length) in enumerate(zip(times.tolist(), lengths.tolist(), strict=True)):
        stamped = (end or 0.0) if np.isnan(time) else time
        if end is None or stamped - end > GAP_SECONDS:
            end = stamped
        places[number] = end
        end += length
    return places


def course(times: np.ndarray, lengths: np.ndarray) -> tuple:
    """Where the samples of a track belong by its stamps; empty if counting samples is accurate
    enough.

    times, lengths : as in `counted`. Returns stretches without a jump, each ``(first piece, (s of
    samples since the first piece of all, …), (s on the container's clock, …))``: points of a curve
    that is straight between them.
    """
    stamped = np.isfinite(times)
    off = counted(times, lengths) - times
    if not stamped.any() or np.nanmax(np.abs(off)) <= MAX_OFFSET_SECONDS:
        return ()
    before = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    late = _without_spikes(np.interp(before, before[stamped], (times - before)[stamped]))
    starts = [0, *(np.flatnonzero(np.abs(np.diff(late)) > GAP_SECONDS) + 1).tolist()]
    return tuple(
        _stretch(start, before[start:stop], late[start:stop], lengths[stop - 1])
        for start, stop in zip(starts, [*starts[1:], len(late)], strict=True)
    )


def _without_spikes(late: np.ndarray) -> np.ndarray:
    """The running median of `SPIKE` values, the first and last ones repeated at the ends."""
    if len(late) < SPIKE:
        return late
    padded = np.pad(late, SPIKE // 2, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, SPIKE), axis=1)


def _stretch(first: int, before: np.ndarray, late: np.ndarray, last_length: float) -> tuple:
    """One stretch without a jump: a straight line through the stamps round each of its points."""
    begin, end = before[0], before[-1] + last_length
    points = np.linspace(begin, end, max(2, round((end - begin) / STEP) + 1))
    shift = np.array([_level(point, before, late) for point in points])
    clock = np.maximum.accumulate(points + shift)
    return first, tuple(points.tolist()), tuple(clock.tolist())


def _level(point: float, before: np.ndarray, late: np.ndarray) -> float:
    low, high = np.searchsorted(before, [point - STEP / 2, point + STEP / 2])
    low, high = min(low, max(len(before) - 3, 0)), max(high, min(3, len(before)))
    near, values = before[low:high] - point, late[low:high]
    if len(near) < 3 or np.ptp(near) == 0:
        return float(values.mean())
    return float(np.polyfit(near, values, 1)[1])


def said(stamps: Sequence) -> list[str]:
    """A sentence on what was done; "" if samples were counted."""
    if not stamps:
        return []
    samples = sum(points[-1] - points[0] for _, points, _ in stamps)
    clock = sum(times[-1] - times[0] for _, _, times in stamps)
    percent = 100 * (clock / samples - 1) if samples else 0.0
    pace = "slower" if percent < 0 else "faster"
    off = max(np.ptp(np.subtract(times, points)) for _, points, times in stamps)
    return [
        f"the time stamps of the sound run {abs(percent):.2g} % {pace} than its samples "
        f"({off:.2f} s at most): it was stretched to stay with the picture"
    ]


class Stretcher:
    """Resamples sound to the stamps' clock: takes pieces as they were counted, returns pieces at
    even times.

    points, clock : (s of samples, s on the clock) of one stretch. start : s, where its first sample
    in the output lies; earlier ones are left out (what came before still sounds).
    """

    def __init__(self, points: Sequence[float], clock: Sequence[float], rate: int, start: float):
        self.points, self.clock, self.rate = np.array(points), np.array(clock), rate
        self.start, self.given = start, 0
        self.held, self.first = np.zeros(HALF), -HALF  # samples from number `first` on

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take samples; returns those that are ready, (n,) float64."""
        self.held = np.concatenate([self.held, samples])
        last = self.first + len(self.held) - HALF  # the last sample with enough neighbours
        return self._until(self._time(last), last)

    def close(self) -> np.ndarray:
        """The rest, up to the last sample."""
        end = self.first + len(self.held)
        self.held = np.concatenate([self.held, np.zeros(2 * HALF)])
        return self._until(self._time(end), end)

    def _time(self, sample: int) -> float:
        """Time on the clock; extrapolated beyond the last point."""
        seconds = self.points[0] + sample / self.rate
        beyond = max(0.0, seconds - self.points[-1])
        return float(np.interp(seconds, self.points, self.clock)) + beyond

    def _until(self, time: float, last: int) -> np.ndarray:
        count = int(np.floor((time - self.start) * self.rate)) - self.given
        if count <= 0:
            return np.zeros(0)
        times = self.start + (self.given + np.arange(count)) / self.rate
        places = (np.interp(times, self.clock, self.points) - self.points[0]) * self.rate
        beyond = np.maximum(0.0, times - self.clock[-1]) * self.rate
        places = np.minimum(places + beyond, last) - self.first
        self.given += count
        out = between(self.held, places)
        passed = max(0, int(places[-1]) - 2 * HALF)
        self.held, self.first = self.held[passed:], self.first + passed
        return out


def between(samples: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values of a waveform (n,) at places between its samples, by a windowed sinc of 32 samples."""
    whole = np.floor(places).astype(np.int64)
    phase = np.minimum(((places - whole) * PHASES).astype(np.int64), PHASES - 1)
    rows = whole[:, None] + np.arange(1 - HALF, HALF + 1)
    rows = np.clip(rows, 0, len(samples) - 1)
    return np.einsum("ij,ij->i", samples[rows], FILTER[phase])


def _filter() -> np.ndarray:
    """(PHASES, 32): each row is the sinc under a Hann window, for one place between two samples."""
    offsets = np.arange(1 - HALF, HALF + 1) - (np.arange(PHASES)[:, None] + 0.5) / PHASES
    window = np.cos(np.pi * np.clip(offsets / HALF, -1, 1) / 2) ** 2
    return np.sinc(offsets) * window


FILTER = _filter()
