"""Plan a sweep: points, the runs they build on, the order in which arrays are made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from ... import grammar, parameters, runs
from ...errors import InputError
from ...files import ROOT
from .. import experiment
from ..experiment import PREPARATION, Experiment
from . import grid as sweeps_grid
from .grid import Point
from .record import PREPARE

MAX_LISTED = 5  # problems of a message


@dataclass(frozen=True)
class Sweep:
    """A planned sweep: the grid's `points`, all `experiments` by run name, bases first."""

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
        """Runs that points build on and that do not exist yet."""
        point_names = {point.name for point in self.points}
        return [name for name in self.experiments if name not in point_names]

    def needs(self, name: str) -> tuple[str, ...]:
        """Runs of this sweep that a run builds on."""
        values = self.experiments[name].values
        texts = [values.get(parameter, "") for parameter in ("backbone_run", "predict_run")]
        return tuple(text for text in texts if text in self.experiments and text != name)


def plan(
    files: list[Path],
    grid: list[str],
    overrides: Mapping[str, str] | None = None,
    notebooks: Path = ROOT / "notebooks",
    library: Path = ROOT / "params",
) -> Sweep:
    """Check everything: the grid, every point's parameters, and the runs that they build on.

    files, overrides, library : as of `pipeline.run`. grid : see `grid.parse` of this package.
    Raises InputError that lists everything that is wrong, before anything starts.
    """
    with grammar.unchanged():
        return _plan(files, grid, dict(overrides or {}), notebooks, library)


def _plan(
    files: list[Path], grid: list[str], overrides: dict, notebooks: Path, library: Path
) -> Sweep:
    below = experiment.read(files, overrides, notebooks)
    known = grammar.all_declared(notebooks)
    options = grammar.recipes().get(below.values.get("recipe", ""), {})
    values = sweeps_grid.parse(grid, known, options)
    if twice := sorted(values.keys() & overrides.keys()):
        raise InputError(
            f"{', '.join(twice)}: set by -p, and in the grid",
            where=files[0],
            todo="leave one of them out",
        )
    name = overrides.get("run") or parameters.load(files).get("run") or Path(files[0]).stem
    points = sweeps_grid.points(values, name)
    experiments: dict[str, Experiment] = {}
    problems: dict[str, str] = {}
    # No limit on hours: a person who starts a sweep has estimated them.
    unlimited = {"hours_at_most": "0"} if "hours_at_most" in known else {}
    for point in points:
        try:
            merged = {**unlimited, **_merged(overrides, point)}
            planned = experiment.plan(files, merged, notebooks, library)
        except InputError as error:
            problems.setdefault(str(error), point.name)
            continue
        for run in planned:  # bases of bases stand before them
            experiments.setdefault(run.values["run"], run)
    if problems:
        rows = [f"{point}: {text}" for text, point in list(problems.items())[:MAX_LISTED]]
        raise InputError(
            "points of the grid cannot be run:\n  - " + "\n  - ".join(rows), where=files[0]
        )
    folder = below.run.folder.with_name(f"{name}_sweep")
    return Sweep(
        folder, values, points, _in_order(experiments, points), tuple(map(str, files)), overrides
    )


def _merged(overrides: Mapping[str, str], point: Point) -> dict[str, str]:
    point_overrides = point.overrides()
    if "options" in point_overrides and "options" in overrides:
        options = parameters.load([], {"options": overrides["options"]})["options"]
        both = {**options, **parameters.load([], point_overrides)["options"]}
        point_overrides["options"] = yaml.safe_dump(both, default_flow_style=True)
    return {**overrides, **point_overrides, "run": point.name}


def _in_order(experiments: Mapping[str, Experiment], points: list[Point]) -> dict[str, Experiment]:
    """Bases (each after those that it builds on, in the order of `experiment.plan`), then
    points.
    """
    of_points = {point.name: experiments[point.name] for point in points}
    return {name: run for name, run in experiments.items() if name not in of_points} | of_points


def tasks(sweep: Sweep, pending: list[str], payload: Callable[[str, str], Mapping]) -> list:
    """Tasks for `lib.parallel.tasks.run`, for the runs in `pending`: arrays are made once, before
    the runs that need them.

    Runs with the same notebooks 01–04 share one preparation; without any of these there is none.
    Preparations run one after the other, because they may need the same arrays, unless they differ
    only in the run that they build on.
    """
    from ...parallel.tasks import Task

    made: dict[str, str] = {}  # all that 01–04 depend on → task that prepares it
    loose: dict[str, str] = {}  # the same without the run that they build on
    sweep_tasks, last = [], ()
    for name in [name for name in sweep.experiments if name in pending]:
        experiment = sweep.experiments[name]
        needs = tuple(other for other in sweep.needs(name) if other in pending)
        if not set(PREPARATION) & set(experiment.steps()):  # ``notebooks: ["05"]``
            sweep_tasks.append(Task(name, payload(name, ""), needs))
            continue
        exact, free = _preparation(experiment), _preparation(experiment, without=("backbone_run",))
        if exact not in made:
            before = (loose[free],) if free in loose else last
            made[exact] = f"{name}{PREPARE}"
            sweep_tasks.append(Task(made[exact], payload(name, "04"), needs, before))
            last = last if free in loose else (made[exact],)
            loose.setdefault(free, made[exact])
        sweep_tasks.append(Task(name, payload(name, ""), (*needs, made[exact])))
    return sweep_tasks


def _preparation(experiment: Experiment, without: tuple[str, ...] = ()) -> str:
    counted = {
        step: runs.counted(step, experiment.values, experiment.notebooks)
        for step in PREPARATION
        if experiment.has(step)
    }
    kept = {
        step: {name: value for name, value in values.items() if name not in without}
        for step, values in counted.items()
    }
    return json.dumps(kept, sort_keys=True, default=str)
