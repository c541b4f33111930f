"""What may be wrong with cached features and trials, and copies with other colours."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from lib import arrays, models, store, trials
from lib.errors import InputError
from lib.evaluation import prediction, scores
from lib.evaluation.predictions import Predictions
from lib.experiments import costs
from lib.features import backbone
from lib.models import forward, memory
from lib.store import request
from lib.training import trainer
from tests import fake_cuda, tiny_set
from tests.tiny_set import FACE, FEATURES, one_thread  # noqa: F401


@pytest.fixture
def tiny(tmp_path):
    return tiny_set.make(tmp_path / "tiny")


def network(root, run, seed):
    """A run folder with nothing but a checkpoint of a two-stream network."""
    torch.manual_seed(seed)
    path = root / "runs" / run / "checkpoints" / "best.pt"
    path.parent.mkdir(parents=True)
    torch.save(
        {"model": models.create("tsav", width=0.0625, channels=3).state_dict(), "params": {}}, path
    )


def visual(copy=0):
    return request(
        "backbone_visual",
        size=FACE,
        clip="look_back",
        pooled=True,
        **({"jitter": copy} if copy else {}),
    )


# ---- copies


def test_training_draws_from_the_copies_and_prediction_takes_the_pictures_as_they_are(tiny):
    for trial, _, _, n_frames in tiny_set.TRIALS:
        for copy in (1, 2):
            rows = np.full((n_frames, FEATURES), 10 * copy, np.float16)
            tiny_set.write(
                tiny_set.store(tiny), trial, visual(copy), rows, channels=FEATURES, positions=1
            )
    method = tiny_set.create("jca", tiny, options={"copies": 2})
    window = next(method.windows(tiny_set.table(tiny), 0).itertuples(index=False))
    drawn = [method.example(window, np.random.default_rng(k))["visual"][0, 0] for k in range(30)]
    plain = method.example(window)["visual"][0, 0]
    assert set(drawn) == {10, 20, plain}
    assert abs(plain) < 1


def test_a_copy_is_an_array_of_its_own_made_from_pictures_of_another_light(tiny):
    network(tiny, "teacher", 1)
    row = tiny_set.table(tiny).iloc[4].to_dict()
    found = {}
    for copy in (0, 1, 2):
        wanted = tiny_set.create("jca", tiny, options={"copies": 2})._jittered(copy)
        arrays.make(row, wanted, tiny_set.store(tiny))
        found[copy] = np.asarray(arrays.read(row, wanted, tiny_set.store(tiny)), np.float32)
    assert np.abs(found[1] - found[0]).max() > 1e-3
    assert np.abs(found[2] - found[1]).max() > 1e-3


def test_jitter_is_one_draw_a_clip_within_bounds_and_black_stays_black():
    pictures = torch.full((50, 8, 4, 4, 3), 100, dtype=torch.uint8)
    pictures[:, 0] = 0
    found = backbone.jittered(pictures, backbone.draws(0, 50)).float()
    assert not found[:, 0].any()
    assert (found[:, 1] == found[:, 7]).all()
    assert 80 <= found[:, 1:].min() < 90, "one grey: contrast has no part, brightness ± 20 %"
    assert 110 < found[:, 1:].max() <= 120


def test_contrast_keeps_a_pictures_mean():
    pictures = torch.full((50, 8, 4, 4, 3), 100, dtype=torch.uint8)
    pictures[:, :, :2] = 140
    found = backbone.jittered(pictures, backbone.draws(0, 50)).float()
    spread = (found[:, 0, 0, 0, 0] - found[:, 0, 3, 0, 0]) / found[:, 0].mean((1, 2, 3))
    assert spread.min() < 0.30 < 0.36 < spread.max(), "40 of 120 would be a third without it"


# ---- size


def test_the_size_of_the_features_is_told_before_they_are_made(tiny):
    network(tiny, "teacher", 1)
    method = tiny_set.create("jca", tiny, options={"copies": 1})
    told = costs.features(method, tiny_set.table(tiny), tiny)
    frames = sum(n_frames for *_, n_frames in tiny_set.TRIALS)
    assert list(told["GB needed"]) == pytest.approx([frames * FEATURES * 2 / 1e9] * 3, abs=1e-3)
    positions = tiny_set.create("jca", tiny, features="positions", face_size=112)
    assert positions.bytes_a_frame()[str(positions._visual)] == 2 * FEATURES * 49


def test_published_size_is_51_kb_a_frame(tiny):
    path = tiny / "runs" / "teacher" / "checkpoints" / "best.pt"
    path.parent.mkdir(parents=True)
    torch.save(
        {"model": {"audio_model.resnet.conv1.weight": torch.zeros(64, 1, 7, 7)}, "params": {}}, path
    )
    method = tiny_set.create("jca", tiny, features="positions", face_size=112)
    assert sum(method.bytes_a_frame().values()) == 51_200, "specification 4"


def test_the_licence_of_an_authors_file_stands_beside_the_features_made_with_it(tiny, tmp_path):
    network(tiny, "teacher", 1)
    path = tmp_path / "theirs.pth.tar"
    torch.save({"state_dict": models.create("tsav", width=0.0625, channels=3).state_dict()}, path)
    methods = (tiny_set.create("jca", tiny, backbone_run=run) for run in ("teacher", str(path)))
    mine, theirs = (
        costs.features(method, tiny_set.table(tiny), tiny)["licence"] for method in methods
    )
    assert set(mine) == {""}
    assert set(theirs) == {models.LICENCES["tsav"]}
    assert "research only" in theirs[0]


def test_features_of_a_trial_that_was_interrupted_are_made_again_and_the_others_kept(
    tiny, monkeypatch
):
    network(tiny, "teacher", 1)
    rows, place = tiny_set.table(tiny).iloc[4:6].to_dict("records"), tiny_set.store(tiny)
    wanted = [tiny_set.create("jca", tiny)._visual]
    assert [row["state"] for row in arrays.make_all(rows[0], wanted, place)] == ["made"]
    first = arrays.locate(rows[0], wanted[0], place).path
    content = first.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(memory, "pieces", stopped)
        with pytest.raises(KeyboardInterrupt):
            arrays.make_all(rows[1], wanted, place)
    with pytest.raises(InputError, match="is not there"):
        arrays.read(rows[1], wanted[0], place)
    again = [row["state"] for each in rows for row in arrays.make_all(each, wanted, place)]
    assert again == ["there", "made"]
    assert first.read_bytes() == content
    assert np.isfinite(arrays.read(rows[1], wanted[0], place)).all()


def stopped(compute, count, size):
    yield slice(0, 2), compute(0, 2)
    raise KeyboardInterrupt


@pytest.mark.parametrize("copies", [0, 1])
def test_a_gpu_makes_the_features_of_a_cpu_whatever_fits_into_its_memory(tiny, copies):
    """Draws of a jittered copy went with the batches: with another size they were others."""
    network(tiny, "teacher", 1)
    row = tiny_set.table(tiny).iloc[4].to_dict()
    method, found = tiny_set.create("jca", tiny, options={"copies": copies}), []
    wanted = [method._jittered(copies), method._audio]
    stores = [replace(tiny_set.store(tiny), processed_root=tiny / name) for name in ("a", "b")]
    for place in stores:
        shutil.copytree(tiny / "processed", place.processed_root)
    with fake_cuda.without_onednn():
        arrays.make_all(row, wanted, stores[0])
    with fake_cuda.on(limit=200_000) as counts:
        arrays.make_all(row, wanted, stores[1], "cuda")
        assert counts["fetched"] > 2, "in pieces"
    for item in wanted:
        found = [np.asarray(arrays.read(row, item, place), np.float32) for place in stores]
        np.testing.assert_allclose(*found, atol=1e-3)
        assert np.abs(found[0]).max() > 0.1


# ---- bad input


def test_features_of_other_weights_are_never_taken(tiny):
    network(tiny, "teacher", 1)
    network(tiny, "other", 2)
    row, place = tiny_set.table(tiny).iloc[5].to_dict(), tiny_set.store(tiny)
    mine, others = (tiny_set.create("jca", tiny, backbone_run=run) for run in ("teacher", "other"))
    for wanted in (mine._visual, mine._audio):
        arrays.make(row, wanted, place)
        assert arrays.read(row, wanted, place) is not None
    for wanted in (others._visual, others._audio):
        with pytest.raises(InputError, match=r"is not there[\s\S]*preprocess"):
            arrays.read(row, wanted, place)


def spoil(root, trial, wanted, change):
    path = arrays.locate(
        tiny_set.table(root).set_index("trial", drop=False).loc[trial].to_dict(),
        wanted,
        tiny_set.store(root),
    ).path
    rows = np.array(store.read(path))
    change(rows)
    np.save(path, rows)
    facts = json.loads(path.with_suffix(".json").read_text())
    facts.pop("crc32", None)  # this array is meant to be another one
    path.with_suffix(".json").write_text(json.dumps(facts))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_named_with_trial_and_frame(tiny, value):
    def change(rows):
        rows[3, 5] = value

    spoil(tiny, "seen", tiny_set.create("jca", tiny)._visual, change)
    method = tiny_set.create("jca", tiny)
    windows = method.windows(trials.select(tiny_set.table(tiny), ["seen"]))
    with pytest.raises(
        InputError, match=r"backbone_visual hold what is no number\s+where: trial seen, frame 4"
    ):
        forward.predict(method.model(), method, windows, torch.device("cpu"))


@pytest.mark.parametrize("name", ["tsav", "jca", "rjca", "dca", "jca_paper"])
@pytest.mark.parametrize("n_frames", [1, 2])
def test_a_trial_of_one_frame_is_predicted(tiny, name, n_frames):
    one = tiny_set.table(tiny).iloc[[4]].assign(trial="one", video="one", n_frames=n_frames)
    place = tiny_set.store(tiny)
    trials.write(pd.concat([tiny_set.table(tiny), one]).reset_index(drop=True), place.trials_path)
    affect = np.zeros((n_frames, 2), np.float32)
    tiny_set._write_video(place, "one", affect)
    tiny_set._write_trial(place, "one", affect, np.random.default_rng(0))
    method = tiny_set.create(name, tiny)
    torch.manual_seed(0)
    found = prediction.Predictor(
        method, method.model().eval(), torch.device("cpu"), {}, 0, False
    ).predict("one")
    assert found["va"].shape == (n_frames, 2)
    assert np.isfinite(found["va"]).all()


@pytest.mark.parametrize("name", ["tsav", "jca"])
def test_labels_that_are_all_the_same_are_refused_in_training(tiny, tmp_path, name):
    for trial, *_ in tiny_set.TRIALS:

        def change(rows):
            rows[np.isfinite(rows[:, 1]), 1] = 0.25

        spoil(tiny, trial, request("va", mismatch="fit"), change)
    with pytest.raises(InputError, match=r"all labels of arousal are 0\.25"):
        trainer.Trainer(tiny_set.create(name, tiny), tiny_set.table(tiny), tmp_path)


def test_constant_val_labels_give_a_ccc_of_zero_that_says_why(tiny, tmp_path):
    for trial in ("seen", "short"):

        def change(rows):
            rows[np.isfinite(rows[:, 0]), 0] = -0.5

        spoil(tiny, trial, request("va", mismatch="fit"), change)
    method = tiny_set.create("jca", tiny)
    predictor = prediction.Predictor(
        method, method.model().eval(), torch.device("cpu"), {}, 0, False
    )
    table = trials.select(tiny_set.table(tiny), ["seen", "short"])
    for trial in table["trial"]:
        prediction.predict_trial(predictor, Predictions(tmp_path), trial)
    found = scores.finish(predictor, table, Predictions(tmp_path), [1], 20)["val"]
    assert found["valence"]["ccc"] == 0
    assert "all labels are -0.5" in found["valence"]["undefined"]
    assert "undefined" not in found["arousal"]


def test_a_trial_without_labels_is_predicted_and_has_no_score(tiny, tmp_path):
    def change(rows):
        rows[:] = np.nan

    spoil(tiny, "short", request("va", mismatch="fit"), change)
    method = tiny_set.create("jca", tiny)
    predictor = prediction.Predictor(
        method, method.model().eval(), torch.device("cpu"), {}, 0, False
    )
    table = trials.select(tiny_set.table(tiny), ["seen", "short"])
    for trial in table["trial"]:
        prediction.predict_trial(predictor, Predictions(tmp_path), trial)
    assert (
        scores.finish(predictor, table, Predictions(tmp_path), [1], 20)["val"]["valence"][
            "n_trials"
        ]
        == 1
    )
    assert set(scores.by_trial(table, Predictions(tmp_path))["trial"]) == {"seen"}
