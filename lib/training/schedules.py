"""The learning rate over a training, and over the layers of a network."""

from __future__ import annotations

import math

from torch import nn

from ..errors import InputError
from ..models import layer_order

# Shares; sample specification §5 for the rise.
ONECYCLE_RISE, ONECYCLE_START, ONECYCLE_END = 0.25, 1 / 25, 1e-3


def schedule(kind: str, progress: float, rise: float = 0.0) -> float:
    """Factor on the learning rate at `progress` (0…1 of all epochs); constant and plateau: 1.

    onecycle : rises for a quarter, then falls to a thousandth. cosine : falls from 1 to 0 by half a
        cosine (Loshchilov and Hutter 2017). rise : share of all epochs before it begins to fall
        (`warm`).
    """
    if kind == "cosine":
        fall = min(max((progress - rise) / max(1 - rise, 1e-9), 0.0), 1.0)
        return (1 + math.cos(math.pi * fall)) / 2
    if kind != "onecycle":
        return 1.0
    if progress < ONECYCLE_RISE:
        return (
            ONECYCLE_START
            + (1 - ONECYCLE_START) * (1 - math.cos(math.pi * progress / ONECYCLE_RISE)) / 2
        )
    fall = min((progress - ONECYCLE_RISE) / (1 - ONECYCLE_RISE), 1.0)
    return ONECYCLE_END + (1 - ONECYCLE_END) * (1 + math.cos(math.pi * fall)) / 2


def warm(epochs_done: float, warmup: float) -> float:
    """Factor of a linear warm-up (Goyal et al. 2017): 1 from `warmup` epochs on.

    epochs_done : with the step that is to be done, so that the first one already learns.
    """
    return min(1.0, epochs_done / warmup) if warmup else 1.0


def by_layer(groups: list[dict], model: nn.Module, decay: float) -> list[dict]:
    """Layer-wise learning-rate decay: parameter groups in which the head has the rate of its group,
    and each layer below has `decay` times the rate of the layer above (Howard and Ruder 2018).

    groups : as `Recipe.groups` gives them; each is divided by the layers of its weights
    (`lib.models.layer_order`), that of the head first. 1 leaves them as they are.
    Raises InputError for a weight that the network's `layer_order` leaves out.
    """
    if decay == 1:
        return groups
    below = _below_head(model)
    divided = []
    for group in groups:
        rows: dict[int, list] = {}
        for weight in group["params"]:
            rows.setdefault(below[id(weight)], []).append(weight)
        for number in sorted(rows):
            factor = group.get("lr_factor", 1.0) * decay**number
            divided.append({**group, "params": rows[number], "lr_factor": factor})
    return divided


def _below_head(model: nn.Module) -> dict[int, int]:
    """How many layers lie between each weight (by its id) and the head."""
    weights, below = dict(model.named_parameters()), {}
    for number, keys in enumerate(reversed(layer_order.layers(model))):
        for key in keys:
            if key in weights:  # a shared weight counts where it is nearest the head
                below.setdefault(id(weights[key]), number)
    missing = [name for name, weight in weights.items() if id(weight) not in below]
    if missing:
        raise InputError(
            f"the layer of {missing[0]} is not known",
            where=f"layer_order of {type(model).__name__}",
            expected="every weight of the network",
            todo="name its part in `layer_order`, or leave `layer_decay` at 1",
        )
    return below
