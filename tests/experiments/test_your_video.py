"""A recording of one's own: which files are offered, where an upload lands, what is shown."""

from datetime import UTC, datetime

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib.errors import InputError
from lib.evaluation import people, voices
from lib.experiments import your_video
from lib.media import writing

IS_7 = ipywidgets.__version__.startswith("7.")  # as Colab has it


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "films" / "one.mp4"
    path.parent.mkdir()
    return writing.write_video(path, iter([np.zeros((16, 16, 3), np.uint8)] * 2), [0.0, 0.1])


def put(upload, files):
    """What a browser sends for files (name -> content), in the form of ipywidgets 8 or 7."""
    facts = {"type": "video/mp4", "size": 1}
    if IS_7:
        both = [(name, {"metadata": facts, "content": content}) for name, content in files.items()]
        upload.set_trait("value", dict(both))
        return
    facts["last_modified"] = datetime.now(UTC)
    upload.value = tuple(
        {**facts, "name": name, "content": memoryview(content)} for name, content in files.items()
    )


def test_recordings_are_listed_by_what_is_in_them(film):
    (film.parent / "two.xyz").write_bytes(film.read_bytes())
    (film.parent / "notes.mp4").write_text("no video")
    (film.parent / "your_video.ipynb").write_text("{}")
    assert [path.name for path in your_video.listing([film.parent])] == ["one.mp4", "two.xyz"]
    for name in ("talk 10.mp4", "talk 2.mp4"):
        (film.parent / name).write_bytes(film.read_bytes())
    found = [path.name for path in your_video.listing([film.parent])]
    assert found[1:3] == ["talk 2.mp4", "talk 10.mp4"]


def test_a_folder_means_all_recordings_in_it_and_an_empty_one_is_told(film, tmp_path):
    assert your_video.recordings_in(film) == [film]
    assert your_video.recordings_in(film.parent) == [film]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no recording is here"):
        your_video.recordings_in(tmp_path / "empty")


def test_a_recording_that_cannot_be_looked_at_stops_no_other_and_is_named_at_the_end(
    film, monkeypatch
):
    cut, said, seen = film.parent / "cut.mp4", [], []
    cut.write_bytes(film.read_bytes()[:200])

    def show(video, p, say):
        if video == cut:
            raise InputError("this file is cut short", where=video)
        seen.append(video)

    monkeypatch.setattr(your_video, "show", show)
    monkeypatch.setattr(your_video.people, "fetch", lambda p: [])
    monkeypatch.setattr(voices, "check", lambda p: None)
    with pytest.raises(InputError, match="1 of 2 recordings") as told:
        your_video.start({"video_path": film.parent, "voice_run": "none of these"}, said.append)
    assert str(cut) in str(told.value)
    assert seen == [film]
    assert "cut short" in said[0]
    with pytest.raises(InputError, match="cut short"):
        your_video.start({"video_path": cut}, said.append)


def test_a_wrong_network_stops_before_any_recording_is_looked_at(film, tmp_path, monkeypatch):
    """In a folder each recording would have been followed through, and then failed."""
    monkeypatch.setattr(your_video.people, "fetch", lambda p: pytest.fail("something is fetched"))
    values = {"video_path": film.parent, "predict_run": "talks", "runs_root": tmp_path}
    with pytest.raises(InputError, match="called talks"):
        your_video.start(values, print)


def test_curves_video_and_a_short_table_are_shown_also_under_a_button(film, tmp_path, monkeypatch):
    """A figure that nobody displays is seen at the end of a cell only, and a button has none."""
    facts = {"frame": [1, 2], "time": [0.0, 0.1], "person": "1", "valid": 0, "note": "long " * 50}
    values = {"x": np.nan, "expression": "", "expression_happy": np.nan}
    table = pd.DataFrame({**facts, **values, "valence_derived": np.nan, "arousal_derived": np.nan})
    found = people.People(film, table, ("a note",), ())
    monkeypatch.setattr(your_video.people, "look", lambda *given: found)
    shown = []
    monkeypatch.setattr(your_video, "_display", lambda *things: shown.extend(things))
    your_video.show(film, {"runs_root": tmp_path / "runs", "run": "mine"}, print)
    video, picture, rows, link = shown
    assert picture.data.startswith(b"\x89PNG")
    assert video.embed
    page = rows._repr_html_()
    assert "valence_derived" in page
    assert "long long" not in page
    assert "one.mp4" in link.data
    assert plt.get_fignums() == []


