"""Scores over labelled frames, and 95 % intervals by bootstrap over trials.

Every score is a function of sums over frames, so trials are summed up once and the score of any selection of trials
(all of them, one, a bootstrap replicate) follows from adding rows. Moments are population moments (divided by n).
Frames without a label never count; a frame with a label but without a prediction is an error, because a method that
skips frames must not gain by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from lib.errors import InputError

EMOTIONS = ("valence", "arousal")
MIN_TRIALS = 8  # under 8 trials a bootstrap over trials says little: 7 trials give only 1716 different selections
_CONSTANT = 1e-12  # variance below this share of the mean square is rounding, not variation

Pairs = Sequence[tuple[np.ndarray, np.ndarray]]


# ------------------------------------------------------------------------------------------ scores of two arrays
def ccc(prediction: np.ndarray, label: np.ndarray) -> float:
    """Concordance correlation coefficient, 2·cov / (var + var + (difference of means)²), in −1…1 (Lin 1989).

    prediction, label : (n,) numbers; frames whose label is NaN are left out. A constant prediction or a constant
    label gives 0; without a labelled frame the result is NaN. Raises InputError for a missing prediction.
    """
    return _score(ccc, prediction, label)


def pcc(prediction: np.ndarray, label: np.ndarray) -> float:
    """Pearson correlation of prediction and label, (n,) each, in −1…1; degenerate cases as in `ccc`."""
    return _score(pcc, prediction, label)


def rmse(prediction: np.ndarray, label: np.ndarray) -> float:
    """Root of the mean squared difference over labelled frames, (n,) each; NaN without a labelled frame."""
    return _score(rmse, prediction, label)


def mae(prediction: np.ndarray, label: np.ndarray) -> float:
    """Mean absolute difference over labelled frames, (n,) each; NaN without a labelled frame."""
    return _score(mae, prediction, label)


def f1_macro(prediction: np.ndarray, label: np.ndarray) -> float:
    """Mean F1 of the expressions, 0…1: the expression score of the ABAW challenges.

    prediction, label : (n,) int, class numbers from 0; label −1 = unlabelled. The mean runs over the classes that
    occur among the labels: of these, one that is never predicted rightly has F1 0. A class without a labelled frame
    has no F1 and is left out (its predictions still are misses of other classes). No labelled frame: NaN.
    """
    return _score(f1_macro, prediction, label)


def f1_mean(prediction: np.ndarray, label: np.ndarray) -> float:
    """Mean F1 of the action units, 0…1.

    prediction, label : (n, U) int, 0 or 1; label −1 = unlabelled, unit by unit. A unit that is active in no labelled
    frame has no F1 and is left out of the mean; when this holds for all of them the result is NaN.
    """
    return _score(f1_mean, prediction, label)


def zero_filled(label: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label and prediction as the published JCA validation counts them: unlabelled frames become pairs (0, 0).

    (T, 2) each -> (label, prediction), where a frame counts as unlabelled if either emotion is NaN. Only for
    ``rules: published`` (tsav_jca.md §2.9): with 20 % of such frames a CCC of 0.568 reads 0.596.
    """
    known = ~np.isnan(np.asarray(label)).any(axis=1, keepdims=True)
    return np.where(known, label, 0.0), np.where(known, prediction, 0.0)


# ---------------------------------------------------------------------------------------------------- intervals
def bootstrap_interval(per_trial: Pairs, metric: Callable, n: int = 1000, seed: int = 0) -> list[float] | None:
    """95 % interval [low, high] of `metric`, by drawing trials (not frames) with replacement.

    per_trial : one (prediction, label) a trial. Frames of a trial resemble each other, so that drawing frames would
    give intervals many times too narrow. Returns None if fewer than MIN_TRIALS trials have a label.
    A metric of this module costs milliseconds; any other function of (prediction, label) is called `n` times.
    """
    per_trial = [pair for pair in per_trial if _is_labelled(pair[1]).any()]
    if len(per_trial) < MIN_TRIALS:
        return None
    draws = np.random.default_rng(seed).integers(len(per_trial), size=(n, len(per_trial)))
    if metric in _BY_SUMS:
        sums, of_sums = _BY_SUMS[metric]
        times = np.zeros((n, len(per_trial)))
        np.add.at(times, (np.arange(n)[:, None], draws), 1)  # how often each trial was drawn
        scores = of_sums(times @ sums(per_trial))
    else:
        scores = [metric(*map(np.concatenate, zip(*(per_trial[i] for i in draw), strict=True))) for draw in draws]
    return [float(bound) for bound in np.nanpercentile(scores, (2.5, 97.5))]


def why_no_interval(n_trials: int) -> str:
    """The reason that stands beside a null interval."""
    return f"{n_trials} labelled trials: an interval over trials needs at least {MIN_TRIALS}"


