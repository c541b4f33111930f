"""LFAN's recipe: the cache and what it is made from, releases, statistics, one pass and pieces,
published rules.
"""

import json
import shutil
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from lib import arrays, datasets, models, recipes, trials
from lib import parameters as params
from lib.errors import InputError
from lib.evaluation import checkpoint
from lib.features import face_maps, statistics
from lib.models import checkpoints, forward
from lib.models.affect import lfan
from lib.models.blocks.ir50 import IR50
from lib.store import listing, request
from lib.training import trainer as training_trainer
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401

CPU = torch.device("cpu")
SOUND = {"vggish": "random", "vggish_width": 1 / 64}
OPTIONS = {**SOUND, "window": 20, "hop": 12, "crop": 24, "head_width": 0.25, "shift": False}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def sample(parameters, opened, tmp_path):
    """Parameters for the small sample set of real media, with a face network in the runs folder."""
    tiny_set.write_face_network(tmp_path / "runs" / "faces" / "checkpoints" / "best.pt")

    def make(**options):
        p = parameters(
            recipe="lfan",
            backbone_run="faces",
            face_size=32,
            width=0.0625,
            epochs=1,
            batch_size=4,
            va_loss="mse_ccc",
            options={**OPTIONS, **options},
        )
        store = datasets.store(p)
        if not store.trials_path.is_file():
            trials.write(opened.table, store.trials_path)
        return recipes.create("lfan", p, store)

    return make


def prepared(method):
    """Make what 02 to 04 make for a few trials."""
    table = list(method._trials.values())[:3]
    for trial in table:
        arrays.make_all(trial, method.arrays(), method.store)
    return [trial["trial"] for trial in table]


# ---- the cache


def test_the_cache_gives_what_the_face_network_gives_and_moves_down_with_each_release(sample):
    cached, plain = sample(cache="always", augment=False), sample(cache="never", augment=False)
    names = prepared(cached)
    assert {item.parameters["cut"] for item in cached.arrays() if item.name == "face_map"} == {
        "output_layer"
    }
    for method in (cached, plain):
        method.statistics = method.fit(method.windows(pd.DataFrame({"trial": names}), 0))
    torch.manual_seed(0)
    one = cached.model().eval()
    other = plain.model().eval()
    other.load_state_dict(one.state_dict())
    window = next(plain.windows(pd.DataFrame({"trial": names[:1]})).itertuples(index=False))
    expected = other(plain.collate([plain.example(window)]))["emotion"]
    assert expected.abs().sum() > 0
    shapes = []
    for released in range(4):
        cached.release(one, released)
        one.eval()
        item = cached.example(window)
        shapes.append(item["frame_map"].shape[1:])
        with torch.no_grad():
            torch.testing.assert_close(
                one(cached.collate([item]))["emotion"], expected, atol=3e-3, rtol=0
            )
    assert shapes == [(32,), (32, 3, 3), (16, 6, 6), (16, 6, 6)]


def test_cached_crops_are_as_many_as_asked_for_and_evaluation_takes_the_centre(sample):
    method = sample(variants=3, cache="always")
    names = prepared(method)
    assert [item.parameters["variant"] for item in method.arrays() if item.name == "face_map"] == [
        0,
        1,
        2,
    ]
    method.statistics = method.fit(method.windows(pd.DataFrame({"trial": names}), 0))
    method.statistics["released"] = 1  # as the first epoch has it
    window = next(method.windows(pd.DataFrame({"trial": names[:1]}), 0).itertuples(index=False))
    centre = method.example(window)["frame_map"]
    drawn = [method.example(window, np.random.default_rng(seed))["frame_map"] for seed in range(30)]
    assert np.array_equal(method.example(window)["frame_map"], centre)
    assert len({each.tobytes() for each in drawn}) == 3


def test_what_packed_faces_and_cached_maps_will_take_is_told_beforehand(sample):
    face, cached = 3 * 32 * 32, 2 * 32 * 3 * 3  # a byte a colour; float16 before the output layer
    later = 2 * 16 * 6 * 6  # before stage 4, and as much before the end of stage 3
    told = {"face": face, "face_map": 3 * cached, "face_map of later releases": 3 * 2 * later}
    assert sample(variants=3).bytes_a_frame() == told
    assert sample(variants=3, releases=1).bytes_a_frame() == {"face": face, "face_map": 3 * cached}
    assert sample(cache="never", variants=3).bytes_a_frame() == {"face": face}
    sketch = sample(variants=3).sketch_of_features()
    assert (sketch.kept, sketch.frames) == (3 * cached + 3 * 2 * later, 1 / 3)


