"""What the later steps will cost: measured on the data set itself, and multiplied without a
mistake.
"""

import itertools
import shutil
from collections import namedtuple
from dataclasses import replace

import pandas as pd
import pytest
import torch

from lib import parameters
from lib.experiments import costs
from lib.faces import arrays
from lib.files import ROOT
from lib.models import weights as weights_module
from lib.recipes.base import Sketch
from lib.store import request
from tests.face_world import Marks
from tests.shared_files import shared

TABLE = pd.DataFrame(
    {"trial": ["a", "b", "c"], "split": ["train", "val", "test"], "n_frames": [2000, 600, 400]}
)
DISK = namedtuple("DISK", "total used free")


def test_every_array_is_measured_on_the_shortest_trials_and_nothing_is_left_behind(opened):
    wanted = (request("time"), request("audio_44k", rate=44100), request("va", mismatch="fit"))
    opened.store.folder.mkdir(parents=True)
    found = costs.measure(opened.table, opened.store, 600.0, wanted).set_index("array")
    assert found["step"].to_dict() == {
        "time": "02_preprocess_visual",
        "audio_44k(rate=44100)": "03_preprocess_audio",
        "va(mismatch=fit)": "04_preprocess_labels",
    }
    assert (found["seconds"] > 0).all()
    assert found["frames"].nunique() == 1
    assert found["frames"].iloc[0] == opened.table["n_frames"].sum()
    # A time stamp is 8 bytes, a label twice 4; a file has 128 bytes in front. Two people share a
    # video's stamps.
    assert 5 < found.loc["time", "bytes"] < 14
    assert 8 < found.loc["va(mismatch=fit)", "bytes"] < 13
    assert not list(opened.store.folder.iterdir())


def test_what_an_array_is_made_from_counts_with_it(opened):
    """`mel` needs the waveform, which takes three times its space."""
    opened.store.folder.mkdir(parents=True)
    found = costs.measure(
        opened.table, opened.store, 600.0, (request("time"), request("mel"))
    ).set_index("array")
    opened.make([request("time"), request("mel")])
    kept = sum(
        path.stat().st_size
        for path in opened.store.folder.rglob("*.npy")
        if not path.name.startswith("time")
    )
    assert found.loc["mel", "bytes"] * opened.table["n_frames"].sum() == pytest.approx(kept)


def test_faces_are_measured_in_the_size_of_the_experiment():
    assert request("face", size=64) in costs.usual({"face_size": 64})
    assert costs.usual({}) == costs.USUAL


def without_crops(opened, weights_root):
    opened.store.folder.mkdir(parents=True, exist_ok=True)
    found = costs.measure(
        opened.table.assign(crops_dir="")[:1],
        replace(opened.store, weights_root=weights_root),
        600.0,
        (request("time"), request("face_valid")),
    )
    return set(found["step"])


def test_finding_faces_is_measured_where_the_data_have_no_crops(opened, monkeypatch):
    asked = []
    monkeypatch.setattr(
        arrays.detection, "create", lambda name, *_: asked.append(name) or Marks(lambda _: [])
    )
    assert without_crops(opened, shared("weights")) == {"02_preprocess_visual"}
    assert asked == ["yunet"]


def test_where_the_detector_is_not_there_the_table_says_so_and_nothing_is_downloaded(
    opened, tmp_path, monkeypatch
):
    monkeypatch.setattr(weights_module, "get", lambda *_: pytest.fail("01 downloads nothing"))
    (told,) = without_crops(opened, tmp_path / "weights")
    assert told.startswith("02_preprocess_visual (without finding faces: face_detection_yunet")


def test_measuring_ends_when_its_time_is_up_and_without_time_nothing_is_measured(
    opened, monkeypatch
):
    seconds = itertools.count()  # every look at the clock is one second later
    monkeypatch.setattr(costs.time, "monotonic", lambda: next(seconds))
    assert costs.measure(opened.table, opened.store, 0.0).empty
    found = costs.measure(opened.table, opened.store, 3.0)
    assert 0 < len(found) < 4
    assert set(found["frames"]) == {opened.table["n_frames"].min()}


