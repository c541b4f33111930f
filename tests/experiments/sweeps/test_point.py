"""One point on a worker: its process, how its end is judged, the walltime, the lock, its GPU, the
code it runs.
"""

import io
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from concurrent import futures
from pathlib import Path

import pytest

from lib.errors import InputError
from lib.experiments import pipeline
from lib.experiments.experiment import read
from lib.experiments.sweeps import worker
from lib.files import NOTEBOOKS, ROOT
from lib.parallel import locks
from tests.experiments.test_pipeline import CHECK, OWN, SHARED, SLEEPER, World
from tests.waiting import until


def task(world, name="sample_tsav", **changes):
    experiment = read([world.library / "sample_tsav.yaml"], {"run": name}, world.notebooks)
    return {
        "name": name,
        "folder": str(world.runs / "sweep"),
        "experiment": experiment,
        "stop": "01",
        "slot": 0,
        "code": worker.code_digest(),
        "threads": 1,
        "walltime": 0,
        "stop_before": 10,
        **changes,
    }


@pytest.mark.parametrize(
    ("status", "cause", "reason", "end"),
    [
        (0, "", "", "finished"),
        (3, "", "", "finished"),
        (0, "", "stop", "finished"),
        (75, "", "", "continue"),
        (75, "", "walltime", "continue"),
        (-15, "", "stop", "continue"),
        (130, "", "", "continue"),
        (1, "", "", "failed"),
        (2, "", "", "failed"),
        (-9, "", "", "died"),
        (1, "memory", "", "died"),
        (1, "disk", "", "died"),
        (1, "died", "", "died"),
    ],
)
def test_the_end_of_a_run_is_judged_by_status_cause_and_who_ended_it(status, cause, reason, end):
    assert worker.judged(status, cause, reason, "told")["end"] == end


