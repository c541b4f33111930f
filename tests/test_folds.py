"""Folds: no subject in two of them, the same everywhere, written once."""

import numpy as np
import pandas as pd
import pytest

from lib import folds
from lib.errors import InputError


@pytest.fixture
def table():
    generator = np.random.default_rng(0)
    rows = [{"trial": f"{k}", "subject": f"s{k // 2}", "split": ["train", "train", "val", "test"][k % 8 // 2],
             "n_frames": int(generator.integers(100, 2000))} for k in range(80)]
    return pd.DataFrame(rows)


def test_every_labelled_trial_has_one_fold_and_no_subject_two(table):
    found = folds.make(table, 5)
    assert sorted(found["trial"]) == sorted(table["trial"][table["split"] != "test"])
    assert (found.groupby("subject")["fold"].nunique() == 1).all()


def test_folds_are_about_equally_long_whatever_the_order_of_the_table(table):
    found = folds.make(table, 5)
    frames = found.merge(table, on="trial").groupby("fold")["n_frames"].sum()
    assert frames.max() < 1.2 * frames.min()
    pd.testing.assert_frame_equal(folds.make(table.iloc[::-1], 5), found)


def test_a_fold_file_is_written_once_and_read_afterwards(table, tmp_path):
    path = tmp_path / "folds.csv"
    found = folds.keep(path, table, 3)
    text = path.read_text().replace(",2\n", ",7\n")
    path.write_text(text)
    assert set(folds.keep(path, table, 3)["fold"]) == {0, 1, 7}
    assert path.read_text() == text
    assert len(found) == len(text.splitlines()) - 1


@pytest.mark.parametrize(("text", "message"), [
    ("trial,fold\n1,2\n", "columns"), ("trial,subject,fold\n1,a,x\n", "not a fold"),
    ("trial,subject,fold\n1,a,0\n1,a,0\n", "second time"),
    ("trial,subject,fold\n1,a,0\n2,a,1\n", "in the folds 0 and 1"),
    ("trial,subject,fold\n1,a,0\n", "only in")])
def test_a_fold_file_that_would_leak_or_does_not_fit_is_refused(table, tmp_path, text, message):
    path = tmp_path / "folds.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        folds.keep(path, table, 2)


def test_more_folds_than_subjects_are_refused(table):
    with pytest.raises(InputError, match="40 folds"):
        folds.make(table, 40)
