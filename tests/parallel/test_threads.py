"""Thread limits and spinning: set before PyTorch is loaded, and a person's own setting wins."""

import gc
import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest

from lib import SPIN, parallel
from lib.files import NOTEBOOKS, ROOT
from lib.parallel import threads


def told(name: str, environment: dict) -> str:
    without = {each: value for each, value in os.environ.items() if each != name}
    command = [sys.executable, "-c", f"import lib, os; print(os.environ[{name!r}])"]
    done = subprocess.run(
        command, cwd=ROOT, env={**without, **environment}, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(("name", "value"), SPIN.items())
def test_importing_lib_lets_threads_sleep_early_and_a_setting_of_ones_own_stays(name, value):
    assert told(name, {}) == value
    assert told(name, {name: "7"}) == "7"


def test_a_worker_gets_thread_limits_and_the_persons_own_spinning():
    environment = threads.environment(
        3, {"GOMP_SPINCOUNT": "7", "HOME": "/home/me", "OMP_NUM_THREADS": "8"}
    )
    assert environment["GOMP_SPINCOUNT"] == "7"
    assert {environment[f"{library}_NUM_THREADS"] for library in threads.LIBRARIES} == {"3"}
    assert environment["HOME"] == "/home/me"
    assert SPIN.items() <= threads.environment(1, {}).items()


def spinning(_item: int) -> list[str]:
    return [os.environ[name] for name in SPIN]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_spin_as_little(workers):
    found = [outcome.value for outcome in parallel.map(spinning, [1, 2], workers)]
    assert found == [list(SPIN.values())] * 2


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_notebook_imports_torch_or_numpy_before_lib(name):
    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text())["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert "from lib" in re.split("import (torch|numpy|pandas)", text)[0]


def test_make_sets_them_for_whatever_it_starts():
    made = (ROOT / "Makefile").read_text()
    assert all(f"export {name} ?= {value}\n" in made for name, value in SPIN.items())


class Counted:
    """A generator of 0, 1, 2, … that counts what it made and says when it was closed."""

    def __init__(self, fails_at: int = 1000):
        self.made, self.closed, self._fails_at = 0, False, fails_at

    def items(self):
        try:
            while True:
                if self.made == self._fails_at:
                    raise ValueError("a damaged picture")
                self.made += 1
                yield self.made - 1
        finally:
            self.closed = True


@pytest.mark.parametrize("most", [1, 5])
def test_the_next_items_are_prepared_while_one_is_worked_on(most):
    source = Counted()
    items = threads.ahead(source.items(), most)
    assert next(items) == 0
    began = time.monotonic()
    while source.made < 1 + most and time.monotonic() < began + 20:
        time.sleep(0.01)
    time.sleep(0.05)
    assert source.made == 1 + most  # and not more, which would fill the memory
    assert [next(items) for _ in range(20)] == list(range(1, 21))
    items.close()
    assert source.closed


def test_all_items_come_in_their_order_and_then_none():
    assert list(threads.ahead((number for number in range(50)), 7)) == list(range(50))
    assert list(threads.ahead((number for number in range(0)), 7)) == []


def test_what_the_generator_raises_comes_after_the_items_before_it():
    source = Counted(fails_at=4)
    items = threads.ahead(source.items(), 3)
    assert [next(items) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="a damaged picture"):
        next(items)
    assert source.closed


def test_no_thread_stays_when_a_caller_stops_early():
    before = threading.active_count()
    for item in threads.ahead((number for number in range(50)), 4):
        if item == 10:
            break
    gc.collect()
    assert threading.active_count() == before
