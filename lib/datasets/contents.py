"""All files below a folder of recordings, listed once, and what each is used as.

Recordings are recognised by their content (`lib.media.kinds`). Linked folders are followed
(`lib.files.walk`). For every file it is noted what it is used as, or why it is not used and what
the nearest right thing would be (`lib.datasets.inventory`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from .. import trials
from ..errors import InputError
from ..files import ROOT, Entry, folded, walk
from ..media import kinds

# Folders that operating systems and network disks create: bins, thumbnails, snapshots.
SYSTEM = {
    *("__macosx", "$recycle.bin", "recycler", "recycled", "system volume information"),
    *("lost+found", "@eadir", "#recycle", "@recycle", "#snapshot", "@recently-snapshot"),
}
LOCK_PREFIX = "~$"  # prefix of the lock file that an office program writes beside an open file


@dataclass
class Contents:
    """The files below `root`; paths are relative to it, with ``/``.

    files : path -> entry, of files that can be read. others : links that cannot be followed and
        folders that cannot be entered.
    kinds : path -> kind of the file ("video", "sound", …) if its content was looked at.
    by_folder : folder -> folded name -> paths in it (several if they differ in capitals).
    stems : of the recordings, once they are known.
    used : path -> what it is used as. reasons : path -> why it is not used, if known.
    """

    root: Path
    files: dict[str, Entry] = field(default_factory=dict)
    others: list[Entry] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    by_folder: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    stems: set[str] = field(default_factory=set)
    used: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, tuple[str, str]] = field(default_factory=dict)

    def of_kind(self, kind: str) -> list[str]:
        """Paths of all files of a kind."""
        return [path for path, what in self.kinds.items() if what == kind]

    @property
    def folders(self) -> set[str]:
        """All folders with a file in them, at any depth; the root is ""."""
        folders = set()
        for folder in self.by_folder:
            while folder not in folders:
                folders.add(folder)
                folder = split(folder)[0]
        return folders

    def inside(self, folder: str) -> list[str]:
        """Paths of the files in a folder itself."""
        return [path for paths in self.by_folder.get(folder, {}).values() for path in paths]

    def get(self, folder: str, name: str) -> str:
        """The file of that name in a folder; another spelling (capitals, composed or decomposed
        Unicode) counts if it is the only one and no other recording has exactly that name. "" if
        there is none.
        """
        paths = self.by_folder.get(folder, {}).get(folded(name), [])
        exact = joined(folder, name)
        if exact in paths:
            return exact
        if len(paths) != 1:
            return ""
        stem = PurePosixPath(paths[0]).stem
        mine = stem == PurePosixPath(name).stem  # only the suffix is in capitals (.CSV)
        if not mine and sum(folded(other) == folded(stem) for other in self.stems) > 1:
            return ""  # ambiguous
        return paths[0] if mine or stem not in self.stems else ""

    def use(self, path: str, what: str) -> None:
        """Note what a file is used as; several trials may use the same one."""
        before = self.used.get(path)
        self.used[path] = f"{before}; {what}" if before and what not in before else what

    def refuse(self, path: str, why: str, right: str = "") -> None:
        """Note why a file is not used, and what would be right."""
        self.reasons.setdefault(path, (why, right))

    def has_settled(self, path: str) -> bool:
        """Whether it is noted already what a file is used as, or why it is not used."""
        return path in self.used or path in self.reasons


def joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def suffix(path: str) -> str:
    """The suffix of a file's name in lower case: ``.mp4``."""
    return os.path.splitext(path)[1].lower()


def split(path: str) -> tuple[str, str]:
    """(folder, name) of a relative path; the folder is "" for files in the root."""
    folder, _, name = path.rpartition("/")
    return folder, name


def look(root: Path, ours: Collection[Path] = ()) -> Contents:
    """List a folder and determine the kinds of its files.

    ours : folders of results, which are not entered if they are below `root`. Raises InputError if
    the folder does not exist.
    """
    root = Path(root)
    if why := unusable(root):
        raise InputError(
            f"data_root {why}", where=root, expected="a folder", todo="correct data_root"
        )
    places = {os.path.realpath(path) for path in ours} - {os.path.realpath(root)}
    contents = Contents(root)
    for entry in walk(root, lambda path: _closed(root, path, places)):
        foreign = "\\" in entry.path or ":" in entry.path
        legal = trials.is_unicode(entry.path) and not (foreign and trials.leaves_root(entry.path))
        if entry.kind == "file" and legal:
            _add(contents, entry)
        else:
            contents.others.append(entry)
    return contents


def unusable(root: Path) -> str:
    """Why a path cannot be the root of a person's data, for example "data_root is a file"; "" if it
    can. A whole disk, or the repository, is no study.
    """
    if root.is_file():
        return "is a file; for a single recording set video_path"
    if not root.is_dir():
        return "is not there"
    path = os.path.realpath(root)
    if path == os.path.realpath(ROOT):
        return 'is this repository itself (as "" and "." are): name the folder of your data'
    return "is the whole disk: name the folder of your data" if path == os.sep else ""


def holds(root: Path, kind: str) -> bool:
    """Whether any file below a folder is of this `kinds.kind`; the first one ends the search."""
    for entry in walk(root, lambda path: _closed(root, path, ())):
        with contextlib.suppress(OSError):  # what cannot be read is named by notebook 01
            if entry.kind == "file" and kinds.kind(root / entry.path) == kind:
                return True
    return False


def _closed(root: Path, path: str, ours: Collection[str]) -> str:
    name = PurePosixPath(path).name
    if name.startswith("."):
        return "hidden"
    if name.casefold() in SYSTEM:
        return "an operating system keeps its own files here"
    inside = ours and os.path.realpath(root / path) in ours
    return "results of this program are kept here" if inside else ""


def _add(contents: Contents, entry: Entry) -> None:
    folder, name = split(entry.path)
    contents.files[entry.path] = entry
    contents.by_folder.setdefault(folder, {}).setdefault(folded(name), []).append(entry.path)
    if name.startswith("."):
        contents.use(entry.path, "hidden")
        return
    if name.startswith(LOCK_PREFIX):
        contents.use(
            entry.path, f"left by a program that has {name.removeprefix(LOCK_PREFIX)} open"
        )
        return
    if suffix(name) in kinds.PICTURE_SUFFIXES:
        contents.kinds[entry.path] = "picture"
        return
    try:
        contents.kinds[entry.path] = kinds.kind(contents.root / entry.path)
    except OSError as error:
        contents.refuse(entry.path, f"cannot be read ({error.strerror})", "a file that may be read")
