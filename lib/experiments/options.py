"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import click

from .. import grammar

PATH = click.Path(path_type=Path)


def paths(name: str) -> Callable:
    """The argument `name`: one or more files or folders."""
    return click.argument(name, nargs=-1, required=True, type=PATH)


def folder(*names: str, help: str) -> Callable:
    """An option that names the folder in which something is written."""
    return click.option(*names, type=PATH, metavar="FOLDER", help=help)


def root(default: str) -> Callable:
    """The option ``--root``: the folder to look in."""
    return click.option("--root", default=default, show_default=True, type=PATH)


def overrides(help: str = "Set one parameter.") -> Callable:
    """The option ``-p NAME VALUE``: pairs of texts; paths are relative to the working directory."""
    words = f"{help} Paths count from the folder you are in."
    return click.option(
        "-p",
        "overrides",
        nargs=2,
        multiple=True,
        metavar="NAME VALUE",
        help=words,
        callback=lambda context, option, pairs: from_here(pairs),
    )


def cluster(command: Callable) -> Callable:
    """The options ``--cluster FILE`` (may be given twice) and ``--print-jobs``."""
    command = click.option(
        "--print-jobs",
        "--dry-run",
        "print_jobs",
        is_flag=True,
        help="With --cluster: show the job scripts, and start nothing.",
    )(command)
    return click.option(
        "--cluster",
        "cluster_files",
        multiple=True,
        metavar="FILE",
        help="Share the work on trials among jobs: slurm, pbs, local or a file like "
        "params/cluster/slurm.yaml; a second one for steps with networks (gpus: 1) and 05.",
    )(command)


def from_here(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The pairs, with absolute paths for parameters that name a folder or file, and for a run that
    is an existing file.
    """
    places = grammar.of_groups(grammar.all_declared(), ["place"])
    return tuple(
        (name, _absolute(text) if name in places or Path(text).is_file() else text)
        for name, text in pairs
    )


def _absolute(text: str) -> str:
    return str(Path.cwd() / Path(text).expanduser()) if text.strip("\"'") else ""
