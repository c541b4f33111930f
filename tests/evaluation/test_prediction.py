"""Prediction: every frame of every trial, files that are kept or renewed, any video file without a
trace elsewhere.
"""

import json
import shutil
from functools import lru_cache
from itertools import islice

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from lib import arrays, models, runs, store, trials
from lib.errors import InputError
from lib.evaluation import checkpoint, overlay, pages, prediction, scores
from lib.evaluation import video as evaluation_video
from lib.evaluation.predictions import Predictions
from lib.features import speaker_arrays
from lib.media import recordings, writing
from lib.models import checkpoints
from lib.parameters import Params
from lib.store import request
from lib.training import trainer
from tests import tiny_set
from tests.shared_files import shared
from tests.tiny_set import one_thread  # noqa: F401

SENTENCE = "trained on synthetic sample data: values have no meaning"
every_recipe = pytest.mark.parametrize("name", sorted(tiny_set.RECIPES))
VA = ["frame", "time", "valence", "arousal", "valence_raw", "arousal_raw"]
EXPRESSION = ["expression", *(f"expression_{k}" for k in range(7))]
UNITS = [*(f"action_unit_{k}" for k in range(8)), *(f"action_unit_{k}_raw" for k in range(8))]


def train(root, run, name, **changes):
    folder = root / "runs" / run
    folder.mkdir(parents=True)
    method = tiny_set.create(name, root, epochs=1, val_every=50, **changes)
    for trial in tiny_set.table(root).to_dict("records"):
        arrays.make_all(
            trial, method.arrays(), tiny_set.store(root)
        )  # features of the teacher's network
    trainer.Trainer(method, tiny_set.table(root), folder).fit()


def cached(files):
    """`checkpoints._contents` with an empty cache for so many files."""
    return lru_cache(maxsize=files)(checkpoints._contents.__wrapped__)


@pytest.fixture(scope="module", autouse=True)
def checkpoints_are_kept():
    """All tests take the same networks in turn: each stays cached, as ever until its file
    changes.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "_contents", cached(16))
        yield


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The tiny set with trained runs: one of each recipe, and what else the videos below need."""
    root = tiny_set.make(tmp_path_factory.mktemp("tiny"))
    train(root, "teacher", "tsav", options={"frame_step": 20})
    train(root, "seen_only", "tsav", modality="video", options={"frame_step": 20, "tasks": ["va"]})
    for name in OTHERS:
        train(root, name, name)
    train(root, "listening", "jca", modality="audio", audio_seconds=0.0)
    return root


OTHERS = [name for name in tiny_set.RECIPES if name != "tsav"]
RUNS = {"tsav": "teacher", **{name: name for name in OTHERS}}


def predictor(root, run, **changes):
    """With parameters as notebook 06 has them: places and device, nothing of the network."""
    p = tiny_set.parameters("tsav", root, run=run, **changes)
    return checkpoint.load(checkpoint.checkpoint_path(p), p, tiny_set.store(root))


