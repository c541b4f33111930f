"""Tables of coded events: BORIS (tabular and aggregated events) and Noldus The Observer.

A state has a row where it starts and one where it stops, or, in aggregated events, one row with
both. A point event is no stretch. Written from the public documentation of both programs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..errors import InputError
from . import cells, columns
from .columns import BEHAVIORS, EVENT_TIMES, STATUS
from .sheets import Sheet

STARTS, STOPS, POINTS = ("start", "statestart"), ("stop", "statestop"), ("point", "pointevent")
STATE = "state"
OBSERVATIONS = ("observationid", "observation")
MEDIA = ("mediafilename", "mediafilepath", "mediafile")
OFFSET = "timeoffset"


def stretches(sheet: Sheet, is_of_stretches: Callable[[Sequence[str]], bool]) -> Sheet:
    """A table of events as one of stretches, with columns start and end; another table unchanged.

    is_of_stretches : whether the names of columns have start and end already, as of aggregated
        events. Raises InputError, with the line, for a state that starts twice or stops without a
        start, for an offset of the times, and for one observation of several media.
    """
    status = _column(sheet, STATUS)
    if status is None or _column(sheet, BEHAVIORS) is None:
        return sheet
    kinds = {columns.squeezed(text) for text in sheet.texts(status)}
    is_aggregated = is_of_stretches(sheet.names)
    is_own = is_aggregated and not kinds <= {STATE, *POINTS}  # a person's own table
    if is_own or not (is_aggregated or columns.name_events(sheet.names)):
        return sheet
    _refuse_offset(sheet)
    sheet = _without_points(_with_recording(sheet))
    return sheet if is_aggregated else _paired(sheet)


def _column(sheet: Sheet, words: Sequence[str]) -> int | None:
    """The column of one of these names, the first name first."""
    names = [*map(columns.squeezed, sheet.names)]
    return next((names.index(word) for word in words if word in names), None)


def _refuse_offset(sheet: Sheet) -> None:
    """Raise InputError for an observation whose times are moved against those of its media."""
    told = [(columns.plain(name), value) for name, value in sheet.settings.items()]
    offsets = [value for name, value in told if columns.squeezed(name).startswith(OFFSET)]
    for index, name in enumerate(sheet.names):
        if columns.squeezed(name).startswith(OFFSET):
            offsets += sheet.texts(index)
    known = [text for text in offsets if text.lower() not in cells.GAPS]
    if moved := [text for text in known if cells.seconds(sheet, text) != 0]:
        raise InputError(
            f"an observation whose times have an offset: {moved[0]}",
            where=f"{sheet.path}:{sheet.header_line}",
            expected="times from the start of the recording",
            todo="take the offset off the times and write 0 in its place",
        )


def _with_recording(sheet: Sheet) -> Sheet:
    """The table with a column that names the recording: its media file, or the observation."""
    media, observation = _column(sheet, MEDIA), _column(sheet, OBSERVATIONS)
    if media is None and observation is None:
        return sheet
    if media is not None and observation is not None:
        _refuse_several_media(sheet, observation, media)
    texts = sheet.texts(observation if media is None else media)
    rows = [[text, *row] for text, row in zip(texts, sheet.rows, strict=True)]
    return replace(sheet, names=["recording", *sheet.names], rows=rows)


def _refuse_several_media(sheet: Sheet, observation: int, media: int) -> None:
    """Raise InputError for an observation whose times run through several media in a row."""
    files: dict[str, str] = {}
    for row, name in enumerate(sheet.texts(observation)):
        file = sheet.rows[row][media]
        if file and files.setdefault(name, file) != file:
            raise InputError(
                f"the observation {name} of several media: {files[name]}, {file}",
                where=sheet.where(row),
                expected="an observation of one recording, whose times count from its start",
                todo="write a table for each recording, with its own times",
            )


def _without_points(sheet: Sheet) -> Sheet:
    """The table without point events, which a note counts."""
    status = sheet.texts(_column(sheet, STATUS))
    is_point = np.array([columns.squeezed(text) in POINTS for text in status], bool)
    if not is_point.any():
        return sheet
    kept = np.flatnonzero(~is_point)
    note = (
        f"{is_point.sum()} events are points in time, no stretches, and are passed over "
        f"(first: line {sheet.lines[int(is_point.argmax())]})"
    )
    rows, lines = ([part[row] for row in kept] for part in (sheet.rows, sheet.lines))
    return replace(sheet, rows=rows, lines=lines, notes=[*sheet.notes, note])


def _paired(sheet: Sheet) -> Sheet:
    """A row per state, from the rows where it starts and stops."""
    time, status = _column(sheet, EVENT_TIMES), _column(sheet, STATUS)
    ends: dict[int, str] = {}
    opened: dict[tuple, int] = {}
    for row, text in enumerate(sheet.texts(status)):
        key = _state(sheet, row)
        if columns.squeezed(text) in STARTS:
            if key in opened:
                first = sheet.lines[opened[key]]
                raise _wrong(
                    sheet, row, f"{_shown(key)} starts, and since line {first} has no stop"
                )
            opened[key] = row
        elif columns.squeezed(text) in STOPS:
            if key not in opened:
                raise _wrong(sheet, row, f"{_shown(key)} stops, and has no start")
            ends[opened.pop(key)] = sheet.rows[row][time]
        else:
            raise _wrong(sheet, row, f"{text!r} in column {sheet.names[status]}")
    kept = [place for place in range(len(sheet.names)) if place not in (time, status)]
    names = ["start", "end", *(sheet.names[place] for place in kept)]
    rows, lines = [], []
    for row in sorted(ends):
        texts = sheet.rows[row]
        rows.append([texts[time], ends[row], *(texts[place] for place in kept)])
        lines.append(sheet.lines[row])
    notes = [f"start and end taken from the rows of {sheet.names[status]}"]
    if columns.squeezed(sheet.names[time]) != EVENT_TIMES[0]:  # of The Observer
        notes.append("times count from the start of the observation, taken for the recording's")
    if opened:
        first = sheet.lines[min(opened.values())]
        notes.append(f"{len(opened)} states never stop and are passed over (first: line {first})")
    return replace(sheet, names=names, rows=rows, lines=lines, notes=[*sheet.notes, *notes])


def _state(sheet: Sheet, row: int) -> tuple[str, ...]:
    """What distinguishes a state from others that go on at the same time: behaviour, subject,
    observation, modifiers.
    """
    words = (BEHAVIORS, ("subject",), OBSERVATIONS)
    places = [place for place in (_column(sheet, names) for names in words) if place is not None]
    names = enumerate(map(columns.squeezed, sheet.names))
    places += [place for place, name in names if name.startswith("modifier")]
    return tuple(sheet.rows[row][place] for place in places)


def _shown(state: Sequence[str]) -> str:
    return f"the state {' of '.join(filter(None, state[:2]))!r}"


def _wrong(sheet: Sheet, row: int, what: str) -> InputError:
    return InputError(
        what,
        where=sheet.where(row),
        expected="START and STOP (State start, State stop) of each state in turn, or POINT",
        todo="mend the observation in the program that wrote it, and export it again",
    )
