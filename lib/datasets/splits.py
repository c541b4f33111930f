"""Read ``splits.csv``, in which a person assigned trials to train, val and test.

Any separator, capitals, order of columns, other words for the three splits, and names with file
suffixes are understood. Anything else stops the run, because a person in the test split must never
be used for training.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from .. import trials
from ..errors import InputError
from ..files import folded
from ..labels import columns, folds, sheets
from . import names
from .contents import Contents, split
from .names import Recording
from .report import Report

FILE = "splits.csv"
SIMILAR_FILES = ("splits.tsv", "splits.txt", "splits.xlsx", "split.csv", "split.txt")
TRIAL = ("trial", "name", "video", "file", "filename", "recording", "clip", "trialname")
SPLIT = ("split", "set", "partition", "subset", "part", "usage", "splitset")
SUBJECT = (
    *("subject", "person", "participant", "speaker", "subjectid", "personid", "participantid"),
    *("speakerid", "speakername", "spkrid", "spkid", "spk", "actor", "actorid"),
)
SPLIT_OF_WORD = {
    **dict.fromkeys(("train", "training", "trainset", "trn", "learn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "devel", "development"), "val"),
    **dict.fromkeys(("test", "testing", "testset", "tst", "eval", "evaluation"), "test"),
}
EXPECTED_COLUMNS = "columns trial and split (train, val or test), and, if you like, subject"


def read(
    contents: Contents,
    recordings: Mapping[str, Recording],
    trial_names: Collection[str],
    report: Report,
) -> dict[str, dict]:
    """Trial -> {"split", "subject"} of the data set's own file; empty where there is none.

    trial_names : trials that labels or crops show; persons (``anna_left``, ``anna_2``) may be named
        beside them. A line that names a recording holds for all its trials.
    Raises InputError for a file, a column or a line that is not understood, for a file without a
    line, and for a name with two different splits.
    """
    path = _file(contents)
    if not path:
        return {}
    contents.use(path, "splits")
    where = contents.root / path
    table = sheets.read(where, is_header)
    report.passed_over(where, table.notes)
    index = {word: _column(table, words) for word, words in _WANTED.items()}
    if index["trial"] is None or index["split"] is None:
        raise _not_understood(
            f"columns {', '.join(name or '(no name)' for name in table.names)[:120]}",
            f"{where}:{table.header_line}",
        )
    if not table.rows:
        raise _not_understood("there is no line below the header", f"{where}:{table.header_line}")
    entries: dict[str, dict] = {}
    for number, cells in enumerate(table.rows):
        name, part = cells[index["trial"]], cells[index["split"]]
        subject = cells[index["subject"]] if index["subject"] is not None else ""
        known = word(part)
        if not name or not known:
            raise _not_understood(f"the line {','.join(cells)[:80]!r}", table.where(number))
        trial = resolve(name, recordings, trial_names)
        _add(entries, trial, {"split": known, "subject": subject}, table.where(number), report)
    _tell_alike(entries, str(where), report)
    return entries


def _tell_alike(entries: Mapping[str, dict], where: str, report: Report) -> None:
    """Report subjects that differ only in capitals: they are probably one person."""
    first: dict[str, str] = {}
    for subject in sorted({row["subject"] for row in entries.values() if row["subject"]}):
        if (other := first.setdefault(folded(subject), subject)) != subject:
            report.warning(
                subject,
                f"the subjects {other} and {subject} differ in capitals only",
                "taken as two persons",
                where=where,
                expected="each person written alike",
                todo="write them alike if they are one: nobody may be in train and in test",
            )


def word(text: str) -> str:
    """train, val or test for a person's word (Test2 is test); "" if it is none of them."""
    plain = columns.plain(text).replace(" ", "").replace("-", "").replace("_", "")
    return SPLIT_OF_WORD.get(plain.rstrip("0123456789"), "")


def tell_shared(table: pd.DataFrame, report: Report, refuse_in: Path | None = None) -> None:
    """Report subjects and recordings in both training and evaluation: labelled trials of val or
    test whose subject or video is in train, too.

    refuse_in : the folder of a data set with a person's own splits, for which this is an
        InputError. A data set's official split is kept as its authors made it: metrics.json and
        comparisons also have the scores without these trials.
    """
    labelled = table[(table[list(trials.LABEL_PATHS)] != "").any(axis=1)]
    train = labelled[labelled["split"] == "train"]
    for part in ("val", "test"):
        for column, both in folds.shared(train, labelled[labelled["split"] == part]).items():
            if refuse_in is not None and both:
                raise InputError(
                    f"{column} {', '.join(both[:5])} is in train and in {part}"
                    + f" ({len(both)} of them)" * (len(both) > 1),
                    where=refuse_in,
                    expected="each person and each recording in one of train, val and test",
                    todo="correct splits.csv, or set shared_subjects: true; scores will flatter",
                )
            for name in both:
                done = "kept: metrics.json has the scores without these trials beside"
                report.warning(name, f"this {column} is in train and in {part}", done)


