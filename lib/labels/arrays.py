"""The labels of a trial as arrays of the store: official files, tables of any rate, one annotator
or several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..metrics import EMOTIONS
from ..store import Maker, Request, Store, request
from ..trials import CONSTANT_SEPARATOR, label_files
from . import annotators, lfan_rows, official, tables

KINDS = official.KINDS
MISMATCH = "mismatch"
MENDED = "mended"  # facts of an array: what was skipped or corrected while its files were read


def resolve(trial: Mapping, wanted: Request, store: Store) -> Request:
    """A request for labels with the label options that differ from the defaults."""
    files, rows = label_files(trial[f"{wanted.name}_path"])
    options = {
        "delay": (store.label_delay, 0.0),
        "resample": (store.label_resample, "linear"),
        "rate": (store.label_rate, 0.0),
        "range": (list(store.label_range), []),
        "rows": (rows, ""),
        "times": (_newly_timed(files, store), ""),
        "scale": (_newly_scaled(files, store), ""),
        "columns": (_newly_chosen(files, store), ""),
    }
    changed = {
        name: value
        for name, (value, usual) in options.items()
        if value != usual and (files or name == "rows")
    }
    return request(wanted.name, **{**changed, **wanted.parameters})


def _newly_timed(files: Sequence[str], store: Store) -> str:
    """A parameter that distinguishes labels placed by their times from those of an earlier version,
    which took the same table as one row per frame; "" for all others.
    """
    newly = any(tables.was_untimed(store.data_root / file) for file in files)
    return "by their column" if newly else ""


def _newly_scaled(files: Sequence[str], store: Store) -> str:
    """The same for labels that earlier versions took as −1…1 although their program, or the names
    of their columns, tell another scale.
    """
    if store.label_range:
        return ""
    scales = {tables.ignored_scale(store.data_root / file) for file in files}
    return "; ".join(sorted(scales - {""}))


def _newly_chosen(files: Sequence[str], store: Store) -> str:
    """The same for labels that earlier versions averaged with their own spread, or with another
    recording's.
    """
    newly = any(tables.was_averaged(store.data_root / file) for file in files)
    return "of annotators" if newly else ""


def sources(trial: Mapping, wanted: Request) -> dict:
    """Every label file of the trial as an input, and the times of its frames."""
    files = label_files(trial[f"{wanted.name}_path"])[0]
    inputs = {f"annotation{number or ''}": file for number, file in enumerate(files)}
    return {**inputs, "time": request("time")}


def maker(kind: str) -> Callable:
    """The function that fills the array of one kind of labels."""

    def make(inputs, parameters, create, device):
        paths = [path for name, path in inputs.items() if name.startswith("annotation")]
        rows, note, facts = read(paths, kind, np.asarray(inputs["time"]), parameters)
        with create(rows.shape, rows.dtype, note=note, **facts) as out:
            out[...] = rows

    return make


def read(
    paths: Sequence[Path], kind: str, times: np.ndarray, parameters: Mapping
) -> tuple[np.ndarray, str, dict]:
    """Labels of one trial at its frames.

    Arguments
    ---------
    paths : its label files; none: unlabelled. times : (T,) s of its frames.
    parameters : mismatch (see `official.fit_rows`), and if not the defaults delay, resample, rate,
        range, rows (see `annotators.to_frames`, `tables.read`).

    Returns (rows, what was done, facts: agreement of several annotators). "va" (T, 2) float32, NaN
    unlabelled.
    """
    n_frames, delay = len(times), parameters.get("delay", 0.0)
    if not paths and parameters.get("rows", "").startswith(CONSTANT_SEPARATOR):
        label = parameters["rows"].removeprefix(CONSTANT_SEPARATOR)
        return _constant(kind, label, n_frames), f"one label for the recording: {label}", {}
    if not paths:
        return _unlabelled(kind, n_frames), "no label file", {}
    if len(paths) == 1 and tables.form(paths[0]) in ("official", ""):
        rows, note = official.fit_rows(
            read_annotation(paths[0], kind, n_frames),
            n_frames,
            parameters.get(MISMATCH, "fit"),
            paths[0],
        )
        shifted = f"{delay:g} s of delay taken away" if delay else ""
        return annotators.shift(rows, times, delay), "; ".join(filter(None, [note, shifted])), {}
    if kind == "action_units":
        raise InputError(
            "action units in another form than the official one",
            where=paths[0],
            expected=",".join(official.ACTION_UNITS),
            todo="write them so, one row per frame",
        )
    return (_classes if kind == "expression" else _affect)(paths, times, parameters)


def read_annotation(path: Path, kind: str, n_frames: int) -> np.ndarray:
    """Labels of a file, whoever wrote it: an official one (its rows need not be as many as the
    frames), an ``img,V,A,frame_id`` CSV, or LFAN's ``label.npy``.
    """
    if path.suffix == ".csv":
        return official.read_csv(path, n_frames)
    if path.suffix == lfan_rows.SUFFIX:
        return lfan_rows.read_labels(path, n_frames)
    return official.read(path, kind)


def _affect(
    paths: Sequence[Path], times: np.ndarray, parameters: Mapping
) -> tuple[np.ndarray, str, dict]:
    by_annotator: dict[str, np.ndarray] = {}
    how: dict[str, None] = {}
    mended: dict[str, None] = {}
    for path in paths:
        for annotation in _annotations(path, times, parameters):
            rows, done = annotators.to_frames(
                annotation,
                times,
                parameters.get("resample", "linear"),
                parameters.get("delay", 0.0),
                parameters.get("rate", 0.0),
            )
            name = annotation.annotator or (path.parent.name if len(paths) > 1 else "")
            before = by_annotator.get(name)
            by_annotator[name] = (
                rows if before is None else np.where(np.isfinite(before), before, rows)
            )
            how |= dict.fromkeys([done, *annotation.notes])
            extent = annotators.extent(annotation, rows, times, parameters.get("delay", 0.0))
            notes = [*annotation.notes, extent]
            mended |= dict.fromkeys(f"{path.name}: {note}" for note in notes if note)
    rows, facts = annotators.combine(list(by_annotator.values()))
    summary = _told(facts, how, parameters.get("delay", 0.0))
    absent = [
        emotion
        for emotion, column in zip(EMOTIONS, rows.T, strict=True)
        if not np.isfinite(column).any()
    ]
    if len(absent) == 1:  # a mistyped column is named among the notes
        raise InputError(
            "; ".join([f"no label of {absent[0]} at any frame", *mended]),
            where=" and ".join(map(str, paths)),
            expected="valence and arousal",
            todo=f"add {absent[0]}, or take this trial's labels away",
        )
    facts = {
        **(facts if len(by_annotator) > 1 else {}),
        **({MENDED: list(mended)} if mended else {}),
    }
    return rows, summary, facts


def _annotations(path: Path, times: np.ndarray, parameters: Mapping) -> list[annotators.Annotation]:
    if tables.form(path) == "official":  # one row per frame, as any table without times
        return [
            annotators.Annotation("", official.read(path, "va").astype(np.float64), where=str(path))
        ]
    rows, label_range = parameters.get("rows", ""), parameters.get("range", ())
    return tables.read(path, "va", rows, label_range, frames=times)


def _told(facts: Mapping, how: Mapping, delay: float) -> str:
    several = ""
    if facts["annotators"] > 1:
        values = {name: facts[name] for name in EMOTIONS}
        words = {n: "not defined" if v is None else f"{v:.2f}" for n, v in values.items()}
        scores = " and ".join(f"{word} ({emotion})" for emotion, word in words.items())
        several = f"mean of {facts['annotators']} annotators, mean pairwise CCC {scores}"
    return "; ".join(
        filter(None, [several, *how, f"{delay:g} s of delay taken away" if delay else ""])
    )


def _classes(
    paths: Sequence[Path], times: np.ndarray, parameters: Mapping
) -> tuple[np.ndarray, str, dict]:
    if len(paths) > 1:
        raise InputError(
            f"{len(paths)} files of expressions for one trial",
            where=paths[1],
            expected="one",
            todo="a mean of classes has no meaning: keep one of them",
        )
    rows_of = parameters.get("rows", "")
    annotation = tables.read(paths[0], "expression", rows_of, frames=times)[0]
    rows, how = annotators.to_frames(
        annotation, times, "nearest", parameters.get("delay", 0.0), parameters.get("rate", 0.0)
    )
    facts = (
        {MENDED: [f"{paths[0].name}: {note}" for note in annotation.notes]}
        if annotation.notes
        else {}
    )
    return np.where(np.isfinite(rows[:, 0]), rows[:, 0], -1).astype(np.int8), how, facts


def _constant(kind: str, label: str, n_frames: int) -> np.ndarray:
    """The label of a recording ("4", or "0.3,-0.1" for valence and arousal) at all its frames."""
    values = [float(value) for value in label.split(",")]
    rows = np.tile(values, (n_frames, 1))
    return rows.astype(np.float32) if kind == "va" else rows[:, 0].astype(np.int8)


def _unlabelled(kind: str, n_frames: int) -> np.ndarray:
    if kind == "va":
        return np.full((n_frames, 2), np.nan, np.float32)
    # Without a file the number of action units is unknown: none.
    return np.full((n_frames, 0) if kind == "action_units" else n_frames, -1, np.int8)


def requests(mismatch: str) -> list[Request]:
    """All labels that a data set may have; `mismatch`: see `official.fit_rows`."""
    return [request(kind, mismatch=mismatch) for kind in KINDS]


MAKERS = [Maker(kind, "labels", "trial", 1, sources, maker(kind), resolve) for kind in KINDS]
