"""Merge the runs of a cross-validation: test trials are predicted by all folds together, the others
by the fold that held them out.

LFAN specification §4: plain mean, or "CCC-centring", the plain mean plus one constant per trial.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .. import datasets, files, grammar, metrics, runs, trials
from ..errors import InputError
from ..labels import csv_columns
from ..metrics import EMOTIONS
from ..parameters import of_run
from ..trials import SYNTHETIC_NOTE
from . import submission
from .prediction import without_a_face_empty
from .predictions import Predictions

MERGING_RULES, CLIPPING_RULES = ("mean", "centred"), ("late", "early")
RAW = [f"{emotion}_raw" for emotion in EMOTIONS]
KEPT_COLUMNS = ("frame", "time", "valid")
LABELS = [f"label_{emotion}" for emotion in EMOTIONS]

# Parameters that may differ between the folds of one experiment, besides those that no training
# depends on.
OF_A_FOLD = {"fold", "emotion", "backbone_run", "predict_run"}


@dataclass(frozen=True)
class Merged:
    """`scores` (for metrics.json), their `text`, `problems` of the submission, the `folder`."""

    scores: dict
    text: str
    folder: Path
    problems: list[str]


# ---- curves
def join(curves: np.ndarray, rule: str = "mean", clip: str = "late") -> np.ndarray:
    """Merge the curves of one emotion of a trial by several folds into one, in −1…1.

    Arguments
    ---------
    curves : (F, T) float; a fold that did not learn this emotion is left out (all NaN).
    rule : "mean", or "centred" (see `centre`). clip : "late", after joining, or "early", each fold
        before it.

    Returns (T,) float64, NaN if no fold learnt it.
    """
    curves = np.asarray(curves, np.float64)
    curves = curves[np.isfinite(curves).all(axis=1)]
    if not len(curves):
        return np.full(curves.shape[1], np.nan)
    curves = np.clip(curves, -1, 1) if clip == "early" else curves
    return np.clip(curves.mean(axis=0) + (centre(curves) if rule == "centred" else 0.0), -1, 1)


def centre(curves: np.ndarray) -> float:
    """The constant that CCC-centring adds to the plain mean of (F, T) curves.

    Each fold's mean is weighted by its agreement, the mean CCC with the other folds; the constant
    is that weighted mean minus the plain mean of means. If no weight is above 0 it is 0: the
    published formula divides by the sum of weights whatever its sign, and is then arbitrary.
    """
    if len(curves) < 2:
        return 0.0
    pairs = np.zeros((len(curves), len(curves)))
    for first, second in itertools.permutations(range(len(curves)), 2):
        pairs[first, second] = metrics.ccc(curves[first], curves[second])
    agreement = np.nan_to_num(pairs).sum(axis=1) / (len(curves) - 1)
    if not agreement.sum() > 0 or (agreement < 0).any():
        agreement = np.maximum(agreement, 0)
    if not agreement.sum() > 0:
        return 0.0
    means = curves.mean(axis=1)
    return float(means @ agreement / agreement.sum() - means.mean())


# ---- runs
def are_folds(folders: list[Path]) -> bool:
    """Whether these run folders are folds of one cross-validation.

    They are not if one has no fold, nor if all have the same fold and emotion: such runs are
    averaged.
    """
    parameters = [runs.parameters(Path(folder)) for folder in folders]
    different = {(values.get("fold", -1), values.get("emotion", "both")) for values in parameters}
    return all(fold >= 0 for fold, _ in different) and (len(different) > 1 or len(parameters) == 1)


def merge(
    folders: list[Path],
    target: Path | None = None,
    rule: str = "mean",
    clip: str = "late",
    with_intervals: bool = True,
) -> Merged:
    """Join evaluated runs of a cross-validation into a run folder of their own.

    Arguments
    ---------
    folders : run folders with predictions (notebook 06); runs of one emotion each may be among
        them.
    target : the folder to write; by default beside them.

    Raises InputError for runs that are no folds or of different experiments, and for two runs of
    one fold and emotion.
    """
    folders = [Path(folder) for folder in folders]
    parameters = {folder: runs.parameters(folder) for folder in folders}
    _check(parameters)
    target = target or folders[0].parent / f"{_without_fold(folders[0].name)}_merged"
    files.clear_leftovers(target)  # of a process that was killed
    tables = {folder: _predictions(folder) for folder in folders}
    held_out = {folder: _held_out(folder) for folder in folders}
    _refuse_missing(tables, held_out)
    free = set.intersection(*(set(tables[f]) - held_out[f] for f in folders))
    test = sorted(free & _of_test(free, folders[0]))
    joined = {
        trial: _join_tables([tables[f][trial] for f in folders], rule, clip, trial)
        for trial in test
    }
    out_of_fold = _out_of_fold(tables, held_out)
    scores = _scores(parameters, joined, out_of_fold, tables, rule, clip, with_intervals)
    run, first = runs.Run(target), next(iter(parameters.values()))
    merged = {"run": run.name, "fold": -1, "emotion": "both"}
    names = {"merge_runs": [folder.name for folder in folders]}
    run.write_text("params.yaml", _yaml({**first, **merged, **names}))
    return Merged(
        scores, _text(scores), run.folder, _write(run, parameters, joined, out_of_fold, scores)
    )


def _without_fold(name: str) -> str:
    """``lfan`` of ``lfan_fold3``."""
    return re.sub(r"_?fold\d+$", "", name) or name


def _check(given: Mapping[Path, Mapping]) -> None:
    where = ", ".join(str(folder) for folder in given)
    alone = [folder.name for folder, values in given.items() if values.get("fold", -1) < 0]
    if alone:
        raise InputError(
            f"{alone[0]} is not the run of a fold",
            where=where,
            expected="runs with `fold` from 0",
            todo="python -m lib run params/<name>.yaml -p fold 0, and so on",
        )
    seen: set = set()
    first = next(iter(given.values()))
    may_differ = OF_A_FOLD | grammar.of_groups(grammar.all_declared(), grammar.NOT_OF_A_TRAINING)
    for folder, values in given.items():
        differing = sorted(
            name for name in {*first, *values} - may_differ if first.get(name) != values.get(name)
        )
        if differing:
            raise InputError(
                f"{folder.name} is another experiment: {', '.join(differing[:4])} differ",
                where=where,
                expected="runs that differ in `fold` (and `emotion`) only",
            )
        key = (values["fold"], values.get("emotion", "both"))
        if key in seen:
            raise InputError(
                f"fold {key[0]} of {key[1]} is there twice", where=where, expected="each fold once"
            )
        seen.add(key)


def _predictions(folder: Path) -> dict[str, pd.DataFrame]:
    predictions = Predictions(folder / "predictions")
    tables = {trial: predictions.table(trial) for trial in predictions.names()}
    if not tables or not (folder / "metrics.json").is_file():
        raise InputError(
            "a run without predictions",
            where=folder,
            expected="an evaluated run",
            todo="run it up to 06_inference",
        )
    return tables


def _held_out(folder: Path) -> set[str]:
    """The val trials of a run's fold, as 06 recorded them."""
    val_trials = runs.Run(folder).read_json("metrics.json").get("val_trials")
    if val_trials is None:
        raise InputError(
            "metrics.json does not say which trials were validated",
            where=folder,
            todo="run 06_inference again",
        )
    return {files.safe_name(trial) for trial in val_trials}


