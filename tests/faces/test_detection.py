"""The detector: where faces are, in pixels of the picture whatever its size."""

import cv2
import numpy as np
import pytest

from lib.errors import InputError
from lib.faces import detection
from lib.media import recordings
from tests.shared_files import shared

WEIGHTS = "weights/face_detection_yunet_2023mar.onnx"


@pytest.fixture(scope="module")
def yunet():
    return detection.YuNet(shared(WEIGHTS))


@pytest.fixture(scope="module")
def portrait():
    return next(
        picture
        for _, picture in recordings.frames(shared("media/pyfeat_WolfgangLanger_Pexels.mp4"))
    )


def test_a_face_has_a_box_and_landmarks_left_of_right(yunet, portrait):
    (row,) = yunet.detect(portrait)
    x, y, width, height = row[:4]
    points = row[4:14].reshape(5, 2)
    assert row[14] > 0.8
    assert np.all((points > (x, y)) & (points < (x + width, y + height)))
    assert points[0, 0] < points[2, 0] < points[1, 0]
    assert points[:2, 1].max() < points[2, 1] < points[3:, 1].min()


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (321, 181), (641, 359)])
def test_places_are_those_of_the_picture_at_any_size(yunet, portrait, size):
    (small,) = yunet.detect(portrait)
    (large,) = yunet.detect(cv2.resize(portrait, size, interpolation=cv2.INTER_AREA))
    expected = detection.enlarged(
        small[:14].reshape(1, 7, 2), np.array(size) / (640, 360), boxes=1
    ).ravel()
    assert np.abs(large[:14] - expected).max() < 0.05 * large[2]


def test_a_grey_picture_has_the_same_face(yunet, portrait):
    grey = cv2.cvtColor(cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert np.abs(yunet.detect(grey)[0, :14] - yunet.detect(portrait)[0, :14]).max() < 6


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (5000, 3), (31, 33), (100, 100)])
def test_pictures_without_a_face_give_no_rows_whatever_their_shape(yunet, shape):
    assert yunet.detect(np.full((*shape, 3), 128, np.uint8)).shape == (0, 15)


def test_a_file_that_is_no_network_is_named(tmp_path):
    (tmp_path / "yunet.onnx").write_text("not found")
    with pytest.raises(InputError, match="cannot be loaded"):
        detection.YuNet(tmp_path / "yunet.onnx")
    with pytest.raises(InputError, match="no face detector"):
        detection.create("nobody", tmp_path)


def test_points_of_a_reduced_picture_come_back():
    picture = np.zeros((1080, 1920, 3), np.uint8)
    small, scale = detection.reduced(picture, 640)
    assert small.shape == (360, 640, 3)
    corner = detection.enlarged(np.array([[[-0.5, -0.5], [639.5, 359.5]]]), scale)
    np.testing.assert_allclose(corner[0], [[-0.5, -0.5], [1919.5, 1079.5]])
    assert detection.reduced(small, 640)[0] is small


def test_yunet_is_loaded_where_opencv_has_no_switch_for_its_warnings(monkeypatch):
    """OpenCV before 4.13 has none, and does not warn."""
    monkeypatch.setattr(cv2, "__version__", "4.12.0")
    monkeypatch.delattr(cv2.utils, "logging")
    assert detection.create("yunet", shared(WEIGHTS)).side == detection.SIDE
