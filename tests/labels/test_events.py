"""Coded events as BORIS and The Observer export them, by what is publicly documented; no file that
these programs wrote themselves was at hand.
"""

import pytest

from lib.errors import InputError
from lib.labels import segments, tables

PREAMBLE = (
    "Observation id,first\n\nMedia file(s)\n\nPlayer #1,/films/anna.mp4\n\nDescription,\n\n"
    "Time offset (s),{}\n\n"
)
OLD = "Time,Media file path,Total length,FPS,Subject,Behavior,Behavioral category,Comment,Status\n"
NEW = (
    "Observation id,Time offset (s),FPS (frame/s),Subject,Observation duration by subject,Behavior,"
    "Behavioral category,Modifier #1,Behavior type,Time,Media file name,Image index,Comment\n"
)
AGGREGATED = (
    "Observation id,Media duration (s),Subject,Behavior,Behavior type,Start (s),Stop (s),"
    "Duration (s),Media file name,Comment start,Comment stop\n"
)
OBSERVER = (
    "Date_Time_Absolute_dmy_hmsf;Time_Relative_hmsf;Time_Relative_hms;Time_Relative_f;"
    "Time_Relative_sf;Duration_sf;Observation;Subject;Behavior;Event_Type;Comment\n"
)


def old(time, subject, behavior, status):
    return f"{time},/films/anna.mp4,4.0,25,{subject},{behavior},social,,{status}\n"


def new(time, subject, behavior, status, file="anna.mp4", offset="0"):
    return f"first,{offset},25,{subject},4,{behavior},social,,{status},{time},{file},12,\n"


def observed(time, subject, behavior, status):
    comma = f"{time}".replace(".", ",")
    return f"x;00:00:0{time};00:00:0{int(time)};0,5;{comma};0;anna;{subject};{behavior};{status};\n"


def events(row, start="START", stop="STOP", point="POINT"):
    return (
        row(0.5, "A", "talk", start)
        + row(1.0, "B", "talk", start)
        + row(1.5, "B", "blink", point)
        + row(2.0, "A", "talk", stop)
        + row(3.25, "B", "talk", stop)
    )


FILES = {
    "BORIS, tabular": PREAMBLE.format("0.0") + OLD + events(old),
    "BORIS 8, tabular": NEW + events(new),
    "BORIS, aggregated": AGGREGATED
    + "first,4,A,talk,STATE,0.5,2.0,1.5,anna.mp4,,\nfirst,4,B,talk,STATE,1.0,3.25,2.25,anna.mp4,,\n"
    "first,4,B,blink,POINT,1.5,NA,NA,anna.mp4,,\n",
    "The Observer": OBSERVER + events(observed, "State start", "State stop", "Point"),
}


def read(tmp_path, text):
    path = tmp_path / "anna.csv"
    path.write_text(text)
    return segments.of_recording(path, ["anna"], alone=True)


@pytest.mark.parametrize("name", FILES)
def test_states_are_stretches_and_points_are_told(tmp_path, name):
    found = read(tmp_path, FILES[name])
    table = found.table[["start", "end", "Subject", "Behavior"]]
    assert list(table.itertuples(index=False, name=None)) == [
        (0.5, 2.0, "A", "talk"),
        (1.0, 3.25, "B", "talk"),
    ]
    assert any("1 events are points in time" in note for note in found.notes)


def test_the_observers_times_count_from_its_observation_which_is_told(tmp_path):
    notes = read(tmp_path, FILES["The Observer"]).notes
    assert "times count from the start of the observation, taken for the recording's" in notes


def test_observations_of_several_recordings_are_told_apart_by_their_media(tmp_path):
    both = new(0.5, "A", "talk", "START") + new(1, "A", "talk", "STOP")
    other = both.replace("anna.mp4", "ben.mp4").replace("first", "second")
    assert len(read(tmp_path, NEW + both + other).table) == 1


@pytest.mark.parametrize(
    ("rows", "said", "line"),
    [
        (new(1, "A", "talk", "STOP"), "'talk of A' stops, and has no start", 2),
        (new(1, "A", "talk", "START") * 2, "since line 2 has no stop", 3),
        (new(1, "A", "talk", "PAUSE"), "'PAUSE' in column Behavior type", 2),
        (new(1, "A", "talk", "START", offset="5.0"), "times have an offset: 5.0", 1),
        (
            new(1, "A", "talk", "START") + new(9, "A", "talk", "STOP", file="ben.mp4"),
            "the observation first of several media: anna.mp4, ben.mp4",
            3,
        ),
    ],
)
def test_events_that_make_no_stretches_are_refused_with_their_line(tmp_path, rows, said, line):
    with pytest.raises(InputError, match=said) as caught:
        read(tmp_path, NEW + rows)
    assert caught.value.where.endswith(f":{line}")


def test_an_offset_before_the_header_is_refused_too(tmp_path):
    with pytest.raises(InputError, match=r"times have an offset: 2\.5"):
        read(tmp_path, PREAMBLE.format("2.5") + OLD + events(old))


def test_a_state_that_never_stops_is_passed_over_and_told(tmp_path):
    rows = new(0, "A", "talk", "START") + new(1, "A", "talk", "STOP") + new(2, "A", "x", "START")
    found = read(tmp_path, NEW + rows)
    assert len(found.table) == 1
    assert "1 states never stop and are passed over (first: line 4)" in found.notes


@pytest.mark.parametrize("name", FILES)
def test_events_beside_a_recording_are_no_labels_whatever_their_subjects_are_called(tmp_path, name):
    """A subject A is no arousal: earlier a row was taken for the header."""
    (tmp_path / "anna.csv").write_text(FILES[name])
    assert tables.form(tmp_path / "anna.csv") == ""


def test_a_table_of_ones_own_with_such_columns_stays_as_it_is(tmp_path):
    found = read(tmp_path, "start,end,observation,behavior,status\n0,1,she smiles,talk,checked\n")
    assert found.table["recording"].tolist() == [""]
    assert found.table["observation"].tolist() == ["she smiles"]