def _refuse_missing(tables: Mapping[Path, Mapping], held_out: Mapping[Path, set[str]]) -> None:
    """Raise InputError for a fold that lacks predictions: of val trials of its own, or of a trial
    that no fold held out and another fold predicted. They would be missing in scores and files.
    """
    predicted = set().union(*tables.values()) - set().union(*held_out.values())
    for folder, mine in tables.items():
        if lacking := sorted((predicted | held_out[folder]) - set(mine)):
            raise InputError(
                f"{folder.name} lacks the predictions of {len(lacking)} trials: "
                f"{', '.join(lacking[:4])}",
                where=folder / "predictions",
                expected="its val trials, and the test trials of all folds",
                todo="run 06_inference of it again, with the same `splits` and `trials`",
            )


def _of_test(names: set[str], folder: Path) -> set[str]:
    """Those trials that are for testing. Where not all folds are merged, trials that no fold of
    these held out may be of the training: the trial table tells, or, where it is not on this
    machine, that no training trials were predicted.
    """
    p = of_run(folder)
    path = datasets.store(p).trials_path
    if path.is_file():
        table = trials.read(path)
        return {files.safe_name(name) for name in table["trial"][table["split"] == "test"]}
    if names and "train" in p.splits:
        raise InputError(
            f"trials that may be of the training: {', '.join(sorted(names)[:4])}",
            where=folder / "predictions",
            expected=f"the trial table, {files.short(path)}, which tells the test trials",
            todo="copy it, or run 06_inference of a copy of the folds with splits [val, test]",
        )
    return names


