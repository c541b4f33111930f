"""The joint cross-attention family on the sample set: each method against its unimodal forms, and
both sets of rules.

    python benchmarks/family.py [--seeds 0 1 2] [--backbone sample_tsav] [--long 24]

Needs a trained `sample_tsav` (python -m lib run params/sample_tsav.yaml; `--runs` says where it
lies); features are computed once and kept. A training whose result is known (in `--work`) is not
done again, and one that was stopped goes on, so that the same command can be typed until it is
through; with `--minutes` it stops by itself (exit status 75).

First table: JCA, RJCA and DCA with both modalities, with sound alone and with pictures alone, each
a training with its params/sample_*.yaml, mean over seeds. Second table: corrected against published
rules, on recordings of `--long` seconds on average, because the published windows need 481 frames
(0 leaves it out). Exit status 1 when a method does not beat both of its unimodal forms on the mean
CCC over the seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import publish

from lib import arrays, datasets, metrics, parallel, recipes, runs, trials
from lib import parameters as params
from lib.parameters import Params
from lib.store import fingerprint

METHODS, MODALITIES = ("jca", "rjca", "dca"), ("audiovisual", "audio", "video")
COLUMNS = ["valence", "arousal", "mean", "each seed's mean", "epochs", "s"]
NOTE = (
    "CCC of all labelled frames of the validation trials, unsmoothed, at the best epoch, which "
    "was chosen on the "
    "same trials; standard deviation over seeds in parentheses. Synthetic data: the numbers say "
    "nothing of people."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument(
        "--backbone", default="sample_tsav", help="run whose network gives the features"
    )
    parser.add_argument(
        "--long",
        type=float,
        default=24.0,
        help="mean seconds of the recordings of the second table",
    )
    parser.add_argument(
        "--epochs", type=int, default=0, help="instead of those in the parameter files"
    )
    parser.add_argument(
        "--workers", type=int, default=2, help="trainings side by side, one thread each"
    )
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--processed", type=Path, default=ROOT / "data" / "processed")
    parser.add_argument(
        "--runs", type=Path, default=ROOT / "runs", help="where the backbone's run lies"
    )
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "benchmark_family")
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="begin no training after so many, 0: no limit"
    )
    asked = parser.parse_args()
    asked.until = time.time() + 60 * asked.minutes if asked.minutes else float("inf")
    asked.runs, asked.data, asked.processed = (
        each.resolve() for each in (asked.runs, asked.data, asked.processed)
    )
    asked.work.mkdir(parents=True, exist_ok=True)
    forms = [
        (method, {"modality": modality}) for method in asked.methods for modality in MODALITIES
    ]
    means = table("family", asked, forms, ["method", "modality"])
    if asked.long:
        both = [
            (method, {"rules": rules, "sample_seconds": asked.long})
            for method in asked.methods
            for rules in ("corrected", "published")
        ]
        table("family_rules", asked, both, ["method", "rules"])
    lost = [
        method
        for method in asked.methods
        if means[method, "audiovisual"] <= max(means[method, one] for one in MODALITIES[1:])
    ]
    print(
        f"not better than both unimodal forms: {', '.join(lost)}"
        if lost
        else "all beat both unimodal forms"
    )
    sys.exit(1 if lost else 0)


def table(
    name: str, asked: argparse.Namespace, forms: list, heads: list[str]
) -> dict[tuple, float]:
    """Train all forms with all seeds, publish the table; returns (method, form) -> mean CCC over
    seeds.
    """
    for method, changes in forms:
        prepare(parameters(asked, method, **changes))
    work = [
        (method, {**changes, "seed": seed}) for method, changes in forms for seed in asked.seeds
    ]
    outcomes = parallel.map(partial(train_once, asked), work, asked.workers, name=str)
    for outcome in outcomes:
        if outcome.error:
            raise outcome.error
    left = sum(outcome.value is None for outcome in outcomes)
    if left:
        print(f"{name}: {left} of {len(work)} trainings are left: type the same command again")
        sys.exit(75)
    rows, means = [], {}
    for k, (method, changes) in enumerate(forms):
        found = [
            outcome.value for outcome in outcomes[k * len(asked.seeds) : (k + 1) * len(asked.seeds)]
        ]
        scores = np.array([one["scores"] for one in found])  # (seeds, 3)
        form = changes.get("modality", changes.get("rules"))
        means[method, form] = scores[:, 2].mean()
        rows.append(
            [
                method,
                form,
                *(f"{m:.3f} ({s:.3f})" for m, s in zip(scores.mean(0), scores.std(0), strict=True)),
                " ".join(f"{score:.3f}" for score in scores[:, 2]),
                " ".join(str(one["epoch"]) for one in found),
                f"{np.mean([one['seconds'] for one in found]):.0f}",
            ]
        )
    publish(name, [*heads, *COLUMNS], rows, ["torch", "numpy"], [NOTE])
    return means


def parameters(asked: argparse.Namespace, method: str, **changes) -> Params:
    """params/sample_<method>.yaml, complete, with the places of this benchmark."""
    values = (
        params.load([ROOT / "params" / f"sample_{method}.yaml"]) | {"run": "benchmark"} | changes
    )
    values |= {"backbone_run": asked.backbone, "workers": 0, "device": "cpu"}
    values |= {"epochs": asked.epochs} if asked.epochs else {}
    full = params.complete(values)
    return Params(
        full | {"data_root": asked.data, "processed_root": asked.processed, "runs_root": asked.runs}
    )


def prepare(p: Params) -> None:
    """Make the sample set and the features; what is there is kept."""
    datasets.prepare(p)
    store = datasets.store(p)
    found, _ = datasets.find(p)
    trials.write(found, store.trials_path)
    wanted = recipes.create(p.recipe, p, store).arrays()
    for trial in found.to_dict("records"):
        arrays.make_all(trial, wanted, store)


def train_once(asked: argparse.Namespace, item: tuple) -> dict | None:
    """The result of a training, kept in its folder; None when there is no time left to begin it."""
    method, changes = item
    p = parameters(asked, method, **changes)
    backbone = fingerprint(asked.runs / asked.backbone / "checkpoints" / "best.pt")["sha256"]
    run = runs.Run(
        asked.work
        / "_".join([method, *map(str, changes.values()), f"{p.epochs}epochs", backbone[:8]])
    )
    made_from = {
        "params": {name: runs.as_text(value) for name, value in p.items()},
        "backbone": backbone,
    }
    kept = run.read_json("result.json", {})
    if kept.get("made_from") == json.loads(json.dumps(made_from)):
        return kept["result"]
    if time.time() > asked.until:
        return None
    result = trained(p, run.folder)
    run.write_json("result.json", {"made_from": made_from, "result": result})
    return result


def trained(p: Params, folder: Path) -> dict:
    """Train, predict every validation frame with the best epoch: CCC of valence, arousal and their
    mean.
    """
    import torch

    from lib.evaluation import checkpoint
    from lib.training import trainer

    torch.set_num_threads(1)
    store = datasets.store(p)
    found = trials.read(store.trials_path)
    folder.mkdir(parents=True, exist_ok=True)
    history = trainer.Trainer(recipes.create(p.recipe, p, store), found, folder).fit()
    predictor = checkpoint.load(folder / "checkpoints" / "best.pt", p, store)
    val = found["trial"][found["split"] == "val"]
    predictions = {trial: predictor.predict(trial)["va"] for trial in val}
    labels = {trial: np.asarray(predictor.recipe.labels(trial, "va")) for trial in val}
    scores = metrics.va_scores(labels, predictions, n=20)
    mean = metrics.mean_ccc(labels, predictions, n=20)["ccc"]
    return {
        "scores": [scores["valence"]["ccc"], scores["arousal"]["ccc"], mean],
        "epoch": predictor.epoch,
        "seconds": history["seconds"].sum(),
    }


if __name__ == "__main__":
    import family  # other processes cannot import what is defined in __main__

    family.main()
