"""An epoch of JCA on cached features, against the published way: the frozen backbone in the loop.

    python benchmarks/jca_cache.py [--clips 32] [--windows 128] [--steps 20]

Both ways train the same network on the same windows of the same synthetic clips, at full width in
float32. The published way calls the backbone for one window of 16 clips at a time, in every epoch;
the cache calls it once for every frame, ever, and keeps the features as float16. What is measured
on little data is extrapolated to Aff-Wild2 with the arithmetic shown.

The losses of the first steps are compared too, with the published 64 windows per step: of float16,
and of float32, where only the folded network's rounding is left. Training makes rounding grow from
step to step, more with fewer windows per step; most of float16's is that of the sound's features:
those of a picture are averaged over 49 positions.

Exit status 1 when a promise (80 times, 1e-3 of the loss) is not kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import publish

from lib import models
from lib.features import mel, published_sound
from lib.models.affect.tsav import TSAVBackbone
from lib.training import losses

FRAMES = 2_800_000  # of Aff-Wild2 (TSAV/JCA specification §4)
STEPS = 16
BATCH = 64  # windows in a training step, as published
LOOK_BACK, FPS = 32, 30.0  # frames from one step to the next


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=32, help="different frames, 16 or more")
    parser.add_argument("--windows", type=int, default=128, help="windows of the cached epoch")
    parser.add_argument(
        "--loop", type=int, default=2, help="windows of the published way that are timed"
    )
    parser.add_argument(
        "--steps", type=int, default=20, help="training steps whose losses are compared"
    )
    parser.add_argument("--batch", type=int, default=BATCH, help="windows of each of these steps")
    parser.add_argument(
        "--width", type=float, default=1.0, help="below 1 only to see that the script runs"
    )
    asked = parser.parse_args()
    torch.manual_seed(0)
    backbone = TSAVBackbone(width=asked.width).eval().requires_grad_(False)
    clips, mels = inputs(asked.clips)
    n_windows = max(asked.windows, asked.steps * asked.batch)
    order = torch.stack([torch.randperm(asked.clips)[:STEPS] for _ in range(n_windows)])
    target = torch.rand(n_windows, STEPS, 2) * 2 - 1

    exact, _ = features(backbone, clips, mels)
    filled, filling = features(backbone.folded(), clips, mels)
    cache = {name: x.half() for name, x in filled.items()}
    published = in_the_loop(backbone, clips, mels, order[: asked.loop], target)
    cached = epoch(backbone, cache, order[: asked.windows], target)
    batches = list(zip(order.split(asked.batch), target.split(asked.batch), strict=True))[
        : asked.steps
    ]
    one, whole, other = (trained(backbone, source, batches) for source in (exact, filled, cache))
    apart, rounded = (
        max(abs(x - y) / abs(x) for x, y in zip(one, found, strict=True))
        for found in (other, whole)
    )
    faster, windows = published / cached, FRAMES / STEPS
    publish(
        "jca_cache",
        ["way", "s per window", "times faster", "every frame of Aff-Wild2 once, this machine"],
        [
            [
                "published: backbone in the loop",
                f"{published:.3f}",
                "1",
                hours(published * windows),
            ],
            ["cached features", f"{cached:.4f}", f"{faster:.0f}", hours(cached * windows)],
            ["filling the cache, once and for all", f"{filling:.3f}", "", hours(filling * windows)],
        ],
        ["torch", "numpy"],
        [
            f"Width {asked.width:g}, float32, {torch.get_num_threads()} threads, clips of 8 x 112 "
            "x 112, "
            f"{BATCH} windows of {STEPS} steps a training step; {asked.loop} windows timed with "
            "the backbone, "
            f"{asked.windows} from the cache. Published: features of one window of {STEPS} clips "
            "at a time, then the "
            "same training step.",
            f"Extrapolated: {FRAMES:,} frames / {STEPS} targets a window = {windows:,.0f} "
            "windows, times the seconds "
            "a window.",
            f"Loss of the first {asked.steps} steps of {asked.batch} windows, exact features "
            "against the cache "
            f"(folded network, float16): {apart:.1e} apart at most, relative; against a cache of "
            "float32: "
            f"{rounded:.1e}. Random labels, no augmentation, no dropout.",
        ],
    )
    sys.exit(0 if asked.width < 1 or (faster >= 80 and apart <= 1e-3) else 1)


def inputs(n_clips: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips and segments as different from each other as those of a window's steps, 32 frames
    apart: blurred pictures of other brightness that move, and voices of other pitch and loudness.
    """
    generator = np.random.default_rng(0)
    clips = np.stack([_clip(generator) for _ in range(n_clips)])
    times = np.arange(LOOK_BACK * (n_clips + 1)) / FPS
    sound = np.concatenate([_voice(generator) for _ in range(n_clips + 1)])
    frames = range(LOOK_BACK, LOOK_BACK * (n_clips + 1), LOOK_BACK)
    mels = published_sound.segments(sound, times, frames, published_sound.longest(times))
    return torch.from_numpy(clips), torch.from_numpy(mels)


