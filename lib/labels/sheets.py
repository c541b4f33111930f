"""Read text tables as people write them -> rows under a header line, each with its line number.

Lines before the header (``sep=;``, remarks after ``#``, settings by CARMA and DARMA), any of five
separators, UTF-16, empty rows and quotation marks are accepted; skipped lines are reported.
"""

from __future__ import annotations

import contextlib
import csv
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np

from .. import errors
from ..errors import InputError
from ..files import version
from ..media import kinds
from . import columns, headless
from .columns import Column

DELIMITERS = ",;\t|"
ZIP, OLE = (
    b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
)  # first bytes of Excel's files, new and old
EXCEL = (".xlsx", ".xlsm")
MAX_BYTES = 200 << 20  # bytes of a label file: ten annotators at 100 Hz for a day need less
PREAMBLE = 60  # lines that are searched for the header
MOST_ROWS = 20_000_000
WEB_PAGE = re.compile(r"\s*<(!doctype html|html|head|body)", re.IGNORECASE)
_ERRORS = ("#n/a", "#nv")  # a spreadsheet's error values, no remarks
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


class UnevenError(InputError):
    """A row of another length than the header."""


@dataclass
class Sheet:
    """Rows under a header.

    names : of the columns, as they are written. kinds : what each is. rows : texts. lines : of the
    file, one per row, from 1. mark : the separator between columns, "" in Excel's files. settings :
    lines before the header. notes : what was skipped or corrected, in words. frames : (T,) s of the
    recording's frames, which time codes need; None where no recording is at hand.
    """

    path: Path
    names: list[str]
    rows: list[list[str]]
    lines: list[int]
    mark: str = ","
    settings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    header_line: int = 1
    frames: np.ndarray | None = None

    @property
    def kinds(self) -> list[Column]:
        return [columns.meaning(name) for name in self.names]

    def where(self, row: int) -> str:
        """File and line of a row, for a message."""
        return f"{self.path}:{self.lines[row]}"

    def texts(self, column: int) -> list[str]:
        """A column, by its number from 0."""
        return [row[column] for row in self.rows]


def kept(path: Path) -> Sheet:
    """`read`, cached while the file does not change: its form is needed before its rows."""
    try:
        of_today = version(path)
    except OSError:
        return read(path)
    return _kept(str(path), of_today)


@lru_cache(maxsize=4)
def _kept(path: str, _version: tuple) -> Sheet:
    return read(Path(path))


def read(
    path: Path, header: Callable[[Sequence[str]], bool] | None = None, skip_uneven: bool = False
) -> Sheet:
    """The table in a file: text, or the first sheet of an Excel file that has a column of labels.

    header : function that tells whether cells are the header line; default: `columns` knows some of
        them. If no line is a header, the first one counts.
    skip_uneven : note rows of another length than the header and skip them.
    Raises InputError for an empty file, a web page, a file without a header line, and for a row of
    another length than the header unless such rows are skipped.
    """
    path = Path(path)
    if path.suffix.lower() in EXCEL:
        return _of_excel(path, header or names_labels)
    text = read_text(path)
    if WEB_PAGE.match(text):
        raise InputError(
            "the page of a web site and no table: a download that failed",
            where=f"{path}:1",
            expected="a header line, then rows",
            todo="fetch the file again, signed in where that is needed",
        )
    with errors.foreign(path, "a table", "write the file again"):
        return _sheet(path, text, header or names_labels, skip_uneven)


def names_labels(cells: Sequence[str]) -> bool:
    """Whether the cells of a line name columns of labels: a rated quantity, and perhaps times. A
    line of settings (``Video File,Annotator,Start``) rates nothing. Names of coded events count,
    too, lest one of their rows be taken for the header.
    """
    if columns.name_events(cells):
        return True
    meanings = [columns.meaning(cell) for cell in cells]
    column_kinds = [kind.what for kind in meanings]
    known = [what for what in column_kinds if what not in ("unknown", "remark", "index")]
    axes = {"x", "y"} <= {cell.strip().lower() for cell in cells}
    valued = bool({"valence", "arousal", "expression", "rating"} & set(known))
    # "Valence of Anna", alone in its line, is a title.
    one_alone = column_kinds in (["valence"], ["expression"]) and not meanings[0].annotator
    return (valued and len(known) > 1) or bool(known and axes) or one_alone


