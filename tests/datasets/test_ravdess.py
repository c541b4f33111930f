"""RAVDESS: names are labels, folders are actors; five published folds; oddities are told."""

import re
import subprocess

import numpy as np
import pytest

from lib import arrays, datasets, parameters
from lib.datasets import check, ravdess
from lib.errors import InputError
from lib.files import ROOT
from lib.labels import arrays as label_arrays
from lib.labels import folds
from lib.media import sound
from lib.store import Store, request
from tests import tiny_ravdess
from tests.shared_files import shared
from tests.tiny_ravdess import name, voice, write

SPEECH = ravdess.FILE_NAME  # the pattern of a recording's name


def problems(report):
    return {(row["severity"], row["item"], row["done"]) for row in report.problems}


def test_the_name_says_class_intensity_sex_and_actor():
    told = ravdess.facts("03-01-06-02-01-01-12")
    assert (ravdess.CLASSES[told.label], told.strong, told.woman) == ("fearful", True, True)
    assert (told.actor, told.statement, told.repetition) == (12, 1, 1)
    for other in ("03-01-09-01-01-01-01", "03-01-01-01-01-01-25", "03-01-01-01-01-01", "a"):
        with pytest.raises(InputError, match="no name of a RAVDESS recording"):
            ravdess.facts(other)


def test_every_actor_is_tested_in_one_of_five_folds_with_both_sexes():
    actors = [actor for fold in ravdess.FOLDS for actor in fold]
    assert sorted(actors) == list(range(1, 25))
    assert [len(fold) for fold in ravdess.FOLDS] == [5, 5, 5, 5, 4]
    assert all(2 <= sum(actor % 2 for actor in fold) <= 3 for fold in ravdess.FOLDS)


def test_recordings_become_trials_of_sound_only_with_the_label_of_their_name(tmp_path):
    table, report = ravdess.find(tiny_ravdess.make(tmp_path))
    assert not report.problems
    assert len(table) == 36
    row = table.set_index("trial").loc[name(5, 23, 2)]
    assert (row["subject"], row["split"], row["fold"]) == ("actor_23", "train", 3)
    assert (row["video_path"], row["expression_path"]) == ("", "::=4")
    assert row["audio_path"] == f"Actor_23/{name(5, 23, 2)}.wav"
    assert abs(row["duration"] - 0.8) < 0.01
    rows, note, _ = label_arrays.read([], "expression", np.arange(7) / 25, {"rows": "=4"})
    assert rows.tolist() == [4] * 7
    assert note == "one label for the recording: 4"
    assert (
        label_arrays.read([], "va", np.zeros(2), {"rows": "=0.5,-1"})[0].tolist() == [[0.5, -1]] * 2
    )


def test_the_published_folds_are_the_data_sets_own(tmp_path):
    table, _ = ravdess.find(tiny_ravdess.make(tmp_path))
    parts = folds.split(table, tmp_path, 0, "published")
    assert set(parts["subject"][parts["split"] == "val"]) == {"actor_02", "actor_05"}
    assert set(parts["split"]) == {"train", "val"}
    own = folds.make(table.assign(n_frames=20), 3)  # notebook 04's, of any number
    assert own.groupby("subject")["fold"].nunique().eq(1).all()


def test_copies_songs_strangers_and_wrong_folders_are_told(tmp_path):
    root = tiny_ravdess.make(tmp_path, actors=(7,), emotions=(3,), repetitions=(1,))
    write(root / "Actor_07" / f"{name(3, 7, 2)}.wav", voice(3, 7, 1))  # as in the release
    write(root / "Actor_07" / f"{name(3, 7, 1, channel=2)}.wav", voice(3, 7, 1))
    write(root / "Actor_08" / f"{name(4, 9)}.flac.wav", voice(4, 9, 1))
    write(root / "Actor_08" / f"{name(4, 9)}.wav", voice(4, 9, 1))
    (root / "Actor_07" / f"{name(1, 7)}.wav").write_bytes(b"cut off")
    table, report = ravdess.find(root)
    assert list(table["trial"]) == [name(3, 7, 1), name(3, 7, 2), name(4, 9)]
    assert problems(report) >= {
        ("warning", name(3, 7, 2), "both are kept, as in the release"),
        ("warning", name(3, 7, 1, channel=2), "left out"),
        ("warning", name(4, 9), "the actor of its name counts"),
        ("error", name(1, 7), "left out"),
        ("error", f"{name(4, 9)}.flac", "left out"),
    }


