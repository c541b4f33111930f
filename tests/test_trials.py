import errno

import pandas as pd
import pytest

from lib import trials
from lib.errors import InputError

ROW = {
    "trial": "1-30_left",
    "video": "1-30",
    "person": "left",
    "split": "train",
    "video_path": "batch1/1-30.mp4",
    "n_frames": 30,
    "fps": 29.97,
    "duration": 1.0,
}


def rows(*names, **changes):
    return [{**ROW, "trial": name, **changes} for name in names]


def test_a_table_comes_back_as_it_was_written(tmp_path):
    table = trials.table(rows("171", "ä ö", "3"))
    path = trials.write(table, tmp_path / "new folder" / "trials.parquet")
    pd.testing.assert_frame_equal(trials.read(path), table)
    assert [item.name for item in path.parent.iterdir()] == ["trials.parquet"]


def test_what_a_row_lacks_is_empty_or_nought_and_has_no_fold():
    table = trials.table(rows("a"))
    assert list(table) == list(trials.COLUMNS)
    assert table.loc[0, ["va_path", "subject", "fold"]].tolist() == ["", "", -1]
    assert table["trial"].map(type).eq(str).all()
    assert table["n_frames"].dtype == "int64"


def test_an_empty_table_is_a_table(tmp_path):
    assert len(trials.read(trials.write(trials.table([]), tmp_path / "t.parquet"))) == 0


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (rows("a", "a"), "used twice: a"),
        (rows("a/b"), "'a/b'"),
        (rows(".."), "'..'"),
        (rows(""), "''"),
        (rows("a", video="../b"), "a video is called"),
        (rows("a", split="training"), "unknown split 'training'"),
        (rows("a", video_path="/etc/passwd"), "video_path leaves the data root"),
        (rows("a", va_path="../../secret.txt"), "va_path leaves the data root"),
        (rows("a", crops_dir="crops/../../x"), "crops_dir leaves the data root"),
        (rows("a", audio_path="C:\\sound.wav"), "audio_path leaves the data root"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(changed, told):
    with pytest.raises(InputError) as caught:
        trials.table(changed)
    assert told in str(caught.value)


def test_crops_of_a_single_video_may_lie_anywhere(tmp_path):
    assert trials.table(rows("a", crops_dir=str(tmp_path)))["crops_dir"].tolist() == [str(tmp_path)]


def test_a_table_without_some_columns_says_which(tmp_path):
    trials.table(rows("a")).drop(columns=["fps", "split"]).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="split, fps"):
        trials.read(tmp_path / "t.parquet")


@pytest.mark.parametrize("content", [b"", b"no table " * 100, None])
def test_a_missing_and_a_damaged_table_name_the_notebook_that_makes_it(tmp_path, content):
    path = tmp_path / "trials.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="not there" if content is None else "damaged") as caught:
        trials.read(path)
    assert caught.value.where == str(path)
    assert "01_download_check" in caught.value.todo


def test_a_full_disk_leaves_the_old_table_whole(tmp_path, monkeypatch):
    path = trials.write(trials.table(rows("a")), tmp_path / "trials.parquet")

    def full(self, place, **_):
        place.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(InputError, match="no space left"):
        trials.write(trials.table(rows("b")), path)
    assert trials.read(path)["trial"].tolist() == ["a"]
    assert [item.name for item in tmp_path.iterdir()] == ["trials.parquet"]


def test_trials_are_chosen_by_name_and_all_without_names():
    table = trials.table(rows("a", "b", "c"))
    assert trials.select(table, ["c", "a"])["trial"].tolist() == ["a", "c"]
    assert trials.select(table, [])["trial"].tolist() == ["a", "b", "c"]
    with pytest.raises(InputError, match="no trial is called 'x'"):
        trials.select(table, ["a", "x"])
    assert trials.name(table.to_dict("records")[0]) == "a"


def test_the_subjects_of_a_table_are_people_not_recordings():
    rows = [
        {"trial": "1_left", "video": "1", "person": "left", "subject": "1", "split": "val"},
        {"trial": "1_right", "video": "1", "person": "right", "subject": "1", "split": "val"},
        {"trial": "2", "video": "2", "subject": "anna", "split": "val"},
        {"trial": "3_left", "video": "3", "person": "left", "subject": "anna", "split": "val"},
        {"trial": "4", "video": "4", "split": "val"},
    ]
    assert trials.subjects(trials.table(rows)) == {
        "1_left": "1_left",
        "1_right": "1_right",
        "2": "anna",
        "3_left": "anna",
    }
