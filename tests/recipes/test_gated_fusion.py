"""The recipe of gated fusion: what is masked, what is switched off, what the files say of how sure
the network is.
"""

import numpy as np
import pandas as pd
import pytest
import torch

from lib import parameters, plots
from lib.errors import InputError
from lib.evaluation import checkpoint, pages, prediction, scores, uncertainty
from lib.evaluation.predictions import Predictions
from lib.files import ROOT
from lib.labels import csv_columns
from lib.metrics import EMOTIONS
from lib.store import request
from lib.training import trainer as training_trainer
from lib.training import uncertainty as training_uncertainty
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


def recipe(root, **changes):
    return tiny_set.create("gated_fusion", root, **changes)


def heard(root, monkeypatch, probability, size, **options):
    """The recipe where a network tells who speaks: of each trial this probability, repeated.

    size : of the mouths that it looks at; another one is another array.
    """
    asked = request("speaking", crop="mouth", size=size)
    for trial, _, _, n_frames in tiny_set.TRIALS:
        rows = np.resize(np.asarray(probability, np.float32), n_frames)
        made = request("speaking", crop="mouth", size=size, person="")
        tiny_set.write(tiny_set.store(root), trial, made, rows)
    found = "lib.recipes.gated_fusion.speaker_arrays.request_for"
    monkeypatch.setattr(found, lambda *given, **more: asked)
    return recipe(root, options=options)


def window(method, trial="seen", number=0):
    windows = method.windows(pd.DataFrame({"trial": [trial]}))
    return next(windows[number : number + 1].itertuples(index=False))


# ---- what is masked


def test_sound_counts_where_the_person_speaks_or_nobody_knows(tiny, monkeypatch):
    probability = np.tile([0.9, 0.1, np.nan, 0.5], 13)[:50]
    method = heard(tiny, monkeypatch, probability, 112, sound_while="speaking", every=[1, 3])
    assert "speaking" in {item.name for item in method.arrays()}
    for number in range(3):
        one = window(method, number=number)
        item = method.example(one)
        frames = one.first_target + np.arange((one.n_targets - 1) * 4 + 1)
        expected = ~(probability[frames] <= 0.5)
        assert np.array_equal(item["seen_loudness"][: len(frames)], expected)
        assert not item["stream_loudness"][: len(frames)][~expected].any()
        assert item["stream_loudness"][: len(frames)][expected].any()
    always = recipe(tiny)
    assert always.example(window(always))["seen_loudness"][:29].all()
    assert "speaking" not in {item.name for item in always.arrays()}


def test_gates_may_look_at_who_speaks(tiny, monkeypatch):
    probability = np.where(np.arange(50) % 2, 0.8, np.nan)
    method = heard(tiny, monkeypatch, probability, 64, gate_by=["speaking"])
    told = method.example(window(method))["reliability"]
    assert told.shape == (8, 2)
    frames = 4 * np.arange(8)
    assert np.array_equal(told[:, 1], np.isfinite(probability[frames]))


def test_without_a_network_that_tells_who_speaks_its_command_is_named(tiny):
    with pytest.raises(InputError, match="no network is there that tells who speaks") as told:
        recipe(tiny, options={"sound_while": "speaking"}).arrays()
    assert "weights get light_asd_ava" in told.value.todo


def test_faces_count_where_one_was_found(tiny):
    method = recipe(tiny)
    item, valid = method.example(window(method)), method.read("seen", request("face_valid"))
    frames = 3 * np.arange(11)
    assert np.array_equal(item["seen_pixels"][:11], np.asarray(valid)[frames])
    assert not valid[frames].all()


def test_a_recording_is_predicted_at_once_with_each_stream_at_its_own_spacing(tiny):
    options = {"network": "linear_recurrence", "predict_steps": 500}
    method = recipe(tiny, options=options)
    windows = list(method.windows(pd.DataFrame({"trial": ["seen"]})).itertuples(index=False))
    assert [each.n_targets for each in windows] == [13, 13, 12, 12]
    batch = method.collate([method.example(each) for each in windows])
    assert batch["stream_loudness"].shape == (4, 49, 1)
    assert batch["stream_pixels"].shape == (4, 17, 768)
    torch.manual_seed(0)
    net = method.model().eval()
    with torch.inference_mode():
        together, alone = net(batch)["va"], net(method.collate([method.example(windows[2])]))["va"]
    assert together[2, :12].numpy() == pytest.approx(alone[0].numpy(), abs=1e-5)


