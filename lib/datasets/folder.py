"""Any directory of recordings as a data set, with or without labels.

Recordings may lie in sub-folders: videos or, where there is none, sound files. Labels are found by
name, beside the video or in a folder `labels`:
``<trial>.txt`` in the official form (the header tells the task) or ``<trial>.csv``, with
``img,V,A,frame_id`` or as a person's own table (`lib.labels.tables`;
``labels/<annotator>/<trial>.csv``: one file per annotator); ``<video>_left`` and ``<video>_right``
are two persons of one video. Labels of whole recordings, as of emotional speech:
`recording_labels`. Crops: ``cropped_aligned/<trial>/`` or OpenFace's folders.
``splits.csv`` (columns trial, split and, optionally, subject) assigns trials to train, val and
test; without it unlabelled trials are test, and every fifth subject of the labelled ones is val. A
line ``<video>_left``, ``_right`` or ``_1``, ``_2``, … in it makes a trial of that person
(`lib.faces.persons`), labels or not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from .. import trials
from ..errors import InputError
from ..labels import emotions
from ..media import kinds
from ..store import fingerprint
from . import (
    affwild2,
    contents,
    crop_folders,
    folder_labels,
    inventory,
    names,
    ravdess,
    recording_labels,
    recording_notes,
    splits,
)
from .contents import Contents
from .names import Recording
from .report import Report

CLASSES = emotions.CLASSES  # whatever words a table or a name has for them
VAL_SHARE = 0.2  # share of the labelled subjects


def find(
    root: Path,
    dataset: str = "folder",
    progress: Callable | None = None,
    ours: Collection[Path] = (),
    label_range: Sequence[float] = (),
) -> tuple[pd.DataFrame, Report]:
    """Trial table (paths relative to `root`) and report of a directory of recordings; see
    `affwild2.find`.

    ours : folders of results, which are not searched. The report also has an inventory: what each
        file is used as. label_range : of valence and arousal in tables of whole recordings, () for
        −1…1. Raises InputError for splits that are not understood.
    """
    root, report = Path(root), Report()
    listing = contents.look(root, ours)
    inventory.tell_others(listing, report)
    recordings = _recordings(listing)
    videos = {name: root / recording.path for name, recording in recordings.items()}
    hears = not listing.of_kind("video")
    look_at = _rows_of_sounds if hears else _rows_of_videos
    made = look_at(videos, root, report, progress)
    annotations = folder_labels.find(listing, recordings, report)
    known = recording_labels.find(listing, recordings, annotations, label_range, report)
    pictures = crop_folders.find(root, report)
    entries = splits.read(listing, recordings, {*annotations, *pictures}, report)
    found = annotations, pictures, known
    rows = _rows(made, recordings, found, entries)
    splits.refuse_unknown(rows, entries, recordings, splits.place_of(listing), report)
    if not entries:
        _tell_folders(rows, report)
    if not hears:
        _tell_copies(recordings, root, report)
    rows = _split(rows, entries)
    splits.tell_one_sided(rows, entries, splits.place_of(listing), report)
    recording_notes.tell_splits(rows, known, report)
    for row in rows:
        row |= {"dataset": dataset, **affwild2.relative(_without_labels(row), root)}
    table = trials.table(rows)
    affwild2.count(report, table, len(videos), {"": ()}, "recordings" if hears else "videos")
    inventory.close(listing, table, recordings, report)
    return table, report


def _rows(
    made: Mapping[str, dict],
    recordings: Mapping[str, Recording],
    found: tuple[Mapping, Mapping, Mapping],
    entries: Mapping[str, dict],
) -> list[dict]:
    """A row for each person of each recording. found : by trial the labels and the crops, and what
    is said of whole recordings.
    """
    annotations, pictures, known = found
    rows = []
    for video, of_video in made.items():
        pairs = names.persons(video, recordings)
        persons = [pair for pair in pairs if pair[0] in annotations or pair[0] in pictures]
        persons += [pair for pair in _asked(video, recordings, entries) if pair not in persons]
        for trial, person in persons or [(video, "")]:
            row = of_video | {"trial": trial, "person": person}
            row |= _whose(recordings[video], known.get(video))
            rows.append(row | {"crops_dir": pictures.get(trial, ""), **annotations.get(trial, {})})
    return rows


def _recordings(there: Contents) -> dict[str, Recording]:
    paths = sorted(there.of_kind("video")) or _sounds(there)
    if not paths:
        raise InputError(
            f"no video found among {len(there.files)} files, and no sound file",
            where=there.root,
            expected="recordings such as mp4, mov, avi, mkv, webm or mts; or wav, flac, mp3, sph",
            todo="correct data_root",
        )
    return names.of_recordings(paths)


def _sounds(there: Contents) -> list[str]:
    """Sound files by their content or, of damaged ones, by their name."""
    damaged = [
        path
        for path in there.files
        if contents.suffix(path) in kinds.SOUND_SUFFIXES and not there.has_settled(path)
    ]
    return sorted({*there.of_kind("sound"), *damaged})


def _rows_of_videos(
    paths: Mapping[str, Path], root: Path, report: Report, progress: Callable | None
) -> dict[str, dict]:
    """Recording -> the columns that follow from its file, paths absolute; those that do not open
    are reported and left out.
    """
    infos = affwild2.probe(paths, report, progress)
    return {name: affwild2.video_row(name, info) | {"video": name} for name, info in infos.items()}


def _rows_of_sounds(
    paths: Mapping[str, Path], root: Path, report: Report, progress: Callable | None
) -> dict[str, dict]:
    """The same of sound files. Copies are reported."""
    rows = {}
    for done, (name, path) in enumerate(paths.items(), start=1):
        if row := ravdess.sound_row(name, path, root, None, report):
            rows[name] = row | {"split": "", "audio_path": path}
        if progress:
            progress(done, len(paths), name)
    done_of_copies = "both are kept: scores flatter where one is in train and one in val or test"
    ravdess.name_copies({name: paths[name] for name in rows}, report, done_of_copies)
    return rows


def _whose(recording: Recording, said: recording_labels.Said | None) -> dict:
    """Whose recording it is: the speaker that its label names, else a person of its own."""
    subject = (said.speaker if said else "") or recording.subject
    return {"subject": subject, "own_subject": recording.subject}


def _asked(video: str, videos: Iterable[str], entries: Iterable[str]) -> list[tuple[str, str]]:
    """Persons of a video whom splits.csv names; a recording may itself be called a_1."""
    pairs = [(trial, trial.removeprefix(f"{video}_")) for trial in entries if trial not in videos]
    return [
        (trial, person)
        for trial, person in pairs
        if trial != person and (person in affwild2.PERSONS or person.isdecimal())
    ]


def _tell_folders(rows: list[dict], report: Report) -> None:
    """Warn that folders called train, val or test decide nothing, if two of them contain labelled
    recordings.
    """
    labelled = [row for row in rows if _is_labelled(row) and not row.get("split")]
    paths = {Path(row.get("video_path") or row["audio_path"]).parts[:-1] for row in labelled}
    called = {part for parts in paths for part in parts if splits.word(part)}
    if len({splits.word(part) for part in called}) < 2:
        return
    report.warning(
        splits.FILE,
        f"recordings lie in folders {' and '.join(sorted(called))}, which decide no split",
        "drawn by subject all the same",
        expected=f"{splits.FILE} in the data root",
        todo=f"write {splits.FILE} with the columns trial and split, or leave it so",
    )


# Names that programs give to copies: anna (1).mp4, anna - Copy.mp4, anna copy 2.mp4.
_COPY = re.compile(r"[\s_-]*(\(\d+\)|(copy|kopie|copie|copia)\s*(\(?\d+\)?)?)", re.IGNORECASE)


def _tell_copies(recordings: Mapping[str, Recording], root: Path, report: Report) -> None:
    """Report recordings whose name is that of a copy of another one, and whose bytes are the
    same.
    """
    stems = {(recording.folder, recording.stem): recording for recording in recordings.values()}
    for recording in recordings.values():
        base = next(
            (m for m in _COPY.finditer(recording.stem) if m.end() == len(recording.stem)), None
        )
        first = stems.get((recording.folder, recording.stem[: base.start()])) if base else None
        if first and fingerprint(root / recording.path) == fingerprint(root / first.path):
            report.warning(
                recording.name,
                f"a copy of {first.path}: the same bytes",
                "a trial of its own",
                where=str(root / recording.path),
                expected="each recording once",
                todo="remove it: scores flatter where one is in train and the other in val or test",
            )


def _split(rows: list[dict], entries: Mapping[str, dict]) -> list[dict]:
    """Give every row its split: from the file, else test without labels, else train or val by
    subject.
    """
    rows = [
        row | {"subject": splits.of_trial(row, entries).get("subject") or row["subject"]}
        for row in rows
    ]
    without = [row for row in rows if not splits.of_trial(row, entries) and not row.get("split")]
    val = val_subjects({row["subject"] for row in without if _is_labelled(row)})
    for row in rows:
        drawn = "val" if row["subject"] in val else "train"
        if not _is_labelled(row):
            drawn = "test"
        drawn = row.get("split") or drawn  # a table of utterances belongs to one split
        row["split"] = splits.of_trial(row, entries).get("split", drawn)
    return rows


def _is_labelled(row: dict) -> bool:
    return any(name in row for name in trials.LABEL_PATHS)


def _without_labels(row: dict) -> dict:
    """Label columns already name files relative to the root, perhaps several, or rows of a
    table.
    """
    return {name: value for name, value in row.items() if name not in trials.LABEL_PATHS}


def val_subjects(subjects: set[str]) -> set[str]:
    """The fifth of the subjects whose names have the lowest SHA-256, which is the same on every
    machine and at any time.
    """
    if len(subjects) < 2:
        return set()
    order = sorted(subjects, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return set(order[: max(1, round(VAL_SHARE * len(order)))])
