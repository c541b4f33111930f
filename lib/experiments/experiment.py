"""One experiment: its parameters, the runs it builds on, and which notebooks are up to date."""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import code_digest, files, parameters, runs
from ..errors import InputError
from ..files import NOTEBOOKS, YOUR_VIDEO
from ..grammar import (
    NOT_OF_A_TRAINING,
    all_declared,
    declared,
    defaults,
    of_groups,
    read_by,
    with_options,
)
from ..models import weights
from ..parallel.locks import LOCK
from ..runs import Run

TRAIN, PREDICT = NOTEBOOKS[4:]
PREPARATION = NOTEBOOKS[:4]  # notebooks whose results another run on the same data can provide
BUILDS_ON = ("backbone_run", "predict_run")  # parameters that name a run
# what a data set must hold: lib.media.kinds
MEDIA_KINDS = {"folder": ("video", "sound"), "ravdess": ("sound",), "nemo": ("sound",)}


@dataclass(frozen=True)
class Experiment:
    """Complete parameters (`values`), the files they came from, and the folder of the notebooks."""

    files: tuple[Path, ...]
    values: dict
    notebooks: Path
    renamed: str = ""  # the name, if a run of other recordings has it already

    @property
    def run(self) -> Run:
        folder = files.resolve(self.values["runs_root"]) / self.values["run"]
        return Run(folder, p=self.values, notebooks=self.notebooks)

    def has(self, step: str) -> bool:
        return (self.notebooks / f"{step}.ipynb").is_file()

    def read_by(self, step: str) -> dict:
        """The parameters that one notebook reads, declared there or earlier, as YAML and papermill
        take them.
        """
        return {name: runs.as_text(self.values[name]) for name in read_by(step, self.notebooks)}

    @property
    def video(self) -> str:
        """The video to predict, "" for none."""
        return self.values.get("video_path", "")

    def steps(self, start: str = "", stop: str = "") -> list[str]:
        """Notebooks to execute, from `start` to `stop` ("03").

        With `predict_run` the training is left out. A video needs no data set; it has a notebook of
        its own.
        """
        if self.video:
            return [YOUR_VIDEO]
        names = [name for name in NOTEBOOKS if self.has(name)]
        first = names.index(_step(start, names)) if start else 0
        last = names.index(_step(stop, names)) if stop else len(names)
        chosen = names[first : last + 1]
        if texts := self.values.get("notebooks"):
            listed = {_step(text, names) for text in texts}
            chosen = [name for name in chosen if name in listed]
        if self.values.get("predict_run"):
            chosen = [name for name in chosen if name != TRAIN]
        if not chosen:
            raise InputError(
                f"no notebook is left to execute from {start or names[0]} to {stop or names[-1]}",
                where=self.run.folder,
                expected="--from before --to, and between them one of `notebooks` (with "
                f"`predict_run` without {TRAIN})",
                todo="correct --from and --to, or leave them out",
            )
        return chosen


def _step(text: str, there: list[str]) -> str:
    matches = [name for name in there if name.startswith(text.zfill(2))]
    if len(matches) != 1:
        raise InputError(f"no notebook is called {text}", expected=", ".join(there))
    return matches[0]


# ---- from parameter files
def read(files: list[Path], overrides: Mapping[str, str], notebooks: Path) -> Experiment:
    """Merge and check parameter files. Raises InputError that lists everything that is wrong."""
    merged = parameters.load(files, overrides)
    named = bool(merged.get("run"))
    merged["run"] = merged.get("run") or Path(files[0]).stem
    try:
        values = parameters.complete(merged, all_declared(notebooks))
    except InputError as error:
        raise InputError(
            error.what, where=", ".join(map(str, files)), expected=error.expected, todo=error.todo
        ) from error
    usual = values["run"] if named else parameters.of_fold(values["run"], values)
    values["run"] = usual if named else of_these_data(usual, values)
    renamed = usual if usual != values["run"] else ""
    if "params_file" in values:
        values["params_file"] = ""  # the values are complete: no notebook reads a parameter file
    return Experiment(tuple(map(Path, files)), values, Path(notebooks), renamed)


