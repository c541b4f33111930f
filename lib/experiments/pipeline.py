"""Run experiments: six notebooks, one parameter file, one run folder; only what has changed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from .. import runs
from ..errors import (
    EXIT_CONTINUE,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_LOST,
    EXIT_WRONG,
    InputError,
)
from ..files import ROOT, YOUR_VIDEO, checkpoint, clear_leftovers, resolve, short
from ..media import open_files
from ..models import weights
from ..parallel.locks import LOCK, held
from ..parallel.progress import clock
from . import experiment as experiments_experiment
from . import report, torchrun
from .experiment import PREPARATION, TRAIN, Experiment, begun
from .notebook import NotebookFailed, Terminated, execute

REPORT = "report"  # the step after the notebooks: report.html


class Unfinished(Exception):
    """A notebook stopped before its end because it was asked to; it can be continued."""


def run(
    files: list[Path],
    overrides: Mapping[str, str] | None = None,
    start: str = "",
    stop: str = "",
    say: Callable[[str], None] = lambda line: None,
    notebooks: Path = ROOT / "notebooks",
    library: Path = ROOT / "params",
) -> int:
    """Execute those notebooks of one experiment that are not up to date.

    Arguments
    ---------
    files : parameter file and overlays, later ones win. `overrides` : ``-p name value``.
    start, stop : first and last notebook ("03"); all by default.
    say : called with every line for the person who waits.
    library : where the parameter files of runs that this one builds on are.

    Returns the exit status (docs/contracts.md, "Commands").
    """
    return _run(files, overrides, start, stop, say, notebooks, library)[0]


def check(experiments: list[list[Path]], overrides: Mapping[str, str]) -> None:
    """Raise InputError if one of the experiments, each given by its files, cannot be planned."""
    for files in experiments:
        experiments_experiment.plan(files, overrides, ROOT / "notebooks", ROOT / "params")


def _run(
    files,
    overrides=None,
    start="",
    stop="",
    say=lambda line: None,
    notebooks=ROOT / "notebooks",
    library=ROOT / "params",
) -> tuple[int, str]:
    """`run` with the cause of `carry_out`."""
    try:
        open_files.require()
        planned = experiments_experiment.plan(files, overrides or {}, notebooks, library)
    except InputError as error:
        say(f"nothing was started: {error}")
        return EXIT_WRONG, ""
    process = torchrun.current()
    process.wait_for_plans()
    if process.rank:
        return _follow(process, planned, say), ""
    try:
        return carry_out(planned, start, stop, say)
    finally:
        process.announce("")


def _follow(process: torchrun.Process, planned: list[Experiment], say: Callable) -> int:
    """The work of ranks other than 0 under torchrun: their part of each training."""
    known = {experiment.run.name: experiment for experiment in planned}
    try:
        while name := process.announced():
            torchrun.help_to_train(known[name])
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except InputError as error:
        say(f"process {process.rank}: {error}")
        return EXIT_FAILED
    return EXIT_DONE


def carry_out(
    planned: list[Experiment],
    start: str = "",
    stop: str = "",
    say: Callable[[str], None] = lambda line: None,
) -> tuple[int, str]:
    """Run what `experiment.plan` returned: the experiments that the last one builds on, then the
    last.

    Returns the exit status and its cause. For FAILED the cause says whether the machine was at
    fault ("memory", "disk", "died", or ""); for CONTINUE it is "terminated" after SIGTERM. While a
    notebook runs, SIGTERM ends it as Ctrl-C does (a training writes its checkpoint), with CONTINUE.
    """
    try:
        planned = experiments_experiment.needed(planned, start, stop)
        _check_folders(planned, start, stop)
    except InputError as error:
        say(f"nothing was started: {error}")
        return EXIT_WRONG, ""
    try:
        return _in_turn(planned, start, stop, say), ""
    except (NotebookFailed, InputError) as error:
        say(str(error))
        return EXIT_FAILED, error.cause
    except Unfinished as error:
        say(str(error))
        return EXIT_CONTINUE, ""
    except KeyboardInterrupt as error:
        ended = isinstance(error, Terminated)
        say(
            f"{'ended by SIGTERM' if ended else 'interrupted'}: what was finished is kept, the "
            "same command goes on "
            "from there"
        )
        if str(error):
            say(f"  {error}")
        return (EXIT_CONTINUE, "terminated") if ended else (EXIT_INTERRUPTED, "")


def batch(
    files: list[Path],
    overlays: list[Path],
    overrides: Mapping[str, str],
    say: Callable[[str], None] = lambda line: None,
    **places,
) -> int:
    """Execute several experiments in turn, each with the same overlays; one that fails does not
    stop the others. A file that is named twice is executed once, and one that would take the run
    folder of an earlier one is not started.

    places : `notebooks` and `library` of `run`. Ends with a line for each.

    Returns DONE; FAILED when one failed or could not be started; else the highest status of all;
    Ctrl-C and SIGTERM stop at once.
    """
    statuses, owners = {}, {}
    files = list(dict.fromkeys(files))
    for file in files:
        folder = _folder([file, *overlays], overrides, places.get("notebooks", ROOT / "notebooks"))
        if (owner := owners.setdefault(folder or file, file)) != file:
            say(f"{short(file)} would have the run folder of {short(owner)}: set `run` in it")
            statuses[file] = EXIT_WRONG
            continue
        statuses[file], cause = _run([file, *overlays], overrides, say=say, **places)
        if statuses[file] == EXIT_INTERRUPTED or cause == "terminated":
            return statuses[file]
    words = {
        EXIT_DONE: "done",
        EXIT_FAILED: "FAILED",
        EXIT_WRONG: "NOT STARTED",
        EXIT_LOST: "done, but something was lost",
        EXIT_CONTINUE: "to be continued",
    }
    good = sum(status in (EXIT_DONE, EXIT_LOST) for status in statuses.values())
    say(f"{good} of {len(files)} experiments are done")
    for file, status in statuses.items():
        say(f"  {short(file)}: {words[status]}")
    worst = max(statuses.values(), default=EXIT_DONE)
    return EXIT_FAILED if {EXIT_FAILED, EXIT_WRONG} & set(statuses.values()) else worst


def _folder(files: list[Path], overrides: Mapping[str, str], notebooks: Path) -> Path | None:
    """The run folder of an experiment; None if its files are wrong, which starting it tells."""
    try:
        return experiments_experiment.read(files, overrides, notebooks).run.folder
    except InputError:
        return None


def _check_folders(planned: list[Experiment], start: str, stop: str) -> None:
    for experiment in planned:
        runs.refuse_other(experiment.run.folder, experiment.values)
        _refuse_other_recordings(experiment)
        lacking = "" if experiment.video else experiments_experiment.absent_data(experiment.values)
        if lacking:
            raise InputError(
                lacking,
                where=", ".join(map(short, experiment.files)),
                expected=f"the data set {experiment.values['dataset']} (data_README.md)",
                todo="-p data_root /path/to/it",
            )
        if TRAIN in experiment.steps(start, stop):
            _require_start(experiment)
    last = planned[-1]
    steps = last.steps(start, stop)
    reason = experiments_experiment.other_training(last)
    if (
        reason
        and steps[-1:] > [TRAIN]
        and TRAIN not in steps
        and not last.values.get("predict_run")
    ):
        raise InputError(
            reason,
            where=last.run.folder,
            expected=f"{TRAIN} among the notebooks to execute",
            todo="leave out --from, or set the parameters as they were",
        )


def _require_start(experiment: Experiment) -> None:
    """Raise InputError if a training would start from a network that is not there and cannot be
    fetched: before the hours of 01 to 04, not after them.
    """
    start = _starts_from(experiment)
    if not start or experiments_experiment.is_trained(experiment.run):
        return
    if not weights.can_be_fetched(resolve(start)):
        checkpoint(start, experiment.run.folder.parent)


def _starts_from(experiment: Experiment) -> str:
    """The run or weights file that a training starts from, "" for none."""
    return _options(experiment).get("start_from", "")


def _options(experiment: Experiment) -> Mapping:
    return experiment.values.get("options") or {}


def _refuse_other_recordings(experiment: Experiment) -> None:
    """Raise InputError where a person named a run that is of other recordings."""
    values = experiment.values
    if values.get("dataset") != "folder" or values.get("video_path"):
        return
    from ..datasets import study  # for folders of recordings only

    now, name = experiments_experiment.processed_name(values), values["run"]
    study.refuse_other(experiment.run, now, f"-p run {name}-2")


def _in_turn(planned: list[Experiment], start: str, stop: str, say: Callable) -> int:
    status, last = EXIT_DONE, planned[-1]
    for experiment in planned:
        missing = experiment is not last
        if missing:
            say(
                f"{experiment.run.name} is not there yet and is made first: {last.run.name} "
                "builds on it"
            )
        status = max(status, _all(experiment, *(("", "") if missing else (start, stop)), say))
    return status


def _all(experiment: Experiment, start: str, stop: str, say: Callable) -> int:
    """Run the notebooks of one experiment; returns DONE, or LOST if something could not be done. A
    second process with the same experiment waits, and is told for which process.
    """

    def wait(holder: str, path: Path) -> None:
        say(f"{experiment.run.name}: another process works on this run, {holder}: waiting for it")

    folder = experiment.run.folder
    if experiment.video:  # writes to its own folder in the run folder and touches nothing else
        folder = runs.folder_of_video(experiment.run, resolve(experiment.video))
    with held(folder / LOCK, math.inf, wait, remove=True):
        clear_leftovers(folder)  # of a process that was killed
        return _steps(experiment, start, stop, say)


def _steps(experiment: Experiment, start: str, stop: str, say: Callable) -> int:
    run, steps, began = experiment.run, experiment.steps(start, stop), time.monotonic()
    say(f"{run.name}  ({', '.join(map(short, experiment.files))})")
    if experiment.renamed:
        say(f"  {experiment.renamed} is of other recordings, so this run is called {run.name}")
    _fetch(experiment, say)
    if TRAIN in steps and (reason := experiments_experiment.other_training(experiment)):
        _set_aside(experiment, reason, say)
    done = [
        _one(experiment, step, f"  {number}/{len(steps)} {step}", say)
        for number, step in enumerate(steps, 1)
    ]
    if any(done) or begun(run, REPORT).is_file():
        say(f"  report: {short(report.write(run))}")
        begun(run, REPORT).unlink(missing_ok=True)
    say(f"  all in {clock(time.monotonic() - began)}: {short(run.folder)}")
    return _lost(run, say)


def _fetch(experiment: Experiment, say: Callable) -> None:
    """Download absent published networks that an experiment names as files, with a line for each.
    Raises InputError with the command to type if that is not possible.
    """
    texts = [experiment.values.get(name, "") for name in ("predict_run", "speaker_run")]
    for file in (resolve(text) for text in texts if text):
        _provide(file, experiment, lambda line: say(f"  {line}"))


def _provide(file: Path, experiment: Experiment, say: Callable) -> None:
    """Download one published network if it is absent; any other file is left as it is."""
    if weights.can_be_fetched(file) and not file.is_file():
        if not experiment.values.get("fetch_weights", True):
            weights.find(weights.name_of(file), file.parent)
        say(weights.provide(file))


def _fetch_initial(experiment: Experiment, say: Callable) -> None:
    """Download the networks that a training starts from, with a line for each. Raises InputError
    with the command to type if they are absent and `fetch_weights` is false.
    """
    if start := _starts_from(experiment):
        _provide(resolve(start), experiment, lambda line: say(f"      {line}"))
        return
    if _options(experiment).get("initial") != "pretrained":
        return
    folder = resolve(experiment.values.get("weights_root") or "weights")
    for name in weights.INITIAL:
        if not experiment.values.get("fetch_weights", True):
            weights.find(name, folder)
        if sentence := weights.provide(weights.path(name, folder)):
            say(f"      {sentence}")


def _one(experiment: Experiment, step: str, label: str, say: Callable) -> bool:
    """Skip, take over or execute one notebook; returns whether the run folder's results changed."""
    run = experiment.run
    if step == YOUR_VIDEO:
        _predict_video(experiment, label, say)
        return False
    reason = experiments_experiment.outdated(experiment, step, run)
    if not reason:
        say(f"{label}: skipped, nothing changed")
        return False
    if step == TRAIN and reason.anew and (run.folder / "checkpoints").is_dir():
        _set_aside(experiment, str(reason), say)
        for earlier in PREPARATION:
            experiments_experiment.take_over(experiment, earlier)
    _write_start(experiment)
    if step in PREPARATION and (other := experiments_experiment.take_over(experiment, step)):
        begun(run, step).unlink(missing_ok=True)
        say(f"{label}: taken over from {other}")
        return True
    say(f"{label}: {reason}")
    if step == TRAIN:
        _fetch_initial(experiment, say)
    elsewhere = torchrun.current().elsewhere
    if step == TRAIN and elsewhere:
        elsewhere(experiment, lambda line: say(f"      {line}"))
    else:
        _execute(experiment, step, label, say)
    return True


