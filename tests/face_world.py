"""For tests of faces: pictures with marked "faces" and a detector that finds them by their marks,
without a network.
"""

from functools import lru_cache

import numpy as np

from lib.faces import alignment

WIDTH, HEIGHT = 320, 180


class Marks:
    """Finds what `faces` says is in a frame; the frame's number is written into the corner of its
    picture.
    """

    name, version, weights = "marks", "1", True

    def __init__(self, faces):
        self.faces, self.asked = faces, []

    def detect(self, picture):
        frame = int(picture[0, 0, 0]) + 256 * int(picture[0, 1, 0])
        self.asked.append(frame)
        return np.array(self.faces(frame), np.float32).reshape(-1, 15)


def face(x, y, width=40.0, score=0.9):
    """A row of a detector: box round (x, y) and landmarks as in the template."""
    points = (alignment.TEMPLATE - 56) * (width / 80) + (x, y)
    return np.array(
        [x - width / 2, y - width / 2, width, width * 1.2, *points.ravel(), score], np.float32
    )


def picture(frame, rows, seed=0):
    """A textured background with one textured patch for each face, and the frame's number."""
    out = _texture(seed, HEIGHT, WIDTH, 40).copy()
    for number, row in enumerate(rows):
        x, y, width, height = (round(float(value)) for value in row[:4])
        patch = _texture(seed + 10 + number, height, width, 200)
        top, left = max(y, 0), max(x, 0)
        part = out[top : max(y + height, 0), left : max(x + width, 0)]
        part[...] = patch[top - y : top - y + part.shape[0], left - x : left - x + part.shape[1]]
    out[:4, :4] = 0
    out[0, 0], out[0, 1] = frame % 256, frame // 256
    return out


@lru_cache
def _texture(seed, height, width, level):
    """Read-only: films of hundreds of pictures show the same few."""
    coarse = (
        np.random.default_rng(seed).integers(0, 56, (height // 4 + 2, width // 4 + 2, 1)) + level
    )
    return (
        np.repeat(np.repeat(coarse, 4, 0), 4, 1)[:height, :width].repeat(3, axis=2).astype(np.uint8)
    )
