"""Recipes: one published method each, in the form of `lib.recipes.base.Recipe`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from .. import code_digest
from ..errors import InputError
from ..store import Store

NAMES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if path.stem not in ("__init__", "base", "papers", "streams")
)


def create(name: str, params, store: Store):
    """The recipe of that name: the class `Recipe` in ``lib/recipes/<name>.py``."""
    module = _module(name)
    code_digest.use(module.__name__)
    return module.Recipe(params, store)


def network(name: str) -> str:
    """The network of `lib.models` whose authors' weights the recipe of that name predicts with."""
    return _module(name).Recipe.network or name


def _module(name: str):
    if name not in NAMES:
        raise InputError(f"no recipe is called {name!r}", expected=", ".join(NAMES))
    return import_module(f"{__name__}.{name}")
