"""Which code a notebook uses: digests of its cells and of all modules of `lib` that they reach.

Modules are reached by imports, or loaded by name while the notebook runs (a recipe, a network, a
data set): code that loads one by name calls `use`. A digest covers the syntax tree without
docstrings, so that a better comment does not repeat a day of work. Plots are excluded but for
notebook 06: a changed colour makes 06 run again, and no other notebook.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .errors import InputError
from .files import PACKAGE, ROOT, clear_leftovers, version, write_text

PREDICT = "06_inference"  # the notebook whose results include pictures

# A training depends on the code of these packages; all other code only passes its numbers on, as
# does the registry of published files among them.
METHOD, NO_METHOD = ("models", "recipes", "training"), "models/weights.py"
_used: dict[str, dict[str, str]] = {}

# Cached beside Python's compiled files and by the same rule: a source with the same inode, size and
# time has not changed. Reading all sources would add a second to the start of every notebook.
CACHE_FILE = f"code_digest.{sys.implementation.cache_tag}.json"
DAMAGED = (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError)
# Digests by another version of this file may follow other rules.
RULES_VERSION = list(version(Path(__file__)))


class Source(NamedTuple):
    """Facts about a file of `lib`: the names below `lib` that it imports, and the digest of its
    code.
    """

    version: list[int]
    imports: list[str]
    digest: str


def use(module: str) -> None:
    """Note that this process uses a module loaded by name, in its present state."""
    if module not in _used:
        _used[module] = _of_files(reachable({module}))
        _sources(ROOT).keep()


def used() -> dict[str, dict[str, str]]:
    """Module noted by `use` -> file -> digest, for the module and all that it imports."""
    return dict(_used)


def method() -> dict[str, str]:
    """File -> digest of the used code that decides what a training learns."""
    files = {file: digest for reached in _used.values() for file, digest in reached.items()}
    return {file: digest for file, digest in files.items() if is_method(file)}


def is_method(file: str) -> bool:
    """Whether a file (relative to the repository) belongs to a package of `METHOD`."""
    inside = file.startswith(tuple(f"{PACKAGE.name}/{package}/" for package in METHOD))
    return inside and file != f"{PACKAGE.name}/{NO_METHOD}"


def digests(
    notebook: str, modules: Iterable[str] = (), folder: Path = ROOT / "notebooks"
) -> dict[str, str]:
    """File (relative to the repository) → digest of the notebook's cells and of all modules that
    they reach.

    `modules` were loaded by name when the notebook ran (dotted names, see `use`). The parameters
    cell is left out: its values are recorded separately.
    """
    path = Path(folder) / f"{notebook}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = [
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", [])
    ]
    names = {name for text in texts for name in _imports(text)} | set(modules)
    files = reachable(
        names, without=() if notebook == PREDICT else (ROOT / PACKAGE.name / "plots",)
    )
    code = "\n".join(_normal(_tree(text)) for text in texts)
    file_digests = {path.name: _digest(code), **_of_files(files)}
    _sources(ROOT).keep()
    return file_digests


def _of_files(files: Iterable[Path]) -> dict[str, str]:
    return {str(file.relative_to(ROOT)): _source(file).digest for file in sorted(files)}


def reachable(names: set[str], without: Iterable[Path] = ()) -> set[Path]:
    """The files of `lib` with these names, and all that they import; without those in `without`."""
    left_out, reached, asked = tuple(without), set(), _with_packages(names)
    waiting = list(asked)
    while waiting:
        for file in _files(waiting.pop()):
            if file not in reached and not any(file.is_relative_to(folder) for folder in left_out):
                reached.add(file)
                new = _with_packages(_source(file).imports) - asked  # each is looked for once
                asked |= new
                waiting += new
    return reached


def _source(file: Path) -> Source:
    """Facts about a file of `lib`, read again only if it changed."""
    return _sources(ROOT).of(file)


@cache
def _sources(root: Path) -> Sources:
    return Sources(root)


class Sources:
    """Cache of facts about the files of `root`/lib, from this process or an earlier one."""

    def __init__(self, root: Path):
        self.root, self.changed = root, False
        self.path = root / PACKAGE.name / "__pycache__" / CACHE_FILE
        self.known: dict[str, Source] = {}
        # Without a cache, or with a damaged one, every file is read.
        with contextlib.suppress(*DAMAGED):
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            entries = kept["files"].items() if kept["rules"] == RULES_VERSION else ()
            self.known = {
                name: Source(list(when), list(map(str, imports)), str(digest))
                for name, (when, imports, digest) in entries
            }

    def of(self, file: Path) -> Source:
        """A file's imports and digest in its present state."""
        name, now = str(file.relative_to(self.root)), list(version(file))
        if name not in self.known or self.known[name].version != now:
            tree = _tree(file.read_text(encoding="utf-8"))
            package = ".".join(file.parent.relative_to(self.root).parts)
            imports = sorted(_imported(tree, package))
            self.known[name] = Source(now, imports, _digest(_normal(tree)))
            self.changed = True
        return self.known[name]

    def keep(self) -> None:
        """Write the cache for the next process, into the folder of Python's compiled files."""
        if self.changed and self.path.parent.is_dir() and not sys.dont_write_bytecode:
            # a folder that may not be written, a disk that is full
            with contextlib.suppress(OSError, InputError):
                clear_leftovers(self.path.parent, f".{CACHE_FILE}.*.part", deep=False)
                write_text(self.path, json.dumps({"rules": RULES_VERSION, "files": self.known}))
            self.changed = False


def _with_packages(names: Iterable[str]) -> set[str]:
    """These dotted names, and those of the packages that they lie in."""
    parts = (name.split(".") for name in names)
    return {".".join(each[:count]) for each in parts for count in range(1, len(each) + 1)}


def _files(name: str) -> list[Path]:
    """``lib.features`` → lib/features/__init__.py; ``lib.features.mel`` → lib/features/mel.py."""
    path = ROOT.joinpath(*name.split("."))
    return [
        file for file in (path / "__init__.py", path.with_name(f"{path.name}.py")) if file.is_file()
    ]


def _imports(text: str, package: str = "") -> set[str]:
    """Dotted names below `lib` that a source imports; relative ones count from `package`."""
    return _imported(_tree(text), package)


def _imported(tree: ast.Module, package: str) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = (
                package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            )
            base = ".".join([*above, *([node.module] if node.module else [])])
            modules |= {f"{base}.{alias.name}" for alias in node.names}
    return {name for name in modules if name.split(".")[0] == PACKAGE.name}


def _tree(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:  # IPython's magics and shell lines
        kept = [line for line in text.splitlines() if not line.lstrip().startswith(("%", "!"))]
        try:
            return ast.parse("\n".join(kept))
        except SyntaxError:
            return ast.Module([ast.Expr(ast.Constant(text))], [])


def _normal(tree: ast.Module) -> str:
    """The syntax tree as text, without docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return ast.dump(tree)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
