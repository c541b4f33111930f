"""Make an array of a long recording in stretches, by any worker, and join them.

A stretch is decoded from a key frame before it (`seeking`). If a file does not allow that exactly,
or if two neighbours did not see the same pictures at their border, the missing stretches are made
while the recording is decoded once from its beginning; the array's facts say why (`ONE_PASS`). What
is computed from other arrays (`Rows`) needs no decoding.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from .. import store
from ..errors import InputError
from ..files import clear_leftovers
from ..media import recordings, seeking, stretches
from ..media.stretches import Piece
from ..parallel.locks import held

LOOKED_AT = 12  # frames on both sides of a border for which two neighbours must have the same times
QUIET = 10.0  # s of waiting for another process before that is reported
ONE_PASS = "one_pass"  # fact: why a long recording was decoded from its beginning


def words(facts: Mapping) -> str:
    """Why a recording was decoded from its beginning, in words; "" if it was not."""
    return f"decoded in one pass: {facts[ONE_PASS]}" if facts.get(ONE_PASS) else ""


class Cut:
    """An array of a long recording and its stretches; subclasses say how a stretch is made.

    Arguments
    ---------
    shelf, made_from : where the array belongs, and its fingerprint. firsts : of
        `stretches.starts`. by : how it is made. inputs, parameters, device : as a `store.Maker`
        has them.
    """

    def __init__(
        self,
        shelf: store.Shelf,
        made_from: Mapping,
        firsts: Sequence[int],
        by: store.ByStretch,
        inputs: Mapping,
        parameters: Mapping,
        device: str,
    ):
        self.shelf, self.made_from, self.firsts, self.by = shelf, made_from, firsts, by
        self.inputs, self.parameters, self.device = inputs, parameters, device
        self.damaged: list[int] = []  # stretches that were removed, from 0

    def path(self, number: int) -> Path:
        """Path of a stretch."""
        return stretches.path_of(self.shelf, self.made_from, number)

    def make(self, number: int) -> str:
        """Make a stretch unless it exists; returns "made" or "there".

        Raises `seeking.InexactError` where the recording must be decoded from its beginning.
        """
        path = self.path(number)
        with held(lock(path), math.inf, remove=True, quiet=QUIET):
            if is_there(path):
                return "there"
            self._make(number)
        return "made"

    def _create(self, number: int, why: str = "") -> Callable:
        """What opens the array of a stretch (`Shelf.creating`)."""
        path = self.path(number)
        clear_leftovers(path.parent, f".{path.stem}.*.part", deep=False)
        facts = {ONE_PASS: why} if why else {}
        made_from = stretches.made_from(self.made_from, number)
        return partial(self.shelf.creating, made_from, **facts)

    def _parts(self) -> list[tuple[np.ndarray, dict]]:
        """All stretches, opened, with their facts."""
        paths = [self.path(number) for number in range(len(self.firsts))]
        return [(store.read(path), store.facts(path)) for path in paths]

    def _rest(self) -> dict[int, str]:
        """Make missing and damaged stretches; returns number -> reason for those that cannot be
        made on their own.
        """
        reasons = {}
        for number in range(len(self.firsts)):
            self._remove_damaged(number)
            try:
                self.make(number)
            except seeking.InexactError as error:
                reasons[number] = error.what
        return reasons

    def noting(self, create: Callable) -> Callable:
        """`create` of the whole array, whose note also says which stretches were damaged."""

        def noted(shape: tuple, dtype, note: str = "", **facts):
            numbers = ", ".join(str(number + 1) for number in self.damaged)
            damaged = f"stretch {numbers} of {len(self.firsts)} was damaged on disk and made again"
            note = "; ".join(filter(None, [note, damaged if numbers else ""]))
            return create(shape, dtype, **facts, **({"note": note} if note else {}))

        return noted

    def _remove_damaged(self, number: int) -> None:
        """Remove a stretch that is not as it was written: joined, it would get a check-sum that
        says that all is well.
        """
        path = self.path(number)
        if is_there(path):
            try:
                store.verify(path)
            except store.DamagedError:
                store.remove([path])
                self.damaged.append(number)


class Clock(Cut):
    """The times of all frames. A stretch has the times between two cut points and, as a check,
    `LOOKED_AT` more on both sides, which its neighbours have, too.
    """

    def _make(self, number: int) -> None:
        edges = self._edges()
        before, times, after = seeking.times(
            self.inputs["video"], edges[number], edges[number + 1], LOOKED_AT
        )
        facts = {"before": before.tolist(), "after": after.tolist()}
        with self._create(number)(times.shape, np.float64, **facts) as out:
            out[...] = times

    def _edges(self) -> list[float]:
        """Cut points in s: about where the stretches begin."""
        seconds, frames = recordings.length(recordings.probe(self.inputs["video"]))
        inside = [first / frames * seconds for first in self.firsts[1:]]
        return [-math.inf, *inside, math.inf]

    def put_together(self, create: Callable) -> None:
        """Make the missing stretches, and join all to the array."""
        times = None if self._rest() else _checked(self._parts())
        if times is None:
            times = recordings.frame_times(self.inputs["video"])
        self.by.join(self.inputs, self.parameters, times, create, {})


def _checked(parts: Sequence[tuple[np.ndarray, dict]]) -> np.ndarray | None:
    """The times of all stretches, (T,); None if two neighbours disagree."""
    whole = np.concatenate([times for times, _ in parts])
    ends = np.cumsum([len(times) for times, _ in parts])[:-1]
    for end, (_, left), (_, right) in zip(ends, parts, parts[1:], strict=False):
        same = whole[:end][-LOOKED_AT:].tolist() == right["before"]
        if not (same and whole[end:][:LOOKED_AT].tolist() == left["after"]):
            return None
    return whole if (np.diff(whole) > 0).all() else None


class Film(Cut):
    """What is computed from pictures. inputs have `video` and `time`; facts of arrays made from the
    same recording (`<name>_facts`) may say that seeking does not work in it.
    """

    def __init__(self, *given):
        super().__init__(*given)
        self.times = np.asarray(self.inputs["time"])
        whole = stretches.pieces(self.firsts, len(self.times))
        self.pieces = whole if self.by.lead else [piece.alone for piece in whole]
        all_facts = [facts for name, facts in self.inputs.items() if name.endswith("_facts")]
        self.why = next((facts[ONE_PASS] for facts in all_facts if facts.get(ONE_PASS)), "")

    def _make(self, number: int) -> None:
        if self.why:
            raise seeking.InexactError(self.why, where=self.inputs["video"])
        piece = self.pieces[number]
        with self._opened(piece, "") as feed:
            if piece.first < piece.stop:
                span = piece.begin, piece.end, piece.lead
                for frame, picture in seeking.frames(self.inputs["video"], self.times, *span):
                    feed(frame, picture)

    def put_together(self, create: Callable) -> None:
        """Make the missing stretches, and join all to the array."""
        self._in_one_pass(self._rest())
        try:
            self._join(create)
        except stretches.UnlikeError as error:  # found by the check-sums of their pictures
            every = dict.fromkeys(range(len(self.pieces)), error.what)
            store.remove([self.path(number) for number in every])
            self._in_one_pass(every)
            self._join(create)

    def _join(self, create: Callable) -> None:
        parts = self._parts()
        reasons = [facts[ONE_PASS] for _, facts in parts if facts.get(ONE_PASS)]
        reasons = {ONE_PASS: reasons[0]} if reasons else {}
        self.by.join(self.inputs, self.parameters, parts, create, reasons)

    @contextmanager
    def _opened(self, piece: Piece, why: str) -> Iterator[Callable]:
        """Open the writer of a stretch, which takes its pictures."""
        create = self._create(piece.number, why)
        with self.by.part(self.inputs, self.parameters, piece, create, self.device) as feed:
            yield feed

    def _in_one_pass(self, reasons: Mapping[int, str]) -> None:
        """Make these stretches while the recording is decoded once. reasons : why, by number."""
        if not reasons:
            return
        waiting = sorted((self.pieces[number] for number in reasons), key=lambda one: one.begin)
        first, taking = waiting[0].begin, []
        shown = recordings.frames(self.inputs["video"], first)
        with ExitStack() as every:

            def begun(piece: Piece) -> _Taking:
                stack = every.enter_context(ExitStack())
                why = reasons[piece.number]
                return _Taking(piece, stack.enter_context(self._opened(piece, why)), stack)

            for frame, (_, picture) in enumerate(shown, first):
                while waiting and waiting[0].begin <= frame:
                    taking.append(begun(waiting.pop(0)))
                taking = [stretch for stretch in taking if stretch.takes(frame, picture)]
                if not (waiting or taking):
                    break
            if taking or any(piece.first < piece.stop for piece in waiting):
                raise self._fewer()
            for piece in waiting:  # the header claimed more frames than there are
                begun(piece)

    def _fewer(self) -> InputError:
        return InputError(
            f"it decodes to fewer frames than the {len(self.times)} whose times were read before",
            where=self.inputs["video"],
            expected="the same frames whenever it is decoded",
            todo="copy the recording again; if that does not help, leave it out",
        )


class Rows(Cut):
    """What is computed from other arrays, row by row."""

    def _make(self, number: int) -> None:
        borders = [*self.firsts, None]
        rows = slice(borders[number], borders[number + 1])
        create = self._create(number)
        self.by.rows(self.inputs, self.parameters, create, self.device, rows)

    def put_together(self, create: Callable) -> None:
        """Make the missing stretches, and join all to the array."""
        self._rest()
        paths = [self.path(number) for number in range(len(self.firsts))]
        if not stretches.fit([store.facts(path) for path in paths]):
            store.remove(paths)
            self._rest()
        self.by.join(self.inputs, self.parameters, self._parts(), create, {})


@dataclass
class _Taking:
    """A stretch that is made in one pass with others."""

    piece: Piece
    feed: Callable
    context: ExitStack

    def takes(self, frame: int, picture: np.ndarray) -> bool:
        """Take a picture; returns False after the last one, when the stretch is written."""
        self.feed(frame, picture)
        if frame + 1 < self.piece.end:
            return True
        self.context.close()
        return False


def in_one_pass(part: Callable, inputs, parameters, create, device) -> None:
    """All rows of an array that has those of `tracks` (`store.ByStretch.part`), in one stretch that
    ends with the last face.
    """
    tracks = np.asarray(inputs["tracks"])
    stop = int(tracks[-1, 0]) + 1 if len(tracks) else 0
    with part(inputs, parameters, Piece(0, 0, stop, 0, stop), create, device) as feed:
        for frame, (_, picture) in enumerate(islice(recordings.frames(inputs["video"]), stop)):
            feed(frame, picture)


def lock(path: Path) -> Path:
    """The lock file for making a stretch."""
    return path.with_name(f".{path.stem}.lock")


def is_there(path: Path) -> bool:
    """Whether an array, or a stretch of one, is there."""
    return path.is_file() and path.with_suffix(".json").is_file()


def remove(shelf: store.Shelf, made_from: Mapping, count: int) -> None:
    """Remove the stretches of an array that is complete."""
    for number in range(count):
        path = stretches.path_of(shelf, made_from, number)
        if is_there(path):
            store.remove([path])
        with contextlib.suppress(OSError):  # of a process that was killed
            lock(path).unlink()
