"""Remake the pictures of README and docs: traces.png and ccc.png from the runs that `make run`
leaves, your_video.png from a recording.

    python docs/pictures.py [runs] [--to docs] [--recording talk.mp4]

traces.png : prediction against label of one validation trial of sample_tsav, its faces above. The
trial is the one
    whose CCC is the median of all validation trials, neither the best nor the worst.
ccc.png : CCC of the four sample runs with 95 % intervals over trials, and the trivial predictors.
your_video.png : a frame of a recording as the notebook your_video draws it, above the curves.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from itertools import islice
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from PIL import Image

matplotlib.use("Agg")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lib import arrays, datasets, grammar, metrics, plots, runs, trials
from lib.errors import InputError
from lib.evaluation import overlay, people
from lib.evaluation import scores as evaluation_scores
from lib.parameters import Params, placed
from lib.plots import preprocessing, style
from lib.speakers import overlay as speakers_overlay
from lib.store import request

RUNS = ("sample_tsav", "sample_jca", "sample_jca_audio", "sample_jca_video")
FACES = 12  # side by side above the traces
DPI = 130  # 9.2 inches wide: sharp at the README's 900 pixels, and still a small file


def evaluated(folder: Path) -> dict:
    """metrics.json of a run. Raises InputError where there is none."""
    found = runs.Run(folder).read_json("metrics.json") if folder.is_dir() else None
    if not found or not found.get("val"):
        raise InputError(
            "this run has not been evaluated",
            where=folder,
            expected="metrics.json with val scores",
            todo="make run",
        )
    return found


def parameters(folder: Path) -> Params:
    """What a run was made with, its folders as absolute paths."""
    return placed(runs.parameters(folder))


def note(found: dict) -> str:
    """The sentence that stands under every picture of a network that was trained on sample data."""
    return trials.SYNTHETIC_NOTE if found.get("synthetic") else ""


def middle_trial(table: pd.DataFrame, predictions: Path) -> str:
    """The labelled validation trial with the median mean CCC."""
    means = (
        evaluation_scores.by_trial(table, predictions).groupby("trial")["ccc"].mean().sort_values()
    )
    return means.index[len(means) // 2]


def traces(folder: Path, target: Path) -> Path:
    """Faces, valence and arousal of one validation trial on one time axis."""
    p, found = parameters(folder), evaluated(folder)
    store = datasets.store(p)
    table = trials.read(store.trials_path)
    name = middle_trial(table, folder / "predictions")
    rows = pd.read_csv(folder / "predictions" / f"{name}.csv")
    values, labels = evaluation_scores.read_pairs(folder / "predictions", name)
    strip, *axes = style.new_axes(3, size=(9.2, 5.2), height_ratios=(1, 2.6, 2.6))
    scores = {
        emotion: metrics.ccc(values[:, k], labels[:, k])
        for k, emotion in enumerate(metrics.EMOTIONS)
    }
    plots.prediction_traces(rows["time"].to_numpy(), labels, values, axes, scores=scores)
    axes[0].tick_params(labelbottom=False)
    _faces(strip, preprocessing.row(table, name), p.face_size, store)
    style.finish(
        np.array([strip, *axes]),
        f"sample_tsav, validation trial {name} (the median one)",
        note(found),
    )
    return _save(strip, target)


def _faces(ax, trial: dict, size: int, store) -> None:
    """Faces evenly spaced, each above its own time of the axes below."""
    faces = arrays.opened(trial, request("face", size=size), store)
    times = np.asarray(arrays.read(trial, request("time"), store))
    middles = times[0] + (np.arange(FACES) + 0.5) / FACES * (times[-1] - times[0])
    chosen = np.abs(times[:, None] - middles).argmin(axis=0)
    plots.face_strip(faces.read(chosen), times[chosen], faces.valid[chosen], ax)
    ax.set(xlim=(-0.03, FACES - 0.03), xticks=[], xlabel="")


def ccc(folders: list[Path], target: Path) -> Path:
    """CCC of the runs with intervals, and of the trivial predictors, which are the same for all of
    them.
    """
    found = {folder.name: evaluated(folder) for folder in folders}
    first = found[folders[0].name]
    table = metrics.ccc_table(
        {name: scores["val"] for name, scores in found.items()}, first.get("baselines")
    )
    axes = style.new_axes(1, 2, size=(9.2, 1.4 + 0.36 * table["method"].nunique()), sharey=True)
    title = "CCC on all labelled frames of the validation trials; grey: trivial predictors"
    return _save(plots.ccc_table_plot(table, axes, title=title, note=note(first)), target)


def _save(picture, target: Path) -> Path:
    """Write the figure as PNG with 256 colours: half as large, and no difference that a person
    sees.
    """
    with matplotlib.rc_context({"savefig.dpi": DPI}):
        plots.save(picture, target, close=True)
    with Image.open(target) as image:
        few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(target, optimize=True)
    return target


def your_video(recording: Path, out: Path, at: float = 1.2) -> Path:
    """A frame (`at` s) of a recording with what was found drawn in, and everybody's curves."""
    given = {"runs_root": str(ROOT / "runs"), "weights_root": str(ROOT / "weights")}
    params = placed(grammar.defaults(grammar.declared("your_video")) | given | {"run": ""})
    with tempfile.TemporaryDirectory() as folder:
        found = people.look(recording, params, Path(folder))
        labelled = overlay._labelled(found.table)
        frames = speakers_overlay.frames(recording, labelled, "")
        shown = next(frame for frame in islice(frames, int(at * 25), None))
    curves = Image.open(io.BytesIO(plots.png(plots.of_video(found.table), DPI)))
    picture = Image.fromarray(shown)
    picture = picture.resize((curves.width, picture.height * curves.width // picture.width))
    whole = Image.new("RGB", (curves.width, picture.height + curves.height), "white")
    whole.paste(picture, (0, 0))
    whole.paste(curves, (0, picture.height))
    whole.quantize(128).save(out, optimize=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "runs", nargs="?", type=Path, default=ROOT / "runs", help="folder of the run folders"
    )
    parser.add_argument("--to", type=Path, default=ROOT / "docs", help="folder of the pictures")
    parser.add_argument("--recording", type=Path, help="make your_video.png of it, nothing else")
    places = parser.parse_args()
    if places.recording:
        print(your_video(places.recording, places.to / "your_video.png"))
        return
    try:
        made = [
            traces(places.runs / RUNS[0], places.to / "traces.png"),
            ccc([places.runs / name for name in RUNS], places.to / "ccc.png"),
        ]
    except InputError as error:
        sys.exit(str(error))
    for path in made:
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
