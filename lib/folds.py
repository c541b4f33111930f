"""Folds for cross-validation: whole subjects in one fold, folds of equal length, plain text that is read afterwards.

A fold file has rows ``trial,subject,fold``. It is made once; whoever changes it by hand is not overruled.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd

from lib.errors import InputError
from lib.labels import read_text
from lib.store import write_text

COLUMNS = ["trial", "subject", "fold"]


def make(table: pd.DataFrame, n_folds: int) -> pd.DataFrame:
    """Columns trial, subject, fold (0 … n_folds − 1) of the train and val trials of a trial table.

    Subjects go, the one with the most frames first, into the fold that has the fewest frames so far: no subject is
    in two folds, and the same table gives the same folds on every machine.
    """
    known = table[table["split"].isin(["train", "val"])]
    subjects = known.groupby("subject")["n_frames"].sum()
    if len(subjects) < n_folds:
        raise InputError(f"{n_folds} folds cannot be made of {len(subjects)} subjects", where="the trial table",
                         expected="at least one subject a fold", todo="set a smaller `n_folds`, or 0 for none")
    frames, fold = [0] * n_folds, {}
    for subject in sorted(subjects.index, key=lambda name: (-subjects[name], name)):
        fold[subject] = min(range(n_folds), key=lambda k: (frames[k], k))
        frames[fold[subject]] += int(subjects[subject])
    chosen = known[["trial", "subject"]].assign(fold=known["subject"].map(fold).astype("int64"))
    return chosen.sort_values(["fold", "trial"]).reset_index(drop=True)


def keep(path: Path, table: pd.DataFrame, n_folds: int) -> pd.DataFrame:
    """The folds of a file; made and written when the file is not there.

    Raises InputError when the file has other trials or another number of folds than are asked for.
    """
    if not Path(path).is_file():
        found = make(table, n_folds)
        write_text(Path(path), found.to_csv(index=False, lineterminator="\n"))
        return found
    found = read(path)
    known = set(table["trial"][table["split"].isin(["train", "val"])])
    if other := sorted(known ^ set(found["trial"])):
        raise InputError(f"{len(other)} trials are only in the fold file or only in the data set (first: {other[0]})",
                         where=path, expected="the same trials in both",
                         todo="correct the file, or remove it to have new folds made")
    if found["fold"].nunique() != n_folds:
        raise InputError(f"{found['fold'].nunique()} folds", where=path, expected=f"{n_folds}, as `n_folds` says",
                         todo="set `n_folds` to what the file has, or remove the file to have new folds made")
    return found


def read(path: Path) -> pd.DataFrame:
    """Read a fold file. Raises InputError with the line for what is no fold, a trial twice, a subject in two folds."""
    reader = csv.DictReader(io.StringIO(read_text(Path(path))))
    if reader.fieldnames != COLUMNS:
        raise InputError(f"columns {reader.fieldnames}", where=path, expected=",".join(COLUMNS))
    rows, trials, subjects = [], set(), {}
    for number, row in enumerate(reader, start=2):
        if row["trial"] in trials or not (row["fold"] or "").isdecimal():
            raise InputError(f"not a fold, or a trial a second time: {','.join(map(str, row.values()))}",
                             where=f"{path}:{number}", expected="trial,subject,fold with a fold from 0")
        if subjects.setdefault(row["subject"], row["fold"]) != row["fold"]:
            raise InputError(f"subject {row['subject']} is in the folds {subjects[row['subject']]} and {row['fold']}",
                             where=f"{path}:{number}", expected="each subject in one fold",
                             todo="a network would be tested on people it has seen: move the trial")
        trials.add(row["trial"])
        rows.append({**row, "fold": int(row["fold"])})
    return pd.DataFrame(rows, columns=COLUMNS)
