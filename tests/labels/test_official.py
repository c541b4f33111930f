"""Annotations keep every frame and every gap on their way between text, arrays and CSV."""

import numpy as np
import pandas as pd
import pytest

from lib.errors import InputError
from lib.labels import official
from tests import pace

VA = "valence,arousal\n0.312,-0.5\n-5,-5\n1,-1\n"


@pytest.fixture
def va_file(tmp_path):
    def make(text, name="v.txt"):
        path = tmp_path / name
        path.write_bytes(text.encode())
        return path

    return make


@pytest.mark.parametrize("mark", ["-5,-5", "-5.0,-5.0", "-5.000,-5.000", "-5,0.3", "0.3,-5.0"])
def test_every_way_to_write_minus_five_is_unlabelled(va_file, mark):
    va = official.read(va_file(f"valence,arousal\n0.5,0.25\n{mark}\n"), "va")
    assert va.dtype == np.float32
    assert va[0].tolist() == [0.5, 0.25]
    assert np.isnan(va[1]).all()


@pytest.mark.parametrize(
    "text",
    [
        VA,
        VA.replace("\n", "\r\n"),
        VA.rstrip("\n"),
        VA + "\n",
        VA + "\r\n \n",
        "\ufeff" + VA,
        VA.replace(",", ", "),
    ],
)
def test_line_ends_final_newline_and_blank_last_lines_do_not_matter(va_file, text):
    expected = np.array([[0.312, -0.5], [np.nan, np.nan], [1, -1]], np.float32)
    np.testing.assert_array_equal(official.read(va_file(text), "va"), expected)


def test_expressions_and_action_units_are_int8_with_minus_one_for_unlabelled(va_file):
    expression = official.read(
        va_file(",".join(official.EXPRESSIONS) + "\n3\n-1\n6\n"), "expression"
    )
    assert expression.dtype == np.int8
    assert expression.tolist() == [3, -1, 6]
    path = va_file(",".join(official.ACTION_UNITS) + "\n0,1,0,0,1,0,-1,1\n")
    assert official.read(path, "action_units").tolist() == [[0, 1, 0, 0, 1, 0, -1, 1]]


def test_later_years_have_eight_expressions_and_twelve_action_units(va_file):
    path = va_file("Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other\n7\n-1\n")
    assert official.read(path, "expression").tolist() == [7, -1]
    assert official.header(path, "expression")[7] == "Other"
    names = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
    path = va_file(f"{names}\n{','.join('0' * 12)}\n")
    assert official.read(path, "action_units").shape == (1, 12)
    assert official.header(path, "action_units") == tuple(names.split(","))


@pytest.mark.parametrize(
    ("kind", "text", "line", "found"),
    [
        ("va", "0.1,0.2\n0.3,0.4\n", 1, "header line is missing"),
        ("va", "arousal,valence\n0.3,0.4\n", 1, "unknown header"),
        ("va", "valence,arousal\n0.1,0.2\n0.1;0.2\n", 3, "1 columns, separated by ;: '0.1;0.2'"),
        ("va", "valence,arousal\n0.1,0.2,0.3\n", 2, "3 columns"),
        ("va", "valence,arousal\n0.1,0.2\n\n0.1,0.2\n", 3, "an empty line"),
        ("va", "valence,arousal\n0.1,0.2\n0.1,none\n", 3, "'none' in column 2 is no number"),
        ("va", "valence,arousal\n0.1,nan\n", 2, "'nan' in column 2"),
        (
            "va",
            "valence,arousal\n0.1,0.2\n1.5,0.2\n-1.1,2\n",
            3,
            "1.5 in column 1 is out of range, and 1 more such rows",
        ),
        ("va", "valence,arousal\n-5.1,0\n", 2, "-5.1 in column 1"),
        (
            "expression",
            "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise\n7\n",
            2,
            "7 in column 1",
        ),
        (
            "expression",
            "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise\n1.5\n",
            2,
            "1.5 in column 1",
        ),
        (
            "action_units",
            "AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25\n0,0,0,0,0,0,0,2\n",
            2,
            "2 in column 8",
        ),
        ("action_units", "AU1,AU2,AU3\n0,0,0\n", 1, "unknown header"),
    ],
)
def test_a_wrong_row_is_refused_with_file_line_expectation_and_way_out(
    va_file, kind, text, line, found
):
    path = va_file(text)
    with pytest.raises(InputError) as error:
        official.read(path, kind)
    assert found in error.value.what
    assert error.value.where == f"{path}:{line}"
    assert error.value.expected
    assert error.value.todo


