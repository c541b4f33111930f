"""Faces brought to the template, and the mask channel drawn from landmarks."""

import cv2
import numpy as np
import pytest

from lib.faces import alignment

TURNED = np.array([[0.9, -0.4, 31.0], [0.4, 0.9, -12.0]])


def test_landmarks_that_are_a_turned_template_come_back_exactly():
    points = alignment.transform(alignment.TEMPLATE, TURNED)
    matrix = alignment.similarity(points)
    np.testing.assert_allclose(alignment.transform(points, matrix), alignment.TEMPLATE, atol=1e-3)
    np.testing.assert_allclose(matrix, cv2.invertAffineTransform(TURNED), atol=1e-5)


def test_the_transform_is_the_least_squares_one():
    generator = np.random.default_rng(0)
    points = alignment.transform(alignment.TEMPLATE, TURNED) + generator.normal(0, 3, (5, 2))
    matrix = alignment.similarity(points)
    error = ((alignment.transform(points, matrix) - alignment.TEMPLATE) ** 2).sum()
    for change in generator.normal(0, 0.01, (50, 4)):
        a, b, x, y = np.array([matrix[0, 0], matrix[1, 0], matrix[0, 2], matrix[1, 2]]) + change * (
            1,
            1,
            50,
            50,
        )
        other = np.array([[a, -b, x], [b, a, y]])
        assert (
            (alignment.transform(points, other) - alignment.TEMPLATE) ** 2
        ).sum() >= error - 1e-3


def _painted(side, matrix):
    """A picture with a bright dot at each landmark of a face that `matrix` puts there."""
    picture = np.zeros((side, side, 3), np.uint8)
    points = alignment.transform(alignment.TEMPLATE, matrix)
    radius = max(2, 2.5 * np.hypot(*matrix[:, 0]))
    for x, y in points:  # in 1/16 pixels
        cv2.circle(
            picture,
            (round(16 * float(x)), round(16 * float(y))),
            round(16 * radius),
            (255, 255, 255),
            -1,
            cv2.LINE_AA,
            shift=4,
        )
    return picture, points


@pytest.mark.parametrize("scale", [0.6, 1.0, 2.0, 3.7, 8.0])
@pytest.mark.parametrize("size", [48, 112])
def test_landmarks_lie_on_the_template_in_faces_of_any_size(scale, size):
    matrix = scale * np.array([[0.9, -0.3, 30], [0.3, 0.9, 40]])
    picture, points = _painted(int(170 * scale), matrix)
    face = alignment.align(picture, points, size)
    assert face.shape == (size, size, 3)
    found, weights = [], face[..., 0].astype(float)
    for x, y in alignment.scaled(alignment.TEMPLATE, size):
        rows, columns = np.mgrid[:size, :size]
        near = weights * (np.hypot(columns - x, rows - y) < 5 * size / 112 + 1)
        found.append(
            np.hypot((near * columns).sum() / near.sum() - x, (near * rows).sum() / near.sum() - y)
        )
    assert max(found) < 0.75


def test_a_large_face_is_averaged_not_sampled():
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8)
    face = alignment.align(noise, alignment.scaled(alignment.TEMPLATE, 900))
    assert face[20:90, 20:90].std() < 20  # a plain cubic leaves more than 60


@pytest.mark.parametrize(
    "points",
    [
        np.full((5, 2), 40.0),
        alignment.TEMPLATE * 0.02,
        alignment.TEMPLATE + 5000,
        alignment.TEMPLATE * 100,
    ],
)
def test_impossible_landmarks_give_a_face_and_no_crash(points):
    assert alignment.align(np.full((60, 80, 3), 9, np.uint8), points).shape == (112, 112, 3)


def test_outside_the_picture_is_black():
    face = alignment.align(np.full((112, 112, 3), 255, np.uint8), alignment.TEMPLATE - (56, 0))
    assert not face[:, :50].any()
    assert face[:, 62:].all()


def test_the_mask_has_the_published_lines_in_the_published_order():
    points = alignment.MEAN_FACE
    drawn = alignment.mask(points)
    assert set(np.unique(drawn)) == {0, 31, 63, 127, 159, 191, 223, 255}
    for first, stop, _, value in alignment.MASK_LINES:
        for x, y in np.rint(points[first:stop]).astype(int):
            assert drawn[y, x] == value
    same = np.zeros((68, 2)) + 50  # all at one point: the last line drawn wins
    assert alignment.mask(same)[50, 50] == 31


def test_a_mask_point_is_rounded_to_even_and_lines_are_one_pixel_wide():
    points = np.zeros((68, 2)) - 100
    points[28:31] = [(10.5, 20.5), (10.5, 30.4), (10.5, 40.5)]
    drawn = alignment.mask(points)
    rows, columns = np.nonzero(drawn)
    assert set(columns) == {10}
    assert (rows.min(), rows.max(), len(rows)) == (20, 40, 21)


def test_five_landmarks_give_an_approximate_mask_that_follows_them():
    still = alignment.mask(alignment.TEMPLATE)
    assert set(np.unique(still)) == set(np.unique(alignment.mask(alignment.MEAN_FACE)))
    moved = alignment.TEMPLATE.copy()
    moved[3:] += (0, 6)

    def mouth(drawn):
        return np.nonzero(drawn == 255)[0].mean()

    assert mouth(alignment.mask(moved)) == pytest.approx(mouth(still) + 6, abs=0.5)
    assert np.array_equal(alignment.mask(moved) == 159, still == 159)  # the eyes stay


def test_the_approximation_has_the_landmarks_where_they_were_given():
    given = alignment.TEMPLATE + np.random.default_rng(1).normal(0, 2, (5, 2))
    guessed = alignment.approximate(given)
    eyes = [guessed[36:42].mean(axis=0), guessed[42:48].mean(axis=0)]
    np.testing.assert_allclose(eyes, given[:2], atol=0.5)
    np.testing.assert_allclose(guessed[[48, 54]], given[3:], atol=0.1)
    np.testing.assert_allclose(
        alignment.approximate(alignment.scaled(given, 64), 64),
        alignment.scaled(guessed, 64),
        atol=1e-3,
    )