# ------------------------------------------------------------------------------------- scores of a set of trials
def va_scores(labels: Mapping, predictions: Mapping, emotions: Sequence[str] = EMOTIONS,
              n: int = 1000, seed: int = 0) -> dict:
    """Scores of valence and arousal over the concatenation of all labelled frames.

    labels, predictions : {trial: (T, 2)}, columns valence and arousal, label NaN = unlabelled; `emotions` says which
    columns to score. Returns {"valence": {"ccc", "ci95": [low, high] or None, "why" (only if None), "pcc", "rmse",
    "mae", "n_frames", "n_trials"}, "arousal": …}, ready for JSON: what is undefined is None. Raises InputError for a
    trial or a labelled frame without a prediction.
    """
    return {emotion: _summary(_pairs(labels, predictions, EMOTIONS.index(emotion)), (ccc, pcc, rmse, mae), n, seed)
            for emotion in emotions}


def expression_scores(labels: Mapping, predictions: Mapping, n: int = 1000, seed: int = 0) -> dict:
    """{"f1_macro", "ci95", ("why",) "n_frames", "n_trials"} of {trial: (T,) int} labels (−1 none), predictions."""
    return _summary(_pairs(labels, predictions), (f1_macro,), n, seed)


def action_units_scores(labels: Mapping, predictions: Mapping, n: int = 1000, seed: int = 0) -> dict:
    """{"f1_mean", "ci95", ("why",) "n_frames", "n_trials"} of {trial: (T, U) int} labels (−1 none), predictions."""
    return _summary(_pairs(labels, predictions), (f1_mean,), n, seed)


def per_trial(labels: Mapping, predictions: Mapping, emotions: Sequence[str] = EMOTIONS) -> pd.DataFrame:
    """One row a trial and emotion that has labels: trial, emotion, n_frames, ccc, pcc, rmse, mae."""
    rows = []
    for emotion in emotions:
        for trial, (prediction, label) in _pairs(labels, predictions, EMOTIONS.index(emotion)).items():
            values = {metric.__name__: metric(prediction, label) for metric in (ccc, pcc, rmse, mae)}
            rows.append({"trial": trial, "emotion": emotion, "n_frames": int(_is_labelled(label).sum()), **values})
    return pd.DataFrame(rows, columns=["trial", "emotion", "n_frames", "ccc", "pcc", "rmse", "mae"])


def ccc_table(methods: Mapping[str, Mapping], baselines: Mapping[str, Mapping] | None = None) -> pd.DataFrame:
    """The CCC table that is shown: one row a method and emotion, baselines last.

    methods : {name: what `va_scores` returned}; baselines : {name: {"valence": number or scores, "arousal": …}}.
    Columns: method, emotion, ccc, low, high (NaN = no interval), baseline (bool).
    """
    rows = []
    for kind, group in enumerate((methods, baselines or {})):
        for method, scores in group.items():
            for emotion in [name for name in EMOTIONS if name in scores]:
                found = scores[emotion] if isinstance(scores[emotion], Mapping) else {"ccc": scores[emotion]}
                low, high = found.get("ci95") or (np.nan, np.nan)
                rows.append({"method": method, "emotion": emotion, "ccc": found["ccc"], "low": low, "high": high,
                             "baseline": bool(kind)})
    table = pd.DataFrame(rows, columns=["method", "emotion", "ccc", "low", "high", "baseline"])
    return table.astype({"ccc": float, "low": float, "high": float})


def _pairs(labels: Mapping, predictions: Mapping, column: int | None = None) -> dict:
    """{trial: (prediction, label)} of all trials that have a labelled frame, checked."""
    pairs = {}
    for trial, label in labels.items():
        label = np.asarray(label) if column is None else np.asarray(label)[:, column]
        if not _is_labelled(label).any():
            continue
        if trial not in predictions:
            raise InputError("a trial with labels has no prediction", where=f"trial {trial}",
                             expected="a prediction for every labelled frame",
                             todo="predict all trials of the split, or take this one out of the comparison")
        prediction = np.asarray(predictions[trial])
        prediction = prediction if column is None else prediction[:, column]
        _check(prediction, label, f"trial {trial}")
        pairs[trial] = (prediction, label)
    return pairs


def _summary(pairs: Mapping, metrics: Sequence[Callable], n: int, seed: int) -> dict:
    """All scores over the concatenation; the interval belongs to the first metric."""
    trials = list(pairs.values())
    interval = bootstrap_interval(trials, metrics[0], n, seed)
    values = {}
    for metric in metrics:
        value = _of_trials(metric, trials)
        values[metric.__name__] = None if np.isnan(value) else value
        if metric is metrics[0]:
            values |= {"ci95": interval} if interval else {"ci95": None, "why": why_no_interval(len(trials))}
    # An action-unit frame is counted once if any of its units is labelled.
    frames = sum(int(_is_labelled(label).reshape(len(label), -1).any(axis=1).sum()) for _, label in trials)
    return {**values, "n_frames": frames, "n_trials": len(trials)}


# --------------------------------------------------------------------------------------------- sums and what follows
def _score(metric: Callable, prediction: np.ndarray, label: np.ndarray) -> float:
    prediction, label = np.asarray(prediction), np.asarray(label)
    _check(prediction, label, "")
    return _of_trials(metric, [(prediction, label)])