def _join_tables(tables: list[pd.DataFrame], rule: str, clip: str, trial: str) -> pd.DataFrame:
    if len({len(table) for table in tables}) > 1:
        raise InputError(
            "the folds predicted different numbers of frames",
            where=f"trial {trial}",
            expected="runs on the same data",
        )
    out = tables[0][[name for name in KEPT_COLUMNS if name in tables[0]]].copy()
    for emotion, raw in zip(EMOTIONS, RAW, strict=True):
        out[emotion] = join(np.stack([table[raw] for table in tables]), rule, clip)
    labels = [name for name in LABELS if name in tables[0]]
    return out.join(tables[0][labels])


def _out_of_fold(tables: Mapping, held_out: Mapping) -> dict[str, pd.DataFrame]:
    """Each labelled trial as predicted by the fold that held it out; emotions are completed from
    runs of one emotion each.
    """
    by_trial: dict[str, pd.DataFrame] = {}
    for folder, mine in held_out.items():
        for trial in sorted(mine & set(tables[folder])):
            table = tables[folder][trial]
            rows = _clipped(table)
            by_trial[trial] = by_trial[trial].combine_first(rows) if trial in by_trial else rows
    return by_trial


def _clipped(table: pd.DataFrame) -> pd.DataFrame:
    """Frame, time, raw values clipped to −1…1 (not the smoothed ones), labels if there are any."""
    values = {emotion: table[raw].clip(-1, 1) for emotion, raw in zip(EMOTIONS, RAW, strict=True)}
    return table[[name for name in KEPT_COLUMNS if name in table]].assign(
        **values, **{name: table[name] for name in LABELS if name in table}
    )


def _arrays(tables: Mapping[str, pd.DataFrame], names: list[str]) -> dict[str, np.ndarray]:
    return {trial: table.reindex(columns=names).to_numpy(float) for trial, table in tables.items()}


def _score(
    tables: Mapping[str, pd.DataFrame], with_intervals: bool, subjects: Mapping[str, str]
) -> dict:
    """Scores of those emotions that have labels and predictions; {} without any."""
    labels, values = _arrays(tables, LABELS), _arrays(tables, list(EMOTIONS))
    scores = {}
    for number, emotion in enumerate(EMOTIONS):
        known = {
            trial: rows for trial, rows in labels.items() if np.isfinite(rows[:, number]).any()
        }
        if known and all(np.isfinite(values[trial][:, number]).all() for trial in known):
            scores |= metrics.va_scores(known, values, [emotion], with_intervals, subjects)
    return scores


def _scores(given, joined, own, tables, rule, clip, with_intervals) -> dict:
    owners: dict[str, str] = {}
    for folder in given:
        owners |= runs.Run(folder).read_json("metrics.json").get("subjects", {})
    folds = []
    for folder, values in given.items():
        val = runs.Run(folder).read_json("metrics.json").get("val", {})
        test = {trial: _clipped(tables[folder][trial]) for trial in joined}
        folds.append(
            {
                "run": folder.name,
                "fold": values["fold"],
                "emotion": values.get("emotion", "both"),
                "val": val,
                "test": _score(test, with_intervals, owners),
            }
        )
    first = next(iter(given))
    return {
        "rule": rule,
        "clip": clip,
        "folds": folds,
        "val": _score(own, with_intervals, owners),
        "test": _score(joined, with_intervals, owners),
        "rules": next(iter(given.values())).get("rules", ""),
        "synthetic": bool(runs.Run(first).read_json("metrics.json").get("synthetic")),
        "terms": runs.Run(first).read_json("metrics.json").get("terms", ""),
        "chosen_on": "val: each trial by the fold that did not train on it; each fold's epoch was "
        "chosen on it",
    }


