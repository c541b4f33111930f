"""``lib run --cluster``: the notebooks run here, the workers of a cluster's jobs share the work on
trials, and a training runs in a job.
"""

from __future__ import annotations

import _thread
import contextlib
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from unittest import mock

from .. import runs
from ..errors import EXIT_CONTINUE, EXIT_FAILED, InputError
from ..parallel import clusters, mapping, remote
from ..parameters import Params
from . import torchrun
from .experiment import TRAIN, Experiment
from .notebook import NotebookFailed, Terminated
from .pipeline import Unfinished
from .sweeps import run as sweep_run
from .sweeps import worker

RESCALE = 3.0  # s between two checks whether jobs are needed
REST = 60.0  # s that a job may be idle before it is ended
FOLDER = "cluster"  # in the run folder: the training's log and state
NN = TRAIN[:2]


@dataclass(frozen=True)
class Roles:
    """Cluster files of steps without (`cpu`) and with networks (`gpu`), which may be the same."""

    cpu: Params
    gpu: Params

    @property
    def trains(self) -> bool:
        """Whether 05 runs in a job of `gpu`: if that file has jobs with GPUs, or is a second
        file.
        """
        apart = self.cpu is not self.gpu
        return bool(self.gpu.gpus) and (apart or self.gpu.kind != "local")

    @property
    def files(self) -> list[Params]:
        return [self.cpu] if self.cpu is self.gpu else [self.cpu, self.gpu]


def roles(names: tuple[str, ...]) -> Roles:
    """The roles of one or two cluster files.

    Raises InputError for a wrong file, more than two, and two of which not exactly one has GPUs.
    """
    specs = [clusters.read(name) for name in names]
    if len(specs) == 1:
        return Roles(specs[0], specs[0])
    with_gpus = [spec for spec in specs if spec.gpus]
    if len(specs) != 2 or len(with_gpus) != 1:
        raise InputError(
            f"{len(specs)} cluster files, {len(with_gpus)} of them with GPUs",
            where="--cluster",
            expected="one file, or two: one with `gpus: 0` and one with `gpus: 1`",
            todo="set `gpus` in the files",
        )
    return Roles(next(spec for spec in specs if not spec.gpus), with_gpus[0])


def scripts(chosen: Roles) -> list[str]:
    """What --print-jobs shows."""
    lines = []
    for spec in chosen.files:
        what = "networks" if spec.gpus else "the rest"
        if len(chosen.files) == 1:
            what = "everything"
        lines.append(f"# jobs for {what}, {_size(spec)}")
        if spec.kind != "local":
            lines.append(clusters.script(spec, items=True))
    lines.append(f"# {TRAIN}: {'in one job' if chosen.trains else 'on this machine'}")
    return lines


def _size(spec: Params) -> str:
    most = spec.workers or "as many as there is work for"
    if spec.kind == "local":
        return f"of this machine; workers: {spec.workers or 'one per processor'}"
    return f"of {spec.kind.upper()}; at a time: {most}; workers in each: {_each(spec)}"


def _each(spec: Params) -> int:
    return 1 if spec.kind == "local" else clusters.workers_of_job(spec)


@contextlib.contextmanager
def opened(chosen: Roles, say: Callable[[str], None]) -> Iterator[list[Keeper]]:
    """Open the clusters; notebooks that are executed inside the block use their workers.

    Raises InputError before anything starts if a scheduler cannot be reached.
    """
    for spec in chosen.files:
        clusters.check_there(spec)
    with contextlib.ExitStack() as stack:
        keepers = [stack.enter_context(_kept(spec, say)) for spec in chosen.files]
        cpu, gpu = keepers[0], keepers[-1]
        workers = remote.Remote(
            cpu.cluster.scheduler_address,
            gpu.cluster.scheduler_address,
            max(spec.tries for spec in chosen.files),
            bool(chosen.gpu.gpus) and chosen.gpu.kind != "local",
        )
        stack.enter_context(mock.patch.dict(os.environ, workers.environment()))
        process = torchrun.current()
        process.elsewhere = partial(train, gpu) if chosen.trains else None
        stack.callback(setattr, process, "elsewhere", None)
        yield keepers


def status(given: int, keepers: list[Keeper], say: Callable[[str], None]) -> int:
    """The exit status of a run; FAILED, with the reason, if a scheduler refused its jobs."""
    errors = [keeper.error for keeper in keepers if keeper.error]
    for error in errors:
        say(str(error))
    return EXIT_FAILED if errors else given


@contextlib.contextmanager
def _kept(spec: Params, say: Callable[[str], None]) -> Iterator[Keeper]:
    with clusters.opened(spec, items=True) as (cluster, jobs):
        say(f"  cluster {_size(spec)}; {_dashboard(cluster)}")
        keeper = Keeper(cluster, jobs, spec)
        keeper.start()
        try:
            yield keeper
        finally:
            keeper.ended.set()
            keeper.join()


