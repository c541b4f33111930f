"""``python -m lib sweep …``: a grid of runs on this machine or on a cluster."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from .. import options


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="FILES… --grid NAME=VALUES…")
@click.option(
    "--grid",
    "grid",
    multiple=True,
    metavar="NAME=VALUES…",
    help="Parameters and their values: fold=0..5 emotion=valence,arousal",
)
@options.overrides("Set one parameter of all points.")
@click.option(
    "--cluster",
    default="local",
    show_default=True,
    help="local, slurm, pbs (params/cluster/….yaml), or a file like these.",
)
@click.option(
    "--workers",
    default=0,
    type=click.IntRange(0),
    help="At most so many at a time; 0: as the file says.",
)
@click.option(
    "--print-jobs",
    "--dry-run",
    "print_jobs",
    is_flag=True,
    help="Show the job script and the points, and start nothing.",
)
def sweep(
    words: tuple[str, ...],
    grid: tuple[str, ...],
    overrides: tuple,
    cluster: str,
    workers: int,
    print_jobs: bool,
) -> None:
    """Run an experiment once for each point of a grid: FILES are its parameter file and overlays.

    Each point is a run folder of its own, runs/<run>_<what differs>. What points share is made
    once, a point that dies is tried again and goes on from its checkpoint. The table grows in
    runs/<run>_sweep/sweep.html (and .csv); the same command again takes up where it was stopped.
    Exit status: 0 all finished, 1 some failed, 2 wrong command and nothing started, 3 finished but
    something was lost, 75 to be continued, 130 interrupted.
    """
    from ...parallel import clusters
    from . import plan, run, table

    # click gives only the first word after --grid to the option; the others are recognised by their
    # equals sign.
    files = [Path(word) for word in words if "=" not in word]
    spec = clusters.read(cluster)
    planned = plan.plan(files, [*grid, *(word for word in words if "=" in word)], dict(overrides))
    if print_jobs:
        click.echo("\n".join(job_lines(planned, spec, workers)))
        return
    screen = table.Screen()
    status = run.run(planned, spec, workers, screen.tell, screen)
    if status in (0, 1, 3):
        _results(planned.folder)
    click.echo(f"table: {planned.folder / 'sweep.html'}")
    sys.exit(status)


def _results(folder: Path) -> None:
    from . import results
    from . import table as tables

    table = tables.read(folder)
    click.echo(tables.text(table))
    if table["score"].notna().any():
        click.echo(results.finish(folder).text)


def job_lines(planned, spec, workers: int = 0) -> list[str]:
    """Text of --print-jobs: how many jobs at a time, the script of each, and the points that the
    jobs would run in turn.
    """
    from ...parallel import clusters

    lines = []
    if spec.kind != "local":
        points = len(planned.experiments)
        most = min(workers or spec.workers or points, points)
        lines.append(f"# jobs of {spec.kind.upper()}; at a time: {most}; workers in each: 1")
        lines += [clusters.script(spec), "# ADDRESS: of the sweep, known when it runs"]
    lines += [f"# {name}: made first" for name in planned.bases]
    for point in planned.points:
        both = {**planned.overrides, **point.overrides(), "run": point.name}
        more = "".join(f" -p {name} {shlex.quote(text)}" for name, text in both.items())
        lines.append(f"python -m lib run {shlex.join(planned.files)}{more}")
    return lines
