"""Squares that the expression network of face-api sees: three rules, and the cutting itself.

The crop decides: on one test set the accuracy runs from .38 to .81 with the crop alone
(face-api specification §1.5). Each rule gives the centre and the side of an upright square.

- `from_points`, the published rule made square: around the face's own 68 landmarks. It needs the
  landmark network, which sees `of_box`, and ends at the eyebrows.
- `from_box`: YuNet's box, a little smaller and lower. Its two constants were chosen on test sets
  and hold for YuNet only.
- `from_five_points`: around the eyes and the mouth of the detector's five landmarks.

Coordinates are pixels of the picture as the detector gives them, x to the right and y down. Frames
without a face are NaN and stay NaN.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..errors import InputError

SIZE = 112  # px, side of what the networks see
WIDENED = 1.2  # sides of the square in longer sides of the points' box: 10 % at each edge (§1.5)
MEDIAN = 5  # frames of the running median of the points' box, which jitters (§1.5, a proposal)
BOX_SIDE, BOX_LOWER = 0.92, 0.08  # in longer sides of YuNet's box; the centre moves down (§1.5)
FIVE_DOWN, FIVE_SIDE = 0.55, 2.4  # from eyes to mouth; in the larger of their distances (§1.5)
FARTHEST = 1e6  # px from the picture's corner, below which coordinates are believed
LARGEST = 2.0  # sides of a square in longer sides of the picture; a larger one is no face


def of_box(box: np.ndarray, side: float = 1.0, lower: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The square around a detector's box; as it stands, what the landmark network sees (§2.4).

    Arguments
    ---------
    box : (…, 4) x, y, width, height in px; NaN where there is no face.
    side : of the square, in longer sides of the box. lower : how far its centre lies below the
        box's, in the same unit.

    Returns centre (…, 2) and side (…), float64 px.
    """
    box = _shaped(box, (4,), "a box")
    longer = box[..., 2:].max(axis=-1)
    centre = box[..., :2] + box[..., 2:] / 2
    return centre + lower * longer[..., None] * (0, 1), side * longer


