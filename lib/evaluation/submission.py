"""Prediction files in the challenge's formats, and a check of a folder of them before it is sent.

Up to ABAW4 a task has one text file per trial, named by the trial's stem, with the annotation's
header and one line per frame (TSAV/JCA specification §1.7, §2.9); from ABAW5 on valence and arousal
are one file ``image_location,valence,arousal``.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from .. import files
from ..errors import InputError
from ..labels import official
from ..metrics import EMOTIONS
from .prediction import Predictor
from .predictions import Predictions


def submit(
    predictor: Predictor, table: pd.DataFrame, predictions: Predictions, out: Path
) -> list[str]:
    """Write and check the submission files of all predicted test trials; those of val are written
    into ``val/`` beside them.

    Without test trials, the val trials' files take their place. Returns what is wrong with them, an
    empty list when they are ready to send.
    """
    if not predictor.recipe.submits:
        return ["no submission: the challenges ask for frames, and this is of whole recordings"]
    test, val = (table[table["split"] == split] for split in ("test", "val"))
    if test.empty:
        return _submit(predictor, val, predictions, out)
    return _submit(predictor, test, predictions, out) + (
        _submit(predictor, val, predictions, out / "val") if len(val) else []
    )


def _submit(
    predictor: Predictor, chosen: pd.DataFrame, predictions: Predictions, out: Path
) -> list[str]:
    values = {trial: predictions.complete(trial) for trial in chosen["trial"]}
    frames = {trial: len(rows) for trial, rows in values.items()}
    recipe, problems = predictor.recipe, []
    for emotion in EMOTIONS if "va" in recipe.tasks else ():
        if values and all(rows[emotion].isna().all() for rows in values.values()):
            return [
                f"no submission: {emotion} was not learnt; `python -m lib merge` joins a run of "
                "it and this one"
            ]
    for task in recipe.tasks:
        if task == "speaking":  # no challenge accepts it in this form
            continue
        for trial, rows in values.items():
            write(out, task, trial, _array(rows, task), decimals=recipe.decimals)
        problems += validate(out, frames, task)
    if "va" in recipe.tasks:
        single = out / "predictions.csv"
        write_single(single, {trial: _array(rows, "va") for trial, rows in values.items()})
        problems += validate_single(single, frames)
    return problems


def _array(rows: pd.DataFrame, task: str) -> np.ndarray:
    """The values of a task to submit, in the form that `write` takes."""
    if task == "va":
        return rows[list(EMOTIONS)].to_numpy()
    if task == "expression":
        return rows["expression"].to_numpy()
    units = [name for name in rows if name.startswith("action_unit_")]
    return rows[[name for name in units if not name.endswith("_raw")]].to_numpy()


FOLDER_OF_KIND = {"va": "VA_Set", "expression": "EXPR_Set", "action_units": "AU_Set"}
COLUMNS = ("image_location", "valence", "arousal")
_ROUNDING = 1e-6  # rounding error by which a mean of values in [-1, 1] may exceed the range


def write(
    folder: Path,
    task: str,
    trial: str,
    array: np.ndarray,
    names: tuple[str, ...] = (),
    decimals: int = 5,
) -> Path:
    """Write the predictions of a trial to ``<folder>/<VA_Set|EXPR_Set|AU_Set>/<trial>.txt``.

    task : "va": array (T, 2) in −1…1; "expression": (T,) class numbers; "action_units": (T, U) of 0
        and 1.
    names : the header's, if the number of columns does not tell (an 8-class expression network).
    decimals : of valence and arousal.
    Every frame has its line, in order: raises InputError for a frame without prediction or out of
    range.
    """
    array = _complete(np.asarray(array), task, trial)
    path = files.named(Path(folder) / FOLDER_OF_KIND[task], trial, ".txt")
    if task != "va":
        return official.write(path, task, array.astype(np.int8), names)
    rows = [f"{valence:.{decimals}f},{arousal:.{decimals}f}" for valence, arousal in array]
    return files.write_text(path, "\n".join([",".join(official.HEADERS["va"][0]), *rows]) + "\n")


def write_single(
    path: Path, predictions: Mapping[str, np.ndarray], frames: Mapping | None = None
) -> Path:
    """Write valence and arousal of all trials as the one file that ABAW5 and later ask for.

    predictions : {trial: (T, 2) in −1…1}.
    frames : {trial: frame numbers from 1} if the organisers' list leaves frames out (those without
        a cropped face); otherwise every frame gets its line ``<trial>/00001.jpg,…``.
    """
    rows = [",".join(COLUMNS)]
    for trial, va in predictions.items():
        numbers = (
            np.arange(1, len(va) + 1) if frames is None else np.asarray(frames[trial], np.int64)
        )
        if len(numbers) and not 1 <= numbers.min() <= numbers.max() <= len(va):
            raise InputError(
                f"frame {numbers.max()} is asked for, {len(va)} are predicted",
                where=f"trial {trial}",
                todo="check the organisers' list against the video",
            )
        chosen = _complete(np.asarray(va)[numbers - 1], "va", trial)
        rows += [
            f"{trial}/{number:05d}.jpg,{valence:.5f},{arousal:.5f}"
            for number, (valence, arousal) in zip(numbers, chosen, strict=True)
        ]
    return files.write_text(path, "\n".join(rows) + "\n")


def validate(folder: Path, expected: Mapping[str, int], task: str = "va") -> list[str]:
    """Check files as `write` makes them -> what is wrong, one sentence each; [] = ready to send.

    expected : {trial: number of frames}.

    Looked at: files missing and too many, header, columns, numbers, ranges, one line per frame, no
    unlabelled marks (−5, −1).
    """
    folder = Path(folder) / FOLDER_OF_KIND[task]
    if not folder.is_dir():
        return [f"{folder}: the folder is not there"]
    names = {path.name for path in folder.iterdir()}
    extra = sorted(names - {files.named("", trial, ".txt").name for trial in expected})
    problems = [f"{folder / name}: {_why_extra(name, expected)}" for name in extra]
    for trial, n_frames in expected.items():
        path = files.named(folder, trial, ".txt")
        exists = path.name in names
        problems += (
            _file_problems(path, task, n_frames) if exists else [f"{path}: the file is missing"]
        )
    return problems


def validate_single(path: Path, expected: Mapping) -> list[str]:
    """Check an ``image_location,valence,arousal`` file -> what is wrong, one sentence each; [] =
    ready to send.

    expected : {trial: number of frames, or the frame numbers that must have a line}.
    """
    path = Path(path)
    if not path.is_file():
        return [f"{path}: the file is missing"]
    try:
        text = io.StringIO(path.read_text(encoding="utf-8-sig"))
        table = pd.read_csv(text, dtype=str, keep_default_na=False)
        if not isinstance(table.index, pd.RangeIndex):
            raise pd.errors.ParserError("a line has more cells than the header")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        return [f"{path}: no table of three columns ({str(error).strip()})"]
    if tuple(table.columns) != COLUMNS:
        return [f"{path}:1: header {','.join(table.columns)!r}, expected {','.join(COLUMNS)!r}"]
    values = (
        table[["valence", "arousal"]].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    )
    wrong, problems = np.flatnonzero(~(np.abs(values) <= 1).all(axis=1)), []
    if len(wrong):
        line = f"{path}:{wrong[0] + 2}: {','.join(table.iloc[wrong[0]])!r}"
        problems = [f"{line}, expected two numbers in [-1, 1]{_more(wrong)}"]
    return problems + _location_problems(path, table["image_location"], expected)


def _complete(array: np.ndarray, task: str, trial: str) -> np.ndarray:
    """The array, if every frame has a valid prediction; rounding beyond the range is clipped."""
    low, high = {
        "va": (-1, 1),
        "expression": (0, len(official.HEADERS["expression"][-1]) - 1),
        "action_units": (0, 1),
    }[task]
    right = (array >= low - _ROUNDING) & (array <= high + _ROUNDING)
    wrong = ~right.reshape(len(array), -1).all(axis=1)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise InputError(
            f"{int(wrong.sum())} of {len(array)} frames have no prediction in [{low}, {high}], "
            f"first {array[first]}",
            where=f"trial {trial}, frame {first + 1}",
            expected="a value for every frame of the video",
            todo="predict every frame, clip valence and arousal, decide on classes",
        )
    return np.clip(array, low, high)


def _file_problems(path: Path, task: str, n_frames: int) -> list[str]:
    try:
        array = official.read(path, task)
    except InputError as error:
        expected = f", expected {error.expected}" if error.expected else ""
        return [f"{error.where}: {error.what}{expected}"]
    problems = []
    if len(array) != n_frames:
        problems.append(f"{path}: {len(array)} lines for {n_frames} frames")
    missing = np.isnan(array) if task == "va" else array < 0
    missing = missing.reshape(len(array), -1).any(axis=1)
    if missing.any():
        problems.append(
            f"{path}:{int(np.argmax(missing)) + 2}: {int(missing.sum())} lines marked as "
            "unlabelled; a submission predicts every frame"
        )
    return problems


def _why_extra(name: str, expected: Mapping) -> str:
    stem = name.removesuffix(".txt")
    for trial in expected:
        # The published TSAV writer keeps the extension in the name: 1-30.mp4.txt, 1-30.mp4_left.txt
        # (specification §1.7).
        if stem.replace(".mp4", "").replace(".avi", "") == trial:
            return f"should be called {trial}.txt (the name without the video's extension)"
    return "no such trial is expected"


def _location_problems(path: Path, locations: pd.Series, expected: Mapping) -> list[str]:
    parts = locations.str.extract(r"^(?P<trial>.+)/(?P<frame>\d+)\.jpg$")
    problems, unreadable = [], np.flatnonzero(parts["trial"].isna())
    if len(unreadable):
        row = unreadable[0]
        problems.append(
            f"{path}:{row + 2}: {locations[row]!r}, expected <trial>/00001.jpg{_more(unreadable)}"
        )
    parts = parts.dropna().astype({"frame": np.int64})
    written = {}
    for trial, group in parts.groupby("trial", sort=False)["frame"]:
        written[trial] = group.to_numpy()
        if trial not in expected:
            problem = f"{len(group)} lines of {trial}, a trial that is not expected"
            problems.append(f"{path}: {problem}")
    for trial, frames in expected.items():
        numbers = np.arange(1, frames + 1) if np.isscalar(frames) else np.asarray(frames)
        present = written.get(trial, np.zeros(0, np.int64))
        counts = {
            "missing": len(np.setdiff1d(numbers, present)),
            "not expected": len(np.setdiff1d(present, numbers)),
            "written twice": len(present) - len(np.unique(present)),
        }
        if any(counts.values()):
            text = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
            problems.append(f"{path}: trial {trial}: of {len(numbers)} frames {text}")
    return problems


def _more(rows: np.ndarray) -> str:
    return f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
