"""TSAV's spectrogram for every frame of a video, streamed: `python benchmarks/mel.py [--device
cuda]`. Ten seconds.

Five minutes of sound (noise: what is in it makes no difference) and 30 frames per second: 9 000
segments of 1 s, each normalised as the network takes it, in one process. What counts of its memory
is its own: the mapped files of PyTorch's libraries (226 MB after `import torch` of version 2.11)
are the system's, shared by all processes, and can be dropped.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import memory, publish

from lib.features import mel

MINUTES, FPS = 5, 30
SECONDS, MEGABYTES = 6.0, 400.0  # what is wanted
CHECKED = 200  # segments that are also made one by one from the waveform


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a segment")
    options = parser.parse_args()
    waveform = np.random.default_rng(0).integers(-8000, 8000, MINUTES * 60 * mel.RATE, np.int16)
    times, columns = np.arange(MINUTES * 60 * FPS) / FPS, mel.columns(options.seconds)
    starts = mel.start_column(times, 0.0, options.seconds)
    before = memory("VmRSS")
    started = time.perf_counter()
    power = mel.power_mel(waveform)
    whole_file = time.perf_counter() - started
    for part in mel.stream(power, starts, columns, options.device):
        part[0, 0, 0, 0].item()  # waits for the device
    seconds = time.perf_counter() - started
    most = memory("VmHWM")
    own = most - memory("RssFile")
    some = np.linspace(0, len(starts) - 1, CHECKED).astype(int)
    started = time.perf_counter()
    one_by_one = [mel.plain_segment(waveform, starts[k], columns) for k in some]
    each = (time.perf_counter() - started) / CHECKED
    off = max(
        float(np.abs(mel.segment(power, starts[k], columns) - found).max())
        for k, found in zip(some, one_by_one, strict=True)
    )
    rows = [
        (
            options.device,
            f"{len(starts):,} × {options.seconds:g} s",
            f"{seconds:.2f} (below {SECONDS:g})",
            f"{seconds - whole_file:.2f}",
            f"{own:.0f} (below {MEGABYTES:g})",
            f"{most - before:.0f}",
            f"{most:.0f}",
            f"{each * len(starts):.0f}",
            f"{off:.1e}",
        )
    ]
    publish(
        "mel",
        (
            "device",
            "segments",
            "s",
            "of it the segments, s",
            "most memory of the process, PyTorch and the sound in it, MB",
            "of it for spectrogram and segments, MB",
            "with the mapped files of libraries, MB",
            "one by one from the waveform, s",
            "largest difference",
        ),
        rows,
        ("torch", "torchaudio", "numpy"),
    )


if __name__ == "__main__":
    main()
