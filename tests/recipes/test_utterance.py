"""One label per recording: from RAVDESS's layout to scores, with a tiny network on made voices."""

import numpy as np
import pandas as pd
import pytest
import torch

from lib import arrays, datasets, metrics, parameters, recipes, trials
from lib.errors import InputError
from lib.evaluation import checkpoint, prediction, scores
from lib.evaluation.predictions import Predictions
from lib.features import voice, voice_streams
from lib.models import checkpoints, forward
from lib.recipes.utterance import _mixed
from lib.training.trainer import Trainer
from tests import tiny_ravdess
from tests.shared_files import shared
from tests.tiny_set import one_thread  # noqa: F401

SMALL = {
    "recipe": "utterance",
    "dataset": "ravdess",
    "modality": "audio",
    "fold": 0,
    "fold_rule": "published",
    "width": 0.25,
    "epochs": 2,
    "batch_size": 8,
    "lr": 0.01,
    "schedule": "onecycle",
    "device": "cpu",
    "speaker_run": "none",
    "run": "tiny",
}
OPTIONS = {"classes": 5, "speeds": [1.0, 1.1], "dropout": 0.0}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("ravdess"))


def prepared(root, **smaller):
    """Write a tiny set with its arrays; returns its root."""
    tiny_ravdess.make(root / "data", **smaller)
    method = recipe(root)
    table, _ = datasets.find(method.params)
    trials.write(table, method.store.trials_path)
    for row in table.to_dict("records"):
        arrays.make_all(row, method.arrays(), method.store)
    return root


def recipe(root, **changes):
    """A recipe on the tiny set; `options` are added to the usual ones."""
    options = {**OPTIONS, **changes.pop("options", {})}
    places = {
        "data_root": str(root / "data"),
        "processed_root": str(root / "processed"),
        "runs_root": str(root / "runs"),
    }
    p = parameters.placed({**SMALL, **places, **changes, "options": options})
    return recipes.create(p.recipe, p, datasets.store(p))


def table(method):
    return method.split(trials.read(method.store.trials_path))


@pytest.fixture(scope="module")
def trained(made):
    """A run folder with a finished training, and its recipe."""
    method = recipe(made)
    folder = made / "runs" / "tiny"
    trainer = Trainer(method, table(method), folder)
    history = trainer.fit()
    return method, folder, trainer, history


def test_only_people_outside_the_fold_are_learnt_from_and_nothing_of_it_is_scored(trained):
    method, folder, trainer, history = trained
    saved = checkpoints.load(folder / "checkpoints" / "best.pt")
    assert {method.trial(name)["subject"][-2:] for name in saved["trained_on"]} == {
        "01",
        "03",
        "10",
        "23",
    }
    assert len(trainer.val_trials) == 12
    assert "score" not in history
    assert saved["epoch"] == 2  # the last, though nothing says that it is the best
    assert method.chosen_on.startswith("nothing")


def test_statistics_are_those_of_training_recordings_and_skip_what_is_not_known(trained):
    method, _, trainer, _ = trained
    rows = np.concatenate([method.rows(trial) for trial in trainer.train_trials["trial"]])
    assert np.isnan(rows[:, voice.BANDS]).any()  # the pitch of voiceless frames
    told = method.statistics["voice"]
    np.testing.assert_allclose(
        told["mean"], np.nanmean(rows.astype(float), 0), rtol=1e-6, atol=1e-6
    )
    assert method.statistics["counts"] == [8, 0, 8, 0, 8]


def test_the_licence_of_the_data_goes_with_checkpoint_predictions_and_scores(trained):
    method, folder, _, _ = trained
    path = folder / "checkpoints" / "best.pt"
    assert "CC BY-NC-SA" in checkpoints.load(path)["terms"]
    assert "CC BY-NC-SA" in checkpoint.note(path)
    assert "CC BY-NC-SA" in checkpoint.worth(path)
    predictor = checkpoint.load(path, method.params, method.store)
    parts = table(method)
    val = parts[parts["split"] == "val"].reset_index(drop=True)
    prediction.begin(folder / "predictions", predictor)
    for trial in val["trial"]:
        prediction.predict_trial(predictor, Predictions(folder / "predictions"), trial)
    found = scores.finish(
        predictor, val, Predictions(folder / "predictions"), [1], with_intervals=True
    )
    assert "CC BY-NC-SA" in found["terms"]
    assert found["chosen_on"].startswith("nothing")
    assert found["val"]["expression"]["n_frames"] == len(val) == 12  # recordings
    rows = pd.read_csv(folder / "predictions" / f"{val['trial'][0]}.csv")
    assert rows["note"].str.contains("CC BY-NC-SA").all()
    assert len(rows) == method.n_frames(val["trial"][0]) == 20  # 0.8 s, 25 rows per s
    assert rows.filter(like="expression_").drop_duplicates().shape == (1, 5)
    assert rows["label_expression"].nunique() == 1


