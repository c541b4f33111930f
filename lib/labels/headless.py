"""Tables that programs write without a header line: label tracks of Audacity, ELAN's export.

A table is one of these only if all its lines are, and if its times fit each other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TRACK = re.compile(r"(\d+[.,]\d{6})\t(\d+[.,]\d{6})(?:\t(.*))?")
# What ELAN calls its forms of times, and how each is written.
CLOCK, DECIMALS, CODE, MILLISECONDS = "hh:mm:ss.ms", "ss.msec", "hh:mm:ss:ff", "msec"
_FORMS = {
    CLOCK: re.compile(r"\d\d:\d\d:\d\d\.\d{3}"),
    CODE: re.compile(r"\d\d:\d\d:\d\d[:;]\d\d"),
    MILLISECONDS: re.compile(r"\d+"),
    DECIMALS: re.compile(r"\d+(\.\d{1,3})?"),  # not whole in all rows
}
ROUNDED = 0.0015  # s by which a duration may differ from its rounded ends


@dataclass(frozen=True)
class Found:
    """A table: names of its columns, rows, the line of each from 1, and how it was read."""

    names: list[str]
    rows: list[list[str]]
    lines: list[int]
    note: str


def read(lines: Sequence[str]) -> Found | None:
    """The table in the lines of a file; None for another one."""
    return _of_audacity(lines) or _of_elan(lines)


def _of_audacity(lines: Sequence[str]) -> Found | None:
    """A label track: start, end (s) and text between tabs. Lines that begin with a backslash tell
    frequencies.
    """
    known = [(k, line) for k, line in enumerate(lines, 1) if line and not line.startswith("\\\t")]
    matches = [_TRACK.fullmatch(line) for _, line in known]
    if not known or not all(matches):
        return None
    rows = [[one[1], one[2], (one[3] or "").strip()] for one in matches]
    if any(float(begin.replace(",", ".")) > float(end.replace(",", ".")) for begin, end, _ in rows):
        return None
    note = "read as a label track of Audacity: start, end, label"
    return Found(["start", "end", "text"], rows, [k for k, _ in known], note)


def _of_elan(lines: Sequence[str]) -> Found | None:
    """ELAN's export as a table: tier, participant (if chosen), begin, end and duration (if chosen)
    in each chosen form, annotation, between tabs. Lines before it name the media.
    """
    known = [(k, line) for k, line in enumerate(lines, 1) if line.strip() and line[:2] != '"#']
    rows = [line.split("\t") for _, line in known]
    width = len(rows[0]) if rows else 0
    if any(len(row) != width for row in rows):
        return None
    forms = [_form_of(rows, column) for column in range(width)]
    if not (place := _first_place(rows, forms[:-1])):
        return None
    first, form, begin, end = place
    names = ["Tier", "Participant"][:first]
    kept = [[*row[:first], row[begin], row[end], row[-1]] for row in rows]
    shown = ", ".join([*names, f"begin, end ({form})", "annotation"]).lower()
    note = f"read as an export of ELAN without the names of its columns: {shown}"
    names += [f"Begin Time - {form}", f"End Time - {form}", "Annotation"]
    return Found(names, kept, [k for k, _ in known], note)


def _first_place(rows: Sequence[Sequence[str]], forms: Sequence[str]) -> tuple | None:
    for first in (1, 2):  # behind the tier, or the tier and the participant
        for groups in (3, 2):  # begin, end, duration; or the first two
            if place := _place(rows, forms, first, groups):
                return place
    return None


def _place(
    rows: Sequence[Sequence[str]], forms: Sequence[str], first: int, groups: int
) -> tuple[int, str, int, int] | None:
    """(first column of times, their form, column of the begin, of the end), if so many groups of
    times follow one another from that column on, and all rows confirm it.
    """
    block = forms[first:]
    size, rest = divmod(len(block), groups)
    if size < 1 or rest or "" in block or len(set(block)) != size:
        return None
    if any(block[:size] != block[k * size : (k + 1) * size] for k in range(groups)):
        return None
    form = next((form for form in (CLOCK, DECIMALS, CODE) if form in block), "")
    columns = [first + block.index(form) + k * size for k in range(groups)] if form else []
    return (first, form, *columns[:2]) if form and _fit(rows, form, columns) else None


def _form_of(rows: Sequence[Sequence[str]], column: int) -> str:
    """The form of all times of a column; "" if it holds something else."""
    for form, pattern in _FORMS.items():
        if all(pattern.fullmatch(row[column]) for row in rows):
            return form
    return ""


def _fit(rows: Sequence[Sequence[str]], form: str, columns: Sequence[int]) -> bool:
    """Whether times of a form are begins, ends and durations: decimals alone need durations."""
    if form == CODE:
        return True
    for row in rows:
        begin, end, *duration = [_seconds(row[column]) for column in columns]
        if end < begin or any(abs(end - begin - one) > ROUNDED for one in duration):
            return False
    return form == CLOCK or len(columns) > 2


def _seconds(text: str) -> float:
    whole = 0.0
    for part in text.split(":"):
        whole = 60 * whole + float(part)
    return whole
