"""Labels as annotation programs and data sets write them: ELAN, NOVA, AFEW-VA.

* ELAN ``.eaf`` (read by pympi-ling): tiers called valence and arousal, or ``valence_anna`` …; an
  annotation is a stretch with a number. An offset of the medium is added.
* ELAN's export as a table, with the names of its columns: ``Tier``, ``Begin Time - ss.msec``, …,
  ``Annotation``, a row per annotation.
* NOVA ``<role>.<scheme>.<annotator>.annotation``: XML, and beside it the values in
  ``….annotation~``, text or binary; schemes valence and arousal, continuous (a rate of their own)
  or a stretch per row.
* AFEW-VA ``<video>.json``: ``frames`` from "00000", valence and arousal from −10 to 10 (Kossaifi et
  al. 2017, doi:10.1016/j.imavis.2017.02.001).
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import struct
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

SUFFIXES = {".eaf": "elan", ".json": "afew", ".annotation": "nova"}
AFEW_RANGE = (-10.0, 10.0)
# NOVA's binary files: a value and a confidence per sample; begin, end, number of the label and
# confidence per stretch; a free one has the length of a text and the text instead of the number.
SAMPLE_DTYPE, STRETCH_DTYPE = np.dtype("<f4,<f4"), np.dtype("<f8,<f8,<i4,<f4")
FREE = struct.Struct("<ddI")
SCHEME_TYPES = ("CONTINUOUS", "DISCRETE", "FREE")
NO_LABEL_NAMES = (*cells.GAPS, "rest", "garbage")  # label names that mean "no label"


def form(path: Path) -> str:
    """ "elan", "nova" or "afew" for a file of labels; "" for another one of that suffix.

    Raises InputError where it cannot be read.
    """
    kind = SUFFIXES[path.suffix.lower()]
    if kind == "afew":
        content = _json(path)
        return kind if isinstance(content, dict) and _is_afew(content) else ""
    if kind == "elan":
        return kind if _tiers(eaf(path)) else ""
    return kind if _emotion(_nova(path)[0]) else ""


def read(path: Path, label_range: Sequence[float] = ()) -> list[Annotation]:
    """All annotators of a file, values (n, 2) in −1…1. Raises InputError for an unreadable file and
    for values out of range.
    """
    path = Path(path)
    return {"elan": _read_elan, "nova": _read_nova, "afew": _read_afew}[
        SUFFIXES[path.suffix.lower()]
    ](path, label_range)


def _scaled(
    values: np.ndarray, limits: Sequence[float], label_range: Sequence[float], where: str
) -> tuple[np.ndarray, list[str]]:
    """Values of a scale mapped to −1…1, and a note on it."""
    chosen = cells.chosen_limits(label_range) or tuple(limits)
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
    if not chosen[0] < chosen[1] or low < chosen[0] or high > chosen[1]:
        raise InputError(
            f"values out of {cells.span(chosen)}: from {low:g} to {high:g}",
            where=where,
            expected=f"valence and arousal in {cells.span(chosen)}",
            todo="correct them, or set `label_range` to their scale's lowest and highest value",
        )
    notes = [] if chosen == (-1, 1) else [f"{cells.span(chosen)} mapped to −1…1"]
    return cells.scaled(values, chosen), notes


# ---- AFEW-VA
def _json(path: Path):
    text = sheets.read_text(path)
    with errors.foreign(path, "JSON", "write the file again"):
        return json.loads(text)


def _is_afew(content: Mapping) -> bool:
    frames = content.get("frames")
    first = next(iter(frames.values()), None) if isinstance(frames, dict) else None
    return isinstance(first, dict) and bool(set(EMOTIONS) & set(first))


def _read_afew(path: Path, label_range: Sequence[float]) -> list[Annotation]:
    content = _json(path)
    with errors.foreign(path, "a JSON file of AFEW-VA", "correct that entry, or remove the file"):
        frames = sorted(content["frames"].items(), key=lambda item: int(item[0]))
        number = np.array([int(name) for name, _ in frames], np.int64)
        values = np.array(
            [[_number(row.get(emotion)) for emotion in EMOTIONS] for _, row in frames], np.float64
        ).reshape(-1, 2)
    if (np.diff(number) <= 0).any() or (number < 0).any():
        raise InputError(
            "frame numbers below 0 or twice",
            where=path,
            expected='"00000", "00001", …',
            todo="correct the file",
        )
    values, notes = _scaled(values, AFEW_RANGE, label_range, str(path))
    notes.append("frames counted from 0")
    return [Annotation("", values, where=str(path), frame=number, notes=tuple(notes))]


def _number(value) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


# ---- ELAN
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
        _xml(text)
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


def _read_elan(path: Path, label_range: Sequence[float]) -> list[Annotation]:
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
    values, notes = _scaled(np.array(numbers), column.scale or (-1, 1), label_range, where)
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
    _refuse_offset(table)
    said, annotations = _told_unused(unused), []
    for name in known:
        mine = np.flatnonzero(np.array(tiers) == name)
        mine = mine[np.argsort(begin[mine], kind="stable")]
        over = collisions.overlapping(table, begin[mine], until[mine], np.array(table.lines)[mine])
        rows = [(1000 * begin[row], 1000 * until[row], texts[row]) for row in mine]
        notes = [*table.notes, *said, *over]
        annotations.append(_of_tier(table.path, name, rows, 0, notes, label_range))
    _refuse_empty(table.path, annotations)
    return annotations


_OFFSET = re.compile(r"-- offset: (\d+)")


def _refuse_offset(table: sheets.Sheet) -> None:
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


# ---- NOVA
def _nova(path: Path) -> tuple[str, str, ElementTree.Element]:
    """Scheme, annotator and the tree of its XML."""
    text = sheets.read_text(path)
    with errors.foreign(path, "an annotation of NOVA", "save it again in NOVA"):
        tree = _xml(text)
        scheme, meta = tree.find("scheme"), tree.find("meta")
        who = meta.get("annotator", "") if meta is not None else ""
        return scheme.get("name", ""), who, tree


def _xml(text: str) -> ElementTree.Element:
    """The tree of an XML file. Raises ValueError or SyntaxError for what is none."""
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise ValueError("it declares entities")
    return ElementTree.fromstring(text)  # decoded already, whatever encoding its first line names


def _emotion(name: str) -> str:
    what = columns.meaning(name).what
    return what if what in EMOTIONS else ""


def _read_nova(path: Path, label_range: Sequence[float]) -> list[Annotation]:
    name, who, tree = _nova(path)
    emotion, data = _emotion(name), path.with_name(path.name + "~")
    if not emotion:
        raise InputError(
            f"an annotation of NOVA of {name or 'nothing'}",
            where=path,
            expected="valence or arousal",
            todo="name its scheme so, or remove the file",
        )
    kind = tree.find("scheme").get("type", "").upper()
    if kind not in SCHEME_TYPES:
        raise InputError(
            f"an annotation of NOVA of the type {kind or 'nothing'}",
            where=path,
            expected=", ".join(SCHEME_TYPES),
            todo="annotate valence and arousal in a continuous scheme, or remove the file",
        )
    what, mend = "the values of an annotation of NOVA", "save it again in NOVA"
    with errors.foreign(data, what, mend, also=(struct.error,)):
        if data.stat().st_size > sheets.MAX_BYTES:
            raise ValueError("too large")
        content, ftype = data.read_bytes(), _attribute(tree, "info", "ftype")
        rows = _binary(content, kind) if ftype.upper() == "BINARY" else _text(content)
        if kind == "CONTINUOUS":
            rate, *limits = (_of_scheme(tree, word) for word in ("sr", "min", "max"))
            if not rate > 0:
                raise ValueError(f"its scheme says a rate of {rate:g} Hz")
            values = np.array([_score(row[0]) for row in rows])
            begin, until = np.arange(len(rows)) / rate, None
        else:
            limits, labels = [-1.0, 1.0], _labels(tree) if kind == "DISCRETE" else None
            begin, until = (np.array([_score(row[column]) for row in rows]) for column in (0, 1))
            values = np.array([_of_label(row[2], labels) for row in rows])
        if not np.isfinite(begin).all() or not len(rows):
            raise ValueError("no values, or no times")
    values, notes = _scaled(values, limits, label_range, str(data))
    both = np.full((len(rows), 2), np.nan)
    both[:, EMOTIONS.index(emotion)] = values
    return [Annotation(who, both, begin, until, str(path), notes=tuple(notes))]


def _of_scheme(tree: ElementTree.Element, name: str) -> float:
    """A finite number from the scheme's XML."""
    value = float(_attribute(tree, "scheme", name))
    if not np.isfinite(value):
        raise ValueError(f"its scheme says {name}: {value}")
    return value


