"""How the code base stands: rooms, floors, circles, lengths, the way of one face.

    python benchmarks/house.py

Counts only; nothing is timed. The targets are those that the code base was tidied for. The way of a
face is that of docs/architecture.md, from notebook 02 into a network. That the checkpoint of a
video is read once is a test: `test_the_checkpoint_of_a_video_is_read_once`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from report import publish

from tests.whole import test_layers as layers

LIB = ROOT / "lib"
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
LONG_FUNCTION, LONG_LINE = 40, 100
# What each count should be at most; of the flat modules besides __init__ and __main__.
TARGETS = {
    "flat modules": 11,
    "packages": 13,
    "floors": 9,
    "circles among packages": 0,
    "files on the way of a face": 15,
    "packages on the way of a face": 7,
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


def circles() -> int:
    """Packages and flat modules from which imports lead back to themselves."""
    edges: dict[str, set[str]] = {}
    for file in layers.FILES:
        edges.setdefault(layers.top(file), set()).update(layers.imported(file) - {layers.top(file)})

    def reached(name: str) -> set[str]:
        found, waiting = set(), [name]
        while waiting:
            new = edges.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return found

    return sum(name in reached(name) for name in edges)


def way_of_a_face() -> list[str]:
    """Files of lib that docs/architecture.md names from notebook 02 to the network."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    way = text[text.index("One face on its way") :].partition("\n\n")[0]
    named = dict.fromkeys(re.findall(r"`([a-z_/0-9]+\.py)`", way))
    assert all((LIB / name).is_file() for name in named), named
    return list(named)


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
        "floors": len(layers.LAYERS),
        "circles among packages": circles(),
        "files on the way of a face": len(way_of_a_face()),
        "packages on the way of a face": len(
            {Path(name).parts[0] for name in way_of_a_face() if "/" in name}
        ),
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
