"""The prediction of a long recording, shared by workers: each computes the network's outputs for
some of its windows, in whole batches, so that they equal those of one piece.

Outputs of a part lie beside the predictions, in `FOLDER`, until the recording's table is written: a
process that is killed loses only the part in hand.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .. import files
from ..media import stretches
from ..models import forward

FOLDER = "stretches"
MADE_FROM = "made_from"  # name beside those of the outputs
# What NumPy and zipfile raise for files that were cut or of which bits changed; each was seen.
UNREADABLE = (
    *(OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True)
class Part:
    """Part `number` of `count` of a trial's prediction."""

    trial: str
    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.trial}: prediction, stretch {self.number + 1}"


def parts(recipe, trial: str) -> list[Part]:
    """The parts of a recording that is cut into stretches (`stretches.is_long`), as many as these
    where it has that many batches; [] for one that is predicted in one piece.
    """
    if recipe.store is None:  # merged runs, which are read from files
        return []
    seconds, stretch = recipe.trial(trial).get("duration", 0.0), recipe.store.stretch
    if not stretches.is_long(seconds, stretch):
        return []
    batches = math.ceil(len(_windows(recipe, trial)) / recipe.params.batch_size)
    count = min(math.ceil(seconds / stretch), stretches.MOST, batches)
    return [Part(trial, number, count) for number in range(count)] if count > 1 else []


def outputs(
    predictor, folder: Path, part: Part, made_from: str, windows: pd.DataFrame | None = None
) -> dict[str, np.ndarray]:
    """The network's outputs for a part's windows (`forward.predict`), from its file if there is
    one, else computed and written.

    folder : of the predictions. made_from : of the trial's. windows : all of the trial, if they are
    at hand.
    """
    windows = _windows(predictor.recipe, part.trial) if windows is None else windows
    size = predictor.recipe.params.batch_size
    batches = math.ceil(len(windows) / size)
    numbers = part.number, part.number + 1
    first, stop = (size * (batches * number // part.count) for number in numbers)
    windows = windows.iloc[first:stop]
    rows = pd.util.hash_pandas_object(windows.drop(columns="trial"), index=False).to_numpy()
    path = _path(folder, part)
    made_from = json.dumps([made_from, size, hashlib.sha256(rows.tobytes()).hexdigest()])
    arrays = _read(path, made_from)
    if arrays is None:
        arrays = predictor.outputs(windows)
        _write(path, arrays, made_from)
    return arrays


def predicted(predictor, folder: Path, trial: str, made_from: str) -> dict[str, np.ndarray]:
    """`Predictor.predict`, of a long recording from its parts, of which missing ones are made."""
    trial_parts, recipe = parts(predictor.recipe, trial), predictor.recipe
    if not trial_parts:
        return predictor.predict(trial)
    windows = _windows(recipe, trial)
    joined = forward.joined(
        outputs(predictor, folder, part, made_from, windows) for part in trial_parts
    )
    return recipe.assemble(windows, joined, recipe.n_frames(trial))


def remove(folder: Path, trial: str) -> None:
    """Remove the parts of a trial, and what killed processes left of any."""
    files.clear_leftovers(Path(folder) / FOLDER, deep=False)
    name = re.compile(rf"{re.escape(files.safe_name(trial))}-\d+\.npz")
    for path in (Path(folder) / FOLDER).glob("*.npz"):
        if name.fullmatch(path.name):
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # there is none, or others are in it
        (Path(folder) / FOLDER).rmdir()


def _windows(recipe, trial: str) -> pd.DataFrame:
    return recipe.windows(pd.DataFrame({"trial": [trial]}))


def _path(folder: Path, part: Part) -> Path:
    return files.named(Path(folder) / FOLDER, part.trial, f"-{part.number}.npz")


def _read(path: Path, made_from: str) -> dict[str, np.ndarray] | None:
    try:
        with np.load(path, allow_pickle=False) as kept:
            arrays = dict(kept)
        return arrays if str(arrays.pop(MADE_FROM)) == made_from else None
    except UNREADABLE:  # not there, or left of a version that wrote something else
        return None


def _write(path: Path, arrays: Mapping[str, np.ndarray], made_from: str) -> None:
    files.create_folder(path.parent)
    with files.temporary_name(path) as temporary:
        with temporary.open("wb") as stream:
            np.savez(stream, **arrays, **{MADE_FROM: np.array(made_from)})
        temporary.replace(path)
