"""A video with the predicted values drawn over the picture and its sound kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from .. import arrays
from ..errors import InputError
from ..faces import persons
from ..files import create_folder, named
from ..labels import csv_columns, official
from ..media import readings, recordings, writing
from ..media import sound as media_sound
from ..speakers import overlay
from ..store import Store, request
from ..trials import SYNTHETIC_NOTE
from . import overlay_panel
from .overlay_panel import COLOURS
from .predictions import Predictions

# columns of a prediction table: the face's box in px, NaN where no face is seen
BOX = ("x", "y", "width", "height")
SOUND_RATE = 44_100
# shown for frames without a face, whose values come from neighbours, the sound, or nothing
NO_FACE = "no face found"
TICK = 0.001  # s, least duration of a frame with a wrong time stamp


def write(
    video: Path,
    predictions: pd.DataFrame,
    out: Path,
    note: str = "",
    progress: Callable | None = None,
    sound: Path | None = None,
    track: int = 0,
    moved: Mapping | None = None,
) -> Path:
    """Write `out` (mp4): the video with valence and arousal of every frame drawn in, sound kept.

    Below the picture are the circumplex with a dot, the curves with a cursor, bars and numbers; in
    the picture is a box around the face that the values belong to.

    Arguments
    ---------
    video : any file that `lib.media.recordings.frames` reads.
    predictions : one row per frame, the columns of a prediction file: valence and arousal in −1…1
        become bars, the predicted expressions and action units a line of words. Where `valid` is 0
        it says that no face was found. `BOX` is the face; with `speaking` (probability that this
        person is heard) the box is green and thick, and says so, while she or he speaks. A table
        with a column `face` (`lib.speakers.video.table`) becomes boxes round all faces instead:
        green for who speaks; one of people (`csv_columns.is_of_people`, as of
        `lib.evaluation.people.look`) boxes with the expression in words, too.
    note : lines at the lower edge on how far to trust the values, for example that they have no
        meaning.
    sound, track : the file whose sound is heard, and which of its tracks (see `recordings.sound`);
        by default the video's own. moved : where it belongs (`separate.placing`).

    Raises InputError when the predictions are not of this video.
    """
    times = recordings.frame_times(video)
    if "face" in predictions:  # of all faces of the video: who speaks
        pictures = overlay.frames(video, predictions, note)
    elif csv_columns.is_of_people(predictions):
        pictures = overlay.frames(video, labelled(predictions), note)
    elif len(predictions) == len(times):
        pictures = _drawn(video, predictions, times, note)
    else:
        raise InputError(
            f"{len(predictions)} predictions for a video of {len(times)} frames",
            where=video,
            expected="one row per frame",
            todo="predict this video again",
        )
    heard = sound or video, SOUND_RATE, track, out.parent, moved
    with media_sound.on_disk(*heard) as (samples, start):
        separate = sound is not None and Path(sound) != Path(video)
        if separate and samples is not None:  # a recorder may run before and after the film
            samples, start = media_sound.during(samples, start, SOUND_RATE, times)
        early = min(0.0, times.min(), start)  # an mp4 begins at 0
        return writing.write_video(
            out,
            pictures,
            increasing(times - early),
            sound=samples,
            rate=SOUND_RATE,
            sound_start=start - early,
            progress=progress,
        )


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `lib.evaluation.people.look` in which a face is seen, with the text at its box."""
    seen = table[table["valid"] == 1]
    share = [row[f"expression_{row['expression']}"] for _, row in seen.iterrows()]
    names = seen["person"].astype(object).fillna("").astype(str)  # "" of the only person of a trial
    words = names.where(names == "", names + ": ") + seen["expression"].astype(str)
    label = [f"{text} {value:.2f}" for text, value in zip(words, share, strict=True)]
    if "speaking" not in seen:
        return seen.assign(label=label, speaking=np.nan)
    speaks = (seen["speaking"] > overlay.SPEAKS).astype(float)
    speaks[seen["speaking"].isna()] = np.nan
    labels = pd.Series(label, seen.index, dtype=object)
    return seen.assign(label=labels.where(speaks != 1, labels + ", speaks"), speaking=speaks)


def write_trial(
    trial: dict, store: Store, predictions: Predictions, out: Path, note: str = ""
) -> Path:
    """`write` for a trial of a data set from its predictions: ``<out>/<trial>.mp4``. A video that
    is newer than the predictions is kept.
    """
    written, target = predictions.path(trial["trial"]), named(out, trial["trial"], ".mp4")
    if not target.is_file() or target.stat().st_mtime < written.stat().st_mtime:
        create_folder(out)
        values = predictions.table(trial["trial"])
        words = [f"person: {trial['person']}"] if trial["person"] else []
        if {"speaking", "x"} <= set(values):  # who speaks: boxes round all persons of the video
            values, words = overlay.of_trials(trial, store, predictions), []
        else:
            values = with_boxes(values, trial, store)
        write(
            store.data_root / trial["video_path"],
            values,
            target,
            "; ".join(filter(None, [*words, note])),
            sound=store.data_root / (trial.get("audio_path") or trial["video_path"]),
            track=store.audio_track,
            moved=readings.of_recorder(trial, store),
        )
    return target


