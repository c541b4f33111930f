"""Which label files belong to which trial of a folder of videos: by name, by annotator, by row of a
table.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from ..errors import InputError
from ..labels import official, tables
from ..metrics import EMOTIONS
from ..trials import JOINED, ROWS
from . import tree
from .report import Report

FOLDERS = ("labels", "annotations", "va_set", "preprocessed_va_annotations")
SUFFIXES = (".txt", ".csv")
NEAR = 0.5  # of `difflib`: alike enough to be one name that two people wrote


def find(
    root: Path, videos: Mapping[str, Path], persons: Mapping[str, list], report: Report
) -> dict[str, dict]:
    """trial -> {"va_path": files relative to `root`, …, "split": of a table that says so}.

    persons : video -> (trial, person) that its labels may be of. A trial's own file comes first,
        then files of several
    annotators, then tables of utterances.
    """
    names = {trial: video for video, some in persons.items() for trial, _ in some}
    elsewhere = tree.named([root], FOLDERS)
    found: dict[str, dict] = {}
    for trial, video in names.items():
        for path in (
            folder / f"{trial}{suffix}"
            for folder in (videos[video].parent, *elsewhere)
            for suffix in SUFFIXES
        ):
            for kind in _kinds(path, trial, report) if path.is_file() else ():
                found.setdefault(trial, {}).setdefault(
                    f"{kind}_path", path.relative_to(root).as_posix()
                )
    for trial, paths in _by_annotator(root, elsewhere, names, report).items():
        joined = JOINED.join(path.relative_to(root).as_posix() for path in paths)
        if "va_path" in found.get(trial, {}):
            report.warning(
                trial,
                "has a label file of its own and files of annotators",
                "its own file is used",
                where=joined,
                todo="remove one or the others",
            )
        found.setdefault(trial, {}).setdefault("va_path", joined)
    _of_tables(root, elsewhere, videos, found, report)
    return found


def _kinds(path: Path, trial: str, report: Report) -> list[str]:
    """Which labels a file holds; none for a table of another program and, reported, for what cannot
    be read.
    """
    try:
        if path.suffix == ".csv":
            return _kinds_of_table(path)
        kind = next((kind for kind in official.KINDS if official.has_header(path, kind)), "va")
        official.read(path, kind)
    except InputError as error:
        report.fault(trial, error, "this label file is left out")
        return []
    return [kind]


def _kinds_of_table(path: Path) -> list[str]:
    form = tables.form(path)
    cells = (
        official.read_text(path).split("\n", 1)[0].replace(";", ",").replace("\t", ",").split(",")
    )
    if not form and all(cell.strip().lstrip("+-").replace(".", "", 1).isdigit() for cell in cells):
        raise InputError(
            f"a label table without a header line: {','.join(cells)[:80]!r}",
            where=f"{path}:1",
            expected="time,valence,arousal",
            todo="write the names of the columns into its first line",
        )
    if form != "own":
        return ["va"] if form == "official" else []
    table = tables.Table(path)
    affect = set(table.names) - {"expression"} and any(
        emotion in " ".join(table.names) for emotion in EMOTIONS
    )
    return ["va"] * bool(affect or "expression" not in table.names) + ["expression"] * (
        "expression" in table.names
    )


def _by_annotator(
    root: Path, elsewhere: list[Path], names: Mapping[str, str], report: Report
) -> dict[str, list[Path]]:
    """trial -> its files in ``labels/<annotator>/`` and in folders valence and arousal."""
    of_emotions = tree.named(
        [root, *elsewhere, *(path for some in tree.subfolders(root).values() for path in some)],
        EMOTIONS,
    )
    folders = [
        path for place in elsewhere for some in tree.subfolders(place).values() for path in some
    ]
    groups = [
        list(dict.fromkeys(of_emotions)),
        [path for path in folders if path not in of_emotions],
    ]
    found: dict[str, list[Path]] = {}
    for group in groups:
        members = {folder: _members(folder, names, report) for folder in group}
        for folder, files in members.items():
            for trial, path in files.items():
                found.setdefault(trial, []).append(path)
            for trial in sorted(set().union(*members.values()) - set(files)):
                report.warning(
                    trial,
                    f"{folder.name} has no label file of this trial, others have",
                    "the others count",
                    where=str(folder),
                    todo="add it, or see whether it is there under another name",
                )
    return found


def _members(folder: Path, names: Mapping[str, str], report: Report) -> dict[str, Path]:
    """trial -> file in one annotator's folder; what bears no trial's name is reported with the
    nearest one.
    """
    found = {}
    for path in tree.files(folder, SUFFIXES, report):
        if path.stem in names:
            found[path.stem] = path
            continue
        near = get_close_matches(path.stem, set(names.values()), 1, NEAR)
        report.error(
            path.stem,
            f"a label file of {folder.name} that bears no trial's name",
            "left out",
            where=str(path),
            expected=f"{near[0]}{path.suffix}" if near else "the name of a video",
            todo="rename it" if near else "rename it, or remove it",
        )
    return found


def _of_tables(
    root: Path,
    elsewhere: list[Path],
    videos: Mapping[str, Path],
    found: dict[str, dict],
    report: Report,
) -> None:
    """Give trials their rows in tables of utterances (OMG-Emotion, MELD) that lie in the root or
    with the labels.
    """
    by_stem: dict[str, list[str]] = {}
    for name, film in videos.items():
        by_stem.setdefault(film.stem, []).append(name)
    for path in (
        path for place in (root, *elsewhere) for path in tree.files(place, (".csv",), report)
    ):
        try:
            form = tables.form(path)
            rows = tables.utterances(path) if form in tables.UTTERANCES else []
        except InputError as error:
            report.fault(path.name, error, "this label table is left out")
            continue
        split, used = tables.split_of(path.stem), 0
        for key, video, utterance in rows:
            stems = {f"{video}_{utterance}", utterance} if utterance else {video}
            for trial in (
                name
                for stem in stems
                for name in by_stem.get(stem, ())
                if _fits(videos[name], root, video, utterance, split)
            ):
                told = f"{path.relative_to(root).as_posix()}{ROWS}{key}"
                for kind in ("expression",) if form == "meld" else ("va", "expression"):
                    found.setdefault(trial, {}).setdefault(f"{kind}_path", told)
                found[trial].setdefault("split", split)
                used += 1
        if rows and not used:
            report.warning(
                path.name,
                f"none of its {len(rows)} rows fits a video here",
                "left out",
                where=str(path),
                expected="<video>/<utterance>.mp4, <video>.mp4 or dia0_utt0.mp4",
                todo="look at the names",
            )


def _fits(film: Path, root: Path, video: str, utterance: str, split: str) -> bool:
    """Whether a video file is what a row names: ``<video>/<utterance>.mp4``,
    ``<video>_<utterance>.mp4``, or uncut.
    """
    here = next(
        filter(None, (tables.split_of(part) for part in film.relative_to(root).parts[:-1])), ""
    )
    if here and split and here != split:
        return False
    return not utterance or film.stem != utterance or film.parent.name == video
