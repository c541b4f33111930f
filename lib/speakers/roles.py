"""Whose voice is it? The role of the sound for a face, and how the error of valence and arousal
depends on it.

A face's emotion is labelled, but the sound belongs to whoever speaks. Definitions: speaker
specification §8.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from .. import metrics
from ..errors import InputError

ROLES = ("self", "other", "off-screen", "silent")
SPEAKING_GROUPS = ("speaking", "somebody else speaking", "not speaking")
SPEAKS = 0.5  # probability from which a person counts as speaking
MEDIAN = 5  # frames of the running median of probabilities (speaker specification §8.2)


def roles(speaking: np.ndarray, voice: np.ndarray) -> np.ndarray:
    """Probability of each role of the sound for each face.

    Arguments
    ---------
    speaking : (K, T) probability that face k is the one who is heard; NaN where it is not seen.
    voice : (T,) probability that anybody is heard.

    Returns (K, T, 4) in the order of `ROLES`, each row with the sum 1. Where the face is not seen,
    nothing tells its voice from one outside the picture: both get half of what the others leave.
    """
    speaking, voice = np.asarray(speaking, np.float64), np.asarray(voice, np.float64)
    if speaking.ndim != 2 or voice.shape != speaking.shape[1:]:
        raise InputError(
            f"speaking of shape {speaking.shape}, voice of {voice.shape}",
            where="roles.roles",
            expected="(K, T) and (T,)",
        )
    seen, known = np.isfinite(speaking), np.nan_to_num(speaking)
    out = np.zeros((*speaking.shape, len(ROLES)))
    for face in range(len(speaking)):
        others = np.delete(known, face, axis=0)
        highest = others.max(axis=0) if len(others) else np.zeros_like(voice)
        nobody = np.prod(1 - known, axis=0)
        own = np.where(seen[face], known[face], nobody / 2)
        outside = np.where(seen[face], nobody, nobody / 2)
        out[face] = np.stack([voice * own, voice * highest, voice * outside, 1 - voice], axis=-1)
    total = out.sum(axis=-1, keepdims=True)
    return np.divide(out, total, out=np.full_like(out, 1 / len(ROLES)), where=total > 0)


def smoothed(speaking: np.ndarray) -> np.ndarray:
    """(T,) running median of a face's probability over frames that show it; NaN stays NaN."""
    speaking = np.asarray(speaking, np.float64)
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(speaking, MEDIAN // 2, constant_values=np.nan), MEDIAN
    )
    out, seen = np.full(speaking.shape, np.nan), np.isfinite(speaking)
    out[seen] = np.nanmedian(around[seen], axis=1)
    return out


def group(own: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """Which of `SPEAKING_GROUPS` each frame of a trial is in, (T,) int8, −1 where the face is
    not seen.

    own : (T,) probability that this face speaks. others : the same of the other faces of the video.
    """
    own = np.asarray(own, np.float64)
    speaks = own > SPEAKS
    else_where = np.zeros(own.shape, bool)
    for other in others:
        heard = np.nan_to_num(np.asarray(other, np.float64))[: len(own)] > SPEAKS
        else_where[: len(heard)] |= heard
    return np.where(np.isnan(own), -1, np.where(speaks, 0, np.where(else_where, 1, 2))).astype(
        np.int8
    )


def shuffled(groups: Mapping[str, np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
    """The control: every trial gets the groups of another trial, rotated by a random number of
    frames.

    The shares of the groups and the lengths of their stretches stay the same, but which frames
    belong to them is meaningless.
    """
    generator, names = np.random.default_rng(seed), list(groups)
    givers = np.roll(generator.permutation(len(names)), 1)
    places = {names[a]: names[b] for a, b in zip(np.roll(givers, -1), givers, strict=True)}
    shuffled = {}
    for name in names:
        foreign = np.resize(groups[places[name]], len(groups[name]))
        shuffled[name] = np.roll(foreign, int(generator.integers(1, 1 << 16)))
    return shuffled


def va_by_group(
    labels: Mapping[str, np.ndarray],
    predictions: Mapping[str, np.ndarray],
    groups: Mapping[str, np.ndarray],
    with_intervals: bool = True,
    subjects: Mapping[str, str] | None = None,
) -> dict:
    """Scores of valence and arousal in the frames of each group, and the same for shuffled groups.

    labels, predictions : {trial: (T, 2)}, labels NaN where unknown.
    groups : {trial: (T,)}, see `group`; a trial without an entry is left out. Returns {group:
        scores as `metrics.va_scores`}, and all that again under "shuffled".
    with_intervals, subjects : see `metrics.va_scores`.
    """
    control = shuffled(groups, seed=0)
    return {
        **_scores(labels, predictions, groups, with_intervals, subjects),
        "shuffled": _scores(labels, predictions, control, with_intervals, subjects),
    }


def _scores(labels, predictions, groups, with_intervals, subjects) -> dict:
    scores = {}
    for number, name in enumerate(SPEAKING_GROUPS):
        how = {"with_intervals": with_intervals, "subjects": subjects}
        chosen = {
            trial: np.where((groups[trial] == number)[:, None], labels[trial], np.nan)
            for trial in groups
        }
        values = {trial: predictions[trial] for trial in groups}
        scores[name] = metrics.va_scores(chosen, values, **how)
    return scores


def table(by_group: Mapping) -> pd.DataFrame:
    """`va_by_group` as rows: group, shuffled, emotion, ccc, low, high, mae, frames, trials."""
    rows = []
    for control, part in ((False, by_group), (True, by_group.get("shuffled", {}))):
        for name in SPEAKING_GROUPS:
            for emotion, scores in part.get(name, {}).items():
                ends = scores.get("ci95") or (np.nan, np.nan)
                counts = [scores[key] for key in ("mae", "n_frames", "n_trials")]
                rows.append([name, control, emotion, scores["ccc"], *ends, *counts])
    columns = ["group", "shuffled", "emotion", "ccc", "low", "high", "mae", "frames", "trials"]
    return pd.DataFrame(rows, columns=columns)
