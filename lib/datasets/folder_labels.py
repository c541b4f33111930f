"""Which label files belong to which trial of a folder of videos: by name, by annotator, by row of a
table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, product
from pathlib import Path, PurePosixPath

from ..errors import InputError
from ..files import folded
from ..labels import columns, official, tables, utterances
from ..metrics import EMOTIONS
from ..trials import label_column
from . import names, splits
from .contents import Contents, joined, split
from .names import Recording
from .report import Report

FOLDERS = ("labels", "annotations", "va_set", "preprocessed_va_annotations")
TABLES = (".csv", ".tsv", *tables.sheets.EXCEL)
SUFFIXES = (".txt", *TABLES, ".json", ".eaf", ".dat")  # in this order of precedence
NOVA = ".annotation"


def find(
    contents: Contents, recordings: Mapping[str, Recording], report: Report
) -> dict[str, dict]:
    """trial -> {"va_path": files relative to the root, …, "split": of a table that says so}.

    A trial's own file comes first, then files of several annotators, then tables of utterances.
    """
    contents.stems = {recording.stem for recording in recordings.values()}
    pairs = {}
    for name, recording in recordings.items():
        for trial, person in names.persons(name, recordings):
            pairs[trial] = recording, person
    labels: dict[str, dict] = {}
    for trial, (recording, person) in pairs.items():
        _own_files(contents, trial, recording, person, labels, report)
    for trial, paths in _by_annotator(contents, pairs, report).items():
        _take_annotators(contents, trial, paths, labels, report)
    _of_tables(contents, recordings, labels, report)
    return labels


def label_folders(contents: Contents) -> list[str]:
    """Folders in the root that are called as folders of labels are."""
    inside = [folder for folder in sorted(contents.folders) if folder and "/" not in folder]
    return [folder for name in FOLDERS for folder in inside if folder.lower() == name]


def _own_files(
    contents: Contents,
    trial: str,
    recording: Recording,
    person: str,
    labels: dict[str, dict],
    report: Report,
) -> None:
    """Note the label files with a trial's own name."""
    damaged = ""
    for path in dict.fromkeys(_candidates(contents, trial, recording, person)):
        before = labels.get(trial, {})
        if all(f"{kind}_path" in before for kind in ("va", "expression")):
            contents.refuse(
                path, f"trial {trial} has another label file already", "keep one of both"
            )
            continue
        try:
            kinds = kinds_of(contents.root / path)
        except InputError as error:
            done = "left out" if before else "its labels are lost, and its trial with them in 04"
            report.fault(trial, error, done)
            contents.use(path, f"damaged label file of trial {trial}")
            damaged = damaged or path
            continue
        for kind in kinds:
            first = labels.setdefault(trial, {}).setdefault(f"{kind}_path", label_column([path]))
            if first == label_column([path]):
                contents.use(path, f"labels of trial {trial}")
        if kinds and path not in contents.used:
            contents.refuse(
                path, f"trial {trial} has another label file already", "keep one of both"
            )
    _emotion_files(contents, trial, recording, person, labels)
    if damaged and not labels.get(trial):  # it must not become a test trial without labels
        labels.setdefault(trial, {})["va_path"] = label_column([damaged])


def _candidates(contents: Contents, trial: str, recording: Recording, person: str) -> Iterator[str]:
    """Files with a trial's name: beside its recording, in a folder of labels, or there under the
    recording's subfolders.
    """
    for folder, base in _bases(contents, trial, recording, person):
        for suffix in SUFFIXES:
            path = contents.get(folder, f"{base}{suffix}")
            # a film of a Video CD has the suffix .DAT, like some label tables
            if path and contents.kinds.get(path) not in ("video", "sound"):
                yield path
    if not person:
        yield from _of_nova(contents, recording)


def _bases(
    contents: Contents, trial: str, recording: Recording, person: str
) -> Iterator[tuple[str, str]]:
    """(folder, name without suffix) where labels of a trial may be."""
    tail = f"_{person}" if person else ""
    bases = [f"{recording.stem}{tail}", f"{recording.file}{tail}"]
    yield from ((recording.folder, base) for base in [*bases, trial])
    for folder in label_folders(contents):
        yield folder, trial
        if recording.folder:
            yield from ((joined(folder, recording.folder), base) for base in bases)
        if not recording.is_shared:
            yield from ((folder, base) for base in bases)


def _of_nova(contents: Contents, recording: Recording) -> Iterator[str]:
    """NOVA's files beside a recording: ``<role>.<scheme>.<annotator>.annotation``."""
    role = folded(recording.stem.split(".")[0])
    for path in contents.inside(recording.folder):
        name = folded(split(path)[1])
        if name.endswith(NOVA) and name.split(".")[0] == role:
            yield path