def _clip(generator: np.random.Generator) -> np.ndarray:
    """(8, 112, 112, 3) uint8."""
    picture = cv2.GaussianBlur(
        generator.random((140, 140, 3), np.float32), (0, 0), generator.uniform(2, 6)
    )
    picture = cv2.normalize(picture, None, *np.sort(generator.uniform(0, 255, 2)), cv2.NORM_MINMAX)
    moved = [picture[2 * k : 2 * k + 112, k : k + 112] for k in range(8)]
    return np.stack(moved).astype(np.uint8)


def _voice(generator: np.random.Generator) -> np.ndarray:
    """A second of sound (32 frames): harmonics of one pitch, and noise."""
    time = np.arange(round(LOOK_BACK / FPS * mel.RATE)) / mel.RATE
    pitch, loudness = generator.uniform(80, 300), 10 ** generator.uniform(-2, -0.5)
    harmonics = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 20))
    return (loudness * (harmonics + 0.1 * generator.normal(size=time.size))).astype(np.float32)


@torch.inference_mode()
def features(
    backbone: torch.nn.Module, clips: torch.Tensor, mels: torch.Tensor
) -> tuple[dict, float]:
    """Float32 features of all clips, and seconds for 16 of them."""
    began = time.perf_counter()
    found = [
        backbone({"clip": clips[rows], "mel": mels[rows]})
        for rows in torch.arange(len(clips)).split(STEPS)
    ]
    seconds = time.perf_counter() - began
    return (
        {name: torch.cat([each[name] for each in found]).clone() for name in ("visual", "audio")},
        seconds / len(clips) * STEPS,
    )


def in_the_loop(backbone, clips, mels, order: torch.Tensor, target: torch.Tensor) -> float:
    """Seconds a window of the published way: features of each window, then a step with all of
    them.
    """
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
    step(
        net, optimizer, {name: x[order[:STEPS]] for name, x in source.items()}, target[:STEPS]
    )  # the first is slow
    began = time.perf_counter()
    for rows in torch.arange(len(order)).split(BATCH):
        step(net, optimizer, {name: x[order[rows]] for name, x in source.items()}, target[rows])
    return (time.perf_counter() - began) / len(order)


def trained(
    backbone, source: dict, batches: list[tuple[torch.Tensor, torch.Tensor]]
) -> list[float]:
    """The losses of a training's first steps."""
    net, optimizer = network(backbone)
    return [
        step(net, optimizer, {name: x[rows] for name, x in source.items()}, target)
        for rows, target in batches
    ]


def network(backbone) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(1)
    net = models.create(
        "jca",
        dropout=0.0,
        visual_channels=backbone.visual_channels,
        audio_channels=backbone.audio_channels,
    )
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
