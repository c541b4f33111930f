"""Expression of the voice in a recording: predictions of a trained network of the recipe
`utterance` for each stretch of speech, whose voice it is, and face and voice in one table.

Nothing here is validated: such a network was trained on actors and is applied to anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .. import arrays, datasets
from ..datasets import ravdess
from ..errors import InputError
from ..features import mfcc, statistics, voice
from ..files import checkpoint as checkpoint_of
from ..models import checkpoints
from ..models.affect.face_api import CLASSES as OF_FACE
from ..models.affect.face_api import SIZE as SIDE  # px: a smaller face has less weight
from ..parameters import Params
from ..speakers import speech
from ..speakers.video import THRESHOLD
from ..store import Store, request
from . import checkpoint

# s: RAVDESS's recordings, which the network learnt from, are 2.9 to 5.3 s long
MAX_UTTERANCE_SECONDS = 6.0
ASKED = ("voice_run", "leave voice_run empty")  # what needs the package, what to do without
NOT_VALIDATED = (
    "voice, joint: acted speech was learnt from; not validated on anybody who does not act"
)
# A class of the voice -> the class of the face that means the same; faces have no "calm".
FACE_CLASSES = dict(zip(ravdess.CLASSES, ravdess.CLASSES, strict=True))
FACE_CLASSES |= {"calm": "neutral", "disgust": "disgusted"}


@dataclass(frozen=True)
class Heard:
    """The stretches of speech of a recording.

    table : one row per stretch: start, end (s), person ("" if no visible person speaks),
        person_speaking (mean probability that this person does), voice (class), voice_<class>
        (probabilities). notes : sentences that must accompany it.
    """

    table: pd.DataFrame
    notes: tuple[str, ...]


def check(params: Mapping) -> None:
    """Raise InputError, before anything is computed, if `voice_run` is set to something other than
    a network for voices, or if the package that detects speech is not installed.
    """
    if params.get("voice_run", ""):
        _reader(params)
        speech.require(*ASKED)


def look(row: Mapping, store: Store, params: Params, people: Sequence[pd.DataFrame]) -> Heard:
    """Predictions of the network of `voice_run` for each stretch of speech in a video.

    Arguments
    ---------
    row : of the video's trial table. people : a table per person, with `time`, `person` and, where
        it is known who speaks, `speaking` (`lib.evaluation.people`).

    Raises InputError if the run was not trained on utterances, and without silero-vad.
    """
    predictor = _load(params, store)
    asked = request("audio_16k", rate=mfcc.RATE)
    arrays.make_all(row, [asked], store)
    sound = np.asarray(arrays.read(row, asked, store))
    begins = arrays.facts(row, asked, store)["t0"]
    spoken = speech.stretches(sound, *ASKED, MAX_UTTERANCE_SECONDS)
    probabilities = [_probabilities(predictor, sound[first:end]) for first, end in spoken]
    ends = begins + spoken / mfcc.RATE
    table = pd.DataFrame({"start": ends[:, 0], "end": ends[:, 1]})
    speakers = [_whose(start, end, people) for start, end in ends]
    table["person"] = [person for person, _ in speakers]
    table["person_speaking"] = [share for _, share in speakers]
    names = np.array(_classes(predictor))
    values = np.array(probabilities).reshape(-1, len(names))
    table["voice"] = names[values.argmax(axis=1)] if len(values) else []
    table[[f"voice_{name}" for name in names]] = values
    return Heard(table, (NOT_VALIDATED, checkpoint.worth(_file(params))))


def _file(params: Mapping) -> Path:
    return checkpoint_of(params["voice_run"], params["runs_root"])


def _reader(params: Mapping) -> Path:
    """The checkpoint of `voice_run`."""
    path = _file(params)
    saved = {} if checkpoint.is_published(path) else checkpoints.load(path)["params"]
    options = saved.get("options", {})
    task, read = options.get("task", ""), options.get("features", ["voice"])
    if (saved.get("recipe"), task, read) != ("utterance", "expression", ["voice"]):
        raise InputError(
            f"voice_run: {_told(saved)}",
            where=path,
            expected="a run of the recipe utterance that learnt classes from the voice alone",
            todo="python -m lib run params/ravdess.yaml, then voice_run: ravdess",
        )
    return path


def _load(params: Params, store: Store):
    return checkpoint.load(_reader(params), Params({**params, "speaker_run": "none"}), store)


def _told(saved: Mapping) -> str:
    if not saved:
        return "weights as their authors published them"
    options = saved.get("options", {})
    task, read = options.get("task", ""), ", ".join(options.get("features", []))
    of = f" from {read}" if read else ""
    return f"a run of the recipe {saved['recipe']}" + (f" for {task}" if task else "") + of


def _classes(predictor) -> list[str]:
    """Names of the network's classes; numbers where its data set has no names."""
    count = predictor.recipe.params.options["classes"]
    names = datasets.class_names(predictor.recipe.params["dataset"])[:count]
    return list(names or map(str, range(count)))


