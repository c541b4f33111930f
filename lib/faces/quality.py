"""How well a face can be seen: how large it is in the picture, and how sharp.

Both tell a fusion network how reliable a face is (`lib.recipes.gated_fusion`).
"""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 64  # px that faces are brought to before they are looked at, so that sizes compare
BLOCK = 256  # faces that are in memory at a time, 3 MB at 64 px
COLUMNS = ("size", "sharpness")


def sharpness(face: np.ndarray) -> float:
    """Base-10 logarithm of 1 + the variance of the Laplacian of a face, the higher the sharper.

    face : (S, S, 3) uint8 RGB. A grey face at 64 px with values 0…255 is looked at (Pech-Pacheco et
        al. 2000, "Diatom autofocusing in brightfield microscopy"); 0 for a face of one colour.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(face), cv2.COLOR_RGB2GRAY)
    if grey.shape != (SIDE, SIDE):
        shrink = min(grey.shape) >= SIDE
        way = cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
        grey = cv2.resize(grey, (SIDE, SIDE), interpolation=way)
    return float(np.log10(1 + cv2.Laplacian(grey, cv2.CV_64F).var()))


def of_faces(faces) -> np.ndarray:
    """(T,) float32 sharpness of each face of a trial (`lib.faces.faces.Faces`), NaN without one."""
    sharp = np.full(len(faces), np.nan, np.float32)
    frames = np.flatnonzero(faces.valid)
    for start in range(0, len(frames), BLOCK):
        block = frames[start : start + BLOCK]
        sharp[block] = [sharpness(face) for face in faces.read(block)]
    return sharp


def sizes(boxes: np.ndarray) -> np.ndarray:
    """(T,) float32 base-2 logarithm of the side of a square of each box's area, in px.

    boxes : (T, 4) x, y, width, height in px of the picture; NaN where the face is not seen.
    """
    area = np.asarray(boxes, np.float64)[:, 2:].prod(axis=1)
    return np.where(area > 0, np.log2(np.maximum(area, 1)) / 2, np.nan).astype(np.float32)
