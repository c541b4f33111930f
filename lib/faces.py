"""Faces of a trial, frame by frame: packed in one array, read in place, aligned by landmarks, or a picture's centre."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from lib import alignment, media
from lib.errors import InputError

CROP_SUFFIXES = (".jpg", ".jpeg", ".png")


def crop_paths(crops_dir: Path, n_frames: int) -> dict[int, Path]:
    """Frame index (0-based) -> picture. Picture number k+1 belongs to frame k, as Aff-Wild2 ships its crops.

    Raises InputError for a folder that is not there, for pictures numbered beyond the video's last frame, numbers
    used twice, and where no picture is numbered. What else lies in the folder is passed over.
    """
    if not Path(crops_dir).is_dir():
        raise InputError("the folder of cropped faces is not there", where=crops_dir,
                         todo="unpack the crops again, or run 01_download_check to build the trial table anew")
    pictures = sorted(path for path in Path(crops_dir).iterdir() if path.suffix.lower() in CROP_SUFFIXES)
    numbered: dict[int, Path] = {}
    for path in (path for path in pictures if path.stem.isdecimal()):
        if int(path.stem) - 1 in numbered:
            raise InputError(f"two cropped faces of one number: {numbered[int(path.stem) - 1].name} and {path.name}",
                             where=crops_dir, expected="one picture a frame", todo="remove the wrong one")
        numbered[int(path.stem) - 1] = path
    if pictures and not numbered:
        raise InputError(f"no cropped face has a number for a name (first: {pictures[0].name})", where=crops_dir,
                         expected="00001.jpg, 00002.jpg, …: the number of the video frame, from 1",
                         todo="rename the pictures")
    beyond = [index for index in numbered if not 0 <= index < n_frames]
    if beyond:
        raise InputError(f"{len(beyond)} cropped faces have numbers outside the video (first: {min(beyond) + 1})",
                         where=crops_dir, expected=f"numbers 1 to {n_frames}, one for a video frame",
                         todo="check that the crops belong to this version of the video")
    return numbered


def resize(picture: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (size, size, 3) uint8; area averaging when it shrinks, which does not alias."""
    if picture.shape[:2] == (size, size):
        return picture
    shrink = min(picture.shape[:2]) >= size
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC)


def read_crop(path: Path, size: int) -> np.ndarray:
    """One cropped face as (size, size, 3) uint8 RGB. Raises InputError when it is no picture, or not a whole one."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror) from error
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if picture is None:
        raise _unreadable(path, "no picture in it" if content else "empty file")
    # The decoder paints the rest of a JPEG that was cut off grey and says nothing. A whole one ends its last scan
    # (FF DA) with an end marker (FF D9); neither can occur inside the coded picture (ITU T.81, B.1.1.5).
    if content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise _unreadable(path, "the end of the picture is missing")
    return resize(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), size)


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(f"a cropped face cannot be read: {why}", where=path, expected="a JPEG or PNG picture",
                      todo="unpack this trial's crops again, or delete the file: its frame then counts as faceless")


def centre_square(picture: np.ndarray) -> np.ndarray:
    """The largest square in the middle of a picture (H, W, 3)."""
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    return picture[top:top + side, left:left + side]


def valid_rows(crops_dir: Path, n_frames: int) -> np.ndarray:
    """(T,) bool: whether frame k has a cropped face."""
    valid = np.zeros(n_frames, bool)
    valid[list(crop_paths(crops_dir, n_frames))] = True
    return valid


def fill_from_crops(array: np.ndarray, crops_dir: Path) -> None:
    """Fill (T, S, S, 3) uint8 with the trial's pictures; black where no face was found."""
    for index, path in crop_paths(crops_dir, len(array)).items():
        array[index] = read_crop(path, array.shape[1])


def fill_from_video(array: np.ndarray, video_path: Path) -> None:
    """Fill (T, S, S, 3) uint8 with the centre square of every frame of a video that has no crops."""
    for index, (_, picture) in enumerate(media.frames(video_path)):
        array[index] = resize(centre_square(picture), array.shape[1])


def fill_aligned(array: np.ndarray, video_path: Path, landmarks: np.ndarray) -> None:
    """Fill (T, S, S, 3) uint8 with the faces that have landmarks (T, 5, 2) in the picture, aligned; others stay."""
    for index, (_, picture) in enumerate(media.frames(video_path)):
        if np.isfinite(landmarks[index, 0, 0]):
            array[index] = alignment.align(picture, landmarks[index], array.shape[1])


class Faces:
    """Faces of one trial, whatever they lie in. ``len(faces)`` frames of side `size`; ``faces.valid`` (T,) bool.

    `packed` is a (T, S, S, 3) uint8 array of the store; without it the pictures are read in place when asked for.
    """

    def __init__(self, valid: np.ndarray, size: int, packed: np.ndarray | None = None, crops_dir: Path | None = None):
        self.valid, self.size = np.asarray(valid), size
        self._packed = packed
        self._paths = crop_paths(crops_dir, len(valid)) if packed is None else {}

    def __len__(self) -> int:
        return len(self.valid)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """(N,) frame indices, −1 for none -> (N, S, S, 3) uint8 RGB; black where there is no face."""
        indices = np.asarray(indices)
        out = np.zeros((len(indices), self.size, self.size, 3), np.uint8)
        known = (indices >= 0) & self.valid[indices]
        if self._packed is not None:
            out[known] = self._packed[indices[known]]
        else:
            for row in np.flatnonzero(known):
                out[row] = read_crop(self._paths[int(indices[row])], self.size)
        return out
