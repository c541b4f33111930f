"""The face of the sample set: one photograph, moved by valence, arousal and speech.

The photograph is NASA's of Eileen Collins (public domain), which scikit-image's wheel brings.
Positions and lengths are pixels of the 200×200 piece cut from it (sample specification §2). A
movement is a sum of Gaussian displacement fields; what a person looks like (shape, colours,
glasses) is drawn once per trial.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

SIDE = 200
CORNER = (125, 18)  # left and top of the piece in the photograph
STRENGTH = 1.5  # k: how far the expressions move (sample specification §6)
CENTRE = (98.5, 104.0)  # the point that poses and crops turn about, between eyes and mouth
EYES_APART = 47.0
EYES = ((75.0, 84.0), (122.0, 84.6))
MOUTH_CORNERS = ((79.0, 122.5), (117.0, 123.5))
MOUTH, CHIN = (98.0, 125.0), (98.0, 158.0)
BROWS_INNER = ((86.0, 72.0), (111.0, 72.0))
BROWS_OUTER = ((66.0, 74.0), (137.0, 75.0))
LIP, CHIN_END = 124.5, 170.0  # rows where the mouth opens and where its movement has faded
OPENING = 11.0  # how far the lower lip goes down at s = 1
MOUTH_INSIDE = (48, 14, 16)  # RGB
# of the eyes at arousal 1; with 0.4 a network reads arousal off the picture (CCC .46–.76)
WIDENING = 0.05
BLINK = 0.4  # height of a shut eye; much less would fold the lids over each other
N_EXPRESSIONS = 41  # valences at which movements are inverted; between them linearly
INVERSIONS = 20  # iterations; the steepest movement leaves 0.8^20 = 1 % of 13 px
Y, X = np.mgrid[:SIDE, :SIDE].astype(np.float32)


def _bump(point: tuple[float, float], sigma: float, sigma_y: float = 0) -> np.ndarray:
    return np.exp(
        -(((X - point[0]) / sigma) ** 2) / 2 - ((Y - point[1]) / (sigma_y or sigma)) ** 2 / 2
    )


def _smooth(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


@cache
def photograph() -> np.ndarray:
    """The 200×200 piece of the photograph, float32 RGB 0–255."""
    left, top = CORNER
    from skimage import data  # only to draw the sample set

    return data.astronaut()[top : top + SIDE, left : left + SIDE].astype(np.float32)


@cache
def outline() -> np.ndarray:
    """Soft ellipse 0…1 in which the head is pasted."""
    narrow = _smooth((Y - 85) / 40)  # hair is wider than the jaw
    distance = np.hypot((X - 101 + 2 * narrow) / (71 - 21 * narrow), (Y - 88) / 86)
    return _smooth((1 - distance) / 0.12).astype(np.float32)


@cache
def _skin() -> np.ndarray:
    """1 on the face, 0 on the hair."""
    return _smooth((1.04 - np.hypot((X - 98) / 43, (Y - 112) / 52)) / 0.16).astype(np.float32)


@cache
def _expression_fields() -> np.ndarray:
    """Unit fields (5, 2, 200, 200), x and y: mouth up and down, mouth wide, inner brows down,
    together, brows up.
    """
    left, right = (_bump(point, 10) for point in MOUTH_CORNERS)
    inner = [_bump(point, 8) for point in BROWS_INNER]
    outer = [_bump(point, 8) for point in BROWS_OUTER]
    none = np.zeros_like(left)
    return np.array(
        [
            (none, left + right - 0.35 * _bump(MOUTH, 10)),
            (right - left, none),
            (none, sum(inner)),
            (inner[0] - inner[1], none),
            (none, -sum(inner) - sum(outer)),
        ],
        np.float32,
    )


@cache
def _came_by_table() -> np.ndarray:
    """(N_EXPRESSIONS, 2, 200, 200) px: how far what is now at a place has moved, at valences from
    −1 to 1.

    The fields say how far a point of the resting face goes; a picture is drawn from where each
    point came from. For the small movements of a face's shape both are about the same, but a corner
    of the mouth that goes down by 13 px would arrive only 9 px lower. So the movement is inverted:
    place = origin + movement(origin), by iteration.
    """
    table = np.zeros((N_EXPRESSIONS, 2, SIDE, SIDE), np.float32)
    for v, came_by in zip(np.linspace(-1, 1, N_EXPRESSIONS), table, strict=True):
        goes_by = np.tensordot(movement(v), _expression_fields(), 1)
        for _ in range(INVERSIONS):
            x, y = np.stack([X, Y]) - came_by
            for goes, came in zip(goes_by, came_by, strict=True):
                cv2.remap(goes, x, y, cv2.INTER_LINEAR, dst=came, borderMode=cv2.BORDER_REPLICATE)
    return table


def _came_by(v: float) -> np.ndarray:
    """The table at one valence, (2, 200, 200) px."""
    position = (v + 1) / 2 * (N_EXPRESSIONS - 1)
    below = min(int(position), N_EXPRESSIONS - 2)
    table = _came_by_table()
    return table[below] + np.float32(position - below) * (table[below + 1] - table[below])


@cache
def _eye_fields() -> tuple[np.ndarray, np.ndarray]:
    """Distance of each row from the eye's middle, px, faded out around the eyes; for blinks more
    closely.
    """
    return tuple(
        sum(_bump(point, 10, height) * (Y - point[1]) for point in EYES) for height in (8, 5.5)
    )


@cache
def _opening_fields() -> tuple[np.ndarray, np.ndarray]:
    """Share that each place takes in the opening: at the lips a lens, towards the chin the whole
    jaw; the lens.
    """
    lens = np.clip(1 - ((X - MOUTH[0]) / 20) ** 2, 0, 1) ** 0.75
    jaw = np.exp(-(((X - MOUTH[0]) / 30) ** 2) / 2)
    depth = _smooth((Y - LIP - 8) / 26)
    fade = 1 - _smooth((Y - 138) / (CHIN_END - 138))
    share = (lens * (1 - depth) + jaw * depth) * fade * (Y >= LIP)
    return share.astype(np.float32), lens.astype(np.float32)


@dataclass(frozen=True)
class Face:
    """What a person looks like: `picture` (200, 200, 3) RGB, `shape` (2, 200, 200) px, `glasses`
    0…1 or None.
    """

    picture: np.ndarray
    shape: np.ndarray
    glasses: np.ndarray | None

    def mapping(
        self, v: float, a: float, s: float, blink: float, wide: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where each place of the moved face comes from.

        Arguments
        ---------
        v, a : valence and arousal, −1…1.   s : mouth opening, 0…1.   blink : 0 open … 1 shut.
        wide : how far each corner of the mouth goes outwards, px.

        Returns source positions (200, 200, 2) px and the share of the mouth's inside (200, 200)
        0…1, float32.
        """
        x, y = (
            np.stack([X, Y]) - self.shape - _came_by(v) - np.float32(wide) * _expression_fields()[1]
        )
        wide, shut = _eye_fields()
        eyes = (1 / (1 + WIDENING * a) - 1) * wide + (1 / (1 - (1 - BLINK) * blink) - 1) * shut
        rest = cv2.remap(np.dstack([eyes, *_opening_fields()]), x, y, cv2.INTER_LINEAR)
        moved = y - OPENING * s * rest[..., 1]
        inside = np.clip((y - LIP) / 1.2, 0, 1) * np.clip((LIP - moved) / 1.2 + 1, 0, 1)
        inside *= np.clip(3 * OPENING * s * rest[..., 2] - 1, 0, 1)
        return np.dstack([x, np.where(y > LIP, np.maximum(moved, LIP), y) + rest[..., 0]]), inside


