"""Sounds whose features are known: the goldens' two tones, and a click at a known time."""

import numpy as np

RATE = 16_000


def tones(seconds, rate=RATE):
    """The signal of the feature goldens, int16."""
    t = np.arange(rate * seconds) / rate
    wave = 0.4 * np.sin(2 * np.pi * 220 * t) + 0.2 * np.sin(2 * np.pi * 1300 * t * (1 + 0.1 * t))
    return np.rint(32767 * wave).astype(np.int16)


def click(seconds, at, t0=0.0):
    """Silence with one loud sample at `at` s of a clock on which the sound begins at `t0` s."""
    sound = np.zeros(int(RATE * seconds), np.int16)
    sound[round((at - t0) * RATE)] = 30_000
    return sound


def changed(rows, silence):
    """Indices of the rows that differ from what silence gives."""
    return np.flatnonzero(np.abs(rows - silence).max(axis=1) > 1e-4)
