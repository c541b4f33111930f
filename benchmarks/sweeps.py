"""Sweeps: what one costs beside its points, how busy two workers are, and the papers' 24 trainings
on 1, 4 and 24 GPUs.

    python benchmarks/sweeps.py [--parts overhead workers killed paper] [--points 24] [--keep
    FOLDER] [--seconds 10]

overhead: 12 points whose function returns at once. workers: so many points of sample_jca at the
size of a test, real notebooks, on two local workers; arrays and backbone are made first and counted
by themselves. killed: sample_tsav with three epochs, undisturbed, and killed (training and worker,
SIGKILL) half an epoch after the first. paper: seconds of a training step at the published size,
measured on this machine's GPU (or CPU), times the steps of Aff-Wild2.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import report

FRAMES, FOLDS = (
    2_800_000,
    6,
)  # labelled frames of Aff-Wild2's train and val videos; five folds of six are trained on
RUNS = FOLDS * 2 * 2  # folds × emotions × modality sets
MOST = {"overhead": 1.0, "workers": 0.85}


def at_once(task):
    """A point that returns at once."""
    return {"end": "finished", "status": 0, "host": "here", "seconds": 0.0, "why": ""}


class Watch:
    """The lines of a sweep with the time when they came."""

    def __init__(self):
        self.lines: list[tuple[float, str]] = []

    def __call__(self, line: str) -> None:
        self.lines.append((time.perf_counter(), line))
        print(line, flush=True)

    def span(self, first: str, last: str) -> float:
        """Seconds from the first line that holds the one text to the last one that holds the
        other.
        """
        start = next(when for when, line in self.lines if first in line)
        return next(when for when, line in reversed(self.lines) if last in line) - start


def swept(
    files: list[str],
    grid: list[str],
    place: Path,
    workers: int,
    changes=None,
    before=lambda planned: None,
    **more,
):
    """Run a sweep; returns its lines with times and the rows of its book. `before` is called with
    the plan.
    """
    from lib import runs
    from lib.experiments.sweeps import plan, run, table
    from lib.parallel import clusters

    places = {f"{name}_root": str(place / name) for name in ("data", "processed", "runs")}
    planned = plan.plan(
        [ROOT / "params" / file for file in files],
        grid,
        {**places, "workers": "1", **(changes or {})},
    )
    watch = Watch()
    before(planned)
    status = run.run(planned, clusters.read("local"), workers, watch, table.write, **more)
    return status, watch, planned, runs.Run(planned.folder).read_json("sweep.json")["runs"]


def overhead_rows(asked) -> list[list]:
    points = 12
    with tempfile.TemporaryDirectory() as place:
        _, watch, _, _ = swept(
            ["sample_tsav.yaml"], [f"seed=0..{points - 1}"], Path(place), 2, work=at_once
        )
    took = watch.span("running", "finished") / points
    return [
        [
            f"{points} points that return at once",
            f"{took:.3f} s per point",
            f"under {MOST['overhead']:g} s",
        ]
    ]


def workers_rows(asked) -> list[list]:
    workers = 2
    kept = tempfile.mkdtemp() if asked.keep is None else asked.keep
    status, watch, planned, rows = swept(
        ["sample_jca.yaml", "overlays/smoke.yaml"],
        [f"seed=0..{asked.points // 2 - 1}", "modality=audio,video"],
        Path(kept),
        workers,
    )
    names = [point.name for point in planned.points]
    own = sum(rows[name].get("ran", 0.0) for name in names)
    # Between the start of the first point and the end of the last one.
    starts = [
        when for when, line in watch.lines if any(f"{name}: running" in line for name in names)
    ]
    ends = [
        when for when, line in watch.lines if any(f"{name}: finished" in line for name in names)
    ]
    wall = max(ends) - min(starts)
    whole = watch.lines[-1][0] - watch.lines[0][0]
    return [
        [
            f"{len(names)} points on {workers} workers (exit status {status})",
            f"{own:.0f} s of points in {workers} × {wall:.0f} s: {own / wall / workers:.0%}",
            f"at least {MOST['workers']:.0%}",
        ],
        ["the same with arrays, backbone and start", f"{whole:.0f} s in all", ""],
    ]


def killed_rows(asked) -> list[list]:
    files, grid, short = ["sample_tsav.yaml"], ["seed=0"], {"epochs": "3", "error_pages": "0"}
    with tempfile.TemporaryDirectory() as place:
        _, _, planned, rows = swept(files, grid, Path(place), 1, short)
        whole, undisturbed = rows[planned.points[0].name]["ran"], history(planned)
        seconds = undisturbed["seconds"].mean()
        killer = Killer(seconds / 2)
        status, _, again, rows = swept(
            files, grid, Path(place), 1, {**short, "run": "again"}, killer.watch
        )
        killer.join()
        found = history(again)
        log = (again.folder / "logs" / f"{again.points[0].name}.log").read_text()
    one = rows[again.points[0].name]
    ended = len(re.findall(r"^ *epoch +\d+ ", log, re.MULTILINE))
    same = found.drop(columns="seconds").equals(undisturbed.drop(columns="seconds"))
    return [
        [
            f"training and worker killed {killer.into:.1f} s after a checkpoint, an epoch takes "
            f"{seconds:.1f} s "
            f"(exit status {status}, tries {one['tries'] + 1})",
            f"{killer.into / seconds:.2f} of an epoch in vain; {ended} epochs ended in all tries, "
            f"of {len(found)}",
            "at most its epoch",
        ],
        [
            "loss and scores of all epochs",
            "as undisturbed, to the last digit" if same else "OTHERS",
            "the same",
        ],
        [
            "seconds of the point, undisturbed and killed",
            f"{whole:.0f}, {killer.lived:.0f} before it and {one['ran']:.0f} after it",
            "",
        ],
    ]


class Killer(threading.Thread):
    """Kills the training of a sweep's first point, and the worker that watches over it, some time
    after an epoch.

    into : s since the last checkpoint, lived : s since the point began, both when it was killed.
    """

    def __init__(self, after: float):
        super().__init__(daemon=True)
        self.after, self.into, self.lived = after, math.nan, math.nan

    def watch(self, planned) -> None:
        self.run_folder = planned.experiments[planned.points[0].name].run.folder
        self.beat = planned.folder / "points" / f"{planned.points[0].name}.json"
        self.start()

    def run(self) -> None:
        last = self.run_folder / "checkpoints" / "last.pt"
        while not last.is_file():
            time.sleep(0.05)
        time.sleep(self.after)
        beat = json.loads(self.beat.read_text())
        training = json.loads((self.run_folder / ".lock").read_text())["pid"]
        for pid in (training, beat["pid"]):
            os.kill(pid, signal.SIGKILL)
        self.into, self.lived = time.time() - last.stat().st_mtime, time.time() - beat["started"]


def history(planned):
    """history.csv of a sweep's first point."""
    import pandas as pd

    return pd.read_csv(planned.experiments[planned.points[0].name].run.folder / "history.csv")


