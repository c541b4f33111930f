"""Pictures of predictions and scores: notebook 06."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from .. import intervals
from ..labels import official
from ..metrics import EMOTIONS
from . import style, uncertainty

_SCATTER = 3000  # frames; more than that are drawn as a density
_MEASURES = {
    "ccc": "CCC within the trial",
    "pcc": "correlation within the trial",
    "rmse": "error (RMSE, label units)",
    "mae": "mean absolute error (label units)",
}


def prediction_traces(
    time: np.ndarray,
    labels: np.ndarray | None,
    prediction: np.ndarray,
    axes: Sequence[Axes] | None = None,
    raw: np.ndarray | None = None,
    scores: Mapping[str, float] | None = None,
    title: str = "",
    note: str = "",
    sd: np.ndarray | None = None,
) -> np.ndarray:
    """Prediction against label over time, valence above arousal; unlabelled stretches are shaded.

    time : (T,) s. labels : (T, 2), NaN unlabelled, or None. prediction : (T, 2) as submitted. raw :
        (T, 2)
    before smoothing, drawn thin. scores : {"valence": CCC, "arousal": CCC}, written beside. sd :
    (T, 2) predicted standard deviation, drawn as a band that should hold 90 % of the labels.
    Returns both axes.
    """
    axes = style.new_axes(2, size=(10, 4.2), sharex=True) if axes is None else axes
    border = style.edges(time)
    for column, (ax, emotion) in enumerate(zip(axes, EMOTIONS, strict=True)):
        if labels is not None:
            style.shade(ax, time, np.isnan(labels[:, column]), "unlabelled")
            known = labels[:, column]
            style.curve(ax, time, known, color=style.LABEL, linewidth=1.2, label="label")
        look = {"color": style.COLOURS[emotion]}
        if raw is not None:
            ax.plot(time, raw[:, column], linewidth=0.7, alpha=0.5, label="unsmoothed", **look)
        if sd is not None:
            uncertainty.band(ax, time, prediction[:, column], sd[:, column], look["color"])
        style.curve(ax, time, prediction[:, column], linewidth=1.8, label="prediction", **look)
        ax.set(
            ylabel=f"{emotion} (−1…1)",
            ylim=(-1.05, 1.05),
            xlim=(border[0], border[-1]),
            yticks=(-1, -0.5, 0, 0.5, 1),
        )
        if scores and scores.get(emotion) is not None:
            ax.plot([], [], " ", label=f"CCC {scores[emotion]:.2f}")
        style.legend_beside(ax)
    axes[-1].set_xlabel("time (s)")
    return style.finish(axes, title, note)


def predicted(values: pd.DataFrame, title: str = "", note: str = "") -> np.ndarray:
    """All predictions for a recording over time: valence and arousal as curves, classes as dark
    stretches.

    values : a prediction file: `time` and the columns of its tasks. Returns the axes.
    """
    affect, classes = set(EMOTIONS) <= set(values), official.decided(values)
    heights = [2.0] * (2 * affect) + [0.4 + 0.22 * len(classes)] * bool(classes)
    axes = style.new_axes(
        len(heights),
        size=(10, 0.8 + sum(heights)),
        sharex=True,
        height_ratios=heights,
        squeeze=False,
    )[:, 0]
    if affect:
        time, va = values["time"].to_numpy(), values[list(EMOTIONS)].to_numpy()
        sd = values.reindex(columns=[f"{emotion}_sd" for emotion in EMOTIONS]).to_numpy(float)
        prediction_traces(time, None, va, axes[:2], sd=sd)
    if classes:
        _class_stretches(axes[-1], style.edges(values["time"]), classes)
    for ax in axes[:-1]:
        ax.set_xlabel("")
    return style.finish(axes, title, note)


def _class_stretches(ax: Axes, border: np.ndarray, classes: Mapping[str, np.ndarray]) -> None:
    rows = np.stack(list(classes.values())).astype(float)
    ax.pcolormesh(border, np.arange(len(rows) + 1) - 0.5, rows, cmap="Greys", vmin=0, vmax=1.3)
    ax.set(xlabel="time (s)", ylabel="decided for", xlim=(border[0], border[-1]))
    style.named_rows(ax, list(classes))
    ax.grid(False)


def circumplex(
    prediction: np.ndarray,
    label: np.ndarray,
    axes: Sequence[Axes] | None = None,
    bins: int = 40,
    title: str = "",
    note: str = "",
) -> np.ndarray:
    """Labels and predictions side by side in the valence–arousal plane; labelled frames only.

    prediction, label : (n, 2), NaN unlabelled.

    Up to 3000 frames as points, more as a density with one colour scale for both. Returns both
    axes.
    """
    axes = style.new_axes(1, 2, size=(9.4, 4.6)) if axes is None else axes
    known = ~(np.isnan(label).any(axis=1) | np.isnan(prediction).any(axis=1))
    parts = {
        "label": np.asarray(label)[known],
        "prediction": np.clip(np.asarray(prediction)[known], -1, 1),
    }
    side = np.linspace(-1, 1, bins + 1)
    counts = {name: np.histogram2d(*va.T, bins=[side, side])[0] for name, va in parts.items()}
    norm = LogNorm(1, max(2, *(count.max(initial=0) for count in counts.values())))
    mesh = None
    for ax, (name, va), colour in zip(
        axes, parts.items(), (style.LABEL, style.PALETTE[2]), strict=True
    ):
        if len(va) <= _SCATTER:
            ax.scatter(*va.T, s=8, color=colour, alpha=0.35, linewidth=0)
        else:
            mesh = ax.pcolormesh(
                side, side, np.ma.masked_equal(counts[name].T, 0), norm=norm, cmap="viridis"
            )
        style.plane(ax).set_title(f"{name}, {len(va)} frames")
    if mesh is not None:
        axes[0].figure.colorbar(
            mesh, ax=list(axes), label="frames a cell", shrink=0.85, format="%d"
        )
    return style.finish(axes, title, note)


def ccc_table_plot(
    table: pd.DataFrame, axes: Sequence[Axes] | None = None, title: str = "", note: str = ""
) -> np.ndarray:
    """CCC of each method as a dot with its 95 % interval over trials; baselines in grey.

    table : from `metrics.ccc_table`: method, emotion, ccc, low, high (NaN = no interval), baseline.

    The order of methods is kept, first on top. With a note (the scores have no meaning) it stands
    above, and all is grey. Returns one axes per emotion.
    """
    methods = list(dict.fromkeys(table["method"]))
    emotions = [emotion for emotion in EMOTIONS if emotion in set(table["emotion"])]
    if axes is None:
        axes = style.new_axes(
            1,
            len(emotions),
            size=(2.2 + 4.2 * len(emotions), 1.1 + 0.36 * len(methods)),
            sharey=True,
            squeeze=False,
        )[0]
    low = min([-0.1, *(value - 0.05 for value in (*table["ccc"], *table["low"]) if value == value)])
    for ax, emotion in zip(axes, emotions, strict=True):
        for row in table[table["emotion"] == emotion].itertuples():
            _draw_score(ax, row, methods.index(row.method), is_grey=bool(note))
        ax.axvline(0, color="0.3", linewidth=1)
        intervals = " (bar: 95 % over trials)" if table["low"].notna().any() else ""
        ax.set(xlabel=f"CCC {emotion}{intervals}", xlim=(low, 1.0))
        style.named_rows(ax, [method.replace(" (", "\n(") for method in methods])
    for method, text in zip(methods, axes[0].get_yticklabels(), strict=True):
        if table.loc[table["method"] == method, "baseline"].all():
            text.set_color("0.45")
    return style.finish(axes, ": ".join(filter(None, (note, title))))


def _draw_score(ax: Axes, row, index: int, is_grey: bool) -> None:
    """Dot, interval and number of one row of the CCC table, `index` rows from the top."""
    colour = style.BASELINE if row.baseline or is_grey else style.COLOURS[row.emotion]
    if row.low == row.low:
        ax.plot([row.low, row.high], [index, index], color=colour, linewidth=2.5, alpha=0.6)
    ax.plot([row.ccc], [index], "s" if row.baseline else "o", color=colour, markersize=7)
    ax.text(
        1.03,
        index,
        with_interval(row),
        va="center",
        transform=ax.get_yaxis_transform(),
        color=style.BASELINE if is_grey else style.LABEL,
        fontsize="small" if is_grey else None,
    )


def with_interval(row) -> str:
    """``0.81 [0.72, 0.87]`` for a row of the CCC table; – for a score that is not defined."""
    if row.ccc != row.ccc:
        return "–"
    text = intervals.rounded(row.ccc) + intervals.in_brackets(row.low, row.high)
    return text.replace("-", "−")


def error_by_trial(
    table: pd.DataFrame,
    ax: Axes | None = None,
    measure: str = "rmse",
    most: int = 30,
    note: str = "",
) -> Axes:
    """One row per trial, worst on top: error (or score) of valence and arousal.

    table : from `metrics.per_trial`: trial, emotion, and the column `measure` (ccc, pcc, rmse or
        mae).

    Only the `most` worst trials are drawn; the axis says how many there are.
    """
    wide = table.pivot(index="trial", columns="emotion", values=measure)
    order = wide.mean(axis=1).sort_values(ascending=measure in ("ccc", "pcc")).index
    shown = wide.loc[order[:most]]
    ax = style.new_axes(size=(7.5, 1.1 + 0.27 * len(shown))) if ax is None else ax
    rows = range(len(shown))
    ax.hlines(rows, shown.min(axis=1), shown.max(axis=1), color=style.BASELINE, linewidth=1)
    for emotion, marker in zip(EMOTIONS, "oD", strict=True):
        if emotion in shown:
            colour = style.COLOURS[emotion]
            ax.plot(shown[emotion], rows, marker, color=colour, label=emotion)
    ax.set(xlabel=_MEASURES[measure], ylabel=style.worst_of(len(shown), len(wide)))
    style.named_rows(ax, shown.index)
    if measure in ("rmse", "mae"):
        ax.set_xlim(0, 1.05 * max(1e-3, np.nan_to_num(shown.to_numpy(float)).max(initial=0)))
    else:
        ax.axvline(0, color="0.3", linewidth=1)
    style.legend_beside(ax)
    return style.finish(ax, note=note)


def folds_plot(table: pd.DataFrame, axes=None, note: str = "") -> np.ndarray:
    """CCC of each run of a cross-validation with its 95 % interval over trials; a panel each.

    table : as `lib.evaluation.folds_merged.table` gives it: run, "val valence", "val valence low",
        … "test arousal high".
    Rows from top to bottom: folds, their mean, merged. Returns both axes.
    """
    if axes is None:
        axes = style.new_axes(1, 2, size=(9.4, 1.2 + 0.32 * len(table)), sharey=True)
    for ax, emotion in zip(axes, EMOTIONS, strict=True):
        _draw_folds(ax, table, f"val {emotion}", -0.12, "o", style.COLOURS[emotion], "validation")
        _draw_folds(ax, table, f"test {emotion}", 0.12, "D", style.LABEL, "test")
        ax.axhline(len(table) - 2.5, color="0.7", linewidth=0.8)
        ax.set_xlabel(f"{emotion}: CCC, 95 % interval over trials")
        style.named_rows(ax, table["run"])
    style.legend_beside(axes[-1])
    for handle in axes[-1].get_legend().legend_handles if axes[-1].get_legend() else []:
        handle.set_color(style.LABEL)  # validation has another colour in each panel: shapes tell
    return style.finish(axes, note=note)


def _draw_folds(
    ax: Axes, table: pd.DataFrame, score: str, shift: float, marker: str, colour, label: str
) -> None:
    """Dots and intervals of one column of `folds_plot`, `shift` rows below their places; nothing if
    no run has that score.
    """
    ends = (score, f"{score} low", f"{score} high")
    values, low, high = (table[name].astype(float).to_numpy() for name in ends)
    if np.isfinite(values).any():
        rows = np.arange(len(table)) + shift
        ax.hlines(rows, low, high, color=colour, linewidth=2, alpha=0.6)
        ax.plot(values, rows, marker, color=colour, label=label)
