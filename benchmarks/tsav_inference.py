"""TSAV over all frames of a recording: the library's way against the plain loop, frame by frame,
reading included.

    python benchmarks/tsav_inference.py [--frames 96]

Plain: each clip's eight pictures are read and decoded for every frame, each frame's sound is
transformed by itself, the network runs as PyTorch builds it; the best of 1, 4, 8 and 16 clips a
call. Ours: each picture decoded once, the sound transformed once, batch norms folded, convolutions
in two dimensions, what neighbouring clips share computed once, the best of the same sizes and of
32, which is what recipes predict at once. The same rule of clips and sound, and the same outputs to
1e-4; exit status 1 when these differ or the gain is below 1.3.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import publish

from lib import models
from lib.experiments.notebook import MEMORY
from lib.faces import faces
from lib.faces.faces import Recent
from lib.features import mel, windows

# With more clips a call, a plain loop is slower by a third where every large array is fetched from
# the system anew.
KEEPS = {
    True: "keeps freed memory, for both, as the runner lets it (`lib.experiments.notebook.MEMORY`)",
    False: "is as it comes",
}
SIZES, OURS, FPS, SECONDS = (1, 4, 8, 16), (1, 4, 8, 16, 32), 25.0, 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=96, help="frames of the recording")
    parser.add_argument(
        "--width", type=float, default=1.0, help="below 1 only to see that the script runs"
    )
    parser.add_argument("--repeats", type=int, default=1, help="the fastest of so many")
    asked = parser.parse_args()
    torch.manual_seed(0)
    net = stirred(models.create("tsav", width=asked.width, channels=3).eval().requires_grad_(False))
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        crops, sound = recording(Path(folder), asked.frames)
        folded, half = net.folded(), net.folded(torch.bfloat16)
        plain(net, crops, sound, 4, some=4)  # the first calls are slow
        for each in (folded, half):
            ours(each, crops, sound, 4, some=4)
        kinds = [
            ("plain loop", SIZES, lambda size: plain(net, crops, sound, size)),
            ("ours", OURS, lambda size: ours(folded, crops, sound, size)),
            ("ours, bfloat16 inside", OURS, lambda size: ours(half, crops, sound, size)),
        ]
        found = {
            name: {size: fastest(run, size, asked.repeats) for size in sizes}
            for name, sizes, run in kinds
        }
    expected = found["plain loop"][1][1]
    rows, best = [], {}
    for name, sizes in found.items():
        speed = {size: asked.frames / seconds for size, (seconds, _) in sizes.items()}
        best[name] = max(speed.values())
        apart = max(np.abs(values - expected).max() for _, values in sizes.values())
        rows.append(
            [
                name,
                *(f"{speed[size]:.2f}" if size in speed else "–" for size in OURS),
                f"{best[name] / best['plain loop']:.2f}",
                f"{apart:.1e}",
            ]
        )
    publish(
        "tsav_inference",
        [
            "way",
            *(f"frames/s, {size} a call" for size in OURS),
            "best against best",
            "largest difference of outputs",
        ],
        rows,
        ["torch", "torchvision", "numpy"],
        [
            f"Width {asked.width:g}, 3 channels, 8 pictures of 112 x 112 and 10 s of sound a "
            f"frame, {asked.frames} "
            f"frames, float32 unless said, {torch.get_num_threads()} threads; reading of JPEG "
            "files included. Outputs "
            f"have a standard deviation of {expected.std():.2f}. "
            f"The allocator {KEEPS[set(MEMORY) <= set(os.environ)]}."
        ],
    )
    exact = max(np.abs(values - expected).max() for _, values in found["ours"].values())
    sys.exit(
        0 if exact < 1e-4 and (asked.width < 1 or best["ours"] >= 1.3 * best["plain loop"]) else 1
    )


def stirred(net: torch.nn.Module) -> torch.nn.Module:
    """Batch norms that do something: those of a new network are identities."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.7, 1.4)
    return net


def recording(folder: Path, n_frames: int) -> tuple[Path, np.ndarray]:
    """A folder of JPEG files that change from frame to frame, and as much sound."""
    generator = np.random.default_rng(0)
    base = cv2.GaussianBlur(generator.integers(0, 256, (160, 160, 3), np.uint8), (0, 0), 3)
    for frame in range(n_frames):
        shift = 20 + int(15 * np.sin(frame / 7))
        picture = cv2.normalize(base[shift : shift + 112, 10:122], None, 0, 255, cv2.NORM_MINMAX)
        cv2.imwrite(str(folder / f"{frame + 1:05d}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return folder, 0.1 * generator.normal(size=int((n_frames / FPS + 1) * mel.RATE)).astype(
        np.float32
    )


def fastest(run, size: int, repeats: int) -> tuple[float, np.ndarray]:
    return min((run(size) for _ in range(repeats)), key=lambda found: found[0])


def plain(
    net, crops: Path, sound: np.ndarray, size: int, some: int = 0
) -> tuple[float, np.ndarray]:
    """Seconds and outputs (T, 17); nothing is remembered from one frame to the next."""
    began = time.perf_counter()
    source = faces.Faces(valid(crops), 112, crops_dir=crops)
    clips, columns, outputs = windows.clips(some or len(source)), mel.columns(SECONDS), []
    for start in range(0, len(clips), size):
        frames = range(start, min(start + size, len(clips)))
        pictures = np.stack([source.read(clips[frame]) for frame in frames])
        mels = np.stack(
            [
                mel.plain_segment(sound, mel.start_column(frame / FPS, 0.0, SECONDS), columns)
                for frame in frames
            ]
        )[:, None]
        outputs.append(called(net, mels, clip=pictures))
    return time.perf_counter() - began, np.concatenate(outputs)


def ours(net, crops: Path, sound: np.ndarray, size: int, some: int = 0) -> tuple[float, np.ndarray]:
    """Seconds and outputs (T, 17), as `lib.recipes.tsav` gathers a trial."""
    began = time.perf_counter()
    source = Recent(faces.Faces(valid(crops), 112, crops_dir=crops))
    clips, columns, power = (
        windows.clips(some or len(source.faces)),
        mel.columns(SECONDS),
        mel.power_mel(sound),
    )
    starts, order = (
        mel.start_column(np.arange(len(clips)) / FPS, 0.0, SECONDS),
        windows.together(len(clips), size=size),
    )
    outputs = np.zeros((len(clips), 17), np.float32)
    for rows in (order[start : start + size] for start in range(0, len(clips), size)):
        shown, where = np.unique(clips[rows], return_inverse=True)
        outputs[rows] = called(
            net,
            mel.segments(power, starts[rows], columns),
            pictures=source.read(shown),
            shown=where.reshape(-1, 8),
        )
    return time.perf_counter() - began, outputs


def valid(crops: Path) -> np.ndarray:
    return np.ones(sum(1 for _ in crops.iterdir()), bool)


def called(net, mels: np.ndarray, **pictures: np.ndarray) -> np.ndarray:
    found = net(
        {
            "mel": torch.from_numpy(mels),
            **{name: torch.from_numpy(value) for name, value in pictures.items()},
        }
    )
    return torch.cat(list(found.values()), dim=1).numpy()


if __name__ == "__main__":
    main()
