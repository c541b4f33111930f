"""Any directory of videos as a data set, with or without labels.

Videos may lie in sub-folders. Labels are found by name, beside the video or in a folder `labels`:
``<trial>.txt`` in the official form (the header tells the task) or ``<trial>.csv``, with
``img,V,A,frame_id`` or in a form of one's own (`lib.labels.tables`;
``labels/<annotator>/<trial>.csv``: one file an annotator); ``<video>_left`` and ``<video>_right``
are two persons of one video. Crops: ``cropped_aligned/<trial>/`` or OpenFace's folders.
``splits.csv`` (columns trial, split and, if you like, subject) says who is in train, val and test;
without it what is unlabelled is test, and every fifth subject of the labelled ones is val. A line
``<video>_left``, ``_right`` or ``_1``, ``_2``, … in it makes a trial of that person
(`lib.faces.persons`), labels or not.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from .. import trials
from ..errors import InputError
from ..labels import official
from . import affwild2, crop_folders, folder_labels, tree
from .report import Report

SPLITS = "splits.csv"
VAL_SHARE = 0.2  # of the labelled subjects


def find(
    root: Path, dataset: str = "folder", progress: Callable | None = None
) -> tuple[pd.DataFrame, Report]:
    """Trial table (paths relative to `root`) and report of a directory of videos; see
    `affwild2.find`.
    """
    root, report = Path(root), Report()
    videos = _videos(root)
    infos = affwild2.probe(videos, report, progress)
    annotations = folder_labels.find(
        root, videos, {video: _persons(video) for video in videos}, report
    )
    pictures = crop_folders.find(root, report)
    told = _told(root / SPLITS, report) if (root / SPLITS).is_file() else {}
    rows = []
    for video, info in infos.items():
        persons = [
            (trial, person)
            for trial, person in _persons(video)
            if {trial} & {*annotations, *pictures}
        ]
        persons += [pair for pair in _asked(video, videos, told) if pair not in persons]
        for trial, person in persons or [(video, "")]:
            row = affwild2.video_row(trial, info, person) | {"video": video, "subject": video}
            rows.append(row | {"crops_dir": pictures.get(trial, ""), **annotations.get(trial, {})})
    rows = _split(rows, told, root / SPLITS, report)
    table = trials.table(
        [
            {**row, "dataset": dataset, **affwild2.relative(_without_labels(row), root)}
            for row in rows
        ]
    )
    affwild2.count(report, table, len(videos), {"": ()})
    return table, report


def _videos(root: Path) -> dict[str, Path]:
    """Name -> video, sub-folders too; what two files would both be called gets its whole relative
    path as a name.
    """
    if not root.is_dir():
        raise InputError("the folder of videos is not there", where=root, todo="correct data_root")
    paths = [
        path
        for path in sorted(root.rglob("*"))
        if path.suffix.lower() in tree.VIDEO_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    if not paths:
        raise InputError(
            "no video found",
            where=root,
            expected=f"files that end in {', '.join(tree.VIDEO_SUFFIXES)}",
            todo="correct data_root",
        )
    often = Counter(path.stem for path in paths)
    return {
        path.stem
        if often[path.stem] == 1
        else "__".join(path.relative_to(root).parts).replace(".", "_"): path
        for path in paths
    }


def _persons(video: str) -> list[tuple[str, str]]:
    return [(video, ""), *((f"{video}_{person}", person) for person in affwild2.PERSONS)]


def _asked(video: str, videos: Iterable[str], told: Iterable[str]) -> list[tuple[str, str]]:
    """Persons of a video whom splits.csv names; a recording may itself be called a_1."""
    named = [(trial, trial.removeprefix(f"{video}_")) for trial in told if trial not in videos]
    return [
        (trial, person)
        for trial, person in named
        if trial != person and (person in affwild2.PERSONS or person.isdecimal())
    ]


def _split(rows: list[dict], told: dict[str, dict], path: Path, report: Report) -> list[dict]:
    """Give every row its split: from the file, else test without labels, else train or val by
    subject.
    """
    names = {row["trial"] for row in rows}
    for name in sorted(set(told) - names):
        report.warning(
            name, f"stands in {path.name}, but there is no such trial", "left out", where=str(path)
        )
    rows = [
        row | {"subject": told.get(row["trial"], {}).get("subject") or row["subject"]}
        for row in rows
    ]
    free = [
        row
        for row in rows
        if row["trial"] not in told and not row.get("split") and any(name in row for name in _PATHS)
    ]
    val = val_subjects({row["subject"] for row in free})
    for row in rows:
        labelled = any(name in row for name in _PATHS)
        drawn = "test" if not labelled else "val" if row["subject"] in val else "train"
        drawn = row.get("split") or drawn  # a table of utterances is of one split
        row["split"] = told.get(row["trial"], {}).get("split", drawn)
    shared = {row["subject"] for row in rows if row["split"] == "train"} & {
        row["subject"] for row in rows if row["split"] == "val"
    }
    for subject in sorted(shared):
        report.warning(
            subject,
            "this subject is in train and in val",
            "kept as splits.csv says: scores will flatter",
        )
    return rows


_PATHS = tuple(f"{kind}_path" for kind in official.KINDS)


def _without_labels(row: dict) -> dict:
    """Label columns name files relative to the root already, several of them or rows of one."""
    return {name: value for name, value in row.items() if name not in _PATHS}


def val_subjects(subjects: set[str]) -> set[str]:
    """The fifth of the subjects whose names have the lowest SHA-256: the same on every machine and
    in every year.
    """
    order = sorted(subjects, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return set(order[: max(1, round(VAL_SHARE * len(order)))]) if len(order) > 1 else set()


def _told(path: Path, report: Report) -> dict[str, dict]:
    """trial -> row of splits.csv."""
    try:
        rows = list(csv.DictReader(io.StringIO(official.read_text(path))))
    except (InputError, csv.Error) as error:
        report.error(
            path.name,
            f"cannot be read: {getattr(error, 'what', error)}",
            "left out; splits are drawn by subject",
            where=str(path),
            todo="write it again",
        )
        return {}
    good = {}
    for number, row in enumerate(rows, start=2):
        name, split = (row.get("trial") or "").strip(), (row.get("split") or "").strip().lower()
        if not name or split not in trials.SPLITS:
            report.error(
                path.name,
                f"not a row `trial,split`: {','.join(map(str, row.values()))[:80]!r}",
                "the line is left out",
                where=f"{path}:{number}",
                expected="a trial and train, val or test",
                todo="correct that line",
            )
        else:
            good[name] = {"split": split, "subject": (row.get("subject") or "").strip()}
    return good
