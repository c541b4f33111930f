"""Workbooks as spreadsheets and programs save them: hidden sheets, formulas, a wrong size."""

import re
import zipfile

import numpy as np
import pytest

from lib.errors import InputError
from lib.labels import sheets, tables

openpyxl = pytest.importorskip("openpyxl")
HEAD = ["time", "valence", "arousal"]


def workbook(path, **pages):
    """A file of Excel with these sheets, name -> rows."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in pages.items():
        page = book.create_sheet(title)
        for row in rows:
            page.append(row)
    if "hidden" in book.sheetnames:
        book["hidden"].sheet_state = "hidden"
    book.save(path)
    return path


def rewritten(path, pattern, text):
    """The same file with a part of its sheets' XML changed."""
    with zipfile.ZipFile(path) as parts:
        content = {name: parts.read(name) for name in parts.namelist()}
    with zipfile.ZipFile(path, "w") as parts:
        for name, data in content.items():
            is_page = name.startswith("xl/worksheets/")
            parts.writestr(name, re.sub(pattern, text, data) if is_page else data)
    return path


def test_a_hidden_sheet_comes_after_those_that_are_seen_and_both_are_named(tmp_path):
    pages = {"hidden": [HEAD, [0, -0.5, -0.5]], "Anna": [HEAD, [0, 0.5, 0.5]]}
    sheet = sheets.read(workbook(tmp_path / "a.xlsx", **pages))
    assert sheet.rows == [["0", "0.5", "0.5"]]
    told = "read is the sheet 'Anna'; not used: labels in other sheets (1): 'hidden'"
    assert sheet.notes == [told]


@pytest.mark.parametrize(
    "rows", [[[0, 0.1, 0], [1, "=B2", 0]], [[0, 0.1, 0], ["=A2+1", "=B2", "=C2"]]]
)
def test_a_formula_without_its_result_is_no_gap_and_no_empty_row(tmp_path, rows):
    path = workbook(tmp_path / "a.xlsx", Anna=[HEAD, *rows])
    with pytest.raises(InputError, match=r"the formula '=.*' without its result") as caught:
        sheets.read(path)
    assert caught.value.where == f"{path}:3"


def test_a_formula_whose_result_is_an_empty_text_is_a_gap(tmp_path):
    rows = [[0, 0.1, 0], [1, '=IF(1,"",0)', 0]]
    path = rewritten(
        workbook(tmp_path / "a.xlsx", Anna=[HEAD, *rows]), rb'<c r="B3"', b'<c r="B3" t="str"'
    )
    assert sheets.read(path).rows == [["0", "0.1", "0"], ["1", "", "0"]]


def test_a_formula_beside_the_table_does_not_matter(tmp_path):
    path = workbook(tmp_path / "a.xlsx", Anna=[HEAD, [0, 0.1, 0]], sums=[["=SUM(Anna!B2)"]])
    assert sheets.read(path).rows == [["0", "0.1", "0"]]


def test_rows_beyond_the_size_that_a_file_claims_are_read(tmp_path):
    path = workbook(tmp_path / "a.xlsx", Anna=[HEAD, [0, 0.1, 0], [1, 0.2, 0]])
    rewritten(path, rb'<dimension ref="[^"]*"', b'<dimension ref="A1"')
    assert len(sheets.read(path).rows) == 2


@pytest.mark.parametrize("low", [0, -100])
def test_settings_of_carma_count_in_a_workbook_as_in_a_text(tmp_path, low):
    span = 100 - low
    rows = [[second, low + span * second / 10] for second in range(5)]
    settings = [["Upper Label", "very pleasant"], ["Minimum Value", low], ["Maximum Value", 100]]
    path = workbook(
        tmp_path / "a.xlsx", Sheet1=[*settings, ["Second", "Rating"], ["%%", "%%"], *rows]
    )
    [found] = tables.read(path)
    assert np.allclose(found.values[:, 0], [-1, -0.8, -0.6, -0.4, -0.2])
    assert tables.ignored_scale(path) == f"{low}…100".replace("-", "−")


SUBTITLES = "1\n00:00:00,500 --> 00:00:02,000\nhello\n\n2\n00:00:02,000 --> 00:00:03,000\nyou\n"


@pytest.mark.parametrize("text", [SUBTITLES, "Anna  0:00\nYes, 5\n\nBen  0:02\nYou, too.\nHm.\n"])
def test_a_transcript_with_the_name_of_a_recording_is_no_damaged_table(tmp_path, text):
    (tmp_path / "anna.txt").write_text(text)
    assert tables.form(tmp_path / "anna.txt") == ""


def test_a_row_of_another_length_says_which_line_counts_as_the_header(tmp_path):
    path = tmp_path / "events.tsv"
    path.write_text("Observation id\tanna\n\nMedia file(s)\n\nTime\tBehavior\tRemark\n")
    with pytest.raises(InputError, match="as many as in line 1, 'Observation id, anna'"):
        sheets.read(path)
