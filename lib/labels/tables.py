"""Label tables in the forms that people and published data sets have them ->
`annotators.Annotation`.

A person's own table has a header line, then rows (`lib.labels.sheets`, `lib.labels.columns`). It
may have

* times: ``time`` (s, or the unit that its name tells), or ``start`` and ``end`` or ``duration``
  (one value per utterance), or ``frame`` (from 1; a table that begins with 0 counts from 0), or
  none;
* values: ``valence`` and ``arousal``; for several annotators ``valence_anna``, ``arousal_anna``, …,
  or a column ``annotator``; ``expression``. In a file below a folder called valence or arousal (or
  ``<trial>_valence.csv``) every other column is an annotator;
* what CARMA (``Second,Rating`` under its settings) and DARMA (``Second,X,Y``) export.

RECOLA: ``arousal/P16.csv`` and ``valence/P16.csv``, ``time;FM1;FM2;…``, 25 Hz, one column per
annotator. SEWA (AVEC 2017–2019): ``name;timestamp;arousal;valence;liking``, 10 Hz. Tables of
utterances: `lib.labels.utterances`. ELAN, AFEW-VA, NOVA: `lib.labels.formats`. Time codes:
`lib.labels.timecodes`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..metrics import EMOTIONS
from . import (
    cells,
    collisions,
    columns,
    csv_columns,
    elan,
    formats,
    official,
    raters,
    sheets,
    utterances,
)
from .annotators import Annotation
from .sheets import Sheet

TABLES = (".csv", ".tsv", ".txt", ".dat", *sheets.EXCEL)
SUFFIXES = (*TABLES, *formats.SUFFIXES)
ELAN = ".eaf"
OURS = "it looks like predictions of this program, which are no ratings"
UTTERANCES = tuple(utterances.COLUMNS)
EXPORT = "elan export"
FORMATS = (*formats.SUFFIXES.values(), EXPORT)


def form(path: Path) -> str:
    """The form of a label file.

    "official" for an annotation file of ABAW or its ``img,V,A,frame_id``; "omg", "meld"; "elan",
    "afew", "nova"; "own" for a table of valence and arousal in any other form that `read` knows; ""
    for what is none.

    Raises InputError for an empty file, a web page, a table without a header line.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in formats.SUFFIXES:
        return formats.form(path)
    if suffix not in TABLES:
        return "official"
    if suffix == ".txt" and _is_official(path):
        return "official"
    if suffix == ".txt" and sheets.is_prose(path):
        return ""
    table = sheets.kept(path)
    names = {columns.plain(name).replace(" ", "_") for name in table.names}
    if {"img", "v", "a"} <= names:
        return "official"
    if kind := utterances.form(names):
        return kind
    if elan.is_export(table):
        return EXPORT if elan.export_has_ratings(table) else ""
    _refuse_row_as_header(table)
    if has_affect(table) or "expression" in {column.what for column in table.kinds}:
        return "own"
    return ""


_VALUE = re.compile(r"(\d+:)?\d+:\d\d([.,]\d+)?|[+-]?\d*[.,]\d+")  # no annotator is called so


def _refuse_row_as_header(table: Sheet) -> None:
    """Raise InputError for a table of labels that begins with a row."""
    numbers = [sheets.number(name, True) for name in table.names]
    is_timed = not {column.what for column in table.kinds}.isdisjoint(_WHEN)
    is_rating = has_affect(table) and not is_timed and any(map(_VALUE.fullmatch, table.names))
    if is_rating or all(number == number for number in numbers):
        raise InputError(
            f"a label table without a header line: {','.join(table.names)[:80]!r}",
            where=f"{table.path}:{table.header_line}",
            expected="time,valence,arousal",
            todo="write the names of the columns into its first line",
        )


def _is_official(path: Path) -> bool:
    try:
        return any(official.has_header(path, kind) for kind in official.KINDS)
    except InputError:  # `sheets` reads more encodings, and gives the reason if it cannot
        return False


# The names of times and frames that earlier versions of this program knew; a table with other ones
# was taken as one row per frame.
EARLIER = {
    *("time", "timestamp", "time_s", "time (s)", "times", "seconds", "sec", "t", "frametime"),
    *("time_ms", "timestamp_ms", "time (ms)", "ms", "frame", "frame_id", "frame_number"),
    *("start", "start_time", "starttime", "onset", "begin"),
}


def ignored_scale(path: Path) -> str:
    """The scale that a file has and earlier versions took for −1…1, "" for none: DARMA's, whose
    values are hundredths, and one that stands in the names of columns or tiers, or in the settings
    of an Excel file.
    """
    path = Path(path)
    if path.suffix.lower() not in (*TABLES, ELAN) or not path.is_file():
        return ""
    try:
        if path.suffix.lower() == ELAN:
            scales = elan.scales(path)
        else:
            table = sheets.kept(path)
            scales = {kind.scale for kind in table.kinds}
            limits = cells.limits_of(table, ())[0]
            if cells.axes(table) and limits == cells.DARMA:
                return "DARMA"
            if path.suffix.lower() in sheets.EXCEL:  # its settings did not count
                scales.add(limits)
    except InputError:
        return ""
    return ", ".join(sorted(cells.span(scale) for scale in scales - {(), (-1, 1)}))