def test_a_real_point_that_is_asked_to_stop_ends_its_notebook_in_order_and_is_to_be_continued(
    tmp_path,
):
    world, mark, one = World(tmp_path), tmp_path / "mark", NOTEBOOKS[0]
    world.notebook(
        one,
        SHARED.replace('"runs"', json.dumps(str(world.runs))) + OWN[one],
        CHECK.format(folder=world.notebooks, step=one),
        SLEEPER.format(mark=mark),
    )
    given = task(world)
    script = tmp_path / "point.py"
    script.write_text(
        "import pickle, sys\nfrom lib.experiments.sweeps import worker\n"
        "print(worker.work(pickle.load(open(sys.argv[1], 'rb'))))"
    )
    (tmp_path / "task").write_bytes(pickle.dumps(given))
    parent = subprocess.Popen(
        [sys.executable, script, tmp_path / "task"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert until(mark.exists)
    (world.runs / "sweep" / worker.STOP).touch()
    told = parent.communicate(timeout=120)[0]
    assert "'end': 'continue'" in told
    assert "'status': 75" in told
    assert not mark.exists(), "the notebook's own `finally` ran"
    log = (world.runs / "sweep" / "logs" / "sample_tsav.log").read_text()
    assert "ended by SIGTERM" in log


def test_the_process_of_a_point_ends_when_its_worker_is_killed(tmp_path):
    world, mark, one = World(tmp_path), tmp_path / "mark", NOTEBOOKS[0]
    world.notebook(
        one,
        SHARED.replace('"runs"', json.dumps(str(world.runs))) + OWN[one],
        CHECK.format(folder=world.notebooks, step=one),
        SLEEPER.format(mark=mark),
    )
    (tmp_path / "task").write_bytes(pickle.dumps(task(world)))
    script = tmp_path / "point.py"
    script.write_text(
        "import pickle, sys\nfrom lib.experiments.sweeps import worker\n"
        "worker.work(pickle.load(open(sys.argv[1], 'rb')))"
    )
    parent = subprocess.Popen(
        [sys.executable, script, tmp_path / "task"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert until(mark.exists)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert until(lambda: not mark.exists())
    end = world.runs / "sweep" / "points" / "sample_tsav.end.json"
    assert until(end.exists)
    assert json.loads(end.read_text())["status"] == 75
    with locks.locked(world.runs / "sample_tsav", wait=60):
        pass


KILLED = """import sys
from pathlib import Path
from lib.parallel import clusters
from lib.experiments.sweeps import plan, run
place = Path(sys.argv[1])
if __name__ == "__main__":
    file, notebooks = place / "params/sample_tsav.yaml", place / "notebooks"
    planned = plan.plan([file], ["lr=0.1"], {}, notebooks, place / "params")
    sys.exit(run.run(planned, clusters.read("local"), 1))
"""


@pytest.mark.slow
def test_a_sweep_that_is_killed_leaves_no_process_behind_and_is_taken_up(tmp_path):
    """The Dask scheduler dies with it; workers notice, and the points' processes notice that of
    their workers.
    """
    world, mark, one = World(tmp_path), tmp_path / "mark", NOTEBOOKS[0]
    cell = SHARED.replace('"runs"', json.dumps(str(world.runs))) + OWN[one]
    world.notebook(
        one, cell, CHECK.format(folder=world.notebooks, step=one), SLEEPER.format(mark=mark)
    )
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, script, tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    sweep = subprocess.Popen(command, cwd=ROOT, env=environment)
    assert until(mark.exists)
    sweep.kill()
    sweep.wait()
    assert until(lambda: not mark.exists()), "the notebook's own `finally` ran"
    with locks.locked(world.runs / "sample_tsav_lr0.1", wait=60):
        pass
    for step in OWN:
        cell = SHARED.replace('"runs"', json.dumps(str(world.runs))) + OWN[step]
        world.notebook(
            step, cell, CHECK.format(folder=world.notebooks, step=step), "run.record([], [])"
        )
    assert subprocess.run(command, cwd=ROOT, env=environment, timeout=300).returncode == 0
    book = json.loads((world.runs / "sample_tsav_sweep" / "sweep.json").read_text())
    assert book["runs"]["sample_tsav_lr0.1"]["state"] == "finished"


def test_a_worker_of_another_version_of_the_code_runs_nothing(tmp_path):
    world = World(tmp_path)
    found = worker.work(task(world, code="0" * 16))
    assert found["end"] == "died"
    assert "another version of the code" in found["why"]
    assert not world.runs.exists()


def test_a_job_stops_its_runs_before_its_walltime_ends_and_starts_none_that_is_not_worth_it(
    tmp_path, monkeypatch
):
    world = World(tmp_path)
    limited = task(world, walltime=3600, stop_before=100)
    monkeypatch.delenv("SWEEP_JOB_STARTED", raising=False)
    assert worker.why_stop(limited) == "", "not in a job"
    monkeypatch.setenv("SWEEP_JOB_STARTED", str(int(time.time()) - 3000))
    assert (worker.why_stop(limited), worker.too_late(limited)) == ("", False)
    monkeypatch.setenv("SWEEP_JOB_STARTED", str(int(time.time()) - 3450))
    assert (worker.why_stop(limited), worker.too_late(limited)) == ("", True)
    assert (
        worker.work(limited).items()
        >= {"end": "continue", "leave": True, "not_started": True}.items()
    )
    monkeypatch.setenv("SWEEP_JOB_STARTED", str(int(time.time()) - 3501))
    assert worker.why_stop(limited) == "walltime"
    assert not worker.too_late({**limited, "walltime": 0})


def test_each_worker_of_a_machine_sees_one_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [worker.visible_gpu(slot) for slot in range(3)] == ["3", "5", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert worker.visible_gpu(0) == ""


LOCK = """
import sys, time
from pathlib import Path
from lib.parallel import locks
with locks.locked(Path(sys.argv[1]), 0):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_by_one_names_its_holder_and_ends_with_a_killed_process(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", LOCK, tmp_path], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert other.stdout.readline()
    with pytest.raises(InputError, match=f"number {other.pid} on "), locks.locked(tmp_path, wait=0):
        pass
    other.kill()
    other.wait()
    with locks.locked(tmp_path, wait=0):
        assert str(os.getpid()) in (tmp_path / ".lock").read_text()


def test_who_lends_a_run_folder_to_a_point_may_hold_its_lock_and_a_second_point_waits(
    tmp_path, monkeypatch
):
    """`lib run --cluster` holds the lock while 05 runs in a job."""
    monkeypatch.setattr(worker, "LOCK_WAIT", 0.0)
    given = task(World(tmp_path), folder=str(tmp_path / "cluster"), lent=True)
    folder = given["experiment"].run.folder
    again = subprocess.Popen([sys.executable, "-c", LOCK, folder], cwd=ROOT, stdout=subprocess.PIPE)
    assert again.stdout.readline()
    with worker._alone(given), locks.locked(folder, 0):
        pass
    with pytest.raises(locks.BusyError), worker._alone({**given, "lent": False}):
        pass
    again.kill()
    again.wait()
    other = subprocess.Popen(
        [sys.executable, "-c", LOCK, given["folder"]], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert other.stdout.readline()
    with pytest.raises(locks.BusyError), worker._alone(given):
        pass
    other.kill()
    other.wait()


def serve(given, monkeypatch):
    """What the process of a point does with a task; returns its exit status."""
    text, statuses = pickle.dumps(given), []
    pipe = types.SimpleNamespace(buffer=io.BytesIO(len(text).to_bytes(8, "big") + text))
    monkeypatch.setattr(sys, "stdin", pipe)
    monkeypatch.setattr(worker, "_end_with_parent", lambda: None)
    monkeypatch.setattr(os, "_exit", statuses.append)
    worker.serve()
    return statuses[0]


def test_a_point_waits_for_a_run_of_the_same_folder_and_says_for_whom(
    tmp_path, monkeypatch, capsys
):
    world = World(tmp_path)
    monkeypatch.setattr(pipeline, "execute", world.work)
    monkeypatch.setattr(worker, "LOCK_WAIT", 0.3)
    lock, given = world.runs / "sample_tsav" / locks.LOCK, task(world)
    with futures.ThreadPoolExecutor(1) as pool:  # a `lib run` at work in that folder
        with locks.held(lock, 0, remove=True):
            assert pool.submit(serve, given, monkeypatch).result() == worker.EXIT_CONTINUE
        told = capsys.readouterr().out
        assert "waiting for another process" in told
        assert "another process works here: number " in told
        assert f" on {socket.gethostname()}, at work since " in told
        assert world.executed == []
        assert pool.submit(serve, given, monkeypatch).result() == 0
    assert world.executed == ["sample_tsav 01"]


def test_a_run_waits_for_the_point_of_a_sweep_in_its_folder_and_says_for_whom(
    tmp_path, monkeypatch
):
    world = World(tmp_path)
    monkeypatch.setattr(pipeline, "execute", world.work)
    with locks.locked(world.runs / "sample_tsav", 0):  # as the process of a point holds it
        run = threading.Thread(target=world.run, args=["sample_tsav"])
        run.start()
        assert until(lambda: "another process works on this run" in world.text)
        assert f"number {os.getpid()} on " in world.text
        assert world.executed == []
    run.join()
    assert world.executed[-1] == "sample_tsav 06"


def test_the_digest_of_the_code_is_of_lib_and_notebooks():
    assert worker.code_digest() == worker.code_digest.__wrapped__()
    assert len(worker.code_digest()) == 16


def test_the_last_lines_of_a_log_are_told_without_headers(tmp_path):
    log = Path(tmp_path / "log")
    log.write_text(
        "--- 2026 on here\nfirst\n05_train stopped in cell 4\n  no label\n  executed notebook: "
        "x\n\n"
    )
    assert worker.last_lines(log) == "first | 05_train stopped in cell 4 | no label"