def _dashboard(cluster) -> str:
    if not clusters.has_dashboard():
        return "no dashboard (pip install bokeh)"
    return f"dashboard of all workers: {cluster.dashboard_link}"


class Keeper(threading.Thread):
    """Keeps as many jobs as the notebooks have items for, and ends idle ones."""

    def __init__(self, cluster, jobs: clusters.Jobs | None, spec: Params):
        super().__init__(daemon=True)
        self.cluster, self.jobs, self.spec = cluster, jobs, spec
        self.ended, self.paused, self.stood = threading.Event(), False, False
        self.error: InputError | None = None
        self.idle: dict[str, float] = {}  # job → since when

    def run(self) -> None:
        while self.jobs and not self.error and not self.ended.wait(RESCALE):
            if not self.paused:
                self.look()

    def look(self) -> None:
        """Start jobs that are needed, end those that have been idle for long."""
        n_items, standing, busy = self.cluster.sync(self._state)
        self.stood = self.stood or bool(standing)
        try:
            self.jobs.keep(math.ceil(n_items / _each(self.spec)), standing)
        except InputError as error:
            # At the start a person must act; later the scheduler may merely be down for an hour.
            if not self.stood:
                self.error = error
                _thread.interrupt_main()
            return
        now, names = time.monotonic(), set(map(str, self.cluster.worker_spec))
        resting = names - busy if n_items < len(names) * _each(self.spec) else set()
        if n_items:  # queued jobs may be needed
            resting &= standing
        self.idle = {name: self.idle.get(name, now) for name in resting}
        self.jobs.release([name for name, since in self.idle.items() if now - since > REST])

    async def _state(self) -> tuple[int, set[str], set[str]]:
        """Items that notebooks still have, jobs whose workers run, jobs at work."""
        scheduler = self.cluster.scheduler
        n_items = scheduler.task_metadata.get(remote.ITEMS_LEFT_NAME, 0)
        workers = list(scheduler.workers.values())
        standing = {self._job(state.name) for state in workers}
        return n_items, standing, {self._job(state.name) for state in workers if state.processing}

    def _job(self, worker: object) -> str:
        """The job that a worker of several belongs to."""
        return re.sub(r"-\d+$", "", str(worker)) if _each(self.spec) > 1 else str(worker)


# ---- training
def train(keeper: Keeper, experiment: Experiment, say: Callable[[str], None]) -> None:
    """Run 05 of an experiment in a job, as a sweep does: further jobs continue it from its last
    checkpoint, and its output appears here.

    Raises what executing the notebook here would raise.
    """
    tasks = mapping.with_dask("--cluster") and _tasks()
    folder = runs.Run(experiment.run.folder / FOLDER)
    stop = folder.path(worker.STOP)
    stop.unlink(missing_ok=True)
    log = _Tail(folder.path("logs", f"{experiment.run.name}.log"), say)
    task = tasks.Task(experiment.run.name, _payload(keeper.spec, experiment, folder))
    keeper.paused = True
    try:
        with sweep_run.StopRequest(stop) as stop_request:
            events = tasks.run(
                [task],
                keeper.cluster,
                worker.work,
                keeper.spec.tries,
                lambda event: say(f"{event.state} {event.host} {event.why}".rstrip()),
                log,
                lambda task: sweep_run.progress(experiment),
                lambda: stop_request.asked,
                keeper.jobs,
            )
    finally:
        keeper.paused = False
        log()
    _judge(events[task.name], tasks, stop_request.status, folder)


def _tasks():
    from ..parallel import tasks  # Dask need not be installed

    return tasks


def _payload(spec: Params, experiment: Experiment, folder: runs.Run) -> Mapping:
    return {
        **sweep_run.common_payload(folder.folder, spec, clusters.threads(1)),
        "name": experiment.run.name,
        "experiment": experiment,
        "start": NN,
        "stop": NN,
        "lent": True,  # `lib run` holds the lock of the run folder while the job works there
    }


def _judge(event, tasks, stopped: int, folder: runs.Run) -> None:
    if event.state == tasks.FINISHED:
        return
    if stopped:
        raise Terminated if stopped == EXIT_CONTINUE else KeyboardInterrupt
    if event.state == tasks.STOPPED:
        raise Unfinished(f"{TRAIN} stopped before its end; the same command goes on from there")
    raise NotebookFailed(f"{TRAIN} {event.state} in its job: {event.why}\n  log: {folder.folder}")


class _Tail:
    """Passes on the lines that were added to a log since the last call."""

    def __init__(self, path, say: Callable[[str], None]):
        self.path, self.say = path, say
        self.read = path.stat().st_size if path.is_file() else 0

    def __call__(self) -> None:
        if not self.path.is_file():
            return
        with self.path.open("rb") as stream:
            stream.seek(self.read)
            whole, end, _ = stream.read().rpartition(b"\n")
        self.read += len(whole) + len(end)
        for line in whole.decode(errors="replace").splitlines():
            self.say(line.strip())
