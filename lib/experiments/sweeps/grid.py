"""The grid of a sweep: ``seed=0..4 emotion=valence,arousal`` → points, parameters, names."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from ...errors import InputError, nearest_name
from ...files import folded
from ...grammar import Declaration
from ...parameters import typed_value

RANGE_PATTERN = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(\d+))?")
MAX_POINTS = 10_000  # points; more are taken for a typing mistake

# Parameters that differ per point anyway, or that hold for the whole sweep.
NOT_IN_A_GRID = frozenset(
    ["run", "runs_root", "data_root", "processed_root", "video_path", "predict_run"]
)
EXAMPLE = "seed=0..4 emotion=valence,arousal"
OPTION = "options."  # options.dropout=0.1,0.3: what the recipe declares


@dataclass(frozen=True)
class Point:
    """One combination of the grid's values: `name` (made of what differs) and `values` (parameter →
    value).
    """

    name: str
    values: Mapping[str, object]

    def overrides(self) -> dict[str, str]:
        """The same as ``-p name value``: texts as they are, else YAML; options are merged with
        those of the file.
        """
        plain: dict = {
            name: value for name, value in self.values.items() if not name.startswith(OPTION)
        }
        options = {
            name.removeprefix(OPTION): value
            for name, value in self.values.items()
            if name.startswith(OPTION)
        }
        return {
            name: value if isinstance(value, str) and value else _as_yaml(value)
            for name, value in (plain | ({"options": options} if options else {})).items()
        }


def parse(
    words: Sequence[str],
    known: Mapping[str, Declaration],
    options: Mapping[str, Declaration] | None = None,
) -> dict[str, list]:
    """Parameter → its values, in the order given.

    Arguments
    ---------
    words : ``name=a,b,c``; whole numbers also ``name=0..5`` (both ends belong to it) or
        ``name=0..100..20``.
    known : what the notebooks declare; `options` what the recipe declares.

    Raises InputError that lists everything that is wrong: unknown names, bad ranges, values of the
    wrong type, duplicates.
    """
    grid: dict[str, list] = {}
    problems = []
    declared = {
        **known,
        **{f"{OPTION}{name}": declaration for name, declaration in (options or {}).items()},
    }
    for word in words:
        name, sign, text = word.partition("=")
        try:
            if not sign:
                raise InputError("no `name=values`")
            if name in grid:
                raise InputError("is there twice")
            grid[name] = _values(name, text, declared)
        except InputError as error:
            problems.append(f"{name}: {error.what}")
    if not words:
        problems.append("no parameter is named")
    count = math.prod(map(len, grid.values()))
    if count > MAX_POINTS:
        problems.append(f"{count} points, more than {MAX_POINTS}")
    if problems:
        raise InputError(
            "the grid cannot be used:\n  - " + "\n  - ".join(problems), expected=f"--grid {EXAMPLE}"
        )
    return grid


def _values(name: str, text: str, declared: Mapping[str, Declaration]) -> list:
    if name in NOT_IN_A_GRID:
        raise InputError("cannot differ between the points of a sweep")
    if name not in declared:
        near = nearest_name(name, declared)
        raise InputError("no such parameter" + (f"; did you mean {near}?" if near else ""))
    declaration = declared[name]
    if declaration.type.startswith(("list", "dict")):
        raise InputError(f"is a {declaration.type}: only single values can stand in a grid")
    values = [
        declaration.read(typed_value(part, declaration.type, "--grid")) for part in _parts(text)
    ]
    doubles = sorted(str(value) for value, count in Counter(values).items() if count > 1)
    if doubles:
        raise InputError(f"{', '.join(doubles)} is there twice")
    return values


def _parts(text: str) -> list[str]:
    if match := RANGE_PATTERN.fullmatch(text.strip()):
        first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
        if first > last or step < 1:
            raise InputError(
                f"the range {text} holds nothing: write the smaller number first, then .."
            )
        if (last - first) // step >= MAX_POINTS:
            raise InputError(f"the range {text} has more than {MAX_POINTS} values")
        return [str(number) for number in range(first, last + 1, step)]
    if ".." in text:
        raise InputError(
            f"{text} is no range: write whole numbers, for example 0..5, or 0..100..20"
        )
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise InputError(f"an empty value in {text!r}")
    return parts


def points(grid: Mapping[str, Sequence], run: str) -> list[Point]:
    """All combinations, the last parameter changing fastest, named ``<run>_fold0_valence_video``.

    Raises InputError if two points would have the same name.
    """
    combinations = []
    for combination in itertools.product(*grid.values()):
        values = dict(zip(grid, combination, strict=True))
        combinations.append(
            Point("_".join([run, *(_word(name, value) for name, value in values.items())]), values)
        )
    names = Counter(folded(point.name) for point in combinations)
    if twice := sorted(name for name, count in names.items() if count > 1):
        raise InputError(
            f"two points would have the same run folder: {twice[0]}", expected=f"--grid {EXAMPLE}"
        )
    return combinations


def _word(name: str, value: object) -> str:
    """``fold0``, ``lr0.001``; for a text value the text itself: ``valence``."""
    short = name.removeprefix(OPTION)
    if isinstance(value, bool):
        text = short if value else f"no-{short}"
    elif isinstance(value, str):
        text = value or f"no-{short}"
    else:
        text = f"{short}{value:g}" if isinstance(value, float) else f"{short}{value}"
    return re.sub(r"[^\w.+-]+", "-", text)


def _as_yaml(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).strip().removesuffix("\n...")
