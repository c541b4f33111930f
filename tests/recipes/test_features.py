"""The recipe of one's own features: trainer, store, inference and evaluation as for every method,
from a YAML alone.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from lib import arrays, models, parallel, parameters
from lib.errors import InputError
from lib.evaluation import checkpoint, prediction, scores
from lib.evaluation.predictions import Predictions
from lib.experiments import bookkeeping, costs
from lib.features import own
from lib.files import ROOT
from lib.models import checkpoints, forward
from lib.models.base import REGISTRY, Model
from lib.store import request
from lib.training import trainer as training_trainer
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401

OWN = {"steps": 8, "step_hop": 2, "audio_seconds": 0.5}


def recipe(root, features=("mel_statistics", "pixels"), **changes):
    options = {
        "features": list(features),
        "network": "gru",
        "phases": 2,
        **changes.pop("options", {}),
    }
    return tiny_set.create("features", root, **{**OWN, **changes}, options=options)


def prepared(root, method):
    """Make what the recipe needs, as 02 and 03 do; trials that lack something are named."""
    table = tiny_set.table(root)
    outcomes = parallel.map(
        lambda trial: arrays.make_all(trial, method.arrays(), method.store),
        table.to_dict("records"),
        1,
        name=lambda trial: trial["trial"],
    )
    return table[[outcome.ok for outcome in outcomes]].reset_index(drop=True), {
        outcome.item["trial"]: outcome.error for outcome in outcomes if not outcome.ok
    }


def own_files(root, change=lambda trial, rows: rows, rate=25.0):
    """features/<trial>/mine.npy for every trial of the tiny set: its brightness, and noise."""
    for number, (trial, _, _, n_frames) in enumerate(tiny_set.TRIALS):
        folder = root / "data" / "features" / trial
        folder.mkdir(parents=True)
        rows = (
            np.random.default_rng(number)
            .normal(size=(round(n_frames * rate / 25), 5))
            .astype(np.float32)
        )
        np.save(folder / "mine.npy", change(trial, rows))
        np.save(folder / "mine_time.npy", np.arange(len(rows)) / rate)


@pytest.fixture
def tiny(tmp_path):
    return tiny_set.make(tmp_path / "tiny")


def fitted(method, table, network=None):
    method.statistics = method.fit(method.windows(table[table["split"] == "train"], 0))
    torch.manual_seed(0)
    return (network or method.model()).eval()


# ---- the whole way


@pytest.mark.parametrize(
    ("network", "features"),
    [
        ("gru", ("mel_statistics", "pixels")),
        ("temporal_convolution", ("loudness",)),
        ("transformer", ("pixels",)),
        ("jca", ("mel_statistics", "pixels")),
        ("dca", ("loudness", "pixels")),
        ("jca_paper", ("mel_statistics", "pixels")),
    ],
)
def test_arrays_of_the_repository_are_learnt_from_and_every_frame_is_predicted(
    tiny, tmp_path, network, features
):
    method = recipe(tiny, features, options={"network": network}, lr=0.01, epochs=3, va_loss="mse")
    table, lost = prepared(tiny, method)
    assert not lost
    trainer = training_trainer.Trainer(method, table, tmp_path / "run")
    history = trainer.fit()
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    predictor = checkpoint.load(tmp_path / "run/checkpoints/best.pt", method.params, method.store)
    for trial, _, _, n_frames in tiny_set.TRIALS:
        values = predictor.predict(trial)["va"]
        assert values.shape == (n_frames, 2)
        assert np.isfinite(values).all()


def test_a_recording_is_predicted_at_once_as_its_windows_are_one_by_one(tiny, tmp_path):
    """Learnt from windows of 8 steps; 50 frames, every fourth: windows of 13 and of 12 steps."""
    options = {"network": "linear_recurrence", "predict_steps": 1000}
    method = recipe(tiny, ["loudness", "pixels"], options=options, epochs=1, step_hop=4)
    table, _ = prepared(tiny, method)
    training_trainer.Trainer(method, table, tmp_path / "run").fit()
    windows = method.windows(table[table["trial"] == "seen"])
    assert windows["n_targets"].tolist() == [13, 13, 12, 12]
    assert method.windows(table[table["split"] == "train"], 0)["n_targets"].max() == 8
    predictor = checkpoint.load(tmp_path / "run/checkpoints/best.pt", method.params, method.store)
    values = predictor.predict("seen")["va"]
    for window in windows.itertuples(index=False):
        batch = predictor.recipe.collate([predictor.recipe.example(window)])
        with torch.inference_mode():
            alone = predictor.model(batch)["va"][0].numpy()
        assert values[window.first_target :: 4] == pytest.approx(alone, abs=1e-5)


def test_a_network_of_fixed_windows_predicts_no_more_at_once(tiny):
    method = recipe(tiny, options={"network": "jca", "predict_steps": 100})
    with pytest.raises(InputError, match="predict_steps: 100 with the network jca"):
        method.windows(tiny_set.table(tiny))


def test_files_at_their_own_rate_go_the_way_to_scores(tiny, tmp_path):
    own_files(tiny, rate=50.0)
    method = recipe(tiny, ["mine.npy", "pixels"], options={"times": ["mine_time.npy"]})
    table, lost = prepared(tiny, method)
    assert not lost
    training_trainer.Trainer(method, table, tmp_path / "run").fit()
    predictor = checkpoint.load(tmp_path / "run/checkpoints/best.pt", method.params, method.store)
    some = table[table["split"] != "train"].reset_index(drop=True)
    for trial in some["trial"]:
        prediction.predict_trial(predictor, Predictions(tmp_path / "out"), trial)
    found = scores.finish(predictor, some, Predictions(tmp_path / "out"), [1, 5], 20)
    assert found["val"]["valence"]["n_frames"] > 0
    assert "label_valence" in pd.read_csv(tmp_path / "out/seen.csv")


def test_notebook_02_is_made_from_every_file_of_features(tiny):
    own_files(tiny)
    method = recipe(tiny, ["mine.npy", "pixels"], options={"times": ["mine_time.npy"]})
    found = bookkeeping.sources(tiny_set.table(tiny), method.store, [], method.arrays())
    assert {path.relative_to(tiny / "data" / "features").as_posix() for path in found} == {
        f"{trial}/{name}.npy"
        for trial, _, _, _ in tiny_set.TRIALS
        for name in ("mine", "mine_time")
    }


def test_a_network_of_torchvision_looks_at_each_face(tiny):
    method = recipe(tiny, ["resnet18"])
    table, lost = prepared(tiny, method)
    assert not lost
    trial = table.iloc[0].to_dict()
    rows = np.asarray(method.read(trial["trial"], method._items[0]))
    faces = arrays.opened(trial, request("face", size=tiny_set.FACE), method.store)
    net = own._network("resnet18", "random", 0).eval()
    x = torch.from_numpy(faces.read(np.arange(3))).permute(0, 3, 1, 2) / 255
    mean, sd = (
        torch.tensor(three)[:, None, None] for three in (own.IMAGENET_MEAN, own.IMAGENET_SD)
    )
    with torch.inference_mode():
        expected = net((x - mean) / sd).numpy()
    assert rows.shape == (60, 512)
    assert np.allclose(rows[:3], expected, atol=2e-3, rtol=2e-3)  # kept as float16
    assert method.uses_video
    assert not method.uses_audio


def test_inputs_are_standardised_by_the_training_trials_only(tiny):
    method = recipe(tiny, ["loudness"])
    table, _ = prepared(tiny, method)
    train = table[table["split"] == "train"]
    told = method.fit(method.windows(train, 0))["loudness"]
    every = np.concatenate(
        [method._rows(trial, method._items[0]) for trial in train["trial"] if trial != "quiet"]
    )  # has no labels, so no window
    assert told["mean"] == pytest.approx(every.mean(0).tolist(), rel=1e-5)
    assert told["std"] == pytest.approx(every.std(0).tolist(), rel=1e-4)
    method.statistics = {"loudness": {"mean": [1.0], "std": [2.0]}}
    window = next(method.windows(table[:1]).itertuples(index=False))
    assert method.example(window)["features"][0, 0] == pytest.approx(
        (every[0, 0] - 1) / 2, rel=1e-5
    )


def test_training_trials_with_another_number_of_columns_are_named(tiny):
    own_files(tiny, lambda trial, rows: rows[:, :4] if trial == "171" else rows)
    method = recipe(tiny, ["mine.npy"])
    table, lost = prepared(tiny, method)
    assert not lost
    with pytest.raises(
        InputError, match=r"feature\(file=mine.npy\) has 4 columns in 171"
    ) as caught:
        method.fit(method.windows(table[table["split"] == "train"], 0))
    assert caught.value.expected.startswith("5, as in")


def own_tables(root, columns_of):
    """features/<trial>/mine.csv: times and two columns; columns_of(trial) : their names."""
    for number, (trial, _, _, n_frames) in enumerate(tiny_set.TRIALS):
        folder = root / "data" / "features" / trial
        folder.mkdir(parents=True, exist_ok=True)
        rows = np.random.default_rng(number).normal(size=(n_frames, 2))
        found = pd.DataFrame(rows, columns=columns_of(trial))
        found.insert(0, "timestamp", np.arange(n_frames) / 25)
        found.to_csv(folder / "mine.csv", index=False)


def test_tables_are_learnt_from_and_their_columns_stay_what_they_were(tiny, tmp_path):
    own_tables(tiny, lambda trial: ["AU01_r", "AU12_r"])
    options = {"network": "temporal_convolution", "missing": "neighbours"}
    method = recipe(tiny, ["mine.csv", "loudness"], options=options, epochs=1)
    table, lost = prepared(tiny, method)
    assert not lost
    training_trainer.Trainer(method, table, tmp_path / "run").fit()
    best = tmp_path / "run/checkpoints/best.pt"
    assert np.isfinite(
        checkpoint.load(best, method.params, method.store).predict("seen")["va"]
    ).all()

    own_tables(
        tiny, lambda trial: ["AU12_r", "AU01_r"] if trial == "seen" else ["AU01_r", "AU12_r"]
    )
    method = recipe(tiny, ["mine.csv", "loudness"], options=options, epochs=1)
    table, _ = prepared(tiny, method)
    told = r"mine\.csv.* has the column AU12_r in seen"
    with pytest.raises(InputError, match=told) as caught:
        checkpoint.load(best, method.params, method.store).predict("seen")
    assert caught.value.expected == "AU01_r in this place, as in training"
    table["split"] = "train"
    with pytest.raises(InputError, match="has the column"):
        fitted(method, table)


def test_every_frame_is_a_target_once(tiny):
    method = recipe(tiny)
    windows = method.windows(tiny_set.table(tiny))
    for trial, _, _, n_frames in tiny_set.TRIALS:
        frames = [
            window.first_target + window.target_step * np.arange(window.n_targets)
            for window in windows[windows["trial"] == trial].itertuples(index=False)
        ]
        assert np.array_equal(np.sort(np.concatenate(frames)), np.arange(n_frames))


# ---- what is wrong


def test_features_with_nan_cost_their_trial_only_and_neighbours_may_take_their_place(tiny):
    def broken(trial, rows):
        rows[3:5] = np.nan if trial == "171" else rows[3:5]
        return rows

    own_files(tiny, broken)
    table, lost = prepared(tiny, recipe(tiny, ["mine.npy"]))
    assert set(lost) == {"171"}
    assert "what is no number in 2 of 41 rows, the first is row 4" in lost["171"].what
    assert len(table) == len(tiny_set.TRIALS) - 1
    assert not prepared(tiny, recipe(tiny, ["mine.npy"], options={"missing": "neighbours"}))[1]


def test_features_of_another_trial_are_refused_by_length_and_by_content(tiny):
    own_files(tiny)
    folder = tiny / "data" / "features"
    (folder / "171" / "mine.npy").write_bytes((folder / "seen" / "mine.npy").read_bytes())
    _, lost = prepared(tiny, recipe(tiny, ["mine.npy"]))
    assert "50 rows of features, and the video has 41 frames" in lost["171"].what
    same = np.random.default_rng(0).normal(size=(42, 5))
    for trial, one in (
        ("171", same),
        ("1_left", same.repeat(2, 0)[:60]),
        ("1_right", same.repeat(2, 0)[:60]),
    ):
        np.save(folder / trial / "mine.npy", one)
    method = recipe(tiny, ["mine.npy"])
    table, lost = prepared(tiny, method)
    assert not lost
    windows = method.windows(table[table["split"] == "train"], 0)
    method.fit(windows)  # 1_left and 1_right are one recording: its sound may serve both
    tiny_set.table(tiny).assign(video=tiny_set.table(tiny)["trial"]).to_parquet(
        method.store.trials_path
    )
    for trial in ("1_left", "1_right"):  # ... as two recordings they may not share a file
        place = method.store.folder / "videos"
        (place / trial).mkdir()
        for path in (place / "1").iterdir():
            (place / trial / path.name).write_bytes(path.read_bytes())
    method = recipe(tiny, ["mine.npy"])
    with pytest.raises(InputError, match=r"mine\.npy of 1_right is a copy of that of 1_left"):
        method.fit(windows)


class WrongShape(Model):
    """Returns one number per step."""

    def __init__(self, compat=False):
        super().__init__(compat)
        self.inputs, self.outputs = {"features": "(B, L, k)"}, {"va": "(B, L, 1)"}
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        return {self.key: batch["features"][..., : self.columns] * self.weight}


@pytest.mark.parametrize(
    ("key", "columns", "what"),
    [
        ("va", 1, r"va is \(8, 8, 1\), the labels are \(8, 8, 2\)"),
        ("valence", 2, "returned valence"),
    ],
)
def test_a_model_that_returns_a_wrong_shape_is_named_in_training_and_in_prediction(
    tiny, tmp_path, key, columns, what, monkeypatch
):
    net = type("Odd", (WrongShape,), {"key": key, "columns": columns, "name": "odd"})
    monkeypatch.setitem(REGISTRY, "odd", net)
    method = recipe(tiny, ["pixels"], options={"network": "odd"})
    table, _ = prepared(tiny, method)
    with pytest.raises(InputError, match=what):
        training_trainer.Trainer(method, table, tmp_path / "run").fit()
    windows = method.windows(table[:1])
    outputs = forward.predict(fitted(method, table, net()), method, windows, torch.device("cpu"))
    with pytest.raises(InputError, match="the network returned") as caught:
        method.assemble(windows, outputs, 60)
    assert "docs/add_a_model.md" in caught.value.todo


@pytest.mark.parametrize(
    ("features", "options", "what"),
    [
        ([], {}, "`features` is empty"),
        (["resnet81"], {}, "nobody makes an array called 'resnet81'"),
        (["../x.npy"], {}, r"features: \.\./x.npy"),
        (["pixels"], {"network": "jca"}, "1 arrays for the fusion"),
        (["pixels"], {"network": "grru"}, "unknown model 'grru'"),
        (["pixels", "pixels"], {"network": "jca", "predict_steps": 9}, "predict_steps: 9 with"),
        (["backbone_visual"], {}, "backbone_run is empty"),
        (["pixels", "a.npy"], {"times": ["t.npy"]}, "times: t.npy for pixels, which is no file"),
        (["a.csv"], {"times": ["t.npy"]}, "times: t.npy for a.csv, which is a table"),
        (["a.npy"], {"rates": [0.0, 50.0]}, "rates: 50.0, and there are 1 names"),
        (["a.npy"], {"times": ["t.npy"], "rates": [50.0]}, r"a.npy has times \(t.npy\) and a rate"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_computed(tiny, features, options, what):
    method = recipe(tiny, features, options=options)
    with pytest.raises(InputError, match=what):
        method.arrays()


@pytest.mark.parametrize("name", ["features", "gated_fusion"])
def test_the_arrays_are_told_without_the_parameters_of_a_training(tiny, name):
    """Notebooks 02 and 03 declare none of them."""
    method = tiny_set.create(name, tiny, options={"features": ["loudness", "pixels"]})
    training = {"steps", "step_hop", "epochs", "batch_size", "lr"}
    method.params = parameters.Params(
        {name: value for name, value in method.params.items() if name not in training}
    )
    assert "pixels" in {item.name for item in method.arrays()}


def test_the_first_notebook_forecasts_no_costs_of_a_network_whose_sizes_are_not_known(tiny):
    values = checkpoints.plain(recipe(tiny).params)
    assert costs.measure_networks(tiny_set.table(tiny), values, 0.1).empty


def test_a_training_starts_from_the_weights_of_another_run(tiny, tmp_path):
    method = recipe(tiny, ["pixels"])
    table, _ = prepared(tiny, method)
    training_trainer.Trainer(method, table, tiny / "runs" / "first").fit()
    second = recipe(tiny, ["pixels"], options={"start_from": "first"})
    begun = training_trainer.Trainer(second, table, tmp_path / "second").model.state_dict()
    saved = checkpoints.load(tiny / "runs/first/checkpoints/best.pt")["model"]
    assert all(torch.equal(begun[name], saved[name]) for name in saved)
    with pytest.raises(InputError, match="weights do not fit"):
        training_trainer.Trainer(
            recipe(tiny, ["loudness"], options={"start_from": "first"}), table, tmp_path / "third"
        )
    with pytest.raises(InputError, match="called nowhere"):
        recipe(tiny, ["pixels"], options={"start_from": "nowhere"}).files()


@pytest.mark.parametrize("name", ["sample_features", "sample_features_network", "my_features"])
def test_the_parameter_files_are_complete_experiments(name):
    full = parameters.complete(parameters.load([ROOT / "params" / f"{name}.yaml"]))
    assert full["recipe"] == "features"
    assert full["options"]["network"] in models.REGISTRY
