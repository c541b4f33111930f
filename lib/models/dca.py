"""Dynamic cross-attention: RJCA that decides how much of the attended features to use (specification 2.7 C)."""

from __future__ import annotations

from torch import Tensor, nn

from lib.models.rjca import RJCA

TEMPERATURE = 0.1   # of the gates; a low one makes the choice nearly hard


class DCA(RJCA, name="dca"):
    """RJCA with two co-attention blocks and, for each modality, a gate between attended and unattended features.

    Corrections against the published network (`compat=True` undoes them all):
    * Positions, padding and steps as in `RJCA`; the gates look at one step each and need none.

    Arguments as of `JCA`.
    """

    blocks = 2

    def _build(self, inside: int, head: int, dropout: float) -> None:
        super()._build(inside, head, dropout)
        self.audio_gating_fc_layer = nn.Linear(inside, 2)
        self.video_gating_fc_layer = nn.Linear(inside, 2)

    def _attend(self, visual: Tensor, audio: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        attended_visual, attended_audio = self.coattn(visual, audio, valid)
        return (_chosen(visual, attended_visual, self.video_gating_fc_layer),
                _chosen(audio, attended_audio, self.audio_gating_fc_layer))


def _chosen(plain: Tensor, attended: Tensor, gate: nn.Linear) -> Tensor:
    """(B, L, k) mixture of both, the weights chosen by the attended features."""
    weight = (gate(attended) / TEMPERATURE).softmax(dim=-1)                 # (B, L, 2)
    return (weight[..., :1] * plain + weight[..., 1:] * attended).relu()