def test_of_nobody_neither_curves_nor_a_table_are_shown(film, tmp_path, monkeypatch):
    columns = ["frame", "time", "person", "valid", "x", "expression", "valence_derived", "note"]
    found = people.People(film, pd.DataFrame(columns=[*columns, "arousal_derived"]), (), ())
    monkeypatch.setattr(your_video.people, "look", lambda *given: found)
    shown, said = [], []
    monkeypatch.setattr(your_video, "_display", lambda *things: shown.extend(things))
    your_video.show(film, {"runs_root": tmp_path / "runs", "run": "mine"}, said.append)
    video, link = shown
    assert video.embed
    assert "one.mp4" in link.data
    assert "nobody was found in this video" in said[0]
    assert not list((tmp_path / "runs").rglob("*.png"))


def test_both_forms_of_an_upload_are_read():
    new = ({"name": "a.mp4", "type": "video/mp4", "size": 2, "content": memoryview(b"ab")},)
    old = {"a.mp4": {"metadata": {"name": "a.mp4"}, "content": b"ab"}}
    assert your_video.contents_of(new) == your_video.contents_of(old) == {"a.mp4": b"ab"}


def test_an_upload_stays_in_its_folder_and_replaces_nothing(tmp_path):
    first = your_video.uploaded({"../../a.mp4": b"one"}, tmp_path)
    assert first == [tmp_path / "a.mp4"]
    assert your_video.uploaded({"a.mp4": b"one"}, tmp_path) == first
    assert your_video.uploaded({"a.mp4": b"two"}, tmp_path) == [tmp_path / "a-2.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"one"
    assert your_video.uploaded({"..\\b.mp4": b"x"}, tmp_path)[0].parent == tmp_path


def test_two_uploads_of_one_name_are_both_kept():
    twice = [{"name": "a.mp4", "content": content} for content in (b"one", b"two", b"one")]
    assert your_video.contents_of(twice) == {"a.mp4": b"one", "a-2.mp4": b"two"}


@pytest.mark.parametrize("name", ["a.m\x00p4", f"a.{'b' * 300}", "x.mp4?token=1", "", "con.mp4"])
def test_an_upload_may_be_called_anything(tmp_path, name):
    (path,) = your_video.uploaded({name: b"x"}, tmp_path)
    assert path.parent == tmp_path
    assert path.read_bytes() == b"x"
    assert not {"?", "\x00"} & set(path.name)


def test_an_upload_that_is_no_recording_is_told(film, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    box = your_video.chooser({"videos_path": tmp_path / "mine"}, print, said.append)
    names, _, _, upload = box.children[0].children
    put(upload, {"notes.mp4": b"hello", "film.mp4": film.read_bytes()})
    assert said == ["notes.mp4 is no recording that can be opened: it is not in the list"]
    assert names.value == tmp_path / "mine" / "film.mp4"


def test_nothing_uploaded_in_colab_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(your_video.people, "fetch", lambda p: [])
    monkeypatch.setattr(your_video, "is_colab", lambda: True)
    monkeypatch.setattr(your_video, "_of_colab", dict)
    said = []
    your_video.start({"video_path": "", "videos_path": tmp_path}, said.append)
    assert "nothing was uploaded" in said[-1]


def test_the_list_has_what_was_uploaded_and_look_is_called_with_it(film, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    box = your_video.chooser({"videos_path": tmp_path / "mine"}, seen.append, print)
    names, look, again, upload = box.children[0].children
    assert names.options[0][1] is None
    put(upload, {"new.mp4": film.read_bytes()})
    assert [name for name, _ in names.options] == ["new.mp4"]
    look.click()
    assert seen == [tmp_path / "mine" / "new.mp4"]
    (tmp_path / "dragged.mp4").write_bytes(film.read_bytes())
    sent = []
    monkeypatch.setattr(names, "send_state", lambda key: sent.append(set(key)))
    again.click()
    assert [name for name, _ in names.options] == ["dragged.mp4", "new.mp4"]
    assert names.label == "new.mp4", "what was chosen stays chosen"
    assert len(sent) == 1, "a page that gets list and choice one by one undoes what is chosen then"
    if not IS_7:  # which sends nothing without a page
        assert {"_options_labels", "index"} <= sent[0]


def test_without_a_video_and_without_a_front_end_the_way_is_told(capsys, monkeypatch):
    monkeypatch.setattr(your_video.people, "fetch", lambda p: ["fetched a network"])
    your_video.start({"video_path": "", "videos_path": "x"}, print)
    out = capsys.readouterr().out
    assert "fetched a network" in out
    assert "video_path is empty" in out
