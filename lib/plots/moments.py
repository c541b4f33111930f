"""One trial on one time axis: sound, labels and predictions, with the face of one moment."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import matplotlib.pyplot as plt
import numpy as np

from ..media.sound import in_one
from ..metrics import EMOTIONS
from ..speakers import overlay
from . import style
from .data import sound_view
from .results import prediction_traces

FACE_SIDE = 240  # px, side of the face
TICKS = 400  # video frames up to which each has a tick below the waveform
CURSOR, INK, GREY = (200, 0, 0), (40, 40, 40), (235, 235, 235)


@dataclass(frozen=True)
class Trial:
    """Picture, sound and values of a trial.

    name. times : (T,) s. values, labels : (T, 2) valence and arousal, NaN where unknown. faces :
    object whose ``read([k])`` gives (1, S, S, 3) uint8 RGB and whose `valid` is (T,) bool
    (`lib.faces.faces.Faces`), or None.
    sound : (n,) in −1…1 or int16, sample i at t0 + i / rate.
    mel : (bands, columns) dB, column j centred at t0 + j / 100 s.
    note : a sentence below. sd : (T, 2) predicted standard deviation of the values, or None.
    """

    name: str
    times: np.ndarray
    values: np.ndarray
    labels: np.ndarray
    faces: object = None
    sound: np.ndarray | None = None
    rate: float = 44_100.0
    t0: float = 0.0
    mel: np.ndarray | None = None
    note: str = ""
    sd: np.ndarray | None = None


def trial_lines(trial: Trial) -> np.ndarray:
    """Waveform and spectrogram, if there is sound, above valence and arousal, on one time axis."""
    heard = trial.sound is not None and trial.mel is not None and len(trial.sound) > 0
    rows = 4 if heard else 2
    heights = [1.2, 1.6, 1.6, 1.6][-rows:] if heard else [2, 2]
    axes = style.new_axes(rows, size=(9.2, 0.9 + sum(heights)), sharex=True, height_ratios=heights)
    if heard:
        ticks = trial.times if len(trial.times) <= TICKS else None
        sound_view(trial.sound, trial.rate, trial.t0, trial.mel, ticks, axes[:2])
        axes[0].set_ylabel("amplitude")
        axes[1].set_xlabel("")
    labels = trial.labels if np.isfinite(trial.labels).any() else None
    prediction_traces(trial.times, labels, trial.values, axes[-2:], sd=trial.sd)
    return style.finish(axes, f"trial {trial.name}", trial.note)


class Moments:
    """A trial drawn once; `picture` of any frame is a copy with face, numbers and cursor."""

    def __init__(self, trial: Trial, dpi: int = 100):
        self.trial = trial
        axes = trial_lines(trial)
        figure = axes[0].figure
        figure.set_dpi(dpi)
        figure.canvas.draw()
        self.lines = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
        ends = axes[-1].transData.transform(np.c_[trial.times, np.zeros(len(trial.times))])
        self.x = np.round(ends[:, 0]).astype(int)  # px of every frame
        height = self.lines.shape[0]
        self.top = int(height - axes[0].bbox.y1)
        self.bottom = int(height - axes[-1].bbox.y0)
        plt.close(figure)

    def picture(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB: the face of frame `index`, its numbers, all curves with a cursor."""
        lines = self.lines.copy()
        x = int(np.clip(self.x[index], 0, lines.shape[1] - 1))
        lines[self.top : self.bottom, max(0, x - 1) : x + 1] = CURSOR
        side = np.full((lines.shape[0], FACE_SIDE + 20, 3), 255, np.uint8)
        side[10 : 10 + FACE_SIDE, 10 : 10 + FACE_SIDE] = self._face(index)
        rows = [f"frame {index + 1} of {len(self.trial.times)}", f"{self.trial.times[index]:.2f} s"]
        rows += [
            f"{emotion} {_number(self.trial.values[index, k])}, label "
            f"{_number(self.trial.labels[index, k])}"
            for k, emotion in enumerate(EMOTIONS)
        ]
        for row, text in enumerate(rows):
            overlay.put(side, text, (10, FACE_SIDE + 35 + 24 * row), 0.5, INK)
        return np.concatenate([side, lines], axis=1)

    def _face(self, index: int) -> np.ndarray:
        faces = self.trial.faces
        if faces is not None and faces.valid[index]:
            face = np.asarray(faces.read([index]))[0]
            return cv2.resize(face, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_CUBIC)
        empty = np.full((FACE_SIDE, FACE_SIDE, 3), GREY, np.uint8)
        overlay.put(empty, "no face", (80, FACE_SIDE // 2), 0.6, INK)
        return empty

    def heard(self, index: int, seconds: float = 2.0) -> tuple[np.ndarray, int]:
        """(n,) float32 and its rate: the sound round a frame; empty where there is none."""
        if self.trial.sound is None:
            return np.zeros(0, np.float32), int(self.trial.rate)
        middle = (self.trial.times[index] - self.trial.t0) * self.trial.rate
        start = max(0, int(middle - seconds / 2 * self.trial.rate))
        stop = start + int(seconds * self.trial.rate)
        return in_one(self.trial.sound[start:stop]), int(self.trial.rate)


def _number(value: float) -> str:
    return f"{value:+.2f}" if np.isfinite(value) else "-"
