"""How much memory the makers of 02 and 03 need for a film of a minute and of an hour: it must not
grow with the length.

    python benchmarks/long_film.py [--minutes 1 60] [--makers time face audio_44k mel mfcc39 …]

The films are made here: 64×36 px, 25 frames per second, grey pictures, noise as sound. Faces are
the middle of the picture (`faces: centre`), so that no detector is measured; each maker runs in a
process of its own, after what it is made from. Told is the most memory that is the process's own
(RssAnon), libraries aside. eGeMAPS needs the package opensmile.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import numpy as np
import report

from lib import arrays
from lib.features import mfcc39
from lib.media import writing
from lib.store import Store, request

FPS, RATE, SIDE = 25, 16_000, 64
GROWTH = 300  # MB that an hour may need beyond a minute
MAKERS = {
    "time": {},
    "face": {"size": SIDE},
    "audio_44k": {"rate": 44_100},
    "mel": {},
    "loudness": {},
    "mfcc39": {},
    "egemaps": {},
}
WITHOUT_OPENSMILE = [name for name in MAKERS if name != "egemaps"]


def film(path: Path, minutes: int) -> Path:
    """Grey pictures and noise of changing loudness."""
    drawn, count = np.random.default_rng(0), minutes * 60 * FPS
    loudness = np.repeat(drawn.uniform(0.01, 0.3, minutes * 60).astype(np.float32), RATE)
    pictures = (np.full((36, 64, 3), k // FPS % 200, np.uint8) for k in range(count))
    sound = drawn.standard_normal(len(loudness), np.float32) * loudness
    times = np.arange(count) / FPS
    return writing.write_video(path, pictures, times, sound, RATE, preset="ultrafast")


def made(place: Path, name: str) -> None:
    """Make one array of the film in `place`; print seconds and the most memory as JSON."""
    video = "film.mp4"
    trial = {"trial": "film", "video": "film", "person": "", "crops_dir": ""}
    trial |= {"video_path": video, "audio_path": video}
    store = Store(place / "processed", "films", place, faces="centre")
    before, start = report.memory("RssAnon"), time.perf_counter()
    with report.Watch() as watch:
        arrays.make(trial, request(name, **MAKERS[name]), store, "cpu")
    took = time.perf_counter() - start
    print(json.dumps({"seconds": took, "most": watch.most, "more": watch.most - before}))


def measured(place: Path, name: str) -> dict:
    command = [sys.executable, __file__, "--one", str(place), name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 60])
    usual = list(MAKERS) if importlib.util.find_spec("opensmile") else WITHOUT_OPENSMILE
    parser.add_argument("--makers", nargs="+", default=usual, choices=list(MAKERS))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        made(Path(given.one[0]), given.one[1])
        return
    found = {}
    for minutes in given.minutes:
        with tempfile.TemporaryDirectory() as place:
            film(Path(place) / "film.mp4", minutes)
            for name in given.makers:
                found[name, minutes] = measured(Path(place), name)
                print(name, minutes, found[name, minutes], flush=True)
    publish(found, given.minutes, given.makers)


def publish(found: dict, minutes: list[int], makers: list[str]) -> None:
    """A row per maker."""
    rows = []
    for name in makers:
        each = [found[name, length] for length in minutes]
        growth = each[-1]["most"] - each[0]["most"]
        memory = [f"{one['most']:.0f}" for one in each]
        rows.append(
            [name, *memory, f"{growth:.0f} (at most {GROWTH})", f"{each[-1]['seconds']:.0f}"]
        )
    head = ["maker", *(f"most memory, {length} min: MB" for length in minutes)]
    notes = [f"mfcc39: {mfcc39.ROWS_A_SECOND} rows per second of sound."]
    if "egemaps" not in makers:
        notes.append("eGeMAPS: not measured.")
    head += ["growth, MB", f"s for {minutes[-1]} min"]
    report.publish("long_film", head, rows, ["numpy", "av"], notes)


if __name__ == "__main__":
    main()
