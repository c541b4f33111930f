"""Clips: what is cut where, what the disk holds after a break at any place, what `verify` finds."""

import errno
import json
import os
import shutil
import sys
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import InputError
from lib.media import pictures, writing
from lib.parallel import locks
from lib.speakers.clips import (
    VERSION,
    Settings,
    Span,
    index,
    jobs,
    labels,
    make,
    numbering,
    plan,
    sample_of,
    schema,
    spans,
)
from lib.speakers.clips import voices as clips_voices
from lib.speakers.clips.disk import Disk
from tests import tiny_conversations as tiny
from tests.waiting import until

THIRTY = Fraction(30)


@pytest.fixture
def data(tmp_path):
    return tiny.make(tmp_path / "data")


@pytest.fixture
def job(data, tmp_path):
    return tiny.job(data, tmp_path / "clips")


def done(job, **more):
    """Run a job to its end; every video must have been done."""
    outcomes = jobs.run(job, **more)
    assert all(outcome.ok for outcome in outcomes), jobs.faults(outcomes, job).to_string()
    return outcomes


def failures(job):
    return jobs.check(job).failure_table()


# ---- where clips begin and end


@pytest.mark.parametrize(
    ("length", "clips"), [(450, 20), (150, 60), (300, 30), (900, 10), (1000, 9)]
)
def test_five_minutes_give_the_published_number_of_clips(length, clips):
    some, dropped = spans(9000, THIRTY, Settings(length=length))
    assert len(some) == clips
    assert sum(span.n_frames for span in some) + dropped == 9000


def test_a_clip_of_450_frames_has_240000_samples():
    assert sample_of(900, THIRTY) - sample_of(450, THIRTY) == 240_000


@given(
    n=st.integers(1, 5000),
    length=st.integers(1, 700),
    tail=st.sampled_from(["keep", "drop"]),
    fps=st.sampled_from([Fraction(30), Fraction(25), Fraction(30000, 1001), Fraction(24)]),
)
def test_neighbouring_clips_tile_frames_and_samples_without_gap_or_overlap(n, length, tail, fps):
    some, dropped = spans(n, fps, Settings(length=length, tail=tail))
    edges = [0] + [span.stop for span in some]
    assert [span.start for span in some] == edges[:-1]
    assert edges[-1] + dropped == n
    assert (
        sample_of(n, fps) * fps.numerator
        <= n * 16_000 * fps.denominator
        < (sample_of(n, fps) + 1) * fps.numerator
    )


def test_a_tail_is_kept_dropped_or_filled_up():
    kept, dropped = spans(25, THIRTY, Settings(length=10, min_tail=0.1))
    assert (kept[-1], dropped) == (Span(20, 25, 5), 0)
    assert spans(25, THIRTY, Settings(length=10, tail="drop")) == (
        [Span(0, 10, 10), Span(10, 20, 10)],
        5,
    )
    assert spans(25, THIRTY, Settings(length=10, tail="pad"))[0][-1] == Span(20, 30, 5)
    assert spans(25, THIRTY, Settings(length=10))[1] == 5  # shorter than a second


def test_overlapping_clips_end_when_nothing_new_is_left():
    assert [span.start for span in spans(20, THIRTY, Settings(length=10, hop=5))[0]] == [0, 5, 10]


def test_settings_that_mean_nothing_are_refused():
    for wrong in (
        {"length": 0},
        {"hop": -1},
        {"frames": "teleport"},
        {"tail": "cat"},
        {"numbering": "roman"},
    ):
        with pytest.raises(InputError):
            Settings(**wrong)


# ---- labels


def test_a_voice_segment_includes_its_last_frame_and_ends_with_the_video():
    assert np.flatnonzero(labels.voiced(np.array([[2, 4], [8, 99]]), 10)).tolist() == [
        2,
        3,
        4,
        8,
        9,
    ]


def test_a_gap_is_filled_linearly_up_to_the_limit_and_not_beyond():
    rows = np.array([[0, 0, 0, 10, 10], [4, 8, 4, 18, 14], [25, 0, 0, 10, 10]], float)
    faults = []
    boxes, kind = labels.follow([rows], 30, (100, 100), 15, faults)
    assert boxes[2].tolist() == [4, 2, 14, 12]
    assert kind.tolist() == [1, 2, 2, 2, 1] + [0] * 20 + [1] + [0] * 4
    assert labels.follow([rows], 30, (100, 100), 2, faults)[1][1] == 0
    assert faults == []


