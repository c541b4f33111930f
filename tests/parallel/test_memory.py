"""What is freed during a piece of work is kept for the next blocks; between two pieces of work it
goes back to the operating system.
"""

import gc
import os
import re
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from lib.files import ROOT
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


# Five pictures of 3 MB at a time, 40 times, and how many pages the system gave for them.
PICTURES = """
import resource
import numpy as np
from lib.parallel import memory
{first}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def pictures():
    shown = [np.empty(3_000_000, np.uint8) for _ in range(5)]
    for picture in shown:
        picture[::4096] = 1
pictures(), pictures()
before = faults()
for _ in range(40):
    pictures()
print(faults() - before)
"""


def pages(first: str, **more: str) -> int:
    """Pages that the system gave to a process of its own, after some first lines."""
    clean = {name: value for name, value in os.environ.items() if name not in memory.OWN_SETTINGS}
    command = [sys.executable, "-c", PICTURES.format(first=first)]
    done = subprocess.run(
        command, env={**clean, **more}, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's thresholds")
def test_freed_pictures_are_kept_for_the_next_ones():
    assert pages("") > 10 * max(1, pages("assert memory.keep_freed()"))


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's thresholds")
@pytest.mark.parametrize("name", memory.OWN_SETTINGS)
def test_what_a_person_set_for_the_heap_stays(name, monkeypatch):
    monkeypatch.setenv(name, "glibc.malloc.tcache_count=1" if "TUN" in name else "1000000")
    assert not memory.keep_freed.__wrapped__()
