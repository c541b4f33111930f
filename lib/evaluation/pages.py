"""Pictures of a trial's predictions: the whole course over time, and one moment of it."""

from __future__ import annotations

import contextlib

import numpy as np
import pandas as pd

from .. import arrays, plots
from ..errors import InputError
from ..media import sound
from ..metrics import EMOTIONS
from ..plots import preprocessing
from ..store import Store, request
from .predictions import Predictions


def best_and_worst(scores: pd.DataFrame) -> list[str]:
    """The trial with the highest and the one with the lowest mean CCC."""
    means = scores.groupby("trial")["ccc"].mean().sort_values()
    return list(dict.fromkeys([means.index[-1], means.index[0]])) if len(means) else []


def traces(predictions: Predictions, note: str, name: str):
    """Prediction and, where known, label of the trial `name` over time."""
    rows = predictions.table(name, ["time"])
    values, known = predictions.pairs(name)
    times, title = rows["time"].to_numpy(), f"trial {name}"
    raw, sd = _columns(rows, "{}_raw"), _columns(rows, "{}_sd")
    return plots.prediction_traces(times, known, values, raw=raw, title=title, note=note, sd=sd)


def _columns(rows: pd.DataFrame, name: str) -> np.ndarray:
    """(T, 2): the columns of both emotions, NaN if there is none; "{}" in `name` is the name."""
    names = [name.format(emotion) for emotion in EMOTIONS]
    return rows.reindex(columns=names).to_numpy(float)


def whole_trial(
    table: pd.DataFrame, store: Store, size: int, predictions: Predictions, note: str, name: str
) -> plots.Trial:
    """Picture, sound, labels and predictions of the trial `name`, for `viewer.explore`; absent
    parts are left out.

    size : of the faces in px.
    """
    trial, rows = preprocessing.row(table, name), predictions.table(name)
    values = _columns(rows, "{}")
    known = _columns(rows, "label_{}")
    parts: dict = {"sd": _columns(rows, "{}_sd")}
    with contextlib.suppress(InputError):  # a network that uses sound only needs no faces
        parts["faces"] = arrays.opened(trial, request("face", size=size), store)
    with contextlib.suppress(InputError):  # and one that uses pictures only needs no sound
        audio = request("audio_44k", rate=sound.SOUND_RATE)
        parts |= {
            "sound": arrays.read(trial, audio, store),
            "rate": sound.SOUND_RATE,
            "t0": arrays.facts(trial, audio, store)["t0"],
            "mel": preprocessing.decibels(trial, store),
        }
    return plots.Trial(name, rows["time"].to_numpy(), values, known, note=note, **parts)