def test_for_all_of_affwild2_the_cache_takes_340_gb_and_not_68(sample):
    method = sample(variants=2)
    method._face_network = IR50(1.0, 40)
    sizes = [2_660_000 * size / 2 / 1e9 for size in method._map_bytes().values()]
    assert sizes == pytest.approx([68, 272], abs=1)


def test_auto_caches_where_nothing_is_lost_and_the_disk_holds_all_of_it(sample, monkeypatch):
    free = SimpleNamespace(free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: free)
    assert not sample()._cached, "with augmentation each window has a crop of its own"
    assert sample(variants=3)._cached
    assert sample(augment=False)._cached
    free.free = 1000
    method = sample(augment=False)
    assert not method._cached
    begun = sample(augment=False, cache="always")
    prepared(begun)
    assert sample(augment=False)._cached, "what was begun goes on, though the disk is fuller now"
    assert not method._cached, "within a run it is decided once"


def test_a_cache_that_would_undo_the_augmentation_is_refused(sample):
    with pytest.raises(InputError, match="every window would see the centre") as told:
        sample(cache="always").arrays()
    assert "variants" in str(told.value)


def test_maps_of_a_release_are_made_before_the_epoch_and_the_stage_before_goes(sample):
    method = sample(cache="always", variants=2, releases=3, milestones=[0, 1, 2])
    names = prepared(method)
    table = pd.DataFrame({"trial": names})
    method.statistics = method.fit(method.windows(table, 0))
    model, told = method.model(), []
    window = next(method.windows(table, 0).itertuples(index=False))
    for released in (1, 2, 3):
        method.release(model, released)
        if released > 1:
            with pytest.raises(InputError, match=r"face_map.* is not there"):
                method.example(window, np.random.default_rng(0))
        method.prepare(table, lambda done, total: told.append((done, total)))
        assert "frame_map" in method.example(window, np.random.default_rng(0))
        method.prepare(table, lambda done, total: told.append("again"))
    assert told == [(count, 6) for _ in range(2) for count in range(1, 7)], "two crops each"
    rows = [json.loads(row["parameters"]) for row in listing(method.store.processed_root)]
    assert {row["cut"] for row in rows if "cut" in row} == {"output_layer", "stage3_end"}


def test_a_copied_processed_root_is_enough_to_train_and_predict_where_there_are_no_videos(
    sample, tmp_path
):
    here = sample(cache="always", augment=False, releases=2, milestones=[0, 1])
    names, server = prepared(here), tmp_path / "server"
    for name in ("processed", "runs"):
        shutil.copytree(tmp_path / name, server / name)
    places = {f"{name}_root": server / name for name in ("data", "processed", "runs")}
    p = params.Params({**here.params, **places, "epochs": 2})
    store = replace(datasets.store(p))
    assert not store.data_root.exists()
    method = recipes.create("lfan", p, store)
    table = trials.select(trials.read(store.trials_path), names).assign(
        split=["train", "train", "val"]
    )
    outcomes = [arrays.make_all(row, method.arrays(), store) for row in table.to_dict("records")]
    assert "used without its inputs" in str(outcomes)
    history = training_trainer.Trainer(method, table, server).fit()
    assert history["released"].tolist() == [1, 2], (
        "the cache moved down, made of the faces that were copied"
    )
    found = checkpoint.load(server / "checkpoints" / "best.pt", p, store).predict(names[2])["va"]
    assert np.isfinite(found).all()