def movement(v: float) -> np.ndarray:
    """Size in px of the five expression fields at valence v. The photograph itself smiles, hence
    the 3.
    """
    sad, glad = max(-v, 0.0), max(v, 0.0)
    return STRENGTH * np.array([3 - 6 * v, 3 * v - 1.5, 3.5 * sad, 2 * sad, 1.5 * glad], np.float32)


def draw(generator: np.random.Generator) -> Face:
    """Draw a person: shape and look by the table of the sample specification §3."""
    return Face(_look(generator), _shape(generator), _glasses(generator))


def _shape(generator: np.random.Generator) -> np.ndarray:
    """A displacement field (2, 200, 200) px."""

    def uniform(high: float) -> float:
        return generator.uniform(-high, high)

    wide = uniform(0.036) * (X - CENTRE[0]) * _bump(CENTRE, 45, 60)
    eyes = [_bump(point, 10) for point in EYES]
    apart, corners = uniform(0.036) * EYES_APART / 2, uniform(0.045) * 19
    left, right = (_bump(point, 10) for point in MOUTH_CORNERS)
    across = (
        wide
        + apart * (eyes[1] - eyes[0])
        + corners * (right - left)
        + uniform(1.2) * _bump(MOUTH, 14)
    )
    down = (
        uniform(1.2) * _bump(MOUTH, 14) + uniform(1.2) * sum(eyes) + uniform(0.9) * _bump(CHIN, 12)
    )
    down += uniform(0.9) * sum(_bump(point, 8) for point in (*BROWS_INNER, *BROWS_OUTER))
    down += uniform(0.45) * left + uniform(0.45) * right
    coarse = 0.45 * generator.standard_normal((8, 8, 2)).astype(np.float32)
    random = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.stack([across, down]).astype(np.float32) + np.moveaxis(random, -1, 0)


