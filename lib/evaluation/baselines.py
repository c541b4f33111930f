"""Trivial predictors of valence and arousal, without which a CCC table cannot be judged.

They are the training mean, and ridge regressions on inputs that need no trained network: a face of
8×8 or 16×16 pixels, its mean colour, loudness. Inputs are standardised on the training frames. The
penalty is the one that is best on the validation frames that are reported, so these scores are
optimistic, and their names say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import cv2
import numpy as np

from .. import metrics
from ..errors import InputError
from ..metrics import EMOTIONS
from ..store import request

PENALTIES = 10.0 ** np.arange(-1, 6)  # added to the sums of squares of standardised inputs
CHOSEN = "penalty chosen on val"

# Arrays that they need with any recipe; notebooks 02 and 03 make them where possible.
REQUESTS = (request("pixels"), request("loudness"))


def pixels(faces: np.ndarray, side: int) -> np.ndarray:
    """Faces (T, S, S, 3) uint8 averaged to `side`×`side` pixels: (T, 3·side²) float32, 0…1."""
    n, size = faces.shape[:2]
    if size % side:
        small = [cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA) for face in faces]
        return np.array(small, np.float32).reshape(n, 3 * side**2) / 255
    cells = np.asarray(faces).reshape(n, side, size // side, side, size // side, 3)
    return cells.mean(axis=(2, 4), dtype=np.float32).reshape(n, 3 * side**2) / 255


def mean_colour(faces: np.ndarray) -> np.ndarray:
    """Mean red, green and blue of faces (T, S, S, 3) uint8: (T, 3) float32, 0…1."""
    return faces.mean(axis=(1, 2), dtype=np.float32) / 255


class Ridge:
    """Ridge regression on standardised inputs, for all `penalties` at once.

    Arguments
    ---------
    batches : pairs of X (n, d) and y (n, k) without NaN, most simply one per trial; read twice, one
        at a time, so that millions of frames need no more memory than their largest trial.
    penalties : (P,) at least 0.
    """

    def __init__(
        self,
        batches: Sequence[tuple[np.ndarray, np.ndarray]],
        penalties: Sequence[float] = PENALTIES,
    ):
        n = sum(len(x) for x, _ in batches)
        if not n:
            raise InputError(
                "no labelled training frame for a ridge regression",
                todo="check the labels of the training trials in notebook 04",
            )
        self.penalties = np.asarray(penalties, np.float64)
        self.mean = sum(np.sum(x, axis=0, dtype=np.float64) for x, _ in batches) / n
        self.target = sum(np.sum(y, axis=0, dtype=np.float64) for _, y in batches) / n
        pairs = [0.0, 0.0]
        for x, y in batches:
            centred = x - self.mean
            pairs = [pairs[0] + centred.T @ centred, pairs[1] + centred.T @ (y - self.target)]
        spread = np.sqrt(np.diag(pairs[0]) / n)
        self.spread = np.where(spread > 1e-9, spread, 1.0)  # an input that never changes stays at 0
        sizes, axes = np.linalg.eigh(pairs[0] / np.outer(self.spread, self.spread))
        along = axes.T @ (pairs[1] / self.spread[:, None])
        shrunk = along / np.maximum(sizes + self.penalties[:, None], 1e-9)[..., None]  # (P, d, k)
        self.weights = axes @ shrunk

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Predictions (P, n, k) of every penalty for inputs (n, d)."""
        return ((x - self.mean) / self.spread) @ self.weights + self.target


BASELINE_INPUTS = {
    "ridge 8×8 pixels": ("pixels", partial(pixels, side=8)),
    "ridge 16×16 pixels": ("pixels", partial(pixels, side=16)),
    "ridge mean colour": ("pixels", mean_colour),
    "ridge loudness": ("loudness", np.asarray),
}


def evaluate(
    train: Iterable[Mapping[str, np.ndarray]], val: Iterable[Mapping[str, np.ndarray]]
) -> dict[str, dict]:
    """CCC of all trivial predictors on the validation trials.

    Arguments
    ---------
    train, val : one mapping per trial: "va" (T, 2), NaN where unlabelled; "pixels" (T, S, S, 3)
        uint8 faces of any side from 16, "face_valid" (T,) bool (all valid if left out) and
        "loudness" (T, 1) dB, each only if there.

    Returns name -> {"valence": CCC, "arousal": CCC} and, for the ridge regressions, "penalty":
    {emotion: chosen}. Frames without a face are left out of the predictors that need one; a
    predictor without any data is left out. Without labelled validation frames the result is empty.
    """
    train, val = list(train), list(val)
    labels = [trial["va"][_labelled(trial)] for trial in val]
    if not sum(map(len, labels)) or not any(_labelled(trial).any() for trial in train):
        return {}
    label = np.concatenate(labels)
    mean = np.zeros_like(label)  # any constant has a CCC of 0
    scores = {"training mean": dict(zip(EMOTIONS, _cccs(mean, label), strict=True))}
    for name, (source, function) in BASELINE_INPUTS.items():
        known, unseen = (_all_frames(trials, source, function) for trials in (train, val))
        if known and unseen:
            scores[f"{name} ({CHOSEN})"] = _best(known, unseen)
    return scores


def _cccs(values: np.ndarray, label: np.ndarray) -> list[float]:
    """The CCC of each emotion; values, label : (N, 2)."""
    return [metrics.ccc(values[:, k], label[:, k]) for k in range(len(EMOTIONS))]


def _all_frames(trials: list, source: str, function: Callable) -> list:
    """`_frames` of the trials that have this input; [] where no frame is labelled."""
    pairs = [_frames(trial, source, function) for trial in trials if source in trial]
    return pairs if any(len(label) for _, label in pairs) else []


def _labelled(trial: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.isfinite(trial["va"]).all(axis=1)


def _frames(
    trial: Mapping[str, np.ndarray], source: str, function: Callable
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels of the frames of a trial that have both."""
    use = _labelled(trial)
    if source == "pixels" and "face_valid" in trial:
        use = use & np.asarray(trial["face_valid"], bool)
    return function(np.asarray(trial[source])[use]), np.asarray(trial["va"])[use]


def _best(train: list, val: list) -> dict:
    """Scores with, for each emotion, the penalty that does best on `val`."""
    ridge = Ridge(train)
    x, label = (np.concatenate(parts) for parts in zip(*val, strict=True))
    predictions = ridge.predict(x)
    scores = np.array([_cccs(values, label) for values in predictions])
    best = scores.argmax(axis=0)
    chosen = {emotion: float(ridge.penalties[best[k]]) for k, emotion in enumerate(EMOTIONS)}
    return {
        **{emotion: float(scores[best[k], k]) for k, emotion in enumerate(EMOTIONS)},
        "penalty": chosen,
    }
