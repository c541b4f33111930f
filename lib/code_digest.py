"""Which code a notebook uses: its cells and the modules of `lib` that they reach, with digests.

Modules are reached by imports, or found by name while the notebook runs (a recipe, a network, a
data set): whoever finds one by name calls `use`. A digest is of the syntax tree without docstrings,
so that a better comment does not repeat a day of work. Drawing is apart: a changed colour makes
notebook 06 draw again, and no other one run again.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from .files import ROOT, version

PREDICT = "06_inference"  # the notebook whose results are pictures, too

# A training depends on the code of these packages; all else only carries its numbers about.
METHOD = ("models", "recipes", "training")
_used: dict[str, dict[str, str]] = {}


def use(module: str) -> None:
    """Note that this process works with a module of `lib` that was found by name, in the state it
    has now.
    """
    if module not in _used:
        _used[module] = _of_files(reachable({module}))


def used() -> dict[str, dict[str, str]]:
    """Modules noted by `use` -> file -> digest, of the module and all that it imports."""
    return dict(_used)


def method() -> dict[str, str]:
    """File -> digest of the code in use that decides what a training learns."""
    files = {file: digest for reached in _used.values() for file, digest in reached.items()}
    return {file: digest for file, digest in files.items() if is_method(file)}


def is_method(file: str) -> bool:
    """Whether a file (relative to the repository) belongs to a package of `METHOD`."""
    return file.startswith(tuple(f"lib/{package}/" for package in METHOD))


def digests(
    notebook: str, modules: Iterable[str] = (), folder: Path = ROOT / "notebooks"
) -> dict[str, str]:
    """File (relative to the repository) → digest of the notebook's cells and of all modules that
    they reach.

    `modules` were found by name when the notebook ran (dotted names, see `use`). The parameters
    cell is left out: values are recorded by themselves.
    """
    path = Path(folder) / f"{notebook}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = [
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", [])
    ]
    names = {name for text in texts for name in _imports(text)} | set(modules)
    files = reachable(names, without=() if notebook == PREDICT else (ROOT / "lib" / "plots",))
    return {path.name: _digest("\n".join(map(_normal, texts))), **_of_files(files)}


def _of_files(files: Iterable[Path]) -> dict[str, str]:
    return {str(file.relative_to(ROOT)): _of_file(file, version(file)) for file in sorted(files)}


def reachable(names: set[str], without: Iterable[Path] = ()) -> set[Path]:
    """Files of `lib` that these dotted names mean, and all that they import in turn; nothing of the
    folders `without`.
    """
    left_out, reached = tuple(without), set()
    waiting = [file for name in names for file in _files(name)]
    while waiting:
        file = waiting.pop()
        if file not in reached and not any(file.is_relative_to(folder) for folder in left_out):
            reached.add(file)
            package = ".".join(file.parent.relative_to(ROOT).parts)
            for name in _imports_of(file, version(file), package):
                waiting += _files(name)
    return reached


@lru_cache(maxsize=1024)
def _imports_of(file: Path, _version: tuple, package: str) -> set[str]:
    return _imports(file.read_text(encoding="utf-8"), package)


def _files(name: str) -> list[Path]:
    """``lib.features.mel.segment`` → lib/__init__.py, lib/features/__init__.py,
    lib/features/mel.py.
    """
    parts, files = name.split("."), []
    for count in range(1, len(parts) + 1):
        place = ROOT.joinpath(*parts[:count])
        files += [place / "__init__.py", place.with_name(f"{place.name}.py")]
    return [file for file in files if file.is_file()]


def _imports(text: str, package: str = "") -> set[str]:
    """Dotted names below `lib` that a source imports anywhere in it; relative ones count from
    `package`.
    """
    found: set[str] = set()
    for node in ast.walk(_tree(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = (
                package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            )
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "lib"}


def _tree(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:  # IPython's magics and shell lines
        kept = [line for line in text.splitlines() if not line.lstrip().startswith(("%", "!"))]
        try:
            return ast.parse("\n".join(kept))
        except SyntaxError:
            return ast.Module([ast.Expr(ast.Constant(text))], [])


def _normal(text: str) -> str:
    tree = _tree(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return ast.dump(tree)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@lru_cache(maxsize=1024)
def _of_file(path: Path, _version: tuple) -> str:
    return _digest(_normal(path.read_text(encoding="utf-8")))