def _look(generator: np.random.Generator) -> np.ndarray:
    lab = cv2.cvtColor(photograph() / 255, cv2.COLOR_RGB2LAB)
    lab[..., 0] *= 1 + generator.uniform(-0.14, 0.04)
    lab[..., 1] += generator.uniform(-4, 3)
    lab[..., 2] += generator.uniform(-6, 4)
    lab[..., 0] *= 1 + generator.uniform(-0.28, 0.12) * (1 - _skin())
    beard, depth = generator.uniform() < 0.4, generator.uniform(0.04, 0.16)
    if beard:
        lips = np.hypot((X - 98) / 25, (Y - 127) / 11)
        lab[..., 0] *= 1 - depth * _skin() * _smooth((Y - 108) / 14) * _smooth((lips - 0.9) / 0.3)
    texture = cv2.GaussianBlur(
        generator.standard_normal((SIDE, SIDE)).astype(np.float32), (0, 0), 1
    )
    lab[..., 0] *= 1 + 0.02 * texture / texture.std()
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1) * 255


def _glasses(generator: np.random.Generator) -> np.ndarray | None:
    worn, size = generator.uniform() < 1 / 7, generator.uniform(0.9, 1.1)
    if not worn:
        return None
    fine = 4
    drawn = np.zeros((SIDE * fine, SIDE * fine), np.float32)
    (lx, ly), (rx, ry) = EYES
    for x, y in ((lx, ly + 2), (rx, ry + 2)):
        axes = (round(17 * size * fine), round(13 * size * fine))
        cv2.ellipse(
            drawn, (round(x * fine), round(y * fine)), axes, 0, 0, 360, 1.0, round(1.8 * fine)
        )
    inner = 17 * size
    for x1, x2 in (
        (lx + inner, rx - inner),
        (lx - inner, lx - inner - 16),
        (rx + inner, rx + inner + 16),
    ):
        cv2.line(
            drawn,
            (round(x1 * fine), round(ly * fine)),
            (round(x2 * fine), round((ly - 1) * fine)),
            1.0,
            round(1.8 * fine),
        )
    return cv2.resize(drawn, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
