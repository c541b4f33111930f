"""The predictions of a run as one object, which is written once and passed to all that needs it."""

from __future__ import annotations

import io
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from .. import files, runs
from ..labels import csv_columns
from ..metrics import EMOTIONS
from ..trials import SYNTHETIC_NOTE

MADE_FROM = "made_from"  # folder of what each trial's table was made from
EVALUATE = "evaluate this run again: remove the file, and run its notebook 06_inference"
FRAME = "frame"  # column of the frame's number, from 1
COMPLETE = "every_frame"  # folder of tables without the empty values of those for people
BOUND = 2**29  # bytes of cached tables: 37 h at 30 frames per second with all columns


class Predictions:
    """One table per trial, rounded to the digits of its file.

    Tables that this process wrote or opened are cached, so that files are not read again, and
    results equal those from the files to the digit. The cache holds the tables used last, at most
    `bound` bytes; others are read from their files on demand, as is one that another process has
    written meanwhile. Pickled for another process the object has no tables and caches none, because
    a worker sees each trial once.

    folder : of the files ``<trial>.csv``; of a finished run its ``predictions``.
    """

    def __init__(self, folder: Path, bound: int = BOUND):
        self.folder, self.bound = Path(folder), bound
        self._kept: OrderedDict[Path, tuple[tuple, pd.DataFrame]] = OrderedDict()
        self._size = 0

    def __reduce__(self):
        return Predictions, (self.folder, 0)

    # ---- reading
    def path(self, trial: str) -> Path:
        """The file of a trial, which need not exist yet."""
        return files.named(self.folder, trial, ".csv")

    def names(self) -> list[str]:
        """The trials that have a file, by the names of the files (`files.safe_name`), sorted."""
        paths = self.folder.glob("*.csv")
        return sorted(path.stem for path in paths if not path.name.startswith("."))  # of macOS

    def table(self, trial: str, columns: Iterable[str] = ()) -> pd.DataFrame:
        """All columns of a trial, one row per frame. Raises InputError as `runs.read_table` does,
        for a file that lacks one of `columns`, and for rows that are not frames 1, 2, 3, …
        """
        return self._opened(self.path(trial), columns)

    def complete(self, trial: str) -> pd.DataFrame:
        """The table with a value in every frame, as the challenges score it; if values were left
        empty because no face was found, the complete table is ``every_frame/<trial>.csv``.
        """
        table, path = self.table(trial), self._path_of_complete(trial)
        return table.assign(**self._opened(path)) if path.is_file() else table

    def numbers(self, trial: str, columns: Sequence[str]) -> dict[str, np.ndarray]:
        """Column -> (T,) float64 of those of `columns` that a trial has; tables outside the cache
        are read by `runs.read_numbers`, only these columns.
        """
        path = self.path(trial)
        table = self._still_kept(path)
        if table is None:
            table = runs.read_numbers(path, list(dict.fromkeys([*columns, FRAME])))
            _require_order(path, table.get(FRAME))
        return {name: np.asarray(table[name], float) for name in columns if name in table}

    # ---- inputs of computations
    def raw(self, trial: str, tasks: Iterable[str]) -> dict[str, np.ndarray]:
        """The network's outputs: task -> (T, k) float32. Raises InputError if one is missing."""
        table = self.table(trial)
        units = [name for name in table if name.startswith("action_unit_")]
        columns = {
            "va": ["valence_raw", "arousal_raw"],
            "expression": [name for name in table if name.startswith("expression_")],
            "action_units": [name for name in units if name.endswith("_raw")],
            "speaking": ["speaking_no_raw", "speaking_yes_raw"],
        }
        asked = {task: columns[task] for task in tasks}
        for names in asked.values():
            runs.require_columns(self.path(trial), table, names)
        return {task: table[names].to_numpy(np.float32) for task, names in asked.items()}

    def pairs(self, trial: str) -> tuple[np.ndarray, np.ndarray]:
        """Submitted values and labels of all frames of a trial, (T, 2) each; labels NaN where
        unknown, values also where this emotion was not learnt.
        """
        rows = self.complete(trial)
        known = rows.reindex(columns=[f"label_{name}" for name in EMOTIONS])
        return rows.reindex(columns=list(EMOTIONS)).to_numpy(float), known.to_numpy(float)

    def of_sample(self, trials: Iterable[str]) -> bool:
        """Whether the first predicted trial says that the network was trained on sample data."""
        for trial in trials:
            if self.path(trial).is_file():
                table = self.table(trial)
                notes = table["note"].unique() if "note" in table else ()
                return any(SYNTHETIC_NOTE in str(note) for note in notes)
        return False

    # ---- writing
    def write(self, trial: str, table: pd.DataFrame) -> Path:
        """Write a trial's table by `write_csv`, and cache it as the file now has it."""
        path = self._write(self.path(trial), table)
        files.write_text(self._checksum(trial), _crc32(path))
        return path

    def is_as_written(self, trial: str) -> bool:
        """Whether a trial's file is there and nobody has changed it since, as in a spreadsheet;
        files from before there were check-sums count as unchanged.
        """
        path, checksum = self.path(trial), self._checksum(trial)
        return path.is_file() and (not checksum.is_file() or files.says(checksum, _crc32(path)))

    def _checksum(self, trial: str) -> Path:
        return files.named(self.folder / MADE_FROM, trial, ".crc32")

    def write_complete(self, trial: str, values: pd.DataFrame | None) -> None:
        """Write the table for `complete`; None if no frame lacks a face."""
        path = self._path_of_complete(trial)
        if values is None:
            path.unlink(missing_ok=True)
            self._let_go(path)
        else:
            self._write(path, values)

    def _path_of_complete(self, trial: str) -> Path:
        return files.named(self.folder / COMPLETE, trial, ".csv")

    def _write(self, path: Path, table: pd.DataFrame) -> Path:
        text = csv_columns.as_text(table)
        _write_text(path, table, text)
        self._let_go(path)
        if _bytes(table) <= self.bound:
            self._keep(path, files.version(path), runs.read_table(io.StringIO(text)))
        return path

    # ---- cache
    def _opened(self, path: Path, columns: Iterable[str] = ()) -> pd.DataFrame:
        table = self._still_kept(path)
        if table is None:
            version = files.version(path) if path.is_file() else ()
            table = runs.read_table(path)
            _require_order(path, table.get(FRAME))
            self._keep(path, version, table)
        runs.require_columns(path, table, columns)
        return table.copy(deep=False)  # columns that a caller adds stay out of the cache

    def _still_kept(self, path: Path) -> pd.DataFrame | None:
        """The cached table of a file, if the file has not changed."""
        if path not in self._kept:
            return None
        version, table = self._kept[path]
        if not path.is_file() or files.version(path) != version:
            self._let_go(path)
            return None
        self._kept.move_to_end(path)
        return table

    def _keep(self, path: Path, version: tuple, table: pd.DataFrame) -> None:
        self._let_go(path)
        if _bytes(table) > self.bound:
            return
        self._kept[path] = (version, table)
        self._size += _bytes(table)
        while self._size > self.bound:
            self._let_go(next(iter(self._kept)))

    def _let_go(self, path: Path) -> None:
        if path in self._kept:
            self._size -= _bytes(self._kept.pop(path)[1])


def _crc32(path: Path) -> str:
    return f"{zlib.crc32(path.read_bytes()):08x}\n"


def _require_order(path: Path, frames: Sequence[float] | None) -> None:
    """Raise InputError for a file whose rows were sorted, removed or added, as in a spreadsheet:
    row k is frame k for all who read it. Several persons' rows stand one after the other.
    """
    if frames is None:
        return
    numbers = np.asarray(frames, float)
    follows = np.diff(numbers, prepend=0) == 1
    if len(other := np.flatnonzero(~(follows | (numbers == 1)))):
        row = int(other[0])
        reason = f"row {row + 1} is frame {numbers[row]:g}: rows were sorted, removed or added"
        raise files.damaged(path, reason, EVALUATE)


def _bytes(table: pd.DataFrame) -> int:
    return int(table.memory_usage().sum())


def _write_text(path: Path, table: pd.DataFrame, text: str) -> Path:
    csv_columns.record(Path(path).parent, table.columns)
    return files.write_text(path, text)


def write_csv(path: Path, table: pd.DataFrame) -> Path:
    """Write a table atomically (`csv_columns.as_text`); ``columns.json`` beside it describes it."""
    return _write_text(path, table, csv_columns.as_text(table))
