"""eGeMAPS on the frame grid: 23 low-level descriptors, or 88 functionals of one second (LFAN
specification 1.7, 1.13).

openSMILE computes them. Its Python package brings the binary, whose licence is for research only;
so it is an extra: ``pip install -e .[opensmile]`` (``make research``), and nothing else needs it.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ..errors import InputError
from ..media.frames import nearest
from ..media.sound import cut
from .mfcc39 import RATE

DESCRIPTORS, FUNCTIONALS = 23, 88
SECONDS = 1.0  # of sound behind each frame that the functionals describe
BLOCK = 60 * RATE  # samples given to openSMILE at once
# samples before and after a block, so that its ends are not ends of a recording
CONTEXT_SAMPLES = RATE


@cache
def _smile(functionals: bool):
    try:
        import opensmile
    except ImportError as error:
        raise InputError(
            "openSMILE is not installed",
            where="eGeMAPS",
            expected="the Python package opensmile",
            todo="pip install -e .[opensmile], or make research (its licence: research only)",
        ) from error
    sets, level = opensmile.FeatureSet, opensmile.FeatureLevel
    return opensmile.Smile(
        feature_set=sets.eGeMAPSv02 if functionals else sets.eGeMAPSv01a,
        feature_level=level.Functionals if functionals else level.LowLevelDescriptors,
    )


def descriptors(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) int16 at 16 kHz -> start times in s, and (rows, 23) float32 of eGeMAPSv01a, 10 ms."""
    table = _smile(False).process_signal(np.asarray(samples, np.float32) / 32768, RATE)
    starts = table.index.get_level_values("start").total_seconds().to_numpy()
    return starts, table.to_numpy(np.float32)


def functionals(samples: np.ndarray) -> np.ndarray:
    """(n,) int16 at 16 kHz -> (88,) float32 of eGeMAPSv02."""
    return (
        _smile(True)
        .process_signal(np.asarray(samples, np.float32) / 32768, RATE)
        .to_numpy(np.float32)[0]
    )


def on_frames(samples: np.ndarray, t0: float, times: np.ndarray) -> np.ndarray:
    """(T, 23): the descriptors that start nearest to each frame, on the recording's clock; silence
    outside the file.

    A minute at a time with a second before and after: memory does not grow with the recording.
    Jitter and shimmer depend on the previous pitch periods, so after the first minute they differ
    from those of one pass.
    """
    times = np.asarray(times, np.float64)
    out = np.zeros((len(times), DESCRIPTORS), np.float32)
    positions = np.round((times - t0) * RATE).astype(np.int64)  # sample of each frame
    for first in range(int(positions.min(initial=0)), int(positions.max(initial=-1)) + 1, BLOCK):
        inside = np.flatnonzero((positions >= first) & (positions < first + BLOCK))
        if not len(inside):
            continue
        start = first - CONTEXT_SAMPLES
        starts, rows = descriptors(
            cut(samples, start, int(positions[inside].max()) + CONTEXT_SAMPLES)
        )
        out[inside] = rows[nearest(starts, (positions[inside] - start) / RATE)]
    return out


def functionals_on_frames(samples: np.ndarray, t0: float, times: np.ndarray) -> np.ndarray:
    """(T, 88): functionals of the second that begins with each frame. Slow, as in the published
    code.
    """
    starts = np.round((np.asarray(times, np.float64) - t0) * RATE).astype(np.int64)
    rows = [functionals(cut(samples, start, start + int(SECONDS * RATE))) for start in starts]
    if not rows:
        return np.zeros((0, FUNCTIONALS), np.float32)
    return np.stack(rows)


def make(inputs, parameters, create, device) -> None:
    """Fill (T, 23), or with ``functionals`` (T, 88), float32. See `lib.store.Maker`."""
    every = parameters.get("functionals", False)
    _smile(every)  # says what is missing before anything is written
    rule = functionals_on_frames if every else on_frames
    rows = rule(inputs["sound"], inputs["sound_facts"]["t0"], np.asarray(inputs["time"]))
    with create(rows.shape, np.float32) as out:
        out[...] = rows