def is_prose(path: Path) -> bool:
    """Whether a text is no table but, for example, notes or a transcript with a recording's name:
    none of its first lines names labels, and most are no rows of numbers. Raises InputError as
    `read_text` does.
    """
    text = read_text(path)
    lines = [line for line in text.split("\n")[:PREAMBLE] if line.strip()]
    cells = [[cell.strip().strip("'\"") for cell in line.split(_mark(line))] for line in lines]
    known = any(names_labels(row) or _names_one(row) for row in cells)
    known = known or 2 * sum(map(_is_row, cells)) >= len(cells)
    known = known or any(_by_blanks(lines, row, names_labels) for row in range(len(lines)))
    return not WEB_PAGE.match(text) and not known


def _names_one(cells: Iterable[str]) -> bool:
    """Whether a cell is by itself the name of something that is labelled."""
    names = {columns.meaning(cell).what for cell in cells if " " not in cell}
    return bool(names & {"valence", "arousal", "expression"})


def _is_row(cells: Sequence[str]) -> bool:
    """Whether at least half of the cells are numbers."""
    return 2 * sum(number(cell, True) == number(cell, True) for cell in cells) >= len(cells)


def read_text(path: Path) -> str:
    """A file as text with plain line ends: UTF-8, UTF-16, or else Windows-1252, as spreadsheets
    write it. Raises InputError if it is no text, empty or too long.
    """
    path = Path(path)
    with errors.foreign(path, "a text file", "fetch the file again"):
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_BYTES else b""
    if not content.strip():
        what = f"a file of {size} bytes" if size > MAX_BYTES else "the file is empty"
        expected = (
            f"at most {MAX_BYTES >> 20} MiB" if size > MAX_BYTES else "a header line, then rows"
        )
        raise InputError(what, where=path, expected=expected, todo="write the file again")
    if content.startswith(ZIP):
        raise InputError(
            "an Excel file, or another archive, under the name of a text",
            where=path,
            expected="labels as text",
            todo="call it .xlsx if it is one, or save it as CSV",
        )
    text = _decoded(content)
    if "\x00" in text:
        raise InputError(
            "not a text file (it holds bytes that are no signs)",
            where=path,
            expected="labels as text",
            todo="fetch the file again",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n \t")


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    if content[1:2] == b"\x00" or content[:1] == b"\x00":  # UTF-16 without a byte-order mark
        return content.decode("utf-16-le" if content[1:2] == b"\x00" else "utf-16-be", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def number(text: str, decimal_comma: bool = False) -> float:
    """A number as people write it, with a decimal comma if the separator allows it; NaN for text
    that is no finite number.
    """
    text = text.strip().strip("'\"").replace("−", "-")
    if decimal_comma or re.fullmatch(r"[+-]?\d+,\d+", text):
        text = text.replace(",", ".")
    return float(text) if _NUMBER.fullmatch(text) else float("nan")


def _sheet(path: Path, text: str, header: Callable, skip_uneven: bool) -> Sheet:
    lines = text.split("\n")
    if table := _headless(path, lines, header):
        return table
    start, mark, settings, notes = _header(path, lines, header)
    names = [name.strip() for name in next(csv.reader([_bare(lines[start])], delimiter=mark))]
    sheet, below = Sheet(path, names, [], [], mark, settings, notes, start + 1), lines[start + 1 :]
    reader, line = csv.reader(_quoted(sheet, below), delimiter=mark), start + 1
    inner: set[int] = set()  # lines that are told otherwise, or of a row but for its first
    uneven: list[str] = []
    try:
        for cells in reader:
            first, line = line + 1, start + 1 + reader.line_num
            if first < line:
                _judge_quotation(sheet, lines[first - 1 : line], first)
                inner.update(range(first + 1, line + 1))
            try:
                _add(sheet, [cell.strip() for cell in cells], first)
            except UnevenError as error:
                if not skip_uneven:
                    raise
                uneven.append(f"line {first}: {error.what}")
                inner.add(first)
    except csv.Error as error:
        raise InputError(
            f"a line that cannot be parted into cells ({error})",
            where=f"{path}:{line + 1}",
            expected="cells of at most 131072 signs",
            todo="correct that line",
        ) from error
    _tell_empty(sheet, len(below), inner)
    if uneven:
        count = "1 line is" if len(uneven) == 1 else f"{len(uneven)} lines are"
        sheet.notes.append(f"{count} skipped (first: {uneven[0]})")
    return sheet


def _headless(path: Path, lines: Sequence[str], header: Callable) -> Sheet | None:
    """A table that its program writes without a header line; None for another one."""
    if (found := headless.read(lines)) is None:
        return None
    names = list(found.names)
    if "text" in names and not header(names):  # in a file of valence the text is its value
        names[names.index("text")] = "rating"
    first = found.lines[0]
    return Sheet(path, names, found.rows, found.lines, "\t", {}, [found.note], first)


def _quoted(sheet: Sheet, lines: Sequence[str]) -> Iterator[str]:
    """The lines of a table with their line ends, which belong to a cell in quotation marks that has
    several lines. Between tabs texts mostly stand without quotation marks: one that begins a cell
    and would take the next cells or rows into it is a sign of the text, which a note says.
    """
    stray = []
    for index, line in enumerate(lines):
        if sheet.mark == "\t" and '"' in line and _is_stray(sheet, lines, index):
            stray.append(sheet.header_line + 1 + index)
            line = "\t".join('"{}"'.format(cell.replace('"', '""')) for cell in line.split("\t"))
        yield f"{line}\n"
    if stray:
        count = "1 line" if len(stray) == 1 else f"{len(stray)} lines"
        sheet.notes.append(
            "quotation marks that enclose no cell are read as signs of the text "
            f"({count}, first: line {stray[0]})"
        )


def _is_stray(sheet: Sheet, lines: Sequence[str], index: int) -> bool:
    """Whether a line has all cells only if its quotation marks enclose none, and what follows is
    another row, not the rest of its last cell.
    """
    if not _is_whole(sheet, lines[index]):
        return False
    try:
        cells = next(csv.reader([lines[index]], delimiter=sheet.mark, strict=True))
    except csv.Error:  # one is not closed, or text follows the closing one
        following = next(filter(str.strip, islice(lines, index + 1, None)), "")
        return not following or _is_whole(sheet, following)
    return len(cells) < len(sheet.names)


def _is_whole(sheet: Sheet, line: str) -> bool:
    """Whether a line, parted at each separator, has as many cells as the header."""
    width = len(sheet.names)
    cells = line.split(sheet.mark)
    return len(cells) >= width and not any(cells[width:])


def _judge_quotation(sheet: Sheet, lines: Sequence[str], first: int) -> None:
    """Raise InputError where a row has several lines because of a quotation mark that encloses no
    cell: rows after it would be the text of that cell. Where it does enclose one, but every line
    would be a row by itself, a note says so.
    """
    last = first + len(lines) - 1
    try:
        list(csv.reader((f"{line}\n" for line in lines), delimiter=sheet.mark, strict=True))
    except csv.Error as error:
        raise InputError(
            "a cell that begins with a quotation mark and does not end with one: "
            f"{lines[0][:80]!r}",
            where=f"{sheet.path}:{first}",
            expected='texts as "he said ""yes"""',
            todo="close it, or take the mark out",
        ) from error
    if all(_is_whole(sheet, line) for line in lines):
        sheet.notes.append(
            f"lines {first} to {last} are one row: a cell of several lines in quotation marks"
        )


_ENCLOSED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\"[^\"]*\"")


def _header(
    path: Path, lines: list[str], header: Callable
) -> tuple[int, str, dict[str, str], list[str]]:
    """(number of the header line from 0, separator, settings before it, notes)."""
    separator, settings, first = "", {}, None
    for index, line in enumerate(lines[:PREAMBLE]):
        if match := re.fullmatch(r'"?sep=(.)"?', line.strip(), re.IGNORECASE):
            separator = match[1]
            continue
        if not line.strip() or (
            _is_remark(line) and not _is_header_after_sign(lines, index, header)
        ):
            continue
        mark = separator if separator in DELIMITERS and separator else _mark(line)
        cells = _cells(_bare(line), mark)
        _refuse_blanks(path, lines, index, header)
        if header(cells):
            return index, mark, settings, _before(index, separator)
        first = index if first is None else first
        if _is_data(cells):
            break
        if len(cells) > 1:
            settings[cells[0].lower()] = cells[1]
    if first is None:
        raise InputError(
            "only remarks and empty lines",
            where=path,
            expected="a header line, then rows",
            todo="write the file again",
        )
    return first, separator or _mark(lines[first]), {}, _before(first, separator)


def _cells(line: str, mark: str | None) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(mark)]