def state(folder):
    """Everything in a folder: names, contents and times of change."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


# ---- the network


@every_recipe
def test_a_network_is_loaded_as_it_was_trained_whatever_the_notebooks_parameters_say(tiny, name):
    run = RUNS.get(name, name)
    found = predictor(tiny, run, width=1.0, face_size=112, seed=99, options={"augment": False})
    saved = checkpoints.load(tiny / "runs" / run / "checkpoints" / "best.pt")
    assert found.recipe.params.recipe == name
    assert found.recipe.params.width == 0.0625
    assert not found.model.training
    assert all(
        torch.equal(found.model.state_dict()[key], saved["model"][key]) for key in saved["model"]
    )
    assert (found.epoch, found.synthetic) == (1, True)
    assert found.made_from == store.fingerprint(tiny / "runs" / run / "checkpoints" / "best.pt")


def test_places_come_from_where_it_is_used_and_not_from_the_checkpoint(tiny, tmp_path):
    """A run folder that was copied from a server still predicts."""
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tiny, elsewhere)
    found = predictor(elsewhere, "jca")
    assert found.recipe.params.runs_root == elsewhere / "runs"
    assert np.isfinite(found.predict("short")["va"]).all()


def test_predict_run_takes_a_run_or_a_file(tiny):
    best = tiny / "runs" / "jca" / "checkpoints" / "best.pt"
    for named in ("jca", str(best)):
        assert (
            checkpoint.checkpoint_path(
                tiny_set.parameters("tsav", tiny, run="other", predict_run=named)
            )
            == best
        )
    with pytest.raises(InputError, match="neither a trained run nor a weights file called jcb"):
        checkpoint.checkpoint_path(tiny_set.parameters("tsav", tiny, run="jcb"))


def test_a_network_of_sample_data_carries_the_sentence_and_one_of_real_data_does_not(
    tiny, tmp_path
):
    best = tiny / "runs" / "jca" / "checkpoints" / "best.pt"
    assert checkpoint.note(best) == trials.SYNTHETIC_NOTE == SENTENCE
    saved = checkpoints.load(best)
    saved["params"]["dataset"] = "affwild2"
    torch.save(saved, tmp_path / "real.pt")
    assert checkpoint.note(tmp_path / "real.pt") == ""
    found = checkpoint.load(
        tmp_path / "real.pt", tiny_set.parameters("tsav", tiny), tiny_set.store(tiny)
    )
    assert not found.synthetic
    assert "note" not in prediction.prediction_table(found, "short", found.predict("short"))


def test_predictions_of_a_named_person_of_real_data_are_read_scored_and_drawn(tiny, tmp_path):
    """Their files name the person, which those of sample data do not."""
    best = tiny / "runs" / "seen_only" / "checkpoints" / "best.pt"
    saved = checkpoints.load(best)
    saved["params"]["dataset"] = "affwild2"
    torch.save(saved, tmp_path / "real.pt")
    p, store = tiny_set.parameters("tsav", tiny), tiny_set.store(tiny)
    found = checkpoint.load(tmp_path / "real.pt", p, store)
    found.recipe.trial("1_left")["person"] = "left"
    table = trials.select(tiny_set.table(tiny), ["1_left"]).assign(split="val")
    path = prediction.predict_trial(found, Predictions(tmp_path), "1_left")
    assert set(pd.read_csv(path)["person"]) == {"left"}
    assert (
        scores.finish(found, table, Predictions(tmp_path), [1], True)["val"]["valence"]["n_frames"]
        > 0
    )
    assert len(pages.traces(Predictions(tmp_path), "", "1_left")) == 2
    values = runs.read_table(path)
    film = writing.write_video(
        tmp_path / "film.mp4", [np.zeros((96, 96, 3), np.uint8)] * len(values), values["time"]
    )
    shown = overlay.write(film, values, tmp_path / "shown.mp4")
    assert recordings.probe(shown).height > 96, "the panel with the curves stands below"


SCORES = {
    "valence": {"ccc": 0.834, "ci95": [0.79, 0.875]},
    "arousal": {"ccc": 0.881, "ci95": None},
    "expression": {"f1_macro": 0.5},
}


def test_what_a_prediction_is_worth_names_run_data_set_and_validation_score(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr(checkpoint, "is_synthetic", lambda _: False)
    folder = tmp_path / "mine"
    shutil.copytree(tiny / "runs" / "jca" / "checkpoints", folder / "checkpoints")
    best = folder / "checkpoints" / "best.pt"
    assert checkpoint.worth(best).splitlines() == [
        "run mine, trained on sample: not validated yet (no metrics.json beside its checkpoint)",
        "card: docs/models/jca.md",
    ]
    (folder / "metrics.json").write_text(json.dumps({"val": SCORES}))
    assert checkpoint.worth(best) == (
        "run mine, trained on sample: validation CCC valence 0.83 [0.79, 0.88], arousal 0.88; F1 "
        "expression 0.50\ncard: docs/models/jca.md"
    )
    shutil.copy(best, tmp_path / "moved.pt")
    (tmp_path / "metrics.json").write_text(json.dumps({"val": SCORES}))
    assert "not validated" in checkpoint.worth(tmp_path / "moved.pt"), (
        "those are the scores of another network"
    )


def test_of_a_network_trained_on_sample_data_the_words_come_first_and_no_score(tiny, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(tiny / "runs" / "jca" / "checkpoints", folder / "checkpoints")
    (folder / "metrics.json").write_text(json.dumps({"val": SCORES}))
    told = checkpoint.worth(folder / "checkpoints" / "best.pt")
    lines = [SENTENCE, "run mine, trained on sample", "card: docs/models/jca.md"]
    assert told.splitlines() == lines


# ---- trials


@every_recipe
def test_every_frame_of_every_trial_is_predicted(tiny, name):
    found = predictor(tiny, RUNS.get(name, name))
    for trial, _, _, n_frames in tiny_set.TRIALS:
        for task, rows in found.predict(trial).items():
            assert len(rows) == n_frames
            assert np.isfinite(rows).all(), f"{task} of {trial}"


@pytest.mark.parametrize(
    ("run", "tasks"), [("teacher", EXPRESSION + UNITS), ("jca", []), ("seen_only", [])]
)
def test_a_prediction_file_has_the_columns_of_its_tasks(tiny, tmp_path, run, tasks):
    found = predictor(tiny, run)
    table = pd.read_csv(prediction.predict_trial(found, Predictions(tmp_path), "1_left"))
    assert list(table) == [*VA, *tasks, "valid", "note"]
    assert table["frame"].tolist() == list(range(1, 61))
    assert table["time"].to_numpy() == pytest.approx(np.arange(60) / 25)
    assert set(table["note"]) == {SENTENCE}
    raw = found.predict("1_left")["va"]
    assert table[["valence_raw", "arousal_raw"]].to_numpy() == pytest.approx(raw, rel=1e-4)
    shown = np.full(60, run != "seen_only") | (table["valid"] == 1)
    values = table.loc[shown, ["valence", "arousal"]].to_numpy()
    assert values == pytest.approx(np.clip(raw[shown], -1, 1), rel=1e-4)
    assert np.array_equal(
        table["valid"], found.recipe.read("1_left", request("face_valid")).astype(int)
    )
    assert (table["valid"] == 0).any()
    if tasks:
        chosen = table[[f"expression_{k}" for k in range(7)]].to_numpy().argmax(axis=1)
        assert np.array_equal(table["expression"], chosen)
        assert set(np.unique(table[[f"action_unit_{k}" for k in range(8)]])) <= {0, 1}


def test_a_trial_whose_labels_were_lost_is_lost_by_itself(tiny, tmp_path, monkeypatch):
    found = predictor(tiny, "seen_only")

    def lost(trial, task):
        raise InputError(f"the array {task} is not there", where=f"trial {trial}")

    monkeypatch.setattr(found.recipe, "labels", lost)
    with pytest.raises(InputError, match="va is not there"):
        prediction.predict_trial(found, Predictions(tmp_path), "seen")
    assert not list(tmp_path.rglob("*.csv"))
    assert scores._labels_of(found.recipe, ["seen"], "va") == {}


def test_values_read_back_are_those_that_were_predicted(tiny, tmp_path):
    found = predictor(tiny, "teacher")
    prediction.predict_trial(found, Predictions(tmp_path), "seen")
    back, raw = Predictions(tmp_path).raw("seen", found.recipe.tasks), found.predict("seen")
    assert back.keys() == raw.keys()
    for task in raw:
        assert back[task].shape == raw[task].shape
        assert back[task] == pytest.approx(raw[task], rel=1e-4, abs=1e-5)


def test_sound_alone_predicts_frames_without_a_face_and_calls_them_valid(tiny, tmp_path):
    table = pd.read_csv(
        prediction.predict_trial(predictor(tiny, "listening"), Predictions(tmp_path), "1_left")
    )
    assert (table["valid"] == 1).all()


def test_a_network_that_only_sees_has_no_value_where_no_face_was_found(tiny, tmp_path):
    found = predictor(tiny, "seen_only")
    table = pd.read_csv(prediction.predict_trial(found, Predictions(tmp_path), "1_left"))
    assert found.recipe.from_face_alone
    unseen = table["valid"] == 0
    assert unseen.any()
    assert not unseen.all()
    assert table.loc[unseen, ["valence", "arousal"]].isna().all(axis=None)
    assert table.loc[~unseen, ["valence", "arousal"]].notna().all(axis=None)
    assert table[["valence_raw", "arousal_raw"]].notna().all(axis=None)
    told = json.loads((tmp_path / "columns.json").read_text())
    about = {row["name"]: row["empty_when"] for row in told}
    assert "no face was found" in about["valence"]


def test_a_network_that_hears_keeps_its_value_where_no_face_was_found(tiny, tmp_path):
    found = predictor(tiny, "jca")
    table = pd.read_csv(prediction.predict_trial(found, Predictions(tmp_path), "1_left"))
    assert not found.recipe.from_face_alone
    assert (table["valid"] == 0).any()
    assert table[["valence", "arousal"]].notna().all(axis=None)


@pytest.mark.parametrize("column", ["expression", "action_unit_0"])
def test_classes_are_empty_where_no_face_was_found_and_whole_numbers_elsewhere(column):
    table = pd.DataFrame({"valid": [1, 0], column: [3, 1], "expression_0": [0.5, 0.7]})
    shown = prediction.without_a_face_empty(table, [column, "expression_0"])
    text = shown.to_csv(index=False, float_format="%.6g")
    assert text == f"valid,{column},expression_0\n1,3,0.5\n0,,0.7\n"


# ---- files that are kept


def never(*_):
    raise AssertionError("predicted again")


def test_predictions_of_the_same_checkpoint_are_kept(tiny, tmp_path):
    found, folder = predictor(tiny, "jca"), tmp_path / "predictions"
    prediction.begin(folder, found)
    prediction.predict_trial(found, Predictions(folder), "seen")
    before = state(folder)
    again = predictor(tiny, "jca")
    again.predict = never
    prediction.begin(folder, again)
    prediction.predict_trial(again, Predictions(folder), "seen")
    assert state(folder) == before


def test_a_prediction_file_that_somebody_changed_is_predicted_again(tiny, tmp_path):
    found, folder = predictor(tiny, "jca"), tmp_path / "predictions"
    prediction.begin(folder, found)
    path = prediction.predict_trial(found, Predictions(folder), "seen")
    before = path.read_bytes()
    pd.read_csv(path).round(1).to_csv(path, index=False)  # as a spreadsheet saves what it shows
    prediction.predict_trial(found, Predictions(folder), "seen")
    assert path.read_bytes() == before


def test_the_column_of_who_is_heard_comes_when_a_network_is_named_and_files_of_before_are_renewed(
    tiny, tmp_path
):
    """Trained without a word about speakers: the network that tells them is named where predictions
    are made.
    """
    network = tmp_path / "light_asd_talkset.model"
    torch.save(models.create("light_asd").state_dict(), network)
    folder, asked = tmp_path / "predictions", speaker_arrays.wanted(network, "mouth", 112)
    prediction.predict_trial(predictor(tiny, "jca"), Predictions(folder), "seen")
    assert "speaking" not in pd.read_csv(folder / "seen.csv")
    prediction.predict_trial(
        predictor(tiny, "jca", speaker_run=str(network)), Predictions(folder), "seen"
    )
    assert "speaking" not in pd.read_csv(folder / "seen.csv")  # notebook 03 has not made it
    heard = np.linspace(0, 1, 50, dtype=np.float32)
    heard[:5] = np.nan
    tiny_set.write(
        tiny_set.store(tiny), "seen", request(asked.name, **asked.parameters, person=""), heard
    )
    prediction.predict_trial(
        predictor(tiny, "jca", speaker_run=str(network)), Predictions(folder), "seen"
    )
    np.testing.assert_allclose(pd.read_csv(folder / "seen.csv")["speaking"], heard, rtol=1e-5)
    prediction.predict_trial(
        predictor(tiny, "jca", speaker_run="none"), Predictions(folder), "seen"
    )
    assert "speaking" not in pd.read_csv(folder / "seen.csv")


def test_predictions_of_another_checkpoint_are_renewed_all_of_them(tiny, tmp_path):
    folder = tmp_path / "predictions"
    for run in ("jca", "seen_only"):
        found = predictor(tiny, run)
        prediction.begin(folder, found)
        assert not list(folder.glob("*.csv"))
        prediction.predict_trial(found, Predictions(folder), "seen")
        written = pd.read_csv(folder / "seen.csv")[["valence_raw", "arousal_raw"]].to_numpy()
        assert written == pytest.approx(found.predict("seen")["va"], rel=1e-4)


def test_a_prediction_is_renewed_when_the_arrays_of_its_trial_are_others(tmp_path):
    """With `predict_run` the checkpoint stays while the data change: another sample set, faces
    cropped anew.
    """
    root = tiny_set.make(tmp_path)
    train(root, "jca", "jca")
    folder, found = tmp_path / "predictions", predictor(root, "jca")
    for trial in ("seen", "short"):
        prediction.predict_trial(found, Predictions(folder), trial)
    before = state(folder)
    place, wanted = tiny_set.store(root), found.recipe._visual
    path = arrays.locate(found.recipe._trials["seen"], wanted, place).path
    for old in (path, path.with_suffix(".json")):
        old.unlink()
    made_from = {
        "name": wanted.name,
        "parameters": dict(wanted.parameters),
        "version": 1,
        "inputs": {"other": 1},
    }
    place.shelf("trial", "seen").write(
        made_from, np.zeros((50, 32), np.float16), channels=32, positions=1
    )
    again = predictor(root, "jca")
    for trial in ("seen", "short"):
        prediction.predict_trial(again, Predictions(folder), trial)
    changed = {path for path, content in state(folder).items() if before[path] != content}
    assert {path.rsplit("/", 1)[1] for path in changed if "." in path.rsplit("/", 1)[1]} == {
        "seen.csv",
        "seen.json",
        "seen.crc32",
    }


def test_a_trial_whose_arrays_are_not_there_names_notebook_and_leaves_no_file(tiny, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(tiny, root)
    for path in (root / "processed/tiny/trials/seen").glob("backbone_visual*"):
        path.unlink()
    with pytest.raises(InputError, match="seen"):
        prediction.predict_trial(
            predictor(root, "jca"), Predictions(tmp_path / "predictions"), "seen"
        )
    assert not list(tmp_path.glob("predictions/*.csv"))


def test_a_missing_or_foreign_checkpoint_is_told_with_its_path(tiny, tmp_path):
    p, state = tiny_set.parameters("tsav", tiny), {"weight": torch.zeros(2)}
    (tmp_path / "text.pt").write_text("text")
    torch.save({"model": state, "ema": state}, tmp_path / "two.pt")
    torch.save({"model": state, "params": {"lr": 1e-3}}, tmp_path / "other.pt")
    for name, message in (
        ("none", "checkpoint is not there"),
        ("text", "no file of PyTorch's"),
        ("two", r"2 sets of weights \(model, ema\)"),
        ("other", "not a checkpoint of this project"),
    ):
        path = tmp_path / f"{name}.pt"
        with pytest.raises(InputError, match=message) as told:
            checkpoint.load(path, p, tiny_set.store(tiny))
        assert str(path) in str(told.value)
        with pytest.raises(InputError, match=message):
            checkpoint.worth(path)


def test_a_gpu_that_is_not_there_is_told(tiny, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="PyTorch sees no CUDA GPU"):
        predictor(tiny, "jca", device="cuda")


# ---- any video

FRAMES, RATE = 16, 44_100


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A folder with a film of 16 frames at 10/s, the same without sound, its sound alone, and its
    faces.
    """
    folder = tmp_path_factory.mktemp("videos")
    y, x = np.mgrid[:48, :64]
    pictures = [
        np.stack([x * 3, y * 4, np.full_like(x, 10 * t)], axis=-1).astype(np.uint8)
        for t in range(FRAMES)
    ]
    sound = 0.3 * np.sin(np.arange(int(1.6 * RATE)) * 0.05)
    writing.write_video(
        folder / "film.mp4", pictures, np.arange(FRAMES) / 10, sound=sound, rate=RATE
    )
    writing.write_video(folder / "silent.mp4", pictures, np.arange(FRAMES) / 10)
    crops = folder / "crops"
    crops.mkdir()
    for number in [*range(1, 8), *range(9, FRAMES + 1)]:  # no face in frame 8
        cv2.imwrite(str(crops / f"{number:05d}.jpg"), np.full((40, 40, 3), 12 * number, np.uint8))
    return folder


