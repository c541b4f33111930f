"""Runs joined by the command and by notebook 06: folds as folds, other runs as their mean, nothing
overwritten.
"""

import shutil

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from lib import datasets, parameters, runs, trials
from lib.__main__ import main
from lib.errors import InputError
from lib.evaluation import merging
from lib.metrics import EMOTIONS
from tests.evaluation.test_folds_merged import TRIALS, VAL, make_run

SPLITS = {"a": "val", "b": "train", "c": "train", "hidden": "test"}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def folds(folder):
    return [make_run(folder / f"lfan_fold{fold}", fold) for fold in VAL]


@pytest.fixture
def seeds(folder, tmp_path):
    """Two runs on the official split that differ in nothing but their noise, and the trial table
    they need.
    """
    found = [
        make_run(
            folder / name, 0, noise=noise, noted=-1, processed_root=str(tmp_path / "processed")
        )
        for name, noise in (("one", 0.3), ("two", 0.5))
    ]
    rows = [
        {
            "trial": trial,
            "video": trial,
            "split": SPLITS[trial],
            "dataset": "sample",
            "subject": trial,
            "n_frames": n,
            "fps": 25.0,
            "duration": n / 25,
        }
        for trial, n in TRIALS.items()
    ]
    trials.write(trials.table(rows), datasets.store(parameters.of_run(found[0])).trials_path)
    return found


def raw(folder, trial="hidden"):
    return pd.read_csv(folder / "predictions" / f"{trial}.csv")[
        [f"{name}_raw" for name in EMOTIONS]
    ].to_numpy()


def test_the_command_joins_folds_as_folds_and_other_runs_as_their_mean(folds, seeds, folder):
    call = CliRunner().invoke(
        main, ["merge", *map(str, folds), "--bootstrap", "20", "--rule", "centred"]
    )
    assert call.exit_code == 0, call.output
    assert "merged test: centred of the folds" in call.output
    assert (
        runs.Run(folder / "lfan_merged").read_json("metrics.json")["val"]["valence"]["n_trials"]
        == 3
    )
    target = folder / "both"
    call = CliRunner().invoke(
        main, ["merge", *map(str, seeds), "--to", str(target), "--bootstrap", "20"]
    )
    assert call.exit_code == 0, call.output
    assert runs.Run(target).read_json("metrics.json")["val"]["valence"]["n_trials"] == 1
    np.testing.assert_allclose(
        raw(target), np.mean([raw(seed) for seed in seeds], axis=0), atol=1e-5
    )
    assert (target / "submission" / "VA_Set" / "hidden.txt").is_file()


def test_what_the_command_cannot_do_is_told(folds, seeds, folder):
    with pytest.raises(InputError, match="not the folds of one"):
        merging.join(seeds)
    with pytest.raises(InputError, match="rule centred"):
        merging.join(seeds, folder / "x", "centred")
    (folds[1] / "checkpoints").mkdir()
    with pytest.raises(InputError, match="no such run folder"):
        merging.join([*seeds, folder / "nobody"], folder / "x")
    with pytest.raises(InputError, match="holds a training of its own"):
        merging.join(folds, folds[1])


def test_a_merge_that_was_killed_is_taken_up_by_the_same_command(seeds, folder, monkeypatch):
    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(merging.prediction, "predict_trial", killed)
        with pytest.raises(SystemExit):
            merging.join(seeds, folder / "both", with_intervals=False)
    assert not (folder / "both" / "metrics.json").exists()
    merging.join(seeds, folder / "both", with_intervals=False)
    assert (folder / "both" / "metrics.json").is_file()
    other = folder / "other"
    other.mkdir()
    (other / "mine.txt").touch()
    with pytest.raises(InputError, match="holds no merged runs"):
        merging.join(seeds, other, with_intervals=False)


def test_a_copy_of_a_run_is_not_counted_twice(seeds, folder):
    shutil.copytree(seeds[0], folder / "copy")
    with pytest.raises(InputError, match="copy has the same predictions as one"):
        merging.join([seeds[0], folder / "copy"], folder / "x")


def test_a_merged_run_and_a_folder_without_parameters_are_refused_by_name(seeds, folder):
    target = folder / "both"
    merging.join(seeds, target, with_intervals=False)
    with pytest.raises(InputError, match="cannot be merged again") as caught:
        merging.join([target, *seeds], folder / "x")
    assert caught.value.todo == "name those that it was made of: one, two"
    (seeds[1] / "params.yaml").unlink()
    with pytest.raises(InputError, match=r"no params\.yaml"):
        merging.join(seeds, folder / "x")


def test_hidden_files_that_another_system_left_are_no_trials(seeds, folder):
    (seeds[0] / "predictions" / "._a.csv").write_bytes(b"\0\5\x16\7")
    assert merging.trial_names(seeds) == ["a", "hidden"]
