"""Predictions of a trained run: every frame of val and test trials, or of any video file."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from .. import arrays as every_array
from .. import trials
from ..arrays import locate
from ..errors import InputError
from ..faces import arrays as face_arrays
from ..files import named, says, write_text
from ..models import device, forward
from ..parallel import remote
from ..speakers import arrays
from ..store import facts, request
from . import sharing
from .predictions import MADE_FROM, Predictions

# Raw outputs of the network, stored for every frame: scores and merged runs are computed from them.
OWN_OUTPUT = re.compile(r".+_raw|expression_\d+")


@dataclass
class Predictor:
    """A trained network with its recipe, ready to predict trials of `store`.

    `made_from` identifies the checkpoint; `epoch` is the one it was saved after; `synthetic` says
    whether it was trained on the sample set; `licence` is that of published weights, "" for our
    own; `terms` is the sentence that the licence of its data requires; `precision` and `compiled`
    say how it runs. `opened_by` loads it again in another process.
    """

    recipe: object
    model: torch.nn.Module
    device: torch.device
    made_from: dict
    epoch: int
    synthetic: bool
    licence: str = ""
    precision: str = "auto"
    compiled: bool = False
    terms: str = ""
    opened_by: partial | None = None
    trained_on: tuple[str, ...] = ()  # trials that it learnt from

    def __reduce_ex__(self, protocol):
        if self.opened_by is None:
            return super().__reduce_ex__(protocol)
        # Loaded on the device of the process that unpickles it, which may have a GPU that this one
        # lacks.
        return (_reopened, (pickle.dumps(self.opened_by), self.made_from["sha256"]))

    @cached_property
    def _ready(self) -> torch.nn.Module:
        return forward.ready(self.model, self.precision, self.compiled)

    @property
    def how(self) -> str:
        """ ", cuda (…), float32" or ", bfloat16" where it is not float32 on a CPU, else ""."""
        where = "" if self.device.type == "cpu" else f", {device.told(self.device)}"
        return where + (", bfloat16" if self.precision == "bfloat16" else "")

    @property
    def n_weights(self) -> int | None:
        """Trainable numbers of the network."""
        if self.model is not None:
            return sum(weight.numel() for weight in self.model.parameters())
        return None

    def predict(self, trial: str) -> dict[str, np.ndarray]:
        """task -> (T, k) float32 raw outputs of every frame of a trial."""
        windows = self.recipe.windows(pd.DataFrame({"trial": [trial]}))
        return self.recipe.assemble(windows, self.outputs(windows), self.recipe.n_frames(trial))

    def outputs(self, windows: pd.DataFrame) -> dict[str, np.ndarray]:
        """The network's outputs for some windows of the recipe (`forward.predict`)."""
        return forward.predict(self._ready, self.recipe, windows, self.device)


@lru_cache(maxsize=1)
def _reopened(opened_by: bytes, sha256: str) -> Predictor:
    """The predictor sent by another process, loaded once for all its trials."""
    return pickle.loads(opened_by)()


def predict_trial(predictor: Predictor, predictions: Predictions, trial: str) -> Path:
    """Predict one trial and write its table with raw values, from which an interrupted notebook can
    continue; an existing table from the same arrays is kept. Returns its file. Raises InputError
    also if its labels were lost, because scores need them.
    """
    path, recipe, folder = predictions.path(trial), predictor.recipe, predictions.folder
    for task in recipe.tasks:
        recipe.labels(trial, task)
    heard, mine = _heard(recipe, trial), _made_from(recipe, trial)
    if not _is_current(predictions, trial, mine):
        if recipe.store is not None:
            try:
                every_array.check(recipe.trial(trial), recipe.arrays(), recipe.store)
            except InputError:
                sharing.remove(folder, trial)  # they were computed from what is damaged
                raise
        raw = sharing.predicted(predictor, folder, trial, mine)
        table = prediction_table(predictor, trial, raw)
        predictions.write(trial, arrays.with_column(table, heard))
        write_text(_source(predictions, trial), mine)
    sharing.remove(folder, trial)
    return path


def parts(predictor: Predictor, predictions: Predictions, trial: str) -> list[sharing.Part]:
    """What workers can share of the prediction of a trial; [] if it is short, or there already."""
    try:
        trial_parts = sharing.parts(predictor.recipe, trial)
        if trial_parts and _is_current(predictions, trial, _made_from(predictor.recipe, trial)):
            return []
        return trial_parts
    except InputError:  # reported when the trial is predicted
        return []


def predict_item(
    predictor: Predictor, predictions: Predictions, item: str | sharing.Part
) -> Path | None:
    """`predict_trial`, or the share of a worker in that of a long recording."""
    if not isinstance(item, sharing.Part):
        return predict_trial(predictor, predictions, item)
    mine = _made_from(predictor.recipe, item.trial)
    sharing.outputs(predictor, predictions.folder, item, mine)
    return None