def test_a_training_that_was_interrupted_ends_with_the_same_numbers(made, trained):
    method = recipe(made)
    folder = made / "runs" / "stopped"
    first = Trainer(method, table(method), folder, [lambda history: 1 / 0])
    with pytest.raises(ZeroDivisionError):  # after the first epoch
        first.fit()
    second = Trainer(recipe(made), table(method), folder)
    second.fit()
    _, _, whole, _ = trained
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], weight, rtol=0, atol=0)


def test_another_seed_is_another_training(made, trained):
    method = recipe(made, seed=1)
    other = Trainer(method, table(method), made / "runs" / "other")
    other.fit()
    assert not torch.equal(other.model.head.weight, trained[2].model.head.weight)


def test_scores_count_recordings_and_not_frames():
    labels = {
        "long": np.zeros(90, np.int8),
        "short": np.ones(10, np.int8),
        "none": -np.ones(3, int),
    }
    logits = {name: np.tile([[2.0, 1.0]], (len(rows), 1)) for name, rows in labels.items()}
    p = {"options": {"task": "expression"}}
    method = recipes.utterance.Recipe.__new__(recipes.utterance.Recipe)
    method.params = parameters.Params(p)
    found = method.metrics({"expression": labels}, {"expression": logits}, 0)["expression"]
    assert found["uar"] == 0.5
    assert found["n_frames"] == found["n_trials"] == 2
    assert method.main_score({"expression": found}) == 0.5
    assert metrics.uar(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1])) == pytest.approx(5 / 6)


def test_batches_hold_recordings_of_like_length_and_every_one_once(made):
    method = recipe(made, batch_size=4)
    windows = method.windows(table(method), 0)
    batches = method.batches(windows, 0)
    assert sorted(np.concatenate(batches)) == list(range(36))
    assert [list(rows) for rows in method.batches(windows, 0)] == [list(rows) for rows in batches]
    assert [list(rows) for rows in method.batches(windows, 1)] != [list(rows) for rows in batches]


def test_mixing_keeps_the_greater_share_and_leaves_padding_empty():
    generator = np.random.default_rng(3)
    features, valid = np.ones((3, 4, 2), np.float32), np.arange(4) < np.array([[4], [2], [3]])
    features *= np.arange(1, 4, dtype=np.float32)[:, None, None] * valid[..., None]
    mixed, target = _mixed(features, np.eye(3, dtype=np.float32), valid[..., None], 0.2, generator)
    assert mixed.dtype == target.dtype == np.float32
    assert not mixed[~valid].any()
    assert (target.argmax(axis=1) == np.arange(3)).all()
    np.testing.assert_allclose(target.sum(axis=1), 1, rtol=1e-6)


def test_rare_classes_are_not_forgotten_by_the_loss(made):
    method = recipe(made, options={"smoothing": 0.0})
    method.statistics = {"counts": [30, 10, 10, 10, 10]}
    logits = torch.zeros(2, 5)
    rare = {"target": torch.eye(5)[[1, 2]]}
    often = {"target": torch.eye(5)[[0, 0]]}
    assert method.loss({"expression": logits}, rare)["total"].item() == pytest.approx(np.log(7))
    assert method.loss({"expression": logits}, often)["total"].item() == pytest.approx(
        np.log(7 / 3)
    )


