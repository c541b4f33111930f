"""TSAV on the sample set with several seeds, and the control: labels rolled between training
trials.

    python benchmarks/sample_seeds.py [--seeds 0 1 2] [--data data] [--processed data/processed]
    [--work runs/benchmark]

Each seed is a whole training with params/sample_tsav.yaml. The control gives each training trial
the labels of the next one, cut or tiled to its length: what is learnt from it must not help on
validation trials. The interval of a row covers the choice of validation trials; the spread between
rows is that of seeds.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import report

from lib import arrays, datasets, parallel, recipes, trials
from lib import parameters as params
from lib.evaluation import checkpoint
from lib.parameters import Params
from lib.training import trainer as training_trainer


def parameters(places: argparse.Namespace, **changes) -> Params:
    """params/sample_tsav.yaml, complete, with the places of this benchmark."""
    values = params.load([ROOT / "params" / "sample_tsav.yaml"]) | {"run": "benchmark"} | changes
    full = params.complete(values)
    return Params(
        full
        | {"data_root": places.data, "processed_root": places.processed, "runs_root": places.work}
    )


def rolled(method):
    """The recipe with the labels of each training trial taken from the next one."""
    train = [name for name, row in method._trials.items() if row["split"] == "train"]
    following = dict(zip(train, train[1:] + train[:1], strict=True))
    own = method.labels

    def labels(trial, task):
        if trial not in following:
            return own(trial, task)
        others = own(following[trial], task)
        rows = np.resize(
            np.asarray(others), (method.n_frames(trial), *others.shape[1:])
        )  # cut, or tiled
        return rows.astype(others.dtype)

    method.labels = labels
    return method


def train_once(places: argparse.Namespace, seed: int, control: bool) -> dict:
    """Train, predict every validation frame with the best epoch, return the scores and the seconds
    of training.
    """
    p = parameters(places, seed=seed)
    store = datasets.store(p)
    table = trials.read(store.trials_path)
    method = recipes.create(p.recipe, p, store)
    if control:
        method = rolled(method)
    folder = places.work / f"seed{seed}{'_control' if control else ''}"
    trainer = training_trainer.Trainer(method, table, folder)
    started = time.perf_counter()
    trainer.fit()
    seconds = time.perf_counter() - started
    predictor = checkpoint.load(folder / "checkpoints" / "best.pt", p, store)
    val = table["trial"][table["split"] == "val"]
    predictions = {trial: predictor.predict(trial)["va"] for trial in val}
    labels = {trial: np.asarray(predictor.recipe.labels(trial, "va")) for trial in val}
    return {
        **predictor.recipe.metrics({"va": labels}, {"va": predictions}),
        "seconds": seconds,
        "epoch": predictor.epoch,
    }


def prepare(places: argparse.Namespace) -> None:
    """Make the sample set and the arrays that the recipe needs."""
    p = parameters(places)
    datasets.prepare(p)
    store = datasets.store(p)
    table, _ = datasets.find(p)
    trials.write(table, store.trials_path)
    wanted = recipes.create(p.recipe, p, store).arrays()
    for outcome in parallel.map(
        partial(arrays.make_all, requests=wanted, store=store), table.to_dict("records"), 2
    ):
        if outcome.error:
            raise outcome.error


def row(name: str, scores: dict) -> list[str]:
    """One line of the table."""
    cells = [name]
    for emotion in ("valence", "arousal"):
        low, high = scores[emotion]["ci95"]
        cells.append(f"{scores[emotion]['ccc']:+.3f} [{low:+.2f}, {high:+.2f}]")
    return [*cells, f"{scores['epoch']}", f"{scores['seconds']:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--processed", type=Path, default=ROOT / "data" / "processed")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "benchmark")
    places = parser.parse_args()
    prepare(places)
    found = [train_once(places, seed, control=False) for seed in places.seeds]
    rows = [row(f"seed {seed}", scores) for seed, scores in zip(places.seeds, found, strict=True)]
    ccc = np.array(
        [[scores[emotion]["ccc"] for emotion in ("valence", "arousal")] for scores in found]
    )
    spread = [f"{mean:+.3f} ({sd:.3f})" for mean, sd in zip(ccc.mean(0), ccc.std(0), strict=True)]
    rows.append(["mean (standard deviation over seeds)", *spread, "", ""])
    control = train_once(places, places.seeds[0], control=True)
    rows.append(row(f"control: rolled labels, seed {places.seeds[0]}", control))
    report.publish(
        "sample_seeds",
        ["run", "valence CCC [95 %]", "arousal CCC [95 %]", "epoch", "training s"],
        rows,
        ["torch", "torchaudio", "numpy"],
        [
            "CCC on all labelled frames of the 8 validation trials, unsmoothed, of the best epoch "
            "(chosen on "
            "every 12th frame of the same trials); intervals over trials (lib.intervals)."
        ],
    )


if __name__ == "__main__":
    main()
