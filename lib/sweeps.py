"""Sweeps: one parameter file, a grid, and a run folder for each point of it; on one machine or on a cluster.

``<runs_root>/<run>_sweep/`` holds ``sweep.json`` (what became of each point), the table, logs and merged results.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from lib import declarations, experiments, params, runs, schedulers, sweep_grid, sweep_point
from lib.declarations import ROOT
from lib.errors import InputError
from lib.experiments import PREPARATION, Experiment
from lib.locks import locked
from lib.pipeline import CONTINUE, INTERRUPTED
from lib.sweep_book import PREPARE, Book
from lib.sweep_grid import Point

SHOWN = 5             # problems of a message
REFRESH = 2.0         # s between two tables while nothing happens


@dataclass(frozen=True)
class Sweep:
    """What is to be done: the grid's `points` and all `experiments` by the name of their run, bases first."""

    folder: Path
    grid: dict[str, list]
    points: list[Point]
    experiments: dict[str, Experiment]
    files: tuple[str, ...]
    overrides: dict[str, str]

    @property
    def run(self) -> runs.Run:
        """The sweep's own folder."""
        return runs.Run(self.folder)

    @property
    def bases(self) -> list[str]:
        """Runs that points build on and that are not there yet."""
        own = {point.name for point in self.points}
        return [name for name in self.experiments if name not in own]

    def needs(self, name: str) -> tuple[str, ...]:
        """Runs of this sweep that a run builds on."""
        values = self.experiments[name].values
        wanted = [values.get(parameter, "") for parameter in ("backbone_run", "predict_run")]
        return tuple(text for text in wanted if text in self.experiments and text != name)


# ---- planning

def plan(files: list[Path], grid: list[str], overrides: Mapping[str, str] | None = None,
         notebooks: Path = ROOT / "notebooks", library: Path = ROOT / "params") -> Sweep:
    """Check everything: the grid, every point's parameters, and the runs that they build on.

    files, overrides, library : as of `pipeline.run`. grid : see `sweep_grid.parse`.
    Raises InputError that lists what is wrong; nothing has been started then.
    """
    overrides = dict(overrides or {})
    below = experiments.read(files, overrides, notebooks)
    known = declarations.all_declared(notebooks)
    options = declarations.recipes().get(below.values.get("recipe", ""), {})
    values = sweep_grid.parse(grid, known, options)
    name = overrides.get("run") or params.load(files).get("run") or Path(files[0]).stem
    points = sweep_grid.points(values, name)
    found: dict[str, Experiment] = {}
    problems: dict[str, str] = {}
    for point in points:
        try:
            planned = experiments.plan(files, _merged(overrides, point), notebooks, library)
        except InputError as error:
            problems.setdefault(str(error), point.name)
            continue
        for one in planned:  # bases of bases stand before them
            found.setdefault(one.values["run"], one)
    if problems:
        rows = [f"{point}: {text}" for text, point in list(problems.items())[:SHOWN]]
        raise InputError("points of the grid cannot be run:\n  - " + "\n  - ".join(rows), where=files[0])
    folder = below.run.folder.with_name(f"{name}_sweep")
    return Sweep(folder, values, points, _in_order(found, points), tuple(map(str, files)), overrides)


def _merged(overrides: Mapping[str, str], point: Point) -> dict[str, str]:
    own = point.overrides()
    if "options" in own and "options" in overrides:
        both = {**yaml.safe_load(overrides["options"]), **yaml.safe_load(own["options"])}
        own["options"] = yaml.safe_dump(both, default_flow_style=True)
    return {**overrides, **own, "run": point.name}


def _in_order(found: Mapping[str, Experiment], points: list[Point]) -> dict[str, Experiment]:
    """Bases (each after those that it builds on, as `experiments.plan` gave them), then the points."""
    own = [point.name for point in points]
    return {name: found[name] for name in [*(name for name in found if name not in own), *own]}


def tasks(sweep: Sweep, pending: list[str], payload: Callable[[str, str], Mapping]) -> list:
    """What `dispatch.run` is to do for the runs in `pending`: arrays are made once, before the runs that need them.

    Runs whose notebooks 01–04 would be equal share one preparation; preparations follow each other, because they may
    want the same arrays, unless they only differ in the run that they build on.
    """
    from lib.dispatch import Task

    made: dict[str, str] = {}      # all that 01–04 depend on → task that prepares it
    loose: dict[str, str] = {}     # the same without the run that they build on
    found, last = [], ()
    for name in [name for name in sweep.experiments if name in pending]:
        experiment = sweep.experiments[name]
        exact, free = _preparation(experiment), _preparation(experiment, without=("backbone_run",))
        needs = tuple(other for other in sweep.needs(name) if other in pending)
        if exact not in made:
            before = (loose[free],) if free in loose else last
            made[exact] = f"{name}{PREPARE}"
            found.append(Task(made[exact], payload(name, "04"), needs, before))
            last = last if free in loose else (made[exact],)
            loose.setdefault(free, made[exact])
        found.append(Task(name, payload(name, ""), (*needs, made[exact])))
    return found


