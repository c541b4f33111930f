"""What anything that is called a network must beat on RAVDESS: 100 statistics of cepstra and a
ridge regression, on the same folds.

All constants are those of an earlier count on the same recordings: 20 cepstra of 40 bands, windows
of 25 ms every 20 ms, of the frames above the recording's lower quartile of energy their mean,
deviation, 10th and 90th percentile and the deviation of their differences; a penalty of 30.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.fft import dct

from lib.datasets import ravdess
from lib.media import sound

RATE, WINDOW, HOP, FFT = 16_000, 400, 320, 512
CEPSTRA, BANDS, LIFTER, PRE_EMPHASIS = 20, 40, 22, 0.97
PENALTY = 30.0
TINY = np.finfo(float).eps


def cepstra(samples: np.ndarray) -> np.ndarray:
    """(n,) int16 -> (T, 20); the first is the logarithm of the energy."""
    x = samples.astype(np.float64)
    x = np.append(x[0], x[1:] - PRE_EMPHASIS * x[:-1])
    frames = 1 + max(0, -(-(len(x) - WINDOW) // HOP))
    x = np.append(x, np.zeros(max(0, (frames - 1) * HOP + WINDOW - len(x))))
    windows = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP][:frames]
    power = np.abs(np.fft.rfft(windows, FFT)) ** 2 / FFT
    energy = np.maximum(power.sum(axis=1), TINY)
    logs = np.log(np.maximum(power @ _bank().T, TINY))
    found = dct(logs, type=2, axis=1, norm="ortho")[:, :CEPSTRA]
    found *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(CEPSTRA) / LIFTER)
    found[:, 0] = np.log(energy)
    return found


def _bank() -> np.ndarray:
    """(40, 257) triangles whose corners lie on bins."""
    points = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), BANDS + 2)
    corner = np.floor((FFT + 1) * 700 * (10 ** (points / 2595) - 1) / RATE)
    bins, rows = np.arange(FFT // 2 + 1), []
    for low, middle, high in zip(corner, corner[1:], corner[2:], strict=False):
        rising = (bins >= low) & (bins < middle)
        falling = (bins >= middle) & (bins < high)
        row = np.where(rising, (bins - low) / max(middle - low, 1), 0.0)
        rows.append(row + np.where(falling, (high - bins) / max(high - middle, 1), 0.0))
    return np.array(rows)


def statistics(samples: np.ndarray) -> np.ndarray:
    """(100,) numbers of a recording."""
    rows = cepstra(samples)
    rows = rows[rows[:, 0] > np.percentile(rows[:, 0], 25)]
    low, high = np.percentile(rows, (10, 90), axis=0)
    return np.concatenate([rows.mean(0), rows.std(0), low, high, np.diff(rows, axis=0).std(0)])


def features(data: Path, table: pd.DataFrame) -> np.ndarray:
    """(N, 100) of the recordings of a trial table."""
    paths = [data / path for path in table["audio_path"]]
    return np.array([statistics(sound.decode(path, RATE)[0]) for path in paths])


def ridge(x: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """(n, d) and (n,) classes to learn from, (m, d) -> (m, 8)."""
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    x, test = (np.column_stack([(rows - mean) / spread, np.ones(len(rows))]) for rows in (x, test))
    inside = x.T @ x + PENALTY * np.eye(x.shape[1])
    return test @ np.linalg.solve(inside, x.T @ np.eye(len(ravdess.CLASSES))[labels])


def crossed(x: np.ndarray, table: pd.DataFrame, labels: np.ndarray) -> np.ndarray:
    """(N,) classes, each predicted by the fold that did not learn from it."""
    found = np.zeros(len(x), np.int64)
    for fold in range(len(ravdess.FOLDS)):
        test = (table["fold"] == fold).to_numpy()
        found[test] = ridge(x[~test], labels[~test], x[test]).argmax(axis=1)
    return found


def of_speakers(x: np.ndarray, actors: np.ndarray) -> np.ndarray:
    """Each actor's recordings against that actor's own mean and deviation, test actors' too."""
    found = x.copy()
    for actor in np.unique(actors):
        rows = actors == actor
        found[rows] = (x[rows] - x[rows].mean(axis=0)) / (x[rows].std(axis=0) + 1e-6)
    return found


def shuffled(labels: np.ndarray, actors: np.ndarray, seed: int) -> np.ndarray:
    """Labels that changed places within each actor."""
    generator, found = np.random.default_rng(seed), labels.copy()
    for actor in np.unique(actors):
        rows = np.flatnonzero(actors == actor)
        found[rows] = labels[rows[generator.permutation(len(rows))]]
    return found
