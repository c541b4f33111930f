"""What a busy machine costs: a computation alone, and two at once, for several ways in which
threads wait for work.

    python benchmarks/contention.py [--steps 20] [--threads 2] [--works small sample ridge]

PyTorch computes with GNU OpenMP, NumPy with OpenBLAS. Each computation is a process of its own that
imports PyTorch or NumPy before `lib`, so that "as it is" is the library's own default.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import publish

OPENMP = {
    "as it is": {},
    "GOMP_SPINCOUNT=0": {"GOMP_SPINCOUNT": "0"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "GOMP_SPINCOUNT=100000": {"GOMP_SPINCOUNT": "100000"},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
}
OPENBLAS = {
    "as it is": {},
    **{
        f"OPENBLAS_THREAD_TIMEOUT={power}": {"OPENBLAS_THREAD_TIMEOUT": str(power)}
        for power in (4, 14, 18, 22)
    },
}
NAMES = {
    "small": "a small 3-D convolution, a training step",
    "sample": "TSAV of the sample experiment, a training step",
    "ridge": "ridge regression on 16 × 16 pixels in colour (notebook 06)",
}
WAYS = {"small": OPENMP, "sample": OPENMP, "ridge": OPENBLAS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--works", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--child", choices=NAMES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(" ".join(f"{seconds:.6f}" for seconds in steps(asked.child, asked.steps)))
        return
    rows = []
    for work in asked.works:
        for way, environment in WAYS[work].items():
            alone, both = (measure(work, environment, asked, count) for count in (1, 2))
            rows.append(
                [
                    NAMES[work],
                    way,
                    f"{1000 * alone:.0f}",
                    f"{1000 * both:.0f}",
                    f"{both / alone:.1f}",
                ]
            )
    columns = ["work", "waiting", "alone, ms", "two at once, ms", "ratio"]
    note = f"Median of {asked.steps} times after 2, {asked.threads} threads in each process."
    publish("contention", columns, rows, ["torch", "numpy"], [note])


def measure(work: str, environment: dict, asked: argparse.Namespace, count: int) -> float:
    """Median seconds of a computation, `count` of which run at the same time."""
    unset = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OPENBLAS_THREAD_TIMEOUT"}
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    command = [sys.executable, __file__, "--child", work, "--steps", str(asked.steps)]
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(asked.threads))
    settings = {**inherited, **environment, **limits}
    children = [
        subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    printed = [child.communicate()[0] for child in children]
    return statistics.median(float(text) for line in printed for text in line.split())


def steps(work: str, count: int) -> list[float]:
    """Seconds of each repetition in this process."""
    return ridges(count) if work == "ridge" else trainings(work, count)


def ridges(count: int) -> list[float]:
    import numpy as np

    from lib.evaluation.baselines import Ridge

    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2000, 768)), generator.normal(size=(2000, 2))
    seconds = []
    for _ in range(count + 2):
        began = time.perf_counter()
        Ridge([(x, y)])
        seconds.append(time.perf_counter() - began)
    return seconds[2:]


def trainings(network: str, count: int) -> list[float]:
    import torch

    from lib import models

    torch.manual_seed(0)
    if network == "small":
        layers = [
            torch.nn.Conv3d(3, 8, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv3d(8, 8, 3, padding=1),
        ]
        net, batch = torch.nn.Sequential(*layers), torch.rand(4, 3, 8, 64, 64)
    else:
        net = models.create("tsav", width=0.11, face_size=64, audio_seconds=2.0)
        batch = {name: torch.rand(32, *shape) for name, shape in net.shapes().items()}
    optimizer = torch.optim.AdamW(net.parameters())
    seconds = []
    for _ in range(count + 2):
        began = time.perf_counter()
        optimizer.zero_grad()
        outputs = net(batch)
        values = outputs.values() if isinstance(outputs, dict) else [outputs]
        sum(value.square().mean() for value in values).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
    return seconds[2:]


if __name__ == "__main__":
    main()
