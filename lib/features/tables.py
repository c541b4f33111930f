"""Tables of numbers per frame or moment, as OpenFace, openSMILE and py-feat write them.

A table has a header line; its columns are divided by commas, semicolons or tabs. A column of times
(`lib.labels.columns`: ``timestamp``, ``frameTime``, ``start`` with ``end``, …; s, or the unit that
its name tells) places the rows on the recording's clock; without one the rows are those of frames.
All other columns of numbers are features, but for those that number or judge the rows.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import InputError, some
from ..labels import columns
from ..labels.sheets import number

SUFFIXES = (".csv", ".tsv")
SEPARATORS = (";", "\t", ",")
PLACES = ("time", "start", "end", "duration", "frame", "index")  # kinds of columns
# Of OpenFace, squeezed: which face, how sure, whether it was found.
FACE, SURE, FOUND = "faceid", "confidence", "success"
SHOWN = 4  # names of columns in a sentence
UNREADABLE = (OSError, ValueError, pd.errors.ParserWarning)  # ParserError is a ValueError


@dataclass(frozen=True)
class Table:
    """Features of a table.

    rows : (n, k) float64, NaN where the table says that there is no value. names : of the k
        columns. time : (n,) s, or None for rows of frames or at a rate that is given. note : which
        columns are features, and which are not.
    """

    rows: np.ndarray
    names: list[str]
    time: np.ndarray | None
    note: str


def read(path: Path) -> Table:
    """The features of a table. Raises InputError for a file that is none, for numbers with a
    decimal comma, and for rows of several faces.
    """
    path = Path(path)
    table = _table(path)
    kinds = {name: columns.meaning(str(name)) for name in table}
    for name in table:
        _refuse_text(path, name, table[name], kinds[name].what)
    _refuse_several_faces(path, table)
    is_feature = {name: _is_feature(name, kinds[name].what, table[name]) for name in table}
    names = [name for name in table if is_feature[name]]
    if not names or not len(table):
        raise InputError(
            "a table without features: " + some(list(table), SHOWN),
            where=path,
            expected="a header line, then rows with columns of numbers",
            todo="write the features into columns with names of their own",
        )
    rows = table[names].to_numpy(np.float64)
    found = [name for name in table if columns.squeezed(str(name)) == FOUND]
    if found:  # OpenFace writes zeros, or the last face's numbers, where it finds none
        rows[table[found[0]].to_numpy() == 0] = np.nan
    note = f"{len(names)} columns: {some(names, SHOWN)}"
    if others := [name for name in table if not is_feature[name]]:
        note += f"; no features: {some(others, SHOWN)}"
    return Table(rows, names, _time(path, table, kinds), note)


def _table(path: Path) -> pd.DataFrame:
    """The table as pandas reads it, with stripped names."""
    try:
        with open(path, encoding="utf-8-sig") as stream:
            header = stream.readline()
        table = _parsed(path, max(SEPARATORS, key=header.count))
    except UNREADABLE as error:
        raise InputError(
            f"this table cannot be read ({str(error)[:80]})",
            where=path,
            expected="a header line, then rows of as many columns",
            todo="write it again, for example with pandas.DataFrame.to_csv(index=False)",
        ) from error
    table.columns = [str(name).strip() for name in table]
    if _is_numbers(table.columns):
        raise InputError(
            f"a table without a header line: {header.strip()[:80]!r}",
            where=path,
            expected="the name of each column in the first line",
            todo="write the names of the columns into the first line",
        )
    return table


def _parsed(path: Path, mark: str) -> pd.DataFrame:
    with warnings.catch_warnings():
        # Rows that are longer than the header line: pandas warns, and leaves their ends out.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            path,
            sep=mark,
            index_col=False,
            skipinitialspace=True,
            encoding="utf-8-sig",
            low_memory=False,
        )


def _is_numbers(names: pd.Index) -> bool:
    values = [number(name) for name in names]
    return all(value == value for value in values)


def _refuse_text(path: Path, name: str, values: pd.Series, what: str) -> None:
    """Raise InputError for text in which there are numbers, such as ``0,5``."""
    if pd.api.types.is_numeric_dtype(values) or what in PLACES:
        return
    for row, text in enumerate(values.dropna().astype(str)):
        value = number(text, True)
        if value == value:
            raise InputError(
                f"column {name} holds text and numbers: {text!r} in row {row + 1}",
                where=path,
                expected="numbers with a decimal point, empty cells where there is none",
                todo="write the table again with decimal points",
            )


def _refuse_several_faces(path: Path, table: pd.DataFrame) -> None:
    for name in table:
        if columns.squeezed(name) == FACE and table[name].nunique() > 1:
            raise InputError(
                f"rows of {table[name].nunique()} faces ({name})",
                where=path,
                expected="the rows of one person",
                todo=f"write a table of the rows with one {name} for each trial",
            )


def _is_feature(name: str, what: str, values: pd.Series) -> bool:
    if what in PLACES or columns.squeezed(name) in (FACE, SURE, FOUND):
        return False
    return pd.api.types.is_numeric_dtype(values)


def _time(path: Path, table: pd.DataFrame, kinds: dict[str, columns.Column]) -> np.ndarray | None:
    """(n,) s: the column of times, or the middle between start and end; None without either."""
    by_kind = {kinds[name].what: name for name in reversed(list(table))}
    places = [by_kind[what] for what in ("time",) if what in by_kind]
    if not places and {"start", "end"} <= by_kind.keys():
        places = [by_kind["start"], by_kind["end"]]
    if not places and "start" in by_kind:
        places = [by_kind["start"]]
    if not places:
        return None
    return np.mean([_seconds(path, table[name], kinds[name].unit) for name in places], axis=0)


def _seconds(path: Path, values: pd.Series, unit: float) -> np.ndarray:
    """(n,) s of numbers in `unit`, or of texts as ``0 days 00:00:01.5`` (opensmile)."""
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(np.float64) * unit
    try:
        return pd.to_timedelta(values).dt.total_seconds().to_numpy(np.float64)
    except ValueError as error:
        raise InputError(
            f"the times in column {values.name} cannot be read ({str(error)[:80]})",
            where=path,
            expected="numbers, or times such as 0 days 00:00:01.500 or 00:00:01.500",
            todo="write times in s",
        ) from error
