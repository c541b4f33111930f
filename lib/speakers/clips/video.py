"""Facts about a video before it is cut: pictures, size, sound; stored beside its clips."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...files import safe_name
from ...media import pictures, recordings
from . import Settings
from .disk import Disk, as_json
from .sound import Sound
from .sources import Source

FACTS = ".video.json"  # beside a video's clips
UNEVEN = 0.5  # of a frame: a film whose frames are farther off an even grid is no base for clips


@dataclass(frozen=True)
class Facts:
    """Of one video: pictures, number of the first in the source, size in px, samples of sound."""

    n_frames: int
    base: int
    size: tuple[int, int]
    n_samples: int

    def text(self) -> bytes:
        return as_json(
            {
                "n_frames": self.n_frames,
                "base": self.base,
                "size": list(self.size),
                "n_samples": self.n_samples,
            }
        )


def folder_of(root: Path, source: Source) -> str:
    """Folder of a video's clips below a root of clips."""
    return os.path.join(root, source.split, safe_name(source.video))


def look(source: Source, folder: str, settings: Settings, disk: Disk) -> Facts:
    """Facts about a video, stored beside its clips because moved pictures cannot be counted
    again.
    """
    kept = os.path.join(folder, FACTS)
    if facts := read_facts(kept):
        return facts
    facts = _look(source, settings)
    disk.make_folder(folder)
    disk.write(kept, facts.text())
    return facts


def read_facts(path: str) -> Facts | None:
    """What `look` kept, None when it is not there."""
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read())
        return Facts(
            content["n_frames"], content["base"], tuple(content["size"]), content["n_samples"]
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            "what was noted of a video cannot be read",
            where=path,
            todo="remove the folder that it is in and run the command again",
        ) from error


def _look(source: Source, settings: Settings) -> Facts:
    if source.pictures:
        numbers = pictures.whole(source.pictures)
        first = pictures.read(source.pictures / (pictures.PATTERN % numbers.base))
        n_frames, base, size = numbers.count, numbers.base, first.shape[1::-1]
    else:
        times = recordings.frame_times(source.film)
        off = np.abs(times - times[0] - np.arange(len(times)) / float(source.fps)) * float(
            source.fps
        )
        if off.max() > UNEVEN:
            raise InputError(
                f"frame {int(off.argmax())} stands {off.max():.1f} frames off an even grid",
                where=source.film,
                expected=f"{float(source.fps):g} frames per second throughout",
                todo="encode it at a constant rate: ffmpeg -i OLD -vf fps=30 NEW.mp4",
            )
        _, picture = next(iter(recordings.frames(source.film)))
        n_frames, base, size = len(times), 1, picture.shape[1::-1]
    return Facts(n_frames, base, tuple(map(int, size)), Sound.length(source, settings))
