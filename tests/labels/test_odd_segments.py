"""Files of stretches that programs and people wrote a little otherwise: nothing of them is lost or
changed without a word.
"""

import numpy as np
import pandas as pd
import pytest

from lib.errors import InputError
from lib.evaluation import segments as numbers
from lib.labels import segments

FRAMES = pd.DataFrame({"frame": np.arange(1, 51), "time": np.arange(50) / 25, "valid": 1,
                       "valence": np.linspace(-1, 1, 50), "expression": "sad"})  # fmt: skip


@pytest.fixture
def read(tmp_path):
    def of(text, name="anna.csv", called=("anna",), alone=True):
        path = tmp_path / name
        path.write_text(text)
        return segments.of_recording(path, list(called), alone)

    return of


def test_a_column_of_ones_own_is_kept_beside_a_computed_one_of_its_name(read):
    found = read("start,end,valence_mean,expression,valid_share\n0,1,0.9,happy,high\n")
    (row,) = numbers.statistics(FRAMES, found.table).to_dict("records")
    assert (row["valence_mean (given)"], row["expression (given)"]) == ("0.9", "happy")
    assert (row["valid_share (given)"], row["expression"], row["valid_share"]) == ("high", "sad", 1)
    assert row["valence_mean"] < 0


def test_two_columns_of_one_name_are_both_kept(read):
    table = read("start,end,task,task\n0,1,a,b\n").table
    assert table.iloc[0][["task", "task (column 4)"]].tolist() == ["a", "b"]


@pytest.mark.parametrize("name", ["anna.srt", "anna.vtt"])
def test_subtitles_without_an_empty_line_between_them_are_all_there(read, name):
    times = "00:00:0{},000 --> 00:00:0{},500"
    text = f"1\n{times.format(0, 0)}\nhow are you\n2\n{times.format(1, 1)}\nfine\n42\n\n3\n"
    table = read(text + f"{times.format(2, 2)}\nwell\n", name).table
    assert table["start"].tolist() == [0, 1, 2]
    assert table["text"].tolist() == ["how are you", "fine 42", "well"]
    assert table["row"].tolist() == [2, 5, 10]


def test_a_name_with_a_blank_moves_no_times_in_rttm(read):
    with pytest.raises(InputError, match=r"the line 'SPEAKER my anna 1 0\.5") as caught:
        read("SPEAKER my anna 1 0.5 1.0 <NA> <NA> A <NA> <NA>\n", "anna.rttm")
    assert caught.value.where.endswith(":1")
    tabs = "SPEAKER\tmy anna\t1\t0.5\t1.0\t<NA>\t<NA>\tA B\t<NA>\t<NA>\n"
    (row,) = read(tabs, "a.rttm", ["my anna"]).table.to_dict("records")
    assert (row["start"], row["end"], row["speaker"]) == (0.5, 1.5, "A B")


def test_rttm_that_was_written_here_is_of_the_recording_whose_name_has_blanks(read, tmp_path):
    """RTTM has no blanks in names: `lib.speakers.video` writes _ in their place."""
    text = "".join(f"SPEAKER {name} 1 0 1 <NA> <NA> A <NA> <NA>\n" for name in ("my_anna", "ben"))
    found = read(text, "all.rttm", ["my anna"], alone=False)
    assert found.table["row"].tolist() == [1]
    assert segments.unused(tmp_path / "all.rttm", ["my anna"]) == ["ben"]


@pytest.mark.parametrize("name", ["ANNA", "Anna.MP4", "day1/anna.mp4", "C:\\films\\anna.mp4"])
def test_a_recording_is_known_in_capitals_and_with_its_folders(read, name):
    text = f"recording,start,end\n{name},0,1\nben.mp4,1,2\n"
    assert read(text, "all.csv", alone=False).table["start"].tolist() == [0]


def test_rows_that_name_nobody_and_names_of_no_recording_are_told(read, tmp_path):
    text = "recording,start,end\nanna,0,1\n,1,2\ncarl,1,2\n"
    found = read(text, "all.csv", alone=False)
    assert found.notes == ("passed over, as they name no recording: 1 rows",)
    assert segments.unused(tmp_path / "all.csv", ["anna", "ben"]) == ["carl"]


