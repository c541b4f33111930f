"""benchmarks/expression_faces.py: pictures in a folder per class, scored."""

import cv2
import numpy as np
import pytest

from benchmarks import expression_faces as faces
from lib.errors import InputError
from lib.models.affect.face_api import CLASSES


def logits_of(names):
    rows = np.full((len(names), len(CLASSES)), -5.0)
    for row, name in zip(rows, names, strict=True):
        row[CLASSES.index(name) if name else slice(None)] = 5.0 if name else np.nan
    return rows


def test_folders_are_classes_by_several_words_and_what_is_none_is_named(tmp_path):
    for name in ("Happiness", "anger", "sad", "contempt"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").touch()
    items, left = faces.labelled(tmp_path)
    assert sorted(name for _, name in items) == ["angry", "happy", "sad"]
    assert left[0].startswith("contempt: 1 files of no class of neutral, happy")


def test_a_folder_without_classes_is_an_error_with_what_is_there(tmp_path):
    (tmp_path / "cats").mkdir()
    with pytest.raises(InputError, match="no picture in a folder of a class; cats"):
        faces.labelled(tmp_path)


def test_what_lies_beside_and_within_folders_of_classes_is_named(tmp_path):
    (tmp_path / "sad" / "more").mkdir(parents=True)
    for name in ("sad/1.png", "sad/more/2.png", "3.png"):
        (tmp_path / name).touch()
    items, left = faces.labelled(tmp_path)
    assert [path.name for path, _ in items] == ["1.png"]
    assert left == [
        "sad/more: a folder within that of a class",
        "in no folder of a class: 3.png (files of this kind: 1)",
    ]


def test_a_folder_that_is_not_there_is_an_error_with_what_belongs_into_it(tmp_path):
    with pytest.raises(InputError, match="no such folder") as told:
        faces.labelled(tmp_path / "none")
    assert "a folder per class: neutral, happy" in told.value.expected


class Happy:
    """Stands for the networks: everybody is happy."""

    def logits(self, picture, rule):
        return logits_of(["happy"])[0]


def test_a_file_that_is_no_picture_counts_nowhere_and_is_named(tmp_path):
    """Thumbs.db and .DS_Store are in such folders; no network read them wrongly."""
    (tmp_path / "happy").mkdir()
    cv2.imwrite(str(tmp_path / "happy" / "1.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "happy" / "Thumbs.db").write_bytes(b"abc")
    items, _ = faces.labelled(tmp_path)
    logits, truth, lost = faces.read(items, Happy())
    assert faces.row_of("square", logits["square"], truth)[:5] == ["square", 1, 0, "1.000", "1.000"]
    assert [each.split(":")[0] for each in lost] == ["happy/Thumbs.db"]
    with pytest.raises(InputError, match="no picture opens"):
        faces.read(items[1:], Happy())


def test_a_face_that_is_not_found_counts_as_wrong():
    truth = np.array([CLASSES.index(name) for name in ("happy", "happy", "sad", "sad")])
    row = faces.row_of("square", logits_of(["happy", "", "sad", "angry"]), truth)
    assert row[:5] == ["square", 4, 1, "0.500", "0.500"]
    read = logits_of(["happy", "", "sad", "angry"])
    table = {shown: counts for shown, *counts in faces.confusion(read, truth)}
    assert table["happy"][CLASSES.index("happy")] == 1
    assert table["happy"][-1] == 1  # no face
    assert table["sad"][CLASSES.index("angry")] == 1
    assert set(table) == {"happy", "sad"}


def test_the_calibration_error_is_how_far_certainty_is_from_the_share_that_is_right():
    sure = np.full((10, 7), 0.1 / 6)
    sure[:, 0] = 0.9
    right = np.arange(10) < 6
    assert faces.calibration_error(sure, right) == pytest.approx(0.3)
    assert faces.calibration_error(sure, np.arange(10) < 9) == pytest.approx(0, abs=1e-12)


def test_what_is_found_in_a_persons_own_folder_is_printed_and_not_kept(
    tmp_path, monkeypatch, capsys
):
    """A result would lie among the project's, with the names of the person's files in it."""
    (tmp_path / "happy").mkdir()
    cv2.imwrite(str(tmp_path / "happy" / "anna.png"), np.zeros((8, 8, 3), np.uint8))
    results = tmp_path / "results"
    monkeypatch.setitem(faces.publish.__globals__, "RESULTS", results)
    monkeypatch.setattr(faces, "Reader", lambda weights: Happy())
    monkeypatch.setattr("sys.argv", ["expression_faces.py", str(tmp_path)])
    faces.main()
    assert "1 pictures. No face counts as wrong." in capsys.readouterr().out
    assert not results.exists()