def test_a_recording_of_sound_only_has_25_rows_per_second_and_no_face(tmp_path):
    root = tiny_ravdess.make(tmp_path / "data", actors=(1,), emotions=(3,), repetitions=(1,))
    trial = ravdess.find(root)[0].to_dict("records")[0]
    place = Store(tmp_path / "processed", "ravdess", root)
    row = check.check_trial(trial, place)
    assert (row["opens"], row["frames"], row["rate"]) == (True, 20, "constant")
    assert (row["errors"], row["warnings"], row["audio"]) == ("", "", "pcm_s16le")
    times = arrays.read(trial, request("time"), place)
    np.testing.assert_allclose(times, np.arange(20) / 25)
    with pytest.raises(InputError, match="a recording without picture has no faces"):
        arrays.make(trial, request("face", size=32), place)


def test_a_recording_that_is_cut_off_is_told_when_it_is_checked(tmp_path):
    root = tiny_ravdess.make(tmp_path / "data", actors=(1,), emotions=(3,), repetitions=(1,))
    cut = root / "Actor_01" / f"{name(3, 1)}.wav"
    cut.write_bytes(cut.read_bytes()[:-5000])
    trial = ravdess.find(root)[0].to_dict("records")[0]
    row = check.check_trial(trial, Store(tmp_path / "processed", "ravdess", root))
    assert row["errors"].startswith("cut off: the last 5000 bytes")
    assert len(row["faults"]) == 1


def test_stereo_with_equal_channels_is_the_same_sound(tmp_path):
    samples = voice(4, 9, 1)
    mono = write(tmp_path / "mono.wav", samples)
    stereo = write(tmp_path / "stereo.wav", samples, channels=2)
    first, second = (sound.decode(path, 16_000)[0] for path in (mono, stereo))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first.astype(int) - samples).max() <= 1


def test_other_files_beside_the_recordings_are_in_the_inventory(tmp_path):
    root = tiny_ravdess.make(tmp_path / "data", actors=(7,), emotions=(3,), repetitions=(1,))
    for file in ("Audio_Song.zip", "Actor_07/x.mp3", "Actor_07/.x.wav"):
        (root / file).write_bytes(b"x")
    write(root / "copies" / "Actor_07" / f"{name(3, 7)}.wav", voice(3, 7, 1))
    given = {"dataset": "ravdess", "data_root": str(root), "processed_root": str(tmp_path / "p")}
    table, report = datasets.find(parameters.Params(parameters.complete(given)))
    twice = f"is there twice: copies/Actor_07/{name(3, 7)}.wav, too"
    assert {row["file"]: row["why"] for row in report.files} == {
        f"Actor_07/{name(3, 7)}.wav": "",
        f"copies/Actor_07/{name(3, 7)}.wav": twice,
        "Actor_07/x.mp3": "a recording or a sound file",
        "Actor_07/.x.wav": "hidden",
        "Audio_Song.zip": "an archive",
    }
    assert list(table["audio_path"]) == [f"Actor_07/{name(3, 7)}.wav"]


def test_where_every_recording_is_left_out_the_error_says_why(tmp_path):
    write(tmp_path / "Actor_07" / f"{name(3, 7, channel=2)}.wav", voice(3, 7, 1))
    with pytest.raises(InputError, match="no recording of RAVDESS found") as caught:
        ravdess.find(tmp_path)
    assert "is not speech with sound only" in caught.value.what


def test_an_empty_folder_is_refused_with_what_should_be_there(tmp_path):
    with pytest.raises(InputError, match="no recording of RAVDESS found"):
        ravdess.find(tmp_path)


