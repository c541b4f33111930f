"""One long film among short ones, two workers: how long notebook 02 takes, and how busy they are,
when the film is one piece and when it is cut into stretches.

    python benchmarks/stretches.py [--minutes 22] [--short 8] [--workers 2] [--map]
                                   [--expression WEIGHTS]

Needs the recording and the weights that the tests use (tests/shared_files.py): of the clip of
`benchmarks/faces.py` every third frame at 192×108, played again and again for so many minutes, and
for a minute each in the short ones. Made are `time`, the faces that are found (112 px), whether
there is one, and the small pictures of the trivial predictors. "One piece" is the same code with
stretches of a year. With --expression the numbers of the expression network, too, whose weights lie
in that folder (`weights get face_api`). With --map the maps of LFAN's face network at a quarter of
its width, of 48 px, with random weights. Processor seconds are of all workers together, their start
included, and of the one that had most of them: less time than that no machine can need with so many
workers, and other people's work does not count in it, as it does in wall seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import cv2
import faces
import numpy as np
import report
import torch

from lib import arrays, models
from lib.experiments import preparing
from lib.features import expression_arrays
from lib.media import recordings, writing
from lib.store import Request, Store, request

SIZE, EVERY = (192, 108), 3
YEAR = 366 * 24 * 3600.0
FACE, VALID, PIXELS = request("face", size=112), request("face_valid"), request("pixels")
WANTED = [request("time"), VALID, FACE]
HEAD = ["02 of the long film and the short ones", "workers", "wall s", "busy, %"]
HEAD += ["processor s", "of the worker with most"]
TICKS = os.sysconf("SC_CLK_TCK")


def rows_of(place: Path, short: int, minutes: float) -> list[dict]:
    """The trials, the short ones first, as an alphabet may have it."""
    times = recordings.frame_times(faces.CLIP)[::EVERY]
    shown = (picture for _, picture in recordings.frames(faces.CLIP))
    small = (cv2.resize(picture, SIZE) for picture in islice(shown, 0, None, EVERY))
    clip = writing.write_video(place / "clip.mp4", small, times - times[0])
    names = [f"a{number:02d}" for number in range(short)]
    for name in names:
        faces.repeated(clip, place / f"{name}.mp4", 60.0)
    faces.repeated(clip, place / "film.mp4", 60.0 * minutes)
    return [trial(place, name) for name in [*names, "film"]]


def face_map(file: Path) -> Request:
    """The request for the maps of a network with random weights, which is written to `file`."""
    torch.manual_seed(0)
    net = models.create("lfan_backbone", classes=2, width=0.25, face_size=40)
    torch.save({"model": net.state_dict(), "params": {}, "statistics": {}}, file)
    own = {"size": 48, "crop": 40, "cut": "output_layer", "variant": 0}
    return request("face_map", {"weights": file}, **own)


def trial(place: Path, name: str) -> dict:
    duration = recordings.probe(place / f"{name}.mp4").duration
    row = {"trial": name, "video": name, "person": "", "crops_dir": "", "audio_path": ""}
    return {**row, "video_path": f"{name}.mp4", "duration": duration}


def prepared(rows: list[dict], asked: list[Request], store: Store, workers: int) -> dict:
    """Seconds of one run of 02 with so many workers, and how busy these were."""
    p = SimpleNamespace(workers=workers, device="cpu", parallel="processes")
    before, wall = processor(), time.perf_counter()
    with Workers() as watched:
        outcomes = preparing.make(rows, asked, store, p, [PIXELS])
    wall = time.perf_counter() - wall
    assert all(outcome.ok for outcome in outcomes)
    busy = sum(outcome.seconds for outcome in outcomes) / (workers * wall)
    own = processor() - before
    most = max(watched.seconds.values(), default=own)
    return {"wall": wall, "busy": 100 * busy, "processor": own, "most": most}


class Workers:
    """`seconds`: processor seconds of each child of this process, while the block runs (Linux)."""

    def __enter__(self) -> Workers:
        self.seconds: dict[str, float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._done.wait(0.2):
            for folder in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    told = (folder / "stat").read_text().rpartition(")")[2].split()
                    if int(told[1]) == os.getpid():
                        self.seconds[folder.name] = (int(told[11]) + int(told[12])) / TICKS

    def __exit__(self, *_) -> None:
        self._done.set()
        self._thread.join()


def processor() -> float:
    """Processor seconds of this process and of all that it waited for."""
    every = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in every)


def compared(whole: Store, cut: Store, film: dict, asked: list[Request]) -> str:
    """How the film's arrays in stretches differ from those of one piece."""
    kept = request("tracks", cuts="kept")
    tracks = [np.asarray(arrays.read(film, kept, store)) for store in (whole, cut)]
    shown = [arrays.read(film, FACE, store) for store in (whole, cut)]
    firsts = arrays.facts(film, kept, cut)["made_from"]["parameters"]["stretches"]
    told = "equal" if np.array_equal(*tracks) else f"{len(tracks[0])} and {len(tracks[1])} rows"
    differ = sum(int((one != other).any()) for one, other in zip(*shown, strict=True))
    told = (
        f"{len(firsts)} stretches, which begin at frames {firsts}. In one piece and in stretches, "
        f"rows of tracks: {told}; of {len(shown[0])} faces {differ} differ."
    )
    for wanted in asked[len(WANTED) :]:
        one, other = (np.asarray(arrays.read(film, wanted, store)) for store in (whole, cut))
        most = np.nanmax(np.abs(one - other))
        told += (
            f" Numbers of {wanted.name} up to {np.nanmax(one):.3g} differ by {most:.1g} at most."
        )
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=22.0)
    parser.add_argument("--short", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--expression", type=Path, metavar="WEIGHTS")
    parser.add_argument("--map", action="store_true")
    given = parser.parse_args()
    found, asked = [], list(WANTED)
    if given.expression:
        asked.append(expression_arrays.wanted(expression_arrays.CROPS[0], given.expression))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if given.map:
            asked.append(face_map(place / "faces.pt"))
        rows = rows_of(place, given.short, given.minutes)
        weights = given.expression or faces.SHARED / "weights"
        cut = Store(place / "cut", "films", place, "detect", weights)
        whole = replace(cut, processed_root=place / "whole", stretch=YEAR)
        for workers in (given.workers, 1):
            for name, store in (("in one piece", whole), ("in stretches", cut)):
                shutil.rmtree(store.folder, ignore_errors=True)
                told = prepared(rows, asked, store, workers)
                cells = [f"{told[key]:.0f}" for key in ("wall", "busy", "processor", "most")]
                found.append([name, str(workers), *cells])
                print(found[-1], flush=True)
        seen = compared(whole, cut, rows[-1], asked)
    notes = [
        f"The film: {rows[-1]['duration'] / 60:.1f} minutes; {given.short} short ones of a minute. "
        f"{seen}",
        f"Load of the machine at the end (1, 5, 15 minutes), others' work included: "
        f"{os.getloadavg()}.",
    ]
    report.publish(
        f"stretches{'_expression' if given.expression else ''}{'_map' if given.map else ''}",
        HEAD,
        found,
        ["opencv-python-headless", "av"],
        notes,
    )


if __name__ == "__main__":
    main()
