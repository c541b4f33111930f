"""One training step of `jca`: 64 windows of 16 steps at once, against a loop over the windows one
by one.

    python benchmarks/fusion_step.py [--windows 64] [--repeats 3]

Features are random, sizes are the published ones (49 positions of 512 channels, 512 of sound).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import publish

from lib import models
from lib.training import losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    rows = []
    for name in ("jca", "rjca", "dca", "jca_paper"):
        at_once, one_by_one = measure(name, asked.windows, asked.repeats)
        rows.append([name, f"{at_once:.2f}", f"{one_by_one:.2f}", f"{one_by_one / at_once:.1f}"])
    publish(
        "fusion_step",
        ["network", "at once in s", "one by one in s", "times faster"],
        rows,
        ["torch"],
        [
            f"Forward and backward, {asked.windows} windows of 16 steps, float32, the faster of "
            f"{asked.repeats} "
            f"repeats, {torch.get_num_threads()} threads. One by one: the loss of each window, "
            "gradients added up."
        ],
    )


def measure(name: str, n_windows: int, repeats: int) -> tuple[float, float]:
    """Seconds of a step, at once and one by one."""
    torch.manual_seed(0)
    net = models.create(name)
    batch = {key: torch.randn(n_windows, 16, size) for key, size in net.sizes.items()}
    target = torch.rand(n_windows, 16, 2) * 2 - 1
    singles = [
        ({key: x[i : i + 1] for key, x in batch.items()}, target[i : i + 1])
        for i in range(n_windows)
    ]
    return (
        min(step(net, [(batch, target)]) for _ in range(repeats)),
        min(step(net, singles) for _ in range(repeats)),
    )


def step(net: torch.nn.Module, pieces: list) -> float:
    net.zero_grad()
    began = time.perf_counter()
    for batch, target in pieces:
        losses.va_loss(net(batch)["va"], target).backward()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
