"""Below the picture of an overlay video: the circumplex with a dot, curves with a cursor."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd

from ..media.frames import runs
from ..metrics import EMOTIONS
from ..speakers import overlay
from ..training.uncertainty import BAND, half_width

# Okabe and Ito's palette, which colour-blind people can tell apart: blue and vermilion, RGB.
COLOURS = {"valence": (0, 114, 178), "arousal": (213, 94, 0)}
GREY, PALE, INK = (150, 150, 150), (225, 225, 225), (30, 30, 30)
TRACE_SECONDS = 1.0  # s of the dot's path that stay visible
MIN_PANEL_HEIGHT = 72  # px, the lowest panel in which a curve can be read


class Panel:
    """Circumplex and curves of a whole video; drawn once, then for each frame a dot and a cursor.

    times : (T,) s. predictions : columns `valence` and `arousal` (−1…1); where `valid` is 0 the
        ground is grey; where `speaking` (probability) passes 0.5 a green line runs below the
        curves; with `valence_sd` and `arousal_sd` a pale band round each should hold 90 % of the
        labels.
    """

    def __init__(self, times: np.ndarray, predictions: pd.DataFrame, width: int, height: int):
        self.height = max(MIN_PANEL_HEIGHT, height) // 2 * 2
        self.times, self.width = np.asarray(times, np.float64), width
        self.va = np.clip(predictions[list(EMOTIONS)].to_numpy(float), -1, 1)
        names = [f"{emotion}_sd" for emotion in EMOTIONS]
        self.sd = predictions.reindex(columns=names).to_numpy(float)
        self.seen = predictions.get("valid", pd.Series(1, predictions.index)).to_numpy() > 0
        self.left = self.height + self.height // 2  # px where curves begin: plane, then names
        self.ground = np.full((self.height, width, 3), 255, np.uint8)
        self._plane()
        self._curves(speaking(predictions))

    def draw(self, index: int) -> np.ndarray:
        """(height, width, 3) uint8 RGB of frame `index`."""
        out, side = self.ground.copy(), self.height
        began = np.searchsorted(self.times, self.times[index] - TRACE_SECONDS)
        path = self._on_plane(self.va[began : index + 1])
        cv2.polylines(out, _pieces(path), False, GREY, 1, cv2.LINE_AA)
        if np.isfinite(self.va[index]).all():
            filled = -1 if self.seen[index] else 1
            end = tuple(map(int, path[-1]))
            cv2.circle(out, end, max(3, side // 20), INK, filled, cv2.LINE_AA)
        x = int(self._x(self.times[index]))
        cv2.line(out, (x, 2), (x, side - 3), INK, 1)
        for column, emotion in enumerate(EMOTIONS):
            if np.isfinite(self.va[index, column]):
                point = (x, int(self._y(self.va[index, column], column)))
                cv2.circle(out, point, max(2, side // 30), COLOURS[emotion], -1, cv2.LINE_AA)
        return out

    def _on_plane(self, va: np.ndarray) -> np.ndarray:
        middle, radius = self.height / 2, 0.42 * self.height
        return np.c_[middle + radius * va[:, 0], middle - radius * va[:, 1]]

    def _plane(self) -> None:
        middle, radius = self.height // 2, int(0.42 * self.height)
        cv2.circle(self.ground, (middle, middle), radius, GREY, 1, cv2.LINE_AA)
        low, high = middle - radius, middle + radius
        cv2.line(self.ground, (low, middle), (high, middle), PALE, 1)
        cv2.line(self.ground, (middle, low), (middle, high), PALE, 1)
        self._text("V+", (self.height - 4, middle + 4), COLOURS["valence"])
        self._text("A+", (middle + 4, int(0.13 * self.height)), COLOURS["arousal"])

    def _curves(self, speaks: np.ndarray | None) -> None:
        """One band each for valence and arousal, −1 at its lower edge and 1 at its upper one."""
        x = self._x(self.times)
        for start, stop in runs(~self.seen):
            begin, end = (int(x[start]), 0), (int(x[stop - 1]), self.height)
            cv2.rectangle(self.ground, begin, end, (240, 240, 240), -1)
        for column, emotion in enumerate(EMOTIONS):
            self._band(x, column)
            zero = int(self._y(0.0, column))
            cv2.line(self.ground, (self.left, zero), (self.width - 4, zero), PALE, 1)
            points = np.c_[x, self._y(self.va[:, column], column)]
            cv2.polylines(self.ground, _pieces(points), False, COLOURS[emotion], 1, cv2.LINE_AA)
            corner = (self.left - self.height // 6, zero + 4)
            self._text(emotion[0].upper(), corner, COLOURS[emotion])
        low = self.height - 3
        for start, stop in runs(speaks) if speaks is not None else ():
            cv2.line(self.ground, (int(x[start]), low), (int(x[stop - 1]), low), overlay.GREEN, 3)

    def _band(self, x: np.ndarray, column: int) -> None:
        """The 90 % interval around a curve, pale, if the network predicts its uncertainty."""
        half, middle = half_width(BAND) * self.sd[:, column], self.va[:, column]
        ends = [self._y(np.clip(middle + side * half, -1, 1), column) for side in (1, -1)]
        for start, stop in runs(np.isfinite(half) & np.isfinite(middle)):
            above, below = (np.c_[x, end][start:stop] for end in ends)
            outline = np.round(np.concatenate([above, below[::-1]])).astype(np.int32)
            pale = tuple(int(255 - 0.2 * (255 - part)) for part in COLOURS[EMOTIONS[column]])
            cv2.fillPoly(self.ground, [outline], pale, cv2.LINE_AA)

    def _x(self, times):
        span = max(1e-3, self.times[-1] - self.times[0])
        return self.left + (np.asarray(times) - self.times[0]) / span * (self.width - 6 - self.left)

    def _y(self, values, column: int):
        half = self.height / 4
        return half * (2 * column + 1) - np.asarray(values) * 0.85 * half

    def _text(self, text: str, corner: tuple[int, int], colour: tuple) -> None:
        overlay.put(self.ground, text, corner, self.height / 260, colour)


def speaking(predictions: pd.DataFrame) -> np.ndarray | None:
    """(T,) bool: where the person speaks; None if unknown."""
    if "speaking" not in predictions:
        return None
    return predictions["speaking"].to_numpy(float) > overlay.SPEAKS


def _pieces(points: np.ndarray) -> list[np.ndarray]:
    """Polylines without the points that are NaN."""
    known = np.isfinite(points).all(axis=1)
    return [np.round(points[start:stop]).astype(np.int32) for start, stop in runs(known)]


def box(picture: np.ndarray, rectangle: np.ndarray, speaks: bool | None) -> None:
    """Draw round a face, in place: x, y, width, height in px; green, thick while it speaks."""
    if np.isfinite(rectangle).all():
        ends = np.concatenate([rectangle[:2], rectangle[:2] + rectangle[2:]])
        left, top, right, bottom = ends.astype(int).tolist()
        colour, thick = (overlay.GREEN, 3) if speaks else ((255, 255, 255), 1)
        thick *= max(1, picture.shape[0] // 240)
        cv2.rectangle(picture, (left, top), (right, bottom), colour, thick)
        if speaks is not None:
            word, corner = "speaks" if speaks else "silent", (max(2, left), max(12, top - 5))
            size = max(0.4, picture.shape[0] / 900)
            overlay.put(picture, word, corner, size, INK, 3)
            overlay.put(picture, word, corner, size, colour)
