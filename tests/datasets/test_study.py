"""A folder of recordings finds its own results again, and never those of another one."""

import shutil
from types import SimpleNamespace

import pandas as pd
import pytest

from lib import datasets
from lib.datasets import study
from lib.store import Store


@pytest.fixture
def processed(tmp_path):
    return tmp_path / "processed"


def recordings(folder, *contents):
    folder.mkdir(parents=True)
    for number, content in enumerate(contents):
        (folder / f"{number}.mp4").write_bytes(content)
    return folder


def prepared(processed, root):
    """The processed folder of a root, after 01."""
    name = study.name(processed, root)
    names = sorted(path.name for path in root.iterdir())
    table = pd.DataFrame({"video_path": names, "audio_path": names})
    study.write(Store(processed, name, root), table)
    return name


def test_one_two_and_one_again(tmp_path, processed):
    one, two = (recordings(tmp_path / day / "talks", day.encode()) for day in ("day1", "day2"))
    assert prepared(processed, one) == "folder-talks"
    assert prepared(processed, two) == "folder-talks-2"
    assert study.name(processed, one) == "folder-talks"
    assert study.name(processed, two) == "folder-talks-2"


def test_a_folder_that_moved_is_the_same_study(tmp_path, processed):
    one = recordings(tmp_path / "a" / "talks", b"first", b"second")
    prepared(processed, one)
    moved = tmp_path / "b" / "talks"
    moved.parent.mkdir()
    shutil.move(one, moved)
    (moved / "0.mp4").unlink()
    assert study.name(processed, moved) == "folder-talks"


def test_recordings_of_one_size_are_told_apart_by_their_content(tmp_path, processed):
    prepared(processed, recordings(tmp_path / "a" / "talks", b"first"))
    other = recordings(tmp_path / "b" / "talks", b"FIRST")
    assert study.name(processed, other) == "folder-talks-2"


def test_a_folder_that_grows_is_the_same_study(tmp_path, processed):
    one = recordings(tmp_path / "talks", b"first")
    prepared(processed, one)
    (one / "0.mp4").write_bytes(b"cut anew")
    (one / "1.mp4").write_bytes(b"more")
    assert study.name(processed, one) == "folder-talks"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"root": 1, "files": 3}', '{"root": "a"}'])
def test_a_record_that_is_damaged_is_written_anew(tmp_path, processed, text):
    one = recordings(tmp_path / "talks", b"first")
    (processed / "folder-talks").mkdir(parents=True)
    (processed / "folder-talks" / study.RECORD).write_text(text)
    assert prepared(processed, one) == "folder-talks"
    assert study.read(processed / "folder-talks")["root"] == str(one)


def test_other_data_sets_keep_their_names(tmp_path):
    params = SimpleNamespace(dataset="affwild2", data_root=tmp_path, processed_root=tmp_path)
    assert datasets.locate(params) == ("affwild2", tmp_path)
