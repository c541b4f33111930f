"""How long the default sample conversations take to be made, and their size: `python
benchmarks/conversations_made.py`.

About two minutes on two cores; nothing is kept.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import publish

from lib.datasets.samples import conversations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--workers", type=int, default=2)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        started = time.perf_counter()
        root = conversations.make(Path(place), 0, told.trials, told.seconds, told.workers)
        seconds = time.perf_counter() - started
        size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) / 1e6
    frames = sum(one.n_frames for one in conversations.conversations(0, told.trials, told.seconds))
    publish(
        "conversations_made",
        ["conversations", "pictures", "seconds", "MB", "wanted (s)"],
        [[told.trials + conversations.TESTS, frames, f"{seconds:.0f}", f"{size:.0f}", 180]],
        ["av", "numpy", "opencv-python-headless"],
        [f"{told.workers} processes."],
    )


if __name__ == "__main__":
    main()