def predict_video(root, video, run, folder, crops="", **changes):
    p = tiny_set.parameters("tsav", root, run=run, **changes)
    return evaluation_video.predict_video(video, checkpoint.checkpoint_path(p), p, folder, crops)[
        :2
    ]


@pytest.mark.parametrize("run", ["teacher", "jca", "listening", "seen_only"])
@pytest.mark.parametrize("cropped", [False, True])
def test_a_video_is_predicted_frame_by_frame_and_only_its_folder_is_touched(
    tiny, videos, tmp_path, run, cropped
):
    before = state(tiny), state(videos)
    folder = tmp_path / "videos" / "film"
    found, table = predict_video(
        tiny, videos / "film.mp4", run, folder, videos / "crops" if cropped else ""
    )
    assert (state(tiny), state(videos)) == before
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]
    assert len(table) == FRAMES
    assert np.isfinite(table[["valence_raw", "arousal_raw"]].to_numpy()).all()
    assert table["time"].to_numpy() == pytest.approx(np.arange(FRAMES) / 10, abs=1e-3)
    assert np.flatnonzero(table["valid"] == 0).tolist() == (
        [7] if cropped and run != "listening" else []
    )
    assert found.synthetic
    written = pd.read_csv(folder / "film.csv")
    assert list(written) == list(table)
    assert written["valence"].to_numpy() == pytest.approx(
        table["valence"].to_numpy(), rel=1e-4, abs=1e-6, nan_ok=True
    )
    card = "jca" if run in ("jca", "listening") else "tsav"
    told = f"{SENTENCE}; run {run}, trained on sample; card: docs/models/{card}.md"
    assert set(written["note"]) == {told}


