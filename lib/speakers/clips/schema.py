"""Read what `lib.speakers.clips.index` writes: descriptions of clips and their index."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ... import errors
from ...errors import InputError
from . import SCHEMA, SPLITS

# 0 or 1 per frame.
TRACKS = ("face_visible", "speech", "speech_wearer", "speech_visible", "speech_offscreen")
INDEX_COMMAND = "python -m lib clips index"
MOST_FRAMES = 10_000_000  # of a clip: three days
MOST_SIDE = 1_000_000  # px of a picture, and of a box from its corner


def read_json(path: Path) -> dict:
    """A JSON object. Raises InputError when it is not there, cut off or something else."""
    try:
        content = json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise InputError("this file is not there", where=path, todo=INDEX_COMMAND) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"this file is no JSON, or cut off: {error}", where=path, todo=INDEX_COMMAND
        ) from error
    if not isinstance(content, dict):
        raise InputError("this file holds no JSON object", where=path, todo=INDEX_COMMAND)
    return content


def read(path: Path) -> dict:
    """Read a ``clip.json``; its 0/1 lists become arrays (n,) int8 in whichever form they were
    written, `va` is (n, 2) float32.

    `valid` has the clip's nominal length, and exists only in clips that ``tail: pad`` filled up.
    """
    clip = read_json(path)
    refuse_another(clip, path)
    with errors.foreign(path, "the description of a clip", "make the clips again"):
        return _with_arrays(clip, path)


def refuse_another(clip: dict, path: Path) -> None:
    """Raise InputError for the description of a clip that was written in another form."""
    if clip.get("schema") != SCHEMA:
        raise InputError(
            f"a clip of schema {clip.get('schema')!r}",
            where=path,
            expected=SCHEMA,
            todo="make the clips again: python -m lib clips make",
        )


def _with_arrays(clip: dict, path: Path) -> dict:
    """The lists of a description as arrays; a wrong list raises whatever NumPy raises."""
    n = clip["n_frames"]
    if type(n) is not int or not 0 < n <= MOST_FRAMES:
        raise ValueError(f"{n!r} frames")
    for name in TRACKS:
        if name in clip:
            clip[name] = numbers(clip[name], n, f"{path}: {name}")
    if "valid" in clip:
        clip["valid"] = numbers(
            clip["valid"], clip["end_frame"] - clip["start_frame"] + 1, f"{path}: valid"
        )
    for person in clip["persons"]:
        for name in ("visible", "speech", "asd", "expression"):
            if name in person:
                person[name] = numbers(
                    person[name], n, f"{path}: {name} of person {person['person_id']}"
                )
        if "va" in person:
            person["va"] = np.array(person["va"], np.float32).reshape(-1, 2)
    return clip


def numbers(series: list | dict, n: int, where: object, todo: str = INDEX_COMMAND) -> np.ndarray:
    """(n,) int8 of a list, or of runs ({"rle": [[value, count], …]}), which are counted before they
    are written out. Raises InputError for another length.
    """
    try:
        values, counts = _runs(series)
        if (length := sum(counts)) != n or length > MOST_FRAMES:
            raise InputError(f"{length} values for {n} frames", where=where, todo=todo)
        return np.repeat(np.array(values, np.int8), counts)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("not a list of whole numbers", where=where, todo=todo) from error


def _runs(series: list | dict) -> tuple[list, list[int]]:
    """Values and how often each stands there, one after the other."""
    if isinstance(series, list):
        return series, [1] * len(series)
    values, counts = [], []
    for value, count in series["rle"]:
        if type(count) is not int or count < 0:
            raise ValueError(f"a run of {count!r}")
        values.append(value)
        counts.append(count)
    return values, counts


def boxes(person: dict, n: int, where: object) -> np.ndarray:
    """(n, 4) float64 x1, y1, x2, y2 px of a person of a clip, NaN where there is no box.

    where : the file of the description. Raises InputError for a box of no frame or of no place.
    """
    with errors.foreign(where, "the boxes of a clip", "make the clips again"):
        return _boxes(person, n)


def _boxes(person: dict, n: int) -> np.ndarray:
    rows = np.full((n, 4), np.nan)
    for index, x1, y1, x2, y2, *_ in person["boxes"]:
        corners = np.array((x1, y1, x2, y2), float)
        if not 0 <= int(index) < n:
            raise ValueError(f"a box of frame {index} in {n} frames")
        if not (np.abs(corners) <= MOST_SIDE).all():  # not a number, or none of a picture
            raise ValueError(f"a box of frame {index} with the corners {x1}, {y1}, {x2}, {y2}")
        rows[int(index)] = corners
    return rows


def lines(root: Path, split: str) -> list[dict]:
    """The index of a split: one mapping per training unit."""
    if split not in SPLITS:
        raise InputError(f"no index of {split}", expected=" or ".join(SPLITS))
    path = Path(root) / f"{split}.jsonl"
    if not path.is_file():
        raise InputError("no index of clips", where=path, todo=INDEX_COMMAND)
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"the index cannot be read: {error}", where=path, todo=INDEX_COMMAND
        ) from error
