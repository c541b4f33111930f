"""Frames on a time line: how far apart they are, which one is nearest, where stretches of them
begin and end.
"""

from __future__ import annotations

import numpy as np

ALONE = 0.04  # s, of a frame beside which there is no other: 25 per second


def spacing(times: np.ndarray, alone: float = 0.0) -> float:
    """Median distance of neighbours in s, of times (T,) in s; `alone` where there are no two."""
    return float(np.median(np.diff(times))) if len(times) > 1 else alone


def ends(times: np.ndarray, numbers: np.ndarray | None = None) -> np.ndarray:
    """(T,) s: when each frame of a recording ends, of increasing times (T,) in s.

    A frame lasts until the next one is shown, however uneven the rate is; the last one lasts as
    long as the median frame, and the only one `ALONE`.

    numbers : (T,) of the frames, where some of the recording's are left out: a frame whose next one
        is not there lasts as long as the median frame, too.
    """
    usual = spacing(times, ALONE)
    stops = np.append(times[1:], times[-1:] + usual)
    if numbers is None:
        return stops
    return np.where(np.diff(numbers, append=np.inf) == 1, stops, times + usual)


def nearest(times: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """(n,) int64: index into increasing times (T,) of the one nearest to each of `moments` (n,); of
    two that are equally near the earlier one.
    """
    right = np.clip(np.searchsorted(times, moments), 1, max(1, len(times) - 1))
    left = right - 1
    right = np.minimum(right, len(times) - 1)
    return np.where(moments - times[left] <= times[right] - moments, left, right)


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and one past the last frame of every run of True in flags (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.asarray(flags, bool), [False]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
