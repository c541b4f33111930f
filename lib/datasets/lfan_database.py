"""The published LFAN database in a data root: which trials it has, in which split, and how they
were scaled.

``dataset_info.pkl`` tells partition and number of kept frames of each trial, ``mean_std_dict.pkl``
one mean and one deviation a feature, fold and partition, ``npy_data/<trial>/`` holds the arrays
(lfan.md §1.9–1.10, §1.13), which `lib.labels.lfan_rows` reads.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..labels.lfan_rows import FOLDER
from ..media import pickles
from .report import Report

INFO, SCALES = "dataset_info.pkl", "mean_std_dict.pkl"
SPLITS = {
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
    folder, info = Path(root) / FOLDER, Path(root) / INFO
    if not folder.is_dir():
        return {}
    try:
        told = partitions(info)
    except InputError as error:
        report.fault(
            INFO, error, "its arrays are left out: nobody knows who is in train, val and test"
        )
        return {}
    try:
        scales(Path(root) / SCALES)
    except InputError as error:
        report.fault(
            SCALES, error, "left out: means and deviations are computed from the training trials"
        )
    found = {}
    for trial, split in told.items():
        if (folder / trial).is_dir():
            found[trial] = split, folder / trial
        else:
            report.warning(
                trial,
                f"stands in {INFO}, but has no arrays",
                "left out",
                where=str(folder / trial),
                expected=f"{FOLDER}/{trial}/frame.npy",
                todo=REMAKE,
            )
    for path in sorted(
        path for path in folder.iterdir() if path.is_dir() and path.name not in told
    ):
        report.warning(
            path.name,
            f"has arrays of LFAN's, but does not stand in {INFO}",
            "its arrays are left out",
            where=str(path),
            todo=REMAKE,
        )
    return found


def partitions(path: Path) -> dict[str, str]:
    """trial -> train, val or test, in the file's order (which decides the published folds).

    Both forms are read: ``{"partition": {"Train_Set": {trial: kept frames}, …}}`` (ABAW2) and lists
    ``trial``, ``partition`` (ABAW3 and later). Raises InputError for anything else, and for a name
    that leads out of the folder.
    """
    content = pickles.read(path)
    try:
        groups = content["partition"]
        pairs = (
            [(trial, name) for name, some in groups.items() for trial in some]
            if isinstance(groups, dict)
            else list(zip(content["trial"], groups, strict=True))
        )
        found = {str(trial): SPLITS[str(name).lower()] for trial, name in pairs}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"not the table of an LFAN database ({type(error).__name__}: {str(error)[:80]})",
            where=path,
            expected="'partition' with Train_Set, Validation_Set and Test_Set",
            todo=REMAKE,
        ) from error
    for trial in found:
        if trial in ("", ".", "..") or "/" in trial or "\\" in trial:
            raise InputError(
                f"a trial that leaves the data root: {trial[:120]!r}",
                where=path,
                expected="the name of a folder in npy_data",
                todo="do not use this file",
            )
    return found


def scales(path: Path) -> dict[str, dict[int, dict[str, tuple[float, float]]]]:
    """feature -> fold -> partition -> (mean, deviation): one pair for all columns, as the published
    loader scales.

    A partition without trials has a deviation of NaN, as published. {} where the file is not there.
    """
    if not Path(path).is_file():
        return {}
    content = pickles.read(path)
    try:
        return {
            str(feature): {
                int(fold): {
                    str(name): (float(pair["mean"]), float(pair["std"]))
                    for name, pair in parts.items()
                }
                for fold, parts in folds.items()
            }
            for feature, folds in content.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"not the means of an LFAN database ({type(error).__name__}: {str(error)[:80]})",
            where=path,
            expected="mean_std_dict[feature][fold][partition]['mean' | 'std']",
            todo=REMAKE,
        ) from error
