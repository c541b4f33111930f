"""Valence and arousal derived from the seven expression logits of face-api, smoothed over time.

They are derived by a table, made by hand, of where each expression lies in the valence–arousal
plane, after the usual drawings of the circumplex. Nothing was fitted, no accuracy is known, and
they are not predictions of a network that was trained on valence. They cannot leave −.65 … .70
(valence) and −.30 … .75 (arousal): no CCC of them should stand beside that of a trained network.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import InputError
from ..models.affect.face_api import CLASSES

# Valence and arousal of each expression: by hand (face-api specification §1.7).
PLANE = {
    "neutral": (0.0, 0.0),
    "happy": (0.70, 0.20),
    "sad": (-0.65, -0.30),
    "angry": (-0.45, 0.60),
    "fearful": (-0.20, 0.75),
    "disgusted": (-0.65, 0.40),
    "surprised": (0.20, 0.75),
}
# Chosen by hand, by looking at eight recordings without labels, and fitted to nothing: at 1 most
# frames have one expression above .99; at 3 what "neutral" loses goes to expressions of high
# arousal, so that people who speak calmly get an arousal of up to .2.
TEMPERATURE = 2.0
REACH = 0.5  # s to each side of the running mean (§1.6)
SLACK = 1e-6  # s: tolerance, so that a frame exactly REACH away belongs to the window
COLUMNS = ("valence_derived", "arousal_derived")


def derived(
    logits: np.ndarray, times: np.ndarray, temperature: float = TEMPERATURE, reach: float = REACH
) -> Mapping[str, np.ndarray]:
    """Probabilities of the expressions, and valence and arousal derived from them by hand.

    Arguments
    ---------
    logits : (T, 7) of the network ``face_api``, in the order of its `CLASSES`; NaN in frames
        without a face.
    times : (T,) s, of the frames. temperature, reach : see `probabilities` and `running_mean`.

    Returns ``expression`` (T, 7) smoothed probabilities, ``valence_derived`` and
    ``arousal_derived`` (T,), float64; NaN where there is no face. Not predictions of a network that
    was trained on valence.
    """
    times = np.maximum.accumulate(times)  # a stamp that goes back counts as one that stands still
    expression = running_mean(probabilities(logits, temperature), times, reach)
    plane = np.array([PLANE[name] for name in CLASSES])
    valence, arousal = (expression @ plane).T
    return {"expression": expression, COLUMNS[0]: valence, COLUMNS[1]: arousal}


def probabilities(logits: np.ndarray, temperature: float = TEMPERATURE) -> np.ndarray:
    """Softmax of logits / temperature over the last axis, (T, 7) float64; NaN rows stay NaN.

    A temperature above 1 softens; the network's own answers are mostly near 0 or 1.
    """
    logits = np.asarray(logits, np.float64)
    if logits.ndim != 2 or logits.shape[1] != len(CLASSES) or np.isinf(logits).any():
        expected = f"(T, {len(CLASSES)}) finite numbers, or NaN: {', '.join(CLASSES)}"
        what = f"logits of shape {logits.shape}"
        raise InputError(what, where="expression.probabilities", expected=expected)
    if not temperature > 0:
        where = "expression.probabilities"
        raise InputError(f"temperature {temperature}", where=where, expected="above 0")
    scaled = logits / temperature
    raised = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def running_mean(values: np.ndarray, times: np.ndarray, reach: float = REACH) -> np.ndarray:
    """Mean of each frame and those that are at most `reach` s before or after it.

    Arguments
    ---------
    values : (T, k); a row with a NaN is a missing frame.
    times : (T,) s, never falling; steps may be uneven. reach : s, from 0 (no smoothing) on.

    Missing frames stay missing, and count in no mean. Returns (T, k) float64.
    """
    values, times = np.asarray(values, np.float64), np.asarray(times, np.float64)
    _require_axis(values, times, reach)
    present = ~np.isnan(values).any(axis=1)
    low = np.searchsorted(times, times - reach - SLACK, side="left")
    high = np.searchsorted(times, times + reach + SLACK, side="right")
    sums = np.zeros((len(values) + 1, values.shape[1] + 1))
    np.cumsum(np.where(present[:, None], values, 0), axis=0, out=sums[1:, :-1])
    np.cumsum(present, out=sums[1:, -1])
    window = sums[high] - sums[low]
    means = window[:, :-1] / np.maximum(window[:, -1:], 1)
    return np.where(present[:, None], means, np.nan)


def _require_axis(values: np.ndarray, times: np.ndarray, reach: float) -> None:
    where = "expression.running_mean"
    if values.ndim != 2 or times.shape != values.shape[:1]:
        what = f"values of shape {values.shape}, times of {times.shape}"
        raise InputError(what, where=where, expected="(T, k) and (T,), one row for each frame")
    if not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise InputError("times that fall, or are none", where=where, expected="seconds that rise")
    if not 0 <= reach < np.inf:
        raise InputError(f"a reach of {reach} s", where=where, expected="0 or more seconds")


def columns(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What `derived` gives, as columns of a table: ``expression`` (the most probable one by name,
    "" without a face), ``expression_<name>`` (probability, 0 to 1) and `COLUMNS`.
    """
    rows = values["expression"]
    seen = ~np.isnan(rows).any(axis=1)
    names = np.full(len(rows), "", object)
    names[seen] = np.array(CLASSES, object)[rows[seen].argmax(axis=1)]
    by_class = {f"expression_{name}": rows[:, k] for k, name in enumerate(CLASSES)}
    return {"expression": names, **by_class, **{name: values[name] for name in COLUMNS}}
