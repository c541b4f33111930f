"""How long it takes to plan, list and compare a thousand runs, and to list the store of a hundred
thousand trials.

    python benchmarks/many_runs.py [--runs 1000] [--trials 100000] [--parts plan list compare store]

The runs are made up and lie where real ones would: complete params.yaml, metrics.json, a history of
30 epochs and prediction files of four val trials of 360 frames, as sample_tsav leaves them; ten
seeds of each of a hundred rates. Planned is the sweep that they would come from, listed its table
with page, compared what `python -m lib compare` compares. Of the store each trial has one array and
the side file that the store writes. All times are of one process, after its imports.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import numpy as np
import pandas as pd
import report
import yaml

from lib import metrics, parameters, runs, store
from lib.evaluation import comparison
from lib.experiments.sweeps import plan, table

MOST, MOST_OF_STORE = 10.0, 20.0  # s
SEEDS, EPOCHS, TRIALS, FRAMES = 10, 30, 4, 360
PARTS = ("plan", "list", "compare", "store")


def planned(place: Path, count: int) -> plan.Sweep:
    """A sweep over so many points: ten seeds of each of several rates."""
    rates = ",".join(f"{1e-5 * (1 + k):.6f}" for k in range(count // SEEDS))
    roots = {f"{name}_root": str(place / name) for name in ("data", "processed", "runs")}
    grid = [f"seed=0..{SEEDS - 1}", f"lr={rates}"]
    return plan.plan([ROOT / "params" / "sample_tsav.yaml"], grid, roots)


def finished(sweep: plan.Sweep) -> list[Path]:
    """Run folders of all points as 06 leaves them, and the sweep's own record."""
    generator, folders = np.random.default_rng(0), []
    label = generator.uniform(-1, 1, (TRIALS, FRAMES, 2)).round(4)
    for point in sweep.points:
        folder = sweep.folder.with_name(point.name)
        values = sweep.experiments[point.name].values
        raw = label + generator.normal(0, 0.4, label.shape)
        _write_run(runs.Run(folder), values, raw.round(5), label)
        folders.append(folder)
    _record(sweep)
    return folders


def _record(sweep: plan.Sweep) -> None:
    each = {
        point.name: {
            "folder": str(sweep.folder.with_name(point.name)),
            "values": dict(point.values),
            "state": "finished",
            "epochs": EPOCHS,
            "seconds": 60.0,
            "tries": 1,
            "host": "here",
            "why": "",
        }
        for point in sweep.points
    }
    facts = {"grid": sweep.grid, "runs": each, "files": list(sweep.files)}
    facts |= {"started": "then", "ended": "now", "cluster": "local"}
    sweep.run.write_json("sweep.json", facts)


def _write_run(run: runs.Run, values: dict, raw: np.ndarray, label: np.ndarray) -> None:
    names = [f"val{k}" for k in range(len(raw))]
    kept = {name: runs.as_text(value) for name, value in values.items()}
    run.write_text("params.yaml", yaml.safe_dump(kept, sort_keys=False))
    scores = metrics.va_scores(
        dict(zip(names, label, strict=True)),
        dict(zip(names, raw, strict=True)),
        with_intervals=False,
    )
    run.write_json("metrics.json", {"val": scores, "val_trials": names, "rules": "corrected"})
    epochs = {"epoch": range(EPOCHS), "loss": 0.5, "seconds": 2.0, "score": 0.1}
    run.write_table("history.csv", pd.DataFrame(epochs))
    for name, own, known in zip(names, raw, label, strict=True):
        rows = pd.DataFrame({"frame": np.arange(1, FRAMES + 1), "time": np.arange(FRAMES) / 30})
        rows[["valence", "arousal"]] = own.clip(-1, 1)
        rows[["valence_raw", "arousal_raw"]] = own
        rows["valid"] = 1
        rows[["label_valence", "label_arousal"]] = known
        run.write_table(f"predictions/{name}.csv", rows)


def stored(place: Path, count: int) -> Path:
    """A processed root with one small array of each of so many trials."""
    made_from = {"name": "va", "parameters": {"mismatch": "fit"}, "version": 1, "inputs": {"a": {}}}
    facts = {"made_from": made_from, "shape": [1, 2], "dtype": "float32", "crc32": "1a2b3c4d"}
    text = json.dumps(facts, indent=1)
    whole = io.BytesIO()
    np.save(whole, np.zeros((1, 2), np.float32))
    content = whole.getvalue()
    for number in range(count):
        folder = place / "affwild2" / "trials" / f"trial{number:06d}"
        folder.mkdir(parents=True)
        (folder / "va-12345678.npy").write_bytes(content)
        (folder / "va-12345678.json").write_text(text)
    return place


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the wall and of this processor."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def row(what: str, work: Callable[[], object], most: float) -> list[str]:
    wall, processor = timed(work)
    print(f"{what}: {wall:.1f} s", flush=True)
    return [what, f"{wall:.1f} (at most {most:g})", f"{processor:.1f}"]


def of_runs(place: Path, count: int, parts: list[str]) -> list[list[str]]:
    found, sweeps = [], []
    parameters.complete({})  # what is read once
    found.append(row(f"plan {count:,} runs", lambda: sweeps.append(planned(place, count)), MOST))
    if {"list", "compare"} & set(parts):
        folders = finished(sweeps[0])
    if "list" in parts:
        listed = partial(_list, sweeps[0].folder)
        found.append(row(f"list {count:,} runs", listed, MOST))
    if "compare" in parts:
        compared = partial(comparison.compare, folders, place / "compared")
        found.append(row(f"compare {count:,} runs", compared, MOST))
    return found


def _list(folder: Path) -> str:
    return table.text(table.write(folder))


def of_store(place: Path, count: int) -> list[str]:
    root = stored(place, count)
    return row(f"store ls of {count:,} trials", lambda: store.listing(root), MOST_OF_STORE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    given, rows = parser.parse_args(), []
    with tempfile.TemporaryDirectory() as place:
        if {"plan", "list", "compare"} & set(given.parts):
            rows += of_runs(Path(place), given.runs, given.parts)
        if "store" in given.parts:
            rows.append(of_store(Path(place) / "store", given.trials))
        head = ["what", "s", "of it processor"]
        note = f"Load of the machine (1, 5, 15 minutes): {os.getloadavg()}."
        report.publish("many_runs", head, rows, ["numpy", "pandas", "pyyaml"], [note])


if __name__ == "__main__":
    main()
