"""Attention over the positions of a picture, guided by sound (Tian et al. 2018; specification 2.7 A 2)."""

from __future__ import annotations

from torch import Tensor, nn


class SpatialAttention(nn.Module):
    """Weighted mean of a picture's positions, the weights chosen by picture and sound.

    Arguments
    ---------
    visual_channels : features of a position (512 published).
    positions : places of a picture (49 published). With one there is nothing to choose: its weight is 1 and
        only `affine_feat` acts; the other layers get zero gradients.
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
        seen = self.affine_v(self.relu(self.affine_video(visual)))          # (…, P, P)
        heard = self.affine_g(self.relu(self.affine_audio(audio)))          # (…, P)
        score = self.affine_h((seen + heard.unsqueeze(-1)).tanh())          # (…, P, 1)
        weight = score.softmax(dim=-2)
        return self.affine_feat((weight * visual).sum(dim=-2))              # (…, hidden)
