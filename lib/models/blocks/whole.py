"""Run networks over whole sequences: every step is valid, and no control flow depends on the
batch's content.

An exported graph (`lib.models.export`) has one path for all inputs. So inside `whole_sequences` the
networks take a path without sorting, packing, selecting rows and filling up to a fixed number of
steps. Its outputs equal those with `valid` all true up to rounding; training and prediction here do
not use it, so that their numbers stay the same bit for bit.
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

    traced : a graph for any number of steps is being traced: recurrent layers are written as a loop
        (`lib.models.blocks.stepwise`).
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
    """The tensor itself; while a graph is traced, a contiguous copy. A convolution checks the
    memory layout of its input, and the result would be fixed for the example's sizes.
    """
    return x.clone(memory_format=torch.contiguous_format) if is_traced() else x


def over_steps(linear: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer over the steps of a window, (…, L) to (…, L). The layer has weights for
    `steps`, and L may be less inside `whole_sequences`: missing steps would contribute zero, and
    their outputs are not needed.
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
