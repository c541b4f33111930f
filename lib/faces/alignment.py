"""Align a face to the 112×112 template by its landmarks, and draw TSAV's mask channel from them.

Points are (x, y) in pixels, pixel centres at whole numbers, as OpenCV counts. "Left" and "right"
are the picture's. Five landmarks: left eye, right eye, tip of the nose, corners of the mouth.
"""

from __future__ import annotations

import cv2
import numpy as np

TEMPLATE_SIZE = 112

# The usual template of five landmarks for faces of 112 px (specification of TSAV, §1.3).
TEMPLATE = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ],
    np.float32,
)

# Lines of the mask, in drawing order: first and last of the 68 points (iBUG), closed, grey value
# (§1.2).
MASK_LINES = (
    (48, 60, True, 255),
    (17, 22, False, 223),
    (22, 27, False, 191),
    (36, 42, True, 159),
    (42, 48, True, 127),
    (28, 31, False, 63),
    (6, 11, False, 31),
)


def similarity(points: np.ndarray, size: int = TEMPLATE_SIZE) -> np.ndarray:
    """Rotation, one scale and shift that bring landmarks nearest to the template (least squares).

    points : (5, 2) in the picture. Returns (2, 3) float64 for `cv2.warpAffine`, to side `size`.
    """
    goal = scaled(TEMPLATE, size).astype(np.float64)
    points = np.asarray(points, np.float64)
    # In complex numbers a similarity is z -> a z + b: linear, with a closed-form solution and
    # without reflection.
    z, w = points @ (1, 1j), goal @ (1, 1j)
    centred = z - z.mean()
    spread = (abs(centred) ** 2).sum()
    a = (centred.conj() * (w - w.mean())).sum() / spread if spread else 1.0 + 0j
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def scaled(points: np.ndarray, size: int, before: int = TEMPLATE_SIZE) -> np.ndarray:
    """Points of a face of side `before`, scaled to a face of side `size`."""
    return ((np.asarray(points) + 0.5) * (size / before) - 0.5).astype(np.float32)


def transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(…, 2) points through a (2, 3) matrix, float32."""
    return (np.asarray(points) @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def align(picture: np.ndarray, points: np.ndarray, size: int = TEMPLATE_SIZE) -> np.ndarray:
    """Cut out a face, upright and aligned to the template.

    picture : (H, W, 3) uint8. points : (5, 2) landmarks in it.

    Returns (size, size, 3) uint8, black outside the picture; cubic, as the published data were made
    (§1.3), after area averaging where the face is much larger.
    """
    matrix = similarity(points, size)
    shrink = int(1 / max(np.hypot(*matrix[:, 0]), 1e-3))  # picture pixels in one pixel of the face
    if shrink >= 2:  # cubic interpolation sees 4×4 pixels: fine structure would alias
        picture, origin = _corner(picture, matrix, size, shrink)
        matrix = matrix @ np.array(
            [
                [shrink, 0, origin[0] + (shrink - 1) / 2],
                [0, shrink, origin[1] + (shrink - 1) / 2],
                [0, 0, 1],
            ]
        )
    return cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_CUBIC)


def _corner(
    picture: np.ndarray, matrix: np.ndarray, size: int, shrink: int
) -> tuple[np.ndarray, np.ndarray]:
    """The part of a picture that the face comes from, `shrink` times smaller, and its corner."""
    corners = np.array([(-2, -2), (size + 1, -2), (-2, size + 1), (size + 1, size + 1)])
    source_corners = transform(corners, cv2.invertAffineTransform(matrix))
    sides = np.array([picture.shape[1], picture.shape[0]])
    first = np.clip(
        np.floor(source_corners.min(axis=0)).astype(int), 0, np.maximum(sides - shrink, 0)
    )
    last = np.clip(
        np.ceil(source_corners.max(axis=0)).astype(int),
        first + shrink,
        np.maximum(sides, first + shrink),
    )
    count = np.maximum((np.minimum(last, sides) - first) // shrink, 1)
    part = picture[first[1] : first[1] + count[1] * shrink, first[0] : first[0] + count[0] * shrink]
    return cv2.resize(part, tuple(int(n) for n in count), interpolation=cv2.INTER_AREA), first


def mask(points: np.ndarray, size: int = TEMPLATE_SIZE) -> np.ndarray:
    """TSAV's fourth channel: lines of mouth, brows, eyes, nose, chin, (size, size) uint8 on black.

    points : (68, 2) in the aligned face of that size: the published drawing exactly.

    (5, 2): an approximation, in which mouth, brows, eyes, nose and chin have a mean shape and only
    follow the five landmarks.
    """
    points = np.asarray(points, np.float64)
    if len(points) == 5:
        points = approximate(points, size)
    picture = np.zeros((size, size), np.uint8)
    rounded = np.rint(points).astype(np.int32)
    for first, stop, closed, value in MASK_LINES:
        cv2.polylines(
            picture, [rounded[first:stop].reshape(-1, 1, 2)], closed, value, 1, cv2.LINE_8
        )
    return picture


def _mean_face() -> np.ndarray:
    """68 points of a frontal, neutral face on the template, (68, 2), after the iBUG scheme."""
    points = np.zeros((68, 2))
    angle = np.linspace(np.pi, 0, 17)  # jaw: half an ellipse from ear to ear round the chin
    points[:17] = np.stack([56 + 46 * np.cos(angle), 58 + 53 * np.sin(angle)], axis=1)
    rise = np.array([0, 3.5, 4.5, 3.5, 1.5])
    points[17:22] = np.stack([np.linspace(24.5, 48, 5), 43 - rise], axis=1)
    points[22:27] = points[21:16:-1] * (-1, 1) + (112, 0)
    points[27:31] = np.stack([np.full(4, 56.0), np.linspace(51, 71.5, 4)], axis=1)
    points[31:36] = np.stack([np.linspace(49, 63, 5), 76 + np.array([0, 1.2, 2, 1.2, 0])], axis=1)
    eye = np.array([(-6.5, 0.3), (-2.3, -2.6), (2.3, -2.6), (6.5, 0.3), (2.3, 2.1), (-2.3, 2.1)])
    points[36:42], points[42:48] = eye + TEMPLATE[0], eye + TEMPLATE[1]
    left, right = TEMPLATE[3:]
    across = np.linspace(0, 1, 7)
    upper = (
        left
        + (right - left) * across[:, None]
        - np.array([0, 3.4, 4.8, 4.2, 4.8, 3.4, 0])[:, None] * (0, 1)
    )
    lower = (
        left
        + (right - left) * across[5:0:-1, None]
        + np.array([3.8, 6.2, 7, 6.2, 3.8])[:, None] * (0, 1)
    )
    points[48:60] = np.concatenate([upper, lower])
    inner = np.linspace(0.08, 0.92, 5)
    points[60:65] = (
        left + (right - left) * inner[:, None] - np.array([0, 0.8, 1, 0.8, 0])[:, None] * (0, 1)
    )
    points[65:68] = (
        left + (right - left) * inner[3:0:-1, None] + np.array([0.8, 1, 0.8])[:, None] * (0, 1)
    )
    return points


MEAN_FACE = _mean_face()

# How each part of the face follows the landmarks: weights of their five displacements from the
# template.
_PARTS = (
    ((0, 17), (0.1, 0.1, 0.2, 0.3, 0.3)),
    ((17, 22), (0.8, 0.1, 0.1, 0, 0)),
    ((22, 27), (0.1, 0.8, 0.1, 0, 0)),
    ((27, 28), (0.4, 0.4, 0.2, 0, 0)),
    ((28, 36), (0.1, 0.1, 0.8, 0, 0)),
    ((36, 42), (1, 0, 0, 0, 0)),
    ((42, 48), (0, 1, 0, 0, 0)),
)


def approximate(points: np.ndarray, size: int = TEMPLATE_SIZE) -> np.ndarray:
    """Estimate 68 points from five: a mean face whose parts move with the landmarks.

    points : (5, 2) in the aligned face of side `size`. Returns (68, 2) in it.

    It follows eyes, nose and mouth corners; it cannot show raised brows, closed eyes or an open
    mouth.
    """
    moved = scaled(points, TEMPLATE_SIZE, size).astype(np.float64) - TEMPLATE  # (5, 2)
    guessed = MEAN_FACE.copy()
    for (first, stop), weights in _PARTS:
        guessed[first:stop] += np.array(weights) @ moved
    # Along the mouth from corner to corner.
    share = np.clip((guessed[48:, 0] - TEMPLATE[3, 0]) / (TEMPLATE[4, 0] - TEMPLATE[3, 0]), 0, 1)[
        :, None
    ]
    guessed[48:] += (1 - share) * moved[3] + share * moved[4]
    return scaled(guessed, size).astype(np.float64)