def paper_rows(asked) -> list[list]:
    import gpu

    rows = []
    for name, each, steps, epochs in networks(asked):
        hours = each * steps * epochs / 3600
        many = ", ".join(f"{gpus}: {math.ceil(RUNS / gpus) * hours:,.1f} h" for gpus in (1, 4, 24))
        rows.append(
            [
                f"{name}: {each:.3f} s per step, {steps} steps per epoch, {epochs} epochs",
                f"{hours:,.1f} h per training; {RUNS} of them on 1, 4, 24 of this device — {many}",
                "",
            ]
        )
    return [*rows, [f"measured on: {gpu.where()}", "", ""]]


def networks(asked):
    """Name, seconds of a step, steps per epoch and epochs of the published recipes."""
    import argparse as options

    import gpu_jca

    from lib import models

    trained = FRAMES * (FOLDS - 1) // FOLDS
    batch, window = gpu_jca.BATCH, gpu_jca.STEPS * gpu_jca.HOP
    given = options.Namespace(batch=batch, seconds=asked.seconds)
    speed = gpu_jca.windows_a_second("jca", 49, gpu_jca.gpu.ON_GPU, given)
    yield "jca, cached features", batch / speed, trained // window // batch, 50
    if "lfan" in models.REGISTRY:
        yield "lfan, face network in the loop", lfan_step(), trained // 200 // 8, 100


def lfan_step() -> float:
    """Seconds of a step of 8 windows of 300 frames (LFAN specification §4), the output layer and
    the heads train.
    """
    import gpu
    import torch

    from lib import models

    torch.manual_seed(0)
    net = models.create("lfan").to(gpu.PLACE).train()
    net.release(("output_layer",))
    batch = {
        "frame": torch.randint(0, 256, (8, 300, 40, 40, 3), dtype=torch.uint8),
        "vggish": torch.randn(8, 300, 128),
        "mfcc": torch.randn(8, 300, 39),
    }
    batch = {name: tensor.to(gpu.PLACE) for name, tensor in batch.items()}
    optimizer = torch.optim.AdamW(
        [weight for weight in net.parameters() if weight.requires_grad], 1e-5
    )

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(gpu.PLACE.type, dtype=torch.bfloat16, enabled=gpu.ON_GPU):
            loss = net(batch)["emotion"].float().square().mean()
        loss.backward()
        optimizer.step()

    return gpu.seconds(step)


RULES = {
    "overhead": overhead_rows,
    "workers": workers_rows,
    "killed": killed_rows,
    "paper": paper_rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", default=list(RULES), choices=RULES)
    parser.add_argument("--points", type=int, default=24)
    parser.add_argument(
        "--keep",
        type=Path,
        default=None,
        help="folder that keeps data and runs of the workers' part",
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of measuring a training step")
    asked = parser.parse_args()
    rows = [row for part in asked.parts for row in RULES[part](asked)]
    report.publish(
        "sweeps" + ("" if len(asked.parts) == len(RULES) else "_" + "_".join(asked.parts)),
        ["what", "measured", "asked for"],
        rows,
        ["distributed", "torch", "papermill"],
        [
            "Epochs are the most that the recipe allows (it stops earlier by `patience`); "
            "validation is not "
            f"counted; {FRAMES:,} frames, {FOLDS - 1} folds of {FOLDS}."
        ]
        if "paper" in asked.parts
        else [],
    )


if __name__ == "__main__":
    main()
