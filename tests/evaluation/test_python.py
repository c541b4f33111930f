"""`predict` in a program of one's own: odd paths, values out of arrays, several recordings."""

import os
import types
import unicodedata

import numpy as np
import pytest
import torch

from lib import predict
from lib.errors import InputError
from lib.evaluation import python


@pytest.fixture
def given(tmp_path, monkeypatch):
    """What `people.look` is called with; it writes a table, or fails for the recording ``bad``."""
    (tmp_path / "talk.mp4").write_bytes(bytes(range(256)))
    monkeypatch.chdir(tmp_path)
    calls = []

    def look(video, params, folder):
        calls.append(params)
        if video.read_bytes()[:3] == b"bad":
            raise InputError("no pictures")
        (folder / f"{video.stem}_people.csv").write_text(str(video))
        return types.SimpleNamespace(table=str(video))

    monkeypatch.setattr(python.people, "look", look)
    monkeypatch.setattr(python.people, "check", lambda params: None)
    monkeypatch.setattr(python.people, "fetch", lambda params: [])
    return calls


def _recording(folder, content):
    folder.mkdir()
    (folder / "take.mp4").write_bytes(content)
    return folder / "take.mp4"


def test_a_second_recording_of_a_name_does_not_replace_the_results_of_the_first(given, tmp_path):
    first = _recording(tmp_path / "P01", b"\0first")
    other = _recording(tmp_path / "P02", b"\0second")
    predict(first, folder="out")
    with pytest.raises(InputError, match="results of another recording called take"):
        predict(other, folder="out")
    assert (tmp_path / "out" / "take_people.csv").read_text() == str(first)
    assert predict(first, folder="out") == str(first)


def test_a_recording_that_failed_claims_no_name(given, tmp_path):
    damaged = _recording(tmp_path / "P01", b"bad\0")
    other = _recording(tmp_path / "P02", b"\0good")
    with pytest.raises(InputError, match="no pictures"):
        predict(damaged, folder="out")
    assert predict(other, folder="out") == str(other)


@pytest.mark.parametrize(
    "value", [["a.mp4"], (path for path in ["a.mp4"]), np.zeros((3, 480, 640, 3), np.uint8)]
)
def test_several_recordings_at_once_are_refused_in_a_short_line(value):
    with pytest.raises(InputError, match="call predict for each recording") as caught:
        predict(value)
    assert len(caught.value.what) < 200
    assert "\n" not in caught.value.what


def test_values_out_of_arrays_and_of_torch_are_what_they_mean(given):
    predict(np.str_("talk.mp4"), fetch_weights=np.bool_(False), device=torch.device("cpu"))
    assert given[0]["fetch_weights"] is False
    assert given[0]["device"] == "cpu"


@pytest.mark.parametrize("name", ["Anna.mp4 ", "anna.mp4", '"Anna.mp4"', "Anna.mp4\n", "Ana.mp4"])
def test_a_missing_file_names_the_one_that_was_meant(given, tmp_path, name):
    (tmp_path / "Anna.mp4").write_bytes(b"\0")
    with pytest.raises(InputError, match="did you mean 'Anna\\.mp4', which is there"):
        predict(name)


def test_accents_that_are_stored_otherwise_and_dead_links_are_told(given, tmp_path):
    (tmp_path / "Bén.mp4").write_bytes(b"\0")
    with pytest.raises(InputError, match="which is there"):
        predict(unicodedata.normalize("NFD", "Bén.mp4"))
    os.symlink("gone.mp4", tmp_path / "link.mp4")
    with pytest.raises(InputError, match="it is a link to gone\\.mp4, which is not there"):
        predict("link.mp4")


def test_a_recording_whose_name_begins_with_a_tilde_is_one(given, tmp_path):
    (tmp_path / "~draft.mp4").write_bytes(bytes(range(256)))
    assert predict("~draft.mp4") == str(tmp_path / "~draft.mp4")
