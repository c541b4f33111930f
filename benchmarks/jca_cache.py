"""An epoch of JCA on cached features, against the published way: the frozen backbone in the loop.

    python benchmarks/jca_cache.py [--clips 32] [--windows 128] [--steps 20]

Both ways train the same network on the same windows of the same random clips, at full width in float32. The published
way calls the backbone for one window of 16 clips at a time, in every epoch; the cache calls it once for every frame,
ever, and keeps the features as float16. What is measured on little data is extrapolated to Aff-Wild2 with the
arithmetic shown. Exit status 1 when a promise (80 times, 1e-3 of the loss) is not kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import publish  # noqa: E402

from lib import losses, models  # noqa: E402
from lib.features import mel, published_sound  # noqa: E402
from lib.models.tsav_backbone import TSAVBackbone  # noqa: E402

FRAMES = 2_800_000   # of Aff-Wild2 (tsav_jca.md §4)
STEPS = 16
BATCH = 64           # windows in a training step, as published
FEW = 8              # of the steps whose losses are compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=32, help="different frames, 16 or more")
    parser.add_argument("--windows", type=int, default=128, help="windows of the cached epoch")
    parser.add_argument("--loop", type=int, default=2, help="windows of the published way that are timed")
    parser.add_argument("--steps", type=int, default=20, help="training steps whose losses are compared")
    parser.add_argument("--width", type=float, default=1.0, help="below 1 only to see that the script runs")
    asked = parser.parse_args()
    torch.manual_seed(0)
    backbone = TSAVBackbone(width=asked.width).eval().requires_grad_(False)
    clips, mels = inputs(asked.clips)
    order = torch.stack([torch.randperm(asked.clips)[:STEPS] for _ in range(asked.windows)])
    target = torch.rand(asked.windows, STEPS, 2) * 2 - 1

    exact, _ = features(backbone, clips, mels)
    filled, filling = features(backbone.folded(), clips, mels)
    cache = {name: x.half() for name, x in filled.items()}
    published = in_the_loop(backbone, clips, mels, order[:asked.loop], target)
    cached = epoch(backbone, cache, order, target)
    one, other = (trained(backbone, source, order, target, asked.steps) for source in (exact, cache))
    apart = max(abs(x - y) / abs(x) for x, y in zip(one, other, strict=True))
    faster, windows = published / cached, FRAMES / STEPS
    publish("jca_cache", ["way", "s a window", "times faster", "every frame of Aff-Wild2 once, this machine"],
            [["published: backbone in the loop", f"{published:.3f}", "1", hours(published * windows)],
             ["cached features", f"{cached:.4f}", f"{faster:.0f}", hours(cached * windows)],
             ["filling the cache, once and for all", f"{filling:.3f}", "", hours(filling * windows)]],
            ["torch", "numpy"],
            [f"Width {asked.width:g}, float32, {torch.get_num_threads()} threads, clips of 8 x 112 x 112, "
             f"{BATCH} windows of {STEPS} steps a training step; {asked.loop} windows timed with the backbone, "
             f"{asked.windows} from the cache. Published: features of one window of {STEPS} clips at a time, then the "
             "same training step.",
             f"Extrapolated: {FRAMES:,} frames / {STEPS} targets a window = {windows:,.0f} windows, times the seconds "
             "a window.",
             f"Loss of the first {asked.steps} steps, exact features against the cache (folded network, float16): "
             f"{apart:.1e} apart at most, relative. Dropout off: two trainings can only be compared without it."])
    sys.exit(0 if asked.width < 1 or (faster >= 80 and apart <= 1e-3) else 1)


def inputs(n_clips: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random clips and segments as JCA has them at 30 frames a second."""
    clips = torch.randint(0, 256, (n_clips, 8, 112, 112, 3), dtype=torch.uint8)
    sound = 0.1 * np.random.default_rng(0).normal(size=10 * mel.RATE).astype(np.float32)
    columns = published_sound.longest(np.arange(300) / 30)
    mels = published_sound.segments(sound, np.arange(300) / 30, range(60, 60 + n_clips), columns)
    return clips, torch.from_numpy(mels)


@torch.inference_mode()
def features(backbone: torch.nn.Module, clips: torch.Tensor, mels: torch.Tensor) -> tuple[dict, float]:
    """Float32 features of all clips, and seconds for 16 of them."""
    began = time.perf_counter()
    found = [backbone({"clip": clips[rows], "mel": mels[rows]}) for rows in torch.arange(len(clips)).split(STEPS)]
    seconds = time.perf_counter() - began
    return ({name: torch.cat([each[name] for each in found]).clone() for name in ("visual", "audio")},
            seconds / len(clips) * STEPS)


def in_the_loop(backbone, clips, mels, order: torch.Tensor, target: torch.Tensor) -> float:
    """Seconds a window of the published way: features of each window, then a step with all of them."""
    net, optimizer = network(backbone)
    began = time.perf_counter()
    for rows in torch.arange(len(order)).split(BATCH):
        parts = [features(backbone, clips[window], mels[window])[0] for window in order[rows]]
        source = {name: torch.stack([part[name] for part in parts]) for name in parts[0]}
        step(net, optimizer, source, target[rows])
    return (time.perf_counter() - began) / len(order)


def epoch(backbone, source: dict, order: torch.Tensor, target: torch.Tensor) -> float:
    """Seconds a window of an epoch from the cache, reading it included."""
    net, optimizer = network(backbone)
    step(net, optimizer, {name: x[order[:FEW]] for name, x in source.items()}, target[:FEW])  # the first is slow
    began = time.perf_counter()
    for rows in torch.arange(len(order)).split(BATCH):
        step(net, optimizer, {name: x[order[rows]] for name, x in source.items()}, target[rows])
    return (time.perf_counter() - began) / len(order)


def trained(backbone, source: dict, order: torch.Tensor, target: torch.Tensor, steps: int) -> list[float]:
    """The losses of the first steps."""
    net, optimizer = network(backbone)
    rows = [torch.arange(FEW * k, FEW * (k + 1)) % len(order) for k in range(steps)]
    return [step(net, optimizer, {name: x[order[some]] for name, x in source.items()}, target[some]) for some in rows]


def network(backbone) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(1)
    net = models.create("jca", dropout=0.0, visual_channels=backbone.visual_channels,
                        audio_channels=backbone.audio_channels)
    return net, torch.optim.Adam(net.parameters(), lr=1e-4)


def step(net, optimizer, batch: dict, target: torch.Tensor) -> float:
    loss = losses.va_loss(net(batch)["va"], target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    main()
