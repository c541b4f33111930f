"""A video with the predicted values drawn over the picture and its sound kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from lib import labels, media, speaker_video
from lib.errors import InputError
from lib.store import Store

# Okabe and Ito's palette, which colour-blind people can tell apart: blue and vermilion, RGB.
COLOURS = {"valence": (0, 114, 178), "arousal": (213, 94, 0)}
SOUND_RATE = 44_100
NO_FACE = "no face found"  # what is predicted of such a frame comes from its neighbours, the sound, or nothing
TICK = 0.001  # s, the least time that a frame with a wrong stamp is shown


def write(video: Path, predictions: pd.DataFrame, out: Path, note: str = "", progress: Callable | None = None) -> Path:
    """Write `out` (mp4): the video with a bar and a number for valence and arousal in every frame, sound kept.

    Arguments
    ---------
    video : any file that `media.frames` reads.
    predictions : one row a frame, the columns of a prediction file: valence and arousal in −1…1 become bars, the
        expressions and action units that were decided for a line of words.
        Where `valid` is 0 there stands that no face was found. A table with a column `face` (`lib.speakers.table`)
        becomes boxes round all faces instead: green for who speaks.
    note : a sentence at the lower edge, for example that the numbers have no meaning.

    Raises InputError when the predictions are not of this video.
    """
    times = media.frame_times(video)
    if "face" in predictions:  # of all faces of the video: who speaks
        pictures = speaker_video.frames(video, predictions, note)
    elif len(predictions) == len(times):
        pictures = _drawn(video, predictions, note)
    else:
        raise InputError(f"{len(predictions)} predictions for a video of {len(times)} frames", where=video,
                         expected="one row a frame", todo="predict this video again")
    sound, start = (None, 0.0)
    if media.probe(video).audio_codec:
        sound, start = media.sound(video, SOUND_RATE)
    early = min(0.0, times.min(), start)  # an mp4 begins at 0
    return media.write_video(out, pictures, increasing(times - early), sound=sound,
                             rate=SOUND_RATE, sound_start=start - early, progress=progress)


def write_trial(trial: dict, store: Store, predictions: Path, out: Path, note: str = "") -> Path:
    """`write` for a trial of a data set from its prediction file: ``<out>/<trial>.mp4``. One that is newer is kept."""
    table, target = predictions / f"{trial['trial']}.csv", out / f"{trial['trial']}.mp4"
    if not target.is_file() or target.stat().st_mtime < table.stat().st_mtime:
        out.mkdir(parents=True, exist_ok=True)
        who = f"person: {trial['person']}" if trial["person"] else ""
        write(store.data_root / trial["video_path"], pd.read_csv(table, comment="#"), target,
              "; ".join(filter(None, [who, note])))
    return target


def increasing(times: np.ndarray) -> np.ndarray:
    """(T,) s, for writing: stamps that stand still or go back follow the one before by `TICK`; others are kept."""
    times = np.asarray(times, np.float64)
    if np.all(np.diff(times) > 0):
        return times
    ticks = TICK * np.arange(len(times))
    return np.maximum.accumulate(times - ticks) + ticks


def _drawn(video: Path, predictions: pd.DataFrame, note: str) -> Iterator[np.ndarray]:
    bars = {name: predictions[name].to_numpy() for name in COLOURS if name in predictions}
    classes = labels.decided(predictions)
    seen = predictions["valid"].to_numpy() > 0 if "valid" in predictions else np.ones(len(predictions), bool)
    for index, (_, picture) in enumerate(media.frames(video)):
        values = {name: rows[index] if seen[index] else NO_FACE for name, rows in bars.items()}
        if classes:
            words = ", ".join(name for name, rows in classes.items() if rows[index])
            values["decided"] = (words or "none") if seen[index] else NO_FACE
        yield draw(media.fitted(picture), values, note)


def draw(picture: np.ndarray, values: dict[str, float | str], note: str = "") -> np.ndarray:
    """(H, W, 3) uint8 RGB -> the same with a panel below the picture: a bar from −1 to 1 and a number, or words."""
    height, width = picture.shape[:2]
    row = max(16, height // 16)
    panel = np.full((row * (len(values) + bool(note)) // 2 * 2 + row, width, 3), 255, np.uint8)
    for line, (name, value) in enumerate(values.items()):
        if isinstance(value, str):
            _text(panel, f"{name}: {value}", (4, line * row + row // 4 + row - 5), row, width - 8)
        else:
            _bar(panel, name, value, line * row + row // 4, row)
    if note:
        _text(panel, note, (4, len(values) * row + row), row, width - 8)
    return np.concatenate([picture, panel[:panel.shape[0] // 2 * 2]])


def _bar(panel: np.ndarray, name: str, value: float, top: int, row: int) -> None:
    width = panel.shape[1]
    left, right = int(width * 0.42), width - 8
    middle, end = (left + right) // 2, int((left + right) / 2 + (right - left) / 2 * np.clip(value, -1, 1))
    cv2.rectangle(panel, (left, top + 2), (right, top + row - 4), (225, 225, 225), -1)
    cv2.rectangle(panel, (min(middle, end), top + 2), (max(middle, end), top + row - 4), COLOURS[name], -1)
    cv2.line(panel, (middle, top), (middle, top + row - 2), (60, 60, 60), 1)
    _text(panel, f"{name} {value:+.2f}", (4, top + row - 5), row, left - 8)


def _text(panel: np.ndarray, text: str, place: tuple[int, int], row: int, room: int) -> None:
    """Text as high as a row, smaller where the room (px) asks for it."""
    scale = row / 30
    wide = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0]
    cv2.putText(panel, text, place, cv2.FONT_HERSHEY_SIMPLEX, min(scale, scale * room / wide), (30, 30, 30), 1,
                cv2.LINE_AA)
