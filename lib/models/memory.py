"""Batch sizes on a GPU: from its free memory, and smaller if that runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from ..errors import full_gpu

# share of the free memory; cuDNN's workspaces and the allocator's gaps need the rest
FREE_MEMORY_SHARE = 0.7


def at_once(device: torch.device, most: int, bytes_each: int = 0, on_cpu: int = 0) -> int:
    """Number of items per batch: on a GPU as many as fit into its free memory, at most `most`; on a
    CPU `on_cpu`.

    bytes_each : memory of the activations of one item, 0: not known, so `most` are tried.
    on_cpu : 0 for `most`.
    """
    if device.type != "cuda":
        return on_cpu or most
    if not bytes_each:
        return most
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(most, int(FREE_MEMORY_SHARE * free) // bytes_each))


def pieces(
    compute: Callable[[int, int], object], count: int, size: int
) -> Iterator[tuple[slice, object]]:
    """Yield ``(slice, compute(start, stop))`` for `count` items, `size` at once.

    If the GPU's memory runs out the size is halved for the rest. Raises the InputError of
    `lib.errors.full_gpu` if not even one item fits, since no file causes that.
    """
    start = 0
    while start < count:
        stop = min(start + size, count)
        try:
            values = compute(start, stop)
        except torch.OutOfMemoryError as error:
            size = _halved(stop - start, error)
            continue
        yield slice(start, stop), values
        start = stop


def _halved(size: int, error: torch.OutOfMemoryError) -> int:
    torch.cuda.empty_cache()
    if size <= 1:
        raise full_gpu(str(error)) from error
    return size // 2