def _of_trials(metric: Callable, trials: Pairs) -> float:
    sums, of_sums = _BY_SUMS[metric]
    return float(of_sums(sums(trials).sum(axis=0))) if trials else float("nan")


def _is_labelled(label: np.ndarray) -> np.ndarray:
    label = np.asarray(label)
    return ~np.isnan(label) if label.dtype.kind == "f" else label >= 0


def _check(prediction: np.ndarray, label: np.ndarray, where: str) -> None:
    if prediction.shape != label.shape:
        raise InputError(f"predictions of shape {prediction.shape} for labels of shape {label.shape}", where=where,
                         expected="one prediction a frame", todo="make the predictions again from the same trial table")
    lost = int((_is_labelled(label) & ~_is_labelled(prediction)).sum())
    if lost:
        raise InputError(f"{lost} labelled frames have no prediction (NaN or −1)", where=where,
                         expected="a prediction for every labelled frame: skipped frames must not improve a score",
                         todo="if all are NaN, training has diverged (lower `lr`); else predict every frame")


def _moment_sums(trials: Pairs) -> np.ndarray:
    """(trials, 8) float64: n, Σx, Σy, Σxx, Σyy, Σxy, Σ(x−y)², Σ|x−y| over the labelled frames."""
    kept = [(np.asarray(x, np.float64)[m], np.asarray(y, np.float64)[m])
            for x, y in trials for m in [_is_labelled(y)]]
    first = next(((x[0], y[0]) for x, y in kept if len(x)), (0.0, 0.0))
    # Moments do not depend on the origin: put at the first value, a constant gives sums that are exactly 0.
    rows = []
    for x, y in kept:
        u, v, d = x - first[0], y - first[1], x - y
        rows.append((len(x), u.sum(), v.sum(), u @ u, v @ v, u @ v, d @ d, np.abs(d).sum(), (first[0] - first[1]) * len(x)))
    return np.array(rows)


def _moments(sums: np.ndarray) -> tuple[np.ndarray, ...]:
    """Difference of means, variances, covariance; all variation 0 where one of them is constant."""
    n = sums[..., 0]
    x, y, xx, yy, xy, shift = (sums[..., i] / n for i in (1, 2, 3, 4, 5, 8))
    var_x, var_y = xx - x * x, yy - y * y
    varies = (var_x > _CONSTANT * xx) & (var_y > _CONSTANT * yy)
    return x - y + shift, np.where(varies, var_x, 0), np.where(varies, var_y, 0), np.where(varies, xy - x * y, 0)


def _ratio(above: np.ndarray, below: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """above / below; 0 where nothing varies (0/0); NaN where there is no frame."""
    return np.where(frames > 0, above / np.where(below > 0, below, 1.0), np.nan)


def _ccc_of(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        apart, var_x, var_y, cov = _moments(sums)
        return _ratio(2 * cov, var_x + var_y + apart**2, sums[..., 0])


def _pcc_of(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        _, var_x, var_y, cov = _moments(sums)
        return _ratio(cov, np.sqrt(var_x * var_y), sums[..., 0])


def _rmse_of(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(sums[..., 6] / sums[..., 0])


def _mae_of(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 7] / sums[..., 0]


def _class_sums(trials: Pairs) -> np.ndarray:
    """(trials, 3·C): hits, labelled and predicted frames of each class, over the labelled frames."""
    classes = 1 + max(int(np.max(array, initial=0)) for pair in trials for array in pair)
    rows = []
    for prediction, label in trials:
        known = _is_labelled(label)
        x, y = prediction[known], label[known]
        rows.append(np.concatenate([np.bincount(v.astype(np.int64), minlength=classes) for v in (x[x == y], y, x)]))
    return np.array(rows, np.float64)


def _unit_sums(trials: Pairs) -> np.ndarray:
    """(trials, 3·U): hits, frames labelled active and predicted active of each unit, over its labelled frames."""
    rows = []
    for prediction, label in trials:
        x, y = (prediction == 1) & (label >= 0), label == 1
        rows.append(np.concatenate([(x & y).sum(axis=0), y.sum(axis=0), x.sum(axis=0)]))
    return np.array(rows, np.float64)


def _f1_of(sums: np.ndarray) -> np.ndarray:
    """Mean of 2·hits / (labelled + predicted) over what is labelled at all."""
    hits, labelled, predicted = np.split(sums, 3, axis=-1)
    f1 = 2 * hits / np.maximum(labelled + predicted, 1)
    with np.errstate(invalid="ignore"):
        return (f1 * (labelled > 0)).sum(axis=-1) / (labelled > 0).sum(axis=-1)


_BY_SUMS = {ccc: (_moment_sums, _ccc_of), pcc: (_moment_sums, _pcc_of), rmse: (_moment_sums, _rmse_of),
            mae: (_moment_sums, _mae_of), f1_macro: (_class_sums, _f1_of), f1_mean: (_unit_sums, _f1_of)}
