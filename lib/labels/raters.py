"""Which columns of a label table hold ratings, and by which annotator.

A column of valence or arousal belongs to a named annotator, to an unnamed one, or is derived from
other columns: their mean, a smoothed form, their spread. Only original ratings count; unused
columns are reported.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..metrics import EMOTIONS
from . import cells, columns
from .sheets import Sheet

EXPECTED_COLUMNS = "valence and arousal, or valence_<annotator>, arousal_<annotator>"
# Beside valence or arousal these words mean spread or confidence, not values.
SPREAD_WORDS = {
    *("std", "stdev", "stddev", "stdeviation", "standarddeviation", "var", "variance", "sem"),
    *("stderr", "standarderror", "minimum", "maximum", "range", "iqr", "count"),
    *("confidence", "conf", "certainty", "agreement", "delta", "velocity", "slope"),
}
# Statistics, too, unless other columns name annotators: beside Anna, Max is a person.
INITIALS = {"sd", "se", "ci", "cv", "n", "min", "max"}
EXTREMES = {"min", "max"}  # never people when both occur
GATE = "gate"  # of our own predictions: valence_gate_pixels
# Values of no particular annotator: they count if there is nothing else.
VERSION_WORDS = {
    *("mean", "avg", "average", "median", "gold", "goldstandard", "consensus", "final", "label"),
    *("raw", "smooth", "smoothed", "filtered", "interpolated", "resampled", "scaled", "z"),
    *("zscore", "normalized", "normalised", "derived", "pred", "predicted", "prediction"),
    *("gt", "groundtruth", "orig", "original"),
}


class Claim(NamedTuple):
    """A column (its number from 0; or a tier by its name) that claims to hold an emotion, and whose
    values it holds.
    """

    emotion: str
    annotator: str
    place: int | str


def annotators(table: Sheet, known: bool) -> tuple[dict[str, dict[str, int]], list[str]]:
    """annotator -> emotion -> number of the column; and notes on columns that are not used.

    known : whether another column tells the rows' times. Raises InputError if no column is of
    valence or arousal, if two mean the same, or if one might be a time.
    """
    claims, strange = _claims(table, known)
    claims, dropped = _counted(table, claims)
    if not claims:
        raise InputError(
            "no column of valence or arousal",
            where=f"{table.path}:{table.header_line}",
            expected=EXPECTED_COLUMNS,
            todo="correct the header line; a file of one of both is called <trial>_valence.csv or "
            "lies in a folder valence",
        )
    by_annotator: dict[str, dict[str, int]] = {}
    for emotion, annotator, index in claims:
        _refuse_two(table, emotion, by_annotator.get(annotator, {}).get(emotion), index)
        by_annotator.setdefault(annotator, {})[emotion] = index
    notes = ["X taken as valence, Y as arousal"] if cells.axes(table) else []
    if strange:
        notes.append(f"columns not understood and not used: {', '.join(strange[:8])}")
    if dropped:
        names = ", ".join(table.names[claim.place] for claim in dropped[:8])
        notes.append(f"no annotator's values, and not used: {names}")
    return by_annotator, notes


def averaged_earlier(table: Sheet) -> bool:
    """Whether earlier versions counted columns as annotators' that are not counted now, or used the
    last of two that are refused now.
    """
    claims, _ = _claims(table, True)
    twice = len({claim[:2] for claim in claims}) < len(claims)
    try:
        return twice or bool(_beside_ratings(table)) or bool(_counted(table, claims)[1])
    except InputError:
        return True


def emotion_of(table: Sheet) -> str:
    """ "valence" or "arousal" if a table's file, folder or settings say that it is of one."""
    return _emotion_of_file(table.path) or _emotion_of_settings(table)


def _claims(table: Sheet, known: bool) -> tuple[list[Claim], list[str]]:
    """Columns of emotions, and the names of columns that are not understood."""
    emotion, darma = emotion_of(table), cells.axes(table)
    beside = _beside_ratings(table)
    claims, strange = [], []
    for index, (name, column) in enumerate(zip(table.names, table.kinds, strict=True)):
        if column.what in EMOTIONS:
            claims.append(Claim(column.what, column.annotator, index))
        elif index in darma:
            claims.append(Claim(darma[index], "", index))
        elif column.what == "rating" and emotion:
            claims.append(Claim(emotion, "", index))
        elif column.what in ("end", "duration"):
            _refuse_time(table, index, known)
        elif column.what in ("unknown", "index", "rating", "remark"):
            _refuse_time(table, index, known)
            if emotion and column.what == "unknown" and index not in beside:
                claims.append(Claim(emotion, name, index))
            elif column.what in ("unknown", "rating") or (not name and _has_content(table, index)):
                strange.append(_called(table, index))
    return [_of_copy(table, claim, claims) for claim in claims], strange


def _has_content(table: Sheet, index: int) -> bool:
    """Whether a column holds more than the numbers of its rows, as an index has them."""
    return any(table.texts(index)) and not _counts(_numbers(table, index))


def _called(table: Sheet, index: int) -> str:
    """A column's name, or its number from 1 where it has none."""
    return table.names[index] or f"column {index + 1} (without a name)"


_COPY = re.compile(rf"({'|'.join(EMOTIONS)})\.\d+", re.IGNORECASE)


def _of_copy(table: Sheet, claim: Claim, claims: list[Claim]) -> Claim:
    """A claim of ``valence.1`` beside ``valence`` is nobody's: so pandas names the second of two
    columns that are called alike.
    """
    copied = _COPY.fullmatch(table.names[claim.place].strip())
    beside = any(other.emotion == claim.emotion and not other.annotator for other in claims)
    return claim._replace(annotator="") if copied and beside else claim


