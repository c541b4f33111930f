"""How many labels the intervals of `gated_fusion` hold: coverage per frame on recordings that
nothing was learnt, chosen or calibrated on, with both streams and with one switched off.

    python benchmarks/uncertainty.py [--seeds 0 1 2] [--trials 24] [--seconds 12] [--epochs 1.0]
    [--others 1] [--work runs/missing_modality] [--data …] [--processed …] [--backbone …]

The network is that of params/sample_gated_fusion.yaml, trained once per seed on the sample set, as
in missing_modality.py, whose trainings below the same --work are taken. Its factors on the
predicted deviations were fitted on the val trials, which also chose the epoch. The held-out
recordings are the labelled trials of another sample set: the one that is made from the seed
`--others`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import missing_modality as base
import numpy as np
import report

from lib import datasets, intervals, trials
from lib.evaluation import checkpoint
from lib.metrics import EMOTIONS
from lib.parameters import Params
from lib.recipes.gated_fusion import FACTOR, SD
from lib.training.uncertainty import BAND, half_width

METHOD = "gated_fusion"
SHARES = (0.5, 0.8, BAND, 0.95)  # nominal
OFF = {"": "nothing", "audio": "sound", "video": "pictures"}
PARTS = 4  # of the frames, by their predicted deviation
COLUMNS = [
    "emotion",
    "recordings",
    "off at prediction",
    *(f"inside {share:.0%}" for share in SHARES),
    f"inside {BAND:.0%}: interval",
    f"{BAND:.0%} without the factor",
    "factor",
    "RMSE",
    "predicted SD",
    "RMSE, surest quarter",
    "RMSE, least sure quarter",
]


@dataclass(frozen=True)
class Frames:
    """Labelled frames of all trials with one seed: errors and deviations (N, 2) by `EMOTIONS`, the
    unit (N,) of each frame for intervals, and the factors (2,) that are in the deviations.
    """

    errors: np.ndarray
    spread: np.ndarray
    unit: np.ndarray
    factor: np.ndarray


def parameters(places: argparse.Namespace, seed: int, held_out: bool) -> Params:
    """Of one seed's training, on its own sample set or on the other one."""
    p = base.parameters(places, METHOD, seed, "audiovisual")
    return Params({**p, "sample_seed": places.others}) if held_out else p


def frames_of(places: argparse.Namespace, seed: int, held_out: bool, off: str) -> Frames:
    """Predict the val trials, or all labelled trials of the other sample set."""
    p = parameters(places, seed, held_out)
    base.prepare(p)
    file = base.best(places, METHOD, seed, "audiovisual")
    predictor = checkpoint.load(file, p, datasets.store(p))
    base.switch_off(predictor.recipe, off)
    table = trials.read(datasets.store(p).trials_path)
    # The test trials of a sample set have no labels.
    table = table[table["split"].isin(["train", "val"] if held_out else ["val"])]
    units = intervals.units(table["trial"], dict(zip(table["trial"], table["video"], strict=True)))
    errors, spread, unit = [], [], []
    for trial, number in zip(table["trial"], units, strict=True):
        found, labels = predictor.predict(trial), predictor.recipe.labels(trial, "va")
        known = np.isfinite(labels).all(axis=1) & np.isfinite(found[SD]).all(axis=1)
        errors.append(labels[known] - found["va"][known])
        spread.append(found[SD][known])
        unit.append(np.full(known.sum(), number))
    factor = [predictor.recipe.statistics[FACTOR][emotion] for emotion in EMOTIONS]
    columns = (np.concatenate(each) for each in (errors, spread, unit))
    return Frames(*columns, np.array(factor))


def covered(frames: Frames, emotion: int, share: float, factor: float = 1.0) -> np.ndarray:
    """(units, 2): frames inside the interval, and all frames, of each unit."""
    ratio = np.abs(frames.errors[:, emotion]) / frames.spread[:, emotion] * factor
    inside = ratio <= half_width(share)
    return intervals.by_unit(np.stack([inside, np.ones(len(inside))], axis=1), frames.unit)


