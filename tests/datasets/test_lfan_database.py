"""The published LFAN database: its pictures, features and labels come to lie on the frames that
they belong to.
"""

import pickle

import numpy as np
import pytest

from lib import arrays
from lib.datasets import affwild2, lfan_database
from lib.datasets.report import Report
from lib.errors import InputError
from lib.labels import lfan_rows
from lib.media import writing
from lib.store import Store, request

FRAMES = 6
# frames 1, 4 and 5 are labelled
LABELS = "valence,arousal\n0.1,0.2\n-5,-5\n0.3,-5\n0.4,0.5\n0.6,0.7\n-5,-5\n"
KEPT = [0, 3, 4]
VIDEO = ("train", "val", "bare", "test")


def pictures(n, dtype=np.uint8):
    """Picture j is grey 10 (j + 1), the second one black: no face was found."""
    grey = np.array([10, 0, *range(30, 10 * n + 10, 10)][:n])
    return np.broadcast_to(grey[:, None, None, None], (n, 48, 48, 3)).astype(dtype)


@pytest.fixture
def root(tmp_path):
    """Four trials: two with annotation files, one whose file is gone, and a test trial."""
    (tmp_path / "batch1").mkdir()
    clip = writing.write_video(
        tmp_path / "clip.mp4",
        (np.full((32, 32, 3), 9 * k, np.uint8) for k in range(FRAMES)),
        np.arange(FRAMES) / 25,
        np.zeros(9000, np.float32),
    ).read_bytes()
    (tmp_path / "clip.mp4").unlink()
    for trial in VIDEO:
        (tmp_path / f"batch1/{trial}.mp4").write_bytes(clip)
        kept = len(KEPT) if trial in ("train", "val") else FRAMES
        folder = tmp_path / "npy_data" / trial
        folder.mkdir(parents=True)
        np.save(folder / "frame.npy", pictures(kept, np.int16 if trial == "train" else np.uint8))
        np.save(folder / "mfcc.npy", np.arange(39 * kept, dtype=np.float64).reshape(kept, 39))
        np.save(folder / "vggish.npy", np.arange(128 * kept, dtype=np.float32).reshape(kept, 128))
        if trial != "test":
            name = "continuous_label.npy" if trial == "bare" else "label.npy"
            np.save(folder / name, np.linspace(-1, 1, 2 * kept).reshape(kept, 2))
    for trial, split in (("train", "Train_Set"), ("val", "Validation_Set")):
        path = tmp_path / f"VA_Set/{split}/{trial}.txt"
        path.parent.mkdir(parents=True)
        path.write_text(LABELS)
    write(
        tmp_path,
        {
            "Train_Set": {"train": 3, "bare": 6},
            "Validation_Set": {"val": 3},
            "Test_Set": {"test": np.int64(6)},
        },
    )
    return tmp_path


def write(root, partition, **more):
    (root / "dataset_info.pkl").write_bytes(pickle.dumps({"partition": partition, **more}))


@pytest.fixture
def read(root, tmp_path_factory):
    """``read("train", request(…))``: an array of a trial, as 02 to 04 make it."""
    store = Store(tmp_path_factory.mktemp("processed"), "affwild2", root)

    def made(trial, wanted):
        row = affwild2.find(root)[0].set_index("trial", drop=False).loc[trial].to_dict()
        arrays.make(row, wanted, store, pack=False)
        return np.asarray(arrays.read(row, wanted, store))

    return made


def told(report):
    return " ".join(report.problem_table()[["item", "what"]].agg(" ".join, axis=1))


def test_its_trials_have_its_splits_and_its_pictures_are_their_crops(root):
    table, report = affwild2.find(root)
    assert table.set_index("trial")["split"].to_dict() == {
        "train": "train",
        "bare": "train",
        "val": "val",
        "test": "test",
    }
    assert set(table["crops_dir"]) == {f"npy_data/{trial}/frame.npy" for trial in VIDEO}
    assert table.set_index("trial").loc["bare", "va_path"] == "npy_data/bare/continuous_label.npy"
    assert report.failures() == []


def test_a_picture_comes_to_lie_on_the_labelled_frame_that_it_was_made_of(read):
    face = read("train", request("face", size=48))
    assert face.dtype == np.uint8
    assert face[:, 0, 0, 0].tolist() == [10, 0, 0, 0, 30, 0]
    assert read("train", request("face_valid")).tolist() == [True, False, False, False, True, False]
    assert read("test", request("face_valid")).tolist() == [True, False, True, True, True, True]
    assert read("val", request("face", size=112))[4].mean() == 30


def test_features_lie_on_the_same_frames_and_are_missing_elsewhere(read):
    for name, columns in (("mfcc39", 39), ("vggish", 128)):
        rows = read("train", request(name))
        assert rows.shape == (FRAMES, columns)
        assert np.flatnonzero(np.isfinite(rows).all(axis=1)).tolist() == KEPT
        np.testing.assert_array_equal(rows[KEPT].ravel(), np.arange(3 * columns))
    assert np.isfinite(read("test", request("mfcc39"))).all()


