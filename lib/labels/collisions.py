"""Rows of a label table with the same time: a joystick that is faster than its clock, several
recordings in one table, overlapping stretches.
"""

from __future__ import annotations

from pathlib import PurePath

import numpy as np

from ..errors import InputError, some
from ..files import folded
from ..media.kinds import VIDEO_SUFFIXES
from . import columns
from .sheets import Sheet, number

# of the times of several groups of rows: the share that all have, from which they are repetitions
SAME_TIMES_SHARE = 0.5
TOUCH = 1e-3  # s by which rounded stretches may overlap
# Names of columns that distinguish the rows of one recording, person or emotion from others.
RECORDING_NAMES = {
    *("recording", "video", "videofile", "videoname", "videoid", "file", "filename", "filepath"),
    *("path", "clip", "clipname", "clipid", "trial", "trialname", "movie", "media", "mediafile"),
    *("stimulus", "stimulusname", "stimulusid", "session", "sessionid", "film", "uri"),
}
OTHERS = {
    *("participant", "participantid", "subject", "subjectid", "person", "personid", "name"),
    *("speaker", "speakerid", "faceid", "user", "userid", "dimension", "scale", "variable", "axis"),
}


def merged(
    time: np.ndarray, values: np.ndarray, lines: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Replace rows with the same time by their mean, because a joystick is faster than its
    clock.
    """
    distinct, owner = np.unique(time, return_inverse=True)
    if len(distinct) == len(time):
        return time, values, []
    known = np.isfinite(values)
    sums = np.zeros((len(distinct), values.shape[1]))
    counts = np.zeros((len(distinct), values.shape[1]))
    np.add.at(sums, owner, np.where(known, values, 0))
    np.add.at(counts, owner, known)
    mean = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    first = lines[np.flatnonzero(np.diff(time) == 0)[0] + 1]
    count = len(time) - len(distinct)
    return distinct, mean, [f"{count} times come twice: their mean (first: line {first})"]


def overlapping(table: Sheet, time: np.ndarray, until: np.ndarray, lines: np.ndarray) -> list[str]:
    """A note if stretches overlap: the later one counts from its start on. Raises InputError for a
    stretch inside another one, because nothing tells which of the two counts.
    """
    longest = np.maximum.accumulate(until)[:-1]
    over = np.flatnonzero(time[1:] < longest - TOUCH) + 1
    inside = [k for k in over if until[k] < longest[k - 1] - TOUCH or time[k] == time[k - 1]]
    if inside:
        raise InputError(
            f"a stretch inside another one: from {time[inside[0]]:g} to {until[inside[0]]:g} s",
            where=f"{table.path}:{lines[inside[0]]}",
            expected="stretches one after another, of several people a column annotator",
            todo="part them, or remove one of both",
        )
    if not len(over):
        return []
    count = "1 stretch begins" if len(over) == 1 else f"{len(over)} stretches begin"
    note = f"{count} before the last one ends: the later counts from there"
    return [f"{note} (first: line {lines[over[0]]})"]


def refuse_mixed(table: Sheet, starts: np.ndarray | None, who: list[str]) -> None:
    """Raise InputError if rows have the same times because a column says that they belong to
    several recordings, people or emotions: their mean would be meaningless.

    starts : times or frame numbers of the rows; None where the table tells none. who : annotators
    of the rows, or nothing.
    """
    index = mixed(table, starts, who)
    if index is None:
        return
    texts = list(dict.fromkeys(filter(None, table.texts(index))))
    shown = some(texts, 4)
    raise InputError(
        f"rows of {len(texts)} in one table: its column {table.names[index]!r} names {shown}",
        where=f"{table.path}:{table.header_line}",
        expected="the labels of one recording; of several people a column annotator",
        todo="write a table for each of them, named after its recording; a column that tells who "
        "rated is called annotator",
    )


def mixed(table: Sheet, starts: np.ndarray | None, who: list[str]) -> int | None:
    """The column that distinguishes rows with the same times; None if there are no such rows, or no
    such column.
    """
    keys = np.array(who or [""] * len(table.rows))
    if starts is not None and not _collide(starts, keys):
        return None
    for index, name in enumerate(table.names):
        word = columns.squeezed(name)
        if starts is None and word not in RECORDING_NAMES:
            continue
        texts, what = np.array(table.texts(index)), table.kinds[index].what
        known = word in RECORDING_NAMES | OTHERS
        known = known or (what == "unknown" and _at_same_times(texts, starts))
        if what in ("unknown", "remark", "expression") and _parts(texts, known, starts, keys):
            return index
    return None


def recordings(table: Sheet) -> list[str]:
    """The distinct recordings that the first column of recordings names; none without such a
    column.
    """
    words = [columns.squeezed(name) for name in table.names]
    index = next((index for index, word in enumerate(words) if word in RECORDING_NAMES), None)
    texts = [] if index is None else [text.strip("'\"") for text in table.texts(index)]
    return list(dict.fromkeys(filter(None, texts)))


def of_another(table: Sheet) -> list[str]:
    """A note if all rows name one recording, and the file's name is a different one."""
    said = recordings(table)
    if len(said) != 1 or not said[0].lower().endswith(VIDEO_SUFFIXES):
        return []
    stem = PurePath(folded(said[0]).replace("\\", "/")).stem
    return [] if folded(table.path.name).startswith(stem) else [f"it is said to be of {said[0]}"]


def _collide(starts: np.ndarray, keys: np.ndarray) -> bool:
    """Whether rows with one key have equal or decreasing times."""
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    return bool((same & ~(np.diff(starts[order]) > 0)).any())


def _at_same_times(texts: np.ndarray, starts: np.ndarray | None) -> bool:
    """Whether the groups of rows that a column of numbers makes are mostly at the same times, as
    those of several annotators or takes are.
    """
    if starts is None:
        return False
    groups: dict[str, set] = {}
    for text, start in zip(texts.tolist(), starts.tolist(), strict=True):
        groups.setdefault(text, set()).add(start)
    common, all_ = set.intersection(*groups.values()), set.union(*groups.values())
    return len(common) >= SAME_TIMES_SHARE * len(all_)


def _parts(texts: np.ndarray, is_known: bool, starts: np.ndarray | None, keys: np.ndarray) -> bool:
    """Whether the values of a column split the rows into a few groups, each with increasing
    times.
    """
    distinct = set(texts.tolist())
    few = 1 < len(distinct) <= len(texts) / 2 and "" not in distinct
    if not few or not (is_known or all(np.isnan(number(text, True)) for text in distinct)):
        return False
    both = np.array([f"{key}\0{text}" for key, text in zip(keys, texts, strict=True)])
    return starts is None or not _collide(starts, both)
