"""LFAN: features, loader, putting predictions together, a training step with and without the cache.

    python benchmarks/lfan.py [--parts features loader assemble step] [--minutes 60] [--width 1.0]
    [--frames 300]

features: real-time factor of MFCC, log-mel, eGeMAPS (where openSMILE is installed) and VGGish on a
sound of so many minutes (VGGish on the first `--vggish-seconds` and on three times as much), and
VGGish's memory. loader: windows of 300 faces a second by the recipe with two workers, against the
published per-frame PIL transform in the same run. step: one training step of `lfan`, batch 8
windows of 300 frames, on CPU: with the face network in the loop, with the map behind stage 4 cached
(the output layer trains), and with the embedding cached (only the heads train).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import report

from lib import models
from lib.errors import InputError
from lib.features import egemaps, face_maps, mfcc39, vggish
from lib.models.blocks import ir50

FPS = 30
AFFWILD2_HOURS = 26.0  # data_README.md


def seconds(work, times: int = 1) -> float:
    """Median time of calls."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def feature_rows(args) -> list[list]:
    length = args.minutes * 60
    sound = np.random.default_rng(0).normal(0, 3000, length * mfcc39.RATE).astype(np.int16)
    times = np.arange(length * FPS) / FPS
    rows = []

    def add(name, work, wanted, audio):
        took = seconds(work)
        rows.append(
            [
                name,
                f"{audio:.0f} s",
                f"{took:.1f} s",
                f"{audio / took:.1f} x",
                wanted,
                f"{AFFWILD2_HOURS * took / audio:.1f} h",
            ]
        )

    add("MFCC, 39", lambda: mfcc39.on_frames(sound, 0.0, times), "100 x", length)
    minute = 60 * mfcc39.RATE
    add(
        "log-mel of VGGish",
        lambda: [vggish.log_mel(sound[k : k + minute]) for k in range(0, len(sound), minute)],
        "100 x",
        length,
    )
    part = min(length, 600)
    try:
        add(
            "eGeMAPS, 23 descriptors",
            lambda: egemaps.on_frames(sound[: part * mfcc39.RATE], 0.0, times[: part * FPS]),
            "10 x",
            part,
        )
    except InputError as error:
        rows.append(["eGeMAPS", "", "", error.what, "10 x", ""])
    for name, take in vggish_alone(args, min(length, args.vggish_seconds)).items():
        rows.append([name, *take])
    return rows


def vggish_alone(args, part: int) -> dict[str, list]:
    """VGGish in a process of its own, so that its memory is its own: a piece of the sound and three
    times as much.
    """
    found = {}
    for length in (part, 3 * part):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            took, most = pool.submit(embedded, args.width, args.minutes * 60, length).result()
        name = (
            f"VGGish, width {args.width:g}, a row per frame at {FPS} fps; memory of its process "
            f"at most {most:.0f} MB"
        )
        found[name] = [
            f"{length} s",
            f"{took:.1f} s",
            f"{length / took:.1f} x",
            "0.5 x, 1500 MB",
            f"{AFFWILD2_HOURS * took / length:.1f} h",
        ]
    return found


def embedded(width: float, whole: int, length: int) -> tuple[float, float]:
    """Seconds that the first `length` s of a sound take, and the most memory of this process
    in MB.
    """
    sound = np.random.default_rng(0).integers(-9000, 9000, whole * mfcc39.RATE, np.int16)
    net = vggish.load(None, torch.device("cpu"), width)
    heard = vggish.Heard(sound, 0.0, np.arange(whole * FPS) / FPS)

    def embed():
        for start in range(0, length * FPS, vggish.FRAMES_AT_ONCE):
            piece = heard.examples(slice(start, min(start + vggish.FRAMES_AT_ONCE, length * FPS)))
            with torch.inference_mode():
                logmel = torch.from_numpy(piece.astype(np.float32))[:, None]
                net({"logmel": logmel.contiguous(memory_format=torch.channels_last)})

    return seconds(embed), report.memory("VmHWM")


class Windows(torch.utils.data.Dataset):
    """Windows of 300 packed faces, cut by this repository or by the published per-frame
    transform.
    """

    def __init__(self, faces: np.ndarray, count: int, published: bool):
        self.faces, self.count, self.published = faces, count, published

    def __len__(self):
        return self.count

    def __getitem__(self, number):
        generator = np.random.default_rng(number)
        start = int(generator.integers(len(self.faces) - 300))
        window, place = (
            np.asarray(self.faces[start : start + 300]),
            face_maps.draw(generator, 48, 40),
        )
        if not self.published:
            return torch.from_numpy(face_maps.cut(window, 40, place))
        from PIL import Image
        from torchvision.transforms import functional as transforms

        top, left, mirror = place
        frames = []
        for picture in window:
            image = transforms.crop(Image.fromarray(picture), top, left, 40, 40)
            image = transforms.hflip(image) if mirror else image
            frames.append(transforms.normalize(transforms.to_tensor(image), [0.5] * 3, [0.5] * 3))
        return torch.stack(frames)


