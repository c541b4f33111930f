"""RAVDESS, the part with speech and sound only: actors' folders of short recordings whose names are
their labels.

Livingstone and Russo (2018), PLoS ONE 13(5): e0196391; data: doi 10.5281/zenodo.1188976, licence CC
BY-NC-SA 4.0. ``Actor_07/03-01-03-01-02-01-07.wav`` (48 kHz, as released; or a FLAC copy of the same
name): modality, channel, emotion, intensity, statement, repetition, actor.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from .. import store, trials
from ..errors import InputError
from ..files import walk
from ..media import recordings
from . import tree
from .report import Report

SUFFIXES = (".wav", ".flac")
CLASSES = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
# Test actors of the five speaker-independent folds that are published (as in Luna-Jiménez et al.
# 2021 and 2022); fold k of the table is the k-th from 0.
FOLDS = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)
RECORDINGS, ACTORS = 1440, 24
EACH = {"neutral": 96}  # recordings of a class; 192 of every other one
TERMS = (
    "trained on CC BY-NC-SA data (RAVDESS): no commercial use, name the authors; "
    "docs/models/utterance.md"
)
FILE_NAME = re.compile("-".join(["([0-9]{2})"] * 7))
# The highest of each field, as the set's page says: modality, channel, emotion, intensity,
# statement, repetition, actor; the lowest is 1.
HIGHEST_CODES = (3, 2, len(CLASSES), 2, 2, 2, ACTORS)
MIN_SECONDS = 0.1  # s: in less nobody says a word; the header of a file that was cut off may say 0
SOUND_ONLY, SPEECH = 3, 1


class Facts(NamedTuple):
    """What the name of a recording says; numbers as in the name, `emotion` from 1."""

    modality: int
    channel: int
    emotion: int
    intensity: int
    statement: int
    repetition: int
    actor: int

    @property
    def label(self) -> int:
        """Class from 0, in the order of `CLASSES`."""
        return self.emotion - 1

    @property
    def woman(self) -> bool:
        """Actors with an even number are women."""
        return self.actor % 2 == 0

    @property
    def strong(self) -> bool:
        """Played with strong intensity, which neutral never is."""
        return self.intensity == 2


def facts(name: str) -> Facts:
    """The fields of a recording's name, without its suffix. Raises InputError for another name."""
    match = FILE_NAME.fullmatch(name)
    fields = Facts(*map(int, match.groups())) if match else None
    usual = fields is not None and all(
        1 <= value <= most for value, most in zip(fields, HIGHEST_CODES, strict=True)
    )
    if not usual or (fields.strong and CLASSES[fields.label] == "neutral"):
        raise InputError(
            f"no name of a RAVDESS recording: {name!r}",
            expected="seven numbers of two digits: modality 01 to 03, channel 01 or 02, emotion 01 "
            "to 08, intensity 01 or 02 (neutral: 01), statement and repetition 01 or 02, actor 01 "
            "to 24",
            todo="rename it as it was released, or take it away",
        )
    return fields


def find(
    root: Path, dataset: str = "ravdess", progress: Callable | None = None
) -> tuple[pd.DataFrame, Report]:
    """Trial table (paths relative to `root`) and report; every recording is of the split "train",
    which the parameter `fold` divides. See `affwild2.find`.
    """
    root, report = Path(root), Report()
    files = [entry.path for entry in walk(root, closed)]
    paths = sounds(root, files, report)
    rows = []
    for done, (name, path) in enumerate(paths.items(), start=1):
        row = _row(name, path, root, report)
        rows += [{"dataset": dataset, **row}] if row else []
        if progress:
            progress(done, len(paths), name)
    if not rows:
        raise report.nothing(
            "no recording of RAVDESS found",
            where=root,
            expected="Actor_01/03-01-01-01-01-01-01.wav and so on, or .flac",
            todo=_way_to_the_recordings(files),
        )
    used = {row["trial"]: paths[row["trial"]] for row in rows}
    name_copies(used, report, "both are kept, as in the release")
    table = trials.table(rows)
    _count(table, report)
    return table, report


def closed(path: str) -> str:
    """Folders that are not entered: hidden ones."""
    return "hidden" if PurePosixPath(path).name.startswith(".") else ""


