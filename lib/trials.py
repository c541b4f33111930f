"""The trial table: a row per *trial* = one person in one video; all later steps start from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pandas as pd
import pyarrow
from pyarrow import parquet

from .errors import InputError, too_many_open
from .files import safe_name, while_unchanged, whole

SYNTHETIC_NOTE = "trained on synthetic sample data: values have no meaning"
MOST_TRIALS = 1_000_000  # rows that a table may have
SPLITS = ("train", "val", "test")
TEXT_COLUMNS = (
    "trial",
    "video",
    "person",
    "dataset",
    "split",
    "subject",
    "video_path",
    "audio_path",
    "crops_dir",
    "va_path",
    "expression_path",
    "action_units_path",
)
LABEL_PATHS = ("va_path", "expression_path", "action_units_path")
COLUMNS = {
    **dict.fromkeys(TEXT_COLUMNS, "str"),
    "fold": "int64",
    "n_frames": "int64",
    "fps": "float64",
    "duration": "float64",
}
# Separators in a label column: between the files of several annotators; before the rows of a table,
# or before a label that a recording's name tells. In a file's name they are replaced by `CODES`.
JOINED_SEPARATOR, ROWS_SEPARATOR, CONSTANT_SEPARATOR = "|", "::", "="
CODES = {"%": "%25", JOINED_SEPARATOR: "%7C", ROWS_SEPARATOR: "%3A%3A"}


def label_column(files: Iterable[str], rows: str = "") -> str:
    """The entry of a label column for these files and rows of a table; see `label_files`."""
    text = JOINED_SEPARATOR.join(map(_coded, files))
    return f"{text}{ROWS_SEPARATOR}{rows}" if rows else text


def constant_label(label: object) -> str:
    """The entry of a label column for one label of a whole recording: ``::=4``."""
    return label_column((), f"{CONSTANT_SEPARATOR}{label}")


def _coded(file: str) -> str:
    if not any(sign in file for sign in (JOINED_SEPARATOR, ROWS_SEPARATOR, *CODES.values())):
        return file
    for sign, code in CODES.items():
        file = file.replace(sign, code)
    return file


def _decoded(file: str) -> str:
    for sign, code in reversed(CODES.items()):
        file = file.replace(code, sign)
    return file


def label_files(text: str) -> tuple[list[str], str]:
    """The files (relative to the data root) that an entry of a label column names, and which rows
    of a table of many recordings.

    ``valence/a.csv|arousal/a.csv`` -> both files; ``omg.csv::a/utterance_1`` -> the file, and
    "a/utterance_1"; ``::=4`` -> no file, and "=4": all frames have the label 4.
    """
    files, _, rows = text.partition(ROWS_SEPARATOR)
    return [_decoded(file) for file in files.split(JOINED_SEPARATOR) if file], rows


def table(rows: list[dict]) -> pd.DataFrame:
    """Build a checked trial table from one mapping per trial.

    Columns: ``trial`` (unique name), ``video`` (recording it is in), ``person`` ("", left, right,
    …), ``dataset``, ``split`` (train, val, test), ``fold`` (−1 = none), ``subject``, paths relative
    to the data root with "" = absent, ``n_frames`` (0 = unknown), ``fps`` (1/s), ``duration`` (s).
    Missing keys get "" or 0.
    """
    columns = {}
    for name, kind in COLUMNS.items():
        lacking = "" if kind == "str" else 0
        if name == "fold":
            lacking = -1
        columns[name] = pd.Series([row.get(name, lacking) for row in rows], dtype=kind)
    return check(pd.DataFrame(columns))


def check(trials: pd.DataFrame) -> pd.DataFrame:
    """Return `trials` unchanged, or raise InputError: columns missing, names twice or unsafe,
    unknown splits, paths that leave the data root. Only `crops_dir` may be absolute: 06 reads the
    crops of a single video from where they are.
    """
    missing = [name for name in COLUMNS if name not in trials]
    if missing:
        raise InputError(
            f"a trial table lacks the column(s) {', '.join(missing)}",
            expected=", ".join(COLUMNS),
            todo="run notebook 01_download_check again",
        )
    twice = trials["trial"][trials["trial"].duplicated()].unique()
    if len(twice):
        raise InputError(
            f"trial name used twice: {', '.join(map(str, twice[:5]))}",
            expected="one row per person in a video",
            todo="rename or remove one of the files",
        )
    for column in ("trial", "video"):
        _refuse_unsafe_names(trials[column], column)
    for column in (name for name in TEXT_COLUMNS if name.endswith(("_path", "_dir"))):
        _refuse_paths_outside(trials[column], column)
    unknown = trials[~trials["split"].isin(SPLITS)]
    if len(unknown):
        first, more = unknown.iloc[0], f" and {len(unknown) - 1} more" * (len(unknown) > 1)
        raise InputError(
            f"unknown split {first['split']!r}",
            where=f"trial {first['trial']}{more}",
            expected=", ".join(SPLITS),
        )
    return trials


def _refuse_unsafe_names(names: Iterable[str], column: str) -> None:
    unsafe = [name for name in names if unusable(name)]
    if unsafe:
        raise InputError(
            f"a {column} is called {unsafe[0]!r}",
            where="the trial table",
            expected="a name that can be a folder's",
            todo="rename its files",
        )


def _refuse_paths_outside(paths: Iterable[str], column: str) -> None:
    outside = []
    for path in paths:
        if any(leaves_root(part, column) for part in _parts(path, column)):
            outside.append(path)
    if outside:
        raise InputError(
            f"{column} leaves the data root: {outside[0]!r}",
            where="the trial table",
            expected="a path relative to the data root",
            todo="run notebook 01_download_check again with the right data_root",
        )


def unusable(name: str) -> str:
    """Why a text cannot be the name of a trial or video; "" if it can."""
    if name in ("", ".", ".."):
        return "it is no name of a folder"
    if signs := sorted({sign for sign in name if sign in "/\\" or sign < " " or sign == "\x7f"}):
        return f"it holds {', '.join(map(repr, signs))}"
    return "" if is_unicode(name) else "it is no UTF-8"


def usable(name: str) -> str:
    """The name of a trial or video: `name` itself, or its safe form (`files.safe_name`)."""
    return safe_name(name) if unusable(name) else name


def is_unicode(name: str) -> bool:
    """Whether a name is valid Unicode, so that it can be written into a table."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parts(path: str, column: str) -> list[str]:
    return label_files(path)[0] if column in LABEL_PATHS else [path]


