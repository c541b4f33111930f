"""Runs that predicted the same trials, compared trial by trial, and seeds of one experiment as one.

Two runs' intervals may overlap although one run is better on nearly every trial: the interval of
their difference decides, with each subject left out of both (`lib.intervals.of_difference`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from .. import intervals, runs
from ..grammar import NOT_OF_A_TRAINING, all_declared, defaults, of_groups
from ..metrics import EMOTIONS, ccc_of_sums, labelled, moments_of
from .predictions import Predictions

LABELS = [f"label_{name}" for name in EMOTIONS]
COLUMNS = (*(f"{name}_raw" for name in EMOTIONS), *LABELS)
# tolerance between a score from the files (six digits) and that in metrics.json
SCORE_TOLERANCE = 2e-3


@dataclass(frozen=True)
class Outcome:
    """Sums of one run on one emotion: `sums` (trials, 9) as `metrics.moments_of`, of `trials`."""

    trials: tuple[str, ...]
    sums: np.ndarray
    subjects: Mapping[str, str]

    def on_same_labels(self, other: Outcome) -> bool:
        """Whether both were scored on the same labelled frames of the same trials."""
        if self.trials != other.trials:
            return False
        mine, theirs = (outcome.sums[:, [0, 2, 4]] for outcome in (self, other))  # n, Σy, Σyy
        return np.allclose(mine, theirs, rtol=1e-6, atol=1e-6)

    @cached_property
    def scores(self) -> tuple[float, np.ndarray]:
        """The CCC, and (units,) that without each subject."""
        units = intervals.by_unit(self.sums, intervals.units(self.trials, self.subjects))
        return ccc_of_sums(units.sum(axis=0)), ccc_of_sums(intervals.without_each(units))


def outcomes(predictions: Predictions, metrics: Mapping, split: str) -> dict[str, Outcome]:
    """Emotion -> outcome of a run, from its predictions; only for emotions whose score agrees with
    metrics.json.

    metrics : the run's metrics.json. split : "val" (the trials under ``val_trials``) or "test" (the
        other ones that have labels). Empty for runs that cannot be paired: runs from before
        ``val_trials``, joined folds, networks that score recordings instead of frames.
    """
    tables = _tables(predictions, metrics, split)
    by_emotion = {}
    for column, emotion in enumerate(EMOTIONS):
        pairs = {
            trial: (table[f"{emotion}_raw"], table[LABELS[column]])
            for trial, table in tables.items()
        }
        pairs = {trial: pair for trial, pair in pairs.items() if labelled(pair[1]).any()}
        known = (metrics.get(split) or {}).get(emotion, {}).get("ccc")
        if not pairs or known is None:
            continue
        outcome = Outcome(tuple(pairs), moments_of(pairs.values()), metrics.get("subjects", {}))
        if abs(ccc_of_sums(outcome.sums.sum(axis=0)) - known) < SCORE_TOLERANCE:
            by_emotion[emotion] = outcome
    return by_emotion


def unpaired(
    predictions: Predictions, metrics: Mapping, split: str, by_emotion: Mapping[str, Outcome]
) -> str:
    """Why `outcomes` found less than metrics.json scores, where the prediction files were lost or
    changed since; "" for a run that is as it was written, and for those that cannot be paired.
    """
    trials = sorted(map(str, metrics.get("val_trials") or []))
    absent = [trial for trial in trials if not predictions.path(trial).is_file()]
    if absent and split == "val":
        return f"{len(absent)} of {len(trials)} prediction files are gone, first: {absent[0]}.csv"
    scores = metrics.get(split) or {}
    known = [name for name in EMOTIONS if scores.get(name, {}).get("ccc") is not None]
    other = [name for name in known if name not in by_emotion]
    if not trials or not other or not _tables(predictions, metrics, split):
        return ""
    return f"its prediction files give another {' and '.join(other)} than its metrics.json"


def _tables(
    predictions: Predictions, metrics: Mapping, split: str
) -> dict[str, dict[str, np.ndarray]]:
    """Trial -> raw values and labels, of the trials of a split, in the order of their names."""
    trials = sorted(map(str, metrics.get("val_trials") or []))
    if split == "test":
        val = {predictions.path(trial).stem for trial in trials}
        trials = [trial for trial in predictions.names() if trial not in val]
    tables = {}
    for trial in trials:
        if predictions.path(trial).is_file():
            table = predictions.numbers(trial, COLUMNS)
            if set(COLUMNS) <= set(table):
                tables[trial] = table
    return tables


def of_runs(members: Sequence[Mapping[str, Outcome]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Emotion, and "mean" if both are known -> scores (S,), and scores (S, n) without each unit, of
    the S runs of one experiment.
    """
    by_emotion = {}
    for emotion in EMOTIONS:
        known = [member[emotion] for member in members if emotion in member]
        if len(known) == len(members) and all(
            known[0].on_same_labels(outcome) for outcome in known
        ):
            scores, left_out = zip(*(outcome.scores for outcome in known), strict=True)
            by_emotion[emotion] = np.array(scores), np.array(left_out)
    shapes = {left_out.shape for _, left_out in by_emotion.values()}
    if len(by_emotion) == len(EMOTIONS) and len(shapes) == 1:
        both = [by_emotion[emotion] for emotion in EMOTIONS]
        by_emotion["mean"] = tuple(np.mean(parts, axis=0) for parts in zip(*both, strict=True))
    return by_emotion


def difference(
    first: Sequence[Mapping[str, Outcome]],
    second: Sequence[Mapping[str, Outcome]],
    mine: Mapping | None = None,
    theirs: Mapping | None = None,
) -> dict[str, dict]:
    """{emotion or "mean": {"difference", "ci95", ("why")}}: the score of the first experiment minus
    that of the second, each a list of runs; empty where they were not scored on the same labels.

    mine, theirs : `of_runs` of both, where it is known already.
    """
    mine = of_runs(first) if mine is None else mine
    theirs = of_runs(second) if theirs is None else theirs
    same = [
        emotion
        for emotion in EMOTIONS
        if emotion in mine
        and emotion in theirs
        and first[0][emotion].on_same_labels(second[0][emotion])
    ]
    differences = {}
    for name in [*same, *(["mean"] if len(same) == len(EMOTIONS) else [])]:
        if name in mine and name in theirs:
            gain = float(mine[name][0].mean() - theirs[name][0].mean())
            trials = len(first[0][EMOTIONS[0] if name == "mean" else name].trials)
            interval = intervals.of_difference(*mine[name], *theirs[name], trials)
            differences[name] = {"difference": gain, **interval}
    return differences


def experiments(folders: Sequence[Path]) -> list[list[Path]]:
    """The runs in the given order, grouped if they differ only in the seed."""
    groups: dict[str, dict[object, Path]] = {}
    for folder in folders:
        p = runs.parameters(folder)
        key, seed = _but_the_seed(p), p.get("seed")
        if seed is None or p.get("merge_runs") or seed in groups.get(key, {}):
            key = str(folder)  # the same seed twice is no second sample
        groups.setdefault(key, {})[seed] = folder
    return [list(members.values()) for members in groups.values()]


def _but_the_seed(p: Mapping) -> str:
    """All relevant parameters of a training except its seed, as one text."""
    names = all_declared()
    values = {**defaults(names), **p}
    free = of_groups(names, NOT_OF_A_TRAINING) | {"seed"}
    return repr({name: values[name] for name in sorted(values) if name not in free})
