"""Runs as one: means of raw predictions, scored anew; runs that do not fit together are refused."""

import numpy as np
import pandas as pd
import pytest

from lib import runs
from lib.errors import InputError
from lib.evaluation import merging, predictions, submission
from lib.evaluation import scores as evaluation_scores
from lib.evaluation.predictions import Predictions
from lib.parameters import Params
from tests import tiny_set
from tests.evaluation.test_scores import predicted, truth
from tests.tiny_set import one_thread  # noqa: F401


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


def noisy(seed):
    def curves(found, trial):
        noise = np.random.default_rng([seed, len(trial)]).normal(
            0, 0.5, (found.recipe.n_frames(trial), 2)
        )
        return (truth(found, trial) + noise).astype(np.float32)

    return curves


def a_run(root, folder, seed, splits=("val", "test"), **parameters):
    """An evaluated run whose errors depend on the seed."""
    found, table = predicted(root, folder / "predictions", noisy(seed), splits)
    run = runs.Run(folder)
    run.write_json(
        "metrics.json",
        evaluation_scores.finish(found, table, Predictions(folder / "predictions"), [1], 20),
    )
    runs.remember(run, {"dataset": "tiny", "recipe": "jca", "rules": "corrected", **parameters})
    return folder


def test_raw_predictions_are_averaged_and_independent_errors_cancel(tiny, tmp_path):
    folders = [a_run(tiny, tmp_path / name, seed) for seed, name in enumerate("abc")]
    assert merging.merge(folders, tmp_path / "all", tiny_set.table(tiny), [1], 20) == []
    for trial in ("seen", "short", "hidden"):
        parts = [pd.read_csv(folder / "predictions" / f"{trial}.csv") for folder in folders]
        merged = pd.read_csv(tmp_path / "all" / "predictions" / f"{trial}.csv")
        mean = np.mean([part[["valence_raw", "arousal_raw"]] for part in parts], axis=0)
        assert merged[["valence_raw", "arousal_raw"]].to_numpy() == pytest.approx(mean, abs=1e-5)
        assert merged[["time", "valid"]].equals(parts[0][["time", "valid"]])
    every = [*folders, tmp_path / "all"]
    scores = [runs.Run(folder).read_json("metrics.json")["val"]["mean"]["ccc"] for folder in every]
    assert scores[3] > max(scores[:3])
    assert submission.validate(tmp_path / "all" / "submission", {"hidden": 30}) == []
    assert runs.parameters(tmp_path / "all")["merge_runs"] == ["a", "b", "c"]


def test_many_runs_keep_as_many_bytes_as_one_does(tmp_path):
    folders = [tmp_path / str(number) for number in range(25)]
    recipe = merging.Recipe(Params({"rules": "corrected"}), folders, ("va",))
    assert sum(each.bound for each in recipe.predictions) <= predictions.BOUND


def test_the_sentence_about_sample_networks_stays(tiny, tmp_path):
    folders = [a_run(tiny, tmp_path / name, seed) for seed, name in enumerate("ab")]
    merging.merge(folders, tmp_path / "both", tiny_set.table(tiny), [1], 20)
    assert "note" in pd.read_csv(tmp_path / "both" / "predictions" / "seen.csv")
    assert runs.Run(tmp_path / "both").read_json("metrics.json")["synthetic"] is True


def test_runs_that_do_not_fit_together_are_refused_in_words(tiny, tmp_path):
    one, other = (
        a_run(tiny, tmp_path / "one", 0),
        a_run(tiny, tmp_path / "other", 1, dataset="elsewhere"),
    )
    with pytest.raises(InputError, match="runs of different dataset: tiny, elsewhere"):
        merging.load([one, other])
    late = a_run(tiny, tmp_path / "late", 1, label_delay=0.5)
    with pytest.raises(InputError, match=r"runs of different label_delay: 0\.0, 0\.5"):
        merging.load([one, late])
    fewer = a_run(tiny, tmp_path / "fewer", 1, splits=("val",))
    with pytest.raises(InputError, match="fewer lacks 1: hidden"):
        merging.merge([one, fewer], tmp_path / "out", tiny_set.table(tiny), [1], 20)
    with pytest.raises(InputError, match="1 run to merge"):
        merging.load([one, one])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no metrics\.json"):
        merging.load([one, tmp_path / "empty"])
    with pytest.raises(InputError, match="holds no merged runs"):
        merging.merge([one, a_run(tiny, tmp_path / "two", 2)], one, tiny_set.table(tiny), [1], 20)


def test_a_run_whose_trial_has_another_number_of_frames_is_refused(tiny, tmp_path):
    folders = [a_run(tiny, tmp_path / name, seed) for seed, name in enumerate("ab")]
    path = folders[1] / "predictions" / "seen.csv"
    pd.read_csv(path).iloc[:-3].to_csv(path, index=False)
    with pytest.raises(InputError, match="47 and 50 predicted frames of one trial"):
        merging.load(folders).predict("seen")


def test_merged_runs_that_only_see_have_no_value_without_a_face_and_the_same_scores(tiny, tmp_path):
    found = {}
    for modality in ("audiovisual", "video"):
        folders = [a_run(tiny, tmp_path / modality / name, ord(name)) for name in "ab"]
        for folder in folders:
            runs.remember(runs.Run(folder), {**runs.parameters(folder), "modality": modality})
        target = tmp_path / modality / "all"
        assert merging.merge(folders, target, tiny_set.table(tiny), [1], 20) == []
        scores = runs.Run(target).read_json("metrics.json")
        table = pd.read_csv(target / "predictions" / "seen.csv")
        found[modality] = (scores["val"], scores["val_smoothed"]), table
    assert found["video"][0] == found["audiovisual"][0]
    table = found["video"][1]
    unseen = table["valid"] == 0
    assert unseen.any()
    assert table["valence"].isna().tolist() == unseen.tolist()
    assert found["audiovisual"][1]["valence"].notna().all()
