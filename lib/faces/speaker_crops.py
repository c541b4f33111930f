"""Crops for a speaker network: the whole face box, or the region of the mouth; grey, square.

Geometry: speaker specification §3.1. Each set of published weights was trained on one of the two
and does badly on the other.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..errors import InputError

CROPS = ("box", "mouth")
# grey outside the picture and of invisible faces: about 0 after the networks' normalisation
FILL = 110
# of the mouth crop, in half sides of the box around its centre
HALF_WIDTH, ABOVE, BELOW = (0.7, 0.3, 1.1)


def region(box: np.ndarray, crop: str) -> np.ndarray:
    """(…, 4) x, y, width, height of a box -> x1, y1, x2, y2 (…, 4) of what is cut out, in px."""
    box = np.asarray(box, np.float64)
    x, y, width, height = np.moveaxis(box, -1, 0)
    if crop == "box":
        return np.stack([x, y, x + width, y + height], axis=-1)
    if crop != "mouth":
        raise InputError(
            f"crop {crop!r}", where="faces.speaker_crops.region", expected=" or ".join(CROPS)
        )
    half, cx, cy = np.maximum(width, height) / 2, x + width / 2, y + height / 2
    return np.stack(
        [cx - HALF_WIDTH * half, cy - ABOVE * half, cx + HALF_WIDTH * half, cy + BELOW * half],
        axis=-1,
    )


def cut(grey: np.ndarray, box: np.ndarray, crop: str, size: int) -> np.ndarray:
    """One face of a picture.

    Arguments
    ---------
    grey : (H, W) uint8. box : (4,) x, y, width, height in px of this picture. crop : "box" or
        "mouth". size : side.

    Returns (size, size) uint8; grey 110 outside the picture, and all over for a box that is no box
    (NaN, no area).
    """
    corners = region(box, crop)
    if not np.isfinite(corners).all() or (corners[2:] <= corners[:2]).any():
        return np.full((size, size), FILL, np.uint8)
    height, width = grey.shape
    left, top = (int(np.floor(value + 0.5)) for value in corners[:2])
    right, bottom = (
        max(int(np.floor(value + 0.5)), low + 1)
        for value, low in zip(corners[2:], (left, top), strict=True)
    )
    inside = grey[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if not inside.size:
        return np.full((size, size), FILL, np.uint8)
    around = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    if any(around):
        inside = cv2.copyMakeBorder(inside, *around, cv2.BORDER_CONSTANT, value=FILL)
    shrinks = min(inside.shape) > size
    return cv2.resize(
        inside, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
