"""One process, or thread, works at a time; the others wait and say for whom."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lib import datasets, files, parameters
from lib.datasets.samples import affect
from lib.errors import InputError
from lib.experiments import experiment
from lib.files import ROOT
from lib.parallel import locks
from tests.waiting import until

HOLDER = """
import sys
from pathlib import Path
from lib.parallel import locks
with locks.held(Path(sys.argv[1]), 0, remove=len(sys.argv) > 2):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder():
    """Start a process that holds a lock file until its standard input is closed."""
    started = []

    def start(path, *more):
        words = [sys.executable, "-c", HOLDER, path, *more]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started.append(subprocess.Popen(words, cwd=ROOT, **pipes))
        assert started[-1].stdout.readline()
        return started[-1]

    yield start
    for process in started:
        process.stdin.close()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("more", [(), ("remove",)])
def test_the_second_waits_says_for_whom_and_then_works(tmp_path, holder, more):
    path, told = tmp_path / ".a.lock", []
    first = holder(path, *more)

    def tell(who, where):
        told.append((who, where))
        first.stdin.close()

    with locks.held(path, 60, tell, remove=bool(more)):
        assert f'"pid": {os.getpid()}' in path.read_text()
    ((who, where),) = told
    assert who.startswith(f"number {first.pid} on ")
    assert where == path
    assert path.exists() == (not more)


def test_a_short_wait_is_not_told_where_it_is_usual(tmp_path, holder, monkeypatch):
    path, told, slept = tmp_path / ".a.lock", [], []
    first = holder(path)

    def sleep(seconds):
        slept.append(seconds)
        first.stdin.close()
        first.wait()

    monkeypatch.setattr(locks.time, "sleep", sleep)
    with locks.held(path, 60, lambda *who: told.append(who), quiet=30):
        assert slept
    assert told == []


def test_a_thread_may_hold_a_lock_twice_and_another_thread_waits(tmp_path):
    order = []

    def second():
        with locks.locked(tmp_path, 60, lambda *_: waits.set()):
            order.append("second")

    waits, other = threading.Event(), threading.Thread(target=second)
    with locks.locked(tmp_path, 0), locks.locked(tmp_path, 0):
        other.start()
        assert waits.wait(30)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


def test_a_lock_that_is_lent_is_not_waited_for_and_the_others_own_is_not_given_away(
    tmp_path, holder
):
    path = tmp_path / ".a.lock"
    holder(path)
    with locks.lent(path), locks.held(path, 0):
        assert not locks._HELD.isdisjoint({(str(path), threading.get_ident())})
    with pytest.raises(locks.BusyError), locks.held(path, 0):
        pass
    with locks.held(tmp_path / ".b.lock", 0), locks.lent(tmp_path / ".b.lock"):
        pass
    assert set() == locks._HELD


def test_who_gave_up_waiting_holds_nothing_and_removes_nothing(tmp_path, holder):
    path = tmp_path / ".a.lock"
    holder(path)
    for _ in range(2):
        with pytest.raises(locks.BusyError), locks.held(path, 0, remove=True):
            pass
    assert path.exists()
    assert set() == locks._HELD


def test_a_run_that_is_set_aside_stays_locked_under_its_name(tmp_path, holder):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "history.csv").write_text("x")
    with locks.locked(folder, 0):
        other = experiment.set_aside(folder)
        assert (other / "history.csv").is_file()
        code = f"from lib.parallel.locks import locked; locked({str(folder)!r}, 0).__enter__()"
        code = code.replace("locked('", "locked(__import__('pathlib').Path('").replace("',", "'),")
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True)
        assert b"another process works here" in done.stderr


def test_temporary_names_are_never_the_same_and_never_too_long(tmp_path):
    for name in ("a.npy", "ä" * 127, "x" * 255):
        path = tmp_path / name
        with files.temporary_name(path) as first, files.temporary_name(path) as second:
            assert first != second
            assert len(os.fsencode(first.name)) <= 255
            first.write_bytes(b"1")
            first.replace(path)
        assert path.read_bytes() == b"1"


def test_a_place_that_cannot_be_written_has_no_lock(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with locks.locked(tmp_path, 0):
        assert list(tmp_path.iterdir()) == []


def test_who_wants_a_sample_set_that_another_one_makes_waits_for_it(tmp_path, monkeypatch, capsys):
    made, p = [], parameters.placed({"data_root": str(tmp_path), "sample_trials": 6})
    monkeypatch.setattr(affect, "make", lambda place, **_: made.append(place))
    name, root = datasets.locate(p)
    other = threading.Thread(target=datasets.prepare, args=[p])
    said = []

    def waits():
        said.append(capsys.readouterr().out)
        return "waiting for another process, number " in "".join(said)

    with locks.held(tmp_path / f".{name}.lock", 0, remove=True):
        other.start()
        assert until(waits)
        assert f"number {os.getpid()} on " in "".join(said)
        assert not made
    other.join()
    assert made == [tmp_path]
    assert not list(tmp_path.iterdir())
    assert root.parent == tmp_path


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="Linux's /proc")
def test_a_place_where_no_folder_can_be_created_is_told():
    with (
        pytest.raises(InputError, match="no folder can be created here"),
        locks.locked(Path("/proc/nothing/run"), 0.0),
    ):
        pass
