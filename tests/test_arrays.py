import dataclasses
import json
import shutil
import subprocess
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lib import arrays, store
from lib.arrays import MAKERS
from lib.datasets.samples.plan import plan
from lib.errors import InputError
from lib.experiments import bookkeeping
from lib.faces import faces
from lib.files import MACHINE
from lib.media import recordings as media_recordings
from lib.media import writing
from lib.media.sound import SOUND_RATE
from lib.parallel import locks
from lib.store import Store, request

TIME, MEL, SOUND = request("time"), request("mel"), request("audio_44k", rate=SOUND_RATE)
FACE, VA = request("face", size=32), request("va", mismatch="fit")
PAIR = ("2-25-640x240_left", "2-25-640x240_right")


# ---- what is in them


def test_every_array_has_one_row_a_frame(made, wanted):
    recordings = json.loads((made.root / "sample.json").read_text())["recordings"]
    for trial in made.table.to_dict("records"):
        for item in (item for item in wanted if item not in (SOUND, MEL)):
            assert (
                len(arrays.read(trial, item, made.store)) == recordings[trial["video"]]["n_frames"]
            ), str(item)


def test_row_k_of_a_face_is_picture_number_k_plus_1_and_black_where_there_is_none(made):
    trial = made.trial(PAIR[0])
    face, valid = made.read(PAIR[0], FACE), made.read(PAIR[0], request("face_valid"))
    crops = made.root / trial["crops_dir"]
    assert 0 < np.sum(~valid) < 5
    for frame in range(len(valid)):
        picture = crops / f"{frame + 1:05d}.jpg"
        assert picture.is_file() == valid[frame]
        assert np.array_equal(
            face[frame], faces.read_crop(picture, 32) if valid[frame] else np.zeros((32, 32, 3))
        )


def test_variable_frame_rate_survives_into_time(made):
    one = next(one for one in plan(0, 6, 2.0) if one.video == "1")
    times = made.read("1", TIME)
    assert times == pytest.approx(one.times, abs=1e-4)
    assert np.sum(np.abs(np.diff(times) * one.fps - 1) > 0.1) == 8


def test_sound_that_starts_late_survives_into_sound_and_mel(made):
    offsets = {}
    for name in ("1", "3", "4", "5"):
        trial = made.trial(name)
        sound, mel = (arrays.facts(trial, item, made.store) for item in (SOUND, MEL))
        assert (sound["t0"], sound["rate"], mel["rate"]) == (mel["t0"], 44100, 100)
        offsets[name] = sound["t0"] - made.read(name, TIME)[0]
        assert abs(mel["shape"][0] / mel["rate"] - sound["shape"][0] / sound["rate"]) < 0.03
    assert offsets.pop("3") == pytest.approx(0.08, abs=0.005)
    assert all(abs(offset) < 0.005 for offset in offsets.values())


def test_two_persons_share_the_arrays_of_their_video_and_nothing_else(made, wanted):
    for item in wanted:
        left, right = (arrays.locate(made.trial(name), item, made.store).path for name in PAIR)
        assert (left == right) == (MAKERS[item.name].owner == "video"), str(item)
    assert not np.array_equal(made.read(PAIR[0], FACE), made.read(PAIR[1], FACE))


def test_without_crops_the_centre_of_the_picture_is_the_face(opened):
    trial, store = {**opened.trial("4"), "crops_dir": ""}, replace(opened.store, faces="centre")
    arrays.make_all(trial, [FACE, request("face_valid")], store)
    face = arrays.read(trial, FACE, store)
    frames = media_recordings.frames(opened.root / trial["video_path"])
    shown = [faces.resize(faces.centre_square(picture), 32) for _, picture in frames]
    assert np.array_equal(face, shown)
    assert np.asarray(arrays.read(trial, request("face_valid"), store)).all()
    assert (
        arrays.opened(trial, request("face", size=32), store).read([3]).tobytes()
        == shown[3].tobytes()
    )


