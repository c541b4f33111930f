"""Annotations: official text files ↔ arrays ↔ the CSV files that code derived from TSAV and JCA
reads.

An official file has a header line and one row per video frame, in order (TSAV/JCA specification
§1.7). In arrays, row k is video frame k; valence and arousal without a label are NaN (−5 in the
files), classes and units without one are −1.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd

from .. import errors, files
from ..errors import InputError

KINDS = ("va", "expression", "action_units")
UNLABELLED = -5.0  # valence or arousal in official files; written -5, -5.0 or -5.000
EXPRESSIONS = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
ACTION_UNITS = ("AU1", "AU2", "AU4", "AU6", "AU12", "AU15", "AU20", "AU25")

# Headers of the challenge years: ABAW1 has 7 expressions and 8 units; ABAW3 adds Other; ABAW2 has
# 12 units.
HEADERS = {
    "va": (("valence", "arousal"),),
    "expression": (EXPRESSIONS, (*EXPRESSIONS, "Other")),
    "action_units": (
        ACTION_UNITS,
        ("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU15", "AU23", "AU24", "AU25", "AU26"),
    ),
}
_ROW = {
    "va": "two numbers in [-1, 1], or -5 where unlabelled",
    "expression": "one class number from 0, or -1 where unlabelled",
    "action_units": "a 0 or 1 for each unit, or -1 where unlabelled",
}


def header(path: Path, kind: str) -> tuple[str, ...]:
    """Names in the header line: valence and arousal, the expressions (class k is name k) or action
    units.
    """
    return _header(_lines(Path(path), kind)[0], Path(path), kind)


def has_header(path: Path, kind: str) -> bool:
    """Whether the first line of a file is a header of that kind of labels."""
    first = read_text(Path(path)).split("\n", 1)[0].lower()
    return tuple(name.strip() for name in first.split(",")) in [
        tuple(map(str.lower, names)) for names in HEADERS[kind]
    ]


def read(path: Path, kind: str) -> np.ndarray:
    """Read an official annotation file.

    kind : "va" -> (n, 2) float32 valence and arousal in −1…1, NaN where unlabelled; a row where
        only one of the two is −5 counts as unlabelled. "expression" -> (n,) int8, −1 unlabelled.
        "action_units" -> (n, U) int8, −1. Windows line ends, a missing last line end and blank
        lines at the end are accepted. Raises InputError with file and line number for a missing
        header, a wrong number of columns, a value that is no number or out of range.
    """
    path = Path(path)
    first, *rows = _lines(path, kind)
    names = _header(first, path, kind)
    values = _numbers(rows, 1 if kind == "expression" else len(names), path, kind)
    if kind == "va":
        missing = values == UNLABELLED
        _refuse(~(missing | (np.abs(values) <= 1)), values, path, kind)
        return np.where(missing.any(axis=1, keepdims=True), np.nan, values).astype(np.float32)
    top = len(names) - 1 if kind == "expression" else 1
    _refuse(~np.isin(values, range(-1, top + 1)), values, path, kind)
    return values.astype(np.int8)[:, 0] if kind == "expression" else values.astype(np.int8)


def write(path: Path, kind: str, array: np.ndarray, names: tuple[str, ...] = ()) -> Path:
    """Write an array as an official annotation file, so that `read` gives it back unchanged.

    array as `read` returns it. names : the header's, needed only if the number of columns does not
    tell (an 8-class expression file). Unlabelled frames become −5,−5 or −1.
    """
    array = np.asarray(array)
    columns = array.shape[1] if array.ndim == 2 else len(EXPRESSIONS)
    names = names or next((known for known in HEADERS[kind] if len(known) == columns), ())
    if not names:
        raise InputError(
            f"no known header of {kind} has {columns} columns",
            where=path,
            expected=" or ".join(",".join(known) for known in HEADERS[kind]),
            todo="pass `names`",
        )
    if kind == "va":
        missing = np.isnan(array).any(axis=1, keepdims=True)
        array = np.where(missing, np.float32(UNLABELLED), array.astype(np.float32))
    # numpy writes the shortest text that gives the same float32 again (0.312, not 0.31200000643).
    texts = array.reshape(len(array), -1).astype(str)
    texts[texts == "-5.0"] = "-5"
    return files.write_text(path, "\n".join([",".join(names), *map(",".join, texts)]) + "\n")


def fit_rows(
    array: np.ndarray, n_frames: int, policy: str = "fit", where: object = ""
) -> tuple[np.ndarray, str]:
    """Give an annotation as many rows as its video has frames; -> (array, message, "" when nothing
    was done).

    policy : "fit" trims rows at the end or adds unlabelled ones; "refuse" raises InputError
        instead.

    The message holds both numbers, so that it can stand in a report.
    """
    rows = len(array)
    if rows == n_frames:
        return array, ""
    message = f"the annotation has {rows} rows, the video {n_frames} frames"
    if policy == "refuse":
        raise InputError(
            message,
            where=where,
            expected="one row per frame",
            todo="mend the file, or set the parameter that trims and pads annotations",
        )
    if rows > n_frames:
        return array[:n_frames], f"{message}: the last {rows - n_frames} rows left out"
    unlabelled = np.nan if array.dtype.kind == "f" else -1
    fill = np.full((n_frames - rows, *array.shape[1:]), unlabelled, array.dtype)
    return np.concatenate(
        [array, fill]
    ), f"{message}: {n_frames - rows} unlabelled rows added at the end"


def to_csv_table(trial: str, va: np.ndarray, index_column: bool = False) -> pd.DataFrame:
    """Labelled frames as JCA's label CSV (TSAV/JCA specification §2.1): columns img, V, A,
    frame_id.

    va : (T, 2), NaN unlabelled. img is ``<trial>/%05d.jpg``, frame_id the same number, both from 1.
    index_column : put the published files' unnamed running number in front.
    """
    kept = np.flatnonzero(~np.isnan(va).any(axis=1))
    table = _frame_table(trial, kept + 1)
    table.insert(1, "V", np.asarray(va, np.float32)[kept, 0])
    table.insert(2, "A", np.asarray(va, np.float32)[kept, 1])
    return _with_index(table, index_column)


def to_class_table(
    trial: str, kind: str, array: np.ndarray, index_column: bool = False
) -> pd.DataFrame:
    """Labelled frames of expressions or action units in the same form: img, EX, frame_id or img,
    AU1, …, frame_id.

    array : as `read` returns it. Of a frame with some units labelled the others stay −1.
    """
    rows = np.asarray(array).reshape(len(array), -1)
    kept = np.flatnonzero((rows >= 0).any(axis=1))
    table = _frame_table(trial, kept + 1)
    for position, name in enumerate(
        ["EX"] if kind == "expression" else names_of(kind, rows.shape[1]), start=1
    ):
        table.insert(position, name, rows[kept, position - 1])
    return _with_index(table, index_column)


def names_of(kind: str, count: int) -> tuple[str, ...]:
    """What `count` expressions or action units are called, in column order; by number where no year
    has as many.
    """
    numbers = tuple(f"{kind} {number}" for number in range(count))
    return next((names for names in HEADERS[kind] if len(names) == count), numbers)


def decided(predictions: pd.DataFrame) -> dict[str, np.ndarray]:
    """Name of an expression or action unit -> (T,) bool: whether a prediction file's columns decide
    for it.
    """
    decisions = {}
    scores = [name for name in predictions if re.fullmatch(r"expression_\d+", name)]
    for number, name in enumerate(names_of("expression", len(scores))):
        decisions[name] = predictions["expression"].to_numpy() == number
    columns = [] if scores else [name for name in predictions if name.startswith("expression_")]
    for name in (name.removeprefix("expression_") for name in columns):
        decisions[name] = predictions["expression"].to_numpy() == name
    units = [name for name in predictions if re.fullmatch(r"action_unit_\d+", name)]
    for name, column in zip(names_of("action_units", len(units)), units, strict=True):
        decisions[name] = predictions[column].to_numpy() > 0
    return decisions


def test_table(
    trial: str,
    n_frames: int,
    index_column: bool = False,  # noqa: PT028 no test
) -> pd.DataFrame:
    """All frames of a trial without labels, as JCA's test CSV: columns img, frame_id."""
    return _with_index(_frame_table(trial, np.arange(1, n_frames + 1)), index_column)


