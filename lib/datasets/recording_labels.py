"""One label per recording, as corpora of emotional speech have it: from a table with a row per
recording, from IEMOCAP's texts, from names, or from folders called as emotions.

The first source that says something counts. What it was understood to say is in the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from .. import trials
from ..errors import InputError
from ..files import folded
from ..labels import cells, columns, emotions, sheets
from ..metrics import EMOTIONS
from . import corpora, splits
from .contents import Contents, split, suffix
from .corpora import Said
from .names import Recording
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
HOW = "a table in the data root with the columns file, emotion, speaker and, if you like, split"
SHOWN = 4  # names in a message


def find(
    contents: Contents,
    recordings: Mapping[str, Recording],
    labels: dict[str, dict],
    label_range: Sequence[float],
    report: Report,
) -> dict[str, Said]:
    """Add to `labels` (trial -> columns of the trial table) what is said of whole recordings;
    returns what is said of each. Names and folders count only where there are no other labels.
    """
    known: dict[str, Said] = {}
    for path in _tables(contents):
        known = _of_table(contents, path, recordings, label_range, report) | known
    if not known:
        known = _of_iemocap(contents, recordings, report)
    if not known and not labels:
        known = _of_names(recordings, report)
    for name, said in known.items():
        _enter(labels.setdefault(name, {}), said)
    for name in [name for name in known if not labels[name]]:
        del labels[name]
    return known


def _enter(row: dict, said: Said) -> None:
    """Write what is said of a recording into its columns, beside labels that it has already."""
    start = f"{trials.ROWS_SEPARATOR}{trials.CONSTANT_SEPARATOR}"
    if emotions.means_one(said.emotion):
        row.setdefault("expression_path", f"{start}{emotions.class_of(said.emotion)}")
    if said.values:
        row.setdefault("va_path", start + ",".join(f"{value:.6g}" for value in said.values))
    if said.split:
        row.setdefault("split", said.split)


def _tell(item: str, what: str, known: Mapping[str, Said], where: str, report: Report) -> None:
    words = [said.emotion for said in known.values()]
    if listed := emotions.summary(words):
        report.warning(
            item,
            f"{what}: {listed}",
            READ,
            where=where,
            todo=f"nothing if that is right; else {HOW}",
        )
    if others := emotions.of_other(words):
        report.warning(
            item,
            f"{', '.join(others)} {'is' if len(others) == 1 else 'are'} no class here",
            "taken as the class Other",
            where=where,
            expected=", ".join(emotions.CLASSES),
            todo=f"nothing if that is right; else {HOW}, in which they have another class or none",
        )


# ---- names, folders, IEMOCAP


def _of_names(recordings: Mapping[str, Recording], report: Report) -> dict[str, Said]:
    corpus, known = corpora.of_names(recordings)
    what = f"{len(known)} recordings are named as those of {corpus}, and labelled so"
    if not known:
        known = corpora.of_folders(recordings)
        what = f"{len(known)} recordings lie in folders called as emotions, and are labelled so"
    if known:
        _tell(corpus or "folders", what, known, "", report)
        _tell_unlabelled([name for name in recordings if name not in known], "", report)
    return known


def _of_iemocap(
    contents: Contents, recordings: Mapping[str, Recording], report: Report
) -> dict[str, Said]:
    paths, entries = corpora.of_iemocap(contents)
    if not entries:
        return {}
    places = _Places(recordings)
    called = {name: places.of(name) for name in entries}
    known = {names[0]: entries[name] for name, names in called.items() if len(names) == 1}
    lacking = [name for name, names in called.items() if not names]
    where = str(contents.root / paths[0])
    what = f"{len(known)} recordings are in IEMOCAP's texts, a session counts as one subject"
    _tell("EmoEvaluation", what, known, where, report)
    _tell_lacking(lacking, len(entries), where, report)
    _tell_unlabelled([name for name in recordings if name not in known], where, report)
    for path in paths if known else ():
        contents.use(path, "labels of IEMOCAP's utterances")
    return known


class _Places:
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


# ---- tables


def _tables(contents: Contents) -> list[str]:
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


def _of_table(
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
    known, lacking = _placed(table, rows, _Places(recordings), report)
    _tell_words(table, emotion, report)
    where = str(table.path)
    _tell(split(path)[1], f"{len(known)} recordings have a row", known, where, report)
    _tell_lacking(lacking, len(rows), where, report)
    if known:
        contents.use(path, f"labels of {len(known)} trials, by row")
        _tell_unlabelled([name for name in recordings if name not in known], where, report)
    else:
        contents.refuse(path, "none of its rows fits a recording here", "look at the names")
    return known


def _placed(
    table: sheets.Sheet, rows: list[tuple], places: _Places, report: Report
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
    """train, val, test or "" of each row; a word that is not known is test, so that nothing is
    learnt from it.
    """
    texts = _column(table, splits.SPLIT)
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
            values[:, number], notes = cells.in_range(table, places[emotion], label_range)
            for note in notes:
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
    return values


# ---- what is missing


def _tell_lacking(names: list[str], rows: int, where: str, report: Report) -> None:
    if names:
        report.warning(
            PurePosixPath(where).name,
            f"{len(names)} of {rows} rows fit no recording: {', '.join(names[:SHOWN])}",
            "left out",
            where=where,
            expected="a recording each; where there are videos, sound files alone are none",
            todo="look at the names, or nothing if these recordings are not meant to be here",
        )


def _tell_unlabelled(names: list[str], where: str, report: Report) -> None:
    if names:
        report.warning(
            "labels",
            f"{len(names)} recordings have none: {', '.join(names[:SHOWN])}",
            "unlabelled, and in test",
            where=where,
            todo="nothing if that is right; else name them as the others, or give them rows",
        )


def tell_splits(rows: list[dict], known: Mapping[str, Said], report: Report) -> None:
    """Report whole recordings without a speaker, and classes that are not in every split."""
    mine = [row for row in rows if row["trial"] in known and row.get("expression_path", "")]
    alone = [row["trial"] for row in mine if row["subject"] == row["own_subject"]]
    if alone:
        report.warning(
            "speakers",
            f"nothing tells who speaks in {len(alone)} of {len(mine)} labelled recordings: "
            f"{', '.join(alone[:SHOWN])}",
            "each counts as a person of its own: the same voice may be in train and in val, and "
            "scores flatter then",
            expected="who speaks in each recording",
            todo=f"write {HOW}; or {splits.FILE} with the columns trial, split and subject",
        )
    by_split: dict[str, set[str]] = {}
    for row in mine:
        number = int(row["expression_path"].rpartition(trials.CONSTANT_SEPARATOR)[2])
        by_split.setdefault(row["split"], set()).add(emotions.CLASSES[number])
    train = by_split.get("train", set())
    for part in ("val", "test"):
        if part not in by_split or not train:
            continue
        for names, what in (
            (by_split[part] - train, f"is in {part} and not in train: it cannot be learnt"),
            (train - by_split[part], f"is in train and not in {part}: it is not scored there"),
        ):
            for name in sorted(names):
                report.warning(
                    name, what, "kept", expected="each class in each split", todo="see who says it"
                )
