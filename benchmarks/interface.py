"""What a person waits for: help, the first cells, another moment, the figures and report of 06, an
overlay video.

    python benchmarks/interface.py [--trials 70] [--seconds 300] [--only help cells viewer figures
    overlay]

Everything is made by this script in a temporary folder; times are wall clock, so the machine should
do nothing else. Targets: help < 1 s; set-up and check cells < 8 s; another moment < 150 ms; 06's
figures of 70 trials of 5 minutes < 60 s and their report < 15 MB; overlay video at 640×360 with
sound at least 2 times real time on two cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("Agg")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import report as tables

from lib import metrics, plots, runs
from lib.evaluation import overlay, pages
from lib.evaluation import scores as evaluation_scores
from lib.evaluation.predictions import Predictions
from lib.experiments import report
from lib.files import NOTEBOOKS
from lib.media import recordings, writing
from lib.plots import viewer

NOTE = "trained on synthetic sample data: values have no meaning"
FPS, RATE = 30, 44_100
PARTS = ("help", "cells", "viewer", "figures", "overlay")


def seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def of_help(_) -> list[tuple]:
    """``python -m lib --help``, best and median of five."""
    code = (
        "import sys, lib.__main__ as m\ntry:\n m.main(['--help'])\nfinally:\n "
        "sys.exit('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0
    ), "imports torch"
    found = [
        seconds(
            lambda: subprocess.run(
                [sys.executable, "-m", "lib", "--help"], cwd=ROOT, check=True, capture_output=True
            )
        )
        for _ in range(5)
    ]
    return [
        (
            "python -m lib --help, without torch",
            f"{min(found):.2f} s, median {statistics.median(found):.2f} s",
            "< 1 s",
        )
    ]


def of_cells(options) -> list[tuple]:
    """Set-up, parameters and check cells of 01 and 06 in a fresh process; 06 of a run, where
    `--run` names one.
    """
    rows = []
    for step in (NOTEBOOKS[0], NOTEBOOKS[5]):
        cells = json.loads((ROOT / "notebooks" / f"{step}.ipynb").read_text())["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"][:3]
        with tempfile.TemporaryDirectory() as place:
            roots = {"data_root": place, "processed_root": place, "runs_root": place, "run": "x"}
            if step == NOTEBOOKS[5]:
                if not options.run:
                    continue
                roots |= {"runs_root": str(options.run.resolve().parent), "run": options.run.name}
            code.insert(2, "\n".join(f"{name} = {value!r}" for name, value in roots.items()))
            # IPython's front door, so that `In` and display are what they are in a kernel.
            text = (
                "from IPython.core.interactiveshell import InteractiveShell as S\ns = "
                "S.instance()\n"
                + "".join(
                    f"assert s.run_cell({cell!r}, store_history=True).success\n" for cell in code
                )
            )
            found = [
                seconds(
                    lambda text=text: subprocess.run(
                        [sys.executable, "-c", text],
                        cwd=ROOT / "notebooks",
                        check=True,
                        capture_output=True,
                    )
                )
                for _ in range(3)
            ]
        rows.append(
            (
                f"set-up and check cells of {step[:2]}",
                f"{min(found):.1f} s, median {statistics.median(found):.1f} s",
                "< 8 s",
            )
        )
    return rows


class Faces:
    """112-pixel faces of noise."""

    def __init__(self, n_frames: int):
        self.valid, self.some = (
            np.ones(n_frames, bool),
            np.random.default_rng(0).integers(0, 255, (16, 112, 112, 3)),
        )

    def read(self, chosen):
        return self.some[np.asarray(chosen) % 16].astype(np.uint8)


def curve(n: int, seed: int) -> np.ndarray:
    """(n, 2) smooth values in −1…1."""
    steps = np.random.default_rng(seed).normal(0, 1, (n + 50, 2))
    smooth = np.stack([np.convolve(steps[:, k], np.ones(50) / 8, "valid")[:n] for k in (0, 1)], 1)
    return np.tanh(smooth)


def of_viewer(options) -> list[tuple]:
    """Another moment of a trial as long as the sample's, and of one of five minutes."""
    rows = []
    for length in (12.0, options.seconds):
        n = int(length * FPS)
        sound = np.random.default_rng(1).normal(0, 0.1, int(length * RATE)).astype(np.float32)
        trial = plots.Trial(
            "a",
            np.arange(n) / FPS,
            curve(n, 0),
            curve(n, 1),
            Faces(n),
            sound,
            RATE,
            0.0,
            np.random.default_rng(2).normal(-40, 10, (64, int(length * 100))),
            NOTE,
        )
        began = time.perf_counter()
        moments = plots.Moments(trial)
        first = time.perf_counter() - began
        found = [seconds(partial(show, moments, k)) for k in range(0, n, max(1, n // 50))]
        rows.append(
            (
                f"viewer, {length:g} s: another moment",
                f"{1000 * statistics.median(found):.0f} ms, at most "
                f"{1000 * max(found):.0f} ms; another trial {first:.2f} s",
                "< 150 ms",
            )
        )
    return rows


def show(moments: plots.Moments, index: int) -> bytes:
    """What happens when a person moves the slider, but for the way to the browser."""
    return viewer.encoded(moments.picture(index), ".jpg")


def of_figures(options) -> list[tuple]:
    """Scores, tables, figures of 06 and the report, from prediction files."""
    with tempfile.TemporaryDirectory() as place:
        run = runs.Run(Path(place) / "many")
        run.write_text("params.yaml", "dataset: sample\nrecipe: tsav\n")
        run.write_json("environment.json", runs.environment())
        n, names = (
            int(options.seconds * FPS),
            [f"{k}-{options.seconds:g}" for k in range(options.trials)],
        )
        for k, name in enumerate(names):
            rows = pd.DataFrame({"frame": np.arange(1, n + 1), "time": np.arange(n) / FPS})
            rows[["valence", "arousal"]] = curve(n, k)
            rows[["valence_raw", "arousal_raw"]] = curve(n, k) + 0.05
            rows[["label_valence", "label_arousal"]] = curve(n, k) * 0.8 + 0.2 * curve(n, k + 1000)
            rows.assign(valid=1).to_csv(run.path("predictions", f"{name}.csv"), index=False)
        table = pd.DataFrame({"trial": names, "video": names, "split": "val"})
        spent = seconds(lambda: figures(run, table))
        size = (run.folder / "report.html").stat().st_size
    return [
        (
            f"06's figures, {options.trials} trials of {options.seconds:g} s",
            f"{spent:.1f} s",
            "< 60 s",
        ),
        ("their report.html", f"{size / 1e6:.1f} MB", "< 15 MB"),
    ]


def figures(run: runs.Run, table: pd.DataFrame) -> None:
    """What notebook 06 draws after the predictions have been made, and every trial's curves."""
    predictions = Predictions(run.folder / "predictions")
    values, known = evaluation_scores.pairs(table, predictions)
    pairs = {name: predictions.pairs(name) for name in table["trial"]}
    scores = metrics.va_scores(
        {name: label for name, (_, label) in pairs.items()},
        {name: value for name, (value, _) in pairs.items()},
        n=1000,
    )
    run.write_json("metrics.json", {"val": scores, "synthetic": True, "baselines": {}})
    rows = evaluation_scores.score_table({"val": scores})
    plots.save(plots.ccc_table_plot(rows, note=NOTE), run.path("figures", "ccc.png"), close=True)
    by_trial = evaluation_scores.by_trial(table, predictions)
    plots.save(
        plots.error_by_trial(by_trial, note=NOTE),
        run.path("figures", "error_by_trial.png"),
        close=True,
    )
    for name in table["trial"]:
        plots.save(
            pages.traces(predictions, NOTE, name),
            run.path("figures", f"traces_{name}.png"),
            close=True,
        )
    plots.save(
        plots.circumplex(values, known, note=NOTE),
        run.path("figures", "circumplex.png"),
        close=True,
    )
    report.write(run, predictions)


def of_overlay(options) -> list[tuple]:
    """A recording of 640×360 with sound, as long as a minute at most, with box, curves and speech
    drawn in.
    """
    length = min(60.0, options.seconds)
    n, noise = int(length * FPS), np.random.default_rng(0)
    ground = cv2_blur(noise.integers(0, 255, (360, 900, 3)).astype(np.uint8))
    pictures = (np.ascontiguousarray(ground[:, k % 250 : k % 250 + 640]) for k in range(n))
    with tempfile.TemporaryDirectory() as place:
        film, out = Path(place) / "film.mp4", Path(place) / "out.mp4"
        tone = noise.normal(0, 0.1, int(length * RATE)).astype(np.float32)
        writing.write_video(film, pictures, np.arange(n) / FPS, sound=tone, rate=RATE)
        table = pd.DataFrame(
            {
                "frame": np.arange(1, n + 1),
                "time": np.arange(n) / FPS,
                "valid": 1,
                "speaking": (np.arange(n) % 100 > 50) * 1.0,
                "x": 200.0,
                "y": 80.0,
                "width": 120.0,
                "height": 160.0,
            }
        )
        table[["valence", "arousal"]] = curve(n, 0)
        spent = seconds(
            lambda: overlay.write(
                film, table, out, f"run a, trained on b: validation CCC …\n{NOTE}"
            )
        )
        kept = recordings.probe(out).audio_codec
    return [
        (
            f"overlay video, {length:g} s of 640×360 at {FPS}/s",
            f"{length / spent:.1f} × real time, sound: {kept}",
            "≥ 2 ×",
        )
    ]


def cv2_blur(picture: np.ndarray) -> np.ndarray:
    """Noise as smooth as a picture of a camera: otherwise the encoder has ten times the work."""
    import cv2

    return cv2.GaussianBlur(picture, (0, 0), 6)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=70)
    parser.add_argument("--seconds", type=float, default=300.0, help="length of a trial")
    parser.add_argument(
        "--run", type=Path, default=None, help="a trained run folder, for the first cells of 06"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    plots.theme()
    rows = [row for name in options.only for row in globals()[f"of_{name}"](options)]
    tables.publish(
        "interface",
        ["what", "measured", "target"],
        rows,
        ["torch", "matplotlib", "pandas", "av", "opencv-python-headless"],
    )


if __name__ == "__main__":
    main()
