"""What a notebook records of its work: trials done and lost, arrays made, inputs read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pandas as pd

from .. import arrays
from ..errors import InputError
from ..faces import arrays as faces_arrays
from ..features import own
from ..store import DamagedError, Request, Store, facts
from ..trials import LABEL_PATHS, label_files, select

MANY_TRIALS = 8  # trials with the same note; if there are more, they are counted instead of listed


def summary(outcomes: list) -> pd.DataFrame:
    """One row per array: how many trials got it, how (made, there, read in place), seconds."""
    rows = pd.DataFrame(
        [row for outcome in outcomes if outcome.ok for row in outcome.value],
        columns=["array", "state", "seconds"],
    )
    counts = rows.pivot_table(
        index="array", columns="state", values="seconds", aggfunc="size", fill_value=0
    )
    return counts.join(rows.groupby("array")["seconds"].sum().round(1)).reset_index()


def notes(outcomes: list) -> pd.DataFrame:
    """Notes on making arrays, by trial: label files trimmed or filled up, inputs absent.

    A note on more than `MANY_TRIALS` trials becomes one row that counts them.
    """
    every = [row for outcome in outcomes if outcome.ok for row in outcome.value]
    rows = [row for row in every if row["note"]] + _unlike(every)
    often = Counter((row["array"], row["note"]) for row in rows)
    listed = {}
    for row in rows:
        kind, count = (row["array"], row["note"]), often[row["array"], row["note"]]
        alone = count <= MANY_TRIALS
        listed.setdefault(
            (row["trial"], *kind) if alone else kind,
            row if alone else {**row, "trial": f"{row['trial']} and {count - 1} more"},
        )
    return pd.DataFrame(listed.values(), columns=["trial", "array", "note"])


def _unlike(rows: Iterable[dict]) -> list[dict]:
    """A row with a note for each trial whose file of features has another number of columns than
    those of most trials: a training would stop there.
    """
    widths: dict[str, list[tuple[int, dict]]] = {}
    for row in rows:
        path = Path(row.get("path", ""))
        if path.name.startswith("feature-") and path.is_file():
            columns = math.prod(facts(path)["shape"][1:])
            widths.setdefault(row["array"], []).append((columns, row))
    unlike = []
    for trials in widths.values():
        usual = Counter(columns for columns, _ in trials).most_common(1)[0][0]
        for columns, row in (trial for trial in trials if trial[0] != usual):
            words = f"{columns} columns, {usual} in most trials: 05 trains on files that are alike"
            unlike.append({**row, "note": words})
    return unlike


def lost(outcomes: list) -> pd.DataFrame:
    """Trials that could not be done: trial, what, where, expected, what to do."""
    rows = []
    for trial, error in failures(outcomes):
        rows.append([trial, error.what, error.where, error.expected, error.todo])
    return pd.DataFrame(rows, columns=["trial", "what", "where", "expected", "todo"])


def failures(outcomes: list) -> list[tuple[str, Exception]]:
    """The same as (trial, error) pairs, for ``run.record(lost=…)``; items are rows or names."""
    lost = [outcome for outcome in outcomes if not outcome.ok]
    return [(o.item if isinstance(o.item, str) else o.item["trial"], o.error) for o in lost]


def intact(table: pd.DataFrame, outcomes: list) -> pd.DataFrame:
    """The rows of the trial table whose trials were done. Raises InputError when none was."""
    kept = table[[outcome.ok for outcome in outcomes]].reset_index(drop=True)
    if kept.empty:
        if outcomes:
            raise InputError(
                f"not one of {len(outcomes)} trials could be done; the first one: "
                f"{outcomes[0].error}"
            )
        raise InputError(
            "there is no trial",
            expected="at least one",
            todo="correct the parameters `trials` and `splits`, or look at the report of "
            "01_download_check and run it again",
        )
    return kept


def usable(
    table: pd.DataFrame, wanted: Iterable[Request], store: Store
) -> tuple[pd.DataFrame, list]:
    """Trials all of whose arrays exist, and (trial, error) pairs of the others.

    Raises the first error when no train trial is left: then an earlier notebook was not run. Raises
    DamagedError for an array that exists but is damaged: a training without it would be a different
    one, and the array can be made again.
    """
    wanted = list(wanted)
    kept, missing, damaged = [], [], []
    for trial in table.to_dict("records"):
        try:
            for item in arrays.of_trial(trial, wanted):
                arrays.require(trial, item, store)
            kept.append(trial["trial"])
        except DamagedError as error:
            damaged.append(error)
        except InputError as error:
            missing.append((trial["trial"], error))
    if damaged:
        if len(damaged) > 1:
            damaged[0].what += f"; so are those of {len(damaged) - 1} other trials"
            damaged[0].todo += "; `python -m lib store verify` names all"
        raise damaged[0]
    if missing and not set(kept) & set(table["trial"][table["split"] == "train"]):
        raise missing[0][1]
    return (select(table, kept) if kept else table[:0]), missing


def paths(outcomes: list) -> list[Path]:
    """Files of the store that exist now, for ``run.record(outputs=…)``."""
    rows = [row for outcome in outcomes if outcome.ok for row in outcome.value]
    made = {row["path"] for row in rows if row["path"] and row["state"] != "read in place"}
    return [Path(path) for path in sorted(made)]


def array_paths(table: pd.DataFrame, wanted: Iterable[Request], store: Store) -> list[Path]:
    """Files of these arrays of these trials that exist."""
    wanted, array_files = list(wanted), set()
    for trial in table.to_dict("records"):
        located = [arrays.locate(trial, item, store) for item in arrays.of_trial(trial, wanted)]
        array_files |= {array.path for array in located if array.exists}
    return sorted(array_files)


def _files_of_column(values: Iterable[str], is_of_labels: bool) -> set[str]:
    """Paths that the cells of a column of the trial table name; a cell of labels may name more."""
    cells = [label_files(value)[0] if is_of_labels else [value] for value in values]
    return {file for cell in cells for file in cell if file}


def sources(
    table: pd.DataFrame, store: Store, columns: Iterable[str], wanted: Iterable[Request]
) -> list[Path]:
    """What arrays are made from: files and folders in `columns` of the trial table, checkpoints."""
    file_names: set[str] = set()
    for column in columns:
        file_names |= _files_of_column(table[column], column in LABEL_PATHS)
    checkpoints = {path for item in wanted for path in item.files.values()}
    detector = faces_arrays.detector(table, store) if "crops_dir" in columns else []
    features = [item for item in wanted if item.name == "feature"]
    for trial, item in product(table.to_dict("records"), features):
        files = own.sources_of_file(trial, item).values()
        file_names |= {file for file in files if isinstance(file, str)}
    return [
        *(store.data_root / value for value in sorted(file_names)),
        *sorted(checkpoints),
        *detector,
    ]
