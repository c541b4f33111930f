"""Curves of a training, also live: loss, validation scores, learning rate by epoch."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from . import style


def training_curves(
    history: pd.DataFrame, axes: Sequence[Axes] | None = None, title: str = "", note: str = ""
) -> np.ndarray:
    """Loss, validation scores and learning rate by epoch.

    history : a row per epoch (``history.csv``): epoch; loss and any other ``loss…``, ``val_loss``;
        ``val_…`` scores such as val_ccc_valence; lr (1). Columns that are absent or empty are left
        out. The epoch with the highest mean of the scores is marked. Returns three axes.
    """
    axes = style.new_axes(1, 3, size=(11, 3), width_ratios=(3, 3, 2)) if axes is None else axes
    known = [name for name in history.columns if name != "epoch" and history[name].notna().any()]
    losses = [
        name for name in known if name == "val_loss" or name.startswith(("loss", "train_loss"))
    ]
    scores = [name for name in known if name.startswith("val_") and name != "val_loss"]
    _curves(axes[0], history, losses, "loss")
    only_ccc = all("ccc" in name for name in scores)
    _curves(axes[1], history, scores, "validation CCC" if only_ccc else "validation score")
    _curves(axes[2], history, [name for name in known if name == "lr"], "learning rate")
    if scores:
        best = history["epoch"].iloc[int(np.nanargmax(history[scores].mean(axis=1)))]
        axes[1].axvline(
            best, color=style.LABEL, linewidth=1, linestyle=":", label=f"best: epoch {best:.0f}"
        )
    for ax in axes[:2]:
        if ax.get_legend_handles_labels()[0]:
            ax.legend(
                loc="lower left", bbox_to_anchor=(0, 1), ncol=3, borderaxespad=0.2, columnspacing=1
            )
    return style.finish(axes, title, note)


def _curves(ax: Axes, history: pd.DataFrame, names: Sequence[str], ylabel: str) -> None:
    for number, name in enumerate(names):
        emotion = next((emotion for emotion in style.COLOURS if name.endswith(emotion)), "")
        colour = style.COLOURS.get(emotion, style.PALETTE[(2, 3, 4, 7, 8, 9)[number % 6]])
        ax.plot(
            history["epoch"],
            history[name],
            marker=".",
            color=colour,
            label=_words(name),
            linestyle="--" if name == "val_loss" or emotion == "arousal" else "-",
        )
    ax.set(xlabel="epoch", ylabel=ylabel)
    if len(history):
        ax.set_xlim(history["epoch"].min() - 0.5, history["epoch"].max() + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    if not names:
        style.say(ax, "no values")


def _words(column: str) -> str:
    """``val_ccc_valence`` -> valence, ``val_loss`` -> validation, ``loss_va`` -> part va."""
    known = {"loss": "training", "train_loss": "training", "val_loss": "validation"}
    if column.startswith("loss_"):
        column = column.replace("loss_", "part ", 1)
    return known.get(column, column.removeprefix("val_").removeprefix("ccc_").replace("_", " "))


class LiveCurves:
    """Training curves that are redrawn in place while a notebook trains.

        curves = plots.LiveCurves(note=note)
        trainer.on_epoch = [curves.update]

    In JupyterLab one picture under the cell changes; under papermill the executed notebook holds
    the last one. In a plain Python process nothing happens. It never prints.

    seconds : least time between two drawings (a drawing takes some 0.3 s); `update(history,
        last=True)` always draws.
    """

    def __init__(self, seconds: float = 5.0, note: str = ""):
        self.seconds, self.note = seconds, note
        self._handle, self._drawn = None, -np.inf

    def update(self, history: pd.DataFrame, last: bool = False) -> None:
        """Draw the history so far, as `training_curves` does."""
        import IPython

        shell = IPython.get_ipython()
        early = time.monotonic() - self._drawn < self.seconds and not last
        if shell is None or not hasattr(shell, "kernel") or early or not len(history):
            return
        picture = {"image/png": style.png(training_curves(history, note=self.note))}
        if self._handle is None:
            self._handle = IPython.display.display(picture, raw=True, display_id=True)
        else:
            self._handle.update(picture, raw=True)
        self._drawn = time.monotonic()
