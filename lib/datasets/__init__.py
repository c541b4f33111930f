"""Data sets: a layout on disk -> trial table and check report. One module each; this file finds the right one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from lib.datasets import affwild2, sample
from lib.datasets.report import Report
from lib.errors import InputError
from lib.store import Store
from lib.trials import SYNTHETIC_NOTE


def locate(params) -> tuple[str, Path]:
    """Name (of the folder in the processed root) and root of the data set that the parameters mean.

    The sample set's name carries its parameters, so that a small one never overwrites the big one.
    """
    if params.dataset == "sample":
        name = sample.folder_name(params.sample_seed, params.sample_trials, params.sample_seconds)
        return name, Path(params.data_root) / name
    return params.dataset, Path(params.data_root)


def store(params) -> Store:
    """The store of the data set that the parameters mean."""
    name, root = locate(params)
    return Store(Path(params.processed_root), name, root)


def prepare(params, progress: Callable | None = None) -> Path:
    """Make the data if they are synthetic and not there yet; returns the data root."""
    if params.dataset == "sample":
        return sample.make(Path(params.data_root), seed=params.sample_seed, trials=params.sample_trials,
                           seconds=params.sample_seconds, workers=max(1, params.workers), progress=progress)
    return locate(params)[1]


def find(params, progress: Callable | None = None) -> tuple[pd.DataFrame, Report]:
    """Trial table and check report of the data set that the parameters mean."""
    name, root = locate(params)
    expected = None
    if params.dataset == "sample":
        expected = _sample_counts(root / "sample.json")
    return affwild2.find(root, name, expected, progress)


def _sample_counts(path: Path) -> dict:
    """The sample set says itself what it holds."""
    try:
        return {item: (count,) for item, count in json.loads(path.read_text())["expected"].items()}
    except (OSError, ValueError, KeyError) as error:
        raise InputError("the sample set is not there, or not finished", where=path, expected="the file that is "
                         "written last", todo="remove it and run 01_download_check: what is whole is kept") from error


def is_synthetic(dataset: str) -> bool:
    """Whether a trial table's `dataset` is the synthetic sample set, whose numbers have no meaning."""
    return dataset.startswith("sample")


def note(params, trained: bool = False) -> str:
    """What stands under pictures of synthetic data, or with `trained` of scores of a network that learnt from them.

    "" for real data.
    """
    if params.dataset != "sample":
        return ""
    return SYNTHETIC_NOTE if trained else "synthetic sample data"