def write_csv(table: pd.DataFrame, path: Path) -> Path:
    """Write what `to_csv_table` or `test_table` made."""
    return files.write_text(path, table.to_csv(index=False, lineterminator="\n"))


def read_csv(path: Path, n_frames: int) -> np.ndarray:
    """Read an ``img,V,A,frame_id`` file, with or without index -> (n_frames, 2) float32, NaN
    unlabelled.

    Raises InputError for missing columns, what is no number or out of range, frames twice or beyond
    `n_frames`.
    """
    path = Path(path)
    with errors.foreign(path, "a label CSV", "make it again with notebook 04_preprocess_labels"):
        table = pd.read_csv(
            io.StringIO(read_text(path)), dtype=str, keep_default_na=False, skip_blank_lines=False
        )
    lacking = [name for name in ("img", "V", "A", "frame_id") if name not in table]
    if lacking:
        raise InputError(
            f"a label CSV without the column(s) {', '.join(lacking)}",
            where=path,
            expected="img,V,A,frame_id",
            todo="make it again with notebook 04_preprocess_labels",
        )
    values = _numbers(
        (table["V"] + "," + table["A"] + "," + table["frame_id"]).tolist(), 3, path, "va"
    )
    va, frame = values[:, :2], values[:, 2].astype(np.int64)
    missing = va == UNLABELLED
    _refuse(~(missing | (np.abs(va) <= 1)), va, path, "va")
    _, first = np.unique(frame, return_index=True)
    twice = np.ones(len(frame), bool)
    twice[first] = False
    _refuse(
        ((frame < 1) | (frame > n_frames) | twice)[:, None],
        values[:, 2:],
        path,
        "va",
        f"each frame_id once, from 1 to {n_frames} (frames of the video)",
        "is no frame of the video, or comes twice",
    )
    result = np.full((n_frames, 2), np.nan, np.float32)
    result[frame - 1] = np.where(missing.any(axis=1, keepdims=True), np.nan, va)
    return result


