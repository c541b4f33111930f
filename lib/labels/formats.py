"""Labels as annotation programs and data sets write them.

* ELAN: `lib.labels.elan`.
* NOVA ``<role>.<scheme>.<annotator>.annotation``: XML, and beside it the values in
  ``….annotation~``, text or binary; schemes valence and arousal, continuous (a rate of their own)
  or a stretch per row.
* AFEW-VA ``<video>.json``: ``frames`` from "00000", valence and arousal from −10 to 10 (Kossaifi et
  al. 2017, doi:10.1016/j.imavis.2017.02.001).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from .. import errors
from ..errors import InputError
from ..metrics import EMOTIONS
from . import cells, columns, elan, sheets
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
        return kind if elan.has_ratings(path) else ""
    return kind if _emotion(_nova(path)[0]) else ""


def read(path: Path, label_range: Sequence[float] = ()) -> list[Annotation]:
    """All annotators of a file, values (n, 2) in −1…1. Raises InputError for an unreadable file and
    for values out of range.
    """
    path = Path(path)
    return {"elan": elan.read, "nova": _read_nova, "afew": _read_afew}[
        SUFFIXES[path.suffix.lower()]
    ](path, label_range)


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
    values, notes = cells.mapped(values, AFEW_RANGE, label_range, str(path))
    notes.append("frames counted from 0")
    return [Annotation("", values, where=str(path), frame=number, notes=tuple(notes))]


def _number(value) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


# ---- NOVA
def _nova(path: Path) -> tuple[str, str, ElementTree.Element]:
    """Scheme, annotator and the tree of its XML."""
    text = sheets.read_text(path)
    with errors.foreign(path, "an annotation of NOVA", "save it again in NOVA"):
        tree = elan.xml_tree(text)
        scheme, meta = tree.find("scheme"), tree.find("meta")
        who = meta.get("annotator", "") if meta is not None else ""
        return scheme.get("name", ""), who, tree


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
    values, notes = cells.mapped(values, limits, label_range, str(data))
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
