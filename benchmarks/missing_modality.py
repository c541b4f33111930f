"""What is lost with a stream: each method with sound or pictures switched off at prediction, beside
the same method trained without them.

    python benchmarks/missing_modality.py [--methods tsav jca gated_fusion lfan] [--seeds 0 1 2]
    [--trials 24] [--seconds 12] [--epochs 1.0] [--work runs/missing_modality] [--data …]
    [--processed …] [--backbone runs/sample_tsav/checkpoints/best.pt]

Each method is trained with its parameter file ``params/sample_<method>.yaml`` for each seed: with
both, with sound only, with pictures only. `jca` and `gated_fusion` take the features of the first
seed's `tsav`, `lfan` the face network of one `lfan_backbone`. Off means: no row of the stream was
observed (`gated_fusion`); black pictures and muted sound (`tsav`); zeros, which is what the network
has for a modality that it lacks (`jca`); no face found, zeros of sound (`lfan`). Nothing is chosen
here: the epoch of each training is the one that its own val score chose, with both streams on. A
training that is there already is kept, so a run that was broken off goes on.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import report

from lib import arrays, datasets, parallel, recipes, trials
from lib import parameters as params
from lib.evaluation import checkpoint
from lib.features import mel
from lib.metrics import EMOTIONS
from lib.models import checkpoints, forward
from lib.parameters import Params
from lib.training import trainer as training_trainer

METHODS = ("tsav", "jca", "gated_fusion", "lfan")
LEFT = {"audio": "video", "video": "audio"}  # what is left when one is off
SILENCE = (10 * math.log10(mel.SMALLEST) - mel.MEAN) / mel.SPREAD  # what muted sound becomes
KINDS = {"audio": "sound", "video": "faces"}
BEFORE = {"jca": "tsav", "gated_fusion": "tsav", "lfan": "lfan_backbone"}


def parameters(places: argparse.Namespace, method: str, seed: int, modality: str) -> Params:
    """The method's parameter file for the sample set, at the size of this benchmark."""
    values = params.load([ROOT / "params" / f"sample_{method}.yaml"])
    changes = {
        "run": "benchmark",
        "seed": seed,
        "workers": 0,
        "sample_trials": places.trials,
        "sample_seconds": places.seconds,
        "epochs": max(1, round(values["epochs"] * places.epochs)),
        "val_every": max(4, values.get("val_every", 1)),
    }
    if method != "lfan_backbone":
        changes["modality"] = modality
    if method in BEFORE:
        changes["backbone_run"] = str(backbone(places, method))
    if method in ("tsav", "lfan") and modality == "audio":
        changes["stream_loss"] = 0.0
    full = params.complete(values | changes)
    own = {"data_root": places.data, "processed_root": places.processed}
    return Params(full | own | {"runs_root": places.work / "runs"})


def best(places: argparse.Namespace, method: str, seed: int, modality: str) -> Path:
    """The checkpoint of a training."""
    folder = places.work / "runs" / f"{method}_{modality}_{seed}"
    return folder / "checkpoints" / "best.pt"


def backbone(places: argparse.Namespace, method: str) -> Path:
    """The checkpoint whose features a method takes: `--backbone`, or a training of this
    benchmark.
    """
    if places.backbone and BEFORE[method] == "tsav":
        return places.backbone.absolute()
    return best(places, BEFORE[method], places.seeds[0], _learnt_before(method))


def train_backbone(places: argparse.Namespace, method: str) -> None:
    """Train what a method takes its features from, unless it is there."""
    if method in BEFORE and not backbone(places, method).is_file():
        trained(places, BEFORE[method], places.seeds[0], _learnt_before(method))


def _learnt_before(method: str) -> str:
    """The modality of what a method takes its features from."""
    return "video" if method == "lfan" else "audiovisual"


def prepare(p: Params) -> None:
    """Make the sample set and the arrays that a training needs; what is there is kept."""
    datasets.prepare(p)
    store = datasets.store(p)
    if not store.trials_path.is_file():
        trials.write(datasets.find(p)[0], store.trials_path)
    table = trials.read(store.trials_path)
    wanted = recipes.create(p.recipe, p, store).arrays()
    work = partial(arrays.make_all, requests=wanted, store=store)
    for outcome in parallel.map(work, table.to_dict("records"), 1):
        if outcome.error:
            raise outcome.error


def trained(places: argparse.Namespace, method: str, seed: int, modality: str):
    """The predictor of a training, which is done where it is not there; and the seconds it took."""
    p = parameters(places, method, seed, modality)
    prepare(p)
    store, file = datasets.store(p), best(places, method, seed, modality)
    note = file.with_name("seconds.txt")
    if not note.is_file():
        started = time.perf_counter()
        table = trials.read(store.trials_path)
        recipe = recipes.create(p.recipe, p, store)
        training_trainer.Trainer(recipe, table, file.parents[1]).fit()
        note.write_text(f"{time.perf_counter() - started:.0f}")
        print(f"{method} {modality} seed {seed}: {note.read_text()} s", flush=True)
    return checkpoint.load(file, p, store)