def test_valence_and_arousal_of_a_recording_are_learnt_too(made, monkeypatch):
    method = recipe(made, options={"task": "va"}, va_loss="mse")
    values = {name: np.float32([n / 36, -n / 36]) for n, name in enumerate(method._trials)}

    def labels(trial, task):
        rows = np.tile(values[trial], (method.n_frames(trial), 1))
        rows[0] = np.nan
        return rows

    monkeypatch.setattr(method, "labels", labels)
    trainer = Trainer(method, table(method), made / "runs" / "va")
    assert len(trainer.fit()) == 2
    windows = method.windows(trainer.val_trials)
    outputs = forward.predict(trainer.model, method, windows, trainer.device)
    assert outputs["va"].shape == (12, 2)
    rows = method.assemble(windows.iloc[:1], {"va": outputs["va"][:1]}, 20)["va"]
    assert rows.shape == (20, 2)


def test_the_published_network_learns_from_the_same_numbers(made):
    method = recipe(made, epochs=1, options={"network": "res_lstm_sa", "hidden": 8})
    trainer = Trainer(method, table(method), made / "runs" / "lstm")
    assert np.isfinite(trainer.fit()["loss"]).all()


def test_what_it_will_cost_is_told_before_any_array_is_there(made):
    found = recipe(made, options={"task": "va"}).sketch()
    batch = {name: torch.rand(2, *shape) for name, shape in found.shapes.items()}
    assert found.net(batch)["va"].shape == (2, 2)


def test_pictures_that_no_stream_shows_and_too_few_classes_are_refused(made):
    with pytest.raises(InputError, match="modality: video, and no stream of it"):
        recipe(made, modality="video").arrays()
    with pytest.raises(InputError, match=r"speeds: \[\]"):
        recipe(made, options={"speeds": []}).arrays()
    method = recipe(made, options={"classes": 3})
    with pytest.raises(InputError, match="a label 4 with `classes: 3`"):
        method.fit(method.windows(table(method), 0))


def test_two_folds_of_the_real_set_are_learnt_for_three_epochs_and_predicted(tmp_path):
    source = shared("data/ravdess")
    for actor in (3, 6, 10, 12):  # of the second and the third fold
        folder = tmp_path / "data" / f"Actor_{actor:02}"
        folder.mkdir(parents=True)
        for path in sorted((source / folder.name).glob("03-01-*-01-01-01-*.flac")):
            (folder / path.name).symlink_to(path)
    method = recipe(tmp_path, epochs=3, options={"classes": 8, "speeds": [1.0]})
    found, _ = datasets.find(method.params)
    trials.write(found, method.store.trials_path)
    for row in found.to_dict("records"):
        arrays.make_all(row, method.arrays(), method.store)
    for fold, subjects in ((1, {"actor_03", "actor_06"}), (2, {"actor_10", "actor_12"})):
        method = recipe(tmp_path, epochs=3, fold=fold, options={"classes": 8, "speeds": [1.0]})
        trainer = Trainer(method, table(method), tmp_path / "runs" / str(fold))
        assert len(trainer.fit()) == 3
        windows = method.windows(trainer.val_trials)
        assert {method.trial(name)["subject"] for name in windows["trial"]} == subjects
        logits = forward.predict(trainer.model, method, windows, trainer.device)["expression"]
        assert logits.shape == (16, 8)
        assert np.isfinite(logits).all()


# ---- several streams

GATED = {"network": "gated_utterance"}


@pytest.fixture(scope="module")
def gated(made):
    """A training of the gated fusion, with its recipe and folder."""
    method = recipe(made, run="gated", options=GATED)
    trainer = Trainer(method, table(method), made / "runs" / "gated")
    assert np.isfinite(trainer.fit()["loss"]).all()
    return method, trainer, made / "runs" / "gated"


def test_a_stream_that_is_off_at_prediction_changes_what_is_said_and_nothing_becomes_infinite(
    gated,
):
    method, trainer, _ = gated
    windows, said = method.windows(trainer.val_trials), {}
    for name in ("", "spectrum", "melody", "loudness"):
        method.off = {name} - {""}
        outputs = forward.predict(trainer.model, method, windows, trainer.device)
        said[name] = outputs["expression"]
        assert np.isfinite(said[name]).all()
        gates = dict(zip(method.params.options["streams"], outputs["gates"].T, strict=True))
        assert not name or (gates[name] == 0).all()
        np.testing.assert_allclose(outputs["gates"].sum(axis=1), 1, rtol=1e-5)
    method.off = set()
    for name in ("spectrum", "melody", "loudness"):
        assert np.abs(said[name] - said[""]).max(axis=1).min() > 1e-4, name


