"""Reading ahead: a thread prepares what is needed next while the caller works on what it has.

Decoding lets go of Python's lock, so on a machine with two processors it takes no time of a network
that looks at faces. No more is prepared than `PICTURES` and `PICTURE_BYTES` allow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

import numpy as np

# pictures decoded while a network looks at a batch of faces, or those that 32 MiB hold
PICTURES, PICTURE_BYTES = 16, 32 << 20
Item = TypeVar("Item")


def ahead(items: Generator[Item], most: int = 1) -> Iterator[Item]:
    """Yield the items of a generator, none of which is None; a thread prepares up to `most` of them
    while the caller works on the one before. What the generator raises is raised where its item
    would be yielded, and it is closed when the caller stops early.
    """
    with closing(items), ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, items, None) for _ in range(most))
        try:
            while (item := waiting.popleft().result()) is not None:
                waiting.append(pool.submit(next, items, None))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)


def pictures(shown: Generator) -> Iterator[tuple[float, np.ndarray]]:
    """The (time or number, picture (H, W, 3) uint8) of a generator, decoded ahead but for the first
    one, after which many callers stop.
    """
    if (first := next(shown, None)) is None:
        return
    yield first
    yield from ahead(shown, min(max(1, PICTURE_BYTES // first[1].nbytes), PICTURES))
