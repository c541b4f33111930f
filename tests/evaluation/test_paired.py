"""Runs on the same trials are compared trial by trial; seeds of one experiment are one row."""

import numpy as np
import pandas as pd
import pytest

from lib import metrics, runs
from lib.errors import InputError
from lib.evaluation import comparison, paired
from lib.evaluation.predictions import Predictions
from lib.metrics import EMOTIONS
from tests.evaluation.test_folds_merged import make_run

TRIALS = [f"t{k}" for k in range(10)]
FRAMES = 40


@pytest.fixture(autouse=True)
def without_files(monkeypatch):
    """The pictures and pages are tested with the command line."""
    monkeypatch.setattr(comparison, "_write", lambda *given: [])


def a_run(folder, noise, draw=0, shared=0.4, trials=TRIALS, subjects=None, **parameters):
    """A run folder as 06 leaves it. `shared` is the error that all runs make alike, trial by trial,
    and which makes their intervals wide; `noise` is this run's own.
    """
    labels, values = {}, {}
    for number, trial in enumerate(trials):
        same, own = np.random.default_rng(number), np.random.default_rng([number, draw])
        labels[trial] = same.uniform(-0.8, 0.8, (FRAMES, 2))
        wrong = shared * same.normal() + noise * own.normal(size=(FRAMES, 2))
        values[trial] = labels[trial] + wrong
    run = runs.Run(folder)
    for trial, rows in values.items():
        table = pd.DataFrame(rows, columns=[f"{name}_raw" for name in EMOTIONS])
        table[paired.LABELS] = labels[trial]
        run.write_text(f"predictions/{trial}.csv", table.to_csv(index=False, float_format="%.6g"))
    scores = metrics.va_scores(labels, values, subjects=subjects)
    scores["mean"] = metrics.mean_ccc(labels, values, subjects=subjects)
    found = {"val": scores, "val_trials": list(trials), "synthetic": True}
    run.write_json("metrics.json", found | ({"subjects": subjects} if subjects else {}))
    runs.remember(run, {"dataset": "sample", "recipe": "jca", "rules": "corrected", **parameters})
    return folder


def test_the_foot_names_trials_of_people_that_a_run_learnt_from_and_the_scores_without(tmp_path):
    folder = a_run(tmp_path / "one", 0.3)
    scores = runs.Run(folder).read_json("metrics.json")
    scores |= {"shared": {TRIALS[0]: "video 5"}, "val_without_shared": scores["val"]}
    runs.Run(folder).write_json("metrics.json", scores)
    found = comparison.compare([folder, a_run(tmp_path / "two", 0.3, 1)], tmp_path / "out")
    [line] = [line for line in found.text.splitlines() if "learnt from, too" in line]
    assert line.startswith("one: 1 of its val trials are of people or recordings")
    assert f"{TRIALS[0]} (video 5); CCC without them: valence 0." in line


def rows_of(folders, tmp_path, **how):
    found = comparison.compare(folders, tmp_path / "out", **how)
    return found, found.table.set_index("name")


def test_a_difference_is_certain_where_both_intervals_overlap(tmp_path):
    folders = [a_run(tmp_path / "a", 0.5), a_run(tmp_path / "b", 0.25, draw=1)]
    found, rows = rows_of(folders, tmp_path)
    assert rows.loc["b", "valence_low"] < rows.loc["a", "valence_high"], "they overlap"
    gain = rows.loc["b", "valence"] - rows.loc["a", "valence"]
    assert rows.loc["b", "valence_above"] == pytest.approx(gain, abs=1e-5)
    assert 0 < rows.loc["b", "valence_above_low"] < gain < rows.loc["b", "valence_above_high"]
    assert rows.loc["b", "mean_above_low"] > 0
    assert pd.isna(rows.loc["a", "valence_above"])
    assert "Δ: CCC minus that of a" in found.text
    assert "Δ valence" in found.text


def test_the_reference_is_the_run_that_is_named_and_an_unknown_one_is_refused(tmp_path):
    folders = [a_run(tmp_path / name, 0.3, draw) for draw, name in enumerate("ab")]
    _, rows = rows_of(folders, tmp_path, against="b")
    _, other = rows_of(folders, tmp_path)
    assert rows.loc["a", "valence_above"] == pytest.approx(-other.loc["b", "valence_above"])
    with pytest.raises(InputError, match="no evaluated run is called 'c'"):
        comparison.compare(folders, tmp_path / "out", against="c")
    blocks, notes = comparison.tables(folders, against="b")
    assert blocks["data A"]["Δ mean"].tolist()[1] == ""
    assert any("minus that of b" in note for note in notes)


