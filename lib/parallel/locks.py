"""A lock on a folder, held by one process at a time of all machines that share a file system.

The package filelock (4.3) is not used: it does not see that the folder of a lock file was renamed
meanwhile, raises where a file system has no locks (ENOLCK, ENOTSUP) or may not be written, and on
Windows, which it would add, a locked file can be neither read, renamed nor removed by other
processes.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ..errors import InputError, explain_full_disk
from ..files import create_folder

LOCK = ".lock"  # the file in a locked folder
POLL_SECONDS = 0.2  # s between two looks whether the lock is free
_HELD: set[tuple[str, int]] = set()  # (lock file, thread) of this process


class BusyError(InputError):
    """Another process holds the lock; `holder` says which."""

    def __init__(self, holder: str, folder: Path):
        self.holder = holder
        super().__init__(
            f"another process works here: {holder}", where=folder, todo="wait for it, or stop it"
        )

    def __reduce__(self):
        return BusyError, (self.holder, self.where)


def beside(path: Path) -> Path:
    """The lock file for writing a file or folder: a hidden file beside it."""
    return path.with_name(f".{path.name}.lock")


def tell(holder: str, path: Path) -> None:
    """Print a line that says which process this one waits for."""
    sys.stdout.write(f"waiting for another process, {holder} (lock: {path})\n")
    sys.stdout.flush()


@contextmanager
def locked(folder: Path, wait: float, say: Callable[[str, Path], None] = tell) -> Iterator[None]:
    """Hold the lock on a folder, which is created if absent. The lock is released however this
    process ends.

    Raises BusyError, which names the holder, if the lock is not free after `wait` s. Does nothing
    on systems or file systems without flock, and on those that may not be written. `say` is called
    once with the holder if this process has to wait. A thread may hold the same lock several times.
    """
    with held(folder / LOCK, wait, say):
        yield


@contextmanager
def held(
    path: Path,
    wait: float,
    say: Callable[[str, Path], None] = tell,
    remove: bool = False,
    quiet: float = 0.0,
) -> Iterator[None]:
    """Like `locked`, for a lock file of any name, whose folder is created if absent. remove :
    delete the file afterwards. quiet : s of waiting before `say` is called.
    """
    with lent(path) as is_held:
        if is_held:
            yield
            return
        stream = _opened(path)
        try:
            stream = stream and _acquired(stream, path, wait, say, quiet)
            try:
                yield
            finally:
                if stream and remove:
                    path.unlink(missing_ok=True)  # before it is given back: who waits looks again
        finally:
            if stream:
                stream.close()


@contextmanager
def lent(path: Path) -> Iterator[bool]:
    """Inside the block this lock file counts as held by this thread: the process that this one
    works for, perhaps on another machine, holds it. Yields whether it already counted as held.
    """
    mine = str(path.absolute()), threading.get_ident()
    is_held = mine in _HELD
    _HELD.add(mine)
    try:
        yield is_held
    finally:
        if not is_held:
            _HELD.discard(mine)


def _opened(path: Path) -> TextIO | None:
    """The opened lock file, or None on a system without locks."""
    try:
        import fcntl  # noqa: F401

        create_folder(path.parent)
        return _stream(path)
    except ModuleNotFoundError:  # Windows
        return None
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM):
            with explain_full_disk(path):
                raise
        return None


def _stream(path: Path) -> TextIO:
    return path.open("a+", encoding="utf-8", errors="replace")  # its content may be damaged


def _acquired(
    stream: TextIO, path: Path, wait: float, say: Callable, quiet: float
) -> TextIO | None:
    """The locked file, written with who holds it; None where the file system has no locks."""
    import fcntl

    begun, said = time.monotonic(), False
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            holder = _in_words(stream.read())
            waited = time.monotonic() - begun
            if waited > wait:
                stream.close()
                raise BusyError(holder, path.parent) from error
            if not said and wait > POLL_SECONDS and waited >= quiet:
                say(holder, path)
                said = True
            time.sleep(POLL_SECONDS)
            continue
        except OSError:  # ENOLCK, ENOTSUP
            return None
        if _is_still(stream, path):
            break
        stream.close()  # its holder took the file away, or moved the folder
        stream = _stream(path)
    stream.seek(0)
    stream.truncate()
    who = {"host": socket.gethostname(), "pid": os.getpid()}
    stream.write(json.dumps({**who, "since": time.strftime("%Y-%m-%d %H:%M:%S")}))
    stream.flush()
    return stream


def _in_words(content: str) -> str:
    """The holder of a lock as its file names it, in words."""
    try:
        who = json.loads(content)
        return f"number {who['pid']} on {who['host']}, at work since {who['since']}"
    except (ValueError, TypeError, LookupError, RecursionError):  # it has not written itself yet
        return "which has not said its name"


def _is_still(stream: TextIO, path: Path) -> bool:
    """Whether the file of that name is the one that was locked."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        create_folder(path.parent)
        return False