def test_an_array_of_faces_is_made_in_an_empty_store(opened):
    wanted = request("frame_features", network="resnet18", weights="random", seed=0, size=32)
    trial = opened.trial(PAIR[0])
    assert arrays.make(trial, wanted, opened.store, pack=False)["state"] == "made"
    assert arrays.read(trial, request("face_valid"), opened.store).any()


def test_faces_are_the_same_bytes_packed_or_read_in_place(made, opened):
    outcomes = opened.make([request("face_valid"), FACE], pack=False)
    assert {
        row["state"] for outcome in outcomes for row in outcome.value if row["array"] == str(FACE)
    } == {"read in place"}
    assert not list(opened.store.folder.rglob("face-*"))
    for name in made.table["trial"]:
        there, packed = (
            arrays.opened(one.trial(name), request("face", size=32), one.store)
            for one in (opened, made)
        )
        everyone = np.arange(-1, len(packed))
        assert np.array_equal(there.valid, packed.valid)
        assert there.read(everyone).tobytes() == packed.read(everyone).tobytes()


def test_pixels_made_from_pictures_in_place_need_no_packed_faces(opened):
    arrays.make(opened.trial("4"), request("pixels"), opened.store)
    assert not list(opened.store.folder.rglob("face-*"))


def test_a_trial_without_a_label_file_is_unlabelled_and_says_so(made):
    va = np.asarray(made.read("5", VA))
    assert np.isnan(va).all()
    assert (made.read("5", request("expression", mismatch="fit")) == -1).all()
    assert arrays.facts(made.trial("5"), VA, made.store)["note"] == "no label file"
    assert arrays.facts(made.trial("4"), VA, made.store)["note"] == ""


# ---- made once, variants side by side


def test_what_is_there_is_not_made_again(opened):
    trial = opened.trial("4")
    first = arrays.make(trial, MEL, opened.store)
    before = {path: path.stat().st_mtime_ns for path in opened.store.folder.rglob("*.npy")}
    again = arrays.make(trial, MEL, opened.store)
    assert (first["state"], again["state"]) == ("made", "there")
    assert {path: path.stat().st_mtime_ns for path in opened.store.folder.rglob("*.npy")} == before
    assert {path.name.split("-")[0] for path in before} == {
        "audio_44k",
        "mel",
    }  # with what it is made from


def test_other_parameters_make_another_array_beside_the_first(opened):
    trial = opened.trial("4")
    for size in (32, 16):
        arrays.make(trial, request("face", size=size), opened.store)
    assert arrays.read(trial, FACE, opened.store).shape[1:] == (32, 32, 3)
    assert arrays.read(trial, request("face", size=16), opened.store).shape[1:] == (16, 16, 3)


def test_a_raised_version_makes_this_array_and_all_that_are_made_from_it_anew(opened, monkeypatch):
    trial = opened.trial("4")
    needed = [TIME, SOUND, MEL, FACE]
    arrays.make_all(trial, needed, opened.store)
    before = [arrays.locate(trial, item, opened.store).path for item in needed]
    monkeypatch.setitem(MAKERS, "audio_44k", dataclasses.replace(MAKERS["audio_44k"], version=2))
    after = [arrays.locate(trial, item, opened.store) for item in needed]
    assert [old == new.path for old, new in zip(before, after, strict=True)] == [
        True,
        False,
        False,
        True,
    ]
    assert [row["state"] for row in arrays.make_all(trial, needed, opened.store)] == [
        "there",
        "made",
        "made",
        "there",
    ]
    assert all(path.is_file() for path in before)  # the old ones stay


def test_a_changed_label_file_makes_new_labels_only(copied_root, open_set, wanted):
    one = open_set(copied_root)
    one.make(wanted)
    before = one.files()
    path = copied_root / one.trial("4")["va_path"]
    header, _, *rest = path.read_text().split("\n")
    path.write_text("\n".join([header, "0.123,0.456", *rest]))
    states = {
        row["array"]: row["state"]
        for row in one.make(wanted)[list(one.table["trial"]).index("4")].value
    }
    assert [array for array, state in states.items() if state == "made"] == [str(VA)]
    assert before.items() <= one.files().items()


