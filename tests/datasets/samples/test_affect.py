import errno
import hashlib
import json
import shutil

import cv2
import numpy as np
import pytest

from lib.datasets.samples import affect, plan
from lib.errors import InputError
from lib.labels import official
from lib.media import recordings

SMALL = {"trials": 6, "seconds": 2.0, "workers": 1}


def files(root):
    """Relative path -> digest of everything in a folder; pytest takes minutes to show how bytes
    differ.
    """
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def root(sample_root):
    """The set that all tests share, which is of this size, made by one process."""
    assert sample_root.name == affect.folder_name(trials=SMALL["trials"], seconds=SMALL["seconds"])
    return sample_root


@pytest.fixture(scope="module")
def facts(root):
    return json.loads((root / "sample.json").read_text())


@pytest.fixture(scope="module")
def planned():
    """The recordings of the set as they are planned."""
    return plan.plan(0, 6, 2.0)


@pytest.fixture(scope="module")
def default():
    """The default set as it is planned; nothing of it is made."""
    return plan.plan(0, 24, 12.0)


def video_of(root, name):
    return next(root.glob(f"batch*/{name}.mp4"))


def test_the_default_set_has_the_structure_of_its_specification(default):
    counts = {
        split: sum(len(one.persons) for one in default if one.split == split)
        for split in plan.SPLITS
    }
    assert counts == {"train": 14, "val": 8, "test": 2}
    assert len(default) == 22
    assert [one.split for one in default if len(one.persons) == 2] == ["train", "val"]
    assert [one.fps for one in default[:4]] == [24, 25, 30, 24]
    assert all(8.4 < one.seconds < 15.6 for one in default)


def test_one_recording_has_uneven_times_and_one_late_sound(default):
    uneven = [one for one in default if np.ptp(np.diff(one.times)) > 1e-6]
    late = [one for one in default if one.sound_start]
    assert (len(uneven), len(late), late[0].sound_start) == (1, 1, 0.08)
    assert uneven[0].video != late[0].video
    assert np.all(np.diff(uneven[0].times) > 0)


def test_what_is_wrong_with_single_frames_stays_under_three_percent(default):
    persons = [(one, person) for one in default for person in one.persons.values()]
    frames = sum(len(one.times) for one, _ in persons)
    missing = sum(np.sum(~person.cropped) for _, person in persons)
    unlabelled = sum(np.sum(person.own_turn & ~person.labelled) for _, person in persons)
    uneven = sum(np.sum(np.abs(np.diff(one.times) * one.fps - 1) > 0.1) for one in default)
    before_sound = sum(np.sum(one.times < one.sound_start) for one in default)
    assert min(missing, unlabelled, uneven, before_sound) > 0
    assert missing + unlabelled + uneven + before_sound < 0.03 * frames
    waiting = sum(np.sum(~person.own_turn) for _, person in persons)
    assert waiting / frames == pytest.approx(0.08, abs=0.02)


@pytest.mark.parametrize("split", plan.SPLITS)
def test_valence_and_arousal_are_spread_and_do_not_go_together(default, split):
    persons = [
        (one.times, person)
        for one in default
        if one.split == split
        for person in one.persons.values()
    ]
    va = np.concatenate(
        [
            np.stack(
                [curve(times[person.own_turn & person.labelled]) for curve in person.curves], axis=1
            )
            for times, person in persons
        ]
    )
    assert abs(np.corrcoef(va.T)[0, 1]) < 0.1
    assert np.all(np.abs(va.mean(axis=0)) < 0.1)
    assert np.all(
        va.std(axis=0) > (0.48 if split == "test" else 0.5)
    )  # two trials leave less to choose from
    assert np.abs(va).max() <= 0.95


@pytest.mark.parametrize("trials", range(4, 31))
def test_every_size_has_all_splits_and_from_six_trials_on_a_pair(trials):
    layout = plan._layout(trials)
    counts = {split: sum(n for its, n in layout if its == split) for split in plan.SPLITS}
    assert sum(counts.values()) == trials
    assert counts["train"] >= 1
    assert counts["val"] >= 2
    assert counts["test"] >= 1
    assert (("train", 2) in layout) == (trials >= 6)


