"""Ego4D's layout: lists, annotation files, pictures; each fault is named and nothing else is
lost.
"""

import json

import cv2
import numpy as np
import pytest

from lib.datasets import ego4d, ego4d_annotation
from lib.errors import InputError
from lib.media import pictures, recordings
from lib.speakers.clips import prune
from lib.speakers.clips.disk import Disk
from tests import tiny_conversations as tiny
from tests.shared_files import shared


@pytest.fixture
def data(tmp_path):
    return tiny.make(tmp_path / "data")


def problems(root):
    table = ego4d.find(root)[1].problem_table()
    return " | ".join(f"{row.item}: {row.what}" for row in table.itertuples())


def test_every_person_with_a_face_is_a_trial(data):
    table, report = ego4d.find(data)
    assert table["trial"].tolist() == ["a_1", "b_1", "t"]
    assert table["split"].tolist() == ["train", "val", "test"]
    assert table["n_frames"].tolist() == [23, 20, 4]
    assert table["video_path"].iloc[0] == "video_imgs/a"
    assert table["audio_path"].iloc[0] == "wave/a.wav"
    assert report.problem_table().empty


def test_counts_are_compared_with_those_of_the_release(data):
    counts = ego4d.find(data)[1].count_table().set_index("item")
    assert counts["expected"].to_dict() | {} == {
        "train ids": 389,
        "val ids": 50,
        "test ids": 133,
        "picture folders": 439,
        "videos": 439,
        "wav files": 439,
    }
    assert counts["found"].to_dict()["train ids"] == 1


def test_the_last_line_of_a_list_counts_without_a_newline_after_it(data):
    (data / "split/train.list").write_bytes(b"a\r\n\nz")
    assert ego4d.look(data).ids["train"] == ["a", "z"]


@pytest.mark.parametrize("name", ["wav", "wave", "WAVE"])
def test_sound_is_found_under_both_names(data, name):
    (data / "wave").rename(data / "renamed")
    (data / "renamed").rename(data / name)
    assert ego4d.look(data).sound("a") == data / name / "a.wav"


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("../b", "cannot be a folder's name"),
        ("x/y", "cannot be a folder's name"),
        (".hidden", "cannot be a folder's name"),
        ("b", "b: stands in train.list"),
    ],
)
def test_ids_that_lead_elsewhere_or_stand_in_two_lists_are_left_out(data, line, named):
    (data / "split/train.list").write_text(f"a\n{line}")
    assert named in problems(data)
    ids = ego4d.look(data).ids
    assert ids["train"] == ["a"]
    assert ("b" in ids["val"]) == (line != "b")
    assert "stands in no list" not in problems(data)  # that it stands in two is another fault


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda d: (d / "video_imgs/a/img_00007.jpg").unlink(), "1 pictures are missing: 7"),
        (
            lambda d: (d / "video_imgs/a/img_00023.jpg").unlink(),
            "22 pictures for 23 annotated frames: img_00023.jpg",
        ),
        (lambda d: (d / "wave/a.wav").unlink(), "no wav file"),
        (lambda d: (d / "video_imgs/stranger").mkdir(), "stranger: stands in no list"),
        (
            lambda d: tiny.write_wav(d / "wave/stranger.wav", tiny.samples(2)),
            "stranger: stands in no list",
        ),
        (
            lambda d: tiny.write_annotations(d, {"val": [tiny.clip("b", 20), tiny.clip("c", 5)]}),
            "c: annotated, but stands",
        ),
        (
            lambda d: tiny.write_wav(d / "wave/a.wav", tiny.samples(12)),
            "a: the sound ends 0.37 s before its 23 pictures",
        ),
        (
            lambda d: tiny.write_wav(d / "wave/a.wav", tiny.samples(38)),
            "a: the sound goes on for 0.50 s after its 23 pic",
        ),
        (
            lambda d: tiny.write_wav(d / "wave/a.wav", tiny.samples(23), rate=8000),
            "a wav file of 8000 Hz and 1 channels",
        ),
        (lambda d: (d / "wave/a.wav").write_bytes(b"RIFF"), "a: the wav file cannot be read"),
        (lambda d: (d / "video_imgs/a").rename(d / "elsewhere"), "neither pictures nor video"),
        (lambda d: tiny.write_annotations(d, {"train": []}), "in no annotation file"),
    ],
)
def test_what_is_missing_is_named(data, spoil, named):
    spoil(data)
    assert named in problems(data)