def _frame_table(trial: str, frames: np.ndarray) -> pd.DataFrame:
    numbers = [f"{frame:05d}" for frame in frames]
    pictures = [f"{trial}/{number}.jpg" for number in numbers]
    return pd.DataFrame({"img": pictures, "frame_id": numbers}, dtype=str)


def _with_index(table: pd.DataFrame, has_index: bool) -> pd.DataFrame:
    if has_index:
        table.insert(0, "", np.arange(len(table)))
    return table


def read_text(path: Path) -> str:
    """The file's text with plain line ends, without byte-order mark and blank lines at the end."""
    if not path.is_file():
        raise InputError(
            "the label file is not there",
            where=path,
            todo="check the path, or run notebook 01_download_check again",
        )
    with errors.foreign(path, "a text file", "look at its rights"):
        content = path.read_bytes()
    is_wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))  # what Windows calls Unicode
    try:
        text = content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"not a text file (byte {error.start} is no UTF-8)",
            where=path,
            expected="an annotation as text",
            todo="fetch the file again",
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n \t")


def _lines(path: Path, kind: str) -> list[str]:
    text = read_text(path)
    if not text:
        raise InputError(
            "the label file is empty",
            where=path,
            todo="fetch or write the file again",
            expected=f"a header line ({','.join(HEADERS[kind][0])}) and one row per frame",
        )
    return text.split("\n")


def _header(line: str, path: Path, kind: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in line.split(","))
    for known in HEADERS[kind]:
        if names == tuple(name.lower() for name in known):
            return known
    numeric = all(part.lstrip("+-").replace(".", "", 1).isdigit() for part in names)
    what, todo = "unknown header", "correct the header line, or choose the folder of this task"
    if numeric:
        what, todo = "the header line is missing", "put the header line in front"
    raise InputError(
        f"{what}: {line[:120]!r}",
        where=f"{path}:1",
        expected=" or ".join(",".join(known) for known in HEADERS[kind]),
        todo=todo,
    )


def _numbers(rows: list[str], columns: int, path: Path, kind: str) -> np.ndarray:
    """Rows of text -> (n, columns) float64; the first wrong row is named."""
    for number, row in enumerate(rows):
        if row.count(",") != columns - 1:
            message = (
                f"{row.count(',') + 1} columns{', separated by ;' if ';' in row else ''}: "
                f"{row[:80]!r}"
            )
            raise InputError(
                message if row.strip() else "an empty line",
                where=f"{path}:{number + 2}",
                expected=f"{columns} columns: {_ROW[kind]}",
                todo="correct that line",
            )
    parts = ",".join(rows).split(",") if rows else []
    try:
        values = np.array(parts, np.float64)
    except ValueError:
        values = np.array([_number(part) for part in parts])
    if not np.isfinite(values).all():
        texts = np.array(parts).reshape(-1, columns)
        _refuse(~np.isfinite(values).reshape(-1, columns), texts, path, kind, why="is no number")
    return values.reshape(-1, columns)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _refuse(
    wrong: np.ndarray,
    values: np.ndarray,
    path: Path,
    kind: str,
    expected: str = "",
    why: str = "is out of range",
) -> None:
    """Raise InputError for the first value of an (n, columns) array that is marked wrong."""
    rows = np.flatnonzero(wrong.any(axis=1))
    if len(rows):
        column = int(np.argmax(wrong[rows[0]]))
        value = values[rows[0], column]
        text = repr(str(value)) if isinstance(value, str) else f"{value:g}"
        more = f", and {len(rows) - 1} more such rows" if len(rows) > 1 else ""
        raise InputError(
            f"{text} in column {column + 1} {why}{more}",
            where=f"{path}:{rows[0] + 2}",
            expected=expected or _ROW[kind],
            todo="correct that line",
        )
