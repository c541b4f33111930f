"""Sound of a video on the container's clock, as the store keeps it: sample i is heard at ``t0 + i / rate``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lib import media

FULL_SCALE = 32767  # 16 bits a sample, as the wav files of the published pipelines (specs of TSAV, §1.4)


def decode(path: Path, rate: int) -> tuple[np.ndarray, float]:
    """Mono sound of a media file: (n,) int16 at `rate` Hz and ``t0`` in s, without padding or trimming.

    Raises InputError when the file cannot be read or has no audio track.
    """
    pieces, start = [], None
    for time, piece in media.sound_pieces(path, rate):
        start = time if start is None else start
        pieces.append(np.round(piece * FULL_SCALE).astype(np.int16))
    return np.concatenate(pieces), start


def as_float(samples: np.ndarray) -> np.ndarray:
    """(n,) int16 -> (n,) float32 in −1 … 1."""
    return np.asarray(samples, np.float32) / FULL_SCALE


def between(samples: np.ndarray, t0: float, rate: float, start: float, stop: float) -> np.ndarray:
    """Sound from `start` to `stop` s on the container's clock, float32; silence where the file has none."""
    first, last = round((start - t0) * rate), round((stop - t0) * rate)
    out = np.zeros(max(last - first, 0), np.float32)
    inside = slice(max(first, 0), min(max(last, 0), len(samples)))
    piece = as_float(samples[inside])
    out[inside.start - first:inside.start - first + len(piece)] = piece
    return out
