import json

import numpy as np
import pytest

from lib.errors import InputError
from lib.faces import speaker_crops
from lib.speakers.clips import units
from tests import tiny_clips


@pytest.fixture
def root(tmp_path):
    return tiny_clips.make(tmp_path / "clips", {"a": "train", "b": "val"})


def unit(root, number=0):
    return units.units(units.read_index(root))[number]


def change(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_index_lists_every_person_of_every_clip(root):
    table = units.read_index(root)
    assert list(table[table["video"] == "a"].itertuples(index=False))[:2] == [
        ("a", "1", "train", 0, 20, str(root / "train/a/clip_f000000/clip.json")),
        ("a", "1", "train", 20, 20, str(root / "train/a/clip_f000020/clip.json")),
    ]
    assert table.groupby("split").size().to_dict() == {"train": 4, "val": 4}


def test_labels_are_those_of_the_frames_and_unknown_where_the_face_is_not_seen(root):
    for number, person in ((1, "1"), (3, "2")):
        some, truth = unit(root, number), tiny_clips.speaks(np.arange(20, 40))[person]
        told = some.labels()
        assert (some.person, some.start) == (person, 20)
        seen = np.ones(20, bool)
        if person == "2":
            seen[slice(*tiny_clips.ABSENT)] = False
        np.testing.assert_array_equal(told["visible"], seen)
        np.testing.assert_array_equal(told["speaking"], np.where(seen, truth, -1))
        assert told["voice"].tolist() == [1] * 20  # stored in runs


def test_position_is_the_faces_place_on_a_grid_of_16(root):
    x1, y1, x2, y2 = tiny_clips.BOXES["1"]
    row, column = unit(root).labels()["position"][0]
    assert row == pytest.approx(16 * (y1 + y2) / 2 / tiny_clips.HEIGHT)
    assert column == pytest.approx(16 * (x1 + x2) / 2 / tiny_clips.WIDTH)


def test_sound_is_that_of_the_frames_and_silence_where_the_file_ends(root):
    some = unit(root)
    whole, rate = some.sound(0, 20)
    assert (len(whole), rate) == (12_800, 16_000)
    np.testing.assert_array_equal(some.sound(5, 9)[0], whole[5 * 640 : 9 * 640])
    path = some.path.parent / some.told["audio"]["path"]
    path.write_bytes(path.read_bytes()[: 44 + 2 * 1000])
    assert not some.sound(2, 4)[0].any()
    assert some.sound(0, 2)[0][:1000].any()


def test_crops_show_the_face_and_are_grey_where_it_is_not_seen(root):
    some = unit(root, 2)
    found = some.cut(0, 20, "box", 32)
    assert (found[slice(*tiny_clips.ABSENT)] == speaker_crops.FILL).all()
    assert found[0, :16].mean() == pytest.approx(160, abs=6)


def test_crops_are_cut_once_and_anew_when_the_clip_changes(root, tmp_path, monkeypatch):
    some, folder = unit(root), tmp_path / "kept"
    first = np.array(some.faces(2, 6, "mouth", 16, folder))
    np.testing.assert_array_equal(first, some.cut(2, 6, "mouth", 16))
    with monkeypatch.context() as patch:
        patch.setattr(units.pictures, "read", None)
        np.testing.assert_array_equal(some.faces(2, 6, "mouth", 16, folder), first)
    change(some.path, source={"made": "again"})
    some.faces(2, 6, "mouth", 16, folder)
    assert len(list(folder.rglob("*.npy"))) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "avclip/2"}, "schema 'avclip/2'"),
        ({"n_frames": 19}, "a clip of 19 frames, 20 in the index"),
        ({"persons": []}, "0 persons are called '1'"),
        ({"speech": [1, 0]}, "2 values for 20 frames"),
    ],
)
def test_a_clip_of_another_version_or_damaged_is_named(root, changes, message):
    some = unit(root)
    change(some.path, **changes)
    with pytest.raises(InputError, match=message) as told:
        some.labels()
    assert "clip.json" in told.value.where


def test_a_root_without_an_index_and_one_that_leads_out_are_refused(root, tmp_path):
    with pytest.raises(InputError, match="no index of clips"):
        units.read_index(tmp_path)
    (root / "val.jsonl").write_text(
        '{"clip_id": "a/clip_f000000", "person_id": "1", "n_frames": 3, "path": "../x"}\n'
    )
    with pytest.raises(InputError, match="leads out of the clips"):
        units.read_index(root)
    (root / "val.jsonl").write_text('{"clip_id": "a/clip_f0')
    with pytest.raises(InputError, match="line 1 of an index"):
        units.read_index(root)


def test_an_absent_picture_and_a_cut_description_are_named(root):
    some = unit(root)
    some.picture(3).unlink()
    with pytest.raises(InputError, match="cannot be read") as told:
        some.cut(0, 5, "box", 8)
    assert "img_00003" in told.value.where
    some.path.write_text('{"schema": "avc')
    with pytest.raises(InputError, match="description of a clip"):
        some.labels()