def with_boxes(predictions: pd.DataFrame, trial: Mapping, store: Store) -> pd.DataFrame:
    """The predictions with the columns `BOX`, where the trial's face was found in the picture."""
    try:
        face = arrays.locate(trial, request("face_valid"), store)
        if face.request.parameters.get("faces") != "detect":
            return predictions
        tracks = np.asarray(arrays.read(trial, request("tracks"), store))
        width = arrays.facts(trial, request("tracks"), store)["width"]
    except InputError:  # not computed: the network uses sound only
        return predictions
    person = persons.choose(persons.find(tracks), trial["person"], width)
    return predictions.assign(
        **dict(zip(BOX, persons.boxes(tracks, person, len(predictions)).T, strict=True))
    )


def increasing(times: np.ndarray) -> np.ndarray:
    """(T,) s, for writing: a stamp that does not increase becomes the previous one plus `TICK`."""
    times = np.asarray(times, np.float64)
    if np.all(np.diff(times) > 0):
        return times
    ticks = TICK * np.arange(len(times))
    return np.maximum.accumulate(times - ticks) + ticks


def _drawn(
    video: Path, predictions: pd.DataFrame, times: np.ndarray, note: str
) -> Iterator[np.ndarray]:
    bars = {name: predictions[name].to_numpy() for name in COLOURS if name in predictions}
    places = predictions[list(BOX)].to_numpy(float) if set(BOX) <= set(predictions) else None
    speaks = overlay_panel.speaking(predictions)
    panel = None
    classes = official.decided(predictions)
    seen = np.ones(len(predictions), bool)
    if "valid" in predictions:
        seen = predictions["valid"].to_numpy() > 0
    for index, (_, picture) in enumerate(recordings.frames(video)):
        values = {name: rows[index] if seen[index] else NO_FACE for name, rows in bars.items()}
        if classes:
            words = ", ".join(name for name, rows in classes.items() if rows[index])
            values["decided"] = (words or "none") if seen[index] else NO_FACE
        shown = writing.fitted(picture)
        row = max(16, shown.shape[0] // 16)
        if places is not None:
            shown = shown.copy() if shown is picture else shown
            scale = shown.shape[1] / picture.shape[1]
            said = None if speaks is None else bool(speaks[index])
            overlay_panel.box(shown, places[index] * scale, said)
        if len(bars) == len(COLOURS) and min(shown.shape[:2]) >= overlay_panel.MIN_PANEL_HEIGHT:
            panel = panel or overlay_panel.Panel(
                times, predictions, shown.shape[1], shown.shape[0] // 4
            )
            shown = np.concatenate([shown, panel.draw(index)])
        yield draw(shown, values, note, row)


def draw(
    picture: np.ndarray, values: dict[str, float | str], note: str = "", row: int = 0
) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> the same with a panel below the picture: a bar from −1 to 1 and a
    number, or words.

    note : lines below them; one that says that the values have no meaning stands above them, and
        they are grey and without numbers. row : height of a line in px, by default a sixteenth of
        the picture's.
    """
    height, width = picture.shape[:2]
    row = row or max(16, height // 16)
    lines = overlay.broken(note, width - 8, int(0.75 * row) / 30)
    panel = np.full((row * (len(values) + len(lines)) // 2 * 2 + row, width, 3), 255, np.uint8)
    quiet = SYNTHETIC_NOTE in note
    first = len(lines) if quiet else 0
    for line, (name, value) in enumerate(values.items(), first):
        if isinstance(value, str):
            _text(panel, f"{name}: {value}", (4, line * row + row // 4 + row - 5), row, width - 8)
        else:
            _bar(panel, name, value, line * row + row // 4, row, quiet)
    for line, text in enumerate(lines, 1 if quiet else len(values) + 1):
        _text(panel, text, (4, line * row), int(0.75 * row), width - 8)
    return np.concatenate([picture, panel[: panel.shape[0] // 2 * 2]])


def _bar(panel: np.ndarray, name: str, value: float, top: int, row: int, quiet: bool) -> None:
    width = panel.shape[1]
    left, right = int(width * 0.42), width - 8
    middle = (left + right) // 2
    end = int((left + right) / 2 + (right - left) / 2 * np.clip(value, -1, 1))
    colour = overlay_panel.GREY if quiet else COLOURS[name]
    cv2.rectangle(panel, (left, top + 2), (right, top + row - 4), (225, 225, 225), -1)
    cv2.rectangle(panel, (min(middle, end), top + 2), (max(middle, end), top + row - 4), colour, -1)
    cv2.line(panel, (middle, top), (middle, top + row - 2), (60, 60, 60), 1)
    _text(panel, name if quiet else f"{name} {value:+.2f}", (4, top + row - 5), row, left - 8)


def _text(panel: np.ndarray, text: str, corner: tuple[int, int], row: int, room: int) -> None:
    """Text as high as a row, smaller if the room (px) requires it."""
    overlay.put(panel, text, corner, overlay.fitting(text, room, row / 30), overlay_panel.INK)
