"""Pictures of a grid: a line over one parameter, a heat map of two."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from . import style


def grid_line(
    table: pd.DataFrame, name: str, measure: str = "CCC", ax: Axes | None = None, note: str = ""
) -> Axes:
    """The score over one parameter: one dot per run, a line through the means.

    table : one row per run with the columns `name` and score; rows without a score are left out.
        measure : its name.
    """
    ax = style.new_axes(size=(6, 3.5)) if ax is None else ax
    known = table[table["score"].notna()]
    values = list(dict.fromkeys(known[name]))
    numeric = all(map(_is_number, values))
    values = sorted(values) if numeric else values
    places = {value: value if numeric else number for number, value in enumerate(values)}
    means = known.groupby(name, sort=False)["score"].mean()
    colour = style.PALETTE[0]
    ax.plot([places[value] for value in values], [means[value] for value in values], color=colour)
    dots = [places[value] for value in known[name]]
    ax.plot(dots, known["score"], "o", color=colour, alpha=0.6)
    if numeric and min(values) > 0 and max(values) / min(values) >= 50:  # learning rates
        ax.set_xscale("log")
    if not numeric:
        ax.set_xticks(range(len(values)), [str(value) for value in values])
    ax.set(xlabel=name, ylabel=f"{measure} on val (line: mean)")
    return style.finish(ax, note=note)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def grid_heat(
    table: pd.DataFrame,
    down: str,
    across: str,
    measure: str = "CCC",
    ax: Axes | None = None,
    note: str = "",
) -> Axes:
    """The mean score in each cell of two parameters, as colour and number; grey: no run yet."""
    known = table[table["score"].notna()]
    cells = known.pivot_table(
        index=down, columns=across, values="score", aggfunc="mean", sort=False
    )
    if ax is None:
        ax = style.new_axes(size=(2.5 + 0.9 * cells.shape[1], 1.6 + 0.45 * cells.shape[0]))
    import seaborn  # takes longer to import than all else of a notebook; no other figure needs it

    bar = {"label": f"{measure} on val"}
    seaborn.heatmap(cells, annot=True, fmt=".2f", cmap="viridis", cbar_kws=bar, ax=ax)
    ax.set_facecolor("0.8")
    ax.tick_params(axis="y", rotation=0)
    return style.finish(ax, note=note)