def test_the_checkpoint_of_a_video_is_read_once(tiny, videos, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "_contents", cached(checkpoints.CACHED_FILES))
    read, load = [], torch.load

    def counted(path, *words, **more):
        read.append(path)
        return load(path, *words, **more)

    monkeypatch.setattr(torch, "load", counted)
    predict_video(tiny, videos / "film.mp4", "jca", tmp_path)
    assert read
    assert len(read) == len(set(read))


def test_crops_and_picture_are_different_inputs_of_the_same_video(tiny, videos, tmp_path):
    tables = [
        predict_video(tiny, videos / "film.mp4", "teacher", tmp_path, crops)[1]
        for crops in ("", videos / "crops", "")
    ]
    assert not np.allclose(tables[0]["valence_raw"], tables[1]["valence_raw"])
    assert np.allclose(tables[0]["valence_raw"], tables[2]["valence_raw"]), (
        "what is in the folder is not mixed up"
    )


def test_crops_may_be_named_relative_to_where_one_stands(tiny, videos, tmp_path, monkeypatch):
    here = tmp_path / "somewhere"
    shutil.copytree(videos / "crops", here / "faces")
    monkeypatch.chdir(here)
    absolute = predict_video(
        tiny, videos / "film.mp4", "seen_only", tmp_path / "a", here / "faces"
    )[1]
    relative = predict_video(tiny, videos / "film.mp4", "seen_only", tmp_path / "b", "faces")[1]
    pd.testing.assert_frame_equal(absolute, relative)


