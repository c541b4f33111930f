"""Our jobs on PBS, for which `pbs.py` stands in: what is submitted is what `--dry-run` prints and
what PBS takes; jobs are ended, killed, replaced, and never more than the file allows.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from lib import parallel
from lib.__main__ import main
from lib.errors import InputError
from lib.experiments.sweeps import plan, run, worker
from lib.parallel import clusters, tasks
from tests.experiments.sweeps import world
from tests.experiments.test_pipeline import World
from tests.in_workers import half
from tests.parallel import pbs
from tests.parallel.test_clusters import spec
from tests.waiting import alive, until

# An image is a file; the program before it may only be given options that Apptainer knows.
APPTAINER = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> {folder}/arguments
test "$1" = exec || {{ echo "unknown command $1" >&2; exit 1; }}; shift
while [[ $1 == --* ]]; do
  case $1 in --nv|--cleanenv) shift ;; --bind|--pwd) test -e "$2" || exit 255; shift 2 ;;
  *) echo "unknown flag: $1" >&2; exit 1 ;; esac
done
test -f "$1" || {{ echo "FATAL: could not open image $1" >&2; exit 255; }}; shift
PATH={python}:$PATH exec "$@"
"""


@pytest.fixture
def scheduler(tmp_path, monkeypatch):
    """A PBS with nothing in it, first on PATH: its folder."""
    folder = pbs.lay(tmp_path / "pbs")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    yield folder
    pbs.take_down(folder)


