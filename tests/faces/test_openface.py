"""OpenFace's table as other programs and hands leave it."""

import numpy as np
import pytest

from lib.errors import InputError
from lib.faces import openface

TIMES = np.arange(20) / 25
HEAD = "frame, face_id, timestamp, confidence, success"


@pytest.fixture
def table(tmp_path):
    def of(*lines, head=HEAD):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.csv"
        path.write_text("\n".join([head, *lines]) + "\n")
        return path

    return of


def lines(first=1, success=1):
    return [f"{k + first}, 0, {k / 25:.3f}, 0.98, {success}" for k in range(20)]


@pytest.mark.parametrize("first", [0, 1])
def test_frames_count_from_0_where_a_row_has_that_number(table, first):
    path = table(*lines(first))
    assert openface.places(path, TIMES) == {k + first: k for k in range(20)}
    assert ("frames counted from 0" in openface.notes(path, 20, 1 / 25)) == (first == 0)


@pytest.mark.parametrize(
    ("rows", "head", "why"),
    [
        (lines(), HEAD.replace("success", "Success"), "no column success"),
        ([line.replace(",", ";") for line in lines()], HEAD.replace(",", ";"), "parted by commas"),
        (lines(success=-1), HEAD, "success is not 0 or 1"),
        (lines(success=0.4), HEAD, "success is not 0 or 1"),
        (lines(0.5), HEAD, "a frame is not whole"),
        (lines(success="yes"), HEAD, "yes"),
        ([], HEAD, "no row"),
        ([], "", "No columns"),
    ],
)
def test_a_table_that_is_not_read_says_why(table, rows, head, why):
    with pytest.raises(InputError, match="OpenFace's table cannot be read") as caught:
        openface.places(table(*rows, head=head), TIMES)
    assert why in caught.value.what
