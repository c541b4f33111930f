"""Clusters from files: what they may say, job scripts, and jobs of a scheduler that shell scripts
stand in for (SLURM; jobs of PBS are in test_pbs.py).
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lib import parallel
from lib.errors import InputError
from lib.files import ROOT
from lib.parallel import clusters
from tests.in_workers import half
from tests.waiting import alive, until

# A scheduler in twenty lines: runs what is submitted at once, knows which jobs live, can end them.
SUBMIT = """#!/usr/bin/env bash
if [ -e {place}/refuse ]; then echo "invalid partition specified" >&2; exit 1; fi
exec 9> {place}/lock; flock 9
number=$(( $(ls {place}/jobs | wc -l) + 1 ))
for word; do last=$word; done; cp "$last" {place}/jobs/$number
setsid nohup bash {place}/jobs/$number > {place}/$number.out 2>&1 < /dev/null 9>&- &
echo $! > {place}/pids.$number
echo "Submitted batch job $number"
"""
LIST = """#!/usr/bin/env bash
for file in {place}/pids.*; do
  state=$(sed -n 's/^State:.\\([A-Z]\\).*/\\1/p' /proc/$(cat $file)/status 2> /dev/null)
  case $state in ""|Z) ;; *) echo ${{file##*.}} ;; esac
done
exit 0
"""
CANCEL = """#!/usr/bin/env bash
for number; do kill -TERM -- -$(cat {place}/pids.$number); done
"""


@pytest.fixture
def stood_in(tmp_path, monkeypatch):
    """Shell scripts called sbatch, squeue, … first on PATH."""
    place = tmp_path / "scheduler"
    (place / "jobs").mkdir(parents=True)
    texts = {"sbatch": SUBMIT, "squeue": LIST, "sinfo": LIST, "scancel": CANCEL}
    for name, text in texts.items():
        (place / name).write_text(text.format(place=place))
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    yield place
    for file in place.glob("pids.*"):
        subprocess.run(
            ["kill", "-9", "--", f"-{file.read_text().strip()}"], stderr=subprocess.DEVNULL
        )


def spec(tmp_path, kind="slurm", **changes):
    lines = {
        "kind": kind,
        "walltime": '"01:00:00"',
        "gpus": 0,
        "cores": 1,
        "memory": "1GB",
        "interface": "lo",
        "logs": str(tmp_path / "logs"),
        **changes,
    }
    file = tmp_path / f"{kind}.yaml"
    file.write_text("".join(f"{name}: {value}\n" for name, value in lines.items()))
    return clusters.read(file)


# ---- files


def test_the_three_files_of_the_repository_are_right():
    found = {name: clusters.read(name) for name in ("local", "slurm", "pbs")}
    assert [one.kind for one in found.values()] == ["local", "slurm", "pbs"]
    assert clusters.seconds(found["slurm"].walltime) == 43200


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"que": "gpu"}, "que: no such parameter; did you mean queue?"),
        ({"kind": "lsf"}, "none of local, slurm, pbs"),
        ({"walltime": "12:00:00"}, 'write "12:00:00"'),
        ({"walltime": '"4 hours"'}, "write hours:minutes:seconds"),
        ({"walltime": '""'}, "a job needs one"),
        ({"walltime": '"00:02:00"'}, "ends before the 180 s of stop_before"),
        ({"memory": "lots"}, "is no size"),
        ({"gpus": 100}, "out of range"),
        ({"lr": 0.1}, "lr: no such parameter"),
        ({"memory": "0.0GB"}, "is no size"),
        ({"memory": "１６GB"}, "is no size"),
        ({"walltime": '"０４:00:00"'}, "is no time"),
        ({"queue": "my queue"}, "queue: 'my queue' is more than one word"),
        ({"account": '"a\\nb"'}, "is more than one word"),
        ({"logs": '"a\\nb"'}, "a quotation mark or a line break"),
        ({"directives": '["#SBATCH --x"]'}, "write it without #SBATCH or #PBS"),
        ({"directives": '[""]'}, "is no line for the scheduler"),
        ({"options": "{a: 1}"}, "options: no such parameter"),
        ({"memory": 32}, "memory: '32' is no size"),
        ({"recipe": "jca", "fold": 1}, "recipe: this file is of an experiment"),
        ({"container": "a.sif", "container_command": '""'}, "container_command: '' is no line"),
        ({"container": "a.sif", "container_command": '"run {rot}"'}, "{rot} stands for nothing"),
        ({"container": "a.sif", "container_command": '"a\\nb"'}, "is no line"),
    ],
)
def test_a_cluster_file_is_checked_like_all_parameters_with_names_of_its_own(
    tmp_path, changes, told
):
    with pytest.raises(InputError) as caught:
        spec(tmp_path, **changes)
    assert told in str(caught.value)


def test_a_queue_or_an_account_may_be_a_number(tmp_path):
    script = clusters.script(spec(tmp_path, queue=12, account=345))
    assert "#SBATCH -p 12\n" in script
    assert "#SBATCH -A 345\n" in script


@pytest.mark.parametrize("text", ["", "# copied by half\n", "workers: 24\nqueue: gpu\n"])
def test_a_file_that_does_not_say_what_starts_the_workers_is_not_taken_for_this_machine(
    tmp_path, text
):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InputError, match="kind: is not there: write local, slurm or pbs"):
        clusters.read(tmp_path / "mine.yaml")


def test_the_name_of_a_file_may_end_in_capitals(tmp_path):
    (tmp_path / "mine.YAML").write_text("kind: local\n")
    assert clusters.read(tmp_path / "mine.YAML").kind == "local"


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(InputError, match="no such parameter file"):
        clusters.read("lsf")


def test_check_looks_at_cluster_files_too(tmp_path):
    folder = tmp_path / "cluster"
    folder.mkdir()
    (folder / "mine.yaml").write_text("kind: slurm\nqueu: gpu\n")
    done = subprocess.run(
        [sys.executable, "-m", "lib", "check", folder / "mine.yaml", "params/cluster/pbs.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "did you mean queue?" in done.stdout
    assert "params/cluster/pbs.yaml: ok" in done.stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("04:00:00", 14400),
        ("1-12:30:05", 131405),
        ("00:00:59", 59),
        ("4:00", None),
        ("04:60:00", None),
        ("", None),
    ],
)
def test_walltimes_are_read(text, expected):
    assert clusters.seconds(text) == expected


# ---- job scripts


def test_scripts_name_queue_account_time_memory_gpus_and_set_up(tmp_path):
    more = {
        "queue": "gpu",
        "account": "lab7",
        "gpus": 2,
        "cores": 6,
        "memory": "24GB",
        "setup": "[module load cuda]",
    }
    slurm = clusters.script(spec(tmp_path, **more, directives='["--constraint=a100"]'))
    for line in (
        "-p gpu",
        "-A lab7",
        "-t 01:00:00",
        "--mem=24G",
        "--cpus-per-task=6",
        "--gres=gpu:2",
        "--constraint=a100",
    ):
        assert f"#SBATCH {line}\n" in slurm, line
    pbs = clusters.script(spec(tmp_path, "pbs", **more, directives='["-j oe"]'))
    for line in (
        "-q gpu",
        "-A lab7",
        "-l walltime=01:00:00",
        "-l select=1:ncpus=6:ngpus=2:mem=24gb",
        "-j oe",
    ):
        assert f"#PBS {line}\n" in pbs, line
    for text in (slurm, pbs):
        before, _, worker = text.partition("-m distributed.cli.dask_worker")
        assert before.index("SWEEP_JOB_STARTED") < before.index("module load cuda")
        assert f"cd {ROOT}" in before
        assert "tcp://ADDRESS" in worker
        assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0


@pytest.mark.parametrize(
    ("memory", "whole"),
    [("32GB", "32G"), ("32 GiB", "32G"), ("1.5TB", "1536G"), ("0.3MB", "308K"), ("1.2KB", "2K")],
)
def test_memory_is_a_whole_number_for_schedulers(memory, whole):
    assert clusters.whole_size(memory) == whole


def test_a_folder_with_a_space_in_its_name_is_one_word_of_the_script(tmp_path, monkeypatch):
    monkeypatch.setattr(clusters.files, "ROOT", tmp_path / "my lab")
    text = clusters.script(spec(tmp_path, python='"/my env/python"'))
    assert f"cd '{tmp_path}/my lab'\n" in text
    assert "\n'/my env/python' -m" in text
    usual = {"logs": "runs/cluster_logs"}
    text = clusters.script(spec(tmp_path, container="my lab.sif", **usual))
    assert f"--bind '{tmp_path}/my lab' 'my lab.sif' python -m" in text
    logs = f"{tmp_path}/my lab/runs/cluster_logs"
    assert f'#SBATCH -o "{logs}/sweep-%J.out"\n' in text
    assert f"-o {logs}" not in text
    text = clusters.script(
        spec(tmp_path, "pbs", scratch='"/my scratch"', python="~/env/python", **usual)
    )
    assert f'#PBS -e "{logs}/"\n' in text
    assert f"#PBS -e {logs}" not in text
    assert "--local-directory '/my scratch'" in text
    assert f"\n{Path.home()}/env/python -m" in text
    assert '--local-directory "$TMPDIR"' in clusters.script(spec(tmp_path, scratch="$TMPDIR"))


def test_ctrl_c_means_the_same_as_before_the_package_was_imported():
    """It is imported in a process of its own: dask-jobqueue 0.9 takes the signal at its import."""
    code = (
        "import signal; before = signal.getsignal(signal.SIGINT); from lib.parallel import "
        "clusters; "
        "clusters.script(clusters.read('slurm')); import sys; "
        "sys.exit(signal.getsignal(signal.SIGINT) is not before)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_a_container_stands_before_the_worker(tmp_path):
    text = clusters.script(spec(tmp_path, container="lab.sif"))
    assert (
        f"apptainer exec --nv --bind {ROOT} lab.sif python -m distributed.cli.dask_worker" in text
    )
    text = clusters.script(
        spec(tmp_path, container="lab.sif", container_command="singularity exec")
    )
    assert "\nsingularity exec lab.sif python -m" in text


def test_workers_of_this_machine_have_no_script():
    with pytest.raises(InputError, match="need no job script"):
        clusters.script(clusters.read("local"))


# ---- the scheduler itself


def test_without_a_scheduler_the_message_says_what_works_here(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"no SLURM here \(no command sbatch\)") as caught:
        clusters.check_there(spec(tmp_path))
    assert "--cluster local" in str(caught.value)
    clusters.check_there(clusters.read("local"))


def test_a_scheduler_that_does_not_answer_is_told(tmp_path, stood_in, monkeypatch):
    (stood_in / "sinfo").write_text(
        "#!/usr/bin/env bash\necho 'Unable to contact slurm controller' >&2; exit 1\n"
    )
    with pytest.raises(InputError, match="does not answer: Unable to contact"):
        clusters.check_there(spec(tmp_path))
    (stood_in / "sinfo").write_text("#!/usr/bin/env bash\nexec sleep 20\n")
    monkeypatch.setattr(clusters, "PATIENCE", 0.2)
    with pytest.raises(InputError, match="does not answer within"):
        clusters.check_there(spec(tmp_path))


def test_an_interface_that_this_machine_lacks_is_told(tmp_path, stood_in):
    with (
        pytest.raises(InputError, match="'ib77' is not a valid network interface") as caught,
        clusters.opened(spec(tmp_path, interface="ib77")),
    ):
        pass
    assert "correct `interface`" in str(caught.value)


def test_a_folder_for_output_that_cannot_be_made_is_told(tmp_path, stood_in):
    (tmp_path / "file").touch()
    one = spec(tmp_path, logs=str(tmp_path / "file" / "logs"))
    with pytest.raises(InputError, match="output cannot be made") as caught:
        clusters.script(one)
    assert "set `logs`" in str(caught.value)
    with pytest.raises(InputError, match="output cannot be made"), clusters.opened(one):
        pass


def test_jobs_are_started_serve_any_mapping_are_replaced_and_end_with_the_block(tmp_path, stood_in):
    """The same open cluster that runs a sweep computes what preprocessing hands to
    `cluster.map`.
    """
    with clusters.opened(spec(tmp_path), 2) as (found, jobs):
        jobs.keep(5, set())
        found.wait_for_workers(1, timeout=120)
        assert [one.value for one in parallel.map(half, range(6), parallel=found)] == [
            x / 2 for x in range(6)
        ]
        assert len(list(stood_in.glob("pids.*"))) == 2, "two are the most, five were wanted"
        standing = set(found.workers)
        killed = (stood_in / "pids.1").read_text().strip()
        subprocess.run(["kill", "-9", "--", f"-{killed}"])
        assert until(lambda: not alive(killed))
        jobs._forget_ended({name for name in standing if found.workers[name].job_id != "1"})
        jobs.keep(5, set())
        assert (stood_in / "pids.3").exists(), "a job that ended is replaced"
    assert until(
        lambda: not any(alive(file.read_text().strip()) for file in stood_in.glob("pids.*"))
    )


def test_a_job_that_is_refused_is_told_and_can_be_tried_again(tmp_path, stood_in):
    (stood_in / "refuse").touch()
    with clusters.opened(spec(tmp_path), 1) as (_, jobs):
        with pytest.raises(
            InputError, match=r"does not take the job: .*invalid partition specified"
        ):
            jobs.keep(1, set())
        (stood_in / "refuse").unlink()
        jobs.keep(1, set())
        assert (stood_in / "pids.1").exists()


def test_jobs_that_end_before_their_worker_stands_are_told_instead_of_being_waited_for(
    tmp_path, stood_in
):
    with clusters.opened(spec(tmp_path, setup='["exit 1"]'), 1) as (_, jobs):

        def keep_on():
            for _ in range(20):
                jobs.keep(1, set())
                assert until(
                    lambda: (
                        not any(alive(file.read_text().strip()) for file in stood_in.glob("pids.*"))
                    )
                )

        with pytest.raises(InputError, match="3 jobs ended before their worker stood") as caught:
            keep_on()
        assert "setup" in str(caught.value)


def test_without_the_package_the_message_says_how_to_install_it(tmp_path, monkeypatch, stood_in):
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(InputError, match="dask_jobqueue is not installed"):
        clusters.script(spec(tmp_path))


def test_gpus_are_those_that_this_process_may_use(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,4")
    assert clusters.gpus() == ["1", "4"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert clusters.gpus() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    (tmp_path / "nvidia-smi").write_text(
        "#!/bin/sh\necho 'GPU 0: H200 (UUID: a)'\necho 'GPU 1: H200 (UUID: b)'\n"
    )
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert clusters.gpus() == ["0", "1"]


@pytest.mark.parametrize(("kind", "line"), [("slurm", "#SBATCH -o"), ("pbs", "#PBS -o")])
def test_a_script_that_is_only_shown_makes_no_folder(tmp_path, kind, line):
    text = clusters.script(spec(tmp_path, kind))
    assert f"{line} {tmp_path}/logs/" in text
    assert not (tmp_path / "logs").exists()
