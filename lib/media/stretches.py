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

import numpy as np

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
# fact of a stretch: its first row, the one after its last, and the rows of the whole array
ROWS = "rows"
# Facts that are a stretch's own, or that a join writes itself.
OWN = ("shape", "dtype", "made_from", "crc32", "computed_on", "note", "one_pass", ROWS)


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
    parts = []
    for number, (first, stop) in enumerate(pairwise(edges)):
        begin = max(0, first - LEAD) if first < stop else first
        parts.append(Piece(number, first, stop, begin, min(stop + 1, n_frames)))
    return parts


@dataclass(frozen=True)
class Share:
    """The part of an array that a stretch has: rows `first` to `stop` − 1, computed from those of
    its items (rows that a network computes) that `items` selects. `told` : facts of the stretch.
    """

    first: int
    stop: int
    items: slice
    told: Mapping


def share(rows: slice, chosen: np.ndarray, count: int, batch: int) -> Share:
    """The share of a stretch in an array that is computed in batches. A batch belongs to the
    stretch in which it begins, so that the batches, and so the numbers, are those of one pass.

    rows : about which; ``slice(None)`` for the whole array. chosen : (n,) rising, which rows are
    computed; others are the same without. count : rows of the array. batch : items that belong
    together, the same on every device.
    """
    borders, items = [], []
    for row in rows.indices(count)[:2]:
        first = batch * math.ceil(int(np.searchsorted(chosen, row)) / batch)
        items.append(min(first, len(chosen)))
        after = int(chosen[first]) if first < len(chosen) else count
        borders.append(after if row else 0)
    facts = {} if rows == slice(None) else {ROWS: [*borders, count]}
    return Share(*borders, slice(*items), facts)


def share_of_all(rows: slice, count: int, batch: int) -> Share:
    """`share` of an array of which every row is computed."""
    return share(rows, np.arange(count), count, batch)


def fit(facts: Sequence[Mapping]) -> bool:
    """Whether the rows of stretches follow one another and are all that there are: others may be
    left of a version of the program that cut elsewhere.
    """
    borders = [entry.get(ROWS, [-1, -1, -1]) for entry in facts]
    whole = borders[0][0] == 0 and borders[-1][1] == borders[-1][2]
    return whole and all(left[1] == right[0] for left, right in pairwise(borders))


def is_cut(resolved: store.Request) -> bool:
    """`store.ByStretch.applies` of an array whose parameters say where a long recording is cut."""
    return "stretches" in resolved.parameters


def always(resolved: store.Request) -> bool:
    """`store.ByStretch.applies` of an array of which every variant is made in stretches."""
    return True


def by_rows(rows: Callable, applies: Callable = always) -> store.ByStretch:
    """How an array that is computed from other arrays is made in stretches (`store.ByStretch`)."""
    return store.ByStretch(applies, None, concatenated, rows=rows)


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


def concatenated(inputs, parameters, parts: Sequence, create: Callable, origin: Mapping) -> None:
    """The rows of all stretches one after the other, with the facts that the first one has; see
    `store.ByStretch`.
    """
    note = "; ".join(dict.fromkeys(facts["note"] for _, facts in parts if facts.get("note")))
    first, facts = parts[0]
    kept = {name: value for name, value in facts.items() if name not in OWN}
    # An array that says nothing of itself when it is made in one piece does not do so here.
    kept |= {"note": note} if "note" in facts else {}
    with create((None, *first.shape[1:]), first.dtype, **kept) as append:
        for array in (array for array, _ in parts if len(array)):
            for start in range(0, len(array), AT_ONCE):
                append(array[start : start + AT_ONCE])
                store.give_back(array)