def leaves_root(path: str, column: str = "") -> bool:
    """Whether a path would lead out of the data root, on this system or on another one."""
    absolute = PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute()
    return ".." in PureWindowsPath(path).parts or (absolute and column != "crops_dir")


def _rows(path: Path) -> pd.DataFrame:
    if (rows := parquet.read_metadata(path).num_rows) > MOST_TRIALS:
        raise ValueError(f"{rows:,} rows, at most {MOST_TRIALS:,} are read")
    return pd.read_parquet(path)


def read(path: Path) -> pd.DataFrame:
    """Read the trial table of notebook 01. Raises InputError when it is missing or damaged."""
    if not Path(path).is_file():
        raise InputError(
            "the trial table is not there",
            where=path,
            todo="run notebooks/01_download_check.ipynb with the same parameters first",
        )
    todo = "remove it and run notebook 01_download_check again"
    try:
        table = while_unchanged(Path(path), lambda: _rows(path))
    except (OSError, ValueError, TypeError, KeyError, pyarrow.ArrowException, MemoryError) as error:
        damaged = InputError(f"the trial table is damaged: {error}", where=path, todo=todo)
        raise too_many_open(error, path) or damaged from error
    for name, kind in COLUMNS.items():
        if name in table and not _is(table, name, kind):
            what = f"the trial table is damaged: {name} holds something else than {kind}"
            raise InputError(what, where=path, todo=todo)
    return check(table)


def _is(table: pd.DataFrame, name: str, kind: str) -> bool:
    """Whether a column has the right type: texts, or numbers."""
    if kind == "str":
        return all(isinstance(value, str) for value in table[name])
    return table[name].dtype.kind in "biuf"


def write(trials: pd.DataFrame, path: Path) -> Path:
    """Write the table as Parquet, atomically."""
    path = Path(path)
    with whole(path) as temporary:
        check(trials).to_parquet(temporary, index=False)
    return path


def select(trials: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The rows of the named trials (without `names`: all). Raises InputError for an absent one."""
    unknown = sorted(set(names) - set(trials["trial"]))
    if unknown:
        raise InputError(
            f"no trial is called {unknown[0]!r}",
            expected=f"some of {', '.join(trials['trial'][:8])}, …",
            todo="correct the parameter `trials`",
        )
    keep = trials["trial"].isin(names) if names else np.ones(len(trials), bool)
    return trials[keep].reset_index(drop=True)


def subjects(trials: pd.DataFrame) -> dict[str, str]:
    """{trial: subject} of the rows that have a subject.

    If only the recording is known, as in Aff-Wild2, the subject has the video's name; two persons
    of one video are then two subjects.
    """
    known = trials[["trial", "video", "person", "subject"]].astype(str)
    known = known[known["subject"] != ""]
    of_recording = (known["subject"] == known["video"]) & (known["person"] != "")
    names = known["subject"].where(~of_recording, known["subject"] + "_" + known["person"])
    return dict(zip(known["trial"], names, strict=True))


def has_picture(trial: Mapping) -> bool:
    """Whether a row of the table is of a recording with pictures, not of sound only."""
    return bool(trial["video_path"] or trial["crops_dir"])


def in_people_order(rows: pd.DataFrame, column: str = "trial") -> pd.DataFrame:
    """A table sorted by the names in a column as people count: 1, 2, 10 and not 1, 10, 2."""
    return rows.iloc[sorted(range(len(rows)), key=lambda row: counted(rows[column].iloc[row]))]


def counted(name: object) -> list:
    """Text and numbers by turns, by which names are sorted as people count: 1, 2, 10."""
    parts = re.split(r"(\d+)", str(name))
    return [int(part) if index % 2 else part.lower() for index, part in enumerate(parts)]


def name(trial: dict) -> str:
    """The name of a row in messages and logs."""
    return trial["trial"]


def noted(rows: pd.DataFrame, synthetic: bool) -> pd.DataFrame:
    """The table of scores, with the sentence that must precede its numbers if the network was
    trained on sample data (``rows.attrs["note"]``).
    """
    if synthetic:
        rows.attrs["note"] = SYNTHETIC_NOTE
    return rows
