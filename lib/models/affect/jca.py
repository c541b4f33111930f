"""Joint cross-attention of pictures and sound, as in the authors' code (specification 2.7 A)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..base import arguments, scaled
from ..blocks.attention import CoAttention, SpatialAttention
from ..blocks.recurrent import ResidualLSTM
from .window import WindowModel, initialise

HIDDEN = 256  # of an LSTM direction at width 1; two directions make the 512 channels inside
HEAD_HIDDEN = 128  # of a regression head at width 1


class JCA(WindowModel, name="jca"):
    """Valence and arousal of each step of a window, from the features of a frozen backbone.

    Sound chooses among the positions of each picture, a co-attention layer compares both sequences
    with their joint one over the whole window, a BiLSTM joins them, two heads read it.

    Corrections against the published network (`compat=True` undoes them all):
    * Positions: the C·P features are read as (C, P) and transposed, so that a row is one place of
      the picture; the published code views the channel-major vector as (P, C): a row mixes 11
      channels of all places.
    * Padding: steps that are not `valid` are zeroed before anything runs over time, the LSTM passes
      over them, and their result is 0, so that filling up changes no valid step; the published code
      has no mask.
    * Steps: a shorter window is padded and masked; the published network takes exactly `steps`.

    Arguments
    ---------
    steps : longest window (16 published). The attention over time has weights of this size: another
        value is another network, longer windows are refused.
    visual_channels, visual_positions, audio_channels : C, P, A of the features (512, 49, 512
        published). With P = 1 (pooled features) there are no positions to choose from, see
        `SpatialAttention`.
    width : factor on the channels inside (512) and in the heads (128). Sizes of inputs are not
        scaled: the first layer that meets an input takes its size, and sound runs with A channels
        as far as the LSTM.
    modality : "audio" or "video": zeros take the place of the other modality's features; its input
        is not needed.
    dropout : in co-attention and heads (0.6 published).

    Inputs `audio` (B, L, A) and `visual` (B, L, C·P) may be float16; `valid` (B, L) bool may be
    left out. Output `va` is raw: no tanh. Under `compat` a mask is ignored.
    """

    layer_order = ("video_attn", "coattn", "Joint", ("vregressor", "aregressor"))

    def __init__(
        self,
        compat: bool = False,
        *,
        steps: int = 16,
        visual_channels: int = 512,
        visual_positions: int = 49,
        audio_channels: int = 512,
        width: float = 1.0,
        modality: str = "audiovisual",
        dropout: float = 0.6,
    ):
        super().__init__(**arguments(locals()))
        self._declare(steps, modality, (visual_channels, visual_positions), audio_channels)
        self._build(2 * scaled(HIDDEN, width), scaled(HEAD_HIDDEN, width), dropout)
        initialise(self)

    def _build(self, inside: int, head: int, dropout: float) -> None:
        self.coattn = CoAttention(self.steps, (inside, self.audio_channels), dropout=dropout)
        self.video_attn = nn.ModuleDict(
            {
                "attn": SpatialAttention(
                    self.visual_channels, self.visual_positions, self.audio_channels, inside
                )
            }
        )
        self.Joint = ResidualLSTM(inside + self.audio_channels, inside // 2)
        self.vregressor, self.aregressor = (
            regression_head(inside, head, dropout) for _ in range(2)
        )

    def fuse(self, audio: Tensor, visual: Tensor, valid: Tensor | None) -> Tensor:
        audio = self._hear(functional.normalize(audio, dim=-1), valid)  # (B, steps, A)
        places = self._positions(functional.normalize(visual, dim=-1))  # (B, steps, P, C)
        visual = self._see(self.video_attn["attn"](places, audio), valid)  # (B, steps, inside)
        visual, audio = self._attend(visual, audio, valid)
        joint = self.Joint(torch.cat([visual, audio], dim=-1), valid)  # (B, steps, inside)
        return torch.cat([self.vregressor(joint), self.aregressor(joint)], dim=-1)

    def _hear(self, audio: Tensor, valid: Tensor | None) -> Tensor:
        """Process the sound before all other layers; nothing here."""
        return audio

    def _see(self, visual: Tensor, valid: Tensor | None) -> Tensor:
        """Process the pictures before co-attention; nothing here."""
        return visual

    def _attend(self, visual: Tensor, audio: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.coattn(visual, audio, valid)

    def _positions(self, visual: Tensor) -> Tensor:
        """(B, L, C·P) to (B, L, P, C)."""
        if self.compat:
            return visual.unflatten(-1, (self.visual_positions, self.visual_channels))
        return visual.unflatten(-1, (self.visual_channels, self.visual_positions)).transpose(-1, -2)


def regression_head(channels: int, hidden: int, dropout: float) -> nn.Sequential:
    """(…, channels) to (…, 1), raw."""
    return nn.Sequential(
        nn.Linear(channels, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1)
    )


EXTRACT_DROPOUT = 0.1  # between the two layers of a modality's LSTM


class RJCA(JCA, name="rjca"):
    """JCA whose sound passes through a BiLSTM before it chooses positions, and pictures do after.

    Like the published file this network has one co-attention block, although the paper is about
    recursion.

    Corrections against the published network (`compat=True` undoes them all):
    * Positions: read place by place, as in `JCA`.
    * Padding: the two added LSTMs pass over masked steps too; otherwise filling up would change
      valid steps.
    * Steps: a shorter window is padded and masked, as in `JCA`.

    Arguments as of `JCA`; sound has the channels inside (512 at width 1) from its LSTM on.
    """

    layer_order = ("audio_extract", "video_attn", "video_extract", *JCA.layer_order[1:])

    blocks = 1  # co-attention blocks, each with its own weights

    def _build(self, inside: int, head: int, dropout: float) -> None:
        self.coattn = CoAttention(self.steps, (inside, inside), self.blocks, dropout)
        self.audio_extract = ResidualLSTM(self.audio_channels, inside // 2, EXTRACT_DROPOUT)
        self.video_extract = ResidualLSTM(inside, inside // 2, EXTRACT_DROPOUT)
        self.video_attn = nn.ModuleDict(
            {"attn": SpatialAttention(self.visual_channels, self.visual_positions, inside, inside)}
        )
        # In the published order of keys, one head stands before the LSTM and one behind it.
        self.vregressor = regression_head(inside, head, dropout)
        self.Joint = ResidualLSTM(2 * inside, inside // 2)
        self.aregressor = regression_head(inside, head, dropout)

    def _hear(self, audio: Tensor, valid: Tensor | None) -> Tensor:
        return self.audio_extract(audio, valid)

    def _see(self, visual: Tensor, valid: Tensor | None) -> Tensor:
        return self.video_extract(visual, valid)


TEMPERATURE = 0.1  # temperature of the gates; a low one makes the choice nearly hard


class DCA(RJCA, name="dca"):
    """RJCA with two co-attention blocks and, for each modality, a gate between attended and
    unattended features.

    Corrections against the published network (`compat=True` undoes them all):
    * Positions, padding and steps as in `RJCA`; the gates look at one step each and need none.

    Arguments as of `JCA`.
    """

    layer_order = (
        *RJCA.layer_order[:4],
        ("audio_gating_fc_layer", "video_gating_fc_layer"),
        *RJCA.layer_order[4:],
    )

    blocks = 2

    def _build(self, inside: int, head: int, dropout: float) -> None:
        super()._build(inside, head, dropout)
        self.audio_gating_fc_layer = nn.Linear(inside, 2)
        self.video_gating_fc_layer = nn.Linear(inside, 2)

    def _attend(self, visual: Tensor, audio: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        attended_visual, attended_audio = self.coattn(visual, audio, valid)
        return (
            _chosen(visual, attended_visual, self.video_gating_fc_layer),
            _chosen(audio, attended_audio, self.audio_gating_fc_layer),
        )


def _chosen(plain: Tensor, attended: Tensor, gate: nn.Linear) -> Tensor:
    """(B, L, k) mixture of both, the weights chosen by the attended features."""
    weight = (gate(attended) / TEMPERATURE).softmax(dim=-1)  # (B, L, 2)
    return (weight[..., :1] * plain + weight[..., 1:] * attended).relu()
