"""Tables of other programs as features: which columns, at which times, and what is refused."""

import contextlib

import numpy as np
import pytest

from lib.errors import InputError
from lib.features import own, tables

OPENFACE = """frame, face_id, timestamp, confidence, success, AU01_r, AU12_r
1, 0, 0.000, 0.98, 1, 0.10, 1.50
2, 0, 0.040, 0.10, 0, 0.00, 0.00
3, 0, 0.080, 0.98, 1, 0.30, 2.50
"""
OPENSMILE = """name;frameTime;Loudness_sma3;F0
'unknown';0.000;0.5;120.0
'unknown';0.010;0.6;121.0
"""
OF_PYTHON = """file,start,end,Loudness,F0
a.wav,0 days 00:00:00,0 days 00:00:00.020,0.5,120.0
a.wav,0 days 00:00:00.010,0 days 00:00:00.030,0.6,121.0
"""


def written(tmp_path, text, name="features.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_openfaces_rows_without_a_face_have_no_values(tmp_path):
    table = tables.read(written(tmp_path, OPENFACE))
    np.testing.assert_array_equal(table.rows, [[0.1, 1.5], [np.nan] * 2, [0.3, 2.5]])
    np.testing.assert_allclose(table.time, [0, 0.04, 0.08])
    assert table.note == (
        "2 columns: AU01_r, AU12_r; no features: frame, face_id, timestamp, confidence, …"
    )


@pytest.mark.parametrize(("text", "first"), [(OPENSMILE, 0.0), (OF_PYTHON, 0.01)])
def test_opensmiles_tables_are_read_with_their_times(text, first, tmp_path):
    table = tables.read(written(tmp_path, text))
    np.testing.assert_array_equal(table.rows, [[0.5, 120.0], [0.6, 121.0]])
    np.testing.assert_allclose(table.time, [first, first + 0.01])


@pytest.mark.parametrize(
    ("text", "rows", "time"),
    [
        ("time_ms\ta\n40\t1\n80\t2\n", [[1], [2]], [0.04, 0.08]),
        ("\ufefffeature 1,feature 2\n1,2\n3,4\n", [[1, 2], [3, 4]], None),
        (",x\n0,5\n1,\n", [[5], [np.nan]], None),  # pandas' index, and a value that is not there
    ],
)
def test_separators_units_and_tables_without_times(text, rows, time, tmp_path):
    table = tables.read(written(tmp_path, text, "a.tsv"))
    np.testing.assert_array_equal(table.rows, rows)
    assert table.time is time is None or np.allclose(table.time, time)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "cannot be read"),
        ("time,name\n0,x\n", "without features: time, name"),
        ("time,a\n", "without features"),
        ("time;a\n0;0,5\n", "column a holds text and numbers: '0,5' in row 1"),
        ("a,b\n1,2\nnothing,3\n", "column a holds text and numbers: '1' in row 1"),
        ("0.1,0.2\n0.3,0.4\n", "without a header line"),
        ("a,b\n1,2,3\n4,5,6\n", "cannot be read"),
        ("a,b\n1,2\n1,2,3\n", "cannot be read"),
        ("time,a\nsoon,1\n", "times in column time cannot be read"),
        (OPENFACE.replace("3, 0,", "3, 1,"), r"rows of 2 faces \(face_id\)"),
    ],
)
def test_what_is_no_table_of_one_recordings_numbers_is_refused(text, what, tmp_path):
    with pytest.raises(InputError, match=what):
        tables.read(written(tmp_path, text))


def test_a_table_becomes_one_row_per_frame_and_its_columns_are_said(tmp_path):
    path = written(tmp_path, OPENFACE)
    inputs = {"rows": path, "time": np.arange(3) / 25}
    made = {}

    @contextlib.contextmanager
    def create(shape, dtype, **facts):
        made.update(facts, rows=np.zeros(shape, dtype))
        yield made["rows"]

    with pytest.raises(InputError, match="no number in 1 of 3 rows"):
        own.make_from_file(inputs, {}, create, "cpu")
    own.make_from_file(inputs, {"missing": "neighbours"}, create, "cpu")
    np.testing.assert_allclose(made["rows"][:, 0], [0.1, 0.3, 0.3], atol=1e-6)
    assert made["columns"] == ["AU01_r", "AU12_r"]
    assert made["note"].startswith("2 columns: AU01_r, AU12_r; no features: frame")
    with pytest.raises(InputError, match="times of its own"):
        own.make_from_file(inputs, {"rate": 25.0}, create, "cpu")
