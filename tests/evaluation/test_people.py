"""Everybody in a video in one pass, with the published networks; and what is said where one is
absent.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skimage import data

from lib.errors import InputError
from lib.evaluation import overlay, people
from lib.features import expression_arrays
from lib.media import recordings, writing
from lib.models import weights
from lib.parameters import Params
from lib.plots import speakers as plots
from tests.shared_files import shared

FACE = data.astronaut()[0:200, 120:320]
N = 6


def film(path, pictures, sound=None):
    return writing.write_video(path, iter(pictures), np.arange(len(pictures)) / 10, sound, 16000)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of weights: face detector and expression network."""
    folder = tmp_path_factory.mktemp("weights")
    for name in ("yunet", "face_api", *weights.entry("face_api").parts):
        file = weights.entry(name).file
        source = shared(f"weights/{file}" if name == "yunet" else f"weights/face_api/{file}")
        (folder / file).symlink_to(source)
    return folder


def parameters(root, **values):
    usual = {"device": "cpu", "faces": "auto", "run": "", "predict_run": "", "speaker_run": "none"}
    return Params({"weights_root": root, "runs_root": root / "runs", **usual, **values})


@pytest.fixture(scope="module")
def two(root, tmp_path_factory):
    """Two people, one of whom is gone in the second half."""
    folder = tmp_path_factory.mktemp("two")
    both = np.concatenate([FACE, np.zeros_like(FACE), FACE], axis=1)
    one = np.concatenate([FACE, np.zeros_like(FACE), np.zeros_like(FACE)], axis=1)
    path = film(folder / "two.mp4", [both] * N + [one] * N)
    return people.look(path, parameters(root), folder / "out")


def test_every_person_has_a_row_for_every_frame_and_no_values_without_a_face(two):
    table = two.table
    assert list(dict.fromkeys(table["person"])) == ["left", "right"]
    assert len(table) == 2 * 2 * N
    gone = table[(table["person"] == "right") & (table["frame"] > N + 2)]
    assert (gone["valid"] == 0).all()
    of_the_face = ["x", "expression_happy", "valence_derived", "arousal_derived"]
    assert gone[of_the_face].isna().all(axis=None)
    assert set(gone["expression"]) == {""}
    seen = table[table["valid"] == 1]
    shares = seen[[f"expression_{name}" for name in people.CLASSES]].sum(axis=1)
    np.testing.assert_allclose(shares, 1, atol=1e-6)


def test_where_each_person_goes_on_after_a_cut_is_said_person_by_person(root, tmp_path):
    """Shot and counter-shot of two women in two rooms."""
    frames = (picture for _, picture in recordings.frames(shared("media/grid_bbaf2n.mpg")))
    shots = [FACE] * 2 * N + [next(frames)[:200, 80:280]] * 2 * N
    seen = people.look(film(tmp_path / "talk.mp4", shots * 2), parameters(root), tmp_path / "out")
    told = [note for note in seen.notes if "joined across a cut" in note]
    assert [note.partition(":")[0] for note in told] == ["person left", "person right"], seen.notes
    assert ["at 2.4 s" in note for note in told].count(True) == 1
    assert ["at 3.6 s" in note for note in told].count(True) == 1
    assert not any("only others are seen" in note for note in seen.notes), "all are in the table"
    assert seen.table.groupby("person")["valid"].sum().tolist() == [4 * N, 4 * N]


def test_a_woman_who_smiles_is_happy_and_the_sentence_says_so(two):
    left = two.table[two.table["person"] == "left"]
    assert set(left["expression"]) == {"happy"}
    assert (left["valence_derived"] > 0.5).all()
    assert "person left: seen" in people.summary(two)
    assert "happy 100%" in people.summary(two)


def test_that_nobody_can_be_heard_and_what_the_values_are_worth_stand_in_the_table(two):
    note = two.table["note"].iloc[0]
    assert "the video has no sound" in note
    assert "made by hand; not validated" in note
    assert "card: docs/models/face_api.md" in note
    assert two.files[0].name == "two_people.csv"


def test_the_picture_and_the_video_show_each_person(two, tmp_path):
    axes = plots.of_video(two.table, note=two.note)
    assert [ax.get_ylabel() for ax in axes[1::2]] == ["person left", "person right"]
    out = overlay.write(two.video, two.table, tmp_path / "out.mp4", two.note)
    assert recordings.probe(out).n_frames == 2 * N
    labelled = overlay.labelled(two.table)
    assert labelled["label"].iloc[0].startswith("left: happy ")
    assert labelled["speaking"].isna().all()


