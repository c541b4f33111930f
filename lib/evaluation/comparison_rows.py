"""The rows of a comparison: each run, each experiment of several seeds, each trivial predictor, and
their differences from a reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from .. import files, intervals, runs
from ..errors import InputError
from ..files import damaged
from ..metrics import EMOTIONS, SHOWN, TASKS, main_score
from . import paired
from .predictions import Predictions

# Columns of the scores of other tasks -> how they are headed: ``expression_uar``, expression UAR.
OF_TASKS = {f"{task}_{key}": f"{TASKS[task]} {SHOWN[key]}" for task, key in product(TASKS, SHOWN)}


def table(
    evaluated: dict[Path, dict],
    groups: dict[Path, str],
    split: str,
    against: str = "",
    carried: Predictions | None = None,
) -> pd.DataFrame:
    """A row for each experiment of several seeds, each run and each trivial predictor.

    carried : the predictions of one of the runs, if they are in memory. ``attrs["unpaired"]`` of
        the table has the runs without a difference whose prediction files were lost or changed.
    """
    rows = []
    for letter in dict.fromkeys(groups.values()):
        members = {folder: evaluated[folder] for folder in evaluated if groups[folder] == letter}
        rows += _rows_on_same_frames(members, letter, split, carried)
    for row in rows:
        row["scored"] = paired.of_runs(row["outcomes"])
    _add_differences(rows, against)
    why = {row["name"]: row.pop("unpaired", "") for row in rows}
    for row in rows:
        del row["scored"]
        del row["outcomes"]
    trivial = baselines(list(evaluated.values()))
    all_rows = pd.DataFrame(
        rows + [_baseline_row(name, scores) for name, scores in trivial.items()]
    )
    all_rows.attrs["unpaired"] = {name: text for name, text in why.items() if text}
    return all_rows


def _rows_on_same_frames(
    evaluated: dict[Path, dict], letter: str, split: str, carried: Predictions | None
) -> list[dict]:
    rows = []
    for members in paired.experiments(list(evaluated)):
        single = []
        for folder in members:
            predictions = _predictions(folder, carried)
            single.append(_run_row(folder, evaluated[folder], split, letter, predictions))
        if len(members) > 1:
            rows.append(_seeds_row(single))
            single = [row | {"part_of": rows[-1]["name"]} for row in single]
        rows += single
    return rows


def _predictions(folder: Path, carried: Predictions | None) -> Predictions:
    """The predictions of a run folder: `carried` if they are its own."""
    predictions_folder = folder / "predictions"
    return (
        carried
        if carried and carried.folder == predictions_folder
        else Predictions(predictions_folder)
    )


def _seeds_row(rows: list[dict]) -> dict:
    """One row for several seeds of an experiment: means, spread over seeds, an interval."""
    first, parts = rows[0], [row["outcomes"][0] for row in rows]
    same = ("recipe", "modality", "rules", "data", "frames", "trials", "n_weights")
    mean_row = {name: first[name] for name in same}
    mean_row |= {
        "name": f"{first['name']} ({len(rows)} seeds)",
        "seeds": len(rows),
        "outcomes": parts,
    }
    numbers = [*EMOTIONS, "mean", *(name for name in OF_TASKS if name in first)]
    smoothed = [f"{emotion}_smoothed" for emotion in EMOTIONS]
    for name in [*numbers, *smoothed, "seconds_per_epoch"]:
        values = [row.get(name) for row in rows]
        mean_row[name] = sum(values) / len(values) if None not in values else None
        if name in numbers and None not in values:
            mean_row[f"{name}_over_seeds"] = float(pd.Series(values).std(ddof=1))
    for name, (scores, left_out) in paired.of_runs(parts).items():
        interval = intervals.over_seeds(scores, left_out, "correlation", first["trials"])["ci95"]
        mean_row[f"{name}_low"], mean_row[f"{name}_high"] = interval or (None, None)
    return mean_row


def _add_differences(rows: list[dict], against: str) -> None:
    """Add to each shown row the difference of its CCC from that of its block's reference."""
    for letter in dict.fromkeys(row["data"] for row in rows):
        block = [row for row in rows if row["data"] == letter]
        references = [row for row in block if row["name"] == against]
        reference = (references or block)[0]
        for row in block:
            if row is reference or row.get("part_of") == reference["name"]:
                continue
            differences = paired.difference(
                row["outcomes"], reference["outcomes"], row["scored"], reference["scored"]
            )
            row["unpaired"] = row.get("unpaired") or _relabelled(row, reference, differences)
            for name, entry in differences.items():
                low, high = entry["ci95"] or (None, None)
                row |= {
                    f"{name}_above": entry["difference"],
                    f"{name}_above_low": low,
                    f"{name}_above_high": high,
                    "reference": reference["name"],
                }