def test_its_checkpoint_predicts_the_same_from_the_file(gated):
    method, trainer, folder = gated
    predictor = checkpoint.load(folder / "checkpoints" / "best.pt", method.params, method.store)
    trial = trainer.val_trials["trial"].iloc[0]
    windows = method.windows(trainer.val_trials.iloc[:1])
    outputs = forward.predict(trainer.model, method, windows, trainer.device)
    rows = predictor.predict(trial)["expression"]
    np.testing.assert_allclose(rows[0], outputs["expression"][0], atol=1e-5)


def test_in_training_streams_are_off_now_and_then_never_all_and_what_they_are_trusted_by_with_them(
    made,
):
    method = recipe(made, options={**GATED, "modality_dropout": 0.9})
    windows = method.windows(table(method), 0)
    method.statistics = method.fit(windows)
    examples = [method.example(window) for window in windows.itertuples(index=False)]
    batch = method.collate(examples, np.random.default_rng(0))
    on = {name: batch[f"seen_{name}"].any(dim=1) for name in method.params.options["streams"]}
    count = sum(on.values())
    assert count.min() == 1
    assert count.max() > 1
    known = batch["reliability"][..., 1::2].bool().any(dim=1)
    assert torch.equal(known, torch.stack([on["melody"], on["loudness"]], dim=1))
    assert not batch["stream_melody"][~on["melody"]].any()
    assert not batch["reliability"][~on["melody"], :, 0].any()
    whole = method.collate(examples)
    assert all(torch.equal(whole[f"seen_{name}"], whole["valid"]) for name in on)


def test_a_training_without_a_stream_knows_nothing_of_it(made):
    method = recipe(made, options={**GATED, "streams": ["spectrum", "melody"]})
    net = method.model()
    assert list(net.streams) == ["spectrum", "melody"]
    assert net.reliability == 2, "the level belongs to the stream that is left out"
    with pytest.raises(InputError, match="streams: melody, melody"):
        recipe(made, options={**GATED, "streams": ["melody", "melody"]}).model()


def test_each_stream_is_standardised_by_its_own_columns(gated):
    method, trainer, _ = gated
    found, told = method.normalisation(), method.statistics["voice"]
    rows = method.rows(trainer.val_trials["trial"].iloc[0])
    batch = method.gather(list(method.windows(trainer.val_trials.iloc[:1]).itertuples()), "cpu")
    for name, columns in voice_streams.COLUMNS.items():
        moments = found[f"stream_{name}"]
        assert moments["mean"] == [told["mean"][column] for column in columns]
        own = np.nan_to_num((rows[:, columns] - moments["mean"]) / moments["std"])
        np.testing.assert_allclose(batch[f"stream_{name}"][0], own, atol=1e-4)
    columns = sorted(column for each in voice_streams.COLUMNS.values() for column in each)
    assert columns == list(range(voice.COLUMNS)), "every number is in one stream"
    level = found["reliability"]
    given = (rows[:, voice.BANDS + 7] - level["mean"][2]) / level["std"][2]
    np.testing.assert_allclose(batch["reliability"][0, :, 2], given, atol=1e-4)
    assert (level["mean"][1::2], level["std"][1::2]) == ([0.0, 0.0], [1.0, 1.0])


def test_valence_and_arousal_are_learnt_by_each_stream_alone_too(made, monkeypatch):
    method = recipe(made, options={**GATED, "task": "va"})
    net, count = method.model().train(), 6
    windows = list(method.windows(table(method)).itertuples(index=False))[:count]
    monkeypatch.setattr(method, "label", lambda trial: np.float32([0.1, np.nan]))
    method.statistics = {"voice": {"mean": [0.0] * 75, "std": [1.0] * 75}}
    examples = [method.example(window) for window in windows]
    batch = method.collate(examples, np.random.default_rng(0))
    batch["target"] = torch.rand(count, 2)
    parts = method.loss(net(batch), batch)
    assert torch.isfinite(parts["total"])
    assert parts["streams"] > 0
