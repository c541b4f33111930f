"""What is freed between two pieces of work goes back to the operating system."""

import gc
import re
import sys
import weakref
from pathlib import Path

import pytest

from lib.parallel import mapping, memory


class Cycle:
    """Holds itself, as a decoder's container and its streams hold each other."""

    def __init__(self):
        self.me = self


@pytest.fixture
def due(monkeypatch):
    """As if it had last been done long ago."""
    monkeypatch.setattr(memory, "_last", -memory.PAUSE_SECONDS)


@pytest.fixture
def no_collector():
    """Python's own garbage collector does not run by itself."""
    gc.disable()
    yield
    gc.enable()


def test_cycles_that_an_item_left_are_collected_before_the_next(due, no_collector):
    left = []
    mapping.map(lambda _: left.append(weakref.ref(Cycle())), [0])
    assert left[0]() is None


def test_an_item_that_fails_leaves_nothing_either(due, no_collector):
    left = []

    def failing(_):
        left.append(weakref.ref(Cycle()))
        raise ValueError("a damaged file")

    (outcome,) = mapping.map(failing, [0])
    assert not outcome.ok
    assert left[0]() is None


def test_many_short_items_do_not_wait_for_it_each_time(due):
    assert memory.give_back_freed()
    assert not memory.give_back_freed()


@pytest.mark.skipif(sys.platform != "linux", reason="the heap is trimmed through glibc")
def test_freed_blocks_below_one_in_use_go_back_to_the_system(due):
    blocks = [bytearray(60_000) for _ in range(2_000)]  # 120 MB in the heap: too small for mmap
    for block in blocks:
        block[::4096] = b"1" * len(block[::4096])
    del blocks[:-1]  # the last one keeps the heap's top
    before = own()
    memory.give_back_freed()
    assert before - own() > 80e6


def own() -> float:
    """Bytes of memory that are this process's own."""
    told = Path("/proc/self/smaps_rollup").read_text()
    return 1024 * int(re.search(r"Pss_Anon: +(\d+)", told).group(1))
