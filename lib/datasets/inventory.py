"""Inventory of every file below a folder of recordings: what it is used as, or why it is not used
and what the nearest right thing would be.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from .. import trials
from ..errors import InputError
from ..faces import crops
from ..files import PROGRAM_OUTPUT, Entry, folded, walk
from ..labels import collisions, csv_columns, sheets, tables
from ..media import kinds
from ..media.separate import PARAMETER
from ..trials import LABEL_PATHS, TEXT_COLUMNS, label_files
from . import folder_labels, names, splits
from .contents import Contents, joined, split, suffix
from .names import Recording
from .report import Report

FILES_PER_LINE = 10  # files of one folder, suffix and result that share a line
OPENED = 200  # label-like files that are opened to say why they are not used
NOT_USED, NO_TRIAL = "not used", "of no trial"
# Suffixes of files that might be meant as labels, and why they are not read.
UNREAD = {
    **dict.fromkeys((".srt", ".vtt"), "subtitles: what is said, no values; segments_path reads it"),
    **dict.fromkeys((".ass", ".ssa", ".sbv"), "subtitles: what is said, no values"),
    **dict.fromkeys((".xls", ".ods", ".numbers", ".xlsb"), "a spreadsheet of a kind not read"),
    ".textgrid": "a TextGrid of Praat, no values; segments_path reads it",
    ".antx": "a file of Annotation Explorer, which is not read",
    ".anvil": "a file of Anvil, which is not read",
    ".sav": "a table of SPSS, which is not read",
    ".mat": "a file of MATLAB, which is not read",
    ".rds": "a file of R, which is not read",
    ".rdata": "a file of R, which is not read",
    ".pkl": "a pickle, which is not read here: it may run a program",
    ".pickle": "a pickle, which is not read here: it may run a program",
    ".parquet": "a table in Parquet, which is not read",
    ".feather": "a table in Feather, which is not read",
    ".xml": "an XML file of no program that is known here",
    ".arff": "a table of Weka, which is not read",
    ".npz": "an archive of NumPy, which is not read",
    ".npy": "an array outside features/<trial>/",
    ".h5": "a file in HDF5, which is not read",
    ".hdf5": "a file in HDF5, which is not read",
    ".rttm": "who speaks, no values; segments_path reads it",
    ".yaml": "settings, no labels",
    ".yml": "settings, no labels",
    ".ini": "settings, no labels",
    **dict.fromkeys((".jsonl", ".ndjson"), "lines of JSON, which are not read"),
    ".pfsx": "settings of ELAN",
    ".etf": "a template of ELAN",
}
UNUSED_PREFIX = "is not used: "  # prefix of the reason in a warning
ALREADY_READ = "which is read already"  # of a folder that is linked twice, see `lib.files.walk`
AS_CSV = "save it as CSV with the columns time,valence,arousal"
OTHER = {
    **dict.fromkeys((".pdf", ".doc", ".docx", ".odt", ".rtf", ".pages", ".md", ".html"), "a text"),
    **dict.fromkeys((".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"), "an archive"),
    **dict.fromkeys((".py", ".ipynb", ".r", ".m", ".sh", ".js", ".ts"), "a program"),
    **dict.fromkeys((".log", ".bak", ".tmp", ".part", ".ini", ".db", ".lnk"), "left by a program"),
}


def tell_others(there: Contents, report: Report) -> None:
    """Report links that cannot be followed, pipes, unreadable folders, names in an unknown
    encoding.
    """
    for entry in there.others:
        if entry.kind == "folder":
            report.note(entry.path, NOT_USED, entry.why)
            continue
        name, why = _shown(entry)
        meant = suffix(entry.path) in kinds.VIDEO_SUFFIXES
        tell = report.error if meant or entry.kind in ("file", "other") else report.warning
        tell(
            name,
            why,
            "left out",
            where=str(there.root / name),
            expected="a file or folder that can be read",
            todo="nothing: it is read there" if ALREADY_READ in why else "mend or remove it",
        )
        report.note(name, NOT_USED, why, "a file that can be read")


def _shown(entry: Entry) -> tuple[str, str]:
    """Path and reason of an entry that is no readable file."""
    if not trials.is_unicode(entry.path):
        return ascii(entry.path), "its name is no UTF-8 and cannot be written into a table"
    if entry.kind == "file":
        return entry.path, r"its name holds \ and reads as a path out of the folder on Windows"
    return entry.path, entry.why


def close(
    there: Contents, table: pd.DataFrame, recordings: Mapping[str, Recording], report: Report
) -> None:
    """Write the inventory into the report; files that were probably meant to be used become
    warnings.
    """
    _use_trials(there, table, recordings)
    opened, groups = 0, {}
    for path in there.files:
        if path in there.used:
            groups.setdefault(_group(path, there.used[path]), []).append(path)
            continue
        is_label = _is_label_like(path)
        why, right = there.reasons.get(path) or _reason(
            there, path, recordings, is_label and opened < OPENED
        )
        opened += is_label
        use = (NOT_USED, why, right)
        groups.setdefault(_group(path, use), []).append(path)
    known = {row["where"] for row in report.problems}
    for (folder, ending, use), paths in groups.items():
        _tell(there, (folder, ending), use, paths, report, known)


def of_table(root: Path, table: pd.DataFrame, report: Report, ours: Collection[Path] = ()) -> None:
    """Write the inventory of a data set with its own layout: files of trials by trial, all others
    by folder and suffix.

    Folders that a trial names (crops, pictures) are one line and are not entered; nor are `ours`,
    folders of results. What the report lists already is not listed again.
    """
    listed = {row["file"] for row in report.files}
    uses, groups = _named(table), {}
    problems = {row["where"]: row["what"] for row in reversed(report.problems)}
    places = {os.path.realpath(path) for path in ours} - {os.path.realpath(root)}

    def closed(path: str) -> str:
        if path in uses or path.rsplit("/")[-1].startswith("."):
            return uses.get(path, "hidden")
        return PROGRAM_OUTPUT if places and os.path.realpath(root / path) in places else ""

    for entry in (entry for entry in walk(root, closed) if entry.path not in listed):
        if entry.path in uses:
            report.note(entry.path, uses[entry.path])
        elif entry.kind != "file" or not trials.is_unicode(entry.path):
            name, why = _shown(entry)
            report.note(name, NOT_USED, why)
        else:
            top = "/".join(entry.path.split("/")[:-1][:2])
            use = _of_no_trial(entry.path, problems.get(str(root / entry.path), ""))
            groups.setdefault((top, suffix(entry.path), use), []).append(entry.path)
    for (folder, ending, use), paths in groups.items():
        many = joined(folder, f"{len(paths)} files {ending or 'without a suffix'}")
        for path in paths if len(paths) <= FILES_PER_LINE else [many]:
            report.note(path, *use)


def _of_no_trial(path: str, problem: str) -> tuple[str, str]:
    """(what, why) of a file that no trial names; `problem` is what the report says of it."""
    ending = suffix(path)
    if problem or split(path)[1].startswith("."):
        return NOT_USED, problem or "hidden"
    if ending in kinds.RECORDING_SUFFIXES:
        return NO_TRIAL, "a recording or a sound file"
    return NO_TRIAL, OTHER.get(ending, "a list or table of the data set, or not used")


def _named(table: pd.DataFrame) -> dict[str, str]:
    """Path -> which trials use it as what."""
    words = {"video_path": "recording", "audio_path": "recording", "crops_dir": "crops"}
    uses: dict[str, dict[str, None]] = {}
    for row in table.to_dict("records"):
        for column in (name for name in TEXT_COLUMNS if name.endswith(("_path", "_dir"))):
            files = label_files(row[column])[0] if column in LABEL_PATHS else [row[column]]
            for file in filter(None, files):
                use = f"{words.get(column, 'labels')} of trial {row['trial']}"
                uses.setdefault(file, {})[use] = None
    return {file: "; ".join(parts) for file, parts in uses.items()}


def _group(path: str, use) -> tuple:
    return split(path)[0], suffix(path), use


def _tell(
    there: Contents,
    of: tuple[str, str],
    use,
    paths: list[str],
    report: Report,
    known: Collection[str],
) -> None:
    """A line per file, or one for many of a folder; a warning where they were probably meant."""
    what, why, right = use if isinstance(use, tuple) else (use, "", "")
    folder, ending = of
    shown = paths
    if len(paths) > FILES_PER_LINE:
        summary = (
            f"{len(paths)} files {ending or 'without a suffix'}, {split(paths[0])[1]} the first"
        )
        shown = [joined(folder, summary)]
    for path in shown:
        report.note(path, what, why, right)
        where = str(there.root / (path if len(shown) == len(paths) else folder))
        meant = _is_label_like(paths[0]) or there.kinds.get(paths[0]) in ("sound", "video")
        if what == NOT_USED and (meant or paths[0] in there.reasons) and where not in known:
            report.warning(
                split(path)[1],
                f"{UNUSED_PREFIX}{why}",
                "left out",
                where=where,
                expected=right,
                todo=_advice(right),
            )


def _advice(right: str) -> str:
    """What to do so that a file is used, from what would be right: a name, a sentence, a format."""
    if not right:
        return "nothing, if it is meant so"
    if right.split()[0] in ("save", "keep", "look", "write", "unpack"):
        return right
    is_name = right.startswith("the name") or re.search(r"[./]", right)
    return f"rename or move it: {right}" if is_name else f"mend it ({right}), or remove it"


def _use_trials(there: Contents, table: pd.DataFrame, recordings: Mapping[str, Recording]) -> None:
    """Note the files that the trial table names: recordings, crops with their tables, features."""
    by_video = table.groupby("video")["trial"].agg(", ".join).to_dict()
    for name, recording in recordings.items():
        trial = by_video.get(name)
        there.use(recording.path, f"recording of trial {trial}" if trial else "damaged recording")
    folders = {}
    for row in table.to_dict("records"):
        if row["crops_dir"]:
            folders[row["crops_dir"]] = f"crops of trial {row['trial']}"
            if success := crops.csv_of(row["crops_dir"]):
                there.use(success.as_posix(), f"OpenFace's table of trial {row['trial']}")
        folders[f"features/{row['trial']}"] = f"features of trial {row['trial']}"
    for path in there.files:
        if (folder := split(path)[0]) in folders and path not in there.used:
            there.use(path, folders[folder])


def _is_label_like(path: str) -> bool:
    return suffix(path) in (*tables.SUFFIXES, ".annotation~", *UNREAD)


def _reason(
    there: Contents, path: str, recordings: Mapping[str, Recording], look: bool
) -> tuple[str, str]:
    """(why a file is not used, what would be right)."""
    ending, name = suffix(path), split(path)[1]
    what = there.kinds.get(path, "")
    if splits.is_alike(path):
        why = "splits are read from the folder of recordings itself"
        return why, f"{splits.FILE} in the data root, with names as in the trial table"
    if what == "picture":
        return "a picture that belongs to no crops of a trial", "cropped_aligned/<trial>/00001.jpg"
    if what == "sound":
        return _sound(path, recordings)
    if ending == ".annotation~":
        return "values of an annotation of NOVA without its .annotation", name.rstrip("~")
    if ending in tables.SUFFIXES and look:
        return _of_label(there, path, recordings)
    if ending in tables.SUFFIXES:
        return "named after no trial, and not looked into: too many such files", ""
    if ending in UNREAD:
        no_labels = (
            UNREAD[ending].startswith(("settings", "a template")) or "no value" in UNREAD[ending]
        )
        return UNREAD[ending], "" if no_labels else AS_CSV
    return OTHER.get(ending) or "of an unknown kind", ""


def _sound(path: str, recordings: Mapping[str, Recording]) -> tuple[str, str]:
    stem = PurePosixPath(path).stem
    beside = [
        recording.path
        for recording in recordings.values()
        if folded(recording.stem) == folded(stem)
    ]
    if beside:
        return f"a sound file beside {beside[0]}: `{PARAMETER}: true` hears it", ""
    return "a sound file without a picture", "the name of its recording, beside it"


def _of_label(there: Contents, path: str, recordings: Mapping[str, Recording]) -> tuple[str, str]:
    """Why a file that holds labels, or might, belongs to no trial."""
    try:
        label_kinds = folder_labels.kinds_of(there.root / path)
    except InputError as error:
        return _damaged(there, path, error)
    if not label_kinds:
        return _without_labels(there, path)
    if several := _of_several(there, path):
        return several
    stem, ending = PurePosixPath(path).stem, PurePosixPath(path).suffix
    same = [
        recording for recording in recordings.values() if folded(recording.stem) == folded(stem)
    ]
    if len(same) > 1:
        trials = ", ".join(recording.name for recording in same[:4])
        right = " or ".join(f"{recording.name}{ending}" for recording in same[:2])
        return f"{len(same)} recordings are called {stem}, so their trials are {trials}", right
    if same and same[0].folder == split(path)[0]:
        alike = [name for name in there.inside(same[0].folder) if folded(name) == folded(path)]
        if len(alike) > 1:
            return f"{len(alike)} files of this name differ in capitals or accents only", "keep one"
    if same:
        right = joined(same[0].folder, f"{same[0].stem}{ending}")
        return "labels of a recording in another folder", f"{right}, or labels/{stem}{ending}"
    near = names.nearest(stem, list(recordings))
    right = f"{near}{ending}" if near else "the name of a recording"
    return f"labels ({' and '.join(label_kinds)}) that are named after no recording", right


def _of_several(there: Contents, path: str) -> tuple[str, str] | None:
    """Why a table is not used that does not hold the labels of a single recording: it has rows of
    several, or predictions of this program.
    """
    if suffix(path) not in tables.TABLES:
        return None
    table = sheets.kept(there.root / path)
    if csv_columns.is_of_frames(table.names):
        return "a table that this program wrote, and no labels", ""
    recordings = collisions.recordings(table)
    if len(recordings) < 2:
        return None
    files = ", ".join(f"{PurePosixPath(name).stem}.csv" for name in recordings[:3])
    more = ", …" * (len(recordings) > 3)
    return (
        f"labels of {len(recordings)} recordings in one table",
        f"write a table each: {files}{more}",
    )


def _damaged(there: Contents, path: str, error: InputError) -> tuple[str, str]:
    if suffix(path) != ".txt":
        return error.what, error.expected
    head = kinds.start(there.root / path)
    why = "a text without labels" if kinds.is_text(head) else "no text, and no labels"
    return why if there.files[path].size else "an empty file", ""


def _without_labels(there: Contents, path: str) -> tuple[str, str]:
    if split(path)[1] == csv_columns.NAME:
        return "what the columns of this program's tables mean", ""
    if suffix(path) == ".json":
        return "no JSON of AFEW-VA, which is the only one that is read", AS_CSV
    if suffix(path) not in tables.TABLES:
        return "no tier or scheme of valence or arousal in it", ""
    if suffix(path) == ".txt" and sheets.is_prose(there.root / path):
        return "a text without labels", ""
    columns = sheets.kept(there.root / path).names
    if splits.is_header(columns):
        return "a table of splits under another name, which splits nothing", splits.FILE
    if {"frame", "success"} <= {name.strip() for name in columns}:
        stem = PurePosixPath(path).stem
        return "OpenFace's table, and no crops of a trial beside it", f"processed/{stem}_aligned/"
    shown = ", ".join(columns)[:80]
    return f"a table without valence, arousal or expression (columns: {shown})", ""
