"""nEMO: emotional speech in Polish by nine actors, as it is released: ``data.tsv`` beside
``samples/``.

Christop (2024), LREC-COLING; licence CC BY-NC-SA 4.0. A row of ``data.tsv`` is a recording:
``file_id``, ``emotion`` (anger, fear, happiness, neutral, sadness, surprise), ``speaker_id``, and
what is said. Written from the set's public description, not tried on its files. Classes are
RAVDESS's, of which two do not occur, so that a network that learnt from one set can be evaluated on
the other.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from .. import trials
from ..errors import InputError
from ..files import walk
from ..labels import sheets
from ..media import kinds
from . import ravdess
from .report import Report

TABLE, FOLDER = "data.tsv", "samples"
CLASSES = ravdess.CLASSES
KEPT = "both are kept, whatever their speakers and emotions are"
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
    files = [entry.path for entry in walk(root, ravdess.closed) if entry.kind != "folder"]
    place = _place(root, files, report)
    sheet = _table(root / place, report)
    samples = (PurePosixPath(place).parent / FOLDER).as_posix()
    heard, cells = ravdess.sounds(root, files, report, samples), _cells(sheet)
    sounds, others = _composed(heard), _others(files)
    rows: dict[str, dict] = {}
    for number, row in enumerate(cells):
        made = _row(row, sounds, others, root, report, sheet.where(number))
        if made and made["trial"] in rows:
            report.warning(
                made["trial"], "has two rows", "the first counts", where=sheet.where(number)
            )
        elif made:
            rows[made["trial"]] = {"dataset": dataset, **made}
        if progress:
            progress(number + 1, len(cells), row["file_id"])
    listed = {sounds.get(_name(row)) for row in cells}
    for name, path in heard.items():
        if path not in listed:
            report.warning(
                ravdess.shown(name), f"has no row in {place}", "left out", where=str(path)
            )
    if not rows:
        raise report.nothing(
            "no recording of nEMO found",
            where=root,
            expected=f"{TABLE} and its recordings ({FOLDER}/….wav)",
            todo="unpack both into one folder, and name it as data_root",
        )
    ravdess.name_copies({name: sounds[name] for name in rows}, report, KEPT)
    return trials.table(list(rows.values())), report


def _place(root: Path, files: Iterable[str], report: Report) -> str:
    """The table's path relative to `root`: of several the one nearest to it, others are named."""
    paths = [path for path in map(PurePosixPath, files) if path.name.lower() == TABLE]
    if not paths:
        raise InputError(
            f"no {TABLE} found",
            where=root,
            expected=f"{TABLE} with the columns {', '.join(COLUMNS)}",
            todo="correct data_root; data_README.md says where the data are",
        )
    first, *others = sorted(paths, key=lambda path: (len(path.parts), path.name != TABLE, path))
    report.note(first.as_posix(), "the table of the recordings")
    for other in others:
        report.warning(
            str(other),
            "is another table of the recordings",
            f"{first} is read",
            where=str(root / other),
            expected=f"one {TABLE}",
            todo="remove it, or name its folder as data_root",
        )
    return first.as_posix()


def _table(path: Path, report: Report) -> sheets.Sheet:
    """The table, with what was passed over in it in the report."""
    sheet = sheets.read(path, lambda cells: set(COLUMNS) <= set(cells), skip_uneven=True)
    if missing := [name for name in COLUMNS if name not in sheet.names]:
        raise InputError(
            f"no column {' or '.join(missing)}",
            where=f"{sheet.path}:{sheet.header_line}",
            expected=", ".join(COLUMNS),
            todo="take the table as it was released",
        )
    report.passed_over(path, sheet.notes)
    for name in (name for name in COLUMNS if sheet.names.count(name) > 1):
        what = f"several columns are called {name}"
        report.warning(path.name, what, "the first counts", where=str(path))
    return sheet


def _cells(sheet: sheets.Sheet) -> list[dict[str, str]]:
    places = [sheet.names.index(name) for name in COLUMNS]
    return [
        {name: row[index].strip() for name, index in zip(COLUMNS, places, strict=True)}
        for row in sheet.rows
    ]


def _name(entry: Mapping[str, str]) -> str:
    """The name of a row's recording: its id without folders and the suffix of a recording."""
    path = PurePosixPath(_same(entry["file_id"]).replace("\\", "/"))
    return path.stem if path.suffix.lower() in kinds.RECORDING_SUFFIXES else path.name


def _same(name: str) -> str:
    """A name with its accents composed: macOS writes the names of files with them apart."""
    return unicodedata.normalize("NFC", name)


def _composed(heard: Mapping[str, Path]) -> dict[str, Path]:
    """The recordings by their names as `_name` gives them; of two the one that is written so."""
    sounds: dict[str, Path] = {}
    for name, path in heard.items():
        if _same(name) not in sounds or _same(name) == name:
            sounds[_same(name)] = path
    return sounds


def _others(files: Iterable[str]) -> dict[str, str]:
    """Name -> path of recordings of kinds that are not read."""
    suffixes = set(kinds.RECORDING_SUFFIXES).difference(ravdess.SUFFIXES)
    kept = [path for path in map(PurePosixPath, files) if path.suffix.lower() in suffixes]
    return {_same(path.stem): path.as_posix() for path in kept}


def _fault(
    name: str, emotion: str, sounds: Mapping[str, Path], others: Mapping[str, str]
) -> tuple[str, str, str]:
    """(what is wrong with a row, what is expected, what to do); empty if nothing is."""
    if not name:
        return "has no file_id", "the name of a recording", "correct that row"
    if emotion.lower() not in CLASS_OF_EMOTION:
        what = f"has an emotion called {emotion!r}"
        return what, ", ".join(CLASS_OF_EMOTION), "correct that row"
    if name in sounds:
        return "", "", ""
    right, other = f"{FOLDER}/{ravdess.shown(name)}.wav, or .flac", others.get(name)
    if other:
        return f"is there as {other} only", right, "fetch it again, or save it as one of these"
    return "is not there", right, "fetch it again"


def _row(
    entry: Mapping[str, str],
    sounds: Mapping[str, Path],
    others: Mapping[str, str],
    root: Path,
    report: Report,
    where: str,
) -> dict:
    """The row of the trial table; {} for what is left out, which the report names."""
    name, emotion = _name(entry), entry["emotion"]
    item = ravdess.shown(name) or "a row"
    what, expected, todo = _fault(name, emotion, sounds, others)
    if what:
        report.error(item, what, "left out", where=where, expected=expected, todo=todo)
        return {}
    if not entry["speaker_id"]:
        report.warning(item, "has no speaker", "a fold may split its speaker", where=where)
    label = CLASSES.index(CLASS_OF_EMOTION[emotion.lower()])
    row = ravdess.sound_row(name, sounds[name], root, label, report)
    return row and {**row, "subject": entry["speaker_id"]}
