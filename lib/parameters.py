"""Parameters: what the notebooks declare, what a YAML file sets, and whether the two fit.

One experiment is one flat YAML. The cells tagged ``parameters`` of the six notebooks are the
declaration (`lib.grammar` has their grammar); what only one recipe has goes into ``options``,
declared in its file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path

import yaml

from .errors import InputError
from .files import ROOT, resolve
from .grammar import Declaration, all_declared, declared, of_groups, recipes

# A file that these name is an input that the person brings: it must be there before anything
# starts.
MUST_EXIST = ("video_path",)


class Params(Mapping):
    """Checked parameters, read-only: ``p.lr`` or ``p["lr"]``; ``dict(p)`` for all of them."""

    def __init__(self, values: Mapping):
        object.__setattr__(self, "_values", dict(values))

    def __getattr__(self, name: str):
        if (
            name.startswith("__") or name == "_values"
        ):  # asked for by copy and pickle before __init__
            raise AttributeError(name)
        if name not in self._values:
            raise AttributeError(f"no parameter is called {name}{_nearest(name, self._values)}")
        return self._values[name]

    def __setattr__(self, name: str, value: object):
        raise AttributeError(
            f"parameters are read-only: set {name} in the parameters cell, then check again"
        )

    def __getitem__(self, name: str):
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __reduce__(self):
        return Params, (self._values,)

    def __repr__(self) -> str:
        width = max(map(len, self._values), default=0)
        shown = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in self._values.items()
        }
        return "\n".join(f"{name:<{width}}  {value!r}" for name, value in shown.items())


def _nearest(name: str, known) -> str:
    near = get_close_matches(name, list(known), 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""


# ---- files
class _Loader(yaml.SafeLoader):
    """YAML that refuses what would be read as something else than was meant."""

    def construct_mapping(self, node, deep=False):
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [str(name) for name in names if names.count(name) > 1]
        if twice:
            raise yaml.MarkedYAMLError(
                problem=f"{twice[0]} is set twice", problem_mark=node.start_mark
            )
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node):
        digits = node.value.lstrip("+-")
        if ":" in digits or (digits[0] == "0" and digits.isdigit() and digits != "0"):
            raise yaml.MarkedYAMLError(
                problem=f"{node.value} would be read as the number "
                f'{super().construct_yaml_int(node)}: write "{node.value}"',
                problem_mark=node.start_mark,
            )
        return super().construct_yaml_int(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _yaml(text: str, where: object) -> object:
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"YAML: {error.problem}", where=f"{where}{line}") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise InputError(f"YAML: {error}", where=where) from error


def load(files: list[Path], overrides: Mapping[str, str] | None = None) -> dict:
    """Raw values of parameter files, later ones winning, then of ``-p name value`` overrides (YAML
    scalars).

    ``options`` are merged name by name, so that an overlay can set one of them; everything else is
    replaced.
    """
    merged: dict = {}
    for path in map(Path, files):
        if not path.is_file():
            near = _nearest(path.name, [other.name for other in path.parent.glob("*.y*ml")])
            raise InputError(f"no such parameter file{near}", where=path)
        values = _yaml(_text(path), path)
        if not isinstance(values, dict | None):
            raise InputError("no `name: value` lines", where=path, expected="one flat YAML mapping")
        merged = _merge(merged, {str(name): value for name, value in (values or {}).items()})
    read = {name: _yaml(text, f"-p {name}") for name, text in (overrides or {}).items()}
    return _merge(merged, {name: "" if value is None else value for name, value in read.items()})


def _text(path: Path) -> str:
    """A parameter file's text, also as Windows writes it: its line ends, its mark at the
    beginning.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"this file cannot be read as text: {error}",
            where=path,
            expected="YAML in UTF-8",
            todo="save it in UTF-8 (not in UTF-16, as `>` of an old PowerShell writes)",
        ) from error


def _merge(below: dict, above: dict) -> dict:
    merged = {**below, **above}
    if isinstance(below.get("options"), dict) and isinstance(above.get("options"), dict):
        merged["options"] = {**below["options"], **above["options"]}
    return merged


# ---- checks
def validate(
    values: Mapping,
    names: Mapping[str, Declaration] | None = None,
    partial: bool = False,
    folder: Path = ROOT / "lib" / "recipes",
) -> list[str]:
    """Everything that is wrong with `values`, one sentence each; an empty list when they fit.

    Arguments
    ---------
    values : name → raw value.
    names : what is declared; by default what all notebooks declare.
    partial : an overlay: when it names no recipe, its options may be those of any.
    folder : where the recipes' files are.
    """
    names = all_declared() if names is None else names
    problems = wrong_values(values, names)
    return (
        problems + _wrong_recipe(values, names, partial, recipes(folder)) + _missing_files(values)
    )


def wrong_values(values: Mapping, names: Mapping[str, Declaration]) -> list[str]:
    """A sentence for each of `values` that `names` do not declare, or that does not fit its
    declaration.
    """
    problems = []
    for name, value in values.items():
        problems += _wrong(name, value, names, "no such parameter")
    return problems


def _wrong(name: str, value: object, names: Mapping[str, Declaration], unknown: str) -> list[str]:
    if name not in names:
        return [f"{name}: {unknown}{_nearest(name, names)}"]
    try:
        names[name].read(value)
    except InputError as error:
        return [f"{name}: {error.what}"]
    return []


