"""How long the window index of all of Aff-Wild2 takes, and what memory: `python
benchmarks/window_index.py`.

594 trials of 3.0 million frames of uneven lengths (these and the labels are drawn: both only count
here), lie in a store without media files. Each recipe runs in a process of its own. About a minute.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import memory, publish

from lib import parameters as params
from lib import recipes, trials
from lib.arrays import MAKERS
from lib.parameters import Params
from lib.store import Store, request

TRIALS, FRAMES = 594, 3_000_000
SECONDS, MEGABYTES = 2.0, 200.0  # what is wanted
METHODS = ("tsav", "jca")


def parameters(recipe: str, place: Path) -> Params:
    values = {
        "recipe": recipe,
        "run": "benchmark",
        "backbone_run": "teacher" if recipe == "jca" else "",
    }
    roots = {"data_root": place, "processed_root": place / "processed", "runs_root": place}
    return Params({**params.complete(values), **roots})


def store(place: Path) -> Store:
    return Store(place / "processed", "affwild2", place)


def make(place: Path, count: int, frames: int) -> None:
    """Trial table, time stamps and labels of `count` trials with `frames` frames together."""
    drawn = np.random.default_rng(0)
    shares = drawn.lognormal(0, 1, count)
    lengths = np.maximum(np.round(shares / shares.sum() * frames), 1).astype(int)
    rows = []
    for number, length in enumerate(lengths):
        name = f"{number}"
        rows.append(
            {
                "trial": name,
                "video": name,
                "split": "train",
                "dataset": "affwild2",
                "n_frames": int(length),
                "fps": 30.0,
                "duration": length / 30,
                "video_path": f"{name}.mp4",
                "audio_path": f"{name}.mp4",
                "crops_dir": f"crops/{name}",
                "va_path": f"{name}.txt",
            }
        )
        va = np.where(
            drawn.random((length, 1)) < 0.05, np.nan, drawn.uniform(-1, 1, (length, 2))
        ).astype(np.float32)
        for wanted, array in (
            (request("time"), np.arange(length) / 30),
            (request("va", mismatch="fit"), va),
        ):
            maker = MAKERS[wanted.name]
            made_from = {
                "name": wanted.name,
                "parameters": dict(wanted.parameters),
                "version": maker.version,
                "inputs": {},
            }
            store(place).shelf(maker.owner, name).write(made_from, array)
    trials.write(trials.table(rows), store(place).trials_path)


def work(recipe: str, place: Path) -> dict:
    """Seconds, rows and memory (MB) of the index for evaluation and for one epoch of training,
    arrays opened first.
    """
    table = trials.read(store(place).trials_path)
    method = recipes.create(recipe, parameters(recipe, place), store(place))
    started = time.perf_counter()
    for trial in table["trial"]:
        method.n_frames(trial), method.labels(trial, "va")
    found = {"opening": time.perf_counter() - started}
    for name, epoch in (("evaluation", None), ("training", 0)):
        before, started = memory("VmRSS"), time.perf_counter()
        reset_peak()
        windows = method.windows(table, epoch)
        found[name] = {
            "seconds": time.perf_counter() - started,
            "rows": len(windows),
            "targets": int(windows["n_targets"].sum()),
            "peak": memory("VmHWM") - before,
            "size": windows.memory_usage(deep=True).sum() / 1e6,
        }
        del windows
    return found


def reset_peak() -> None:
    """Let the system count the most memory of this process from now on (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=2, help="(a process of its own) recipe, folder")
    parser.add_argument("--short", action="store_true", help="20 trials of 60 000 frames")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(work(options.one[0], Path(options.one[1]))))
        return
    count, frames = (20, 60_000) if options.short else (TRIALS, FRAMES)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        make(Path(place), count, frames)
        for recipe in METHODS:
            done = subprocess.run(
                [sys.executable, __file__, "--one", recipe, place],
                check=True,
                text=True,
                stdout=subprocess.PIPE,
            )
            found = json.loads(done.stdout.splitlines()[-1])
            for name in ("evaluation", "training"):
                one = found[name]
                rows.append(
                    (
                        recipe,
                        name,
                        f"{one['rows']:,}",
                        f"{one['targets']:,}",
                        f"{one['seconds']:.2f} (below {SECONDS:g})",
                        f"{one['size']:.0f}",
                        f"{one['peak']:.0f} (below {MEGABYTES:g})",
                        f"{found['opening']:.1f}",
                    )
                )
    publish(
        "window_index",
        (
            "recipe",
            "windows of",
            "windows",
            "targets",
            "seconds",
            "index, MB",
            "most memory while it is made, MB",
            "before: arrays opened, s",
        ),
        rows,
        ("numpy", "pandas"),
        [f"{count} trials, {frames:,} frames; lengths and labels are drawn."],
    )


if __name__ == "__main__":
    main()
