"""Scores over labelled frames, and 95 % intervals over subjects or trials (`lib.intervals`).

Moments are population moments (divided by n). Frames without a label never count; a frame with a
label but without a prediction is an error, because a method must not gain by skipping frames.

Scores are computed from sums over the labelled frames of each trial. The sums of several trials add
up, so the score of any selection of trials (all, one, all but one) needs only a sum of rows. A
selection is an array (…, k) of sums; its score has shape (…). Frames without a label add nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from . import intervals
from .errors import InputError

_CONSTANT = 1e-12  # a variance below this share of the mean square is rounding error, not variation
Pairs = Sequence[tuple[np.ndarray, np.ndarray]]


def labelled(label: np.ndarray) -> np.ndarray:
    """Where there is a label (or prediction): no NaN among numbers, no −1 among classes; bool."""
    label = np.asarray(label)
    return ~np.isnan(label) if label.dtype.kind == "f" else label >= 0


def moments_of(trials: Pairs) -> np.ndarray:
    """(trials, 9) float64: n, Σx, Σy, Σxx, Σyy, Σxy, n·(shift of x against y), Σ(x−y)², Σ|x−y|.

    x (prediction) and y (label) are counted from the first value of all: moments do not depend on
    the origin, and so a constant gives sums that are exactly 0.
    """
    kept = []
    for x, y in trials:
        known = labelled(y)
        kept.append((np.asarray(x, np.float64)[known], np.asarray(y, np.float64)[known]))
    x0, y0 = next(((x[0], y[0]) for x, y in kept if len(x)), (0.0, 0.0))
    return np.array([_moments(x - x0, y - y0, x - y, x0 - y0) for x, y in kept])


def _moments(x: np.ndarray, y: np.ndarray, apart: np.ndarray, shift: float) -> list[float]:
    sums = [len(x), x.sum(), y.sum(), x @ x, y @ y, x @ y]
    return [*sums, len(x) * shift, apart @ apart, np.abs(apart).sum()]


def ccc_of_sums(sums: np.ndarray) -> np.ndarray:
    """2·cov / (var x + var y + (difference of means)²); 0 if x or y is constant, NaN of none."""
    apart, var_x, var_y, cov = _central(sums)
    return _ratio(2 * cov, var_x + var_y + apart**2, sums[..., 0])


def pcc_of_sums(sums: np.ndarray) -> np.ndarray:
    """cov / √(var x · var y); 0 where x or y is constant, NaN without a frame."""
    _, var_x, var_y, cov = _central(sums)
    return _ratio(cov, np.sqrt(var_x * var_y), sums[..., 0])


def rmse_of_sums(sums: np.ndarray) -> np.ndarray:
    """√(mean (x−y)²)."""
    return np.sqrt(_ratio(sums[..., 7], sums[..., 0], sums[..., 0]))


def mae_of_sums(sums: np.ndarray) -> np.ndarray:
    """mean |x−y|."""
    return _ratio(sums[..., 8], sums[..., 0], sums[..., 0])


def _central(sums: np.ndarray) -> tuple[np.ndarray, ...]:
    """Difference of means, variances, covariance; the last three are 0 where x or y is constant."""
    x, y, xx, yy, xy, shift = (sums[..., i] / np.maximum(sums[..., 0], 1) for i in range(1, 7))
    var_x, var_y = xx - x * x, yy - y * y
    varies = (var_x > _CONSTANT * xx) & (var_y > _CONSTANT * yy)
    return x - y + shift, *(np.where(varies, v, 0.0) for v in (var_x, var_y, xy - x * y))


def _ratio(above: np.ndarray, below: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """above / below; 0 for 0 / 0; NaN where there is no frame."""
    return np.where(frames > 0, above / np.where(below > 0, below, 1.0), np.nan)


def classes(trials: Pairs) -> np.ndarray:
    """(trials, 3·C): hits, labelled and predicted frames of each class, where labelled."""
    number = 1 + max(int(np.max(array, initial=0)) for pair in trials for array in pair)
    rows = []
    for x, y in trials:
        known = labelled(y)
        x, y = x[known], y[known]
        counts = [np.bincount(p.astype(np.int64), minlength=number) for p in (x[x == y], y, x)]
        rows.append(np.concatenate(counts))
    return np.array(rows, np.float64)


def units(trials: Pairs) -> np.ndarray:
    """(trials, 3·U): hits, frames labelled and predicted active of each unit, where labelled."""
    active = [((x == 1) & (y >= 0), y == 1) for x, y in trials]
    return np.array(
        [np.concatenate([(x & y).sum(axis=0), y.sum(axis=0), x.sum(axis=0)]) for x, y in active],
        np.float64,
    )


def f1(sums: np.ndarray) -> np.ndarray:
    """Mean of 2·hits / (labelled + predicted) over the classes (units) that have a label."""
    hits, support, predicted = np.split(sums, 3, axis=-1)
    by_class = np.where(support > 0, 2 * hits / np.maximum(support + predicted, 1), 0.0)
    number = (support > 0).sum(axis=-1)
    return _ratio(by_class.sum(axis=-1), number, number)


def recall(sums: np.ndarray) -> np.ndarray:
    """Mean of hits / labelled over the classes that occur among the labels."""
    hits, support, _ = np.split(sums, 3, axis=-1)
    by_class = np.where(support > 0, hits / np.maximum(support, 1), 0.0)
    number = (support > 0).sum(axis=-1)
    return _ratio(by_class.sum(axis=-1), number, number)


# name of the score: (sums of each trial, score of sums, scale of its interval)
SCORES = {
    "ccc": (moments_of, ccc_of_sums, "correlation"),
    "pcc": (moments_of, pcc_of_sums, "correlation"),
    "rmse": (moments_of, rmse_of_sums, "positive"),
    "mae": (moments_of, mae_of_sums, "positive"),
    "f1_macro": (classes, f1, "share"),
    "f1_mean": (units, f1, "share"),
    "uar": (classes, recall, "share"),
}
EMOTIONS = ("valence", "arousal")
# What else is scored, and the scores by their keys in metrics.json (AP: `speakers.metrics`).
TASKS = {"speaking": "speaking", "expression": "expression", "action_units": "action units"}
SHOWN = {"ccc": "CCC", "uar": "UAR", "f1_macro": "macro-F1", "f1_mean": "mean F1", "ap": "AP"}


def ccc(prediction: np.ndarray, label: np.ndarray) -> float:
    """Concordance correlation (Lin 1989), 2·cov / (var + var + (difference of means)²), in −1…1.

    prediction, label : (n,) numbers; frames whose label is NaN are left out.

    A constant prediction or label gives 0; without a labelled frame the result is NaN. Raises
    InputError where a labelled frame has no prediction.
    """
    return _score("ccc", prediction, label)


def pcc(prediction: np.ndarray, label: np.ndarray) -> float:
    """Pearson correlation of prediction and label, (n,) each, in −1…1; undefined as in `ccc`."""
    return _score("pcc", prediction, label)


def rmse(prediction: np.ndarray, label: np.ndarray) -> float:
    """Root of the mean squared difference over labelled frames, (n,) each; NaN without one."""
    return _score("rmse", prediction, label)


def mae(prediction: np.ndarray, label: np.ndarray) -> float:
    """Mean absolute difference over labelled frames, (n,) each; NaN without a labelled frame."""
    return _score("mae", prediction, label)


def ccc_parts(prediction: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """What a CCC is made of (Lin 1989): ccc = correlation · accuracy, accuracy = 2 / (scale + 1 /
    scale + shift²).

    prediction, label : (n,); frames whose label is NaN are left out.

    Returns ccc, correlation (−1…1), scale (standard deviation of the prediction over that of the
    label; 1 is right), shift (difference of means over the geometric mean of both standard
    deviations; 0 is right), accuracy (0…1), and in the label's units bias (mean prediction −
    label), sd_prediction, sd_label. What is undefined, as the scale of a constant, is NaN; then ccc
    is 0 as in `ccc`.
    """
    prediction, label = np.asarray(prediction, np.float64), np.asarray(label, np.float64)
    parts = {"ccc": ccc(prediction, label), "correlation": pcc(prediction, label)}
    known = labelled(label)
    x, y = prediction[known], label[known]
    nothing = float("nan")
    sd_x, sd_y = (
        float(values.std()) if len(values) and np.ptp(values) > 0 else 0.0 for values in (x, y)
    )
    bias = float(x.mean() - y.mean()) if len(x) else nothing
    scale, shift = (
        (sd_x / sd_y, bias / np.sqrt(sd_x * sd_y)) if sd_x and sd_y else (nothing, nothing)
    )
    accuracy = 2 / (scale + 1 / scale + shift**2) if scale == scale else nothing
    return parts | {
        "scale": scale,
        "shift": shift,
        "accuracy": accuracy,
        "bias": bias,
        "sd_prediction": sd_x if len(x) else nothing,
        "sd_label": sd_y if len(x) else nothing,
    }


def f1_macro(prediction: np.ndarray, label: np.ndarray) -> float:
    """Mean F1 of the expressions, 0…1: the expression score of the ABAW challenges.

    prediction, label : (n,) int, class numbers from 0; label −1 = unlabelled.

    The mean runs over the classes that occur among the labels; a class that is never predicted
    correctly has F1 0. A class without a labelled frame has no F1 and is left out (predicting it
    still is a miss of another class). No labelled frame: NaN.
    """
    return _score("f1_macro", prediction, label)


def f1_mean(prediction: np.ndarray, label: np.ndarray) -> float:
    """Mean F1 of the action units, 0…1.

    prediction, label : (n, U) int, 0 or 1; label −1 = unlabelled, unit by unit.

    A unit that is active in no labelled frame has no F1 and is left out of the mean; when all are,
    the result is NaN.
    """
    return _score("f1_mean", prediction, label)


def uar(prediction: np.ndarray, label: np.ndarray) -> float:
    """Unweighted average recall, 0…1: mean over the classes of the share that is recognised.

    prediction, label : (n,) int, class numbers from 0; label −1 = unlabelled. A class without a
        label is left out. No label: NaN.
    """
    return _score("uar", prediction, label)


OWN = (ccc, pcc, rmse, mae, f1_macro, f1_mean, uar)


def zero_filled(label: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label and prediction as JCA's published validation counts them: unlabelled frames become
    pairs (0, 0).

    (T, 2) each -> (label, prediction); a frame is unlabelled if either emotion is NaN. Only for
    ``rules: published`` (TSAV/JCA specification §2.9; smoothing comes after it): with 20 % of such
    frames a CCC of 0.568 reads 0.596.
    """
    known = labelled(label).all(axis=1, keepdims=True)
    return np.where(known, label, 0.0), np.where(known, prediction, 0.0)


