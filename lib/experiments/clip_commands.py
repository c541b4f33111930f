"""``python -m lib clips …``: one command for each step of preparing clips, and one for all."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import click

from ..errors import EXIT_FAILED, EXIT_LOST, InputError
from . import options


def _say(line: object) -> None:
    click.echo(str(line))
    sys.stdout.flush()


@click.group()
def clips() -> None:
    """Clips of fixed length with face and voice labels, from an experiment's parameter FILES."""


def _files(command):
    """Options that all commands share; `seconds` is turned into clip_length before a command
    starts.
    """

    @functools.wraps(command)
    def measured(files, overrides, seconds, **more):
        return command(
            files=files, overrides=(*overrides, *_length(files, overrides, seconds)), **more
        )

    for option in (
        options.overrides("Set one parameter, as -p clip_length 300."),
        click.option(
            "--seconds",
            type=click.FloatRange(0, min_open=True),
            help="Length of a clip in s, in place of clip_length.",
        ),
    ):
        measured = option(measured)
    return options.paths("files")(measured)


_force = click.option(
    "--force", is_flag=True, help="Do not stop when there seems to be too little room."
)


def _length(files: tuple[Path, ...], overrides: tuple, seconds: float | None) -> tuple:
    if seconds is None:
        return ()
    from ..speakers.clips import jobs

    n_frames = jobs.frames_of(_parameters(files, overrides), seconds)
    _say(f"{seconds:g} s are {n_frames} frames")
    return (("clip_length", str(n_frames)),)


def _parameters(files: tuple[Path, ...], overrides: tuple):
    from .. import parameters

    return parameters.placed(
        parameters.load(list(files), {"cut_clips": "always", **dict(overrides)})
    )


def _job(files: tuple[Path, ...], overrides: tuple):
    from ..speakers.clips import jobs

    p = _parameters(files, overrides)
    return jobs.refuse_none(jobs.opened(p)), p


def _table(rows, nothing: str = "") -> None:
    from ..plots import viewer

    _say(viewer.table(rows, nothing))


def _steps(files: tuple, overrides: tuple, steps: tuple[str, ...], force: bool = False) -> bool:
    """Run some steps for all videos; returns whether every video succeeded."""
    from ..parallel.progress import Progress
    from ..speakers.clips import jobs

    job, p = _job(files, overrides)
    _say(f"{' + '.join(steps)}: {job}")
    outcomes = jobs.run(
        job, steps, p.workers, Progress("videos", stream=sys.stdout), force, parallel=p.parallel
    )
    _table(jobs.faults(outcomes, job), "nothing was left out")
    lost = jobs.failures(outcomes)
    _say(f"{len(outcomes) - len(lost)} of {len(outcomes)} videos done")
    return not lost


@clips.command()
@_files
def check(files: tuple[Path, ...], overrides: tuple) -> None:
    """Check the data: what exists, what is wrong with it, what the clips would need. Writes
    nothing.
    """
    from .. import datasets
    from ..speakers.clips import plan

    job, p = _job(files, overrides)
    if job.layout:
        _, report = datasets.find(p)
        _table(report.count_table())
        _table(
            report.problem_table(), "nothing is wrong with lists, annotations, pictures and sound"
        )
    planned = plan.plan(job.sources, job.root, job.settings)
    _table(planned[planned["problem"] != ""][["video", "problem"]], "every video can be cut")
    _say(f"\n{job}")
    _table(plan.needs(planned, job.root, job.settings))
    if job.layout and len(job.sources) < 439:
        _say("\nall of Ego4D's train and val (439 videos of 9000 frames), with hard links:")
        _table(plan.needs(plan.scaled(439, 9000, job.settings), job.root, job.settings))
    sys.exit(EXIT_LOST if (planned["problem"] != "").any() else 0)


@clips.command()
@_files
@click.option("--yes", is_flag=True, help="Remove what is listed; without it nothing is touched.")
def prune(files: tuple[Path, ...], overrides: tuple, yes: bool) -> None:
    """Remove the test set's pictures, sound and videos. A dry run, unless --yes."""
    from ..speakers.clips import prune as pruning

    job, _ = _job(files, overrides)
    if job.layout is None:
        raise InputError(
            "only Ego4D's layout has a test set to be removed", todo="set dataset: ego4d"
        )
    removal = pruning.plan(job.layout)
    for path in removal.paths:
        _say(job.layout.relative(path))
    _say(
        f"{len(removal.paths)} entries of {len(job.layout.ids['test'])} test clips "
        f"{'are removed' if yes else 'would be removed (dry run; --yes removes them)'}\nbefore:"
    )
    _table(removal.before)
    if yes:
        pruning.remove(removal)
        _say("after:")
        _table(pruning.counts(job.layout))
        kept = sum(len(job.layout.ids[split]) for split in ("train", "val"))
        _say(
            f"train and val: {len(job.layout.ids['train'])} + {len(job.layout.ids['val'])} = "
            f"{kept} clips"
        )


@clips.command()
@_files
@_force
def make(files: tuple[Path, ...], overrides: tuple, force: bool) -> None:
    """Link pictures and cut sound into clips; existing files are kept."""
    sys.exit(0 if _steps(files, overrides, ("make",), force) else EXIT_LOST)


@clips.command()
@_files
@click.option("--undo", is_flag=True, help="Give the pictures their first numbers back.")
def renumber(files: tuple[Path, ...], overrides: tuple, undo: bool) -> None:
    """Number pictures from 0 (a second run changes nothing), then write the index again."""
    from ..speakers.clips import jobs

    if undo:
        job, _ = _job(files, overrides)
        _say(
            f"{jobs.undo(job)} pictures have their first numbers again; next: python -m lib clips "
            "index"
        )
        return
    done = _steps(files, overrides, ("renumber",))
    _say("next: python -m lib clips index")
    sys.exit(0 if done else EXIT_LOST)


@clips.command("index")
@_files
def write_index(files: tuple[Path, ...], overrides: tuple) -> None:
    """Write clip.json of every clip, train.jsonl, val.jsonl and dataset.json."""
    sys.exit(0 if _steps(files, overrides, ("index",)) else EXIT_LOST)


@clips.command()
@_files
def verify(files: tuple[Path, ...], overrides: tuple) -> None:
    """Check everything and list all that is wrong; the exit status is then 1."""
    from ..speakers.clips import jobs

    job, _ = _job(files, overrides)
    sys.exit(_verified(jobs.check(job)))


def _verified(checks) -> int:
    _table(checks.table())
    _table(checks.failure_table(), "everything is as it should be")
    return EXIT_FAILED if checks.failures else 0


@clips.command("all")
@_files
@_force
def everything(files: tuple[Path, ...], overrides: tuple, force: bool) -> None:
    """make, renumber, index, verify. (Pruning is a step of its own: it removes data.)"""
    from ..speakers.clips import jobs

    done = _steps(files, overrides, jobs.STEPS, force)
    status = _verified(jobs.check(_job(files, overrides)[0]))
    sys.exit(status or (0 if done else EXIT_LOST))
