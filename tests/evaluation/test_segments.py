"""Numbers per stretch and person, beside plain loops over the rows of the file."""

import json
import math
import statistics as plain

import numpy as np
import pandas as pd
import pytest

from lib import runs
from lib.errors import InputError
from lib.evaluation import segments
from lib.evaluation.predictions import Predictions
from lib.labels import segments as files

RATE = 10.0


@pytest.fixture
def values():
    """Two people, 40 frames at 10 per s from 0 s; the second one is lost for a second."""
    drawn, tables = np.random.default_rng(0), []
    for person in ("left", "right"):
        table = pd.DataFrame({"frame": np.arange(1, 41), "time": np.arange(40) / RATE})
        table["person"] = person
        table["valid"] = 1
        table["x"] = 3.0
        table["valence"] = drawn.uniform(-1, 1, 40)
        table["expression_happy"] = drawn.uniform(0, 1, 40)
        table["expression"] = drawn.choice(["happy", "sad"], 40)
        table["note"] = "n"
        tables.append(table)
    lost = tables[1]["time"].between(1.0, 1.95)
    tables[1].loc[lost, ["valence", "expression_happy", "expression"]] = np.nan
    tables[1].loc[lost, "valid"] = 0
    return pd.concat(tables, ignore_index=True)


def stretches(*rows, **own):
    table = pd.DataFrame(rows, columns=["start", "end"]).assign(recording="", speaker="", text="")
    table.insert(0, "row", range(2, len(rows) + 2))
    return table[list(files.FIELDS)].assign(**own)


def test_every_number_is_that_of_a_plain_loop_over_the_file(values):
    given = stretches((0.0, 0.5), (0.75, 2.31), (1.2, 3.0))
    found = segments.statistics(values, given)
    assert len(found) == 6
    for row in found.to_dict("records"):
        x, t, frames = [], [], 0
        for frame in values.to_dict("records"):
            if frame["person"] == row["person"] and row["start"] <= frame["time"] < row["end"]:
                frames += 1
                if frame["valid"] == 1:
                    x.append(frame["valence"])
                    t.append(frame["time"])
        assert row["frames"] == frames
        assert row["valid_share"] == pytest.approx(len(x) / frames)
        assert row["valence_mean"] == pytest.approx(sum(x) / len(x))
        assert row["valence_median"] == pytest.approx(plain.median(x))
        assert row["valence_std"] == pytest.approx(plain.pstdev(x))
        assert row["valence_slope"] == pytest.approx(plain.linear_regression(t, x).slope)
        assert row["valence_peak"] == max(x)
        assert row["valence_peak_time"] == t[x.index(max(x))]
    assert not [name for name in found if name.startswith(("x_", "frame_", "note_"))]


def test_a_name_is_the_most_frequent_one_with_its_share(values):
    found = segments.statistics(values, stretches((1.5, 3.0))).iloc[1]
    seen = values[(values["person"] == "right") & values["time"].between(2.0, 2.95)]["expression"]
    assert found["expression"] == plain.mode(seen)
    assert found["expression_share"] == pytest.approx((seen == plain.mode(seen)).mean())


@pytest.mark.parametrize(
    ("stretch", "frames", "note"),
    [
        ((3.5, 9.0), 5, "ends 5.000 s after the recording: cut there"),
        ((4.0, 9.0), 0, "begins after the recording's end at 4.000 s; no frame lies in it"),
        ((-2.0, 0.2), 2, "begins before the recording: cut there"),
        (
            (-2.0, -1.0),
            0,
            "ends before the recording's first picture at 0.000 s; no frame lies in it",
        ),
        ((1.01, 1.05), 0, "no frame lies in it"),
        ((1.0, 1.0), 0, "ends when it begins; no frame lies in it"),
        ((2.0, 1.0), 0, "ends before it begins; no frame lies in it"),
        ((3.0, 4.0), 10, ""),
    ],
)
def test_a_stretch_at_an_end_of_the_recording_or_without_a_frame_says_so(
    values, stretch, frames, note
):
    row = segments.statistics(values, stretches(stretch)).iloc[0]
    assert (row["frames"], row["note"]) == (frames, note)
    assert math.isnan(row["valence_mean"]) == (frames == 0)


def test_overlapping_stretches_are_counted_each_and_say_with_whom(values):
    found = segments.statistics(values, stretches((0, 1), (0.5, 2), (2, 3)))
    notes = found[found["person"] == "left"]["note"].tolist()
    assert notes == ["overlaps row 3", "overlaps row 2", ""]
    assert found["frames"].tolist() == [10, 10, 15, 15, 10, 10]


def test_a_stretch_without_a_valid_face_has_no_values_and_says_so(values):
    row = segments.statistics(values, stretches((1.0, 2.0))).iloc[1]
    assert (row["frames"], row["valid_share"], row["note"]) == (10, 0, "no valid frame")
    assert math.isnan(row["valence_mean"])
    assert math.isnan(row["valence_peak_time"])


def test_an_empty_name_is_that_of_the_only_person(values):
    alone = values[values["person"] == "left"].assign(person=np.nan)
    found = segments.statistics(alone, stretches((0, 1)))
    assert found[["person", "frames"]].to_numpy().tolist() == [["", 10]]


def test_labels_hold_where_the_face_is_lost(values):
    row = segments.statistics(values.assign(label_valence=0.5), stretches((1.0, 2.0))).iloc[1]
    assert row["label_valence_mean"] == 0.5