def test_too_small_a_set_is_refused(tmp_path):
    with pytest.raises(InputError, match="3 trials"):
        affect.make(tmp_path, trials=3)


def test_the_folder_is_named_after_the_parameters():
    names = {
        affect.folder_name(**other) for other in ({}, {"seed": 1}, {"trials": 6}, {"seconds": 2})
    }
    assert len(names) == 4
    assert all(len(name) == len("sample-01234567") for name in names)
    assert affect.folder_name(0, 24, 12) == affect.folder_name()


def test_every_recording_has_the_frames_and_times_that_were_planned(root, planned):
    for one in planned:
        info = recordings.probe(video_of(root, one.video))
        assert recordings.frame_times(video_of(root, one.video)) == pytest.approx(
            one.times, abs=1e-4
        )
        assert (info.width, info.height) == (320 * len(one.persons), 240)
        assert (info.video_codec, info.audio_codec, info.audio_rate) == ("h264", "aac", 44100)


def test_only_the_late_sound_starts_late(root, facts):
    starts = {
        video: recordings.sound(video_of(root, video), 44100)[1] for video in facts["recordings"]
    }
    assert starts == pytest.approx(
        {video: one["sound_start"] for video, one in facts["recordings"].items()}, abs=1e-4
    )
    assert sorted(starts.values())[-2:] == pytest.approx([0.0, 0.08], abs=1e-4)


def test_crops_are_numbered_by_frame_and_some_are_missing(root, facts):
    missing = 0
    for one in facts["recordings"].values():
        for trial, its in one["trials"].items():
            numbers = {int(path.stem) for path in (root / "cropped_aligned" / trial).iterdir()}
            assert numbers <= set(range(1, one["n_frames"] + 1))
            assert len(numbers) == one["n_frames"] - its["crops_missing"]
            missing += its["crops_missing"]
    assert missing > 0
    assert cv2.imread(str(next((root / "cropped_aligned").rglob("*.jpg")))).shape == (112, 112, 3)


def test_annotations_have_a_row_for_every_frame_and_the_stated_gaps(root, facts):
    for one in facts["recordings"].values():
        for trial, its in one["trials"].items():
            found = {}
            for folder, kind in (
                ("VA_Set", "va"),
                ("EXPR_Set", "expression"),
                ("AU_Set", "action_units"),
            ):
                (path,) = [path for path in root.rglob(f"{trial}.txt") if folder in path.parts]
                assert (affect.HIDDEN_FOLDER in path.parts) == (one["split"] == "test")
                found[kind] = official.read(path, kind)
                assert len(found[kind]) == one["n_frames"]
            assert (
                np.isnan(found["va"][:, 0]).sum()
                == its["unlabelled_turns"] + its["unlabelled_other"]
            )
            assert ((found["expression"] < 0) == (found["action_units"] < 0).all(axis=1)).all()


def test_unlabelled_rows_are_written_in_both_ways(root):
    text = [path.read_text() for path in (root / "VA_Set").rglob("*.txt")]
    assert any("\n-5,-5\n" in one for one in text)
    assert any("\n-5.0,-5.0\n" in one for one in text)


def test_the_test_list_names_the_trials_whose_labels_are_hidden(root, facts):
    listed = (root / "test_set_VA.txt").read_text().split()
    assert listed == facts["splits"]["test"]
    assert [path.stem for path in (root / affect.HIDDEN_FOLDER / "VA_Set").iterdir()] == listed


def test_two_persons_take_turns_with_mouth_voice_and_labels(root, facts, planned):
    pair = next(one for one in planned if len(one.persons) == 2)
    left, right = pair.persons.values()
    assert np.array_equal(left.own_turn, ~right.own_turn)
    voices = {person.number: affect._voice(0, pair, person) for person in (left, right)}
    for person in (left, right):
        opening = voices[person.number][1]
        mouth = affect._states(0, pair, person, opening)[:, 2]
        assert mouth[person.own_turn].max() > 0.5
        assert mouth[~person.own_turn].max() == 0
    whole = sum(sound for sound, _ in voices.values())
    heard, _ = recordings.sound(video_of(root, pair.video), 44100)
    n = min(len(heard), len(whole))
    assert np.corrcoef(heard[:n], whole[:n])[0, 1] > 0.95  # AAC loses a little


