"""``lib run --cluster``: which file is for what, what is refused before anything starts, and when
jobs are started and given back.
"""

from functools import partial
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from lib import parallel
from lib.__main__ import main
from lib.errors import EXIT_CONTINUE, EXIT_FAILED, InputError
from lib.experiments import sharing, torchrun
from lib.experiments.notebook import NotebookFailed, Terminated
from lib.parallel import remote
from tests.in_workers import note_and_end_its_job
from tests.parallel.test_clusters import stood_in  # noqa: F401


@pytest.fixture
def file(tmp_path):
    """``file("a", gpus=1)``: a cluster file of SLURM, its path."""

    def write(name, **changes):
        lines = {"kind": "slurm", "walltime": '"01:00:00"', "cores": 4, "memory": "8GB"}
        lines |= {"gpus": 0, "logs": str(tmp_path / "logs"), **changes}
        path = tmp_path / f"{name}.yaml"
        path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
        return str(path)

    return write


def run(*words):
    return CliRunner().invoke(main, ["run", "params/sample_jca.yaml", *words])


def test_of_two_files_that_with_gpus_is_for_networks_and_trainings(file):
    found = sharing.roles((file("b", gpus=1), file("a")))
    assert (found.cpu.gpus, found.gpu.gpus) == (0, 1)
    assert found.trains
    assert not sharing.roles((file("a"),)).trains, "without GPUs 05 stays here"


def test_two_files_without_gpus_are_refused(file):
    with pytest.raises(InputError, match="2 cluster files, 0 of them with GPUs"):
        sharing.roles((file("a"), file("b")))


def test_a_job_has_a_worker_a_core_with_one_thread_and_one_where_it_has_a_gpu(file):
    found = run("--cluster", file("a"), "--cluster", file("b", gpus=1), "--dry-run")
    assert found.exit_code == 0, found.output
    cpu, gpu = found.output.split("# jobs for networks")
    for line in ("--nthreads 1", "--nworkers 4", "--cpus-per-task=4", "export OMP_NUM_THREADS=1"):
        assert line in cpu
    for line in ("--nthreads 1", "--gres=gpu:1", "05_train: in one job"):
        assert line in gpu
    assert "--nworkers" not in gpu


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"walltime": "soon"}, "is no time"), ({"corse": 4}, "corse"), ({}, "there is no SLURM here")],
)
def test_a_wrong_file_or_no_scheduler_is_told_before_anything_starts(
    file, changes, told, monkeypatch, tmp_path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("lib.experiments.pipeline.run", lambda *_: pytest.fail("it was started"))
    found = run("--cluster", file("a", **changes))
    assert found.exit_code == 2
    assert told in found.output


def test_print_jobs_needs_a_cluster():
    assert run("--print-jobs").exit_code == 2


@pytest.mark.parametrize("command", ["run", "batch"])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["params/nobody.yaml"], "no such parameter file"),
        (["params/sample_jca.yaml", "-p", "backbone_run", "nobody"], "nobody"),
    ],
)
def test_print_jobs_refuses_an_experiment_that_could_not_be_started(file, command, words, told):
    found = CliRunner().invoke(main, [command, *words, "--cluster", file("a"), "--print-jobs"])
    assert (found.exit_code, "#SBATCH" in found.output) == (2, False)
    assert told in found.output


def test_notebooks_learn_of_the_cluster_inside_the_block_only(tmp_path):
    path = tmp_path / "here.yaml"
    path.write_text("kind: local\nworkers: 1\ngpus: 0\n")
    lines = []
    with sharing.opened(sharing.roles((str(path),)), lines.append):
        assert remote.current().cpu.startswith("tcp://")
        assert torchrun.current().elsewhere is None
    assert remote.current() is None
    assert "dashboard" in lines[0]


# ---- jobs


