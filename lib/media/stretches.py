"""Long recordings are cut into stretches, so that many workers share one film.

A recording of more than 20 minutes is worked on in equal stretches of at most 10 minutes. They
always begin at the same frames: on one machine or a cluster, with any number of workers, in one run
or continued after a kill. Where they begin follows from the length and the frame rate that the
file's header claims (`recordings.length`); a wrong claim leads to other stretches, not to wrong
results.

What is computed of one stretch lies in the store under a name of its own, as any array does (whole
or not there), until the array of the whole recording is put together and the pieces are removed. So
a process that is killed loses only the stretch in hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from .. import store
from ..errors import InputError

# frames: stretches begin at multiples of it, which are multiples of 1 to 6 frames between two
# detections (`lib.faces.tracking.EVERY`)
ROUND = 60
MOST = 1000  # stretches, of 10 minutes a week: beyond it they are longer, whatever a header claims
# frames decoded before a stretch: a face that is tracked there with a low score is tracked when the
# stretch begins, and both neighbours must see the same pictures in these 4 to 5 s
LEAD = 120
AT_ONCE = 256  # frames that are copied before their memory is given back


def is_long(seconds: float, stretch: float) -> bool:
    """Whether a recording of so many seconds is cut; of unknown length (0, NaN) it is not."""
    return math.isfinite(seconds) and seconds > 2 * stretch


def starts(seconds: float, frames: int, stretch: float) -> list[int]:
    """The first frame, from 0, of each stretch of a recording; [0] where it is not cut.

    seconds, frames : how long it is, and of how many frames, as the header claims; 0 for unknown.
    stretch : s that a stretch lasts at most; what is no longer than two of them is not cut.
    """
    if not (is_long(seconds, stretch) and frames > 0):
        return [0]
    size = ROUND * math.ceil(frames / min(math.ceil(seconds / stretch), MOST) / ROUND)
    return list(range(0, frames, size))


@dataclass(frozen=True)
class Piece:
    """One stretch of a recording: frames `first` to `stop` − 1 are its rows. `begin` is the first
    frame that is decoded for it, `end` one past the last one: it sees the next one's first frame.
    """

    number: int
    first: int
    stop: int
    begin: int
    end: int
    lead: int = 0  # frames before `begin` from which on it is decoded, though nobody looks at them

    @property
    def alone(self) -> Piece:
        """The same stretch for work that needs only its own frames, decoded from the same place."""
        return replace(self, begin=self.first, end=self.stop, lead=self.first - self.begin)


def pieces(firsts: Sequence[int], n_frames: int) -> list[Piece]:
    """The stretches of a recording of which `n_frames` decode. Those that a header promised, and
    that do not come, have no frames; the last one goes on to the end.
    """
    edges = [min(first, n_frames) for first in firsts] + [n_frames]
    found = []
    for number, (first, stop) in enumerate(pairwise(edges)):
        begin = max(0, first - LEAD) if first < stop else first
        found.append(Piece(number, first, stop, begin, min(stop + 1, n_frames)))
    return found


def made_from(whole: Mapping, number: int) -> dict:
    """What stretch `number` of an array is made from, by what the whole array is made from."""
    parameters = {**whole["parameters"], "of": store.digest(whole), "stretch": number}
    return {**whole, "name": f"{whole['name']}_stretch", "parameters": parameters}


def path_of(shelf: store.Shelf, whole: Mapping, number: int) -> Path:
    """Where stretch `number` of an array lies."""
    return shelf.path(made_from(whole, number))


class UnlikeError(InputError):
    """At their border two stretches did not see the same pictures; `number` is the later one."""

    def __init__(self, number: int):
        self.number = number
        super().__init__(f"stretch {number + 1} does not see what the one before saw at its end")

    def __reduce__(self):
        return UnlikeError, (self.number,)


def concatenated(inputs, parameters, parts: Sequence, create: Callable, told: Mapping) -> None:
    """The rows of all stretches one after the other; see `store.ByStretch`."""
    note = "; ".join(dict.fromkeys(facts["note"] for _, facts in parts if facts.get("note")))
    with create((None, *parts[0][0].shape[1:]), parts[0][0].dtype, note=note) as append:
        for array in (array for array, _ in parts if len(array)):
            for start in range(0, len(array), AT_ONCE):
                append(array[start : start + AT_ONCE])
                store.give_back(array)
