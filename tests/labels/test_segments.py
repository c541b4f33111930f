"""Stretches of recordings: every form in which people have them, and whose they are."""

import json
import re

import pytest

from lib.errors import InputError
from lib.labels import segments

WANTED = [(0.5, 2.0, "A", "hello"), (2.0, 3.25, "B", "you, too")]
TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 4
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "A"
        xmin = 0
        xmax = 4
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 5e-1
            text = ""
        intervals [2]:
            xmin = 5e-1
            xmax = 2
            text = "hello"
        intervals [3]:
            xmin = 2
            xmax = 4
            text = ""
    item [2]:
        class = "IntervalTier"
        name = "B"
        xmin = 0
        xmax = 4
        intervals: size = 1
        intervals [1]:
            xmin = 2
            xmax = 3.25
            text = "you, too"
    item [3]:
        class = "TextTier"
        name = "beats"
        xmin = 0
        xmax = 4
        points: size = 1
        points [1]:
            number = 1.5
            mark = "x"
"""
SHORT = """File type = "ooTextFile"
"TextGrid"

0
4
<exists>
2
"IntervalTier"
"A"
0
4
1
0.5
2
"hello"
"IntervalTier"
"B"
0
4
1
2
3.25
"you, too"
"""
FILES = {
    "comma.csv": 'start,end,speaker,text\n0.5,2,A,hello\n2,3.25,B,"you, too"\n',
    "units.tsv": "Begin (ms)\tEnd (ms)\tspeaker\ttext\n500\t2000\tA\thello\n"
    "2000\t3250\tB\tyou, too\n",
    "length.csv": "speaker;onset;duration;text\nA;0,5;1,5;hello\nB;2;1,25;you, too\n",
    "clock.csv": "start,end,speaker,text\n00:00.5,00:02,A,hello\n"
    '00:00:02,00:00:03.25,B,"you, too"\n',
    "whisperx.json": json.dumps(
        {
            "segments": [
                {"start": 0.5, "end": 2.0, "text": " hello", "speaker": "A", "words": []},
                {"start": 2.0, "end": 3.25, "text": " you, too", "speaker": "B"},
            ],
            "word_segments": [{"word": "hello", "start": 0.5, "end": 0.9}],
        }
    ),
    "list.json": json.dumps(
        [
            {"start": 0.5, "end": 2, "speaker": "A", "text": "hello"},
            {"start": 2, "stop": 3.25, "face": "B", "text": "you, too"},
        ]
    ),
    "talk.srt": "1\n00:00:00,500 --> 00:00:02,000\n[A]: hello\n\n2\n00:00:02,000 --> 00:00:03,250\n"
    "[B]: <i>you,\ntoo</i>\n",
    "talk.vtt": "WEBVTT - talk\n\nNOTE nothing\n\n00:00.500 --> 00:02.000 align:start\n"
    "<v A>hello</v>\n\n"
    "two\n00:02.000 --> 00:03.250\n<v.loud B>you, too\n",
    "zoom.vtt": "WEBVTT\n\n1\n00:00:00.500 --> 00:00:02.000\nA: hello\n\n"
    "2\n00:00:02.000 --> 00:00:03.250\nB: you, too\n",
    "long.TextGrid": TEXTGRID,
    "short.TextGrid": SHORT,
}
WITHOUT_TEXT = {
    "talk.rttm": ";; made by hand\nSPKR-INFO talk 1 <NA> <NA> <NA> adult A <NA>\n"
    "SPEAKER talk 1 0.500 1.500 <NA> <NA> A <NA> <NA>\n"
    "SPEAKER talk 1 2.000 1.250 <NA> <NA> B <NA> <NA>\n",
    "pyannote.json": json.dumps(
        {
            "pyannote": "Annotation",
            "uri": "talk",
            "content": [
                {"segment": {"start": 0.5, "end": 2.0}, "track": "A", "label": "A"},
                {"segment": {"start": 2.0, "end": 3.25}, "track": "B", "label": "B"},
            ],
        }
    ),
}


def rows(folder, name, text, encoding="utf-8"):
    (folder / name).write_text(text, encoding=encoding)
    return segments.read(folder / name)


def taken(found, *columns):
    return list(found.table[["start", "end", *columns]].itertuples(index=False, name=None))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_every_form_gives_the_same_stretches(tmp_path, name, encoding):
    found = rows(tmp_path, name, FILES[name], encoding)
    assert taken(found, "speaker", "text") == WANTED


@pytest.mark.parametrize("name", WITHOUT_TEXT)
def test_programs_that_write_no_text_name_the_recording(tmp_path, name):
    found = rows(tmp_path, name, WITHOUT_TEXT[name])
    assert taken(found, "speaker") == [row[:3] for row in WANTED]
    assert set(found.table["recording"]) == {"talk"}


def test_elan_gives_all_tiers_in_the_order_of_time_with_its_offset(tmp_path):
    pympi = pytest.importorskip("pympi")
    eaf = pympi.Elan.Eaf(author="nobody")
    eaf.add_linked_file("talk.mp4", mimetype="video/mp4", time_origin=1000)
    eaf.remove_tier("default")
    eaf.add_tier("words", part="B")
    eaf.add_tier("A")
    eaf.add_annotation("words", 1000, 2250, "you, too")
    eaf.add_annotation("A", -500 + 500, 1000, "hello")
    eaf.to_file(str(tmp_path / "talk.eaf"))
    found = segments.read(tmp_path / "talk.eaf")
    assert taken(found, "speaker", "text") == [
        (1.0, 2.0, "A", "hello"),
        (2.0, 3.25, "B", "you, too"),
    ]
    assert "1 s of offset added" in found.notes


def test_what_is_passed_over_is_told(tmp_path):
    assert "1 points in time" in rows(tmp_path, "a.TextGrid", TEXTGRID).notes[0]
    assert (
        "1 lines that are no SPEAKER"
        in rows(tmp_path, "a.rttm", WITHOUT_TEXT["talk.rttm"]).notes[0]
    )


def test_lines_entries_and_own_columns_are_kept(tmp_path):
    text = "# made by hand\nstart,end,task,note\n0,1,rest,=1+1\n\n1,2,talk,x\n"
    found = rows(tmp_path, "a.csv", text)
    assert list(found.table["row"]) == [3, 5]
    assert list(found.table["task"]) == ["rest", "talk"]
    assert list(found.table["note (given)"]) == ["=1+1", "x"], "our own note keeps its name"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "begin,what\n0,x\n", "start and end"),
        ("a.csv", "start,end\n0,x\n", "a.csv:2"),
        ("a.csv", "start,end\n", "no stretch"),
        ("a.srt", "1\n00:00:00,500 -> 00:00:02,000\nhello\n", "no stretch"),
        ("a.srt", "1\n00:00:aa --> 00:00:02,000\nhello\n", "a.srt:2"),
        ("a.json", '{"segments": [{"start": 0}]}', "entry 1"),
        ("a.json", '{"segments": [{"start": 0, "end": 1e999}]}', "entry 1"),
        ("a.json", '{"words": 3}', "no list of stretches"),
        ("a.json", "{", "JSON"),
        ("a.rttm", "SPEAKER talk 1 0.5 x <NA> <NA> A\n", "a.rttm:1"),
        ("a.TextGrid", TEXTGRID[:400], "end of the file"),
        ("a.TextGrid", "hello", "in the place of"),
        ("a.eaf", "<html>", "ELAN"),
        ("a.docx", "hello", ".docx"),
    ],
)
def test_a_file_that_is_none_is_an_error_with_its_line(tmp_path, name, text, said):
    with pytest.raises(InputError, match=re.escape(said)):
        rows(tmp_path, name, text)


# ---- which recording
TABLE = "file,start,end\ntalk.mp4,0,1\nother.mp4,1,2\ntalk.mp4,2,3\n"


def test_a_column_names_the_recording(tmp_path):
    (tmp_path / "turns.csv").write_text(TABLE)
    found = segments.of_recording(tmp_path / "turns.csv", ["talk_left", "talk"], alone=False)
    assert list(found.table["start"]) == [0, 2]
    assert segments.of_recording(tmp_path / "turns.csv", ["third"], alone=False) is None


def test_a_file_about_others_is_refused_where_only_one_recording_is_looked_at(tmp_path):
    (tmp_path / "turns.csv").write_text(TABLE)
    with pytest.raises(InputError, match="other"):
        segments.of_recording(tmp_path / "turns.csv", ["third"], alone=True)


def test_the_one_other_name_of_the_only_recording_is_told(tmp_path):
    (tmp_path / "talk.rttm").write_text(WITHOUT_TEXT["talk.rttm"])
    found = segments.of_recording(tmp_path / "talk.rttm", ["mine"], alone=True)
    assert len(found.table) == 2
    assert "the file calls the recording talk" in found.notes


def test_stretches_without_a_recording_are_refused_where_there_are_several(tmp_path):
    (tmp_path / "turns.csv").write_text("start,end\n0,1\n")
    with pytest.raises(InputError, match="several recordings"):
        segments.of_recording(tmp_path / "turns.csv", ["talk"], alone=False)
    assert len(segments.of_recording(tmp_path / "turns.csv", ["turns"], alone=False).table) == 1


def test_a_folder_holds_a_file_per_recording_also_with_decomposed_letters(tmp_path):
    (tmp_path / "Mu\u0308ller.csv").write_text("start,end\n0,1\n")
    (tmp_path / "nobody.csv").write_text("start,end\n0,1\n")
    assert segments.of_recording(tmp_path, ["M\u00fcller"], alone=False) is not None
    assert segments.of_recording(tmp_path, ["talk"], alone=False) is None
    assert segments.unused(tmp_path, ["M\u00fcller"]) == ["nobody.csv"]


def test_a_file_for_many_recordings_is_read_once_and_again_when_it_changed(tmp_path, monkeypatch):
    (tmp_path / "turns.csv").write_text(TABLE)
    readings, read = [], segments.sheets.read
    monkeypatch.setattr(
        segments.sheets, "read", lambda *given: (readings.append(1), read(*given))[1]
    )
    for name in ("talk", "other", "third"):
        segments.of_recording(tmp_path / "turns.csv", [name], alone=False)
    assert len(readings) == 1
    (tmp_path / "turns.csv").write_text(TABLE + "third,0,1\n")
    assert segments.of_recording(tmp_path / "turns.csv", ["third"], alone=False) is not None
    assert len(readings) == 2


def caption(number, text):
    return f"{number}\n00:00:0{number}.000 --> 00:00:0{number}.500\n{text}\n\n"


@pytest.mark.parametrize(
    ("texts", "speakers"),
    [
        (["Anna Smith: so", "Ben: yes: I do", "and then", "Ben: no", "Ben: so"], "Ab.bb"),
        (["Note: laughs", "so it is", "he said: no", "well"], "...."),
        (["One: a", "Two: b", "Three: c", "Four: d", "Five: e"], "....."),  # no name comes again
        (["[A]: so", "Ben: yes", "Ben: no"], "[.."),  # a file that names speakers otherwise
    ],
)
def test_names_before_a_colon_are_speakers_where_nearly_all_texts_begin_so(
    tmp_path, texts, speakers
):
    text = "WEBVTT\n\n" + "".join(caption(k, each) for k, each in enumerate(texts, 1))
    found = rows(tmp_path, "zoom.vtt", text)
    known = {"A": "Anna Smith", "b": "Ben", ".": "", "[": "A"}
    assert found.table["speaker"].tolist() == [known[letter] for letter in speakers]
    told = [note for note in found.notes if "before a colon" in note]
    if speakers == "Ab.bb":
        assert told == ["who speaks is taken from before a colon, in 4 of 5 texts: Anna Smith, Ben"]
        assert found.table["text"].tolist()[:3] == ["so", "yes: I do", "and then"]
    else:
        assert told == []
        assert found.table["text"].tolist()[1:] == texts[1:]
