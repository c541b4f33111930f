"""Pictures of errors per trial for notebook 06."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..metrics import EMOTIONS
from . import style
from .data import mel_axis

MAX_TRIALS = 30  # trials in a picture; more are illegible
CONTEXT_SECONDS = 0.5  # s before and after a stretch that its curves show
_ERROR_PARTS = {
    "correlation": ("correlation", 1.0),
    "scale": ("scale (SD prediction / SD label)", 1.0),
    "shift": ("shift (SD)", 0.0),
    "bias": ("bias (label units)", 0.0),
}


def worst_stretches(
    shown: Sequence[Mapping],
    time: np.ndarray,
    prediction: np.ndarray,
    label: np.ndarray,
    sound: Mapping,
    title: str = "",
    note: str = "",
):
    """One column per stretch: faces, spectrogram, values against labels. Returns the figure.

    shown : mappings with span (s, s), rmse, and where known faces (n, S, S, 3) uint8 with valid
        (n,) bool.
    time : (T,) s. prediction, label : (T, 2), NaN unlabelled. sound : mel (64, columns) dB, t0 s,
        rate 1/s; or empty.
    """
    axes = style.new_axes(
        4,
        len(shown),
        size=(1.2 + 4.2 * len(shown), 7.5),
        squeeze=False,
        height_ratios=(1, 1.2, 1.5, 1.5),
    )
    for column, stretch in zip(axes.T, shown, strict=True):
        start, stop = stretch["span"]
        _draw_faces(column[0], stretch)
        column[0].set_title(f"{start:.1f} to {stop:.1f} s, RMSE {stretch['rmse']:.2f}")
        _draw_sound(column[1], sound, (start - CONTEXT_SECONDS, stop + CONTEXT_SECONDS))
        _draw_curves(column[2:], time, prediction, label, (start, stop))
    for ax in axes[2:, -1]:
        style.legend_beside(ax)
    style.finish(axes, title, note)
    return style.figure_of(axes)


def _draw_faces(ax: Axes, one: Mapping) -> None:
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    if "faces" not in one:
        style.say(ax, "no faces")
        return
    faces = [
        face if valid else np.full_like(face, 220)
        for face, valid in zip(one["faces"], one["valid"], strict=True)
    ]
    ax.imshow(np.concatenate(faces, axis=1))
    side = faces[0].shape[1]
    for number in np.flatnonzero(~np.asarray(one["valid"], bool)):
        ax.text(
            (number + 0.5) * side, side / 2, "no face", ha="center", va="center", fontsize="x-small"
        )


def _draw_curves(
    axes: Sequence[Axes],
    time: np.ndarray,
    prediction: np.ndarray,
    label: np.ndarray,
    span: tuple[float, float],
) -> None:
    """Valence and arousal against their labels, in a stretch (shaded) and a short time around
    it.
    """
    start, stop = span
    near = (time >= start - CONTEXT_SECONDS) & (time <= stop + CONTEXT_SECONDS)
    for column, (ax, emotion) in enumerate(zip(axes, EMOTIONS, strict=True)):
        colour = style.COLOURS[emotion]
        ax.axvspan(start, stop, color="0.93", zorder=0)
        style.curve(ax, time[near], label[near, column], color=style.LABEL, label="label")
        style.curve(ax, time[near], prediction[near, column], color=colour, label="prediction")
        ax.set(ylabel=f"{emotion} (−1…1)", ylim=(-1.05, 1.05))
        ax.set(xlim=(start - CONTEXT_SECONDS, stop + CONTEXT_SECONDS))
    axes[-1].set_xlabel("time (s)")


def _draw_sound(ax: Axes, sound: Mapping, span: tuple[float, float]) -> None:
    ax.grid(False)
    if not sound:
        style.say(ax, "no sound")
        return
    end = sound["t0"] + sound["mel"].shape[1] / sound["rate"]
    bands = len(sound["mel"])
    extent = (sound["t0"], end, -0.5, bands - 0.5)
    ax.imshow(sound["mel"], aspect="auto", origin="lower", cmap="magma", extent=extent)
    ax.set(xlim=span, xticks=[])
    mel_axis(ax, bands)


def ccc_parts(
    table: pd.DataFrame, axes: Sequence[Axes] | None = None, note: str = ""
) -> np.ndarray:
    """One row per trial, the worst on top: correlation, scale, shift and bias of both emotions; a
    line marks the ideal value.

    table : of `errors.parts`; the first 30 trials are drawn. Returns the axes.
    """
    names = list(dict.fromkeys(table["trial"]))[:MAX_TRIALS]
    if axes is None:
        axes = style.new_axes(
            1, len(_ERROR_PARTS), size=(12, 1.2 + 0.27 * max(1, len(names))), sharey=True
        )
    for ax, (part, (words, right)) in zip(axes, _ERROR_PARTS.items(), strict=True):
        learnt = [
            pair for pair in zip(EMOTIONS, "oD", strict=True) if pair[0] in set(table["emotion"])
        ]
        for emotion, marker in learnt:
            values = table[table["emotion"] == emotion].set_index("trial")[part].reindex(names)
            ax.plot(values, range(len(names)), marker, color=style.COLOURS[emotion], label=emotion)
        ax.axvline(right, color=style.LABEL, linewidth=1)
        ax.set_xlabel(words)
        style.named_rows(ax, names)
    axes[0].set_ylabel(style.worst_of(len(names), table["trial"].nunique()))
    style.legend_beside(axes[-1])
    return style.finish(axes, note=note)