def test_a_network_that_looks_back_listens_to_a_video_as_long_as_it_did_in_training(
    tiny, videos, tmp_path
):
    """32 frames at 25/s in the tiny set; this film has 10 frames per second."""
    predict_video(tiny, videos / "film.mp4", "listening", tmp_path)
    made = [
        json.loads(path.read_text())["made_from"]["parameters"]
        for path in (tmp_path / "arrays").rglob("backbone_audio*.json")
    ]
    assert made == [{"anchor": "end", "seconds": 1.28}]


def test_a_video_without_sound_is_told_when_the_network_listens(tiny, videos, tmp_path):
    for run in ("teacher", "jca", "listening"):
        with pytest.raises(InputError, match="no audio track, and the network needs sound") as told:
            predict_video(tiny, videos / "silent.mp4", run, tmp_path)
        assert "silent.mp4" in str(told.value)
        assert "modality: video" in str(told.value)
    assert len(predict_video(tiny, videos / "silent.mp4", "seen_only", tmp_path)[1]) == FRAMES


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "not there"),
        (b"", "empty"),
        (b"this is text and no film", "not a recording that can be read"),
    ],
)
def test_a_file_that_is_no_video_is_told_with_its_name(tiny, tmp_path, content, words):
    video = tmp_path / "film.mp4"
    if content is not None:
        video.write_bytes(content)
    with pytest.raises(InputError, match=words) as told:
        predict_video(tiny, video, "jca", tmp_path / "out")
    assert "film.mp4" in str(told.value)