def _attribute(tree: ElementTree.Element, part: str, name: str) -> str:
    element = tree.find(part)
    if element is None or element.get(name) is None:
        raise ValueError(f"its {part} says no {name}")
    return element.get(name)


def _binary(content: bytes, kind: str) -> list[list]:
    """Rows of a binary file: numbers, and the text of a free scheme."""
    if kind != "FREE":
        rows = np.frombuffer(content, SAMPLE_DTYPE if kind == "CONTINUOUS" else STRETCH_DTYPE)
        return [list(row) for row in rows.tolist()]
    rows, offset = [], 0
    while offset < len(content):
        begin, until, length = FREE.unpack_from(content, offset)
        offset += FREE.size
        text = content[offset : offset + length].decode("utf-8")
        (sure,) = struct.unpack_from("<f", content, offset + length)
        rows.append([begin, until, text, sure])
        offset += length + 4
    return rows


def _text(content: bytes) -> list[list]:
    """Rows of a text file, as many cells in each."""
    lines = [line for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    rows = [line.split(";") for line in lines]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise ValueError(f"{len(row)} cells in line {number}, {len(rows[0])} in the first")
    return rows


def _score(cell) -> float:
    return sheets.number(cell, True) if isinstance(cell, str) else float(cell)


def _labels(tree: ElementTree.Element) -> dict[float, str]:
    """Names of the labels of a discrete scheme by their numbers."""
    items = tree.iter("item")
    return {_score(item.get("id", "")): item.get("name", "").strip() for item in items}


def _of_label(cell, named: Mapping[float, str] | None) -> float:
    """The value of a stretch: its text, or the name of its label, which must be a number; NaN where
    it says that nothing is labelled.
    """
    text = str(cell).strip()
    if named:
        number = _score(cell)
        if number < 0 and number not in named:
            return float("nan")
        if number not in named:
            raise ValueError(f"the label {text} is not among those of its scheme")
        text = named[number]
    if text.lower() in NO_LABEL_NAMES:
        return float("nan")
    value = sheets.number(text, True)
    if value != value:
        raise ValueError(f"the label {text[:80]!r} is no number")
    return value
