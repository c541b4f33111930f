"""Faces and masks from the published TSAV database: without a detector, only from its alignment
files (TSAV/JCA specification §1.2, §1.3).

``<name>_alignment_mask.pkl`` is a dict with 'frame', a list over video frames of 2×3 affine
matrices (None where no face was found), and 'mask', a list of 68×2 landmarks in the 112×112 face.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import InputError
from ..media import pickles, recordings
from . import alignment

SUFFIX = ".pkl"
SIZE = 112  # px, of the face that the matrices lead to
TOLERANCE_FRAMES = 2  # frames by which two decoders may differ at the end of a video (LFAN, §1.11)


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Matrices (T, 2, 3) float64 and landmarks (T, 68, 2) float32 px of an alignment file, NaN
    without a face.

    Raises InputError for a pickle that holds anything else.
    """
    content = pickles.read(path)
    try:
        frames, masks = content["frame"], content["mask"]
        matrices = np.stack([_filled(item, (2, 3)) for item in frames])
        points = np.stack([_filled(item, (68, 2)) for item in masks]).astype(np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"not an alignment file of the TSAV database ({type(error).__name__}: "
            f"{str(error)[:80]})",
            where=path,
            expected="'frame' with 2×3 matrices and 'mask' with 68×2 points, one per frame",
            todo="fetch aff2alignmentdata again",
        ) from error
    if len(matrices) != len(points):
        raise InputError(
            f"{len(matrices)} matrices and {len(points)} sets of landmarks",
            where=path,
            expected="one of each for a frame",
            todo="fetch aff2alignmentdata again",
        )
    return matrices, points


def _filled(item, shape: tuple[int, int]) -> np.ndarray:
    return np.full(shape, np.nan) if item is None else np.asarray(item, np.float64).reshape(shape)


def fit(path: Path, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """`read`, as many rows as frames. Raises InputError where `TOLERANCE_FRAMES` is exceeded."""
    matrices, points = read(path)
    if abs(len(matrices) - n_frames) > TOLERANCE_FRAMES:
        raise InputError(
            f"the alignment file has {len(matrices)} frames, the video {n_frames}",
            where=path,
            expected="the same number",
            todo="check that they belong to the same version of the video",
        )
    missing = ((0, max(0, n_frames - len(matrices))), (0, 0), (0, 0))
    return tuple(
        np.pad(rows[:n_frames], missing, constant_values=np.nan) for rows in (matrices, points)
    )


def valid_rows(path: Path, n_frames: int) -> np.ndarray:
    """(T,) bool: whether frame k has a face."""
    return np.isfinite(fit(path, n_frames)[0]).all(axis=(1, 2))


def fill_faces(array: np.ndarray, file: Path, video: Path) -> None:
    """Render (T, S, S, 3) uint8 faces from the frames of the video; black where no face was found.

    At S = 112 exactly the published rendering: affine, cubic, black border. Other sizes are made
    from that. The matrices count stored pixels: their reader did not know of oblong pixels.
    """
    matrices, _ = fit(file, len(array))
    for index, (_, picture) in enumerate(recordings.frames(video, square=False)):
        if np.isfinite(matrices[index]).all():
            face = cv2.warpAffine(picture, matrices[index], (SIZE, SIZE), flags=cv2.INTER_CUBIC)
            if array.shape[1] != SIZE:
                how = cv2.INTER_AREA if array.shape[1] < SIZE else cv2.INTER_CUBIC
                face = cv2.resize(face, array.shape[1:3], interpolation=how)
            array[index] = face


def fill_masks(array: np.ndarray, file: Path) -> None:
    """Draw (T, 112, 112) uint8 masks from the landmarks; black where no face was found."""
    for index, points in enumerate(fit(file, len(array))[1]):
        if np.isfinite(points).all():
            array[index] = alignment.mask(points)
