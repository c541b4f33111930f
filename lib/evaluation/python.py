"""Python interface for other programs: everybody in a recording, as a table.

from affect_notebooks import predict  # in a checkout: from lib import predict
table = predict("video.mp4")
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from .. import files, grammar, parameters, runs
from ..errors import InputError
from ..media import pictures
from ..parallel import locks
from . import people

# Parameters of the notebook that mean nothing here, and what to do.
UNUSED = {
    "video_path": "give the recording as the first argument",
    "videos_path": "leave it out",
    "drive": "leave it out",
    "segments_path": "use lib.evaluation.segments.of_video with the table, or the notebook",
}
ARRAYS = "arrays"  # folder of arrays in that of the results (`lib.speakers.video.video_store`)
SHOWN_CHARACTERS = 120  # of a wrong value in a message
WAIT_SECONDS = 5.0  # s to wait without a word for another call that records its recording
CACHE_FOLDER = "affect_notebooks"  # folder of an installed package's weights, in the user's cache


def predict(
    video: Path | str,
    folder: Path | str | None = None,
    say: Callable[[str], object] | None = None,
    **values: object,
) -> pd.DataFrame:
    """Everybody in a recording, per person and frame: face, seven expressions, valence and arousal
    derived from them, who speaks.

    Arguments
    ---------
    video : a recording with pictures. folder : for arrays and files (CSV, RTTM, ELAN, Praat), which
        are kept and used again; None: a temporary one. say : called with each sentence about
        weights that are fetched; None: they go to the standard error stream.
    values : parameters of the notebook ``your_video`` by name, as device="cuda",
        weights_root="weights" or predict_run="run.pt"; paths count from the working directory.

    Returns the table of `people.look`, one row per person and frame; the column ``note`` says how
    far to trust it. Empty if nobody is seen. Raises InputError for a file without pictures, an
    invalid path, an unknown parameter, weights that cannot be obtained, and where `folder` has
    results of another recording of the same name.
    """
    video, folder = _path("video", video), None if folder is None else _path("folder", folder)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise InputError("a file, not a folder", where=folder, todo="give `folder` another name")
    if video.is_dir() and not pictures.numbered(video):
        raise InputError(
            "a folder without pictures, and no recording",
            where=video,
            expected=f"one recording, or a folder of its pictures {pictures.PATTERN % 1}, "
            f"{pictures.PATTERN % 2}, …",
            todo="call predict for each recording in it",
        )
    _refuse_unused(values)
    declared = grammar.declared(files.YOUR_VIDEO)
    places = grammar.of_groups(declared, ["place"])
    settings = {
        name: _from_here(name, value, places)
        for name, value in {"weights_root": _weights(), **values}.items()
    }
    params = parameters.placed({**settings, "video_path": str(video)}, declared)
    people.check(params)
    for line in people.fetch(params):
        (say or _write)(line)
    if folder is not None:
        with _claimed(video, folder):
            return people.look(video, params, folder).table
    with tempfile.TemporaryDirectory(prefix="affect-") as scratch:
        return people.look(video, params, Path(scratch)).table


def _refuse_unused(names: Iterable[str]) -> None:
    for name in (name for name in names if name in UNUSED):
        raise InputError(f"{name} is for the notebook only", where="predict(…)", todo=UNUSED[name])


def _path(name: str, value: object) -> Path:
    """A path that a program passes, relative to the working directory."""
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str) or not text:
        why = " is no path"
    elif "://" in text:
        why = " is an address: download it first"
    else:
        why = parameters.no_name(text)
    if why:
        many = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
        raise InputError(
            f"{_shown(value)}{why}",
            where=f"predict({name}=…)",
            expected="a text or a pathlib.Path",
            todo="call predict for each recording" if many else "",
        )
    return files.expanded(text).absolute()


def _shown(value: object) -> str:
    """A value in a message: in one short line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


@contextlib.contextmanager
def _claimed(video: Path, folder: Path) -> Iterator[None]:
    """Inside the block results of a recording are written into a folder, which records whose they
    are. Raises InputError if it has those of another recording of this name: they would be lost.
    """
    record = files.named(folder / ARRAYS, f"{video.stem}_recording", ".json")
    mine = runs.fingerprint(video)
    with locks.held(locks.beside(record), math.inf, remove=True, quiet=WAIT_SECONDS):
        if not record.is_file():
            files.write_text(record, json.dumps(mine))
        if files.read_json(record) != mine:
            raise InputError(
                f"results of another recording called {video.stem}",
                where=folder,
                expected="recordings of different names in a folder",
                todo=f"give {video} another `folder`, or remove {record} to replace them",
            )
    try:
        yield
    except BaseException:
        if not files.named(folder, f"{video.stem}_people", ".csv").is_file():
            record.unlink(missing_ok=True)
        raise


def _from_here(name: str, value: object, places: Collection[str]) -> object:
    """A value as parameters take it: paths are texts, and count from the working directory; what
    names a network may also be the name of a run.
    """
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(text, np.generic):  # a number or a truth value out of an array
        text = text.item()
    if type(text).__module__ == "torch" and name == "device":
        text = str(text)
    if not isinstance(text, str) or not text or parameters.no_name(text):
        return text
    path = files.expanded(text)
    is_file = isinstance(value, os.PathLike) or path.is_file()
    is_path = name in places or (name in parameters.NETWORKS and is_file)
    return str(path.absolute()) if is_path else text


def _weights() -> Path:
    """Folder of published weights: ``weights`` in a checkout, else the user's cache."""
    if (files.ROOT / "notebooks").is_dir() and (files.ROOT / "pyproject.toml").is_file():
        return files.ROOT / "weights"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / CACHE_FOLDER / "weights"


def _write(line: str) -> None:
    sys.stderr.write(f"{line}\n")