def test_boxes_are_cut_at_the_edges_and_named_when_they_are_outside():
    rows = np.array([[0, -20, 5, 80, 200], [1, 200, 5, 220, 10], [99, 0, 0, 5, 5]], float)
    faults = []
    boxes, kind = labels.follow([rows], 10, (100, 50), 0, faults, "person 1")
    assert boxes[0].tolist() == [0, 5, 80, 50]  # cut, not moved
    assert kind.tolist() == [1] + [0] * 9
    assert faults == [
        "person 1: 1 boxes outside the picture are left out",
        "person 1: 1 boxes beyond the last picture are left out",
    ]


def test_of_two_boxes_in_a_frame_the_larger_one_stays_and_both_are_counted():
    first, second = (np.array([[3, 0, 0, side, side]], float) for side in (5, 9))
    for order in ([first, second], [second, first]):
        faults = []
        assert labels.follow(order, 5, (50, 50), 0, faults)[0][3].tolist() == [0, 0, 9, 9]
        assert "1 times more than one box in a frame" in faults[0]


def test_an_annotated_box_wins_against_a_filled_one_of_another_track():
    filled = np.array([[0, 0, 0, 30, 30], [2, 0, 0, 30, 30]], float)
    annotated = np.array([[1, 0, 0, 5, 5]], float)
    for order in ([filled, annotated], [annotated, filled]):
        boxes, kind = labels.follow(order, 3, (50, 50), 15, [])
        assert boxes[1].tolist() == [0, 0, 5, 5]
        assert kind.tolist() == [1, 1, 1]


def test_labels_of_a_clip_are_those_of_the_definition(job):
    done(job)
    told = schema.read(job.root / "train/a/clip_f000010/clip.json")
    one, two = told["persons"]
    # Frames 10…19: person 1 is seen throughout (12–14 filled), voiced in 13–16; person 2 voiced in
    # 18–19, never seen.
    assert one["asd"].tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]
    assert one["visible"].tolist() == [1] * 10
    assert [row[5] for row in one["boxes"]] == ["gt"] * 2 + ["interp"] * 3 + ["gt"] * 5
    assert two["asd"].tolist() == [-1] * 10
    assert told["speech"].tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 1, 1]
    assert told["speech_visible"].tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]
    assert told["speech_offscreen"].tolist() == [0] * 8 + [1, 1]
    assert (
        schema.read(job.root / "train/a/clip_f000000/clip.json")["speech_wearer"].tolist()
        == [1] + [0] * 9
    )


def labelled(data, root, persons, wearer=(), **changes):
    """The first clip of video `a`, whose annotation has these `persons` and voices of the
    wearer.
    """
    told = tiny.clip("a", 23)
    told["persons"] = persons
    told["camera_wearer"]["voice_segments"] = list(wearer)
    tiny.write_annotations(data, {"train": [told]})
    done(tiny.job(data, root, **changes))
    return schema.read(root / "train/a/clip_f000000/clip.json")


def person(name, seen, *voices):
    tracks = {f"track_{name}{number}": some for number, some in enumerate(seen)}
    return {
        "person_id": name,
        "camera_wearer": False,
        "voice_segments": list(voices),
        "tracking_paths": [
            {"track_id": track, "track": [tiny.box(frame) for frame in frames]}
            for track, frames in tracks.items()
        ],
    }


@pytest.mark.parametrize("unit", ["person", "track"])
def test_a_voice_out_of_the_picture_is_told_beside_one_in_it_and_is_not_the_wearers(
    data, tmp_path, unit
):
    told = labelled(
        data,
        tmp_path / "two",
        [
            person("1", [range(0, 6), range(6, 9)], tiny.voice(2, 7)),
            person("2", [], tiny.voice(5, 9)),
        ],
        [tiny.voice(0, 0)],
        unit=unit,
    )
    assert np.flatnonzero(told["speech_visible"]).tolist() == [2, 3, 4, 5, 6, 7]
    assert np.flatnonzero(told["speech_offscreen"]).tolist() == [
        5,
        6,
        7,
        8,
        9,
    ]  # never the person's other track
    assert np.flatnonzero(told["speech_wearer"]).tolist() == [0]
    assert np.flatnonzero(told["speech"]).tolist() == [0, 2, 3, 4, 5, 6, 7, 8, 9]
    assert np.flatnonzero(told["face_visible"]).tolist() == list(range(9))


@pytest.mark.parametrize("unit", ["person", "track"])
def test_where_nobody_is_annotated_no_face_is_seen_and_without_annotation_that_is_not_known(
    data, tmp_path, unit
):
    told = labelled(data, tmp_path / "none", [person("2", [], tiny.voice(1, 2))], unit=unit)
    assert not told["face_visible"].any()
    assert np.flatnonzero(told["speech"]).tolist() == [1, 2]
    tiny.write_annotations(data, {"train": []})
    done(tiny.job(data, tmp_path / "unknown", unit=unit))
    told = schema.read(tmp_path / "unknown/train/a/clip_f000000/clip.json")
    assert not {"face_visible", "speech", "speech_offscreen"} & set(told)