# ---- moving things


def test_a_moved_renamed_and_touched_data_root_gives_the_same_digits(
    made, copied_root, open_set, wanted, tmp_path
):
    moved = copied_root.rename(tmp_path / "moved ä data")
    for path in moved.rglob("*.mp4"):
        path.touch()
    (moved / "batch1").rename(moved / "Video_files")
    one = open_set(moved)
    elsewhere = Store(made.store.processed_root, made.store.dataset, moved)
    for trial in one.table.to_dict("records"):
        for item in wanted:
            located = arrays.locate(trial, item, elsewhere)
            assert located.exists, f"{trial['trial']} {item}"
            assert located.made_from is not None


def moved_without_media(made, tmp_path):
    """The store of `made`, copied to a place where there is no data set."""
    shutil.copytree(made.store.processed_root, tmp_path / "server")
    return Store(tmp_path / "server", made.store.dataset, tmp_path / "no data here")


def test_a_moved_processed_root_without_media_is_used_as_it_is_and_says_so(made, wanted, tmp_path):
    there = moved_without_media(made, tmp_path)
    for trial in made.table.to_dict("records"):
        for item in wanted:
            assert (
                arrays.read(trial, item, there).tobytes()
                == arrays.read(trial, item, made.store).tobytes()
            )
            row = arrays.make(trial, item, there)
            assert row["state"] == "there"
        arrays.require(trial, FACE, there)
    assert (
        "used without its inputs (an input is absent"
        in arrays.make(made.trial("1"), TIME, there)["note"]
    )
    assert "batch1/1.mp4" in arrays.make(made.trial("1"), TIME, there)["note"]


def test_two_arrays_that_fit_without_their_inputs_are_both_listed(made, tmp_path):
    there, trial = moved_without_media(made, tmp_path), made.trial("4")
    first = arrays.locate(trial, VA, there).path
    second = there.shelf("trial", "4").write(
        {**store.facts(first)["made_from"], "inputs": {}}, np.load(first) + 1
    )
    with pytest.raises(InputError, match="2 arrays fit") as caught:
        arrays.read(trial, VA, there)
    assert all(path.name in str(caught.value) for path in (first, second))
    assert "store rm" in caught.value.todo
    store.remove([second])
    assert arrays.locate(trial, VA, there).path == first


def test_an_absent_input_is_named_with_trial_and_way_out(made, tmp_path):
    nothing = Store(tmp_path / "processed", "x", tmp_path / "no data")
    for item in (TIME, FACE, VA, MEL):
        with pytest.raises(InputError, match="an input is absent") as caught:
            arrays.make(made.trial("1"), item, nothing)
        assert str(tmp_path / "no data") in caught.value.what
        assert "trial 1" in caught.value.where
        assert "put the file back" in caught.value.todo


def test_names_and_places_may_have_blanks_and_umlauts(sample_root, tmp_path, wanted, open_set):
    root, name = tmp_path / "Däten von heute", "Gespräch 1 (neu)"
    for old, new in [
        ("batch2/4.mp4", f"batch1/{name}.mp4"),
        ("VA_Set/Validation_Set/4.txt", f"VA_Set/Validation_Set/{name}.txt"),
    ]:
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample_root / old, root / new)
    shutil.copytree(sample_root / "cropped_aligned" / "4", root / "cropped_aligned" / name)
    one = open_set(root, "Ergebnisse ß")
    assert [outcome.error for outcome in one.make(wanted)] == [None]
    assert len(one.read(name, VA)) == 35


# ---- what goes wrong


def test_an_interrupt_inside_a_maker_leaves_nothing_half_written(made, opened, wanted, monkeypatch):
    trial, shrink, calls = opened.trial("4"), faces.resize, []

    def interrupted(picture, size):
        calls.append(size)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return shrink(picture, size)

    monkeypatch.setattr(faces, "resize", interrupted)
    with pytest.raises(KeyboardInterrupt):
        arrays.make_all(trial, wanted, opened.store)
    names = {name.split("/")[-1].split("-")[0] for name in opened.files()}
    assert names == {"reading.json", "time", "face_valid"}
    monkeypatch.undo()
    arrays.make_all(trial, wanted, opened.store)
    assert opened.files().items() <= made.files().items()


