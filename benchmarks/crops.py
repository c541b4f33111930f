"""How fast notebook 02 takes over cropped faces that a data set brings: `python
benchmarks/crops.py`.

Trials of 112×112 JPEG pictures, one per frame, as Aff-Wild2 ships them; what 02 does with
`pack_faces: false` and two workers, time stamps being there from notebook 01. About a minute, most
of it to make the pictures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import publish

from lib import arrays, parallel
from lib.arrays import MAKERS
from lib.store import Store, request

TRIALS, FRAMES, SIDE, WORKERS = 24, 2500, 112, 2
WANTED = 6000  # frames per second
REQUESTS = (request("face_valid"), request("face", size=SIDE))


def pictures(folder: Path, count: int) -> int:
    """Smooth pictures with a little noise, JPEG of quality 95: about as large as real crops;
    returns the bytes.
    """
    folder.mkdir(parents=True)
    drawn, total = np.random.default_rng(0), 0
    some = [
        cv2.resize(
            drawn.integers(0, 255, (9, 9, 3), np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
        )
        + drawn.integers(0, 6, (SIDE, SIDE, 3), np.uint8) // 2
        for _ in range(50)
    ]
    coded = [
        cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        for picture in some
    ]
    for k in range(count):
        total += (folder / f"{k + 1:05d}.jpg").write_bytes(coded[k % len(coded)])
    return total


def prepare(root: Path, count: int, frames: int) -> tuple[list[dict], Store, int]:
    store, trials, total = Store(root / "processed", "set", root, "crops"), [], 0
    for number in range(count):
        total += pictures(root / "crops" / f"{number}", frames)
        trials.append(
            {
                "trial": f"{number}",
                "video": f"{number}",
                "person": "",
                "crops_dir": f"crops/{number}",
                "video_path": f"{number}.mp4",
                "audio_path": "",
            }
        )
        made_from = {
            "name": "time",
            "parameters": {},
            "version": MAKERS["time"].version,
            "inputs": {},
        }
        store.shelf("video", f"{number}").write(made_from, np.arange(frames) / 30)
    return trials, store, total


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.npy"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="four trials of 300 frames")
    count, frames = (4, 300) if parser.parse_args().short else (TRIALS, FRAMES)
    with tempfile.TemporaryDirectory() as place:
        trials, store, total = prepare(Path(place), count, frames)
        before = size(store.folder)
        work = partial(
            arrays.make_all,
            requests=REQUESTS,
            store=store,
            pack=False,
            optional=[request("pixels")],
        )
        started = time.perf_counter()
        outcomes = parallel.map(work, trials, WORKERS)
        seconds = time.perf_counter() - started
        assert all(outcome.ok for outcome in outcomes)
        states = {row["array"]: row["state"] for outcome in outcomes for row in outcome.value}
        rows = [
            (
                f"{count} × {frames}",
                f"{count * frames / seconds:,.0f} (at least {WANTED:,})",
                f"{seconds:.1f}",
                states[str(REQUESTS[1])],
                f"{total / count / frames:,.0f}",
                f"{(size(store.folder) - before) / count / frames:,.0f}",
            )
        ]
    publish(
        "crops",
        (
            "trials × frames",
            "frames per second",
            "s",
            "face",
            "bytes per picture",
            "bytes written a frame",
        ),
        rows,
        ("numpy", "opencv-python-headless"),
        [
            "Every picture is read once and reduced to 16×16 for the trivial predictors (768 "
            "bytes); that and whether "
            "there is a face is all that is written. Starting the two workers is in the time."
        ],
    )


if __name__ == "__main__":
    main()