def of_these_data(name: str, values: Mapping) -> str:
    """The default name of a run: `name`, or ``<name>-2``, ``-3``, … if that run is of other
    recordings than the parameters mean (`lib.datasets.study`).
    """
    if values.get("dataset") != "folder" or values.get("video_path"):
        return name
    from ..datasets import study  # for folders of recordings only

    mine, runs_root = processed_name(values), files.resolve(values["runs_root"])
    names = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
    return next(
        run_name for run_name in names if study.data_of(Run(runs_root / run_name)) in ("", mine)
    )


def processed_name(values: Mapping) -> str:
    """Name of the processed folder of the data that complete parameters mean."""
    from .. import datasets  # its packages are needed for folders of recordings only

    return datasets.locate(parameters.placed(values))[0]


def plan(
    files: list[Path],
    overrides: Mapping[str, str],
    notebooks: Path,
    library: Path,
    above: tuple[str, ...] = (),
) -> list[Experiment]:
    """The experiment, after those of missing runs that it builds on; all are checked before
    anything starts.

    library : folder of the parameter files of such runs.

    They get the same overlays, and those overrides that say where data are and on which machine: a
    run that bears a file's name is what the file says.
    """
    experiment = read(files, overrides, notebooks)
    name = experiment.values["run"]
    if name in above:
        circle = " → ".join([*above, name])
        raise InputError(f"runs build on each other in a circle: {circle}", where=files[0])
    first: dict[str, Experiment] = {}
    for parameter in BUILDS_ON:
        text = file = experiment.values.get(parameter, "")
        if text and (library / f"{text}.yaml").is_file():
            # A run that a fold builds on must have learnt from the same trials: it is a run of that
            # fold.
            text = experiment.values[parameter] = parameters.of_fold(text, experiment.values)
        if not text or _exists(text, experiment):
            continue
        if not (library / f"{file}.yaml").is_file():
            raise InputError(
                f"{parameter}: no run, no weights file and no parameter file is called {text}",
                where=files[0],
                expected=f"a name out of {library}, or a file",
            )
        other = library / f"{file}.yaml"
        names = _shared(notebooks, alike=_dataset(other) == experiment.values.get("dataset"))
        shared = {key: value for key, value in overrides.items() if key in names}
        shared |= {"run": text}
        shared |= {
            name: str(experiment.values[name]) for name in ("fold", "fold_rule") if text != file
        }
        more = plan(
            [library / f"{file}.yaml", *files[1:]], shared, notebooks, library, (*above, name)
        )
        first |= {other.values["run"]: other for other in more}
    return [*first.values(), experiment]


def needed(planned: list[Experiment], start: str = "", stop: str = "") -> list[Experiment]:
    """The last experiment that `plan` returned, and those that its notebooks `start` to `stop`
    build on.
    """
    last, by_run = (
        planned[-1],
        {experiment.values["run"]: experiment for experiment in planned[:-1]},
    )
    names: set[str] = set()
    for step in last.steps(start, stop):
        names |= set(declared(step, last.notebooks))
    waiting = [last.values.get(name) for name in BUILDS_ON if name in names]
    kept = set()
    while waiting:
        run = waiting.pop()
        if run in by_run and run not in kept:
            kept.add(run)
            waiting += [by_run[run].values.get(name) for name in BUILDS_ON]
    return [*(experiment for run, experiment in by_run.items() if run in kept), last]


def absent_data(values: Mapping) -> str:
    """The data that an experiment with these complete parameters lacks; "" if they exist, can be
    made (the sample sets), or if their arrays were computed elsewhere.
    """
    from .. import datasets  # only here: it imports OpenCV
    from ..datasets import contents

    if datasets.is_made(values.get("dataset", "sample")):
        return ""
    store = datasets.store(parameters.placed({**values, "run": ""}))
    if store.trials_path.is_file():
        return ""
    kinds = MEDIA_KINDS.get(values["dataset"], ())
    why = contents.unusable(store.data_root)
    if not why and kinds and not any(contents.holds(store.data_root, kind) for kind in kinds):
        called = " or ".join(kinds)
        why = f"holds no recording: no file in it begins as a {called} file does"
    return f"data_root: {files.short(store.data_root)} {why}" if why else ""


