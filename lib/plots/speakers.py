"""Who speaks when: a curve for each face, and a time line of speech."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lib.plots import style
from lib.plots.results import predicted

SPEAKS, SILENT = "#00aa3c", "#d62728"   # as the boxes of `lib.speaker_video`


def of_video(values: pd.DataFrame, note: str = ""):
    """The picture of a predicted video: who speaks where the table has faces, else what was predicted over time."""
    if "face" in values:
        return speaking_traces(values, note=note)
    return predicted(values, note=note)


def speaking_traces(values: pd.DataFrame, axes=None, threshold: float = 0.5, title: str = "", note: str = ""):
    """Probability of speaking of every face over time, filled where it counts as speaking; below it the time line.

    values : rows of `lib.speakers.table`. Returns the axes, one a face and one for the time line.
    """
    faces = list(dict.fromkeys(values.sort_values("face")["face"])) or ["nobody"]
    if axes is None:
        size = (8, 1.2 + 1.3 * (len(faces) + 1))
        axes = style.new_axes(len(faces) + 1, 1, size=size, sharex=True, squeeze=False)[:, 0]
    for ax, face in zip(axes, faces, strict=False):
        rows = values[values["face"] == face].sort_values("frame")
        gaps = np.flatnonzero(np.diff(rows["frame"]) > 1) + 1
        for part in np.split(np.arange(len(rows)), gaps):
            some = rows.iloc[part]
            ax.plot(some["time"], some["smoothed"], color=style.PALETTE[0], linewidth=1.2)
            ax.fill_between(some["time"], 0, some["smoothed"], where=some["speaking"] == 1, color=SPEAKS, alpha=0.35)
        ax.axhline(threshold, color="0.5", linewidth=0.8, linestyle="--")
        ax.set(ylabel=f"p({face} speaks)", ylim=(0, 1))
    time_line(values, ax=axes[len(faces)])
    axes[len(faces)].set_xlabel("time (s)")
    style.finish(axes, title, note)
    return np.asarray(axes)


def time_line(values: pd.DataFrame, ax: Axes | None = None, title: str = "", note: str = "") -> Axes:
    """One row a face: a thin red line where it is seen, a thick green one where it speaks."""
    ax = style.new_axes(size=(8, 2)) if ax is None else ax
    faces = list(dict.fromkeys(values.sort_values("face")["face"]))
    times = np.unique(values["time"])
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
    for row, face in enumerate(faces):
        some = values[values["face"] == face]
        for speaking, colour, height in ((0, SILENT, 0.12), (1, SPEAKS, 0.6)):
            starts = some["time"][some["speaking"] == speaking]
            ax.broken_barh([(start, step) for start in starts], (row - height / 2, height), color=colour, linewidth=0)
    ax.set(xlabel="time (s)", yticks=range(len(faces)), yticklabels=faces, ylim=(-0.6, max(len(faces), 1) - 0.4))
    style.finish(ax, title, note)
    return ax
