"""Which frames a network sees for each target frame: frame numbers only, no data.

Frames are counted from 0 as in the arrays of the store (row k is video frame k). The number -1
means "nothing": a black picture, a masked step. Section numbers are those of the TSAV/JCA
specification.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..errors import InputError

PUBLISHED_STEPS = 16  # sub-sequences of a window (section 2.4)
# frames of a sub-sequence: the distance of two targets of a window (section 2.4)
PUBLISHED_HOP = 32
PUBLISHED_BLOCK = PUBLISHED_STEPS * PUBLISHED_HOP  # 512 frames of context


def clips(n_frames: int, length: int = 8, dilation: int = 6) -> np.ndarray:
    """Frames of the causal clip that ends at each target frame (TSAV, section 1.1).

    Arguments
    ---------
    n_frames : frames of the trial, >= 0.
    length : pictures in a clip (8 published).
    dilation : frames from one picture to the next (6 published: t-42, t-36, …, t).

    Returns (n_frames, length) int32, the last one is the target; -1 = before the first frame.
    """
    _at_least(0, n_frames=n_frames)
    _at_least(1, length=length, dilation=dilation)
    back = dilation * np.arange(length - 1, -1, -1)
    frames = np.arange(n_frames)[:, None] - back
    return np.where(frames < 0, -1, frames).astype(np.int32)


def together(n_frames: int, dilation: int = 6, size: int = 32) -> np.ndarray:
    """Order of the target frames in which `size` neighbours share most pictures: (n_frames,) int32.

    The clip of frame t shares 7 of its 8 pictures with the clip of t + dilation, and none with that
    of t + 1. So within each block of dilation · size frames the order is 0, dilation, 2 · dilation
    …, then 1, dilation + 1 …

    dilation : frames from one picture of a clip to the next, >= 1. size : clips per batch, >= 1.
    """
    _at_least(1, dilation=dilation, size=size)
    frames = np.arange(n_frames, dtype=np.int32)
    return frames[np.lexsort((frames, frames % dilation, frames // (dilation * size)))]


def look_back(present: np.ndarray, span: int = 32, length: int = 8) -> np.ndarray:
    """Choose `length` of the existing frames among the last `span` ones, for each target (JCA,
    section 2.4).

    Of the n frames that exist in [t-span+1, t]: every (n // length)-th, counted back from the last
    one. For the published 8 of 32 that is every 4th (n = 32), 3rd (24-31), 2nd (16-23) or the last
    8 (8-15). With fewer than `length` all are taken, in order, and the last one is repeated.

    Arguments
    ---------
    present : (T,) bool, the frame has a picture (published rules: a row in the label table).

    Returns (T, length) int32 frame numbers in rising order; -1 in all columns where none exists.
    """
    present = np.asarray(present)
    if present.ndim != 1 or present.dtype != bool:
        raise InputError(
            f"an array of shape {present.shape} and type {present.dtype}",
            where="windows.look_back",
            expected="present: (T,) bool",
        )
    _at_least(1, span=span, length=length)
    existing = np.flatnonzero(present)
    if existing.size == 0:
        return np.full((present.size, length), -1, dtype=np.int32)
    after = np.cumsum(present)  # existing frames <= t
    # existing frames < t-span+1
    first = np.concatenate([np.zeros(span, int), after])[: present.size]
    n = after - first
    column = np.arange(length)
    many = after[:, None] - 1 - (n // length)[:, None] * (length - 1 - column)
    few = first[:, None] + np.minimum(column, n[:, None] - 1)
    rank = np.where((n >= length)[:, None], many, few)
    frames = existing[np.clip(rank, 0, existing.size - 1)]
    return np.where((n > 0)[:, None], frames, -1).astype(np.int32)


def sequences(
    n_frames: int, steps: int = 16, hop: int = 32, phases: Iterable[int] | None = None
) -> np.ndarray:
    """Target frames of each window: every frame is a target once (corrected rule, section 7.1).

    For phase r the targets are r, r+hop, r+2·hop … in groups of `steps`; the last group is filled
    up with -1. A trial of any length gives windows.

    Arguments
    ---------
    n_frames : frames of the trial, >= 0.
    steps : targets of a window (16 published).
    hop : frames from one target to the next (32 published).
    phases : which r in 0…hop-1; default all of them. Training draws some anew each epoch.

    Returns (n_windows, steps) int32, windows of a phase in order; phases beyond a trial: none.
    """
    _at_least(0, n_frames=n_frames)
    _at_least(1, steps=steps, hop=hop)
    chosen = range(hop) if phases is None else [int(phase) for phase in phases]
    if any(not 0 <= phase < hop for phase in chosen):
        raise InputError(
            f"phases {list(chosen)}", where="windows.sequences", expected=f"each in 0…{hop - 1}"
        )
    windows = [_grouped(np.arange(phase, n_frames, hop), steps) for phase in chosen]
    return np.concatenate([np.empty((0, steps), np.int32), *windows])


def published_sequences(
    n_frames: int, training: bool, rows: np.ndarray | None = None
) -> np.ndarray:
    """Target frames of each window by the published form (section 2.4), 16 steps of 32 frames.

    Block b and phase r give the targets r + 512·b + 32·i. Training keeps a window only if it ends
    inside the trial and each of its steps has a label row among its 32 frames, so trials under 481
    frames give none. Evaluation goes on until every frame was a target once; targets beyond the
    trial are -1 (computed on black and silence by the published code).

    Arguments
    ---------
    n_frames : frames of the trial, >= 0.
    training : the training rule; otherwise validation and test.
    rows : (n_frames,) bool, the frame has a row in the label table; default all. For training.

    Returns (n_windows, 16) int32.
    """
    _at_least(0, n_frames=n_frames)
    number = np.arange(PUBLISHED_HOP * (n_frames // PUBLISHED_BLOCK + 1))
    first = number // PUBLISHED_HOP * PUBLISHED_BLOCK + number % PUBLISHED_HOP
    targets = first[:, None] + PUBLISHED_HOP * np.arange(PUBLISHED_STEPS)
    if not training:
        # `e < L + 482` with e = first + 481: one window more than needed when L is no multiple of
        # 512.
        targets = targets[first <= n_frames]
        return np.where(targets < n_frames, targets, -1).astype(np.int32)
    targets = targets[targets[:, -1] < n_frames]
    if rows is not None:
        seen = look_back(np.asarray(rows), PUBLISHED_HOP, 1)[:, 0] >= 0
        targets = targets[seen[targets].all(axis=1)]
    return targets.astype(np.int32)


def overlapping(n_frames: int, window: int = 300, hop: int = 200) -> np.ndarray:
    """First frames of windows that overlap, the last one at the end (LFAN specification 2.1).

    Returns (N,) int64: 0, hop, 2·hop … while a window ends before the trial does, then n_frames −
    window; [0] for a trial that is not longer than a window, [] for an empty one.
    """
    _at_least(0, n_frames=n_frames)
    _at_least(1, window=window, hop=hop)
    if n_frames <= window:
        return np.zeros(int(n_frames > 0), np.int64)
    return np.append(np.arange(0, n_frames - window, hop), n_frames - window)


def with_history(
    n_frames: int, length: int, history: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pieces of a trial for a causal network: each frame a target once, with the past that it sees.

    length : targets of a piece. history : frames before a target that reach it (receptive field −
        1).
    Returns start, first target and stop of each piece, (N,) each; joined, they give what one pass
    over all gives.
    """
    _at_least(0, n_frames=n_frames, history=history)
    _at_least(1, length=length)
    first = np.arange(0, n_frames, length)
    return np.maximum(first - history, 0), first, np.minimum(first + length, n_frames)


def _grouped(targets: np.ndarray, steps: int) -> np.ndarray:
    """Cut a row of targets into rows of `steps`, the last one filled up with -1."""
    filled = np.full(-(-targets.size // steps) * steps, -1, dtype=np.int32)
    filled[: targets.size] = targets
    return filled.reshape(-1, steps)


def _at_least(lowest: int, **values: int) -> None:
    for name, value in values.items():
        if value < lowest:
            raise InputError(f"{name} = {value}", where="windows", expected=f"{lowest} or more")