def interval(
    trials: Pairs, metric: Callable, unit: Sequence[int] | None = None, scale: str = ""
) -> dict:
    """{"ci95": [low, high]} or {"ci95": None, "why": …}: 95 % interval of `metric` over subjects.

    trials : one (prediction, label) each, all with a label. unit : (trials,) which of them are of
        one subject (`intervals.units`); by default each is a unit of its own. scale : a name in
        `intervals.SCALES`; needed for a function that is not of this module.

    Intervals of CCC and PCC use Fisher's z, those of shares (F1, recall, AP) the arcsine of the
    square root, those of RMSE and MAE the logarithm. F1 and recall are means over the classes that
    occur: a class of one subject alone is missing where that subject is left out, as it would be in
    other data, and the interval covers this. A metric of this module costs milliseconds; any other
    function of (prediction, label) is called once for each unit.
    """
    unit = np.arange(len(trials)) if unit is None else np.asarray(unit)
    if metric in OWN and trials:
        sums_of, score_of, default_scale = SCORES[metric.__name__]
        sums = intervals.by_unit(sums_of(trials), unit)
        score, left_out = score_of(sums.sum(axis=0)), score_of(intervals.without_each(sums))
    else:
        default_scale, numbers = scale or "plain", np.unique(unit)
        score = _joined(metric, trials)
        left_out = [
            _joined(metric, [pair for pair, k in zip(trials, unit, strict=True) if k != number])
            for number in numbers
        ]
    return intervals.around(score, left_out, scale or default_scale, len(trials))


