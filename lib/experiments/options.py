"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import click

from .. import grammar
from ..files import NAME_BYTES, ROOT, expanded, file_in_place_of

PATH = click.Path(path_type=Path)


def paths(name: str) -> Callable:
    """The argument `name`: one or more files or folders."""
    return click.argument(name, nargs=-1, required=True, type=PATH)


def folder(*names: str, help: str) -> Callable:
    """An option that names the folder in which something is written; a file is refused."""
    return click.option(*names, type=PATH, metavar="FOLDER", help=help, callback=_no_file)


def _no_file(context, option, path: Path | None) -> Path | None:
    if path and (file := file_in_place_of(path)):
        raise click.BadParameter(f"there is a file where a folder belongs: {file}")
    return path


def root(default: str, name: str = "--root") -> Callable:
    """An option for the folder that is looked into. As all paths of a command it counts from where
    the person stands; the default one lies in the repository.
    """
    return click.option(
        name,
        metavar="FOLDER",
        type=PATH,
        show_default=default,
        callback=lambda context, option, path: (
            ROOT / default if path is None else Path.cwd() / expanded(path)
        ),
    )


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
        callback=lambda context, option, pairs: from_here(_once(pairs)),
    )


def _once(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs, each name once; raises BadParameter for one with two values."""
    values: dict[str, str] = {}
    for name, text in pairs:
        if values.setdefault(name, text) != text:
            raise click.BadParameter(f"{name} is set twice: {values[name]} and {text}")
    return list(values.items())


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
        (name, _absolute(text) if name in places or _is_network(name, text) else text)
        for name, text in pairs
    )


def _is_network(name: str, text: str) -> bool:
    """Whether the value of a parameter that names a run is a file here; text that is too long to
    be one is refused with all else.
    """
    from ..parameters import NETWORKS  # imports NumPy

    return name in NETWORKS and len(text) < NAME_BYTES and Path(text).is_file()


def _absolute(text: str) -> str:
    return str(Path.cwd() / expanded(text)) if text.strip("\"'") else ""
