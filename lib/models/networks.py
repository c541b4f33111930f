"""Networks by name: `create` makes one, `options` says what it can be told."""

from __future__ import annotations

import inspect
from importlib import import_module
from pkgutil import walk_packages

from .. import models
from ..errors import InputError, nearest_name
from .base import REGISTRY, Model

# Found by walking the folder, so that a new file need not be added to a list.
for _module in walk_packages(models.__path__, f"{__package__}."):
    import_module(_module.name)


def create(name: str, compat: bool = False, **chosen: object) -> Model:
    """A new network with random weights.

    Arguments
    ---------
    name : one of `REGISTRY`, e.g. "tsav".
    compat : True: the published network exactly, defects included; False: the corrected one.
    chosen : the network's options, see `options(name)` and its docstring.

    Raises InputError for an unknown name or option, with the nearest known one.
    """
    accepted = options(name)
    for option in chosen:
        if option not in accepted:
            raise _unknown("option", option, accepted, f"model {name}")
    return REGISTRY[name](compat=compat, **chosen)


def options(name: str) -> dict[str, object]:
    """Names and defaults of a network's options."""
    if name not in REGISTRY:
        raise _unknown("model", name, REGISTRY, "models.create")
    parameters = inspect.signature(REGISTRY[name].__init__).parameters.values()
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    every = {
        parameter.name: parameter.default for parameter in parameters if parameter.kind in kinds
    }
    return {key: default for key, default in every.items() if key not in ("self", "compat")}


def _unknown(kind: str, name: str, known: dict, where: str) -> InputError:
    near = nearest_name(name, known)
    return InputError(
        f"unknown {kind} {name!r}",
        where=where,
        expected="one of " + ", ".join(sorted(known)),
        todo=f"did you mean {near!r}?" if near else "",
    )