def test_track_units_give_a_sequence_a_track(data, tmp_path):
    job = tiny.job(data, tmp_path / "tracks", unit="track")
    done(job)
    assert {line["person_id"] for line in schema.lines(job.root, "train")} == {"1:track_1"}


def test_any_sound_by_level_is_another_label_than_a_voice(data, tmp_path):
    sound = np.zeros(23 * 16_000 // 30, "<i2")
    sound[sample_of(5, THIRTY) : sample_of(8, THIRTY)] = 8000
    tiny.write_wav(data / "wave/a.wav", sound)
    job = tiny.job(data, tmp_path / "any", voice="energy")
    done(job)
    told = schema.read(job.root / "train/a/clip_f000000/clip.json")
    assert np.flatnonzero(told["speech"]).tolist() == [5, 6, 7]
    assert np.flatnonzero(told["persons"][0]["asd"] == 1).tolist() == [
        5,
        6,
        7,
        8,
        9,
    ]  # as annotated


@pytest.fixture
def silero(monkeypatch):
    """Stands for the package silero-vad: it hears a voice in samples 3000…8500."""
    heard = SimpleNamespace(
        load_silero_vad=lambda: "net",
        get_speech_timestamps=lambda wave, net, sampling_rate: (
            [{"start": 3000, "end": 8500}]
            if (len(wave), float(abs(wave).max()) <= 1) == (12_266, True)
            else []
        ),
    )
    monkeypatch.setitem(sys.modules, "silero_vad", heard)


def test_a_detected_voice_labels_every_frame_that_it_touches(data, tmp_path, silero):
    job = tiny.job(data, tmp_path / "vad", voice="vad")
    done(job)
    told = schema.read(job.root / "train/a/clip_f000000/clip.json")
    # A frame has 533⅓ samples: 3000 lies in frame 5, 8500 in frame 15 (the next clip).
    assert np.flatnonzero(told["speech"]).tolist() == [5, 6, 7, 8, 9]
    assert np.flatnonzero(
        schema.read(job.root / "train/a/clip_f000010/clip.json")["speech"]
    ).tolist() == list(range(6))
    assert np.flatnonzero(told["persons"][0]["asd"] == 1).tolist() == [
        5,
        6,
        7,
        8,
        9,
    ]  # as annotated
    assert told["source"]["voice"] == "vad"


def test_without_the_detectors_package_the_message_says_what_to_install(
    data, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    bad, _ = jobs.run(tiny.job(data, tmp_path / "vad", voice="vad"))
    assert "pip install silero-vad" in bad.error.todo


def test_silence_has_no_sound_at_any_level():
    assert not clips_voices.energy(np.zeros(16_000, np.int16), 30, THIRTY).any()


def test_runs_of_numbers_are_read_as_they_were_written():
    generator = np.random.default_rng(0)
    for share in (0.0, 0.03, 0.5):
        values = (generator.random(200) < share).astype(np.int8)
        assert schema.numbers(index.runs(values), 200, "").tolist() == values.tolist()
    assert "rle" in index.runs(np.zeros(450))
    with pytest.raises(InputError, match="3 values for 4 frames"):
        schema.numbers({"rle": [[1, 3]]}, 4, "")


# ---- files


def test_every_picture_lies_under_its_frame_number_as_a_hard_link(job, data):
    done(job)
    for frame in range(23):
        start = frame - frame % 10
        placed = job.root / f"train/a/clip_f{start:06d}/frames/img_{frame:05d}.jpg"
        assert os.path.samefile(placed, data / f"video_imgs/a/img_{frame + 1:05d}.jpg")


def test_the_sound_of_clips_put_together_is_the_sound_of_the_video(job, data):
    done(job)
    names = [
        "clip_f000000/audio_f000000_f000009.wav",
        "clip_f000010/audio_f000010_f000019.wav",
        "clip_f000020/audio_f000020_f000022.wav",
    ]
    joined = np.concatenate([tiny.read_wav(job.root / "train/a" / name) for name in names])
    assert joined.tolist() == tiny.samples(23)[: sample_of(23, THIRTY)].tolist()


def test_test_clips_are_never_written(job):
    done(job)
    assert sorted(path.name for path in job.root.iterdir()) == [
        "dataset.json",
        "train",
        "train.jsonl",
        "val",
        "val.jsonl",
    ]


def test_pictures_numbered_from_0_give_the_same_clips(tmp_path):
    trees = []
    for base in (0, 1):
        job = tiny.job(tiny.make(tmp_path / f"data{base}", base=base), tmp_path / f"clips{base}")
        done(job)
        trees.append(
            {
                name: content
                for name, content in tiny.tree(job.root).items()
                if not name.endswith(".json")
            }
        )
    assert trees[0] == trees[1]


@pytest.mark.parametrize("how", ["hard", "sym", "copy", "move", "none"])
def test_pictures_get_into_clips_in_each_way_and_are_verified(data, tmp_path, how):
    job = tiny.job(data, tmp_path / "clips", frames=how)
    done(job)
    assert failures(job).empty
    told = schema.read(job.root / "train/a/clip_f000010/clip.json")
    folder = job.root / "train/a/clip_f000010" / told["frames"]["dir"]
    first = folder / (told["frames"]["pattern"] % told["frames"]["first"])
    assert first.is_file()
    assert len(pictures.numbered(data / "video_imgs/a")) == (0 if how == "move" else 23)
    before = tiny.tree(job.root)
    done(job)  # again: nothing changes, not even after the pictures have been moved away
    assert tiny.tree(job.root) == before


def test_a_short_wav_is_filled_with_silence_and_says_how_much_was_there(data, tmp_path):
    tiny.write_wav(data / "wave/a.wav", tiny.samples(15))
    job = tiny.job(data, tmp_path / "clips")
    done(job)
    told = schema.read(job.root / "train/a/clip_f000010/clip.json")["audio"]
    assert (told["n_samples"], told["valid_samples"]) == (5333, 8000 - 5333)
    sound = tiny.read_wav(job.root / "train/a/clip_f000010" / told["path"])
    assert sound[:2667].tolist() == tiny.samples(15)[5333:].tolist()
    assert not sound[2667:].any()


def test_filled_up_tails_keep_their_nominal_name_and_length(data, tmp_path):
    job = tiny.job(data, tmp_path / "clips", tail="pad")
    done(job)
    assert failures(job).empty
    told = schema.read(job.root / "train/a/clip_f000020/clip.json")
    assert (told["n_frames"], told["end_frame"], told["audio"]["n_samples"]) == (3, 29, 5334)
    assert told["valid"].tolist() == [1] * 3 + [0] * 7
    assert "valid" not in schema.read(job.root / "train/a/clip_f000010/clip.json")


@pytest.mark.parametrize(
    ("n_frames", "named"),
    [
        (15, "the sound ends 0.27 s before its 23 pictures: silence stands where it is missing"),
        (30, "the sound goes on for 0.23 s after its 23 pictures: that end is in no clip"),
        (22, ""),
    ],
)
def test_sound_that_is_shorter_or_longer_than_its_pictures_is_named(
    data, tmp_path, n_frames, named
):
    tiny.write_wav(data / "wave/a.wav", tiny.samples(n_frames))
    job = tiny.job(data, tmp_path / "clips")
    told = jobs.faults(done(job), job)
    assert " ".join(told[told["video"] == "a"]["what"]) == named
    assert failures(job).empty


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: (d / "wave/a.wav").unlink(), "no sound"),
        (lambda d: tiny.write_wav(d / "wave/a.wav", tiny.samples(23), rate=44_100), "44100 Hz"),
        (
            lambda d: tiny.write_wav(d / "wave/a.wav", tiny.samples(24)[:12266], channels=2),
            "2 channels",
        ),
        (lambda d: (d / "wave/a.wav").write_bytes(b"RIFF"), "cannot be read"),
        (lambda d: (d / "video_imgs/a/img_00007.jpg").unlink(), "1 pictures are missing: 7"),
        (lambda d: (d / "video_imgs/a/img_00001.jpg").write_bytes(b""), "cannot be read"),
    ],
)
def test_a_bad_video_is_named_and_the_others_are_finished(data, tmp_path, spoil, message):
    spoil(data)
    job = tiny.job(data, tmp_path / "clips")
    bad, good = jobs.run(job)
    assert message in str(bad.error)
    assert good.ok
    assert (job.root / "val/b/clip_f000000/clip.json").is_file()
    assert not (job.root / "train/a").exists()


