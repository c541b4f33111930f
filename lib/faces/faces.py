"""Faces of a trial per frame: packed, read in place, aligned by landmarks, or the centre."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from .. import store
from ..labels import lfan_rows
from ..media import recordings
from . import alignment, crops, tsav
from .crops import paths as crop_paths

AT_ONCE = 256  # frames that are written before their memory is given back


def give_back(array: np.ndarray, index: int) -> None:
    """`store.give_back` after every `AT_ONCE`-th frame."""
    if index % AT_ONCE == AT_ONCE - 1:
        store.give_back(array)


def resize(picture: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (size, size, 3) uint8; shrinks by area averaging, without aliasing."""
    if picture.shape[:2] == (size, size):
        return picture
    shrink = min(picture.shape[:2]) >= size
    return cv2.resize(
        picture, (size, size), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
    )


def read_crop(path: Path, size: int) -> np.ndarray:
    """One cropped face as (size, size, 3) uint8 RGB. Raises InputError for no whole picture."""
    return resize(crops.read(path), size)


def centre_square(picture: np.ndarray) -> np.ndarray:
    """The largest square in the middle of a picture (H, W, 3)."""
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    return picture[top : top + side, left : left + side]


def in_place(crops_dir: str) -> bool:
    """Whether `crops_dir` names a folder of pictures, and not a file to render faces by."""
    return bool(crops_dir) and not crops_dir.endswith((tsav.SUFFIX, lfan_rows.SUFFIX))


def valid_rows(crops_dir: Path, n_frames: int, times: np.ndarray | None = None) -> np.ndarray:
    """(T,) bool: whether frame k has a cropped face; `times`: see `crops.paths`."""
    valid = np.zeros(n_frames, bool)
    valid[list(crop_paths(crops_dir, n_frames, times))] = True
    return valid


def fill_from_crops(array: np.ndarray, crops_dir: Path, times: np.ndarray | None = None) -> None:
    """Fill (T, S, S, 3) uint8 with the trial's pictures; black where no face was found."""
    for index, path in crop_paths(crops_dir, len(array), times).items():
        array[index] = read_crop(path, array.shape[1])
        give_back(array, index)


def fill_from_video(array: np.ndarray, video_path: Path) -> None:
    """Fill (T, S, S, 3) uint8 with the centre square of every frame of a video without crops."""
    for index, (_, picture) in enumerate(recordings.frames(video_path)):
        array[index] = resize(centre_square(picture), array.shape[1])
        give_back(array, index)


def fill_aligned(array: np.ndarray, video_path: Path, landmarks: np.ndarray) -> None:
    """Fill (T, S, S, 3) uint8 with the faces that have landmarks (T, 5, 2), aligned."""
    for index, (_, picture) in enumerate(recordings.frames(video_path)):
        if np.isfinite(landmarks[index, 0, 0]):
            array[index] = alignment.align(picture, landmarks[index], array.shape[1])
        give_back(array, index)


class Faces:
    """Faces of one trial, packed or as single pictures. ``len(faces)`` frames of side `size`;
    ``faces.valid`` (T,) bool.

    `packed` is a (T, S, S, 3) uint8 array of the store; without it pictures are read from the data
    set on demand.
    """

    def __init__(
        self,
        valid: np.ndarray,
        size: int,
        packed: np.ndarray | None = None,
        crops_dir: Path | None = None,
        times: np.ndarray | None = None,
    ):
        self.valid, self.size = np.asarray(valid), size
        self._packed = packed
        self._paths = crop_paths(crops_dir, len(valid), times) if packed is None else {}

    def __len__(self) -> int:
        return len(self.valid)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """(N,) frames, −1 for none -> (N, S, S, 3) uint8 RGB; black where there is no face."""
        indices = np.asarray(indices)
        out = np.zeros((len(indices), self.size, self.size, 3), np.uint8)
        known = (indices >= 0) & self.valid[indices]
        if self._packed is not None:
            out[known] = self._packed[indices[known]]
        else:
            for row in np.flatnonzero(known):
                out[row] = read_crop(self._paths[int(indices[row])], self.size)
        return out


# frames; a block of 192 targets (`windows.together`) reaches back 42 more, and 112 pixels are 38 kB
KEPT_FRAMES = 256


class Recent:
    """A cache around `faces` (`lib.faces.faces.Faces`) of the frames that were read last."""

    def __init__(self, faces, keep: int = KEPT_FRAMES):
        self.faces, self.keep = faces, keep
        self._kept: dict[int, np.ndarray] = {}

    def read(self, indices: np.ndarray) -> np.ndarray:
        """(N,) frame indices, −1 for none -> (N, S, S, 3) uint8 RGB, as `faces.read` gives them."""
        indices = np.asarray(indices)
        frames = np.unique(indices[indices >= 0])
        absent = np.array([frame for frame in frames.tolist() if frame not in self._kept], int)
        self._kept.update(zip(absent.tolist(), self.faces.read(absent), strict=True))
        out = np.zeros((len(indices), self.faces.size, self.faces.size, 3), np.uint8)
        for row in np.flatnonzero(indices >= 0):
            out[row] = self._kept[int(indices[row])]
        for frame in list(self._kept)[: max(0, len(self._kept) - self.keep)]:  # the oldest first
            del self._kept[frame]
        return out
