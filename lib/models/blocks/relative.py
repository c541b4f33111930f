"""A transformer layer with relative positions: rotary attention over time, then two linear layers.

Positions come in by rotating queries and keys (`lib.models.blocks.rotary`), so a product of two
steps depends on their distance only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import rotary
from .feed_forward import feed_forward

HEADS = 4


class RelativeLayer(nn.Module):
    """Attention over the looked-at steps and a feed-forward part, each after a layer norm and
    beside a shortcut (pre-norm).

    hidden : channels, a multiple of 4. dropout : of the attention's weights and of both results.
    """

    def __init__(self, hidden: int, dropout: float):
        super().__init__()
        # Rotation works on pairs of channels: a head has an even number of them.
        self.heads = HEADS if hidden % (2 * HEADS) == 0 else HEADS // 2
        self.dropout = dropout
        self.norm_attention, self.norm_forward = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.project = nn.Linear(hidden, 3 * hidden)
        self.join = nn.Linear(hidden, hidden)
        self.forward_part = feed_forward(hidden, dropout)
        pairs = (hidden // self.heads // 2, 0, 0)
        self.register_buffer("axes", rotary.axes(pairs, "axial"), persistent=False)
        self.register_buffer("speed", rotary.frequencies(pairs, "axial"), persistent=False)

    def forward(self, x: Tensor, looked_at: Tensor) -> Tensor:
        """(B, L, hidden) to the same; looked_at (B, L) bool, at least one True in each row."""
        x = x + functional.dropout(self._attend(x, looked_at), self.dropout, self.training)
        more = self.forward_part(self.norm_forward(x))
        return x + functional.dropout(more, self.dropout, self.training)

    def _attend(self, x: Tensor, looked_at: Tensor) -> Tensor:
        parts = self.project(self.norm_attention(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = (part.transpose(1, 2) for part in parts.unbind(2))  # (B, heads, L, d)
        step = torch.arange(x.shape[1], device=x.device)[None, :, None].expand(-1, -1, 3)
        angle = rotary.angles(step, self.axes, self.speed)
        attended = functional.scaled_dot_product_attention(
            rotary.rotate(query, angle),
            rotary.rotate(key, angle),
            value,
            attn_mask=looked_at[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.join(attended.transpose(1, 2).flatten(2))