def test_gradients_flow_into_released_groups_only_and_frozen_statistics_stay(tiny):
    for compat in (False, True):
        net = models.create("lfan", compat, width=1 / 16, face_size=24)
        net.release(("output_layer",))
        net.train()
        before = {
            name: value.clone()
            for name, value in net.state_dict().items()
            if "running_mean" in name
        }
        frame = torch.randn(2, 5, 3, 24, 24)
        out = net(
            {"frame": frame, "vggish": torch.randn(2, 5, 128), "mfcc": torch.randn(2, 5, 39)}
        )["emotion"]
        out.square().sum().backward()
        assert net.backbone.output_layer[3].weight.grad.abs().sum() > 0
        assert net.backbone.body[23].res_layer[1].weight.grad is None
        drifted = {
            name
            for name, value in net.state_dict().items()
            if "running_mean" in name and not torch.equal(value, before[name])
        }
        frozen = {name for name in before if ".body." in name or ".input_layer." in name}
        assert bool(drifted & frozen) == compat, "published: frozen layers drift"
        assert drifted - frozen


# ---- masks


@pytest.mark.parametrize("name", ["lfan_visual", "lfan", "lfan_v2", "can"])
def test_padding_and_frames_without_a_face_change_no_other_frame(name):
    torch.manual_seed(0)
    net = models.create(name, width=1 / 16, head_width=1 / 4, face_size=24)
    net.release(("output_layer", "stage4"))
    batch = {
        "frame": torch.randn(1, 9, 3, 24, 24),
        "vggish": torch.randn(1, 9, 128),
        "mfcc": torch.randn(1, 9, 39),
        "valid": torch.ones(1, 9, dtype=torch.bool),
        "face_valid": torch.ones(1, 9, dtype=torch.bool),
    }
    longer = {
        key: torch.cat(
            [x, torch.full_like(x, float("nan")) if x.is_floating_point() else torch.zeros_like(x)],
            1,
        )
        for key, x in batch.items()
    }
    for mode in (False, True):
        net.train(mode)
        for module in net.modules():
            if isinstance(module, torch.nn.Dropout | torch.nn.Dropout1d):
                module.eval()
        with torch.no_grad():
            one, two = net(batch)["emotion"], net(longer)["emotion"]
        torch.testing.assert_close(two[:, :9], one, atol=1e-5, rtol=1e-5)
        assert not two[:, 9:].any()
    net.eval()
    unseen = {**batch, "face_valid": batch["face_valid"].clone()}
    unseen["face_valid"][0, 4] = False
    black = {**unseen, "frame": unseen["frame"].clone()}
    black["frame"][0, 4] = 77.0
    with torch.no_grad():
        assert torch.equal(net(unseen)["emotion"], net(black)["emotion"])
        assert not torch.equal(net(unseen)["emotion"][0, 4], net(batch)["emotion"][0, 4])


def test_pictures_of_8_bits_are_normalised_in_the_network():
    net = models.create("lfan_visual", width=1 / 16, face_size=24).eval()
    frame = torch.randint(0, 256, (1, 3, 24, 24, 3), dtype=torch.uint8)
    plain = (frame.float() / 255 - 0.5) / 0.5
    with torch.no_grad():
        one, two = (net({"frame": x})["emotion"] for x in (frame, plain.permute(0, 1, 4, 2, 3)))
    torch.testing.assert_close(one, two)
    with pytest.raises(InputError, match=r"expected: \(B, T, 3, 24, 24\)"):
        net({"frame": frame[:, :, :20]})


# ---- evaluation


def test_pieces_with_history_give_what_one_pass_gives(tiny):
    short, whole = (
        tiny_set.create("lfan", tiny, options={"targets": targets}) for targets in (7, 1000)
    )
    torch.manual_seed(0)
    model = whole.model()
    trial = pd.DataFrame({"trial": ["1_left"]})
    found = []
    for method in (short, whole):
        windows = method.windows(trial)
        outputs = forward.predict(model, method, windows, CPU, 2)
        found.append(method.assemble(windows, outputs, 60)["va"])
    assert len(short.windows(trial)) == 9
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_a_prediction_never_sees_the_future(tiny):
    method = tiny_set.create("lfan", tiny, options={"targets": 1000})
    model = method.model().eval()
    item = method.example(
        next(method.windows(pd.DataFrame({"trial": ["1_left"]})).itertuples(index=False))
    )
    batch = method.collate([item])
    with torch.no_grad():
        first = model(batch)["emotion"]
        for name in ("frame", "vggish", "mfcc"):
            batch[name][:, 30:] = 3
        assert torch.equal(model(batch)["emotion"][:, :30], first[:, :30])