def test_a_damaged_array_is_found_when_it_is_asked_for_and_not_in_a_training(opened):
    trial = opened.trial("4")
    path = arrays.locate(trial, VA, opened.store).path
    arrays.make(trial, VA, opened.store)
    path.write_bytes(path.read_bytes()[:-1])
    for ask in (arrays.make, arrays.require, arrays.read):
        with pytest.raises(InputError, match="damaged") as caught:
            ask(trial, VA, opened.store)
        assert path.stem in str(caught.value)
    store.remove([path])
    assert arrays.make(trial, VA, opened.store)["state"] == "made"


@pytest.mark.parametrize("item", [SOUND, MEL, request("loudness")])
def test_sound_of_a_video_without_an_audio_track_keeps_its_own_message(opened, item):
    with pytest.raises(InputError, match="no audio track") as caught:
        arrays.make({**opened.trial("4"), "audio_path": ""}, item, opened.store)
    assert "trial 4" in caught.value.where
    assert "modality: video" in caught.value.todo


@pytest.mark.parametrize(("item", "notebook"), [(FACE, "02"), (MEL, "03"), (VA, "04")])
def test_an_array_that_is_not_there_names_the_notebook_that_makes_it(opened, item, notebook):
    trial = {**opened.trial("4"), "crops_dir": ""}
    arrays.make(trial, request("face_valid"), opened.store)
    with pytest.raises(InputError, match="not there") as caught:
        arrays.require(trial, item, opened.store)
    assert f"run notebook {notebook}_" in caught.value.todo


def test_a_file_that_changed_after_its_array_was_made_is_named(copied_root, open_set):
    world = open_set(copied_root)
    arrays.make(world.trial("4"), VA, world.store)
    labels = copied_root / world.trial("4")["va_path"]
    labels.write_text(labels.read_text() + "0.5,0.5\n")
    with pytest.raises(InputError, match=f"not there: {labels.name} has changed since"):
        arrays.read(world.trial("4"), VA, world.store)


def test_an_array_that_nobody_makes_is_told(opened):
    with pytest.raises(InputError, match="no array is called 'gaze'"):
        arrays.make(opened.trial("4"), request("gaze"), opened.store)


