"""Statistics of a prediction file per person and stretch of a recording: turn, sentence or task
(`lib.labels.segments`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from .. import runs
from ..errors import InputError
from ..files import named
from ..labels import csv_columns, segments
from ..labels.segments import Segments
from ..media.frames import ends
from .predictions import Predictions

NAME = "segments.csv"
# Columns of a prediction file for which statistics are computed; others are frames, boxes, logits,
# remarks.
VALUES = re.compile(
    r"(valence|arousal)(_derived)?|label_(valence|arousal)|speaking|expression_[a-z]+"
    r"|action_unit_\d+"
)
NOT_VALUES = ("expression_decided",)
OF_FACE = re.compile(r"(?!label_).*")  # labels are valid even where the face is lost
BEYOND = "begins after the recording's end"
STATISTICS = ("mean", "median", "std", "slope", "peak", "peak_time")


def statistics(values: pd.DataFrame, stretches: pd.DataFrame) -> pd.DataFrame:
    """One row per stretch and person.

    Arguments
    ---------
    values : a prediction file or table of people: frame, time (s), valid, values, and person where
        there are several. stretches : `Segments.table`.

    A frame belongs to a stretch from start up to, not including, end. Columns: those of the
    stretch, person, frames (how many of the recording lie in it), valid_share (of them), and per
    value its mean, median, std (divisor n), slope (per s, least squares), peak (the highest value)
    and peak_time (s, of the first such frame), over frames that are valid and not empty; expression
    is the one that most valid frames have, expression_share their share. note marks a stretch that
    is cut at an end of the recording, overlaps another one, or contains no frame or no valid frame.
    """
    people = [("", values)]
    if "person" in values:  # empty: the only one
        people = list(
            values.groupby(values["person"].astype(object).fillna("").astype(str), sort=False)
        )
    notes = remarks(stretches, values["time"].to_numpy(float))
    rows = []
    for number, stretch in enumerate(stretches.to_dict("records")):
        for person, frames in people:
            begin, until = np.searchsorted(frames["time"], [stretch["start"], stretch["end"]])
            inside = frames.iloc[begin : max(begin, until)]
            rows.append({**stretch, "person": person, **_of_stretch(inside, notes[number])})
    return pd.DataFrame(rows)


def remarks(stretches: pd.DataFrame, times: np.ndarray) -> list[str]:
    """A remark per stretch, "" for none; times : (T,) s of the frames."""
    distinct = np.unique(times)
    first, last = (distinct[0], ends(distinct)[-1]) if len(distinct) else (0.0, 0.0)
    begins, stops = stretches["start"].to_numpy(float), stretches["end"].to_numpy(float)
    notes = []
    for number, (begin, end) in enumerate(zip(begins, stops, strict=True)):
        crossing = (begins < end) & (stops > begin) & (begins < stops)
        crossing[number] = False
        parts = [_of_ends(begin, end, first, last)]
        if crossing.any() and begin < end:
            others = ", ".join(str(row) for row in stretches["row"][crossing][:3])
            parts.append(f"overlaps row {others}")
        notes.append("; ".join(filter(None, parts)))
    return notes


def _of_ends(begin: float, end: float, first: float, last: float) -> str:
    if end <= begin:
        return "ends before it begins" if end < begin else "ends when it begins"
    if begin >= last:
        return f"{BEYOND} at {last:.3f} s"
    if end <= first:
        return f"ends before the recording's first picture at {first:.3f} s"
    if end > last + 1e-6:
        return f"ends {end - last:.3f} s after the recording: cut there"
    return "" if begin >= 0 else "begins before the recording: cut there"


def _of_stretch(inside: pd.DataFrame, note: str) -> dict:
    """Counts and numbers of the frames of one person in a stretch."""
    valid = np.ones(len(inside), bool)
    if "valid" in inside:
        valid = inside["valid"].to_numpy() == 1
    row = {"frames": len(inside), "valid_share": valid.mean() if len(inside) else np.nan}
    for name in inside:
        if VALUES.fullmatch(name) and name not in NOT_VALUES:
            row |= _of_value(name, inside[valid] if OF_FACE.fullmatch(name) else inside)
    if "expression" in inside:
        shares = inside["expression"][valid].dropna().value_counts(normalize=True)
        most = (shares.index[0], shares.iloc[0]) if len(shares) else (np.nan, np.nan)
        row["expression"], row["expression_share"] = most
    notes = [note]
    if not valid.any():
        notes.append("no valid frame" if len(inside) else "no frame lies in it")
    row["note"] = "; ".join(filter(None, notes))
    return row


def _of_value(name: str, rows: pd.DataFrame) -> dict[str, float]:
    """The `STATISTICS` of a value."""
    rows = rows[rows[name].notna()]
    x, t = rows[name].to_numpy(float), rows["time"].to_numpy(float)
    if not len(x):
        return {f"{name}_{statistic}": np.nan for statistic in STATISTICS}
    spread = ((t - t.mean()) ** 2).sum()
    slope = ((t - t.mean()) * x).sum() / spread if spread > 0 else np.nan
    numbers = (x.mean(), np.median(x), x.std(), slope, x.max(), t[x.argmax()])
    return {f"{name}_{key}": value for key, value in zip(STATISTICS, numbers, strict=True)}


# ---- of a recording, of a run
def write(path: Path, table: pd.DataFrame) -> Path:
    """Write statistics as CSV (`csv_columns.digits`); ``columns.json`` beside it describes them. A
    text that a spreadsheet would take for a formula is quoted.
    """
    # As the file has them.
    names, given = ([*map(runs.quoted, columns)] for columns in (table.columns, _own(table)))
    csv_columns.record(path.parent, names, given)
    run = runs.Run(path.parent)
    rounded = table.copy()
    for name in rounded.select_dtypes("float"):
        rounded[name] = [float(csv_columns.digits(name, value)) for value in rounded[name]]
    return run.write_table(path.name, rounded)


def _own(table: pd.DataFrame) -> list[str]:
    """The columns of a person's file: between ours of the stretch and those that are computed."""
    names = list(table.columns)
    return names[names.index(segments.FIELDS[-1]) + 1 : names.index("person")]