def test_a_stream_has_rows_at_its_own_spacing(tiny):
    method = recipe(tiny)
    item = method.example(window(method))
    assert item["stream_loudness"].shape == (29, 1), "every frame, up to the last of 8 targets"
    assert item["stream_pixels"].shape == (11, 768), "every third"
    stored = np.asarray(method.read("seen", request("loudness")))[:, 0]
    told = method.statistics["loudness"]
    expected = (stored[:29] - told["mean"][0]) / told["std"][0]
    assert item["stream_loudness"][:, 0] == pytest.approx(expected, abs=1e-5)


# ---- what is switched off


def test_what_is_switched_off_is_zero_and_nothing_tells_how_far_to_trust_it(tiny):
    method = recipe(tiny)
    on = method.example(window(method))
    method.off = {"loudness"}
    off = method.example(window(method))
    assert not off["seen_loudness"].any()
    assert not off["stream_loudness"].any()
    assert np.array_equal(on["stream_pixels"], off["stream_pixels"])
    # face_valid, its flag, face_quality (size, sharpness), their flags, loudness, its flag
    assert on["reliability"][:, 6:].any()
    assert not off["reliability"][:, 6:].any()
    assert np.array_equal(on["reliability"][:, :6], off["reliability"][:, :6])


def test_in_training_streams_are_switched_off_but_never_all(tiny):
    method = recipe(tiny, options={"modality_dropout": 0.6})
    drawn = [method._dropped(np.random.default_rng(seed)) for seed in range(300)]
    assert {frozenset(names) for names in drawn} == {
        frozenset(),
        frozenset({"loudness"}),
        frozenset({"pixels"}),
    }
    assert np.mean([len(names) > 0 for names in drawn]) == pytest.approx(1 - 0.16, abs=0.08)
    assert method._dropped(None) == set()


# ---- the whole way


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """A run and its finished prediction files: (recipe, folder, table, metrics)."""
    folder = tmp_path_factory.mktemp("run")
    method = recipe(tiny, epochs=2, va_loss="mse", lr=0.01)
    training_trainer.Trainer(method, tiny_set.table(tiny), folder).fit()
    predictor = checkpoint.load(folder / "checkpoints/best.pt", method.params, method.store)
    table = tiny_set.table(tiny)[lambda rows: rows["split"] != "train"].reset_index(drop=True)
    for trial in table["trial"]:
        prediction.predict_trial(predictor, Predictions(folder / "out"), trial)
    found = scores.finish(predictor, table, Predictions(folder / "out"), [1, 5], 20)
    return predictor, folder / "out", table, found


def test_files_say_how_sure_the_network_is_and_which_stream_it_believed(trained):
    predictor, folder, _, _ = trained
    rows = pd.read_csv(folder / "seen.csv")
    outputs = predictor.predict("seen")
    for column, emotion in enumerate(EMOTIONS):
        assert (rows[f"{emotion}_sd"] > 0).all()
        assert rows[f"{emotion}_sd"].to_numpy() == pytest.approx(
            outputs["va_sd"][:, column], rel=1e-4
        )
        gates = rows[[f"{emotion}_gate_loudness", f"{emotion}_gate_pixels"]]
        assert gates.sum(axis=1).to_numpy() == pytest.approx(np.ones(len(rows)), abs=1e-4)
    described = {row["name"]: row["meaning"] for row in csv_columns.describe(rows.columns)}
    assert all(meaning != csv_columns.UNKNOWN_COLUMN[2] for meaning in described.values())
    assert "standard deviation" in described["valence_sd"]
    back = Predictions(folder).raw("seen", ("va",))["va"]
    assert back == pytest.approx(outputs["va"], rel=1e-4)


def test_the_factors_are_fitted_on_val_trials_and_kept_in_the_checkpoint(trained):
    predictor, folder, table, found = trained
    factor = predictor.recipe.statistics["sd_factor"]
    assert found["uncertainty"]["factor"] == factor
    assert "val trials" in found["uncertainty"]["fitted_on"]
    assert set(found["uncertainty"]) == {"factor", "fitted_on", "val", "test"}
    # Fitted on every fourth window; with all of them the factor that is left is near 1.
    assert set(factor) == set(EMOTIONS)
    errors, spread = uncertainty.read(Predictions(folder), table["trial"][table["split"] == "val"])
    left = training_uncertainty.factors(errors, spread)
    assert left == pytest.approx([1.0, 1.0], abs=0.35)


