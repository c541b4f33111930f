"""Triangular bands on the mel scale 1127 · ln(1 + f / 700), as MFCC, VGGish and the voice features
share them.

Two others differ on purpose: `mel` has torchaudio's `melscale_fbanks`, whose triangles are linear
in Hz, and `mfcc` moves the corners to FFT bins, as python_speech_features does. The triangles here
are linear in mel, like those of VGGish and Kaldi; `torchaudio.compliance.kaldi` has them in float32
and without the last FFT bin.
"""

from __future__ import annotations

import numpy as np


def mel(hertz: np.ndarray | float) -> np.ndarray:
    """HTK mel scale: 1127 ln(1 + f / 700)."""
    return 1127 * np.log1p(np.asarray(hertz, np.float64) / 700)


def triangles(low: float, high: float, bands: int, points: int, rate: float) -> np.ndarray:
    """(points / 2 + 1, bands) weights of the bins of an FFT: triangles that are linear in mel, with
    peak 1 and corners that lie equally far apart in mel.

    low, high : Hz, the first and the last corner. points : of the FFT. rate : samples per second.
    """
    edges = np.linspace(mel(low), mel(high), bands + 2)
    bins = mel(np.arange(points // 2 + 1) * rate / points)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(np.minimum(rising, falling), 0)
