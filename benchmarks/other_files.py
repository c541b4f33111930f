"""How long notebook 01 looks for recordings in a folder with a hundred thousand other files.

    python benchmarks/other_files.py [--files 100000] [--folders 100]

Two recordings among files of 900 bytes without a meaning, made here. Told is processor time of
`lib.datasets.folder.find`, which looks into each file and says what became of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import numpy as np
import report

from lib.datasets import folder
from lib.media import writing

MOST = 10.0  # s of processor time for a hundred thousand


def made(root: Path, files: int, folders: int) -> Path:
    """The folder of recordings."""
    pictures = [np.full((36, 64, 3), 9 * k, np.uint8) for k in range(20)]
    for name in ("a.mp4", "b.mp4"):
        writing.write_video(root / name, pictures, np.arange(20) / 25)
    for number in range(folders):
        place = root / f"{number}"
        place.mkdir()
        for k in range(files // folders):
            (place / f"{k}.bin").write_bytes(bytes([k % 251]) * 900)
    return root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--folders", type=int, default=100)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        root = made(Path(place), given.files, given.folders)
        for turn in ("first", "second"):
            began, waited = time.process_time(), time.perf_counter()
            table, found = folder.find(root, "folder-benchmark")
            took, waited = time.process_time() - began, time.perf_counter() - waited
            rows.append([turn, len(table), len(found.files), f"{took:.1f}", f"{waited:.1f}"])
    head = ["look", "trials", "rows of files.csv", f"processor time, s (at most {MOST:g})", "s"]
    note = f"Two recordings and {given.files:,} other files in {given.folders} folders."
    report.publish("other_files", head, rows, ["pandas"], [note])


if __name__ == "__main__":
    main()
