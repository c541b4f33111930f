"""Which code a notebook uses: its cells and the modules of `lib` that they reach by imports, with digests.

A digest is of the syntax tree without docstrings, so that a better comment does not repeat a day of work.
"""

from __future__ import annotations

import ast
import hashlib
import json
from functools import lru_cache
from pathlib import Path

from lib.declarations import ROOT


def digests(notebook: str, recipe: str = "", folder: Path = ROOT / "notebooks") -> dict[str, str]:
    """File (relative to the repository) → digest of the notebook's cells and of all modules that they reach.

    `recipe` names a file of lib/recipes; it belongs to each notebook that imports that package, which finds
    its modules by name at run time. The parameters cell is left out: values are recorded by themselves.
    """
    path = Path(folder) / f"{notebook}.ipynb"
    texts = ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
             if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", [])]
    found = {path.name: _digest("\n".join(map(_normal, texts)))}
    reached = reachable({name for text in texts for name in _imports(text)})
    if ROOT / "lib" / "recipes" / "__init__.py" in reached and recipe:
        reached |= reachable({f"lib.recipes.{recipe}"})
    return found | {str(module.relative_to(ROOT)): _of_file(module, module.stat().st_mtime_ns)
                    for module in sorted(reached)}


def reachable(names: set[str]) -> set[Path]:
    """Files of `lib` that these dotted names mean, and all that they import in turn."""
    found: set[Path] = set()
    waiting = [file for name in names for file in _files(name)]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            text = file.read_text(encoding="utf-8")
            package = ".".join(file.parent.relative_to(ROOT).parts)
            waiting += [other for name in _imports(text, package) for other in _files(name)]
    return found


def _files(name: str) -> list[Path]:
    """``lib.features.mel.segment`` → lib/__init__.py, lib/features/__init__.py, lib/features/mel.py."""
    parts, files = name.split("."), []
    for count in range(1, len(parts) + 1):
        place = ROOT.joinpath(*parts[:count])
        files += [place / "__init__.py", place.with_name(f"{place.name}.py")]
    return [file for file in files if file.is_file()]


def _imports(text: str, package: str = "") -> set[str]:
    """Dotted names below `lib` that a source imports anywhere in it; relative ones count from `package`."""
    found: set[str] = set()
    for node in ast.walk(_tree(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[:len(package.split(".")) - node.level + 1] if node.level else []
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
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.dump(tree)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@lru_cache(maxsize=1024)
def _of_file(path: Path, _changed: int) -> str:
    return _digest(_normal(path.read_text(encoding="utf-8")))
