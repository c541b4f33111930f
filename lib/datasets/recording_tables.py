"""Tables with a row per recording: its file, emotion, speaker, split, valence and arousal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from ..errors import InputError
from ..files import folded
from ..labels import cells, columns, emotions, sheets
from ..metrics import EMOTIONS
from . import recording_notes as notes
from . import splits
from .contents import Contents, split, suffix
from .corpora import Said
from .names import Recording
from .recording_notes import SHOWN
from .report import READ, Report

TABLES = (".csv", ".tsv", *sheets.EXCEL)
FILES = (*splits.TRIAL, "path", "filepath", "fileid", "wav", "audio", "audiofile", "wavfile")
NAMED_EMOTION = ("emotion", "expression", "emoclass", "emotionlabel", "emotionclass")
MAYBE_EMOTION = ("label", "class", "category")  # if every cell is a word for an emotion
TIMES = ("time", "frame")
# MSP-Podcast's column EmoClass
LETTERS = {
    **{"A": "angry", "S": "sad", "H": "happy", "U": "surprise", "F": "fear", "D": "disgust"},
    **{"C": "contempt", "N": "neutral", "O": "other", "X": "no agreement"},
}


class Places:
    """Recordings by the names that a table may call them: path, file, with and without suffix."""

    def __init__(self, recordings: Mapping[str, Recording]):
        self.by_end: dict[str, list[str]] = {}
        for name, recording in recordings.items():
            path = PurePosixPath(recording.path)
            for text in {path.name, path.stem, name}:
                self.by_end.setdefault(folded(text), []).append(name)
        self.paths = {name: folded(recording.path) for name, recording in recordings.items()}

    def of(self, text: str) -> list[str]:
        """The recordings that a text may mean: several of one name unless its folders tell."""
        path = PurePosixPath(folded(text.replace("\\", "/")))
        found = self.by_end.get(path.name, []) or self.by_end.get(path.stem, [])
        for count in range(len(path.parts), 1, -1):
            end = "/".join(path.parts[-count:])
            called = [name for name in found if self._ends(name, end)]
            if called:
                return called
        return found

    def _ends(self, name: str, end: str) -> bool:
        path = self.paths[name]
        return any(f"/{text}".endswith(f"/{end}") for text in (path, path.rpartition(".")[0]))


def paths(contents: Contents) -> list[str]:
    """Tables in the root and in its folders that are not used otherwise; the root comes first."""
    paths = [
        path
        for path in contents.files
        if suffix(path) in TABLES and path.count("/") < 2 and not contents.has_settled(path)
    ]
    return sorted(paths, key=lambda path: (path.count("/"), path))


def is_header(names: Sequence[str]) -> bool:
    """Whether names of columns are those of a table with a row per recording, with labels."""
    words = [columns.squeezed(name) for name in names]
    kinds = {columns.meaning(name).what for name in names}
    labelled = set(EMOTIONS) <= kinds or not set(words).isdisjoint(NAMED_EMOTION + MAYBE_EMOTION)
    return labelled and not set(words).isdisjoint(FILES) and kinds.isdisjoint(TIMES)


def _column(table: sheets.Sheet, words: Collection[str]) -> list[str]:
    """The cells of the first column with one of the names; empty texts if there is none."""
    called = [columns.squeezed(name) for name in table.names]
    index = next((called.index(word) for word in words if word in called), None)
    return table.texts(index) if index is not None else [""] * len(table.rows)


def read(
    contents: Contents,
    path: str,
    recordings: Mapping[str, Recording],
    label_range: Sequence[float],
    report: Report,
) -> dict[str, Said]:
    """What a table says of each recording; nothing for a table of another kind."""
    try:
        table = sheets.read(contents.root / path, is_header, skip_uneven=True)
    except InputError:
        return {}  # the list of files tells the reason
    if not is_header(table.names):
        return {}
    emotion = _emotions(table)
    values = _values(table, label_range, report)
    if not any(emotion) and not np.isfinite(values).any():
        return {}
    report.passed_over(table.path, table.notes)
    rows = list(
        zip(emotion, _speakers(table), _splits(table, report), map(tuple, values), strict=True)
    )
    known, lacking = _placed(table, rows, Places(recordings), report)
    _tell_words(table, emotion, report)
    where = str(table.path)
    notes.told(split(path)[1], f"{len(known)} recordings have a row", known, where, report)
    notes.tell_lacking(lacking, len(rows), where, report)
    if known:
        contents.use(path, f"labels of {len(known)} trials, by row")
    else:
        contents.refuse(path, "none of its rows fits a recording here", "look at the names")
    return known


def _placed(
    table: sheets.Sheet, rows: list[tuple], places: Places, report: Report
) -> tuple[dict[str, Said], list[str]]:
    """Recording -> what its row says, and names in the table that match none."""
    known: dict[str, Said] = {}
    lacking, unclear, twice = [], [], set()
    for text, (emotion, speaker, part, values) in zip(_column(table, FILES), rows, strict=True):
        called = places.of(text)
        if len(called) != 1:
            (unclear if called else lacking).append(text)
            continue
        said = Said(emotion, speaker, part, values if np.isfinite(values).all() else ())
        if known.setdefault(called[0], said) != said:
            twice.add(called[0])
    for name in twice:
        known[name] = Said(speaker=known[name].speaker, split=known[name].split)
    for names, what in (
        (unclear, "names in it are those of several recordings"),
        (sorted(twice), "recordings have several rows that differ"),
    ):
        if names:
            report.error(
                table.path.name,
                f"{len(names)} {what}: {', '.join(names[:SHOWN])}",
                "they are unlabelled",
                where=str(table.path),
                expected="a row per recording, named with its folders where names are not unique",
                todo="correct these rows",
            )
    return known, lacking


def _emotions(table: sheets.Sheet) -> list[str]:
    """The word for an emotion of each row, "" where there is none."""
    called = {columns.squeezed(name) for name in table.names}
    texts = ["" if text.lower() in cells.GAPS else text for text in _column(table, NAMED_EMOTION)]
    if called.isdisjoint(NAMED_EMOTION):
        texts = _column(table, MAYBE_EMOTION)
        if any(emotions.class_of(text) is None for text in texts):
            return [""] * len(texts)
    if "emoclass" in called:
        return [LETTERS.get(text, text) for text in texts]
    return texts


def _tell_words(table: sheets.Sheet, words: list[str], report: Report) -> None:
    """Report words that are not known, which leave their recordings unlabelled."""
    unknown = Counter(word for word in words if word and emotions.class_of(word) is None)
    if unknown:
        listed = ", ".join(f"{word!r} ({count})" for word, count in unknown.most_common(8))
        report.error(
            table.path.name,
            f"emotions that are not known, in {sum(unknown.values())} rows: {listed}",
            "these recordings are unlabelled",
            where=str(table.path),
            expected=", ".join(emotions.CLASS_OF_WORD),
            todo="write one of these words; numbers and letters do not tell which emotion is meant",
        )
    none = Counter(word for word in words if emotions.class_of(word) == emotions.UNLABELLED)
    if none:
        listed = ", ".join(f"{word} ({count})" for word, count in none.items())
        report.warning(
            table.path.name, f"rows without an emotion: {listed}", READ, where=str(table.path)
        )


def _speakers(table: sheets.Sheet) -> list[str]:
    gaps = (*cells.GAPS, "unknown")
    return ["" if text.lower() in gaps else text for text in _column(table, splits.SUBJECT)]


def _splits(table: sheets.Sheet, report: Report) -> list[str]:
    """train, val, test or "" of each row, by a column or the file's name; a word that is not known
    is test, so that nothing is learnt from it.
    """
    texts, parts = _column(table, splits.SPLIT), re.split(r"[\W_]+", table.path.stem)
    of_file = next(filter(None, map(splits.word, parts)), "")
    if of_file and not any(texts):
        what = f"its name says that its recordings are in {of_file}"
        report.warning(table.path.name, what, READ, where=str(table.path))
        return [of_file] * len(texts)
    unknown = sorted({text for text in texts if text and not splits.word(text)})
    if unknown:
        report.error(
            table.path.name,
            f"words for a split that are not known: {', '.join(unknown[:SHOWN])}",
            "these recordings are in test",
            where=str(table.path),
            expected="train, val (dev, development) or test",
            todo="correct them, or empty the column: splits are then drawn by speaker",
        )
    return [splits.word(text) or ("test" if text else "") for text in texts]


def _values(table: sheets.Sheet, label_range: Sequence[float], report: Report) -> np.ndarray:
    """(n, 2) valence and arousal in −1…1, NaN where there is none, or on another scale."""
    values = np.full((len(table.rows), 2), np.nan)
    places = {kind.what: index for index, kind in enumerate(table.kinds)}
    if not set(EMOTIONS) <= set(places):
        return values
    try:
        for number, emotion in enumerate(EMOTIONS):
            values[:, number], remarks = cells.in_range(table, places[emotion], label_range)
            for note in remarks:
                report.warning(table.path.name, note, READ, where=str(table.path))
    except InputError as error:
        report.warning(
            table.path.name,
            f"valence and arousal are not used: {error.what}",
            "left out; emotions are read",
            where=error.where,
            expected=error.expected,
            todo=error.todo,
        )
        return np.full_like(values, np.nan)
    known = values[np.isfinite(values)]
    if len(known) and not label_range and known.min() >= 0 < known.max():
        report.warning(
            table.path.name,
            f"all values of valence and arousal lie in {known.min():g} … {known.max():g}",
            "taken as they are",
            where=str(table.path),
            expected="values below 0, too, on a scale from −1 to 1",
            todo="of a scale from 0 to 1 set `label_range: [0, 1]`, which maps it to −1…1",
        )
    return values
