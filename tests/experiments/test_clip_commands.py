"""``python -m lib clips …`` as a person types it, on recordings in Ego4D's layout."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from lib import datasets, trials
from lib import parameters as parameters_module
from lib.__main__ import main
from lib.errors import InputError
from lib.media import pictures as media_pictures
from lib.media import writing
from lib.speakers.clips import jobs, schema
from lib.store import request
from tests import tiny_conversations as tiny


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A tiny set, a parameter file, and ``call("check", …)``, whose result is the command's."""
    monkeypatch.setattr(datasets, "expected", lambda params: {})  # nobody has 439 clips here
    data = tiny.make(tmp_path / "ego4d", {"a": 70, "b": 60, "t": 2})
    file = tmp_path / "clips.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "dataset": "ego4d",
                "data_root": str(data),
                "clip_length": 30,
                "workers": 1,
                "processed_root": str(tmp_path / "processed"),
            }
        )
    )

    def call(command, *more):
        return CliRunner().invoke(
            main, ["clips", command, str(file), *more], catch_exceptions=False
        )

    return data, tmp_path / "processed" / "ego4d", call


def test_recordings_become_verified_clips_of_any_length_each_in_its_own_folder(world):
    _, processed, call = world
    done = call("all")
    assert done.exit_code == 0, done.output
    assert "everything is as it should be" in done.output
    assert call("all", "-p", "clip_length", "20").exit_code == 0
    assert sorted(path.name for path in processed.iterdir()) == [
        "dataset_clips_L20",
        "dataset_clips_L30",
    ]
    assert [len(schema.lines(processed / f"dataset_clips_L{n}", "train")) for n in (20, 30)] == [
        1,
        1,
    ]


def test_a_length_in_seconds_is_one_in_frames(world):
    _, processed, call = world
    done = call("make", "--seconds", "0.8")
    assert (done.exit_code, done.output.splitlines()[0]) == (0, "0.8 s are 24 frames")
    assert [path.name for path in processed.iterdir()] == ["dataset_clips_L24"]
    assert call("check", "--seconds", "0").exit_code == 2


def test_progress_names_videos(world):
    lines = [line for line in world[2]("all").output.splitlines() if line.startswith("videos ")]
    assert [line.split(":")[0] for line in lines] == ["videos 2/2 (100 %) b"], "short: one line"


def test_the_steps_one_by_one_give_what_all_gives(world, tmp_path):
    _, processed, call = world
    call("all")
    root = processed / "dataset_clips_L30"
    whole = tiny.tree(root)
    root.rename(tmp_path / "whole")
    for step in ("make", "renumber", "index", "verify"):
        done = call(step)
        assert done.exit_code == 0, done.output
    assert tiny.tree(root) == whole


def test_check_writes_nothing_and_prints_the_plan_of_all_of_ego4d(world):
    data, processed, call = world
    before = tiny.tree(data)
    done = call("check")
    assert done.exit_code == 0
    assert "3951000" in done.output
    assert not processed.exists()
    assert tiny.tree(data) == before


def test_check_names_videos_that_cannot_be_cut(world):
    data, _, call = world
    (data / "wave/b.wav").unlink()
    done = call("check")
    assert done.exit_code == 3
    assert "no sound" in done.output


def test_check_names_sound_that_does_not_fit_and_strangers(world):
    data, _, call = world
    tiny.write_wav(data / "wave/b.wav", tiny.samples(30))
    tiny.write_wav(data / "wave/stranger.wav", tiny.samples(30))
    done = call("check")
    assert done.exit_code == 0  # it can be cut
    assert "the sound ends 1.00 s before its 60 pictures" in done.output
    assert "stranger" in done.output


def test_prune_is_a_dry_run_until_it_is_told_otherwise(world):
    data, _, call = world
    done = call("prune")
    assert "would be removed" in done.output
    assert (data / "video_imgs/t").is_dir()
    done = call("prune", "--yes")
    assert "1 + 1 = 2 clips" in done.output
    assert not (data / "video_imgs/t").exists()
    assert (data / "video_imgs/a").is_dir()


def test_removing_one_picture_makes_verify_name_it_and_all_puts_it_back(world):
    _, processed, call = world
    call("all")
    picture = processed / "dataset_clips_L30/train/a/clip_f000030/frames/img_00044.jpg"
    picture.unlink()
    done = call("verify")
    assert done.exit_code == 1
    assert "img_00044.jpg" in done.output
    assert call("all").exit_code == 0
    assert picture.is_file()


def test_renumbering_can_be_undone(world):
    _, processed, call = world
    call("all")
    assert (
        "120 pictures" in call("renumber", "--undo").output
    )  # a tail of 10 frames, shorter than 1 s, is in no clip
    assert (processed / "dataset_clips_L30/train/a/clip_f000000/frames/img_00030.jpg").is_file()
    assert call("verify").exit_code == 1  # described before: said so
    assert call("index").exit_code == 0
    assert call("verify").exit_code == 0


def test_describing_before_making_says_which_command_is_missing(world):
    done = world[2]("index")
    assert done.exit_code == 2
    assert "python -m lib clips make" in done.output


