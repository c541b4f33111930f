"""A moving average of a network's weights, with which it is validated and predicts."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import nn


class Average:
    """An exponential moving average of the weights and statistics of a network (Polyak and Juditsky
    1992, in the form of TensorFlow's ExponentialMovingAverage).

    After update t, counted from 0, a weight is d·average + (1 − d)·weight, with d the lesser of
    `decay` and (1 + t) / (10 + t), so that the first random weights are soon forgotten. Counters
    (batches that a batch norm saw) are copied from the network.

    model : the averaged network in evaluation mode, at first a copy of `network`. updates : number
        so far.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.decay, self.updates = decay, 0
        self.model = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Update the average after a step, without waiting for a GPU."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        pairs = list(zip(_tensors(self.model), _tensors(network), strict=True))
        averaged = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_(*map(list, zip(*averaged, strict=True)), 1 - decay)
        for mine, its in pairs:
            if not mine.is_floating_point():
                mine.copy_(its)
        self.updates += 1

    def resume(self, state: Mapping[str, torch.Tensor], updates: int) -> None:
        """Go on from averaged weights and the number of updates behind them."""
        self.model.load_state_dict(state)
        self.updates = updates


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    """Weights and statistics, each once."""
    return [*network.parameters(), *network.buffers()]