def test_runs_on_other_trials_or_without_prediction_files_have_no_difference(tmp_path):
    folders = [a_run(tmp_path / "a", 0.3), a_run(tmp_path / "b", 0.3, trials=[*TRIALS[:-1], "x"])]
    found, rows = rows_of(folders, tmp_path)
    assert "valence_above" not in rows
    assert "without Δ" not in found.text
    for path in (tmp_path / "b" / "predictions").iterdir():
        path.unlink()
    found, rows = rows_of(folders, tmp_path)
    assert rows.loc["b", "valence"] > 0
    total = len(TRIALS)
    assert f"without Δ: b: {total} of {total} prediction files are gone" in found.text


def test_prediction_files_that_were_changed_since_are_named_below_a_comparison(tmp_path):
    folders = [a_run(tmp_path / "a", 0.3), a_run(tmp_path / "b", 0.3)]
    path = tmp_path / "b" / "predictions" / f"{TRIALS[0]}.csv"
    table = pd.read_csv(path)
    table["valence_raw"] = -table["valence_raw"]
    table.to_csv(path, index=False)
    found, _ = rows_of(folders, tmp_path)
    told = "without Δ: b: its prediction files give another valence than its metrics.json"
    assert told in found.text
    path.write_text("")  # a disk that was full elsewhere
    found, rows = rows_of(folders, tmp_path)
    assert f"without Δ: b: {path.name} is damaged" in found.text
    assert rows.loc["b", "valence"] > 0


def test_runs_whose_labels_differ_say_why_they_have_no_difference(tmp_path):
    folders = [a_run(tmp_path / "a", 0.3), a_run(tmp_path / "b", 0.3)]
    path = tmp_path / "b" / "predictions" / f"{TRIALS[0]}.csv"
    table = pd.read_csv(path)
    table.loc[0, "label_valence"] += 1e-3  # the score is the same to the digits that count
    table.to_csv(path, index=False)
    found, _ = rows_of(folders, tmp_path)
    told = "without Δ: b: its prediction files hold other labels of valence than those of a"
    assert told in found.text


def test_a_score_that_the_prediction_files_do_not_give_is_not_paired(tmp_path):
    folder = a_run(tmp_path / "a", 0.3)
    found = runs.Run(folder).read_json("metrics.json")
    predictions = Predictions(folder / "predictions")
    assert set(paired.outcomes(predictions, found, "val")) == set(EMOTIONS)
    found["val"]["valence"]["ccc"] += 0.01
    assert set(paired.outcomes(predictions, found, "val")) == {"arousal"}
    assert paired.outcomes(predictions, found, "test") == {}


def test_subjects_of_several_trials_are_left_out_together_in_a_difference_too(tmp_path):
    subjects = {trial: f"s{k % 5}" for k, trial in enumerate(TRIALS)}
    folders = [a_run(tmp_path / name, 0.3, d, subjects=subjects) for d, name in enumerate("ab")]
    _, rows = rows_of(folders, tmp_path)
    assert rows.loc["b", "valence_above"] != 0
    assert pd.isna(rows.loc["b", "valence_above_low"]), "five subjects are too few"


def test_runs_that_differ_in_the_seed_alone_are_one_row(tmp_path):
    folders = [a_run(tmp_path / f"s{seed}", 0.2 + 0.1 * seed, seed, seed=seed) for seed in range(3)]
    folders.append(a_run(tmp_path / "other", 0.2, 5, seed=0, lr=0.5))
    found, rows = rows_of(folders, tmp_path)
    all_seeds = rows.loc["s0 (3 seeds)"]
    single = rows.loc[["s0", "s1", "s2"]]
    assert (single["part_of"] == "s0 (3 seeds)").all()
    assert all_seeds["valence"] == pytest.approx(single["valence"].mean())
    assert all_seeds["valence_over_seeds"] == pytest.approx(single["valence"].std(ddof=1))
    assert np.ptp(all_seeds[["valence_low", "valence_high"]]) > np.ptp(
        single.loc["s1", ["valence_low", "valence_high"]]
    )
    shown = next(iter(comparison.tables(folders)[0].values()))
    assert shown["run"].tolist() == ["s0 (3 seeds)", "other"]
    assert "±" in shown["valence"][0]
    assert "s1 0." in found.text
    assert rows.loc["other", "reference"] == "s0 (3 seeds)"


