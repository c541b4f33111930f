"""Declarations of parameters: ``lr: float = 1.0e-4 # training: learning rate; from 1.0e-7 to 1.0``.

They stand in the notebooks' cells tagged ``parameters`` and in the ``class Options:`` of a recipe.
Both are read as text (`ast`, `tokenize`): nothing is imported or executed. An option of type
``dict[str, Group]`` holds named groups of settings, declared alike by a ``class Group:`` inside
``class Options:``. In a notebook the comment begins with a group of `GROUPS`; the group decides,
for example, whether a change of the parameter makes a notebook run again, and whether a training
may be continued with another value.
"""

from __future__ import annotations

import ast
import io
import json
import math
import re
import tokenize
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from pathlib import Path

from .errors import InputError, nearest_name
from .files import NOTEBOOKS, PACKAGE, ROOT, YOUR_VIDEO, version, write_text

SHIPPED = ROOT / "notebooks"
DECLARED_FILE = PACKAGE / "declared.json"  # the shipped lines of the notebooks' parameters cells
TYPES = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}
_LIST, _DICT = (
    re.compile(r"list\[(str|int|float|bool)\]"),
    re.compile(r"dict\[str, (str|int|float|bool)\]"),
)
_GROUPS = re.compile(r"dict\[str, ([A-Z]\w*)\]")
_RANGE, _CHOICES = re.compile(r"from (\S+)(?: to (\S+))?"), re.compile(r"one of (.+)")

# Numbers that Python's float() accepts but YAML 1.1 reads as text: 1e-4, 1e4, 1.0e4, .5e3.
_EXPONENT = re.compile(r"([-+]?)(\d*)(?:\.(\d*))?[eE]([-+]?)(\d+)")
GROUPS = {
    "place": "a folder or file; an absolute path once it was checked. Never counts: what lies "
    "there does",
    "machine": "what computes, and under which name; never counts",
    "data": "which recordings and labels",
    "model": "the network and what it is given",
    "training": "how it learns, and from which sequences",
    "report": "what else is computed, written and shown; no training depends on it",
}
WITHOUT_EFFECT = ("place", "machine")  # groups whose parameters change no result
NOT_OF_A_TRAINING = (*WITHOUT_EFFECT, "report")


# A line in the parameters cells of 05 and 06: names whose values earlier notebooks recorded.
_RECORDED = re.compile(r"# recorded: (.+)")

_UNCHANGED: ContextVar[dict | None] = ContextVar("unchanged", default=None)


@contextmanager
def unchanged() -> Iterator[None]:
    """Inside the block, or a function decorated with it, files that declare parameters are assumed
    not to change: each is looked at once instead of once per run or notebook.
    """
    token = _UNCHANGED.set(_UNCHANGED.get() or {})
    try:
        yield
    finally:
        _UNCHANGED.reset(token)


def once_while_unchanged(function: Callable[..., dict]) -> Callable[..., dict]:
    """A function whose answers, dicts, are kept while `unchanged` holds; nobody changes what is in
    them.
    """

    @wraps(function)
    def asked(*args, **named) -> dict:
        answers = _UNCHANGED.get()
        if answers is None:
            return function(*args, **named)
        key = (function.__name__, args, tuple(named.items()))
        if key not in answers:
            answers[key] = function(*args, **named)
        return dict(answers[key])

    return asked


