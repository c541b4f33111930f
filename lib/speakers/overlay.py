"""A video with a box round every face: green for who speaks, red for others; sound kept."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from .. import trials
from ..media import recordings, writing
from ..store import Store

SPEAKS = 0.5  # probability from which a face counts as speaking
GREEN, RED, GREY = (0, 170, 60), (214, 39, 40), (110, 110, 110)
FONT = cv2.FONT_HERSHEY_SIMPLEX
MAX_LINES = 3  # lines of one sentence in a narrow picture; a longer one gets smaller letters


def frames(video: Path, values: pd.DataFrame, note: str = "") -> Iterator[np.ndarray]:
    """Every frame with its boxes, (H, W, 3) uint8 RGB.

    values : rows of `lib.speakers.video.table`, or any with frame (from 1), x, y, width, height
        (px), label (the words at a box) and speaking (NaN where nobody can tell).
    """
    rows = values.sort_values("frame", kind="stable")
    numbers = rows["frame"].to_numpy()
    for index, (_, picture) in enumerate(recordings.frames(video), 1):
        # A table per frame, kept for all frames of an hour, would take half a gigabyte.
        first, stop = np.searchsorted(numbers, (index, index + 1))
        yield draw(picture, rows[first:stop], note)


def of_trials(trial: Mapping, store: Store, predictions) -> pd.DataFrame:
    """The rows for `frames` of a data set's video: the predictions of all its persons, if any.

    trial : one of them. predictions : `lib.evaluation.predictions.Predictions`, whose tables have
        the face's boxes (`lib.evaluation.prediction.prediction_table`).
    """
    everyone = trials.read(store.trials_path)
    parts = []
    for row in everyone[everyone["video"] == trial["video"]].to_dict("records"):
        if predictions.path(row["trial"]).is_file():
            values = predictions.table(row["trial"], ["x", "speaking"])
            values = values.dropna(subset=["x", "speaking"])
            parts.append(
                values.assign(
                    face=row["person"] or row["trial"],
                    smoothed=values["speaking"],
                    speaking=(values["speaking"] > SPEAKS).astype(int),
                )
            )
    return pd.concat(parts, ignore_index=True)


def draw(picture: np.ndarray, faces: pd.DataFrame, note: str = "") -> np.ndarray:
    """(H, W, 3) uint8 RGB with the boxes, names and probabilities of one frame; at most 1280 px
    wide or high.

    Colour is not the only sign: a speaker's box is thick, and a number is beside the name.
    """
    scale = min(1.0, recordings.MAX_SIDE / max(picture.shape[:2]))
    out = writing.fitted(picture).copy()
    for face in faces.itertuples():
        colour, thick = (GREEN, 3) if face.speaking == 1 else (RED, 1)
        if face.speaking != face.speaking:
            colour = GREY
        left, top = round(face.x * scale), round(face.y * scale)
        right, bottom = round((face.x + face.width) * scale), round((face.y + face.height) * scale)
        cv2.rectangle(out, (left, top), (right, bottom), colour, thick)
        words = face.label if hasattr(face, "label") else f"{face.face} {face.smoothed:.2f}"
        _text(out, words, (max(left, 2), max(top - 5, 12)), colour)
    room = out.shape[1] - 8
    lines = broken(note, room, _size(out))
    for line, text in enumerate(lines, 1):
        corner = 4, len(out) - 6 - (len(lines) - line) * max(15, len(out) // 28)
        _text(out, text, corner, (0, 0, 0), fitting(text, room, _size(out)))
    return out


def broken(note: str, room: int, size: float) -> list[str]:
    """The lines of a note, each in up to three if wider than the room (px) at this size."""
    lines = []
    for text in note.splitlines():
        parts = min(MAX_LINES, math.ceil(_wide(text, size) / max(1, room)))
        lines += textwrap.wrap(text, math.ceil(1.15 * len(text) / parts)) if parts > 1 else [text]
    return lines


def fitting(text: str, room: int, size: float) -> float:
    """The size of letters at which a text has room (px), at most `size`."""
    return min(size, size * room / max(_wide(text, size), 1))


def _wide(text: str, size: float) -> float:
    # OpenCV 5 reports slightly too little
    return 1.03 * cv2.getTextSize(text, FONT, size, 1)[0][0]


def _size(picture: np.ndarray) -> float:
    return max(0.4, picture.shape[0] / 900)


def _text(
    picture: np.ndarray, text: str, corner: tuple[int, int], ground: tuple, size: float = 0
) -> None:
    """White words on a ground of their own: an outline would cover them in OpenCV 5."""
    size, (x, y) = size or _size(picture), corner
    (width, height), below = cv2.getTextSize(text, FONT, size, 1)
    cv2.rectangle(picture, (x, y - height - 2), (x + width, y + below), ground, -1)
    put(picture, text, corner, size, (255, 255, 255))


def put(picture: np.ndarray, text: str, corner: tuple, size: float, colour: tuple, thick=1) -> None:
    """Write a line of text on a picture, from `corner` (px, its lower left corner) on."""
    cv2.putText(picture, text, corner, FONT, size, colour, thick, cv2.LINE_AA)
