"""What is lost with a stream of one's voice: the gated fusion on RAVDESS with each stream switched
off at prediction, beside the same network trained without it.

    python benchmarks/ravdess_fusion.py data/ravdess [--work runs/ravdess_folds] [--seeds 0 1 2]
        [--folds 0 1 2 3 4] [--without none spectrum melody loudness] [--only-table]

The setting is params/ravdess_fusion.yaml; folds, rules and places are those of ravdess.py, whose
`utterance` rows below the same --work are what it is compared with. Nothing is chosen here. Each
fold of each seed is a training of its own; what is finished is not done again, and several of these
commands, each with other `--without`, may share the work.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import ravdess as base
import ravdess_table as tables
import report

from lib import intervals, metrics
from lib.features import voice_streams

STREAMS = tuple(voice_streams.COLUMNS)
KIND = "gated_utterance"
ASKED = 0.05  # what losing a stream may cost more than never having had it
Runs = dict[int, pd.DataFrame]


def kind_of(without: str) -> str:
    """Folder of the trainings without a stream, "none" for those with all."""
    return KIND if without == "none" else f"{KIND}_without_{without}"


def train(places: argparse.Namespace) -> None:
    """All trainings that are not finished yet, seed by seed and fold by fold."""
    rows: dict = {}
    for seed, fold, without in product(places.seeds, places.folds, places.without):
        streams = [name for name in STREAMS if name != without]
        changes = {"seed": seed, "fold": fold, "workers": 0, "options": {"streams": streams}}
        p = base.parameters(places, "ravdess_fusion", **changes)
        folder = places.work / kind_of(without) / f"seed{seed}_fold{fold}"
        off = ("", *STREAMS) if without == "none" else ("",)
        base.train_fold(p, folder, "", rows, off)
        print(f"{folder.parent.name}, seed {seed}, fold {fold}: done", flush=True)


def scores(runs: Runs, use: np.ndarray | slice = slice(None)) -> np.ndarray:
    """UAR of each seed over some recordings."""
    labels = next(iter(runs.values()))["label"].to_numpy()[use]
    return np.array([metrics.uar(tables.chosen(rows)[use], labels) for rows in runs.values()])


def difference(first: Runs, second: Runs) -> tuple[float, list[float]]:
    """Mean over the seeds that both have of first minus second, and its interval over actors."""
    seeds = sorted(first.keys() & second.keys())
    first, second = ({seed: runs[seed] for seed in seeds} for runs in (first, second))
    actors = tables.actors_of(next(iter(first.values())))
    uses = [actors != actor for actor in np.unique(actors)]
    left_out = [(scores(first, use) - scores(second, use)).mean() for use in uses]
    mean = (scores(first) - scores(second)).mean()
    return mean, intervals.around(mean, left_out)["ci95"]


def mean_of(runs: Runs) -> str:
    """Mean and deviation over seeds."""
    each = scores(runs)
    spread = f" ± {each.std(ddof=1):.3f}" if len(each) > 1 else ""
    return f"{each.mean():.3f}{spread}"


def lost(whole: Runs, off: dict[str, Runs], without: dict[str, Runs]) -> Iterator[list[str]]:
    """A row per stream of which both are finished."""
    for name in STREAMS:
        if not off[name].keys() & without[name].keys():
            continue
        cost, ends = difference(without[name], off[name])
        drop, _ = difference(whole, off[name])
        cells = [mean_of(off[name]), f"{drop:+.3f}", mean_of(without[name]), f"**{cost:+.3f}**"]
        yield [name, *cells, tables.between(ends), "within" if cost <= ASKED else "above"]


def publish(places: argparse.Namespace) -> None:
    """Print the tables, and keep them with today's date under benchmarks/results."""
    finished = partial(tables.runs, places.work, folds=places.folds)
    whole = finished(KIND)
    if not whole:
        raise SystemExit("no seed has all of these folds yet")
    off = {name: finished(KIND, base.probabilities_of(name)) for name in STREAMS}
    without = {name: finished(kind_of(name)) for name in STREAMS}
    lines = ["# ravdess_fusion", "", tables.FIRST, "", report.machine(tables.PACKAGES), ""]
    lines += _whole(whole, finished("utterance"))
    columns = ["stream", "off at prediction", "less than with all", "trained without it"]
    columns += ["cost", "95 % over actors", f"beside {ASKED:.2f}"]
    lines += tables.markdown(columns, list(lost(whole, off, without)))
    text = "\n".join([*lines, *_notes(places.folds, whole, without)]) + "\n"
    print(text)
    (report.RESULTS / f"{time.strftime('%Y-%m-%d')}_ravdess_fusion.md").write_text(text)


def _whole(whole: Runs, other: Runs) -> list[str]:
    """Lines of the network with all streams, beside the utterance network with the same seeds."""
    rows = tables.of_seeds("gated fusion of three streams", whole)
    same = {seed: other[seed] for seed in sorted(whole.keys() & other.keys())}
    rows += tables.of_seeds("utterance network, the same seeds", same) if same else []
    lines = tables.markdown(["method", "UAR", "95 % over actors", "accuracy"], rows)
    names = "The gated fusion against the utterance network"
    return lines + (tables.paired(whole, same, names) if same else [])


def _notes(folds: list[int], whole: Runs, without: dict[str, Runs]) -> list[str]:
    counts = [f"without {name} {len(runs)}" for name, runs in without.items()]
    number = len(next(iter(whole.values())))
    which = ", ".join(str(fold + 1) for fold in folds)
    return [
        f"Folds {which}: {number} recordings of the 1440, each predicted by the fold that did not "
        f"learn from its actor. Finished seeds: with all streams {len(whole)}, "
        f"{', '.join(counts)}; a difference is of the seeds that both have. UAR over all "
        "recordings together; ± is the deviation over seeds (n − 1).",
        "Cost: UAR of the network trained without the stream minus that of the network that lost "
        "it at prediction, mean over seeds; interval: each actor is left out in turn "
        "(docs/intervals.md). Off: no row of the stream was observed, and what it is trusted by "
        "is not known. Nothing was chosen on these folds.",
    ]


def main() -> None:
    parser = base.parser_of(__doc__, [0, 1, 2])
    parser.add_argument("--folds", type=int, nargs="+", default=list(tables.FOLDS))
    parser.add_argument("--without", nargs="+", default=["none", *STREAMS])
    places = base.begun(parser)
    if not places.only_table:
        base.prepare(base.parameters(places, "ravdess_fusion"))
        train(places)
    publish(places)


if __name__ == "__main__":
    main()