class Without(torch.nn.Module):
    """A network that is given nothing of a modality, whatever is in the batch."""

    def __init__(self, model: torch.nn.Module, modality: str):
        super().__init__()
        self.model, self.modality = model, modality

    def forward(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        changed = dict(batch)
        names = ("audio", "vggish", "mfcc") if self.modality == "audio" else ("visual", "clip")
        for name in {*names, *(("pictures",) if self.modality == "video" else ())} & batch.keys():
            changed[name] = torch.zeros_like(batch[name])
        if self.modality == "audio" and "mel" in batch:
            changed["mel"] = torch.full_like(batch["mel"], SILENCE)
        for name in {"frame", "frame_map"} & batch.keys() if self.modality == "video" else ():
            shape = batch[name].shape[:2]
            changed["face_valid"] = torch.zeros(shape, dtype=torch.bool, device=batch[name].device)
        return self.model(changed)


def switch_off(recipe, off: str) -> None:
    """Switch off the streams of a modality in a recipe that knows how; "" : none."""
    recipe.off = {name for name, kind in recipe._kinds.items() if off and kind == KINDS[off]}


def scores(predictor, off: str = "") -> dict[str, float]:
    """CCC of valence and arousal on all labelled frames of the val trials; off : a modality."""
    recipe = predictor.recipe
    net = predictor.model
    if off and hasattr(recipe, "off"):
        switch_off(recipe, off)
    elif off:
        net = Without(net, off)
    table = trials.read(recipe.store.trials_path)
    labels, found = {}, {}
    for trial in table["trial"][table["split"] == "val"]:
        windows = recipe.windows(trials.select(table, [trial]))
        outputs = forward.predict(net, recipe, windows, predictor.device)
        found[trial] = recipe.assemble(windows, outputs, recipe.n_frames(trial))["va"]
        labels[trial] = np.asarray(recipe.labels(trial, "va"))
    told = recipe.metrics({"va": labels}, {"va": found}, with_intervals=False)
    return {emotion: told[emotion]["ccc"] for emotion in EMOTIONS}


def measure(places: argparse.Namespace, method: str) -> dict[tuple[str, str], list[dict]]:
    """(what was learnt from, what is off) -> the scores of each seed."""
    found: dict[tuple[str, str], list[dict]] = {}
    for seed in places.seeds:
        for off in ("", "audio", "video"):
            predictor = trained(places, method, seed, "audiovisual")
            found.setdefault(("audiovisual", off), []).append(scores(predictor, off))
        for modality in LEFT:
            predictor = trained(places, method, seed, modality)
            found.setdefault((modality, ""), []).append(scores(predictor))
    return found


def told(rows: list[dict], emotion: str) -> str:
    """Mean and standard deviation over seeds."""
    values = [row[emotion] for row in rows]
    return f"{np.mean(values):+.3f} ({np.std(values):.3f})"


def lines(method: str, found: Mapping) -> list[list[str]]:
    """The rows of one method."""
    both = found["audiovisual", ""]
    rows = [[method, "nothing", *(told(both, emotion) for emotion in EMOTIONS), "", "", "", ""]]
    for off, left in LEFT.items():
        missing, without = found["audiovisual", off], found[left, ""]
        cells = [told(missing, emotion) for emotion in EMOTIONS]
        cells += [told(without, emotion) for emotion in EMOTIONS]
        for emotion in EMOTIONS:
            costs = [a[emotion] - b[emotion] for a, b in zip(without, missing, strict=True)]
            cells.append(f"{np.mean(costs):+.3f} ({np.std(costs):.3f})")
        rows.append([method, {"audio": "sound", "video": "pictures"}[off], *cells])
    return rows


def parser_of(doc: str) -> argparse.ArgumentParser:
    """What is asked of every benchmark of these trainings."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--epochs", type=float, default=1.0, help="share of the files' epochs")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "missing_modality")
    parser.add_argument("--data", type=Path, help="default: a folder of --work")
    parser.add_argument("--processed", type=Path, help="default: a folder of --work")
    parser.add_argument("--backbone", type=Path, help="checkpoint of a sample_tsav that is there")
    return parser


def begun(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments with whole paths; one thread from here on."""
    places = parser.parse_args()
    places.work = places.work.absolute()
    places.data = (places.data or places.work / "data").absolute()
    places.processed = (places.processed or places.work / "processed").absolute()
    torch.set_num_threads(1)
    return places


def size_told(places: argparse.Namespace) -> str:
    """The sentence on the size of the trainings."""
    size = f"Sample set of {places.trials} trials of about {places.seconds:g} s"
    seeds = ", ".join(map(str, places.seeds))
    return (
        f"{size} ({len(_val(places))} val trials), {places.epochs:g} of the epochs of each "
        f"parameter file, seeds {seeds}, one thread."
    )


def features_told(places: argparse.Namespace, method: str) -> str:
    """The sentence on the network whose features a method takes."""
    saved = checkpoints.load(backbone(places, method))
    name, seed, epochs = (saved["params"][key] for key in ("recipe", "seed", "epochs"))
    return (
        f"Features of {method}: those of a {name} of seed {seed}, epoch {saved['epoch']} of "
        f"{epochs}, for all seeds."
    )


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    places = begun(parser)
    rows = []
    for method in places.methods:
        train_backbone(places, method)
        rows += lines(method, measure(places, method))
        print(*rows[-3:], sep="\n", flush=True)
    report.publish(
        "missing_modality",
        [
            "method",
            "off at prediction",
            "valence CCC (SD)",
            "arousal CCC (SD)",
            "trained without: valence",
            "arousal",
            "cost valence",
            "cost arousal",
        ],
        rows,
        ["torch", "torchaudio", "numpy"],
        [
            size_told(places),
            *(features_told(places, method) for method in places.methods if method in BEFORE),
            "CCC on all labelled frames of the val trials, unsmoothed; mean and standard deviation "
            "over seeds. The epoch of each training was chosen on the same trials, with nothing "
            "off. Cost: CCC of the network trained without the stream minus that of the network "
            "that lost it at prediction, mean and standard deviation over seeds; above .05 it lost "
            "more than it should.",
        ],
    )


def _val(places: argparse.Namespace) -> list[str]:
    p = parameters(places, "tsav", places.seeds[0], "audiovisual")
    table = trials.read(datasets.store(p).trials_path)
    return list(table["trial"][table["split"] == "val"])


if __name__ == "__main__":
    main()
