"""One training step of every network that can be trained, on a GPU: in three precisions, and with
deterministic algorithms.

    python benchmarks/gpu_steps.py [--seconds 1.0] [--batch 32] [--width 1.0] [--networks tsav …]

Inputs are random and lie on the device, so no loading is measured; the loss is the mean square of
all outputs. A step is forward, backward and AdamW, with autocast (and a scaled loss in float16) as
`lib.training.trainer` trains. A network that does not fit, or that lacks a deterministic algorithm,
has a row that says so. Without a GPU it says so and prints the CPU's rows.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import gpu
from report import publish

from lib import models
from lib.models import device

# Sizes that a network leaves open: steps of a window, frames of a clip, columns of a spectrogram.
STEPS = 16
LETTERS = {"L": STEPS, "M": 101, "T": STEPS}
NOT_TRAINED = {"face_api", "face_api_landmarks", "vggish"}  # published ones that only predict
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0 if gpu.ON_GPU else 0.2)
    parser.add_argument("--batch", type=int, default=32 if gpu.ON_GPU else 2)
    parser.add_argument(
        "--width", type=float, default=1.0, help="below 1 only to see that the script runs"
    )
    networks = sorted(models.REGISTRY.keys() - NOT_TRAINED)
    parser.add_argument("--networks", nargs="+", default=networks, choices=networks)
    asked = parser.parse_args()
    device.pick(gpu.PLACE.type)  # float32 means float32 from here on
    # CPUs have no kernels of float16 for some of these.
    precisions = PRECISIONS if gpu.ON_GPU else ("float32", "bfloat16")
    rows = []
    for name in asked.networks:
        times = [measured(name, precision, False, asked) for precision in precisions]
        rows.append([name, *times, measured(name, "bfloat16", True, asked)])
        print(rows[-1], flush=True)
    publish(
        "gpu_steps" if gpu.ON_GPU else "gpu_steps_cpu",
        ["network", *(f"{each}, ms" for each in precisions), "bfloat16, deterministic, ms"],
        rows,
        ["torch", "numpy"],
        [
            gpu.where(),
            f"Width {asked.width:g}, batches of {asked.batch}, {STEPS} steps or frames where a "
            "network leaves that open. TF32 is off.",
        ],
    )


def measured(name: str, precision: str, deterministic: bool, asked: argparse.Namespace) -> str:
    """Milliseconds of a step, or why there is none."""
    torch.use_deterministic_algorithms(deterministic)
    try:
        return f"{1000 * gpu.seconds(step(name, precision, asked), asked.seconds):.1f}"
    except torch.OutOfMemoryError:
        return "does not fit"
    except RuntimeError as error:
        if not (deterministic and "deterministic" in str(error)):
            raise
        return "no such algorithm"
    finally:
        torch.use_deterministic_algorithms(False)


def step(name: str, precision: str, asked: argparse.Namespace):
    """A function that trains a new network by one step."""
    torch.manual_seed(0)
    options = {"width": asked.width} if "width" in models.options(name) else {}
    net = models.create(name, **options).to(gpu.PLACE).train()
    shapes = net.shapes(**LETTERS).items()
    batch = {key: torch.rand(asked.batch, *shape, device=gpu.PLACE) for key, shape in shapes}
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    half = PRECISIONS[precision]
    scaler = torch.amp.GradScaler(gpu.PLACE.type, enabled=half is torch.float16)

    def run() -> None:
        with torch.autocast(gpu.PLACE.type, dtype=half or torch.bfloat16, enabled=half is not None):
            outputs = net(batch)
        loss = sum(values.float().square().mean() for values in outputs.values())
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return run


if __name__ == "__main__":
    main()