def test_a_video_without_sound_becomes_silent_clips_when_that_is_wanted(data, tmp_path):
    (data / "wave/a.wav").unlink()
    job = tiny.job(data, tmp_path / "clips", no_sound=True)
    done(job)
    told = schema.read(job.root / "train/a/clip_f000000/clip.json")["audio"]
    assert (told["n_samples"], told["valid_samples"]) == (5333, 0)


def test_another_length_in_the_same_root_is_refused_and_nothing_is_touched(job, data):
    done(job)
    before = tiny.tree(job.root)
    other = tiny.job(data, job.root, length=5)
    with pytest.raises(InputError, match="length is 10"):
        jobs.run(other)
    assert tiny.tree(job.root) == before


def test_clips_that_an_older_program_described_are_described_again(job):
    done(job)
    whole = tiny.tree(job.root)
    for path in [job.root / "dataset.json", *job.root.rglob("clip.json")]:
        told = path.read_text().replace(f'"version":{VERSION}', '"version":1')
        path.write_text(told.replace("speech_offscreen", "old"))
    done(job)
    assert tiny.tree(job.root) == whole


def test_a_folder_that_is_no_root_of_clips_is_refused(job):
    job.root.mkdir()
    (job.root / "thesis.tex").write_text("two years of work")
    with pytest.raises(InputError, match="not empty"):
        jobs.run(job)
    assert [path.name for path in job.root.iterdir()] == ["thesis.tex"]


