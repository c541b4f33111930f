"""Nuisance factors of the sample set, which hide the expression: pose, light, background, noise and
the place of the crop.

All ranges are those of the sample specification §3; draws are uniform, a "drift" is a label curve
with another period. Position and size of the crop and the motion of the head are what defeats a
linear model on pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from . import face as samples_face
from .curves import curve
from .face import Face

WIDTH, HEIGHT = 320, 240  # px of the picture of one person
CROP = 112  # px, side of a crop
EYES_APART = 42.0  # px in a crop, before its nuisance
HEAD_AT = (160.0, 124.0)  # px in the picture of one person, before its nuisance
GRADIENT_LENGTH = 60.0  # px at which the light's gradient has its stated size
NOISE_SIDE = 96  # px of spare noise on each side, from which every frame takes another piece


@dataclass(frozen=True)
class Pose:
    """Where a head is and how a crop looks at it: constants of a trial, and drifts (T,) in
    −0.95…0.95.
    """

    x: float  # px, of the head's place before drifts
    y: float  # px
    roll: float  # degrees
    scale: float
    mirrored: bool
    crop: tuple[float, float, float, float]  # px, px, factor, degrees
    drifts: dict[str, np.ndarray]
    jitter: np.ndarray  # (T, 2) px of the crop

    def head(self, frame: int) -> np.ndarray:
        """2×3 matrix from the face's pixels to the picture's."""
        size = self.scale * (1 + 0.065 * self.drifts["zoom"][frame])
        return _similarity(
            samples_face.CENTRE, self._place(frame), self._roll(frame), size, self.mirrored
        )

    def cut(self, frame: int) -> np.ndarray:
        """2×3 matrix from the picture's pixels to the crop's; takes back half of the roll, all of
        the scale.
        """
        dx, dy, factor, roll = self.crop
        size = EYES_APART / samples_face.EYES_APART * factor / self.scale
        matrix = _similarity(self._place(frame), (0, 0), roll - self._roll(frame) / 2, size)
        drift = np.array([self.drifts["crop x"][frame], self.drifts["crop y"][frame]])
        matrix[:, 2] += (CROP - 1) / 2 + np.array([dx, dy]) + 4 * drift + self.jitter[frame]
        return matrix

    def _place(self, frame: int) -> tuple[float, float]:
        return self.x + 10 * self.drifts["x"][frame], self.y + 6.5 * self.drifts["y"][frame]

    def _roll(self, frame: int) -> float:
        return self.roll + 9 * self.drifts["roll"][frame]


def _similarity(
    point: tuple, to: tuple, degrees: float, size: float, mirrored: bool = False
) -> np.ndarray:
    """2×3 matrix that turns and scales about `point` and moves it `to`."""
    turn = np.radians(degrees)
    linear = size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if mirrored:
        linear[:, 0] *= -1
    return np.column_stack([linear, np.asarray(to) - linear @ np.asarray(point)])


def draw_pose(generator: np.random.Generator, times: np.ndarray, left: float) -> Pose:
    """Draw pose and crop of one trial with frames at `times` (T,) s; its part begins at column
    `left`.
    """

    def uniform(high: float) -> float:
        return generator.uniform(-high, high)

    drifts = {
        name: curve(generator, times[-1], (2.5, 3.0))(times) for name in ("x", "y", "roll", "zoom")
    }
    drifts |= {
        name: curve(generator, times[-1], (2.0, 2.0))(times) for name in ("crop x", "crop y")
    }
    return Pose(
        left + HEAD_AT[0] + uniform(32),
        HEAD_AT[1] + uniform(8),
        uniform(6.5),
        generator.uniform(0.95, 1.15),
        generator.uniform() < 0.5,
        (uniform(12), uniform(12), 1 + uniform(0.13), uniform(10)),
        drifts,
        generator.standard_normal((len(times), 2)),
    )


@dataclass(frozen=True)
class Scene:
    """Background, light and noise of one recording. Pictures are float32 RGB 0–255."""

    background: np.ndarray  # (240, W, 3), gamma applied
    gamma: float
    colour: np.ndarray  # (3,) gain and tint
    gradient: tuple[float, float]  # size at 60 px, direction in degrees
    drifts: dict[str, np.ndarray]  # (T,) each
    noise: np.ndarray  # (240 + 96, W + 96, 3)
    places: np.ndarray  # (T, 2) corner of each frame's piece of noise

    def relit(self, face: Face) -> Face:
        """The face with this scene's gamma applied."""
        return replace(face, picture=_power(face.picture, self.gamma))

    def paint(self, heads: list[tuple[Face, np.ndarray, list[float]]], frame: int) -> np.ndarray:
        """One frame, (240, W, 3) uint8 RGB.

        heads : of each person the face (`relit`), its matrix from `Pose.head` and its (v, a, s,
            blink).
        """
        picture = self.background.copy()
        for face, matrix, state in heads:
            self._paste(picture, face, matrix, state)
        picture *= self._light(frame)
        y, x = self.places[frame]
        picture += self.noise[y : y + HEIGHT, x : x + picture.shape[1]]
        return cv2.convertScaleAbs(np.maximum(picture, 0, out=picture))

    def _paste(
        self, picture: np.ndarray, face: Face, matrix: np.ndarray, state: list[float]
    ) -> None:
        left, top, right, bottom = _bounds(matrix, picture.shape)
        matrix = matrix - [[0, 0, left], [0, 0, top]]
        places, inside = face.mapping(*state)
        layers = [
            places,
            inside,
            samples_face.outline(),
            *([] if face.glasses is None else [face.glasses]),
        ]
        moved = [cv2.warpAffine(layer, matrix, (right - left, bottom - top)) for layer in layers]
        head = cv2.remap(
            face.picture, moved[0], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        head += moved[1][..., None] * (
            _power(np.float32(samples_face.MOUTH_INSIDE), self.gamma) - head
        )
        if face.glasses is not None:
            head *= 1 - 0.8 * moved[3][..., None]
        part = picture[top:bottom, left:right]
        part += moved[2][..., None] * (head - part)

    def _light(self, frame: int) -> np.ndarray:
        size, direction = self.gradient
        turn = np.radians(direction + 33 * self.drifts["turn"][frame])
        y, x = np.mgrid[:HEIGHT:20, : self.background.shape[1] : 20].astype(np.float32)
        along = (x + 10 - self.background.shape[1] / 2) * np.cos(turn) + (
            y + 10 - HEIGHT / 2
        ) * np.sin(turn)
        light = 1 + size * np.tanh(along / GRADIENT_LENGTH) / np.tanh(1)
        light *= 1 + 0.06 * self.drifts["gain"][frame]
        light = cv2.resize(light.astype(np.float32), self.background.shape[1::-1])
        return light[..., None] * self.colour


def _bounds(matrix: np.ndarray, shape: tuple) -> tuple[int, int, int, int]:
    side = samples_face.SIDE
    corners = matrix @ np.array([[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1]])
    (left, top), (right, bottom) = np.floor(corners.min(axis=1)), np.ceil(corners.max(axis=1))
    return (
        max(0, int(left)),
        max(0, int(top)),
        min(shape[1], int(right)),
        min(shape[0], int(bottom)),
    )


def _power(picture: np.ndarray, gamma: float) -> np.ndarray:
    return (255 * (np.maximum(picture, 0) / 255) ** float(gamma)).astype(np.float32)


def draw_scene(generator: np.random.Generator, times: np.ndarray, width: int = WIDTH) -> Scene:
    """Draw background, light and noise of one recording, `width` px wide, with frames at `times`
    (T,) s.
    """
    gamma = np.exp(generator.uniform(-0.15, 0.15))
    colour = np.exp(generator.uniform(-0.18, 0.13)) * (1 + generator.uniform(-0.075, 0.075, size=3))
    gradient = generator.uniform(0, 0.25), generator.uniform(0, 360)
    drifts = {name: curve(generator, times[-1], (2.5, 3.0))(times) for name in ("turn", "gain")}
    noise = generator.uniform(2.4, 7.2) * generator.standard_normal(
        (HEIGHT + NOISE_SIDE, width + NOISE_SIDE, 3), dtype=np.float32
    )
    places = generator.integers(0, NOISE_SIDE + 1, size=(len(times), 2))
    background = _power(_background(generator, width), gamma)
    return Scene(background, gamma, colour.astype(np.float32), gradient, drifts, noise, places)


def _background(generator: np.random.Generator, width: int) -> np.ndarray:
    """2–6 cells of random colour around random points, with hard borders or smooth ones."""
    points = generator.uniform(0, 1, size=(generator.integers(2, 7), 2)) * [HEIGHT, width]
    colours = generator.uniform(20, 235, size=(len(points), 3))
    y, x = np.mgrid[:HEIGHT, :width]
    nearest = np.argmin([(y - py) ** 2 + (x - px) ** 2 for py, px in points], axis=0)
    cells = colours[nearest].astype(np.float32)
    return cv2.GaussianBlur(cells, (0, 0), generator.choice([1.0, 30.0]))