def _heard(recipe, trial: str):
    """Where the column of who is heard lies; None for none."""
    if recipe.store is None or "speaking" in recipe.tasks:  # merged runs have files only
        return None
    return arrays.column(recipe.trial(trial), recipe.params, recipe.store)


def _made_from(recipe, trial: str) -> str:
    """What a trial's prediction is made from besides the checkpoint, as text."""
    heard = _heard(recipe, trial)
    return json.dumps(
        recipe.digits(trial) | ({"speaking": heard.digits} if heard else {}), indent=1
    )


def _source(predictions: Predictions, trial: str) -> Path:
    return named(predictions.folder / MADE_FROM, trial, ".json")


def _is_current(predictions: Predictions, trial: str, made_from: str) -> bool:
    made = says(_source(predictions, trial), made_from)
    return made and predictions.is_as_written(trial)


def begin(folder: Path, predictor: Predictor) -> Predictions:
    """The predictions of a folder, which is emptied unless checkpoint and device are the same."""
    note = Path(folder) / "made_from.txt"
    made_from = predictor.made_from
    mine = f"checkpoint SHA-256 {made_from['sha256']}, size {made_from['size']}"
    workers = remote.current()
    mine += f"{workers.told if workers and workers.gpus else predictor.how}\n"
    if not says(note, mine):
        if Path(folder).is_dir():
            shutil.rmtree(folder)
        write_text(note, mine)
    return Predictions(folder)


def prediction_table(
    predictor: Predictor, trial: str, raw: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Columns of a prediction file: frame (1-based), time (s), the tasks' values, valid, the face's
    box (x, y, width, height in px) where the recipe knows it; note, if the values have no meaning.

    Where `valid` is 0, values that depend on a face alone are empty; the network's raw outputs are
    in every row. Labels, where known, are added by `lib.evaluation.scores`.
    """
    recipe = predictor.recipe
    times = np.asarray(recipe.read(trial, request("time")))
    table = pd.DataFrame({"frame": np.arange(1, len(times) + 1), "time": times})
    values = columns(recipe, raw, times)
    table = table.assign(**values)
    if recipe.has_faces(trial):
        table["valid"] = np.asarray(recipe.read(trial, request("face_valid"))).astype(int)
    else:
        table["valid"] = np.ones(len(times), int)
    if recipe.from_face_alone:
        table = without_a_face_empty(table, values)
    if recipe.store is not None and not predictor.synthetic:
        table["person"] = recipe.trial(trial).get("person", "")
    if (boxes := recipe.boxes(trial)) is not None:
        table[["x", "y", "width", "height"]] = boxes.round(2)
    first = trials.SYNTHETIC_NOTE if predictor.synthetic else predictor.terms
    note = "; ".join(filter(None, [first, about_faces(recipe, trial), recipe.remark(trial)]))
    return table.assign(note=note) if note else table


def columns(recipe, values: Mapping[str, np.ndarray], times: np.ndarray) -> dict[str, np.ndarray]:
    """Column -> (T,) of all tasks, see `Recipe.columns`."""
    by_column: dict[str, np.ndarray] = {}
    for task, rows in values.items():
        by_column |= recipe.columns(task, rows, times)
    return by_column


def decided(names: Iterable[str]) -> list[str]:
    """The columns of a prediction file that hold final values, without the network's raw
    outputs.
    """
    return [name for name in names if not OWN_OUTPUT.fullmatch(name)]


def without_a_face_empty(table: pd.DataFrame, values: Iterable[str]) -> pd.DataFrame:
    """The table with the columns `decided` of `values` empty in rows whose `valid` is 0."""
    unseen = table["valid"] == 0
    if not unseen.any():
        return table
    return table.assign(**{name: table[name].mask(unseen) for name in decided(values)})


def about_faces(recipe, trial: str) -> str:
    """A remark on a trial's faces: that they could not be detected, or that the person was followed
    over cuts; "" for none, and for recipes without a face per frame.
    """
    if getattr(recipe, "store", None) is None:  # merged runs have none
        return ""
    if not recipe.has_faces(trial):
        return ""
    face_valid = request("face_valid")
    if face_valid.name not in [item.name for item in recipe.arrays()]:
        return ""
    valid = locate(recipe.trial(trial), face_valid, recipe.store)
    notes = facts(valid.path) if valid.exists else {}
    crossed = face_arrays.told_of_crossing(notes.get(face_arrays.CROSSED, []))
    words = [face_arrays.note(valid.request, recipe.store), crossed]
    return "; ".join(filter(None, [*words, face_arrays.told_of_joining(notes)]))
