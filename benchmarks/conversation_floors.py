"""What tells who speaks in the sample conversations without training: `python
benchmarks/conversation_floors.py`.

Sound, movement of the mouth, their product, and the fit of both by the true opening, each as
AVA-style AP over the faces of the validation conversations (specification of the sample
conversations §5). Half a minute on one core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import publish

from lib.datasets.samples import conversations
from lib.datasets.samples import talk as samples_talk
from lib.datasets.samples.turns import FPS
from lib.speakers import metrics

WINDOW = 31  # frames
SYLLABLE = (
    9  # frames; slower changes, such as a turn's beginning, are taken off before the comparison
)
LAGS = (-1, 0, 1, 2)  # frames by which the mouth may follow the sound
FLOOR = 1e-5  # mean square below which sound counts as silence


def mean(x: np.ndarray, frames: int = WINDOW) -> np.ndarray:
    """(T,) centred mean of (T,) over `frames`; at the edges, of what is there."""
    kernel = np.ones(frames)
    return np.convolve(x, kernel, "same") / np.convolve(np.ones(len(x)), kernel, "same")


def loudness(sound: np.ndarray, n_frames: int) -> np.ndarray:
    """(T,) log energy of each frame, scaled to 0…1."""
    edges = np.arange(n_frames) * samples_talk.RATE // FPS
    level = np.log(
        np.add.reduceat(sound.astype(np.float64) ** 2, edges) * FPS / samples_talk.RATE + FLOOR
    )
    return (level - level.min()) / max(np.ptp(level), 1e-9)


def synchrony(opening: np.ndarray, level: np.ndarray) -> np.ndarray:
    """(T,) local correlation of a mouth's opening and the sound, syllable by syllable, the best of
    `LAGS`.
    """
    found, o = [], opening - mean(opening, SYLLABLE)
    for lag in LAGS:
        heard = np.roll(level, lag)
        h = heard - mean(heard, SYLLABLE)
        found.append(mean(o * h) / np.sqrt(mean(o * o) * mean(h * h) + 1e-9))
    return np.clip(np.max(found, axis=0), 0, 1)


def evidence(seed: int, split: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Scores of every way, and labels, of all frames in which a face of the split can be seen."""
    scores, labels = {}, []
    for one in conversations.conversations(seed, 50, 15.0):
        if one.split != split:
            continue
        plan, talk = conversations.script(seed, one)
        level = loudness(talk.sound, plan.n_frames)
        sound = mean(level)
        for face, opening in enumerate(talk.opening):
            moved = mean(np.abs(np.diff(opening, prepend=opening[0])))
            ways = {
                "sound": sound,
                "movement": moved,
                "sound × movement": sound * moved,
                "synchrony": synchrony(opening, level) * np.sqrt(sound),
            }
            seen = plan.visible()[face]
            for name, values in ways.items():
                scores.setdefault(name, []).append(values[seen])
            labels.append(plan.speaking()[face][seen])
    return {name: np.concatenate(values) for name, values in scores.items()}, np.concatenate(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    rows = []
    for seed in parser.parse_args().seeds:
        scores, labels = evidence(seed, "val")
        rows.append(
            [
                seed,
                len(labels),
                f"{labels.mean():.2f}",
                *(f"{metrics.ava_ap(values, labels):.3f}" for values in scores.values()),
            ]
        )
    publish(
        "conversation_floors",
        ["seed", "faces", "speaking", *scores],
        rows,
        ["numpy"],
        [
            "AVA-style AP on the validation conversations, no training; AP by chance is the share "
            "that speaks."
        ],
    )


if __name__ == "__main__":
    main()
