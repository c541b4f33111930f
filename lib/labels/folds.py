"""Folds for cross-validation: all trials of a subject in one fold, folds of nearly equal length,
kept in a text file.

A fold file has rows ``trial,subject,fold``. It is made once and then only read, so that a person
may edit it. `fold` is the one that a trial is validated in; all other labelled trials are trained
on.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd

from ..errors import InputError
from ..files import write_text
from .official import read_text

COLUMNS = ["trial", "subject", "fold"]
RULES = ("subject", "published")
FILES = {"subject": "folds.csv", "published": "folds_published.csv"}
PUBLISHED_BLOCKS = 5  # of the training trials; the sixth block is the official validation set


def make(table: pd.DataFrame, n_folds: int) -> pd.DataFrame:
    """Columns trial, subject, fold (0 … n_folds − 1) of the train and val trials of a trial table.

    Subjects are assigned, the one with the most frames first, to the fold with the fewest frames so
    far: no subject is in two folds, and the same table gives the same folds on every machine.
    """
    known = table[table["split"].isin(["train", "val"])]
    subjects = known.groupby("subject")["n_frames"].sum()
    if len(subjects) < n_folds:
        raise InputError(
            f"{n_folds} folds cannot be made of {len(subjects)} subjects",
            where="the trial table",
            expected="at least one subject a fold",
            todo="set a smaller `n_folds`, or 0 for none",
        )
    frames, fold = [0] * n_folds, {}
    for subject in sorted(subjects.index, key=lambda name: (-subjects[name], name)):
        fold[subject] = min(range(n_folds), key=lambda k: (frames[k], k))
        frames[fold[subject]] += int(subjects[subject])
    chosen = known[["trial", "subject"]].assign(fold=known["subject"].map(fold).astype("int64"))
    return chosen.sort_values(["fold", "trial"]).reset_index(drop=True)


def published(table: pd.DataFrame) -> pd.DataFrame:
    """The folds that a data set names itself (column `fold`); else LFAN's six (its specification
    §1.12) of the train and val trials, each list sorted by name.

    Five nearly equal blocks of consecutive training trials and, as the sixth, the val trials; fold
    k validates block 5 − k, so that fold 0 is the official split. 351 trials give the published
    blocks of 70, 70, 70, 70 and 71.
    """
    assigned = table[table["split"].isin(["train", "val"]) & (table["fold"] >= 0)]
    if len(assigned):
        return assigned[COLUMNS].sort_values(["fold", "trial"]).reset_index(drop=True)
    train = table[table["split"] == "train"].sort_values("trial")
    bounds = [len(train) * k // PUBLISHED_BLOCKS for k in range(PUBLISHED_BLOCKS + 1)]
    n_val = int((table["split"] == "val").sum())
    if 0 in (bounds[1], n_val):
        raise InputError(
            f"{len(train)} train and {n_val} val trials",
            where="the trial table",
            expected="at least five train trials and one val trial for the six published folds",
            todo="set `fold_rule: subject`",
        )
    blocks = [train.iloc[bounds[k] : bounds[k + 1]] for k in range(PUBLISHED_BLOCKS)] + [
        table[table["split"] == "val"]
    ]
    rows = [
        block[["trial", "subject"]].assign(fold=PUBLISHED_BLOCKS - k)
        for k, block in enumerate(blocks)
    ]
    return (
        pd.concat(rows)
        .sort_values(["fold", "trial"])
        .astype({"fold": "int64"})
        .reset_index(drop=True)
    )


def split(table: pd.DataFrame, folder: Path, fold: int, rule: str = "subject") -> pd.DataFrame:
    """The trial table with `split` and `fold` as this fold has them; as it is for ``fold=-1``.

    folder : of the fold files, the data set's processed folder.

    Those of `rule` "subject" are made by notebook 04 (`n_folds`), the published ones here, when
    they are first asked for. Test trials stay test trials. Raises InputError for a fold that the
    file does not have, or a file that names other trials than the data set has.
    """
    if fold < 0:
        return table
    path = Path(folder) / FILES[rule]
    folds = _of_rule(path, table, rule)
    if fold not in set(folds["fold"]):
        raise InputError(
            f"no fold {fold}",
            where=path,
            expected=f"one of {sorted(set(folds['fold']))}",
            todo="correct the parameter `fold`",
        )
    member = table["trial"].map(folds.set_index("trial")["fold"])
    known = table["split"].isin(["train", "val"])
    strangers = sorted(set(table["trial"][known & member.isna()]))
    if strangers:
        raise InputError(
            f"{len(strangers)} trials have no fold (first: {strangers[0]})",
            where=path,
            expected="every train and val trial",
            todo="correct the file, or remove it to have a new one made",
        )
    parts = member.eq(fold).map({True: "val", False: "train"}).where(known, table["split"])
    return table.assign(
        split=parts.astype(table["split"].dtype), fold=member.fillna(-1).astype("int64")
    )


def _of_rule(path: Path, table: pd.DataFrame, rule: str) -> pd.DataFrame:
    if not path.is_file():
        if rule != "published":
            raise InputError(
                "there are no folds yet",
                where=path,
                todo="run notebook 04_preprocess_labels with `n_folds`, or set `fold_rule: "
                "published`",
            )
        write_text(path, published(table).to_csv(index=False, lineterminator="\n"))
    # Neighbours in a sorted list may belong to one person: the published rule ignores that, `leaks`
    # reports it.
    folds = read(path, one_fold_a_subject=rule != "published")
    if unknown := sorted(set(folds["trial"]) - set(table["trial"])):
        raise InputError(
            f"the fold file names {len(unknown)} unknown trials (first: {unknown[0]})",
            where=path,
            expected="trials of the data set",
            todo="correct the file, or remove it to have it made anew",
        )
    return folds


def leaks(
    train: pd.DataFrame, held_out: pd.DataFrame, learnt: list[str] | tuple = ()
) -> list[tuple[str, str]]:
    """Data leaks: what a training would have seen of its held-out trials; (kind, sentence) each.

    train, held_out : rows of a trial table. learnt : trials on which a network that it builds on
        was trained.
    kinds : "trial", "built on" and "subject" (a person or recording in both splits).
    """
    pairs = []
    for kind, seen, phrase in (
        ("trial", set(train["trial"]), "is trained on"),
        ("built on", set(learnt), "was trained on by the network that it builds on"),
    ):
        if both := sorted(seen & set(held_out["trial"])):
            pairs.append(
                (kind, f"{both[0]} is validated or tested on and {phrase} ({len(both)} trials)")
            )
    for column, both in shared(train, held_out).items():
        if both:
            pairs.append(("subject", f"{column} {both[0]} is on both sides ({len(both)} of them)"))
    return pairs


def shared(train: pd.DataFrame, held_out: pd.DataFrame) -> dict[str, list[str]]:
    """Subjects and recordings with trials in both sets of rows of a trial table, sorted."""
    return {
        column: sorted(set(train[column].astype(str)) & set(held_out[column].astype(str)) - {""})
        for column in ("subject", "video")
    }


def require_apart(
    train: pd.DataFrame,
    held_out: pd.DataFrame,
    learnt: list[str] | tuple = (),
    subjects: bool = False,
) -> list[str]:
    """Raise InputError for a trial in both sets, with `subjects` also for a person in both; returns
    the sentences on other leaks.
    """
    pairs = leaks(train, held_out, learnt)
    for kind, sentence in pairs:
        if kind != "subject" or subjects:
            todo = "correct the fold file, or the data set's split"
            if kind == "built on":
                todo = "train the network that it builds on in the same fold"
            raise InputError(
                f"leak: {sentence}",
                where="the split into training and validation",
                expected="nothing of what is judged in training",
                todo=todo,
            )
    return [sentence for _, sentence in pairs]


def keep(path: Path, table: pd.DataFrame, n_folds: int) -> pd.DataFrame:
    """The folds of a file; made and written when the file is not there.

    Raises InputError when the file has other trials or another number of folds than are asked for.
    """
    if not Path(path).is_file():
        folds = make(table, n_folds)
        write_text(Path(path), folds.to_csv(index=False, lineterminator="\n"))
        return folds
    folds = read(path)
    known = set(table["trial"][table["split"].isin(["train", "val"])])
    if other := sorted(known ^ set(folds["trial"])):
        raise InputError(
            f"{len(other)} trials are only in the fold file or only in the data set (first: "
            f"{other[0]})",
            where=path,
            expected="the same trials in both",
            todo="correct the file, or remove it to have new folds made",
        )
    if folds["fold"].nunique() != n_folds:
        raise InputError(
            f"{folds['fold'].nunique()} folds",
            where=path,
            expected=f"{n_folds}, as `n_folds` says",
            todo="set `n_folds` to what the file has, or remove the file to have new folds made",
        )
    return folds


def read(path: Path, one_fold_a_subject: bool = True) -> pd.DataFrame:
    """Read a fold file. Raises InputError with the line for an invalid fold, a duplicate trial, a
    subject in two folds.
    """
    reader = csv.DictReader(io.StringIO(read_text(Path(path))))
    if reader.fieldnames != COLUMNS:
        raise InputError(f"columns {reader.fieldnames}", where=path, expected=",".join(COLUMNS))
    rows, trials, subjects = [], set(), {}
    for number, row in enumerate(reader, start=2):
        if row["trial"] in trials or not (row["fold"] or "").isdecimal():
            raise InputError(
                f"not a fold, or a trial a second time: {','.join(map(str, row.values()))}",
                where=f"{path}:{number}",
                expected="trial,subject,fold with a fold from 0",
            )
        if subjects.setdefault(row["subject"], row["fold"]) != row["fold"] and one_fold_a_subject:
            raise InputError(
                f"subject {row['subject']} is in the folds {subjects[row['subject']]} and "
                f"{row['fold']}",
                where=f"{path}:{number}",
                expected="each subject in one fold",
                todo="a network would be tested on people it has seen: move the trial",
            )
        trials.add(row["trial"])
        rows.append({**row, "fold": int(row["fold"])})
    return pd.DataFrame(rows, columns=COLUMNS)
