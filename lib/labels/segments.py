"""Segments of recordings that a person defines: turns, sentences, tasks, scenes. Here they are
called stretches.

A table with start and end (CSV, TSV, Excel) or of coded events (`lib.labels.events`), or what
programs write (`lib.labels.transcripts`, `lib.labels.json_programs`). A file is for one recording,
or has a column that names the recording; a folder holds one file per recording with the recording's
name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PureWindowsPath

import numpy as np
import pandas as pd

from ..errors import InputError
from ..files import folded, version
from ..media.frames import ends
from . import cells, columns, csv_columns, elan, events, sheets, timecodes, transcripts
from .transcripts import FIELDS

TABLES = (".csv", ".tsv", ".txt", *sheets.EXCEL)
SUFFIXES = (*TABLES, *transcripts.READERS)
RECORDING = {"recording", "video", "file", "filename", "filepath", "path", "trial", "uri", "media"}
SPEAKER = {"speaker", "speakerid", "speakername", "who", "participant"}
TEXT = {"text", "transcript", "transcription", "sentence", "words", "utterance", "content"}
TEXT |= {"annotation"}  # of ELAN's export as a table


SECONDS, CODES, UNTOLD = "s", "time codes", "s or ms"  # units of times in a file


@dataclass(frozen=True)
class Segments:
    """Stretches of one recording, in the file's order.

    table : row (line of a text file, else number of the entry, from 1), recording, start, end (s),
    speaker, text ("" if not given), then a person's own columns as texts. path : the file. notes :
    what was skipped or chosen. unit : of start and end, `SECONDS` once the recording is known
    (`placed`); before that `CODES`, as texts, or `UNTOLD`.
    """

    table: pd.DataFrame
    path: Path
    notes: tuple[str, ...] = ()
    unit: str = SECONDS


def read(path: Path) -> Segments:
    """All stretches in a file, which is read again only if it changes, since each recording asks
    for its own. Raises InputError, with the line, for unreadable content.
    """
    path = Path(path)
    return _read(path, *(version(path) if path.is_file() else ()))


@lru_cache(maxsize=1)
def _read(path: Path, *_version: int) -> Segments:
    suffix, unit = path.suffix.lower(), SECONDS
    if suffix in transcripts.READERS:
        rows, notes = transcripts.READERS[suffix](path)
        table = pd.DataFrame(rows, columns=list(FIELDS))
        unit = UNTOLD if suffix == ".json" else SECONDS
    elif suffix in TABLES:
        table, notes, unit = _of_sheet(sheets.read(path, _is_header))
    else:
        raise InputError(
            f"stretches in a file {suffix or 'without a suffix'}",
            where=path,
            expected=", ".join(SUFFIXES),
            todo="export one of these",
        )
    if table.empty:
        raise InputError(
            "no stretch is in the file",
            where=path,
            expected="rows with start and end",
            todo="write the file again, or leave `segments_path` empty",
        )
    return Segments(table, path, tuple(notes), unit)


def _is_header(names: Sequence[str]) -> bool:
    return _is_of_stretches(names) or columns.name_events(names)


def _is_of_stretches(names: Sequence[str]) -> bool:
    kinds = {columns.meaning(name).what for name in names}
    return "start" in kinds and bool(kinds & {"end", "duration"})


def _of_sheet(sheet: sheets.Sheet) -> tuple[pd.DataFrame, list[str], str]:
    sheet = events.stretches(sheet, _is_of_stretches)
    if not _is_of_stretches(sheet.names):
        raise InputError(
            f"the columns {', '.join(sheet.names)[:200]}",
            where=f"{sheet.path}:{sheet.header_line}",
            expected="start and end (or duration), in s or with a unit, as start_ms; of coded "
            "events Time or Time_Relative_sf beside Behavior and Status",
            todo="name these columns in the header",
        )
    if elan.is_export(sheet):
        elan.refuse_offset(sheet)
    kinds = [column.what for column in sheet.kinds]
    start, last = kinds.index("start"), "end" if "end" in kinds else "duration"
    taken = {start, kinds.index(last)}
    begin, until, unit, said = _spans(sheet, start, kinds.index(last))
    notes = [*sheet.notes, *cells.told_of_others(sheet, ("start", last)), *said]
    fields = {}
    for name, words in (("recording", RECORDING), ("speaker", SPEAKER), ("text", TEXT)):
        index = next(
            (k for k, column in enumerate(sheet.names) if columns.squeezed(column) in words), None
        )
        fields[name] = sheet.texts(index) if index is not None else ""
        taken.add(index)
    table = pd.DataFrame({"row": sheet.lines, "start": begin, "end": until, **fields})
    extra: dict[str, list[str]] = {}
    for index in (index for index in range(len(sheet.names)) if index not in taken):
        extra[_free(sheet.names[index], index, extra)] = sheet.texts(index)
    return table[list(FIELDS)].assign(**extra), notes, unit


def _spans(sheet: sheets.Sheet, start: int, last: int) -> tuple[Sequence, Sequence, str, list[str]]:
    """Starts and ends of the rows, their unit, and notes. last : column of ends or durations."""
    if all(cells.are_codes(sheet, column) for column in (start, last)):
        return sheet.texts(start), sheet.texts(last), CODES, []
    begin, until = cells.times(sheet, start), cells.times(sheet, last)
    until = until if sheet.kinds[last].what == "end" else begin + until
    if not (program := _program_of_milliseconds(sheet, begin, until)):
        return begin, until, SECONDS, []
    notes = [f"times taken as ms, as {program}"]
    return begin / 1000, until / 1000, SECONDS, notes


def placed(segments: Segments, frames: np.ndarray) -> Segments:
    """The stretches in s on the clock of their recording, which some files need.

    frames : (T,) s of the recording's frames. Time codes are counted in its frames; the numbers of
    a JSON file, which tells no unit, are s, or ms where they can only be these. Raises InputError
    for time codes that the recording cannot have.
    """
    table = segments.table
    begin, until = (table[name].to_numpy() for name in ("start", "end"))
    if segments.unit == CODES:
        places = [f"{segments.path}:{row}" for row in table["row"]]
        codes = [*begin, *until]
        times = timecodes.seconds(codes, frames, [*places, *places])
        begin, until = times[: len(begin)], times[len(begin) :]
        note = timecodes.told(codes, frames)
    elif segments.unit == UNTOLD and _look_like_milliseconds(begin, until):
        begin, until, note = _in_seconds(begin, until, float(ends(frames)[-1]))
    else:
        return replace(segments, unit=SECONDS)
    table = table.assign(start=begin, end=until)
    return Segments(table, segments.path, (*segments.notes, note), SECONDS)


TIMES_TOO_LONG = 10  # numbers that end so many times later than the recording are no s


def _in_seconds(
    begin: np.ndarray, until: np.ndarray, length: float
) -> tuple[np.ndarray, np.ndarray, str]:
    """Times that look like ms in s, and a note: ms if they can be nothing else in a recording of
    this length (s).
    """
    last = until.max()
    if TIMES_TOO_LONG * length < last <= 1000 * (length + 1):
        note = (
            f"times taken as ms: as s they end at {last:g} s, and the recording at {length:.2f} s"
        )
        return begin / 1000, until / 1000, note
    note = (
        f"times taken as s, though they are whole and a stretch lasts {np.median(until - begin):g} "
        "in the median; if they are ms, write a table with start_ms and end_ms"
    )
    return begin, until, note


WHISPER = ["start", "end", "text"]  # the header of its .tsv, in which times are whole ms
DATAVYU = ["ordinal", "onset", "offset"]  # begin of the header of its exports, in whole ms, too
LONGEST_SPEECH = 60.0  # median length of a stretch, s; Whisper's are 30 s at most


def _program_of_milliseconds(sheet: sheets.Sheet, begin: np.ndarray, until: np.ndarray) -> str:
    """Which program writes a table in milliseconds, which its header does not tell; "" for none."""
    if not len(begin) or not _look_like_milliseconds(begin, until):
        return ""
    if sheet.mark == "\t" and sheet.names == WHISPER:
        return "Whisper writes them into its .tsv"
    return "Datavyu writes them" if sheet.names[:3] == DATAVYU else ""


def _look_like_milliseconds(begin: np.ndarray, until: np.ndarray) -> bool:
    """Whether times are whole, and too far apart for s of speech."""
    are_whole = not (begin % 1).any() and not (until % 1).any()
    return are_whole and float(np.median(until - begin)) > LONGEST_SPEECH


# Names of columns that are computed (`lib.evaluation.segments`).
COMPUTED = re.compile(
    r"person|frames|valid_share|note|trial|expression(_share)?|"
    r".+_(mean|median|std|slope|peak)(_time)?"
)


def _free(name: str, column: int, others: Collection[str]) -> str:
    """A name for a person's own column that differs from ours and from the person's other
    columns.
    """
    name = name.strip() or f"column {column + 1}"
    if name in FIELDS or COMPUTED.fullmatch(name) or csv_columns.is_described(name):
        name = f"{name} (given)"
    return f"{name} (column {column + 1})" if name in others else name


# ---- which of them belong to a recording
def of_recording(path: Path, names: Collection[str], alone: bool) -> Segments | None:
    """The stretches of one recording in a file or a folder; None if it has none.

    names : names of the recording: trial and video. alone : whether it is the only recording in
    use; the file then belongs to it, whatever name the file contains. Raises InputError for a path
    that is not there and for a file that cannot be read, that names several recordings but not this
    one (`alone`), or none though there are others.
    """
    path = Path(path)
    if path.is_dir():
        mine = [file for file in files_in(path) if _same(file.stem, names)]
        segments = _chosen(read(mine[0]), names, True) if mine else None
        if segments is None or len(mine) == 1:
            return segments
        said = f"not used, of the same recording: {', '.join(file.name for file in mine[1:])}"
        return replace(segments, notes=(*segments.notes, said))
    return _chosen(read(existing(path)), names, alone or _same(path.stem, names))


def existing(path: Path | str) -> Path:
    """The path of a file that is there. Raises InputError for another one."""
    if not Path(path).is_file():
        raise InputError(
            "no such file or folder",
            where=path,
            expected="a table of stretches, or a folder with one for each recording",
            todo="correct segments_path, or leave it empty",
        )
    return Path(path)


def files_in(folder: Path) -> list[Path]:
    """Files of stretches in a folder, by name; the folder is listed again only if it changes."""
    return _listed(Path(folder), *version(folder))


@lru_cache(maxsize=1)
def _listed(folder: Path, *_version: int) -> list[Path]:
    files = sorted(folder.iterdir())
    return [file for file in files if file.suffix.lower() in SUFFIXES and file.is_file()]


def unused(path: Path, names: Collection[str]) -> list[str]:
    """Names of files in a folder, or of recordings in a file, that match no recording."""
    if Path(path).is_dir():
        return [file.name for file in files_in(path) if not _same(file.stem, names)]
    try:
        recordings = dict.fromkeys(read(path).table["recording"])
    except InputError:  # reported with each recording already
        return []
    known = {*names, *map(_without_blanks, names)}
    return [name for name in recordings if name and not _means(name, known)]


def _chosen(segments: Segments, names: Collection[str], is_its_own: bool) -> Segments | None:
    recordings = segments.table["recording"]
    ours = recordings.map(lambda name: _means(name, names))
    if not ours.any() and segments.path.suffix.lower() == ".rttm":  # its names have no blanks
        ours = recordings.map(lambda name: _means(name, set(map(_without_blanks, names))))
    if ours.any():
        nobody = int((recordings == "").sum())
        said = [f"passed over, as they name no recording: {nobody} rows"] if nobody else []
        table = segments.table[ours].reset_index(drop=True)
        return replace(segments, table=table, notes=(*segments.notes, *said))
    others = sorted(set(recordings) - {""})
    if not others and not is_its_own:
        raise InputError(
            "stretches that name no recording, and there are several recordings",
            where=segments.path,
            expected="a column `recording`, or a folder with a file for each recording",
            todo=f"add the column, or name files after recordings ({sorted(names)[0]}.csv)",
        )
    if not is_its_own:
        return None
    if len(others) > 1:
        raise InputError(
            f"stretches of {', '.join(others)[:200]}",
            where=segments.path,
            expected=f"some of {sorted(names)[0]}",
            todo="name the recording as its file is named",
        )
    said = [f"the file calls the recording {others[0]}"] if others else []
    return replace(segments, notes=(*segments.notes, *said))


def _without_blanks(name: str) -> str:
    """A recording's name as RTTM has it (`lib.speakers.video.rttm`)."""
    return "_".join(name.split())


def _means(name: str, names: Collection[str]) -> bool:
    """Whether a text means a recording of these names: with the suffix of its file, its folders."""
    return _same(name, names) or _same(PureWindowsPath(name).stem, names)


def _same(name: str, names: Collection[str]) -> bool:
    """Whether a name is one of these, whatever its capitals, composed and decomposed letters being
    equal.
    """
    return bool(name) and folded(str(name)) in set(map(folded, names))
