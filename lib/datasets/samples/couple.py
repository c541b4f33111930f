"""Pictures of the sample conversations: two heads side by side, and where the annotation's boxes
lie.

Face and units are those of `face`; sizes and nuisance of the specification of the sample
conversations §2, §3, where a length is given in pixels of a 64-px mouth crop = 77 px of the 200-px
face. A box is drawn so that the mouth crop of the speaker specification §3.1 shows just that piece,
nose to chin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from . import face as samples_face
from .curves import curve
from .face import Face
from .talk import Talk
from .turns import FPS, Plan

WIDTH, HEIGHT = 320, 240  # px
HEAD_CENTRES = ((80.0, 122.0), (240.0, 122.0))  # of the two heads' centres
FACE_SCALES = (0.68, 0.8)  # px of the picture for one of the 200-px face
LOOK_SHARE, SHAPE_SHARE = 0.4, 0.5  # share of the sample set's variety of persons (§3)
OPENINGS, MOUTH_WIDTHS = 11, 3  # pictures of a person that a mouth's state is blended from
WIDER = 2.5  # px by which a wide vowel draws each corner of the mouth out
# centre x, y, width, height in the 200-px face; 1.4 · 55 = 77 px is the mouth crop
MOUTH_BOX = (98.0, 111.0, 95.0, 110.0)
CROP_PX = 77 / 64  # px of the face for one of the mouth crop
NOISE_SIDE = 64  # px of spare noise, from which every frame takes another piece


@dataclass(frozen=True)
class Head:
    """One person in a conversation: pictures (MOUTH_WIDTHS, OPENINGS, 200, 200, 3) uint8, and of
    each frame where it is.
    """

    bank: np.ndarray
    matrices: np.ndarray  # (T, 2, 3) from the face's pixels to the picture's
    boxes: np.ndarray  # (T, 4) x1, y1, x2, y2 as an annotator draws them, px of the picture
    states: np.ndarray  # (T, 2) opening 0…1, width −1…1

    def picture(self, frame: int) -> np.ndarray:
        """(200, 200, 3) uint8: between the two pictures of the bank whose opening is next."""
        opening, wide = self.states[frame]
        row = self.bank[round((wide + 1) / 2 * (MOUTH_WIDTHS - 1))]
        position = opening * (OPENINGS - 1)
        low = min(int(position), OPENINGS - 2)
        share = position - low
        return cv2.addWeighted(row[low], 1 - share, row[low + 1], share, 0)


@dataclass(frozen=True)
class Couple:
    """The picture of a conversation: background, light, noise and both heads."""

    background: np.ndarray  # (240, 320, 3) uint8
    light: np.ndarray  # (240, 320, 1) float32
    gains: np.ndarray  # (T,)
    noise: np.ndarray  # (240 + 64, 320 + 64, 3) float32
    places: np.ndarray  # (T, 2) corner of each frame's piece of noise
    heads: tuple[Head, Head]
    visible: np.ndarray  # (2, T) bool

    def paint(self, frame: int) -> np.ndarray:
        """One frame, (240, 320, 3) uint8 RGB."""
        picture = self.background.copy()
        for head, is_visible in zip(self.heads, self.visible[:, frame], strict=True):
            if is_visible:
                _paste(picture, head.picture(frame), head.matrices[frame])
        lit = cv2.multiply(picture, self.light, scale=float(self.gains[frame]), dtype=cv2.CV_32F)
        y, x = self.places[frame]
        return cv2.convertScaleAbs(np.maximum(lit + self.noise[y : y + HEIGHT, x : x + WIDTH], 0))


def _paste(picture: np.ndarray, face: np.ndarray, matrix: np.ndarray) -> None:
    side = samples_face.SIDE
    corners = matrix @ np.array([[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1]])
    left, top = np.maximum(np.floor(corners.min(axis=1)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(corners.max(axis=1)).astype(int), (WIDTH, HEIGHT))
    moved = matrix - [[0, 0, left], [0, 0, top]]
    size = (int(right - left), int(bottom - top))
    share = cv2.warpAffine(samples_face.outline(), moved, size)
    part = picture[top:bottom, left:right]
    part[...] = cv2.blendLinear(
        cv2.warpAffine(face, moved, size), np.ascontiguousarray(part), share, 1 - share
    )


def draw(generator: np.random.Generator, plan: Plan, talk: Talk) -> Couple:
    """Draw persons, places, light and noise of one conversation."""
    times = np.arange(plan.n_frames) / FPS
    heads = []
    for face, centre in enumerate(HEAD_CENTRES):
        mouth = np.stack([talk.opening[face], np.clip(talk.wide[face], -1, 1)], 1)
        heads.append(_head(generator, times, centre, mouth))
    gains = np.exp(generator.uniform(-0.35, 0.25)) * (
        1 + 0.05 * generator.standard_normal() * _slow(generator, times)
    )
    noise = generator.uniform(1.6, 4.8) * generator.standard_normal(
        (HEIGHT + NOISE_SIDE, WIDTH + NOISE_SIDE, 3), dtype=np.float32
    )
    places = generator.integers(0, NOISE_SIDE + 1, size=(len(times), 2))
    return Couple(
        _background(generator),
        _light(generator),
        gains,
        noise,
        places,
        tuple(heads),
        plan.visible(),
    )


def _slow(
    generator: np.random.Generator, times: np.ndarray, period: tuple[float, float] = (0.5, 0.9)
) -> np.ndarray:
    """(T,) a slow random course of standard deviation 1; knots about 0.7 s apart (§3)."""
    course = curve(generator, times[-1], period)(times)
    return course / max(float(course.std()), 1e-9)


def _head(
    generator: np.random.Generator,
    times: np.ndarray,
    position: tuple[float, float],
    states: np.ndarray,
) -> Head:
    scale, mirrored = generator.uniform(*FACE_SCALES), bool(generator.uniform() < 0.5)
    unit = scale * CROP_PX  # px of the picture for one of the mouth crop
    roll = generator.uniform(-4.2, 4.2) + 1.7 * _slow(generator, times)
    zoom = scale * (1 + 0.017 * _slow(generator, times))
    sway = np.stack([3 * _slow(generator, times, (2, 3)), 2 * _slow(generator, times, (2, 3))], 1)
    centre = np.array(position) + generator.uniform((-6, -5), (6, 5)) + np.clip(sway, -8, 8)
    matrices = np.stack(
        [_similarity(*pose, mirrored) for pose in zip(centre, roll, zoom, strict=True)]
    )
    return Head(
        _bank(generator), matrices, _boxes(generator, times, matrices, zoom, unit, mirrored), states
    )


def _similarity(to: np.ndarray, degrees: float, size: float, mirrored: bool) -> np.ndarray:
    turn = np.radians(degrees)
    linear = size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if mirrored:
        linear[:, 0] *= -1
    return np.column_stack([linear, to - linear @ np.array(samples_face.CENTRE)])


def _boxes(generator, times, matrices, zoom, unit, mirrored) -> np.ndarray:
    """Boxes that follow the head as an annotator does: off by a constant, a slow course and a
    little every frame.
    """
    x, y, width, height = MOUTH_BOX
    centre = matrices @ np.array([x, y, 1.0])  # (T, 2)
    centre += unit * generator.uniform(-2.8, 2.8, 2)
    centre += unit * 0.9 * np.stack([_slow(generator, times), _slow(generator, times)], 1)
    centre += unit * 0.25 * generator.standard_normal(centre.shape)
    half = np.outer(zoom * (1 + generator.uniform(-0.056, 0.056)), [width / 2, height / 2])
    return np.concatenate([centre - half, centre + half], axis=1)


def _bank(generator: np.random.Generator) -> np.ndarray:
    """All pictures of one person. Its look and shape lie nearer to the photograph than the sample
    set's.
    """
    drawn = samples_face.draw(generator)
    plain = samples_face.photograph()
    face = replace(
        drawn,
        picture=(plain + LOOK_SHARE * (drawn.picture - plain)).astype(np.float32),
        shape=(SHAPE_SHARE * drawn.shape).astype(np.float32),
        glasses=None,
    )
    mood = generator.uniform(-0.3, 0.3)
    return np.stack(
        [
            [_still(face, mood, opening, wide) for opening in np.linspace(0, 1, OPENINGS).tolist()]
            for wide in np.linspace(-WIDER, WIDER, MOUTH_WIDTHS).tolist()
        ]
    )


def _still(face: Face, mood: float, opening: float, wide: float) -> np.ndarray:
    places, inside = face.mapping(mood, 0.0, opening, 0.0, wide)
    head = cv2.remap(face.picture, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    head += inside[..., None] * (np.float32(samples_face.MOUTH_INSIDE) - head)
    return cv2.convertScaleAbs(head)


def _background(generator: np.random.Generator) -> np.ndarray:
    """A wall with a few soft patches of colour."""
    coarse = generator.uniform(40, 200, size=(3, 4, 3)).astype(np.float32)
    return cv2.convertScaleAbs(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))


def _light(generator: np.random.Generator) -> np.ndarray:
    """(240, 320, 3) float32 about 1: brighter towards one side by 0–30 % (§3)."""
    size, turn = generator.uniform(0, 0.3), generator.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    along = (x - WIDTH / 2) * np.cos(turn) + (y - HEIGHT / 2) * np.sin(turn)
    light = (1 + size * np.tanh(along / 100)).astype(np.float32)
    return np.repeat(light[..., None], 3, axis=2)
