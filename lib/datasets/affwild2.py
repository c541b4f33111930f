"""The Aff-Wild2 layout on disk, in the forms of all its years -> trial table and check report.

Videos lie in ``batch1/ batch2/ raw_video/ Video_files/`` or flat, cropped faces in
``cropped_aligned/<trial>/``, annotations in ``<set>/<split>/<trial>.txt``, test trials in a text
list of names or a folder of their videos. Folder names are matched without regard to case. A trial
is named like its annotation file; ``_left``, ``_right`` and ``_main`` tell persons of one video.
Databases that others computed from it (`crop_folders`, `tsav_database`, `lfan_database`) are used
in place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import pandas as pd

from .. import trials
from ..errors import InputError
from ..labels import lfan_rows, official
from ..media import recordings
from ..parallel import mapping
from . import crop_folders, lfan_database, tree, tsav_database
from .report import Report

VIDEO_FOLDERS = ("batch1", "batch2", "raw_video", "raw_videos", "video_files", "videos")
ANNOTATION_PARENTS = ("annotations", "annotation")
ANNOTATION_FOLDERS = {
    "va": ("va_set", "va_estimation_challenge"),
    "expression": (
        "expr_set",
        "ex_set",
        "expr_classification_challenge",
        "expr_recognition_challenge",
    ),
    "action_units": ("au_set", "au_detection_challenge"),
}
SPLIT_FOLDERS = {"train": ("train_set", "training_set"), "val": ("validation_set", "val_set")}
TEST_FOLDERS = ("test_set", "text_set")  # the second name is a mistake in many copies

# Words by which names of test lists tell the task: test_set_VA.txt,
# Valence_Arousal_Estimation_Challenge_test_set_release.txt, …
LIST_WORDS = {
    "va": ("va", "valence"),
    "expression": ("expr", "ex", "expression"),
    "action_units": ("au", "action"),
}
PERSONS = ("left", "right", "main")

# Two releases of the VA set, specs of the ABAW challenges: 351/71/139 and 356/76/162 trials;
# 548–594 videos.
EXPECTED = {
    "videos": (548, 558, 564, 594),
    "VA train trials": (351, 356),
    "VA val trials": (71, 76),
    "test trials": (139, 162),
}


@dataclass
class Found:
    """The files under a data root, before they are assigned to trials."""

    videos: dict[str, Path] = field(default_factory=dict)
    # trial -> kind -> (split, path or "")
    annotations: dict[str, dict] = field(default_factory=dict)
    # trial -> kinds for which it is a test trial, "" = all
    tests: dict[str, set] = field(default_factory=dict)
    # trial -> folder of pictures, or alignment file
    crops: dict[str, Path] = field(default_factory=dict)


def person_of(trial: str) -> tuple[str, str]:
    """Video stem and person of a trial name: ``10-60-1280x720_right`` -> (``10-60-1280x720``,
    ``right``).
    """
    for person in PERSONS:
        if trial.endswith(f"_{person}"):
            return trial.removesuffix(f"_{person}"), person
    return trial, ""


def find(
    root: Path,
    dataset: str = "affwild2",
    expected: dict | None = None,
    progress: Callable | None = None,
) -> tuple[pd.DataFrame, Report]:
    """Look at a data root and build its trial table.

    Arguments
    ---------
    root : folder with the data set as it was unpacked.
    dataset : name written into the table.
    expected : item -> tuple of right counts, default `EXPECTED`; deviations are reported, not
        errors.
    progress : called with (done, total, name) for every video opened.

    Returns the trial table (paths relative to `root`) and the report. An unusable file is left out
    and named in the report. Raises InputError if the root is missing or contains no video.
    """
    root = Path(root)
    report = Report()
    files = look(root, report)
    infos = probe(files.videos, report, progress)
    rows = []
    for trial in sorted({*files.annotations, *files.crops, *files.tests}):
        # A recording may itself be called 5_left: then "left" is part of its name and no person.
        video, person = (trial, "") if trial in files.videos else person_of(trial)
        if video not in files.videos:
            _tell_without_video(trial, video, files, report)
        elif video in infos:
            rows.append(_row(trial, person, infos[video], files, report))
    for video in sorted(set(infos) - {row["video"] for row in rows}):
        _tell_without_trial(infos[video], video, report)
    trial_table = trials.table([{**row, "dataset": dataset, **relative(row, root)} for row in rows])
    count(report, trial_table, len(files.videos), expected or EXPECTED)
    return trial_table, report


def _tell_without_video(trial: str, video: str, files: Found, report: Report) -> None:
    report.warning(
        trial,
        "has labels, crops or a place in the test list, but no video",
        "left out",
        where=_places(files, trial),
        expected=f"a video called {video}",
        todo="add the video, or remove what is left of it",
    )


def _tell_without_trial(info: recordings.Info, video: str, report: Report) -> None:
    report.warning(
        video,
        "has neither labels nor crops and is in no test list",
        "left out",
        where=info.path,
        expected="a label file of that name",
        todo="add it, or remove the video",
    )


def _places(files: Found, trial: str) -> str:
    labelled = [path for _, path in files.annotations.get(trial, {}).values()]
    return ", ".join(str(path) for path in (*labelled, files.crops.get(trial)) if path)


def look(root: Path, report: Report) -> Found:
    """Find videos, annotations, test lists and crops. Raises InputError when the root is missing or
    has no video.
    """
    if not root.is_dir():
        raise InputError(
            "the data root is not there",
            where=root,
            expected="a folder with the data set",
            todo="correct data_root, or make the sample set by running 01_download_check with "
            "`dataset: sample`",
        )
    sets = _sets(root)
    tests = tree.named([root, *(folder for folder, _ in sets)], TEST_FOLDERS)
    videos = tree.videos([*tree.named([root], VIDEO_FOLDERS), root, *tests], report)
    if not videos:
        raise InputError(
            "no video found",
            where=root,
            expected=f"{' or '.join(tree.VIDEO_SUFFIXES)} files in one of "
            f"{', '.join(VIDEO_FOLDERS)}, or the folder itself",
            todo="correct data_root; data_README.md says which file goes where",
        )
    files = Found(
        videos,
        _annotations(sets, report),
        _tests(root, sets, report),
        crop_folders.find(root, report),
    )
    _add_tsav(root, files, report)
    _add_lfan(root, files, report)
    return files


def _add_tsav(root: Path, files: Found, report: Report) -> None:
    """Use TSAV's alignment files for trials without crops; a trial without labels is a test trial
    of the tasks for which the TSAV database says so.
    """
    for name, (splits, alignment) in tsav_database.find(root, files.videos, report).items():
        trial, short = name, name.removesuffix("_main")
        if name not in files.annotations and short in files.annotations:
            trial = short
        files.crops.setdefault(trial, alignment)
        if trial not in files.annotations:
            for kind in (kind for kind, split in splits.items() if split == "test"):
                files.tests.setdefault(trial, set()).add(kind)


def _add_lfan(root: Path, files: Found, report: Report) -> None:
    """Use LFAN's arrays for trials with neither crops nor label files, and its splits where the
    challenge's are unknown.
    """
    for trial, (split, folder) in lfan_database.find(root, report).items():
        if (folder / lfan_rows.FACE_FILE).is_file():
            files.crops.setdefault(trial, folder / lfan_rows.FACE_FILE)
        known = {its_split for its_split, _ in files.annotations.get(trial, {}).values()}
        if known - {split}:
            report.warning(
                trial,
                f"is {split} in {lfan_database.INFO}, {', '.join(sorted(known))} by its label file",
                "its label file decides",
                where=str(folder),
            )
        if known or split == "test":
            files.tests.setdefault(trial, set()).update([] if known else ["va"])
        elif label := next(
            (folder / name for name in lfan_rows.LABEL_FILES if (folder / name).is_file()), None
        ):
            files.annotations[trial] = {"va": (split, label)}


def _sets(root: Path) -> list[tuple[Path, str]]:
    """Folders of annotations with their kind: in the root, or in ``annotations/``, ``Third ABAW
    Annotations/``, …
    """
    parents = [root]
    for name, folders in tree.subfolders(root).items():
        if name in ANNOTATION_PARENTS or name.endswith(" annotations"):
            parents += folders
    sets = []
    for kind, names in ANNOTATION_FOLDERS.items():
        sets += [(path, kind) for path in tree.named(parents, names)]
    return sets


def _annotations(sets: list[tuple[Path, str]], report: Report) -> dict[str, dict]:
    """trial -> {kind: (split, path)} of every annotation file; path "" if it is unreadable."""
    annotations: dict[str, dict] = {}
    for folder, kind in sets:
        for split, names in SPLIT_FOLDERS.items():
            for of_split in tree.named([folder], names):
                for path in tree.files(of_split, (".txt",), report):
                    _annotation(annotations.setdefault(path.stem, {}), kind, split, path, report)
    return annotations


def _annotation(of_trial: dict, kind: str, split: str, path: Path, report: Report) -> None:
    if kind in of_trial:
        first, other = of_trial[kind]
        report.error(
            path.stem,
            f"has two {kind} label files, for {first} and for {split}",
            f"used for {first}",
            where=", ".join(str(file) for file in (other, path) if file),
            todo="remove one of them",
        )
        return
    # A trial with a damaged file stays in its split: it must not become a test trial.
    of_trial[kind] = (split, path if _readable(path, kind, report) else "")


def _readable(path: Path, kind: str, report: Report) -> bool:
    try:
        official.read(path, kind)
    except InputError as error:
        report.fault(path.stem, error, f"its {kind} labels are left out")
        return False
    return True


def _tests(root: Path, sets: list[tuple[Path, str]], report: Report) -> dict[str, set]:
    """Test trials from folders of videos (or of anything named like them) and from text lists."""
    tests: dict[str, set] = {}
    for folder, kind in [(root, ""), *sets]:
        for test_folder in tree.named([folder], TEST_FOLDERS):
            for path in tree.inside(test_folder, report):
                if path.suffix.lower() in tree.NAME_SUFFIXES or path.is_dir():
                    stem = path.name if path.is_dir() else path.stem
                    tests.setdefault(stem, set()).add(kind)
    groups = [paths for name, paths in tree.subfolders(root).items() if "test" in name]
    places = [root, *chain.from_iterable(groups), *(folder for folder, _ in sets)]
    for path in (path for folder in places for path in tree.files(folder, (".txt",), report)):
        words = path.stem.lower().replace("-", "_").split("_")
        if {"test", "text"} & set(words) and "set" in words:
            kind = next((kind for kind, names in LIST_WORDS.items() if set(names) & set(words)), "")
            for trial in tree.names_of_list(path, report):
                tests.setdefault(trial, set()).add(kind)
    return tests


def probe(
    videos: dict[str, Path], report: Report, progress: Callable | None = None
) -> dict[str, recordings.Info]:
    """Read the containers' headers; videos that cannot be opened, or without picture, are reported
    and left out.
    """
    infos, names = {}, {path: name for name, path in videos.items()}

    def told(done: int, total: int, outcome: mapping.Outcome) -> None:
        if progress:
            progress(done, total, names[outcome.item])

    opened = mapping.map(recordings.probe, videos.values(), 1, told, catch=(InputError,))
    for (name, path), outcome in zip(videos.items(), opened, strict=True):
        if not outcome.ok:
            report.fault(name, outcome.error, "left out")
        elif _has_picture(name, path, outcome.value, report):
            infos[name] = outcome.value
    return infos


def _has_picture(name: str, path: Path, info: recordings.Info, report: Report) -> bool:
    """Whether a recording has a picture; a missing track is reported."""
    todo = "copy or download it again"
    if info.video_codec and not info.audio_codec:
        report.warning(
            name,
            "no audio track",
            "usable with modality: video only",
            where=str(path),
            expected="a recording with sound",
            todo="nothing for networks that only see; else copy or download it again",
        )
    if info.video_codec:
        return True
    what, expected = "no video track, only sound", "a recording with picture"
    if not info.audio_codec:
        what = "cut off, or never finished: there is no track in it"
        expected = "a recording with picture and sound"
    report.error(name, what, "left out", where=str(path), expected=expected, todo=todo)
    return False


def _row(trial: str, person: str, info: recordings.Info, files: Found, report: Report) -> dict:
    annotated, tests = files.annotations.get(trial, {}), files.tests.get(trial, set())
    order = [annotated[kind][0] for kind in ANNOTATION_FOLDERS if kind in annotated]
    split = order[0] if order else "test"
    if not order and not tests:
        report.warning(
            trial,
            "has crops, but no label file, and is in no test list",
            "used as a test trial",
            where=_places(files, trial),
            todo="add its label file, or its name to the test list",
        )
    if order and ("" in tests or tests & set(annotated)):
        report.error(
            trial,
            f"is labelled for {split} and in the test list too",
            f"used for {split}",
            where=_places(files, trial),
            todo="remove its label file, or its name from the test list",
        )
    row = video_row(trial, info, person) | {"split": split, "crops_dir": files.crops.get(trial, "")}
    for kind, (its_split, path) in annotated.items():
        if its_split == split:
            row[f"{kind}_path"] = path
        else:
            what = f"is {split} for one task and {its_split} for {kind}"
            report.warning(trial, what, f"its {kind} labels are not used", where=str(path))
    if trial not in files.crops:
        report.warning(
            trial,
            "has no cropped faces",
            "faces are looked for in the video",
            where=info.path,
            todo=f"unpack the crops into {crop_folders.CROP_FOLDERS[0]}/{trial}",
        )
    return row


def video_row(trial: str, info: recordings.Info, person: str = "") -> dict:
    """The columns of the trial table that follow from the video alone; paths absolute."""
    stem = Path(info.path).stem
    return {
        "trial": trial,
        "video": stem,
        "person": person,
        "subject": stem,
        "video_path": info.path,
        "audio_path": info.path if info.audio_codec else "",
        "n_frames": info.n_frames,
        "fps": info.fps,
        "duration": info.duration,
    }


def relative(row: dict, root: Path) -> dict:
    """The paths of a row, relative to the data root."""
    return {
        name: Path(value).relative_to(root).as_posix()
        for name, value in row.items()
        if (name.endswith(("_path", "_dir"))) and value
    }


def count(
    report: Report, table: pd.DataFrame, videos: int, expected: dict, called: str = "videos"
) -> None:
    """Report counts of videos (or what they are `called`), labelled trials per kind and split, test
    trials and crops.
    """
    report.count(called, videos, tuple(expected.get("videos", ())))
    for kind, name in (("va", "VA"), ("expression", "EX"), ("action_units", "AU")):
        for split in ("train", "val"):
            item = f"{name} {split} trials"
            n_trials = int(((table["split"] == split) & (table[f"{kind}_path"] != "")).sum())
            report.count(item, n_trials, tuple(expected.get(item, ())))
    report.count(
        "test trials", int((table["split"] == "test").sum()), tuple(expected.get("test trials", ()))
    )
    report.count(
        "trials with cropped faces",
        int((table["crops_dir"] != "").sum()),
        tuple(expected.get("trials with cropped faces", ())),
    )
