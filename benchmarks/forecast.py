"""How long 01 says that training and prediction will take, and how long they took.

    python benchmarks/forecast.py RUN … [--seconds 1.5]

Give folders of finished runs of this machine, such as those of `make run`. The forecast is made
again as notebook 01 makes it (half of `measure_seconds`, on the same trials). A training took what
its epochs did (`history.csv`, without validation); beside it is what the whole notebook recorded,
with its start, its figures and the loading of arrays, which no forecast knows.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import pandas as pd
import report

from lib import datasets, parameters, runs, trials
from lib.experiments import costs
from lib.files import NOTEBOOKS
from lib.parallel.progress import span

STEPS = {NOTEBOOKS[4], NOTEBOOKS[5]}


def compared(folder: Path, seconds: float | None) -> list[list]:
    """A row per step that a network works in: run, what, forecast, training, how many times as
    long, notebook.
    """
    run, values = runs.Run(folder), runs.parameters(folder)
    p = parameters.placed(values)
    table = trials.read(datasets.store(p).trials_path)
    told = costs.measure_networks(table, values, seconds or p.measure_seconds / 2)
    rows = []
    for step, hours in zip(told["step"], told["hours"], strict=True):
        name = step.split(":")[0]
        if record := name in STEPS and run.read_json(f"steps/{name}.json"):
            worked = ["", ""]
            if name == NOTEBOOKS[4]:
                epochs = float(pd.read_csv(folder / "history.csv")["seconds"].sum())
                worked = [span(epochs), f"{epochs / (3600 * hours):.2f}"]
            notebook = span(record["seconds"])
            rows.append([folder.name, step, span(3600 * hours), *worked, notebook])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, help="to measure; else as notebook 01 did")
    asked = parser.parse_args()
    rows = [row for folder in asked.runs for row in compared(folder, asked.seconds)]
    head = ["run", "step", "forecast", "epochs took", "times as long", "the notebook took"]
    notes = ["Forecasts are made one after the other after the runs, while nothing else runs."]
    report.publish("forecast", head, rows, ["torch", "numpy"], notes)


if __name__ == "__main__":
    main()
