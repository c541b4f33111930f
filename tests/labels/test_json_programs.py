"""JSON whose stretches must be put together, by the public documentation of the programs."""

import json

import pytest

from lib.errors import InputError
from lib.labels import segments


def read(tmp_path, content):
    (tmp_path / "anna.json").write_text(json.dumps(content))
    return segments.read(tmp_path / "anna.json")


def taken(found):
    return list(found.table[["start", "end", "speaker", "text"]].itertuples(index=False, name=None))


def word(text, start, end, **more):
    return {"word": text, "startTime": f"{start:.3f}s", "endTime": f"{end}s", **more}


def result(*words, **more):
    text = " ".join(one["word"] for one in words) if "transcript" not in more else ""
    return {"alternatives": [{"transcript": text, "words": list(words)}], **more}


HELLO, YOU = result(word("Hello", 0.5, 1), word("there", 1, 2)), result(word("You", 2, 3.25))
PLAIN = [(0.5, 2.0, "", "Hello there"), (2.0, 3.25, "", "You")]
TAGGED = [
    word("Hello", 0.5, 1, speakerTag=1),
    word("there", 1, 2, speakerTag=1),
    word("You", 2, 3.25, speakerTag=2),
]
SPOKEN = [(0.5, 2.0, "1", "Hello there"), (2.0, 3.25, "2", "You")]


def of_version_2(one):
    names = {"startTime": "startOffset", "endTime": "endOffset", "speakerTag": "speakerLabel"}
    return {names.get(name, name): value for name, value in one.items()}


@pytest.mark.parametrize(
    ("content", "wanted", "note"),
    [
        ({"results": [HELLO, YOU]}, PLAIN, "each result is one stretch"),
        ({"done": True, "response": {"results": [HELLO, YOU]}}, PLAIN, "each result is one"),
        ({"results": [HELLO, YOU, result(*TAGGED)]}, SPOKEN, "the last result repeats all words"),
        ({"results": [result(*map(of_version_2, TAGGED))]}, SPOKEN, "words of one speaker"),
    ],
)
def test_words_of_google_become_stretches(tmp_path, content, wanted, note):
    found = read(tmp_path, content)
    assert taken(found) == wanted
    assert found.notes[0].startswith(note)


def test_a_first_word_of_google_without_a_start_begins_at_0(tmp_path):
    first = {"word": "Hello", "endOffset": "1s"}
    assert taken(read(tmp_path, {"results": [result(first)]})) == [(0, 1, "", "Hello")]
    with pytest.raises(InputError, match="start None") as caught:
        read(tmp_path, {"results": [result(first, first)]})
    assert "result 1, word 'Hello'" in caught.value.where


ELEMENTS = [
    {"type": "text", "value": "Hello", "ts": 0.5, "end_ts": 1.0},
    {"type": "punct", "value": " "},
    {"type": "text", "value": "there", "ts": 1.0, "end_ts": 2.0},
    {"type": "punct", "value": "."},
]
LATER = [{"type": "text", "value": "You", "timestamp": "00:00:02,000",
          "end_timestamp": "00:00:03,250"}]  # fmt: skip


def test_monologues_of_rev_are_stretches(tmp_path):
    monologues = [{"speaker": 0, "elements": ELEMENTS}, {"speaker": 1, "elements": LATER}]
    found = read(tmp_path, {"monologues": [*monologues, {"speaker": 1, "elements": []}]})
    assert taken(found) == [(0.5, 2.0, "0", "Hello there."), (2.0, 3.25, "1", "You")]
    assert found.notes == ("1 monologues without a word are passed over",)
    names = [{"id": 0, "name": "Anna"}, {"id": 1, "name": "Ben"}]
    found = read(tmp_path, {"speakers": names, "monologues": monologues})
    assert found.table["speaker"].tolist() == ["Anna", "Ben"]


def task(*results, **more):
    annotation = {"result": list(results), **more}
    return {"annotations": [annotation], "data": {"audio": "/data/upload/1/0a1b2c3d-anna.wav"}}


def region(kind, number="r1", **value):
    return {"id": number, "type": kind, "value": {"start": 0.5, "end": 2.0, **value}}


def test_regions_of_label_studio_have_their_labels_and_texts(tmp_path):
    said = [region("labels", labels=["A"]), region("textarea", text=["Hello."])]
    found = read(tmp_path, [task(*said, {"id": "x", "type": "choices", "value": {}})])
    assert taken(found) == [(0.5, 2.0, "A", "Hello.")]
    assert "1 results without a stretch are passed over" in found.notes
    assert "labels of Label Studio are taken as who speaks" in found.notes
    assert segments.of_recording(tmp_path / "anna.json", ["anna"], False) is not None


def test_segments_of_via_have_their_attributes_and_the_name_of_the_file(tmp_path):
    found = read(
        tmp_path,
        {
            "attribute": {
                "1": {"aname": "speaker", "options": {"0": "A"}},
                "2": {"aname": "task", "options": {}},
            },
            "file": {"7": {"fname": "anna.mp4"}},
            "view": {"1": {"fid_list": ["7"]}},
            "metadata": {
                "1_a": {"vid": "1", "z": [0.5, 2.0], "av": {"1": "0", "2": "reading"}},
                "1_b": {"vid": "1", "z": [], "xy": [2, 1, 1], "av": {}},
            },
        },
    )
    assert taken(found) == [(0.5, 2.0, "A", "reading")]
    assert found.table["recording"].tolist() == ["anna.mp4"]
    assert found.notes == ("1 entries without start and end are passed over",)


@pytest.mark.parametrize(
    ("content", "said", "where"),
    [
        (
            {"results": [{"alternatives": [{"transcript": "Hello"}]}]},
            "a transcript without the times of its words",
            "result 1",
        ),
        (
            {"results": [result(word("a", 0, 1)), result({"word": "b", "startTime": "1"})]},
            "start '1', end None",
            "result 2, word 'b'",
        ),
        (
            {"monologues": [{"elements": [{"type": "text", "value": "Hi", "ts": None}]}]},
            "ts None",
            "monologue 1, word 'Hi'",
        ),
        (
            [{**task(), "annotations": [{"result": []}, {"result": []}]}],
            "2 annotations of one task",
            "task 1",
        ),
        (
            [task(region("labels", labels=["A"], text="Hello"))],
            "regions of a text, whose start and end count its signs",
            "task 1",
        ),
        (
            [task({"value": {"ranges": [{"start": 1, "end": 9}]}})],
            "stretches of a video in frames",
            "task 1",
        ),
        (
            {"metadata": {"1_a": {"z": [0, "soon"]}}, "file": {}, "view": {}},
            r"z \[0, 'soon'\]",
            "1_a",
        ),
        ([{"audio": "a.wav", "label": [{"start": 0, "end": 1}]}], "start None", "entry 1"),
    ],
)
def test_what_has_no_times_is_refused_with_its_place(tmp_path, content, said, where):
    with pytest.raises(InputError, match=said) as caught:
        read(tmp_path, content)
    assert caught.value.where.endswith(where)