def loader_rows(args) -> list[list]:
    faces = np.random.default_rng(0).integers(0, 256, (6000, 48, 48, 3), dtype=np.uint8)
    rate = {}
    as_published = "published transform, no workers (as published)"
    forms = (
        (as_published, True, 0, args.windows // 8),
        ("published transform, two workers", True, 2, args.windows // 4),
        ("this recipe, no workers", False, 0, args.windows),
        ("this recipe, two workers", False, 2, args.windows),
    )
    for name, published, workers, count in forms:
        data = torch.utils.data.DataLoader(
            Windows(faces, max(count, 8), published), batch_size=8, num_workers=workers
        )
        took = seconds(lambda data=data: list(data))
        rate[name] = max(count, 8) / took
    published = rate[as_published]
    return [
        [
            name,
            f"{each:.0f} windows/s",
            f"{1 / each * 1000:.1f} ms per window",
            f"{each / published:.1f} x",
            "5 x" if name == "this recipe, two workers" else "",
            "",
        ]
        for name, each in rate.items()
    ]


def assemble_rows(args) -> list[list]:
    import pandas as pd

    from lib.recipes.lfan import Recipe

    n_frames, window, hop = 40_000, 300, 200
    start = np.append(np.arange(0, n_frames - window, hop), n_frames - window)
    table = pd.DataFrame({"trial": "a", "start": start, "first_target": start, "n_targets": window})

    class Bare(Recipe):
        columns, published = (0, 1), False

        def __init__(self):
            pass

    outputs = {
        "emotion": np.random.default_rng(0).normal(size=(len(start), window, 2)).astype(np.float32)
    }
    took = seconds(lambda: Bare().assemble(table, outputs, n_frames), 5)
    each = took / (len(start) * window)
    return [
        [
            "predictions put together",
            f"{len(start) * window} points",
            f"{took * 1000:.1f} ms",
            f"{1e-4 / each:.0f} x faster than 0.1 ms per point",
            "1000 x",
            "",
        ]
    ]


def step_rows(args) -> list[list]:
    torch.manual_seed(0)
    net = models.create("lfan", width=args.width)
    batch = {"vggish": torch.randn(8, args.frames, 128), "mfcc": torch.randn(8, args.frames, 39)}
    frame = torch.randint(0, 256, (8, args.frames, 40, 40, 3), dtype=torch.uint8)
    target = torch.randn(8, args.frames, 1)
    net.release(())
    net.eval()
    with torch.no_grad():
        flat = torch.cat(
            [
                net.backbone(ir50.as_pictures(piece), stop="output_layer")
                for piece in frame.flatten(0, 1).split(256)
            ]
        )
        maps = flat.half().unflatten(0, (8, args.frames))
        embedding = (
            torch.cat([net.backbone(piece, "output_layer") for piece in flat.split(512)])
            .half()
            .unflatten(0, (8, args.frames))
        )
    del flat
    rows, base = [], {}
    for groups, name, inputs, start, wanted in (
        (
            ("output_layer",),
            "output layer and heads train, face network in the loop",
            {"frame": frame},
            "",
            "",
        ),
        (
            ("output_layer",),
            "output layer and heads train, cached behind stage 4",
            {"frame_map": maps},
            "output_layer",
            "80 x",
        ),
        ((), "only heads train, face network in the loop", {"frame": frame}, "", ""),
        ((), "only heads train, cached embedding", {"frame_map": embedding}, "embedding", "300 x"),
    ):
        net.release(groups)
        net.train()
        for module in (
            net.modules()
        ):  # the same draws would be other numbers: dropout off, so that losses compare
            if isinstance(module, torch.nn.Dropout | torch.nn.Dropout1d):
                module.eval()
        net.map_to = start or "output_layer"
        state = {key: value.clone() for key, value in net.state_dict().items()}
        chosen = [weight for weight in net.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(chosen, 1e-5)
        values = []

        def step(inputs=inputs, optimizer=optimizer, values=values):
            optimizer.zero_grad(set_to_none=True)
            loss = (net({**batch, **inputs})["emotion"] - target).square().mean()
            loss.backward()
            optimizer.step()
            values.append(loss.item())

        took = seconds(step, 1 if "frame" in inputs else args.repeat)
        net.load_state_dict(state)
        base.setdefault(groups, took)
        rows.append(
            [
                name,
                f"8 × {args.frames} frames, width {args.width:g}",
                f"{took:.3f} s per step",
                f"{base[groups] / took:.0f} x",
                wanted,
                f"loss {values[0]:.6f}",
            ]
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", default=["features", "loader", "assemble", "step"])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--vggish-seconds", type=int, default=60)
    parser.add_argument("--windows", type=int, default=400)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    rules = {
        "features": feature_rows,
        "loader": loader_rows,
        "assemble": assemble_rows,
        "step": step_rows,
    }
    rows = [row for part in args.parts for row in rules[part](args)]
    report.publish(
        "lfan" + ("" if len(args.parts) == len(rules) else "_" + "_".join(args.parts)),
        ["what", "of", "takes", "is", "asked for", "all of Aff-Wild2 / remark"],
        rows,
        ["torch", "numpy"],
        [
            f"{torch.get_num_threads()} threads. Published loader: one process, a PIL transform a "
            "frame."
        ],
    )


if __name__ == "__main__":
    main()
