"""How large and how sharp a face is."""

import cv2
import numpy as np
import pytest

from lib.faces import faces, quality


def picture(size=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3)).astype(np.uint8)


def test_a_blurred_face_is_less_sharp_and_one_of_one_colour_is_not_at_all():
    sharp = picture()
    steps = [quality.sharpness(cv2.GaussianBlur(sharp, (0, 0), width)) for width in (1, 2, 4)]
    assert quality.sharpness(sharp) > steps[0] > steps[1] > steps[2] > 0
    assert quality.sharpness(np.full_like(sharp, 90)) == 0


def test_sharpness_is_the_variance_of_the_laplacian_of_the_grey_face():
    shown = picture()
    grey = cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY).astype(float)
    inside = [
        grey[y - 1, x] + grey[y + 1, x] + grey[y, x - 1] + grey[y, x + 1] - 4 * grey[y, x]
        for y in range(1, 63)
        for x in range(1, 63)
    ]
    assert quality.sharpness(shown) == pytest.approx(np.log10(1 + np.var(inside)), abs=0.02)


def test_a_face_that_was_enlarged_is_not_as_sharp_as_one_that_was_large():
    small = cv2.resize(picture(128), (16, 16), interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize(small, (128, 128), interpolation=cv2.INTER_CUBIC)
    assert quality.sharpness(picture(128)) > quality.sharpness(enlarged)


def test_faces_that_are_not_there_have_no_sharpness():
    packed = np.stack([picture(32, seed) for seed in range(4)])
    valid = np.array([True, False, True, True])
    found = quality.of_faces(faces.Faces(valid, 32, packed=packed))
    assert np.isnan(found).tolist() == [False, True, False, False]
    assert found[2] == pytest.approx(quality.sharpness(packed[2]))


def test_the_size_is_that_of_a_square_of_the_boxs_area():
    boxes = np.array([[5, 5, 64, 64], [0, 0, 32, 128], [0, 0, 16, 16], [np.nan] * 4])
    assert quality.sizes(boxes)[:3].tolist() == [6, 6, 4]
    assert np.isnan(quality.sizes(boxes)[3])
