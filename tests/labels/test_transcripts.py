"""Transcripts of services: where their stretches are, and in which unit."""

import json

import pytest

from lib.errors import InputError
from lib.labels import segments

WANTED = [(0.5, 2.0, "0", "Hello."), (2.0, 3.25, "1", "You")]
WORDS = [{"word": "hello", "start": 0.5, "end": 2.0}]


def stretches(text="text", speaker="speaker", start="start", end="end", form=float):
    return [
        {start: form(begin), end: form(until), speaker: who, text: said, "words": []}
        for begin, until, who, said in WANTED
    ]


OF_AWS = stretches("transcript", "speaker_label", "start_time", "end_time", str)
FILES = {
    "Deepgram": {
        "metadata": {"duration": 4.0},
        "results": {"channels": [{"alternatives": []}], "utterances": stretches("transcript")},
    },
    "AssemblyAI": {
        "audio_url": "https://localhost/anna.mp3",
        "words": WORDS,
        "utterances": stretches(form=lambda second: round(1000 * second)),
    },
    "AWS Transcribe": {
        "jobName": "anna",
        "results": {
            "transcripts": [{"transcript": "Hello. You"}],
            "speaker_labels": {"segments": OF_AWS[:1]},
            "audio_segments": OF_AWS,
        },
    },
    "pyannoteAI": {"jobId": "1", "output": {"diarization": stretches()}},
}


def read(tmp_path, content):
    (tmp_path / "anna.json").write_text(json.dumps(content))
    return segments.read(tmp_path / "anna.json").table


@pytest.mark.parametrize("name", FILES)
def test_every_service_gives_the_same_stretches_in_seconds(tmp_path, name):
    table = read(tmp_path, FILES[name])
    found = table[["start", "end", "speaker", "text"]].itertuples(index=False, name=None)
    assert list(found) == WANTED


def test_old_files_of_aws_tell_who_speaks(tmp_path):
    of_old = [{key: row[key] for key in row if key != "transcript"} for row in OF_AWS]
    table = read(tmp_path, {"results": {"speaker_labels": {"segments": of_old}, "items": []}})
    assert table["start"].tolist() == [0.5, 2.0]
    assert table["speaker"].tolist() == ["0", "1"]


@pytest.mark.parametrize(
    "content",
    [
        {"utterances": stretches()},  # in an unknown unit
        {**FILES["AssemblyAI"], "utterances": None},
        {"results": {"channels": [{"alternatives": [{"words": WORDS}]}]}},
        {"results": [{"alternatives": [{"words": WORDS}]}]},
    ],
)
def test_a_transcript_without_stretches_is_refused_with_what_it_has(tmp_path, content):
    with pytest.raises(InputError, match="no list of stretches; the file has"):
        read(tmp_path, content)


def test_a_time_of_aws_that_is_no_number_is_refused(tmp_path):
    wrong = [{"start_time": "soon", "end_time": "2.0"}]
    with pytest.raises(InputError, match="start nan"):
        read(tmp_path, {"results": {"audio_segments": wrong}})


HEAD = "Tier\tParticipant\tBegin Time - ss.msec\tEnd Time - ss.msec\tAnnotation\n"
TABLES = {
    "ELAN": HEAD + "talk\t0\t0.5\t2.0\tHello.\ntalk\t1\t2.0\t3.25\tYou\n",
    "Audacity": "0.500000\t2.000000\tHello.\n\\\t90.000000\t200.000000\n2.000000\t3.250000\tYou\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_programs_without_our_names_have_times_and_texts(tmp_path, name):
    (tmp_path / "anna.txt").write_text(TABLES[name])
    table = segments.read(tmp_path / "anna.txt").table
    found = table[["start", "end", "text"]].itertuples(index=False, name=None)
    assert list(found) == [(begin, end, text) for begin, end, _, text in WANTED]