def test_without_lists_the_message_says_what_is_expected(tmp_path):
    with pytest.raises(InputError, match="no list of training or validation clips"):
        ego4d.look(tmp_path)


# ---- annotation files


@pytest.mark.parametrize("chunk", [7, 100, 1 << 20])
def test_clips_are_found_in_a_file_however_it_is_cut_into_pieces(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(ego4d_annotation, "CHUNK", chunk)
    clips = [
        tiny.clip(uid, 30) | {"transcriptions": [{"transcription": 'süß "}{" \\'}]}
        for uid in ("a", "b", "c")
    ]
    for indent in (None, 1):
        for ascii_only in (True, False):
            path = tmp_path / "av.json"
            path.write_text(
                json.dumps(tiny.annotation("train", clips), indent=indent, ensure_ascii=ascii_only)
            )
            found = ego4d_annotation.scan(path)
            assert list(found.places) == ["a", "b", "c"]
            assert found.faults == []
            assert found.read("b").persons[0].voice.tolist() == [[5, 9], [13, 16]]


def test_a_file_that_is_cut_in_half_gives_the_clips_before_the_cut_and_says_so(tmp_path):
    text = json.dumps(tiny.annotation("train", [tiny.clip(uid, 30) for uid in "abc"])).encode()
    second = text.index(b'"b"')
    (tmp_path / "av.json").write_bytes(text[: second + 50])
    found = ego4d_annotation.scan(tmp_path / "av.json")
    assert list(found.places) == ["a"]
    assert "broken after 1 clips" in found.faults[0][1]


@pytest.mark.parametrize(
    "text", ["", "{", '{"videos": [{"clips": [17]}]}', '{"videos": [{"clips": [{"clip_uid": "a"']
)
def test_what_is_no_annotation_file_is_a_fault_and_no_crash(tmp_path, text):
    (tmp_path / "av.json").write_text(text)
    found = ego4d_annotation.scan(tmp_path / "av.json")
    assert found.faults
    assert not found.places


def test_an_id_that_leads_elsewhere_or_comes_twice_is_named(tmp_path):
    clips = [tiny.clip(uid, 30) for uid in ("a", "../../etc", "a")]
    (tmp_path / "av.json").write_text(json.dumps(tiny.annotation("train", clips)))
    found = ego4d_annotation.scan(tmp_path / "av.json")
    assert list(found.places) == ["a"]
    assert [what.split(";")[0].split(" '")[0] for _, what in found.faults] == [
        "clip_uid",
        "annotated twice",
    ]


def test_boxes_that_are_none_are_left_out_and_counted():
    told = tiny.clip("a", 30)
    told["persons"][0]["tracking_paths"][0]["track"] = [
        tiny.box(0),
        tiny.box(1, width=0),
        tiny.box(2, height=-4),
        tiny.box(3, x=float("nan")),
        {**tiny.box(4), "y": None},
        tiny.box(-1),
    ]
    clip = ego4d_annotation.parse(told)
    assert clip.persons[0].tracks["track_1"].tolist() == [[0, 4, 5, 14, 17]]
    text = "; ".join(clip.faults)
    assert "2 boxes not a number" in text
    assert "2 boxes of zero or negative size" in text
    assert "1 boxes of a negative frame" in text


def test_the_wearer_is_told_by_the_boolean_and_anchors_are_no_tracks():
    told = tiny.clip("a", 30)
    told["camera_wearer"] = None
    told["persons"].append(
        {"person_id": "0", "camera_wearer": True, "voice_segments": [tiny.voice(3, 4)]}
    )
    clip = ego4d_annotation.parse(told)
    assert [person.name for person in clip.persons] == ["1", "2"]
    assert list(clip.persons[0].tracks) == ["track_1"]
    assert clip.wearer_voice.tolist() == [[3, 4]]


def test_a_voice_that_ends_before_it_begins_is_left_out():
    told = tiny.clip("a", 30)
    told["persons"][0]["voice_segments"] = [
        tiny.voice(9, 3),
        {"start_frame": "x"},
        tiny.voice(1, 1),
    ]
    clip = ego4d_annotation.parse(told)
    assert clip.persons[0].voice.tolist() == [[1, 1]]
    assert "2 voice segments" in clip.faults[0]


def test_a_real_recording_in_this_schema_is_read():
    found = ego4d_annotation.scan(shared("media/grid_dialogue_2faces_ego4d_schema.json"))
    clip = found.read("grid_dialogue_2faces")
    assert (len(clip.persons), clip.n_frames) == (2, 300)
    assert all(len(track) == 300 for person in clip.persons for track in person.tracks.values())


# ---- folders of pictures as recordings


def test_a_folder_of_pictures_is_a_recording_without_sound(data):
    info = recordings.probe(data / "video_imgs/a")
    assert (info.width, info.height, info.n_frames, info.fps, info.audio_codec) == (
        32,
        24,
        23,
        30.0,
        "",
    )
    times = recordings.frame_times(data / "video_imgs/a")
    assert times.tolist() == [frame / 30 for frame in range(23)]
    shown = [
        (time, int(round(float(picture.mean()), -1)))
        for time, picture in recordings.frames(data / "video_imgs/a", 20)
    ]
    assert shown == [(20 / 30, 200), (21 / 30, 210), (22 / 30, 220)]


def test_numbers_begin_with_0_or_1_and_a_hole_is_named(tmp_path):
    for number in (0, 1, 3):
        cv2.imwrite(str(tmp_path / f"img_{number:05d}.jpg"), np.zeros((4, 4, 3), np.uint8))
    assert pictures.look(tmp_path) == pictures.Numbers(0, 4, (2,))
    with pytest.raises(InputError, match="1 pictures are missing: 2"):
        pictures.whole(tmp_path)
    with pytest.raises(InputError, match="no pictures"):
        pictures.look(tmp_path / "nowhere")


# ---- the test set


def test_a_dry_run_removes_nothing_and_lists_what_belongs_to_test_clips(data):
    before = tiny.tree(data)
    found = prune.plan(ego4d.look(data))
    assert [path.relative_to(data).as_posix() for path in found.paths] == [
        "video_imgs/t",
        "wave/t.wav",
    ]
    assert found.before.set_index("folder")["directories"].to_dict() == {"video_imgs": 3, "wave": 0}
    assert tiny.tree(data) == before


def test_pruning_leaves_train_and_val_and_counts_say_so(data):
    kept = {name: content for name, content in tiny.tree(data).items() if "/t" not in name}
    layout = ego4d.look(data)
    prune.remove(prune.plan(layout))
    assert {name: content for name, content in tiny.tree(data).items() if "/t" not in name} == kept
    counts = prune.counts(layout).set_index("folder")
    assert counts.loc["video_imgs", "directories"] == 2
    assert counts.loc["wave", "files"] == 2


def test_what_also_stands_in_another_list_is_never_pruned(data):
    (data / "split/test.list").write_text("t\na")
    assert [path.name for path in prune.plan(ego4d.look(data)).paths] == ["t", "t.wav"]


def test_pruning_removes_a_link_and_not_what_it_points_at(data, tmp_path):
    (data / "video_imgs/t").rename(tmp_path / "archive")
    (data / "video_imgs/t").symlink_to(tmp_path / "archive")
    prune.remove(prune.plan(ego4d.look(data)))
    assert not (data / "video_imgs/t").is_symlink()
    assert len(list((tmp_path / "archive").iterdir())) == 4


def test_pruning_that_was_broken_off_anywhere_is_finished_by_the_next_one(tmp_path):
    class Break(Exception):
        pass

    wanted = None
    for number in range(1, 10):
        data = tiny.make(tmp_path / str(number), {"a": 2, "t": 3})

        def before(count, what, path, number=number):
            if count == number:
                raise Break

        try:
            prune.remove(prune.plan(ego4d.look(data)), Disk(before))
        except Break:
            prune.remove(prune.plan(ego4d.look(data)))
        wanted = wanted or tiny.tree(data)
        assert tiny.tree(data) == wanted
        assert not any("/t" in name for name in wanted if name.startswith(("video_imgs", "wave")))


def test_lists_and_annotations_are_found_in_capitals(data):
    for path in [*data.rglob("*.list"), *data.rglob("av_*.json")]:
        path.rename(path.with_name(path.name.upper()))
    assert ego4d.find(data)[0]["trial"].tolist() == ["a_1", "b_1", "t"]


def test_an_id_that_is_too_long_for_a_folder_and_an_empty_wav_file_say_so(data):
    (path,) = data.rglob("train.list")
    path.write_text(path.read_text() + "\n" + "x" * 3000)
    next(data.rglob("a.wav")).write_bytes(b"")
    told = problems(data)
    assert "train.list: an id that cannot be a folder's name: 'xxx" in told
    assert "a: the wav file cannot be read (it ends in its header)" in told
