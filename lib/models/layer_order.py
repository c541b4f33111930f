"""The layers of a network from its input to its head, for rates that differ from layer to layer.

A module says the order of its parts in an attribute `layer_order`: names of submodules or weights;
inside of it a tuple of parts that work side by side, in that a list of parts of one branch, as
``((["spatial", "temporal"], "sound"), "head")``. Without it parts follow each other as they were
set. Lists and modules that wrap another module are expanded; everything else is one layer.
"""

from __future__ import annotations

from itertools import zip_longest

from torch import nn

LISTS = (nn.Sequential, nn.ModuleList)


def layers(module: nn.Module) -> list[list[str]]:
    """Names of the weights of each layer, from the input to the head.

    Branches of different depth end at the same layer. A module with vectors only (a norm, an
    activation) belongs to the layer before it.
    """
    order = getattr(module, "layer_order", ()) or _as_set(module)
    return _with_norms(module, _layers_of(module, list(order)))


def _layers_of(module: nn.Module, stage: str | tuple | list) -> list[list[str]]:
    if isinstance(stage, str):
        return _part(module, stage)
    branches = [_layers_of(module, part) for part in stage]
    if isinstance(stage, tuple):
        return _side_by_side(branches)
    return [keys for branch in branches for keys in branch]


def _as_set(module: nn.Module) -> list[str | tuple[str, ...]]:
    """The default order: own weights first, then the parts; named streams (ModuleDict) are side by
    side.
    """
    weights = tuple(name for name, _ in module.named_parameters(recurse=False))
    parts = [name for name, _ in module.named_children()]
    if isinstance(module, nn.ModuleDict):
        return [(*weights, *parts)]
    return [weights, *parts] if weights else parts


def _part(module: nn.Module, name: str) -> list[list[str]]:
    """The layers of a part, none where this network lacks it; names as the module has them."""
    parent, _, last = name.rpartition(".")
    if name in dict(module.named_parameters()):
        return [[name]]
    part = getattr(module.get_submodule(parent), last, None)
    if part is None:
        return []
    inside = (
        layers(part) if _is_looked_into(part) else [[key for key, _ in part.named_parameters()]]
    )
    return [[f"{name}.{key}" for key in keys] for keys in inside if keys]


def _is_looked_into(part: nn.Module) -> bool:
    if isinstance(part, (*LISTS, nn.ModuleDict)) or getattr(part, "layer_order", ()):
        return True
    has_weights = any(True for _ in part.parameters(recurse=False))
    return not has_weights and len(list(part.children())) == 1


def _side_by_side(branches: list[list[list[str]]]) -> list[list[str]]:
    """One list of layers out of several that end together."""
    turned = zip_longest(*(branch[::-1] for branch in branches), fillvalue=())
    rows = [[key for keys in level for key in keys] for level in turned]
    return rows[::-1]


def _with_norms(module: nn.Module, by_layer: list[list[str]]) -> list[list[str]]:
    weights = dict(module.named_parameters())
    joined: list[list[str]] = []
    waiting: list[str] = []  # vectors before the first layer
    for keys in by_layer:
        if any(weights[key].ndim > 1 for key in keys if key in weights):
            joined.append([*waiting, *keys])
            waiting = []
        elif joined:
            joined[-1] += keys
        else:
            waiting += keys
    return joined or ([waiting] if waiting else [])
