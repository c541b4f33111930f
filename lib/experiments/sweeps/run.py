"""Run a sweep: send its points to the workers, record their state, and stop them cleanly on
Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ... import files, parameters
from ...errors import EXIT_CONTINUE, EXIT_INTERRUPTED, InputError
from ...parallel import clusters
from ...parallel.interrupts import Interrupts
from ...parallel.locks import BusyError, locked
from ..experiment import Experiment
from . import worker
from .plan import Sweep, tasks
from .record import Book

REFRESH = 2.0  # s between two updates of the table while nothing happens


def run(
    sweep: Sweep,
    spec: parameters.Params,
    workers: int = 0,
    tell: Callable[[str], None] = lambda line: None,
    show: Callable[[Path], None] = lambda folder: None,
    work: Callable = worker.work,
) -> int:
    """Run all points that are not finished yet; returns the exit status (docs/contracts.md,
    "Commands").

    Arguments
    ---------
    spec : the cluster, see `lib.parallel.clusters.read`; at most `workers` workers, 0 for the
        number in the file.
    tell : called with a line for each event. show : called with the sweep's folder after each event
        and every few seconds, to draw the table again.
    work : the function that runs a point (tests and benchmarks pass others).

    On Ctrl-C or SIGTERM all points write their checkpoints; the same command continues from there.
    Raises InputError if another sweep works in this folder, or if the scheduler cannot be reached.
    """
    clusters.check_there(spec)
    with _alone(sweep.folder):
        files.clear_leftovers(sweep.folder)  # of a process that was killed
        (sweep.folder / worker.STOP).unlink(missing_ok=True)
        facts = {
            "grid": sweep.grid,
            "files": sweep.files,
            "overrides": sweep.overrides,
            "cluster": spec.kind,
            "code": worker.code_digest(),
        }
        book = Book(sweep.run, sweep.experiments, sweep.points, facts)
        pending = [name for name in sweep.experiments if name not in book.finished]
        tell(
            f"{sweep.folder.name}: {len(sweep.points)} in the grid, {len(pending)} to do"
            + (f", {', '.join(sweep.bases)} first" if sweep.bases else "")
        )
        show(sweep.folder)
        with StopRequest(sweep.folder / worker.STOP) as stop_request:
            if pending:
                _dispatch(sweep, spec, workers, pending, book, stop_request, tell, show, work)
        book.save(ended=time.strftime("%Y-%m-%d %H:%M:%S"))
        show(sweep.folder)
        (sweep.folder / worker.STOP).unlink(missing_ok=True)
        return stop_request.status or book.status()


def _dispatch(sweep, spec, workers, pending, book, stop_request, tell, show, work) -> None:
    if spec.kind != "local":
        workers = min(workers or spec.workers or len(pending), len(pending))
    with clusters.opened(spec, workers) as (cluster, jobs):
        # After `opened`, which says what to install if Dask is missing.
        from ...parallel import tasks as dispatch

        here = clusters.threads(len(getattr(cluster, "worker_spec", [])) or 1)
        common = common_payload(sweep.folder, spec, here)

        def payload(name: str, stop: str) -> Mapping:
            return {**common, "name": name, "experiment": sweep.experiments[name], "stop": stop}

        def note(event) -> None:
            book.note(event)
            tell(book.told(event))
            show(sweep.folder)

        tick = _NowAndThen(lambda: show(sweep.folder), REFRESH)
        dispatch.run(
            tasks(sweep, pending, payload),
            cluster,
            work,
            spec.tries,
            note,
            tick,
            lambda task: progress(task.payload["experiment"], bool(task.payload["stop"])),
            lambda: stop_request.asked,
            jobs,
        )


def common_payload(folder: Path, spec: parameters.Params, threads: int) -> dict:
    """The part of the payload that all tasks share; threads : of one task on this machine."""
    return {
        "folder": str(folder),
        "code": worker.code_digest(),
        "stop_before": spec.stop_before,
        "walltime": clusters.seconds(spec.walltime) or 0,
        "threads": threads if spec.kind == "local" else spec.cores,
    }


def progress(experiment: Experiment, makes_arrays: bool = False) -> tuple:
    """A value that changes while a run makes progress (notebooks done, time of last.pt, number of
    arrays).
    """
    folder = experiment.run.folder
    processed = files.resolve(experiment.values.get("processed_root") or "data")
    last = folder / "checkpoints" / "last.pt"
    steps = sorted(path.stat().st_mtime_ns for path in folder.glob("steps/*.json"))
    arrays = 0
    if makes_arrays:
        arrays = sum(name.endswith(".npy") for _, _, names in os.walk(processed) for name in names)
    return (*steps, arrays, last.stat().st_mtime_ns if last.is_file() else 0)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Raise InputError when another sweep works in this folder."""
    try:
        with locked(folder, wait=0):
            yield
    except BusyError as error:
        raise InputError(
            f"another sweep works here: {error.holder}",
            where=folder,
            todo="wait for it, stop it, or give this one another name: -p run NAME",
        ) from error


class _NowAndThen:
    """Calls a function at most every so many seconds."""

    def __init__(self, function: Callable[[], None], interval: float):
        self.function, self.interval, self.last = function, interval, 0.0

    def __call__(self) -> None:
        if time.monotonic() - self.last > self.interval:
            self.function()
            self.last = time.monotonic()


class StopRequest(Interrupts):
    """`Interrupts` that also creates a stop file, by which the workers learn of the request."""

    def __init__(self, file: Path):
        super().__init__()
        self.file, self.status = file, 0

    def _note(self, number, frame) -> None:
        super()._note(number, frame)
        self.status = EXIT_CONTINUE if number == signal.SIGTERM else EXIT_INTERRUPTED
        self.file.touch()