def test_crops_that_are_not_there_or_of_another_video_are_told(tiny, videos, tmp_path):
    with pytest.raises(InputError, match=r"an input is absent: .*none"):
        predict_video(tiny, videos / "film.mp4", "seen_only", tmp_path, tmp_path / "none")
    shutil.copytree(videos / "crops", tmp_path / "crops")
    shutil.copy(videos / "crops" / "00001.jpg", tmp_path / "crops" / "00099.jpg")
    with pytest.raises(InputError, match="numbers outside the video"):
        predict_video(tiny, videos / "film.mp4", "seen_only", tmp_path, tmp_path / "crops")


def test_a_video_needs_no_data_set(tiny, videos, tmp_path):
    """Only the run folder is copied to the laptop."""
    for run in ("teacher", "jca"):
        shutil.copytree(tiny / "runs" / run, tmp_path / "runs" / run)
    assert len(predict_video(tmp_path, videos / "film.mp4", "jca", tmp_path / "out")[1]) == FRAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "runs"]


def test_of_two_people_in_a_video_the_one_that_is_named_is_predicted(tiny, tmp_path):
    root = shared("weights/face_detection_yunet_2023mar.onnx").parent
    clip = tmp_path / "talk.mp4"
    frames = [
        frame
        for _, frame in islice(recordings.frames(shared("media/grid_dialogue_2faces.mp4")), 25)
    ]
    writing.write_video(clip, frames, np.arange(25) / 25)

    def predict(person):
        places = {"faces": "auto", "weights_root": str(root)}
        p = tiny_set.parameters("tsav", tiny, run="seen_only", **places)
        best, out = checkpoint.checkpoint_path(p), tmp_path / "out"
        return evaluation_video.predict_video(clip, best, p, out, person=person)

    found, left, name = predict("left")
    assert name == "talk_left"
    assert (tmp_path / "out" / "talk_left.csv").is_file()
    assert left["valid"].all()
    said = evaluation_video._who_is_there(found, name)
    assert "left (25 frames)" in said
    assert "right (25 frames)" in said
    assert (left["x"] + left["width"] / 2).max() < frames[0].shape[1] / 2, (
        "the box is round the face on the left"
    )
    assert (left[["width", "height"]] > 20).all(axis=None)
    assert not np.allclose(left["valence_raw"], predict("right")[1]["valence_raw"])
    assert predict("")[2] == "talk"
    with pytest.raises(InputError, match="no person called 3"):
        predict("3")


def test_06_before_05_names_what_trains_and_only_a_file_that_exists(tmp_path):
    known = {"predict_run": "", "runs_root": tmp_path, "run": "mine"}
    for file, words in (
        ("params/sample_tsav.yaml", "`python -m lib run params/sample_tsav.yaml`"),
        ("", "run notebooks/05_train.ipynb first; or correct the name"),
        ("params/gone.yaml", "run notebooks/05_train.ipynb first; or correct the name"),
    ):
        with pytest.raises(InputError, match="called mine") as caught:
            checkpoint.checkpoint_path(Params({**known, "params_file": file}))
        assert words in caught.value.todo
    with pytest.raises(InputError) as caught:
        checkpoint.checkpoint_path(Params({**known, "run": "sample_jca"}))
    assert "params/sample_jca.yaml" in caught.value.todo