def share_of(counts: np.ndarray) -> np.ndarray:
    """Inside / all, of counts (…, 2)."""
    return counts[..., 0] / counts[..., 1]


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def quarters(frames: Frames, emotion: int) -> tuple[float, float]:
    """RMSE of the quarter of frames with the smallest predicted deviation, and the largest."""
    order = np.array_split(np.argsort(frames.spread[:, emotion], kind="stable"), PARTS)
    return tuple(rms(frames.errors[part, emotion]) for part in (order[0], order[-1]))


def told(values: list[float], digits: int = 3) -> str:
    """Mean and standard deviation over seeds."""
    return f"{np.mean(values):.{digits}f} ({np.std(values):.{digits}f})"


def row(emotion: int, seeds: list[Frames], recordings: str, off: str) -> list[str]:
    """One row of the table: an emotion, over seeds."""
    cells = [EMOTIONS[emotion], recordings, OFF[off]]
    for share in SHARES:
        cells.append(told([share_of(covered(one, emotion, share).sum(0)) for one in seeds]))
    counts = [covered(one, emotion, BAND) for one in seeds]
    left_out = np.array([share_of(intervals.without_each(each)) for each in counts])
    shares = [share_of(each.sum(0)) for each in counts]
    ends = intervals.over_seeds(shares, left_out, "share")["ci95"]
    cells.append("–".join(f"{end:.2f}" for end in ends) if ends else "none: too few")
    without = [covered(one, emotion, BAND, one.factor[emotion]).sum(0) for one in seeds]
    cells.append(told([share_of(each) for each in without]))
    cells.append(told([one.factor[emotion] for one in seeds], 2))
    cells.append(told([rms(one.errors[:, emotion]) for one in seeds]))
    cells.append(told([rms(one.spread[:, emotion]) for one in seeds]))
    least_and_most = zip(*(quarters(one, emotion) for one in seeds), strict=True)
    return cells + [told(list(values)) for values in least_and_most]


def rows(found: Mapping[tuple[bool, str], list[Frames]]) -> list[list[str]]:
    """All rows: the val trials first, then the held-out ones."""
    names = {False: "val: calibrated on them", True: "held out"}
    return [
        row(emotion, seeds, names[held_out], off)
        for emotion in range(len(EMOTIONS))
        for (held_out, off), seeds in found.items()
    ]


def main() -> None:
    parser = base.parser_of(__doc__)
    parser.add_argument("--others", type=int, default=1, help="seed of the held-out sample set")
    places = base.begun(parser)
    base.train_backbone(places, METHOD)
    for seed in places.seeds:
        base.trained(places, METHOD, seed, "audiovisual")
    asked = [(False, ""), *((True, off) for off in OFF)]
    found = {key: [frames_of(places, seed, *key) for seed in places.seeds] for key in asked}
    held_out = found[True, ""][0]
    longer = "" if places.epochs == 1 else f"_{places.epochs:g}_times_the_epochs"
    report.publish(
        f"uncertainty{longer}",
        COLUMNS,
        rows(found),
        ["torch", "torchaudio", "numpy"],
        [
            base.size_told(places),
            base.features_told(places, METHOD),
            f"Held out: {len(held_out.errors)} labelled frames of the {held_out.unit.max() + 1} "
            f"recordings with labels of the sample set with seed {places.others}; nothing was "
            "learnt, chosen or calibrated on them. The factor of each emotion was fitted on the "
            "val trials with nothing off, at the epoch that they chose.",
            "Inside: the share of labelled frames whose label lies in the central interval of that "
            "nominal share, around the network's own output (not smoothed); the other columns say "
            "how wide these intervals are and whether frames with a small predicted deviation have "
            "small errors. Mean and standard deviation over seeds; the 95 % interval covers the "
            "choice of recordings and seeds (docs/intervals.md).",
        ],
    )


if __name__ == "__main__":
    main()
