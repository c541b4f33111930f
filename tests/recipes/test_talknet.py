"""The recipe for speaker detection, on tiny clips."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lib import models, parameters, recipes, trials
from lib.errors import InputError
from lib.evaluation import checkpoint, prediction
from lib.faces import speaker_crops
from lib.models import forward
from lib.store import Store, request
from lib.training import trainer as training_trainer
from tests import tiny_clips
from tests.tiny_set import one_thread  # noqa: F401

VIDEOS = {"a": "train", "b": "train", "c": "val"}
SMALL = {
    "recipe": "talknet",
    "width": 0.25,
    "face_size": 16,
    "epochs": 2,
    "batch_size": 2,
    "lr": 1.0e-3,
    "seed": 3,
    "device": "cpu",
    "workers": 0,
    "clip_length": 20,
}
OPTIONS = {"visual_width": 1 / 16, "shortest": 8, "frames": 32, "crop": "box"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("speakers")
    tiny_clips.make(place / "clips", VIDEOS)
    trials.write(table_of(25), store(place).trials_path)
    return place


def table_of(fps):
    rows = [
        {
            "trial": f"{video}_{person}",
            "video": video,
            "person": person,
            "dataset": "tiny",
            "split": split,
            "subject": video,
            "n_frames": 40,
            "fps": float(fps),
        }
        for video, split in VIDEOS.items()
        for person in "12"
    ]
    rows.append(
        {
            "trial": "nobody",
            "video": "d",
            "person": "9",
            "dataset": "tiny",
            "split": "val",
            "subject": "d",
        }
    )
    return trials.table(rows)


def store(root):
    return Store(root / "processed", "tiny", root)


def create(root, options=(), **changes):
    places = {
        name: str(root / name.removesuffix("_root"))
        for name in ("processed_root", "runs_root", "clips_root")
    }
    full = parameters.complete(
        {**SMALL, **places, **changes, "options": {**OPTIONS, **dict(options)}}
    )
    full = {name: Path(value) if name.endswith("_root") else value for name, value in full.items()}
    return recipes.create("talknet", parameters.Params(full), store(root))


def table(root, split=""):
    found = trials.read(store(root).trials_path)
    return found[found["split"] == split].reset_index(drop=True) if split else found


def batch(recipe, root, generator=None, epoch=0):
    windows = recipe.windows(table(root, "train"), epoch)
    rows = recipe.batches(windows, epoch)[0]
    examples = [
        recipe.example(row, generator) for row in windows.iloc[rows].itertuples(index=False)
    ]
    return examples, recipe.collate(examples, generator)


def test_windows_of_a_batch_are_equally_long_within_the_budget_and_a_function_of_seed_and_epoch(
    root,
):
    recipe = create(root, {"windows_a_clip": 3})
    windows = recipe.windows(table(root, "train"), 1)
    pd.testing.assert_frame_equal(windows, recipe.windows(table(root, "train"), 1))
    assert not windows["start"].equals(recipe.windows(table(root, "train"), 2)["start"])
    assert len(windows) == 3 * 8
    lengths = []
    for rows in recipe.batches(windows, 1):
        length = (windows["stop"] - windows["start"]).iloc[rows]
        assert length.nunique() == 1
        assert len(rows) <= max(2, round(32 / length.iloc[0]))
        lengths.append(length.iloc[0])
    assert 8 <= min(lengths) < max(lengths) <= 20


def test_labels_do_not_slip_against_faces_or_sound(root):
    """The tiny mouth is open exactly where its person speaks and the sound is loud."""
    recipe = create(root)
    for start, stop in ((3, 17), (15, 31)):  # the second one lies in two clips
        row = recipe.windows(table(root, "val"))[:1].assign(trial="c_1", start=start, stop=stop)
        item = recipe.example(next(row.itertuples(index=False)))
        loud = np.abs(item["sound"].reshape(stop - start, -1)).mean(1) > 1000
        dark = item["face"][:, 10:14, 5:11].mean((1, 2)) < 110
        np.testing.assert_array_equal(dark, loud & (item["speaking"] == 1))
        np.testing.assert_array_equal(
            item["speaking"] == 1, tiny_clips.speaks(np.arange(start, stop))["1"]
        )


def test_the_batch_is_the_published_triple_and_what_else_is_known(root):
    _, found = batch(
        create(root, {"augment": "light", "shortest": 20, "frames": 160}),
        root,
        np.random.default_rng(0),
    )
    assert list(found)[:3] == ["mfcc", "face", "speaking"]
    clips, frames = found["speaking"].shape
    assert found["mfcc"].shape == (clips, 4 * frames, 13)
    assert found["face"].shape == (clips, frames, 16, 16)
    assert found["face"].dtype == torch.float32
    unseen = found["face"][~found["visible"]]
    assert len(unseen)
    assert (unseen == speaker_crops.FILL).all()
    torch.testing.assert_close(found["time"][0], torch.arange(frames) / 25)
    torch.testing.assert_close(found["audio_time"][0], torch.arange(frames) / 25 + 0.0125)
    assert "pad" not in found


def test_a_clip_that_is_too_short_is_filled_up_with_grey_silence_and_no_labels(root):
    recipe = create(root)
    rows = recipe.windows(table(root, "train"))[:2]
    examples = [
        recipe.example(row)
        for row in rows.assign(stop=rows["start"] + [20, 12]).itertuples(index=False)
    ]
    found = recipe.collate(examples)
    assert found["pad"].sum(1).tolist() == [0, 8]
    assert (found["face"][1, 12:] == speaker_crops.FILL).all()
    assert (found["speaking"][1, 12:] == -1).all()


def test_wrong_sound_makes_a_clip_silent_of_its_face_and_says_whether_a_voice_is_there(root):
    recipe = create(root, {"negatives": 0.9, "noise": 0.0, "shortest": 20})
    kinds = set()
    for seed in range(8):
        generator = np.random.default_rng(seed)
        examples, _ = batch(recipe, root, generator)
        sounds = [example["sound"] for example in examples]
        labels = [{name: example[name] for name in ("speaking", "voice")} for example in examples]
        heard, told = recipe._disturbed(examples, sounds, labels, generator)
        for old, new, before, after in zip(sounds, heard, labels, told, strict=True):
            if not np.array_equal(old, new):
                assert (after["speaking"] <= 0).all()
                assert ((after["speaking"] < 0) == (before["speaking"] < 0)).all()
                assert (after["voice"] == (1 if new.any() else 0)).all()
                kinds.add(
                    "muted"
                    if not new.any()
                    else "shifted"
                    if sorted(new) == sorted(old)
                    else "other"
                )
    assert kinds == {"muted", "shifted", "other"}


def test_noise_comes_from_another_recording_and_leaves_the_labels(root):
    recipe = create(root, {"noise": 1.0, "shortest": 20, "frames": 160})
    generator = np.random.default_rng(0)
    examples, _ = batch(recipe, root)
    sounds = [example["sound"] for example in examples]
    labels = [{name: example[name] for name in ("speaking", "voice")} for example in examples]
    heard, told = recipe._disturbed(examples, sounds, labels, generator)
    assert all(not np.array_equal(old, new) for old, new in zip(sounds, heard, strict=True))
    for old, new in zip(labels, told, strict=True):
        np.testing.assert_array_equal(old["speaking"], new["speaking"])


def test_losses_are_weighted_and_the_sound_may_learn_whether_anybody_speaks(root):
    _, items = batch(create(root), root)
    torch.manual_seed(0)
    outputs = create(root).model().eval()(items)
    asd = create(root, {"audio_loss": 1.0, "visual_loss": 0.5}).loss(outputs, items)
    assert set(asd) == {"speaking", "visual", "audio", "total"}
    torch.testing.assert_close(asd["total"], asd["speaking"] + asd["visual"] + asd["audio"])
    voice = create(root, {"audio_loss": 1.0, "audio_target": "speech"}).loss(outputs, items)
    expected = torch.nn.functional.cross_entropy(
        outputs["speaking_audio"].flatten(0, 1), items["voice"].flatten(), ignore_index=-1
    )
    torch.testing.assert_close(voice["audio"], expected)
    assert "synchrony" in create(root, {"synchrony_loss": 0.3}).loss(outputs, items)
    assert "synchrony" not in create(root, {"synchrony_loss": 0.3}, modality="video").loss(
        outputs, items
    )


def test_unseen_frames_count_only_for_the_sound(root):
    recipe = create(root, {"audio_target": "speech"})
    _, items = batch(recipe, root)
    items["speaking"][:] = -1
    outputs = recipe.model().eval()(items)
    found = recipe.loss(outputs, items)
    assert found["speaking"] == 0 == found["visual"]
    assert found["audio"] > 0


def test_positions_are_turned_on_in_the_first_epoch_of_a_published_start(root, tmp_path):
    torch.save(create(root).model().state_dict(), tmp_path / "published.model")
    recipe = create(root, {"start_from": str(tmp_path / "published.model"), "windows_a_clip": 4})
    strength = recipe.windows(table(root, "train"), 0)["strength"]
    assert strength.is_monotonic_increasing
    assert 0 < strength.iloc[0] < 0.3
    assert strength.iloc[-1] == 1
    assert (recipe.windows(table(root, "train"), 1)["strength"] == 1).all()
    assert all(weight.requires_grad for weight in recipe.model().parameters())


def test_long_pieces_are_evaluated_in_overlapping_windows_and_every_frame_gets_a_score(root):
    recipe = create(root, {"piece": -1, "window": 12})
    windows = recipe.windows(table(root, "val"))
    of_one = windows[windows["trial"] == "c_1"]
    assert of_one["start"].tolist() == [0, 8, 16, 24, 28]
    assert (of_one["n_targets"] == 12).all()
    outputs = forward.predict(recipe.model(), recipe, of_one, torch.device("cpu"))
    assert outputs["speaking"].shape == (5, 12, 2)
    assert np.isfinite(recipe.assemble(of_one, outputs, 40)["speaking"]).all()
    whole = create(root, {"piece": -1, "window": -1}).windows(table(root, "val"))
    assert whole[whole["trial"] == "c_1"][["start", "stop"]].to_numpy().tolist() == [[0, 40]]


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({}, {"negatives": 0.3, "synchrony_loss": 0.3, "augment": "light", "level_jitter": 1.0}),
        ({"modality": "audio"}, {"network": "talknet"}),
        ({"modality": "video"}, {"network": "light_asd"}),
        ({"rules": "published"}, {"network": "talknet", "keep_crops": False}),
    ],
)
def test_every_network_trains_resumes_and_predicts(root, tmp_path, changes, options):
    recipe = create(root, options, **changes)
    trainer = training_trainer.Trainer(recipe, table(root), tmp_path)
    history = trainer.fit()
    assert np.isfinite(history["loss"]).all()
    assert history["score"].between(0, 1).all()
    assert recipe.statistics == {"fps": 25.0}
    predictor = checkpoint.load(tmp_path / "checkpoints" / "best.pt", recipe.params, recipe.store)
    values = predictor.predict("c_2")
    shown = prediction.prediction_table(predictor, "c_2", values)
    heard = "audio" in changes.get("modality", "audiovisual")
    known = shown["speaking"] if heard else shown["speaking"][shown["valid"] == 1]
    assert known.between(0, 1).all()  # a network that only sees says nothing without a face
    x1, y1, x2, y2 = tiny_clips.BOXES["2"]
    assert shown[["x", "y", "width", "height"]].iloc[0].tolist() == [x1, y1, x2 - x1, y2 - y1]
    assert shown["x"].isna().sum() == 2 * (tiny_clips.ABSENT[1] - tiny_clips.ABSENT[0])
    unseen = 2 * (tiny_clips.ABSENT[1] - tiny_clips.ABSENT[0]) * recipe.uses_video
    assert shown["valid"].sum() == 40 - unseen
    assert prediction.prediction_table(predictor, "nobody", predictor.predict("nobody")).empty


def test_it_learns_that_the_face_whose_mouth_follows_the_sound_speaks(root, tmp_path):
    recipe = create(
        root,
        {
            "windows_a_clip": 4,
            "augment": "none",
            "noise": 0.0,
            "shortest": 20,
            "visual_momentum": 0.1,
            "frames": 80,
        },
        epochs=4,
        lr=3.0e-3,
    )
    history = training_trainer.Trainer(recipe, table(root), tmp_path).fit()
    assert (
        history["score"].iloc[-1] > 0.75
    )  # as many frames as not are positive: chance is about 0.5


def test_frames_that_no_prediction_is_there_for_have_no_label(root):
    recipe = create(root)
    labels = recipe.labels("c_2")
    assert (labels == -1).sum() == 6
    assert recipe.n_frames("nobody") == 0
    assert recipe.read("c_2", request("time"))[25] == 1.0


def test_clips_of_other_lengths_lie_in_another_folder(root):
    full = dict(create(root).params)
    recipe = recipes.create(
        "talknet",
        parameters.Params({**full, "clips_root": Path(""), "clip_length": 300}),
        store(root),
    )
    with pytest.raises(InputError, match="no index of clips") as told:
        recipe.windows(table(root, "train"), 0)
    assert told.value.where.endswith("tiny/dataset_clips_L300")


def test_the_networks_options_reach_the_network(root):
    net = create(
        root, {"positions": "chunk", "cross_pairs": [8, 0, 0], "self_pairs": [16, 0, 0]}
    ).model()
    assert net.cross_axes.tolist() == [0] * 8
    assert models.options("talknet_mrope")["layout"] == "axial"


# ---- what every recipe promises (tests/recipes/test_recipes.py), on clips


def rows(windows):
    return list(windows.itertuples(index=False))


def same(first, second):
    return first.keys() == second.keys() and all(
        np.array_equal(np.asarray(first[key]), np.asarray(second[key])) for key in first
    )


@pytest.mark.parametrize(
    "options", [{}, {"piece": 7, "window": 7}, {"piece": -1, "window": -1}, {"piece": 13}]
)
def test_evaluation_windows_have_every_frame_as_a_target_exactly_once_and_need_no_labels(
    root, options
):
    recipe = create(root, options)
    recipe.labels = None
    windows = recipe.windows(table(root))
    for trial in ("a_1", "c_2"):
        found = [
            np.arange(row.first_target, row.first_target + row.n_targets)
            for row in rows(windows[windows["trial"] == trial])
        ]
        np.testing.assert_array_equal(np.concatenate(found), np.arange(40))
        assert (windows["start"] == windows["first_target"]).all()
        assert (windows["stop"] - windows["start"] == windows["n_targets"]).all()
    assert not (windows["trial"] == "nobody").any()


def test_every_training_window_has_a_label_and_a_person_without_one_has_no_window(root, tmp_path):
    recipe = create(root)
    windows = recipe.windows(table(root, "train"), 0)
    assert all(
        (recipe.labels(str(row.trial))[row.start : row.stop] >= 0).any() for row in rows(windows)
    )
    nobody = table(root)[lambda some: some["trial"] == "nobody"]
    assert recipe.windows(nobody, 0).empty
    assert set(recipe.windows(nobody, 0).columns) == set(windows.columns)


def test_another_seed_gives_other_windows_and_examples_are_random_only_through_their_generator(
    root,
):
    recipe, other = create(root), create(root, seed=4)
    windows = recipe.windows(table(root, "train"), 0)
    assert not windows["start"].equals(other.windows(table(root, "train"), 0)["start"])
    window, state = rows(windows)[0], torch.get_rng_state()
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    assert same(recipe.example(window), recipe.example(window))
    random = [recipe.example(window, np.random.default_rng(seed)) for seed in (5, 5, 6, 7)]
    assert same(random[0], random[1])
    assert not (same(random[0], random[2]) and same(random[0], random[3]))
    assert np.array_equal(before, np.random.get_state()[1])
    assert torch.equal(state, torch.get_rng_state())
    for name in ("speaking", "voice", "visible"):  # labels are never augmented
        np.testing.assert_array_equal(random[0][name], recipe.example(window)[name])


def test_an_unlabelled_frame_has_no_part_in_the_loss_of_its_face(root):
    recipe = create(root, {"shortest": 20, "frames": 400, "audio_target": "asd"})
    _, items = batch(recipe, root)
    outputs = {
        name: values.detach().requires_grad_()
        for name, values in recipe.model().eval()(items).items()
    }
    recipe.loss(outputs, items)["total"].backward()
    unlabelled = items["speaking"] < 0
    assert unlabelled.any()
    for name in ("speaking", "speaking_audio", "speaking_visual"):
        assert not outputs[name].grad[unlabelled].any()
        assert outputs[name].grad[~unlabelled].any()


@pytest.mark.parametrize(("modality", "absent"), [("audio", "face"), ("video", "mfcc")])
def test_one_modality_needs_nothing_of_the_other_and_ignores_it(root, modality, absent):
    _, both = batch(create(root), root)
    recipe = create(root, modality=modality)
    _, alone = batch(recipe, root)
    assert absent in both
    assert absent not in alone
    model = recipe.model().eval()
    with torch.inference_mode():
        assert torch.equal(
            model(alone)["speaking"], model({**alone, absent: both[absent]})["speaking"]
        )


def test_statistics_are_numbers_that_a_checkpoint_may_hold(root, tmp_path):
    recipe = create(root)
    found = recipe.fit(recipe.windows(table(root, "train"), 0))
    torch.save(found, tmp_path / "statistics.pt")
    assert torch.load(tmp_path / "statistics.pt", weights_only=True) == found == {"fps": 25.0}


def test_outputs_come_back_to_their_frames(root):
    recipe = create(root)
    windows = recipe.windows(table(root, "val"))
    of_one = windows[windows["trial"] == "c_1"]
    outputs = np.stack(
        [np.arange(row.start, row.stop)[:, None] + [0.0, 0.5] for row in rows(of_one)]
    )
    found = recipe.assemble(of_one, {"speaking": outputs}, 40)["speaking"]
    np.testing.assert_allclose(found, np.arange(40)[:, None] + [0.0, 0.5])


def test_clips_of_two_frame_rates_are_not_trained_on_together(root, tmp_path):
    tiny_clips.make(tmp_path / "clips", {"a": "train"})
    tiny_clips.make(tmp_path / "other", {"b": "train"}, fps=30)
    (tmp_path / "other" / "train" / "b").rename(tmp_path / "clips" / "train" / "b")
    index = tmp_path / "clips" / "train.jsonl"
    index.write_text(index.read_text() + (tmp_path / "other" / "train.jsonl").read_text())
    trials.write(trials.read(store(root).trials_path), store(tmp_path).trials_path)
    with pytest.raises(InputError, match=r"clips of \[25.0, 30.0\] frames per second") as told:
        create(tmp_path).fit(None)
    assert "one rate" in told.value.expected


@pytest.mark.parametrize("fps", [24, 30, 60])
def test_clips_of_any_frame_rate_are_trained_on(tmp_path, fps):
    tiny_clips.make(tmp_path / "clips", VIDEOS, fps=fps)
    trials.write(table_of(fps), store(tmp_path).trials_path)
    recipe = create(tmp_path)
    _, found = batch(recipe, tmp_path, np.random.default_rng(0))
    assert found["mfcc"].shape[1] == 4 * found["face"].shape[1]
    torch.testing.assert_close(found["time"][0, 1], torch.tensor(1 / fps))
    assert recipe.loss(recipe.model()(found), found)["total"].isfinite()


def test_what_a_network_is_told_about_windows_of_attention_and_lengths_reaches_it(root):
    net = create(root, {"attention_seconds": 8.0, "trained_frames": 450}).model()
    assert (net.window, net.trained_frames) == (200.0, 450)
    assert create(root).model().window == 0
