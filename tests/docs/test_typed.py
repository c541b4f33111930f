"""Every command of README, data_README and docs/, typed in a fresh clone: `make test-docs`.

Not in CI: hours, in the order of the pages, in one clone, as a reader would. Later commands find
what earlier ones made. Commands for data that are not there (Aff-Wild2, Ego4D) must stop before
they start.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lib.files import ROOT
from tests import documented
from tests.shared_files import shared

# Not typed here: what has tests of its own, and what waits for a person.
ELSEWHERE = {"test", "test-slow", "test-browser", "test-colab", "test-slurm", "test-docs"}
ELSEWHERE |= {"lab", "lint", "clean", "research"}
ABSENT = ("affwild2", "ego4d", "ravdess", "params/my_", "runs/a")
TALK = "talk.mp4"  # the reader's recording in README
WAIT = 3600.0  # s for one command


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The repository as it is committed, with this environment in the place of its own."""
    place = tmp_path_factory.mktemp("clone") / "affect"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(place)], check=True)
    environment = place / ".venv"
    (environment / "bin").mkdir(parents=True)
    for name in ("python", "python3"):
        (environment / "bin" / name).write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (environment / "bin" / name).chmod(0o755)
    (environment / ".installed").touch()
    _bring_a_recording(place)
    return place


def _bring_a_recording(place: Path) -> None:
    """Two people who talk, and the published networks that look at them: no network is needed."""
    shutil.copy(shared("media") / "grid_dialogue_2faces.mp4", place / TALK)
    (place / "weights").mkdir()
    weights = shared("weights")
    for path in [
        *weights.glob("face_api/face_*"),
        *weights.glob("*.onnx"),
        *weights.glob("*.model"),
    ]:
        shutil.copy(path, place / "weights")


def skipped(command: documented.Command) -> str:
    """Why a command is only parsed (`tests/whole/test_documented_commands.py`); "" for none."""
    words = command.words
    if command.has_own_files:
        return "a file of the reader's"
    if words[0] == "make" and (set(words[1:]) & ELSEWHERE or "=" in words[-1]):
        return "has its own tests"
    if words == ("make", "uv") and not shutil.which("uv"):
        return "uv is not installed"
    if words[0] == "python" and words[1] != "-m":
        return "a benchmark or a script that writes into the repository"
    if len(words) <= 4 and words[0] == "python":
        return "named, not typed" if words[-1] not in ("ls", "declare") else ""
    if words[-2:] == ("store", "rm"):
        return "named, not typed"
    return "needs a network" if "get" in words else ""


@pytest.mark.parametrize("command", documented.commands(), ids=str)
def test_typed(command, clone):
    if why := skipped(command):
        pytest.skip(why)
    path = f"{clone / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        " ".join(command.words),
        shell=True,
        cwd=clone,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(clone)},
        capture_output=True,
        text=True,
        timeout=WAIT,
    )
    told = done.stdout[-3000:] + done.stderr[-3000:]
    is_check = command.words[3:4] == ("check",)  # of parameters: absent data are a line of it
    if any(name in word for name in ABSENT for word in command.words) and not is_check:
        assert done.returncode in (1, 2), told
        assert "Traceback" not in told
    else:
        assert done.returncode == 0, told
    assert Path(clone / "lib").is_dir()
