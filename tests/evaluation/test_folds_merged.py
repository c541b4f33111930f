"""Joining folds: the published centring, out-of-fold scores, files of both formats, what is
refused.
"""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from lib import datasets, metrics, plots, trials
from lib.errors import InputError
from lib.evaluation import folds_merged
from lib.metrics import EMOTIONS
from lib.parameters import placed

TRIALS = {"a": 40, "b": 30, "c": 50, "hidden": 60}
VAL = {0: ["a"], 1: ["b", "c"]}


@pytest.fixture
def curves():
    generator = np.random.default_rng(0)
    base = np.sin(np.arange(200) / 9)
    return (
        base * generator.uniform(0.5, 1.1, (6, 1))
        + generator.normal(0, 0.2, (6, 200))
        + generator.normal(0, 0.3, (6, 1))
    )


def make_run(folder, fold, emotion="both", noise=0.3, noted=None, **more):
    """A run folder as 06 leaves it: predictions of its val trials and of the test trial."""
    generator = np.random.default_rng([fold, 7])
    (folder / "predictions").mkdir(parents=True)
    values = {
        "recipe": "lfan",
        "dataset": "sample",
        "fold": fold if noted is None else noted,
        "emotion": emotion,
        "run": folder.name,
        "rules": "corrected",
        "lr": 0.1,
        **more,
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    scores = {name: {"ccc": 0.5, "ci95": [0.4, 0.6]} for name in EMOTIONS}
    (folder / "metrics.json").write_text(
        json.dumps({"val": scores, "val_trials": VAL[fold], "synthetic": True})
    )
    for trial in [*VAL[fold], "hidden"]:
        label = np.stack([np.sin(np.arange(TRIALS[trial]) / k) * 0.8 for k in (5, 7)], axis=1)
        raw = label + generator.normal(0, noise, label.shape)
        for column, name in enumerate(EMOTIONS):
            if emotion not in ("both", name):
                raw[:, column] = np.nan
        table = pd.DataFrame(
            {"frame": np.arange(1, len(raw) + 1), "time": np.arange(len(raw)) / 25, "valid": 1}
        )
        table[list(EMOTIONS)] = np.clip(raw, -1, 1)
        table[[f"{name}_raw" for name in EMOTIONS]] = raw
        table[[f"label_{name}" for name in EMOTIONS]] = label
        table.to_csv(folder / "predictions" / f"{trial}.csv", index=False)
    return folder


def test_centring_is_the_published_formula_and_the_mean_plus_one_constant(curves):
    agreement = np.array(
        [np.mean([metrics.ccc(curves[i], curves[j]) for j in range(6) if j != i]) for i in range(6)]
    )
    means = curves.mean(axis=1)
    centred = curves - means[:, None] + means @ agreement / agreement.sum()
    expected = np.clip(centred.mean(axis=0), -1, 1)
    np.testing.assert_allclose(folds_merged.join(curves, "centred"), expected)
    inside = np.abs(expected) < 1
    apart = (folds_merged.join(curves, "centred") - folds_merged.join(curves))[inside]
    assert np.ptp(apart[np.abs(folds_merged.join(curves)[inside]) < 1]) < 1e-12


def test_early_and_late_clipping_differ_where_folds_leave_the_range():
    both = np.array([[2.0, 0.0], [0.0, 0.0]])
    assert folds_merged.join(both)[0] == 1
    assert folds_merged.join(both, clip="early")[0] == 0.5


def test_folds_that_contradict_each_other_get_no_constant(curves):
    assert folds_merged.centre(np.stack([curves[0], -curves[0]])) == 0
    assert folds_merged.centre(curves[:1]) == 0
    assert folds_merged.centre(np.zeros((3, 10))) == 0


def test_a_fold_that_did_not_learn_an_emotion_is_left_out():
    joined = folds_merged.join(np.array([[0.2, 0.4], [np.nan, np.nan]]))
    assert joined.tolist() == [0.2, 0.4]
    assert np.isnan(folds_merged.join(np.full((2, 3), np.nan))).all()


def test_merging_writes_a_run_with_out_of_fold_scores_and_files_of_both_formats(tmp_path):
    folders = [make_run(tmp_path / f"lfan_fold{fold}", fold) for fold in VAL]
    assert folds_merged.are_folds(folders)
    found = folds_merged.merge(folders, with_intervals=True)
    target = tmp_path / "lfan_merged"
    own = found.scores["val"]["valence"]
    assert (own["n_trials"], own["n_frames"]) == (3, 120)
    single = [entry["test"]["arousal"]["ccc"] for entry in found.scores["folds"]]
    assert found.scores["test"]["arousal"]["ccc"] > np.mean(single)
    assert (
        (target / "submission" / "VA_Set" / "hidden.txt")
        .read_text()
        .startswith("valence,arousal\n")
    )
    assert len((target / "submission" / "predictions.csv").read_text().splitlines()) == 61
    assert sorted(path.stem for path in (target / "predictions").glob("*.csv")) == sorted(TRIALS)
    assert (target / "figures" / "folds.png").stat().st_size > 1000
    joined = pd.read_csv(target / "predictions" / "hidden.csv")
    mean = np.mean(
        [pd.read_csv(f / "predictions" / "hidden.csv")["valence_raw"] for f in folders], axis=0
    )
    np.testing.assert_allclose(joined["valence"], np.clip(mean, -1, 1), atol=1e-5)
    assert "no meaning" in joined["note"][0]
    assert "mean of the folds" in found.text
    assert "merged" in found.text


def test_the_picture_has_every_fold_their_mean_and_all_together_with_intervals(tmp_path):
    folders = [make_run(tmp_path / f"lfan_fold{fold}", fold) for fold in VAL]
    found = folds_merged.merge(folders, with_intervals=True)
    for emotion in EMOTIONS:  # three trials are too few for an interval
        found.scores["val"][emotion]["ci95"] = [0.2, 0.9]
    table = folds_merged.table(found.scores)
    axes = plots.folds_plot(table)
    assert [label.get_text() for label in axes[0].get_yticklabels()] == [
        "lfan_fold0",
        "lfan_fold1",
        "mean of the folds",
        "merged",
    ]
    for ax, emotion in zip(axes, EMOTIONS, strict=True):
        drawn = {line.get_label(): line.get_xdata() for line in ax.lines}
        merged = {"validation": found.scores["val"][emotion], "test": found.scores["test"][emotion]}
        for part, scores in merged.items():
            column = table[f"{'val' if part == 'validation' else 'test'} {emotion}"].astype(float)
            np.testing.assert_allclose(drawn[part], column)
            assert drawn[part][2] == pytest.approx(np.mean(drawn[part][:2]))
            assert drawn[part][3] == pytest.approx(scores["ccc"])
        ends = [segment[:, 0] for segment in ax.collections[0].get_segments() if segment.size]
        np.testing.assert_allclose(ends, [[0.4, 0.6], [0.4, 0.6], [0.2, 0.9]])


def test_runs_of_one_emotion_each_fill_each_other_up(tmp_path):
    folders = [
        make_run(tmp_path / f"{emotion}_fold{fold}", fold, emotion)
        for fold in VAL
        for emotion in EMOTIONS
    ]
    found = folds_merged.merge(folders, tmp_path / "merged", with_intervals=True)
    assert {name: found.scores["val"][name]["n_frames"] for name in EMOTIONS} == dict.fromkeys(
        EMOTIONS, 120
    )
    assert (tmp_path / "merged" / "submission" / "VA_Set" / "hidden.txt").is_file()


def test_what_is_no_cross_validation_is_refused(tmp_path):
    zero, one = (make_run(tmp_path / f"f{fold}", fold) for fold in VAL)
    with pytest.raises(InputError, match="is not the run of a fold"):
        folds_merged.merge([zero, make_run(tmp_path / "alone", 1, noted=-1)])
    with pytest.raises(InputError, match="another experiment: lr differ"):
        folds_merged.merge([zero, make_run(tmp_path / "other", 1, lr=0.2)])
    with pytest.raises(InputError, match="fold 0 of both is there twice"):
        folds_merged.merge([zero, make_run(tmp_path / "again", 0)])
    for path in (one / "predictions").glob("*.csv"):
        path.unlink()
    with pytest.raises(InputError, match="without predictions"):
        folds_merged.merge([zero, one])


@pytest.mark.parametrize("modality", ["video", "audiovisual"])
def test_folds_that_only_see_have_no_value_without_a_face_but_every_line_is_sent(
    tmp_path, modality
):
    folders = [make_run(tmp_path / f"fold{k}", k, modality=modality) for k in VAL]
    for folder in folders:
        file = folder / "predictions" / "hidden.csv"
        table = pd.read_csv(file)
        table.loc[40:, "valid"] = 0
        table.to_csv(file, index=False)
    found = folds_merged.merge(folders, tmp_path / "merged", with_intervals=False)
    assert found.problems == []
    joined = pd.read_csv(tmp_path / "merged" / "predictions" / "hidden.csv")
    seen = (joined["valid"] == 1) | (modality != "video")
    assert joined["valence"].notna().tolist() == seen.tolist()
    assert found.scores["test"]["valence"]["n_frames"] == 60
    sent = (tmp_path / "merged" / "submission" / "VA_Set" / "hidden.txt").read_text()
    assert len(sent.splitlines()) == 61


@pytest.mark.parametrize("trial", ["b", "hidden"])
def test_a_fold_that_lacks_a_prediction_is_named_and_no_trial_is_left_out(tmp_path, trial):
    runs = [make_run(tmp_path / f"f{fold}", fold) for fold in VAL]
    (runs[1] / "predictions" / f"{trial}.csv").unlink()
    with pytest.raises(InputError, match=f"f1 lacks the predictions of 1 trials: {trial}"):
        folds_merged.merge(runs, with_intervals=False)


def test_which_folds_are_merged_and_which_are_not_is_said(tmp_path):
    run = make_run(tmp_path / "f1", 1)
    assert "out of fold, of fold 1 (without 0);" in folds_merged.merge([run]).text


@pytest.mark.parametrize("there", [True, False])
def test_training_trials_of_a_fold_that_is_absent_are_no_test_trials(tmp_path, there):
    """06 predicts training trials, too, where `splits` names them; the fold that held them out is
    not merged.
    """
    places = {"processed_root": str(tmp_path / "made"), "data_root": str(tmp_path)}
    run = make_run(tmp_path / "f1", 1, splits=["train", "val", "test"], **places)
    learnt = run / "predictions" / f"{VAL[0][0]}.csv"
    shutil.copy(run / "predictions" / "hidden.csv", learnt)
    if not there:
        with pytest.raises(InputError, match=f"may be of the training: {VAL[0][0]}, hidden"):
            folds_merged.merge([run], with_intervals=False)
        return
    splits = {**dict.fromkeys((*VAL[0], *VAL[1]), "train"), "hidden": "test"}
    rows = [{"trial": name, "video": name, "split": split} for name, split in splits.items()]
    path = datasets.store(placed({"dataset": "sample", **places})).trials_path
    trials.write(trials.table(rows), path)
    merged = folds_merged.merge([run], with_intervals=False)
    names = {path.stem for path in (merged.folder / "predictions").glob("*.csv")}
    assert names == {*VAL[1], "hidden"}