def test_missing_empty_and_binary_files_are_refused(tmp_path, va_file):
    with pytest.raises(InputError, match="not there"):
        official.read(tmp_path / "none.txt", "va")
    with pytest.raises(InputError, match="empty"):
        official.read(va_file("\n"), "va")
    (tmp_path / "b.txt").write_bytes(b"\xfe\x00\x80\x81")
    with pytest.raises(InputError, match="not a text file"):
        official.read(tmp_path / "b.txt", "va")


def test_official_files_make_the_round_trip_unchanged(tmp_path):
    rng = np.random.default_rng(0)
    va = rng.uniform(-1, 1, (500, 2)).astype(np.float32)
    va[::7], va[3] = np.nan, (1e-6, -1)
    back = official.read(official.write(tmp_path / "a" / "va.txt", "va", va), "va")
    np.testing.assert_array_equal(back, va)
    expression = rng.integers(-1, 7, 90).astype(np.int8)
    back = official.read(official.write(tmp_path / "e.txt", "expression", expression), "expression")
    np.testing.assert_array_equal(back, expression)
    for count in (8, 12):
        units = rng.integers(-1, 2, (50, count)).astype(np.int8)
        path = official.write(tmp_path / "u.txt", "action_units", units)
        np.testing.assert_array_equal(official.read(path, "action_units"), units)
    assert not list(tmp_path.rglob("*.part"))


def test_the_official_text_is_what_the_challenge_writes(tmp_path):
    va = np.array([[0.312, -0.5], [np.nan, np.nan], [0, 1]], np.float32)
    text = official.write(tmp_path / "v.txt", "va", va).read_text()
    assert text == "valence,arousal\n0.312,-0.5\n-5,-5\n0.0,1.0\n"
    eight = official.HEADERS["expression"][1]
    path = official.write(tmp_path / "e.txt", "expression", np.array([7, -1], np.int8), eight)
    assert path.read_text().endswith(",Other\n7\n-1\n")
    with pytest.raises(InputError, match="3 columns"):
        official.write(tmp_path / "u.txt", "action_units", np.zeros((1, 3), np.int8))


@pytest.mark.parametrize(
    ("rows", "kept", "word"),
    [
        (12, 10, "12 rows, the video 10 frames: the last 2"),
        (7, 7, "7 rows, the video 10 frames: 3 unlabelled"),
    ],
)
def test_rows_are_fitted_to_the_video_and_both_numbers_are_told(rows, kept, word):
    va, expression = np.zeros((rows, 2), np.float32), np.zeros(rows, np.int8)
    fitted, message = official.fit_rows(va, 10)
    assert fitted.shape == (10, 2)
    assert int((fitted[:, 0] == 0).sum()) == kept
    assert np.isnan(fitted[kept:]).all()
    assert word in message
    fitted, _ = official.fit_rows(expression, 10)
    assert fitted.dtype == np.int8
    assert (fitted[kept:] == -1).all()
    with pytest.raises(InputError, match=f"{rows} rows, the video 10 frames"):
        official.fit_rows(va, 10, "refuse", where="x.txt")


def test_equal_row_counts_need_no_message():
    va = np.zeros((4, 2), np.float32)
    assert official.fit_rows(va, 4, "refuse") == (va, "")