@pytest.fixture
def apptainer(tmp_path):
    """A folder with the stand-in `apptainer` and an image."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "lab.sif").touch()
    text = APPTAINER.format(folder=folder, python=Path(sys.executable).parent)
    (folder / "apptainer").write_text(text)
    (folder / "apptainer").chmod(0o755)
    return folder


def of_pbs(tmp_path, **changes):
    return spec(tmp_path, "pbs", **changes)


def submit(scheduler, text):
    """What `qsub` does with a script."""
    file = scheduler / "script.sh"
    file.write_text(text)
    return subprocess.run([scheduler / "qsub", file], capture_output=True, text=True)


def job(scheduler, number):
    """The process of a job, "" before it was started."""
    file = scheduler / f"jobs/{number}.pid"
    return file.read_text() if file.exists() else ""


def submitted(scheduler):
    return len(list(scheduler.glob("jobs/*.sh")))


# ---- the stand-in itself


@pytest.mark.parametrize(
    ("directive", "told"),
    [
        ("--mem=4G", "invalid option"),
        ("-q nowhere", "Unknown queue"),
        ("-N 1st sweep", "illegal -N value"),
        ("-j both", "illegal -j value"),
        ("-l walltime=1-12:00:00", "Resource_List.walltime"),
        ("-l gres=gpu:1", "Unknown resource Resource_List.gres"),
        ("-l select=1:ncpus=4:gpus=1", "Unknown resource: gpus"),
        ("-l select=1:ncpus=4:mem=1.5gb", "value for mem"),
        ("-l select=1:ncpus=4:mem=32gib", "value for mem"),
        ("-l select=:ncpus=4", "Resource_List.select"),
    ],
)
def test_the_stand_in_refuses_what_pbs_refuses(scheduler, directive, told):
    done = submit(scheduler, f"#!/bin/bash\n\n#PBS {directive}\ntrue\n")
    assert done.returncode
    assert told in done.stderr
    assert submitted(scheduler) == 0


def test_a_job_of_the_stand_in_starts_as_in_a_fresh_login_and_ends_with_its_walltime(scheduler):
    out = scheduler / "out/"
    out.mkdir()
    lines = ["#!/bin/bash", f"#PBS -o {out}/", "#PBS -l walltime=1", "pwd", "env", "sleep 60"]
    assert submit(scheduler, "\n".join(lines)).stdout == "1.here\n"
    assert until((scheduler / "jobs/1.end").exists)
    told = (out / "1.here.OU").read_text()
    assert told.startswith(os.environ["HOME"])
    assert "PYTEST" not in told
    assert not alive(job(scheduler, 1))
    asked = subprocess.run([scheduler / "qstat", "1.here"], capture_output=True, text=True)
    assert (asked.returncode, "has finished" in asked.stderr) == (35, True)


# ---- what is submitted


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"queue": "gpu", "account": "lab7", "gpus": 2, "directives": '["-j oe", "-m n"]'},
        {"walltime": '"1-12:30:05"', "memory": "32GiB"},
        {"memory": '"1.5 TB"', "cores": 16},
    ],
)
@pytest.mark.parametrize("items", [False, True])
def test_every_script_that_a_cluster_file_makes_is_taken(tmp_path, scheduler, changes, items):
    (scheduler / "slots").write_text("0")  # nothing is started
    done = submit(scheduler, clusters.script(of_pbs(tmp_path, **changes), items))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_scheduler_s_own_words_about_a_wrong_directive_are_told(tmp_path, scheduler):
    wrong = of_pbs(tmp_path, directives='["-l gres=gpu:1"]')
    with (
        clusters.opened(wrong, 1) as (_, jobs),
        pytest.raises(InputError, match=r"does not take the job: .*Resource_List\.gres"),
    ):
        jobs.keep(1, set())


def without_names(text):
    """A script without what is only known when it is submitted: address and name."""
    return re.sub(r"tcp://\S+ --name \S+", "", text)


def test_dry_run_prints_what_is_submitted_to_the_letter_and_submits_nothing(tmp_path, scheduler):
    asked = of_pbs(tmp_path, queue="gpu", workers=3)
    words = ["params/sample_jca.yaml", "--cluster", str(tmp_path / "pbs.yaml"), "--dry-run"]
    shown = CliRunner().invoke(main, ["run", *words])
    assert shown.exit_code == 0, shown.output
    assert "at a time: 3" in shown.output
    swept = CliRunner().invoke(main, ["sweep", *words, "--grid", "seed=0..4"])
    assert swept.exit_code == 0, swept.output
    assert "at a time: 3" in swept.output
    assert swept.output.count("python -m lib run") == 5
    assert submitted(scheduler) == 0
    (scheduler / "slots").write_text("0")
    for items, output in ((True, shown.output), (False, swept.output)):
        with clusters.opened(asked, items=items) as (_, jobs):
            jobs.keep(1, set())
            sent = (scheduler / f"jobs/{submitted(scheduler)}.sh").read_text()
        assert without_names(sent) in without_names(output)


# ---- jobs


def test_jobs_in_a_container_are_capped_killed_replaced_and_deleted(tmp_path, scheduler, apptainer):
    """Five jobs are wanted and two allowed; one is killed as when its node is lost."""
    image, path = apptainer / "lab.sif", f'["export PATH={apptainer}:$PATH"]'
    asked = of_pbs(tmp_path, container=image, setup=path, workers=2)
    with clusters.opened(asked) as (found, jobs):
        jobs.keep(5, set())
        assert submitted(scheduler) == 2, "two are the most, five were wanted"
        found.wait_for_workers(2, timeout=120)
        standing = set(found.workers)
        subprocess.run(["kill", "-9", "--", f"-{job(scheduler, 1)}"], check=True)
        assert until((scheduler / "jobs/1.end").exists)
        values = [one.value for one in parallel.map(half, range(6), parallel=found)]
        assert values == [x / 2 for x in range(6)]
        jobs.keep(5, {name for name in standing if found.workers[name].job_id != "1"})
        assert submitted(scheduler) == 3, "the job that ended is replaced by one"
    assert until(lambda: len(list(scheduler.glob("jobs/*.end"))) == 3)
    assert not any(alive(job(scheduler, number)) for number in (1, 2, 3) if job(scheduler, number))
    arguments = (apptainer / "arguments").read_text().splitlines()
    begin = f"exec --nv --bind {clusters.files.ROOT} {image} python -m distributed.cli.dask_worker"
    assert arguments[0].startswith(f"{begin} tcp://")


def test_jobs_that_wait_in_the_queue_are_neither_replaced_nor_forgotten(tmp_path, scheduler):
    (scheduler / "slots").write_text("0")
    with clusters.opened(of_pbs(tmp_path, workers=2)) as (found, jobs):
        for _ in range(4):
            jobs.keep(2, set())
        assert submitted(scheduler) == 2
        pages = found.scheduler.http_server._sockets.values()
        assert {page.getsockname()[0] for page in pages} == {"127.0.0.1"}, "for nobody else"
    assert until(lambda: len(list(scheduler.glob("jobs/*.end"))) == 2), "qdel took them back"


def test_an_image_that_is_not_there_is_told_after_three_jobs(tmp_path, scheduler, apptainer):
    path = f'["export PATH={apptainer}:$PATH"]'
    asked = of_pbs(tmp_path, container=apptainer / "no.sif", setup=path)
    with clusters.opened(asked, 1) as (_, jobs):

        def keep_on():
            for number in range(1, 20):
                jobs.keep(1, set())
                assert until((scheduler / f"jobs/{number}.end").exists)

        with pytest.raises(InputError, match="3 jobs ended before their worker stood"):
            keep_on()
    logs = "".join(file.read_text() for file in (tmp_path / "logs").glob("*.ER"))
    assert logs.count("could not open image") == 3


def rest_until_told(task):
    """A task that goes on until the job's time is nearly over, and is finished by its second try;
    one that is `deaf` hears nothing the first time.
    """
    tries = Path(task["folder"]) / "tries"
    with tries.open("a") as stream:
        stream.write(f"{os.environ['PBS_JOBID']}\n")
    if len(tries.read_text().split()) > 1:
        return {"end": tasks.FINISHED}
    while task["deaf"] or not worker.why_stop(task):
        time.sleep(0.1)
    return {"end": tasks.CONTINUE, "leave": True, "why": "the walltime ended"}


@pytest.mark.slow  # twenty seconds each: a walltime must pass
@pytest.mark.parametrize("deaf", [False, True])
def test_a_task_longer_than_the_walltime_goes_on_in_another_job(tmp_path, scheduler, deaf):
    """A task that writes its checkpoint in time leaves its job; a deaf one is ended by PBS."""
    times = {"walltime": '"00:00:20"', "stop_before": 4} if deaf else {"stop_before": 3590}
    asked = of_pbs(tmp_path, **times)
    payload = {"folder": str(tmp_path), "deaf": deaf, "walltime": clusters.seconds(asked.walltime)}
    task = tasks.Task("a", payload | {"stop_before": asked.stop_before})
    events = []
    with clusters.opened(asked, 1) as (found, jobs):
        tasks.run([task], found, rest_until_told, 3, events.append, jobs=jobs)
    assert [event.state for event in events] == ["running", "waiting", "running", "finished"]
    first, second = (tmp_path / "tries").read_text().split()
    assert first != second, "in another job"
    assert until(lambda: len(list(scheduler.glob("jobs/*.end"))) == submitted(scheduler))
    ended = int((scheduler / f"jobs/{first.partition('.')[0]}.end").read_text())
    assert ended in (0, -signal.SIGTERM, 128 + signal.SIGTERM), "not killed: it had time to end"


@pytest.mark.slow  # ten seconds: three jobs
def test_a_sweep_is_finished_by_jobs_of_which_one_is_killed(tmp_path, scheduler):
    """Its first point takes its job with it once, its second one comes back to be continued."""
    there, names = World(tmp_path), ["sample_tsav_lr0.1", "sample_tsav_lr0.2"]
    places = (there.notebooks, there.library)
    file, given = there.library / "sample_tsav.yaml", {"sample_trials": "6"}
    planned = plan.plan([file], ["lr=0.1,0.2"], given, *places)
    there.runs.mkdir(exist_ok=True)
    (there.runs / "behave.json").write_text(json.dumps({names[1]: ["step forward", "finish"]}))
    told = []
    asked = of_pbs(tmp_path, workers=2)
    assert run.run(planned, asked, tell=told.append, work=quick_or_killed) == 0, told
    assert [world.calls(there.runs, name) for name in names] == [1, 2]
    assert submitted(scheduler) >= 2
    assert (there.runs / "killed").read_text() in {"1.here", "2.here"}
    assert until(lambda: len(list(scheduler.glob("jobs/*.end"))) == submitted(scheduler))


def quick_or_killed(task):
    """`world.quick`, before which the first point once kills the whole job that it is in."""
    mark = task["experiment"].run.folder.parent / "killed"
    if task["name"].endswith("lr0.1") and not task["stop"] and not mark.exists():
        mark.write_text(os.environ["PBS_JOBID"])
        os.killpg(os.getpgid(0), signal.SIGKILL)
    return world.quick(task)