@dataclass(frozen=True)
class Declaration:
    """One parameter: name, type as written, default, help text, the range or choices at the end of
    the help text, group.

    A range or a choice holds for each element of a list or dict. The default always fits: "not set"
    is ``""``, ``0`` or ``[]`` even when the range or the choices do not hold it.
    """

    name: str
    type: str
    default: object
    help: str = ""
    low: float = -math.inf
    high: float = math.inf
    choices: tuple = ()
    group: str = ""
    inside: Mapping[str, Declaration] | None = None  # of a dict's values, if those are groups

    def read(self, value: object) -> object:
        """`value` in the declared type. Raises InputError that says what is wrong and how to
        correct it.
        """
        if value == self.default and type(value) is type(self.default):
            return value
        if self.type.startswith("list"):
            return self._read_list(value)
        if self.type.startswith("dict"):
            return self._read_dict(value)
        return self._fit(_scalar(value, self.type))

    def _read_list(self, value: object) -> list:
        if isinstance(value, tuple):
            value = list(value)
        if not isinstance(value, list):
            kind = f"{_show(value)} is {_kind(value)} where a list belongs"
            raise InputError(f"{kind}{self._as_list(value)}")
        element = self.type[5:-1]
        return [self._fit(_scalar(item, element)) for item in value] if element else value

    def _as_list(self, value: object) -> str:
        """How to write a list, with the probably intended one if that is clear."""
        texts = re.split(r"[\s,;]+", value.strip(" ()")) if isinstance(value, str) else [value]
        element = self.type[5:-1]
        try:
            known = [_scalar(_number(text, element), element) for text in texts] if element else []
        except InputError:
            known = []
        return f": write [{', '.join(map(str, known))}]" if known else ": write [first, second]"

    def _read_dict(self, value: object) -> dict:
        if not isinstance(value, dict):
            raise InputError(
                f"{_show(value)} is {_kind(value)} where a mapping belongs: write {{a: 1}}"
            )
        if self.inside is not None:
            return {str(k): self._read_group(str(k), v) for k, v in value.items()}
        element = self.type[10:-1]
        return {str(k): self._fit(_scalar(v, element)) if element else v for k, v in value.items()}

    def _read_group(self, name: str, settings: object) -> dict:
        """The settings of one group, each in its declared type, with the defaults of the others."""
        if not isinstance(settings, dict):
            kind = f"{_show(settings)} is {_kind(settings)} where a mapping belongs"
            first = next(iter(self.inside))
            raise InputError(f"{name}: {kind}: write {name}: {{{first}: …}}")
        values = {}
        for key, value in settings.items():
            if key not in self.inside:
                near = _nearest_of(str(key), self.inside)
                known = ", ".join(self.inside)
                raise InputError(f"{name}: {key} is no setting{near} (there are: {known})")
            try:
                values[key] = self.inside[key].read(value)
            except InputError as error:
                raise InputError(f"{name}, {key}: {error.what}") from error
        return {**defaults(self.inside), **values}

    def _fit(self, value: object) -> object:
        if self.choices and value not in self.choices:
            hint = _nearest_of(str(value), map(str, self.choices))
            raise InputError(f"{_show(value)} is none of {', '.join(map(str, self.choices))}{hint}")
        limits = self.low > -math.inf or self.high < math.inf
        if limits and not isinstance(value, str) and not self.low <= value <= self.high:
            to = f"to {self.high:g}" if self.high < math.inf else "upwards"
            raise InputError(f"{value} is out of range: from {self.low:g} {to}")
        return value


def _nearest_of(name: str, known: Iterable[str]) -> str:
    near = nearest_name(name, known)
    return f" (did you mean {near}?)" if near else ""


def _show(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) < 60 else text[:57] + "…"


