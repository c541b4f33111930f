"""Every column of our CSV files is described, in data_README.md and beside the files."""

import json
from concurrent import futures

import numpy as np
import pandas as pd

from lib.files import ROOT
from lib.labels import csv_columns
from tests.waiting import both_read_first


def test_the_table_of_data_readme_is_that_of_the_code():
    """If this fails: ``print(csv_columns.table())`` and put it there."""
    assert csv_columns.table() in (ROOT / "data_README.md").read_text(encoding="utf-8")


def test_every_column_that_is_written_is_described():
    written = ["frame", "time", "valence", "arousal_raw", "expression", "expression_0", "valid"]
    written += ["expression_happy", "action_unit_3", "action_unit_3_raw", "x", "height", "person"]
    written += ["speaking", "speaking_no_raw", "label_valence", "label_action_unit_7", "note"]
    written += ["valence_derived", "expression_decided", "face", "track", "logit", "smoothed"]
    rows = csv_columns.describe(written)
    assert [row["name"] for row in rows] == written
    assert all(row["meaning"] and row["empty_when"] and row["range"] for row in rows)
    assert not [row["name"] for row in rows if "recipe of your own" in row["meaning"]]
    assert {row["unit"] for row in rows} == {"", "s", "px"}


def test_times_late_in_a_long_recording_have_milliseconds_and_other_numbers_six_digits():
    """With six digits frames 40 ms apart had one time from 10 000 s on."""
    times = np.array([0.0166667, 999.9666, np.nan, 1234.5678, 12345.64, 12345.68])
    table = pd.DataFrame({"time": times, "valence_peak_time": times, "x": times})
    rows = [line.split(",") for line in csv_columns.as_text(table).split()[1:]]
    early = ["0.0166667", "999.967", ""]
    assert [row[0] for row in rows] == [*early, "1234.568", "12345.640", "12345.680"]
    assert [row[1] for row in rows] == [row[0] for row in rows]
    assert [row[2] for row in rows] == [*early, "1234.57", "12345.6", "12345.7"]


def test_a_file_beside_the_tables_gathers_all_their_columns(tmp_path):
    csv_columns.record(tmp_path, ["frame", "valence"])
    before = (tmp_path / csv_columns.NAME).read_text()
    csv_columns.record(tmp_path, ["valence", "frame"])
    assert (tmp_path / csv_columns.NAME).read_text() == before
    csv_columns.record(tmp_path, ["frame", "joy"])
    rows = json.loads((tmp_path / csv_columns.NAME).read_text())
    assert [row["name"] for row in rows] == ["frame", "valence", "joy"]
    assert "of your own" in rows[-1]["meaning"]


def test_two_who_write_other_columns_at_the_same_time_are_both_described(tmp_path, monkeypatch):
    read = csv_columns._recorded
    monkeypatch.setattr(csv_columns, "_recorded", both_read_first(read))
    with futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(csv_columns.record, [tmp_path] * 2, (["frame", "joy"], ["frame", "anger"])))
    rows = read(tmp_path / csv_columns.NAME)
    assert sorted(row["name"] for row in rows) == ["anger", "frame", "joy"]
    assert [path.name for path in tmp_path.iterdir()] == [csv_columns.NAME], "no lock is left"