def _emotion_files(
    contents: Contents,
    trial: str,
    recording: Recording,
    person: str,
    labels: dict[str, dict],
) -> None:
    """Note ``<trial>_valence.csv`` and ``<trial>_arousal.csv``, and NOVA's files of each."""
    if "va_path" in labels.get(trial, {}):
        first = labels[trial]["va_path"]
        nova = [] if person or not first.endswith(NOVA) else list(_of_nova(contents, recording))
        if len(nova) > 1:
            labels[trial]["va_path"] = label_column(nova)
            for path in nova:
                contents.use(path, f"labels of trial {trial}")
        return
    for folder, base in _bases(contents, trial, recording, person):
        paths = []
        for emotion in EMOTIONS:
            ends = product("_-.", [emotion], (*TABLES, ".txt"))
            files = (contents.get(folder, base + "".join(end)) for end in ends)
            paths += [path for path in files if path][:1]
        if paths:
            labels.setdefault(trial, {})["va_path"] = label_column(paths)
            for path in paths:
                contents.use(path, f"labels of trial {trial}")
            return


def kinds_of(path: Path) -> list[str]:
    """Which labels a file holds; none for another kind of table.

    Raises InputError for an unreadable file, and for one whose content cannot be determined.
    """
    form = tables.form(path)
    if form != "official":
        return tables.kinds(path)
    if path.suffix.lower() != ".txt":
        return ["va"]
    kind = next((kind for kind in official.KINDS if official.has_header(path, kind)), "va")
    official.read(path, kind)
    return [kind]


def _take_annotators(
    contents: Contents, trial: str, paths: list[str], labels: dict[str, dict], report: Report
) -> None:
    column = label_column(paths)
    if "va_path" in labels.get(trial, {}):
        report.warning(
            trial,
            "has a label file of its own and files of annotators",
            "its own file is used",
            where=column,
            todo="remove one or the others",
        )
        for path in paths:
            contents.refuse(
                path, f"trial {trial} has a label file of its own", "keep one or the others"
            )
        return
    labels.setdefault(trial, {})["va_path"] = column
    for path in paths:
        contents.use(path, f"labels of trial {trial}")


def _by_annotator(
    contents: Contents, pairs: Mapping[str, tuple[Recording, str]], report: Report
) -> dict[str, list[str]]:
    """trial -> its files in ``labels/<annotator>/`` and in folders valence and arousal."""
    elsewhere = label_folders(contents)
    folders = sorted(contents.folders)
    parents = {"", *elsewhere, *(folder for folder in folders if "/" not in folder)}
    of_emotions: list[str] = []
    for emotion in EMOTIONS:
        called = [f for f in folders if f and split(f)[1].lower() == emotion]
        of_emotions += [folder for folder in called if split(folder)[0] in parents]
    others = [f for f in folders if f and split(f)[0] in elsewhere and f not in of_emotions]
    paths: dict[str, list[str]] = {}
    for group in (of_emotions, others):
        members = {folder: _members(contents, folder, pairs, report) for folder in group}
        members = {folder: files for folder, files in members.items() if files is not None}
        for folder, files in members.items():
            for trial, path in files.items():
                paths.setdefault(trial, []).append(path)
            _tell_missing(contents, folder, set().union(*members.values()) - set(files), report)
    return paths


def _tell_missing(contents: Contents, folder: str, missing: set[str], report: Report) -> None:
    for trial in sorted(missing):
        report.warning(
            trial,
            f"{split(folder)[1]} has no label file of this trial, others have",
            "the others count",
            where=str(contents.root / folder),
            todo="add it, or see whether it is there under another name",
        )


def _members(
    contents: Contents,
    folder: str,
    pairs: Mapping[str, tuple[Recording, str]],
    report: Report,
) -> dict[str, str] | None:
    """trial -> file in one annotator's folder; a file without a trial's name is reported with the
    nearest name. None for a folder that contains only files of single trials.
    """
    called: dict[str, str] = {}
    for trial, (recording, person) in pairs.items():
        called.setdefault(folded(trial), trial)
        if not recording.is_shared:
            tail = f"_{person}" if person else ""
            called.setdefault(folded(f"{recording.file}{tail}"), trial)
            called.setdefault(folded(f"{recording.stem}{tail}"), trial)
    files = [path for path in contents.inside(folder) if _is_label(contents, path)]
    free = [path for path in sorted(files) if path not in contents.used]
    paths = {}
    for path in free:
        stem = PurePosixPath(path).stem
        if trial := stem if stem in pairs else called.get(folded(stem), ""):
            paths[trial] = path
            continue
        near = names.nearest(stem, [name for name, (_, who) in pairs.items() if not who])
        right = f"{near}{PurePosixPath(path).suffix}" if near else "the name of a video"
        contents.refuse(path, "named after no trial", right)
        report.error(
            stem,
            f"a label file of {split(folder)[1]} that bears no trial's name",
            "left out",
            where=str(contents.root / path),
            expected=right,
            todo="rename it" if near else "rename it, or remove it",
        )
    return paths if free or not files else None


