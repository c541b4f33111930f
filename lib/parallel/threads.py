"""How many threads the numeric libraries of a process use, and how long idle threads spin; a
thread that prepares what is needed next.

Libraries read both from the environment when they are loaded, so they are set before PyTorch is
imported.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

from .. import SPIN

LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
Item = TypeVar("Item")


def spin(before: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`SPIN`, or what a person has set instead in the environment `before`."""
    return {name: before.get(name, value) for name, value in SPIN.items()}


def limits(threads: int) -> dict[str, str]:
    """Environment variables for a new process whose libraries are to use so many threads each."""
    return {f"{library}_NUM_THREADS": str(threads) for library in LIBRARIES}


def environment(threads: int, before: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a new worker: `before` with thread limits, and with `SPIN` unless it is
    set.
    """
    return {**before, **spin(before), **limits(threads)}


def ahead(items: Generator[Item], most: int = 1) -> Iterator[Item]:
    """Yield the items of a generator, none of which is None; a thread prepares up to `most` of them
    while the caller works on the one before. What the generator raises is raised where its item
    would be yielded, and it is closed when the caller stops early.
    """
    waiting: deque[Future] = deque()
    with closing(items), ThreadPoolExecutor(1) as pool:
        try:
            while True:
                while len(waiting) < most:
                    waiting.append(pool.submit(next, items, None))
                if (item := waiting.popleft().result()) is None:
                    return
                waiting.append(pool.submit(next, items, None))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)