_WANTED = {"trial": TRIAL, "split": SPLIT, "subject": SUBJECT}


def _file(contents: Contents) -> str:
    if path := contents.get("", FILE):
        return path
    return next((path for name in SIMILAR_FILES if (path := contents.get("", name))), "")


def _column(table: sheets.Sheet, words: Collection[str]) -> int | None:
    plain = [columns.plain(name).replace(" ", "").replace("_", "") for name in table.names]
    return next((plain.index(word) for word in words if word in plain), None)


def is_header(cells: Collection[str]) -> bool:
    """Whether names of columns are those of a table of splits."""
    plain = {columns.plain(cell).replace(" ", "").replace("_", "") for cell in cells}
    return not plain.isdisjoint(TRIAL) and not plain.isdisjoint(SPLIT)


def _not_understood(what: str, where: str) -> InputError:
    return InputError(
        f"the splits are not understood: {what}",
        where=where,
        expected=EXPECTED_COLUMNS,
        todo=f"correct it, or remove {FILE}: splits are then drawn by subject",
    )


def _add(entries: dict[str, dict], trial: str, row: dict, where: str, report: Report) -> None:
    before = entries.setdefault(trial, row)
    if before is row:
        return
    if before != row:
        raise InputError(
            f"{trial} is named twice: {before['split']} ({before['subject'] or 'no subject'}), and "
            f"{row['split']} ({row['subject'] or 'no subject'})",
            where=where,
            expected="a line per trial",
            todo="remove one of both",
        )
    report.error(
        trial,
        "is named twice in splits.csv",
        "both say the same",
        where=where,
        expected="a line per trial",
        todo="remove one of both",
    )


def resolve(text: str, recordings: Mapping[str, Recording], trial_names: Collection[str]) -> str:
    """The trial that a name means; a person of a recording need not have any other file. An unknown
    name is returned unchanged.
    """
    if trial := names.resolve(text, recordings, trial_names):
        return trial
    head, _, person = text.rpartition("_")
    if video := names.resolve(head, recordings, ()) if head else "":
        return f"{video}_{person}"
    return text


def of_trial(row: Mapping, entries: Mapping[str, dict]) -> dict:
    """The file's entry for a trial: by its own name, else by its recording's; {} without one."""
    return entries.get(row["trial"]) or entries.get(row["video"]) or {}


def _tell_unnamed(free: list[str], where: str, report: Report) -> None:
    report.warning(
        FILE,
        f"{len(free)} labelled trials stand nowhere in {FILE}: {', '.join(free[:5])}",
        "drawn by subject",
        where=where,
        expected="a line per trial",
        todo="add them, or leave it so",
    )


def refuse_unknown(
    rows: list[dict],
    entries: Mapping[str, dict],
    recordings: Mapping[str, Recording],
    where: str,
    report: Report,
) -> None:
    """Report names that match no trial. Raises InputError if a labelled trial has no entry either:
    it may be the one that was meant, and would end up in another split.
    """
    known = {name for row in rows for name in (row["trial"], row["video"])}
    unknown = [name for name in entries if name not in known and name not in recordings]
    without = [row for row in rows if not of_trial(row, entries) and not row.get("split")]
    free = [row["trial"] for row in without if any(name in row for name in trials.LABEL_PATHS)]
    if entries and free and not unknown:
        _tell_unnamed(free, where, report)
    for name in unknown:
        near = names.nearest(name, free or known)
        if free:
            raise InputError(
                f"{name} stands in {FILE}, but there is no such trial, and {len(free)} trials "
                f"stand nowhere in it: {', '.join(free[:5])}",
                where=where,
                expected=near or "the name of a trial",
                todo="correct the name, or remove the line; name every trial",
            )
        report.error(
            name,
            f"stands in {FILE}, but there is no such trial",
            "left out",
            where=where,
            expected=near,
            todo="correct the name, or remove the line",
        )


def tell_one_sided(
    rows: list[dict], entries: Mapping[str, dict], where: str, report: Report
) -> None:
    """Warn if the file leaves the labelled trials in only one of train and val: a training needs
    both. All of them in test are a set that is only predicted.
    """
    labelled = [row for row in rows if any(name in row for name in trials.LABEL_PATHS)]
    sides = {row["split"] for row in labelled} & {"train", "val"}
    if not entries or len(sides) != 1:
        return
    absent, loss = {
        "train": ("val", "no val trial tells which epoch is the best, or scores it"),
        "val": ("train", "nothing can be trained here"),
    }[sides.pop()]
    report.warning(
        FILE,
        f"no labelled trial is in {absent}",
        loss,
        where=where,
        expected="labelled trials in train and in val",
        todo=f"write {absent} for some of them, or leave it so",
    )


def place_of(contents: Contents) -> str:
    """The file of splits, for messages."""
    return str(contents.root / (_file(contents) or FILE))


def is_alike(path: str) -> bool:
    """Whether a file in another folder has the name of the file of splits."""
    return folded(split(path)[1]) in (FILE, *SIMILAR_FILES)