class Jobs:
    def __init__(self, error=None):
        self.kept, self.released, self.error = [], [], error

    def keep(self, wanted, standing):
        self.kept.append((wanted, standing))
        if self.error:
            raise self.error

    def release(self, names):
        self.released += names


def keeper(state, jobs, spec):
    cluster = SimpleNamespace(sync=lambda _: state, worker_spec={"s-0": 1, "s-1": 1})
    return sharing.Keeper(cluster, jobs, spec)


def test_so_many_jobs_are_kept_that_each_core_has_an_item(file):
    jobs = Jobs()
    spec = sharing.roles((file("a"),)).cpu
    keeper((9, {"s-0"}, {"s-0"}), jobs, spec).look()
    assert jobs.kept == [(3, {"s-0"})]


def test_idle_jobs_are_given_back_after_a_rest_and_what_works_stays(file, monkeypatch):
    jobs = Jobs()
    found = keeper((1, {"s-0", "s-1"}, {"s-0"}), jobs, sharing.roles((file("a"),)).cpu)
    found.look()
    assert jobs.released == []
    monkeypatch.setattr(sharing, "REST", -1.0)
    found.look()
    assert jobs.released == ["s-1"]


def test_a_refused_job_stops_the_run_at_its_start_only(file, monkeypatch):
    stopped = []
    monkeypatch.setattr(sharing._thread, "interrupt_main", lambda: stopped.append(True))
    spec, refused = sharing.roles((file("a"),)).cpu, InputError("no such queue")
    later = keeper((9, {"s-0"}, set()), Jobs(refused), spec)
    later.look()
    assert not stopped
    early = keeper((9, set(), set()), Jobs(refused), spec)
    early.look()
    assert stopped
    assert sharing.status(130, [early], lambda line: None) == EXIT_FAILED


def test_workers_of_one_job_are_known_by_its_name(file):
    found = keeper(None, Jobs(), sharing.roles((file("a"),)).cpu)
    assert found._job("SLURMCluster-12-3") == "SLURMCluster-12"
    found = keeper(None, Jobs(), sharing.roles((file("b", gpus=1),)).cpu)
    assert found._job("SLURMCluster-12") == "SLURMCluster-12"


@pytest.mark.slow  # ten seconds: two jobs with two workers each, and their end
def test_jobs_with_several_workers_are_started_replaced_and_ended(
    file,
    stood_in,  # noqa: F811
    tmp_path,
):
    """A job is killed with two items in hand; the items are done all the same."""
    spec = file("a", cores=2, memory="2GB", interface="lo", workers=1)
    with sharing.opened(sharing.roles((spec,)), lambda line: None):
        work = partial(note_and_end_its_job, stood_in, tmp_path)
        found = parallel.map(work, range(6))
    assert [outcome.value for outcome in found] == list(range(6))
    assert len(list(stood_in.glob("pids.*"))) == 2, "one was killed, and replaced by one"


# ---- training


def test_what_became_of_a_training_in_a_job_is_what_it_would_be_here(tmp_path):
    tasks, folder = sharing._tasks(), SimpleNamespace(folder=tmp_path)
    sharing._judge(tasks.Event("a", tasks.FINISHED), tasks, 0, folder)
    with pytest.raises(NotebookFailed, match="3 tries"):
        sharing._judge(tasks.Event("a", tasks.GAVE_UP, why="3 tries"), tasks, 0, folder)
    with pytest.raises(Terminated):
        sharing._judge(tasks.Event("a", tasks.STOPPED), tasks, EXIT_CONTINUE, folder)


def test_whole_lines_of_the_log_are_handed_on_once(tmp_path):
    log, lines = tmp_path / "a.log", []
    log.write_text("of an earlier try\n")
    tail = sharing._Tail(log, lines.append)
    with log.open("a") as stream:
        stream.write("epoch 1\nepo")
        stream.flush()
        tail()
        stream.write("ch 2\n")
    tail()
    assert lines == ["epoch 1", "epoch 2"]