def test_labels_are_read_where_the_annotation_file_is_gone(read):
    np.testing.assert_allclose(
        read("bare", request("va", mismatch="fit")).ravel(), np.linspace(-1, 1, 12), atol=1e-7
    )
    assert (
        np.isfinite(read("train", request("va", mismatch="fit"))).all(axis=1).nonzero()[0].tolist()
        == KEPT
    )


def test_rows_that_nobody_can_place_are_refused(root, read):
    np.save(root / "npy_data/bare/frame.npy", pictures(3))
    with pytest.raises(InputError, match="3 rows for a video of 6 frames: nobody can tell"):
        read("bare", request("face_valid"))
    np.save(root / "npy_data/train/frame.npy", pictures(4))
    with pytest.raises(InputError, match="4 rows, and 3 labelled frames"):
        read("train", request("face_valid"))


def test_cropped_faces_of_the_data_set_come_first(root):
    (root / "cropped_aligned/train").mkdir(parents=True)
    (root / "cropped_aligned/train/00001.jpg").write_bytes(b"1")
    table = affwild2.find(root)[0].set_index("trial")
    assert table.loc["train", "crops_dir"] == "cropped_aligned/train"
    assert table.loc["val", "crops_dir"] == "npy_data/val/frame.npy"


@pytest.mark.parametrize(
    "content",
    [
        {
            "partition": {
                "Train_Set": {"train": 3, "bare": 6},
                "Validation_Set": {"val": 3},
                "Target_Set": {"test": 6},
            }
        },
        {
            "trial": ["train", "bare", "val", "test"],
            "length": [3, 6, 3, 6],
            "partition": ["train", "train", "validate", "extra"],
        },
    ],
)
def test_both_published_forms_of_the_table_are_read(root, content):
    (root / "dataset_info.pkl").write_bytes(pickle.dumps(content))
    assert lfan_database.partitions(root / "dataset_info.pkl") == {
        "train": "train",
        "bare": "train",
        "val": "val",
        "test": "test",
    }


class Evil:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"partition": {"Train_Set": {"../../etc": 3}}}, "leaves the data root"),
        ([1, 2], "not the table"),
        ({"partition": {"Monday": {"train": 3}}}, "not the table"),
        ({"partition": Evil()}, "pickle is refused"),
    ],
)
def test_a_table_that_is_none_is_reported_and_its_arrays_left_out(root, content, words):
    (root / "dataset_info.pkl").write_bytes(pickle.dumps(content))
    table, report = affwild2.find(root)
    assert words in told(report)
    assert not table["crops_dir"].any()


def test_trials_that_only_the_table_or_only_the_folder_knows_are_named(root):
    write(
        root,
        {
            "Train_Set": {"train": 3, "ghost": 9},
            "Validation_Set": {"val": 3},
            "Test_Set": {"test": 6},
        },
    )
    report = Report()
    assert set(lfan_database.find(root, report)) == {"train", "val", "test"}
    assert "ghost stands in dataset_info.pkl, but has no arrays" in told(report)
    assert "bare has arrays of LFAN's" in told(report)


def test_the_published_means_are_one_pair_for_all_columns(root):
    parts = {
        "train": {"mean": np.float32(0.5), "std": 2.0},
        "validate": {"mean": 0.0, "std": float("nan")},
    }
    path = root / "mean_std_dict.pkl"
    path.write_bytes(pickle.dumps({"vggish": {0: parts, 5: parts}}))
    found = lfan_database.scales(path)
    assert found["vggish"][5]["train"] == (0.5, 2.0)
    assert np.isnan(found["vggish"][0]["validate"][1])
    path.write_bytes(pickle.dumps({"vggish": [1]}))
    assert "not the means" in told(affwild2.find(root)[1])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((6, 40, 40, 3), np.uint8),
        np.full((6, 48, 48, 3), 300, np.int16),
        np.full((6, 48, 48, 3), "a"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(root, read, array):
    np.save(root / "npy_data/test/frame.npy", array)
    with pytest.raises(InputError, match=r"an array of shape|outside 0…255"):
        read("test", request("face_valid"))


def test_an_array_that_would_run_code_or_is_cut_is_refused(root, read):
    path = root / "npy_data/test/mfcc.npy"
    np.save(path, np.array([Evil()], object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read"):
        read("test", request("mfcc39"))
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match="cannot be read"):
        read("test", request("mfcc39"))


def test_features_are_those_of_the_database_where_it_or_the_store_has_them(root, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("processed"), "affwild2", root)
    row = affwild2.find(root)[0].set_index("trial", drop=False).loc["train"].to_dict()
    wanted, own = request("mfcc39"), request("mfcc39", database="train")
    assert lfan_rows.resolve(row, wanted, store) == own
    random = request("vggish", weights="random", width=0.0625, seed=0)
    assert lfan_rows.resolve(row, random, store) == random
    path = root / "npy_data/train/mfcc.npy"
    kept = path.rename(root / "kept.npy")
    assert lfan_rows.resolve(row, wanted, store) == wanted, "computed from the sound"
    kept.rename(path)
    arrays.make(row, wanted, store, pack=False)
    path.unlink()
    assert lfan_rows.resolve(row, wanted, store) == own, (
        "a server that has only the processed folder"
    )
