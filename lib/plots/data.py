"""Pictures of recordings and annotations: notebooks 01 to 04."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.ticker
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle

from ..media import sound
from ..metrics import EMOTIONS
from . import style

BINS = 40  # cells per side of the plane
_STATES = {
    "ok": (style.PALETTE[0], ""),
    "missing": (style.PALETTE[1], "///"),
    "damaged": (style.PALETTE[3], "xxx"),
    "extra": (style.PALETTE[4], "..."),
}
_OTHER = (style.PALETTE[7], "--")
_ENVELOPE = 20_000  # samples; longer waveforms are drawn by their extremes in 2000 time steps
_COLUMNS = 4000  # of a spectrogram that are drawn singly: 40 s
_TICKS_HZ = (250, 500, 1000, 2000, 4000, 8000, 16000)
_TICK_INCHES = 0.16  # from one name of a frequency to the next


def found_against_expected(
    report: pd.DataFrame, ax: Axes | None = None, most: int = 30, note: str = ""
) -> Axes:
    """Bars: how much of each item was found, in per cent of what was expected, and both numbers.

    report : columns item, found, expected (numbers; NaN = not known beforehand), state (ok,
        missing, damaged, extra or another word). More than `most` items: those not ok come first,
        the rest is counted.
    """
    if len(report) > most:
        report = report.iloc[np.argsort(report["state"].eq("ok"), kind="stable")]
    shown = report.head(most)
    ax = style.new_axes(size=(8, 1.3 + 0.32 * len(shown))) if ax is None else ax
    found, expected = (
        pd.to_numeric(shown[name], errors="coerce") for name in ("found", "expected")
    )
    share = np.where(
        expected > 0, 100 * found / expected.where(expected > 0, 1), np.where(found > 0, 100, 0)
    )
    for row, (state, length) in enumerate(zip(shown["state"], share, strict=True)):
        colour, hatch = _STATES.get(state, _OTHER)
        ax.barh(row, length, color=colour, hatch=hatch, edgecolor="white", height=0.7)
    for row, (have, want, state) in enumerate(zip(found, expected, shown["state"], strict=True)):
        text = f"{_number(have)} of {_number(want)}" if want == want else _number(have)
        # Numbers have a column of their own, which no bar or line crosses.
        ax.text(1.02, row, f"{text}, {state}", va="center", transform=ax.get_yaxis_transform())
    ax.axvline(100, color=style.LABEL, linewidth=1)
    ax.set(
        yticks=range(len(shown)),
        yticklabels=list(map(style.drawn, shown["item"])),
        ylim=(len(shown) - 0.4, -0.6),
        xlim=(0, 1.04 * max(100, share.max(initial=0))),
        xlabel="found (% of expected)",
        ylabel="" if len(shown) == len(report) else f"first {len(shown)} of {len(report)} items",
    )
    ax.grid(False, axis="y")
    return style.finish(ax, note=note)


def _number(value: float) -> str:
    if value != value:
        return "?"
    if not float(value).is_integer():
        return f"{value:.3g}"
    return f"{value:,.0f}".replace(",", " ")


def label_plane(va: np.ndarray, ax: Axes | None = None, note: str = "") -> Axes:
    """Two-dimensional histogram of labels in the valence–arousal plane, counts as logarithms.

    va : (n, 2) in −1…1, NaN unlabelled; the title says how many of the frames are labelled.
    """
    ax = style.new_axes(size=(5.4, 4.6)) if ax is None else ax
    va = np.asarray(va, np.float64).reshape(-1, 2)
    known = va[~np.isnan(va).any(axis=1)]
    if len(known):
        side = np.linspace(-1, 1, BINS + 1)
        *_, mesh = ax.hist2d(
            known[:, 0], known[:, 1], bins=[side, side], cmin=1, norm=LogNorm(), cmap="viridis"
        )
        ax.figure.colorbar(mesh, ax=ax, label="labelled frames a cell", shrink=0.85, format="%d")
    style.plane(ax)
    return style.finish(ax, f"{_number(len(known))} labelled of {_number(len(va))} frames", note)


def face_strip(
    faces: np.ndarray,
    times: Sequence[float],
    valid: np.ndarray | None = None,
    ax: Axes | None = None,
    title: str = "",
    note: str = "",
) -> Axes:
    """Faces side by side, each with its time; frames without a face are hatched and say so.

    faces : (N, S, S, 3) uint8 RGB, or (N, S, S) grey. times : (N,) s.
    valid : (N,) bool, False = no face found.
    """
    valid = np.ones(len(faces), bool) if valid is None else np.asarray(valid, bool)
    # Inches per face; the rest is room for title, times and note.
    side = min(1.15, 10 / max(1, len(faces)))
    ax = style.new_axes(size=(max(3, side * len(faces)), side + 1.0)) if ax is None else ax
    for index, (face, is_valid) in enumerate(zip(faces, valid, strict=True)):
        if is_valid:
            ax.imshow(face, extent=(index, index + 0.94, 0, 0.94), cmap="gray", vmin=0, vmax=255)
        else:
            _draw_no_face(ax, index)
    ax.set(
        xlim=(-0.04, len(faces)),
        ylim=(-0.02, 0.96),
        aspect="equal",
        yticks=[],
        xlabel="time (s)",
        xticks=np.arange(len(faces)) + 0.47,
        xticklabels=[f"{time:.2f}" for time in times],
    )
    ax.grid(False)
    ax.spines[:].set_visible(False)
    return style.finish(ax, title, note)


def _draw_no_face(ax: Axes, column: int) -> None:
    ax.add_patch(Rectangle((column, 0), 0.94, 0.94, facecolor="0.92", edgecolor="0.6", hatch="///"))
    ax.text(
        column + 0.47,
        0.47,
        "no face",
        ha="center",
        va="center",
        fontsize="small",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )


def sound_view(
    waveform: np.ndarray,
    rate: float,
    t0: float,
    mel: np.ndarray,
    times: np.ndarray | None = None,
    axes: Sequence[Axes] | None = None,
    span: tuple[float, float] | None = None,
    hop: float = 0.01,
    f_max: float = 22_050,
    title: str = "",
    note: str = "",
) -> np.ndarray:
    """Waveform with the grid of video frames, above the mel spectrogram, on one time axis.

    waveform : (n,) in −1…1 or int16, sample i at t0 + i/rate.
    mel : (bands, columns) dB, column j centred at t0 + j·hop, HTK mel bands from 0 Hz to `f_max`
        (TSAV/JCA specification §1.4).
    times : (T,) s of the video frames.
    span : (start, stop) s that is shown; all of it if None. Returns both axes.
    """
    if axes is None:
        axes = style.new_axes(2, size=(10, 4.6), sharex=True, height_ratios=(2, 3))
    wave, picture = axes
    span = span or (t0, t0 + len(waveform) / rate)
    peak = max(1e-3, _draw_waveform(wave, waveform, rate, t0))
    if times is not None:
        _draw_frames(wave, times)
    # Room for the grid of frames below the waveform.
    wave.set(ylabel="amplitude (−1…1)", xlim=span, ylim=(-1.35 * peak, 1.1 * peak))
    _draw_mel(picture, mel, t0, hop, f_max)
    picture.set(xlabel="time (s)", xlim=span)
    return style.finish(axes, title, note)


def _draw_frames(ax: Axes, times: np.ndarray) -> None:
    """A tick per video frame, low in the axes."""
    ax.plot(
        times,
        np.full(len(times), 0.03),
        "|",
        color=style.PALETTE[3],
        markersize=7,
        label="video frame",
        transform=ax.get_xaxis_transform(),
    )
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncol=2, borderaxespad=0.2)


def _draw_mel(ax: Axes, mel: np.ndarray, t0: float, hop: float, f_max: float) -> None:
    """The spectrogram with its colour bar and a scale in Hz."""
    bands, columns = mel.shape
    if columns > _COLUMNS:  # more than a picture shows: the mean of neighbours
        step = -(-columns // _COLUMNS)
        firsts = np.arange(0, columns, step)
        sizes = np.diff(np.append(firsts, columns))
        mel, columns = np.add.reduceat(mel, firsts, axis=1) / sizes, step * len(firsts)
    image = ax.imshow(
        mel,
        origin="lower",
        aspect="auto",
        cmap="magma",
        interpolation="nearest",
        extent=(t0 - hop / 2, t0 + (columns - 0.5) * hop, -0.5, bands - 0.5),
    )
    # Inside the axes' own space, independent of legends of the axes below.
    bar = ax.inset_axes((1.01, 0, 0.012, 1))
    ax.figure.colorbar(image, cax=bar, label="power (dB)")
    ax.set_ylim(-0.5, bands - 0.5)
    mel_axis(ax, bands, f_max)


def mel_axis(ax: Axes, bands: int = 64, f_max: float = 22_050) -> None:
    """Label the bands of a spectrogram in Hz, with only as many labels as have room.

    ax : band k is drawn from k − ½ to k + ½.
    """
    inches = ax.figure.get_figheight() * ax.get_position().height / bands  # of a band
    ticks: list[tuple[int, float]] = []
    for hertz in sorted(_TICKS_HZ, reverse=True):
        position = float(band_of(np.array(hertz), bands, f_max))
        if hertz < f_max and (not ticks or (ticks[-1][1] - position) * inches >= _TICK_INCHES):
            ticks.append((hertz, position))
    ticks.reverse()
    names = [f"{hertz // 1000}k" if hertz >= 1000 else str(hertz) for hertz, _ in ticks]
    ax.set_yticks([position for _, position in ticks], names)
    ax.set_ylabel("mel (Hz)")
    ax.grid(False)


def band_of(hertz: np.ndarray, bands: int = 64, f_max: float = 22_050) -> np.ndarray:
    """Position of a frequency on an axis of HTK mel bands: k is the centre of band k (from 0)."""

    def mel(f):
        return 2595 * np.log10(1 + np.asarray(f, np.float64) / 700)

    return mel(hertz) / mel(f_max) * (bands + 1) - 1


def _draw_waveform(ax: Axes, waveform: np.ndarray, rate: float, t0: float) -> float:
    """Draw the samples, or of many the least and the largest of each of 2000 stretches; returns the
    largest magnitude. Hours of sound are not copied.
    """
    colour = style.PALETTE[0]
    if len(waveform) <= _ENVELOPE:
        samples = sound.in_one(waveform)
        time = t0 + np.arange(len(samples)) / rate
        ax.plot(time, samples, color=colour, linewidth=0.7, label="sound")
        return float(np.abs(samples).max(initial=0))
    step = -(-len(waveform) // 2000)
    firsts = np.arange(0, len(waveform), step)
    ends = [sound.in_one(kind.reduceat(waveform, firsts)) for kind in (np.minimum, np.maximum)]
    time = t0 + (np.arange(len(firsts)) + 0.5) * step / rate
    ax.fill_between(time, *ends, color=colour, linewidth=0.4, label="sound")
    return float(np.abs(ends).max())


def va_traces(
    time: np.ndarray, va: np.ndarray, ax: Axes | None = None, title: str = "", note: str = ""
) -> Axes:
    """Valence and arousal of a trial over time; stretches without labels are shaded.

    time : (T,) s. va : (T, 2) in −1…1, NaN unlabelled.
    """
    ax = style.new_axes(size=(10, 2.8)) if ax is None else ax
    va = np.asarray(va)
    style.shade(ax, time, np.isnan(va).any(axis=1), "unlabelled")
    for column, (emotion, dash) in enumerate((("valence", "-"), ("arousal", (0, (5, 1))))):
        look = {"linestyle": dash, "color": style.COLOURS[emotion], "label": emotion}
        style.curve(ax, time, va[:, column], **look)
    border = style.edges(time)
    ax.set(
        xlabel="time (s)", ylabel="label (−1…1)", ylim=(-1.05, 1.05), xlim=(border[0], border[-1])
    )
    ax.yaxis.set_major_locator(matplotlib.ticker.MultipleLocator(0.5))
    style.legend_beside(ax)
    return style.finish(ax, title, note)


def delay_curve(
    rows: pd.DataFrame, chosen: float = 0.0, ax: Axes | None = None, title: str = "", note: str = ""
) -> Axes:
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
        ax.plot(
            [best], [mean[best]], "*", color=style.LABEL, markersize=14, label=f"best: {best:g} s"
        )
    ax.axvline(chosen, color=style.BASELINE, linestyle="--", label=f"label_delay: {chosen:g} s")
    ax.set(
        xlabel="annotation delay (s)", ylabel="training CCC of a\nregression on pixels and loudness"
    )
    style.legend_beside(ax)
    return style.finish(ax, title, note)