def test_a_table_of_nobody_is_drawn_as_it_is_read_back(root, tmp_path):
    path = film(tmp_path / "empty.mp4", [np.zeros((64, 64, 3), np.uint8)] * 3)
    table = pd.DataFrame({"frame": [1, 2, 3], "time": [0, 0.1, 0.2], "valid": 0})
    empty = ["person", "expression", "valence_derived", "arousal_derived", "x"]
    table[[*empty, "expression_happy"]] = np.nan
    assert recordings.probe(overlay.write(path, table, tmp_path / "out.mp4")).n_frames == 3


def test_a_video_without_a_face_gives_no_row_and_says_so(root, tmp_path):
    path = film(tmp_path / "empty.mp4", [np.zeros((64, 64, 3), np.uint8)] * 3)
    found = people.look(path, parameters(root), tmp_path / "out")
    assert found.table.empty
    assert "valence_derived" in found.table
    assert people.summary(found) == "nobody was found in this video"


def test_seconds_are_those_for_which_frames_are_shown_and_no_count_of_frames():
    """Phones and meetings record at no even rate: here the second frame is held for 2 s."""
    times = np.array([0.0, 0.1, 2.1, 2.2, 2.3])
    table = pd.DataFrame({"time": times, "person": "1", "valid": [1, 1, 1, 0, 0]})
    table = table.assign(expression=["happy"] * 3 + [""] * 2, speaking=[0.1, 0.9, 0.9, 0.1, 0.1])
    told = people.summary(people.People(Path("a.mp4"), table, (), ()))
    assert told == "person 1: seen 2.2 of 2.4 s; happy 100%; speaks 2.1 s"


@pytest.mark.parametrize("name", ["predict_run", "speaker_run", "voice_run"])
def test_a_network_that_is_not_there_is_told_before_a_face_is_looked_for(tmp_path, name):
    with pytest.raises(InputError, match="neither a trained run nor a weights file called talks"):
        people.check({name: "talks", "runs_root": tmp_path})


def test_a_damaged_network_is_told_and_a_published_one_that_is_fetched_later_is_not(tmp_path):
    (tmp_path / "best.pt").write_text("x")
    with pytest.raises(InputError, match="damaged"):
        people.check({"predict_run": str(tmp_path / "best.pt"), "runs_root": tmp_path})
    light_asd = str(tmp_path / weights.entry("light_asd_ava").file)
    people.check({"predict_run": light_asd, "speaker_run": "none", "runs_root": tmp_path})


def test_without_the_network_that_hears_the_rest_is_there_and_the_command_is_named(
    root, tmp_path, monkeypatch
):
    monkeypatch.setattr(weights, "_continue", offline)
    path = film(tmp_path / "a.mp4", [FACE] * 3, np.zeros(6000, np.float32))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a_speakers.rttm").write_text("")  # of an analysis with the network
    found = people.look(path, parameters(root, speaker_run=""), tmp_path / "out")
    assert len(found.table) == 3
    assert "speaking" not in found.table
    assert "weights get light_asd_ava" in found.note
    assert "of an earlier analysis, with other parameters: a_speakers.rttm" in found.note


@pytest.mark.parametrize("name", ["predict_run", "speaker_run"])
def test_published_weights_that_a_parameter_names_are_fetched_or_the_command_is_named(
    root, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(weights, "_continue", offline)
    file = tmp_path / weights.entry("lr_asd_ava").file
    with pytest.raises(weights.AbsentError, match="weights get lr_asd_ava") as caught:
        people.fetch(parameters(root, **{name: str(file)}))
    assert caught.value.where == str(file)


def test_where_nothing_may_be_fetched_no_server_is_asked(root, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(weights, "_continue", lambda *given: asked.append(given))
    path = film(tmp_path / "a.mp4", [FACE] * 3, np.zeros(6000, np.float32))
    told = parameters(root, speaker_run="", fetch_weights=False)
    found = people.look(path, told, tmp_path / "out")
    assert "weights get light_asd_ava" in found.note
    with pytest.raises(weights.AbsentError, match="yunet"):
        people.look(path, Params({**told, "weights_root": tmp_path / "none"}), tmp_path / "other")
    assert asked == []


def test_the_networks_of_faces_are_kept_to_one_process_per_gpu():
    assert all(maker.network for maker in expression_arrays.MAKERS)


def offline(*_):
    raise ConnectionError("no network")


@pytest.mark.parametrize("crop", expression_arrays.CROPS)
def test_every_rule_of_the_crop_sees_the_smile(crop, root, tmp_path):
    path = film(tmp_path / "a.mp4", [FACE] * 2)
    found = people.look(path, parameters(root, expression_crop=crop), tmp_path / crop)
    assert set(found.table["expression"]) == {"happy"}
