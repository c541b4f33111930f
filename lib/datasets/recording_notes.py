"""What 01 says of labels of whole recordings: which words became which class, what has no
counterpart, and what a split of them lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from .. import trials
from ..labels import emotions
from . import splits
from .corpora import Said
from .report import READ, Report

HOW = "a table in the data root with the columns file, emotion, speaker and, if you like, split"
SHOWN = 4  # names in a message


def told(item: str, what: str, known: Mapping[str, Said], where: str, report: Report) -> None:
    words = [said.emotion for said in known.values()]
    if listed := emotions.summary(words):
        report.warning(
            item,
            f"{what}: {listed}",
            READ,
            where=where,
            todo=f"nothing if that is right; else {HOW}",
        )
    if rated := sum(bool(said.values) for said in known.values()):
        told = f"{rated} recordings have one valence and one arousal"
        report.warning(item, told, READ, where=where, todo="nothing if that is right")
    if others := emotions.of_other(words):
        report.warning(
            item,
            f"{', '.join(others)} {'is' if len(others) == 1 else 'are'} no class here",
            "taken as the class Other",
            where=where,
            expected=", ".join(emotions.CLASSES),
            todo=f"nothing if that is right; else {HOW}, in which they have another class or none",
        )


def tell_lacking(names: list[str], rows: int, where: str, report: Report) -> None:
    if names:
        report.warning(
            PurePosixPath(where).name,
            f"{len(names)} of {rows} rows fit no recording: {', '.join(names[:SHOWN])}",
            "left out",
            where=where,
            expected="a recording each; where there are videos, sound files alone are none",
            todo="look at the names, or nothing if these recordings are not meant to be here",
        )


def tell_differing(names: list[str], where: str, report: Report) -> None:
    """Report recordings of which an earlier table says something else."""
    if names:
        report.error(
            PurePosixPath(where).name,
            f"{len(names)} recordings have another row in another table: "
            f"{', '.join(names[:SHOWN])}",
            "the other table counts: the root's before its folders', then by name",
            where=where,
            expected="one table, or several of different recordings",
            todo="remove or rename one of them",
        )


def tell_unlabelled(names: list[str], where: str, report: Report) -> None:
    if names:
        report.warning(
            "labels",
            f"{len(names)} recordings have none: {', '.join(names[:SHOWN])}",
            "unlabelled, and in test",
            where=where,
            todo="nothing if that is right; else name them as the others, or give them rows",
        )


def tell_splits(rows: list[dict], known: Mapping[str, Said], report: Report) -> None:
    """Report whole recordings without a speaker, and classes that are not in every split."""
    mine = [row for row in rows if row["trial"] in known and row.get("expression_path", "")]
    alone = [row["trial"] for row in mine if row["subject"] == row["own_subject"]]
    if alone:
        report.warning(
            "speakers",
            f"nothing tells who speaks in {len(alone)} of {len(mine)} labelled recordings: "
            f"{', '.join(alone[:SHOWN])}",
            "each counts as a person of its own: the same voice may be in train and in val, and "
            "scores flatter then",
            expected="who speaks in each recording",
            todo=f"write {HOW}; or {splits.FILE} with the columns trial, split and subject",
        )
    by_split: dict[str, set[str]] = {}
    for row in mine:
        number = int(row["expression_path"].rpartition(trials.CONSTANT_SEPARATOR)[2])
        by_split.setdefault(row["split"], set()).add(emotions.CLASSES[number])
    train = by_split.get("train", set())
    if train and not by_split.get("val"):
        report.warning(
            "val",
            f"no labelled recording is in it, of {len({row['subject'] for row in mine})} persons",
            "nothing is scored, and no epoch can be chosen",
            expected="two persons at least, or a split",
            todo=f"write {HOW}; or choose folds (`n_folds`, `fold`)",
        )
    for part in ("val", "test"):
        if part not in by_split or not train:
            continue
        for names, what in (
            (by_split[part] - train, f"is in {part} and not in train: it cannot be learnt"),
            (train - by_split[part], f"is in train and not in {part}: it is not scored there"),
        ):
            for name in sorted(names):
                report.warning(
                    name, what, "kept", expected="each class in each split", todo="see who says it"
                )
