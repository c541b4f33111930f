"""How much memory notebooks 01 to 04 and 06 need for a film of some minutes and of an hour, all
processes together: it must not grow with the length.

    python benchmarks/film_walk.py RECORDING PARAMS.yaml … [--minutes 1 21 60] [--fps 25]
        [--places FOLDER]

The film is the recording over and over, at 640×360 px, with its sound, as H.264; films of over 20
minutes are worked on in stretches, by all workers. Each notebook is one command (`python -m lib run
PARAMS.yaml --from NN --to NN`) with the file's own options; a second parameter file finds the
arrays of the first one. A run that the film is predicted with, and weights, lie below --places or
are made there before anything is measured. Told is the largest sum, over the command and all its
processes, of memory that is theirs (Pss_Anon and Pss_Shmem of the system's count: what two share is
counted once, libraries are not), every half second.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import cv2
import numpy as np
import psutil
import report

from lib.media import recordings, writing

SIZE, RATE = (640, 360), 16_000
GROWTH = 300  # MB that the longest film may need beyond the one before
FIRST = 0.1  # minutes of a film that is not measured: what is built on is made with it
NOTEBOOKS = ("01", "02", "03", "04", "06")


def films(place: Path, recording: Path, seconds: int, fps: int = 25) -> Path:
    """A folder with a film that is the recording over and over."""
    path = place / f"seconds_{seconds}_{fps}" / "film.mp4"
    if path.exists():
        return path.parent
    path.parent.mkdir(parents=True, exist_ok=True)
    sound, _ = recordings.sound(recording, RATE)
    pictures = [cv2.resize(picture, SIZE) for _, picture in recordings.frames(recording)]
    times = np.arange(seconds * fps) / fps
    shown = (pictures[k % len(pictures)] for k in range(len(times)))
    heard = np.resize(sound, seconds * RATE)
    writing.write_video(path, shown, times, heard, RATE, preset="ultrafast")
    return path.parent


def together(pid: int) -> float:
    """MB that the process and all that it started have of their own."""
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(map(own, family))


def own(process: psutil.Process) -> float:
    """MB of one process; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    kinds = ("Pss_Anon:", "Pss_Shmem:")
    return sum(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(kinds))


def walked(params: Path, data: Path, place: Path, more: list[str], notebook: str) -> dict:
    """One notebook of one file over the films in `data`: its seconds, its most memory in MB."""
    roots = {f"{name}_root": place / name for name in ("processed", "runs")}
    given = {"data_root": data, **roots}
    words = [word for name, value in given.items() for word in ("-p", name, str(value))]
    command = [sys.executable, "-m", "lib", "run", str(params), *words, *more]
    command += ["--from", notebook, "--to", notebook]
    with tempfile.TemporaryFile("w+") as log:
        began, most = time.perf_counter(), 0.0
        child = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        while child.poll() is None:
            most = max(most, together(child.pid))
            time.sleep(0.5)
        if child.returncode:
            log.seek(0)
            raise SystemExit(
                f"{' '.join(command)}: status {child.returncode}\n{log.read()[-3000:]}"
            )
    return {"seconds": time.perf_counter() - began, "most": most}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("params", type=Path, nargs="+")
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 21, 60])
    parser.add_argument("--fps", type=int, default=25, help="frames per second of the films")
    parser.add_argument("--places", type=Path, help="kept folder of data, arrays and runs")
    parser.add_argument("-p", nargs=2, action="append", default=[], help="a parameter of all")
    given = parser.parse_args()
    more = [word for pair in given.p for word in ("-p", *pair)]
    with tempfile.TemporaryDirectory() as temporary:
        place = (given.places or Path(temporary)).absolute()
        found = {}
        for params, minutes in product(given.params, (FIRST, *given.minutes)):
            data = films(place / "data", given.recording, round(60 * minutes), given.fps)
            for notebook in NOTEBOOKS:
                one = walked(params.absolute(), data, place, more, notebook)
                found[params.stem, notebook, minutes] = one
                print(params.stem, notebook, minutes, one, flush=True)
            if minutes == given.minutes[-1]:
                publish(found, given.minutes, given.fps)


def publish(found: dict, minutes: list[int], fps: int) -> None:
    """A row per parameter file and notebook."""
    rows = []
    for name, notebook in dict.fromkeys((name, notebook) for name, notebook, _ in found):
        each = [found[name, notebook, length] for length in minutes]
        growth = each[-1]["most"] - each[-2]["most"]
        memory = [f"{one['most']:.0f}" for one in each]
        seconds = f"{each[-1]['seconds']:.0f}"
        rows.append([name, notebook, *memory, f"{growth:.0f} (at most {GROWTH})", seconds])
    head = ["parameters", "notebook", *(f"most memory, {length} min: MB" for length in minutes)]
    head += [f"growth from {minutes[-2]} min, MB", f"s for {minutes[-1]} min"]
    notes = [
        f"{fps} frames per second. A film of up to 20 minutes has one worker, a longer one all."
    ]
    packages = ["numpy", "torch", "av", "opencv-python-headless"]
    report.publish("film_walk", head, rows, packages, notes)


if __name__ == "__main__":
    main()