@pytest.mark.parametrize(
    ("name", "text", "row", "note"),
    [
        (
            "anna.csv",
            'start,end,text\n0,1,"two\nlines"\n1,2,b\n',
            (2, 0, 1, "", "two\nlines"),
            "",
        ),
        (
            "anna.csv",
            "start,end,end_ms\n0,1,9000\n",
            (2, 0, 1, "", ""),
            "ends taken from the column 'end', and not 'end_ms'",
        ),
        ("anna.json", '[{"start": 0, "end": 1, "speaker": 0}]', (1, 0, 1, "0", ""), ""),
        (
            "anna.json",
            '[{"start": 0, "end": 1, "speaker": ["A", "B"], "text": "a\\ud800b"}]',
            (1, 0, 1, "A, B", "a?b"),
            "",
        ),
        (
            "anna.vtt",
            "WEBVTT\n\n00:00.000 --> 00:01.000\n<v Roger>R&amp;D <00:00.500>we\n<v Neil>two\n",
            (3, 0, 1, "Roger, Neil", "R&D we two"),
            "",
        ),
        (
            "anna.vtt",
            "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n"
            "00:01.000 --> 00:02.000\nhi\n",
            (4, 1, 2, "", "hi"),
            "times count from 0, whatever X-TIMESTAMP-MAP says of the stream's own clock",
        ),
        (
            "anna.TextGrid",
            'File type = "ooTextFile short"\n"TextGrid"\n0\n1\n<exists>\n1\n"IntervalTier"\n"A"\n'
            '0\n1\n1\n0\n1\n"hi"\n',
            (1, 0, 1, "A", "hi"),
            "",
        ),
        (
            "anna.TextGrid",
            'File type = "ooTextFile"\n"TextGrid"\n0\n1\n<exists>\n1\n"IntervalTier"\n"A"\n'
            '0\n1\n1\n0\n1\n"hi"\n"IntervalTier"\n"B"\n0\n1\n0\n',
            (1, 0, 1, "A", "hi"),
            "more follows than the number of tiers says, and is not read",
        ),
    ],
)
def test_what_another_program_writes_otherwise_keeps_its_words_or_is_told(
    read, name, text, row, note
):
    found = read(text, name)
    assert tuple(found.table.iloc[0][["row", "start", "end", "speaker", "text"]]) == row
    assert list(found.notes) == ([note] if note else [])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("anna.csv", 'start,end,text\n0,1,"never closed\n1,2,b\n', "does not end"),
        ("anna.rttm", "SPEAKER my anna 1 0.5 1.0 <NA> <NA> A <NA>\n", "the line 'SPEAKER my anna"),
        (
            "anna.TextGrid",
            'File type = "ooTextFile"\n"TextGrid"\n0\n1\n<exists>\n1\n"IntervalTier"\n"A"\n'
            '0\n1\n1\n0\n1e400\n"hi"\n',
            "1e400 in the place of a time",
        ),
    ],
)
def test_what_would_move_or_swallow_times_is_refused(read, name, text, said):
    with pytest.raises(InputError, match=said):
        read(text, name)


def test_a_column_that_is_called_like_one_of_our_files_is_told_apart(read):
    """``columns.json`` has one meaning per name."""
    table = read("start,end,valence,time,task\n0,1,7,noon,talk\n").table
    assert list(table.columns[6:]) == ["valence (given)", "time (given)", "task"]


def test_annotations_of_elan_without_a_time_are_told_and_the_others_read(tmp_path):
    elan = pytest.importorskip("pympi").Elan.Eaf()
    elan.add_tier("words")
    elan.add_annotation("words", 0, 1000, "aligned")
    elan.add_annotation("words", 1000, 2000, "not aligned")
    elan.to_file(str(tmp_path / "anna.eaf"))
    text = (tmp_path / "anna.eaf").read_text()
    (tmp_path / "anna.eaf").write_text(text.replace(' TIME_VALUE="2000"', ""))
    found = segments.read(tmp_path / "anna.eaf")
    assert found.table["text"].tolist() == ["aligned"]
    assert found.notes == ("1 annotations without a time of their own are passed over",)


def test_a_second_file_of_a_recording_in_a_folder_is_told(tmp_path):
    for name, text in (("anna.csv", "start,end\n0,1\n"), ("anna.srt", ""), ("ben.csv", "")):
        (tmp_path / name).write_text(text)
    found = segments.of_recording(tmp_path, ["anna"], True)
    assert found.table["end"].tolist() == [1]
    assert found.notes == ("not used, of the same recording: anna.srt",)


def test_times_of_whispers_own_table_are_milliseconds(read):
    found = read("start\tend\ttext\n0\t2500\thello\n2500\t4000\tyes\n", "anna.tsv")
    assert found.table[["start", "end"]].to_numpy().tolist() == [[0, 2.5], [2.5, 4]]
    assert found.notes == ("times taken as ms, as Whisper writes them into its .tsv",)


def test_times_of_an_export_of_datavyu_are_milliseconds(read):
    found = read("ordinal,onset,offset,code\n1,0,2500,a\n2,2500,4000,b\n")
    assert found.table[["start", "end"]].to_numpy().tolist() == [[0, 2.5], [2.5, 4]]
    assert found.notes == ("times taken as ms, as Datavyu writes them",)


def test_a_table_of_whole_seconds_stays_one(read):
    found = read("start\tend\ttext\n0\t3\thello\n3\t14\tyes\n", "anna.tsv")
    assert found.table["end"].tolist() == [3, 14]
    assert not found.notes


def test_stretches_that_mostly_lie_beyond_the_recording_are_told_with_their_reason(tmp_path):
    path = tmp_path / "anna.csv"
    path.write_text("start,end\n0,1000\n1000,1500\n1500,2000\n")
    _, said = numbers.of_video(path, "anna", FRAMES, tmp_path)
    assert any("2 of 3 stretches begin after the recording's end" in line for line in said)
    assert any("start_ms" in line for line in said)


def test_a_line_of_blanks_belongs_to_its_caption_in_webvtt(read):
    """YouTube writes captions so."""
    cue = "00:00.000 --> 00:01.000\n \nso<00:00.500><c> hello</c>\n"
    found = read(f"WEBVTT\n\n{cue}\n00:01.000 --> 00:02.000\nso\n \n", "anna.vtt")
    assert found.table["text"].tolist() == ["so hello", "so"]
    assert not found.notes


def test_a_last_chunk_without_an_end_costs_itself_only(read):
    chunks = '{"chunks": [{"timestamp": [0, 1], "text": "a"}, {"timestamp": [1, null]}]}'
    found = read(chunks, "anna.json")
    assert len(found.table) == 1
    assert found.notes == ("1 stretches without an end are passed over (first: entry 2)",)


def test_whisper_cpp_is_read_and_an_unknown_file_says_what_it_has(read):
    times = '"offsets": {"from": 500, "to": 1000}'
    found = read(f'{{"transcription": [{{{times}, "text": " a"}}]}}', "anna.json")
    assert tuple(found.table.iloc[0][["start", "end", "text"]]) == (0.5, 1.0, "a")
    with pytest.raises(InputError, match="no list of stretches; the file has results"):
        read('{"results": {}}', "other.json", called=("other",))