def test_the_same_seed_twice_and_runs_without_a_seed_stay_rows_of_their_own(tmp_path):
    folders = [a_run(tmp_path / f"s{k}", 0.2, k, seed=1) for k in range(2)]
    folders += [a_run(tmp_path / f"n{k}", 0.2, k) for k in range(2)]
    assert [len(members) for members in paired.experiments(folders)] == [1, 1, 1, 1]
    folders.append(a_run(tmp_path / "third", 0.2, 7, seed=2, workers=5, run="third"))
    assert [len(members) for members in paired.experiments(folders)] == [2, 1, 1, 1]


def test_runs_without_a_score_of_this_split_say_so(tmp_path):
    for name in ("one", "two"):
        make_run(tmp_path / name, 0)
    with pytest.raises(InputError, match="no scores of test"):
        comparison.compare([tmp_path / "one", tmp_path / "two"], tmp_path, "test")


def test_a_run_without_params_yaml_is_compared_and_what_is_not_known_of_it_is_said(tmp_path):
    folders = [a_run(tmp_path / name, 0.2, k) for k, name in enumerate(("whole", "copied"))]
    (folders[1] / "params.yaml").unlink()
    _, notes = comparison.tables(folders)
    [line] = [note for note in notes if "without params.yaml" in note]
    assert line.startswith("copied: without params.yaml, so that method, parameters and data set")


def of_classes(folder, uar, seed=0, **parameters):
    """A run of emotions only, as the recipe `utterance` leaves it."""
    run = runs.Run(folder)
    entry = {"uar": uar, "ci95": [uar - 0.1, uar + 0.1], "f1_macro": uar / 2}
    majority = {"expression": {"uar": 0.25, "f1_macro": 0.1, "n_frames": 9, "n_trials": 9}}
    found = {"val": {"expression": {**entry, "n_frames": 9, "n_trials": 9}}}
    run.write_json("metrics.json", {**found, "baselines": {"majority class": majority}})
    given = {"dataset": "ravdess", "recipe": "utterance", "rules": "corrected", "seed": seed}
    runs.remember(run, {**given, **parameters})
    return folder


def test_runs_of_emotions_only_are_compared_by_their_recall(tmp_path):
    folders = [of_classes(tmp_path / name, uar) for name, uar in (("one", 0.6), ("two", 0.5))]
    found, rows = rows_of(folders, tmp_path)
    assert rows.loc["one", "expression_uar"] == 0.6
    assert rows.loc["majority class", "expression_uar"] == 0.25
    lines = found.text.splitlines()
    assert "expression UAR" in lines[0]
    assert "valence" not in lines[0]
    assert "0.60 [0.50, 0.70]" in lines[1]
    assert "data A: ravdess, val: 9 labelled recordings" in lines
    assert any(line.startswith("expression UAR on val; [95 %") for line in lines)


def test_a_comparison_without_a_ccc_writes_a_table_and_a_page_and_no_picture(tmp_path, monkeypatch):
    monkeypatch.undo()
    picture = runs.Run(tmp_path / "out").write_text("comparison.png", "of an earlier comparison")
    folders = [of_classes(tmp_path / name, 0.5) for name in ("one", "two")]
    found = comparison.compare(folders, tmp_path / "out")
    assert [path.name for path in found.files] == ["comparison.csv", "comparison.html"]
    assert "expression UAR" in found.files[1].read_text()
    assert not picture.exists()


def test_seeds_of_emotions_only_are_one_row(tmp_path):
    folders = [of_classes(tmp_path / f"s{k}", 0.5 + k / 10, seed=k) for k in range(2)]
    folders.append(of_classes(tmp_path / "other", 0.4, lr=0.5))
    found, rows = rows_of(folders, tmp_path)
    assert rows.loc["s0 (2 seeds)", "expression_uar"] == pytest.approx(0.55)
    assert "0.55 ± 0.07" in found.text
    assert "score of each: s0 0.50, s1 0.60" in found.text


def test_a_damaged_recall_costs_its_run(tmp_path):
    folders = [of_classes(tmp_path / name, 0.5) for name in ("whole", "damaged")]
    path = folders[1] / "metrics.json"
    path.write_text(path.read_text().replace('"uar": 0.5', '"uar": "high"', 1))
    found, rows = rows_of(folders, tmp_path)
    assert found.lost == ["damaged"]
    assert "whole" in rows.index


def test_of_runs_without_a_ccc_no_choice_for_a_picture_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "DRAWN", 1)
    folders = [of_classes(tmp_path / name, 0.5) for name in ("one", "two")]
    assert "the picture shows" not in comparison.compare(folders, tmp_path / "out").text
