"""Joint co-attention of two sequences over time (Praveen et al. 2022; specification 2.7 A 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .whole import over_steps


class CoAttention(nn.Module):
    """A stack of co-attention layers with separate weights.

    Arguments
    ---------
    steps : length of the sequences; the attention over time is a linear layer of this size.
    channels : features of the first and of the second sequence (512 and 512 published).
    layers : 1 in JCA and RJCA, 2 in DCA.
    dropout : 0.6 published.
    """

    def __init__(
        self, steps: int, channels: tuple[int, int], layers: int = 1, dropout: float = 0.6
    ):
        super().__init__()
        self.dcn_layers = nn.ModuleList(
            CoAttentionLayer(steps, channels, dropout) for _ in range(layers)
        )

    def forward(
        self, first: Tensor, second: Tensor, valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Arguments and results as of `CoAttentionLayer`."""
        for layer in self.dcn_layers:
            first, second = layer(first, second, valid)
        return first, second


class CoAttentionLayer(nn.Module):
    """Each sequence is added to its correlation with the joint one over the window."""

    def __init__(self, steps: int, channels: tuple[int, int], dropout: float):
        super().__init__()
        joint = sum(channels)
        self.dense_coattn = DenseCoAttention(steps, channels, dropout)
        self.linears = nn.ModuleList(
            nn.Sequential(nn.Linear(joint, size), nn.ReLU(), nn.Dropout(dropout))
            for size in channels
        )

    def forward(
        self, first: Tensor, second: Tensor, valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, steps, channels[m]) sequences to the same shapes; valid (B, steps) bool, None = all.

        Steps that are not valid are zero afterwards and change no other step.
        """
        if valid is not None:
            first, second = first * valid.unsqueeze(-1), second * valid.unsqueeze(-1)
        attended = self.dense_coattn(first, second, valid)
        first, second = (
            x + linear(w)
            for x, linear, w in zip((first, second), self.linears, attended, strict=True)
        )
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
        self.scale = joint**-0.5

    def forward(self, first: Tensor, second: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, steps, channels[m]), zero where not valid, to two (B, steps, joint)."""
        joint = self.query_linear(torch.cat([first, second], dim=-1))  # (B, steps, joint)
        # the bias filled the masked steps, and the keys would spread it over time
        if valid is not None:
            joint = joint * valid.unsqueeze(-1)
        return (
            self._attend(first, joint, self.key1_linear, self.value1_linear),
            self._attend(second, joint, self.key2_linear, self.value2_linear),
        )

    def _attend(
        self, x: Tensor, joint: Tensor, key_linear: nn.Linear, value_linear: nn.Linear
    ) -> Tensor:
        key = over_steps(key_linear, x.transpose(1, 2))  # (B, channels, steps)
        common = self.dropout((key @ joint * self.scale).tanh())  # (B, channels, joint)
        return (value_linear(x) @ common).tanh().relu()  # (B, steps, joint)


class SpatialAttention(nn.Module):
    """Weighted mean of a picture's positions, the weights chosen by picture and sound.

    Arguments
    ---------
    visual_channels : features of a position (512 published).
    positions : places of a picture (49 published). With one there is nothing to choose: its weight
        is 1 and only `affine_feat` acts; the other layers get zero gradients.
    audio_channels : features of the sound (512 published).
    hidden : channels inside and of the result (512 published).
    """

    def __init__(self, visual_channels: int, positions: int, audio_channels: int, hidden: int):
        super().__init__()
        self.affine_audio = nn.Linear(audio_channels, hidden)
        self.affine_video = nn.Linear(visual_channels, hidden)
        self.affine_v = nn.Linear(hidden, positions, bias=False)
        self.affine_g = nn.Linear(hidden, positions, bias=False)
        self.affine_h = nn.Linear(positions, 1, bias=False)
        self.affine_feat = nn.Linear(visual_channels, hidden)
        self.relu = nn.ReLU()

    def forward(self, visual: Tensor, audio: Tensor) -> Tensor:
        """(…, P, C) picture positions and (…, A) sound to (…, hidden)."""
        seen = self.affine_v(self.relu(self.affine_video(visual)))  # (…, P, P)
        heard = self.affine_g(self.relu(self.affine_audio(audio)))  # (…, P)
        score = self.affine_h((seen + heard.unsqueeze(-1)).tanh())  # (…, P, 1)
        weight = score.softmax(dim=-2)
        return self.affine_feat((weight * visual).sum(dim=-2))  # (…, hidden)