def test_a_container_that_claims_more_frames_than_decode_is_noted(tmp_path):
    pictures = (np.random.default_rng(k).integers(0, 255, (48, 64, 3), np.uint8) for k in range(50))
    whole = writing.write_video(tmp_path / "a.mp4", pictures, np.arange(50) / 25).read_bytes()
    (tmp_path / "a.mp4").write_bytes(whole[: -len(whole) // 3])
    place = Store(tmp_path / "processed", "x", tmp_path)
    row = arrays.make({"trial": "a", "video": "a", "video_path": "a.mp4"}, TIME, place)
    n_frames = len(arrays.read({"trial": "a", "video": "a", "video_path": "a.mp4"}, TIME, place))
    assert row["note"] == f"the container claims 50 frames, {n_frames} decode"
    assert n_frames < 50


def test_each_request_of_a_step_is_listed_once(wanted):
    assert arrays.of_step([MEL, FACE, MEL, VA, SOUND], "audio") == [MEL, SOUND]
    assert {arrays.maker_of(item).step for item in wanted} == set(arrays.NOTEBOOKS)


# ---- damage


def rotten(path):
    """One bit of the last number is another one."""
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[-2] ^= 4
    path.write_bytes(content)


@pytest.fixture
def copied(made, tmp_path):
    """The store of trial 1 for oneself; its arrays of labels."""
    shutil.copytree(made.store.folder, tmp_path / made.store.dataset)
    place = dataclasses.replace(made.store, processed_root=tmp_path)
    return place, made.trial("1"), arrays.locate(made.trial("1"), VA, place).path


def test_labels_with_a_flipped_bit_are_not_trained_on(copied):
    place, trial, path = copied
    arrays.require(trial, VA, place)
    rotten(path)
    with pytest.raises(InputError, match="its check-sum is") as caught:
        arrays.require(trial, VA, place)
    assert caught.value.where == f"trial 1: {path}"
    assert caught.value.todo.endswith("it is made anew by 04_preprocess_labels")
    store.remove([path])
    assert arrays.make(trial, VA, place)["state"] == "made"
    arrays.require(trial, VA, place)


def test_a_training_does_not_begin_without_an_array_that_is_damaged(copied):
    place, trial, path = copied
    rotten(path)
    table = pd.DataFrame([trial])
    with pytest.raises(store.DamagedError, match="its check-sum is") as caught:
        bookkeeping.usable(table, [VA], place)
    assert f"store rm {path.stem}" in caught.value.todo
    store.remove([path])
    with pytest.raises(InputError, match="is not there"):
        bookkeeping.usable(table, [VA], place)


def test_never_and_always_mean_what_they_say(copied):
    place, trial, path = copied
    rotten(path)
    arrays.require(trial, VA, dataclasses.replace(place, verify="never"))
    assert arrays.make(trial, VA, place)["state"] == "there"
    with pytest.raises(InputError, match="damaged"):
        arrays.make(trial, VA, dataclasses.replace(place, verify="always"))


def test_nothing_is_made_from_a_damaged_array(copied):
    place, trial, _ = copied
    sound, mel = (arrays.locate(trial, item, place).path for item in (SOUND, MEL))
    rotten(sound)
    store.remove([mel])
    with pytest.raises(InputError, match="its check-sum is") as caught:
        arrays.make(trial, MEL, place)
    assert sound.name in caught.value.where
    assert not mel.exists()


def test_two_that_want_the_same_array_make_it_once(copied):
    place, trial, path = copied
    store.remove([path])
    states, barrier = [], threading.Barrier(2)

    def make():
        barrier.wait()
        states.append(arrays.make(trial, VA, place)["state"])

    with locks.held(path.with_name(f".{path.stem}.lock"), 0, remove=True):
        both = [threading.Thread(target=make) for _ in range(2)]
        for each in both:
            each.start()
        assert not path.exists()
    for each in both:
        each.join()
    assert sorted(states) == ["made", "there"]
    assert not list(path.parent.glob(".*"))


def test_what_a_killed_process_left_of_an_array_is_removed(opened):
    trial = opened.trial("3")
    ended = subprocess.Popen(["true"])
    ended.wait()
    path = arrays.locate(trial, TIME, opened.store).path
    path.parent.mkdir(parents=True, exist_ok=True)
    left = [path.with_name(f".{path.name}.{ended.pid}-{MACHINE}01234567.part")]
    left.append(path.with_name(f".{path.stem}.json.{ended.pid}-{MACHINE}01234567.part"))
    lock = path.with_name(f".{path.stem}.lock")
    for each in (*left, lock):
        each.write_text("")
    arrays.make(trial, TIME, opened.store)
    assert not any(each.exists() for each in (*left, lock))
    lock.write_text("")  # killed when the array was whole
    assert arrays.make(trial, TIME, opened.store)["state"] == "there"
    assert not lock.exists()


def test_what_an_array_is_made_from_is_looked_for_once(copied, monkeypatch):
    place, trial, _ = copied
    paths = [arrays.locate(trial, item, place).path for item in (SOUND, MEL)]
    store.remove(paths)
    asked, locate = [], arrays.locate

    def counted(trial, wanted, place):
        asked.append(wanted.name)
        return locate(trial, wanted, place)

    monkeypatch.setattr(arrays, "locate", counted)
    arrays.make(trial, MEL, place)
    assert sorted(asked) == ["audio_44k", "mel"]
    assert all(path.exists() for path in paths)
