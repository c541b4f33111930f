"""Thread limits and spinning: set before PyTorch is loaded, and a person's own setting wins."""

import json
import os
import re
import subprocess
import sys

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
