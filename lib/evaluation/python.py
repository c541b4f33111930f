"""Python interface for other programs: everybody in a recording, as a table.

from affect_notebooks import predict  # in a checkout: from lib import predict
table = predict("video.mp4")
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from .. import files, grammar, parameters
from ..errors import InputError
from . import people

CACHE = "affect_notebooks"  # folder of an installed package's weights, in the user's cache


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
    invalid path, an unknown parameter, or weights that cannot be obtained.
    """
    video, folder = _path("video", video), None if folder is None else _path("folder", folder)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise InputError("a file, not a folder", where=folder, todo="give `folder` another name")
    declared = grammar.declared(files.YOUR_VIDEO)
    places = grammar.of_groups(declared, ["place"])
    given = {
        name: str(Path(str(value)).expanduser().absolute()) if name in places and value else value
        for name, value in {"weights_root": _weights(), **values}.items()
    }
    params = parameters.placed({**given, "video_path": str(video)}, declared)
    for line in people.fetch(params):
        (say or _write)(line)
    if folder is not None:
        return people.look(video, params, folder).table
    with tempfile.TemporaryDirectory(prefix="affect-") as place:
        return people.look(video, params, Path(place)).table


def _path(name: str, value: object) -> Path:
    """A path that a program passes, relative to the working directory."""
    if not isinstance(value, (str, os.PathLike)) or not str(value):
        raise InputError(
            f"{value!r} is no path", where=f"predict({name}=…)", expected="a text or a pathlib.Path"
        )
    return Path(value).expanduser().absolute()


def _weights() -> Path:
    """Folder of published weights: ``weights`` in a checkout, else the user's cache."""
    if (files.ROOT / "notebooks").is_dir() and (files.ROOT / "pyproject.toml").is_file():
        return files.ROOT / "weights"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / CACHE / "weights"


def _write(line: str) -> None:
    sys.stderr.write(f"{line}\n")
