"""Columns without a name: they are told, and one that rises is no row per frame."""

import numpy as np
import pytest

from lib.errors import InputError
from lib.labels import arrays, tables
from lib.store import Store, request

FRAMES = np.arange(50) / 25


def read(tmp_path, content):
    path = tmp_path / "anna.csv"
    path.write_text(content)
    return arrays.read([path], "va", FRAMES, {})


@pytest.mark.parametrize("form", ["{:.2f}", "0:00:{:05.2f}"])
def test_times_in_a_column_without_a_name_are_never_one_row_per_frame(tmp_path, form):
    lines = "".join(f"{form.format(time / 2)},0.1,0.2\n" for time in FRAMES)
    said = r"column 1 \(without a name\) may be a time"
    with pytest.raises(InputError, match=said):
        read(tmp_path, f",valence,arousal\n{lines}")
    assert tables.was_untimed(tmp_path / "anna.csv")  # an array of it is not taken for this one


def test_values_in_columns_without_a_name_are_told(tmp_path):
    lines = "".join(f"{time},0.1,0.9,0.2,\n" for time in FRAMES)
    rows, note, _ = read(tmp_path, f"time,valence,,arousal,\n{lines}")
    assert np.allclose(rows, [0.1, 0.2])
    assert "not used: column 3 (without a name)" in note
    assert "column 5" not in note


def test_an_index_without_a_name_leaves_the_array_as_it_was(tmp_path):
    lines = "".join(f"{k},0.1,0.2\n" for k in range(50))
    assert "not used" not in read(tmp_path, f",valence,arousal\n{lines}")[1]
    store = Store(tmp_path / "processed", "folder", tmp_path)
    trial = {"trial": "anna", "va_path": "anna.csv"}
    assert arrays.resolve(trial, request("va"), store).parameters == {}
