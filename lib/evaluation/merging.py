"""Merge runs into one: folds of a cross-validation, or runs that cover the same trials.

`python -m lib merge` comes here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .. import datasets, files, grammar, parameters, runs, trials
from ..errors import InputError
from ..metrics import EMOTIONS
from ..parameters import Params
from ..recipes import base
from ..store import fingerprint
from . import comparison, folds_merged, prediction, scores, submission
from .predictions import BOUND, Predictions


@dataclass(frozen=True)
class Joined:
    """`table`: one row per run and one for the merged run; the same as `text` and as `picture`;
    files in `folder`.

    `problems` : what is wrong with the submission files, [] when they are ready to send.
    """

    folder: Path
    table: pd.DataFrame
    text: str
    picture: Path
    problems: list[str]


def join(
    folders: list[Path],
    target: Path | None = None,
    rule: str = "mean",
    clip: str = "late",
    with_intervals: bool = True,
    widths: list[int] | None = None,
) -> Joined:
    """Write predictions/, metrics.json, submission/ and a comparison of the runs with the merged
    one into `target`.

    Arguments
    ---------
    folders : evaluated runs. Folds of one cross-validation are joined on the test trials, and
        scored on each trial that a fold held out (`lib.evaluation.folds_merged`). Runs that are not
        folds of one cross-validation must cover the same trials; their predictions are averaged.
    target : the new run folder; None, for folds only: beside them, under their common name.
    rule, clip : of folds, see `lib.evaluation.folds_merged.join`.
    widths : smoothing widths to choose from, for runs that are no folds; by default those of the
        first run.

    Raises InputError for runs that do not fit together, or a target that holds a training.
    """
    folders = [Path(folder) for folder in folders]
    if absent := [str(folder) for folder in folders if not folder.is_dir()]:
        raise InputError(
            "there is no such run folder",
            where=", ".join(absent),
            expected="folders of runs that have predicted, as runs/sample_jca",
            todo="correct the name",
        )
    if target is not None and (Path(target) / "checkpoints").is_dir():
        raise InputError(
            "this folder holds a training of its own",
            where=target,
            expected="a new name",
            todo="name another folder with --to",
        )
    if folds_merged.are_folds(folders):
        merged = folds_merged.merge(folders, target, rule, clip, with_intervals)
        return Joined(
            merged.folder,
            folds_merged.table(merged.scores),
            merged.text,
            merged.folder / "figures" / "folds.png",
            merged.problems,
        )
    if target is None:
        raise InputError(
            "these runs are not the folds of one cross-validation",
            where=", ".join(map(str, folders)),
            expected="a name for the new run folder",
            todo="set --to",
        )
    if (rule, clip) != ("mean", "late"):
        raise InputError(
            f"rule {rule}, clip {clip}",
            where=", ".join(map(str, folders)),
            expected="mean and late: these runs are not the folds of one cross-validation",
        )
    files.clear_leftovers(target)  # of a process that was killed
    for folder in folders:
        _of_a_run(folder)
    p = parameters.of_run(folders[0])
    table = trials.read(datasets.store(p).trials_path)
    problems = merge(folders, target, table, widths or p.smoothing_widths, with_intervals)
    compared = comparison.compare([*folders, target], target)
    return Joined(
        Path(target), compared.table, compared.text, Path(target) / "comparison.png", problems
    )


class Recipe(base.Recipe):
    """The recipe of a merged run: it scores and writes predictions, with labels, that exist as
    files.
    """

    def __init__(self, params, folders: list[Path], tasks: tuple[str, ...]):
        super().__init__(params, store=None)
        self.folders, self._tasks = folders, tasks
        # All runs together may keep as many tables in memory as one run.
        share = BOUND // max(1, len(folders))
        self.predictions = [Predictions(folder / "predictions", share) for folder in folders]

    @property
    def tasks(self):
        return self._tasks

    def read(self, trial, wanted):
        column = {"time": "time", "face_valid": "valid"}[wanted.name]
        return self.predictions[0].table(trial)[column].to_numpy()

    @property
    def uses_video(self):
        return True  # the files say whether a frame is valid, whatever the networks saw

    @property
    def uses_audio(self):
        known = [runs.parameters(folder).get("modality") for folder in self.folders]
        return any(modality != "video" for modality in known)

    def labels(self, trial, task):
        table = self.predictions[0].table(trial)
        if task == "va":
            return table.reindex(columns=[f"label_{name}" for name in EMOTIONS]).to_numpy(
                np.float32
            )
        if task == "expression":
            return table.get("label_expression", pd.Series(-1, table.index)).to_numpy(np.int8)
        return table[[name for name in table if name.startswith("label_action_unit_")]].to_numpy(
            np.int8
        )

    def digits(self, trial):
        return {
            str(folder): fingerprint(predictions.path(trial))["sha256"]
            for folder, predictions in zip(self.folders, self.predictions, strict=True)
        }


class Ensemble(prediction.Predictor):
    """A Predictor (`lib.evaluation.prediction`) that averages the predictions of several runs."""

    @property
    def n_weights(self) -> int | None:
        counts = [
            runs.Run(folder).read_json("metrics.json", {}).get("n_weights")
            for folder in self.recipe.folders
        ]
        return None if None in counts else sum(counts)

    def predict(self, trial: str) -> dict[str, np.ndarray]:
        """task -> (T, k) float32: the mean of the runs' raw outputs."""
        outputs = [
            predictions.raw(trial, self.recipe.tasks) for predictions in self.recipe.predictions
        ]
        lengths = {len(next(iter(values.values()))) for values in outputs}
        if len(lengths) > 1:
            raise InputError(
                f"{' and '.join(map(str, sorted(lengths)))} predicted frames of one trial",
                where=f"trial {trial} of {', '.join(map(str, self.recipe.folders))}",
                expected="runs on the same recordings",
                todo="predict them again with the same data",
            )
        tasks = self.recipe.tasks
        return {task: _mean(np.stack([values[task] for values in outputs])) for task in tasks}


