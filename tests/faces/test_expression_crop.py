"""Squares for the expression network: each rule against numbers worked out by hand, and the cut."""

import cv2
import numpy as np
import pytest

from lib.errors import InputError
from lib.faces import expression_crop


def face(left, top, right, bottom):
    """68 points whose box is known: two corners, and all others in the middle."""
    points = np.full((68, 2), ((left + right) / 2, (top + bottom) / 2))
    points[0], points[8] = (left, top), (right, bottom)
    return points


def test_the_square_of_a_box_has_its_centre_and_its_longer_side():
    centre, side = expression_crop.of_box([100, 50, 60, 80])
    assert centre.tolist() == [130, 90]
    assert side == 80


def test_the_detector_rule_is_a_little_smaller_and_lower():
    centre, side = expression_crop.from_box([[100, 50, 60, 80], [0, 0, 100, 50]])
    assert centre == pytest.approx(np.array([[130, 96.4], [50, 33]]))  # 90 + .08·80, 25 + .08·100
    assert side == pytest.approx([73.6, 92])  # .92·80, .92·100


def test_the_five_points_rule_lies_between_eyes_and_mouth():
    upright = [(40, 50), (80, 50), (60, 70), (45, 90), (75, 90)]  # eyes 40 apart, mouth 40 below
    turned = [(40, 50), (60, 50), (50, 70), (45, 80), (65, 90)]  # eyes 20 apart, mouth (5, 35) away
    centre, side = expression_crop.from_five_points([upright, turned])
    assert centre == pytest.approx(np.array([[60, 72], [52.75, 69.25]]))  # 50 + .55·40; .55·(5, 35)
    assert side == pytest.approx([96, 2.4 * 1250**0.5])  # 2.4·40; √(5² + 35²) is above 20


def test_the_square_rule_is_the_box_of_the_points_and_a_fifth():
    points = np.stack([face(10, 20, 60, 60), face(0, 0, 30, 90)])
    centre, side = expression_crop.from_points(points, frames=1)
    assert centre.tolist() == [[35, 40], [15, 45]]
    assert side == pytest.approx([60, 108])  # 1.2·50, 1.2·90


def test_one_frame_with_wild_points_does_not_move_the_square():
    points = np.stack([face(10, 20, 60, 60)] * 9)
    points[4] = face(-300, 0, 500, 900)
    centre, side = expression_crop.from_points(points)
    assert centre.tolist() == [[35, 40]] * 9
    assert side == pytest.approx([60] * 9)


def test_a_face_that_moves_evenly_is_not_delayed_by_the_median():
    points = np.stack([face(10 + k, 20, 60 + k, 60) for k in range(9)])
    centre, _ = expression_crop.from_points(points)
    assert centre[2:-2, 0].tolist() == [37, 38, 39, 40, 41]


def test_frames_without_a_face_stay_missing_and_do_not_pull_their_neighbours():
    points = np.stack([face(10, 20, 60, 60)] * 7)
    points[3] = np.nan
    centre, side = expression_crop.from_points(points)
    assert np.isnan(side).tolist() == [False] * 3 + [True] + [False] * 3
    assert centre[[2, 4]].tolist() == [[35, 40], [35, 40]]
    box = np.full((2, 4), np.nan)
    assert all(np.isnan(part).all() for part in expression_crop.from_box(box))
    five = np.full((2, 5, 2), np.nan)
    assert all(np.isnan(part).all() for part in expression_crop.from_five_points(five))


def test_no_frames_give_no_squares():
    centre, side = expression_crop.from_points(np.zeros((0, 68, 2)))
    assert centre.shape == (0, 2)
    assert side.shape == (0,)


def test_fractions_of_a_square_are_brought_back_into_the_picture():
    fractions = np.zeros((2, 68, 2))
    fractions[:, 1] = (1, 0.25)
    points = expression_crop.in_picture(fractions, np.array([[50, 40], [0, 0]]), np.array([20, 8]))
    assert points[:, 0].tolist() == [[40, 30], [-4, -4]]
    assert points[:, 1].tolist() == [[60, 35], [4, -2]]


