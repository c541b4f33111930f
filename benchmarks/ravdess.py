"""Emotional speech of 24 actors (RAVDESS): trains and tests the utterance network on the five
published folds, with several seeds, and prints what came out.

    python benchmarks/ravdess.py data/ravdess [--work runs/ravdess_folds] [--seeds 0 1 2 3 4]
        [--networks utterance res_lstm_sa] [--features voice | mfcc_chroma]
        [--shuffled | --equal-levels] [--only-table]

The setting is params/ravdess.yaml. A network learns from all actors outside the fold, for the
number of epochs that stands there; its last epoch predicts the fold's recordings, once. Statistics
of the features are those of the training actors. --features names what the networks read instead
of `voice`: `mfcc_chroma` are the 46 numbers that ResLSTM-SA was published with. With --shuffled
labels change places within each actor; with --equal-levels every recording is as loud as any other.

Each fold of each seed is a training of its own below --work; what is finished is not done again,
and an interrupted training goes on with the next batch. The table is of what is finished.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import ravdess_table

from lib import arrays, datasets, recipes, trials
from lib import parameters as params
from lib.datasets import ravdess
from lib.features import voice
from lib.files import write_text
from lib.models import forward
from lib.parallel import mapping
from lib.parallel.progress import Progress
from lib.parameters import Params
from lib.training.trainer import Trainer

LEVEL = voice.BANDS + 6  # column of `voice.prepared` with the level in dB of full scale


def parameters(places: argparse.Namespace, file: str = "ravdess", **changes) -> Params:
    """A file of params/, complete, with the places of this benchmark."""
    values = params.load([ROOT / "params" / f"{file}.yaml"])
    options = {**values.get("options", {}), **changes.pop("options", {})}
    own = {"data_root": str(places.data), "processed_root": str(places.work / "processed")}
    named = {"run": "ravdess", "runs_root": str(places.work), "device": "cpu"}
    return params.placed(values | own | named | changes | {"options": options})


def prepare(p: Params) -> None:
    """Find the recordings, and make every array that the recipe needs."""
    store = datasets.store(p)
    table, _ = datasets.find(p)
    trials.write(table, store.trials_path)
    wanted = recipes.create(p.recipe, p, store).arrays()
    work = partial(arrays.make_all, requests=wanted, store=store)
    rows = table.to_dict("records")
    lost = [
        outcome.error
        for outcome in mapping.map(work, rows, 1, Progress("recordings"), name=trials.name)
        if not outcome.ok
    ]
    if lost:
        raise lost[0]


def shuffled(method, seed: int):
    """The recipe with labels that changed places within each actor."""
    names: dict[int, list[str]] = {}
    for name in method._trials:
        names.setdefault(ravdess.facts(name).actor, []).append(name)
    generator, given, own = np.random.default_rng([seed, 7]), {}, method.label
    for actor in sorted(names):
        order = generator.permutation(len(names[actor]))
        given |= {name: names[actor][k] for name, k in zip(names[actor], order, strict=True)}
    method.label = lambda trial: own(given[trial])
    return method


def equalled(method):
    """The recipe with recordings that are all equally loud: as if each file were scaled to one RMS.

    Of the features only one column knows how loud a file is; the bands lose its mean anyway.
    """
    own = method.rows

    def rows(trial: str, speed: float = 1.0) -> np.ndarray:
        values = own(trial, speed).copy()
        level = values[:, LEVEL]
        values[:, LEVEL] = level - 10 * np.log10(np.mean(10 ** (level / 10)))
        return values

    method.rows = rows
    return method


CHANGED = {"shuffled": shuffled, "equal_levels": lambda method, seed: equalled(method)}


def train_fold(
    p: Params, folder: Path, change: str, rows: dict, off: Sequence[str] = ("",)
) -> None:
    """Train on all actors outside the fold of `p`; write the fold's probabilities as CSV.

    change : of `CHANGED`, or "". rows : arrays that recordings have in memory, shared by all
    trainings. off : streams to switch off at prediction, each in turn, "" for none.
    """
    targets = {name: folder / probabilities_of(name) for name in off}
    if all(target.is_file() for target in targets.values()):
        return
    store = datasets.store(p)
    method = recipes.create(p.recipe, p, store)
    method.voices = rows
    method = CHANGED[change](method, p.seed) if change else method
    table = method.split(trials.read(store.trials_path))
    trainer = Trainer(method, table, folder)
    trainer.fit()
    windows = method.windows(trainer.val_trials)
    for name, target in targets.items():
        method.off = {name} - {""}
        logits = forward.predict(trainer.model, method, windows, trainer.device)["expression"]
        shares = torch.from_numpy(logits).softmax(dim=1).numpy()
        found = pd.DataFrame(shares, columns=ravdess.CLASSES)
        found.insert(0, "label", [int(method.label(trial)) for trial in windows["trial"]])
        found.insert(0, "trial", list(windows["trial"]))
        write_text(target, found.assign(note=ravdess.TERMS).to_csv(index=False))


def probabilities_of(off: str = "") -> str:
    """Name of the file with what was said, with a stream switched off."""
    return f"probabilities_{off}_off.csv" if off else "probabilities.csv"


def train(places: argparse.Namespace) -> None:
    """All trainings that are not finished yet, seed by seed."""
    rows: dict = {}
    for seed in places.seeds:
        for network in places.networks:
            for fold in range(len(ravdess.FOLDS)):
                options = {"network": network, "features": [places.features]}
                p = parameters(places, seed=seed, fold=fold, options=options)
                kind = ravdess_table.kind(network, places.features, places.change)
                folder = places.work / kind / f"seed{seed}_fold{fold}"
                train_fold(p, folder, places.change, rows)
                print(f"{kind}, seed {seed}, fold {fold}: done", flush=True)


def parser_of(description: str, seeds: list[int]) -> argparse.ArgumentParser:
    """What every training over the folds is told; read by `begun`."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "ravdess_folds")
    parser.add_argument("--seeds", type=int, nargs="+", default=seeds)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only-table", action="store_true")
    return parser


def begun(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What was given, with PyTorch set to it."""
    places = parser.parse_args()
    places.data, places.work = places.data.resolve(), places.work.resolve()
    torch.set_num_threads(places.threads)
    torch.set_flush_denormal(True)
    return places


def main() -> None:
    parser = parser_of(__doc__, [0, 1, 2, 3, 4])
    parser.add_argument("--networks", nargs="+", default=["utterance"])
    parser.add_argument("--features", default=ravdess_table.USUAL)
    for name in CHANGED:
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, dest="change", action="store_const", const=name, default="")
    places = begun(parser)
    if not places.only_table:
        prepare(parameters(places, options={"features": [places.features]}))
        train(places)
    ravdess_table.publish(places.data, places.work)


if __name__ == "__main__":
    main()