def test_making_twice_changes_nothing(job):
    done(job)
    before = {path: path.stat().st_mtime_ns for path in job.root.rglob("*")}
    done(job)
    assert {path: path.stat().st_mtime_ns for path in job.root.rglob("*")} == before


def test_a_full_disk_says_what_to_do_and_the_next_run_finishes(job, monkeypatch):
    real, calls = os.link, []

    def link(source, target):
        calls.append(target)
        if len(calls) > 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(InputError, match="left on the device"):
        jobs.run(job)
    monkeypatch.setattr(os, "link", real)
    done(job)
    assert failures(job).empty


def test_hard_links_become_copies_on_another_file_system(job, data, monkeypatch):
    def link(source, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    outcomes = done(job)
    assert outcomes[0].value[0].placed == {"copy": 23}
    assert (data / "video_imgs/a/img_00001.jpg").stat().st_nlink == 1


# ---- breaks


class Break(BaseException):
    """The machine stops here: nothing in the program is prepared for it."""


def stopping_at(number):
    def before(count, what, path):
        if count == number:
            raise Break(f"{what} {path}")

    return Disk(before)


def one_after_the_other(job, commands, disk=None):
    for steps in commands:
        done(job, steps=steps, disk=disk)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Two short videos, and the tree that an unbroken run makes of them."""
    place = tmp_path_factory.mktemp("small")
    data = tiny.make(place / "data", {"a": 5, "b": 3})
    whole = tiny.job(data, place / "whole", length=3, min_tail=0.01)
    disk = Disk()
    done(whole, disk=disk)
    return data, tiny.tree(whole.root), disk.count


@pytest.mark.parametrize(
    "commands", [[jobs.STEPS], [("make",), ("renumber",), ("index",)]], ids=["all", "each"]
)
def test_after_a_break_at_any_operation_a_second_run_gives_the_same_tree(small, tmp_path, commands):
    data, whole, operations = small
    counted = Disk()
    one_after_the_other(
        tiny.job(data, tmp_path / "unbroken", length=3, min_tail=0.01), commands, counted
    )
    assert tiny.tree(tmp_path / "unbroken") == whole
    assert counted.count >= operations > 40
    for number in range(1, counted.count + 1):
        job, disk = (
            tiny.job(data, tmp_path / str(number), length=3, min_tail=0.01),
            stopping_at(number),
        )
        with pytest.raises(Break):
            one_after_the_other(job, commands, disk)
        one_after_the_other(job, commands)
        assert tiny.tree(job.root) == whole, f"after a break at operation {number}"


@pytest.mark.parametrize(("first", "then"), [(("make",), jobs.STEPS), (jobs.STEPS, ("make",))])
def test_a_break_in_one_command_can_be_finished_with_another_one(small, tmp_path, first, then):
    data, whole, _ = small
    for number in (3, 5, 6, 8, 14, 20):
        job = tiny.job(data, tmp_path / str(number), length=3, min_tail=0.01)
        with pytest.raises(Break):
            jobs.run(job, first, disk=stopping_at(number))
        done(job, steps=then)
        done(job)
        assert tiny.tree(job.root) == whole, f"after a break at operation {number}"


def test_after_a_break_while_moving_no_picture_is_lost(tmp_path):
    number = 0
    while True:
        number += 1
        place = tmp_path / str(number)
        data = tiny.make(place / "data", {"a": 4, "b": 2})
        job = tiny.job(data, place / "clips", length=3, min_tail=0.01, frames="move")
        try:
            jobs.run(job, disk=stopping_at(number))
        except Break:
            jobs.run(job)
            assert len(list(job.root.rglob("*.jpg"))) == 6, f"after a break at operation {number}"
            assert failures(job).empty
        else:
            break
    assert number > 20


def test_a_picture_that_was_lost_is_put_back_under_its_name(job):
    done(job)
    before = tiny.tree(job.root)
    (job.root / "train/a/clip_f000010/frames/img_00013.jpg").unlink()
    done(job)
    assert tiny.tree(job.root) == before


def test_a_picture_that_is_gone_everywhere_is_named(job, data):
    done(job)
    (job.root / "train/a/clip_f000010/frames/img_00013.jpg").unlink()
    (data / "video_imgs/a/img_00014.jpg").unlink()
    bad, good = jobs.run(job)
    assert "img_00014.jpg" in bad.error.where
    assert good.ok


def test_pictures_out_of_a_film_are_finished_after_a_break_and_are_its_frames(tmp_path):
    data = tiny.make(tmp_path / "data", {"a": 7, "b": 2})
    shutil.rmtree(data / "video_imgs/a")
    shades = [np.full((24, 32, 3), 30 * frame, np.uint8) for frame in range(7)]
    (data / "videos").mkdir()
    writing.write_video(data / "videos/a.mp4", shades, np.arange(7) / 30)
    for number in (6, 9, 12, 15, 20):
        job = tiny.job(data, tmp_path / str(number), length=3, min_tail=0.01)
        with pytest.raises(Break):
            jobs.run(job, disk=stopping_at(number))
        done(job)
        assert failures(job).empty
        shown = [
            pictures.read(path).mean() for path in sorted((job.root / "train/a").rglob("*.jpg"))
        ]
        assert np.abs(np.array(shown) - 30 * np.arange(7)).max() < 6


def test_half_written_files_are_cleared_away(job):
    done(job)
    (job.root / "train/a/clip_f000000/clip.json.part").write_bytes(b"{")
    done(job)
    assert not list(job.root.rglob("*.part"))


# ---- numbers


@pytest.fixture
def frames(tmp_path):
    """Pictures of a clip of frames 4…8, as ffmpeg numbers them: 5…9; each holds its frame."""
    folder = tmp_path / "clip_f000004" / "frames"
    folder.mkdir(parents=True)
    for frame in range(4, 9):
        (folder / f"img_{frame + 1:05d}.jpg").write_text(str(frame))
    (folder / make.MARKER).write_text(json.dumps(make.marker("source", 1, 5, 5, 5)))
    return str(folder)


def held(frames):
    """number -> what the picture of that number shows."""
    return {
        number: Path(frames, pictures.PATTERN % number).read_text()
        for number in sorted(pictures.numbered(frames))
    }


def test_renumbering_twice_shifts_once(frames):
    assert numbering.renumber(frames, "global") == 5
    assert numbering.renumber(frames, "global") == 0
    assert held(frames) == {frame: str(frame) for frame in range(4, 9)}


def test_numbers_begin_with_0_in_each_clip_when_that_is_wanted(frames):
    numbering.renumber(frames, "clip")
    assert held(frames) == {frame - 4: str(frame) for frame in range(4, 9)}


@pytest.mark.parametrize("first", ["global", "clip"])
@pytest.mark.parametrize("second", ["global", "clip"])
def test_renumbering_can_be_changed_and_undone(frames, first, second):
    before = set(tiny.tree(Path(frames)))
    numbering.renumber(frames, first)
    numbering.renumber(frames, second)
    shift = 0 if second == "global" else 4
    assert held(frames) == {frame - shift: str(frame) for frame in range(4, 9)}
    numbering.undo(frames)
    assert held(frames) == {frame + 1: str(frame) for frame in range(4, 9)}
    assert set(tiny.tree(Path(frames))) == before
    assert numbering.undo(frames) == 0


@pytest.mark.parametrize("scope", ["global", "clip"])
@pytest.mark.parametrize("number", range(1, 8))
def test_an_interrupted_renumbering_goes_on_where_it_stopped_or_is_undone(frames, scope, number):
    shift = 0 if scope == "global" else 4
    with pytest.raises(Break):
        numbering.renumber(frames, scope, stopping_at(number))
    if number % 2:
        numbering.undo(frames)
        assert held(frames) == {frame + 1: str(frame) for frame in range(4, 9)}
    numbering.renumber(frames, scope)
    assert held(frames) == {frame - shift: str(frame) for frame in range(4, 9)}


@pytest.mark.parametrize("number", range(1, 8))
def test_an_interrupted_undo_goes_on_where_it_stopped(frames, number):
    numbering.renumber(frames, "global")
    with pytest.raises(Break):
        numbering.undo(frames, stopping_at(number))
    numbering.undo(frames)
    assert held(frames) == {frame + 1: str(frame) for frame in range(4, 9)}


def test_names_that_nobody_can_explain_are_left_alone(frames):
    os.rename(os.path.join(frames, "img_00007.jpg"), os.path.join(frames, "img_00070.jpg"))
    before = held(frames)
    with pytest.raises(InputError, match="numbered in no known way"):
        numbering.renumber(frames, "global")
    assert held(frames) == before


# ---- verify


def spoil_index(job):
    path = job.root / "train.jsonl"
    path.write_bytes(path.read_bytes().split(b"\n", 1)[1])


def rewrite(job, change):
    path = job.root / "train/a/clip_f000010/clip.json"
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (
            lambda j: (j.root / "train/a/clip_f000010/frames/img_00013.jpg").unlink(),
            "img_00013.jpg",
        ),
        (
            lambda j: (j.root / "train/a/clip_f000010/frames/img_00020.jpg").write_bytes(b"x"),
            "img_00020.jpg",
        ),
        (
            lambda j: os.replace(
                j.root / "train/a/clip_f000010/frames/img_00010.jpg",
                j.root / "train/a/clip_f000010/frames/img_00020.jpg",
            ),
            "img_00010.jpg",
        ),
        (lambda j: (j.root / "train/a/clip_f000010/clip.json").unlink(), "clip_f000010/clip.json"),
        (
            lambda j: (j.root / "train/a/clip_f000010/clip.json").write_text('{"schema": "av'),
            "cut off",
        ),
        (
            lambda j: (j.root / "train/a/clip_f000010/audio_f000010_f000019.wav").unlink(),
            "audio_f000010_f000019.wav",
        ),
        (
            lambda j: tiny.write_wav(
                j.root / "train/a/clip_f000010/audio_f000010_f000019.wav", tiny.samples(9)
            ),
            "expected 5333",
        ),
        (lambda j: (j.root / "train/extra").mkdir(), "extra should not be there"),
        (lambda j: (j.root / "train/a/clip_f000030").mkdir(), "clip_f000030"),
        (
            lambda j: rewrite(j, lambda t: t["persons"][0]["visible"].update(rle=[[2, 10]])),
            "other values than",
        ),
        (
            lambda j: rewrite(j, lambda t: t["persons"][0]["boxes"][0].__setitem__(3, 1.0)),
            "1 boxes that are none",
        ),
        (
            lambda j: rewrite(
                j, lambda t: t["persons"][0]["boxes"][0].__setitem__(3, float("nan"))
            ),
            "1 boxes that are none",
        ),
        (
            lambda j: rewrite(j, lambda t: t["persons"][0]["boxes"][0].__setitem__(3, 99.0)),
            "1 boxes that are none",
        ),
        (lambda j: rewrite(j, lambda t: t["speech"].pop()), "9 values for 10 frames"),
        (lambda j: rewrite(j, lambda t: t.update(split="val")), "split is 'val'"),
        (spoil_index, "units in train.jsonl"),
        (lambda j: (j.root / "val.jsonl").unlink(), "no index of clips"),
        (lambda j: (j.root / "dataset.json").unlink(), "no clips here"),
    ],
)
def test_verify_names_what_is_wrong(job, spoil, named):
    done(job)
    assert failures(job).empty
    spoil(job)
    checks = jobs.check(job)
    found = checks.failure_table()
    assert named in " ".join(" ".join(map(str, row)) for row in found.to_numpy().tolist())
    assert not checks.table()["ok"].all() or not found.empty


def test_verify_names_a_picture_that_the_data_set_has_lost(job, data):
    done(job)
    (data / "video_imgs/a/img_00005.jpg").unlink()
    assert "img_00005.jpg" in failures(job)["what"].str.cat()


def half_pruned(data):
    (data / "split/test.list").write_text("t\nu")
    for uid in "tu":
        tiny.write_wav(data / f"wave/{uid}.wav", tiny.samples(4))


@pytest.mark.parametrize(
    ("spoil", "check", "named"),
    [
        (
            lambda d: tiny.write_wav(d / "wave/x.wav", tiny.samples(2)),
            "wav files of the data set = train and val",
            "x should not be there",
        ),
        (
            lambda d: (d / "wave/b.wav").unlink(),
            "wav files of the data set = train and val",
            "b is missing",
        ),
        (
            lambda d: (d / "video_imgs/y").mkdir(),
            "folders of pictures = train and val",
            "y should not be there",
        ),
        (
            lambda d: shutil.rmtree(d / "video_imgs/b"),
            "folders of pictures = train and val",
            "b is missing",
        ),
        (
            lambda d: (half_pruned(d), (d / "wave/u.wav").unlink()),
            "wav files of the data set = train and val",
            "1 of 2 test clips are left: type the prune command again",
        ),
        (lambda d: (d / "split/test.list").write_text("t\nb"), "ids in two lists", "1, expected 0"),
    ],
)
def test_verify_compares_the_folders_of_the_data_set_with_its_lists(
    job, data, tmp_path, spoil, check, named
):
    done(job)
    spoil(data)
    checks = jobs.check(tiny.job(data, tmp_path / "clips"))
    told = checks.failure_table()
    assert named in told[told["check"] == check]["what"].tolist()
    assert not checks.table().set_index("check")["ok"].loc[check]


def test_verify_counts_what_the_specification_counts(job):
    done(job)
    table = jobs.check(job).table().set_index("check")
    # Two videos of 23 and 20 frames in clips of 10; one test clip is there, not pruned, and in no
    # count.
    assert table["found"].to_dict() == {
        "train ids": 1,
        "val ids": 1,
        "test ids": 1,
        "ids in two lists": 0,
        "folders of pictures = train and val": 2,
        "wav files of the data set = train and val": 2,
        "train: folders of videos": 1,
        "val: folders of videos": 1,
        "clips": 5,
        "pictures in clips": 43,
        "wav files, 16 kHz, mono, 16 bits, exact length": 5,
        "descriptions (clip.json)": 5,
        "units in train.jsonl and val.jsonl": 4,
    }
    assert table["ok"].all()


def test_verify_says_when_clips_were_renumbered_after_their_description(data, tmp_path):
    job = tiny.job(data, tmp_path / "clips")
    done(job)
    jobs.undo(job)
    assert "python -m lib clips index" in failures(job)["what"].str.cat()
    done(job, steps=("index",))
    assert failures(job).empty


# ---- plan and items for other programs


def test_the_plan_counts_what_is_then_made(job):
    planned = plan.plan(job.sources, job.root, job.settings)
    done(job)
    assert planned["frames"].sum() == 43
    assert planned["clips"].sum() == 5
    written = sum(path.stat().st_size for path in job.root.rglob("*.wav"))
    assert planned["sound_bytes"].sum() == written


def test_the_plan_of_all_of_ego4d_is_that_of_the_specification():
    planned = plan.scaled(439, 9000, Settings())
    assert planned["frames"].sum() == 3_951_000
    assert planned["clips"].sum() == 8780
    assert planned["sound_bytes"].sum() == pytest.approx(4.2e9, rel=0.01)


def test_too_little_room_stops_before_anything_is_written(job, monkeypatch):
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 1000}))
    with pytest.raises(InputError, match="not enough room"):
        jobs.run(job)
    assert not job.root.exists()


def test_where_a_probe_finds_no_room_the_plan_says_how_much_is_missing(job, monkeypatch):
    def link(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 1000}))
    with pytest.raises(InputError, match="not enough room: space"):
        jobs.run(job)


def test_clips_for_the_public_code_have_a_box_for_every_label_and_its_picture_numbers(
    data, tmp_path
):
    job = replace(tiny.job(data, tmp_path / "clips"), for_published=True)
    done(job)
    place = job.root / "talknet"
    rows = [
        line.split("\t")
        for line in (place / "ego4d/csv/active_speaker_train.csv").read_text().splitlines()
    ]
    assert [row[0] for row in rows] == ["a_f000000:track_1:0", "a_f000010:track_1:0"]
    for entity, count, rate, told, first in rows:
        boxes = json.loads((place / "ego4d/bbox" / f"{entity}.json").read_text())
        numbers = [box["frame"] for box in boxes]
        assert numbers == list(range(int(first), int(first) + int(count)))
        assert len(json.loads(told)) == int(count)
        assert rate == "30.0"
        name = entity.split(":")[0]
        assert (place / "wave" / f"{name}.wav").is_file()
        assert all(
            (place / "video_imgs" / name / f"img_{number:05d}.jpg").is_file() for number in numbers
        )
    # Frame 13 of the video, where person 1 begins to speak, is frame 3 of the second clip.
    assert json.loads(rows[1][3])[2] == 1
    assert os.path.samefile(
        place / "video_imgs/a_f000010/img_00003.jpg", data / "video_imgs/a/img_00014.jpg"
    )


def test_two_commands_on_the_same_clips_work_one_after_the_other(job, capsys):
    """They would take each other's half written files away."""
    other = threading.Thread(target=done, args=[job])
    with locks.held(job.root.with_name(f".{job.root.name}.lock"), 0, remove=True):
        other.start()
        assert until(lambda: "waiting for another process" in capsys.readouterr().out)
        assert not job.root.exists()
    other.join()
    assert jobs.check(job).failures == []
    assert not list(job.root.parent.glob(".*"))
