"""What goes back into ELAN and Praat, read again by the library and by our own readers."""

import numpy as np
import pandas as pd
import pytest
from pympi.Elan import Eaf
from pympi.Praat import TextGrid

from lib.evaluation import annotations
from lib.labels import segments

NOTE = 'not validated: "by hand"\nsecond line'


def table(person="left", first=0.0):
    """Ten frames at 10 per second: neutral, not seen, then happy; speaking in the middle."""
    times = first + np.arange(10) / 10
    words = ["neutral"] * 4 + [""] * 2 + ["happy"] * 4
    valence = [0.0] * 4 + [np.nan] * 2 + [0.1, 0.4, 0.5, -0.9]
    speaking = [0.2, 0.2, 0.9, 0.9, np.nan, np.nan, 0.9, 0.1, 0.1, 0.1]
    rows = {"time": times, "person": person, "expression": words, "speaking": speaking}
    return pd.DataFrame(rows).assign(valence_derived=valence, arousal_derived=valence)


def close(stretches, expected):
    assert [word for *_, word in stretches] == [word for *_, word in expected]
    for found, wanted in zip(stretches, expected, strict=True):
        assert found[:2] == pytest.approx(wanted[:2], abs=1e-9)


def test_stretches_are_runs_of_one_value_and_a_frame_lasts_until_the_next():
    tiers = annotations.tiers(table())
    names = ["speaking", "expression", "valence derived", "arousal derived"]
    assert list(tiers) == [f"left {name}" for name in names]
    close(tiers["left expression"], [(0.0, 0.4, "neutral"), (0.6, 1.0, "happy")])
    close(tiers["left speaking"], [(0.2, 0.4, "speaking"), (0.6, 0.7, "speaking")])
    expected = [(0.0, 0.4, "neutral"), (0.6, 0.7, "neutral"), (0.7, 0.9, "positive")]
    close(tiers["left valence derived"], [*expected, (0.9, 1.0, "negative")])
    assert [word for *_, word in tiers["left arousal derived"]] == ["medium"] * 2 + ["high", "low"]


def test_a_recording_of_one_frame_has_stretches_in_both_files(tmp_path):
    eaf, grid = annotations.write(table()[:1], tmp_path / "a.mp4", tmp_path)
    assert Eaf(str(eaf)).get_annotation_data_for_tier("left expression")[0][:2] == (0, 40)
    assert segments.read(grid).table["text"].tolist() == ["neutral", "neutral", "medium"]


def test_both_files_are_read_again_with_the_same_tiers_and_the_recording(tmp_path):
    video = tmp_path / "two people.mp4"
    people = pd.concat([table("left"), table("right")], ignore_index=True)
    eaf, grid = annotations.write(people, video, tmp_path / "out", NOTE)
    expected = annotations.tiers(people)
    elan = Eaf(str(eaf))
    assert set(elan.get_tier_names()) == set(expected)
    for name, stretches in expected.items():
        found = sorted(each[:3] for each in elan.get_annotation_data_for_tier(name))
        assert found == [(round(1000 * a), round(1000 * b), word) for a, b, word in stretches]
    [media] = elan.get_linked_files()
    assert media["MEDIA_URL"] == video.as_uri()
    assert ("note", NOTE) in elan.get_properties()
    praat = TextGrid(str(grid))
    for name, stretches in expected.items():
        close([each for each in praat.get_tier(name).get_intervals() if each[2]], stretches)
    assert "not validated" in praat.get_tier("note").intervals[0][2]


def test_our_own_readers_of_stretches_take_them_back(tmp_path):
    eaf, grid = annotations.write(table(), tmp_path / "one.mp4", tmp_path, NOTE)
    for file in (eaf, grid):
        found = segments.read(file).table
        happy = found[found["text"] == "happy"]
        assert happy[["start", "end"]].to_numpy().tolist() == [pytest.approx([0.6, 1.0], abs=1e-3)]


def test_a_second_writing_replaces_both_and_leaves_nothing_else(tmp_path):
    for first in (0.0, 5.0):
        annotations.write(table(first=first), tmp_path / "one.mp4", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one.TextGrid", "one.eaf"]
    assert "5000" in (tmp_path / "out" / "one.eaf").read_text()


@pytest.mark.parametrize(
    "name", ["a\x01b.mp4", "two\nlines.mp4", "b\udcff.mp4", 'my <&> "q" 😀.mov']
)
def test_any_name_and_note_leads_to_files_that_can_be_read_and_to_the_recording(tmp_path, name):
    """Names on Linux are any bytes; XML has no control characters and no halves of pairs."""
    video = tmp_path / "films" / name
    eaf, grid = annotations.write(table(), video, tmp_path / "out", "sound of\x02 it \ud800")
    [media] = Eaf(str(eaf)).get_linked_files()
    assert media["MEDIA_URL"] == video.as_uri()
    assert media["MIME_TYPE"] == ("video/quicktime" if name.endswith(".mov") else "video/mp4")
    clean = name.replace("\x01", "�").replace("\udcff", "�")
    assert media["RELATIVE_MEDIA_URL"] == f"../films/{clean}"
    assert "sound of� it �" in TextGrid(str(grid)).get_tier("note").intervals[0][2]


def test_frames_before_time_0_are_no_error(tmp_path):
    eaf, grid = annotations.write(table(first=-0.15), tmp_path / "one.mp4", tmp_path, NOTE)
    found = sorted(
        each[:3] for each in Eaf(str(eaf)).get_annotation_data_for_tier("left expression")
    )
    assert found == [(0, 250, "neutral"), (450, 850, "happy")]
    back = segments.read(grid).table  # pympi loses the sign of a time
    back = back[(back["speaker"] == "left expression") & (back["text"] != "")]
    close(
        [*zip(back["start"], back["end"], back["text"], strict=True)],
        [(-0.15, 0.25, "neutral"), (0.45, 0.85, "happy")],
    )
