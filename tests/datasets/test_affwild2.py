import os
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest

from lib import datasets
from lib.datasets import affwild2
from lib.datasets.report import Report
from lib.errors import InputError
from lib.media import writing

FRAMES = 5
TEXTS = {
    "VA": "valence,arousal\n0.1,0.2\n",
    "EX": "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise\n1\n",
    "AU": "AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25\n0,0,0,0,0,0,0,1\n",
}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A recording with sound, a silent one and one with nothing but sound."""
    folder = tmp_path_factory.mktemp("recordings")
    for name, sound in (("sound", np.zeros(8000, np.float32)), ("silent", None)):
        writing.write_video(
            folder / f"{name}.mp4",
            (np.full((32, 32, 3), k, np.uint8) for k in range(FRAMES)),
            np.arange(FRAMES) / 25,
            sound,
            rate=8000,
        )
    with wave.open(str(folder / "deaf.mp4"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(8000))
    return folder


class Layout:
    """Builds a data root, file by file."""

    def __init__(self, root, recordings):
        self.root, self.recordings = root, recordings
        root.mkdir()

    def video(self, place, kind="sound"):
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.recordings / f"{kind}.mp4", path)

    def text(self, place, text=None):
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TEXTS[place[:2].upper()] if text is None else text)

    def crops(self, trial, count=1):
        folder = self.root / "cropped_aligned" / trial
        folder.mkdir(parents=True)
        for number in range(1, count + 1):
            (folder / f"{number:05d}.jpg").write_bytes(b"1")

    def find(self, **more):
        self.table, self.report = affwild2.find(self.root, **more)
        return self.table.set_index("trial")

    def problems(self):
        rows = self.report.problem_table()
        return {(row.severity, row.item): row for row in rows.itertuples()}


@pytest.fixture
def layout(tmp_path, recordings):
    return Layout(tmp_path / "Aff-Wild 2 ä", recordings)


# ---- layout


@pytest.mark.parametrize("folder", ["batch1", "batch2", "Video_files", "raw_video", "videos", "."])
def test_videos_are_found_in_any_of_the_usual_folders(layout, folder):
    layout.video(f"{folder}/1.MP4")
    layout.text("VA_Set/Train_Set/1.txt")
    row = layout.find().loc["1"]
    assert (
        row["video_path"] == row["audio_path"] == (f"{folder}/1.MP4" if folder != "." else "1.MP4")
    )
    assert (row["split"], row["n_frames"], row["fps"]) == ("train", FRAMES, 25)
    assert row["duration"] == pytest.approx(0.2)


def test_folder_names_are_matched_without_regard_to_case_and_year(layout):
    layout.video("BATCH1/1.mp4")
    layout.text("VA_Estimation_Challenge/validation_set/1.txt")
    layout.text("EXPR_Classification_Challenge/VAL_SET/1.txt")
    layout.text("AU_detection_challenge/Validation_Set/1.txt")
    row = layout.find().loc["1"]
    assert row["split"] == "val"
    assert "" not in row[["va_path", "expression_path", "action_units_path"]].tolist()


@pytest.mark.parametrize(
    ("trial", "video", "person"),
    [
        ("10-60-1280x720_right", "10-60-1280x720", "right"),
        ("10-60-1280x720", "10-60-1280x720", ""),
        ("a_left", "a", "left"),
        ("left", "left", ""),
        ("b_leftover", "b_leftover", ""),
    ],
)
def test_left_and_right_tell_two_persons_of_one_video(trial, video, person):
    assert affwild2.person_of(trial) == (video, person)


def test_a_main_person_and_a_second_one_share_a_video_and_a_subject(layout):
    layout.video("batch1/v.mp4")
    for trial in ("v", "v_left"):
        layout.text(f"VA_Set/Train_Set/{trial}.txt")
        layout.crops(trial)
    table = layout.find()
    assert table["video"].tolist() == table["subject"].tolist() == ["v", "v"]
    assert table["person"].tolist() == ["", "left"]
    assert table["crops_dir"].tolist() == ["cropped_aligned/v", "cropped_aligned/v_left"]


def test_a_video_whose_own_name_ends_in_left_is_itself(layout):
    layout.video("batch1/turn_left.mp4")
    layout.text("VA_Set/Train_Set/turn_left.txt")
    assert layout.find().loc["turn_left", ["video", "person"]].tolist() == ["turn_left", ""]


def test_names_of_the_test_list_become_test_trials_without_labels(layout):
    layout.video("batch1/1.mp4")
    layout.video("batch1/2.mp4")
    layout.crops("2")
    (layout.root / "test_set_VA_Release.txt").write_bytes(b"\xef\xbb\xbf1.mp4\r\n2\r\n\r\n")
    table = layout.find()
    assert table["split"].tolist() == ["test", "test"]
    assert (table["va_path"] == "").all()


def test_hidden_labels_of_test_trials_are_not_looked_at(made):
    assert made.trial("5")["split"] == "test"
    assert not made.table["va_path"].str.contains("hidden").any()


def test_the_sample_set_is_found_whole(sample_root, parameters):
    table, report = datasets.find(parameters())
    assert report.problem_table().empty
    assert set(report.count_table()["state"]) == {"ok"}
    assert table["dataset"].tolist() == [sample_root.name] * 6
    assert datasets.store(parameters()).data_root == sample_root


def test_a_sample_set_that_is_not_there_or_not_finished_says_which_notebook_makes_it(
    parameters, copied_root
):
    (copied_root / "sample.json").write_text("{")
    for p in (parameters(sample_seed=77), parameters(data_root=str(copied_root.parent))):
        with pytest.raises(InputError, match="sample set is not there, or not finished") as caught:
            datasets.find(p)
        assert "01_download_check" in caught.value.todo


def test_hidden_files_of_an_unpacker_are_passed_over(layout):
    layout.video("batch1/1.mp4")
    layout.text("VA_Set/Train_Set/1.txt")
    layout.text("VA_Set/Train_Set/._1.txt", "\0")
    (layout.root / "batch1" / "._1.mp4").write_bytes(b"\0")
    (layout.root / "cropped_aligned" / ".1.part").mkdir(parents=True)
    assert layout.find().index.tolist() == ["1"]
    assert set(layout.problems()) == {("warning", "1")}  # no crops


def test_progress_is_told_for_every_video(layout):
    layout.video("batch1/1.mp4")
    layout.video("batch2/2.mp4")
    told = []
    affwild2.find(layout.root, progress=lambda *step: told.append(step))
    assert told == [(1, 2, "1"), (2, 2, "2")]


# ---- what does not fit


def check(row, what, where, done):
    assert what in row.what
    assert str(where) in row.where
    assert done in row.done


def test_labels_without_a_video_and_a_video_without_labels_are_told(layout):
    layout.video("batch1/alone.mp4")
    layout.text("VA_Set/Train_Set/ghost.txt")
    assert layout.find().empty
    found = layout.problems()
    check(
        found["warning", "ghost"],
        "no video",
        layout.root / "VA_Set/Train_Set/ghost.txt",
        "left out",
    )
    check(
        found["warning", "alone"],
        "neither labels nor crops",
        layout.root / "batch1/alone.mp4",
        "left out",
    )


def test_crops_without_labels_are_test_trials_and_said(layout):
    layout.video("1.mp4")
    layout.crops("1")
    assert layout.find().loc["1", "split"] == "test"
    check(
        layout.problems()["warning", "1"],
        "no label file",
        layout.root / "cropped_aligned/1",
        "test trial",
    )


def test_an_empty_folder_of_crops_is_told(layout):
    layout.video("1.mp4")
    layout.text("VA_Set/Train_Set/1.txt")
    layout.crops("1", 0)
    layout.find()
    check(
        layout.problems()["warning", "1"],
        "is empty",
        layout.root / "cropped_aligned/1",
        "without any face",
    )


def test_a_trial_labelled_for_training_and_validation_is_an_error_and_does_not_leak(layout):
    layout.video("1.mp4")
    layout.text("VA_Set/Train_Set/1.txt")
    layout.text("VA_Set/Validation_Set/1.txt")
    row = layout.find().loc["1"]
    assert (row["split"], row["va_path"]) == ("train", "VA_Set/Train_Set/1.txt")
    check(
        layout.problems()["error", "1"],
        "two va label files",
        layout.root / "VA_Set/Validation_Set/1.txt",
        "train",
    )


def test_a_trial_that_is_in_another_split_for_another_task_keeps_to_one(layout):
    layout.video("1.mp4")
    layout.text("VA_Set/Train_Set/1.txt")
    layout.text("EXPR_Set/Validation_Set/1.txt")
    layout.crops("1")
    row = layout.find().loc["1"]
    assert (row["split"], row["expression_path"]) == ("train", "")
    check(layout.problems()["warning", "1"], "val for expression", "EXPR_Set", "not used")


def test_a_labelled_trial_in_the_test_list_is_an_error(layout):
    layout.video("1.mp4")
    layout.text("VA_Set/Train_Set/1.txt")
    (layout.root / "test_set.txt").write_text("1\n")
    assert layout.find().loc["1", "split"] == "train"
    check(
        layout.problems()["error", "1"],
        "in the test list too",
        "VA_Set/Train_Set/1.txt",
        "used for train",
    )


def test_a_damaged_label_file_does_not_turn_its_trial_into_a_test_trial(layout):
    layout.video("1.mp4")
    layout.text("VA_Set/Train_Set/1.txt", "0.1,0.2\n")
    row = layout.find().loc["1"]
    assert (row["split"], row["va_path"]) == ("train", "")
    found = layout.problems()["error", "1"]
    check(found, "header", f"{layout.root / 'VA_Set/Train_Set/1.txt'}:1", "va labels are left out")
    assert found.expected == "valence,arousal"
    assert "header line" in found.todo


def test_two_videos_of_one_name_are_an_error(layout):
    layout.video("batch1/1.mp4")
    layout.video("batch2/1.avi")
    with (layout.root / "batch2/1.avi").open("ab") as stream:
        stream.write(
            b"another recording"
        )  # two of one size are taken for copies, which is a warning
    layout.text("VA_Set/Train_Set/1.txt")
    assert layout.find().loc["1", "video_path"] == "batch1/1.mp4"
    check(
        layout.problems()["error", "1"],
        "two videos",
        layout.root / "batch2/1.avi",
        "first one used",
    )


def test_a_silent_video_is_usable_without_sound_and_one_without_picture_is_left_out(layout):
    layout.video("silent.mp4", "silent")
    layout.video("deaf.mp4", "deaf")
    for trial in ("silent", "deaf"):
        layout.text(f"VA_Set/Train_Set/{trial}.txt")
        layout.crops(trial)
    table = layout.find()
    assert table.index.tolist() == ["silent"]
    assert table.loc["silent", "audio_path"] == ""
    check(
        layout.problems()["warning", "silent"],
        "no audio track",
        layout.root / "silent.mp4",
        "modality: video",
    )
    check(
        layout.problems()["error", "deaf"], "no video track", layout.root / "deaf.mp4", "left out"
    )


def test_a_test_list_that_is_no_text_is_an_error_and_the_rest_is_found(layout):
    layout.video("1.mp4")
    layout.text("VA_Set/Train_Set/1.txt")
    (layout.root / "test_set_VA.txt").write_bytes(b"caf\xe9\n")
    assert layout.find().index.tolist() == ["1"]
    check(
        layout.problems()["error", "test_set_VA.txt"],
        "cannot be read",
        layout.root / "test_set_VA.txt",
        "left out",
    )


def test_a_file_name_that_is_no_text_is_an_error_and_the_report_can_be_written(layout):
    layout.video("1.mp4")
    layout.text("VA_Set/Train_Set/1.txt")
    shutil.copy(
        layout.recordings / "sound.mp4",
        Path(os.fsdecode(os.fsencode(layout.root) + b"/caf\xe9.mp4")),
    )
    assert layout.find().index.tolist() == ["1"]
    assert "no UTF-8" in layout.report.problem_table().to_csv().encode().decode()


def test_a_missing_root_a_file_and_a_folder_without_videos_say_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for name, what in (("absent", "not there"), ("file", "not there"), ("empty", "no video found")):
        with pytest.raises(InputError, match=what) as caught:
            affwild2.find(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "data_root" in caught.value.todo


# ---- report


def test_counts_are_compared_with_the_nearest_release():
    report = Report()
    for item, found, expected in [
        ("a", 356, (351, 356)),
        ("b", 350, (351, 356)),
        ("c", 360, (351, 356)),
        ("d", 3, ()),
    ]:
        report.count(item, found, expected)
    table = report.count_table().set_index("item")
    assert table["state"].tolist() == ["ok", "missing", "extra", "not known"]
    assert table["expected"].tolist()[:3] == [356, 351, 356]
    assert table.loc["a", "releases"] == "351, 356"


def test_an_incomplete_set_is_counted_against_what_it_should_hold(layout):
    layout.video("batch1/1.mp4")
    layout.text("VA_Set/Train_Set/1.txt")
    layout.find()
    counts = layout.report.count_table().set_index("item")
    assert counts.loc["videos", ["found", "expected", "state"]].tolist() == [1, 548, "missing"]
    assert counts.loc["VA train trials", ["found", "expected"]].tolist() == [1, 351]
    assert counts.loc["EX train trials", "state"] == "not known"


def test_problems_list_errors_first_and_give_failures_with_the_way_out():
    report = Report()
    report.warning("a", "odd", "used")
    report.fault(
        "b", InputError("broken", where="b.mp4", expected="whole", todo="copy it"), "left out"
    )
    report.error("c", "twice", "first one used")
    table = report.problem_table()
    assert table["severity"].tolist() == ["error", "error", "warning"]
    assert table.loc[0, ["item", "what", "where", "expected", "todo", "done"]].tolist() == [
        "b",
        "broken",
        "b.mp4",
        "whole",
        "copy it",
        "left out",
    ]
    (item, error), (_, other) = report.failures()
    assert (item, error.what, error.where, error.expected) == (
        "b",
        "broken (left out)",
        "b.mp4",
        "whole",
    )
    assert (error.todo, other.todo) == ("copy it", "mend or replace it")
