"""How a viewer shows a stored picture: the display matrix of a file, all eight ways (ISO/IEC
14496-12, 8.3.2; FFmpeg's players go by the same matrix).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import av

MATRIX_TOLERANCE = 0.02  # of a side; a matrix that is farther from a quarter turn is no plain one
ORIENTATION_NAMES = {
    (False, True, False): "mirrored",
    (False, False, True): "flipped",
    (True, False, False): "transposed",
    (True, True, True): "transposed the other way",
}


@dataclass(frozen=True)
class Orientation:
    """The operations on a stored picture, in this order: transpose, swap left and right, swap top
    and bottom.
    """

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    @property
    def name(self) -> str:
        """What is done besides a rotation: mirrored, flipped, transposed; "" for a mere
        rotation.
        """
        return ORIENTATION_NAMES.get((self.transposed, self.mirrored, self.flipped), "")

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) as it is stored -> as it is shown."""
        shown = picture.swapaxes(0, 1) if self.transposed else picture
        shown = shown[:, ::-1] if self.mirrored else shown
        return np.ascontiguousarray(shown[::-1] if self.flipped else shown)


# by 0, 1, 2, 3 quarters anticlockwise
TURNS = (
    Orientation(),
    Orientation(transposed=True, flipped=True),
    Orientation(mirrored=True, flipped=True),
    Orientation(transposed=True, mirrored=True),
)


def of(frame: av.VideoFrame) -> Orientation:
    """How a viewer shows this frame. A matrix that is not exactly a quarter turn (mirrored or not)
    counts as the nearest one; an invalid matrix is ignored.
    """
    stored = frame.side_data.get("DISPLAYMATRIX")
    plain = _plain(np.frombuffer(stored, "=i4")[:9].astype(float)) if stored is not None else None
    if plain is not None:
        return plain
    turned = abs(frame.rotation) <= 360
    return TURNS[round(frame.rotation / 90) % 4] if turned else Orientation()


def _plain(matrix: np.ndarray) -> Orientation | None:
    """The orientation of one of the eight matrices, at any scale; None of another one.

    A stored point (p, q) is shown at (a·p + c·q + x, b·p + d·q + y), with a, b, c, d the numbers 0,
    1, 3, 4; q counts downwards.
    """
    a, b, c, d = matrix[[0, 1, 3, 4]]
    upright, across = (abs(a), abs(d)), (abs(b), abs(c))
    if max(across) <= MATRIX_TOLERANCE * min(upright) and min(upright) > 0:
        return Orientation(False, bool(a < 0), bool(d < 0))
    if max(upright) <= MATRIX_TOLERANCE * min(across) and min(across) > 0:
        return Orientation(True, bool(c < 0), bool(b < 0))
    return None
