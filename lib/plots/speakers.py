"""Who speaks when: a curve for each face, and a time line of speech."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ..labels import csv_columns
from ..media import frames
from ..trials import counted
from . import style
from .results import predicted

SPEAKING_COLOUR, SILENT_COLOUR = "#00aa3c", "#d62728"  # same as the boxes of `lib.speakers.overlay`
# Persons and faces that a picture shows: of more it would take minutes, and a page's height.
MOST_PERSONS, MOST_FACES = 12, 20


def of_video(values: pd.DataFrame, note: str = ""):
    """The picture of a predicted video: who speaks for a table of faces, everybody for a table of
    people, else all predictions over time.
    """
    if "face" in values:
        return speaking_traces(values, note=note)
    if csv_columns.is_of_people(values):
        return everybody(values, note=note)
    return predicted(values, note=note)


def everybody(values: pd.DataFrame, note: str = "") -> np.ndarray:
    """Everybody in a video over time: per person the stacked probabilities of the expressions, the
    valence and arousal derived from them, and a bar where she or he speaks.

    values : rows of `lib.evaluation.people.look`. Returns the axes, two per person; of more than
        `MOST_PERSONS` those who are seen longest, and the note says so.
    """
    seen = values[values["valid"] == 1]["person"].value_counts()
    names, note = _longest(dict.fromkeys(values["person"]), seen, MOST_PERSONS, "persons", note)
    axes = style.new_axes(2 * len(names), size=(10, 3.6 * len(names)), sharex=True, squeeze=False)
    axes = axes[:, 0]
    for name, shares, curves in zip(names, axes[::2], axes[1::2], strict=True):
        rows = values[values["person"] == name]
        _expressions(shares, rows, name)
        for column in ("valence_derived", "arousal_derived", "valence", "arousal"):
            if column in rows:
                line = "-" if column.endswith("derived") else "--"
                colour = style.COLOURS[column.split("_")[0]]
                words = column.replace("_", ", ")
                style.curve(curves, rows["time"], rows[column], line, color=colour, label=words)
        if "speaking" in rows and len(rows):
            lasting = _lasting(rows).reindex(rows["time"][rows["speaking"] > 0.5])
            look = {"color": SPEAKING_COLOUR, "label": "speaks", "linewidth": 0}
            curves.broken_barh(list(lasting.items()), (-1, 0.1), **look)
        curves.axhline(0, color="0.6", linewidth=0.8)
        curves.set(ylim=(-1, 1), ylabel=f"person {style.drawn(name)}")
        if len(rows):
            style.legend_beside(curves)
    axes[-1].set_xlabel("time (s)")
    return style.finish(axes, note=note)


def _longest(
    names: Iterable[str], seen: pd.Series, most: int, what: str, note: str
) -> tuple[list[str], str]:
    """Up to `most` of the names, those that are seen longest, in their order; and the note, which
    says how many more there are.

    seen : name -> frames. what : "persons", "faces".
    """
    names = list(names) or ["nobody"]
    if len(names) <= most:
        return names, note
    kept = set(sorted(names, key=lambda name: -int(seen.get(name, 0)))[:most])
    more = f"{len(names) - most} more {what}, seen for less long, are in the table"
    return [name for name in names if name in kept], "\n".join(filter(None, [note, more]))


def _expressions(ax: Axes, rows: pd.DataFrame, name: str) -> None:
    columns = [column for column in rows if column.startswith("expression_")]
    columns = [column for column in columns if column != "expression_decided"]
    parts = rows[columns].to_numpy(float).T
    if parts.size:
        words = [column.removeprefix("expression_") for column in columns]
        colours = [style.PALETTE[k % len(style.PALETTE)] for k in range(len(columns))]
        ax.stackplot(rows["time"], np.nan_to_num(parts), labels=words, colors=colours, linewidth=0)
        style.legend_beside(ax)
    ax.set(ylim=(0, 1), ylabel=f"person {style.drawn(name)}\nexpression, p")


def speaking_traces(values: pd.DataFrame, axes=None, note: str = ""):
    """Probability of speaking of every face over time, filled where it counts as speaking; below it
    the time line.

    values : rows of `lib.speakers.video.table`. Returns the axes, one a face and the time line; of
        more than `MOST_FACES` those that are seen longest, and the note says so.
    """
    names = sorted(set(values["face"]), key=counted)
    faces, note = _longest(names, values["face"].value_counts(), MOST_FACES, "faces", note)
    values = values[values["face"].isin(faces)]
    if axes is None:
        size = (8, 1.2 + 1.3 * (len(faces) + 1))
        axes = style.new_axes(len(faces) + 1, 1, size=size, sharex=True, squeeze=False)[:, 0]
    for ax, face in zip(axes, faces, strict=False):
        rows = values[values["face"] == face].sort_values("frame")
        gaps = np.flatnonzero(np.diff(rows["frame"]) > 1) + 1
        for part in np.split(np.arange(len(rows)), gaps):
            stretch = rows.iloc[part]
            look = {"color": style.PALETTE[0], "linewidth": 1.2}
            style.curve(ax, stretch["time"], stretch["smoothed"], **look)
            speaks = stretch["speaking"] == 1
            look = {"color": SPEAKING_COLOUR, "alpha": 0.35}
            ax.fill_between(stretch["time"], 0, stretch["smoothed"], where=speaks, **look)
        ax.axhline(0.5, color="0.5", linewidth=0.8, linestyle="--")
        ax.set(ylabel=f"p({style.drawn(face)} speaks)", ylim=(0, 1))
    time_line(values, ax=axes[len(faces)])
    axes[len(faces)].set_xlabel("time (s)")
    return style.finish(axes, note=note)


def time_line(values: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """One row per face: a thin red line where it is seen, a thick green one where it speaks."""
    ax = style.new_axes(size=(8, 2)) if ax is None else ax
    faces = sorted(set(values["face"]), key=counted)
    lasting = _lasting(values)
    for row, face in enumerate(faces):
        rows = values[values["face"] == face]
        for speaking, colour, height in ((0, SILENT_COLOUR, 0.12), (1, SPEAKING_COLOUR, 0.6)):
            shown = lasting.reindex(rows["time"][rows["speaking"] == speaking])
            place = (row - height / 2, height)
            ax.broken_barh(list(shown.items()), place, color=colour, linewidth=0)
    ax.set(
        xlabel="time (s)",
        yticks=range(len(faces)),
        yticklabels=list(map(style.drawn, faces)),
        ylim=(-0.6, max(len(faces), 1) - 0.4),
    )
    return ax


def _lasting(values: pd.DataFrame) -> pd.Series:
    """How long each frame is shown in s, by its time, of rows with `frame` and `time`."""
    shown = values.drop_duplicates("frame").sort_values("frame")
    times = shown["time"].to_numpy(float)
    return pd.Series(frames.ends(times, shown["frame"].to_numpy()) - times, index=times)


# green, red, grey
LABELLED_SPEAKING, LABELLED_SILENT, UNKNOWN_COLOUR = (style.PALETTE[2], style.PALETTE[3], "0.6")
_SEEN = "0.75"
_BARS = {
    "frames": "length (frames)",
    "speaking": "share of faces that speak",
    "voice": "share of frames with a voice",
    "faces a frame": "faces a frame",
}


def clip_timeline(
    time: np.ndarray,
    persons: Mapping[str, tuple[np.ndarray, np.ndarray]],
    voices: Mapping[str, np.ndarray],
    ax: Axes | None = None,
    title: str = "",
    note: str = "",
) -> Axes:
    """One line per person and one per kind of voice, over time.

    time : (n,) s. persons : name -> (visible, speaks), (n,) bool each. voices : name -> (n,) bool.
    """
    rows = [*persons, *voices]
    ax = style.new_axes(size=(10, 1.2 + 0.4 * len(rows))) if ax is None else ax
    for row, (visible, speaks) in enumerate(persons.values()):
        _bars(ax, time, row, visible, _SEEN, "face seen" if row == 0 else "")
        _bars(ax, time, row, visible & speaks, LABELLED_SPEAKING, "speaks" if row == 0 else "")
    for row, values in enumerate(voices.values(), start=len(persons)):
        _bars(ax, time, row, values, style.PALETTE[0], "voice" if row == len(persons) else "")
    border = style.edges(time)
    ax.set(
        yticks=range(len(rows)),
        yticklabels=rows,
        ylim=(len(rows) - 0.4, -0.6),
        xlim=(border[0], border[-1]),
        xlabel="time (s)",
    )
    ax.grid(False, axis="y")
    style.legend_beside(ax)
    return style.finish(ax, title, note)


def _bars(ax: Axes, time: np.ndarray, row: int, where: np.ndarray, colour, label: str) -> None:
    border = style.edges(time)
    spans = [(border[a], border[b] - border[a]) for a, b in frames.runs(where)]
    ax.broken_barh(spans, (row - 0.35, 0.7), facecolors=colour, label=label or None)


def speaking_strip(
    faces: Sequence[np.ndarray],
    speaks: Sequence[int],
    times: Sequence[float],
    rows: Sequence[str] = (),
    axes: Sequence[Axes] | None = None,
    title: str = "",
    note: str = "",
) -> Sequence[Axes]:
    """Faces side by side, framed green (1, speaks), red (0, does not) or grey (−1, not defined); a
    line per person.

    faces : of each person (N, S, S) grey or (N, S, S, 3) RGB, uint8.
    speaks : of each person (N,).
    times : (N,) s.
    """
    count = len(times)
    if axes is None:
        axes = style.new_axes(
            max(1, len(faces)),
            size=(max(4, 0.9 * count), 1.0 + 1.15 * max(1, len(faces))),
            squeeze=False,
        )[:, 0]
    for person, ax in enumerate(axes[: len(faces)]):
        for column, (face, label) in enumerate(zip(faces[person], speaks[person], strict=True)):
            _draw_framed(ax, column, face, int(label))
        ax.set(
            xlim=(0, count),
            ylim=(0, 1),
            aspect="equal",
            yticks=[],
            xticks=np.arange(count) + 0.5,
            xticklabels=[f"{time:.2f}" for time in times],
            ylabel=rows[person] if person < len(rows) else "",
        )
        ax.grid(False)
        ax.spines[:].set_visible(False)
    axes[-1].set_xlabel("time (s); green, solid: speaks; red, dashed: does not; grey: not defined")
    style.finish(axes[0], title)
    return style.finish(axes, note=note)


def _draw_framed(ax: Axes, column: int, face: np.ndarray, label: int) -> None:
    """One face of `speaking_strip`, framed as its label says."""
    frames_of = {1: (LABELLED_SPEAKING, "-"), 0: (LABELLED_SILENT, "--")}
    colour, line = frames_of.get(label, (UNKNOWN_COLOUR, ":"))
    inside = (column + 0.06, column + 0.94, 0.06, 0.94)
    ax.imshow(face, extent=inside, cmap="gray", vmin=0, vmax=255)
    look = {"fill": False, "edgecolor": colour, "linewidth": 3, "linestyle": line}
    ax.add_patch(Rectangle((column + 0.04, 0.04), 0.92, 0.92, **look))


def clip_distribution(
    table: pd.DataFrame, axes: Sequence[Axes] | None = None, note: str = ""
) -> Sequence[Axes]:
    """Histograms of the columns frames, speaking, voice, faces per frame; a colour per split."""
    axes = style.new_axes(1, len(_BARS), size=(11, 2.8)) if axes is None else axes
    splits = list(pd.unique(table["split"]))
    for ax, (name, label) in zip(axes, _BARS.items(), strict=True):
        values = [
            table.loc[table["split"] == split, name].dropna().to_numpy(float) for split in splits
        ]
        if any(len(of_split) for of_split in values):
            ax.hist(values, bins=12, stacked=True, label=splits)
        ax.set(xlabel=label, ylabel="clips")
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=name == "frames", min_n_ticks=1))
        ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    style.legend_beside(axes[-1])
    return style.finish(axes, note=note)
