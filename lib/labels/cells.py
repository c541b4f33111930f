"""Cells of a label table: times, frame numbers, values and their scale. Errors name the line."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import numpy as np

from .. import parameters
from ..errors import InputError
from ..metrics import EMOTIONS
from . import collisions, official, sheets, timecodes
from .annotators import Annotation
from .sheets import Sheet

DARMA = (-100.0, 100.0)  # its axes (Girard and Wright 2018, doi:10.3758/s13428-017-0915-5)
TIME_WORDS = {
    **{"time": "times", "start": "starts", "end": "ends", "duration": "durations"},
    "frame": "frame numbers",
}
# different frame numbers from which they are compared with times; how far these may be from a
# steady rate without a note, more than any rounding
COMPARED, MISFIT_SECONDS = 10, 0.1
AGAIN = (
    "correct that line; where the rows of another annotator begin there, add a column annotator, "
    "or write a file for each"
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d ")  # a time in Excel has a date, which means nothing
_HUNDREDTHS = re.compile(r"(?:\d+:)?\d{1,3}:\d\d[.,](\d\d)")
FRAME_RATE = 30  # frames per second that films have at most, but for few
# hours:minutes:seconds; pandas writes 0 days 00:01:02.500000
_CLOCK = re.compile(r"(?:0 days )?(?:(\d+):)?(\d{1,3}):(\d{1,2}(?:[.,]\d+)?)")


class When:
    """When the rows of a table are.

    time, until, frame : as in `Annotation`. notes : what was done. known : whether the table tells
        times or frames.
    """

    def __init__(self, table: Sheet):
        self.table, self.notes = table, told_of_others(table, TIME_WORDS)
        self.time = self.until = self.frame = None
        places: dict[str, int] = {}
        for index, column in enumerate(table.kinds):
            places.setdefault(column.what, index)
        start = places.get("start")
        if start is not None and ("end" in places or "duration" in places):
            self.time = times(table, start)
            ends = times(table, places.get("end", places.get("duration")))
            self.until = ends if "end" in places else self.time + ends
            wrong = self.until <= self.time
            refuse(table, wrong, "an utterance that ends before it begins", "start before end")
        elif (index := places.get("time", start)) is not None:
            self.time = times(table, index)
            if "frame" in places:
                self._compare(places["frame"], index)
        elif "frame" in places:
            self._frames(places["frame"])
        self.notes += told_of_codes(table)
        self.known = self.time is not None or self.frame is not None

    @property
    def starts(self) -> np.ndarray | None:
        """The sort key of the rows: their times, or else their frame numbers."""
        return self.frame if self.time is None else self.time

    def _frames(self, column: int) -> None:
        numbers = values_of(self.table, column)
        refuse(self.table, numbers % 1 != 0, "a frame number that is not whole", "1, 2, 3, …")
        if len(numbers) and numbers.min() == 0:
            self.notes.append(f"frames counted from 0 (line {self.table.lines[0]})")
            numbers = numbers + 1
        wrong = np.abs(numbers) > 1e9
        refuse(self.table, wrong, "a frame number of no video", "rising, from 1")
        self.frame = numbers.astype(np.int64) - 1

    def _compare(self, frame: int, time: int) -> None:
        """A note where frame numbers, which do not count beside times, do not fit them."""
        texts = self.table.texts(frame)
        numbers = np.array([sheets.number(text, self.table.mark != ",") for text in texts])
        known = np.isfinite(numbers)
        if len(set(numbers[known])) < COMPARED:
            return
        slope, first = np.polyfit(numbers[known], self.time[known], 1)
        off = np.abs(self.time[known] - first - slope * numbers[known]).max()
        if slope <= 0 or off > max(slope, MISFIT_SECONDS):
            frame, time = self.table.names[frame], self.table.names[time]
            self.notes.append(
                f"times taken from the column {time!r}, which {frame!r} does not fit: up to "
                f"{off:.2g} s from any steady rate"
            )

    def split(
        self, values: np.ndarray, annotator: str, notes: list[str], who: list[str]
    ) -> list[Annotation]:
        """One annotation, or one of each in a column of annotators."""
        names = dict.fromkeys(who)
        chosen = {name: np.array([text == name for text in who]) for name in names}
        if not chosen:
            return [self.annotation(values, np.ones(len(values), bool), annotator, notes)]
        return [self.annotation(values, rows, name, notes) for name, rows in chosen.items()]

    def annotation(
        self, values: np.ndarray, rows: np.ndarray, annotator: str, notes: list[str]
    ) -> Annotation:
        """The chosen rows, in order, one per time."""
        notes = list(notes)
        time, until, frame = (
            part if part is None else part[rows] for part in (self.time, self.until, self.frame)
        )
        lines = np.array(self.table.lines)[rows]
        if frame is not None:
            wrong = np.zeros(len(rows), bool)
            wrong[rows] = np.diff(frame, prepend=-1) <= 0
            what = "frame numbers go back or come twice"
            refuse(self.table, wrong, what, "rising, from 1", AGAIN)
        values = values[rows]
        if time is not None:
            wrong = np.zeros(len(rows), bool)
            wrong[rows] = np.diff(time, prepend=-np.inf) < 0
            refuse(self.table, wrong, "times go back", "times that rise", AGAIN)
        if time is not None and until is None:
            time, values, remarks = collisions.merged(time, values, lines)
            notes += remarks
        elif until is not None:
            notes += collisions.overlapping(self.table, time, until, lines)
        where = str(self.table.path)
        return Annotation(annotator, values, time, until, where, frame, tuple(notes))


def told_of_others(table: Sheet, kinds: Collection[str]) -> list[str]:
    """A note for each column that says the same as an earlier one, and so is not used.

    kinds : of columns, some of `TIME_WORDS`.
    """
    first: dict[str, str] = {}
    notes = []
    for name, column in zip(table.names, table.kinds, strict=True):
        if column.what in kinds and column.what in first:
            choice = f"{first[column.what]!r}, and not {name!r}"
            notes.append(f"{TIME_WORDS[column.what]} taken from the column {choice}")
        first.setdefault(column.what, name)
    return notes


def times(table: Sheet, column: int) -> np.ndarray:
    """A column of times, (n,) s. Raises InputError, with the line, for an invalid one."""
    unit, name, texts = table.kinds[column].unit, table.names[column], table.texts(column)
    if table.frames is not None and are_codes(table, column):
        return timecodes.seconds(texts, table.frames, [*map(table.where, range(len(texts)))])
    values = np.array([seconds(table, text, unit) for text in texts])
    wrong = ~np.isfinite(values)
    is_code = wrong.any() and timecodes.is_code(texts[int(wrong.argmax())])
    what = "is no time" + (", but a time code that counts frames" if is_code else "")
    expected = "seconds, or hours:minutes:seconds as 0:01:02.5"
    _refuse_texts(table, wrong, texts, f"in column {name} {what}", expected)
    _refuse_frames_in(table, name, texts)
    return values


def are_codes(table: Sheet, column: int) -> bool:
    """Whether all times of a column are time codes that count frames. Raises InputError for
    durations in such codes: a duration is no picture.
    """
    texts = table.texts(column)
    if not texts or not all(map(timecodes.is_code, texts)):
        return False
    if table.kinds[column].what == "duration":
        raise InputError(
            f"durations as time codes that count frames: {texts[0]}",
            where=table.where(0),
            expected="a start and an end of each stretch",
            todo="add a column end, or write the durations in seconds",
        )
    return True


def told_of_codes(table: Sheet) -> list[str]:
    """A note for a table whose times are time codes."""
    if table.frames is None:
        return []
    coded = []
    for column, kind in enumerate(table.kinds):
        if kind.what in ("time", "start", "end") and are_codes(table, column):
            coded += table.texts(column)
    return [timecodes.told(coded, table.frames)] if coded else []


def seconds(table: Sheet, text: str, unit: float = 1.0) -> float:
    """A cell as a time in s: as on a clock, or a number of this unit (s); NaN for neither."""
    match = _CLOCK.fullmatch(text if table.mark else _DAY.sub("", text, count=1))
    if not match:
        return unit * sheets.number(text, table.mark != ",")
    hours, minutes, rest = match.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes) + float(rest.replace(",", "."))


def _refuse_frames_in(table: Sheet, name: str, texts: list[str]) -> None:
    """Raise InputError for times as 00:00:01.24 whose last digits are frames rather than hundredths
    of a second, which would not all stay below a frame rate.
    """
    if not count_frames(texts):
        return
    raise InputError(
        f"the times of column {name} never go beyond .{FRAME_RATE - 1} of a second: as it seems, "
        "their last two digits count frames",
        where=f"{table.path}:{table.lines[0]}",
        expected="seconds, or hours:minutes:seconds as 0:01:02.5",
        todo="write frames behind a colon, 0:01:02:12; hundredths with a third digit, .240",
    )


def count_frames(texts: Sequence[str]) -> bool:
    """Whether times have two last digits, and these stay below a frame rate."""
    digits = [match[1] for text in texts if (match := _HUNDREDTHS.fullmatch(text))]
    are_enough = len(digits) >= COMPARED and len(set(digits)) > 2
    return are_enough and max(map(int, digits)) < FRAME_RATE


def values_of(table: Sheet, column: int) -> np.ndarray:
    """A column of numbers, (n,) float64, without gaps. Raises InputError with the line."""
    texts = table.texts(column)
    values = np.array([sheets.number(text, table.mark != ",") for text in texts])
    name = table.names[column]
    _refuse_texts(table, ~np.isfinite(values), texts, f"in column {name} is no number", "a number")
    return values


GAPS = {
    *("", "nan", "na", "n/a", "null", "none", "nil", "-", "--", ".", "?", "missing"),
    *("find_failed", "fit_failed"),  # of FaceReader: no face
    *("#n/a", "#nv", "#wert!", "#value!", "#div/0!", "#num!", "#zahl!", "#ref!", "#bezug!"),
}
PLAIN_GAPS = ("", "nan", "na", "null")  # gaps that need no note


def in_range(
    table: Sheet, column: int, label_range: Sequence[float] = ()
) -> tuple[np.ndarray, list[str]]:
    """A column of values in −1…1, (n,) float64, NaN where unlabelled; and notes of what was done.

    Raises InputError, with the line, for a value that is no number or out of range.
    """
    texts = table.texts(column)
    gaps = np.array([text.lower() in GAPS for text in texts])
    values = np.array([sheets.number(text, table.mark != ",") for text in texts])
    name, notes = table.names[column], []
    wrong = ~gaps & ~np.isfinite(values)
    _refuse_texts(table, wrong, texts, f"in column {name} is no number", "a number, or empty")
    odd = [row for row, text in enumerate(texts) if gaps[row] and text.lower() not in PLAIN_GAPS]
    if odd:
        told = f"{texts[odd[0]]} in {len(odd)} cells of {name} counts as unlabelled"
        notes.append(f"{told} (first: line {table.lines[odd[0]]})")
    values[gaps] = np.nan
    limits, told = limits_of(table, label_range, table.kinds[column].scale)
    unlabelled = ""
    if not limits[0] <= official.UNLABELLED <= limits[1]:
        values[values == official.UNLABELLED] = np.nan
        unlabelled = f"{span([official.UNLABELLED])} or "
    wrong = (values < limits[0]) | (values > limits[1])
    if wrong.any():
        low, high = np.nanmin(values), np.nanmax(values)
        what = f"{name} is out of {span(limits)}: from {low:g} to {high:g}"
        refuse(
            table,
            wrong,
            what,
            f"valence and arousal in {span(limits)}, {unlabelled}empty where unlabelled",
            "correct that line; of another scale set `label_range` to its lowest and highest "
            "value, as [1, 9]",
        )
    return scaled(values, limits), notes + told


def scaled(values: np.ndarray, limits: Sequence[float]) -> np.ndarray:
    """Values of a scale mapped to −1…1; unchanged where it is that one."""
    low, high = limits
    return values if (low, high) == (-1, 1) else 2 * (values - low) / (high - low) - 1


def mapped(
    values: np.ndarray, limits: Sequence[float], label_range: Sequence[float], where: str
) -> tuple[np.ndarray, list[str]]:
    """Values of a scale mapped to −1…1, and a note on it; see `in_range`."""
    chosen = chosen_limits(label_range) or tuple(limits)
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
    if not chosen[0] < chosen[1] or low < chosen[0] or high > chosen[1]:
        raise InputError(
            f"values out of {span(chosen)}: from {low:g} to {high:g}",
            where=where,
            expected=f"valence and arousal in {span(chosen)}",
            todo="correct them, or set `label_range` to their scale's lowest and highest value",
        )
    notes = [] if chosen == (-1, 1) else [f"{span(chosen)} mapped to −1…1"]
    return scaled(values, chosen), notes


def limits_of(
    table: Sheet, label_range: Sequence[float], named: Sequence[float] = ()
) -> tuple[tuple[float, float], list[str]]:
    """Lowest and highest value of the scale, and a note where it is not −1…1.

    named : the scale that a column's name tells.
    """
    said = table.settings
    low, high = (sheets.number(said.get(f"{word} value", "")) for word in ("minimum", "maximum"))
    size = sheets.number(said.get("magnitude", ""))
    if size == size:
        low, high = -size, size
    limits, why = (low, high), "as the file says"
    if axes(table) and not low < high:
        limits, why = DARMA, "DARMA's own scale, as the file says no other"
    if named:
        limits, why = tuple(named), "as the column's name says"
    if chosen := chosen_limits(label_range):
        other = named and tuple(named) != chosen
        told = f", though the column's name says {span(named)}" if other else ""
        limits, why = chosen, f"label_range{told}"
    if not (limits[0] < limits[1] and np.isfinite(limits).all()):
        limits = (-1.0, 1.0)
    return limits, [] if limits == (-1, 1) else [f"{span(limits)} mapped to −1…1 ({why})"]


def chosen_limits(label_range: Sequence[float]) -> tuple[float, ...]:
    """The scale in the parameter `label_range`; () if it is empty. Raises InputError for an invalid
    scale.
    """
    if problems := parameters.no_scale(label_range):
        raise InputError(problems[0], where="the parameters")
    return tuple(map(float, label_range))


def axes(table: Sheet) -> dict[int, str]:
    """Columns X and Y of DARMA: number of the column -> emotion. Beside columns called valence or
    arousal they mean something else, such as where a person looks.
    """
    names, kinds = [name.strip().lower() for name in table.names], {c.what for c in table.kinds}
    if not {"x", "y"} <= set(names) or "time" not in kinds or kinds & set(EMOTIONS):
        return {}
    return {names.index("x"): "valence", names.index("y"): "arousal"}


def span(limits: Sequence[float]) -> str:
    """A scale in words: −1…1."""
    return "…".join(f"{limit:g}".replace("-", "−") for limit in limits)


def refuse(
    table: Sheet, wrong: np.ndarray, what: str, expected: str, todo: str = "correct that line"
) -> None:
    """Raise InputError for the first row that is marked wrong, with its line."""
    rows = np.flatnonzero(wrong)
    if len(rows):
        more = f", and in {len(rows) - 1} more lines" if len(rows) > 1 else ""
        raise InputError(f"{what}{more}", where=table.where(rows[0]), expected=expected, todo=todo)


def _refuse_texts(
    table: Sheet, wrong: np.ndarray, texts: list[str], what: str, expected: str
) -> None:
    if wrong.any():
        shown = texts[int(np.flatnonzero(wrong)[0])][:80]
        refuse(table, wrong, f"{shown!r} {what}", expected)