def test_fractions_are_of_the_square_in_whole_pixels_that_was_cut():
    square = expression_crop.cut(numbered(200, 250), (100.4, 89.6), 112.3)
    points = expression_crop.in_picture(np.zeros((68, 2)), np.array([100.4, 89.6]), 112.3)
    assert points[0].tolist() == square[0, 0, :2].tolist() == [44, 34]
    assert np.isnan(expression_crop.in_picture(np.zeros((68, 2)), [np.nan] * 2, np.nan)).all()


@pytest.mark.parametrize("shape", [(68, 2), (3, 5, 2), (3, 68, 3)])
def test_landmarks_of_another_shape_are_refused(shape):
    with pytest.raises(InputError, match="shape"):
        expression_crop.from_points(np.zeros(shape))


@pytest.mark.parametrize("frames", [0, 4, -1])
def test_a_median_has_an_odd_number_of_frames(frames):
    with pytest.raises(InputError, match=f"median of {frames} frames"):
        expression_crop.from_points(np.zeros((9, 68, 2)), frames)


def test_boxes_and_five_points_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"shape \(3,\)"):
        expression_crop.from_box([1, 2, 3])
    with pytest.raises(InputError, match=r"shape \(68, 2\)"):
        expression_crop.from_five_points(np.zeros((68, 2)))


def numbered(height, width):
    """A picture whose red is the column and whose green is the row."""
    picture = np.full((height, width, 3), 7, np.uint8)
    picture[..., 0], picture[..., 1] = np.arange(width), np.arange(height)[:, None]
    return picture


def test_a_square_of_the_right_size_is_cut_pixel_by_pixel():
    picture = numbered(200, 250)
    square = expression_crop.cut(picture, (100, 90), 112)
    assert np.array_equal(square, picture[34:146, 44:156])
    assert np.array_equal(expression_crop.cut(picture, (100.4, 89.6), 112.3), square)


def test_what_lies_outside_the_picture_is_black():
    picture = np.full((200, 250, 3), 9, np.uint8)
    square = expression_crop.cut(picture, (0, 200), 112)
    assert (square[:56, 56:] == 9).all()
    assert not square[56:].any()
    assert not square[:, :56].any()
    assert not expression_crop.cut(picture, (-400, 90), 112).any()
    assert not expression_crop.cut(picture, (100, 900), 112).any()


def test_shrinking_averages_all_pixels_of_an_area():
    stripes = np.zeros((336, 336, 3), np.uint8)
    stripes[::3] = 210
    assert (expression_crop.cut(stripes, (168, 168), 336) == 70).all()


def test_enlarging_is_bilinear():
    picture = numbered(80, 80)
    expected = cv2.resize(picture[12:68, 12:68], (112, 112), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(expression_crop.cut(picture, (40, 40), 56), expected)
    assert expression_crop.cut(picture, (40, 40), 0.2).tolist()[0][0] == [40, 40, 7]


def test_no_face_is_a_black_square():
    picture = numbered(80, 80)
    for centre, side in (((np.nan, np.nan), np.nan), ((40, 40), np.nan)):
        square = expression_crop.cut(picture, centre, side)
        assert square.shape == (112, 112, 3)
        assert not square.any()


@pytest.mark.parametrize(
    ("centre", "side"), [((40, 40), 161), ((40, 40), 0), ((40, 40), np.inf), ((1e9, 40), 50)]
)
def test_a_square_that_is_no_face_is_refused(centre, side):
    with pytest.raises(InputError, match="a square of") as raised:
        expression_crop.cut(numbered(80, 80), centre, side)
    assert "80 × 80 px" in raised.value.expected


@pytest.mark.parametrize(
    ("shape", "first"), [((9, 4), (0, 2)), ((4, 9), (2, 0)), ((9, 5), (0, 2)), ((6, 6), (0, 0))]
)
def test_padding_is_centred_and_an_odd_pixel_goes_to_the_right_or_the_bottom(shape, first):
    picture = np.full((*shape, 3), 5, np.uint8)
    square = expression_crop.padded(picture)
    assert square.shape == (max(shape), max(shape), 3)
    rows, columns = np.nonzero(square[..., 0])
    assert (rows.min(), columns.min()) == first
    assert (rows.max() + 1, columns.max() + 1) == (first[0] + shape[0], first[1] + shape[1])
    assert (square > 0).sum() == picture.size
