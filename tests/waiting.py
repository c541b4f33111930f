"""Waiting for others in tests: processes, and threads that do the same at once."""

import contextlib
import threading
import time


def until(condition, seconds=120.0, pause=0.05):
    """Whether the condition came true within `seconds`; it is asked again after each pause."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(pause)
    return False


def alive(pid):
    """Whether a process runs. One that has ended, but that nobody has waited for, does not."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def both_read_first(read):
    """`read`, which returns when two have read, or after .3 s: who may, has read before the other
    writes.
    """
    both = threading.Barrier(2)

    def reading(*given):
        content = read(*given)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.3)
        return content

    return reading