def test_one_frame_has_no_slope(values):
    row = segments.statistics(values, stretches((1.0, 1.05))).iloc[0]
    assert row["frames"] == 1
    assert math.isnan(row["valence_slope"])


# ---- of a run
@pytest.fixture
def run(tmp_path, values):
    (tmp_path / "run" / "predictions").mkdir(parents=True)
    for trial, person in (("talk_left", "left"), ("talk_right", "right")):
        own = values[values["person"] == person].drop(columns="person")
        own.to_csv(tmp_path / "run" / "predictions" / f"{trial}.csv", index=False)
    return runs.Run(tmp_path / "run")


TRIALS = pd.DataFrame(
    {
        "trial": ["talk_left", "talk_right"],
        "video": ["talk", "talk"],
        "person": ["left", "right"],
    }
)


def test_a_run_has_one_table_that_is_safe_for_a_spreadsheet_and_described(run, tmp_path):
    (tmp_path / "turns.csv").write_text("start,end,task,text\n0,1,rest,=1+1\n3,9,talk,x\n")
    table, said, lost = segments.of_run(
        tmp_path / "turns.csv", TRIALS, Predictions(run.path("predictions")), run
    )
    assert not lost
    assert any("2 stretches have a note (first: row 3, ends 5.000 s" in line for line in said)
    written = pd.read_csv(run.path("segments.csv"))
    assert list(written["person"]) == ["left", "left", "right", "right"]
    assert list(written["text"]) == ["'=1+1", "x"] * 2
    np.testing.assert_allclose(written["valence_mean"], table["valence_mean"], rtol=1e-5)
    described = {row["name"]: row for row in json.loads(run.path("columns.json").read_text())}
    assert set(described) == set(table.columns)
    assert not [name for name, row in described.items() if "recipe of your own" in row["meaning"]]
    assert described["task"]["meaning"] == "a column of the file that names the stretches"


def test_a_broken_file_of_a_folder_costs_its_recording_and_strangers_are_named(run, tmp_path):
    folder = tmp_path / "stretches"
    folder.mkdir()
    (folder / "talk_left.csv").write_text("start,end\n0,x\n")
    (folder / "talk_right.csv").write_text("start,end\n0,1\n")
    (folder / "nobody.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nx\n")
    table, said, lost = segments.of_run(folder, TRIALS, Predictions(run.path("predictions")), run)
    assert list(table["trial"]) == ["talk_right"]
    assert [trial for trial, _ in lost] == ["talk_left"]
    assert any("nobody.srt" in line and "not used" in line for line in said)
    assert any("talk_left.csv:2" in line for line in said)


def test_own_columns_of_several_files_stand_together_and_are_described(run, tmp_path):
    folder = tmp_path / "stretches"
    folder.mkdir()
    (folder / "talk_left.csv").write_text("start,end,task\n0,1,rest\n")
    (folder / "talk_right.csv").write_text("start,end,=mood,task\n0,1,good,talk\n")
    table, _, _ = segments.of_run(folder, TRIALS, Predictions(run.path("predictions")), run)
    assert list(table.columns[7:10]) == ["task", "=mood", "person"]
    written = list(pd.read_csv(run.path("segments.csv")).columns)
    described = {row["name"]: row for row in json.loads(run.path("columns.json").read_text())}
    assert set(described) == set(written)
    for name in ("task", "'=mood"):
        assert described[name]["meaning"] == "a column of the file that names the stretches"


def test_nothing_is_made_without_a_path_and_a_wrong_one_is_told_before_anything(run, tmp_path):
    assert segments.of_run("", TRIALS, Predictions(run.path("predictions")), run)[1] == [
        "no stretches: segments_path is empty"
    ]
    assert not (run.folder / "segments.csv").exists()
    segments.check("")
    with pytest.raises(InputError, match="no such file"):
        segments.check(tmp_path / "nothing.csv")


def test_that_stretches_are_named_counts_and_where_they_lie_does_not():
    values = dict.fromkeys(runs.grammar.read_by("06_inference"), "")
    without = runs.counted("06_inference", values)
    assert "segments_path" not in without
    given = [runs.counted("06_inference", {**values, "segments_path": place}) for place in "ab"]
    assert given[0] == given[1] == {**without, "segments_path": "given"}


def test_stretches_of_a_recording_in_which_nobody_was_found_are_told(tmp_path):
    (tmp_path / "turns.csv").write_text("start,end\n0,1\n")
    nobody = pd.DataFrame(columns=["frame", "time", "person", "valid", "expression"])
    file, said = segments.of_video(tmp_path / "turns.csv", "talk", nobody, tmp_path)
    assert file is None
    assert said == ["turns.csv: nobody was found in talk, so there are no numbers"]


def test_stretches_late_in_a_long_recording_keep_the_milliseconds_that_their_file_has(tmp_path):
    frames = pd.DataFrame({"time": 4000 + np.arange(100) / 25, "valid": 1, "valence": 0.1})
    rows = {"row": [2], "recording": [""], "start": [4001.234], "end": [4002.345]}
    stretches = pd.DataFrame({**rows, "speaker": [""], "text": [""]})
    file = segments.write(tmp_path / "a_segments.csv", segments.statistics(frames, stretches))
    [row] = pd.read_csv(file).to_dict("records")
    assert (row["start"], row["end"], row["valence_peak_time"]) == (4001.234, 4002.345, 4001.24)
