"""ELAN as people save it, for labels and for stretches.

* ``.eaf`` (read by pympi-ling): tiers called valence and arousal, or ``valence_anna`` …; an
  annotation is a stretch with a number. An offset of the medium is added.
* Its export as a table, ``Tier``, ``Begin Time - ss.msec``, …, ``Annotation``, a row per
  annotation; without the names of its columns, too (`lib.labels.headless`).
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np

from .. import errors
from ..errors import InputError
from ..files import folded
from ..metrics import EMOTIONS
from . import cells, collisions, columns, raters, sheets
from .annotators import Annotation


def eaf(path: Path):
    """A file of ELAN, opened by pympi-ling. Raises InputError where it cannot be."""
    try:
        from pympi.Elan import Eaf
    except ImportError as error:
        raise InputError(
            "a file of ELAN, and the package that reads it is not installed",
            where=path,
            expected="the Python package pympi-ling",
            todo="pip install pympi-ling",
        ) from error
    text = sheets.read_text(path)
    with (
        errors.foreign(path, "a file of ELAN", "save it again in ELAN"),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        xml_tree(text)
        # That package raises a bare Exception where this parser, which it uses, refuses the bytes.
        ElementTree.parse(str(path))
        opened = Eaf(
            str(path), suppress_version_warning=True
        )  # what is read stands in all versions
        unit = opened.header.get("TIME_UNITS") or "milliseconds"
        if unit != "milliseconds":
            raise ValueError(f"its times are {unit}, and not milliseconds")
        return opened


def time_origin(opened, path: Path) -> int:
    """ms at which the medium of an opened file of ELAN begins; its annotations count from there.

    Of several media, such as a video and a sound, it is the one that is called as the file, else
    the first, which ELAN plays as the main one.
    """
    media = opened.media_descriptors
    own = [one for one in media if _stem(one.get("MEDIA_URL") or "") == folded(path.stem)]
    return next((_origin(one) for one in [*own, *media]), 0)


def _stem(url: str) -> str:
    return folded(PurePosixPath(unquote(url)).stem)


def _origin(medium: Mapping) -> int:
    return int(medium.get("TIME_ORIGIN") or 0)


def was_moved(path: Path) -> bool:
    """Whether earlier versions added the offset of another medium to the times of an ELAN file."""
    opened = eaf(path)
    with errors.foreign(path, "a file of ELAN", "save it again in ELAN"):
        latest = max(map(_origin, opened.media_descriptors), default=0)
        return latest != time_origin(opened, path)


def scales(path: Path) -> set[tuple[float, ...]]:
    """Scales in the names of an ELAN file's tiers, which earlier versions did not use."""
    opened = eaf(path)
    with errors.foreign(path, "a file of ELAN", "save it again in ELAN"):
        return {column.scale for column in _tiers(opened).values()}


def has_ratings(path: Path) -> bool:
    """Whether a file of ELAN has tiers of valence or arousal."""
    return bool(_tiers(eaf(path)))


def _tiers(opened) -> dict[str, columns.Column]:
    return _emotional(opened.get_tier_names())


def _emotional(names: Iterable[str]) -> dict[str, columns.Column]:
    """What the tiers of valence and arousal among these are."""
    known = {name: columns.meaning(name) for name in names}
    return {name: column for name, column in known.items() if column.what in EMOTIONS}


def _rated(tiers: Mapping[str, columns.Column]) -> tuple[list[str], list[str]]:
    """Names of the tiers whose values count, and of tiers that are another form of the same values
    (`raters`). Raises ValueError for two tiers of the same values.
    """
    claims = [raters.Claim(column.what, column.annotator, name) for name, column in tiers.items()]
    kept, dropped = raters.counted(claims)
    twice = [claim.place for claim in kept if [other[:2] for other in kept].count(claim[:2]) > 1]
    if twice:
        raise ValueError(f"two tiers of the same values: {' and '.join(twice)}")
    return [claim.place for claim in kept], [claim.place for claim in dropped]


def has_unrated_tiers(path: Path) -> bool:
    """Whether an ELAN file has tiers of an emotion that are not ratings, such as a spread."""
    opened = eaf(path)
    with errors.foreign(path, "a file of ELAN", "save it again in ELAN"):
        return bool(_rated(_tiers(opened))[1])


def read(path: Path, label_range: Sequence[float]) -> list[Annotation]:
    """All annotators of a file of ELAN, values (n, 2) in −1…1; see `formats.read`."""
    opened, annotations = eaf(path), []
    with errors.foreign(path, "a file of ELAN", "save it again in ELAN"):
        offset = time_origin(opened, path)
        known, unused = _rated(_tiers(opened))
        tiers = {name: opened.get_annotation_data_for_tier(name) for name in known}
        if any(None in row[:2] for rows in tiers.values() for row in rows):
            raise ValueError("an annotation of valence or arousal without its time")
    said = [f"{offset / 1000:g} s of offset added"] if offset else []
    said += _told_unused(unused)
    for name, entries in tiers.items():
        rows = sorted(row[:3] for row in entries)
        if rows:
            annotations.append(_of_tier(path, name, rows, offset, said, label_range))
    _refuse_empty(path, annotations)
    return annotations