def from_box(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rule "detector": YuNet's box × .92, .08 lower. Arguments and returns as `of_box`."""
    return of_box(box, BOX_SIDE, BOX_LOWER)


def from_five_points(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rule "five_points": between the eyes and the mouth, and somewhat larger than they are apart.

    points : (…, 5, 2) px: eyes, nose, corners of the mouth, as in `lib.faces.alignment`. Returns
    centre (…, 2), 55 % of the way from the middle of the eyes to that of the mouth, and side (…),
    2.4 × the larger of the distance of the eyes and the distance from eyes to mouth.
    """
    points = _shaped(points, (5, 2), "five landmarks")
    eyes, mouth = points[..., :2, :].mean(axis=-2), points[..., 3:, :].mean(axis=-2)
    across = np.linalg.norm(points[..., 1, :] - points[..., 0, :], axis=-1)
    along = np.linalg.norm(mouth - eyes, axis=-1)
    return eyes + FIVE_DOWN * (mouth - eyes), FIVE_SIDE * np.maximum(across, along)


def from_points(points: np.ndarray, frames: int = MEDIAN) -> tuple[np.ndarray, np.ndarray]:
    """Rule "square": around the 68 landmarks of one face over time.

    Arguments
    ---------
    points : (T, 68, 2) px of the picture (`in_picture`) of each frame; NaN where there is no face.
    frames : odd width of the running median of the points' box over frames with a face; 1 = none.

    Returns the centre (T, 2) of the box of the points and its longer side × 1.2 (T,). On faces of
    about 30 px, and behind hands, the points draw together (seen in one recording), and the square
    with them.
    """
    points = _shaped(points, (68, 2), "68 landmarks of each frame")
    if points.ndim != 3:
        what, expected = f"landmarks of shape {points.shape}", "(T, 68, 2)"
        raise InputError(what, where="expression_crop.from_points", expected=expected)
    return from_corners(corners(points), frames)


def corners(points: np.ndarray) -> np.ndarray:
    """The box of landmarks (T, 68, 2): least and largest x, y in each frame, (T, 4) x0 y0 x1 y1."""
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def from_corners(boxes: np.ndarray, frames: int = MEDIAN) -> tuple[np.ndarray, np.ndarray]:
    """`from_points` of which the boxes (T, 4) are known (`corners`)."""
    if frames < 1 or frames % 2 == 0:
        what, expected = f"a median of {frames} frames", "an odd number of frames"
        raise InputError(what, where="expression_crop.from_points", expected=expected)
    boxes = _running_median(boxes, frames)
    first, last = boxes[:, :2], boxes[:, 2:]
    return (first + last) / 2, WIDENED * (last - first).max(axis=1)


def _running_median(rows: np.ndarray, frames: int) -> np.ndarray:
    """(T, k): median of each row and those around it that are no NaN; a NaN row stays NaN."""
    edge = np.full((frames // 2, rows.shape[1]), np.nan)
    around = np.concatenate([edge, rows, edge])
    around = np.stack([around[shift : shift + len(rows)] for shift in range(frames)])
    medians, seen = np.full(rows.shape, np.nan), ~np.isnan(rows).any(axis=1)
    if seen.any():  # of nothing there is no median
        medians[seen] = np.nanmedian(around[:, seen], axis=0)
    return medians


def in_picture(points: np.ndarray, centre: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Landmarks (…, 68, 2) as fractions of a square -> px of the picture that it was cut from.

    centre : (…, 2), side : (…), as the rules give them and `cut` took them.
    """
    corner, length = _whole(centre, side)
    return corner[..., None, :] + np.asarray(points) * length[..., None, None]


def _whole(centre: np.ndarray, side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper left corner (…, 2) and side (…) of squares in whole pixels; NaN stays NaN."""
    length = np.maximum(np.rint(np.asarray(side, np.float64)), 1)
    return np.floor(np.asarray(centre) - length[..., None] / 2 + 0.5), length


def cut(picture: np.ndarray, centre: np.ndarray, side: float, size: int = SIZE) -> np.ndarray:
    """A square of a picture, brought to `size` px.

    Arguments
    ---------
    picture : (H, W, 3) uint8 RGB. centre : (2,) px. side : px. Edges are rounded to whole pixels.

    Returns (size, size, 3) uint8: area averaging when it shrinks, bilinear when it grows (§1.2);
    black outside the picture, and all over where centre or side is NaN (no face).
    Raises InputError for a square without a side, and for one that is more than twice as large as
    the picture: cutting it would take much memory, and there is no face in it.
    """
    region = np.array([*centre, side], np.float64)
    if np.isnan(region).any():
        return np.zeros((size, size, 3), np.uint8)
    height, width = picture.shape[:2]
    if not np.abs(region).max() < FARTHEST or not 0 < side <= LARGEST * max(height, width):
        what = f"a square of {side:.0f} px around {region[0]:.0f}, {region[1]:.0f}"
        expected = f"a face in a picture of {width} × {height} px"
        raise InputError(what, where="expression_crop.cut", expected=expected)
    corner, length = _whole(region[:2], region[2])
    square = _with_black(picture, *corner.astype(int), int(length))
    method = cv2.INTER_AREA if length > size else cv2.INTER_LINEAR
    return cv2.resize(square, (size, size), interpolation=method)


def _with_black(picture: np.ndarray, left: int, top: int, length: int) -> np.ndarray:
    """The square from (left, top), (length, length, 3); black where the picture does not reach."""
    inside = picture[max(top, 0) : max(top + length, 0), max(left, 0) : max(left + length, 0)]
    if inside.shape[:2] == (length, length):
        return inside
    square = np.zeros((length, length, 3), picture.dtype)
    row, column = max(-top, 0), max(-left, 0)
    square[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    return square


def padded(picture: np.ndarray) -> np.ndarray:
    """A picture of a face that is not square, in the middle of a black square (§1.2, published).

    picture : (H, W, 3). Returns (L, L, 3) of its dtype, L the longer side; an odd column or row
    more goes to the right or the bottom.
    """
    height, width = picture.shape[:2]
    longer = max(height, width)
    left, top = (longer - width) // 2, (longer - height) // 2
    return _with_black(picture, -left, -top, longer)


def _shaped(numbers: np.ndarray, last: tuple[int, ...], name: str) -> np.ndarray:
    numbers = np.asarray(numbers, np.float64)
    if numbers.shape[-len(last) :] != last:
        expected = f"{name}: (…, {', '.join(map(str, last))})"
        raise InputError(f"shape {numbers.shape}", where="expression_crop", expected=expected)
    return numbers
