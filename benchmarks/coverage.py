"""How often do 95 % intervals hold the true value? `python benchmarks/coverage.py` (26 minutes).

In each cell 2 000 data sets of n trials (or subjects) are drawn from a known population, and each
gets an interval by two rules: `lib.intervals`, as it is, and the rule before it, 2.5 % and 97.5 %
of the scores of trials drawn with replacement. The true value is the score of 40 000 trials of the
same population. The populations marked * were looked at when the rule was chosen, with other random
numbers and 400 to 2 000 data sets; the others were not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import publish

from lib import intervals, metrics
from lib.speakers.metrics import ava_ap

SIZES = (4, 8, 16, 25, 50)
SETS, DRAWS = 2000, 1000
TRUTH = 40_000  # trials
SEED = 20261128
FRAMES, RHO = 250, 0.98  # most frames of a trial; correlation of one frame with the next


# ---- populations: (generator, sets, units) -> sums (sets, units, trials of a unit, k)
def emotion(rng, sets, n, between=0.5, quality=0.7, bias=0.25, trials=1, runs=1, luck=0.0):
    """Moments of a label and `runs` predictions of it.

    Label: mean of the subject + AR(1). Prediction: quality · label + bias of the subject + AR(1)
    noise. between, bias : standard deviations over subjects; luck : of the quality, over runs. A
    trial has 25 to 100 % of `FRAMES`.
    """
    shape = (sets, n, trials)
    seen = np.arange(FRAMES) < rng.integers(FRAMES // 4, FRAMES + 1, shape)[..., None]
    label = between * rng.standard_normal((sets, n, 1, 1)) + 0.5 * _noise(rng, shape)
    found = []
    for _ in range(runs):
        own = bias * rng.standard_normal((sets, n, 1, 1)) + 0.35 * _noise(rng, shape)
        skill = quality + luck * rng.standard_normal((sets, 1, 1, 1))
        found.append(_moments(skill * label + own, label, seen))
    return np.concatenate(found, axis=-1)


def _noise(rng, shape):
    drawn = rng.standard_normal((*shape, FRAMES), dtype=np.float32) * np.float32(
        np.sqrt(1 - RHO**2)
    )
    drawn[..., 0] /= np.sqrt(1 - RHO**2)  # the first frame has the variance of all others, 1
    return lfilter([1], [1, -RHO], drawn, axis=-1)


def _moments(x, y, seen):
    x, y = x * seen, y * seen
    parts = [seen, x, y, x * x, y * y, x * y]
    sums = [part.sum(axis=-1, dtype=np.float64) for part in parts]
    return np.stack([*sums, *[np.zeros_like(sums[0])] * 3], axis=-1)


def expressions(rng, sets, n, trials=8, frames=1, ability=1.0, skew=0.0):
    """Hits, labelled and predicted of seven classes; a subject recognised by an ability of its own.

    frames : of a trial, all of one class. skew : of the classes' shares; 0 is equal.
    """
    shares = np.exp(-skew * np.arange(7))
    label = rng.choice(7, (sets, n, trials), p=shares / shares.sum())
    logit = 0.5 + ability * rng.standard_normal((sets, n, 1)) - 0.3 * (label - 3) / 3
    right = rng.random((*label.shape, frames)) < 1 / (1 + np.exp(-logit))[..., None]
    wrong = (label[..., None] + rng.integers(1, 7, right.shape)) % 7
    said = np.where(right, label[..., None], wrong)
    one_hot = np.eye(7)
    predicted = one_hot[said].sum(axis=-2)
    labelled = one_hot[label] * frames
    return np.concatenate([one_hot[label] * predicted, labelled, predicted], axis=-1)


def speakers(rng, sets, n, frames=60, ability=0.6):
    """(…, 2·frames) scores and labels of one face of each of n recordings, in stretches of 10
    frames.
    """
    shape = (sets, n, 1, frames)
    speaks = np.repeat(rng.random((sets, n, 1, frames // 10)) < 0.35, 10, axis=-1)
    gain = 1.2 + ability * rng.standard_normal((sets, n, 1, 1))
    shift = 0.5 * rng.standard_normal((sets, n, 1, 1))
    return np.concatenate([gain * speaks + shift + rng.standard_normal(shape), speaks], axis=-1)


def ap_of_rows(rows):
    """AP of (units, 2·frames)."""
    score, label = np.split(rows, 2, axis=-1)
    return ava_ap(score.ravel(), label.ravel().astype(int))


def difference_of_runs(sums):
    first, second = np.split(sums, 2, axis=-1)
    return metrics.ccc_of_sums(first) - metrics.ccc_of_sums(second)


def mean_of_runs(sums):
    """Mean CCC of the runs, of (…, runs·9)."""
    parts = np.split(sums, sums.shape[-1] // 9, axis=-1)
    return np.mean([metrics.ccc_of_sums(part) for part in parts], axis=0)


# ---- the two rules, on the sums (units, k) of one data set
def now(sums, score_of, scale):
    return intervals.around(
        score_of(sums.sum(axis=0)), score_of(intervals.without_each(sums)), scale
    )


def seeds_now(sums, score_of, scale):
    """Of several seeds; `score_of` is the mean over them."""
    runs = np.split(sums, sums.shape[-1] // 9, axis=-1)
    scores = [metrics.ccc_of_sums(run.sum(axis=0)) for run in runs]
    left_out = [metrics.ccc_of_sums(intervals.without_each(run)) for run in runs]
    return intervals.over_seeds(scores, left_out, scale)


def before(sums, score_of, rng, draws):
    """Percentiles of the scores of trials drawn with replacement: rows are trials, whose they are
    was not asked.
    """
    n = len(sums)
    scores = score_of(rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(float) @ sums)
    return np.nanpercentile(scores, (2.5, 97.5))


def ap_now(rows, score_of, scale):
    left_out = [score_of(np.delete(rows, k, axis=0)) for k in range(len(rows))]
    return intervals.around(score_of(rows), left_out, scale)


def ap_before(rows, score_of, rng, draws):
    drawn = rng.integers(len(rows), size=(draws, len(rows)))
    return np.nanpercentile([score_of(rows[some]) for some in drawn], (2.5, 97.5))


@dataclass(frozen=True)
class Population:
    name: str
    draw: Callable
    score: Callable
    scale: str
    sizes: tuple[int, ...] = SIZES
    draws: int = DRAWS
    rules: tuple[Callable, Callable] = field(default=(now, before))


ccc, ap, seeds = metrics.ccc_of_sums, (ap_now, ap_before), (seeds_now, before)
POPULATIONS = (
    Population("CCC, usual*", emotion, ccc, "correlation"),
    Population(
        "CCC, strong trial effects*", partial(emotion, between=0.8, bias=0.6), ccc, "correlation"
    ),
    Population(
        "CCC, good predictor*", partial(emotion, quality=0.95, bias=0.1), ccc, "correlation"
    ),
    Population("CCC, poor predictor*", partial(emotion, quality=0.2, bias=0.3), ccc, "correlation"),
    Population("CCC, no skill*", partial(emotion, quality=0.0), ccc, "correlation"),
    Population("CCC, trials alike", partial(emotion, between=0.1, bias=0.05), ccc, "correlation"),
    Population(
        "CCC, subjects of 3 trials", partial(emotion, trials=3), ccc, "correlation", (4, 8, 16, 25)
    ),
    Population(
        "difference of two runs' CCC", partial(emotion, runs=2), difference_of_runs, "plain"
    ),
    Population(
        "mean CCC of 3 seeds",
        partial(emotion, runs=3, luck=0.1),
        mean_of_runs,
        "correlation",
        (8, 16, 25),
        rules=seeds,
    ),
    Population("UAR, 8 recordings a subject", expressions, metrics.recall, "share"),
    Population(
        "macro F1, rare classes",
        partial(expressions, frames=10, skew=0.4),
        metrics.f1,
        "share",
        (4, 8, 16, 25),
    ),
    Population("AP of speakers", speakers, ap_of_rows, "share", (8, 16, 25), 100, ap),
)


def cell(population: Population, n: int, sets: int, number: int) -> list:
    """A row of the table: how many of the intervals hold the true value, by both rules."""
    rng = np.random.default_rng([SEED, number, n])
    truth = true_value(population, number)
    found = {"new": [], "old": []}
    for data in _data_sets(population, n, sets, rng):
        first, second = population.rules
        found["old"].append(
            second(data.reshape(-1, data.shape[-1]), population.score, rng, population.draws)
        )
        sums = data.sum(axis=1) if population.rules is not ap else data[:, 0]
        found["new"].append(first(sums, population.score, population.scale)["ci95"])
    none = sum(ends is None for ends in found["new"])
    told = [_told(ends, truth) for ends in found.values()]
    return [population.name, f"{truth:.3f}", n, *told[1], *told[0], none]


def _data_sets(population, n, sets, rng):
    """One data set after the other, drawn some at a time to spare memory."""
    for start in range(0, sets, 100):
        yield from population.draw(rng, min(100, sets - start), n)


@cache
def true_value(population: Population, number: int) -> float:
    rng = np.random.default_rng([SEED, number, 0])
    times = 400 if population.rules is seeds else 40
    parts = [population.draw(rng, 1, TRUTH // times)[0] for _ in range(times)]
    if population.rules is seeds:  # the luck of a run is the same in all its trials
        return float(np.mean([population.score(part.sum(axis=(0, 1))) for part in parts]))
    data = np.concatenate(parts)
    if population.rules is not ap:
        return float(population.score(data.sum(axis=(0, 1))))
    return float(population.score(data[:, 0]))


def _told(ends: list, truth: float) -> list[str]:
    """Share of the intervals that hold the truth, that lie above it, below it; mean width."""
    low, high = np.array([pair for pair in ends if pair is not None]).T
    shares = [(low <= truth) & (truth <= high), truth < low, truth > high]
    return [*(f"{100 * share.mean():.1f}" for share in shares), f"{(high - low).mean():.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=SETS, help="data sets of a cell")
    parser.add_argument("--few", action="store_true", help="only n of 4 and 8")
    asked = parser.parse_args()
    intervals.MIN_UNITS = 4  # n of 4 is measured, too; lib gives no interval there
    started, rows = time.perf_counter(), []
    for number, population in enumerate(POPULATIONS):
        for n in (size for size in population.sizes if size <= 8 or not asked.few):
            rows.append(cell(population, n, asked.sets, number))
            print(*rows[-1], f"{time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    publish("coverage", COLUMNS, rows, ("numpy", "scipy"), notes(asked.sets, rows, started))


COLUMNS = (
    *("population", "true value", "n"),
    *("old: holds it, %", "above it", "below it", "width"),
    *("new: holds it, %", "above it", "below it", "width", "none"),
)


def notes(sets: int, rows: list, started: float) -> list[str]:
    enough = [row for row in rows if row[2] >= 8]
    old, new = (min(float(row[place]) for row in enough) for place in (3, 7))
    return [
        f"{sets} data sets a cell: a share of 95 % has a standard error of "
        f"{100 * np.sqrt(0.95 * 0.05 / sets):.1f} %, one of 85 % of "
        f"{100 * np.sqrt(0.85 * 0.15 / sets):.1f} %.",
        "Above it, below it: intervals that lie wholly above (below) the true value, %. None: data "
        "sets to which the rule gives no interval; they are not among the shares.",
        "n: subjects, here mostly of one trial each. lib gives no interval for n of 4.",
        f"Least coverage for n from 8: old {old:.1f} %, new {new:.1f} %.",
        f"Old rule: {DRAWS} draws, 100 for AP. Seed {SEED}. "
        f"{(time.perf_counter() - started) / 60:.0f} minutes.",
    ]


if __name__ == "__main__":
    main()
