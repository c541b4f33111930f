"""Arrays of the published LFAN database, a row for each frame that it kept -> a row for each frame
of the video.

``npy_data/<trial>/frame.npy`` (48×48 faces), ``mfcc.npy``, ``vggish.npy``, ``label.npy`` hold the
labelled frames of a trial only, gaps closed, of a test trial all of them (LFAN specification
§1.4–1.9). Which frames those were stands in the trial's annotation file: without it rows can be
placed only where there are as many as frames.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from ..errors import InputError
from ..store import Request, Store, brought, request
from . import official

FOLDER, SUFFIX = "npy_data", ".npy"
FACE_FILE = "frame.npy"
# the code writes the first, its README says the second
LABEL_FILES = ("label.npy", "continuous_label.npy")
SIDE = 48  # px of a face
TOLERANCE_FRAMES = 2  # frames by which two decoders may differ at the end of a video (§1.11)
VERSION = 1  # of the features' arrays, raised when their numbers change
# array of the store -> file, columns
FEATURES = {"mfcc39": ("mfcc.npy", 39), "vggish": ("vggish.npy", 128)}


def resolve(trial: Mapping, wanted: Request, store: Store) -> Request:
    """A request for one of `FEATURES`, completed to mean the database's rows of this trial, if the
    database or the store has them.

    Requests with a person's own weights pass unchanged.
    """
    if wanted.parameters.get("weights", "published") != "published":
        return wanted
    own = request(wanted.name, database=trial["trial"])
    shelf = store.shelf("video", trial["video"])
    exists = (store.data_root / FOLDER / trial["trial"] / FEATURES[wanted.name][0]).is_file()
    return own if exists or shelf.find(own.name, own.parameters, VERSION) else wanted


def sources(trial: Mapping, name: str) -> dict:
    """Inputs for a file of the trial: the file, and the source of which frames its rows belong
    to.
    """
    return {"rows": f"{FOLDER}/{trial['trial']}/{name}", **annotation(trial)}


def annotation(trial: Mapping) -> dict:
    """The official annotation file as an input, if the trial has one."""
    return {"annotation": trial["va_path"]} if re.fullmatch(r"[^|]*\.txt", trial["va_path"]) else {}


def read(path: Path, columns: tuple[int, ...]) -> np.ndarray:
    """(n, *columns) array of a file, memory-mapped. Raises InputError for anything else, for texts
    and objects too.
    """
    path = Path(path)
    todo = "make the LFAN database of this trial again, or remove its folder"
    rows = brought(path, "a whole .npy file", todo)
    if rows.shape[1:] != columns or rows.dtype.kind not in "iuf":
        raise InputError(
            f"an array of shape {rows.shape}, type {rows.dtype}",
            where=path,
            expected=f"numbers (frames, {', '.join(map(str, columns))})",
            todo=todo,
        )
    return rows


def frames_of(rows: int, n_frames: int, annotation: Path | None, where: object) -> np.ndarray:
    """(rows,) int: which frame of the video (from 0) each row belongs to; those from `n_frames` on
    do not decode.

    Raises InputError when the annotation has another number of labelled frames, or when there is
    none and the rows are not as many as the frames.
    """
    if annotation is not None:
        kept = np.flatnonzero(np.isfinite(official.read(annotation, "va")).all(axis=1))
        message = f"{rows} rows, and {len(kept)} labelled frames in {Path(annotation).name}"
        fits = len(kept) == rows and (not rows or kept[-1] < n_frames + TOLERANCE_FRAMES)
    else:
        kept, message = np.arange(rows), f"{rows} rows for a video of {n_frames} frames"
        fits = abs(rows - n_frames) <= TOLERANCE_FRAMES
    if not fits:
        raise InputError(
            f"{message}: nobody can tell which frames these are",
            where=where,
            expected="a row for each labelled frame, or for each frame of the video",
            todo="put the annotation file that this database was made from into VA_Set, or remove "
            "the "
            "folder of this trial",
        )
    return kept


def place(
    rows: np.ndarray, n_frames: int, annotation: Path | None, fill: float, where: object
) -> np.ndarray:
    """(n, …) rows of kept frames -> (n_frames, …) of the same type, `fill` where a frame was not
    kept.
    """
    kept = frames_of(len(rows), n_frames, annotation, where)
    out = np.full((n_frames, *rows.shape[1:]), fill, rows.dtype)
    shown = kept < n_frames
    out[kept[shown]] = rows[shown]
    return out


def faces(path: Path, n_frames: int, annotation: Path | None) -> np.ndarray:
    """(T, 48, 48, 3) uint8 RGB; black where there was no face, and in frames that were not kept."""
    rows = read(path, (SIDE, SIDE, 3))
    if rows.dtype.kind == "f" or (
        rows.dtype.itemsize > 1 and rows.size and (rows.min() < 0 or rows.max() > 255)
    ):
        raise InputError(
            f"pictures of type {rows.dtype} with values outside 0…255",
            where=path,
            expected="uint8, or the int16 that one missing face makes of it",
            todo="make frame.npy of this trial again",
        )
    return place(np.asarray(rows).astype(np.uint8), n_frames, annotation, 0, path)


def valid_rows(path: Path, n_frames: int, annotation: Path | None = None) -> np.ndarray:
    """(T,) bool: frames that were kept and are not black."""
    return faces(path, n_frames, annotation).any(axis=(1, 2, 3))


def fill_faces(array: np.ndarray, path: Path, annotation: Path | None) -> None:
    """Fill (T, S, S, 3) uint8 from the 48-pixel faces."""
    crops, side = faces(path, len(array), annotation), array.shape[1]
    how = cv2.INTER_AREA if side < SIDE else cv2.INTER_CUBIC
    for index in np.flatnonzero(crops.any(axis=(1, 2, 3))):
        face = crops[index]
        if side != SIDE:
            face = cv2.resize(face, (side, side), interpolation=how)
        array[index] = face


def features(name: str, path: Path, n_frames: int, annotation: Path | None) -> np.ndarray:
    """(T, columns) float32 of `mfcc39` or `vggish`, NaN in frames that were not kept."""
    rows = np.asarray(read(path, (FEATURES[name][1],)), np.float32)
    return place(rows, n_frames, annotation, np.nan, path)


def read_labels(path: Path, n_frames: int) -> np.ndarray:
    """(T, 2) float32 valence and arousal of a trial whose annotation file is gone; see
    `official.read`.
    """
    rows = np.asarray(read(path, (2,)), np.float32)
    if not (np.abs(rows) <= 1).all():
        raise InputError(
            "valence or arousal outside −1…1",
            where=path,
            expected="labelled frames only",
            todo="make label.npy of this trial again",
        )
    return place(rows, n_frames, None, np.nan, path)
