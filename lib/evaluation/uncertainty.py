"""Calibration of a network's uncertainty: how many labels its predicted deviations cover.

Predictions with `valence_sd` and `arousal_sd` are read; the factors on these deviations were
fitted on val trials (`lib.training.uncertainty`), so only test trials are a fair judge of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..metrics import EMOTIONS
from ..training.uncertainty import BAND, half_width
from .predictions import Predictions

NOMINAL = tuple(round(0.05 * k, 2) for k in range(1, 20))  # 5 % to 95 %
BINS = 8  # bins of equally many frames, by their predicted deviation
SD_COLUMNS = [f"{emotion}_sd" for emotion in EMOTIONS]
# suffixes of the columns that are compared with the labels
COLUMN_SUFFIXES = {"raw": "_raw", "smoothed": ""}


def read(predictions: Predictions, trials, kind: str = "raw") -> tuple[np.ndarray, np.ndarray]:
    """Label − prediction and predicted deviation of all frames of some trials, (N, 2) each, NaN
    where unknown. kind : "raw", to which the deviations belong, or "smoothed".
    """
    errors, spread = [np.zeros((0, 2))], [np.zeros((0, 2))]
    for trial in trials:
        rows = predictions.table(trial)
        values = rows.reindex(columns=[f"{emotion}{COLUMN_SUFFIXES[kind]}" for emotion in EMOTIONS])
        known = rows.reindex(columns=[f"label_{emotion}" for emotion in EMOTIONS])
        errors.append(known.to_numpy(float) - values.to_numpy(float))
        spread.append(rows.reindex(columns=SD_COLUMNS).to_numpy(float))
    return np.concatenate(errors), np.concatenate(spread)


def _tells(predictions: Predictions, trials: pd.Series) -> bool:
    """Whether predictions have deviations; the first table decides, since all have the same
    columns.
    """
    return len(trials) > 0 and set(SD_COLUMNS) <= set(predictions.table(trials.iloc[0]))


def _of_splits(table: pd.DataFrame, predictions: Predictions, kind: str = "raw"):
    """(split, emotion, errors (n,), deviations (n,)) of frames where both are known; nothing for a
    network without predicted deviations, which one table shows.
    """
    if not _tells(predictions, table["trial"]):
        return
    for split, rows in table.groupby("split", observed=True):
        errors, spread = read(predictions, rows["trial"], kind)
        known = np.isfinite(errors) & np.isfinite(spread)
        for column, emotion in enumerate(EMOTIONS):
            if known[:, column].any():
                chosen = known[:, column]
                yield split, emotion, errors[chosen, column], spread[chosen, column]


def coverage(table: pd.DataFrame, predictions: Predictions) -> pd.DataFrame:
    """Coverage: the share of labels inside the central interval of each nominal share.

    table : trial table. Returns a row for each split, emotion and share: split, emotion, nominal,
        covered (0…1 both), n_frames; none without deviations.
    """
    lines = []
    for split, emotion, errors, spread in _of_splits(table, predictions):
        ratio = np.abs(errors) / spread
        for nominal in NOMINAL:
            covered = float((ratio <= half_width(nominal)).mean())
            lines.append([split, emotion, nominal, covered, len(errors)])
    return pd.DataFrame(lines, columns=["split", "emotion", "nominal", "covered", "n_frames"])


def reliability(table: pd.DataFrame, predictions: Predictions, bins: int = BINS) -> pd.DataFrame:
    """Actual error (RMSE) against predicted deviation, in bins of equally many frames from the most
    to the least certain.

    Returns split, emotion, predicted, made (label units), n_frames. Arguments as of `coverage`.
    """
    lines = []
    for split, emotion, errors, spread in _of_splits(table, predictions):
        for frames in np.array_split(np.argsort(spread, kind="stable"), min(bins, len(spread))):
            predicted, made = (
                float(np.sqrt(np.mean(np.square(values[frames])))) for values in (spread, errors)
            )
            lines.append([split, emotion, predicted, made, len(frames)])
    return pd.DataFrame(lines, columns=["split", "emotion", "predicted", "made", "n_frames"])


def summary(recipe, table: pd.DataFrame, predictions: Predictions) -> dict:
    """The entry of metrics.json: the fitted factors, and the share of labels inside the 90 %
    intervals, for raw and smoothed values; {} for a network without predicted deviations.
    """
    shares: dict = {}
    for kind in COLUMN_SUFFIXES:
        for split, emotion, errors, spread in _of_splits(table, predictions, kind):
            covered = float((np.abs(errors) <= half_width(BAND) * spread).mean())
            scores = shares.setdefault(split, {}).setdefault(emotion, {"n_frames": len(errors)})
            scores[f"covered_90_{kind}"] = covered
    if not shares:
        return {}
    factor: Mapping = recipe.statistics.get("sd_factor", {})
    why = "val trials, in the training, at the epoch that is kept" if factor else "nothing"
    return {"factor": dict(factor), "fitted_on": why, **shares}