def _joined(metric: Callable, trials: Pairs) -> float:
    """The metric of the concatenation of all trials; NaN of none."""
    if not trials:
        return np.nan
    return float(metric(*map(np.concatenate, zip(*trials, strict=True))))


def va_scores(
    labels: Mapping,
    predictions: Mapping,
    emotions: Sequence[str] = EMOTIONS,
    with_intervals: bool = True,
    subjects: Mapping[str, str] | None = None,
) -> dict:
    """Scores of valence and arousal over the concatenation of all labelled frames.

    labels, predictions : {trial: (T, 2)}, columns valence and arousal, label NaN = unlabelled;
        `emotions` says which columns to score. with_intervals : False between the epochs of a
        training, where nobody reads an interval. subjects : {trial: subject}; trials of one subject
        are left out together (`intervals.units`), and where a subject has several, n_subjects
        stands beside n_trials.

    Returns {"valence": {"ccc", "ci95": [low, high] or None, "why"
    (only if None), "pcc", "rmse", "mae", "n_frames", "n_trials"}, "arousal": …}, ready for JSON:
    what is undefined is None. Raises InputError for a trial or labelled frame without a prediction.
    """
    scores = (ccc, pcc, rmse, mae)
    by_emotion = {}
    for emotion in emotions:
        pairs = _pairs(labels, predictions, EMOTIONS.index(emotion))
        by_emotion[emotion] = _summary(pairs, scores, with_intervals, subjects)
    return by_emotion


