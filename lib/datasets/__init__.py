"""Data sets: a layout on disk -> trial table and check report. One module per data set; this file
selects it.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from .. import code_digest, files, trials
from ..errors import InputError
from ..parallel.locks import held
from ..runs import Run
from ..store import Store
from ..trials import SYNTHETIC_NOTE
from . import affwild2, ego4d, folder, inventory, recorder, splits, study
from .report import Report
from .samples import affect, conversations

# Data sets in Ego4D's layout, with annotations of who speaks.
SPEAKING = ("ego4d", "sample_conversations")
_SAMPLES = {"sample": affect, "sample_conversations": conversations}


def locate(params) -> tuple[str, Path]:
    """Name (of the folder in the processed root) and root of the data set in the parameters.

    The sample set's name carries its parameters, so that a small one never overwrites the big one.
    """
    if made := _SAMPLES.get(params.dataset):
        name = made.folder_name(params.sample_seed, params.sample_trials, params.sample_seconds)
        return name, Path(params.data_root) / name
    root = Path(params.data_root)
    if params.dataset != "folder":
        return params.dataset, root
    # Two folders of videos must not share one trial table.
    return study.name(Path(params.processed_root), root), root


def store(params) -> Store:
    """The store of the data set in the parameters. Raises InputError if the named run was made for
    another folder of recordings, because a notebook that is run by hand would otherwise continue in
    that run's folder.
    """
    name, root = locate(params)
    if params.dataset == "folder" and params.get("run") and not params.get("video_path"):
        run = Run(Path(params.runs_root) / params.run)
        study.refuse_other(run, name, f'in the parameters cell: run = "{params.run}-2"')
    weights_root = params.get("weights_root")
    return Store(
        Path(params.processed_root),
        name,
        root,
        params.get("faces", "auto"),
        Path(weights_root) if weights_root else None,
        params.get("label_delay", 0.0),
        params.get("label_resample", "linear"),
        params.get("label_rate", 0.0),
        label_range=tuple(params.get("label_range", ())),
        fetch=params.get("fetch_weights", True),
        audio_track=params.get("audio_track", 0),
        verify=params.get("verify", "start"),
    )


def prepare(params, progress: Callable | None = None) -> Path:
    """Make synthetic data unless they exist; returns the data root."""
    name, root = locate(params)
    if made := _SAMPLES.get(params.dataset):
        # A second process that needs the same set waits until the first one has made it.
        with held(root.with_name(f".{name}.lock"), math.inf, remove=True):
            files.clear_leftovers(root)  # of a process that was killed
            return made.make(
                Path(params.data_root),
                seed=params.sample_seed,
                trials=params.sample_trials,
                seconds=params.sample_seconds,
                workers=max(1, params.workers),
                progress=progress,
            )
    return root


def write(table: pd.DataFrame, store: Store) -> Path:
    """Write the trial table and the list of its recordings into the processed folder."""
    files.clear_leftovers(store.folder, deep=False)  # of a process that was killed
    study.write(store, table)
    return trials.write(table, store.trials_path)


def find(params, progress: Callable | None = None) -> tuple[pd.DataFrame, Report]:
    """Trial table and check report of the data set in the parameters."""
    table, report = _layout(params, progress)
    own = params.dataset == "folder" and not params.get("shared_subjects", False)
    splits.tell_shared(table, report, locate(params)[1] if own else None)
    return recorder.take(table, locate(params)[1], report, params.get(recorder.PARAMETER, False))


def _layout(params, progress: Callable | None) -> tuple[pd.DataFrame, Report]:
    name, root = locate(params)
    ours = [Path(params[key]) for key in ("processed_root", "runs_root") if params.get(key)]
    if params.dataset == "folder":
        return folder.find(root, name, progress, ours, params.get("label_range", ()))
    # a module that a person added: docs/add_a_dataset.md
    if params.dataset not in (*SPEAKING, "sample", "affwild2"):
        added = import_module(f"{__name__}.{params.dataset}")
        code_digest.use(added.__name__)
        table, report = _found(added.find(root, name, progress), params.dataset)
    else:
        layout = ego4d if params.dataset in SPEAKING else affwild2
        table, report = layout.find(root, name, expected(params), progress)
    inventory.of_table(root, table, report, ours)
    return table, report


def _found(result: object, dataset: str) -> tuple[pd.DataFrame, Report]:
    """What the function `find` of an added data set returned. Raises InputError for another thing
    than a whole trial table and a report.
    """
    kinds = [type(part).__name__ for part in result] if isinstance(result, tuple) else []
    if kinds != [pd.DataFrame.__name__, Report.__name__]:
        told = f"({', '.join(kinds)})" if isinstance(result, tuple) else type(result).__name__
        raise InputError(
            f"find returned {told}",
            where=f"lib/datasets/{dataset}.py",
            expected="(DataFrame, Report), in this order",
            todo="return trials.table(rows), report",
        )
    table, report = result
    if lacking := [name for name in trials.COLUMNS if name not in table]:
        raise InputError(
            f"find returned a table without {', '.join(lacking[:6])}",
            where=f"lib/datasets/{dataset}.py",
            expected="the columns of lib/trials.py",
            todo="return trials.table(rows), which fills up what is missing",
        )
    return trials.check(table), report


def expected(params) -> dict | None:
    """Right counts of a synthetic set: item of the report -> numbers; None for real data."""
    return _sample_counts(locate(params)[1] / "sample.json") if params.dataset in _SAMPLES else None


def _sample_counts(path: Path) -> dict:
    """The counts in the sample set's own summary."""
    try:
        counts = files.read_mapping(path)["expected"].items()
    except (InputError, KeyError, AttributeError) as error:
        raise InputError(
            "the sample set is not there, or not finished",
            where=path,
            expected="the file that is written last",
            todo="remove it and run 01_download_check: what is whole is kept",
        ) from error
    return {item: (count,) for item, count in counts}


def has_affect(params) -> bool:
    """Whether the data set in the parameters may have labels of valence, arousal, expression or
    action units.
    """
    return params.dataset not in SPEAKING


def is_made(dataset: str) -> bool:
    """Whether the parameter `dataset` names a sample set, which `prepare` creates."""
    return dataset in _SAMPLES


def is_synthetic(dataset: str) -> bool:
    """Whether a trial table's `dataset` is the synthetic sample set, whose numbers have no
    meaning.
    """
    return dataset.startswith("sample")


def terms(dataset: str) -> str:
    """The sentence that a data set's licence requires beside weights trained on it and beside their
    predictions: `TERMS` of its module; else "".
    """
    return _said_by(dataset, "TERMS", "")


def class_names(dataset: str) -> tuple[str, ...]:
    """The names of a data set's own classes, in the order of their numbers: `CLASSES` of its
    module; else ().
    """
    return _said_by(dataset, "CLASSES", ())


def _said_by(dataset: str, name: str, default: Any) -> Any:
    """The constant of a data set's module; the default if it has none, or there is no module."""
    known = f"{__name__}.{dataset}"
    if not dataset.isidentifier() or importlib.util.find_spec(known) is None:
        return default
    return getattr(import_module(known), name, default)


def note(params, trained: bool = False) -> str:
    """The note under pictures of synthetic data or, with `trained`, under scores of a network
    trained on them.

    For real data it is "", or the sentence that its licence requires (`terms`).
    """
    if params.dataset not in _SAMPLES:
        return terms(params.dataset) if trained else ""
    return SYNTHETIC_NOTE if trained else "synthetic sample data"
