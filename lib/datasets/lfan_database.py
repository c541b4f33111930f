"""The published LFAN database in a data root: its trials, their splits, and how they were scaled.

``dataset_info.pkl`` tells partition and number of kept frames of each trial, ``mean_std_dict.pkl``
one mean and one deviation per feature, fold and partition, ``npy_data/<trial>/`` holds the arrays
(LFAN specification §1.9–1.10, §1.13), which `lib.labels.lfan_rows` reads.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from ..errors import InputError
from ..labels.lfan_rows import FOLDER
from ..media import pickles
from .report import Report

INFO, SCALES = "dataset_info.pkl", "mean_std_dict.pkl"
SPLIT_OF_FOLDER = {
    "train_set": "train",
    "train": "train",
    "validation_set": "val",
    "validate": "val",
    "val": "val",
    "test_set": "test",
    "target_set": "test",
    "target": "test",
    "test": "test",
    "extra": "test",
}
REMAKE = "run the preprocessing of the LFAN database again, or remove its files"


def find(root: Path, report: Report) -> dict[str, tuple[str, Path]]:
    """trial -> (split, its folder of arrays) of an LFAN database under `root`; empty where there is
    none.
    """
    folder = Path(root) / FOLDER
    if not folder.is_dir():
        return {}
    split_of = _readable_partitions(root, report)
    if split_of is None:
        return {}
    trials = {}
    for trial, split in split_of.items():
        if (folder / trial).is_dir():
            trials[trial] = split, folder / trial
        else:
            report.warning(
                trial,
                f"stands in {INFO}, but has no arrays",
                "left out",
                where=str(folder / trial),
                expected=f"{FOLDER}/{trial}/frame.npy",
                todo=REMAKE,
            )
    _tell_strangers(folder, split_of, report)
    return trials


def _readable_partitions(root: Path, report: Report) -> dict[str, str] | None:
    """trial -> split; None, with a report, if the table cannot be read. Unreadable means and
    deviations are reported, too.
    """
    try:
        split_of = partitions(Path(root) / INFO)
    except InputError as error:
        report.fault(
            INFO, error, "its arrays are left out: nobody knows who is in train, val and test"
        )
        return None
    try:
        scales(Path(root) / SCALES)
    except InputError as error:
        report.fault(
            SCALES, error, "left out: means and deviations are computed from the training trials"
        )
    return split_of


def _tell_strangers(folder: Path, known: Collection[str], report: Report) -> None:
    """Report folders of arrays that the table does not name."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in known:
            report.warning(
                path.name,
                f"has arrays of LFAN's, but does not stand in {INFO}",
                "its arrays are left out",
                where=str(path),
                todo=REMAKE,
            )


def partitions(path: Path) -> dict[str, str]:
    """trial -> train, val or test, in the file's order (which decides the published folds).

    Both forms are read: ``{"partition": {"Train_Set": {trial: kept frames}, …}}`` (ABAW2) and lists
    ``trial``, ``partition`` (ABAW3 and later). Raises InputError for any other form, and for a name
    that leads out of the folder.
    """
    content = pickles.read(path)
    try:
        groups = content["partition"]
        if isinstance(groups, dict):
            pairs = [(trial, name) for name, group in groups.items() for trial in group]
        else:
            pairs = list(zip(content["trial"], groups, strict=True))
        split_of = {str(trial): SPLIT_OF_FOLDER[str(name).lower()] for trial, name in pairs}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"not the table of an LFAN database ({type(error).__name__}: {str(error)[:80]})",
            where=path,
            expected="'partition' with Train_Set, Validation_Set and Test_Set",
            todo=REMAKE,
        ) from error
    for trial in split_of:
        if trial in ("", ".", "..") or "/" in trial or "\\" in trial:
            raise InputError(
                f"a trial that leaves the data root: {trial[:120]!r}",
                where=path,
                expected="the name of a folder in npy_data",
                todo="do not use this file",
            )
    return split_of


def scales(path: Path) -> dict[str, dict[int, dict[str, tuple[float, float]]]]:
    """feature -> fold -> partition -> (mean, deviation): one pair for all columns, as the published
    loader scales.

    A partition without trials has a deviation of NaN, as published. {} where the file is not there.
    """
    if not Path(path).is_file():
        return {}
    content = pickles.read(path)
    try:
        return {str(feature): _pairs_by_fold(folds) for feature, folds in content.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"not the means of an LFAN database ({type(error).__name__}: {str(error)[:80]})",
            where=path,
            expected="mean_std_dict[feature][fold][partition]['mean' | 'std']",
            todo=REMAKE,
        ) from error


def _pairs_by_fold(folds: Mapping) -> dict[int, dict[str, tuple[float, float]]]:
    by_fold: dict[int, dict[str, tuple[float, float]]] = {}
    for fold, parts in folds.items():
        by_part = by_fold[int(fold)] = {}
        for name, pair in parts.items():
            by_part[str(name)] = float(pair["mean"]), float(pair["std"])
    return by_fold