def _is_label(contents: Contents, path: str) -> bool:
    name = split(path)[1].lower()
    if name.endswith(tables.ELAN):  # many hold a transcript only
        return not name.startswith(".") and _holds_labels(contents.root / path)
    return not name.startswith(".") and name.endswith((".txt", *TABLES))


def _holds_labels(path: Path) -> bool:
    try:
        return bool(kinds_of(path))
    except InputError:  # the list of files tells the reason
        return False


def _of_tables(
    contents: Contents,
    recordings: Mapping[str, Recording],
    labels: dict[str, dict],
    report: Report,
) -> None:
    """Assign to trials their rows in tables of utterances (OMG-Emotion, MELD) in the root or in
    folders of labels.
    """
    by_stem: dict[str, list[str]] = {}
    for name, recording in recordings.items():
        by_stem.setdefault(recording.stem, []).append(name)
    for path in _tables(contents):
        try:
            form = tables.form(contents.root / path)
            rows = utterances.keys(contents.root / path) if form in tables.UTTERANCES else []
        except InputError as error:
            report.fault(split(path)[1], error, "this label table is left out")
            contents.refuse(path, f"it cannot be read: {error.what}", error.expected)
            continue
        used = _give_rows(path, form, rows, (recordings, by_stem), labels)
        if used:
            contents.use(path, f"labels of {used} trials, by row")
            _tell_speakers(contents.root / path, form, report)
        elif rows:
            report.warning(
                split(path)[1],
                f"none of its {len(rows)} rows fits a video here",
                "left out",
                where=str(contents.root / path),
                expected="<video>/<utterance>.mp4, <video>.mp4 or dia0_utt0.mp4",
                todo="look at the names",
            )
            contents.refuse(path, "none of its rows fits a video here", "look at the names")


def _tell_speakers(path: Path, form: str, report: Report) -> None:
    """Say that MELD's column of speakers is not used: its published split has the same people on
    all sides.
    """
    if form == "meld" and "speaker" in map(columns.squeezed, tables.sheets.kept(path).names):
        report.warning(
            path.name,
            "its column of speakers is not used: the table's split counts, whoever speaks",
            "each recording counts as a person of its own; voices may have been learnt from",
            where=str(path),
            todo=f"for a split by speaker write {splits.FILE} with trial, split and subject",
        )


def _tables(contents: Contents) -> list[str]:
    """Tables in the root and in folders of labels that belong to no single trial."""
    paths = []
    for folder in ("", *label_folders(contents)):
        inside = (path for path in contents.inside(folder) if path.lower().endswith(TABLES))
        paths += sorted(path for path in inside if not contents.has_settled(path))
    return paths


def _give_rows(
    path: str,
    form: str,
    rows: list[tuple[str, str, str]],
    known: tuple[Mapping[str, Recording], Mapping[str, list[str]]],
    labels: dict[str, dict],
) -> int:
    """Note the rows of a table for their trials; returns how many matched."""
    recordings, by_stem = known
    part, used = utterances.split_of(PurePosixPath(path).stem), 0
    for key, video, utterance in rows:
        stems = {f"{video}_{utterance}", utterance} if utterance else {video}
        called = chain.from_iterable(by_stem.get(stem, ()) for stem in stems)
        for trial in called:
            if not _fits(recordings[trial].path, video, utterance, part):
                continue
            column = label_column([path], key)
            for kind in ("expression",) if form == "meld" else ("va", "expression"):
                labels.setdefault(trial, {}).setdefault(f"{kind}_path", column)
            labels[trial].setdefault("split", part)
            used += 1
    return used


def _fits(film: str, video: str, utterance: str, part: str) -> bool:
    """Whether a video file is the one that a row names: ``<video>/<utterance>.mp4``,
    ``<video>_<utterance>.mp4``, or uncut.
    """
    parents = PurePosixPath(film).parts[:-1]
    here = next(filter(None, map(utterances.split_of, parents)), "")
    if here and part and here != part:
        return False
    stem = PurePosixPath(film).stem
    return not utterance or stem != utterance or parents[-1:] == (video,)