def _relabelled(row: dict, reference: dict, differences: dict) -> str:
    """Why two experiments on the same trials have no difference of some emotions, which both have
    predicted; "" for none.
    """
    mine, theirs = row["outcomes"][0], reference["outcomes"][0]
    same = (name for name in mine.keys() & theirs if mine[name].trials == theirs[name].trials)
    if not (other := sorted(set(same) - differences.keys())):
        return ""
    labels = f"labels of {' and '.join(other)}"
    return f"its prediction files hold other {labels} than those of {reference['name']}"


def _run_row(
    folder: Path, metrics: dict, split: str, letter: str, predictions: Predictions
) -> dict:
    p = runs.parameters(folder)
    outcomes, why = _outcomes(predictions, metrics, split)
    row = {
        "name": folder.name,
        "recipe": p.get("recipe", ""),
        "modality": p.get("modality", ""),
        "rules": metrics.get("rules", p.get("rules", "")),
        "data": letter,
        "outcomes": [outcomes],
        "unpaired": why,
    }
    for name in (*EMOTIONS, "mean"):
        scores = metrics[split].get(name, {})
        low, high = scores.get("ci95") or (None, None)
        row |= {name: scores.get("ccc"), f"{name}_low": low, f"{name}_high": high}
    for emotion in EMOTIONS:
        row[f"{emotion}_smoothed"] = (
            metrics.get(f"{split}_smoothed", {}).get(emotion, {}).get("ccc")
        )
    both = [row[emotion] for emotion in EMOTIONS]
    # a run from before the mean was stored: without an interval
    if row["mean"] is None and None not in both:
        row["mean"] = sum(both) / len(both)
    scores = next(iter(scored(metrics[split]).values()), {})
    return {
        **row,
        **_of_tasks(metrics[split]),
        "frames": scores.get("n_frames"),
        "trials": scores.get("n_trials"),
        "epoch": metrics.get("epoch"),
        "n_weights": metrics.get("n_weights"),
        "seconds_per_epoch": seconds(folder),
    }


def _of_tasks(scores: Mapping) -> dict:
    """The columns of the main scores of other tasks than valence and arousal."""
    row = {}
    for task in TASKS:
        entry = scores.get(task)
        if key := main_score(entry):
            low, high = entry.get("ci95") or (None, None)
            column = f"{task}_{key}"
            row |= {column: entry[key], f"{column}_low": low, f"{column}_high": high}
    return row


def scored(scores: Mapping) -> dict[str, dict]:
    """The entries of a split that say on what a run was scored: valence and arousal or, without
    both, those of other tasks. An emotion that was not learnt has no frames, and is left out.
    """
    for names in (EMOTIONS, TASKS):
        entries = {name: scores.get(name) or {"n_frames": 0} for name in names}
        known = {name: entry for name, entry in entries.items() if entry.get("n_frames") != 0}
        if known:
            return known
    return {}


def _outcomes(predictions: Predictions, metrics: dict, split: str) -> tuple[dict, str]:
    """What a run is paired by, and why it is not, or not by all: a damaged file of one run stops
    no comparison of the others.
    """
    try:
        by_emotion = paired.outcomes(predictions, metrics, split)
        return by_emotion, paired.unpaired(predictions, metrics, split, by_emotion)
    except InputError as error:
        return {}, error.what


def seconds(folder: Path) -> float | None:
    """Median seconds of a training epoch without validation; None for published networks."""
    path = folder / "history.csv"
    return _seconds(path, files.version(path)) if path.is_file() else None


@lru_cache(maxsize=4096)
def _seconds(history: Path, _changed: tuple) -> float:
    seconds = runs.read_numbers(history, ["seconds"]).get("seconds")
    if seconds is None:
        raise damaged(history, "there is no column seconds")
    return float(np.nanmedian(seconds)) if np.isfinite(seconds).any() else float("nan")


def baselines(all_metrics: list[dict]) -> dict[str, dict]:
    """Trivial predictors, each once for runs on the same data; all if they differ."""
    predictors: dict[str, dict] = {}
    for metrics in all_metrics:
        for name, scores in metrics.get("baselines", {}).items():
            if not scores.keys() & {*EMOTIONS, *TASKS}:
                continue
            number, unique = 1, name
            while unique in predictors and predictors[unique] != scores:
                number += 1
                unique = f"{name} ({number})"
            predictors[unique] = scores
    return predictors


def _baseline_row(name: str, scores: dict) -> dict:
    plain = {
        emotion: value.get("ccc") if isinstance(value, dict) else value
        for emotion, value in scores.items()
    }
    both = [plain.get(emotion) for emotion in EMOTIONS]
    mean = sum(both) / len(both) if None not in both else None
    return {
        "name": name,
        "recipe": "baseline",
        "data": "",
        **dict(zip(EMOTIONS, both, strict=True)),
        "mean": mean,
        **_of_tasks(scores),
    }