def test_calibrating_finds_a_factor_on_what_a_recipe_assembled(tiny):
    method = recipe(tiny)
    draw = np.random.default_rng(0)
    labels = np.asarray(method.labels("seen", "va"))
    spread = draw.uniform(0.1, 0.5, labels.shape)
    values = labels + draw.normal(size=labels.shape) * spread * [2.0, 0.5]
    method.statistics["sd_factor"] = {"valence": 3.0, "arousal": 1.0}  # of the epoch before
    method.calibrate({"seen": {"va": values, "va_sd": spread}})
    factor = method.statistics["sd_factor"]
    known = np.isfinite(labels).all(axis=1)
    ratio = ((labels - values) / spread)[known]
    expected = np.sqrt((ratio**2).mean(axis=0)) * [3.0, 1.0]
    assert [factor[name] for name in EMOTIONS] == pytest.approx(expected)
    assert factor["valence"] == pytest.approx(6.0, rel=0.35)
    assert factor["arousal"] == pytest.approx(0.5, rel=0.35)


def test_coverage_and_reliability_are_those_of_the_files(trained):
    _, folder, table, _ = trained
    found = uncertainty.coverage(table, Predictions(folder))
    rows = pd.read_csv(folder / "seen.csv")
    val = [rows, pd.read_csv(folder / "short.csv")]
    ratio = np.concatenate(
        [
            np.abs(one["label_valence"] - one["valence_raw"]) / one["valence_sd"]
            for one in val
            if "label_valence" in one
        ]
    )
    ratio = ratio[np.isfinite(ratio)]
    some = found.query("split == 'val' and emotion == 'valence' and nominal == 0.5").iloc[0]
    assert some["n_frames"] == len(ratio)
    assert some["covered"] == pytest.approx(np.mean(ratio <= 0.67449), abs=0.02)
    assert found.groupby(["split", "emotion"])["covered"].is_monotonic_increasing.all()
    bins = uncertainty.reliability(table, Predictions(folder), 4).query(
        "split == 'val' and emotion == 'valence'"
    )
    assert bins["n_frames"].sum() == len(ratio)
    assert bins["predicted"].is_monotonic_increasing


def test_a_network_that_does_not_tell_has_no_coverage(trained, tmp_path):
    predictor, folder, table, _ = trained
    for trial in table["trial"]:
        rows = pd.read_csv(folder / f"{trial}.csv").drop(columns=["valence_sd", "arousal_sd"])
        rows.to_csv(tmp_path / f"{trial}.csv", index=False)
    assert uncertainty.coverage(table, Predictions(tmp_path)).empty
    assert uncertainty.reliability(table, Predictions(tmp_path)).empty
    assert uncertainty.summary(predictor.recipe, table, Predictions(tmp_path)) == {}
    axes = pages.traces(Predictions(tmp_path), "", "seen")
    assert not axes[0].collections or "90 % interval" not in axes[0].get_legend_handles_labels()[1]
    plots.style.plt.close("all")


def test_the_curves_of_a_page_have_the_band(trained):
    axes = pages.traces(Predictions(trained[1]), "", "seen")
    for ax in axes:
        assert "90 % interval" in ax.get_legend_handles_labels()[1]
    plots.style.plt.close("all")


# ---- what is wrong


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"features": ["mine.npy"], "every": []}, "whether mine.npy shows faces or sound"),
        ({"every": [1, 2, 3]}, "every: 3 numbers for 2 streams"),
        ({"features": ["pixels", "pixels"]}, "features: pixels, pixels"),
        ({"gate_by": ["face_valid", "va"]}, 'gate_by: "va" is none of face_valid'),
        ({"network": "jca"}, "network 'jca'"),
        ({"network": "linear_recurrent"}, "did you mean linear_recurrence?"),
        ({"files_of": {"mine.npy": "faces"}}, "files_of: mine.npy, which is not in `features`"),
        ({"files_of": {"pixels": "faces"}}, "files_of: pixels, which is no file"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_computed(tiny, options, what):
    with pytest.raises(InputError, match=what):
        recipe(tiny, options=options).arrays()


def test_a_modality_without_a_stream_is_refused(tiny):
    with pytest.raises(InputError, match="modality: audio, and no stream of it"):
        recipe(tiny, modality="audio", options={"features": ["pixels"], "every": []})


@pytest.mark.parametrize("name", ["sample_gated_fusion", "my_fusion"])
def test_the_parameter_files_are_complete_experiments(name):
    full = parameters.complete(parameters.load([ROOT / "params" / f"{name}.yaml"]))
    assert full["recipe"] == "gated_fusion"
    assert len(full["options"]["every"]) == len(full["options"]["features"])


def test_a_relative_transformer_learns_too(tiny, tmp_path):
    method = recipe(
        tiny, epochs=2, lr=0.01, va_loss="mse", options={"network": "relative_transformer"}
    )
    history = training_trainer.Trainer(method, tiny_set.table(tiny), tmp_path).fit()
    assert history["loss_va"].iloc[-1] < history["loss_va"].iloc[0]
    assert torch.isfinite(torch.tensor(history["loss_nll"].to_numpy())).all()
