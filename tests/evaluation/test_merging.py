"""Runs joined by the command and by notebook 06: folds as folds, other runs as their mean, nothing
overwritten.
"""

import json

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from lib import datasets, parameters, runs, trials
from lib.__main__ import main
from lib.errors import InputError
from lib.evaluation import merging
from lib.experiments import experiment as experiments_experiment
from lib.experiments import pipeline
from lib.files import ROOT
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
    trials.write(trials.table(rows), datasets.store(merging._parameters(found[0])).trials_path)
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
    with pytest.raises(InputError, match="holds a training of its own"):
        merging.join(folds, folds[1])


def test_runs_are_named_one_by_one_or_by_a_pattern(folds, folder):
    def named(*texts, video=""):
        p = parameters.Params(
            {
                "merge_runs": list(texts),
                "runs_root": folder,
                "run": "lfan_fold_all",
                "video_path": video,
            }
        )
        return [path.name for path in merging.named(p)]

    make_run(folder / "lfan_fold_all", 0)
    assert named("lfan_fold*") == ["lfan_fold0", "lfan_fold1"], (
        "the run that is to be made is not among them"
    )
    assert named("lfan_fold1", "lfan_fold*") == ["lfan_fold1", "lfan_fold0"]
    with pytest.raises(InputError, match="no run is called lfan_fold7"):
        named("lfan_fold0", "lfan_fold7")
    with pytest.raises(InputError, match="merge_runs and video_path at once"):
        named("lfan_fold0", video="a.mp4")


def experiment(place, folder, **values):
    path = place / "lfan.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "recipe": "lfan",
                "dataset": "sample",
                "backbone_run": "faces",
                "runs_root": str(folder),
                **values,
            }
        )
    )
    return path


def test_an_experiment_that_joins_runs_is_notebook_06_alone_under_a_name_of_its_own(
    tmp_path, folder
):
    path = experiment(tmp_path, folder, merge_runs=["lfan_fold*"])
    planned = experiments_experiment.plan([path], {}, ROOT / "notebooks", ROOT / "params")
    assert [each.values["run"] for each in planned] == ["lfan_merged"], (
        "what the folds build on is not made again"
    )
    assert planned[0].steps() == ["06_inference"]


def test_notebook_06_shows_the_joined_runs_and_writes_what_a_run_has(folds, folder, tmp_path):
    said = []
    path = experiment(tmp_path, folder)
    status = pipeline.run(
        [path],
        {"merge_runs": "['lfan_fold*']", "bootstrap": "20", "merge_clip": "early"},
        say=said.append,
    )
    assert status == pipeline.DONE, "\n".join(said)
    target = folder / "lfan_merged"
    assert "clipped early" in "\n".join(said)
    assert "mean of the folds" in "\n".join(said)
    executed = nbformat.read(target / "06_inference.ipynb", 4)
    shown = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert [output for output in shown if "image/png" in output.get("data", {})]
    scores = json.loads((target / "metrics.json").read_text())
    assert scores["val"]["arousal"]["n_frames"] == 120
    assert sorted(path.stem for path in (target / "predictions").glob("*.csv")) == sorted(TRIALS)
    assert (target / "submission" / "VA_Set" / "hidden.txt").is_file()
    assert runs.parameters(target)["merge_runs"] == ["lfan_fold*"]
    said.clear()
    pipeline.run(
        [path],
        {"merge_runs": "['lfan_fold*']", "bootstrap": "20", "merge_clip": "early"},
        say=said.append,
    )
    assert "skipped, nothing changed" in "\n".join(said)
