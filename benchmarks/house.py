"""How the code base stands: rooms, circles, lengths, and how often a video's checkpoint is read.

    python benchmarks/house.py

Counts only; nothing is timed. The targets are those that the code base was tidied for.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from report import publish

LIB = ROOT / "lib"
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
LONG_FUNCTION, LONG_LINE = 40, 100
# What each count should be at most; of the flat modules besides __init__ and __main__.
TARGETS = {
    "flat modules": 11,
    "packages": 13,
    "lines of lib": 33_500,
    "comprehensions": 1_050,
    "comprehensions with several `for` over several lines": 0,
    "ternaries": 660,
    "functions over 40 lines": 20,
    "lines over 100 columns": 0,
}


def sources() -> list[Path]:
    """All files of lib."""
    return sorted(path for path in LIB.rglob("*.py") if "__pycache__" not in path.parts)


def nodes(kinds: tuple[type, ...]) -> Iterator[ast.AST]:
    """All nodes of some kinds in lib."""
    for path in sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from (node for node in ast.walk(tree) if isinstance(node, kinds))


def length(node: ast.AST) -> int:
    """Lines of a node."""
    return node.end_lineno - node.lineno + 1


def counts() -> dict[str, int]:
    """Name -> how many there are."""
    texts = [path.read_text(encoding="utf-8").splitlines() for path in sources()]
    comprehensions = list(nodes(COMPREHENSIONS))
    ladders = [one for one in comprehensions if len(one.generators) > 1 and length(one) > 1]
    functions = list(nodes((ast.FunctionDef, ast.AsyncFunctionDef)))
    flat = [path for path in LIB.glob("*.py") if not path.stem.startswith("__")]
    return {
        "flat modules": len(flat),
        "packages": len([path for path in LIB.iterdir() if (path / "__init__.py").is_file()]),
        "lines of lib": sum(map(len, texts)),
        "comprehensions": len(comprehensions),
        "comprehensions with several `for` over several lines": len(ladders),
        "ternaries": len(list(nodes((ast.IfExp,)))),
        "functions over 40 lines": sum(length(one) > LONG_FUNCTION for one in functions),
        "lines over 100 columns": sum(len(line) > LONG_LINE for text in texts for line in text),
    }


def main() -> None:
    found = counts()
    rows = [
        [name, found[name], most, "" if found[name] <= most else "more"]
        for name, most in TARGETS.items()
    ]
    publish("house", ["count", "now", "at most", ""], rows, ["ruff"])


if __name__ == "__main__":
    main()
