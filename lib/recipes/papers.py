"""Settings of a paper or its authors' code, and the differences of our parameter files: declared in
each recipe, and collected in the table of ``docs/reproduce.md``.

A value that the paper gives is a `Setting`, which needs a reason if and only if the parameter file
has another value. Anything that is no parameter is a `Difference`. After a change, write the table
again:

    python -c "from lib.recipes import papers; papers.write()"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from .. import parameters
from ..errors import InputError
from ..files import ROOT, write_text

PAGE = ROOT / "docs" / "reproduce.md"
BEGIN, END = "<!-- deviations: made by lib/recipes/papers.py -->", "<!-- /deviations -->"
TABLE_HEAD = ("| where | what | paper or its code | ours | why |", "|---|---|---|---|---|")


@dataclass(frozen=True)
class Setting:
    """A number or choice of the paper that is a parameter here.

    key : name of the parameter, ``options.name`` for one of the recipe's own.
    paper : its value there, None where none is stated.
    why : the reason if a parameter file has another value; "" if all have the paper's.
    source : its origin, if not the method's own paper or code.
    """

    key: str
    paper: object
    why: str = ""
    source: str = ""


@dataclass(frozen=True)
class Difference:
    """A difference from the paper that is no value of a parameter file.

    only_corrected : whether `rules: published` does it as the authors do.
    """

    what: str
    paper: str
    ours: str
    why: str
    only_corrected: bool = True


@dataclass(frozen=True)
class Paper:
    """Declaration of a recipe. files : parameter files that follow the paper, without suffix."""

    files: tuple[str, ...]
    settings: tuple[Setting, ...] = ()
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class Row:
    """One line of the table; rows that agree in all but `where` are joined."""

    where: str
    what: str
    paper: str
    ours: str
    why: str


def of_file(paper: Paper, file: str, values: Mapping) -> Iterator[Row]:
    """The rows of a parameter file, whose complete `values` are given. Raises InputError for a
    difference without a reason.
    """
    for setting in paper.settings:
        ours = _value(values, setting.key)
        if ours == setting.paper:
            continue
        if not setting.why:
            raise InputError(
                f"{setting.key} is {ours}, and the paper has {setting.paper}",
                where=f"params/{file}.yaml",
                expected="the paper's value, or the reason for another one",
                todo="give the reason in the recipe's `paper`",
            )
        theirs = f"{_text(setting.paper)}{f' ({setting.source})' if setting.source else ''}"
        yield Row(file, f"`{setting.key}`", theirs, _text(ours), setting.why)
    for difference in paper.differences:
        also = "" if difference.only_corrected else " (under both rules)"
        yield Row(file, difference.what, difference.paper, difference.ours + also, difference.why)


def _value(values: Mapping, key: str) -> object:
    group, _, name = key.rpartition(".")
    return values[group][name] if group else values[name]


def _text(value: object) -> str:
    if value is None:
        return "not stated"
    return f"{value:g}" if isinstance(value, float) else str(value) or "empty"


def declared() -> dict[str, Paper]:
    """Recipe -> what it declares of its paper; recipes that follow none are left out."""
    from . import NAMES  # here: that package imports its recipes, and they import this module

    classes = {name: import_module(f"{__package__}.{name}").Recipe for name in NAMES}
    return {
        name: vars(recipe)["paper"] for name, recipe in classes.items() if vars(recipe).get("paper")
    }


def rows(folder: Path = ROOT / "params") -> list[Row]:
    """All rows of the table, those that several files share joined into one."""
    joined: dict[tuple, list[str]] = {}
    for paper in declared().values():
        for file in paper.files:
            values = parameters.complete(parameters.load([folder / f"{file}.yaml"]))
            for row in of_file(paper, file, values):
                joined.setdefault((row.what, row.paper, row.ours, row.why), []).append(file)
    return [Row(_files(files), *columns) for columns, files in joined.items()]


def _files(files: list[str]) -> str:
    """``affwild2_jca, …rjca``: the data set's name once."""
    first, *others = files
    start = first.partition("_")[0] + "_"
    return ", ".join([f"`{first}`", *(f"`{name.removeprefix(start)}`" for name in others)])


def table(folder: Path = ROOT / "params") -> str:
    """The table in Markdown."""
    lines = [
        f"| {row.where} | {row.what} | {row.paper} | {row.ours} | {row.why} |"
        for row in rows(folder)
    ]
    return "\n".join([*TABLE_HEAD, *lines])


def _around(page: Path) -> tuple[str, str, str]:
    text = page.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise InputError(
            "the page has no place for the table", where=page, expected=f"{BEGIN} … {END}"
        )
    before, rest = text.split(BEGIN, 1)
    return before, *rest.split(END, 1)


def on_page(page: Path = PAGE) -> str:
    """The table as it stands on the page. Raises InputError where its marks are missing."""
    return _around(page)[1].strip()


def write(page: Path = PAGE) -> Path:
    """Put the table of now into the page; returns its path."""
    before, _, after = _around(page)
    return write_text(page, f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}")