def mean_ccc(
    labels: Mapping,
    predictions: Mapping,
    with_intervals: bool = True,
    subjects: Mapping[str, str] | None = None,
) -> dict:
    """{"ccc", "ci95", ("why",) "n_trials"}: the mean of both emotions' CCC, its interval by
    Fisher's z of the mean, each subject left out of both.

    labels, predictions : {trial: (T, 2)}. None where one of the two is undefined. with_intervals,
        subjects : see `va_scores`.
    """
    both = [_pairs(labels, predictions, column) for column in range(len(EMOTIONS))]
    trials = [trial for trial in both[0] if trial in both[1]]
    if not trials:
        why = intervals.why_too_few(0, 0)
        return {"ccc": None, "ci95": None, "n_trials": 0, "why": why}
    unit = intervals.units(trials, subjects or {})
    sums = [
        intervals.by_unit(moments_of([pairs[trial] for trial in trials]), unit) for pairs in both
    ]
    score = float(np.mean([ccc_of_sums(rows.sum(axis=0)) for rows in sums]))
    left_out = np.mean([ccc_of_sums(intervals.without_each(rows)) for rows in sums], axis=0)
    summary = {"ccc": None if np.isnan(score) else score, "n_trials": len(trials)}
    if not with_intervals:
        return summary | {"ci95": None}
    return summary | intervals.around(score, left_out, "correlation", len(trials))


def expression_scores(
    labels: Mapping,
    predictions: Mapping,
    with_intervals: bool = True,
    subjects: Mapping[str, str] | None = None,
) -> dict:
    """{"f1_macro", "ci95", ("why",) "n_frames", "n_trials"} of {trial: (T,) int} labels (−1 none);
    with_intervals, subjects : see `va_scores`.
    """
    return _summary(_pairs(labels, predictions), (f1_macro,), with_intervals, subjects)


def utterance_scores(
    labels: Mapping,
    predictions: Mapping,
    with_intervals: bool = True,
    subjects: Mapping[str, str] | None = None,
) -> dict:
    """{"uar", "ci95", ("why",) "f1_macro", "n_frames", "n_trials"} of {trial: (1,) int}: one label
    per recording (−1 none), which n_frames counts here; with_intervals, subjects : see `va_scores`.
    """
    return _summary(_pairs(labels, predictions), (uar, f1_macro), with_intervals, subjects)


def action_units_scores(
    labels: Mapping,
    predictions: Mapping,
    with_intervals: bool = True,
    subjects: Mapping[str, str] | None = None,
) -> dict:
    """{"f1_mean", "ci95", ("why",) "n_frames", "n_trials"} of {trial: (T, U) int} labels (−1 none).

    A frame counts into n_frames with any unit labelled; with_intervals, subjects : see `va_scores`.
    """
    return _summary(_pairs(labels, predictions), (f1_mean,), with_intervals, subjects)


def per_trial(labels: Mapping, predictions: Mapping) -> pd.DataFrame:
    """A row per trial and emotion with labels: trial, emotion, n_frames, ccc, pcc, rmse, mae."""
    rows, scores = [], (ccc, pcc, rmse, mae)
    for column, emotion in enumerate(EMOTIONS):
        for trial, pair in _pairs(labels, predictions, column).items():
            n_frames = int(labelled(pair[1]).sum())
            rows.append([trial, emotion, n_frames, *(score(*pair) for score in scores)])
    return pd.DataFrame(rows, columns=["trial", "emotion", "n_frames", "ccc", "pcc", "rmse", "mae"])