def _way_to_the_recordings(there: Iterable[str]) -> str:
    """What to do where there are none, by what lies there: paths of files."""
    files = sorted(map(PurePosixPath, there))
    if packed := [file.name for file in files if file.suffix.lower() == ".zip"]:
        right = next((name for name in packed if name.startswith("Audio_Speech")), packed[0])
        return f"unpack {right} where it lies"
    if [file for file in files if file.suffix.lower() == ".mp4" and FILE_NAME.fullmatch(file.stem)]:
        return "these are the videos: fetch Audio_Speech_Actors_01-24.zip and unpack it, too"
    return "correct data_root; data_README.md says where the data are"


def sounds(root: Path, there: Iterable[str], report: Report, first: str = "") -> dict[str, Path]:
    """Name -> file of all recordings below `root`; of two with one name that in the folder `first`
    or else the one nearest to `root`.

    there : paths of all files, relative to `root`.
    """
    paths: dict[str, Path] = {}
    heard = (path for path in map(PurePosixPath, there) if path.suffix.lower() in SUFFIXES)
    folders = {path.parent for path in heard}
    for folder in sorted(folders, key=lambda path: (str(path) != first, len(path.parts), path)):
        for path in tree.files(root / folder, SUFFIXES, report):
            used = paths.setdefault(path.stem, path)
            if used is not path:
                report.warning(
                    path.stem,
                    f"is there twice: {path.relative_to(root)}, too",
                    f"{used.relative_to(root)} is used",
                    where=str(path),
                    todo="remove or rename one of them",
                )
    return paths


def _row(name: str, path: Path, root: Path, report: Report) -> dict:
    """The row of the trial table; {} for what is left out, which the report names."""
    try:
        fields = facts(name)
    except InputError as error:
        report.fault(name, error, "left out")
        return {}
    if (fields.modality, fields.channel) != (SOUND_ONLY, SPEECH):
        report.warning(name, "is not speech with sound only", "left out", where=str(path))
        return {}
    row = sound_row(name, path, root, fields.label, report)
    if not row:
        return {}
    if path.parent.name.lower() != f"actor_{fields.actor:02}":
        report.warning(
            name, f"lies in {path.parent.name}", "the actor of its name counts", where=str(path)
        )
    fold = next(number for number, actors in enumerate(FOLDS) if fields.actor in actors)
    return {**row, "fold": fold, "subject": f"actor_{fields.actor:02}"}


def shown(name: str) -> str:
    """A name of unknown origin for a message: signs that are none on paper are spelt out."""
    return name if name.isprintable() else ascii(name)


def sound_row(name: str, path: Path, root: Path, label: int | None, report: Report) -> dict:
    """The row of a recording of sound alone with one label (`CLASSES`) or none, without a speaker;
    {} for one that cannot be heard, which the report names.
    """
    file = path.relative_to(root).as_posix()
    try:
        _refuse_name(name, file)
        info = recordings.probe(path)
    except InputError as error:
        report.fault(shown(name), error, "left out")
        return {}
    duration = info.audio_duration or info.duration
    if duration < MIN_SECONDS:
        report.error(
            name,
            f"holds {duration:g} s of sound",
            "left out",
            where=str(path),
            expected="a recording of 3 to 5 s",
            todo="fetch it again",
        )
        return {}
    row = {
        "trial": name,
        "video": name,
        "split": "train",
        "audio_path": file,
        "duration": duration,
    }
    if label is None:
        return row
    return row | {"expression_path": trials.constant_label(label)}


def _refuse_name(name: str, file: str) -> None:
    """Raise InputError for a recording that the trial table cannot name; `file` is its path."""
    outside = "Windows reads it as a path out of the folder"
    if why := trials.unusable(name) or (outside if trials.leaves_root(file) else ""):
        raise InputError(
            f"cannot be the name of a trial or of its file: {why}",
            where=shown(file),
            expected="a name that can be a folder's on every system",
            todo="rename it",
        )


def name_copies(paths: Mapping[str, Path], report: Report, done: str) -> None:
    """Name recordings that are copies of another one, and what is done about them."""
    sizes = Counter(path.stat().st_size for path in paths.values())
    seen: dict[str, str] = {}
    for name, path in paths.items():
        if sizes[path.stat().st_size] > 1:
            first = seen.setdefault(store.fingerprint(path)["sha256"], name)
            if first != name:
                what = f"is a copy of {first}, byte by byte"
                report.warning(name, what, done, where=str(path))


def _count(table: pd.DataFrame, report: Report) -> None:
    report.count("recordings", len(table), (RECORDINGS,))
    report.count("actors", table["subject"].nunique(), (ACTORS,))
    labels = [facts(name).label for name in table["trial"]]
    for number, name in enumerate(CLASSES):
        report.count(f"{name}", labels.count(number), (EACH.get(name, 192),))