def _predict_video(experiment: Experiment, label: str, say: Callable) -> None:
    """Execute the notebook for a person's own recording, or a folder of them: it writes into
    ``videos/<name>/`` of the run folder and touches nothing else.
    """
    began = time.monotonic()
    say(f"{label}: {experiment.video}")
    folder = runs.folder_of_video(experiment.run, resolve(experiment.video))
    target = folder / f"{YOUR_VIDEO}.ipynb"
    execute(
        experiment.notebooks / f"{YOUR_VIDEO}.ipynb",
        target,
        experiment.read_by(YOUR_VIDEO),
        lambda line: say(f"      {line}"),
    )
    say(f"{label}: done in {clock(time.monotonic() - began)}: {short(target.parent)}")


def _execute(experiment: Experiment, step: str, label: str, say: Callable) -> None:
    run, began = experiment.run, time.monotonic()
    record = f"steps/{step}.json"
    if before := experiments_experiment.record_of(run, step):
        # Until the notebook records its new end, the old one must not count.
        run.write_json(record, {**before, "started_again": True})
    if step == TRAIN:
        run.write_json(
            "steps/training.json", experiments_experiment.training_parameters(experiment)
        )
        torchrun.current().announce(run.name)
    run.write_text(f"steps/{begun(run, step).name}", "")
    execute(
        experiment.notebooks / f"{step}.ipynb",
        run.folder / f"{step}.ipynb",
        experiment.read_by(step),
        lambda line: say(f"      {line}"),
    )
    begun(run, step).unlink(missing_ok=True)
    unfinished = run.read_json(record, {}).get("unfinished")
    if unfinished:
        raise Unfinished(
            f"{step} stopped before its end: {unfinished}; the same command goes on from there"
        )
    say(f"{label}: done in {clock(time.monotonic() - began)}")