@pytest.mark.parametrize(
    ("file", "todo"),
    [
        ("Audio_Speech_Actors_01-24.zip", "unpack Audio_Speech_Actors_01-24.zip where it lies"),
        ("Actor_01/01-01-03-01-01-01-01.mp4", "these are the videos"),
    ],
)
def test_what_lies_in_the_place_of_recordings_is_told(tmp_path, file, todo):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(b"x")
    with pytest.raises(InputError, match="no recording of RAVDESS found") as caught:
        ravdess.find(tmp_path)
    assert todo in caught.value.todo


def test_actors_behind_links_and_in_any_capitals_are_found_hidden_ones_are_not(tmp_path):
    root = tiny_ravdess.make(tmp_path / "disk" / "speech", actors=(1, 2, 3), emotions=(3,))
    (root / "Actor_02").rename(root / "actor_02")
    (root / "Actor_03").rename(root / ".Actor_03")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ravdess").symlink_to(root)
    (root / "back").symlink_to(tmp_path / "data")
    table, report = ravdess.find(tmp_path / "data")
    assert set(table["subject"]) == {"actor_01", "actor_02"}
    assert not report.problems
    assert table["audio_path"].str.startswith("ravdess/").all()


@pytest.mark.parametrize(
    "other",
    [
        *("04-01-03-01-01-01-07", "03-03-03-01-01-01-07", "03-01-09-01-01-01-07"),
        *("03-01-03-03-01-01-07", "03-01-01-02-01-01-07", "03-01-03-01-03-01-07"),
        *("03-01-03-01-01-00-07", "03-01-03-01-01-01-25", "٠٣-01-03-01-01-01-07"),
    ],
)
def test_a_name_with_a_number_that_the_set_does_not_have_is_refused(other):
    with pytest.raises(InputError, match="no name of a RAVDESS recording"):
        ravdess.facts(other)


def test_a_recording_without_sound_in_it_is_left_out_and_told(tmp_path):
    root = tiny_ravdess.make(tmp_path, actors=(7,), emotions=(3,), repetitions=(1,))
    write(root / "Actor_07" / f"{name(4, 7)}.wav", voice(4, 7, 1)[:0])
    cut = write(root / "Actor_07" / f"{name(5, 7)}.wav", voice(5, 7, 1))
    cut.write_bytes(cut.read_bytes()[:60])
    table, report = ravdess.find(root)
    assert list(table["trial"]) == [name(3, 7)]
    assert problems(report) == {
        ("error", name(4, 7), "left out"),
        ("error", name(5, 7), "left out"),
    }


def test_what_its_licence_asks_for_is_known_by_its_name():
    assert "CC BY-NC-SA" in datasets.terms("ravdess")
    assert [datasets.terms(other) for other in ("affwild2", "folder-a", "nobody")] == [""] * 3


def tracked() -> list[str]:
    """Files that git keeps of this repository."""
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if found.returncode:
        pytest.skip("no git checkout")
    return found.stdout.splitlines()


def test_no_recording_of_ravdess_and_no_weights_are_in_git():
    sounds = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
    weights = (".pt", ".pth", ".onnx", ".safetensors", ".npz", ".npy", ".ckpt")
    kept = tracked()
    assert kept
    assert not [path for path in kept if SPEECH.search(path)]
    assert not [path for path in kept if path.lower().endswith((*sounds, *weights))]


def test_no_executed_notebook_is_in_git_but_the_gallery_which_has_nothing_of_the_set():
    for path in (path for path in tracked() if path.endswith(".ipynb")):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert "audio/" not in text, path
        if path != "docs/gallery.ipynb":
            assert '"output_type"' not in text, path
        assert not re.search(r"Actor_\d\d|\d\d(-\d\d){6}", text), path


def test_all_recordings_of_the_set_are_found_and_counted():
    table, report = ravdess.find(shared("data/ravdess"))
    assert {row["item"]: row["state"] for row in report.counts if row["state"] != "ok"} == {}
    assert [row["item"] for row in report.problems] == ["03-01-03-01-02-02-07"]  # the copy
    assert table.groupby("fold").size().tolist() == [300, 300, 300, 300, 240]
