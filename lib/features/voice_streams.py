"""The numbers of `voice.prepared` as streams of a fusion network: their columns, the measures of
their reliability, and their mean and deviation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .voice import BANDS

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


def cut(
    features: np.ndarray, valid: np.ndarray, on: Mapping[str, np.ndarray], gate_by: Sequence[str]
) -> dict[str, np.ndarray]:
    """The inputs of `lib.models.affect.gated_utterance` from the rows of a batch.

    Arguments
    ---------
    features : (B, T, 75) float32, standardised. valid : (B, T) bool, which rows there are.
    on : stream -> (B,) bool, in which recordings it is. gate_by : of `RELIABILITY`.

    Returns `stream_<name>` (B, T, numbers) and `seen_<name>` (B, T) of each stream, and
    `reliability` (B, T, 2 for each of `gate_by`): the number, and whether it is known. For a stream
    that is switched off nothing is known, and the numbers are zeros.
    """
    seen = {name: valid & each[:, None] for name, each in on.items()}
    parts = [np.zeros((*valid.shape, 0), np.float32)]
    for name, column in told_by(on, gate_by):
        known = seen[name]
        parts += [np.where(known, features[..., column], 0)[..., None], known[..., None]]
    batch = {"reliability": np.concatenate(parts, axis=2, dtype=np.float32)}
    for name, known in seen.items():
        batch[f"seen_{name}"] = known
        batch[f"stream_{name}"] = np.where(known[..., None], features[..., COLUMNS[name]], 0)
    return batch


def moments(
    of_columns: Mapping[str, Sequence[float]], names: Iterable[str], gate_by: Sequence[str]
) -> dict[str, dict[str, list[float]]]:
    """Mean and deviation that each input of `cut` is standardised by.

    of_columns : those of the 75 columns. names : of the streams. gate_by : see `cut`.
    """
    by_input = {f"stream_{name}": _picked(of_columns, COLUMNS[name]) for name in names}
    columns = [column for _, column in told_by(names, gate_by)]
    if columns:  # whether a number is known stays as it is
        mean = np.array([[of_columns["mean"][column], 0.0] for column in columns])
        std = np.array([[of_columns["std"][column], 1.0] for column in columns])
        by_input["reliability"] = {"mean": mean.ravel().tolist(), "std": std.ravel().tolist()}
    return by_input


def _picked(of_columns: Mapping[str, Sequence[float]], columns: Sequence[int]) -> dict:
    return {key: [values[column] for column in columns] for key, values in of_columns.items()}
