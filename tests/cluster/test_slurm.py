"""A sweep on a real SLURM of one node (`make test-slurm`, as root, with Debian's slurm-wlm and
munge; not in CI).

The experiment is sample_jca at the size of a test. Its arrays and its backbone are made once, on
this machine.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from functools import partial

import pandas as pd
import pytest
import yaml

from lib.files import ROOT
from tests.waiting import until

in_the_end = partial(until, seconds=1800.0, pause=0.2)  # jobs wait for the scheduler
GRID = ["--grid", "seed=0..1", "modality=audio,video"]
FILES = [str(ROOT / "params" / "sample_jca.yaml"), str(ROOT / "params" / "overlays" / "smoke.yaml")]
# Of the second test; for a machine that is slow: more time, fewer epochs.
EPOCHS = int(os.environ.get("SLURM_TEST_EPOCHS", "400"))
WALLTIME = os.environ.get("SLURM_TEST_WALLTIME", "00:02:00")
SPEC = {"kind": "slurm", "cores": 1, "memory": "3GB", "gpus": 0, "interface": "lo", "tries": 3}


@pytest.fixture(scope="module")
def local(place):
    """The table of the same sweep on this machine, which also makes arrays and backbone."""
    assert sweep(place, "local", "--cluster", "local", "--workers", "2").wait() == 0
    return table(place, "local")


def sweep(place, name, *more, env=None, grid=GRID):
    places = [
        word for key in ("data_root", "processed_root") for word in ("-p", key, str(place / key))
    ]
    runs_root = place / f"runs_{name}"
    backbone = place / "runs_local" / "sample_tsav"
    if name != "local" and not runs_root.is_dir():
        runs_root.mkdir()
        (runs_root / "sample_tsav").symlink_to(backbone)
    command = [
        sys.executable,
        "-m",
        "lib",
        "sweep",
        *FILES,
        *grid,
        *places,
        "-p",
        "runs_root",
        str(runs_root),
        "-p",
        "workers",
        "1",
        *more,
    ]
    log = (place / f"{name}.log").open("a")
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**(env or os.environ), "PYTHONPATH": str(ROOT)},
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def table(place, name):
    found = pd.read_csv(place / f"runs_{name}" / "sample_jca_sweep" / "sweep.csv")
    return found[found["run"].str.startswith("sample_jca")].set_index("run").sort_index()


def spec(place, name, **changes):
    file = place / f"{name}.yaml"
    logs = str(place / f"logs_{name}")
    file.write_text(
        yaml.safe_dump({**SPEC, "walltime": "01:00:00", "stop_before": 60, "logs": logs, **changes})
    )
    return str(file)


def state(place, name):
    file = place / f"runs_{name}" / "sample_jca_sweep" / "sweep.json"
    return (
        {run: one["state"] for run, one in json.loads(file.read_text())["runs"].items()}
        if file.is_file()
        else {}
    )


def test_four_points_of_which_one_worker_is_killed_end_with_the_numbers_of_this_machine(
    place, local, slurm, queued
):
    running = sweep(place, "slurm", "--cluster", spec(place, "slurm"), "--workers", "2", env=slurm)
    victim = "sample_jca_seed0_video"
    log = place / "runs_slurm" / "sample_jca_sweep" / "logs" / f"{victim}.log"

    def kill():
        # In the middle of its training: the worker and all that it started, as when a node is lost.
        if in_the_end(lambda: log.is_file() and "05_train: not done yet" in log.read_text()):
            beat = json.loads((log.parents[1] / "points" / f"{victim}.json").read_text())
            job = subprocess.run(
                f"tr '\\0' '\\n' < /proc/{beat['pid']}/environ | sed -n s/^SLURM_JOB_ID=//p",
                shell=True,
                capture_output=True,
                text=True,
            ).stdout.strip()
            killed.append(job)
            subprocess.run(["scancel", "--full", "--signal=KILL", job], env=slurm, check=True)

    killed = []
    threading.Thread(target=kill, daemon=True).start()
    assert running.wait() == 0, (place / "slurm.log").read_text()[-3000:]
    assert killed[0].isdigit()
    found = table(place, "slurm")
    assert list(found["state"]) == ["finished"] * 4
    assert found.loc[victim, "tries"] == 1
    assert found["score"].to_list() == pytest.approx(local["score"].to_list(), abs=1e-9)
    # Its scheduler has nothing left.
    assert in_the_end(lambda: not queued(), seconds=60)


def test_a_walltime_that_ends_inside_a_run_costs_a_job_and_nothing_else(place, local, slurm):
    """The training is longer than a job: it goes on in further ones, to the history of an
    undisturbed run.
    """
    grid = ["--grid", "seed=0"]
    epochs = ["-p", "epochs", str(EPOCHS), "-p", "modality", "audio"]
    file = spec(place, "short", walltime=WALLTIME, stop_before=60, tries=5)
    assert sweep(place, "short", "--cluster", file, *epochs, env=slurm, grid=grid).wait() == 0, (
        place / "short.log"
    ).read_text()[-3000:]
    folder = place / "runs_short"
    log = (folder / "sample_jca_sweep" / "logs" / "sample_jca_seed0.log").read_text()
    assert log.count("ended by SIGTERM") >= 1
    # As many threads as a job has, one of two processors: with another number sums are rounded in
    # another order.
    alone = ("--cluster", "local", "--workers", str(os.cpu_count()))
    assert sweep(place, "long", *alone, *epochs, grid=grid).wait() == 0
    short, long = (
        pd.read_csv(place / f"runs_{name}" / "sample_jca_seed0" / "history.csv").drop(
            columns="seconds"
        )
        for name in ("short", "long")
    )
    assert len(short) == EPOCHS
    pd.testing.assert_frame_equal(short, long)


def test_stopped_in_the_middle_it_leaves_no_job_and_goes_on_when_it_is_typed_again(
    place, local, slurm, queued
):
    running = sweep(
        place, "stopped", "--cluster", spec(place, "stopped"), "--workers", "2", env=slurm
    )
    assert in_the_end(lambda: list(state(place, "stopped").values()).count("finished") >= 2)
    running.send_signal(signal.SIGINT)
    assert running.wait() == 130
    assert in_the_end(lambda: not queued(), seconds=60)
    assert sweep(place, "stopped", "--cluster", spec(place, "stopped"), env=slurm).wait() == 0
    assert table(place, "stopped")["score"].to_list() == pytest.approx(
        local["score"].to_list(), abs=1e-9
    )