def _beside_ratings(table: Sheet) -> list[int]:
    """In a table of one emotion, columns that are not understood beside a column called rating;
    without such a column they are annotators.
    """
    emotion, kinds = emotion_of(table), [column.what for column in table.kinds]
    if not emotion or not {"rating", emotion} & set(kinds):
        return []
    return [index for index, what in enumerate(kinds) if what == "unknown" and table.names[index]]


def _counted(table: Sheet, claims: list[Claim]) -> tuple[list[Claim], list[Claim]]:
    """`counted`. Raises InputError if there are only several derived forms of the same values."""
    kept, dropped = counted(claims)
    for emotion in EMOTIONS:
        versions = [
            claim for claim in kept if claim.emotion == emotion and _word(claim) in VERSION_WORDS
        ]
        if len(versions) > 1:
            _refuse_two(table, emotion, versions[0].place, versions[1].place)
    return kept, dropped


def counted(claims: list[Claim]) -> tuple[list[Claim], list[Claim]]:
    """Claims that count; claims of spread; claims of other derived forms of the same values."""
    words = {_word(claim) for claim in claims}
    names = words - SPREAD_WORDS - VERSION_WORDS - INITIALS - {""}
    spread = SPREAD_WORDS | INITIALS
    if names:
        spread = SPREAD_WORDS | EXTREMES if words >= EXTREMES else SPREAD_WORDS
    valued = [claim for claim in claims if _word(claim) not in spread and not _is_gate(claim)]
    originals = [claim for claim in valued if _word(claim) not in VERSION_WORDS]
    rated = {claim.emotion for claim in originals}
    kept = [claim for claim in valued if claim in originals or claim.emotion not in rated]
    return kept, [claim for claim in claims if claim not in kept]


def _word(claim: Claim) -> str:
    return re.sub(r"[\W_]+", "", claim.annotator.lower())


def _is_gate(claim: Claim) -> bool:
    return bool(re.match(rf"{GATE}[\s_.]", claim.annotator.lower()))


def _refuse_two(table: Sheet, emotion: str, first: int | None, second: int) -> None:
    """Raise InputError if two columns claim to be the same values."""
    if first is None:
        return
    raise InputError(
        f"two columns of {emotion}, and nothing tells which one counts: {table.names[first]!r} "
        f"(column {first + 1}) and {table.names[second]!r} (column {second + 1})",
        where=f"{table.path}:{table.header_line}",
        expected=EXPECTED_COLUMNS,
        todo="remove one of both, or name them after their annotators",
    )


def _refuse_time(table: Sheet, index: int, known: bool) -> None:
    """Raise InputError if a column that is not understood might be a time, and no other column
    tells times.
    """
    name, column = table.names[index], table.kinds[index]
    if known:
        return
    _refuse_pictures(table, index)
    # An end or a duration alone does not tell where a stretch begins.
    alone = column.what in ("end", "duration") and len(table.rows) > 1
    like_time = column.what == "unknown" and columns.might_be_time(name)
    numbers = _numbers(table, index)
    counts = column.what in ("index", "remark") and _counts(numbers)
    if alone or like_time or (_rises(numbers) and not counts):
        called = f"the column {name!r}" if name else _called(table, index)
        raise InputError(
            f"{called} may be a time, and is not understood",
            where=f"{table.path}:{table.header_line}",
            expected="time (s), time_ms, start and end, or frame",
            todo="give it one of these names",
        )


def has_unnamed_time(table: Sheet) -> bool:
    """Whether a column without a name rises as times do, which earlier versions passed over."""
    unnamed = (_numbers(table, index) for index, name in enumerate(table.names) if not name)
    return any(_rises(numbers) and not _counts(numbers) for numbers in unnamed)


def _numbers(table: Sheet, index: int) -> np.ndarray:
    """A column, (n,) float64, times as on a clock in s; NaN where a cell is neither."""
    return np.array([cells.seconds(table, text) for text in table.texts(index)])


def _rises(numbers: np.ndarray) -> bool:
    return len(numbers) > 2 and bool((np.diff(numbers) > 0).all())


def _counts(numbers: np.ndarray) -> bool:
    """Whether a column numbers its rows."""
    return bool((np.diff(numbers) == 1).all())


_PICTURE = re.compile(r"(?:.*\D)?(\d+)\.(?:jpe?g|png|bmp|tiff?|webp)", re.IGNORECASE)


def _refuse_pictures(table: Sheet, index: int) -> None:
    """Raise InputError if a column names pictures by frame numbers that are not consecutive: such a
    table does not have one row per frame.
    """
    texts = table.texts(index)
    matches = [_PICTURE.fullmatch(text) for text in texts]
    if len(texts) < 2 or not all(matches):
        return
    numbers = np.array([int(match[1]) for match in matches])
    wrong = np.diff(numbers, prepend=numbers[0] - 1) != 1
    wrong[0] = numbers[0] > 1
    cells.refuse(
        table,
        wrong,
        f"the pictures in column {table.names[index]} are not one per frame, in a row",
        "a column frame with their numbers, from 1",
        "add that column",
    )


def _emotion_of_file(path: Path) -> str:
    folder, stem = path.parent.name.lower(), path.stem.lower()
    return next(
        (name for name in EMOTIONS if folder == name or re.search(rf"[_.\- ]{name}$", stem)), ""
    )


EMOTION_WORDS = {
    "valence": ("valence", "pleasan", "positive", "negative"),
    "arousal": ("arousal", "activ", "calm", "excite"),
}


def _emotion_of_settings(table: Sheet) -> str:
    """The emotion of a rating if the labels of its scale tell it."""
    text = " ".join(value.lower() for key, value in table.settings.items() if "label" in key)
    said = [name for name, words in EMOTION_WORDS.items() if any(word in text for word in words)]
    return said[0] if len(said) == 1 else ""
