"""Gradient checkpointing: parts of a network are computed twice, so that less is kept for the
backward pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recomputed(module: nn.Module, x: Tensor) -> Tensor:
    """``module(x)``, of which only `x` is kept; activations inside are recomputed for the gradient.

    Numbers and gradients are the same. Batch norms count the batch once. The module must not draw
    random numbers (no dropout).
    """

    def contexts():
        return contextlib.nullcontext(), _counting_nothing(module)

    return checkpoint(module, x, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)


@contextlib.contextmanager
def _counting_nothing(module: nn.Module) -> Iterator[None]:
    """Batch norms do not update their running means inside the block, because the first pass has
    done so.
    """
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, counted) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counted
