"""Give the pictures of clips numbers that begin with 0, or their old ones back: speaker
specification §2.3.

Progress is read from the names themselves: pictures are renamed in rising order, so those with
their new names are a run at the beginning. An interrupted renumbering continues there, and nothing
is ever shifted twice.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from ...errors import InputError
from ...media import pictures
from .disk import Disk, as_json
from .make import MARKER, SOURCE, marker


def frames_of(root: Path) -> list[str]:
    """Folders of pictures of all clips below a root of clips."""
    return sorted(str(path.parent) for path in Path(root).glob(f"*/*/clip_f*/frames/{MARKER}"))


def read(frames: str) -> dict:
    """The marker of a clip's pictures: see `make.marker`."""
    path = os.path.join(frames, MARKER)
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read())
        return marker(*(content[key] for key in ("scope", "base", "first", "count", "source")))
    except FileNotFoundError as error:
        raise InputError(
            "the pictures of this clip are not complete",
            where=frames,
            expected=MARKER,
            todo="python -m lib clips make",
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            "how the pictures of a clip are numbered cannot be read",
            where=path,
            todo="remove this clip's folder, then python -m lib clips make",
        ) from error


def renumber(frames: str, scope: str, disk: Disk | None = None) -> int:
    """Number a clip's pictures from 0: by frame in the video (scope "global") or clip ("clip").

    Returns how many were renamed: 0 when it had been done. Raises InputError when names are there
    that neither the old nor the new numbering explains; nothing is renamed then.
    """
    numbering, disk = read(frames), disk or Disk()
    start = start_of(frames)
    return _turn(frames, numbering, start if scope == "global" else 0, scope, 0, disk)


def undo(frames: str, disk: Disk | None = None) -> int:
    """Give a clip's pictures the numbers of their source back; returns how many were renamed."""
    numbering, disk = read(frames), disk or Disk()
    source = numbering["source"]
    return _turn(frames, numbering, source, SOURCE, source - start_of(frames), disk)


def start_of(frames: str) -> int:
    """First frame of the clip that a folder of pictures belongs to."""
    return int(os.path.basename(os.path.dirname(frames)).removeprefix("clip_f"))


def _turn(frames: str, numbering: dict, first: int, scope: str, base: int, disk: Disk) -> int:
    """Rename pictures so that the first one has number `first`.

    They may have any of a clip's numberings: the source's, the video's, the clip's.
    """
    count, numbers = numbering["count"], pictures.numbered(frames)
    start, source = start_of(frames), numbering["source"]
    olds = [
        numbering["first"],
        *(number for number in (source, start, 0) if number != numbering["first"]),
    ]
    moves = next(
        (moves for old in olds if (moves := _moves(numbers, old, first, count)) is not None), None
    )
    if moves is None:
        raise InputError(
            f"the {len(numbers)} pictures of this clip are numbered in no known way",
            where=frames,
            expected=f"{count} without a hole, from {numbering['first']} or from {first}",
            todo="remove this clip's folder, then python -m lib clips make",
        )
    for old, new in moves:
        disk.rename(
            f"{frames}{os.sep}{pictures.PATTERN % old}", f"{frames}{os.sep}{pictures.PATTERN % new}"
        )
    disk.write(os.path.join(frames, MARKER), as_json(marker(scope, base, first, count, source)))
    return len(moves)


def _moves(there: set[int], old: int, new: int, count: int) -> list[tuple[int, int]] | None:
    """(old, new) numbers still to be renamed from `old`… to `new`…, None if names do not fit.

    When numbers decrease the first ones are renamed first, when they increase the last ones, so
    that a new name is always free.
    """
    order = range(count) if new <= old else range(count - 1, -1, -1)
    done = 0
    while done < count and new + order[done] in there:
        done += 1  # a gap follows: the next old name is behind it
    explained = {new + index for index in order[:done]} | {old + index for index in order[done:]}
    if there != explained:
        return None
    return [(old + index, new + index) for index in order[done:]]
