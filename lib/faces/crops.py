"""Existing pictures of cropped faces: Aff-Wild2's own, or those of OpenFace.

Aff-Wild2: ``<trial>/%05d.jpg``, numbered by video frame from 1; a missing one means that no face
was found. OpenFace: ``<video>_aligned/frame_det_00_%06d.bmp``, one per frame, and beside the folder
``<video>.csv`` (`lib.faces.openface`).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..media import pictures
from . import openface

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
OPENFACE = "_aligned"  # how OpenFace's folder of pictures ends
_FRAME_NUMBER = re.compile(r"(?:frame_det_00_)?(\d+)$")


def numbered(folder: Path) -> dict[int, Path]:
    """Number of the video frame, from 1 -> picture. Other files are ignored.

    Raises InputError for a number that two pictures have, and if no picture is numbered.
    """
    by_number: dict[int, Path] = {}
    with os.scandir(folder) as entries:
        files = {folder / entry.name: entry.is_file() for entry in entries}
    candidates = sorted(path for path in files if path.suffix.lower() in SUFFIXES)
    for path, match in ((path, _FRAME_NUMBER.match(path.stem)) for path in candidates):
        if match and not files[path]:
            raise InputError(
                f"{path.name} is no file: a pipe, a folder or a link to what is not there",
                where=folder,
                expected="pictures",
                todo="remove it: its frame then counts as faceless",
            )
        if match and int(match[1]) in by_number:
            raise InputError(
                f"two cropped faces of one number: {by_number[int(match[1])].name} and {path.name}",
                where=folder,
                expected="one picture per frame",
                todo="remove the wrong one",
            )
        if match:
            by_number[int(match[1])] = path
    if candidates and not by_number:
        raise InputError(
            f"no cropped face has a number for a name (first: {candidates[0].name})",
            where=folder,
            expected="00001.jpg, 00002.jpg, …: the number of the video frame, from 1",
            todo="rename the pictures",
        )
    return by_number


def csv_of(crops_dir: Path | str) -> Path | None:
    """OpenFace's table of a folder of its pictures; None for another program's folder."""
    crops_dir = Path(crops_dir)
    if not crops_dir.name.endswith(OPENFACE):
        return None
    return crops_dir.with_name(crops_dir.name.removesuffix(OPENFACE) + ".csv")


def paths(crops_dir: Path, n_frames: int, times: np.ndarray | None = None) -> dict[int, Path]:
    """Frame index (0-based) -> picture of a face.

    times : (T,) s of the video's frames, for OpenFace's table (`openface.places`).
    Raises InputError for a folder that is not there, for pictures numbered beyond the video's last
    frame, numbers used twice, and where no picture is numbered.
    """
    crops_dir = Path(crops_dir)
    if not crops_dir.is_dir():
        raise InputError(
            "the folder of cropped faces is not there",
            where=crops_dir,
            todo="unpack the crops again, or run 01_download_check to build the trial table anew",
        )
    by_number = numbered(crops_dir)
    table = csv_of(crops_dir)
    rows = openface.places(table, times) if table else {n: n - 1 for n in by_number}
    shown = {n: rows[n] for n in sorted(by_number) if n in rows}
    beyond = [n for n in by_number if not 0 <= rows.get(n, n - 1) < n_frames]
    if beyond:
        raise InputError(
            f"{len(beyond)} cropped faces have numbers outside the video (first: {min(beyond)})",
            where=crops_dir,
            expected=f"numbers 1 to {n_frames}, one for a video frame",
            todo="check that the crops belong to this version of the video",
        )
    return {row: by_number[n] for n, row in shown.items()}


def read(path: Path) -> np.ndarray:
    """A cropped face, (H, W, 3) uint8 RGB. Raises InputError when it is no whole picture."""
    return pictures.read(
        path,
        "cropped face",
        "unpack this trial's crops again, or delete the file: its frame then counts as faceless",
    )


def damage(crops_dir: Path) -> tuple[list[str], dict[str, int]]:
    """Look at every picture: names of the damaged, and how many of each size (``112×112``)."""
    broken, sizes = [], Counter()
    for path in numbered(Path(crops_dir)).values():
        try:
            picture = read(path)
        except InputError:
            broken.append(path.name)
        else:
            sizes[f"{picture.shape[1]}×{picture.shape[0]}"] += 1
    return sorted(broken), dict(sizes)