def _kind(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "not finite"
    kinds = {
        bool: "a truth value",
        int: "a whole number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "a mapping",
        type(None): "nothing",
    }
    return kinds.get(type(value), f"a {type(value).__name__}")


def _scalar(value: object, type_name: str) -> object:
    """`value` as ``str``, ``int``, ``float`` or ``bool``; lossless (1 → 1.0, 171 → "171")."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if type(value) is TYPES[type_name] and not (type_name == "float" and not math.isfinite(value)):
        return value
    if type_name == "float" and is_number and math.isfinite(value):
        return float(value)
    if type_name == "str" and type(value) is int:
        return str(value)
    raise InputError(f"{_show(value)} is {_kind(value)}{_way_out(value, type_name)}")


def _number(value: object, type_name: str) -> object:
    """A text converted to a number if the type wants one; everything else unchanged."""
    if type_name not in ("int", "float") or not isinstance(value, str):
        return value
    try:
        number = float(value.replace("−", "-"))
    except ValueError:
        return value
    return int(number) if number.is_integer() else number


# What people write for truth values; YAML reads these words as such only without quotes.
_TRUTH = {
    **dict.fromkeys(("true", "yes", "on", "1", "1.0"), "true"),
    **dict.fromkeys(("false", "no", "off", "0", "0.0"), "false"),
}


def _way_out(value: object, type_name: str) -> str:
    where = {
        "float": " where a number belongs",
        "int": " where a whole number belongs",
        "bool": " where true or false belongs",
        "str": " where text belongs",
    }[type_name]
    if value is None:
        empty = ', or write ""' if type_name == "str" else ""
        return f"{where}: leave the line out to have the default{empty}"
    if type_name == "str":
        reason = (
            " (YAML reads yes, no, on and off as true and false)" if isinstance(value, bool) else ""
        )
        return f"{where}: put it in quotes{reason}"
    if isinstance(value, list) and len(value) == 1:
        return f"{where}: write {value[0]}"
    if type_name == "bool" and str(value).lower() in _TRUTH:
        quotes = ", without quotes" if isinstance(value, str) else ""
        return f"{where}: write {_TRUTH[str(value).lower()]}{quotes}"
    if type_name == "int" and isinstance(value, float) and value.is_integer():
        return f"{where}: write {int(value)}"
    number = (
        _as_yaml_number(value, type_name) if isinstance(value, str) and type_name != "bool" else ""
    )
    return f"{where}: write {number}" if number else where


def _as_yaml_number(text: str, type_name: str) -> str:
    """The YAML 1.1 spelling of the number that `text` means: ``1e-4`` → ``1.0e-4``; "" if it is no
    number.
    """
    text = text.strip().replace(",", ".")
    if match := _EXPONENT.fullmatch(text):
        if type_name == "int":
            return str(int(float(text))) if float(text).is_integer() else ""
        sign, whole, part, direction, exponent = match.groups()
        number = f"{sign}{whole or 0}.{part or 0}e{direction or '+'}{exponent}"
        return f"{number} (YAML 1.1 wants a decimal point and a signed exponent)"
    text = unicodedata.normalize("NFKC", text)  # full-width and superscript digits
    return f"{text}, without quotes" if re.fullmatch(r"[-+]?\d+(\.\d*)?", text) else ""


def parse(source: str, where: object) -> dict[str, Declaration]:
    """Read the declarations in `source`, the text of a parameters cell.

    Raises InputError, with `where` and the line, for anything but ``name: type = constant # help``.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise InputError(
            f"a parameters cell that Python cannot read: {error.msg}",
            where=f"{where}, line {error.lineno}",
        ) from error
    return _declarations(tree.body, _comments(source), where)


def options(path: Path) -> dict[str, Declaration] | None:
    """Read the ``class Options:`` in a recipe's file without importing it.

    A recipe is a ``class Recipe(…)`` with a base class; None if the file has none. A ``class
    Recipe(jca.Recipe)`` also has the options of ``jca.py``, and all have those of ``base.py``.
    """
    path = Path(path)
    read = _recipe(path, version(path))
    return None if read is None or not read[1] else _with_inherited(path)


def _with_inherited(path: Path) -> dict[str, Declaration]:
    """A recipe's own options, after those that it inherits."""
    own_declarations, bases = _recipe(path, version(path)) or ({}, ())
    declarations: dict[str, Declaration] = {}
    for file in (path.with_name(base) for base in bases if base):
        declarations |= _with_inherited(file) if file.is_file() else {}
    return declarations | own_declarations


@lru_cache(maxsize=1024)
def _recipe(path: Path, _version: tuple) -> tuple[dict[str, Declaration], tuple[str, ...]] | None:
    """A recipe's own options, and its base classes as files of other recipes, "" for a base class
    that is no recipe (no base class: the class that all recipes share). None if there is no such
    class.
    """
    classes = [node for node in _parsed(path).body if isinstance(node, ast.ClassDef)]
    recipe = next((node for node in classes if node.name == "Recipe"), None)
    if recipe is None:
        return None
    inside = [
        node for node in recipe.body if isinstance(node, ast.ClassDef) and node.name == "Options"
    ]
    source = path.read_text(encoding="utf-8") if inside else ""
    declarations = _declarations(inside[0].body, _comments(source), path) if inside else {}
    return declarations, tuple(_file_of(base) for base in recipe.bases)


