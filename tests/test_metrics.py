"""Scores count labelled frames only, and degenerate cases have defined values."""

import json

import numpy as np
import pytest

from lib import intervals, metrics
from lib.errors import InputError
from tests import pace


def curves(n=100):
    steps = np.arange(n)
    return np.sin(0.1 * steps), 0.5 * np.sin(0.1 * steps + 0.3) + 0.1


def trials(count=12, frames=200, seed=0):
    rng = np.random.default_rng(seed)
    labels = {f"t{i}": rng.uniform(-1, 1, (frames, 2)) for i in range(count)}
    return labels, {name: 0.7 * y + rng.normal(0, 0.3, y.shape) for name, y in labels.items()}


def test_ccc_of_the_golden_curves_uses_population_moments():
    # goldens_tsav_jca.json, "ccc": metric_biased
    assert metrics.ccc(*curves()) == pytest.approx(0.7688589, abs=1e-6)


def test_ccc_agrees_with_torchmetrics_at_100_000_frames():
    import torch
    from torchmetrics.regression import ConcordanceCorrCoef

    rng = np.random.default_rng(1)
    y = rng.uniform(-1, 1, 100_000)
    x = 0.5 * y + 0.2 + rng.normal(0, 0.3, len(y))
    theirs = ConcordanceCorrCoef()(torch.tensor(x), torch.tensor(y)).item()
    assert metrics.ccc(x, y) == pytest.approx(theirs, abs=1e-5)


def test_ccc_equals_its_definition_with_float32_input_far_from_zero():
    x, y = (np.float32(100) + c.astype(np.float32) for c in curves(5000))
    a, b = x.astype(float), y.astype(float)
    cov = np.mean((a - a.mean()) * (b - b.mean()))
    expected = 2 * cov / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    assert metrics.ccc(x, y) == pytest.approx(expected, abs=1e-10)


def test_ccc_of_equal_arrays_is_one_and_of_negated_ones_minus_one():
    x = curves()[0] - curves()[0].mean()
    assert metrics.ccc(x, x) == pytest.approx(1)
    assert metrics.ccc(-x, x) == pytest.approx(-1)


@pytest.mark.parametrize("metric", [metrics.ccc, metrics.pcc])
@pytest.mark.parametrize("value", [0.0, 0.1, np.float32(1 / 3)])
def test_a_constant_prediction_or_label_scores_zero(metric, value):
    x = curves()[0]
    constant = np.full(len(x), value)
    assert metric(constant, x) == 0
    assert metric(x, constant) == 0
    assert metric(constant, constant) == 0


