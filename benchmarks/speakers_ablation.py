"""Do rotary positions help TalkNet? Trained on the sample conversations, scored at several lengths
(speaker specification §4.4).

First `python -m lib run params/sample_asd.yaml --to 04` (once); then

    # three seeds, a third of the steps: what a CPU can do
    python benchmarks/speakers_ablation.py
    # all steps, all seeds at all lengths (a GPU)
    python benchmarks/speakers_ablation.py --share 1
    # picture alone, sound alone, both; all steps, one seed
    python benchmarks/speakers_ablation.py --variants senses

With less than all steps the first seed is scored at all lengths and the others at the clip's own.
What is finished is kept under ``runs/ablation``, trainings and scores, and not done again: stop it
and start it again at will. Pieces longer than a clip are scored whole, and in windows that overlap
by a third. The table says how many steps were made, and stands also if it shows no gain. Intervals
are over conversations (`lib.intervals`), which does not cover seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import RESULTS, publish

from lib import datasets, grammar, plots, recipes, trials
from lib import parameters as params
from lib.models import forward
from lib.plots import style
from lib.store import Store
from lib.training import trainer as training_trainer

LENGTHS = (150, 300, 450, 900, 1350)
SENSES = {"negatives": 0.0, "synchrony_loss": 0.0}
VARIANTS = {
    "positions": {
        "none": {"options": {"network": "talknet"}},
        "1-D": {"options": {"cross_pairs": [8, 0, 0], "self_pairs": [16, 0, 0]}},
        "mRoPE": {},
    },
    "senses": {
        "both": {},
        "picture alone": {"modality": "video", "options": SENSES},
        "sound alone": {"modality": "audio", "options": SENSES},
    },
}


def parameters(changes: dict, seed: int, share: float, overlay: list[Path]) -> params.Params:
    """sample_asd.yaml with a variant's changes; `share` of its steps, as one epoch where it is not
    all of them.
    """
    values = params.load([ROOT / "params" / "sample_asd.yaml", *overlay], {})
    options = {**values["options"], **changes.get("options", {})}
    epochs = values["epochs"]
    if share != 1:
        options["windows_a_clip"] = max(1, round(share * epochs * options["windows_a_clip"]))
        epochs = 1
    given = {
        **values,
        **changes,
        "options": options,
        "seed": seed,
        "epochs": epochs,
        "val_every": 1,
    }
    known = grammar.all_declared()  # once: all notebooks are read for it
    given = {name: value for name, value in given.items() if name in known}
    return params.placed(given)


def scores(recipe, model, device, table, length: int, windowed: bool) -> dict:
    """AP at pieces of one length."""
    recipe.params.options.update(piece=length, window=recipe.params.clip_length if windowed else -1)
    labels, predictions = {"speaking": {}}, {"speaking": {}}
    for trial in table["trial"]:
        windows = recipe.windows(trials.select(table, [trial]))
        outputs = forward.predict(model, recipe, windows, device, 2)
        rows = recipe.assemble(windows, outputs, recipe.n_frames(trial))["speaking"]
        predictions["speaking"][trial] = rows
        labels["speaking"][trial] = training_trainer.hide(
            recipe.labels(trial), np.isnan(rows).any(axis=1)
        )
    return recipe.metrics(labels, predictions)["speaking"]


def one(name: str, changes: dict, seed: int, options) -> list[list]:
    """Train (or take up) one network and score it: rows of the table."""
    p = parameters(changes, seed, options.share, options.overlay)
    own, lengths = p.clip_length, options.lengths
    if options.share < 1 and seed != options.seeds[0]:
        lengths = [own]
    store = (
        Store(options.store.parent, options.store.name, ROOT / "data")
        if options.store
        else datasets.store(p)
    )
    table = trials.read(store.trials_path)
    recipe = recipes.create("talknet", p, store)
    table = table[[bool(recipe.units(trial)) for trial in table["trial"]]].reset_index(drop=True)
    folder = options.runs / f"{name.replace(' ', '_')}-{options.share:g}-{seed}"
    trainer = training_trainer.Trainer(recipe, table, folder)
    trainer.val_trials = trainer.val_trials[
        :0
    ]  # the last epoch counts: nothing is chosen on validation
    trainer.fit()
    steps, seconds = (
        sum(row[name] for row in trainer.state.history) for name in ("batches", "seconds")
    )
    val, rows = table[table["split"] == "val"].reset_index(drop=True), []
    for length in lengths:
        for windowed in (False, True) if length > own else (False,):
            kept = folder / f"scores_{length}_{'windows' if windowed else 'whole'}.json"
            if not kept.is_file():
                found = scores(recipe, trainer.model, trainer.device, val, length, windowed)
                kept.write_text(json.dumps(found))
            found = json.loads(kept.read_text())
            rows.append(
                [
                    name,
                    seed,
                    steps,
                    f"{seconds:.0f}",
                    length,
                    "yes" if windowed else "no",
                    found["ap"],
                    found["ci95"],
                    found["n_frames"],
                ]
            )
    return rows


def over_seeds(rows: list[list]) -> list[str]:
    """Mean, lowest and highest AP of the seeds at the clip's own length, a line a variant; none
    with one seed.
    """
    own, told = 450, []
    for name in dict.fromkeys(row[0] for row in rows):
        values = [row[6] for row in rows if row[0] == name and row[4] == own]
        told += (
            [
                f"{name}: {np.mean(values):.3f} at {own} frames, mean of {len(values)} seeds "
                f"({min(values):.3f} to {max(values):.3f})."
            ]
            if len(values) > 1
            else []
        )
    return ["\n".join(["", *told])] if told else []


def picture(rows: list[list], place: Path, title: str) -> None:
    """AP over length: a line a variant, dashed where it was not windowed; the mean of the seeds
    that were scored at all lengths, and a point for every seed.
    """
    style.theme()
    ax = style.new_axes(size=(7, 4))
    for number, name in enumerate(dict.fromkeys(row[0] for row in rows)):
        colour = style.PALETTE[number]
        for windowed, dashes in (("no", "--"), ("yes", "-")):
            of_windows = {row[4] for row in rows if row[5] == "yes"}
            some = [
                (row[4], row[6], row[1])
                for row in rows
                if row[0] == name and (row[5] == windowed or row[4] not in of_windows)
            ]
            lengths = sorted({length for length, *_ in some})
            whole = [
                seed
                for seed in {seed for *_, seed in some}
                if {at for at, _, its in some if its == seed} == set(lengths)
            ]
            means = [
                np.mean([ap for at, ap, seed in some if at == length and seed in whole])
                for length in lengths
            ]
            ax.plot(
                lengths,
                means,
                dashes,
                color=colour,
                label=f"{name}{', windows' * (windowed == 'yes')}",
            )
            ax.plot(
                [at for at, *_ in some],
                [ap for _, ap, _ in some],
                "dxo"[number],
                color=colour,
                alpha=0.6,
                markersize=4.5,
            )
    ax.set(xlabel="frames scored together", ylabel="AP (AVA-style)", title=title)
    style.legend_beside(ax)
    plots.save(ax, place, close=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variants", choices=tuple(VARIANTS), default="positions")
    parser.add_argument(
        "--share", type=float, help="of the epochs of sample_asd.yaml (a third; 1 for senses)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", help="(0 1 2; 0 for senses)")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "ablation")
    parser.add_argument(
        "--store", type=Path, help="processed folder of another set of conversations"
    )
    parser.add_argument(
        "--overlay", type=Path, nargs="*", default=[], help="files on top (overlays/gpu.yaml)"
    )
    options = parser.parse_args()
    senses = options.variants == "senses"
    options.share = options.share or (1.0 if senses else 1 / 3)
    options.seeds = options.seeds or ([0] if senses else [0, 1, 2])
    rows = []
    for name, changes in VARIANTS[options.variants].items():
        for seed in options.seeds:
            rows += one(name, changes, seed, options)
            print(*rows[-1], flush=True)
    shown = [
        [
            *row[:6],
            f"{row[6]:.3f}",
            "–" if row[7] is None else f"{row[7][0]:.2f} – {row[7][1]:.2f}",
            row[8],
        ]
        for row in rows
    ]
    title = f"speakers_{options.variants}"
    publish(
        title,
        (
            "variant",
            "seed",
            "steps",
            "s of training",
            "frames scored together",
            "in windows",
            "AP",
            "95 %",
            "faces",
        ),
        shown,
        ("torch", "numpy"),
        [
            f"{options.share:.0%} of the steps of params/sample_asd.yaml. Intervals: over "
            "conversations, not seeds.",
            *over_seeds(rows),
        ],
    )
    picture(
        rows,
        RESULTS / f"{time.strftime('%Y-%m-%d')}_{title}.png",
        f"{options.share:.0%} of the steps",
    )


if __name__ == "__main__":
    main()
