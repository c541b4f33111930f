"""TSAV on a GPU: frames per second of the network alone and with its pictures and sound, and of the
feature cache.

    python benchmarks/gpu_tsav.py [--batch 256] [--frames 20000] [--compiled]

Runs wherever PyTorch, torchvision and torchaudio are; without a GPU it says so and prints the CPU's
row. Pictures and sound are random. "With the loader": uint8 pictures travel to the device once
each, clips and segments are put together there, as in `lib.features.backbone` and
`lib.recipes.tsav`.
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

import gpu
from report import publish

from lib import models
from lib.faces import faces
from lib.faces.faces import Recent
from lib.features import mel, windows
from lib.media.reading_ahead import ahead
from lib.models.forward import channels_last

FLOP = {
    "tsav": 40.5e9 + 4.48e9,
    "features": 40.5e9 + 0.5e9,
}  # of a frame: clip and sound (TSAV/JCA specification §1.5)
SECONDS = {"tsav": 10.0, "features": 32 / 30}
FPS, SIZE, TARGET = 30.0, 112, 6000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256 if gpu.ON_GPU else 4, help="clips a call")
    parser.add_argument(
        "--frames", type=int, default=20_000 if gpu.ON_GPU else 8, help="of the synthetic recording"
    )
    parser.add_argument(
        "--width", type=float, default=1.0, help="below 1 only to see that the script runs"
    )
    parser.add_argument(
        "--compiled", action="store_true", help="the compiled networks too (minutes)"
    )
    parser.add_argument("--float32", action="store_true", help="the float32 rows too, on a GPU")
    asked = parser.parse_args()
    torch.manual_seed(0)
    card, rows = gpu.rate(), []
    net = (
        models.create("tsav", width=asked.width, channels=3)
        .to(gpu.PLACE)
        .eval()
        .requires_grad_(False)
    )
    backbone = models.create("tsav_backbone", width=asked.width, pooled=True).to(gpu.PLACE).eval()
    with torch.inference_mode():
        for name, kind, run in ways(net, backbone, asked):
            speed = alone(run, kind, asked.batch)
            loaded = streamed(run, kind, asked.frames, asked.batch)
            share = speed * FLOP[kind] * asked.width**2 / card
            rows.append(
                [
                    name,
                    f"{speed:,.1f}",
                    f"{loaded:,.1f}",
                    f"{share:.0%}" if asked.width == 1 else "",
                ]
            )
    publish(
        "gpu_tsav" if gpu.ON_GPU else "gpu_tsav_cpu",
        ["way", "frames/s, network alone", "frames/s, with the loader", "share of the bf16 rate"],
        rows,
        ["torch", "torchvision", "torchaudio", "numpy"],
        [
            gpu.where(),
            f"Width {asked.width:g}, 8 pictures of {SIZE} x {SIZE}, {asked.batch} clips a call, "
            f"{asked.frames:,} frames. bf16 rate: {card / 1e12:.1f} TFLOP/s, a matrix product "
            "measured in this run; "
            f"a frame of TSAV counts {FLOP['tsav'] / 1e9:.1f} GFLOP, one of the cache "
            f"{FLOP['features'] / 1e9:.1f}.",
            f"Target on an H200-class GPU: {TARGET:,} frames/s with the loader keeping up.",
        ],
    )


def ways(net, backbone, asked) -> list[tuple[str, str, object]]:
    """(name, kind, function of a batch) of each row."""

    def autocast(batch):
        with torch.autocast(gpu.PLACE.type, dtype=torch.bfloat16):
            return plain(batch)

    plain, half = channels_last(net), net.folded(torch.bfloat16)
    found = [
        ("as built, bfloat16 autocast", "tsav", autocast),
        ("folded, bfloat16", "tsav", half),
        ("feature cache, folded, float32 (TF32 on GPUs)", "features", backbone.folded()),
        ("feature cache, folded, bfloat16", "features", backbone.folded(torch.bfloat16)),
    ]
    if asked.float32 or not gpu.ON_GPU:
        found += [("as built, float32", "tsav", plain), ("folded, float32", "tsav", net.folded())]
    if asked.compiled:
        found += [
            ("folded, bfloat16, compiled", "tsav", torch.compile(half)),
            (
                "feature cache, folded, bfloat16, compiled",
                "features",
                torch.compile(backbone.folded(torch.bfloat16)),
            ),
        ]
    return found


def alone(run, kind: str, batch: int) -> float:
    """Frames a second with everything on the device already."""
    given = {
        "clip": torch.randint(
            0, 256, (batch, 8, SIZE, SIZE, 3), dtype=torch.uint8, device=gpu.PLACE
        ),
        "mel": torch.randn(batch, 1, 64, mel.columns(SECONDS[kind]), device=gpu.PLACE),
    }
    return batch / gpu.seconds(lambda: run(given), 2.0)


def streamed(run, kind: str, n_frames: int, batch: int) -> float:
    """Frames a second of a recording from its pictures in memory and its mel to outputs on the
    host.
    """
    generator = np.random.default_rng(0)
    source = Recent(
        faces.Faces(
            np.ones(n_frames, bool),
            SIZE,
            packed=generator.integers(0, 256, (n_frames, SIZE, SIZE, 3), np.uint8),
        ),
        keep=2 * batch,
    )
    power = generator.random((int(n_frames / FPS * mel.COLUMNS_A_SECOND) + 1, 64), np.float32)
    clips = windows.clips(n_frames)
    starts = mel.start_column(np.arange(n_frames) / FPS, 0.0, SECONDS[kind])
    began = time.perf_counter()
    outputs = [
        list(run(given).values())
        for given in ahead(
            gathered(source, power, clips[k : k + batch], starts[k : k + batch], kind)
            for k in range(0, n_frames, batch)
        )
    ]
    host = [[x.cpu() for x in each] for each in outputs]
    return sum(len(each[0]) for each in host) / (time.perf_counter() - began)


def gathered(
    source: Recent, power: np.ndarray, clips: np.ndarray, starts: np.ndarray, kind: str
) -> dict:
    shown, where = np.unique(clips, return_inverse=True)
    pictures = torch.from_numpy(source.read(shown)).to(gpu.PLACE)
    return {
        "clip": pictures[torch.from_numpy(where.reshape(clips.shape)).to(gpu.PLACE)],
        "mel": mel.tensors(power, starts, mel.columns(SECONDS[kind]), gpu.PLACE),
    }


if __name__ == "__main__":
    main()
