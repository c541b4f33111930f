"""Layouts as people have them: every spelling of Aff-Wild2's folders, plain folders, what other
programs computed.
"""

import json
import pickle
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest

from lib import arrays, datasets, parameters, trials
from lib.datasets import affwild2, folder, tree
from lib.datasets.report import Report
from lib.errors import InputError
from lib.faces.crops import paths as crop_paths
from lib.labels import official
from lib.media import recordings, writing
from lib.store import Store, request

VA = "valence,arousal\n" + "0.148,0.352\n" * 5


def video(path, n=5, side=32, fps=25.0, sound=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = (np.full((side, side, 3), 20 * k, np.uint8) for k in range(n))
    waveform = (
        np.sin(np.arange(int(n / fps * 44100)) / 20).astype(np.float32) / 2 if sound else None
    )
    writing.write_video(path, pictures, np.arange(n) / fps, waveform)
    return path


def text(path, content=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def picture(path, size=112):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size, size, 3), 90, np.uint8))
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """One small recording; tests copy it under the names that they need."""
    return video(tmp_path_factory.mktemp("clip") / "clip.mp4").read_bytes()


@pytest.fixture
def root(tmp_path, clip):
    def place(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(clip)
        return tmp_path

    return place


def told(report):
    return " ".join(report.problem_table()[["item", "what"]].agg(" ".join, axis=1))


@pytest.mark.parametrize(
    "folders",
    [
        ("VA_Set", "Train_Set", "Validation_Set"),
        ("VA_Estimation_Challenge", "Train_Set", "Validation_Set"),
        ("annotations/va_estimation_challenge", "train_set", "val_set"),
        ("Third ABAW Annotations/VA_Estimation_Challenge", "TRAIN_SET", "Val_Set"),
    ],
)
@pytest.mark.parametrize("videos", ["batch1", "Raw_Video", "Video_files", "."])
def test_every_spelling_of_annotation_and_video_folders_is_found(root, folders, videos):
    place = root(f"{videos}/1.mp4", f"{videos}/2-30.AVI")
    text(place / folders[0] / folders[1] / "1.txt", VA)
    text(place / folders[0] / folders[2] / "2-30_left.txt", VA)
    table, _ = affwild2.find(place)
    assert table.set_index("trial")["split"].to_dict() == {"1": "train", "2-30_left": "val"}
    assert list(table["person"]) == ["", "left"]


@pytest.mark.parametrize(
    "how", ["Test_Set/3.mp4", "test_set/3.mp4", "text_set/3.mp4", "VA_Set/Test_Set/3.txt"]
)
def test_a_folder_of_test_videos_is_a_test_list(root, how):
    place = (
        root("batch1/1.mp4", how) if how.endswith(".mp4") else root("batch1/1.mp4", "batch1/3.mp4")
    )
    text(place / "VA_Set/Train_Set/1.txt", VA)
    if how.endswith(".txt"):
        text(place / how)
    table, report = affwild2.find(place)
    assert table.set_index("trial")["split"].to_dict() == {"1": "train", "3": "test"}
    assert not any("no label file" in what for what in report.problem_table()["what"])


@pytest.mark.parametrize(
    "name",
    [
        "test_set_VA.txt",
        "Valence_Arousal_Estimation_Challenge_test_set_release.txt",
        "names_of_videos_in_each_test_set/VA_test_set.txt",
        "VA_Set/test_set.txt",
    ],
)
def test_the_organisers_text_lists_are_read_with_any_line_end(root, name):
    place = root("batch1/1.mp4", "batch2/3.mp4")
    text(place / "VA_Set/Train_Set/1.txt", VA)
    text(place / name, "\ufeff3.mp4\r\n\r\n3_right\r\n")
    table, _ = affwild2.find(place)
    assert table.set_index("trial")["split"].to_dict() == {
        "1": "train",
        "3": "test",
        "3_right": "test",
    }


def test_a_trial_may_be_val_for_one_task_and_test_for_another(root):
    place = root("batch1/1.mp4")
    text(place / "VA_Set/Validation_Set/1.txt", VA)
    text(place / "test_set_AU.txt", "1\n")
    assert affwild2.find(place)[1].failures() == []
    text(place / "test_set_VA.txt", "1\n")
    assert "in the test list too" in told(affwild2.find(place)[1])


def test_three_persons_of_a_video_and_a_video_that_ends_in_left(root):
    place = root("batch1/5.mp4", "batch1/6_left.mp4")
    for trial in ("5_main", "5_left", "5_right", "6_left"):
        text(place / f"VA_Set/Train_Set/{trial}.txt", VA)
    table = affwild2.find(place)[0].set_index("trial")
    assert table["person"].to_dict() == {
        "5_left": "left",
        "5_main": "main",
        "5_right": "right",
        "6_left": "",
    }
    assert table["video"].to_dict() == {
        "5_left": "5",
        "5_main": "5",
        "5_right": "5",
        "6_left": "6_left",
    }


def test_the_second_crop_folder_adds_trials_and_replaces_none(root):
    place = root("batch1/1.mp4", "batch1/2.mp4")
    picture(place / "cropped_aligned/1/00001.jpg")
    picture(place / "Cropped/1/00001.jpg")
    picture(place / "Cropped/2/00001.jpg")
    table, report = affwild2.find(place)
    assert list(table["crops_dir"]) == ["cropped_aligned/1", "Cropped/2"]
    assert "crops in two folders" in told(report)


def test_counts_of_other_years_are_reported_and_stop_nothing(root):
    report = affwild2.find(root("1.mp4", "test_set/1.mp4"))[1]
    row = report.count_table().set_index("item").loc["videos"]
    assert (row["found"], row["expected"], row["state"]) == (1, 548, "missing")
    assert row["releases"] == "548, 558, 564, 594"


@pytest.mark.parametrize(
    "line", ["../../etc/passwd", "/etc/passwd", "C:\\video\\1.mp4", "a/../../b.mp4"]
)
def test_no_line_of_a_list_leaves_the_data_root(root, line):
    place = root("1.mp4")
    text(place / "test_set_VA.txt", f"{line}\n1\n")
    table, report = affwild2.find(place)
    assert list(table["trial"]) == ["1"]
    assert "leaves the data root" in told(report)
    with pytest.raises(InputError):
        tree.name_in_list(line)


# ---- any folder of videos


def test_a_folder_of_videos_without_labels_is_all_test(root):
    table, report = folder.find(root("a.mp4", "deep/er/b.MOV", "x/c.mp4", "y/c.mp4"))
    assert list(table["trial"]) == ["a", "b", "x__c_mp4", "y__c_mp4"]
    assert set(table["split"]) == {"test"}
    assert report.failures() == []


def test_labels_beside_the_videos_are_told_apart_by_their_headers(root):
    place = root(*(f"{k}.mp4" for k in range(10)), "two.mp4")
    for k in range(9):
        text(place / f"{k}.txt", VA)
    text(place / "labels/0.txt", ",".join(official.EXPRESSIONS) + "\n3\n")
    text(place / "two_left.txt", VA)
    text(place / "two_right.csv", "img,V,A,frame_id\ntwo_right/00002.jpg,0.1,0.2,00002\n")
    text(place / "9.csv", "frame, success\n1,1\n")
    table = folder.find(place)[0].set_index("trial")
    assert table.loc["9", "split"] == "test"
    assert table.loc["0", "expression_path"] == "labels/0.txt"
    assert table.loc["two_right", "va_path"] == "two_right.csv"
    assert "two" not in table.index
    assert set(table["split"]) == {"train", "val", "test"}
    by_subject = table[table["split"] != "test"].groupby("subject")["split"].nunique()
    assert (by_subject == 1).all()
    assert folder.find(place)[0]["split"].equals(folder.find(place)[0]["split"])


def test_splits_csv_says_who_is_where_and_its_faults_are_told(root):
    place = root("a.mp4", "b.mp4", "c.mp4")
    text(place / "a.txt", VA)
    text(
        place / "splits.csv",
        "trial,split,subject\na,val,ann\nb,Train,bob\nnobody,test,\n",
    )
    table, report = folder.find(place)
    assert table.set_index("trial")["split"].to_dict() == {"a": "val", "b": "train", "c": "test"}
    assert list(table["subject"]) == ["ann", "bob", "c"]
    assert "no such trial" in told(report)


def test_splits_csv_names_persons_of_a_video_without_labels(root):
    place = root("two.mp4", "crowd.mp4", "crowd_2.mp4")
    text(
        place / "splits.csv",
        "trial,split\ntwo_left,test\ntwo_right,test\ncrowd_1,val\ncrowd_2,test\n",
    )
    table, report = folder.find(place)
    found = {row.trial: (row.video, row.person, row.split) for row in table.itertuples()}
    assert found == {
        "two_left": ("two", "left", "test"),
        "two_right": ("two", "right", "test"),
        "crowd_1": ("crowd", "1", "val"),
        "crowd_2": ("crowd_2", "", "test"),
    }
    assert report.problems == []


def test_labels_of_a_csv_reach_the_store_frame_by_frame(root, tmp_path_factory):
    place = root("a.mp4")
    text(place / "a.csv", "img,V,A,frame_id\na/00002.jpg,0.1,0.2,00002\n")
    trial = folder.find(place)[0].iloc[0].to_dict()
    store = Store(tmp_path_factory.mktemp("processed"), "folder", place)
    arrays.make(trial, request("va", mismatch="fit"), store)
    va = arrays.read(trial, request("va", mismatch="fit"), store)
    assert np.isnan(va[:, 0]).tolist() == [True, False, True, True, True]


# ---- what other programs computed


def openface(
    place,
    video_name,
    csv_text="frame, face_id, timestamp, confidence, success\n1,0,0,.9,1\n2,0,0,.1,0\n",
):
    for k in (1, 2):
        picture(place / f"processed/{video_name}_aligned/frame_det_00_{k:06d}.bmp")
    return text(place / f"processed/{video_name}.csv", csv_text)


def test_openface_pictures_are_crops_and_its_success_column_says_which(root, tmp_path_factory):
    place = root("1.mp4")
    openface(place, "1")
    trial = affwild2.find(place)[0].iloc[0].to_dict()
    assert trial["crops_dir"] == "processed/1_aligned"
    assert list(crop_paths(place / trial["crops_dir"], 5)) == [0]
    store = Store(tmp_path_factory.mktemp("processed"), "affwild2", place)
    arrays.make(trial, request("face_valid"), store)
    assert arrays.read(trial, request("face_valid"), store).tolist() == [
        True,
        False,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("damaged", ["", "frame, confidence\n1,2\n", "frame, success\n1,x\n", None])
def test_openface_pictures_without_a_usable_table_are_left_out_by_name(root, damaged):
    place = root("1.mp4", "test_set/1.mp4")
    path = openface(place, "1", damaged or "")
    if damaged is None:
        path.unlink()
    table, report = affwild2.find(place)
    assert table["crops_dir"].iloc[0] == ""
    assert "OpenFace's table cannot be read" in told(report)


MATRIX = np.array([[3.5, 0, 0], [0, 3.5, 0]])
POINTS = np.stack([np.linspace(10, 100, 68), np.linspace(20, 90, 68)], axis=1)


def tsav(place, name, frames, masks=None):
    path = place / f"aff2_processed/{name}_alignment_mask.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        pickle.dumps(
            {"frame": frames, "mask": masks or [None if m is None else POINTS for m in frames]}
        )
    )
    return path


