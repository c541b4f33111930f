"""Picture of a cross-validation: every fold, their mean, and all folds together."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.metrics import EMOTIONS
from lib.plots import style


def folds_plot(table: pd.DataFrame, axes=None, title: str = "", note: str = "") -> np.ndarray:
    """CCC of each run of a cross-validation with its 95 % interval over trials; one panel an emotion.

    table : as `lib.merging_folds.table` gives it: run, "val valence", "val valence low", … "test arousal high".
    Rows stand from top to bottom: folds, their mean, merged. Returns both axes.
    """
    axes = style.new_axes(1, 2, size=(9.4, 1.2 + 0.32 * len(table)), sharey=True) if axes is None else axes
    places = np.arange(len(table))
    for ax, emotion in zip(axes, EMOTIONS, strict=True):
        for part, marker, shift in (("val", "o", -0.12), ("test", "D", 0.12)):
            values, low, high = (table[f"{part} {emotion}{end}"].astype(float).to_numpy()
                                 for end in ("", " low", " high"))
            if not np.isfinite(values).any():
                continue
            colour = style.COLOURS[emotion] if part == "val" else style.LABEL
            ax.hlines(places + shift, low, high, color=colour, linewidth=2, alpha=0.6)
            ax.plot(values, places + shift, marker, color=colour, label="validation" if part == "val" else "test")
        ax.axhline(len(table) - 2.5, color="0.7", linewidth=0.8)
        ax.set(xlabel=f"{emotion}: CCC, 95 % interval over trials", yticks=places, ylim=(len(table) - 0.5, -0.5))
        ax.set_yticklabels(table["run"])
    style.legend_beside(axes[-1])
    for handle in axes[-1].get_legend().legend_handles if axes[-1].get_legend() else []:
        handle.set_color(style.LABEL)   # validation has another colour in each panel: shapes tell
    style.finish(axes, title, note)
    return np.asarray(axes)