def test_the_mouth_on_the_picture_moves_only_in_its_persons_turn(root, planned):
    pair = next(one for one in planned if len(one.persons) == 2)
    opening = {
        name: affect._states(0, pair, person, affect._voice(0, pair, person)[1])[:, 2]
        for name, person in pair.persons.items()
    }
    dark = {}
    for name in pair.persons:
        crops = {
            int(path.stem) - 1: cv2.imread(str(path))
            for path in (root / "cropped_aligned" / name).iterdir()
        }
        # The inside of the mouth is dark red: count such pixels in the lower half.
        shares = np.array(
            [
                np.mean(crops[k][56:].max(axis=2) < 70) if k in crops else np.nan
                for k in range(len(pair.times))
            ]
        )
        open_, shut = opening[name] > 0.6, opening[name] == 0
        dark[name] = np.nanmean(shares[open_]) - np.nanmean(shares[shut])
    assert min(dark.values()) > 0.005


@pytest.fixture
def begun(root, tmp_path):
    """``begun(recordings)``: a copy of the set in which these, and what is written at the end, are
    still to be made.
    """

    def copied(missing):
        copy = tmp_path / root.name
        shutil.copytree(root, copy)
        for one in missing:
            video_of(copy, one.video).unlink()
            for person in one.persons:
                shutil.rmtree(copy / "cropped_aligned" / person)
                for path in copy.rglob(f"{person}.txt"):
                    path.unlink()
        for name in ("sample.json", "test_set_VA.txt"):
            (copy / name).unlink()
        return copy

    return copied


def test_the_same_seed_gives_the_same_bytes_in_one_process_or_two_and_both_are_told(
    root, planned, begun
):
    told = []
    folder = begun(planned[:3])  # uneven times, two people, and late sound
    more = {**SMALL, "workers": 2}
    two = affect.make(folder.parent, **more, progress=lambda *a: told.append(a))
    assert files(two) == files(root)
    names = [path.stem for path in root.rglob("*.mp4")]
    assert [done for done, _, _ in told] == list(range(1, len(names) + 1))
    assert sorted(name for _, _, name in told) == sorted(names)


def test_another_seed_gives_another_set(facts):
    other = plan.plan(1, 6, 2.0)
    assert [len(one.times) for one in other] != [
        one["n_frames"] for one in facts["recordings"].values()
    ]


def test_after_a_break_the_next_call_goes_on_and_the_result_is_the_same(root, planned, begun):
    folder = begun(planned[3:])

    def stop(done, total, name):
        if done == total - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        affect.make(folder.parent, **SMALL, progress=stop)
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.mp4")}
    assert len(kept) == 4
    assert not list(folder.rglob("*.part"))
    assert not (folder / "sample.json").exists()
    affect.make(folder.parent, **SMALL)
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert files(folder) == files(root)


def test_a_finished_set_is_left_as_it_is(root, tmp_path):
    copy = tmp_path / root.name
    copy.mkdir()
    (copy / "sample.json").write_text("{}")
    assert affect.make(tmp_path, **SMALL) == copy
    assert list(files(copy)) == ["sample.json"]


def test_a_full_disk_is_said_and_finished_recordings_stay(begun, planned, monkeypatch):
    write, folder, last = affect._write_crop, begun(planned[3:]), planned[-1].video

    def full(path, *rest):
        if path.parent.name == f".{last}.part":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, *rest)

    monkeypatch.setattr(affect, "_write_crop", full)
    with pytest.raises(InputError, match="no space left"):
        affect.make(folder.parent, **SMALL)
    names = {path.name for path in folder.rglob("*") if path.suffix in (".mp4", ".part")}
    assert names == {f"{one.video}.mp4" for one in planned[:-1]}
