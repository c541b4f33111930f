"""The layers of lib/: a package imports only from layers below or, without circles, from its
own.
"""

import ast
from functools import cache

import pytest

from lib import models
from lib.files import ROOT

LAYERS = [
    {"errors", "files", "grammar", "code_digest"},
    {
        "parameters",
        "trials",
        "store",
        "intervals",
        "metrics",
        "media",
        "parallel",
        "runs",
    },
    {"models", "labels"},
    {"faces", "training", "features"},
    {"arrays", "datasets"},
    {"plots", "speakers"},
    {"recipes"},
    {"evaluation"},
    {"experiments", "__main__"},
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
FILES = sorted((ROOT / "lib").rglob("*.py"))
PACKAGES = {path.name for path in (ROOT / "lib").iterdir() if (path / "__init__.py").is_file()}
MOST_FLAT = 11  # modules beside the packages, `__init__` and `__main__`
HEAVY = ("torch", "papermill", "torchaudio")
LATE = (
    "seaborn",
    "scipy",
    "sklearn",
    "torchvision",
)  # a second and more to import, which few functions need


@cache
def parsed(file) -> ast.Module:
    return ast.parse(file.read_text())


def top(file) -> str:
    """``lib/features/mel.py`` → features; ``lib/__init__.py`` → ""."""
    parts = file.relative_to(ROOT / "lib").with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def modules(file, node) -> list[str]:
    """Dotted names below lib that an import statement names; absolute ones are refused."""
    if isinstance(node, ast.Import):
        assert not any(alias.name.split(".")[0] == "lib" for alias in node.names), (
            f"{file}: line {node.lineno}"
        )
        return []
    if not node.level:
        assert (node.module or "").split(".")[0] != "lib", (
            f"{file}: absolute import in line {node.lineno}"
        )
        return []
    package = file.relative_to(ROOT / "lib").parent.parts
    base = package[: len(package) - node.level + 1]
    inside = [*base, *(node.module.split(".") if node.module else [])]
    return [".".join([*inside, alias.name]) for alias in node.names]


def path_of(name: str):
    """``features.mel.segment`` → lib/features/mel.py; None for a name that is no module."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        place = ROOT.joinpath("lib", *parts[:count])
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                return path
    return None


@cache
def imported(file, first_level=False) -> set[str]:
    """Packages and flat modules of lib that a file imports; with `first_level` not those inside
    functions.
    """
    names = set()
    for node in parsed(file).body if first_level else ast.walk(parsed(file)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {name.split(".")[0] for name in modules(file, node) if path_of(name)}
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_import_goes_up(file):
    if name := top(file):
        assert name in LAYER, (
            f"say in LAYERS (and in docs/architecture.md) in which layer lib/{name} is"
        )
        upward = {other for other in imported(file) if LAYER.get(other, 99) > LAYER[name]}
        assert not upward, f"lib/{name} (layer {LAYER[name]}) imports {upward}"


def test_packages_do_not_import_each_other_in_a_circle():
    edges = {}
    for file in FILES:
        edges.setdefault(top(file), set()).update(imported(file) - {top(file)})
    done = set()

    def visit(name, above):
        assert name not in above, f"circle: {' → '.join([*above, name])}"
        if name not in done:
            for other in sorted(edges.get(name, ())):
                visit(other, [*above, name])
            done.add(name)

    for name in sorted(edges):
        visit(name, [])


def test_there_are_thirteen_packages_and_few_flat_modules():
    flat = {path.stem for path in (ROOT / "lib").glob("*.py")} - {"__init__", "__main__"}
    assert len(flat) <= MOST_FLAT
    assert len(PACKAGES) == 13
    assert flat | PACKAGES | {"__main__"} == set(LAYER)


def is_heavy(file, heavy=HEAVY) -> bool:
    for node in parsed(file).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        if any(name.split(".")[0] in heavy for name in names):
            return True
    return False


@pytest.mark.parametrize("start", ["__main__.py", "models/__init__.py", "models/weights.py"])
def test_the_command_line_and_the_registry_of_weights_do_not_import_torch(start):
    """Imports at the first level of a file, followed through lib; functions may import what they
    like.
    """
    waiting, reached = [ROOT / "lib" / start], set()
    while waiting:
        file = waiting.pop()
        if file in reached:
            continue
        reached.add(file)
        assert not is_heavy(file), file
        for node in parsed(file).body:
            if isinstance(node, ast.ImportFrom):
                waiting += filter(None, map(path_of, modules(file, node)))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_libraries_that_few_functions_need_are_imported_in_these(file):
    assert not is_heavy(file, LATE)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_is_imported_on_first_use_is_for_people_and_not_for_lib(file):
    """A code digest follows the imports that stand in a file."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.ImportFrom):
            names = set(modules(file, node))
            late = {f"models.{name}" for name in models.__all__} | {"predict"}
            assert not names & late
            if file.parent.name != "models":
                assert "models" not in names, "name the module: `from ..models import networks`"


def test_nothing_in_lib_prints_or_shows():
    for file in FILES:
        calls = [node.func for node in ast.walk(parsed(file)) if isinstance(node, ast.Call)]
        assert not any(isinstance(call, ast.Name) and call.id == "print" for call in calls), file
        assert not any(isinstance(call, ast.Attribute) and call.attr == "show" for call in calls), (
            file
        )
