"""One bad file costs one trial: whatever is in a stranger's file, its reader says which file, where
and why.
"""

import json
import os
import signal
import zlib

import cv2
import numpy as np
import pytest

from lib.datasets import ego4d_annotation, folder, splits, tsav_database
from lib.datasets.contents import look
from lib.datasets.names import of_recordings
from lib.datasets.report import Report
from lib.errors import InputError, foreign
from lib.faces import crops, openface
from lib.labels import formats, official, tables
from lib.media import kinds, pictures, recordings

TABLE = "time,valence,arousal\n" + "".join(f"{k / 10:.2f},{k / 20:.3f},0.5\n" for k in range(8))
AFEW = json.dumps({"frames": {"00000": {"valence": 2.0, "arousal": -3.0}}})
NOVA = (
    '<annotation ssi-v="3"><info ftype="ASCII" size="2"/><meta annotator="a"/>'
    '<scheme name="valence" type="CONTINUOUS" sr="10" min="-1" max="1"/></annotation>'
)
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
<MEDIA_DESCRIPTOR MEDIA_URL="file:///a.mp4" MIME_TYPE="video/mp4"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="200"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="valence"><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>0.4</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt"
 TIME_ALIGNABLE="true"/></ANNOTATION_DOCUMENT>
"""


@pytest.fixture(autouse=True)
def nothing_hangs():
    """A reader that waits for a pipe is stopped."""
    signal.alarm(60)
    yield
    signal.alarm(0)


def tiny_clip(place):
    """Annotation of one clip of Ego4D as a file."""
    box = {"frame": 0, "x": 1, "y": 1, "width": 5, "height": 5}
    person = {
        "person_id": "1",
        "tracking_paths": [{"track_id": "t", "track": [box]}],
        "voice_segments": [{"start_frame": 0, "end_frame": 3}],
    }
    told = {
        "clip_uid": "c",
        "clip_start_frame": 0,
        "clip_end_frame": 9,
        "persons": [person],
        "camera_wearer": {"person_id": "0", "voice_segments": [{"start_frame": 1, "end_frame": 2}]},
    }
    place.write_text(json.dumps({"clips": [told]}))
    return told


def read_ego4d(path):
    for uid in (found := ego4d_annotation.scan(path)).places:
        found.read(uid)


def read_splits(path):
    contents = look(path.parent)
    splits.read(contents, of_recordings(["anna.mp4"]), (), Report())


def refused(read, given):
    """The error that a reader raises; any other one fails the test."""
    try:
        read(given)
    except InputError as error:
        return error
    return None


READERS = {
    "label.csv": (TABLE, tables.read),
    "label.xlsx": ("", tables.read),
    "official.txt": ("valence,arousal\n0.1,0.2\n-5,-5\n", lambda path: official.read(path, "va")),
    "frames.csv": (
        "img,V,A,frame_id\nx/1.jpg,0.1,0.2,1\n",
        lambda path: official.read_csv(path, 9),
    ),
    "label.json": (AFEW, formats.read),
    "label.eaf": (EAF, formats.read),
    "a.valence.annotation": (NOVA, formats.read),
    "openface.csv": ("frame, face_id, success\n1,0,1\n", openface.places),
    "splits.csv": ("trial,split\nanna,train\n", read_splits),
}
BAD = {
    "empty": b"",
    "noise": bytes(range(256)) * 9,
    "zeros": bytes(999),
    "a web page": b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n",
    "a field of 200 kB": b"time,valence,arousal\n0,0.1," + b"9" * 200_000 + b"\n1,0,0\n",
    "infinite numbers": b"frame,valence,arousal,success\n inf,0.1,0.2,1\n",
    "a huge number": b"frame,valence,arousal,success\n" + b"9" * 400 + b",0.1,0.2,1\n",
    "an open quotation mark": b'time,valence,arousal\n0,"0.1,0.2\n1,0.1,0.2\n',
    "deep nesting": b"[" * 100_000,
    "null": b"null",
    "null inside": b'{"frames": {"0": null, "1": {"valence": null}}}',
    "text for numbers": b'{"frames": {"x": {"valence": [1], "arousal": {}}}}',
    "no UTF-8": b"time,valence,arousal\n0,\xff\xfe\xfa,0\n",
    "entities": b'<!DOCTYPE a [<!ENTITY b "c">]><annotation><scheme name="valence"/></annotation>',
    "rows of other lengths": b"time,valence,arousal,frame,success\n1\n1,2,3,4,5,6,7,8\n",
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("bad", BAD)
def test_whatever_is_in_a_file_is_an_error_with_place_and_reason(tmp_path, name, bad):
    path = tmp_path / name
    path.write_bytes(BAD[bad])
    if error := refused(READERS[name][1], path):
        assert str(path) in error.where
        assert error.what
        assert error.todo


@pytest.mark.parametrize("name", [name for name in READERS if READERS[name][0]])
def test_a_file_with_any_byte_changed_is_read_or_refused(tmp_path, name):
    right, read = READERS[name]
    path, generator = tmp_path / name, np.random.default_rng(0)
    path.with_name(path.name + "~").write_text("0.1;1\n0.2;1\n")
    path.write_text(right)
    read(path)  # the right one is read
    for _ in range(60):
        content = bytearray(right.encode())
        for place in generator.integers(0, len(content), 3):
            content[place] = generator.integers(0, 256)
        path.write_bytes(content[: generator.integers(1, len(content) + 1)])
        error = refused(read, path)
        assert error is None or error.where


def variants(told, path=()):
    """Every place in a nested object."""
    items = told.items() if isinstance(told, dict) else enumerate(told)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from variants(value, (*path, key))


@pytest.mark.parametrize("odd", [None, "x", 1e300, -1, [], {}, [None], True])
def test_null_or_anything_anywhere_in_a_clip_of_ego4d_costs_at_most_that_clip(tmp_path, odd):
    path = tmp_path / "av.json"
    told = tiny_clip(path)
    for place in variants(told):
        changed = json.loads(json.dumps(told))
        inside = changed
        for key in place[:-1]:
            inside = inside[key]
        inside[place[-1]] = odd
        path.write_text(json.dumps({"clips": [changed]}))
        found = ego4d_annotation.scan(path)
        for uid in found.places:
            error = refused(found.read, uid)
            assert error is None or uid in error.where


def test_a_meta_json_of_any_content_is_named(tmp_path):
    (tmp_path / "a.mp4meta.json").write_bytes(b"[" * 100_000)
    report = Report()
    assert tsav_database._video(tmp_path, "a", report) == ""
    assert report.problems


# ---- pictures and recordings


def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_built(tmp_path):
    path = tmp_path / "00001.png"
    cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[16:24] = (30_000).to_bytes(4, "big") * 2  # IHDR: width, height
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(InputError, match="it claims hundreds of millions of pixels"):
        pictures.read(path)


def test_a_pipe_or_a_broken_link_among_the_crops_is_named_and_never_opened(tmp_path):
    os.mkfifo(tmp_path / "00001.jpg")
    with pytest.raises(InputError, match="is no file") as caught:
        crops.paths(tmp_path, 5)
    assert caught.value.where == str(tmp_path)
    with pytest.raises(InputError, match="there is no such file"):
        pictures.read(tmp_path / "00001.jpg")
    os.mkfifo(tmp_path / "img_00001.jpg")
    assert pictures.numbered(tmp_path) == set()


def test_bad_recordings_cost_themselves_only_and_each_has_its_reason(tmp_path, clip):
    files = {
        "whole.mp4": clip,
        "codec.mp4": clip.replace(b"avc1", b"zzzz"),
        "page.mp4": b"<!DOCTYPE html><html>404</html>",
        "list.mov": b"#EXTM3U\n/etc/passwd\n",
        "noise.mkv": bytes(range(256)) * 40,
        "cut.mp4": clip[:200],
        "empty.mp4": b"",
        "whole.csv": TABLE.encode(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "gone.mp4").symlink_to("nowhere.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    table, report = folder.find(tmp_path)
    assert list(table["trial"]) == ["whole"]
    told = {row["where"].rsplit("/")[-1]: row["what"] for row in report.problems}
    assert set(told) == {*files, "pipe.mp4", "gone.mp4", "loop.mp4"} - {"whole.csv"}
    assert "nothing here decodes" in told["codec.mp4"]
    assert "page of a web site" in told["page.mp4"]
    assert "not a recording that can be read: a text" in told["list.mov"]
    assert told["pipe.mp4"] == "a pipe, no file"
    assert all(row["severity"] == "error" for row in report.problems if "whole" not in row["where"])


def test_a_mutated_recording_is_an_error_or_a_recording(tmp_path, clip):
    path, generator = tmp_path / "a.mp4", np.random.default_rng(1)
    for _ in range(25):
        content = bytearray(clip)
        for place in generator.integers(0, len(content), 8):
            content[place] = generator.integers(0, 256)
        path.write_bytes(content)
        for read in (recordings.probe, recordings.frame_times):
            error = refused(read, path)
            assert error is None or error.where


@pytest.mark.parametrize("error", [KeyError("a"), RecursionError(), OSError(5, "read error")])
def test_errors_of_a_foreign_file_are_told_as_a_person_reads_them(error):
    with (
        pytest.raises(InputError, match="cannot be read as a table") as caught,
        foreign("a.csv", "a table", "write it again"),
    ):
        raise error
    assert caught.value.where == "a.csv"


# ---- what a file is


HEADS = {
    b"\x00\x00\x00\x18ftypisom": "video",
    b"\x00\x00\x00\x18ftypheic": "picture",
    b"\x00\x00\x00\x18ftypM4A ": "sound",
    b"\x1aE\xdf\xa3\x01\x00": "video",
    b"RIFF\x00\x00\x00\x00AVI LIST": "video",
    b"RIFF\x00\x00\x00\x00WAVEfmt ": "sound",
    b"OggS\x00\x02" + bytes(22) + b"\x01\x1e\x01vorbis": "sound",
    b"OggS\x00\x02" + bytes(22) + b"\x01\x2a\x80theora": "video",
    b"\x00\x00\x01\xba\x44": "video",
    b"noise" + (b"G" + b"\x01" * 187) * 5: "video",
    bytes(4) + (b"G" + b"\x01" * 191) * 5 + b"\x00": "video",
    b"\xff\xd8\xff\xe0": "picture",
    b"ID3\x04\x00": "sound",
    b"BMI,valence\n1,2\n": "text",
    b"plain words": "text",
    "Größe\n".encode("utf-16"): "text",
    bytes(64): "",
    b"": "",
}


@pytest.mark.parametrize("head", HEADS)
def test_a_file_is_what_its_first_bytes_say(head):
    assert kinds.of_bytes(head) == HEADS[head]