def ccc_table(
    methods: Mapping[str, Mapping], baselines: Mapping[str, Mapping] | None = None
) -> pd.DataFrame:
    """The CCC table that is shown: one row per method and emotion, baselines last.

    methods : {name: what `va_scores` returned}; baselines : {name: {"valence": CCC or scores,
        "arousal": …}}.
    Columns: method, emotion, ccc, low, high (NaN = no interval), baseline (bool).
    """
    rows = []
    for baseline, group in ((False, methods), (True, baselines or {})):
        for method, scores in group.items():
            for emotion in [name for name in EMOTIONS if name in scores]:
                score = scores[emotion]
                score = score if isinstance(score, Mapping) else {"ccc": score}
                low, high = score.get("ci95") or (np.nan, np.nan)
                rows.append([method, emotion, score["ccc"], low, high, baseline])
    table = pd.DataFrame(rows, columns=["method", "emotion", "ccc", "low", "high", "baseline"])
    return table.astype({"ccc": float, "low": float, "high": float, "baseline": bool})


def main_score(entry: object) -> str:
    """The key of the score that stands first in an entry of metrics.json, to which its interval
    belongs; "" for what has none.
    """
    keys = entry if isinstance(entry, Mapping) else ()
    return next((key for key in keys if key in SHOWN), "")


def _score(name: str, prediction: np.ndarray, label: np.ndarray) -> float:
    prediction, label = np.asarray(prediction), np.asarray(label)
    _check(prediction, label, "")
    return _of_all(name, [(prediction, label)])


def _of_all(name: str, trials: Pairs) -> float:
    sums_of, score_of, _ = SCORES[name]
    if not trials:
        return float("nan")
    return float(score_of(sums_of(trials).sum(axis=0)))


def _summary(
    pairs: Mapping,
    metrics: Sequence[Callable],
    with_intervals: bool,
    subjects: Mapping[str, str] | None,
) -> dict:
    """All scores over the concatenation; the interval belongs to the first of `metrics`."""
    trials = list(pairs.values())
    scores = {metric.__name__: _of_all(metric.__name__, trials) for metric in metrics}
    first, *others = ((name, None if np.isnan(score) else score) for name, score in scores.items())
    unit = intervals.units(list(pairs), subjects or {})
    n_units = len(np.unique(unit))
    n_frames = sum(
        int(labelled(label).reshape(len(label), -1).any(axis=1).sum()) for _, label in trials
    )
    return {
        **dict([first]),
        **(interval(trials, metrics[0], unit) if with_intervals else {"ci95": None}),
        **dict(others),
        "n_frames": n_frames,
        "n_trials": len(trials),
        **({"n_subjects": n_units} if n_units < len(trials) else {}),
    }


def _pairs(labels: Mapping, predictions: Mapping, column: int | None = None) -> dict:
    """{trial: (prediction, label)} of all trials that have a labelled frame, checked."""
    pairs = {}
    for trial, label in labels.items():
        label = np.asarray(label) if column is None else np.asarray(label)[:, column]
        if not labelled(label).any():
            continue
        if trial not in predictions:
            raise InputError(
                "a trial with labels has no prediction",
                where=f"trial {trial}",
                expected="a prediction for every labelled frame",
                todo="predict all trials of the split, or take this one out of the comparison",
            )
        prediction = np.asarray(predictions[trial])
        prediction = prediction if column is None else prediction[:, column]
        _check(prediction, label, f"trial {trial}")
        pairs[trial] = (prediction, label)
    return pairs


def _check(prediction: np.ndarray, label: np.ndarray, where: str) -> None:
    if prediction.shape != label.shape:
        raise InputError(
            f"predictions of shape {prediction.shape} for labels of shape {label.shape}",
            where=where,
            expected="one prediction a frame",
            todo="make the predictions again from the same trial table",
        )
    lost = int((labelled(label) & ~labelled(prediction)).sum())
    if lost:
        raise InputError(
            f"{lost} labelled frames have no prediction (NaN or −1)",
            where=where,
            expected="a prediction for every labelled frame: skipping must not improve a score",
            todo="if all are NaN, training has diverged (lower `lr`); else predict every frame",
        )
