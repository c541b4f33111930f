"""Names of recordings, persons and trials in a person's own folder.

A recording has the name of its file; if several share a name, each gets its whole path as its name.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from .. import trials
from ..errors import nearest_name
from ..files import folded
from . import affwild2
from .contents import split

SPELLING_RATIO = 0.5  # ratio of `difflib` from which two spellings are taken for one name


@dataclass(frozen=True)
class Recording:
    """A file with moving pictures.

    name : the video's name in the trial table. path : relative to the data root. is_shared :
    whether another file has the same stem.
    """

    name: str
    path: str
    is_shared: bool = False

    @property
    def folder(self) -> str:
        return split(self.path)[0]

    @property
    def file(self) -> str:
        return split(self.path)[1]

    @property
    def stem(self) -> str:
        return PurePosixPath(self.path).stem

    @property
    def subject(self) -> str:
        """The subject as far as names tell: files of one name in one folder are one recording."""
        if not self.is_shared:
            return self.name
        return trials.usable("__".join(PurePosixPath(self.path).with_suffix("").parts))


def of_recordings(paths: Iterable[str]) -> dict[str, Recording]:
    """Name -> recording, in the order of the paths."""
    paths = list(paths)
    often = Counter(PurePosixPath(path).stem for path in paths)
    taken = {trials.usable(stem) for stem, count in often.items() if count == 1}
    recordings = {}
    for path in paths:
        is_shared = often[PurePosixPath(path).stem] > 1
        name = _whole(path, taken) if is_shared else trials.usable(PurePosixPath(path).stem)
        taken.add(name)
        recordings[name] = Recording(name, path, is_shared)
    return recordings


def _whole(path: str, taken: Collection[str]) -> str:
    """The whole path as a name, with a digest where another file is called so already."""
    name = trials.usable("__".join(PurePosixPath(path).parts).replace(".", "_"))
    return name if name not in taken else f"{name}~{hashlib.sha256(path.encode()).hexdigest()[:8]}"


def persons(video: str, videos: Collection[str]) -> list[tuple[str, str]]:
    """(trial, person) pairs that label files may belong to; a recording may itself be called
    a_left.
    """
    pairs = [(f"{video}_{person}", person) for person in affwild2.PERSONS]
    return [(video, ""), *(pair for pair in pairs if pair[0] not in videos)]


def resolve(text: str, recordings: Mapping[str, Recording], trial_names: Collection[str]) -> str:
    """The trial or recording that a name means: exactly, with the suffix of its file, with its
    folders, or in other capitals. "" if none or several match.
    """
    text = text.strip().strip("'\"").replace("\\", "/").removeprefix("./")
    if text in trial_names or text in recordings:
        return text
    fits = {
        recording.name
        for recording in recordings.values()
        if text in (recording.path, recording.file, _without_suffix(recording.path))
    }
    everything = [*trial_names, *recordings]
    fits = fits or {name for name in everything if folded(name) == folded(text)}
    fits = fits or {
        name
        for name, recording in recordings.items()
        if folded(text) in map(folded, (recording.path, recording.file, recording.stem))
    }
    return fits.pop() if len(fits) == 1 else ""


def _without_suffix(path: str) -> str:
    return path.removesuffix(PurePosixPath(path).suffix)


def nearest(text: str, names: Collection[str]) -> str:
    """The nearest name to a text: one that it begins with, else a similar one, else ""."""
    low = folded(text)
    pairs = [(name, folded(name)) for name in names]
    begins = [
        name for name, spelling in pairs if low.startswith(spelling) or spelling.startswith(low)
    ]
    if begins:
        return max(begins, key=len)
    return nearest_name(text, names, SPELLING_RATIO)
