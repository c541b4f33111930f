"""All writes of the clip maker: atomic, and numbered so that a test can interrupt after each.

A test interrupts at every number and compares the finished tree with one that was made without
interruption. Paths are texts here: a tree has millions of files.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator

from ...errors import FULL_DISK, InputError

PART = ".part"  # suffix of unfinished files
# Errors after which a copy is made: no (more) links possible, or source and target on different
# file systems.
IMPOSSIBLE = (errno.EXDEV, errno.EPERM, errno.EMLINK)


def as_json(content: object) -> bytes:
    """A line of JSON, without blanks."""
    return (json.dumps(content, separators=(",", ":")) + "\n").encode()


class Disk:
    """Counts operations; `before` is called with number and name of each before it is carried
    out.
    """

    def __init__(self, before: Callable[[int, str, str], None] | None = None):
        self.count, self.before = 0, before

    def _step(self, what: str, path: str) -> None:
        self.count += 1
        if self.before:
            self.before(self.count, what, path)

    def make_folder(self, path: str) -> None:
        """Make a folder and its parents unless they exist."""
        if not os.path.isdir(path):
            self._step("make folder", path)
            with explained(path):
                os.makedirs(path, exist_ok=True)

    def write(self, path: str, content: bytes) -> None:
        """Write a file atomically, unless it has this content already."""
        try:
            with open(path, "rb") as file:
                if file.read() == content:
                    return
        except FileNotFoundError:
            pass
        self._step("write", path)
        with explained(path):
            with open(path + PART, "wb") as file:
                file.write(content)
            self._step("put in place", path)
            os.replace(path + PART, path)

    def place(self, source: str, target: str, how: str) -> str:
        """Bring a file to `target` by hard link, symbolic link, copy or move, unless it exists.
        Returns how.

        A hard link or a move to another file system becomes a copy (a move removes its source).
        """
        self._step(how, target)
        try:
            self._bring(source, target, how)
            return how
        except FileExistsError:
            return "there"
        except FileNotFoundError as error:
            raise InputError(
                "a picture is not there any more",
                where=source,
                expected=f"it, for {target}",
                todo="put it back or extract it again, then type the same command",
            ) from error
        except OSError as error:
            refuse_full_disk(error, target)
            if how not in ("hard", "move") or error.errno not in IMPOSSIBLE:
                raise
        with explained(target):
            self._copy(source, target)
        if how == "move":
            self.remove(source)
        return "copy"

    def _bring(self, source: str, target: str, how: str) -> None:
        """`place` without its fallback. Raises FileExistsError if `target` exists."""
        if how == "hard":
            os.link(source, target)
        elif how == "sym":
            os.symlink(os.path.relpath(source, os.path.dirname(target)), target)
        elif os.path.lexists(target):
            raise FileExistsError(target)
        elif how == "move":
            os.rename(source, target)
        else:
            self._copy(source, target)

    def _copy(self, source: str, target: str) -> None:
        shutil.copyfile(source, target + PART)
        self._step("put in place", target)
        os.replace(target + PART, target)

    def rename(self, source: str, target: str) -> None:
        """Rename a file; `target` must be free."""
        self._step("rename", target)
        try:
            os.rename(source, target)
        except OSError as error:
            refuse_full_disk(error, target)
            raise

    def remove(self, path: str) -> None:
        """Remove a file or a link (never its target); a missing one is no error."""
        self._step("remove", path)
        if os.path.lexists(path):
            os.unlink(path)

    def remove_folder(self, path: str) -> None:
        """Remove a folder with all that is in it, file by file; links are not followed."""
        if os.path.islink(path):
            self.remove(path)
            return
        with os.scandir(path) as entries:
            inside = sorted((entry.path, entry.is_dir(follow_symlinks=False)) for entry in entries)
        for entry, is_folder in inside:
            if is_folder:
                self.remove_folder(entry)
            else:
                self.remove(entry)
        self._step("remove folder", path)
        os.rmdir(path)


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """A full disk as an InputError."""
    try:
        yield
    except OSError as error:
        refuse_full_disk(error, path)
        raise


def refuse_full_disk(error: OSError, path: str) -> None:
    """Raise InputError if this is what `error` says."""
    if error.errno in FULL_DISK:
        raise InputError(
            "no space, or no free inode, left on the device",
            where=path,
            expected="room as `python -m lib clips check` says",
            todo="free some and type the same command again: what was finished is kept",
        ) from error