def test_a_video_that_fails_ends_with_status_3_and_the_others_are_done(world):
    data, processed, call = world
    (data / "video_imgs/a/img_00003.jpg").unlink()
    done = call("make")
    assert done.exit_code == 3
    assert "1 pictures are missing: 3" in done.output
    assert (processed / "dataset_clips_L30/val/b/clip_f000000/frames/img_00001.jpg").is_file()


def test_a_data_set_without_voices_is_cut_only_when_that_is_wanted(parameters, opened):
    p = parameters(clip_length=24)
    assert jobs.opened(p) is None
    p = parameters(clip_length=24, cut_clips="always")
    trials.write(opened.table, datasets.store(p).trials_path)
    job = jobs.opened(p)
    outcomes = jobs.run(job)
    assert all(outcome.ok or "even grid" in outcome.error.what for outcome in outcomes)
    checks = jobs.check(job)
    uneven = {outcome.item.video for outcome in outcomes if not outcome.ok}
    assert len(uneven) == 1  # the recording whose frame times are uneven
    assert all(
        any(video in row["where"] + row["what"] for video in uneven) or row["check"] in ("clips",)
        for row in checks.failures
    )
    told = schema.read(next(job.root.glob("*/2-25-640x240/clip_f000000/clip.json")))
    assert [person["person_id"] for person in told["persons"]] == [
        "2-25-640x240_left",
        "2-25-640x240_right",
    ]
    assert told["persons"][0]["va"].shape == (24, 2)
    assert all(outcome.ok for outcome in opened.make([request("va", mismatch="fit")]))
    truth = opened.read("2-25-640x240_left", request("va", mismatch="fit"))[:24]
    assert abs(told["persons"][0]["va"] - truth)[truth == truth].max(initial=0) < 1e-3


@pytest.fixture
def recordings(tmp_path):
    """Parameters of a folder with two videos of 25 frames per second: `anna` with valence and
    arousal, `ben` with expressions; without sound, without crops.
    """
    root = tmp_path / "own"
    root.mkdir()
    for name, shade in (("anna", 40), ("ben", 90)):
        pictures = (np.full((32, 48, 3), shade + 4 * frame, np.uint8) for frame in range(25))
        writing.write_video(root / f"{name}.mp4", pictures, np.arange(25) / 25, None)
    (root / "anna.txt").write_text(
        "valence,arousal\n" + "".join(f"{k / 100},-0.5\n" for k in range(24)) + "-5,-5\n"
    )
    (root / "ben.txt").write_text(
        "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other\n" + "4\n" * 25
    )
    (root / "splits.csv").write_text("trial,split\nanna,train\nben,val\n")
    roots = {
        "data_root": str(root),
        "processed_root": str(tmp_path / "processed"),
        "runs_root": str(tmp_path / "runs"),
    }
    full = parameters_module.complete(
        {
            "dataset": "folder",
            "cut_clips": "always",
            "clip_length": 10,
            "clip_no_sound": True,
            "clip_tail": "drop",
            "audio_label": "energy",
            **roots,
        }
    )
    full.pop("weights_root")  # and with it a face detector
    p = parameters_module.Params(
        {name: Path(value) if name.endswith("_root") else value for name, value in full.items()}
    )
    trials.write(datasets.find(p)[0], datasets.store(p).trials_path)
    return p


def test_a_folder_of_videos_is_cut_with_its_labels_in_the_same_schema(recordings):
    job = jobs.opened(recordings)
    outcomes = jobs.run(job)
    assert all(outcome.ok for outcome in outcomes), jobs.faults(outcomes, job).to_string()
    assert jobs.check(job).failure_table().empty
    told = schema.read(job.root / "train/anna/clip_f000010/clip.json")
    assert (told["fps"], told["image_size"], told["audio"]["n_samples"]) == (
        [25, 1],
        [48, 32],
        6400,
    )
    assert told["persons"][0]["va"][:, 0] == pytest.approx(np.arange(10, 20) / 100)
    assert told["persons"][0]["asd"].tolist() == [-1] * 10
    assert not told["speech"].any()  # silent, by level
    assert "face_visible" not in told
    assert "nobody has looked for a face" in " ".join(jobs.faults(outcomes, job)["what"])
    told = schema.read(job.root / "val/ben/clip_f000000/clip.json")
    assert told["persons"][0]["expression"].tolist() == [4] * 10
    shown = media_pictures.read(job.root / "val/ben/clip_f000010/frames/img_00012.jpg")
    assert abs(shown.mean() - (90 + 4 * 12)) < 4


def test_videos_of_a_split_without_clips_are_counted(recordings):
    path = datasets.store(recordings).trials_path
    trials.write(trials.read(path).assign(split=["train", "test"]), path)
    job = jobs.opened(recordings)
    told = jobs.faults(jobs.run(job), job).set_index("video")["what"]
    assert "train and val only" in told["1 of test"]
    assert not (job.root / "test").exists()


def test_seconds_are_frames_at_the_rate_of_the_data_set_if_it_has_one(recordings):
    assert jobs.frames_of(recordings, 0.4) == 10
    path = datasets.store(recordings).trials_path
    trials.write(trials.read(path).assign(fps=[25.0, 30.0]), path)
    with pytest.raises(InputError, match="videos of 25, 30 frames per second"):
        jobs.frames_of(recordings, 0.4)
