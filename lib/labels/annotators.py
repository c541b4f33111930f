"""Several annotators at any rate -> one row of labels per video frame, shifted by a delay, with
their agreement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from .. import metrics
from ..errors import InputError
from ..media.frames import nearest, spacing
from ..metrics import EMOTIONS

METHODS = ("linear", "nearest", "hold", "mean")
# sampling periods; a frame further than this from the next value is unlabelled, not guessed
GAP_PERIODS = 3.0
# share of a recording below which a note says that labels cover only a part of it
COVERED_SHARE = 0.5
LONGER = 1.0  # s that labels may continue after the last frame without a note
# Labels that cover less than this share of a recording and are denser than this (Hz) have times in
# another unit.
SHORT_SHARE, DENSE_HZ = 0.1, 200.0
# rows that a table of one row per frame may have too many or too few (decoders differ by that)
TOLERANCE_FRAMES = 2
# s that labels may begin before, or continue after, their recording; half of its length if that is
# more
BEYOND = 5.0


@dataclass(frozen=True)
class Annotation:
    """The labels of one recording by one annotator.

    values : (n, k), NaN = unlabelled. time : (n,) s from the start of the recording, rising; None:
        one row per frame, or
    rows at a steady rate. until : (n,) s, if values hold for stretches that begin at `time`; None:
    they hold for moments.
    frame : (n,) int, frame numbers from 0, if the table has these instead of times.
    notes : what was done while the file was read, as sentences.
    """

    annotator: str
    values: np.ndarray
    time: np.ndarray | None = None
    until: np.ndarray | None = None
    where: str = ""
    frame: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def to_frames(
    one: Annotation,
    frames: np.ndarray,
    method: str = "linear",
    delay: float = 0.0,
    rate: float = 0.0,
) -> tuple[np.ndarray, str]:
    """One annotator's values at the frames of a video -> ((T, k) float32, how it was done, in
    words).

    Arguments
    ---------
    frames : (T,) s, the frames' times.
    method : "linear" between two values, "nearest" value, "hold" the last one, "mean" of those
        around a frame (for labels that are denser than frames).
    delay : s by which the annotator reacts late: frame t gets the value at t + delay.
    rate : Hz of a table without times; 0: it has one row per frame (up to `TOLERANCE_FRAMES`), or a
        single row for all of them.

    Before the first and after the last value, and in gaps of more than `GAP_PERIODS` periods,
    frames are unlabelled. Raises InputError for another number of rows, for times beyond the
    recording, for "mean" of sparse labels.
    """
    _refuse_impossible(one, method)
    if one.frame is not None:
        return _by_number(one, frames, delay)
    if one.time is None and len(one.values) == 1:
        rows = np.repeat(one.values, len(frames), 0).astype(np.float32)
        return rows, "one value for the whole recording"
    if one.time is None and not rate:
        return _row_by_row(one, frames, delay)
    times = one.time
    if times is None:
        times = frames[0] + np.arange(len(one.values)) / rate
    return _by_time(one, times, frames, method, delay)


def _refuse_impossible(one: Annotation, method: str) -> None:
    if method not in METHODS:
        raise InputError(f"label_resample: {method}", expected=", ".join(METHODS))
    if not len(one.values):
        raise InputError(
            "a label table without a row",
            where=one.where,
            expected="a row per value",
            todo="write it again, or remove it",
        )


def _by_time(
    one: Annotation, times: np.ndarray, frames: np.ndarray, method: str, delay: float
) -> tuple[np.ndarray, str]:
    """`to_frames` of a table whose rows are at `times`."""
    _refuse_other_recording(one, times, frames, delay)
    sample_times = np.asarray(frames, np.float64) + delay
    if one.until is not None:
        lasting = float(np.median(one.until - times))
        _refuse_other_unit(one, times, frames, lasting, spacing(frames, alone=lasting))
        return _stretches(one.values, times, one.until, sample_times), f"{len(times)} stretches"
    period = spacing(times, alone=float(frames[-1] - frames[0]) + 1.0)
    _refuse_other_unit(one, times, frames, period, 1 / DENSE_HZ)
    values = _SAMPLERS[method](one, times, sample_times, period)
    step = spacing(frames, alone=period)
    return values.astype(np.float32), f"{1 / period:.4g} Hz → {1 / step:.4g} frames/s, {method}"


def extent(one: Annotation, rows: np.ndarray, frames: np.ndarray, delay: float = 0.0) -> str:
    """A note if labels continue after the recording, or if they cover less than half of it, values
    of three stretches or more less than a tenth.

    rows : (T, k) of `to_frames`. frames : (T,) s. delay : s, as in `to_frames`.
    """
    ends = one.until if one.until is not None else one.time
    beyond = 0.0 if ends is None else float(np.max(ends) - frames[-1] - delay)
    if beyond > LONGER:
        return f"labels go on for {beyond:.2f} s after the last frame"
    known = np.flatnonzero(np.isfinite(rows).any(axis=1))
    if not len(known):
        return "no frame of the recording is labelled"
    first, last = frames[known[0]], frames[known[-1]]
    share = COVERED_SHARE
    if one.until is not None:
        share = SHORT_SHARE if len(one.until) > 2 else 0.0
    if last - first >= share * (frames[-1] - frames[0]):
        return ""
    length = frames[-1] + spacing(frames)
    return f"labels from {first:.2f} to {last:.2f} s, and the recording lasts {length:.2f} s"


def shift(rows: np.ndarray, times: np.ndarray, delay: float) -> np.ndarray:
    """Rows per frame (T, …) taken `delay` s later; unlabelled (NaN or −1) beyond the recording's
    end.
    """
    if not delay:
        return rows
    indices = nearest(np.asarray(times, np.float64), np.asarray(times) + delay)
    half = spacing(times) / 2
    beyond = (times + delay > times[-1] + half) | (times + delay < times[0] - half)
    shifted = np.array(rows[indices])
    shifted[beyond] = np.nan if shifted.dtype.kind == "f" else -1
    return shifted


def combine(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, dict]:
    """The mean of several annotators, each (T, 2), frame by frame over those who labelled it, and
    their agreement.

    Returns ((T, 2) float32, {"annotators": n, "valence": mean pairwise CCC or None, "arousal": …}).
    A frame that one annotator labelled is labelled.
    """
    stack = np.stack([np.asarray(labels, np.float64) for labels in rows])
    known = np.isfinite(stack)
    count = known.sum(axis=0)
    mean = np.where(known, stack, 0).sum(axis=0) / np.maximum(count, 1)
    return (
        np.where(count > 0, mean, np.nan).astype(np.float32),
        {
            "annotators": len(rows),
            **{
                emotion: agreement([labels[:, k] for labels in rows])
                for k, emotion in enumerate(EMOTIONS)
            },
        },
    )


def agreement(columns: Sequence[np.ndarray]) -> float | None:
    """Mean CCC of all pairs of annotators, (T,) each, over the frames that both labelled; None
    without such a pair.
    """
    scores = []
    for one, other in combinations([np.asarray(column, np.float64) for column in columns], 2):
        both = np.isfinite(one) & np.isfinite(other)
        if both.any():
            scores.append(metrics.ccc(one[both], other[both]))
    return float(np.mean(scores)) if scores else None


def _row_by_row(one: Annotation, frames: np.ndarray, delay: float) -> tuple[np.ndarray, str]:
    n, n_frames = len(one.values), len(frames)
    if abs(n - n_frames) > TOLERANCE_FRAMES:
        raise InputError(
            f"a label table without times: {n} rows, and the video has {n_frames} frames",
            where=one.where,
            expected="a column time (s), or one row per frame",
            todo="add the column time, or set label_rate to the number of rows per second",
        )
    rows = np.full((n_frames, one.values.shape[1]), np.nan, np.float32)
    rows[: min(n, n_frames)] = one.values[:n_frames]
    note = (
        ""
        if n == n_frames
        else f"{n} rows for {n_frames} frames: trimmed or filled up at the end; "
    )
    return shift(rows, np.asarray(frames), delay), f"{note}one row per frame"


def _by_number(one: Annotation, frames: np.ndarray, delay: float) -> tuple[np.ndarray, str]:
    if one.frame.min() < 0 or one.frame.max() >= len(frames) + TOLERANCE_FRAMES:
        raise InputError(
            f"frames {one.frame.min() + 1} to {one.frame.max() + 1}, and the video has "
            f"{len(frames)}",
            where=one.where,
            expected="frame numbers of this video, from 1",
            todo="correct the column frame, or the file's name",
        )
    rows = np.full((len(frames) + TOLERANCE_FRAMES, one.values.shape[1]), np.nan, np.float32)
    rows[one.frame] = one.values
    return shift(rows[: len(frames)], np.asarray(frames), delay), "by frame numbers"


def _refuse_other_recording(
    one: Annotation, times: np.ndarray, frames: np.ndarray, delay: float
) -> None:
    last = float(np.max(one.until)) if one.until is not None else float(times[-1])
    length = float(frames[-1] - frames[0])
    spare = max(BEYOND, length / 2) + abs(delay)
    if last > frames[-1] + spare or times[0] < frames[0] - spare or times[0] > frames[-1]:
        raise InputError(
            f"the labels go from {times[0]:.2f} to {last:.2f} s, the video from {frames[0]:.2f} to "
            f"{frames[-1]:.2f} s",
            where=one.where,
            expected="labels of this recording, in seconds from its start",
            todo="correct the times (milliseconds: call the column time_ms), or the name",
        )


def _refuse_other_unit(
    one: Annotation, times: np.ndarray, frames: np.ndarray, period: float, least: float
) -> None:
    """Raise InputError for labels that are so dense, and cover so little of the recording, that
    their times cannot be seconds: minutes, days of a spreadsheet, seconds in a column of
    milliseconds.

    period : s from one to the next, or that a stretch lasts. least : s that it has at least.
    """
    ends = times if one.until is None else one.until
    span, length = float(np.max(ends) - times[0]), float(frames[-1] - frames[0])
    if len(times) < 3 or span >= SHORT_SHARE * length or period >= least:
        return
    raise InputError(
        f"{len(times)} labels within {span:.3g} s, of a recording of {length:.4g} s",
        where=one.where,
        expected="times in seconds, or with their unit in the column's name: time_ms, time [min], "
        "time [days] for those of a spreadsheet",
        todo="write the right unit into the name of the column",
    )


def _stretches(
    values: np.ndarray, start: np.ndarray, until: np.ndarray, frame_times: np.ndarray
) -> np.ndarray:
    row = np.searchsorted(start, frame_times, side="right") - 1
    inside = (row >= 0) & (frame_times < until[np.maximum(row, 0)])
    return np.where(inside[:, None], values[np.maximum(row, 0)], np.nan).astype(np.float32)


def _linear(
    one: Annotation, times: np.ndarray, frame_times: np.ndarray, period: float
) -> np.ndarray:
    columns = [
        np.interp(frame_times, times, column) for column in np.asarray(one.values, np.float64).T
    ]
    right = np.clip(np.searchsorted(times, frame_times), 1, max(1, len(times) - 1))
    gap = np.zeros(len(frame_times), bool)
    if len(times) > 1:
        gap = np.diff(times)[right - 1] > GAP_PERIODS * period
    exact = np.isin(frame_times, times)
    return np.where(
        (_outside(times, frame_times, period) | (gap & ~exact))[:, None],
        np.nan,
        np.stack(columns, axis=1),
    )


def _near(one: Annotation, times: np.ndarray, frame_times: np.ndarray, period: float) -> np.ndarray:
    indices = nearest(times, frame_times)
    far = np.abs(times[indices] - frame_times) > GAP_PERIODS / 2 * period
    return np.where(
        (far | _outside(times, frame_times, period))[:, None], np.nan, one.values[indices]
    )


def _hold(one: Annotation, times: np.ndarray, frame_times: np.ndarray, period: float) -> np.ndarray:
    row = np.searchsorted(times, frame_times, side="right") - 1
    return np.where((row < 0)[:, None], np.nan, one.values[np.maximum(row, 0)])


def _mean(one: Annotation, times: np.ndarray, frame_times: np.ndarray, period: float) -> np.ndarray:
    step = spacing(frame_times, alone=period)
    if period > step * 1.01:
        raise InputError(
            f"label_resample: mean, with {1 / period:.3g} values per second and {1 / step:.3g} "
            "frames",
            where=one.where,
            expected="more values than frames",
            todo="set label_resample to linear",
        )
    first, last = (np.searchsorted(times, frame_times + half * step - 1e-9) for half in (-0.5, 0.5))
    known = np.isfinite(one.values)
    sums, counts = _running(np.where(known, one.values, 0)), _running(known)
    count = counts[last] - counts[first]
    return np.where(count > 0, (sums[last] - sums[first]) / np.maximum(count, 1), np.nan)


def _running(rows: np.ndarray) -> np.ndarray:
    """(n + 1, k) float64: the sums of the first 0, 1, … n rows."""
    return np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0, dtype=np.float64)])


_SAMPLERS = {"linear": _linear, "nearest": _near, "hold": _hold, "mean": _mean}


def _outside(times: np.ndarray, frame_times: np.ndarray, period: float) -> np.ndarray:
    """Frames more than a period before the first or after the last value."""
    return (frame_times < times[0] - period * 1.001) | (frame_times > times[-1] + period * 1.001)