def was_untimed(path: Path) -> bool:
    """Whether a file has times or frames that earlier versions did not understand, so that its
    labels have changed.
    """
    path = Path(path)
    if path.suffix not in (".csv", ELAN) or not path.is_file():
        return False
    try:
        if path.suffix == ELAN:
            return elan.was_moved(path)
        table = sheets.kept(path)
    except InputError:
        return False
    kinds_, names = table.kinds, [name.strip("'").lower() for name in table.names]
    timed = [name for name, column in zip(names, kinds_, strict=True) if column.what in _WHEN]
    if not timed:
        return raters.has_unnamed_time(table)
    counted = (cells.count_frames(table.texts(index)) for index in range(len(table.names)))
    return EARLIER.isdisjoint(names) or any(counted)


def was_averaged(path: Path) -> bool:
    """Whether earlier versions averaged values that do not belong together: derived columns as if
    they were annotators', or rows of several recordings.
    """
    path = Path(path)
    if path.suffix.lower() not in (*TABLES, *formats.SUFFIXES) or not path.is_file():
        return False
    try:
        kind = form(path)
        if kind == "elan":
            return elan.has_unrated_tiers(path)
        if kind != "own":
            return False
        table = sheets.kept(path)
    except InputError:
        return False
    if raters.averaged_earlier(table) or _of_several(table):
        return True
    known = {column.what for column in table.kinds}
    return ("unknown" in known or bool(collisions.recordings(table))) and _mixed(table)


def _of_several(table: Sheet) -> bool:
    """Whether a column tells several annotators under a name that earlier versions did not know."""
    names = {columns.squeezed(name) for name in table.names}
    return bool(_who(table)) and names.isdisjoint(columns.EARLIER_WHO)


def _mixed(table: Sheet) -> bool:
    """Whether rows of several recordings were averaged."""
    try:
        placed = cells.When(table)
    except InputError:
        return False
    return collisions.mixed(table, placed.starts, _who(table)) is not None


_WHEN = ("time", "frame", "start")


def kinds(path: Path) -> list[str]:
    """Which labels a person's own table holds: "va", "expression", both or none."""
    layout = form(path)
    if layout in FORMATS:
        return ["va"]
    if layout != "own":
        return []
    table = sheets.kept(path)
    expression = any(column.what == "expression" for column in table.kinds)
    return ["va"] * has_affect(table) + ["expression"] * expression


def has_affect(table: Sheet) -> bool:
    """Whether a table has a column of valence or arousal, or what stands for one."""
    column_kinds = {column.what for column in table.kinds}
    if column_kinds & set(EMOTIONS) or cells.axes(table):
        return True
    if not raters.emotion_of(table):
        return "rating" in column_kinds and "time" in column_kinds
    return "rating" in column_kinds or (
        bool(column_kinds & {"time", "frame", "start"}) and len(column_kinds) > 1
    )


def read(
    path: Path,
    kind: str = "va",
    rows: str = "",
    label_range: Sequence[float] = (),
    frames: np.ndarray | None = None,
) -> list[Annotation]:
    """All annotators of one file (of a table of utterances the one that `rows` names).

    kind : "va" -> values (n, 2), −5 and empty cells NaN; "expression" -> values (n, 1), class
        numbers of `official.EXPRESSIONS`.
    label_range : lowest and highest value of the scale, mapped to −1 and 1; empty: the scale that
        the file names, else −1 and 1.
    frames : (T,) s of the recording's frames, which time codes are counted in.
    Raises InputError, with the line, for decreasing times, values out of range or that are no
    numbers, and for a column that might be a time and is not understood.
    """
    path = Path(path)
    if path.suffix.lower() in formats.SUFFIXES:
        return formats.read(path, label_range)
    table = replace(sheets.kept(path), frames=frames)
    if elan.is_export(table):
        return elan.read_export(table, label_range)
    if not table.rows:
        raise InputError(
            "a label table without a row",
            where=path,
            expected="a row per value",
            todo="write it again, or remove it",
        )
    if rows:
        return [utterances.read(table, kind, rows, label_range)]
    if kind == "expression":
        return [_expression(table)]
    return _affect(table, label_range)


def _affect(table: Sheet, label_range: Sequence[float]) -> list[Annotation]:
    placed = cells.When(table)
    chosen, notes = raters.annotators(table, placed.known)
    who = _who(table)
    collisions.refuse_mixed(table, placed.starts, who)
    notes += [OURS] * csv_columns.is_of_frames(table.names) + collisions.of_another(table)
    annotations = []
    for annotator, places in chosen.items():
        values, more = np.full((len(table.rows), 2), np.nan), []
        for emotion, index in places.items():
            values[:, EMOTIONS.index(emotion)], remarks = cells.in_range(table, index, label_range)
            more += remarks
        remarks = [*table.notes, *placed.notes, *notes, *more]
        annotations += placed.split(values, annotator, remarks, () if annotator else who)
    return annotations


def _who(table: Sheet) -> list[str]:
    """The annotator of each row if a column tells several; else nothing."""
    places = [index for index, column in enumerate(table.kinds) if column.what == "who"]
    texts = table.texts(places[0]) if places else []
    return texts if len(set(texts)) > 1 else []


def _expression(table: Sheet) -> Annotation:
    placed = cells.When(table)
    values = utterances.classes(table)
    everything = np.ones(len(values), bool)
    if placed.time is not None and placed.until is None:  # a mean of classes has no meaning
        everything = np.diff(placed.time, append=np.inf) != 0
    notes = [*table.notes, *placed.notes, *utterances.coded(table)]
    return placed.annotation(values[:, None], everything, "", notes)