def test_what_a_trial_cannot_give_is_left_out(opened):
    silent = opened.table.assign(audio_path="")
    found = costs.measure(
        silent, opened.store, 600.0, (request("time"), request("audio_44k", rate=44100))
    )
    assert list(found["array"]) == ["time"]


@pytest.fixture
def free(monkeypatch):
    def make(gigabytes):
        monkeypatch.setattr(
            shutil, "disk_usage", lambda place: DISK(10**12, 0, int(gigabytes * 1e9))
        )

    return make


MEASURED = pd.DataFrame(
    [
        ("02_preprocess_visual", "time", 0.6, 1e6),
        ("02_preprocess_visual", "face", 0.6, 1e6),
        ("03_preprocess_audio", "mel", 0.12, 5e5),
    ],
    columns=["step", "array", "seconds", "bytes"],
)
NETWORKS = pd.DataFrame([("05_train", 7.0, 1.0)], columns=["step", "hours", "GB needed"])


def test_hours_and_space_are_those_of_all_frames_shared_by_the_workers(free, tmp_path):
    free(100)
    found = costs.forecast(MEASURED, TABLE, tmp_path, 2).set_index("step")
    assert found.loc["02_preprocess_visual", ["time", "GB needed"]].tolist() == [
        "30 min",
        6.0,
    ]  # 3000 × 1.2 s / 2
    assert found.loc["03_preprocess_audio", ["time", "GB needed"]].tolist() == ["3 min", 1.5]
    assert set(found["enough"]) == {"yes"}
    assert set(found["GB free"]) == {100.0}


def test_space_is_needed_by_all_steps_together(free, tmp_path):
    free(7)
    found = costs.forecast(MEASURED, TABLE, tmp_path / "not" / "there", 1, NETWORKS)
    assert found["enough"].tolist() == ["yes", "NO", "NO"]
    assert found["time"].tolist() == ["1 h 00 min", "6 min", "7 h 00 min"]


def test_nothing_measured_gives_an_empty_forecast(tmp_path):
    assert costs.forecast(MEASURED[:0], TABLE, tmp_path, 1).empty


# ---- networks


@pytest.fixture
def measured_networks(monkeypatch):
    """What was to be measured; a sample takes 3.6 s, in training 36 s."""
    made = []

    def seconds(sketch, place, some, kinds, most=2):
        made.append(sketch)
        return {"forward": 3.6, "training": 36.0}

    monkeypatch.setattr(costs, "_seconds", seconds)
    return made


def test_training_sees_the_training_frames_of_all_epochs_and_prediction_the_others(
    measured_networks,
):
    found = costs.measure_networks(
        TABLE,
        {
            "recipe": "tsav",
            "epochs": 3,
            "val_every": 4,
            "device": "cpu",
            "width": 0.0625,
            "audio_seconds": 10.0,
            "options": {"frame_step": 4},
        },
        1.0,
    )
    assert measured_networks[0].shapes == {"clip": (3, 8, 112, 112), "mel": (1, 64, 1001)}
    assert found["step"].str[:2].tolist() == ["05", "06"]
    judged = 600 / 4 * 3 * 3.6  # every 4th val frame after each epoch
    assert found["hours"].tolist() == [(2000 / 4 * 3 * 36 + judged) / 3600, 1000 * 3.6 / 3600]
    assert "every 4th frame, 3 epochs" in found["step"][0]
    weights = sum(weight.numel() for weight in measured_networks[0].net.parameters())
    assert found["GB needed"].tolist() == [2 * 3 * 4 * weights / 1e9, 0.0]


def test_a_trained_run_is_not_trained_again_and_has_its_own_sizes(measured_networks, tmp_path):
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher/params.yaml").write_text("recipe: tsav\nwidth: 0.125\nface_size: 64\n")
    found = costs.measure_networks(
        TABLE,
        {
            "recipe": "jca",
            "predict_run": "teacher",
            "runs_root": str(tmp_path),
            "splits": ["train", "test"],
            "device": "cpu",
        },
        1.0,
    )
    assert [sketch.shapes["clip"] for sketch in measured_networks] == [(3, 8, 64, 64)]
    assert found["step"].tolist() == ["06_inference: tsav, width 0.125 on cpu"]
    assert found["hours"].tolist() == [2400 * 3.6 / 3600]