def _is_remark(line: str) -> bool:
    is_quoted = re.fullmatch(r'"#[^"]*"', line.strip())  # of ELAN: "#file:///C:/anna.mp4"
    return line.lstrip().startswith("#") or bool(is_quoted)


def _bare(line: str) -> str:
    """A line of names without the sign of a remark before it, as NumPy's savetxt writes it."""
    return line.lstrip().lstrip("#").lstrip() if _is_remark(line) else line


def _is_header_after_sign(lines: Sequence[str], index: int, header: Callable) -> bool:
    """Whether a remark names the columns: the next line has as many, all of them numbers."""
    names = _bare(lines[index])
    below = lines[index + 1] if index + 1 < len(lines) else ""
    mark = _mark(names) if any(mark in below for mark in DELIMITERS) else None
    cells, numbers = _cells(names, mark), _cells(below, mark)
    known = [number for number in numbers if number.lower() not in ("", "nan")]
    return len(cells) == len(numbers) and bool(known) and _is_data(known) and header(cells)


def _by_blanks(lines: Sequence[str], row: int, header: Callable) -> bool:
    """Whether a line is a header, and the next one numbers, whose columns only blanks part."""
    below = lines[row + 1].split() if row + 1 < len(lines) else []
    names = _bare(lines[row]).split()
    parted = any(mark in lines[row] for mark in DELIMITERS)
    if parted or len(names) < 2 or len(below) != len(names) or not _is_data(below):
        return False
    return header(names)


