"""Prediction with an authors' file: licence, rules, scores and submission files, without a
training.
"""

import os

import numpy as np
import pandas as pd
import pytest
import torch

from lib import runs
from lib.errors import InputError
from lib.evaluation import checkpoint, prediction, submission
from lib.evaluation import scores as evaluation_scores
from lib.evaluation.predictions import Predictions
from lib.features import mel
from lib.labels import official
from lib.store import request
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401

PUBLISHED = {"rules": "published", "run": "theirs", "batch_size": 4}
OF = {
    "jca": {**PUBLISHED, "steps": 16, "step_hop": 32, "audio_seconds": 0.0},
    "tsav": {**PUBLISHED, "options": {"tasks": ["va", "expression", "action_units"]}},
}


@pytest.fixture(params=["jca", "tsav"])
def theirs(request, tmp_path):
    """The tiny set, a recipe's parameters by published rules, and a file of the right keys with
    random numbers.
    """
    name, root = request.param, tiny_set.make(tmp_path / "set")
    if name == "tsav":
        write_sound(root)
    method = tiny_set.create(name, root, **OF[name])
    torch.manual_seed(0)
    path = tmp_path / "weights.pth.tar"
    scores = {"best_Val_accV": np.float64(0.7), "best_Val_acc_epoch": np.int64(5)}
    torch.save(
        {"state_dict" if name == "tsav" else "net": method.model().state_dict(), **scores}, path
    )
    p = tiny_set.parameters(name, root, predict_run=str(path), **OF[name])
    runs.remember(
        runs.Run(p.runs_root / p.run, p=p), {key: runs.as_text(value) for key, value in p.items()}
    )
    return root, p, path


def write_sound(root):
    for _, video, _, n_frames in tiny_set.TRIALS:
        noise = (
            np.random.default_rng(n_frames).normal(size=int(n_frames / tiny_set.FPS * mel.RATE))
            * 3000
        )
        tiny_set.write(
            tiny_set.store(root),
            video,
            request("audio_44k", rate=mel.RATE),
            noise.astype(np.int16),
            t0=0.02,
            rate=mel.RATE,
        )


def only_of_06(p):
    """The parameters as notebook 06 has them."""
    names = (
        "run",
        "recipe",
        "device",
        "workers",
        "predict_run",
        "data_root",
        "processed_root",
        "runs_root",
    )
    return type(p)({name: p[name] for name in names})


def test_an_authors_file_gives_table_and_submission_with_its_licence(theirs, tmp_path):
    root, p, path = theirs
    p = only_of_06(p)
    assert checkpoint.checkpoint_path(p) == path
    assert checkpoint.note(path) == ""
    found = checkpoint.load(path, p, tiny_set.store(root))
    assert found.model.compat
    assert found.licence
    assert found.licence in repr(found.model)
    table = tiny_set.table(root)
    table = table[table["split"] != "train"].reset_index(drop=True)
    prediction.begin(tmp_path / "predictions", found)
    for trial in table["trial"]:
        prediction.predict_trial(found, Predictions(tmp_path / "predictions"), trial)
        rows = pd.read_csv(tmp_path / "predictions" / f"{trial}.csv")
        assert np.isfinite(rows[["valence", "arousal"]]).all(axis=None)
    scores = evaluation_scores.finish(found, table, Predictions(tmp_path / "predictions"), [1, 9])
    assert scores["rules"] == "published"
    assert scores["licence"] == found.licence
    widths = (20, 50) if p.recipe == "jca" else (1, 1)
    assert tuple(scores["smoothing"].values()) == widths
    assert {"val", "val_smoothed", "val_zero_filled"} <= set(scores)
    assert "(0, 0)" in scores["val_zero_filled"]["why"]
    assert (
        submission.submit(
            found, table, Predictions(tmp_path / "predictions"), tmp_path / "submission"
        )
        == []
    )
    for (
        task
    ) in found.recipe.tasks:  # all three tracks of TSAV; one line per frame, named by the trial
        for place, frames in (
            ("submission", {"hidden": 30}),
            ("submission/val", {"seen": 50, "short": 7}),
        ):
            written = sorted((tmp_path / place / submission.FOLDER_OF_KIND[task]).iterdir())
            assert {path.stem: len(official.read(path, task)) for path in written} == frames
    decimals = {"jca": 5, "tsav": 3}[p.recipe]
    first = (tmp_path / "submission" / "VA_Set" / "hidden.txt").read_text().splitlines()[1]
    assert all(len(number.split(".")[1]) == decimals for number in first.split(","))


def test_an_authors_file_under_corrected_rules_is_refused_with_what_to_set(theirs):
    root, p, path = theirs
    other = type(p)({**p, "rules": "corrected", "run": "other"})
    with pytest.raises(InputError, match="rules: corrected") as told:
        checkpoint.load(path, other, tiny_set.store(root))
    assert "rules: published" in told.value.todo


def test_a_file_that_would_run_code_is_refused_before_anything_is_predicted(tmp_path):
    class Malice:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "never"),)

    torch.save({"net": {}, "more": Malice()}, tmp_path / "bad.pt")
    with pytest.raises(InputError, match=r"would run code: it names (posix|nt)\.mkdir"):
        checkpoint.note(tmp_path / "bad.pt")
    assert not (tmp_path / "never").exists()
