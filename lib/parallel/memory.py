"""Keep freed memory during a piece of work, and give it back to the operating system after it.

Pictures and a network's activations are blocks of megabytes, freed and asked for again hundreds of
times a second. As glibc is set, most of them go back to the system at once and come again page by
page, zeroed: a network that looks at faces took 2.8 ms per face instead of 2.0.

A decoder of FFmpeg, with the pictures that it holds, is part of a reference cycle and stays until
Python's garbage collector looks for such cycles, which depends on the number of objects and not on
their size. And what is freed stays with glibc's heap where something small above it is still in
use. Over the stretches of a film both add up: 372 MB instead of 90 after 21 minutes of 640×360 px.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
import time
from functools import cache

# glibc's numbers of the two thresholds (malloc.h), and bytes: from which size a block is a mapping
# of its own, 32 MiB, the most that glibc itself comes to; freed memory above the heap that stays
THRESHOLDS = {-3: 32 << 20, -1: 64 << 20}
OWN_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
PAUSE_SECONDS = 10.0  # s between two times: one takes .15 s in a process that has imported PyTorch

_last = -PAUSE_SECONDS


@cache
def keep_freed() -> bool:
    """Let this process keep up to 64 MiB of freed memory for its next blocks, until it ends or
    `give_back_freed` is called; returns whether that was done. What a person has set counts, and on
    systems without glibc nothing is changed.
    """
    if sys.platform != "linux" or any(name in os.environ for name in OWN_SETTINGS):
        return False
    with contextlib.suppress(AttributeError, OSError):  # another C library, such as musl
        mallopt = ctypes.CDLL(None).mallopt
        done = [mallopt(number, size) for number, size in THRESHOLDS.items()]
        return all(done)
    return False


def give_back_freed() -> bool:
    """Collect reference cycles and return freed memory to the system, at most every `PAUSE_SECONDS`
    seconds; returns whether it was done. On systems without glibc only the former.
    """
    global _last
    if time.monotonic() - _last < PAUSE_SECONDS:
        return False
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # another C library, such as musl
            ctypes.CDLL(None).malloc_trim(0)
    _last = time.monotonic()
    return True
