"""OpenFace's table beside its pictures: which faces each frame has, and whether they were found.

Its program for several faces writes a row per face and frame (column `face_id`); pictures of face 0
are ``frame_det_00_000001.bmp``. A picture of a frame in which that face was lost is black, or shows
what was there before: `success` is 0 then. Its time stamps are those of its own clock; where they
do not run evenly with the frame numbers (dropped frames), or the table has another rate than the
video, they say which frame of the video a row belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from .. import errors
from ..errors import InputError
from ..files import version
from ..media.frames import nearest, spacing
from ..store import Store

FACE_ID = 0  # whose pictures are read
EVEN = 0.5  # share of a frame by which time stamps may deviate from an even rate
RATE_TOLERANCE = 0.05  # share by which the table's rate may differ from the video's
TOLERANCE_FRAMES = 2  # frames that two decoders may differ by
MARK = {"openface": "by its table"}  # parameters of arrays whose numbers its table changes
COLUMNS = ("frame", "face_id", "timestamp", "success")


def read(path: Path) -> pd.DataFrame:
    """Columns frame (int, from 1), face_id (int), timestamp (s, NaN where it is not said) and
    success (bool), as they stand in the file. Raises InputError for anything else.
    """
    path = Path(path)
    try:
        of_today = version(path)
    except OSError:
        of_today = ()
    return _read(str(path), of_today)


@lru_cache(maxsize=8)
def _read(path: str, _version: tuple) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, usecols=lambda name: name.strip() in COLUMNS)
        table.columns = [name.strip() for name in table.columns]
        if absent := [name for name in ("frame", "success") if name not in table]:
            raise ValueError(f"no column {' and '.join(absent)}, parted by commas")
        table = table.reindex(columns=list(COLUMNS)).astype(float)
        table["face_id"] = table["face_id"].fillna(FACE_ID)
        _refuse_cells(table)
        return table.astype({"frame": np.int64, "face_id": np.int64, "success": bool})
    except errors.FOREIGN as error:  # pandas' own errors are ValueErrors
        reason = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise InputError(
            f"OpenFace's table cannot be read ({reason})",
            where=path,
            expected="columns frame and success, numbers",
            todo="run OpenFace on this video again, or remove its folder of pictures",
        ) from error


def _refuse_cells(table: pd.DataFrame) -> None:
    """Raise ValueError for invalid cells."""
    needed = table[["frame", "success", "face_id"]].to_numpy()
    if not len(table):
        raise ValueError("no row")
    if not (np.isfinite(needed) & (np.abs(needed) < 1e9)).all():
        raise ValueError("a cell that is no number")
    if not table["success"].isin((0, 1)).all() or (table["frame"] % 1 != 0).any():
        raise ValueError("success is not 0 or 1, or a frame is not whole, in some row")


def places(path: Path, times: np.ndarray | None = None) -> dict[int, int]:
    """Frame number of the table, from 1 -> frame of the video, from 0, where face 0 was found.

    times : (T,) s of the video's frames; None: frame numbers are taken as they are.
    """
    table = _of_face(read(path), path)
    numbers = table["frame"].to_numpy()
    if times is not None and not by_number(table, len(times), spacing(times)):
        rows = _nearest(table["timestamp"].to_numpy(), np.asarray(times) - times[0])
    else:
        rows = numbers - _first(table)
    kept = table["success"].to_numpy() & (rows >= 0)
    return dict(zip(numbers[kept].tolist(), rows[kept].tolist(), strict=True))


def _first(table: pd.DataFrame) -> int:
    """The number of a table's first frame: 1, or 0 where some row has it."""
    return 0 if table["frame"].min() == 0 else 1


def _of_face(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Rows of the face whose pictures are read, in the order of its frames; one per frame."""
    rows = table[table["face_id"] == FACE_ID].sort_values("frame", kind="stable")
    if not len(rows):
        raise InputError(
            f"OpenFace's table has no face {FACE_ID}",
            where=path,
            expected=f"rows of face_id {FACE_ID}, whose pictures are frame_det_00_…",
            todo="run OpenFace on this video again, or remove its folder of pictures",
        )
    return rows.drop_duplicates("frame", keep="last")


def by_number(table: pd.DataFrame, n_frames: int, spacing: float) -> bool:
    """Whether frame numbers of a table count the video's frames; else its time stamps place them.

    n_frames : of the video. spacing : s between two of them, 0 where it is not known.
    """
    frame, stamp = table["frame"].to_numpy(float), table["timestamp"].to_numpy()
    if len(frame) < 3 or not np.isfinite(stamp).all():
        return True
    period = float(np.median(np.diff(stamp) / np.diff(frame)))
    line = stamp[0] + period * (frame - frame[0])
    if period <= 0 or np.abs(stamp - line).max() > EVEN * period:
        return period <= 0
    counts = abs(frame.max() - n_frames) <= TOLERANCE_FRAMES
    return counts or not spacing or abs(period - spacing) <= RATE_TOLERANCE * spacing


def _nearest(stamps: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Frame of the video nearest to each stamp, −1 where that is more than a frame away."""
    rows = nearest(times, stamps)
    return np.where(np.abs(times[rows] - stamps) <= max(spacing(times), 1e-6), rows, -1)


def notes(path: Path, n_frames: int, spacing: float) -> list[str]:
    """Remarks on a table for a person: several faces, deviating times, lost frames."""
    table = read(path)
    remarks = []
    for face, rows in table[table["face_id"] != FACE_ID].groupby("face_id"):
        seen = int(rows["success"].sum())
        remarks.append(
            f"face {face} of OpenFace's table ({seen} frames) is not used, face {FACE_ID} is"
        )
    own = _of_face(table, path)
    if lost := int((~own["success"]).sum()):
        remarks.append(f"face {FACE_ID} was lost in {lost} frames: their pictures are not used")
    if not _first(own):
        remarks.append("frames counted from 0")
    if not by_number(own, n_frames, spacing):
        remarks.append("pictures are placed by the table's time stamps, not by their numbers")
    return remarks


def mark(trial: Mapping, store: Store, table: Path | None) -> dict:
    """Parameters of an array that tell it from one made when the table's faces and times were not
    looked at; {} where both are the same.
    """
    path = store.data_root / table if table else None
    if path is None or not path.is_file():
        return {}
    try:
        rows = read(path)
        own = _of_face(rows, path)
    except InputError:
        return {}
    spacing = 1 / trial["fps"] if trial["fps"] else 0.0
    ordinary = rows["face_id"].nunique() == 1 and by_number(own, trial["n_frames"], spacing)
    return {} if ordinary and _first(own) else MARK
