"""Start a command, kill all its processes at a chosen moment, and compare what is left in the end.

A moment is a stage of the command, told by a line that it prints, and in it either a share of the
stage's duration or the number of a change on the disk (`hook/sitecustomize.py`).
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
NEVER = 10**9
LONGEST = 1800.0  # s that a command may take, also beside others on a busy machine
ORPHANS = 30.0  # s that processes have to notice that the command was killed


def kill_all(mark: str) -> None:
    """SIGKILL to every process whose environment holds the mark; the own one comes last."""
    while others := [pid for pid in _marked(mark) if pid != os.getpid()]:
        for pid in others:
            _kill(pid)
    if _is_marked(os.getpid(), mark):
        os.kill(os.getpid(), signal.SIGKILL)


def _marked(mark: str) -> list[int]:
    numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in numbers if _is_marked(pid, mark)]


def _is_marked(pid: int, mark: str) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as stream:  # empty of one that has ended
            return f"KILL_MARK={mark}\0".encode() in stream.read()
    except OSError:
        return False


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@dataclass(frozen=True)
class Case:
    """A command that is killed.

    words : the command line. place : the folder that holds all it writes. stages : name -> pattern
    of the line with which the stage begins; the first one begins with the command.
    """

    name: str
    words: tuple[str, ...]
    place: Path
    stages: dict[str, str]
    good: tuple[int, ...] = (0,)


@dataclass
class Course:
    """How one start of a command went: seconds and changes on the disk at the begin of each stage,
    the exit status (negative: a signal), what it printed, and the change before which it was
    killed.
    """

    began: dict[str, tuple[float, int]] = field(default_factory=dict)
    status: int = 0
    text: str = ""
    hit: str = ""
    seconds: float = 0.0
    changes: int = 0
    orphans: bool = False  # something that it started was still there when it had ended

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL

    @property
    def stage(self) -> str:
        return list(self.began)[-1] if self.began else ""


@dataclass(frozen=True)
class Moment:
    """When to kill: in which stage, and after `seconds` or at change number `change`, `delay` ms
    later. `alone`: the command is killed, and what it started must end by itself.
    """

    stage: str
    seconds: float = 0.0
    change: int = 0
    delay: float = 0.0
    alone: bool = False


def start(case: Case, scratch: Path, moment: Moment | None = None) -> Course:
    """Run the command, to its end or to the moment; nothing of it is left running."""
    scratch.mkdir(parents=True, exist_ok=True)
    armed, hit = scratch / "armed", scratch / "hit"
    for file in (armed, hit):
        file.unlink(missing_ok=True)
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    own = _environment(case, moment, armed, hit, mark)
    began, course = time.monotonic(), Course()
    if moment is None:
        armed.touch()
    process = subprocess.Popen(
        case.words,
        cwd=ROOT,
        env=own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    alone = moment is not None and moment.alone
    end = process.kill if alone else partial(kill_all_of, mark)
    watch = threading.Timer(LONGEST, kill_all_of, [mark])
    watch.start()
    try:
        _follow(case, process, moment, armed, course, began, end)
        course.status = process.wait()
        course.orphans = not until(lambda: not _marked(mark), ORPHANS if alone else 0.1)
    finally:
        watch.cancel()
        kill_all_of(mark)
    course.seconds = time.monotonic() - began
    course.hit = hit.read_text() if hit.is_file() else ""
    course.changes = armed.stat().st_size if armed.is_file() else 0
    return course


def kill_all_of(mark: str) -> None:
    """End what a command left, and wait until it is gone."""
    while pids := _marked(mark):
        for pid in pids:
            _kill(pid)
        time.sleep(0.01)


def _environment(case: Case, moment: Moment | None, armed: Path, hit: Path, mark: str) -> dict:
    paths = [str(Path(__file__).parent / "hook"), str(ROOT)]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "GOMP_SPINCOUNT": "1000",
        "KILL_MARK": mark,
        "KILL_ROOT": str(case.place),
        "KILL_ARMED": str(armed),
        "KILL_HIT": str(hit),
        "KILL_AT": str(moment.change if moment and moment.change else NEVER),
        "KILL_DELAY": str(moment.delay if moment else 0),
    }


def _follow(case, process, moment, armed, course, began, end) -> None:
    """Read what it prints; begin to count, or start the clock, where the moment's stage begins."""
    lines, clocks = [], []
    patterns = {name: re.compile(pattern) for name, pattern in case.stages.items()}

    def enter(stage: str) -> None:
        changes = armed.stat().st_size if armed.is_file() else 0
        course.began[stage] = (time.monotonic() - began, changes)
        if moment is None or clocks or moment.stage not in course.began:
            return
        if moment.change:
            armed.touch()
        else:
            clocks.append(threading.Timer(moment.seconds, end))
            clocks[0].start()

    enter(next(iter(case.stages)))
    for line in process.stdout:
        lines.append(line)
        for name, pattern in patterns.items():
            if name not in course.began and pattern.search(line):
                enter(name)
    for clock in clocks:
        clock.cancel()
    course.text = "".join(lines)