@pytest.mark.parametrize(("features", "columns"), [("pooled", 64), ("positions", 16 * 64)])
def test_a_method_on_a_backbone_has_the_features_of_every_frame_and_one_step_a_sequence(
    measured_networks, features, columns
):
    found = costs.measure_networks(
        TABLE,
        {
            "recipe": "jca",
            "backbone_run": "affwild2_tsav",
            "features": features,
            "steps": 16,
            "epochs": 2,
            "face_size": 64,
            "width": 0.125,
            "audio_seconds": 1.0,
            "device": "cpu",
        },
        1.0,
    )
    assert [sketch.shapes for sketch in measured_networks] == [
        {"clip": (3, 8, 64, 64), "mel": (1, 64, 101)},
        {"audio": (16, 64), "visual": (16, columns), "valid": (16,)},
    ]
    assert found["step"].str[:2].tolist() == ["02", "05", "06"]
    assert found["hours"].tolist() == pytest.approx(
        [3.0, (2000 / 16 * 2 * 36 + 600 / 16 * 2 * 3.6) / 3600, 1000 / 16 * 3.6 / 3600]
    )
    assert found["GB needed"].iloc[0] == 2 * 3000 * (columns + 64) / 1e9


def test_jittered_copies_are_computed_and_kept_each(measured_networks):
    found = costs.measure_networks(
        TABLE,
        {
            "recipe": "jca",
            "backbone_run": "x",
            "face_size": 64,
            "width": 0.125,
            "modality": "video",
            "options": {"copies": 4},
            "device": "cpu",
        },
        1.0,
    )
    assert list(measured_networks[0].shapes) == ["clip"]
    assert found["hours"].iloc[0] == pytest.approx(5 * 3.0)
    assert found["GB needed"].iloc[0] == 2 * 3000 * 5 * 64 / 1e9


LFAN = {
    "recipe": "lfan",
    "backbone_run": "x",
    "face_size": 48,
    "width": 0.125,
    "epochs": 2,
    "device": "cpu",
}


@pytest.mark.parametrize(
    ("options", "cached", "numbers"),
    [
        ({"augment": False, "releases": 1}, (64, 5, 5), 64 * 25),
        ({"variants": 3, "releases": 1}, (64, 5, 5), 3 * 64 * 25),
        ({"augment": False, "releases": 0}, (64,), 64),
    ],
)
def test_leader_and_followers_take_windows_of_what_was_cached_of_the_frozen_faces(
    measured_networks, options, cached, numbers
):
    found = costs.measure_networks(TABLE, {**LFAN, "options": {"hop": 250, **options}}, 1.0)
    assert [sketch.shapes for sketch in measured_networks] == [
        {"frame": (3, 40, 40)},
        {"frame_map": (300, *cached), "vggish": (300, 128), "mfcc": (300, 39), "valid": (300,)},
    ]
    assert found["hours"].tolist() == pytest.approx(
        [
            3.0 * options.get("variants", 1),
            (2000 / 250 * 2 * 36 + 600 / 300 * 2 * 3.6) / 3600,
            1000 / 300 * 3.6 / 3600,
        ]
    )
    assert found["GB needed"].iloc[0] == 2 * 3000 * numbers / 1e9


def test_without_a_cache_the_windows_hold_faces(measured_networks):
    found = costs.measure_networks(TABLE, {**LFAN, "options": {"cache": "never"}}, 1.0)
    assert [sketch.shapes["frame"] for sketch in measured_networks] == [(300, 3, 40, 40)]
    assert found["step"].str[:2].tolist() == ["05", "06"]


