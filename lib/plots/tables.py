"""Readable tables: text left-aligned, numbers aligned by decimals, trials in natural order (1, 2,
10), nothing cut off at the page's edge.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from .. import plots
from ..metrics import EMOTIONS
from ..trials import in_people_order

LARGE = 1e15  # from which on a float has no decimals, and its digits mean nothing
DIGITS = 3  # of the largest number of a column: intervals of our scores are wider than that
# Style of the words before a table whose numbers have no meaning, and of that table.
NOTE_HTML, GREY_STYLE = "<p class='note'><b>{note}</b></p>", "color:#8a8a8a;"
# By default JupyterLab right-aligns all cells and makes all columns equally wide.
TABLE_STYLE, SMALL_STYLE = "table-layout:auto;max-width:100%;", "font-size:75%;"
MANY_COLUMNS = 10  # number of columns from which a smaller font is used
LEFT, RIGHT = "text-align:left;vertical-align:top", "text-align:right;vertical-align:top"
LONG, BREAKS = 24, ";overflow-wrap:anywhere"  # characters from which on a word may be broken


@dataclass(frozen=True)
class Shown:
    """Text, and the HTML that JupyterLab shows instead."""

    text: str
    html: str = ""

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str | None:
        return self.html or None


def table(rows: pd.DataFrame, nothing: str = "") -> Shown:
    """A readable table: no row numbers, empty cells for missing values.

    The numbers of a column have as many decimals as give its largest one `DIGITS` digits; a number
    that would be rounded to 0 has more. Trials that are sorted as text are sorted in natural order.

    nothing : the sentence that is shown if there is no row. If ``rows.attrs["note"]`` says that the
    numbers have no meaning, the note comes first, and the table is grey.
    """
    if rows.empty and nothing:
        return Shown(nothing)
    note = rows.attrs.get("note", "")
    numeric = [_is_numeric(rows.iloc[:, column]) for column in range(rows.shape[1])]
    words = _in_order(rows).apply(_as_words)
    text = words.to_string(index=False)
    page = _page(words, numeric, GREY_STYLE if note else "")
    if note:
        text, page = f"{note}\n{text}", f"{NOTE_HTML.format(note=html.escape(note))}{page}"
    return Shown(text, page)


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    by_text = "trial" in rows and rows["trial"].astype(str).is_monotonic_increasing
    return in_people_order(rows) if by_text else rows


def _is_numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _as_words(column: pd.Series) -> pd.Series:
    """A column as text; numbers with the same decimals."""
    write = _writer(column) if _is_numeric(column) else str
    words = ["" if _is_missing(value) else write(value) for value in column]
    return pd.Series(words, column.index, dtype=object)


def _is_missing(value: object) -> bool:
    missing = pd.isna(value)  # for a list pandas returns one answer per element
    return isinstance(missing, bool) and missing


def _writer(column: pd.Series) -> Callable[[float], str]:
    finite = [abs(float(value)) for value in column.dropna() if math.isfinite(value)]
    largest = max(finite, default=0.0)
    whole = all(value == int(value) for value in finite)
    decimals = 0 if whole or largest == 0 else max(0, DIGITS - 1 - math.floor(math.log10(largest)))

    def written(value: float) -> str:
        rounded = round(float(value), decimals) + 0.0  # never −0
        if (rounded == 0 and value != 0) or LARGE <= abs(value) < math.inf:
            return f"{value:.{DIGITS}g}"
        return f"{rounded:.{decimals}f}"

    return written


def _page(words: pd.DataFrame, numeric: list[bool], colour: str) -> str:
    """The table in HTML; every text in it is escaped."""
    sides = [RIGHT if is_number else LEFT for is_number in numeric]
    head = _row(words.columns, sides, "th")
    body = "".join(_row(row, sides, "td") for row in words.itertuples(index=False, name=None))
    style = colour + TABLE_STYLE + (SMALL_STYLE if len(numeric) >= MANY_COLUMNS else "")
    return f"<table style='{style}'><thead>{head}</thead>\n<tbody>{body}</tbody></table>\n"


def _row(values, sides: list[str], tag: str) -> str:
    cells = [_cell(str(value), side, tag) for value, side in zip(values, sides, strict=True)]
    return f"<tr>{''.join(cells)}</tr>\n"


def _cell(text: str, side: str, tag: str) -> str:
    breaks = BREAKS if any(len(word) > LONG for word in text.split()) else ""
    return f"<{tag} style='{side}{breaks}'>{html.escape(text, quote=False)}</{tag}>"


def scores(rows: pd.DataFrame) -> Shown:
    """The CCC table with one row per method: ``0.81 [0.72, 0.87]``, – where undefined."""
    wide = pd.DataFrame({"method": list(dict.fromkeys(rows["method"]))})
    wide.attrs = dict(rows.attrs)
    for emotion in EMOTIONS:
        by_method = {
            row.method: plots.with_interval(row)
            for row in rows.itertuples()
            if row.emotion == emotion
        }
        wide[emotion] = [by_method.get(method, "") for method in wide["method"]]
    return table(wide)
