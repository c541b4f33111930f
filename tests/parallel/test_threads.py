"""Thread limits and spinning: set before PyTorch is loaded, and a person's own setting wins."""

import json
import os
import subprocess
import sys

import pytest

from lib import parallel
from lib.files import NOTEBOOKS, ROOT
from lib.parallel import threads

TELL = "import lib, os; print(os.environ['GOMP_SPINCOUNT'])"


def told(environment: dict) -> str:
    without = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    command = [sys.executable, "-c", TELL]
    done = subprocess.run(
        command, cwd=ROOT, env={**without, **environment}, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_importing_lib_lets_threads_sleep_early_and_a_setting_of_ones_own_stays():
    assert told({}) == "1000"
    assert told({"GOMP_SPINCOUNT": "7"}) == "7"


def test_a_worker_gets_thread_limits_and_the_persons_own_spinning():
    environment = threads.environment(
        3, {"GOMP_SPINCOUNT": "7", "HOME": "/home/me", "OMP_NUM_THREADS": "8"}
    )
    assert environment["GOMP_SPINCOUNT"] == "7"
    assert {environment[f"{library}_NUM_THREADS"] for library in threads.LIBRARIES} == {"3"}
    assert environment["HOME"] == "/home/me"
    assert threads.environment(1, {})["GOMP_SPINCOUNT"] == "1000"


def spinning(_item: int) -> str:
    return os.environ["GOMP_SPINCOUNT"]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_spin_as_little(workers):
    assert [outcome.value for outcome in parallel.map(spinning, [1, 2], workers)] == ["1000"] * 2


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_notebook_imports_torch_before_lib(name):
    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text())["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert "from lib import" in text.split("import torch")[0]


def test_make_sets_it_for_whatever_it_starts():
    assert "export GOMP_SPINCOUNT ?= 1000" in (ROOT / "Makefile").read_text()