def _refuse_blanks(path: Path, lines: Sequence[str], row: int, header: Callable) -> None:
    """Raise InputError if names, or numbers, and the numbers in the next line are separated by
    blanks only.
    """
    if _by_blanks(lines, row, lambda cells: header(cells) or _is_data(cells)):
        raise InputError(
            "columns that are parted by blanks",
            where=f"{path}:{row + 1}",
            expected="a header as time,valence, and commas, semicolons, tabs or | between columns",
            todo="save the table as CSV",
        )


def _mark(line: str) -> str:
    """The separator that a line has most of, outside of brackets and quotation marks:
    ``time;valence [1, 9];arousal [1, 9]``.
    """
    outside = _ENCLOSED.sub("", line)
    return max(DELIMITERS, key=(outside if any(map(outside.count, DELIMITERS)) else line).count)


def _before(count: int, separator: str = "") -> list[str]:
    """What was passed over before the header; a line ``sep=;`` alone was read."""
    if count <= bool(separator):
        return []
    lines = "line 1" if count == 1 else f"lines 1 to {count}"
    return [f"{lines} before the header passed over"]


def _is_data(cells: Iterable[str]) -> bool:
    return all(number(cell, True) == number(cell, True) for cell in cells)


def _add(sheet: Sheet, cells: list[str], line: int) -> None:
    """Append a row, unless it is empty or a line of signs under the header."""
    marks = all(set(cell) <= set("%-=") for cell in cells if cell)
    if not any(cells) or marks or (cells[0].startswith("#") and cells[0].lower() not in _ERRORS):
        return
    while len(cells) > len(sheet.names) and not cells[-1]:
        cells.pop()
    if len(cells) != len(sheet.names):
        raise UnevenError(
            f"{len(cells)} columns under a header of {len(sheet.names)}",
            where=f"{sheet.path}:{line}",
            expected=f"as many as in line {sheet.header_line}, {', '.join(sheet.names)[:120]!r}",
            todo="correct that line, or the header if it is another one",
        )
    sheet.rows.append(cells)
    sheet.lines.append(line)


def _tell_empty(sheet: Sheet, lines: int, inner: Set[int] = frozenset()) -> None:
    """Note how many lines after the header are no rows, and the first of them.

    inner : lines that belong to a row which begins before them.
    """
    taken = {*sheet.lines, *inner}
    last = sheet.header_line + lines
    empty = [line for line in range(sheet.header_line + 1, last + 1) if line not in taken]
    if empty and sheet.lines:
        count = "line is" if len(empty) == 1 else "lines are"
        sheet.notes.append(f"{len(empty)} {count} no row and passed over (first: line {empty[0]})")


_PAGE, _FORMULA = re.compile(r"xl/worksheets/[^/]+\.xml"), re.compile(rb"<f[ />]")


def _of_excel(path: Path, header: Callable) -> Sheet:
    """The first sheet with a column of labels, visible ones before hidden ones; cells as text."""
    try:
        import openpyxl
    except ImportError as error:
        raise InputError(
            "an Excel file, and the package that reads it is not installed",
            where=path,
            expected="the Python package openpyxl",
            todo="pip install openpyxl, or save the table as CSV",
        ) from error
    _refuse_no_zip(path)
    damaged = (zipfile.BadZipFile, zlib.error, openpyxl.utils.exceptions.InvalidFileException)
    with errors.foreign(path, "an Excel file", "save it as CSV", also=damaged):
        with zipfile.ZipFile(path) as parts:  # a small file may unpack to gigabytes
            if sum(part.file_size for part in parts.infolist()) > MAX_BYTES:
                raise ValueError("too large")
            names = filter(_PAGE.fullmatch, parts.namelist())
            has_formulas = any(_FORMULA.search(parts.read(name)) for name in names)
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        shown = sorted(book.worksheets, key=lambda page: page.sheet_state != "visible")
        full = {page.title: rows for page in shown if (rows := _excel_rows(page))}
        book.close()
        return _of_pages(path, full, header, has_formulas)


