"""Networks over whole sequences: every step is valid, nothing depends on what stands in a batch.

A graph that is exported (`lib.models.export`) has one path for all numbers. So inside
`whole_sequences` the networks take the path without sorting, packing, picking rows and filling up
to a fixed number of steps. Its outputs are those of `valid` all true to rounding, which is why
training and prediction here do not take it: trained numbers stay what they are to the last bit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.nn import functional

_WHOLE = ContextVar("whole", default="")


@contextlib.contextmanager
def whole_sequences(traced: bool = False) -> Iterator[None]:
    """Networks that run inside take all steps as valid; they must be in evaluation mode, and
    `valid` and `pad` left out of the batch.

    traced : a graph for any number of steps is made of what runs: recurrent layers are written as
        a loop in it (`lib.models.blocks.stepwise`).
    """
    before = _WHOLE.set("traced" if traced else "whole")
    try:
        yield
    finally:
        _WHOLE.reset(before)


def is_whole() -> bool:
    """Whether this is inside `whole_sequences`."""
    return bool(_WHOLE.get())


def is_traced() -> bool:
    """Whether this is inside `whole_sequences(traced=True)`."""
    return _WHOLE.get() == "traced"


def laid_out(x: Tensor) -> Tensor:
    """The tensor itself; while a graph is traced a copy in the usual order of memory. A convolution
    asks in which order its input lies, and what it finds would hold for the example's sizes.
    """
    return x.clone(memory_format=torch.contiguous_format) if is_traced() else x


def over_steps(linear: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer over the steps of a window, (…, L) to (…, L), where the layer has weights for
    `steps` and L may be less inside `whole_sequences`: what the steps that are missing would add is
    zero, and what they would get is not wanted.
    """
    if not is_whole():
        return linear(x)
    length = x.shape[-1]
    bias = None if linear.bias is None else linear.bias[:length]
    return functional.linear(x, linear.weight[:length, :length], bias)


def from_steps(linear: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer from the steps of a window, (…, L) to (…, k), in the same way."""
    if not is_whole():
        return linear(x)
    return functional.linear(x, linear.weight[:, : x.shape[-1]], linear.bias)


def to_steps(linear: nn.Linear, x: Tensor, length: int) -> Tensor:
    """A linear layer to the steps of a window, (…, k) to (…, L), in the same way."""
    if not is_whole():
        return linear(x)
    bias = None if linear.bias is None else linear.bias[:length]
    return functional.linear(x, linear.weight[:length], bias)