def test_faces_and_masks_are_rendered_from_tsavs_alignment_files(root, tmp_path_factory):
    place = root("batch1/1.mp4", "batch1/2.mp4")
    text(place / "VA_Set/Train_Set/1.txt", VA)
    text(
        place / "aff2_processed/video_info.txt",
        "1,VA,train,main\n2,AU,val,left\n2,VA,test,left\n2,VA,test,right\n",
    )
    tsav(place, "001_AU0__EX0__VA1_", [MATRIX, None, MATRIX, MATRIX, MATRIX])
    tsav(place, "002_AU1v_EX0__VA1t_left", [MATRIX] * 5)
    tsav(place, "003_AU0__EX0__VA1t_right", [MATRIX] * 5)
    table, report = affwild2.find(place)
    assert table.set_index("trial")["split"].to_dict() == {
        "1": "train",
        "2_left": "test",
        "2_right": "test",
    }
    assert report.failures() == []
    trial = table.iloc[0].to_dict()
    store = Store(tmp_path_factory.mktemp("processed"), "affwild2", place)
    for wanted in (request("face", size=112), request("mask"), request("face_valid")):
        arrays.make(trial, wanted, store, pack=False)
    face = arrays.read(trial, request("face", size=112), store)
    frames = [picture for _, picture in recordings.frames(place / "batch1/1.mp4")]
    expected = cv2.warpAffine(frames[2], MATRIX, (112, 112), flags=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(face[2], expected)
    assert not face[1].any()
    assert arrays.read(trial, request("face_valid"), store).tolist() == [
        True,
        False,
        True,
        True,
        True,
    ]
    mask = arrays.read(trial, request("mask"), store)
    assert not mask[1].any()
    assert set(np.unique(mask[0])) == {0, 255, 223, 191, 159, 127, 63, 31}
    assert arrays.opened(trial, request("face", size=112), store).read(np.array([2])).tolist() == [
        expected.tolist()
    ]


def test_meta_json_names_the_video_and_cannot_lead_out(root):
    place = root("batch1/1.mp4")
    tsav(place, "007_AU0__EX0__VA1t", [MATRIX] * 5)
    meta = text(
        place / "aff2_processed/007_AU0__EX0__VA1t.mp4meta.json",
        json.dumps({"original_video": "1.mp4"}),
    )
    assert list(affwild2.find(place)[0]["trial"]) == ["1"]
    meta.write_text(json.dumps({"original_video": "../../1.mp4"}))
    assert "leaves the data root" in told(affwild2.find(place)[1])


def test_without_any_name_an_alignment_file_is_not_given_to_a_guessed_video(root):
    place = root("batch1/1.mp4")
    tsav(place, "001_AU0__EX0__VA1t", [MATRIX] * 5)
    text(
        place / "video_info.txt", "1,VA,test,main\n2,VA,test,main\n"
    )  # video 2 is missing: numbers cannot be trusted
    report = affwild2.find(place)[1] if (text(place / "test_set_VA.txt", "1\n")) else Report()
    assert "nobody can tell which video" in told(report)


@pytest.mark.parametrize(
    ("frames", "message"),
    [([MATRIX] * 9, "9 frames, the video 5"), ([np.eye(3)] * 5, "not an alignment file")],
)
def test_an_alignment_file_that_does_not_fit_is_refused(root, tmp_path_factory, frames, message):
    place = root("batch1/1.mp4")
    tsav(place, "001_AU0__EX0__VA1t", frames)
    text(place / "video_info.txt", "1,VA,test,main\n")
    trial = affwild2.find(place)[0].iloc[0].to_dict()
    store = Store(tmp_path_factory.mktemp("processed"), "affwild2", place)
    with pytest.raises(InputError, match=message):
        arrays.make(trial, request("face_valid"), store)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (trials.table([]), "find returned DataFrame"),
        (None, "find returned NoneType"),
        ((Report(), trials.table([])), r"find returned \(Report, DataFrame\)"),
        (([], Report()), r"find returned \(list, Report\)"),
        ((pd.DataFrame({"trial": ["a"]}), Report()), "a table without video"),
    ],
)
def test_an_added_data_set_that_returns_another_thing_says_what_it_returned(
    tmp_path, monkeypatch, returned, said
):
    added = SimpleNamespace(__name__="mine", find=lambda *_: returned)
    monkeypatch.setattr(datasets, "import_module", lambda name: added)
    monkeypatch.setattr(datasets.code_digest, "use", lambda name: None)
    p = parameters.Params({"dataset": "mine", "data_root": str(tmp_path)})
    with pytest.raises(InputError, match=said):
        datasets.find(p)


def test_an_unknown_split_names_its_trial():
    with pytest.raises(InputError, match="unknown split 'dev'") as caught:
        trials.table([{"trial": "anna", "video": "anna", "split": "dev"}])
    assert caught.value.where == "trial anna"