def _file_of(base: ast.expr) -> str:
    return f"{ast.unparse(base.value)}.py" if isinstance(base, ast.Attribute) else ""


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ")
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _declarations(
    body: list[ast.stmt], comments: dict[int, str], where: object
) -> dict[str, Declaration]:
    """Declarations by name; a class among them declares a group for a ``dict[str, Group]``."""
    groups = {node.name: node.body for node in body if isinstance(node, ast.ClassDef)}
    declarations = {}
    for node in body:
        line = f"{where}, line {node.lineno}"
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if docstring or isinstance(node, ast.Pass | ast.ClassDef):
            continue
        # A formatter may break the line, which puts the comment inside the statement.
        lines = range(node.lineno, node.end_lineno + 1)
        comment = " ".join(comments[number] for number in lines if number in comments)
        declaration = _declaration(node, comment, line)
        if declaration.name in declarations:
            raise InputError(f"parameter {declaration.name} is declared twice", where=line)
        if match := _GROUPS.fullmatch(declaration.type):
            settings = _settings(match[1], groups, comments, where, line)
            declaration = replace(declaration, inside=settings)
        declarations[declaration.name] = declaration
    return declarations


def _settings(name: str, groups: Mapping, comments: dict, where: object, line: str) -> dict:
    """The declarations in the class of a group. Raises InputError if there is no such class."""
    if name not in groups:
        raise InputError(
            f"type dict[str, {name}] names a group that is declared nowhere",
            where=line,
            expected=f"class {name}: inside class Options:",
            todo="declare its settings there, as the options are",
        )
    return _declarations(groups[name], comments, where)


def _declaration(node: ast.stmt, comment: str, where: str) -> Declaration:
    expected = "name: type = constant  # help; from a to b   (or: ; one of a, b, c)"
    if (
        not isinstance(node, ast.AnnAssign)
        or node.value is None
        or not isinstance(node.target, ast.Name)
    ):
        raise InputError("a line that declares no parameter", where=where, expected=expected)
    kind = ast.unparse(node.annotation)
    forms = (_LIST, _DICT, _GROUPS)
    if not (kind in TYPES or any(form.fullmatch(kind) for form in forms)):
        raise InputError(
            f"type {kind} is not one that papermill and YAML share",
            where=where,
            expected="str, int, float, bool, list[...], dict[str, ...], list or dict",
        )
    try:
        default = ast.literal_eval(node.value)
    except ValueError as error:
        raise InputError("a default that is no constant", where=where, expected=expected) from error
    if "=" in comment or (isinstance(default, str) and "=" in default):
        raise InputError(
            "an equals sign in a parameter's help or default: papermill would lose the line",
            where=where,
            expected=expected,
        )
    name = node.target.id
    try:
        default = Declaration(name, kind, object()).read(default)
    except InputError as error:
        raise InputError(f"default of {name}: {error.what}", where=where) from error
    group = comment.partition(":")[0]
    return Declaration(
        name,
        kind,
        default,
        comment,
        **_limits(comment, kind, where),
        group=group if group in GROUPS else "",
    )


def _limits(comment: str, kind: str, where: str) -> dict:
    """The range or choices after the last semicolon of the help text."""
    last = comment.rpartition(";")[2].strip()
    number = re.sub(r".*\b(str|int|float|bool)\b.*", r"\1", kind)
    if match := _RANGE.fullmatch(last):
        try:
            low, high = float(match[1]), float(match[2] or "inf")
        except ValueError as error:
            raise InputError(f"a range without numbers: {last!r}", where=where) from error
        return {"low": low, "high": high}
    if match := _CHOICES.fullmatch(last):
        words = [word.strip().strip("\"'") for word in match[1].split(",")]
        return {
            "choices": tuple(words if number not in ("int", "float") else map(TYPES[number], words))
        }
    return {}


