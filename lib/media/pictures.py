"""Pictures, and folders of whole pictures of a recording: ``img_00001.jpg`` …, as ffmpeg and Ego4D
write them.

Numbers go from 1 or from 0 without a hole; picture 1 of a folder that begins with 1 is frame 0
(speaker specification §1.4).
"""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..errors import InputError

PATTERN = "img_%05d.jpg"
MOST_PIXELS = 1 << 26  # 8192×8192: twice a picture of 8K; its pixels take 200 MB
FPS = 30.0  # at which Ego4D's scripts extract them


@dataclass(frozen=True)
class Numbers:
    """What a folder holds: frames `base`, `base` + 1, …, `base` + `count` − 1; `missing` are holes
    among them.
    """

    base: int
    count: int
    missing: tuple[int, ...] = ()


def look(folder: Path) -> Numbers:
    """Count the pictures of a folder. Raises InputError when it has none, or the first one is
    neither 0 nor 1.
    """
    numbers = numbered(folder)
    if not numbers:
        raise InputError(
            "no pictures",
            where=folder,
            expected=f"{PATTERN % 1}, {PATTERN % 2}, …",
            todo="extract them again, or leave this recording out",
        )
    first, last = min(numbers), max(numbers)
    base = min(first, 1)
    missing: tuple[int, ...] = ()
    if len(numbers) != last - base + 1:
        missing = tuple(sorted(set(range(base, last + 1)) - numbers))
    return Numbers(base, last - base + 1, missing)


def numbered(folder: Path) -> set[int]:
    """Numbers of the pictures in a folder; what else lies there is passed over. Empty when it is
    not there.
    """
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name[4:-4]
                for entry in entries
                if entry.name[:4] == "img_" and entry.name[-4:] == ".jpg" and entry.is_file()
            ]
            return {int(name) for name in names if name.isdecimal() and len(name) >= 5}
    except FileNotFoundError:
        return set()


def whole(folder: Path) -> Numbers:
    """`look`, but a hole in the numbering is an InputError that lists the missing numbers."""
    numbers = look(folder)
    if numbers.missing:
        shown = ", ".join(map(str, numbers.missing[:12])) + (
            ", …" if len(numbers.missing) > 12 else ""
        )
        raise InputError(
            f"{len(numbers.missing)} pictures are missing: {shown}",
            where=folder,
            expected=f"{numbers.count} pictures, {PATTERN % numbers.base} to "
            f"{PATTERN % (numbers.base + numbers.count - 1)}",
            todo="extract the pictures of this recording again",
        )
    return numbers


def probe(folder: Path) -> dict:
    """Width, height, n_frames, fps and duration (s) of a folder of pictures, by its first
    picture.
    """
    numbers = look(folder)
    height, width = read(Path(folder) / (PATTERN % numbers.base)).shape[:2]
    return {
        "width": width,
        "height": height,
        "n_frames": numbers.count,
        "fps": FPS,
        "duration": numbers.count / FPS,
    }


def frames(folder: Path, start: int = 0) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (time in s, picture (H, W, 3) uint8 RGB) of every frame from `start` on. Raises
    InputError for a hole.
    """
    numbers = whole(folder)
    for frame in range(start, numbers.count):
        yield frame / FPS, read(Path(folder) / (PATTERN % (frame + numbers.base)))


def read(
    path: Path, kind: str = "picture", todo: str = "extract the pictures of this recording again"
) -> np.ndarray:
    """A picture, (H, W, 3) uint8 RGB.

    kind, todo : what it is and what mends it, for the error. Raises InputError when it is no
        picture, or not whole.
    """
    try:  # reading a pipe would never end
        content = Path(path).read_bytes() if Path(path).is_file() else None
    except OSError as error:
        raise _unreadable(path, kind, todo, error.strerror) from error
    if content is None:
        raise _unreadable(path, kind, todo, "there is no such file")
    if size := _too_large(content):
        raise _unreadable(path, kind, todo, f"it claims {size} pixels")
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # empty, or its header contradicts itself
        picture = None
    if picture is None:
        raise _unreadable(path, kind, todo, "no picture in it" if content else "empty file")
    # The decoder paints the rest of a JPEG that was cut off grey and says nothing. A whole one ends
    # its last scan (FF DA) with an end marker (FF D9); neither can occur inside the coded picture
    # (ITU T.81, B.1.1.5).
    if content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise _unreadable(path, kind, todo, "the end of the picture is missing")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _too_large(content: bytes) -> str:
    """The number of pixels that a picture's header claims, as text, if it is too large; else ""."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about pictures that are refused anyway
        try:
            with Image.open(io.BytesIO(content)) as picture:
                width, height = picture.size
        except Image.DecompressionBombError:
            return "hundreds of millions of"
        except (OSError, ValueError, SyntaxError, TypeError, struct.error):
            return ""  # the decoder reports why
    return f"{width}×{height}" if width * height > MOST_PIXELS else ""


def _unreadable(path: Path, kind: str, todo: str, why: str) -> InputError:
    return InputError(
        f"a {kind} cannot be read: {why}", where=path, expected="a JPEG or PNG picture", todo=todo
    )
