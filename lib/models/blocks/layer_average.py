"""A learnt average of an encoder's hidden layers, which are given side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...errors import InputError


class LayerAverage(nn.Module):
    """Brings the layers of each feature array together: one weight per layer, a softmax over them,
    equal at first (as SUPERB does, Yang et al. 2021).

    Arguments
    ---------
    stacks : (layers, numbers of each) of every array in its order; an array of one layer stays as
        it is. Input (…, sum of layers · numbers), output (…, `numbers`), the sum of the numbers.
    """

    def __init__(self, stacks: Sequence[Sequence[int]]):
        super().__init__()
        self.stacks = [(int(layers), int(numbers)) for layers, numbers in stacks]
        self.numbers = sum(numbers for _, numbers in self.stacks)
        stacked = [layers for layers, _ in self.stacks if layers > 1]
        self.logits = nn.ParameterList(nn.Parameter(torch.zeros(layers)) for layers in stacked)

    def forward(self, x: Tensor) -> Tensor:
        parts, logits = [], iter(self.logits)
        sizes = [layers * numbers for layers, numbers in self.stacks]
        for (layers, numbers), part in zip(self.stacks, x.split(sizes, dim=-1), strict=True):
            if layers > 1:
                weights = torch.softmax(next(logits), dim=0).to(part.dtype)
                part = (part.unflatten(-1, (layers, numbers)) * weights[:, None]).sum(dim=-2)
            parts.append(part)
        return torch.cat(parts, dim=-1)


def refuse_other_sizes(stacks: Sequence[Sequence[int]], channels: int, where: str) -> None:
    """Raise InputError if these layers together do not have as many numbers as the features."""
    total = sum(layers * numbers for layers, numbers in stacks)
    if total != channels:
        raise InputError(f"layers of {total} numbers", where=where, expected=f"{channels}")
