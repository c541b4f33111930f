"""Score predictions: smoothing chosen on val, scores with intervals, trivial predictors."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np
import pandas as pd

from .. import arrays, metrics, trials
from ..errors import InputError
from ..labels import folds, official
from ..metrics import EMOTIONS
from ..speakers import roles
from ..store import Store, request
from ..trials import noted, subjects
from . import baselines, prediction, smoothing, uncertainty
from .prediction import Predictor
from .predictions import Predictions

OFFICIAL = "affwild2"  # the data set by whose split the authors of published weights learnt


def by_task(per_trial: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    """trial -> task -> rows  to  task -> trial -> rows."""
    turned: dict[str, dict] = {}
    for trial, tasks in per_trial.items():
        for task, rows in tasks.items():
            turned.setdefault(task, {})[trial] = rows
    return turned


def finish(
    predictor: Predictor,
    table: pd.DataFrame,
    predictions: Predictions,
    widths: list[int],
    with_intervals: bool = True,
    hidden: Mapping[str, np.ndarray] | None = None,
) -> dict:
    """Choose the smoothing on val, add smoothed values and labels to the predictions, score.

    Arguments
    ---------
    table : trial table with the val and test trials that were predicted (`predict_trial`).
    predictions : of these trials.
    widths : smoothing widths in frames to choose from (1 = none).
    with_intervals : whether scores get 95 % intervals over the table's subjects (`lib.intervals`).
    hidden : labels (T, 2) of test trials that are known but were held back; their scores stand
        under "test".

    Returns the content of metrics.json without baselines.
    """
    recipe, owners = predictor.recipe, _owners(table)
    raw = {trial: predictions.raw(trial, recipe.tasks) for trial in table["trial"]}
    labels = _labels(recipe, list(raw), hidden or {})
    val = table[table["split"] == "val"]
    of_split = {"val": list(val["trial"]), "test": [name for name in hidden or {} if name in raw]}
    chosen = _widths(recipe, labels, raw, of_split["val"], widths)
    smooth = {trial: _smoothed(rows, chosen, recipe.published) for trial, rows in raw.items()}
    entries = _about(predictor, of_split["val"], owners)
    score = partial(_scores, recipe, labels, with_intervals, owners)
    for name, members in of_split.items():
        if members:
            entries[name] = score(raw, members, explained=True)
            entries[f"{name}_smoothed"] = score(smooth, members, explained=True)
    if learnt := _shared_with_training(predictor, val):
        entries["shared"] = learnt
        if rest := [trial for trial in of_split["val"] if trial not in learnt]:
            entries["val_without_shared"] = score(raw, rest)
    if recipe.published and "va" in recipe.tasks and len(val):
        of_va = (_of_task(rows, "va", of_split["val"]) for rows in (labels, raw))
        entries["val_zero_filled"] = zero_filled(*of_va, chosen)
    for trial in raw:
        _rewrite(predictions, trial, recipe, smooth[trial], labels[trial])
    if summary := uncertainty.summary(recipe, table, predictions):
        entries["uncertainty"] = summary
    return {**entries, "smoothing": chosen, "n_weights": predictor.n_weights}


def _labels(
    recipe, names: list[str], hidden: Mapping[str, np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """trial -> task -> labels, also of those that were held back."""
    labels: dict[str, dict[str, np.ndarray]] = {}
    for trial in names:
        labels[trial] = {task: np.asarray(recipe.labels(trial, task)) for task in recipe.tasks}
    for trial, rows in hidden.items():
        labels[trial]["va"] = rows
    return labels


def _widths(
    recipe, labels: Mapping, raw: Mapping, val: list[str], widths: list[int]
) -> dict[str, int]:
    """The smoothing width of each emotion: the published one, or the best on val."""
    if recipe.published:
        return dict(recipe.published_widths)
    if "va" not in recipe.tasks or not val:
        return dict.fromkeys(EMOTIONS, 1)
    return smoothing.choose(_of_task(labels, "va", val), _of_task(raw, "va", val), widths)


def _about(predictor: Predictor, val: list[str], owners: Mapping[str, str]) -> dict:
    """The entries of metrics.json before the scores."""
    recipe = predictor.recipe
    entries = {
        "rules": recipe.params.rules,
        "epoch": predictor.epoch,
        "synthetic": predictor.synthetic,
        "val_trials": val,
        "chosen_on": recipe.chosen_on,
    }
    if predictor.terms:
        entries["terms"] = predictor.terms
    if predictor.licence:
        entries["licence"] = predictor.licence
        entries["chosen_on"] = "nothing: weights and rules are the authors'"
    if owners:
        entries["subjects"] = owners
    return entries


def _of_task(rows: Mapping, task: str, names: list[str]) -> dict[str, np.ndarray]:
    """trial -> rows of one task, of some trials."""
    return {trial: rows[trial][task] for trial in names}


def _scores(
    recipe,
    labels: Mapping,
    with_intervals: bool,
    owners: Mapping[str, str],
    values: Mapping,
    names: list[str],
    explained: bool = False,
) -> dict:
    """The recipe's scores of some trials, and the mean CCC of both emotions if they are learnt.
    explained : add why a CCC is 0 because of the labels.
    """
    known, predicted = (by_task({name: rows[name] for name in names}) for rows in (labels, values))
    scores = recipe.metrics(known, predicted, with_intervals, owners)
    if "va" in recipe.tasks:
        if explained:
            _explain_constants(scores, known["va"])
        scores["mean"] = metrics.mean_ccc(known["va"], predicted["va"], with_intervals, owners)
    return scores


def _shared_with_training(predictor: Predictor, val: pd.DataFrame) -> dict[str, str]:
    """Val trial -> its subject or recording, if the network was also trained on it; {} if the
    splits are disjoint, and for a network trained on other data.
    """
    store = predictor.recipe.store
    if store is None or not store.trials_path.is_file():
        return {}
    everyone = trials.read(store.trials_path)
    learnt = set(predictor.trained_on) or _official_training(predictor, everyone)
    if not learnt or not learnt <= set(everyone["trial"]):
        return {}  # it was trained on other data
    shared = folds.shared(everyone[everyone["trial"].isin(learnt)], val)
    reasons = {}
    for column, names in shared.items():
        for row in val[val[column].astype(str).isin(names)].to_dict("records"):
            reasons[str(row["trial"])] = f"{column} {row[column]}"
    return reasons


def _official_training(predictor: Predictor, everyone: pd.DataFrame) -> set[str]:
    """Labelled training trials of the official split for weights of the authors of a paper, whose
    files do not say what they learnt from; for other weights and data none.
    """
    recipe = predictor.recipe
    if not (predictor.licence and recipe.paper and "va" in recipe.tasks):
        return set()
    labelled = (everyone[list(trials.LABEL_PATHS)] != "").any(axis=1)
    theirs = (everyone["split"] == "train") & (everyone["dataset"] == OFFICIAL)
    return set(everyone["trial"][labelled & theirs])


def _owners(table: pd.DataFrame) -> dict[str, str]:
    """{trial: subject} of those trials whose subject has several in the table."""
    owners = subjects(table) if "subject" in table else {}
    counts = Counter(owners.values())
    return {trial: subject for trial, subject in owners.items() if counts[subject] > 1}


def _explain_constants(scores: dict, labels: Mapping[str, np.ndarray]) -> None:
    """Add to a CCC of 0 that it is due to the labels, not to the network."""
    joined = np.concatenate(list(labels.values()))
    for emotion, values in zip(EMOTIONS, joined.T, strict=True):
        known = values[np.isfinite(values)]
        if len(known) and known.min() == known.max():
            scores[emotion]["undefined"] = (
                f"all labels are {known[0]:g}: the CCC is 0 by definition"
            )


def _smoothed(
    rows: Mapping[str, np.ndarray], widths: Mapping[str, int], published: bool
) -> dict[str, np.ndarray]:
    if "va" not in rows:
        return dict(rows)
    smooth = smoothing.published_box if published else smoothing.smooth
    return {**rows, "va": smooth(rows["va"], widths)}


def zero_filled(
    labels: Mapping[str, np.ndarray], raw: Mapping[str, np.ndarray], widths: Mapping[str, int]
) -> dict:
    """CCC as the authors' validation computes it, only for comparison with their numbers.

    labels, raw : {trial: (T, 2)}.

    Unlabelled frames are pairs (0, 0), then clip and box filter with zero edges (TSAV/JCA
    specification §2.9). Trials without labels are left out. Returns {"valence": {"ccc"}, …, "why"}.
    """
    pairs = [
        metrics.zero_filled(labels[trial], raw[trial])
        for trial in labels
        if np.isfinite(labels[trial]).any()
    ]
    scores = {"why": "unlabelled frames count as (0, 0): comparable with the authors' numbers only"}
    for column, emotion in enumerate(EMOTIONS):
        if not pairs:
            scores[emotion] = {"ccc": None}
            continue
        known = [label[:, column] for label, _ in pairs]
        values = [smoothing.published_box(prediction, widths)[:, column] for _, prediction in pairs]
        scores[emotion] = {"ccc": metrics.ccc(np.concatenate(values), np.concatenate(known))}
    return scores


def _rewrite(
    predictions: Predictions,
    trial: str,
    recipe,
    smooth: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
) -> None:
    table = predictions.table(trial)
    note = table[[name for name in table if name == "note"]]
    table = table[
        [name for name in table if name != "note" and not name.startswith("label_")]
    ].copy()
    if "va" in smooth:
        table[["valence", "arousal"]] = recipe.decide("va", smooth["va"])
    for task, rows in labels.items():
        names = {
            "va": [f"label_{name}" for name in EMOTIONS],
            "expression": ["label_expression"],
            "action_units": [f"label_action_unit_{k}" for k in range(rows.shape[-1])],
            "speaking": ["label_speaking"],
        }[task]
        table[names] = rows.reshape(len(table), -1)
    shown = _without_a_face_empty(table, predictions, trial, recipe, smooth)
    predictions.write(trial, shown.join(note))


def _without_a_face_empty(
    table: pd.DataFrame,
    predictions: Predictions,
    trial: str,
    recipe,
    smooth: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """The table of a network that uses pictures only, with no value where no face was found; the
    complete table is stored beside it, because the challenges ask for every frame.
    """
    if not (recipe.from_face_alone and smooth and (table["valid"] == 0).any()):
        predictions.write_complete(trial, None)
        return table
    columns = prediction.columns(recipe, smooth, table["time"].to_numpy())
    values = pd.DataFrame({name: columns[name] for name in prediction.decided(columns)})
    predictions.write_complete(trial, values)
    return prediction.without_a_face_empty(table.assign(**values), values)


def score_table(results: Mapping) -> pd.DataFrame:
    """The CCC table of a run: raw, smoothed, trivial predictors; see `metrics.ccc_table`."""
    # without val trials, or without this task
    undefined = {emotion: {"ccc": None} for emotion in EMOTIONS}
    keys = {"raw": "val", "smoothed": "val_smoothed"}
    methods = {name: {**undefined, **results.get(key, {})} for name, key in keys.items()}
    rows = metrics.ccc_table(methods, results.get("baselines"))
    return noted(rows, results.get("synthetic", False))


def hidden_labels(table: pd.DataFrame, store: Store, folder: str) -> dict[str, np.ndarray]:
    """Hidden labels (T, 2) of test trials in ``<data root>/<folder>/VA_Set``; none unless `folder`
    is named.
    """
    if not folder:
        return {}
    labels = {}
    for trial in table[table["split"] == "test"].to_dict("records"):
        path = store.data_root / folder / "VA_Set" / f"{trial['trial']}.txt"
        n_frames = len(arrays.read(trial, request("time"), store))
        labels[trial["trial"]] = official.fit_rows(
            official.read(path, "va"), n_frames, "fit", path
        )[0]
    return labels


def trivial(table: pd.DataFrame, store: Store, mismatch: str = "fit") -> dict:
    """Scores of trivial predictors on the same val frames: name -> emotion -> CCC.

    A trial without sound or faces is left out of the predictors that need them.
    """
    requests = {
        "pixels": request("pixels"),
        "loudness": request("loudness"),
        "va": request("va", mismatch=mismatch),
        "face_valid": request("face_valid"),
    }
    data: dict[str, list] = {"train": [], "val": []}
    for trial in table[table["split"].isin(data) & (table["va_path"] != "")].to_dict("records"):
        item = {}
        for name, array_request in requests.items():
            with contextlib.suppress(InputError):
                item[name] = np.asarray(arrays.read(trial, array_request, store))
        if "va" in item:
            data[trial["split"]].append(item)
    return baselines.evaluate(data["train"], data["val"])


CLASS_TASKS = ("expression", "action_units")


def _labels_of(recipe, names: Iterable[str], task: str) -> dict[str, np.ndarray]:
    """trial -> its labels, without trials whose labels were lost in 04, which reports them."""
    labels = {}
    for trial in names:
        with contextlib.suppress(InputError):
            labels[trial] = np.asarray(recipe.labels(trial, task))
    return labels


def majority(table: pd.DataFrame, recipe) -> dict:
    """Scores of the most frequent class of the train trials' labels, on all labelled val frames.

    table : the whole trial table.

    Returns {"majority class": {"expression": {"f1_macro", …}, …}} for those of the recipe's tasks
    that have classes; empty without such a task, or without labels on either side.
    """
    rules = {"expression": recipe.expression_scores, "action_units": metrics.action_units_scores}
    task_scores = {}
    for task, score in rules.items():
        if task in recipe.tasks and (scores := _of_majority(table, recipe, task, score)):
            task_scores[task] = scores
    return {"majority class": task_scores} if task_scores else {}


def _of_majority(table: pd.DataFrame, recipe, task: str, score: Callable) -> dict:
    """`majority` of one task; {} without labels on one of the two sides."""
    train, val = (_labels_of_split(table, recipe, task, split) for split in ("train", "val"))
    columns = [part.reshape(len(part), -1) for part in train.values()]
    known = np.concatenate(columns or [np.zeros((0, 1))])
    if not (known >= 0).any() or not any((part >= 0).any() for part in val.values()):
        return {}
    counts = [np.bincount(column[column >= 0].astype(int), minlength=1) for column in known.T]
    most = [count.argmax() for count in counts]
    always = most if task == "action_units" else most[0]
    chosen = {trial: np.full_like(part, always) for trial, part in val.items()}
    scores = score(val, chosen, with_intervals=False)  # no interval: it is a lower bound to beat
    return {name: value for name, value in scores.items() if name != "ci95"}


def _labels_of_split(table: pd.DataFrame, recipe, task: str, split: str) -> dict[str, np.ndarray]:
    return _labels_of(recipe, table["trial"][table["split"] == split], task)


def f1_table(results: Mapping) -> pd.DataFrame:
    """One row per task with classes: its main score (macro or mean F1, or recall over recordings)
    of this network, with its interval, and of the majority class.
    """
    rows = []
    for task in CLASS_TASKS:
        scores = results.get("val", {}).get(task)
        if scores:
            metric = metrics.main_score(scores)
            low, high = scores.get("ci95") or (np.nan, np.nan)
            trivial = (
                results.get("baselines", {}).get("majority class", {}).get(task, {}).get(metric)
            )
            row = {"task": task, "score": metric, "network": scores[metric]}
            row |= {"low": low, "high": high, "majority class": trivial}
            rows.append({**row, "frames": scores["n_frames"], "trials": scores["n_trials"]})
    columns = ["task", "score", "network", "low", "high", "majority class", "frames", "trials"]
    return noted(pd.DataFrame(rows, columns=columns), results.get("synthetic", False))


def by_speaker(
    table: pd.DataFrame, predictions: Predictions, results: dict, with_intervals: bool = True
) -> pd.DataFrame:
    """Scores of valence and arousal in frames in which the labelled person speaks, somebody else
    speaks, or nobody does.

    Needs the column `speaking` of the predictions (parameter `speaker_run`); somebody else is
    another person of the same video, labelled or not. As a control the groups of another trial are
    used: real differences between groups must be larger than those. The scores are added to
    `results` as ``val_by_speaker``; returned as rows of `roles.table`, none if nothing is known.
    """
    heard, labelled = {}, []
    for trial, split in zip(table["trial"], table["split"], strict=True):
        rows = predictions.table(trial)
        if "speaking" in rows:
            heard[trial] = roles.smoothed(rows["speaking"].to_numpy(float))
            if split == "val" and "label_valence" in rows:
                labelled.append(trial)
    if not labelled:
        return roles.table({})
    videos = dict(zip(table["trial"], table["video"], strict=True))
    groups = {}
    for trial in labelled:
        others = [name for name in heard if name != trial and videos[name] == videos[trial]]
        groups[trial] = roles.group(heard[trial], [heard[name] for name in others])
    pairs = {trial: predictions.pairs(trial) for trial in labelled}
    results["val_by_speaker"] = roles.va_by_group(
        {trial: known for trial, (_, known) in pairs.items()},
        {trial: values for trial, (values, _) in pairs.items()},
        groups,
        with_intervals,
        subjects=_owners(table),
    )
    return roles.table(results["val_by_speaker"])


def speaking_table(results: Mapping) -> pd.DataFrame:
    """A row per split whose speakers were predicted: AVA-style AP and other numbers."""
    names = ["ap", "low", "high", "accuracy", "balanced_accuracy", "positive_rate"]
    names += ["calibration_error", "n_frames", "n_trials"]
    rows = []
    for split in ("val", "test"):
        scores = results.get(split, {}).get("speaking")
        if scores:
            low, high = scores.get("ci95") or (np.nan, np.nan)
            rows.append([split, *({**scores, "low": low, "high": high}[name] for name in names)])
    rows = pd.DataFrame(rows, columns=["split", *names])
    return noted(rows, results.get("synthetic", False))


def pairs(table: pd.DataFrame, predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Submitted values and labels of all labelled frames of the val trials, (N, 2) each."""
    trial_pairs = [(np.zeros((0, 2)), np.zeros((0, 2)))]
    trial_pairs += [predictions.pairs(trial) for trial in table["trial"][table["split"] == "val"]]
    values, known = map(np.concatenate, zip(*trial_pairs, strict=True))
    labelled = np.isfinite(known).all(axis=1)
    return values[labelled], known[labelled]


def by_trial(table: pd.DataFrame, predictions: Predictions) -> pd.DataFrame:
    """Scores of each labelled val trial, see `metrics.per_trial`."""
    trial_pairs = {
        trial: predictions.pairs(trial) for trial in table["trial"][table["split"] == "val"]
    }
    labelled = {trial: pair for trial, pair in trial_pairs.items() if np.isfinite(pair[1]).any()}
    rows = metrics.per_trial(
        {trial: known for trial, (_, known) in labelled.items()},
        {trial: values for trial, (values, _) in labelled.items()},
    )
    return noted(rows, predictions.of_sample(table["trial"]))