def _preparation(experiment: Experiment, without: tuple[str, ...] = ()) -> str:
    counted = {step: runs.counted(step, experiment.values, experiment.notebooks) for step in PREPARATION
               if experiment.has(step)}
    kept = {step: {name: value for name, value in values.items() if name not in without}
            for step, values in counted.items()}
    return json.dumps(kept, sort_keys=True, default=str)


# ---- doing it

def run(sweep: Sweep, spec: params.Params, workers: int = 0, tell: Callable[[str], None] = lambda line: None,
        show: Callable[[Path], None] = lambda folder: None, work: Callable = sweep_point.work) -> int:
    """Run all points that are not finished yet; returns the exit status of DESIGN.md §4.

    Arguments
    ---------
    spec : the cluster, see `schedulers.read`; `workers` of it at most, 0 for what it says.
    tell : called with a line for each event. show : called with the sweep's folder after each event and every few
        seconds: the table can be drawn anew.
    work : what a worker does with a point (tests and benchmarks have others).

    Ctrl-C or SIGTERM lets all points write their checkpoints; the same command goes on from there.
    Raises InputError when another sweep works in this folder, or the scheduler is not there.
    """
    schedulers.check_there(spec)
    with _alone(sweep.folder):
        (sweep.folder / sweep_point.STOP).unlink(missing_ok=True)
        facts = {"grid": sweep.grid, "files": sweep.files, "overrides": sweep.overrides, "cluster": spec.kind,
                 "code": sweep_point.code_digest()}
        book = Book(sweep.run, sweep.experiments, sweep.points, facts)
        pending = [name for name in sweep.experiments if name not in book.finished]
        tell(f"{sweep.folder.name}: {len(sweep.points)} in the grid, {len(pending)} to do"
             + (f", {', '.join(sweep.bases)} first" if sweep.bases else ""))
        show(sweep.folder)
        with _Wish(sweep.folder / sweep_point.STOP) as wish:
            if pending:
                _dispatch(sweep, spec, workers, pending, book, wish, tell, show, work)
        book.save(ended=time.strftime("%Y-%m-%d %H:%M:%S"))
        show(sweep.folder)
        (sweep.folder / sweep_point.STOP).unlink(missing_ok=True)
        return wish.status or book.status()


def _dispatch(sweep, spec, workers, pending, book, wish, tell, show, work) -> None:
    with schedulers.opened(spec, min(workers or spec.workers or len(pending), len(pending))
                           if spec.kind != "local" else workers) as (cluster, jobs):
        from lib import dispatch  # after `opened`, which says what to install where Dask is not

        here = schedulers.threads(len(getattr(cluster, "worker_spec", [])) or 1)
        common = {"folder": str(sweep.folder), "code": sweep_point.code_digest(), "stop_before": spec.stop_before,
                  "walltime": schedulers.seconds(spec.walltime) or 0,
                  "threads": here if spec.kind == "local" else spec.cores}

        def payload(name: str, stop: str) -> Mapping:
            return {**common, "name": name, "experiment": sweep.experiments[name], "stop": stop}

        def note(event) -> None:
            book.note(event)
            tell(book.told(event))
            show(sweep.folder)
        tick = _NowAndThen(lambda: show(sweep.folder), REFRESH)
        dispatch.run(tasks(sweep, pending, payload), cluster, work, spec.tries, note, tick,
                     lambda task: progress(task.payload["experiment"], bool(task.payload["stop"])),
                     lambda: wish.asked, jobs)


def progress(experiment: Experiment, makes_arrays: bool = False) -> tuple:
    """What changes as long as a run comes forward: notebooks done, the last checkpoint, or arrays."""
    folder, processed = experiment.run.folder, params.resolve(experiment.values.get("processed_root") or "data")
    last = folder / "checkpoints" / "last.pt"
    steps = sorted(path.stat().st_mtime_ns for path in folder.glob("steps/*.json"))
    arrays = sum(name.endswith(".npy") for _, _, names in os.walk(processed) for name in names) if makes_arrays else 0
    return (*steps, arrays, last.stat().st_mtime_ns if last.is_file() else 0)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Raise InputError when another sweep works in this folder."""
    try:
        with locked(folder, wait=0):
            yield
    except InputError as error:
        if not error.what.startswith("another process works here"):
            raise
        raise InputError(error.what.replace("process works", "sweep works"), where=folder,
                         todo="wait for it, stop it, or give this one another name: -p run NAME") from error


class _NowAndThen:
    """Calls a function at most every so many seconds."""

    def __init__(self, function: Callable[[], None], interval: float):
        self.function, self.interval, self.last = function, interval, 0.0

    def __call__(self) -> None:
        if time.monotonic() - self.last > self.interval:
            self.function()
            self.last = time.monotonic()


class _Wish:
    """Turns the first Ctrl-C or SIGTERM into a wish (`asked`), of which the points learn by a file; a second acts."""

    def __init__(self, file: Path):
        self.file, self.asked, self.status = file, False, 0

    def __enter__(self) -> _Wish:
        self.before = {}
        with contextlib.suppress(ValueError):  # not in the main thread: whoever runs us there handles signals
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number, frame) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked, self.status = True, CONTINUE if number == signal.SIGTERM else INTERRUPTED
        self.file.touch()

    def __exit__(self, *_) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