def _shared(notebooks: Path, alike: bool) -> set[str]:
    """Parameters whose `-p` overrides also hold for a run that is made first: places and machine
    and, if it is of the same data set (`alike`), the choice of data. A run on other data keeps its
    own: its recordings are never written into a person's folder.
    """
    groups = ["place", "machine", "data"] if alike else ["place", "machine"]
    excluded = set(parameters.MUST_EXIST) if alike else {*parameters.MUST_EXIST, "data_root"}
    return of_groups(all_declared(notebooks), groups) - excluded


def _dataset(file: Path) -> str:
    """The data set that a parameter file is made for."""
    return parameters.load([file]).get("dataset", all_declared()["dataset"].default)


def _exists(text: str, experiment: Experiment) -> bool:
    file = files.resolve(text)
    trained = is_trained(Run(experiment.run.folder.parent / text))
    return trained or file.is_file() or weights.can_be_fetched(file)


def is_trained(run: Run) -> bool:
    """Whether a run has been trained to its end."""
    record = record_of(run, TRAIN)
    return bool(record) and not record["unfinished"]


# ---- what is up to date
@dataclass(frozen=True)
class Reason:
    """Why a notebook must be executed, as `text` for people; false if it is up to date.

    anew : the training in the run folder cannot be continued, because its inputs or the code of its
        method changed.
    """

    text: str = ""
    anew: bool = False

    def __bool__(self) -> bool:
        return bool(self.text)

    def __str__(self) -> str:
        return self.text


def outdated(experiment: Experiment, step: str, run: Run) -> Reason:
    """Why a notebook must be executed; false if its record in `run` matches the present inputs and
    code.
    """
    record = record_of(run, step)
    if record is None:
        return Reason(f"its record is damaged: steps/{step}.json")
    if not record:
        return Reason("not done yet")
    inputs = {path: runs.fingerprint(run.found(path)) for path in record["inputs"]}
    if changed := _differing(record["inputs"], inputs):
        return Reason(f"inputs changed: {_first(changed)}", anew=True)
    code = code_digest.digests(step, _modules(record), experiment.notebooks)
    if changed := _differing(record["code"], code):
        # Early records do not list modules, and so do not tell which network was used.
        method = (
            [file for file in changed if code_digest.is_method(file)] if "modules" in record else []
        )
        return Reason(f"code changed: {_first(method or changed)}", anew=bool(method))
    now = runs.counted(step, experiment.values, experiment.notebooks)
    if changed := _differing(with_options(record["parameters"]), now):
        return Reason(f"parameters changed: {_first(changed)}")
    if missing := [path for path in record["outputs"] if not run.found(path).exists()]:
        return Reason(f"no longer there: {missing[0]}")
    if record["unfinished"] or record.get("started_again") or begun(run, step).is_file():
        return Reason("goes on where it stopped")
    return Reason(f"{record['lost']} that failed are tried again" if record["lost"] else "")


def begun(run: Run, step: str) -> Path:
    """The marker file of a step (a notebook, or "report") that the runner works on. It is removed
    when the step ends; a marker beside a record means that the runner was killed after the notebook
    recorded its end and before the executed copy was written.
    """
    return run.folder / "steps" / f"{step}.begun"


RECORDED = {"inputs": dict, "code": dict, "parameters": dict, "outputs": list, "unfinished": str}


def record_of(run: Run, step: str) -> dict | None:
    """The record of a notebook; empty if it has not ended yet, None if the record is damaged."""
    try:
        record = run.read_json(f"steps/{step}.json", {})
    except InputError:
        return None
    right = all(isinstance(record.get(name), kind) for name, kind in RECORDED.items())
    right = right and isinstance(record.get("lost"), int | float)
    return record if right or not record else None


def _modules(record: Mapping) -> list[str]:
    """Modules that the notebook loaded by name; for early records, which do not list them, its
    recipe.
    """
    recipe = record["parameters"].get("recipe", "")
    return record.get("modules", [f"lib.recipes.{recipe}"] if recipe else [])