def test_the_csv_holds_labelled_frames_only_and_makes_the_round_trip(tmp_path):
    va = np.array([[0.1, 0.2], [np.nan, np.nan], [-0.3, 1]], np.float32)
    for index_column in (False, True):
        table = official.to_csv_table("1-30_left", va, index_column)
        path = official.write_csv(table, tmp_path / "t.csv")
        np.testing.assert_array_equal(official.read_csv(path, 3), va)
    assert path.read_text() == (
        ",img,V,A,frame_id\n0,1-30_left/00001.jpg,0.1,0.2,00001\n"
        "1,1-30_left/00003.jpg,-0.3,1.0,00003\n"
    )


def test_the_test_csv_lists_every_frame(tmp_path):
    text = official.write_csv(official.test_table("v", 2), tmp_path / "t.csv").read_text()
    assert text == "img,frame_id\nv/00001.jpg,00001\nv/00002.jpg,00002\n"
    assert list(official.test_table("v", 2, index_column=True)) == ["", "img", "frame_id"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("img,V,A\nv/00001.jpg,0,0\n", "without the column(s) frame_id"),
        (
            "img,V,A,frame_id\nv/00001.jpg,0,0,00001\nv/00009.jpg,0,0,00009\n",
            "9 in column 1 is no frame",
        ),
        ("img,V,A,frame_id\nv/00001.jpg,0,0,00001\nv/00001.jpg,0,0,00001\n", "1 in column 1"),
        ("img,V,A,frame_id\nv/00001.jpg,0,x,00001\n", "'x' in column 2"),
        ("img,V,A,frame_id\nv/00001.jpg,0,2,00001\n", "2 in column 2"),
    ],
)
def test_a_wrong_csv_is_refused(va_file, text, word):
    with pytest.raises(InputError) as error:
        official.read_csv(va_file(text), 3)
    assert word in error.value.what


def test_an_empty_csv_of_a_trial_without_labels_reads_as_unlabelled(tmp_path):
    path = official.write_csv(
        official.to_csv_table("v", np.full((3, 2), np.nan)), tmp_path / "t.csv"
    )
    assert np.isnan(official.read_csv(path, 3)).all()


def test_ten_times_the_rows_take_ten_times_as_long_not_a_hundred_times(tmp_path):
    va = np.random.default_rng(0).uniform(-1, 1, (100_000, 2)).astype(np.float32)
    few = official.write(tmp_path / "few.txt", "va", va[:10_000])
    many = official.write(tmp_path / "many.txt", "va", va)
    assert pace.growth(lambda path: official.read(path, "va"), few, many) < 30
    assert pd.read_csv(many).shape == (100_000, 2)


def test_the_label_csv_has_literally_the_rows_of_the_layout_in_use(va_file, tmp_path):
    """Numbers as short as they were, zero-padded frame numbers, no index column; unlabelled frames
    are left out.
    """
    va = official.read(va_file("valence,arousal\n0.148,0.352\n0.148,0.360\n-5,-5\n-0.5,1\n"), "va")
    written = official.write_csv(
        official.to_csv_table("1-30-1280x720", va), tmp_path / "1-30-1280x720.csv"
    )
    assert written.read_bytes() == (
        b"img,V,A,frame_id\n"
        b"1-30-1280x720/00001.jpg,0.148,0.352,00001\n"
        b"1-30-1280x720/00002.jpg,0.148,0.36,00002\n"
        b"1-30-1280x720/00004.jpg,-0.5,1.0,00004\n"
    )
    np.testing.assert_array_equal(official.read_csv(written, 4), va)


def test_the_published_index_column_comes_on_request(va_file, tmp_path):
    va = official.read(va_file("valence,arousal\n-5,-5\n0.148,0.352\n"), "va")
    written = official.write_csv(
        official.to_csv_table("1", va, index_column=True), tmp_path / "1.csv"
    )
    assert written.read_text() == ",img,V,A,frame_id\n0,1/00002.jpg,0.148,0.352,00002\n"
    table = official.write_csv(official.test_table("1_left", 2), tmp_path / "2.csv")
    assert table.read_text() == "img,frame_id\n1_left/00001.jpg,00001\n1_left/00002.jpg,00002\n"