def _wrong_recipe(values: Mapping, names: Mapping, partial: bool, known: Mapping) -> list[str]:
    recipe = values.get("recipe", names["recipe"].default if "recipe" in names else "")
    given = values.get("options", {})
    if "recipe" in values and isinstance(recipe, str) and recipe not in known:
        there = ", ".join(known)
        return [
            f"recipe: no file lib/recipes/{recipe}.py{_nearest(recipe, known)} (there are: {there})"
        ]
    if not isinstance(given, dict) or not isinstance(recipe, str):
        return []
    usable = known.get(recipe, {})
    if partial and "recipe" not in values:
        usable = {
            name: declaration for options in known.values() for name, declaration in options.items()
        }
    return [
        f"options, {problem}"
        for name, value in given.items()
        for problem in _wrong(name, value, usable, f"the recipe {recipe} has no such option")
    ]


def _missing_files(values: Mapping) -> list[str]:
    given = {name: values.get(name) for name in MUST_EXIST}
    return [
        f"{name}: no such file: {resolve(value)}"
        for name, value in given.items()
        if isinstance(value, str) and value and not resolve(value).is_file()
    ]


def complete(
    values: Mapping,
    names: Mapping[str, Declaration] | None = None,
    folder: Path = ROOT / "lib" / "recipes",
) -> dict:
    """All declared parameters in their types, with defaults, the recipe's options too.

    Raises InputError that lists everything that is wrong.
    """
    names = all_declared() if names is None else names
    refuse(validate(values, names, folder=folder), "the parameters")
    full = {name: d.read(values.get(name, deepcopy(d.default))) for name, d in names.items()}
    if "options" in full:
        usable = recipes(folder).get(full.get("recipe", ""), {})
        given = {
            name: usable[name].read(value)
            for name, value in full["options"].items()
            if name in usable
        }
        full["options"] = {**{name: d.default for name, d in usable.items()}, **given}
    return full


def refuse(problems: list[str], where: object) -> None:
    """Raise one InputError that lists all `problems`; do nothing when there are none."""
    if problems:
        count = "1 parameter cannot" if len(problems) == 1 else f"{len(problems)} parameters cannot"
        raise InputError("\n  - ".join([f"{count} be used:", *problems]), where=where)


def run_name(values: Mapping) -> str:
    """Name of the run folder: `run`, or ``<dataset>_<recipe>``, and the modality if only one is
    used.
    """
    if values.get("run"):
        return values["run"]
    single = str(values.get("modality", "")).replace("audiovisual", "")
    parts = [values.get("dataset", ""), values.get("recipe", ""), single]
    return "_".join(part for part in parts if part)


def check(notebook: str, namespace: Mapping, folder: Path = ROOT / "notebooks") -> Params:
    """What a notebook's check cell calls: ``p = params.check("05_train", globals())``.

    Unknown names are looked for in the sources of the parameters cell and of papermill's injected
    one (IPython's ``In``), in the form they had when they last ran; among all globals every helper
    would be one.

    Returns Params: what this notebook declares, with `run` filled in (see `run_name`); parameters
    of the group `place` are absolute paths, "" stays "". What a file sets for other notebooks is
    only checked. Raises InputError that lists everything that is wrong.
    """
    names, own = all_declared(folder), declared(notebook, folder)
    written = _names_in_cells(namespace.get("In", []), own)
    values = {name: namespace[name] for name in [*own, *written] if name in namespace}
    unset = [f"{name}: not set; run the parameters cell" for name in own if name not in values]
    refuse(validate(values, names) + unset, f"notebooks/{notebook}.ipynb")
    full = complete(values, names)
    return Params({**_absolute({name: full[name] for name in own}, own), "run": run_name(full)})


def placed(values: Mapping) -> Params:
    """All parameters of an experiment for programs outside notebooks: what is missing has its
    default, its folders and files are absolute paths. Raises InputError for unknown names and wrong
    types.
    """
    return Params(_absolute(complete(values), all_declared()))


def _absolute(values: Mapping, names: Mapping[str, Declaration]) -> dict:
    """The values, with an absolute path for each parameter of the group `place` that is set."""
    places = {
        name: resolve(values[name]) for name in of_groups(names, ["place"]) if values.get(name)
    }
    return {**values, **places}


def _names_in_cells(sources: list[str], own: Mapping[str, Declaration]) -> list[str]:
    """Names that the last-run parameters cell and the last-run injected cell assign."""
    parameters, injected = [], []
    for source in sources:
        names, annotated = _assigned(source)
        if source.lstrip().startswith("# Parameters"):
            injected = names
        elif set(annotated) & set(own):
            parameters = names
    return list(dict.fromkeys([*parameters, *injected]))


def _assigned(source: str) -> tuple[list[str], list[str]]:
    """Names that a cell of assignments assigns, and those of them with a type; nothing for any
    other cell.
    """
    try:
        body = [node for node in ast.parse(source).body if not isinstance(node, ast.Expr)]
    except SyntaxError:
        return [], []  # a cell with IPython's magics
    if not all(isinstance(node, ast.AnnAssign | ast.Assign) for node in body):
        return [], []
    pairs = [
        (node.target if isinstance(node, ast.AnnAssign) else node.targets[0], node) for node in body
    ]
    return (
        [target.id for target, _ in pairs if isinstance(target, ast.Name)],
        [target.id for target, node in pairs if isinstance(node, ast.AnnAssign)],
    )
