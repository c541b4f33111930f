"""Comes into every Python process of a command that is to be killed, by way of PYTHONPATH: counts
what is changed on the disk and, before the change with the chosen number, ends all of them at once.

Environment: KILL_ROOT, the folder that counts; KILL_ARMED, a file that grows by one byte with each
change once it is there; KILL_AT, the number of the change; KILL_DELAY, ms from it to the kill (into
the middle of a write); KILL_HIT, the file that says what the change was.
"""

import os
import sys
import threading

WRITES = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC


def _path(event, words):
    """The path that a change is made to; "" for what changes nothing."""
    if event == "open":
        path, mode, flags = words
        changes = set(mode or "") & set("wax+") or (flags or 0) & WRITES
        return path if changes else ""
    return words[0]


def _watch(root, armed, at, delay):
    events = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink"}

    def hook(event, words):
        if event not in events:
            return
        path = _path(event, words)
        path = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if not path.startswith(root) or not os.path.exists(armed):
            return
        number = _next(armed)
        if number == at:
            _end(event, path, delay)

    sys.addaudithook(hook)


def _next(armed):
    """The number of this change, over all processes."""
    place = os.open(armed, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(place, b".")
        return os.fstat(place).st_size
    finally:
        os.close(place)


def _end(event, path, delay):
    from tests.kill.killing import kill_all

    place = os.open(os.environ["KILL_HIT"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(place, f"{event} {path}".encode())
    os.close(place)
    mark = os.environ["KILL_MARK"]
    if delay:
        threading.Timer(delay / 1000, kill_all, [mark]).start()
    else:
        kill_all(mark)


if os.environ.get("KILL_ROOT"):
    _watch(
        os.environ["KILL_ROOT"],
        os.environ["KILL_ARMED"],
        int(os.environ["KILL_AT"]),
        float(os.environ.get("KILL_DELAY", "0")),
    )
