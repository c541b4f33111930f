"""Error analysis of a trial: its worst stretches with faces and sound, and the parts its CCC loses
(correlation, scale, mean).
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from .. import arrays, metrics, plots, trials
from ..errors import InputError
from ..files import named, write_text
from ..metrics import EMOTIONS
from ..plots.html import Html, page
from ..store import Store, request
from . import pages
from .predictions import Predictions

STRETCH_SECONDS, STRETCHES_PER_TRIAL = 2.0, 3  # length of a stretch in s, and how many of a trial
FACES_PER_STRETCH = 5  # pictures of a stretch
COLUMNS = (
    "trial",
    "emotion",
    "frames",
    "ccc",
    "correlation",
    "scale",
    "shift",
    "bias",
    "sd_prediction",
    "sd_label",
)
# least power, and share of the loudest, that is drawn: 80 dB
LEAST_POWER, LEAST_SHARE = 1e-10, 1e-8
PART_MEANINGS = {
    "correlation": "follows the label (1 is right)",
    "scale": "SD of the prediction over SD of the label (1)",
    "shift": "difference of means in standard deviations (0)",
    "bias": "mean of prediction − label (0)",
}


def parts(table: pd.DataFrame, predictions: Predictions) -> pd.DataFrame:
    """One row per labelled val trial and predicted emotion, worst trials first: `COLUMNS`; see
    `metrics.ccc_parts`.

    table : trial table.
    """
    rows = []
    for trial in table["trial"][table["split"] == "val"]:
        values, known = predictions.pairs(trial)
        for k, emotion in enumerate(EMOTIONS):
            if np.isfinite(known[:, k]).any() and np.isfinite(values[:, k]).any():
                frames = int(np.isfinite(known[:, k]).sum())
                entries = metrics.ccc_parts(values[:, k], known[:, k])
                rows.append({"trial": trial, "emotion": emotion, "frames": frames, **entries})
    shown = pd.DataFrame(rows, columns=list(COLUMNS))
    order = shown.groupby("trial")["ccc"].transform("mean")
    shown = shown.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)
    return trials.noted(shown, predictions.of_sample(table["trial"]))


def worst(rows: pd.DataFrame, most: int) -> list[str]:
    """The `most` trials with the lowest mean CCC of `parts`, the worst first."""
    return list(dict.fromkeys(rows["trial"]))[:most]


def stretches(
    time: np.ndarray,
    prediction: np.ndarray,
    label: np.ndarray,
    seconds: float = STRETCH_SECONDS,
    most: int = STRETCHES_PER_TRIAL,
) -> list[tuple[int, int, float]]:
    """Stretches with the largest error: (first frame, frame after the last, RMSE), the worst first.

    time : (T,) s. prediction, label : (T, 2); a column that is NaN throughout (an emotion that was
        not learnt) is left out, then frames with a NaN do not count. Stretches of `seconds` s (a
        shorter trial is one) do not overlap, and half of the frames of each count at least; where
        labels are sparser than that everywhere, half as many as in the stretch with most.
    """
    squared = np.square(np.asarray(prediction, np.float64) - label)
    columns = np.isfinite(squared).any(axis=0)
    squared = squared[:, columns].mean(axis=1) if columns.any() else np.full(len(squared), np.nan)
    known = np.isfinite(squared)
    sums, counts = (
        np.concatenate([[0.0], np.cumsum(values)])
        for values in (np.where(known, squared, 0), known)
    )
    stop = np.searchsorted(time, np.asarray(time) + seconds - 1e-9)
    start = np.zeros(1, int)  # a shorter trial is one stretch
    if len(time) > 1:
        end = time[-1] + np.median(np.diff(time)) + 1e-9
        whole = np.flatnonzero(np.asarray(time) + seconds <= end)
        start = whole if len(whole) else start
    count = counts[stop[start]] - counts[start]
    enough = (count > 0) & (2 * count >= stop[start] - start)
    if not enough.any():
        enough = (count > 0) & (2 * count >= count.max(initial=0))
    mean = np.where(enough, (sums[stop[start]] - sums[start]) / np.maximum(count, 1), -1)
    spans: list[tuple[int, int, float]] = []
    while len(spans) < most and len(mean) and mean.max() >= 0:
        index = int(mean.argmax())
        first, last = int(start[index]), int(stop[start[index]])
        spans.append((first, last, float(np.sqrt(mean[index]))))
        mean[(start < last) & (stop[start] > first)] = -1
    return spans


def picture(trial: Mapping, store: Store, predictions: Predictions, size: int, note: str = ""):
    """A trial's worst stretches in a row: faces, sound, prediction and label. Returns the figure.

    trial : its row of the trial table. size : px of its faces; where there are none, pixels of
        16×16, or nothing.
    """
    time = predictions.table(trial["trial"], ["time"])["time"].to_numpy()
    values, known = predictions.pairs(trial["trial"])
    spans = stretches(time, values, known)
    if not spans:
        raise InputError(
            "no stretch with labels",
            where=f"trial {trial['trial']}",
            expected="a labelled trial",
            todo="look at its labels in notebook 04",
        )
    shown = []
    for first, last, error in spans:
        faces = _faces(trial, store, size, first, last)
        shown.append({"span": (time[first], time[last - 1]), "rmse": error, **faces})
    return plots.worst_stretches(
        shown,
        time,
        values,
        known,
        _sound(trial, store),
        title=f"trial {trial['trial']}: the {len(spans)} worst stretches of {STRETCH_SECONDS:g} s",
        note=note,
    )


def show(
    table: pd.DataFrame, store: Store, predictions: Predictions, size: int, note: str, name: str
):
    """`picture` of the trial called `name`, to browse."""
    return picture(trials.select(table, [name]).iloc[0].to_dict(), store, predictions, size, note)


def write(
    trial: Mapping,
    store: Store,
    predictions: Predictions,
    out: Path,
    rows: pd.DataFrame,
    size: int,
    note: str = "",
) -> Path:
    """``<out>/<trial>.html``: the parts of its CCC in words, its worst stretches, its whole course.
    One file that needs no network connection.

    rows : of `parts`.
    """
    name = trial["trial"]
    drawn = [
        plots.png(picture(trial, store, predictions, size, note)),
        plots.png(pages.traces(predictions, note, name)),
    ]
    trial_rows = rows[rows["trial"] == name].drop(columns="trial").round(3)
    sections = {
        "What its CCC is made of": trial_rows,
        **{f"{word}": meaning for word, meaning in PART_MEANINGS.items()},
        "Note": note or "labels and predictions as in the prediction file",
    }
    images = Html("".join(map(_image, drawn)))
    text = page(f"Errors of trial {name}", {**sections, "Pictures": images})
    return write_text(named(out, name, ".html"), text)


def _image(png: bytes) -> str:
    inside = base64.b64encode(png).decode()
    return f"<p><img style='max-width:100%' src='data:image/png;base64,{inside}'></p>"


def write_all(
    names: Sequence[str],
    table: pd.DataFrame,
    store: Store,
    predictions: Predictions,
    out: Path,
    rows: pd.DataFrame,
    size: int,
    note: str = "",
) -> list[Path]:
    """Write a page for each of these trials, and ``index.html`` with all rows and links to them."""
    written = []
    for trial in trials.select(table, list(names)).to_dict("records") if names else ():
        written.append(write(trial, store, predictions, out, rows, size, note))
    links = {trial: path.name for trial, path in zip(names, written, strict=True)}
    text = page("Errors by trial, the worst first", {"": rows.round(3)}, links=links)
    return [*written, write_text(Path(out) / "index.html", text)]


def _faces(trial: Mapping, store: Store, size: int, first: int, last: int) -> dict:
    """Evenly spaced faces of a stretch (n, S, S, 3) and whether one was found."""
    chosen = np.linspace(first, last - 1, FACES_PER_STRETCH).round().astype(int)
    with contextlib.suppress(InputError):
        faces = arrays.opened(trial, request("face", size=size), store)
        return {"faces": faces.read(chosen), "valid": np.asarray(faces.valid)[chosen]}
    with contextlib.suppress(InputError):
        small = arrays.read(trial, request("pixels"), store)
        valid = np.asarray(arrays.read(trial, request("face_valid"), store), bool)
        return {"faces": np.asarray(small[chosen]), "valid": valid[chosen]}
    return {}


def _sound(trial: Mapping, store: Store) -> dict:
    """Mel spectrogram in dB (64, columns), t0 and rate; empty where the recording has no sound."""
    with contextlib.suppress(InputError):
        facts = arrays.facts(trial, request("mel"), store)
        power = np.asarray(arrays.read(trial, request("mel"), store))
        decibels = 10 * np.log10(np.maximum(power, power.max(initial=LEAST_POWER) * LEAST_SHARE)).T
        return {"mel": decibels, "t0": facts["t0"], "rate": facts["rate"]}
    return {}
