"""Pictures of a network's uncertainty and its calibration for notebook 06."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..metrics import EMOTIONS
from ..training.uncertainty import BAND, half_width
from . import style

LINE_STYLES = {"train": ":", "val": "--", "test": "-"}  # of each split
SAID = {"val": "val (fitted here)"}  # names of the splits in a legend


def calibration(
    coverage: pd.DataFrame,
    reliability: pd.DataFrame,
    axes: np.ndarray | None = None,
    title: str = "",
    note: str = "",
) -> np.ndarray:
    """Left: share of labels inside the interval against its nominal share. Right: actual error
    against predicted deviation. On the diagonal a network is well calibrated; below it on the left,
    and above it on the right, it is overconfident.

    coverage, reliability : as `lib.evaluation.uncertainty` gives them. Returns both axes.
    """
    axes = style.new_axes(1, 2, size=(9.4, 4.2)) if axes is None else axes
    left, right = axes
    _lines(left, coverage, "nominal", "covered")
    left.set(
        xlabel="share of labels that an interval should hold",
        ylabel="share that it holds",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    _lines(right, reliability, "predicted", "made")
    most = 1.05 * max([0.1, *reliability["predicted"], *reliability["made"]])
    right.set(
        xlabel="predicted deviation (label units)",
        ylabel="error made, RMSE (label units)",
        xlim=(0, most),
        ylim=(0, most),
    )
    style.legend_beside(right)
    return style.finish(axes, title, note)


def _lines(ax: Axes, table: pd.DataFrame, x: str, y: str) -> None:
    ax.axline((0, 0), slope=1, color="0.6", linewidth=1)
    for (split, emotion), rows in table.groupby(["split", "emotion"], sort=False, observed=True):
        if emotion in EMOTIONS:
            label = f"{emotion}, {SAID.get(split, split)}"
            line, colour = LINE_STYLES.get(split, "-"), style.COLOURS[emotion]
            ax.plot(rows[x], rows[y], line, marker=".", color=colour, label=label)
    ax.set_aspect("equal")


def band(ax: Axes, time: np.ndarray, values: np.ndarray, sd: np.ndarray, colour) -> None:
    """The 90 % interval around a curve. time, values, sd : (T,); not drawn where sd is unknown."""
    if np.isfinite(sd).any():
        half = half_width(BAND) * sd
        ax.fill_between(
            time,
            values - half,
            values + half,
            color=colour,
            alpha=0.18,
            linewidth=0,
            label=f"{BAND:.0%} interval".replace("%", " %"),
        )
