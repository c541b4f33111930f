"""Pictures of cropped faces that somebody has made already: Aff-Wild2's own, or those of OpenFace.

Aff-Wild2: ``<trial>/%05d.jpg``, numbered by video frame from 1; a missing one means that no face
was found. OpenFace: ``<video>_aligned/frame_det_00_%06d.bmp``, one a frame, and beside the folder
``<video>.csv``, whose column `success` says in which frames a face was found.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import InputError
from ..media import pictures

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
OPENFACE = "_aligned"  # how OpenFace's folder of pictures ends
_NUMBER = re.compile(r"(?:frame_det_00_)?(\d+)$")


def numbered(folder: Path) -> dict[int, Path]:
    """Number of the video frame, from 1 -> picture. What else lies in the folder is passed over.

    Raises InputError for a number that two pictures have, and where no picture is numbered.
    """
    found: dict[int, Path] = {}
    some = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    for path, match in ((path, _NUMBER.match(path.stem)) for path in some):
        if match and int(match[1]) in found:
            raise InputError(
                f"two cropped faces of one number: {found[int(match[1])].name} and {path.name}",
                where=folder,
                expected="one picture a frame",
                todo="remove the wrong one",
            )
        if match:
            found[int(match[1])] = path
    if some and not found:
        raise InputError(
            f"no cropped face has a number for a name (first: {some[0].name})",
            where=folder,
            expected="00001.jpg, 00002.jpg, …: the number of the video frame, from 1",
            todo="rename the pictures",
        )
    return found


def csv_of(crops_dir: Path | str) -> Path | None:
    """OpenFace's table that belongs to a folder of its pictures; None for another program's
    folder.
    """
    crops_dir = Path(crops_dir)
    if not crops_dir.name.endswith(OPENFACE):
        return None
    return crops_dir.with_name(crops_dir.name.removesuffix(OPENFACE) + ".csv")


def successes(path: Path) -> set[int]:
    """Frames (from 1) in which OpenFace found a face. Raises InputError when the table cannot be
    read.
    """
    try:
        table = pd.read_csv(path, usecols=lambda name: name.strip() in ("frame", "success"))
        table.columns = [name.strip() for name in table.columns]
        table = table[["frame", "success"]].astype(float)
    except (OSError, ValueError, KeyError) as error:  # pandas' own errors are ValueErrors
        raise InputError(
            "OpenFace's table cannot be read",
            where=path,
            expected="columns frame and success, numbers",
            todo="run OpenFace on this video again, or remove its folder of pictures",
        ) from error
    return set(table["frame"][table["success"] == 1].astype(int))


def paths(crops_dir: Path, n_frames: int) -> dict[int, Path]:
    """Frame index (0-based) -> picture of a face.

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
    beyond = [number for number in by_number if not 1 <= number <= n_frames]
    if beyond:
        raise InputError(
            f"{len(beyond)} cropped faces have numbers outside the video (first: {min(beyond)})",
            where=crops_dir,
            expected=f"numbers 1 to {n_frames}, one for a video frame",
            todo="check that the crops belong to this version of the video",
        )
    table = csv_of(crops_dir)
    with_face = successes(table) if table else by_number
    return {number - 1: by_number[number] for number in sorted(by_number) if number in with_face}


def read(path: Path) -> np.ndarray:
    """A cropped face, (H, W, 3) uint8 RGB. Raises InputError when it is no picture, or not a whole
    one.
    """
    return pictures.read(
        path,
        "cropped face",
        "unpack this trial's crops again, or delete the file: its frame then counts as faceless",
    )


def damage(crops_dir: Path) -> tuple[list[str], dict[str, int]]:
    """Look at every picture: names of those that are damaged, and how many there are of each size
    (``112×112``).
    """
    broken, sizes = [], Counter()
    for path in numbered(Path(crops_dir)).values():
        try:
            picture = read(path)
        except InputError:
            broken.append(path.name)
        else:
            sizes[f"{picture.shape[1]}×{picture.shape[0]}"] += 1
    return sorted(broken), dict(sizes)