def _differing(before: Mapping, after: Mapping) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _first(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if names[3:] else ""
    return ", ".join(names[:3]) + more


def take_over(experiment: Experiment, step: str) -> str:
    """Copy record and notebook of another run in which this step is the same; returns that run's
    name.
    """
    run = experiment.run
    for record in sorted(run.folder.parent.glob(f"*/steps/{step}.json")):
        other = Run(record.parents[1], p=experiment.values)
        executed = other.folder / f"{step}.ipynb"
        if (
            other.folder == run.folder
            or not executed.is_file()
            or not _of_these_data(other, experiment.values)
            or outdated(experiment, step, other)
        ):
            continue
        _copy_step(other, run, step)
        return other.name
    return ""


def _of_these_data(run: Run, values: Mapping) -> bool:
    """Whether a run is of the recordings that complete parameters mean: two folders of recordings
    have the same parameters but for their place.
    """
    if values.get("dataset") != "folder" or values.get("video_path"):
        return True
    from ..datasets import study  # for folders of recordings only

    return study.data_of(run) in ("", processed_name(values))


def _copy_step(other: Run, run: Run, step: str) -> None:
    """Copy the record of a step, what it wrote into its run folder, and its executed notebook."""
    record = record_of(other, step) or {"outputs": []}
    outputs = [path for path in record["outputs"] if path.startswith("<run>/")]
    names = [path.removeprefix("<run>/") for path in outputs]
    for name in [*names, f"{step}.ipynb", f"steps/{step}.json"]:
        if (other.folder / name).exists():
            _copy(other.folder / name, run.path(*name.split("/")))


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
        return
    with files.whole(target) as temporary:
        shutil.copy2(source, temporary)


def training_parameters(experiment: Experiment) -> dict:
    """The parameters that a training depends on, of all that the notebooks up to 05 declare;
    `epochs`, too.
    """
    steps = [step for step in (*PREPARATION, TRAIN) if experiment.has(step)]
    names: dict = {}
    for step in steps:
        names |= declared(step, experiment.notebooks)
    counted = names.keys() - of_groups(names, NOT_OF_A_TRAINING)
    return {name: runs.as_text(experiment.values[name]) for name in sorted(counted)}


def other_training(experiment: Experiment) -> str:
    """Why the training in the run folder cannot be continued; "" if it can, or if there is none."""
    before = experiment.run.read_json("steps/training.json", {})
    if not before or not (experiment.run.folder / "checkpoints").is_dir():
        return ""
    now, came_later = training_parameters(experiment), defaults(all_declared(experiment.notebooks))
    before = {name: runs.as_text(came_later[name]) for name in now if name in came_later} | before
    before = with_options(before)
    changed = [name for name in now if before.get(name) != now[name] and name != "epochs"]
    changed += ["epochs (fewer)"] if now.get("epochs", 0) < before.get("epochs", 0) else []
    return f"trained with other parameters: {', '.join(changed)}" if changed else ""


def begin_training(p: Mapping, notebooks: Path = runs.SHIPPED) -> Run:
    """Open the run folder for notebook 05, as the runner does.

    A training that cannot be continued (other parameters, other code of the method, other inputs)
    is renamed to ``<run>-1``, which a printed line says; the records of 01 to 04 are taken over. If
    the runner has done this already, nothing happens.
    """
    run = Run(Path(p["runs_root"]) / p["run"], p=p)
    values = {name: runs.as_text(value) for name, value in p.items()}
    plain = defaults(all_declared(notebooks))
    runs.refuse_other(run.folder, values)
    experiment = Experiment((), {**plain, **runs.parameters(run.folder), **values}, notebooks)
    reason = other_training(experiment)
    if not reason and (changed := outdated(experiment, TRAIN, run)).anew:
        reason = changed.text
    if reason and (run.folder / "checkpoints").is_dir():
        other = set_aside(run.folder)
        sys.stdout.write(f"{reason}; the old run is kept as {other.name}\n")
        for step in PREPARATION:
            _copy_step(Run(other, p=p), run, step)
        runs.remember(run, experiment.values)
    run = runs.start(TRAIN, p, notebooks)
    run.write_json("steps/training.json", training_parameters(experiment))
    return run


def set_aside(folder: Path) -> Path:
    """Rename a run folder to ``<run>-1``, ``-2``, …: nothing that was trained is overwritten."""
    number = 1
    while (other := folder.with_name(f"{folder.name}-{number}")).exists():
        number += 1
    folder.rename(other)
    if (lock := other / LOCK).is_file():  # the process at work keeps its lock under this name
        folder.mkdir(exist_ok=True)
        lock.rename(folder / LOCK)
    return other