def _probabilities(predictor, sound: np.ndarray) -> np.ndarray:
    """(n,) int16 samples of one stretch -> (classes,) probabilities."""
    import torch

    recipe = predictor.recipe
    rows = statistics.normalised(voice.prepared(voice.measure(sound)), recipe.statistics["voice"])
    target = np.zeros(recipe.params.options["classes"], np.float32)
    seen = np.ones((len(rows), 1), bool)
    batch = recipe.collate([{"features": rows, "seen": seen, "target": target}])
    batch = {name: values.to(predictor.device) for name, values in batch.items()}
    with torch.inference_mode():
        logits = predictor.model(batch)["expression"][0].float().cpu()
    return logits.softmax(dim=0).numpy()


def _whose(start: float, end: float, people: Sequence[pd.DataFrame]) -> tuple[str, float]:
    """The person who speaks most in a stretch, and the mean probability; "" and NaN if that is less
    than `THRESHOLD` or unknown.
    """
    best = ("", np.nan)
    for table in people:
        if "speaking" not in table:
            continue
        inside = table[table["time"].between(start, end)]["speaking"]
        mean = inside.mean() if inside.notna().any() else 0.0
        if mean >= THRESHOLD and not mean <= best[1]:
            best = (str(table["person"].iloc[0]), float(mean))
    return best


# ---- face and voice together
def beside_faces(table: pd.DataFrame, heard: pd.DataFrame) -> pd.DataFrame:
    """The frames of one person with the voice's expression, and face and voice combined.

    Added are ``voice_<class>`` (probability, empty where this person does not speak),
    ``joint_<class>`` in the classes of the face, and ``joint_from``: "face", "voice", "face and
    voice" or "" for neither. Joint probabilities are the mean of both, weighted by reliability: a
    face by its side up to `SIDE` px, a voice by the probability that it is this person's. Classes
    of the voice that a face does not have ("calm") count as the nearest one.
    """
    names = [name for name in heard if name.startswith("voice_")]
    stretches = heard[heard["person"] == table["person"].iloc[0]] if len(table) else heard[:0]
    said = np.full((len(table), len(names)), np.nan)
    share = np.zeros(len(table))
    for stretch in stretches.to_dict("records"):
        inside = table["time"].between(stretch["start"], stretch["end"]).to_numpy()
        said[inside] = [stretch[name] for name in names]
        share[inside] = stretch["person_speaking"]
    table = table.assign(**dict(zip(names, said.T, strict=True)))
    classes = [name.removeprefix("voice_") for name in names]
    if not set(classes) <= set(FACE_CLASSES):
        return table  # classes without names cannot be matched to those of a face
    return table.assign(**_joint(table, _in_classes_of_faces(said, classes), share))


def _in_classes_of_faces(said: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """(T, 8) probabilities of voices -> (T, 7) in the order of the face's classes."""
    out = np.zeros((len(said), len(OF_FACE)))
    for column, name in zip(said.T, classes, strict=True):
        out[:, OF_FACE.index(FACE_CLASSES[name])] += column
    return out


def _joint(table: pd.DataFrame, voices: np.ndarray, share: np.ndarray) -> dict[str, np.ndarray]:
    faces = table[[f"expression_{name}" for name in OF_FACE]].to_numpy(float)
    side = np.minimum(table["width"], table["height"]).to_numpy(float)
    weights = np.column_stack([np.minimum(side / SIDE, 1.0), share])
    weights[np.isnan(faces).any(axis=1), 0] = 0.0
    weights[np.isnan(voices).any(axis=1), 1] = 0.0
    total = weights.sum(axis=1)
    parts = np.nan_to_num(faces) * weights[:, :1] + np.nan_to_num(voices) * weights[:, 1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        joint = np.where(total[:, None] > 0, parts / total[:, None], np.nan)
    words = np.array(["", "face", "voice", "face and voice"], object)
    source = words[(weights[:, 0] > 0) + 2 * (weights[:, 1] > 0)]
    columns = {f"joint_{name}": joint[:, column] for column, name in enumerate(OF_FACE)}
    return {**columns, "joint_from": source}
