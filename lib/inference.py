"""Predictions of a trained run: every frame of val and test trials, or of any video file; and what they are worth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lib import (
    arrays,
    checkpoints,
    declarations,
    device,
    forward,
    media,
    overlay,
    people,
    recipes,
    runs,
    speakers,
    trials,
)
from lib.datasets import is_synthetic
from lib.errors import InputError
from lib.models import published
from lib.params import Params, checkpoint, complete
from lib.store import Store, fingerprint, request, write_text


@dataclass
class Predictor:
    """A trained network with its recipe, ready to predict trials of `store`.

    `made_from` identifies the checkpoint, `epoch` is the one it was saved after, `synthetic` says whether it learnt
    from the sample set; `licence` what may be done with weights that others published, "" for our own; `precision`
    and `compiled` how it is run.
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

    @cached_property
    def _ready(self) -> torch.nn.Module:
        return forward.ready(self.model, self.precision, self.compiled)

    @property
    def n_weights(self) -> int | None:
        """Trainable numbers of the network."""
        return sum(weight.numel() for weight in self.model.parameters()) if self.model is not None else None

    def predict(self, trial: str) -> dict[str, np.ndarray]:
        """task -> (T, k) float32 raw outputs of every frame of a trial."""
        windows = self.recipe.windows(pd.DataFrame({"trial": [trial]}))
        outputs = forward.predict(self._ready, self.recipe, windows, self.device)
        return self.recipe.assemble(windows, outputs, self.recipe.n_frames(trial))


def checkpoint_path(params) -> Path:
    """The checkpoint that 06 predicts with: `predict_run` (a run's name or a file), else the run's own best one."""
    return checkpoint(params.predict_run or params.run, params.runs_root)


def note(checkpoint: Path) -> str:
    """The sentence that must stand wherever this network's values are shown; "" for one trained on real data."""
    if is_published(checkpoint):
        return ""
    return _synthetic_note(checkpoints.load(checkpoint)["params"])


def _synthetic_note(params: Mapping) -> str:
    return trials.SYNTHETIC_NOTE if is_synthetic(params["dataset"]) else ""


def worth(checkpoint: Path) -> str:
    """What a prediction is worth, to be said where it is shown: which run, which data set, its validation score.

    The first line; the sentence about sample data is the second one, where it applies (`note`).
    """
    if is_published(checkpoint):
        return f"weights as their authors published them ({checkpoint.name}); not validated here"
    saved, folder = checkpoints.load(checkpoint)["params"], Path(checkpoint).parents[1]
    # A checkpoint that was moved out of its run folder has nobody's scores beside it.
    found = runs.Run(folder).read_json("metrics.json", {}) if Path(checkpoint).parent.name == "checkpoints" else {}
    name = folder.name if Path(checkpoint).parent.name == "checkpoints" else Path(checkpoint).name
    scores = _scores((found or {}).get("val", {}))
    told = f"validation {scores}" if scores else "not validated yet (no metrics.json beside its checkpoint)"
    return "\n".join(filter(None, [f"run {name}, trained on {saved['dataset']}: {told}", _synthetic_note(saved)]))


def _scores(val: Mapping) -> str:
    """``CCC valence 0.83 [0.79, 0.88], arousal 0.88``, F1, or AP of who speaks; "" where nothing was scored."""
    found = []
    va = [(emotion, val.get(emotion, {})) for emotion in ("valence", "arousal")]
    for label, key, some in (("CCC", "ccc", va), ("F1", "f1_macro", [("expression", val.get("expression", {}))]),
                             ("F1", "f1_mean", [("action units", val.get("action_units", {}))]),
                             ("AP", "ap", [("who speaks", val.get("speaking", {}))])):
        values = [f"{name} {one[key]:.2f}{_interval(one.get('ci95'))}" for name, one in some
                  if one.get(key) is not None]
        found += [f"{label} {', '.join(values)}"] if values else []
    return "; ".join(found)


def _interval(ends: list | None) -> str:
    return f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else ""


def is_published(path: Path) -> bool:
    """Whether a file is as the authors of a paper wrote it: weights under "state_dict" or "net", not a run's.

    Raises InputError, by name, for a file that would run code; what is damaged or absent is not for this to say.
    """
    try:
        found = published.read(path)
    except published.UnsafeError:
        raise
    except InputError:
        return False
    return any(name in found for name in published.CONTAINERS) or published.SPEAKER_HEAD in found