def _mean(values: np.ndarray) -> np.ndarray:
    """(runs, T, k) -> (T, k): for each column the mean of the runs that learnt it, where it is not
    all NaN.
    """
    learnt = ~np.isnan(values).all(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # a column that no run learnt stays NaN
        return (np.where(learnt, values, 0).sum(axis=0) / learnt.sum(axis=0)).astype(values.dtype)


def load(folders: list[Path]) -> Ensemble:
    """The runs in these folders as one predictor. Raises InputError if they do not fit together."""
    folders = list({Path(folder).resolve(): Path(folder) for folder in folders}.values())  # once
    if len(folders) < 2:
        raise InputError(
            f"{len(folders)} run to merge", expected="two or more different run folders"
        )
    metrics = [runs.Run(folder).read_json("metrics.json") for folder in folders]
    for folder, entry in zip(folders, metrics, strict=True):
        if not entry:
            raise InputError(
                "no metrics.json",
                where=folder,
                expected="an evaluated run",
                todo="python -m lib run params/<name>.yaml, up to 06_inference",
            )
    known = [_of_a_run(folder) for folder in folders]
    _require_same_data(folders, known)
    tasks = _common_tasks(folders)
    rules = "published" if all(p.get("rules") == "published" for p in known) else "corrected"
    recipe = Recipe(Params({**known[0], "rules": rules}), folders, tasks)
    licences = sorted({entry["licence"] for entry in metrics if entry.get("licence")})
    return Ensemble(
        recipe,
        None,
        None,
        {},
        0,
        any(entry.get("synthetic") for entry in metrics),
        " ".join(licences),
        terms="; ".join(sorted({entry["terms"] for entry in metrics if entry.get("terms")})),
    )


def _require_same_data(folders: list[Path], known: list[dict]) -> None:
    names = grammar.all_declared()
    came_later = grammar.defaults(names)
    for name in sorted(grammar.of_groups(names, ["data"])):
        values = [settings.get(name, came_later.get(name)) for settings in known]
        if any(value != values[0] for value in values):
            raise InputError(
                f"runs of different {name}: {', '.join(map(str, values))}",
                where=", ".join(map(str, folders)),
                expected="runs on the same data",
            )


def _of_a_run(folder: Path) -> dict:
    """The parameters of a run that predicted by itself. Raises InputError for another folder."""
    settings = runs.parameters(folder)
    if not settings:
        raise InputError(
            "no params.yaml, so that nothing tells what this run is",
            where=folder,
            expected="a whole run folder",
            todo="copy all of it, or leave it out",
        )
    if merged := settings.get("merge_runs"):
        raise InputError(
            "a merged run cannot be merged again",
            where=folder,
            expected="runs that predicted by themselves",
            todo=f"name those that it was made of: {', '.join(map(str, merged))}",
        )
    return settings


def _refuse_copies(folders: list[Path], names: list[str]) -> None:
    """Raise InputError if two runs predicted the same to the byte: the average would count one
    twice.
    """
    seen: dict[tuple, Path] = {}
    for folder in folders:
        predictions = _predictions(folder)
        digits = tuple(fingerprint(predictions.path(name))["sha256"] for name in names)
        if names and digits in seen:
            raise InputError(
                f"{folder.name} has the same predictions as {seen[digits].name}: it is a copy",
                where=folder,
                expected="runs that differ, as by their seed",
                todo="leave one of both out",
            )
        seen[digits] = folder


def trial_names(folders: list[Path]) -> list[str]:
    """Trials that all runs predicted, by the names of their files (`files.safe_name`). Raises
    InputError if one run lacks a trial that another has.
    """
    names = [set(_predictions(folder).names()) for folder in map(Path, folders)]
    sentences = []
    for folder, mine in zip(folders, names, strict=True):
        if lacking := sorted(set.union(*names) - mine):
            sentences.append(f"{folder.name} lacks {len(lacking)}: {', '.join(lacking[:4])}")
    if sentences:
        raise InputError(
            f"the runs predicted different trials; {'; '.join(sentences)}",
            expected="the same trials in all",
            todo="run 06_inference of each with the same `splits` and `trials`",
        )
    return sorted(names[0])


def merge(
    folders: list[Path],
    target: Path,
    table: pd.DataFrame,
    widths: list[int],
    with_intervals: bool = True,
) -> list[str]:
    """Write predictions/, metrics.json, submission/ and params.yaml of merged runs to `target`.

    Arguments
    ---------
    folders : run folders with predictions of the same trials. Smoothing is chosen again, on the
        merged val trials.
    target : the new run folder. table : trial table (for the splits). widths, with_intervals : see
        `scores.finish`.

    Returns what is wrong with the submission files, an empty list when they are ready to send.
    """
    ensemble, run = load(folders), runs.Run(target)
    written = trial_names(ensemble.recipe.folders)
    _refuse_copies(ensemble.recipe.folders, written)
    is_there = run.folder.is_dir() and any(run.folder.iterdir())
    if is_there and not runs.parameters(run.folder).get("merge_runs"):
        raise InputError(
            "a folder that is there and holds no merged runs",
            where=run.folder,
            todo="name another one",
        )
    # Written first: this file identifies a merge that was killed, which is then done again.
    _remember(run, ensemble.recipe.folders, ensemble.recipe.params.rules)
    called = {files.safe_name(trial): trial for trial in table["trial"]}
    names = [called.get(name, name) for name in written]
    table = trials.select(table, names)
    predictions = _predictions(run.folder)
    for trial in names:
        prediction.predict_trial(ensemble, predictions, trial)
    hidden = _labels_of_test(ensemble.recipe, table)
    metrics = scores.finish(ensemble, table, predictions, widths, with_intervals, hidden)
    first = ensemble.recipe.folders[0]
    metrics["baselines"] = runs.Run(first).read_json("metrics.json").get("baselines", {})
    run.write_json("metrics.json", metrics)
    return submission.submit(ensemble, table, predictions, run.folder / "submission")


def _labels_of_test(recipe: Recipe, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Valence and arousal of the test trials whose labels are in the prediction files."""
    if "va" not in recipe.tasks:
        return {}
    hidden = {}
    for trial in table["trial"][table["split"] == "test"]:
        rows = recipe.labels(trial, "va")
        if np.isfinite(rows).any():
            hidden[trial] = rows
    return hidden


def _remember(run: runs.Run, folders: list[Path], rules: str) -> None:
    settings = {
        "run": run.name,
        "recipe": "merged",
        "modality": "",
        "backbone_run": "",
        "rules": rules,
        "merge_runs": [folder.name for folder in folders],
    }
    emotions = {runs.parameters(folder).get("emotion", "both") for folder in folders}
    settings |= {"emotion": "both"} if len(emotions) > 1 else {}
    runs.remember(run, {**runs.parameters(folders[0]), **settings})


def _common_tasks(folders: list[Path]) -> tuple[str, ...]:
    marks = {"va": "valence_raw", "expression": "expression", "action_units": "action_unit_0"}
    first = trial_names(folders)[:1]
    columns = [set(_predictions(folder).table(*first)) for folder in folders if first]
    shared = set.intersection(*columns) if columns else set()
    tasks = tuple(task for task, mark in marks.items() if mark in shared)
    if not tasks:
        raise InputError(
            "the runs have no predicted label in common",
            where=", ".join(map(str, folders)),
            expected="valence and arousal, expressions or action units in all of them",
        )
    return tasks


def _predictions(folder: Path) -> Predictions:
    return Predictions(folder / "predictions")
