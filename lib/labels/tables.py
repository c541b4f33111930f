"""Label tables in the forms that people and published data sets have them ->
`annotators.Annotation`.

A table of ours: a header line, then rows; ``,``, ``;`` or a tab between columns. Which columns are
understood:

* when: ``time`` (s; ``time_ms``), or ``start`` and ``end`` (one value an utterance), or ``frame``
  (from 1), or none;
* what: ``valence`` and ``arousal``; of several annotators ``valence_anna``, ``arousal_anna``, …;
  ``expression``. In a file below a folder called valence or arousal (or ``<trial>_valence.csv``)
  every other column is an annotator.

Ready maps, after what the data sets document publicly (not tried on the real files, which are
licensed):

* RECOLA: ``arousal/P16.csv`` and ``valence/P16.csv``, ``time;FM1;FM2;…``, 25 Hz, a column an
  annotator;
* SEWA (AVEC 2017–2019): ``name;timestamp;arousal;valence;liking``, 10 Hz;
* OMG-Emotion: one table, a row an utterance:
  ``link,start,end,video,utterance,arousal,valence,EmotionMaxVote``;
* MELD and tables like it: a row an utterance with ``Dialogue_ID``, ``Utterance_ID``, ``Emotion``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..metrics import EMOTIONS
from . import official
from .annotators import Annotation

TIME = ("time", "timestamp", "time_s", "time (s)", "times", "seconds", "sec", "t", "frametime")
TIME_MS = ("time_ms", "timestamp_ms", "time (ms)", "ms")
START = ("start", "start_time", "starttime", "onset", "begin")
END = ("end", "end_time", "endtime", "offset", "stop")
FRAME = ("frame", "frame_id", "frame_number")
NO_ANNOTATOR = ("name", "liking", "link", "img", "speaker", "utterance", "note", "text")
SHORT = {"v": "valence", "a": "arousal", "activation": "arousal"}
OMG_CLASSES = (
    "Anger",
    "Disgust",
    "Fear",
    "Happiness",
    "Neutral",
    "Sadness",
    "Surprise",
)  # EmotionMaxVote 0 to 6
WORDS = {
    "joy": "Happiness",
    "happy": "Happiness",
    "happiness": "Happiness",
    "sad": "Sadness",
    "sadness": "Sadness",
    "angry": "Anger",
    "anger": "Anger",
    "disgust": "Disgust",
    "fear": "Fear",
    "surprise": "Surprise",
    "surprised": "Surprise",
    "neutral": "Neutral",
    "other": "Other",
}
UTTERANCES = {
    "omg": ("video", "utterance", "arousal", "valence"),
    "meld": ("dialogue_id", "utterance_id", "emotion"),
}


class Table:
    """Rows of text under lower-case names, with line numbers for messages."""

    def __init__(self, path: Path):
        self.path = Path(path)
        lines = official.read_text(self.path).split("\n")
        self.mark = max(",;\t", key=lines[0].count)
        self.names = [
            name.strip().strip("'").lower()
            for name in next(csv.reader([lines[0]], delimiter=self.mark))
        ]
        self.rows = [
            [cell.strip() for cell in row] for row in csv.reader(lines[1:], delimiter=self.mark)
        ]
        twice = [name for name in self.names if name and self.names.count(name) > 1]
        if twice:
            raise InputError(
                f"the column {twice[0]} is there twice",
                where=f"{path}:1",
                todo="rename one of them",
            )
        for number, row in enumerate(self.rows, start=2):
            if len(row) != len(self.names):
                raise InputError(
                    f"{len(row)} columns under a header of {len(self.names)}",
                    where=f"{path}:{number}",
                    expected="as many",
                    todo="correct that line",
                )

    def first(self, names: Sequence[str]) -> str:
        """That of `names` which is a column, "" if none is."""
        return next((name for name in names if name in self.names), "")

    def texts(self, name: str) -> list[str]:
        place = self.names.index(name)
        return [row[place] for row in self.rows]

    def numbers(self, name: str, gaps: bool = False) -> np.ndarray:
        """(n,) float64; with `gaps` an empty cell and ``nan`` are NaN. Raises InputError with the
        line.
        """
        found = np.full(len(self.rows), np.nan)
        for number, text in enumerate(self.texts(name)):
            if gaps and text.lower() in ("", "nan", "na", "null"):
                continue
            try:
                found[number] = float(text.replace(",", ".") if self.mark != "," else text)
            except ValueError:
                found[number] = np.nan
            if not np.isfinite(found[number]):
                raise InputError(
                    f"{text!r} in column {name} is no number",
                    where=f"{self.path}:{number + 2}",
                    expected="a number",
                    todo="correct that line",
                )
        return found


def form(path: Path) -> str:
    """ "official" for an annotation file of ABAW or its ``img,V,A,frame_id``; "omg", "meld"; "own"
    for a table of valence and arousal in any other form that `read` knows; "" for what is none.
    """
    path = Path(path)
    if path.suffix != ".csv":
        return "official"
    first = official.read_text(path).split("\n", 1)[0]
    names = [name.strip().strip("'\"").lower() for name in re.split("[,;\t]", first)]
    if {"img", "v", "a"} <= set(names):
        return "official"
    found = next((kind for kind, needed in UTTERANCES.items() if set(needed) <= set(names)), "")
    if found:
        return found
    affect = any(_emotion_of(name)[0] for name in names) or "expression" in names
    return "own" if affect or (_emotion_of_file(path) and len(names) > 1) else ""


def read(path: Path, kind: str = "va", rows: str = "") -> list[Annotation]:
    """All annotators of one file (of a table of utterances the one that `rows` names: see
    `utterances`).

    kind : "va" -> values (n, 2), −5 and empty cells NaN; "expression" -> values (n, 1), class
        numbers of `labels.EXPRESSIONS`.
    Raises InputError, with the line, for times that do not rise, values out of −1…1, what is no
    number.
    """
    table = Table(path)
    if kind == "expression":
        return [_expression(table, rows)]
    if rows:
        return [_of_utterances(table, rows)]
    time, until = _times(table)
    frame = _frames(table) if time is None else None
    found = []
    for annotator, columns in _annotators(table).items():
        values = np.full((len(table.rows), 2), np.nan)
        for emotion, name in columns.items():
            values[:, EMOTIONS.index(emotion)] = _in_range(table, name)
        found.append(Annotation(annotator, values, time, until, str(path), frame))
    return found


def emotions(path: Path) -> set[str]:
    """Which of valence and arousal a table of ours holds."""
    return {emotion for columns in _annotators(Table(path)).values() for emotion in columns}


def utterances(path: Path) -> list[tuple[str, str, str]]:
    """(key for `read`, video, utterance) of the rows of a table of utterances; an uncut video has
    utterance "".
    """
    table = Table(path)
    if "dialogue_id" in table.names:
        pairs = zip(table.texts("dialogue_id"), table.texts("utterance_id"), strict=True)
        return [(f"dia{one}_utt{other}",) * 2 + ("",) for one, other in pairs]
    pairs = list(
        zip(
            table.texts("video"),
            [Path(text).stem for text in table.texts("utterance")],
            strict=True,
        )
    )
    whole = [(video, video, "") for video in dict.fromkeys(video for video, _ in pairs)]
    return [(f"{video}/{utterance}", video, utterance) for video, utterance in pairs] + whole


def split_of(text: str) -> str:
    """train, val or test, where a file's or folder's name says so; "" else."""
    words = {"train": "train", "valid": "val", "dev": "val", "test": "test"}
    return next((split for word, split in words.items() if word in text.lower()), "")


def _times(table: Table) -> tuple[np.ndarray | None, np.ndarray | None]:
    start, end = table.first(START), table.first(END)
    if start and end:
        begin, until = table.numbers(start), table.numbers(end)
        _refuse_lines(
            table, until <= begin, "an utterance that ends before it begins", "start before end"
        )
        _refuse_lines(
            table, np.diff(begin, prepend=-np.inf) < 0, "times go back", "utterances in their order"
        )
        return begin, until
    name, factor = table.first(TIME), 1.0
    if not name:
        name, factor = table.first(TIME_MS), 1e-3
    if not name:
        return None, None
    time = table.numbers(name) * factor
    _refuse_lines(
        table,
        np.diff(time, prepend=-np.inf) <= 0,
        "times go back or stand still",
        "times that rise",
    )
    return time, None


def _frames(table: Table) -> np.ndarray | None:
    """(n,) frames from 0 of a table that counts them, each once; None for one that does not."""
    if not (name := table.first(FRAME)):
        return None
    numbers = table.numbers(name)
    _refuse_lines(
        table,
        np.diff(numbers, prepend=0) <= 0,
        "frame numbers go back or come twice",
        "rising, from 1",
    )
    return numbers.astype(np.int64) - 1


def _annotators(table: Table) -> dict[str, dict[str, str]]:
    """annotator -> emotion -> column."""
    used = {*TIME, *TIME_MS, *START, *END, *FRAME, *NO_ANNOTATOR}
    found: dict[str, dict[str, str]] = {}
    told = _emotion_of_file(table.path)
    for name in (name for name in table.names if name and name not in used):
        emotion, annotator = _emotion_of(name)
        if emotion:
            found.setdefault(annotator, {})[emotion] = name
        elif told:
            found.setdefault(name, {})[told] = name
    if not found:
        raise InputError(
            "no column of valence or arousal",
            where=f"{table.path}:1",
            expected="valence and arousal, or valence_<annotator>, arousal_<annotator>",
            todo="correct the header line",
        )
    return found


def _emotion_of(name: str) -> tuple[str, str]:
    """``arousal_anna``, ``anna arousal``, ``a`` -> (arousal, anna or "")."""
    if name in (*EMOTIONS, *SHORT):
        return SHORT.get(name, name), ""
    for emotion in EMOTIONS:
        if match := re.fullmatch(rf"{emotion}[_ .:-]+(.+)|(.+)[_ .:-]+{emotion}", name):
            return emotion, match[1] or match[2]
    return "", ""


def _emotion_of_file(path: Path) -> str:
    parts = (path.parent.name.lower(), path.stem.lower())
    return next(
        (
            emotion
            for emotion in EMOTIONS
            if parts[0] == emotion or parts[1].endswith(f"_{emotion}")
        ),
        "",
    )


def _in_range(table: Table, name: str) -> np.ndarray:
    values = table.numbers(name, gaps=True)
    values[values == official.UNLABELLED] = np.nan
    _refuse_lines(
        table,
        np.abs(values) > 1,
        f"{name} is out of −1…1",
        "valence and arousal in −1…1, −5 or empty where unlabelled",
    )
    return values


def _of_utterances(table: Table, rows: str) -> Annotation:
    kept = _rows_of(table, rows)
    values = np.stack([_in_range(table, emotion)[kept] for emotion in EMOTIONS], axis=1)
    return _placed(table, kept, values, rows)


def _expression(table: Table, rows: str) -> Annotation:
    kept = _rows_of(table, rows) if rows else np.arange(len(table.rows))
    name = table.first(("expression", "emotion", "emotionmaxvote"))
    classes = [
        _class(text, name, f"{table.path}:{number + 2}")
        for number, text in enumerate(table.texts(name))
    ]
    values = np.array(classes, np.float64)[kept, None]
    if rows:
        return _placed(table, kept, values, rows)
    return Annotation("", values, *_times(table), str(table.path))


def _placed(table: Table, kept: np.ndarray, values: np.ndarray, rows: str) -> Annotation:
    """One value for a recording that is the utterance; stretches where the recording holds
    several.
    """
    if "video" not in table.names or "/" in rows:
        return Annotation("", values[:1], where=str(table.path))
    begin, until = (table.numbers(table.first(names))[kept] for names in (START, END))
    order = np.argsort(begin, kind="stable")
    return Annotation("", values[order], begin[order], until[order], str(table.path))


def _rows_of(table: Table, rows: str) -> np.ndarray:
    if "dialogue_id" in table.names:
        keys = [
            f"dia{a}_utt{b}"
            for a, b in zip(table.texts("dialogue_id"), table.texts("utterance_id"), strict=True)
        ]
    else:
        video, utterance = table.texts("video"), table.texts("utterance")
        keys = (
            video
            if "/" not in rows
            else [f"{a}/{Path(b).stem}" for a, b in zip(video, utterance, strict=True)]
        )
    kept = np.flatnonzero(np.array(keys) == rows)
    if not len(kept):
        raise InputError(
            f"no row of {rows}",
            where=table.path,
            expected="a row of that utterance",
            todo="run notebook 01_download_check again: the table has changed",
        )
    return kept


def _class(text: str, name: str, where: str) -> int:
    if text in ("", "-1"):
        return -1
    if text.isdigit():
        word = (
            OMG_CLASSES[int(text)]
            if name == "emotionmaxvote" and int(text) < len(OMG_CLASSES)
            else ""
        )
        return official.EXPRESSIONS.index(word) if word else int(text)
    known = WORDS.get(text.lower(), "")
    names = official.HEADERS["expression"][-1]
    if known not in names:
        raise InputError(
            f"an emotion called {text!r}",
            where=where,
            expected=", ".join(WORDS),
            todo="correct that line",
        )
    return names.index(known)


def _refuse_lines(table: Table, wrong: np.ndarray, what: str, expected: str) -> None:
    if wrong.any():
        lines = np.flatnonzero(wrong) + 2
        more = f", and in {len(lines) - 1} more lines" if len(lines) > 1 else ""
        raise InputError(
            f"{what}{more}",
            where=f"{table.path}:{lines[0]}",
            expected=expected,
            todo="correct that line",
        )