def test_pcc_rmse_and_mae_equal_numpy():
    x, y = curves()
    assert metrics.pcc(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert metrics.rmse(x, y) == pytest.approx(np.sqrt(np.mean((x - y) ** 2)))
    assert metrics.mae(x, y) == pytest.approx(np.abs(x - y).mean())


@pytest.mark.parametrize("metric", [metrics.ccc, metrics.pcc, metrics.rmse, metrics.mae])
def test_unlabelled_frames_never_count(metric):
    x, y = curves()
    with_gaps, wild = np.r_[y, np.full(50, np.nan)], np.r_[x, np.full(50, 9.0)]
    wild[-1] = np.nan  # no prediction is needed where there is no label
    assert metric(wild, with_gaps) == pytest.approx(metric(x, y), abs=1e-12)


def test_a_labelled_frame_without_prediction_is_refused_with_trial_and_number():
    labels, predictions = trials(2)
    predictions["t1"][:3, 0] = np.nan
    with pytest.raises(InputError, match=r"3 labelled frames have no prediction[\s\S]*trial t1"):
        metrics.va_scores(labels, predictions)
    assert metrics.va_scores(labels, predictions, emotions=["arousal"])["arousal"]["ccc"] > 0.5


def test_a_trial_without_predictions_or_with_another_length_is_refused():
    labels, predictions = trials(2)
    with pytest.raises(InputError, match="trial t0"):
        metrics.va_scores(labels, {"t1": predictions["t1"]})
    with pytest.raises(InputError, match="one prediction a frame"):
        metrics.va_scores(labels, {**predictions, "t0": predictions["t0"][:5]})


def test_without_any_labelled_frame_the_score_is_undefined():
    nothing = np.full(4, np.nan)
    assert np.isnan(metrics.ccc(np.zeros(4), nothing))
    scores = metrics.va_scores({"t": np.full((4, 2), np.nan)}, {})
    assert scores["valence"]["ccc"] is None
    assert scores["valence"]["n_frames"] == 0
    json.dumps(scores, allow_nan=False)


def test_va_scores_are_taken_over_the_concatenation_of_all_trials():
    labels, predictions = trials()
    labels["t0"][:20] = np.nan
    scores = metrics.va_scores(labels, predictions)["arousal"]
    x, y = (np.concatenate([d[t][:, 1] for t in labels]) for d in (predictions, labels))
    assert scores["ccc"] == pytest.approx(metrics.ccc(x, y), abs=1e-12)
    assert (scores["n_frames"], scores["n_trials"]) == (12 * 200 - 20, 12)
    low, high = scores["ci95"]
    assert low < scores["ccc"] < high
    assert "why" not in scores


def test_under_eight_trials_the_interval_is_null_and_says_why():
    scores = metrics.va_scores(*trials(7))["valence"]
    assert scores["ci95"] is None
    assert "7 labelled trials" in scores["why"]
    assert metrics.va_scores(*trials(8))["valence"]["ci95"] is not None


def pairs_of(labels, predictions, column=0):
    return [(predictions[t][:, column], labels[t][:, column]) for t in labels]


@pytest.mark.parametrize("metric", [metrics.ccc, metrics.pcc, metrics.rmse, metrics.mae])
def test_the_fast_interval_equals_leaving_trials_out_and_concatenating_the_others(metric):
    labels, predictions = trials(9, 50)
    labels["t2"][10:30] = np.nan
    pairs, unit = pairs_of(labels, predictions), [0, 1, 2, 3, 4, 5, 6, 7, 7]
    scale = metrics.SCORES[metric.__name__][2]
    slow = metrics.interval(pairs, lambda x, y: metric(x, y), unit, scale)["ci95"]
    assert metrics.interval(pairs, metric, unit)["ci95"] == pytest.approx(slow, abs=1e-9)
    assert slow != pytest.approx(metrics.interval(pairs, metric)["ci95"], abs=1e-4)


def test_fast_intervals_of_f1_and_recall_equal_the_slow_ones():
    rng = np.random.default_rng(0)
    labels = [rng.integers(-1, 7, 60) for _ in range(9)]
    pairs = [
        (np.where(rng.random(60) < 0.6, np.maximum(y, 0), rng.integers(0, 7, 60)), y)
        for y in labels
    ]
    for metric in (metrics.f1_macro, metrics.uar):
        slow = metrics.interval(pairs, lambda x, y, m=metric: m(x, y), scale="share")["ci95"]
        assert metrics.interval(pairs, metric)["ci95"] == pytest.approx(slow)
    units = [(rng.integers(0, 2, (40, 8)), rng.integers(-1, 2, (40, 8))) for _ in range(9)]
    slow = metrics.interval(units, lambda x, y: metrics.f1_mean(x, y), scale="share")["ci95"]
    assert metrics.interval(units, metrics.f1_mean)["ci95"] == pytest.approx(slow)


def test_the_interval_of_a_ccc_is_students_around_fishers_z():
    left_out = np.tanh(1 + 0.01 * np.arange(-4, 5))
    low, high = intervals.around(np.tanh(1), left_out, "correlation")["ci95"]
    half = 2.306004 * np.sqrt(0.0001 * 60)  # t of 8 degrees of freedom; 60 = Σ k² of −4 … 4
    assert np.arctanh([low, high]) == pytest.approx([1 - half, 1 + half], abs=1e-6)


def test_trials_of_one_subject_are_left_out_together_and_the_interval_grows():
    rng = np.random.default_rng(0)
    labels, predictions = trials(24, 40)
    subjects = {f"t{k}": f"s{k // 3}" for k in range(24)}
    bias = dict(zip(dict.fromkeys(subjects.values()), rng.normal(0, 0.3, 8), strict=True))
    predictions = {t: rows + bias[subjects[t]] for t, rows in predictions.items()}
    alone = metrics.va_scores(labels, predictions)["valence"]
    told = metrics.va_scores(labels, predictions, subjects=subjects)["valence"]
    assert told["ccc"] == alone["ccc"]
    assert np.ptp(told["ci95"]) > 1.3 * np.ptp(alone["ci95"])
    assert (told["n_trials"], told["n_subjects"]) == (24, 8)
    assert "n_subjects" not in alone


def test_fewer_than_eight_subjects_have_no_interval_however_many_trials():
    labels, predictions = trials(20, 10)
    subjects = {f"t{k}": f"s{k % 7}" for k in range(20)}
    for scores in (
        metrics.va_scores(labels, predictions, subjects=subjects)["valence"],
        metrics.mean_ccc(labels, predictions, subjects=subjects),
    ):
        assert scores["ci95"] is None
        assert "7 subjects in 20 labelled trials" in scores["why"]


def test_trials_that_share_a_subject_or_a_video_are_one_unit_also_through_a_third():
    videos, people = (
        {"a": "1", "b": "1", "c": "2", "d": "3"},
        {"b": "x", "c": "x", "d": "", "e": "y"},
    )
    unit = intervals.units(list("abcde"), videos, people)
    assert len(set(unit[:3])) == 1
    assert len(set(unit)) == 3
    assert len(set(intervals.units(list("abcde")))) == 5


@pytest.mark.parametrize(
    ("score", "left_out", "why"),
    [
        (0.5, np.full(8, 0.5), "the same whichever trial is left out"),
        (1.0, np.ones(8), "the same whichever trial is left out"),
        (np.nan, np.full(8, np.nan), "the score is undefined"),
        (0.5, np.r_[np.nan, np.linspace(0.4, 0.6, 7)], "without 1 of the 8"),
    ],
)
def test_a_degenerate_case_has_no_interval_and_says_why(score, left_out, why):
    found = intervals.around(score, left_out, "correlation")
    assert found["ci95"] is None
    assert why in found["why"]


def test_an_interval_stays_where_scores_can_be_and_holds_a_perfect_one():
    rng = np.random.default_rng(0)
    pairs = [(y, y) for y in rng.normal(size=(9, 30))]
    assert metrics.interval(pairs, metrics.ccc)["ci95"] is None, "1 whoever is left out"
    pairs[0] = (pairs[0][0] + 0.01, pairs[0][1])
    low, high = metrics.interval(pairs, metrics.ccc)["ci95"]
    assert -1 <= low < metrics.ccc(*map(np.concatenate, zip(*pairs, strict=True))) < high <= 1
    low, high = intervals.around(0.99, np.r_[1.0, np.full(8, 0.98)], "share")["ci95"]
    assert 0 < low < 0.99 < high <= 1


def test_a_constant_label_in_all_other_trials_scores_exactly_zero():
    """Sums without trial i are never made by subtraction, which would leave rounding."""
    rng = np.random.default_rng(0)
    sums = metrics.moments_of([(x, np.full(20, 0.1)) for x in rng.normal(size=(8, 20))])
    sums = np.concatenate([metrics.moments_of([(sums[0, :9], np.arange(9.0))]) * 1e6, sums])
    assert metrics.ccc_of_sums(intervals.without_each(sums))[0] == 0


def test_several_seeds_are_wider_than_one_by_what_seeds_differ():
    left_out = 0.6 + 0.01 * np.linspace(-1, 1, 10)
    one = intervals.around(0.6, left_out, "correlation")["ci95"]
    alike = intervals.over_seeds([0.6, 0.6], [left_out] * 2, "correlation")["ci95"]
    assert alike == pytest.approx(one)
    apart = intervals.over_seeds([0.5, 0.7], [left_out - 0.1, left_out + 0.1], "correlation")
    assert np.ptp(apart["ci95"]) > 5 * np.ptp(one)
    assert intervals.over_seeds([0.6], [left_out], "correlation")["ci95"] == one


def test_most_intervals_of_eight_trials_hold_the_true_value():
    """A small share of benchmarks/coverage.py: percentiles of draws held it in 84 % of cases."""
    rng = np.random.default_rng(5)
    sums = []
    for _ in range(400 * 8):
        y = 0.5 * rng.normal() + 0.5 * rng.normal(size=12)
        x = 0.95 * y + 0.25 * rng.normal() + 0.1 * rng.normal(size=12)
        sums.append(metrics._moments(x, y, x - y, 0.0))
    sums = np.array(sums)
    truth, sets = metrics.ccc_of_sums(sums.sum(axis=0)), sums.reshape(400, 8, -1)
    ends = [
        intervals.around(
            metrics.ccc_of_sums(rows.sum(axis=0)),
            metrics.ccc_of_sums(intervals.without_each(rows)),
            "correlation",
        )["ci95"]
        for rows in sets
    ]
    low, high = np.array(ends).T
    assert 0.91 < np.mean((low <= truth) & (truth <= high)) < 0.99


def test_an_interval_of_ten_times_the_trials_takes_ten_times_as_long_not_a_hundred_times():
    pairs = pairs_of(*trials(200, 1000))
    assert pace.growth(lambda count: metrics.interval(pairs[:count], metrics.ccc), 20, 200) < 30


def test_f1_macro_averages_the_classes_that_occur_among_the_labels():
    label = np.array([0, 0, 1, 1, 2, -1], np.int8)
    prediction = np.array([0, 1, 1, 1, 5, 3], np.int8)
    # class 0: 2·1/(2+1), class 1: 2·2/(2+3), class 2 never predicted: 0; 5 and 3 have no labels
    assert metrics.f1_macro(prediction, label) == pytest.approx((2 / 3 + 4 / 5 + 0) / 3)
    assert np.isnan(metrics.f1_macro(prediction, np.full(6, -1)))


def test_f1_mean_counts_each_unit_where_it_is_labelled():
    label = np.array([[1, 0, -1], [1, 0, 1], [0, 0, 1]], np.int8)
    prediction = np.array([[1, 1, 1], [0, 0, 1], [0, 0, 0]], np.int8)
    # unit 0: 2·1/(2+1); unit 1 is never active: left out; unit 2: 2·1/(2+1)
    assert metrics.f1_mean(prediction, label) == pytest.approx(2 / 3)
    assert np.isnan(metrics.f1_mean(prediction, np.full((3, 3), -1)))


def test_expression_and_action_unit_scores_are_ready_for_json():
    rng = np.random.default_rng(0)
    labels = {f"t{i}": rng.integers(-1, 7, 30).astype(np.int8) for i in range(8)}
    scores = metrics.expression_scores(labels, {t: np.maximum(y, 0) for t, y in labels.items()})
    assert scores["f1_macro"] == 1
    assert scores["n_frames"] == sum(int((y >= 0).sum()) for y in labels.values())
    units = {"a": np.array([[1, -1], [-1, -1], [0, 1]], np.int8)}
    scores = metrics.action_units_scores(units, {"a": np.ones((3, 2), np.int8)})
    assert scores["n_frames"] == 2
    assert scores["f1_mean"] == pytest.approx((2 / 3 + 1) / 2)
    json.dumps(scores, allow_nan=False)


def test_the_trial_table_has_a_row_for_each_trial_and_emotion():
    labels, predictions = trials(3)
    labels["t1"][:, 1] = np.nan
    table = metrics.per_trial(labels, predictions)
    assert list(zip(table.trial, table.emotion, strict=True)) == [
        ("t0", "valence"),
        ("t1", "valence"),
        ("t2", "valence"),
        ("t0", "arousal"),
        ("t2", "arousal"),
    ]
    assert table.ccc[0] == pytest.approx(metrics.ccc(predictions["t0"][:, 0], labels["t0"][:, 0]))


def test_the_published_score_counts_unlabelled_frames_as_zeros():
    labels, predictions = trials(1, 1000)
    labels["t0"][:200] = np.nan
    y, x = metrics.zero_filled(labels["t0"], predictions["t0"])
    assert not y[:200].any()
    assert not x[:200].any()
    assert metrics.ccc(x[:, 0], y[:, 0]) > 0
    assert np.array_equal(x[200:], predictions["t0"][200:])


def test_the_ccc_table_keeps_methods_before_baselines():
    scores = metrics.va_scores(*trials())
    table = metrics.ccc_table({"tsav": scores}, {"training mean": {"valence": 0.0, "arousal": 0.0}})
    assert table.method.tolist() == ["tsav", "tsav", "training mean", "training mean"]
    assert table.baseline.tolist() == [False, False, True, True]
    assert table.low[0] == scores["valence"]["ci95"][0]
    assert np.isnan(table.low[2])


def test_the_mean_of_both_emotions_leaves_a_trial_out_of_both():
    generator = np.random.default_rng(3)
    labels = {f"t{k}": generator.uniform(-1, 1, (40, 2)) for k in range(9)}
    predictions = {
        trial: rows + generator.normal(0, 0.3 + 0.1 * k, rows.shape)
        for k, (trial, rows) in enumerate(labels.items())
    }
    labels["t0"][:10] = np.nan
    scores = metrics.va_scores(labels, predictions)
    found = metrics.mean_ccc(labels, predictions)
    assert found["ccc"] == pytest.approx((scores["valence"]["ccc"] + scores["arousal"]["ccc"]) / 2)
    trials = [(predictions[trial], rows) for trial, rows in labels.items()]
    both = metrics.interval(
        trials,
        lambda x, y: (metrics.ccc(x[:, 0], y[:, 0]) + metrics.ccc(x[:, 1], y[:, 1])) / 2,
        scale="correlation",
    )
    assert found["ci95"] == pytest.approx(both["ci95"])


def test_the_mean_of_few_or_no_trials_says_why_it_has_no_interval():
    few = metrics.mean_ccc({"a": np.eye(2)}, {"a": np.eye(2)})
    assert (few["ccc"], few["ci95"]) == (pytest.approx(1), None)
    assert "1 labelled trials" in few["why"]
    assert metrics.mean_ccc({"a": np.full((2, 2), np.nan)}, {"a": np.eye(2)})["ccc"] is None


@pytest.mark.parametrize(
    ("value", "text"), [(0.4311, "0.43"), (-0.001, "0.00"), (float("nan"), ""), (None, "")]
)
def test_a_score_is_rounded_never_minus_nothing_and_empty_where_there_is_none(value, text):
    assert intervals.rounded(value) == text


def test_an_interval_stands_in_brackets_only_where_both_ends_are_known():
    assert intervals.in_brackets(0.3, 0.512, 3) == " [0.300, 0.512]"
    assert intervals.in_brackets(None, None) == ""