def test_one_emotion_leaves_the_other_empty_and_counts_alone(tiny, tmp_path):
    method = tiny_set.create("lfan", tiny, emotion="arousal", epochs=1)
    assert np.isnan(method.labels("1_left", "va")[:, 0]).all()
    trainer = training_trainer.Trainer(method, tiny_set.table(tiny), tmp_path)
    row = trainer.fit().iloc[-1]
    assert np.isfinite(row["val_ccc_arousal"])
    assert "val_ccc_valence" not in row or np.isnan(row["val_ccc_valence"])
    predictor = checkpoint.load(tmp_path / "checkpoints" / "best.pt", method.params, method.store)
    found = predictor.predict("hidden")["va"]
    assert np.isnan(found[:, 0]).all()
    assert np.isfinite(found[:, 1]).all()


# ---- training


def test_a_batch_in_parts_gives_the_same_gradient(tiny):
    grads = []
    for parts in (1, 3):
        method = tiny_set.create("lfan", tiny, va_loss="ccc", options={"accumulate": parts})
        torch.manual_seed(0)
        model = method.model().eval()
        windows = list(
            method.windows(tiny_set.table(tiny).query("split == 'train'"), 0).itertuples(
                index=False
            )
        )[:6]
        batch = method.collate([method.example(window) for window in windows])
        pieces = method.pieces(batch)
        assert sum(share for share, _ in pieces) == pytest.approx(1)
        assert len(pieces) == parts
        for share, piece in pieces:
            (method.loss(model(piece), piece)["total"] * share).backward()
        grads.append(model.regressor.weight.grad.clone())
    torch.testing.assert_close(grads[0], grads[1], atol=1e-5, rtol=1e-4)


def test_the_face_network_begins_with_its_runs_weights_and_a_trained_one_needs_that_run_no_more(
    tiny, tmp_path
):
    method = tiny_set.create("lfan", tiny, epochs=1, options={"releases": 0})
    face, _ = lfan.load(method._file, 24)
    trainer = training_trainer.Trainer(method, tiny_set.table(tiny), tmp_path)
    for one, other in zip(trainer.model.backbone.parameters(), face.parameters(), strict=True):
        assert torch.equal(one, other)
        assert not one.requires_grad
    trainer.fit()
    saved = checkpoints.load(tmp_path / "checkpoints" / "best.pt")
    assert saved["trained_on"] == ["1_left", "1_right", "171", "quiet"]
    elsewhere = recipes.create(
        "lfan",
        tiny_set.parameters(
            "lfan",
            tiny,
            runs_root=str(tmp_path / "nowhere"),
            options={"cache": "always", "augment": False},
        ),
        method.store,
    )
    elsewhere.statistics = saved["statistics"]
    model = elsewhere.model()
    model.load_state_dict(saved["model"])
    assert not [item for item in elsewhere.arrays() if item.name == "face_map"]


def test_a_network_that_saw_the_validation_trials_is_refused(tiny, tmp_path):
    runs_root = tmp_path / "runs"
    place = runs_root / "faces" / "checkpoints" / "best.pt"
    tiny_set.write_face_network(place)
    content = torch.load(place, weights_only=True)
    torch.save({**content, "trained_on": ["seen"]}, place)
    with pytest.raises(InputError, match="leak: seen"):
        training_trainer.Trainer(
            tiny_set.create("lfan", tiny, runs_root=str(runs_root)), tiny_set.table(tiny), tmp_path
        )


def test_a_file_of_another_network_is_refused(tmp_path):
    torch.save({"model": {"fc.weight": torch.zeros(2)}}, tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"weights without backbone"):
        lfan.load(tmp_path / "other.pt")
    net = models.create("lfan_backbone", classes=2, width=1 / 16, face_size=24)
    torch.save(
        {f"module.{key}": value for key, value in net.state_dict().items()},
        tmp_path / "authors.pth",
    )
    assert lfan.load(tmp_path / "authors.pth", 24)[1] == {}
    with pytest.raises(InputError, match="do not fit faces of 40 pixels"):
        lfan.load(tmp_path / "authors.pth", 40)


# ---- statistics, published rules