def table(scores: Mapping) -> pd.DataFrame:
    """A row per fold, their mean, and all together: CCC of val and, if known, of test."""
    rows = []
    for entry in [
        *sorted(scores["folds"], key=lambda entry: entry["fold"]),
        {**scores, "run": "merged"},
    ]:
        row = {"run": entry["run"]}
        for part in ("val", "test"):
            for emotion in EMOTIONS:
                found = entry[part].get(emotion) or {}
                row[f"{part} {emotion}"] = found.get("ccc")
                low, high = found.get("ci95") or (None, None)
                row |= {f"{part} {emotion} low": low, f"{part} {emotion} high": high}
        rows.append(row)
    found = pd.DataFrame(rows)
    numbers = found.drop(columns="run").astype(float)
    bounds = [name for name in numbers if name.endswith(("low", "high"))]
    mean = {"run": "mean of the folds", **numbers.drop(columns=bounds)[:-1].mean()}
    return pd.concat([found[:-1], pd.DataFrame([mean]), found[-1:]], ignore_index=True)


def _text(scores: Mapping) -> str:
    shown = table(scores)
    shown = shown[[name for name in shown if not name.endswith((" low", " high"))]].dropna(
        axis=1, how="all"
    )
    lines = [
        shown.to_string(index=False, float_format="{:.3f}".format, na_rep=""),
        f"CCC; merged val: out of fold, of {_folds(scores)}; merged test: {scores['rule']} of the "
        "folds, clipped "
        f"{scores['clip']}",
    ]
    return "\n".join(lines + ([SYNTHETIC_NOTE] if scores["synthetic"] else []))


def _folds(scores: Mapping) -> str:
    """Which folds are merged, and which of a lower number are not among them."""
    numbers = sorted({entry["fold"] for entry in scores["folds"]})
    absent = [number for number in range(numbers[-1]) if number not in numbers]
    said = f"fold{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
    return f"{said} (without {', '.join(map(str, absent))})" if absent else said


def _write(run: runs.Run, given, joined, own, scores) -> list[str]:
    """Write everything but params.yaml; returns what is wrong with the submission files."""
    from .. import plots

    run.write_json("metrics.json", {**scores, "merged": [folder.name for folder in given]})
    run.write_text("folds.csv", table(scores).to_csv(index=False))
    remark = SYNTHETIC_NOTE if scores["synthetic"] else scores["terms"]
    note = {"note": remark} if remark else {}
    only_seen = all(values.get("modality") == "video" for values in given.values())
    for trial, rows in {**joined, **own}.items():
        shown = rows.assign(**note)
        if only_seen and "valid" in rows:
            shown = without_a_face_empty(shown, EMOTIONS)
        run.write_text(f"predictions/{trial}.csv", csv_columns.as_text(shown))
    plots.save(
        plots.folds_plot(table(scores), note=note.get("note", "")),
        run.path("figures", "folds.png"),
        close=True,
    )
    return _submit(
        run.path("submission"),
        {trial: rows[list(EMOTIONS)].to_numpy() for trial, rows in joined.items()},
    )


def _submit(out: Path, values: Mapping[str, np.ndarray]) -> list[str]:
    """Write the test trials' files in both formats; returns what is wrong with them."""
    if not values:
        return ["no submission: there is no trial that all folds predicted and none held out"]
    if not all(np.isfinite(rows).all() for rows in values.values()):
        return ["no submission: an emotion was not learnt; merge runs of both"]
    for trial, rows in values.items():
        submission.write(out, "va", trial, rows)
    frames = {trial: len(rows) for trial, rows in values.items()}
    single = submission.write_single(out / "predictions.csv", values)
    return submission.validate(out, frames) + submission.validate_single(single, frames)


def _yaml(values: Mapping) -> str:
    import yaml

    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
