"""The numbers of `voice.prepared`, and other streams beside them, as streams of a fusion network:
their columns, the measures of their reliability, their mean and deviation, and rows at the same
times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..media.frames import nearest, spacing
from .voice import BANDS, HOP, RATE

PERIOD = HOP / RATE  # s from one row of a voice to the next, as it is played

# Columns of `voice.prepared`: the spectrum; pitch, voicing and harmonics; level and length.
COLUMNS = {
    "spectrum": list(range(BANDS)),
    "melody": [*range(BANDS, BANDS + 6), BANDS + 9],
    "loudness": [*range(BANDS + 6, BANDS + 9), BANDS + 10],
}
# Measures of a row's reliability: stream and column. The level is relative to the loudest frame.
RELIABILITY = {"voicing": ("melody", BANDS + 5), "level": ("loudness", BANDS + 7)}


def told_by(names: Iterable[str], gate_by: Sequence[str]) -> list[tuple[str, int]]:
    """Stream and column of each number that the gates see, for the streams in use."""
    present = set(names)
    return [RELIABILITY[name] for name in gate_by if RELIABILITY[name][0] in present]


def moments(times: np.ndarray, speed: float, period: float) -> np.ndarray:
    """(T',) s of the rows of a recording that is played `speed` times as fast: of its video frames,
    whose `times` are (T,) s, or `period` s apart as it is played, where this is not 0.
    """
    if period:
        count = int((times[-1] - times[0] + spacing(times)) / (period * speed))
        return times[0] + period * speed * np.arange(max(1, count))
    return times[np.arange(0, len(times), speed).astype(int)]


def frames_at(times: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the video frame nearest to each of `rows` (n,) s, and (n,) bool: whether it is no
    farther than the next frame would be. times : (T,) s of the frames.
    """
    frames = nearest(times, rows)
    return frames, np.abs(times[frames] - rows) <= spacing(times, alone=PERIOD)


def cut(
    features: np.ndarray,
    seen: Mapping[str, np.ndarray],
    columns: Mapping[str, Sequence[int]],
    gate_by: Sequence[str],
) -> dict[str, np.ndarray]:
    """The inputs of `lib.models.affect.gated_utterance` from the rows of a batch.

    Arguments
    ---------
    features : (B, T, k) float32, standardised; a voice's columns come first.
    seen : stream -> (B, T) bool, where it was observed. columns : stream -> its own of the k.
    gate_by : of `RELIABILITY`.

    Returns `stream_<name>` (B, T, numbers) and `seen_<name>` (B, T) of each stream, and
    `reliability` (B, T, 2 for each of `gate_by`): the number, and whether it is known. For a stream
    that is switched off nothing is known, and the numbers are zeros.
    """
    parts = [np.zeros((*features.shape[:2], 0), np.float32)]
    for name, column in told_by(seen, gate_by):
        known = seen[name]
        parts += [np.where(known, features[..., column], 0)[..., None], known[..., None]]
    batch = {"reliability": np.concatenate(parts, axis=2, dtype=np.float32)}
    for name, known in seen.items():
        batch[f"seen_{name}"] = known
        batch[f"stream_{name}"] = np.where(known[..., None], features[..., columns[name]], 0)
    return batch


def statistics_of(
    of_columns: Mapping[str, Sequence[float]],
    columns: Mapping[str, Sequence[int]],
    gate_by: Sequence[str],
) -> dict[str, dict[str, list[float]]]:
    """Mean and deviation that each input of `cut` is standardised by.

    of_columns : those of all columns. columns : stream -> its own. gate_by : see `cut`.
    """
    by_input = {f"stream_{name}": _picked(of_columns, indices) for name, indices in columns.items()}
    gate_columns = [column for _, column in told_by(columns, gate_by)]
    if gate_columns:  # whether a number is known stays as it is
        mean = np.array([[of_columns["mean"][column], 0.0] for column in gate_columns])
        std = np.array([[of_columns["std"][column], 1.0] for column in gate_columns])
        by_input["reliability"] = {"mean": mean.ravel().tolist(), "std": std.ravel().tolist()}
    return by_input


def _picked(of_columns: Mapping[str, Sequence[float]], columns: Sequence[int]) -> dict:
    return {key: [values[column] for column in columns] for key, values in of_columns.items()}