@once_while_unchanged
def declared(notebook: str, folder: Path = SHIPPED) -> dict[str, Declaration]:
    """Parameters that `notebook` (a name of NOTEBOOKS) declares, in its order.

    For this repository's notebooks they are read from `DECLARED_FILE`: JupyterLab saves a cell that
    a person edited, and that must not change the default of every experiment. For other folders
    they are read from the notebook.
    """
    if Path(folder) == SHIPPED:
        kept = _kept(version(DECLARED_FILE))
        if notebook in kept:
            return _with_added(kept[notebook])
    path = Path(folder) / f"{notebook}.ipynb"
    if not path.is_file():
        raise InputError(
            "the notebook is not there", where=path, expected=f"one of {', '.join(NOTEBOOKS)}"
        )
    return _with_added(_in_notebook(path, version(path)))


@once_while_unchanged
@unchanged()
def recorded(notebook: str, folder: Path = SHIPPED) -> dict[str, Declaration]:
    """Parameters that `notebook` does not declare but reads from the run folder, where earlier
    notebooks recorded them: the names in the lines ``# recorded: dataset, trials`` of its
    parameters cell.

    Raises InputError for a name that no notebook declares.
    """
    names = _recorded_names(notebook, folder)
    known = all_declared(folder) if names else {}
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            f"no notebook declares {unknown[0]}{_nearest_of(unknown[0], known)}",
            where=f"notebooks/{notebook}.ipynb, line `# recorded: …`",
            expected="a parameter that an earlier notebook declares",
        )
    return {name: known[name] for name in names}


@unchanged()
def read_by(notebook: str, folder: Path = SHIPPED) -> dict[str, Declaration]:
    """All parameters that `notebook` reads: what it declares, then what is recorded for it."""
    return {**declared(notebook, folder), **recorded(notebook, folder)}


def _recorded_names(notebook: str, folder: Path) -> tuple[str, ...]:
    kept = _kept_lines(version(DECLARED_FILE)) if Path(folder) == SHIPPED else {}
    if notebook in kept:
        return _names_in("\n".join(kept[notebook]))
    path = Path(folder) / f"{notebook}.ipynb"
    return _recorded_in_notebook(path, version(path))


@lru_cache(maxsize=1024)
def _recorded_in_notebook(path: Path, _version: tuple) -> tuple[str, ...]:
    return _names_in(_parameters_cell(path))


def _names_in(source: str) -> tuple[str, ...]:
    """The names that the lines ``# recorded: …`` of a parameters cell hold."""
    lines = [match[1] for line in source.splitlines() if (match := _RECORDED.fullmatch(line))]
    return tuple(name.strip() for line in lines for name in line.split(","))


def declare(folder: Path = SHIPPED, target: Path = DECLARED_FILE) -> Path:
    """Write the parameters cells of the notebooks in `folder` to `target`, line by line, as the
    shipped defaults. Raises InputError for a cell that breaks the grammar.
    """
    lines = {}
    for path in sorted(Path(folder).glob("*.ipynb")):
        _in_notebook(path, version(path))
        lines[path.stem] = _parameters_cell(path).splitlines()
    return write_text(target, json.dumps(lines, indent=1, ensure_ascii=False) + "\n")


@lru_cache(maxsize=4)
def _kept_lines(_version: tuple) -> dict[str, list[str]]:
    return json.loads(DECLARED_FILE.read_text(encoding="utf-8"))


@lru_cache(maxsize=4)
def _kept(_version: tuple) -> dict[str, dict[str, Declaration]]:
    kept = _kept_lines(_version)
    return {name: _grouped("\n".join(lines), DECLARED_FILE) for name, lines in kept.items()}


@lru_cache(maxsize=1024)
def _in_notebook(path: Path, _version: tuple) -> dict[str, Declaration]:
    return _grouped(_parameters_cell(path), path)


