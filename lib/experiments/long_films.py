"""Long recordings among the trials of a notebook: all workers share their stretches, while other
trials are one item each.

A film is processed in rounds. In each round the workers make the parts of its arrays that can be
made in parallel: first the times of its frames, then the stretches in which faces are tracked, then
those from which faces are cut, then what networks make of these. When a round is complete the next
one starts; last come its trials, which find most of their arrays made and make the rest. A stretch
that failed is tried again there, so that the film is reported as lost, with the reason, like any
other trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from .. import arrays, trials
from ..arrays import WHOLE
from ..errors import InputError
from ..media.stretches import is_long
from ..parallel.mapping import Outcome
from ..store import Request, Store


@dataclass(frozen=True)
class Part:
    """One worker's share of a long recording: a stretch of an array, or all of it."""

    trial: Mapping
    wanted: Request
    number: int = WHOLE

    def __str__(self) -> str:
        what = self.wanted.name
        stretch = "" if self.number == WHOLE else f", stretch {self.number + 1}"
        return f"{self.trial['video']}: {what}{stretch}"


def do(whole: Callable, store: Store, device: str, item: Part | Mapping) -> object:
    """Work of a worker: make a part, or call ``whole(trial)``."""
    if not isinstance(item, Part):
        return whole(item)
    return arrays.make_part(item.trial, item.wanted, item.number, store, device)


def name(item: Part | Mapping) -> str:
    """The name of an item in messages."""
    return str(item) if isinstance(item, Part) else trials.name(item)


class Films:
    """The long recordings of a table, and how far each is.

    rows : of the trial table. requests : arrays that are made of each. networks : whether these
    workers also make arrays that a network computes; otherwise the processes with a GPU do.
    """

    def __init__(
        self, rows: Sequence[Mapping], requests: Iterable[Request], store: Store, networks: bool
    ):
        self.rows, self.requests, self.store = rows, list(requests), store
        self.networks = networks
        self._open: dict[str, int] = {}  # video -> parts of its round that are not done
        self._last: dict[str, list] = {}  # video -> its last round
        self._seconds: dict[str, float] = {}
        self._of: dict[str, list[Mapping]] = {}
        for row in rows:
            if row.get("video_path") and is_long(row.get("duration", 0.0), store.stretch):
                self._of.setdefault(row["video"], []).append(row)

    def __bool__(self) -> bool:
        return bool(self._of)

    def first(self) -> list[Part | Mapping]:
        """Items to begin with: long recordings first, so that nobody waits for them at the end."""
        items: list[Part | Mapping] = []
        for video in self._of:
            items += self._round(video)
        of_films = {id(row) for rows in self._of.values() for row in rows}
        return items + [row for row in self.rows if id(row) not in of_films]

    def then(self, outcome: Outcome) -> list[Part | Mapping]:
        """Items that can start now that this one is done."""
        if not isinstance(outcome.item, Part):
            return []
        video = outcome.item.trial["video"]
        self._open[video] -= 1
        self._seconds[video] = self._seconds.get(video, 0.0) + outcome.seconds
        return [] if self._open[video] else self._round(video)

    def outcomes(self, every: Iterable[Outcome]) -> list[Outcome]:
        """Those of the trials, in the table's order; a film's first has the seconds of all."""
        by_row = {
            id(outcome.item): outcome for outcome in every if not isinstance(outcome.item, Part)
        }
        ordered = [by_row[id(row)] for row in self.rows]
        for index, row in enumerate(self.rows):
            seconds = self._seconds.pop(row["video"], 0.0)
            ordered[index] = replace(ordered[index], seconds=ordered[index].seconds + seconds)
        return ordered

    def _round(self, video: str) -> list[Part | Mapping]:
        """The next parts of a film; its trials if no parts are left, or if the last ones failed."""
        parts: dict[tuple, Part] = {}
        for row in self._of[video]:
            for request in self.requests:
                for path, part in self._parts(row, request):
                    parts[path, part.number] = part
        if not parts or self._last.get(video) == list(parts):
            return list(self._of[video])
        self._last[video], self._open[video] = list(parts), len(parts)
        return list(parts.values())

    def _parts(self, trial: Mapping, wanted: Request) -> list[tuple[object, Part]]:
        """Parts of an array that can be made now: stretches of its inputs or its own, each with the
        path of the whole array.
        """
        maker = arrays.maker_of(wanted)
        try:
            maker.prepare(trial, wanted, self.store)
            located = arrays.locate(trial, wanted, self.store)
        except (InputError, OSError):  # reported when the array is made
            return []
        if located.exists or located.made_from is None:
            return []
        sources = maker.sources(trial, located.request).values()
        below = [source for source in sources if isinstance(source, Request)]
        parts = [part for source in below for part in self._parts(trial, source)]
        left = maker.network and not self.networks
        if parts or left or not arrays.stretches_of(trial, located, self.store):
            return parts
        absent = [source for source in below if not arrays.is_there(trial, source, self.store)]
        if absent:
            paths = [arrays.locate(trial, source, self.store).path for source in absent]
            parts = [Part(trial, source) for source in absent]
            return list(zip(paths, parts, strict=True))
        numbers = arrays.open_stretches(trial, located, self.store)
        return [(located.path, Part(trial, wanted, number)) for number in numbers]


class Predicted:
    """Trials to be predicted; of the long ones the parts come first, then the trial itself, which
    joins them and makes those that failed again.

    names : of the trials. parts(trial) : see `lib.evaluation.prediction.parts`.
    """

    def __init__(self, names: Iterable[str], parts: Callable[[str], list]):
        self.names = list(names)
        by_name = {name: parts(name) for name in self.names}
        self._parts = {
            name: recording_parts for name, recording_parts in by_name.items() if recording_parts
        }
        self._open = {name: len(recording_parts) for name, recording_parts in self._parts.items()}
        self._seconds = dict.fromkeys(self.names, 0.0)

    def __bool__(self) -> bool:
        return bool(self._parts)

    def first(self) -> list:
        """Items to begin with: parts of long recordings, then short recordings."""
        items = [part for parts in self._parts.values() for part in parts]
        return items + [name for name in self.names if name not in self._parts]

    def then(self, outcome: Outcome) -> list[str]:
        """The trial whose last part this was."""
        if isinstance(outcome.item, str):
            return []
        trial = outcome.item.trial
        self._open[trial] -= 1
        self._seconds[trial] += outcome.seconds
        return [] if self._open[trial] else [trial]

    def outcomes(self, every: Iterable[Outcome]) -> list[Outcome]:
        """Those of the trials, in their order, with the seconds of their parts."""
        by_name = {outcome.item: outcome for outcome in every if isinstance(outcome.item, str)}
        seconds = self._seconds
        return [
            replace(by_name[name], seconds=by_name[name].seconds + seconds[name])
            for name in self.names
        ]
