"""Masks (bool tensors of steps) on a GPU that keep their copy on the processor.

The number of valid steps in a window decides shapes: which rows a batch norm sees, how long a
recurrent layer runs. Reading it from a GPU means waiting until everything queued there is computed.
The trainer has the mask on the processor before it sends it to the GPU; that copy is kept here as
an attribute of the GPU's mask.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_ON_HOST = "_on_host"  # attribute of a mask on a GPU: the same mask on the processor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device; a mask that goes to a GPU keeps its copy."""
    moved = tensor.to(device, non_blocking=True)
    if tensor.dtype == torch.bool and moved is not tensor:
        setattr(moved, _ON_HOST, tensor)
    return moved


def derived(make: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Apply `make` to the masks and, if each has a copy on the processor, to the copies: they give
    the result's copy.
    """
    result = make(*tensors)
    copies = [getattr(tensor, _ON_HOST, None) for tensor in tensors]
    if all(copy is not None for copy in copies):
        setattr(result, _ON_HOST, make(*copies))
    return result


def on_host(mask: Tensor) -> Tensor:
    """The mask on the processor. If no copy was kept it is fetched, which waits for the GPU."""
    copy = getattr(mask, _ON_HOST, None)
    return mask.cpu() if copy is None else copy


def lengths(mask: Tensor) -> Tensor:
    """(B, L) bool to (B,) int64 on the processor: how many steps of each row are valid."""
    return on_host(mask).sum(dim=1)


def rows(mask: Tensor) -> Tensor:
    """Index of the valid steps in the flattened mask, (n,) int64 on the mask's device."""
    return on_host(mask).flatten().nonzero()[:, 0].to(mask.device, non_blocking=True)
