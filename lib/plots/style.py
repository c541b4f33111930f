"""Common style of all pictures: theme, colours, the valence–arousal plane, gaps, notes, saving."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import textwrap
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Bbox

from ..files import whole
from ..media import frames
from .rcparams import COLOURBLIND, EAST_ASIAN, THEME

PALETTE = [to_rgb(colour) for colour in COLOURBLIND]
COLOURS = {"valence": PALETTE[0], "arousal": PALETTE[1]}  # blue and orange
_own: ContextVar[bool] = ContextVar("figures that pyplot does not know", default=False)
CHARACTERS_PER_INCH = 12  # characters of a note per inch of a figure's width
NAME_CHARACTERS = 40  # characters of a name beside axes
POSITION_DIGITS = 9  # digits of a share of the figure: less than a thousandth of a pixel
NORMAL_WEIGHTS = (400, "normal", "regular", "book")
LABEL, BASELINE = "0.15", "0.6"  # greys: labels, and methods for comparison only


@functools.cache
def theme() -> None:
    """Set seaborn's theme and colour-blind palette (`rcparams`) once, so that a person's later
    settings are kept. Characters that the first font lacks are drawn in one that is installed.
    """
    plt.rcParams.update(THEME)
    plt.rcParams["font.family"] = [THEME["font.family"], *_east_asian()]


def _east_asian() -> list[str]:
    """Installed fonts of `EAST_ASIAN`. If none of them has a normal weight, the first one counts as
    such: Matplotlib would log a line about it for each figure.
    """
    fonts = [font for font in fontManager.ttflist if font.name in EAST_ASIAN]
    normal = {font.name for font in fonts if font.weight in NORMAL_WEIGHTS}
    if fonts and not normal:
        fontManager.ttflist.append(dataclasses.replace(fonts[0], weight=NORMAL_WEIGHTS[0]))
        normal = {fonts[0].name}
    return [family for family in EAST_ASIAN if family in normal]


class RoundedLayout(ConstrainedLayoutEngine):
    """Matplotlib's constrained layout, with positions rounded to a billionth of the figure.

    Its solver (kiwisolver) orders variables by memory address, so the last bit of a position
    differs from one drawing to the next, and with it a few pixels of a picture.
    """

    def execute(self, fig: Figure) -> object:
        grids = super().execute(fig)
        for ax in fig.axes:
            position = Bbox(np.round(ax.get_position(original=True).get_points(), POSITION_DIGITS))
            ax._set_position(position, which="original")  # `set_position` would end the layout
        return grids


def new_axes(rows: int = 1, columns: int = 1, size: tuple[float, float] = (8, 3), **options):
    """Axes of a new figure with the theme set; `size` in inches. One Axes, or an array of them."""
    theme()
    if _own.get():
        figure = Figure(figsize=size)
        FigureCanvasAgg(figure)
    else:
        figure = plt.figure(figsize=size)
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.set_layout_engine(RoundedLayout())
    return figure.subplots(rows, columns, **options)


@contextlib.contextmanager
def unseen() -> Iterator[None]:
    """Figures that are made inside the block are unknown to pyplot, so JupyterLab does not show
    them by itself.

    Callbacks of widgets need this: JupyterLab runs them while another thread of the kernel shows
    and closes all of pyplot's figures, including one that is being drawn.
    """
    before = _own.set(True)
    try:
        yield
    finally:
        _own.reset(before)


def finish(axes, title: str = "", note: str = "") -> Axes | np.ndarray:
    """Write the title above all axes and the note below the figure. Returns the axes."""
    figure = figure_of(axes)
    if title and isinstance(axes, Axes):
        axes.set_title(_literal(title))
    elif title:
        figure.suptitle(_literal(title), x=0.01, ha="left", fontsize="medium")
    if note:
        width = round(CHARACTERS_PER_INCH * figure.get_figwidth())
        note = "\n".join(textwrap.fill(line, width) for line in note.splitlines())
        figure.supxlabel(_literal(note), fontsize="small", style="italic", color=PALETTE[3])
    return axes if isinstance(axes, Axes) else np.asarray(axes)


def curve(ax: Axes, time: np.ndarray, values: np.ndarray, *form: str, **look: object) -> None:
    """A curve of values (T,) over time, NaN unknown, with a dot for each frame beside which no
    other is known: a line alone shows nothing there.
    """
    (line,) = ax.plot(time, values, *form, **look)
    known = np.isfinite(np.asarray(values, float))
    beside = np.append(known[1:], False) | np.append(False, known[:-1])
    if (alone := known & ~beside).any():
        ax.plot(np.asarray(time)[alone], np.asarray(values)[alone], ".", color=line.get_color())


def named_rows(ax: Axes, names: Sequence) -> None:
    """A row of the axes for each name, the first on top."""
    ax.set(yticks=range(len(names)), yticklabels=list(map(drawn, names)))
    ax.set_ylim(max(1, len(names)) - 0.5, -0.5)


def drawn(name: object) -> str:
    """The name of a trial, person or run as it is drawn: without the middle of a long line, which
    would leave no room for the data.
    """
    return _literal("\n".join(map(_shortened, str(name).split("\n"))))


def _shortened(line: str) -> str:
    if len(line) <= NAME_CHARACTERS:
        return line
    return f"{line[: NAME_CHARACTERS // 2]}…{line[-NAME_CHARACTERS // 2 + 1 :]}"


def _literal(text: str) -> str:
    """A text for Matplotlib, which would read what stands between two dollar signs as a formula."""
    return text.replace("$", r"\$")


def say(ax: Axes, words: str) -> None:
    """Write into empty axes why they have no data."""
    ax.set(xticks=[], yticks=[])
    ax.text(0.5, 0.5, words, ha="center", va="center", transform=ax.transAxes)


def figure_of(picture) -> Figure:
    """The figure of a Figure, of Axes, or of an array of Axes."""
    if isinstance(picture, Figure):
        return picture
    return np.ravel(np.asarray(picture, dtype=object))[0].figure


def save(picture, path: Path, close: bool = False) -> Path:
    """Write a figure (or the figure of these axes) as PNG, PDF or SVG, after the path's suffix.

    close : forget the figure afterwards, so that a notebook does not show it and loops do not fill
        the memory.
    """
    figure, path = figure_of(picture), Path(path)
    with whole(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix(".") or None)
    if close:
        plt.close(figure)
    return path


def png(picture, dpi: int = 100, **options) -> bytes:
    """A figure as PNG bytes; the figure is closed, so that it does not appear a second time under
    the cell. options : of Matplotlib's `savefig`.
    """
    figure, stream = figure_of(picture), io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, **options)
    plt.close(figure)
    return stream.getvalue()


def plane(ax: Axes) -> Axes:
    """Set up axes as the circumplex: valence to the right, arousal up, −1…1, with the unit
    circle.
    """
    angle = np.linspace(0, 2 * np.pi, 200)
    ax.plot(np.cos(angle), np.sin(angle), color="0.5", linewidth=1, zorder=3)
    for line in (ax.axhline, ax.axvline):
        line(0, color="0.5", linewidth=1, zorder=3)
    ax.set(
        xlim=(-1.05, 1.05),
        ylim=(-1.05, 1.05),
        aspect="equal",
        xlabel="valence (−1…1)",
        ylabel="arousal (−1…1)",
        xticks=(-1, -0.5, 0, 0.5, 1),
        yticks=(-1, -0.5, 0, 0.5, 1),
    )
    ax.grid(False)
    return ax


def edges(time: np.ndarray) -> np.ndarray:
    """(T+1,) s: borders halfway between frames, so that each has its own stretch of time."""
    time = np.asarray(time, np.float64)
    if len(time) < 2:
        return np.concatenate([time - 0.02, time + 0.02])
    middle = (time[1:] + time[:-1]) / 2
    return np.concatenate([[2 * time[0] - middle[0]], middle, [2 * time[-1] - middle[-1]]])


def shade(ax: Axes, time: np.ndarray, missing: np.ndarray, label: str) -> None:
    """Shade the stretches of time where `missing` (T,) is true; one entry `label` in the legend."""
    border = edges(time)
    for number, (start, stop) in enumerate(frames.runs(missing)):
        ax.axvspan(
            border[start],
            border[stop],
            facecolor="0.9",
            edgecolor="0.7",
            hatch="///",
            linewidth=0,
            zorder=0,
            label=label if number == 0 else None,
        )


def worst_of(shown: int, trials: int) -> str:
    """Label of an axis with one row per trial, which may show only the worst ones."""
    return "trial" if shown == trials else f"{shown} worst of {trials} trials"


def legend_beside(ax: Axes) -> None:
    """Legend right of the axes, where it covers no data."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), borderaxespad=0)