def test_statistics_are_of_training_trials_only_and_per_dimension(tiny):
    method = tiny_set.create("lfan", tiny)
    rows = np.concatenate(
        [method.read(trial, request("mfcc39")) for trial in ("1_left", "1_right", "171")]
    )
    np.testing.assert_allclose(method.statistics["mfcc"]["mean"], rows.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(method.statistics["mfcc"]["std"], rows.std(axis=0), rtol=1e-3)


def test_runs_that_learn_from_the_same_trials_share_their_statistics(tiny, monkeypatch):
    told = tiny_set.create("lfan", tiny, emotion="valence").statistics
    shown = pd.DataFrame({"trial": ["1_left", "1_right", "171"]})
    monkeypatch.setattr(
        statistics, "of_dimensions", recomputed := partial(pytest.fail, "computed again")
    )
    recomputed.__name__ = "of_dimensions"
    other = tiny_set.create("lfan", tiny, emotion="arousal")
    assert other.statistics["mfcc"] == told["mfcc"]
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        other.fit(other.windows(shown[1:], 0))
    assert {item["owner"] for item in listing(other.store.processed_root)} >= {"of_dimensions"}


def test_by_the_published_rules_labelled_frames_are_joined_and_each_split_has_one_scalar(tiny):
    method = tiny_set.create("lfan", tiny, rules="published")
    windows = method.windows(pd.DataFrame({"trial": ["1_left"]}), 0)
    assert windows["stop"].max() == 48  # of 60 frames the first 12 have no label
    item = method.example(next(windows.itertuples(index=False)))
    assert np.isfinite(item["va"]).all()
    assert len(method.statistics["mfcc_train"]["mean"]) == 1
    assert method.statistics["mfcc_train"] != method.statistics["mfcc_val"]
    assert isinstance(
        method.optimizer([{"params": [torch.nn.Parameter(torch.zeros(1))]}]), torch.optim.Adam
    )
    assert not isinstance(
        method.optimizer([{"params": [torch.nn.Parameter(torch.zeros(1))]}]), torch.optim.AdamW
    )
    outputs = {
        "emotion": np.ones((len(windows), 24, 2), np.float32)
        * np.arange(len(windows))[:, None, None]
    }
    found = method.assemble(windows, outputs, 60)["va"]
    assert np.isnan(found[:12]).all()
    assert found[12:].max() <= len(windows) - 1
    assert len(np.unique(found[12:])) > len(windows), "frames of two windows have their mean"


def test_one_crop_and_one_mirror_for_a_whole_window():
    faces = np.broadcast_to(
        np.random.default_rng(0).integers(0, 256, (1, 48, 48, 3), dtype=np.uint8), (5, 48, 48, 3)
    )
    places = {face_maps.draw(np.random.default_rng(seed), 48, 40) for seed in range(60)}
    assert {place[2] for place in places} == {True, False}
    assert {place[0] for place in places} <= set(range(9))
    for place in places:
        assert all(
            np.array_equal(each, face_maps.cut(faces, 40, place)[0])
            for each in face_maps.cut(faces, 40, place)
        )
    assert np.array_equal(
        face_maps.cut(faces, 40, face_maps.draw(None, 48, 40)), faces[:, 4:44, 4:44]
    )
    assert face_maps.variant(0, 48, 40) == (4, 4, False)
    with pytest.raises(InputError, match="faces of 30 pixels"):
        face_maps.cut(faces[:, :30, :30], 40, (0, 0, False))


def test_a_crop_that_is_not_set_is_as_large_a_part_of_the_face_as_the_published_one(tiny):
    assert [face_maps.side(*sizes) for sizes in ((48, 0), (112, 0), (48, 36))] == [40, 93, 36]
    sketch = tiny_set.create("lfan_backbone", tiny, face_size=32, options={"crop": 0}).sketch()
    assert sketch.shapes == {"frame": (3, 26, 26)}, "what the smoke overlay makes of it"


def test_the_authors_files_are_loaded_by_their_keys(tmp_path):
    for name in ("lfan_backbone", "lfan_visual", "lfan"):
        net = models.create(name, True, width=1 / 16)
        torch.save(net.state_dict(), tmp_path / f"{name}.pth")
        loaded = models.load_published(name, tmp_path / f"{name}.pth", width=1 / 16)
        assert loaded.compat
        assert "research only" in loaded.licence
        pairs = zip(net.state_dict().values(), loaded.state_dict().values(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)
    with pytest.raises(InputError, match=r"load it as that"):
        models.load_published("lfan", tmp_path / "lfan_visual.pth", width=1 / 16)
