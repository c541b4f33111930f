"""Box filters over predicted valence and arousal; their widths, chosen on validation trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from .. import metrics
from ..errors import InputError
from ..metrics import EMOTIONS

WIDTHS = (1, 3, 5, 10, 15, 20, 30, 40, 50, 75, 100, 150)  # frames; 1 = no smoothing


def box(x: np.ndarray, width: int) -> np.ndarray:
    """Mean over a window of `width` frames, normalised at the edges.

    x : (T,) or (T, k) numbers, a row per frame. The window of frame i reaches from i − width//2 to
        i + (width−1)//2: symmetric for an odd width, one frame more before than after for an even
        one (as scipy's). Frames outside the trial and NaN do not count; a NaN frame stays NaN.

    Returns float64 of the same shape.
    """
    x = np.asarray(x, np.float64)
    return _box(x, width, np.zeros(len(x), np.int64), np.full(len(x), len(x)))


def smooth(va: np.ndarray, widths: Mapping[str, int]) -> np.ndarray:
    """Predictions as they are submitted: clipped to −1…1, then `box` with each emotion's width.

    va : (T, 2) valence and arousal.
    widths : {"valence": frames, "arousal": frames}; an emotion that is not named keeps its frames.
        Returns (T, 2) float64.
    """
    clipped = np.clip(np.asarray(va, np.float64), -1, 1)
    return np.stack(
        [box(clipped[:, i], widths.get(name, 1)) for i, name in enumerate(EMOTIONS)], axis=1
    )


def published_box(va: np.ndarray, widths: Mapping[str, int]) -> np.ndarray:
    """The published rule (``rules: published``): clip to −1…1, then a box, zeros outside the trial.

    va : (T, 2); frames without a prediction are 0, as in the published arrays.

    The first and last width/2 frames shrink towards 0. Returns (T, 2) float64.
    """
    from scipy.ndimage import uniform_filter1d  # half a second to import, needed for this rule only

    clipped = np.clip(np.nan_to_num(np.asarray(va, np.float64)), -1, 1)
    return np.stack(
        [
            uniform_filter1d(clipped[:, i], widths[name], mode="constant")
            for i, name in enumerate(EMOTIONS)
        ],
        axis=1,
    )


def choose(labels: Mapping, predictions: Mapping, widths: Sequence[int] = WIDTHS) -> dict[str, int]:
    """The width of each emotion with the highest CCC over these (validation) trials.

    Of equally good widths the smallest is taken; 1 if nothing is labelled. The score of the chosen
    width on the same trials is optimistic: report the raw score beside it. Arguments as in
    `ccc_by_width`.
    """
    table = ccc_by_width(labels, predictions, widths)
    known = [emotion for emotion in EMOTIONS if table[emotion].notna().any()]
    return dict.fromkeys(EMOTIONS, 1) | {name: int(table[name].idxmax()) for name in known}


def ccc_by_width(
    labels: Mapping, predictions: Mapping, widths: Sequence[int] = WIDTHS
) -> pd.DataFrame:
    """CCC after clipping and smoothing: a row per width (index, in frames), a column per emotion.

    labels, predictions : {trial: (T, 2)}, valence and arousal, label NaN = unlabelled.
    """
    widths = sorted(set(widths))
    table = pd.DataFrame(index=pd.Index(widths, name="width"), columns=list(EMOTIONS), dtype=float)
    trials = [trial for trial, label in labels.items() if len(label)]
    if not trials:
        return table
    # All trials are concatenated; each frame knows where its trial starts and stops.
    lengths = np.array([len(labels[trial]) for trial in trials])
    stop = np.repeat(np.cumsum(lengths), lengths)
    start = stop - np.repeat(lengths, lengths)
    label = np.concatenate([labels[trial] for trial in trials])
    prediction = np.clip(
        np.concatenate([_prediction(predictions, trial, labels) for trial in trials]), -1, 1
    )
    for column, emotion in enumerate(EMOTIONS):
        x, y = prediction[:, column].astype(np.float64), label[:, column]
        table[emotion] = [metrics.ccc(_box(x, width, start, stop), y) for width in widths]
    return table


def _prediction(predictions: Mapping, trial: str, labels: Mapping) -> np.ndarray:
    prediction = predictions.get(trial)
    if prediction is None and not np.isfinite(labels[trial]).any():
        return np.full((len(labels[trial]), len(EMOTIONS)), np.nan)
    if prediction is None or len(prediction) != len(labels[trial]):
        rows = "none" if prediction is None else len(prediction)
        raise InputError(
            f"{rows} predicted frames for {len(labels[trial])} frames of labels",
            where=f"trial {trial}",
            expected="one prediction a frame",
            todo="predict all validation trials before choosing widths",
        )
    return np.asarray(prediction)


def _box(x: np.ndarray, width: int, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Means of windows cut at each frame's own `start` and `stop` (row numbers, (T,) int)."""
    if width != int(width) or width < 1:
        raise InputError(
            f"a smoothing width of {width}", expected="a whole number of frames, 1 = no smoothing"
        )
    frame = np.arange(len(x))
    low = np.maximum(frame - int(width) // 2, start)
    high = np.minimum(frame + (int(width) - 1) // 2 + 1, stop)
    known = ~np.isnan(x)
    with np.errstate(invalid="ignore"):
        means = _window_sums(np.where(known, x, 0.0), low, high) / _window_sums(known, low, high)
    return np.where(known, means, np.nan)


def _window_sums(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    sums = np.zeros((len(x) + 1, *x.shape[1:]))
    np.cumsum(x, axis=0, out=sums[1:])
    return sums[high] - sums[low]
