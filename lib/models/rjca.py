"""Recursive joint cross-attention: JCA with an LSTM on each modality (Praveen et al. 2023; specification 2.7 B)."""

from __future__ import annotations

from torch import Tensor, nn

from lib.models.co_attention import CoAttention
from lib.models.jca import JCA, regression_head
from lib.models.recurrent import ResidualLSTM
from lib.models.spatial_attention import SpatialAttention

EXTRACT_DROPOUT = 0.1   # between the two layers of a modality's LSTM


class RJCA(JCA, name="rjca"):
    """JCA whose sound passes through a BiLSTM before it chooses positions, and whose pictures do afterwards.

    The published file has one co-attention block, although the paper is about recursion: so has this network.

    Corrections against the published network (`compat=True` undoes them all):
    * Positions: read place by place, as in `JCA`.
    * Padding: the two added LSTMs pass over masked steps too; otherwise filling up would change valid steps.
    * Steps: a shorter window is padded and masked, as in `JCA`.

    Arguments as of `JCA`; sound has the channels inside (512 at width 1) from its LSTM on.
    """

    blocks = 1   # of co-attention, each with weights of its own

    def _build(self, inside: int, head: int, dropout: float) -> None:
        self.coattn = CoAttention(self.steps, (inside, inside), self.blocks, dropout)
        self.audio_extract = ResidualLSTM(self.audio_channels, inside // 2, EXTRACT_DROPOUT)
        self.video_extract = ResidualLSTM(inside, inside // 2, EXTRACT_DROPOUT)
        self.video_attn = nn.ModuleDict({"attn": SpatialAttention(
            self.visual_channels, self.visual_positions, inside, inside)})
        # In the published order of keys, one head stands before the LSTM and one behind it.
        self.vregressor = regression_head(inside, head, dropout)
        self.Joint = ResidualLSTM(2 * inside, inside // 2)
        self.aregressor = regression_head(inside, head, dropout)

    def _hear(self, audio: Tensor, valid: Tensor | None) -> Tensor:
        return self.audio_extract(audio, valid)

    def _see(self, visual: Tensor, valid: Tensor | None) -> Tensor:
        return self.video_extract(visual, valid)
