"""What is written passes the check, and the check names everything that would be sent back."""

import numpy as np
import pytest

from lib.errors import InputError
from lib.evaluation import submission
from lib.labels import official

VA = np.array([[0.5, -1], [1 + 1e-9, 0.123456]])


def test_valence_and_arousal_have_the_official_header_and_a_line_for_every_frame(tmp_path):
    path = submission.write(tmp_path, "va", "1-30-1280x720_left", VA)
    assert path == tmp_path / "VA_Set" / "1-30-1280x720_left.txt"
    assert path.read_text() == "valence,arousal\n0.50000,-1.00000\n1.00000,0.12346\n"
    assert submission.validate(tmp_path, {"1-30-1280x720_left": 2}) == []


def test_expressions_and_action_units_have_their_headers(tmp_path):
    text = submission.write(tmp_path, "expression", "v", np.array([0, 6])).read_text()
    assert text == "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise\n0\n6\n"
    eight = official.HEADERS["expression"][1]
    path = submission.write(tmp_path, "expression", "w", np.array([7]), eight)
    assert "Surprise,Other\n7\n" in path.read_text()
    text = submission.write(tmp_path, "action_units", "v", np.array([[0, 1] * 4])).read_text()
    assert text == "AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25\n0,1,0,1,0,1,0,1\n"
    assert submission.validate(tmp_path, {"v": 2, "w": 1}, "expression") == []
    assert submission.validate(tmp_path, {"v": 1}, "action_units") == []


@pytest.mark.parametrize(
    ("task", "array"),
    [
        ("va", [[0.0, np.nan]]),
        ("va", [[0.0, 1.2]]),
        ("expression", [-1]),
        ("expression", [8]),
        ("action_units", [[0, 1, 0, 0, -1, 0, 0, 0]]),
        ("action_units", [[0, 1, 0, 0, 2, 0, 0, 0]]),
    ],
)
def test_a_frame_without_a_valid_prediction_is_not_written(tmp_path, task, array):
    with pytest.raises(InputError, match="1 of 1 frames") as error:
        submission.write(tmp_path, task, "v", np.array(array))
    assert error.value.where == "trial v, frame 1"
    assert not list(tmp_path.iterdir())


def test_the_check_lists_missing_extra_and_wrongly_named_files(tmp_path):
    submission.write(tmp_path, "va", "a", VA)
    submission.write(tmp_path, "va", "b.mp4_left", VA)
    submission.write(tmp_path, "va", "z", VA)
    problems = submission.validate(tmp_path, {"a": 2, "b_left": 2})
    assert len(problems) == 3
    assert "should be called b_left.txt" in problems[0]
    assert "z.txt: no such trial is expected" in problems[1]
    assert "b_left.txt: the file is missing" in problems[2]
    assert "folder is not there" in submission.validate(tmp_path, {"a": 2}, "expression")[0]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("valence,arousal\n0,0\n", "1 lines for 2 frames"),
        ("0,0\n0,0\n", "v.txt:1: the header line is missing"),
        ("valence,arousal\n0,0\n0,x\n", "v.txt:3: 'x' in column 2"),
        ("valence,arousal\n0,0\n0,1.5\n", "v.txt:3: 1.5 in column 2"),
        ("valence,arousal\n0,0,0\n0,0\n", "v.txt:2: 3 columns"),
        ("valence,arousal\n0,0\n-5,-5\n", "v.txt:3: 1 lines marked as unlabelled"),
    ],
)
def test_the_check_names_the_line_that_is_wrong(tmp_path, text, word):
    (tmp_path / "VA_Set").mkdir()
    (tmp_path / "VA_Set" / "v.txt").write_text(text)
    problems = submission.validate(tmp_path, {"v": 2})
    assert len(problems) == 1
    assert word in problems[0]


def test_the_single_file_of_later_years_names_every_picture(tmp_path):
    path = submission.write_single(tmp_path / "predictions.txt", {"v": VA, "w_right": VA[:1]})
    assert path.read_text() == (
        "image_location,valence,arousal\nv/00001.jpg,0.50000,-1.00000\n"
        "v/00002.jpg,1.00000,0.12346\nw_right/00001.jpg,0.50000,-1.00000\n"
    )
    assert submission.validate_single(path, {"v": 2, "w_right": 1}) == []


def test_the_single_file_can_follow_the_organisers_list_of_frames(tmp_path):
    va = np.array([[np.nan, np.nan], [0, 0], [0.1, 0.1]])
    path = submission.write_single(tmp_path / "p.txt", {"v": va}, {"v": [3, 2]})
    assert path.read_text().splitlines()[1:] == [
        "v/00003.jpg,0.10000,0.10000",
        "v/00002.jpg,0.00000,0.00000",
    ]
    assert submission.validate_single(path, {"v": [2, 3]}) == []
    with pytest.raises(InputError, match="frame 4 is asked for, 3 are predicted"):
        submission.write_single(tmp_path / "p.txt", {"v": va}, {"v": [4]})


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no table of three columns"),
        ("image,valence,arousal\nv/00001.jpg,0,0\n", "header 'image,valence,arousal'"),
        (
            "image_location,valence,arousal\nv/00001.jpg,0,0\nv/00002.jpg,0,2\n",
            "p.txt:3: 'v/00002.jpg,0,2'",
        ),
        ("image_location,valence,arousal\nv/00001.jpg,0,0\nv/00002.jpg,,0\n", "p.txt:3"),
        ("image_location,valence,arousal\nv/00001.jpg,0,0\n", "trial v: of 2 frames 1 missing"),
        (
            "image_location,valence,arousal\nv/00001.jpg,0,0\nv/00002.jpg,0,0\nv/00002.jpg,1,0\n",
            "written twice",
        ),
        (
            "image_location,valence,arousal\nv/00001.jpg,0,0\nv/00002.jpg,0,0\nv/00003.jpg,0,0\n",
            "1 not expected",
        ),
        (
            "image_location,valence,arousal\nv/00001.jpg,0,0\nv/00002.jpg,0,0\nx/00001.jpg,0,0\n",
            "lines of x",
        ),
        (
            "image_location,valence,arousal\nv/00001.jpg,0,0\nv/00002.jpg,0,0\nv1.png,0,0\n",
            "p.txt:4: 'v1.png'",
        ),
    ],
)
def test_the_check_of_the_single_file_names_what_is_wrong(tmp_path, text, word):
    path = tmp_path / "p.txt"
    path.write_text(text)
    problems = submission.validate_single(path, {"v": 2})
    assert len(problems) == 1
    assert word in problems[0]
    assert "missing" in submission.validate_single(tmp_path / "none.txt", {"v": 2})[0]
