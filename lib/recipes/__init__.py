"""Recipes: one published method each, in the form of `lib.recipes.base.Recipe`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from lib import sources
from lib.errors import InputError
from lib.store import Store

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("*.py")
               if path.stem not in ("__init__", "base", "augmentation"))


def create(name: str, params, store: Store):
    """The recipe of that name: the class in ``lib/recipes/<name>.py`` that bears the module's name as `Recipe`."""
    if name not in NAMES:
        raise InputError(f"no recipe is called {name!r}", expected=", ".join(NAMES))
    module = import_module(f"lib.recipes.{name}")
    sources.use(module.__name__)
    return module.Recipe(params, store)