def _parameters_cell(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    if not tagged:
        raise InputError(
            "no cell tagged `parameters`",
            where=path,
            todo="in JupyterLab: select the cell, Property Inspector, Add Tag",
        )
    return "".join(tagged[0]["source"])


def _grouped(source: str, where: Path) -> dict[str, Declaration]:
    """`parse`, where each parameter must name its group."""
    names = parse(source, where)
    for name, declaration in names.items():
        if not declaration.group:
            raise InputError(
                f"parameter {name} names no group",
                where=where,
                expected=", ".join(GROUPS),
                todo="begin its comment with one of them, for example `# data: "
                f"{declaration.help}`",
            )
    return names


@once_while_unchanged
def _added(lib: Path = PACKAGE) -> dict[str, list[str]]:
    """Parameter whose choices stand for files of `lib` -> the names of these files."""
    return {"dataset": _data_sets(lib / "datasets"), "recipe": list(recipes(lib / "recipes"))}


def _with_added(
    declarations: dict[str, Declaration], lib: Path = PACKAGE
) -> dict[str, Declaration]:
    """Add data sets or recipes that a person added as files to the choices."""
    declarations = dict(declarations)
    for name, files in _added(lib).items():
        if name in declarations and declarations[name].choices:
            # stands for the files
            written = [
                choice for choice in declarations[name].choices if not choice.endswith("*.py")
            ]
            choices = tuple(dict.fromkeys([*written, *files]))
            declarations[name] = replace(declarations[name], choices=choices)
    return declarations


def _data_sets(folder: Path) -> list[str]:
    return [path.stem for path in sorted(Path(folder).glob("*.py")) if _finds(path, version(path))]


def _parsed(path: Path) -> ast.Module:
    """The code of a file that a person may have added. Raises InputError if it is no Python yet."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise InputError(
            f"a file of the library that Python cannot read: {getattr(error, 'msg', error)}",
            where=f"{path}{line}",
            expected="a module of Python in UTF-8",
            todo="correct it, or move it out of that folder: it is read before any run",
        ) from error


@lru_cache(maxsize=1024)
def _finds(path: Path, _version: tuple) -> bool:
    """Whether a file has a function ``find(root, dataset, …)``."""
    functions = [node for node in _parsed(path).body if isinstance(node, ast.FunctionDef)]
    return any(
        node.name == "find"
        and [argument.arg for argument in node.args.args[:2]] == ["root", "dataset"]
        for node in functions
    )


@once_while_unchanged
@unchanged()
def all_declared(folder: Path = SHIPPED) -> dict[str, Declaration]:
    """Parameters of all notebooks together; a shared name has the same declaration in all (a test
    checks it).
    """
    declarations: dict[str, Declaration] = {}
    known = _kept(version(DECLARED_FILE)) if Path(folder) == SHIPPED else {}
    for notebook in (*NOTEBOOKS, YOUR_VIDEO):
        if notebook in known or (Path(folder) / f"{notebook}.ipynb").is_file():
            declarations = {**declared(notebook, folder), **declarations}
    return declarations


def of_groups(names: Mapping[str, Declaration], groups: Iterable[str]) -> set[str]:
    """Names of the parameters that belong to one of `groups`."""
    return {name for name, declaration in names.items() if declaration.group in groups}


def defaults(names: Mapping[str, Declaration]) -> dict:
    """Name -> default. A training that is older than a parameter counts as having used its present
    default.
    """
    return {name: declaration.default for name, declaration in names.items()}


@once_while_unchanged
def recipes(folder: Path = PACKAGE / "recipes") -> dict[str, dict[str, Declaration]]:
    """Options of each recipe in `folder` (see `options`)."""
    by_recipe = {path.stem: options(path) for path in sorted(Path(folder).glob("*.py"))}
    return {name: known for name, known in by_recipe.items() if known is not None}


def with_options(values: Mapping) -> dict:
    """Parameters of an earlier training, completed by options that its recipe got since then: these
    count as having had their present default.
    """
    recipe_defaults = defaults(recipes().get(values.get("recipe", ""), {}))
    given = values.get("options")
    return (
        {**values, "options": {**recipe_defaults, **given}}
        if isinstance(given, Mapping)
        else dict(values)
    )
