"""The Aff-Wild2 layout on disk -> trial table and check report.

Videos lie in ``batch1/ batch2/ raw_video/ Video_files/`` or flat, cropped faces in ``cropped_aligned/<trial>/``,
annotations in ``<set>/<split>/<trial>.txt``, test trials in a text list of names. Folder names are matched without
regard to case. A trial is named like its annotation file; ``_left`` and ``_right`` tell two persons of one video.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from lib import labels, media, trials
from lib.datasets.report import Report
from lib.errors import InputError

VIDEO_FOLDERS = ("batch1", "batch2", "raw_video", "video_files", "videos", ".")
VIDEO_SUFFIXES = (".mp4", ".avi")
CROP_FOLDERS = ("cropped_aligned",)
ANNOTATION_FOLDERS = {
    "va": ("va_set", "va_estimation_challenge"),
    "expression": ("expr_set", "ex_set", "expr_classification_challenge"),
    "action_units": ("au_set", "au_detection_challenge"),
}
SPLIT_FOLDERS = {"train": ("train_set",), "val": ("validation_set", "val_set")}
TEST_LISTS = ("test_set_va.txt", "test_set_va_release.txt", "test_set.txt")
# Two releases of the VA set, specs of the ABAW challenges: 351/71/139 and 356/76/162 trials; 548–594 videos.
EXPECTED = {"videos": (548, 558, 564, 594), "VA train trials": (351, 356), "VA val trials": (71, 76),
            "test trials": (139, 162)}


def person_of(trial: str) -> tuple[str, str]:
    """Video stem and person of a trial name: ``10-60-1280x720_right`` -> (``10-60-1280x720``, ``right``)."""
    for person in ("left", "right"):
        if trial.endswith(f"_{person}"):
            return trial.removesuffix(f"_{person}"), person
    return trial, ""


def find(root: Path, dataset: str = "affwild2", expected: dict | None = None,
         progress: Callable | None = None) -> tuple[pd.DataFrame, Report]:
    """Look at a data root and build its trial table.

    Arguments
    ---------
    root : folder with the data set as it was unpacked.
    dataset : name written into the table.
    expected : item -> tuple of right counts, default `EXPECTED`; compared and reported, never asserted.
    progress : called with (done, total, name) for every video opened.

    Returns the trial table (paths relative to `root`) and the report. A file that cannot be used is left out and
    named in the report. Raises InputError when the root is missing or holds no video at all.
    """
    root = Path(root)
    folders = _folders(root)
    report = Report()
    videos = _videos(folders, report)
    if not videos:
        raise InputError("no video found", where=root, expected=f"{' or '.join(VIDEO_SUFFIXES)} files in one of "
                         f"{', '.join(VIDEO_FOLDERS[:-1])} or the folder itself",
                         todo="correct data_root; data_README.md says which file goes where")
    infos = _probe(videos, report, progress)
    annotations = _annotations(folders, report)
    listed = _test_list(root, report)
    crops = _crops(folders, report)
    rows = []
    for trial in sorted({*annotations, *crops, *listed}):
        video, person = (trial, "") if trial in videos else person_of(trial)
        if video not in videos:
            report.warning(trial, "has labels, crops or a place in the test list, but no video", "left out",
                           where=_places(annotations.get(trial, {}), crops.get(trial)),
                           expected=f"a video called {video}", todo="add the video, or remove what is left of it")
        elif video in infos:
            rows.append(_row(trial, person, infos[video], annotations.get(trial, {}), crops, listed, report))
    for video in sorted(set(infos) - {row["video"] for row in rows}):
        report.warning(video, "has neither labels nor crops and is in no test list", "left out",
                       where=infos[video].path, expected="a label file of that name",
                       todo="add it, or remove the video")
    trial_table = trials.table([{**row, "dataset": dataset, **_relative(row, root)} for row in rows])
    _count(report, trial_table, videos, expected or EXPECTED)
    return trial_table, report


def _folders(root: Path) -> dict[str, Path]:
    if not root.is_dir():
        raise InputError("the data root is not there", where=root, expected="a folder with the data set",
                         todo="correct data_root, or make the sample set by running 01_download_check with "
                              "`dataset: sample`")
    found = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir()}
    return {**found, ".": root}


def _inside(folder: Path, report: Report) -> list[Path]:
    """What lies in a folder, sorted, without hidden files (macOS leaves some beside every file that it unpacks)."""
    usable = []
    for path in sorted(folder.iterdir()):
        try:
            path.name.encode()
        except UnicodeEncodeError:
            report.error(ascii(path.name), "its name is no UTF-8 and cannot be written into a table", "left out",
                         where=str(folder), expected="a file name in UTF-8", todo="rename it")
            continue
        if not path.name.startswith("."):
            usable.append(path)
    return usable


def _places(annotated: dict, crops: Path | None) -> str:
    return ", ".join(str(path) for path in (*(path for _, path in annotated.values()), crops) if path)


def _videos(folders: dict[str, Path], report: Report) -> dict[str, Path]:
    videos: dict[str, Path] = {}
    for name in VIDEO_FOLDERS:
        for path in _inside(folders[name], report) if name in folders else []:
            if path.suffix.lower() not in VIDEO_SUFFIXES:
                continue
            if path.stem in videos:
                report.error(path.stem, "two videos of one name", "first one used",
                             where=f"{videos[path.stem]}, {path}", todo="remove or rename one of them")
            videos.setdefault(path.stem, path)
    return videos


def _probe(videos: dict[str, Path], report: Report, progress: Callable | None) -> dict[str, media.Info]:
    infos = {}
    for done, (name, path) in enumerate(videos.items(), start=1):
        try:
            info = media.probe(path)
        except InputError as error:
            report.fault(name, error, "left out")
        else:
            if not info.video_codec:
                report.error(name, "no video track, only sound", "left out", where=str(path),
                             expected="a recording with picture", todo="copy or download it again")
            else:
                infos[name] = info
                if not info.audio_codec:
                    report.warning(name, "no audio track", "usable with modality: video only", where=str(path),
                                   expected="a recording with sound", todo="copy or download it again")
        if progress:
            progress(done, len(videos), name)
    return infos


def _annotations(folders: dict[str, Path], report: Report) -> dict[str, dict]:
    """trial -> {kind: (split, path)} of every annotation file; path "" where it cannot be read."""
    found: dict[str, dict] = {}
    for kind, names in ANNOTATION_FOLDERS.items():
        for folder in (folders[name] for name in names if name in folders):
            inside = {path.name.lower(): path for path in _inside(folder, report) if path.is_dir()}
            for split, splits in SPLIT_FOLDERS.items():
                for path in (p for name in splits if name in inside for p in _inside(inside[name], report)):
                    if path.suffix.lower() == ".txt":
                        _annotation(found.setdefault(path.stem, {}), kind, split, path, report)
    return found


def _annotation(of_trial: dict, kind: str, split: str, path: Path, report: Report) -> None:
    if kind in of_trial:
        first, other = of_trial[kind]
        report.error(path.stem, f"has two {kind} label files, for {first} and for {split}", f"used for {first}",
                     where=", ".join(str(each) for each in (other, path) if each), todo="remove one of them")
        return
    # A damaged file leaves the trial in its split: it must not turn into a test trial.
    of_trial[kind] = (split, path if _readable(path, kind, report) else "")


def _readable(path: Path, kind: str, report: Report) -> bool:
    try:
        labels.read(path, kind)
    except InputError as error:
        report.fault(path.stem, error, f"its {kind} labels are left out")
        return False
    return True


def _test_list(root: Path, report: Report) -> set[str]:
    names: set[str] = set()
    for path in sorted(path for path in root.iterdir() if path.name.lower() in TEST_LISTS):
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            report.error(path.name, f"the test list cannot be read ({error})", "left out", where=str(path),
                         expected="a text file with the name of a trial in every line", todo="fetch it again")
            continue
        names |= {Path(line.strip()).name.removesuffix(".txt").removesuffix(".mp4") for line in lines if line.strip()}
    return names


def _crops(folders: dict[str, Path], report: Report) -> dict[str, Path]:
    found = {path.name: path for name in CROP_FOLDERS if name in folders
             for path in _inside(folders[name], report) if path.is_dir()}
    for trial, path in found.items():
        if not any(path.iterdir()):
            report.warning(trial, "its folder of cropped faces is empty", "counts as a trial without any face",
                           where=str(path), expected="00001.jpg, 00002.jpg, …",
                           todo="unpack the crops again, or remove the folder to take the centre of the picture")
    return found


def _row(trial: str, person: str, info: media.Info, annotated: dict, crops: dict, listed: set, report: Report) -> dict:
    order = [annotated[kind][0] for kind in ANNOTATION_FOLDERS if kind in annotated]
    split = order[0] if order else "test"
    if not order and trial not in listed:
        report.warning(trial, "has crops, but no label file, and is in no test list", "used as a test trial",
                       where=str(crops[trial]), todo="add its label file, or its name to the test list")
    if order and trial in listed:
        report.error(trial, f"is labelled for {split} and in the test list too", f"used for {split}",
                     where=_places(annotated, None), todo="remove its label file, or its name from the test list")
    row = {"trial": trial, "video": Path(info.path).stem, "person": person, "subject": Path(info.path).stem,
           "split": split, "video_path": info.path, "audio_path": info.path if info.audio_codec else "",
           "crops_dir": crops.get(trial, ""), "n_frames": info.n_frames, "fps": info.fps, "duration": info.duration}
    for kind, (its_split, path) in annotated.items():
        if its_split == split:
            row[f"{kind}_path"] = path
        else:
            what = f"is {split} for one task and {its_split} for {kind}"
            report.warning(trial, what, f"its {kind} labels are not used", where=str(path))
    if trial not in crops:
        report.warning(trial, "has no cropped faces", "the centre of the picture is used", where=info.path,
                       todo=f"unpack the crops into {CROP_FOLDERS[0]}/{trial}")
    return row


def _relative(row: dict, root: Path) -> dict:
    return {name: Path(value).relative_to(root).as_posix() for name, value in row.items()
            if (name.endswith(("_path", "_dir"))) and value}


def _count(report: Report, table: pd.DataFrame, videos: dict, expected: dict) -> None:
    report.count("videos", len(videos), tuple(expected.get("videos", ())))
    for kind, name in (("va", "VA"), ("expression", "EX"), ("action_units", "AU")):
        for split in ("train", "val"):
            item = f"{name} {split} trials"
            found = int(((table["split"] == split) & (table[f"{kind}_path"] != "")).sum())
            report.count(item, found, tuple(expected.get(item, ())))
    report.count("test trials", int((table["split"] == "test").sum()), tuple(expected.get("test trials", ())))
    report.count("trials with cropped faces", int((table["crops_dir"] != "").sum()),
                 tuple(expected.get("trials with cropped faces", ())))
