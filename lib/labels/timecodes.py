"""Time codes of video editors (SMPTE ST 12-1): hours, minutes, seconds and frames, 00:01:02:24.

A code is the number of a picture, and says when it is shown only together with the recording's own
rate. It counts in whole rates: 30 for 29.97 frames per second. Drop frame, 00:01:02;24, leaves out
the first two numbers of each minute but every tenth (four at 59.94), so that it keeps up with the
clock. Code 0 is the first picture.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ..errors import InputError

_CODE = re.compile(r"(\d+)[:;]([0-5]\d)[:;]([0-5]\d)[:;](\d\d)")
DROPPED_IN = 30  # drop frame is for this whole rate and its multiples
OFF_RATE = 0.003  # share by which a rate may miss a whole one: 29.97 misses 30 by .001
EXACT = 0.9998  # share of a whole rate above which there is nothing to drop; 29.97 is .999 of 30
FEW = 3  # different numbers of frames below which their highest says nothing of the rate


def is_code(text: str) -> bool:
    """Whether a cell is a time code that counts frames."""
    return bool(_CODE.fullmatch(text))


def rate_of(times: np.ndarray, where: str) -> float:
    """Frames per second of a recording, of its frames' times (T,) in s. Raises InputError where
    frames have no steady rate, or one that codes cannot count in.
    """
    period = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0
    expected = times[:1] + period * np.arange(len(times))
    if not period > 0 or np.abs(times - expected).max() > period:
        raise _refused("and the recording has no steady rate", where)
    rate = 1 / period
    if not 1 <= rate <= 100 or abs(rate - round(rate)) > OFF_RATE * rate:
        raise _refused(f"and the recording has {_shown(rate)}", where)
    return float(rate)


def _shown(rate: float) -> str:
    return f"{rate:.5g} frames per second"


def _refused(what: str, where: str) -> InputError:
    return InputError(
        f"time codes that count frames, {what}",
        where=where,
        expected="a recording of a steady rate near a whole one, at most 100",
        todo="write the times in seconds, or as 0:01:02.5",
    )


def seconds(codes: Sequence[str], times: np.ndarray, places: Sequence[str]) -> np.ndarray:
    """(n,) s on the clock of the recording.

    times : (T,) s of the recording's frames. places : file and line of each code. Raises
    InputError for a frame that the rate does not have, and for codes that all lie beyond the
    recording.
    """
    rate = rate_of(times, places[0])
    drops = is_drop(codes[0])
    if drops and (round(rate) % DROPPED_IN or rate > EXACT * round(rate)):
        what = f"is drop frame, and the recording has {_shown(rate)}"
        raise _wrong(codes[0], places[0], what, rate)
    numbers = []
    for code, place in zip(codes, places, strict=True):
        if is_drop(code) != drops:
            raise _wrong(code, place, "and the first one differ in : and ;", rate)
        numbers.append(_number(code, place, rate))
    if len(numbers) and min(numbers) > len(times):
        raise InputError(
            f"all time codes lie beyond the recording of {len(times)} frames; the first is "
            f"{codes[0]}",
            where=places[0],
            expected="codes from 00:00:00:00, the first picture",
            todo="take the code of the first picture (a camera's time of day) off all of them",
        )
    return times[0] + np.array(numbers) / rate


def is_drop(code: str) -> bool:
    """Whether a code is drop frame."""
    return ";" in code


def _number(code: str, place: str, rate: float) -> int:
    """The number of a code's picture, from 0."""
    hours, minutes, whole_seconds, frame = map(int, _CODE.fullmatch(code).groups())
    whole, minutes = round(rate), minutes + 60 * hours
    if frame >= whole:
        what = f"counts frame {frame}, and the recording has {_shown(rate)}"
        raise _wrong(code, place, what, rate)
    number = (60 * minutes + whole_seconds) * whole + frame
    if not is_drop(code):
        return number
    dropped = 2 * whole // DROPPED_IN
    if minutes % 10 and whole_seconds == 0 and frame < dropped:
        raise _wrong(code, place, "is a number that drop frame leaves out", rate)
    return number - dropped * (minutes - minutes // 10)


def _wrong(code: str, place: str, what: str, rate: float) -> InputError:
    return InputError(
        f"the time code {code} {what}",
        where=place,
        expected=f"codes of this recording, frames from 0 to {round(rate) - 1}",
        todo="export them at the recording's own rate, or write the times in seconds",
    )


def told(codes: Sequence[str], times: np.ndarray) -> str:
    """A note on how codes were counted, and where they look like those of another rate."""
    rate = rate_of(times, "")
    drop = ", drop frame" if is_drop(codes[0]) else ""
    note = f"time codes counted at the recording's own {_shown(rate)}{drop}"
    frames = [int(code[-2:]) for code in codes]
    chance = ((max(frames) + 1) / round(rate)) ** len(frames)  # of such frames, were they random
    if len(set(frames)) >= FEW and chance < 0.01:
        note += f"; none goes beyond frame {max(frames)}, so they may be of a lower rate"
    return note
