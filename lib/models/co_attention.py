"""Joint co-attention of two sequences over time (Praveen et al. 2022; specification 2.7 A 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CoAttention(nn.Module):
    """A stack of co-attention layers with separate weights.

    Arguments
    ---------
    steps : length of the sequences; the attention over time is a linear layer of this size.
    channels : features of the first and of the second sequence (512 and 512 published).
    layers : 1 in JCA and RJCA, 2 in DCA.
    dropout : 0.6 published.
    """

    def __init__(self, steps: int, channels: tuple[int, int], layers: int = 1, dropout: float = 0.6):
        super().__init__()
        self.dcn_layers = nn.ModuleList(CoAttentionLayer(steps, channels, dropout) for _ in range(layers))

    def forward(self, first: Tensor, second: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Arguments and results as of `CoAttentionLayer`."""
        for layer in self.dcn_layers:
            first, second = layer(first, second, valid)
        return first, second


class CoAttentionLayer(nn.Module):
    """Each sequence is added to what it and the joint sequence have in common over the whole window."""

    def __init__(self, steps: int, channels: tuple[int, int], dropout: float):
        super().__init__()
        joint = sum(channels)
        self.dense_coattn = DenseCoAttention(steps, channels, dropout)
        self.linears = nn.ModuleList(
            nn.Sequential(nn.Linear(joint, each), nn.ReLU(), nn.Dropout(dropout)) for each in channels)

    def forward(self, first: Tensor, second: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, steps, channels[m]) sequences to the same shapes; valid (B, steps) bool, None = all.

        Steps that are not valid are zero afterwards and change no other step.
        """
        if valid is not None:
            first, second = first * valid.unsqueeze(-1), second * valid.unsqueeze(-1)
        attended = self.dense_coattn(first, second, valid)
        first, second = (x + linear(w) for x, linear, w in
                         zip((first, second), self.linears, attended, strict=True))
        if valid is not None:
            first, second = first * valid.unsqueeze(-1), second * valid.unsqueeze(-1)
        return first, second


class DenseCoAttention(nn.Module):
    """Correlation of each sequence's features with the joint features, over time."""

    def __init__(self, steps: int, channels: tuple[int, int], dropout: float):
        super().__init__()
        joint = sum(channels)
        self.query_linear = nn.Linear(joint, joint)
        self.key1_linear = nn.Linear(steps, steps)
        self.key2_linear = nn.Linear(steps, steps)
        self.value1_linear = nn.Linear(channels[0], channels[0])
        self.value2_linear = nn.Linear(channels[1], channels[1])
        self.dropout = nn.Dropout(dropout)
        self.scale = joint ** -0.5

    def forward(self, first: Tensor, second: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, steps, channels[m]), zero where not valid, to two (B, steps, joint)."""
        joint = self.query_linear(torch.cat([first, second], dim=-1))       # (B, steps, joint)
        if valid is not None:   # the bias has filled the masked steps, and keys would spread it over time
            joint = joint * valid.unsqueeze(-1)
        return (self._attend(first, joint, self.key1_linear, self.value1_linear),
                self._attend(second, joint, self.key2_linear, self.value2_linear))

    def _attend(self, x: Tensor, joint: Tensor, key_linear: nn.Linear, value_linear: nn.Linear) -> Tensor:
        key = key_linear(x.transpose(1, 2))                                 # (B, channels, steps)
        common = self.dropout((key @ joint * self.scale).tanh())            # (B, channels, joint)
        return (value_linear(x) @ common).tanh().relu()                     # (B, steps, joint)
