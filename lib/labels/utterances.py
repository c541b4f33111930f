"""Tables with one row per utterance of many recordings, and the names of emotions.

Layouts that are known, from the data sets' public documentation (not tried on the real files, which
are licensed):

* OMG-Emotion: one table, one row per utterance:
  ``link,start,end,video,utterance,arousal,valence,EmotionMaxVote``;
* MELD and tables like it: one row per utterance with ``Dialogue_ID``, ``Utterance_ID``,
``Emotion``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..metrics import EMOTIONS
from . import cells, emotions, official, sheets
from .annotators import Annotation
from .sheets import Sheet

# EmotionMaxVote 0 to 6
OMG_CLASSES = ("Anger", "Disgust", "Fear", "Happiness", "Neutral", "Sadness", "Surprise")
COLUMNS = {
    "omg": ("video", "utterance", "arousal", "valence"),
    "meld": ("dialogue_id", "utterance_id", "emotion"),
}


def form(names: Collection[str]) -> str:
    """ "omg" or "meld" by the names of the columns, else ""."""
    return next((kind for kind, needed in COLUMNS.items() if set(needed) <= set(names)), "")


def keys(path: Path) -> list[tuple[str, str, str]]:
    """(key for `tables.read`, video, utterance) of each row of a table of utterances; an uncut
    video has utterance "".
    """
    table = sheets.kept(path)
    if _place(table, "dialogue_id") is not None:
        return [(name,) * 2 + ("",) for name in _of_meld(table)]
    pairs = list(zip(_texts(table, "video"), _stems(table), strict=True))
    whole = [(video, video, "") for video in dict.fromkeys(video for video, _ in pairs)]
    return [(f"{video}/{utterance}", video, utterance) for video, utterance in pairs] + whole


def split_of(text: str) -> str:
    """train, val or test if a file's or folder's name says so; else ""."""
    words = {"train": "train", "valid": "val", "dev": "val", "test": "test"}
    return next((split for word, split in words.items() if word in text.lower()), "")


def read(table: Sheet, kind: str, rows: str, label_range: Sequence[float]) -> Annotation:
    """The rows for a key of `keys`."""
    kept, notes = _rows_of(table, rows), list(table.notes)
    if kind == "expression":
        notes += coded(table)
        return _placed(table, kept, classes(table, kept)[:, None], rows, notes)
    values = np.full((len(kept), 2), np.nan)
    for column, emotion in enumerate(EMOTIONS):
        scores, remarks = cells.in_range(table, _place(table, emotion), label_range)
        values[:, column] = scores[kept]
        notes += remarks
    return _placed(table, kept, values, rows, notes)


def _placed(
    table: Sheet, kept: np.ndarray, values: np.ndarray, rows: str, notes: list[str]
) -> Annotation:
    """One value for a recording of a single utterance; stretches for one of several."""
    where = str(table.path)
    if _place(table, "video") is None or "/" in rows:
        return Annotation("", values[:1], where=where, notes=tuple(notes))
    when = cells.When(table)
    if when.until is None:
        raise InputError(
            f"several utterances of {rows}, and no columns start and end",
            where=f"{where}:{table.header_line}",
            expected="start and end in s",
            todo="add them, or cut the recording into its utterances",
        )
    begin, until = when.time[kept], when.until[kept]
    order = np.argsort(begin, kind="stable")
    return Annotation("", values[order], begin[order], until[order], where, notes=tuple(notes))


def classes(table: Sheet, rows: Collection[int] | None = None) -> np.ndarray:
    """(n,) float64 class numbers of `official.EXPRESSIONS` (Other is 7), −1 where unlabelled.

    rows : those of other recordings need not be understood; default: all.
    """
    index = _of_classes(table)
    name = table.names[index].strip("'\"").lower()
    texts = table.texts(index)
    rows = range(len(texts)) if rows is None else rows
    return np.array([_class(texts[row], name, table.where(row)) for row in rows], np.float64)


def _of_classes(table: Sheet) -> int:
    names = ("expression", "emotion", "emotionmaxvote")
    return next(index for name in names if (index := _place(table, name)) is not None)


def coded(table: Sheet) -> list[str]:
    """Notes if classes are written as numbers, whose order may differ from ours, or as words that
    count as Other.
    """
    index = _of_classes(table)
    texts = set(table.texts(index))
    others = emotions.of_other(texts)
    notes = [f"{', '.join(others)} counts as the class Other"] if others else []
    numbers = sorted({int(t) for t in texts if t.isdecimal() and len(t) < 4})
    if not numbers or table.names[index].strip("'\"").lower() == "emotionmaxvote":
        return notes
    names = official.HEADERS["expression"][-1]
    meanings = ", ".join(f"{n} {names[n]}" for n in numbers if n < len(names))
    return [*notes, f"numbers of expressions are taken as {meanings}"]


def _place(table: Sheet, name: str) -> int | None:
    names = [column.strip("'\" ").lower() for column in table.names]
    return names.index(name) if name in names else None


def _texts(table: Sheet, name: str) -> list[str]:
    return table.texts(_place(table, name))


def _stems(table: Sheet) -> list[str]:
    return [Path(text).stem for text in _texts(table, "utterance")]


def _of_meld(table: Sheet) -> list[str]:
    pairs = zip(_texts(table, "dialogue_id"), _texts(table, "utterance_id"), strict=True)
    return [f"dia{one}_utt{other}" for one, other in pairs]


def _rows_of(table: Sheet, rows: str) -> np.ndarray:
    if _place(table, "dialogue_id") is not None:
        names = _of_meld(table)
    elif "/" not in rows:
        names = _texts(table, "video")
    else:
        pairs = zip(_texts(table, "video"), _stems(table), strict=True)
        names = [f"{one}/{other}" for one, other in pairs]
    kept = np.array([row for row, name in enumerate(names) if name == rows], np.int64)
    if not len(kept):
        raise InputError(
            f"no row of {rows}",
            where=table.path,
            expected="a row of that utterance",
            todo="run notebook 01_download_check again: the table has changed",
        )
    return kept


def _class(text: str, name: str, where: str) -> int:
    if text.lower() in cells.GAPS or text == "-1":
        return -1
    names = official.HEADERS["expression"][-1]
    if text.isdecimal() and len(text) < 4:
        known, number = name == "emotionmaxvote", int(text)
        if known and number < len(OMG_CLASSES):
            return official.EXPRESSIONS.index(OMG_CLASSES[number])
        if number < len(names):
            return number
    number = emotions.class_of(text)
    if number is None:
        raise InputError(
            f"an emotion called {text[:80]!r}",
            where=where,
            expected=f"{', '.join(emotions.CLASS_OF_WORD)}, or 0 to {len(names) - 1}",
            todo="correct that line",
        )
    return number
