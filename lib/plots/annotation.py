"""Pictures of how labels came about: notebook 04."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from lib.metrics import EMOTIONS
from lib.plots import style


def delay_curve(rows: pd.DataFrame, chosen: float = 0.0, ax: Axes | None = None, title: str = "",
                note: str = "") -> Axes:
    """Training CCC of valence, arousal and their mean against annotation delay.

    rows : of `delays.curve`: delay (s), emotion, ccc. chosen : the delay in use (s), a dashed line.
    """
    ax = style.new_axes(size=(7, 3.2)) if ax is None else ax
    wide = rows.pivot(index="delay", columns="emotion", values="ccc")
    for emotion in EMOTIONS:
        ax.plot(wide.index, wide[emotion], "o-", color=style.COLOURS[emotion], label=emotion)
    mean = wide.mean(axis=1)
    ax.plot(mean.index, mean, "s-", color=style.LABEL, label="mean of both")
    if mean.notna().any():
        best = mean.idxmax()
        ax.plot([best], [mean[best]], "*", color=style.LABEL, markersize=14, label=f"best: {best:g} s")
    ax.axvline(chosen, color=style.BASELINE, linestyle="--", label=f"label_delay: {chosen:g} s")
    ax.set(xlabel="annotation delay (s)", ylabel="training CCC of a\nregression on pixels and loudness")
    style.legend_beside(ax)
    style.finish(ax, title, note)
    return ax
