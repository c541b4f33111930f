"""TalkNet's attention: one stream's frames look at the other's, masked, with rotary positions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import rotary

FEED_FORWARD = 4  # times the width


@dataclass
class Look:
    """Restrictions on the attention of `n` queries to `m` keys; all are optional.

    blind : (B, m) bool, masked keys. q_angle, k_angle : (B, n, d/2), (B, m, d/2), see `rotary`.
        q_time, k_time : (B, n), (B, m), with `window`: only keys |Δt| ≤ window are seen.
    scale : factor on the scores (log-length scaling).
    """

    blind: Tensor | None = None
    q_angle: Tensor | None = None
    k_angle: Tensor | None = None
    q_time: Tensor | None = None
    k_time: Tensor | None = None
    window: float = 0.0
    scale: float = 1.0

    def allowed(self) -> Tensor | None:
        """(B, 1, n or 1, m) bool: the attention mask, True for keys that may be attended to."""
        mask = None if self.blind is None else ~self.blind[:, None, None, :]
        if self.window > 0:
            near = ((self.q_time[:, :, None] - self.k_time[:, None, :]).abs() <= self.window)[
                :, None
            ]
            mask = near if mask is None else mask & near
        return mask


class Attention(nn.Module):
    """Multi-head attention with PyTorch's names of the weights, whose heads can be rotated."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, queries: Tensor, keys: Tensor, look: Look) -> Tensor:
        """queries (B, n, width), keys (B, m, width), which are the values too -> (B, n, width)."""
        q, k, v = (self._heads(tokens, part) for part, tokens in enumerate((queries, keys, keys)))
        if look.q_angle is not None:
            q, k = rotary.rotate(q, look.q_angle), rotary.rotate(k, look.k_angle)
        mask = look.allowed()
        nobody = None
        # a row without any key would be 0/0: it attends to all keys, and its result is not used
        if mask is not None:
            nobody = ~mask.any(dim=-1, keepdim=True)
            mask = mask | nobody
        seen = functional.scaled_dot_product_attention(
            q * look.scale, k, v, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0
        )
        out = self.out_proj(seen.transpose(1, 2).flatten(2))
        return out if nobody is None else out.masked_fill(nobody[:, 0], 0.0)

    def _heads(self, tokens: Tensor, part: int) -> Tensor:
        width = tokens.shape[-1]
        rows = slice(part * width, (part + 1) * width)
        projected = functional.linear(tokens, self.in_proj_weight[rows], self.in_proj_bias[rows])
        return projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class AttentionLayer(nn.Module):
    """Attention and feed-forward, each added and normalised; the sum is with *source* (§3.2)."""

    def __init__(self, width: int, heads: int, dropout: float = 0.1):
        super().__init__()
        self.self_attn = Attention(width, heads, dropout)
        self.linear1 = nn.Linear(width, FEED_FORWARD * width)
        self.linear2 = nn.Linear(FEED_FORWARD * width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, source: Tensor, target: Tensor, look: Look) -> Tensor:
        """source, target : (B, N, width); queries from the target, keys, values from the source."""
        x = self.norm1(source + self.dropout(self.self_attn(target, source, look)))
        return self.norm2(
            x + self.dropout(self.linear2(self.dropout(functional.relu(self.linear1(x)))))
        )