def _told_unused(tiers: Sequence[str]) -> list[str]:
    return [f"no annotator's values, and not used: {', '.join(tiers)}"] if tiers else []


def _refuse_empty(path: Path, annotations: Sequence[Annotation]) -> None:
    if not annotations:
        raise InputError(
            "tiers of valence and arousal without an annotation",
            where=path,
            expected="stretches with a number",
            todo="annotate them, or remove the file",
        )


def _of_tier(
    path: Path,
    name: str,
    rows: Sequence[tuple[float, float, str]],
    offset: int,
    said: Sequence[str],
    label_range: Sequence[float],
) -> Annotation:
    """The annotation of one tier.

    rows : begin and end (ms), text. offset : ms that are added. said : notes on the whole file.
    """
    column, where = columns.meaning(name), f"{path}, tier {name}"
    numbers = [_of_text(text, f"{where}, at {begin:g} ms") for begin, _, text in rows]
    values, notes = cells.mapped(np.array(numbers), column.scale or (-1, 1), label_range, where)
    both = np.full((len(rows), 2), np.nan)
    both[:, EMOTIONS.index(column.what)] = values
    begin, until = (np.array([row[k] for row in rows]) / 1000 + offset / 1000 for k in (0, 1))
    notes = (*notes, *said)
    return Annotation(column.annotator, both, begin, until, str(path), notes=notes)


def is_export(table: sheets.Sheet) -> bool:
    """Whether a table is ELAN's export of several tiers below one another, with a header."""
    names = [columns.squeezed(name) for name in table.names]
    kinds = {column.what for column in table.kinds}
    return {"tier", "annotation"} <= set(names) and {"start", "end"} <= kinds


def export_has_ratings(table: sheets.Sheet) -> bool:
    """Whether tiers of such a table are of valence or arousal."""
    return bool(_emotional(table.texts(_place(table, "tier"))))


def read_export(table: sheets.Sheet, label_range: Sequence[float]) -> list[Annotation]:
    """The tiers of valence and arousal of such a table; see `read`. Raises InputError also for
    tiers of several recordings.
    """
    tiers, texts = (table.texts(_place(table, name)) for name in ("tier", "annotation"))
    with errors.foreign(table.path, "an export of ELAN", "write it again"):
        known, unused = _rated(_emotional(tiers))
    kinds = [column.what for column in table.kinds]
    begin, until = (cells.times(table, kinds.index(what)) for what in ("start", "end"))
    collisions.refuse_mixed(table, begin, tiers)
    refuse_offset(table)
    said, annotations = _told_unused(unused), []
    for name in known:
        mine = np.flatnonzero(np.array(tiers) == name)
        mine = mine[np.argsort(begin[mine], kind="stable")]
        over = collisions.overlapping(table, begin[mine], until[mine], np.array(table.lines)[mine])
        rows = [(1000 * begin[row], 1000 * until[row], texts[row]) for row in mine]
        notes = [*table.notes, *said, *over, *cells.told_of_codes(table)]
        annotations.append(_of_tier(table.path, name, rows, 0, notes, label_range))
    _refuse_empty(table.path, annotations)
    return annotations


_OFFSET = re.compile(r"-- offset: (\d+)")


def refuse_offset(table: sheets.Sheet) -> None:
    """Raise InputError for an export whose first lines tell an offset of a medium: they do not tell
    whether it is in the times.
    """
    text = sheets.read_text(table.path) if table.mark else ""  # a workbook says nothing of it
    before = text.split("\n")[: table.header_line - 1]
    for number, line in enumerate(before, start=1):
        if (match := _OFFSET.search(line)) and int(match[1]):
            raise InputError(
                f"an export of ELAN whose medium has an offset of {match[1]} ms",
                where=f"{table.path}:{number}",
                expected="times from the start of the recording",
                todo="use the .eaf itself, or add the offset to the times and remove that line",
            )


def _place(table: sheets.Sheet, word: str) -> int:
    return [columns.squeezed(name) for name in table.names].index(word)


def _of_text(text: str, where: str) -> float:
    if str(text).strip().lower() in cells.GAPS:
        return float("nan")
    value = sheets.number(str(text), True)
    if value != value:
        raise InputError(
            f"{str(text)[:80]!r} is no number", where=where, expected="a number", todo="correct it"
        )
    return value


def xml_tree(text: str) -> ElementTree.Element:
    """The tree of an XML file. Raises ValueError or SyntaxError for what is none."""
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise ValueError("it declares entities")
    return ElementTree.fromstring(text)  # decoded already, whatever encoding its first line names