def open_checkpoint(path: Path, params) -> dict:
    """params, statistics, epoch, licence, and of a checkpoint of ours the model: what is known beside an authors' file.

    An authors' file has no parameters: they are those of the run folder that it is used in, with published rules.
    """
    if not is_published(path):
        return {"licence": "", **checkpoints.load(path)}
    # What notebook 06 does not declare itself, the earlier ones have left in the run folder.
    given = {**runs.parameters(Path(params.runs_root) / params.run), **checkpoints.plain(params)}
    names = declarations.all_declared()
    full = complete({name: value for name, value in given.items() if name in names})
    if full["rules"] != "published":
        raise InputError(f"rules: {full['rules']}", where=path, expected="published: these weights learnt by those",
                         todo="set `rules: published`, and prepare the arrays with it (notebooks 01 to 04)")
    licence = published.licence(full["recipe"], path)
    return {"model": {}, "params": full, "statistics": {}, "epoch": 0, "licence": licence}


def load(path: Path, params, store: Store) -> Predictor:
    """Load a checkpoint, of ours or as its authors published it, as a Predictor for the data of `store`.

    The recipe gets the parameters that it was trained with; only places and device are taken from `params`.
    Raises InputError when the checkpoint is missing or was trained for another modality of data than is there.
    """
    saved = open_checkpoint(path, params)
    recipe, place = _recipe(saved, params, store), device.pick(params.device)
    model = recipe.model()
    if saved["licence"]:
        published.fill(model, path)
    else:
        checkpoints.fill(model, saved, path)
    return Predictor(recipe, model.to(place).eval(), place, fingerprint(path), saved["epoch"],
                     is_synthetic(saved["params"]["dataset"]) and not saved["licence"], saved["licence"],
                     params.get("precision", "auto"), params.get("compiled", False))


def _recipe(saved: Mapping, params, store: Store):
    """The recipe of a checkpoint, as it was trained, for the data of `store`."""
    free = declarations.of_groups(declarations.all_declared(), declarations.NOT_OF_A_TRAINING)
    here = {name: params[name] for name in free if name in params}
    name = saved["params"]["recipe"]
    options = declarations.defaults(declarations.recipes().get(name, {})) | saved["params"]["options"]
    recipe = recipes.create(name, Params({**saved["params"], **here, "options": options}), store)
    recipe.statistics = saved["statistics"]
    return recipe


def predict_trial(predictor: Predictor, folder: Path, trial: str) -> Path:
    """Predict one trial and write ``<folder>/<trial>.csv`` with raw values; one of the same arrays is kept."""
    path, source = Path(folder) / f"{trial}.csv", Path(folder) / "made_from" / f"{trial}.json"
    recipe, heard = predictor.recipe, None
    if recipe.store is not None and "speaking" not in recipe.tasks:  # merged runs have files only
        heard = speakers.column(recipe.trial(trial), recipe.params, recipe.store)
    mine = json.dumps(recipe.digits(trial) | ({"speaking": heard.digits} if heard else {}), indent=1)
    if not (path.is_file() and source.is_file() and source.read_text() == mine):
        table = prediction_table(predictor, trial, predictor.predict(trial))
        write_csv(path, speakers.with_column(table, heard))
        write_text(source, mine)
    return path


def begin(folder: Path, predictor: Predictor) -> None:
    """Empty the folder of predictions unless they are of the same checkpoint."""
    note = Path(folder) / "made_from.txt"
    mine = f"checkpoint SHA-256 {predictor.made_from['sha256']}, size {predictor.made_from['size']}\n"
    if note.is_file() and note.read_text() == mine:
        return
    if Path(folder).is_dir():
        shutil.rmtree(folder)
    write_text(note, mine)


