"""Choose the annotation delay: the CCC that a simple regression reaches on training labels shifted
by each of several delays.

People who move a slider while they watch react late, by some seconds (Mariooryad & Busso, IEEE
Transactions on Affective Computing 2015). Labels that are shifted back by the right delay can be
predicted best from picture and sound.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from .. import arrays, metrics
from ..errors import InputError
from ..labels import arrays as labels_arrays
from ..metrics import EMOTIONS
from ..store import Store, request
from ..trials import label_files
from . import baselines

SIDE = 8  # px of the faces that the regression sees
PARTS = 2  # parts of the training trials, each predicted by a regression on the others
COLUMNS = ("delay", "emotion", "ccc", "frames")


def curve(
    table: pd.DataFrame, store: Store, delays: Sequence[float], mismatch: str = "fit"
) -> pd.DataFrame:
    """Training CCC against delay: one row per delay and emotion, `COLUMNS`; empty without `delays`.

    table : trial table; its train trials with labels count. store : has pixels or
        loudness of these trials.
    delays : s. Every delay is scored on the same frames.

    Half of the trials are predicted by a ridge regression on the other half, from 8×8 pixels of the
    face and the loudness; the penalty is the best one. Raises InputError where fewer than two
    trials have labels and inputs.
    """
    if not len(delays):
        return pd.DataFrame(columns=list(COLUMNS))
    data = []
    for trial in table[(table["split"] == "train") & (table["va_path"] != "")].to_dict("records"):
        with contextlib.suppress(InputError):
            data.append((inputs(trial, store), _labels(trial, store, delays, mismatch)))
    wide = max((x.shape[1] for x, _ in data), default=0)
    data = [(x, y) for x, y in data if x.shape[1] == wide]
    if len(data) < PARTS:
        raise InputError(
            f"{len(data)} train trials with labels, and pixels or loudness",
            where=store.folder,
            expected=f"{PARTS} or more",
            todo="label more recordings, or leave label_delays empty",
        )
    return pd.DataFrame(scores(data, delays), columns=list(COLUMNS))


def scores(data: Sequence[tuple[np.ndarray, np.ndarray]], delays: Sequence[float]) -> list[tuple]:
    """Rows of `curve` from (inputs (T, d), labels (delays, T, 2)) of each trial."""
    use = [np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=(0, 2)) for x, y in data]
    rows = []
    for number, delay in enumerate(delays):
        pairs = [(x[known], y[number][known]) for (x, y), known in zip(data, use, strict=True)]
        predictions, label = _crossed(pairs)
        for k, emotion in enumerate(EMOTIONS):
            best = float("nan")
            if len(label):
                best = max(metrics.ccc(prediction[:, k], label[:, k]) for prediction in predictions)
            rows.append((float(delay), emotion, best, len(label)))
    return rows


def best(rows: pd.DataFrame) -> float | None:
    """The delay with the highest mean CCC of both emotions; None without a row."""
    means = rows.groupby("delay")["ccc"].mean()
    return None if means.empty or means.isna().all() else float(means.idxmax())


def inputs(trial: Mapping, store: Store) -> np.ndarray:
    """(T, d) inputs that need no network: pixels of the face (NaN without one), loudness, or one of
    them.
    """
    columns = []
    with contextlib.suppress(InputError):
        seen = baselines.pixels(np.asarray(arrays.read(trial, request("pixels"), store)), SIDE)
        valid = np.asarray(arrays.read(trial, request("face_valid"), store), bool)
        columns += [np.where(valid[:, None], seen, np.nan)] if valid.any() else []
    with contextlib.suppress(InputError):
        columns.append(np.asarray(arrays.read(trial, request("loudness"), store)))
    if not columns:
        raise InputError(
            "neither pixels nor loudness",
            where=f"trial {trial['trial']}",
            todo="run notebooks 02 and 03 first",
        )
    return np.concatenate(columns, axis=1)


def _labels(trial: Mapping, store: Store, delays: Sequence[float], mismatch: str) -> np.ndarray:
    paths = [store.data_root / file for file in label_files(trial["va_path"])[0]]
    times = np.asarray(arrays.read(trial, request("time"), store))
    parameters = labels_arrays.resolve(trial, request("va", mismatch=mismatch), store).parameters
    read = partial(labels_arrays.read, paths, "va", times)
    return np.stack([read({**parameters, "delay": float(delay)})[0] for delay in delays])


def _crossed(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (penalties, n, 2) of each part by a regression on the others; labels (n, 2)."""
    predictions, known = [], []
    for part in range(PARTS):
        learnt = [
            pair for number, pair in enumerate(pairs) if number % PARTS != part and len(pair[0])
        ]
        asked = [
            pair for number, pair in enumerate(pairs) if number % PARTS == part and len(pair[0])
        ]
        if learnt and asked:
            ridge = baselines.Ridge(learnt)
            predictions += [ridge.predict(x) for x, _ in asked]
            known += [y for _, y in asked]
    if not known:
        return np.zeros((1, 0, 2)), np.zeros((0, 2))
    return np.concatenate(predictions, axis=1), np.concatenate(known)