def _of_pages(
    path: Path, full: dict[str, list[list[str]]], header: Callable, has_formulas: bool
) -> Sheet:
    """The table in the first of these sheets (name -> rows) that has a header line."""
    if not full:
        raise InputError("an Excel file without a cell", where=path, todo="write the file again")
    places = {title: _header_of(rows, header) for title, rows in full.items()}
    labelled = [title for title, place in places.items() if place is not None]
    title = labelled[0] if labelled else next(iter(full))
    place = places[title] or 0
    width = max((n + 1 for n, name in enumerate(full[title][place]) if name), default=0)
    if has_formulas:
        _refuse_uncomputed(path, title, place + 2, width)
    sheet = _excel_sheet(path, full[title], place, width)
    if others := labelled[1:]:
        names = ", ".join(map(repr, others))
        read = f"read is the sheet {title!r}"
        sheet.notes.append(f"{read}; not used: labels in other sheets ({len(others)}): {names}")
    return sheet


def _refuse_uncomputed(path: Path, title: str, first_row: int, width: int) -> None:
    """Raise InputError for a formula of a table that was saved without its result, as a program
    writes it that cannot compute: its cell reads as empty, which means unlabelled.
    """
    import openpyxl

    with contextlib.ExitStack() as opened:
        pages = []
        for only_results in (False, True):
            book = openpyxl.load_workbook(path, read_only=True, data_only=only_results)
            opened.callback(book.close)
            pages.append(book[title])
            pages[-1].reset_dimensions()
        both = (page.iter_rows(min_row=first_row, max_col=width) for page in pages)
        for number_, (written, computed) in enumerate(zip(*both, strict=True), first_row):
            pairs = zip(written, computed, strict=True)
            if formula := next((str(cell.value) for cell, of in pairs if _is_open(cell, of)), ""):
                raise InputError(
                    f"the formula {formula[:80]!r} without its result",
                    where=f"{path}:{number_}",
                    expected="numbers, or formulas that a spreadsheet has computed",
                    todo="open the file in Excel or LibreOffice and save it there, or as CSV",
                )


def _is_open(cell, result) -> bool:
    """Whether a cell is a formula without a result; an empty text is one, of the type "str"."""
    return cell.data_type == "f" and result.value is None and result.data_type != "str"


def _header_of(rows: Sequence[Sequence[str]], header: Callable) -> int | None:
    """Index of the header line among the rows of a sheet, from 0; None without one."""
    return next((index for index, cells in enumerate(rows[:PREAMBLE]) if header(cells)), None)


def _refuse_no_zip(path: Path) -> None:
    """Raise InputError for a file called .xlsx that is of another known kind."""
    head = kinds.start(path)
    if head.startswith(OLE):
        what, todo = "an old Excel file (.xls), or one with a password", "save it as .xlsx or CSV"
    elif kinds.is_text(head):
        what, todo = "a text under the name of an Excel file", "call it .csv"
    else:
        return
    raise InputError(what, where=path, expected="an Excel file (.xlsx)", todo=todo)


def _excel_rows(page) -> list[list[str]]:
    rows = []
    page.reset_dimensions()  # some programs write A1 there, whatever the sheet holds
    for cells in page.iter_rows(values_only=True):
        rows.append([_excel_text(cell) for cell in cells])
        if len(rows) > MOST_ROWS:
            raise ValueError("too many rows")
    while rows and not any(rows[-1]):
        rows.pop()
    return rows


def _excel_sheet(path: Path, rows: list[list[str]], header_row: int, width: int) -> Sheet:
    settings = {cells[0].lower(): cells[1] for cells in rows[:header_row] if len(cells) > 1}
    sheet = Sheet(
        path, rows[header_row][:width], [], [], "", settings, _before(header_row), header_row + 1
    )
    for number_, cells in enumerate(rows[header_row + 1 :], start=header_row + 2):
        _add(sheet, [*cells, *[""] * (width - len(cells))], number_)
    _tell_empty(sheet, len(rows) - header_row - 1)
    return sheet


def _excel_text(cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime):  # of a time, or of 1.5 that Excel took for a day in May
        return cell.isoformat(" ")
    if isinstance(cell, time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        minutes, seconds = divmod(cell.total_seconds(), 60)
        hours, minutes = divmod(int(minutes), 60)
        return f"{hours}:{minutes:02d}:{seconds:09.6f}"
    if isinstance(cell, date):
        return cell.isoformat()
    return repr(cell) if isinstance(cell, float) else str(cell).strip()
