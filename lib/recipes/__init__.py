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
    if path.stem not in ("__init__", "base")
)


def create(name: str, params, store: Store):
    """The recipe of that name: the class in ``lib/recipes/<name>.py`` that bears the module's name
    as `Recipe`.
    """
    if name not in NAMES:
        raise InputError(f"no recipe is called {name!r}", expected=", ".join(NAMES))
    module = import_module(f"{__name__}.{name}")
    code_digest.use(module.__name__)
    return module.Recipe(params, store)
