"""A lock on a folder, held by one process at a time on one machine or on several that share a file
system.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError

LOOK = 0.2  # s between two looks whether the lock is free


class BusyError(InputError):
    """Another process holds the lock; `holder` says which."""

    def __init__(self, holder: str, folder: Path):
        self.holder = holder
        super().__init__(
            f"another process works here: {holder}", where=folder, todo="wait for it, or stop it"
        )

    def __reduce__(self):
        return BusyError, (self.holder, self.where)


@contextmanager
def locked(folder: Path, wait: float) -> Iterator[None]:
    """Hold the lock on a folder, which is made; it is given back when this process ends, however it
    ends.

    Raises BusyError, naming who holds it, when it is not free after `wait` s. Where a system or a
    file system has no locks there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        yield
        return
    with (folder / ".lock").open("a+") as stream:
        end = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > end:
                    stream.seek(0)
                    raise BusyError(stream.read().strip() or "unknown", folder) from error
                time.sleep(LOOK)
            except OSError:  # ENOLCK, ENOTSUP
                break
        stream.seek(0)
        stream.truncate()
        stream.write(
            json.dumps(
                {
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "since": time.strftime("%Y-%m-%d %H:%M:%S"),
                }
            )
        )
        stream.flush()
        yield