def _together(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The tables of several recordings, whose files may have other columns each."""
    whole = pd.concat(tables, ignore_index=True)
    own = list(dict.fromkeys(name for table in tables for name in _own(table)))
    first = list(tables[0].columns)
    head = first[: first.index(segments.FIELDS[-1]) + 1]
    return whole[[*head, *own, *(name for name in whole if name not in {*head, *own})]]


def of_video(
    path: Path, video: str, values: pd.DataFrame, folder: Path, alone: bool = True
) -> tuple[Path | None, list[str]]:
    """``<video>_segments.csv`` of a recording of one's own (None where no stretch is of it, or
    nobody was found in it), and what must be said.

    values : the table of people. alone : whether it is the only recording. Raises InputError
    as `segments.of_recording` does.
    """
    stretches = segments.of_recording(path, [video], alone)
    if stretches is None:
        return None, [f"no stretches of {video} in {path}"]
    if values.empty:
        return None, [
            f"{stretches.path.name}: nobody was found in {video}, so there are no numbers"
        ]
    stretches = segments.placed(stretches, np.unique(values["time"]))
    table = statistics(values, stretches.table).assign(recording=video)
    return write(named(folder, f"{video}_segments", ".csv"), table), _said(stretches, table)


def check(path: Path | str) -> None:
    """Raise InputError, before anything is predicted, if `segments_path` names no file or an
    unreadable one. An empty path is no error.
    """
    if path and not Path(path).is_dir():
        segments.read(segments.existing(path))


def files(path: Path | str) -> list[Path]:
    """The files that `segments_path` names."""
    if not path:
        return []
    return segments.files_in(path) if Path(path).is_dir() else [Path(path)]


def of_run(
    path: Path | str, trials: pd.DataFrame, predictions: Predictions, run: runs.Run
) -> tuple[pd.DataFrame, list[str], list[tuple[str, InputError]]]:
    """Write ``segments.csv`` of a run: the statistics of all trials that have stretches. Returns
    them, remarks, and the lost trials with their errors: an unreadable file affects only its own
    recording.

    path : file or folder of stretches, "" for none. trials : rows of the trial table, predicted.
    """
    if not path:
        return pd.DataFrame(), ["no stretches: segments_path is empty"], []
    tables, notes, without, lost = [], [], [], []
    for trial in trials.to_dict("records"):
        try:
            stretches = _stretches(path, trial, trials["video"].nunique() == 1, predictions)
        except InputError as error:
            lost.append((trial["trial"], error))
            continue
        if stretches is None:
            without.append(str(trial["trial"]))
            continue
        table = _of_trial(trial, stretches, predictions)
        tables.append(table)
        notes += _said(stretches, table)
    left = segments.unused(path, {*trials["trial"], *trials["video"]})
    notes += [f"without stretches: {', '.join(without)}"] if without else []
    notes += [f"called like no recording, not used: {', '.join(left)}"] if left else []
    notes += [f"{trial}: {error}" for trial, error in lost]
    if not tables:
        return pd.DataFrame(), notes, lost
    together = _together(tables)
    return together, [*notes, f"-> {write(run.path(NAME), together)}"], lost


def _stretches(
    path: Path | str, trial: Mapping, alone: bool, predictions: Predictions
) -> Segments | None:
    """The stretches of a trial on its recording's clock; None if the path has none of it."""
    stretches = segments.of_recording(path, [trial["trial"], trial["video"]], alone)
    if stretches is None:
        return None
    times = predictions.table(trial["trial"])["time"]
    return segments.placed(stretches, np.unique(times))


def _of_trial(trial: Mapping, stretches: Segments, predictions: Predictions) -> pd.DataFrame:
    values = predictions.table(trial["trial"])
    table = statistics(values, stretches.table).assign(recording=trial["video"])
    if "person" not in values:
        table = table.assign(person=trial["person"])
    table.insert(0, "trial", trial["trial"])
    return table


def _said(stretches: Segments, table: pd.DataFrame) -> list[str]:
    """Sentences on a recording's stretches, without those of another recording."""
    said = [f"{stretches.path.name}: {note}" for note in stretches.notes]
    noted = table.drop_duplicates("row")
    noted = noted[noted["note"] != ""]
    if len(noted):
        first = noted.iloc[0]
        said.append(
            f"{stretches.path.name}: {len(noted)} of {table['row'].nunique()} stretches have a "
            f"note (first: row {first['row']}, {first['note']})"
        )
    beyond = noted["note"].str.startswith(BEYOND).sum()
    if beyond > table["row"].nunique() / 2:
        said.append(
            f"{stretches.path.name}: {beyond} of {table['row'].nunique()} stretches begin after "
            "the recording's end: it is of another recording, or its times are no seconds (call "
            "columns of milliseconds start_ms and end_ms)"
        )
    return said
