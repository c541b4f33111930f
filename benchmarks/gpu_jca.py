"""JCA's training from cached features on a GPU: seconds of an epoch at the size of Aff-Wild2.

    python benchmarks/gpu_jca.py [--network jca] [--seconds 10]

Features are random, float16, in memory; batches are put together on the host, pinned, and sent
ahead. What is measured is windows a second; an epoch of one phase (as params/affwild2_jca.yaml
trains) and one of every frame follow from it. Without a GPU it says so and prints the CPU's row.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import gpu
from report import publish

from lib import models
from lib.media.reading_ahead import ahead
from lib.training import losses

FRAMES, STEPS, HOP, BATCH, CHANNELS = 2_800_000, 16, 32, 64, 512  # TSAV/JCA specification §2, §4
STORED = {1: 100_000, 49: 8_000}  # different frames in memory: 0.1 GB pooled, 0.4 GB with positions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["jca", "rjca", "dca"])
    parser.add_argument(
        "--seconds", type=float, default=10.0 if gpu.ON_GPU else 1.0, help="measured for each row"
    )
    parser.add_argument(
        "--positions", type=int, nargs="+", default=[1, 49], help="1: pooled features"
    )
    parser.add_argument("--batch", type=int, default=BATCH)
    asked = parser.parse_args()
    rows = []
    for name in asked.networks:
        for positions in asked.positions if "visual_positions" in models.options(name) else [1]:
            for half in [True, False] if gpu.ON_GPU else [False]:
                speed = windows_a_second(name, positions, half, asked)
                one, every = (FRAMES / STEPS / each / speed for each in (HOP, 1))
                rows.append(
                    [
                        name,
                        "pooled" if positions == 1 else "49 positions",
                        "bfloat16" if half else "float32",
                        f"{speed:,.1f}",
                        f"{one:,.1f}",
                        f"{every:,.0f}",
                    ]
                )
    publish(
        "gpu_jca" if gpu.ON_GPU else "gpu_jca_cpu",
        [
            "network",
            "features",
            "autocast",
            "windows/s",
            "s per epoch of one phase",
            "s per epoch of every frame",
        ],
        rows,
        ["torch", "numpy"],
        [
            gpu.where(),
            f"Full width, {asked.batch} windows of {STEPS} steps a batch, AdamW, gathering and "
            "sending "
            f"included. One phase: {FRAMES:,} frames / {STEPS * HOP} = "
            f"{FRAMES / STEPS / HOP:,.0f} windows; every "
            f"frame: {FRAMES / STEPS:,.0f}. The author's log: 2.3 to 2.9 hours per epoch of every "
            "frame of the train "
            "videos, the backbone in the loop, on one GPU of another kind.",
        ],
    )


def windows_a_second(name: str, positions: int, half: bool, asked) -> float:
    torch.manual_seed(0)
    choice = {"visual_positions": positions} if "visual_positions" in models.options(name) else {}
    net = models.create(name, **choice).to(gpu.PLACE).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    stored = {
        key: torch.randn(STORED[positions], size, dtype=torch.float16)
        for key, size in net.sizes.items()
    }
    done, began = 0, 0.0
    for number, batch in enumerate(ahead(batches(stored, asked.batch))):
        if number == 3:  # the first ones are slow
            gpu.wait()
            done, began = 0, time.perf_counter()
        step(net, optimizer, batch, half)
        done += asked.batch
        if number > 3 and time.perf_counter() - began > asked.seconds:
            break
    gpu.wait()
    return done / (time.perf_counter() - began)


def batches(stored: dict, size: int):
    """Endless batches on the device."""
    frames = len(next(iter(stored.values())))
    while True:
        first = torch.randint(0, frames - STEPS * HOP, (size, 1))
        rows = first + HOP * torch.arange(STEPS)
        batch = {key: x[rows] for key, x in stored.items()} | {
            "target": torch.rand(size, STEPS, 2) * 2 - 1
        }
        yield {
            key: (x.pin_memory() if gpu.ON_GPU else x).to(gpu.PLACE, non_blocking=True)
            for key, x in batch.items()
        }


def step(net, optimizer, batch: dict, half: bool) -> None:
    with torch.autocast(gpu.PLACE.type, dtype=torch.bfloat16, enabled=half):
        va = net(batch)["va"]
    loss = losses.va_loss(va, batch["target"])
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


if __name__ == "__main__":
    main()