def prediction_table(predictor: Predictor, trial: str, raw: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Columns of a prediction file: frame (1-based), time (s), the tasks' values, valid, the face's box (x, y, width,
    height in px) where the recipe knows it; note, if the values have no meaning.

    Labels, where known, are added by `lib.evaluation`.
    """
    recipe = predictor.recipe
    times = np.asarray(recipe.read(trial, request("time")))
    table = pd.DataFrame({"frame": np.arange(1, len(times) + 1), "time": times})
    for task, values in raw.items():
        decided = recipe.decide(task, values)
        if task == "va":
            table[["valence", "arousal"]] = decided
            table[["valence_raw", "arousal_raw"]] = values
        elif task == "expression":
            table["expression"] = decided
            table[[f"expression_{k}" for k in range(values.shape[1])]] = values
        elif task == "speaking":
            table["speaking"] = decided
            table[["speaking_no_raw", "speaking_yes_raw"]] = values
        else:
            table[[f"action_unit_{k}" for k in range(values.shape[1])]] = decided
            table[[f"action_unit_{k}_raw" for k in range(values.shape[1])]] = values
    table["valid"] = (np.asarray(recipe.read(trial, request("face_valid"))).astype(int)
                      if recipe.uses_video else np.ones(len(times), int))
    if (boxes := recipe.boxes(trial)) is not None:
        table[["x", "y", "width", "height"]] = boxes.round(2)
    return table.assign(note=trials.SYNTHETIC_NOTE) if predictor.synthetic else table


def write_csv(path: Path, table: pd.DataFrame) -> Path:
    """Write a table atomically, six significant digits."""
    return write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def read_values(folder: Path, trial: str, recipe) -> dict[str, np.ndarray]:
    """Raw values of a prediction file: task -> (T, k)."""
    table = pd.read_csv(Path(folder) / f"{trial}.csv")
    columns = {"va": ["valence_raw", "arousal_raw"],
               "expression": [name for name in table if name.startswith("expression_")],
               "action_units": [name for name in table if name.startswith("action_unit_") and name.endswith("_raw")],
               "speaking": ["speaking_no_raw", "speaking_yes_raw"]}
    return {task: table[columns[task]].to_numpy(np.float32) for task in recipe.tasks}


def predict_video(path: Path, checkpoint: Path, params, folder: Path, crops_dir: Path | str = "") -> tuple:
    """Predict every frame of any video file; everything is written into `folder` and nowhere else.

    Arguments
    ---------
    path : the video. crops_dir : a folder of its cropped faces, ``%05d.jpg`` from 1; "" finds faces as ``params.faces``
        says. ``params.video_person`` names one of several people (`lib.people`); "" is the one seen longest, "speaker"
        who is heard most (`lib.speakers`).
    checkpoint : the network (`checkpoint_path`); a run that builds on a backbone finds it as in training.

    Returns (Predictor, prediction table, name); the table is also ``<folder>/<name>.csv``, where the name is the
    video's stem, and ``_<person>`` if one was named. Values are not smoothed: the widths belong to the data set that
    they were chosen on. Raises InputError for a person who is not in the video.
    """
    path, folder = Path(path), Path(folder)
    if speakers.learnt(checkpoint):
        return speakers.predict_video(path, checkpoint, params, folder)
    info, crops = media.probe(path), Path(crops_dir).absolute() if crops_dir else ""
    person = params.get("video_person", "")
    if person == "speaker":
        person = speakers.choose(path, params, folder)
    name = f"{path.stem}_{person}" if person else path.stem
    row = {"trial": name, "person": person, "video": path.stem, "dataset": "video", "split": "test",
           "subject": path.stem, "video_path": path.name, "audio_path": path.name if info.audio_codec else "",
           "crops_dir": str(crops), "n_frames": info.n_frames, "fps": info.fps, "duration": info.duration}
    weights_root = params.get("weights_root") or None
    store = Store(folder / "arrays", "video", path.parent, "crops" if crops else params.get("faces", "auto"),
                  Path(weights_root) if weights_root else None)
    table = trials.table([row])
    trials.write(table, store.trials_path)
    recipe = _recipe(open_checkpoint(checkpoint, params), params, store)
    if recipe.uses_audio and not info.audio_codec:
        raise InputError("this video has no audio track, and the network needs sound", where=path,
                         todo="predict with a run that was trained with `modality: video`")
    arrays.make_all(table.iloc[0].to_dict(), recipe.arrays(), store, params.device)  # labels too: all unlabelled
    predictor = load(checkpoint, params, store)
    if person and recipe.uses_video:
        _require_person(predictor, name, person)
    table = prediction_table(predictor, name, predictor.predict(name))
    table = speakers.with_column(table, speakers.column({**row, "person": person}, params, store, make=True))
    table = overlay.with_boxes(table, trials.read(store.trials_path).iloc[0].to_dict(), store)
    table["note"] = worth(checkpoint).replace("\n", "; ")
    write_csv(folder / f"{name}.csv", table)
    return predictor, table, name


def _require_person(predictor: Predictor, trial: str, person: str) -> None:
    if not np.any(predictor.recipe.read(trial, request("face_valid"))):
        raise InputError(f"no person called {person} was found", where=f"video {trial}",
                         expected=who(predictor, trial), todo="correct video_person, or leave it empty")


def who(predictor: Predictor, trial: str) -> str:
    """A sentence about whose face was looked at in a video, and who else is there."""
    if isinstance(predictor, speakers.Speakers):
        return speakers.summary(predictor.values)
    row = trials.read(predictor.recipe.store.trials_path).set_index("trial", drop=False).loc[trial].to_dict()
    place = predictor.recipe.store
    if not predictor.recipe.uses_video:
        return "the network only listens: no face was looked for"
    face = arrays.locate(row, request("face_valid"), place)
    if face.request.parameters.get("faces") != "detect":
        return face.note or "faces: " + ("the crops given" if row["crops_dir"] else "the centre of the picture")
    found = people.find(np.asarray(arrays.read(row, request("tracks"), place)))
    if not found:
        return "nobody was found in this video: all frames count as missing"
    chosen = f"; the values are of: {row['person'] or found[0].name or 'the only one'}"
    listed = ", ".join(f"{person.name or 'one person'} ({person.n_frames} frames)" for person in found)
    return f"{len(found)} found: {listed}{chosen}"
