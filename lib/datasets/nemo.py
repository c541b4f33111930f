"""nEMO: emotional speech in Polish by nine actors, as it is released: ``data.tsv`` beside
``samples/``.

Christop (2024), LREC-COLING; licence CC BY-NC-SA 4.0. A row of ``data.tsv`` is a recording:
``file_id``, ``emotion`` (anger, fear, happiness, neutral, sadness, surprise), ``speaker_id``, and
what is said. Written from the set's public description, not tried on its files. Classes are
RAVDESS's, of which two do not occur, so that a network that learnt from one set can be evaluated on
the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from .. import trials
from ..errors import InputError
from ..files import walk
from ..labels import sheets
from . import ravdess
from .report import Report

TABLE = "data.tsv"
CLASSES = ravdess.CLASSES
COLUMNS = ("file_id", "emotion", "speaker_id")
CLASS_OF_EMOTION = {
    "anger": "angry",
    "fear": "fearful",
    "happiness": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprise": "surprised",
}
TERMS = (
    "trained on CC BY-NC-SA data (nEMO): no commercial use, name the authors; "
    "docs/models/utterance.md"
)


def find(
    root: Path, dataset: str = "nemo", progress: Callable | None = None
) -> tuple[pd.DataFrame, Report]:
    """Trial table (paths relative to `root`) and report; every recording is of the split "train",
    which folds by speaker divide (`n_folds`). See `affwild2.find`.
    """
    root, report = Path(root), Report()
    paths = [entry.path for entry in walk(root, ravdess.closed)]
    sheet = _table(root, paths)
    sounds, cells = ravdess.sounds(root, paths, report), _cells(sheet)
    rows: dict[str, dict] = {}
    for number, row in enumerate(cells):
        made = _row(row, sounds, root, report, sheet.where(number))
        if made and made["trial"] in rows:
            report.warning(
                made["trial"], "has two rows", "the first counts", where=sheet.where(number)
            )
        elif made:
            rows[made["trial"]] = {"dataset": dataset, **made}
        if progress:
            progress(number + 1, len(cells), row["file_id"])
    listed = {_name(row) for row in cells}
    for name in sorted(sounds.keys() - listed):
        report.warning(name, f"has no row in {TABLE}", "left out", where=str(sounds[name]))
    if not rows:
        raise InputError(
            "no recording of nEMO found",
            where=root,
            expected=f"{TABLE} and its recordings (samples/….wav)",
            todo="unpack both into one folder, and name it as data_root",
        )
    return trials.table(rows.values()), report


def _table(root: Path, there: Iterable[str]) -> sheets.Sheet:
    paths = map(PurePosixPath, there)
    tables = sorted((path for path in paths if path.name == TABLE), key=lambda path: path.parts)
    if not tables:
        raise InputError(
            f"no {TABLE} found",
            where=root,
            expected=f"{TABLE} with the columns {', '.join(COLUMNS)}",
            todo="correct data_root; data_README.md says where the data are",
        )
    sheet = sheets.read(root / tables[0], lambda cells: set(COLUMNS) <= set(cells))
    if missing := [name for name in COLUMNS if name not in sheet.names]:
        raise InputError(
            f"no column {' or '.join(missing)}",
            where=f"{sheet.path}:{sheet.header_line}",
            expected=", ".join(COLUMNS),
            todo="take the table as it was released",
        )
    return sheet


def _cells(sheet: sheets.Sheet) -> list[dict[str, str]]:
    places = [sheet.names.index(name) for name in COLUMNS]
    return [
        {name: row[index].strip() for name, index in zip(COLUMNS, places, strict=True)}
        for row in sheet.rows
    ]


def _name(entry: Mapping[str, str]) -> str:
    return PurePosixPath(entry["file_id"]).stem


def _row(
    entry: Mapping[str, str],
    sounds: Mapping[str, Path],
    root: Path,
    report: Report,
    where: str,
) -> dict:
    """The row of the trial table; {} for what is left out, which the report names."""
    name = _name(entry)
    emotion = CLASS_OF_EMOTION.get(entry["emotion"].lower())
    if emotion is None:
        report.error(
            name,
            f"has an emotion called {entry['emotion']!r}",
            "left out",
            where=where,
            expected=", ".join(CLASS_OF_EMOTION),
            todo="correct that row",
        )
        return {}
    if name not in sounds:
        report.error(
            name,
            "is not there",
            "left out",
            where=where,
            expected=f"a recording {name}.wav below {root}",
            todo="fetch it again",
        )
        return {}
    if not entry["speaker_id"]:
        report.warning(name, "has no speaker", "a fold may split its speaker", where=where)
    row = ravdess.sound_row(name, sounds[name], root, CLASSES.index(emotion), report)
    return row and {**row, "subject": entry["speaker_id"]}