@pytest.mark.parametrize(
    "values",
    [
        {"recipe": "tsav", "audio_seconds": 0.5},
        {"recipe": "jca", "backbone_run": "x", "steps": 4, "audio_seconds": 0.0},
        {"recipe": "jca_paper", "backbone_run": "x", "features": "pooled"},
        {"recipe": "lfan", "backbone_run": "x", "options": {"window": 8, "crop": 32}},
        {
            "recipe": "lfan",
            "backbone_run": "x",
            "options": {"window": 8, "crop": 16, "cache": "never", "network": "can"},
        },
        {"recipe": "lfan", "modality": "audio", "options": {"window": 8, "crop": 16}},
        {"recipe": "lfan_backbone", "modality": "video", "options": {"crop": 16}},
        {"recipe": "talknet", "width": 0.25, "clip_length": 10},
        {
            "recipe": "talknet",
            "options": {"network": "light_asd"},
            "clip_length": 10,
            "width": 0.25,
        },
    ],
)
def test_the_networks_of_an_experiment_are_really_run(values):
    found = costs.measure_networks(
        TABLE, {"width": 0.0625, "face_size": 32, "device": "cpu", **values}, 0.01
    )
    assert (found["hours"] > 0).all()
    assert found["step"].str.endswith("on cpu").all()
    assert found["step"].str[:2].tolist()[-2:] == ["05", "06"]


def test_every_recipe_of_the_shipped_experiments_says_what_its_network_takes(measured_networks):
    given = {
        path.stem: parameters.load([path]) for path in sorted((ROOT / "params").glob("*.yaml"))
    }
    trained = {
        name: values for name, values in given.items() if "05" in values.get("notebooks", ["05"])
    }
    kinds = {
        (values["recipe"], values.get("options", {}).get("network")): name
        for name, values in trained.items()
    }
    for name in kinds.values():
        values = trained[name]
        small = {"width": 0.25 if values["recipe"] == "talknet" else 0.0625, "device": "cpu"}
        least = (
            0 if values["recipe"] in ("features", "gated_fusion", "expression") else 2
        )  # its sizes are those of arrays that are not there yet; nothing of the other is trained
        assert (
            len(costs.measure_networks(TABLE, {**values, **small, "predict_run": ""}, 1.0)) >= least
        ), name
    assert measured_networks


class Twos(torch.nn.Module):
    """A network that needs a second for each batch, however many samples are in it, or `each` s
    more per sample.
    """

    def __init__(self, clock, batch=1.0, each=0.0):
        super().__init__()
        self.clock, self.weight, self.seen = clock, torch.nn.Parameter(torch.ones(1)), []
        self.batch, self.each = batch, each

    def forward(self, batch):
        self.clock[0] += self.batch + self.each * len(batch["x"])
        self.seen.append(len(batch["x"]))
        return {"y": batch["x"] * self.weight}


def test_a_narrow_network_is_measured_in_batches_as_large_as_its_training_has(monkeypatch):
    """In twos it would seem sixteen times as slow as it is."""
    clock = [0.0]
    monkeypatch.setattr(costs.time, "monotonic", lambda: clock[0])
    net = Twos(clock)
    sketch = Sketch(net, {"x": (3,)})
    found = costs._seconds(sketch, torch.device("cpu"), 400.0, ("forward", "training"), 32)
    assert found == pytest.approx({"forward": 1 / 32, "training": 1 / 32})
    assert set(net.seen) == {2, 32}
    net.seen.clear()
    assert costs._seconds(sketch, torch.device("cpu"), 1.0, ("forward",), 32)["forward"] == 0.5
    assert set(net.seen) == {2}, "where time is short it stays there"


def test_from_the_batches_that_time_allows_follows_what_a_sample_of_a_larger_one_takes(monkeypatch):
    """A sample of 32 took .041 s, one of two .121: the forecast was three times too long."""
    clock = [0.0]
    monkeypatch.setattr(costs.time, "monotonic", lambda: clock[0])
    net = Twos(clock, batch=0.2, each=0.03)
    found = costs._seconds(Sketch(net, {"x": (3,)}), torch.device("cpu"), 1.0, ("training",), 32)
    assert max(net.seen) < 32
    assert found["training"] == pytest.approx(0.2 / 32 + 0.03)


@pytest.mark.parametrize(("quick", "slow"), [(1.0, 0.8), (0.1, 8.0)])
def test_two_measurements_of_a_busy_machine_give_no_nonsense(quick, slow):
    found = costs._a_sample((2, quick), (8, slow), 32)
    assert costs.FIXED_TIME_SHARE * slow / 8 < found <= slow / 8


def test_without_time_or_frames_no_network_is_built(measured_networks):
    assert costs.measure_networks(TABLE, {}, 0.0).empty
    assert costs.measure_networks(TABLE[:0], {}, 1.0).empty
    assert measured_networks == []