def _set_aside(experiment: Experiment, reason: str, say: Callable) -> None:
    other = experiments_experiment.set_aside(experiment.run.folder)
    say(f"  {reason}; the old run is kept as {other.name}")


def _write_start(experiment: Experiment) -> None:
    """Write the complete parameters and the environment before anything is executed, and mark the
    report as outdated.
    """
    experiment.run.write_text(f"steps/{begun(experiment.run, REPORT).name}", "")
    values = {name: runs.as_text(value) for name, value in experiment.values.items()}
    values |= {"video_path": ""} if experiment.video else {}
    if "params_file" in values and experiment.files:
        values["params_file"] = short(experiment.files[0])  # for people: what it was made from
    experiment.run.write_text(
        "params.yaml", yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    )
    facts = {name: values[name] for name in ("dataset", "recipe", "rules") if name in values}
    device = str(values.get("device", ""))
    experiment.run.write_json("environment.json", runs.environment(device, **facts))


def _lost(run: runs.Run, say: Callable) -> int:
    rows = run.failures()
    if rows:
        say(f"  but {len(rows)} could not be done, see {short(run.folder / 'failures.csv')}:")
        for row in rows[:5]:
            say(f"      {row['step']}  {row['item']}: {row['what']}")
    return EXIT_LOST if rows else EXIT_DONE
