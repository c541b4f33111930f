"""Joint cross-attention by the paper's equations: no LSTM, no positions (specification 2.7 D)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..base import arguments, scaled
from ..blocks.whole import from_steps, over_steps, to_steps
from .window import WindowModel, initialise, masked

ENCODED = 128  # channels of each encoder at width 1
HIDDEN = 32  # of the attention at width 1
HEAD_HIDDEN = 128  # of a regression head at width 1
ATTENTION_WEIGHTS = (
    *(f"affine_{of}" for of in "av"),
    *(f"W_{k}{of}" for k in ("", "c", "h") for of in "av"),
)


class JCAPaper(WindowModel, name="jca_paper"):
    """Each modality is added to its correlation with the joint features of the window; two heads
    read both.

    The heads are linear, without an activation, in the published code and here.

    Corrections against the published network (`compat=True` undoes them all):
    * Heads: they read attended sound and attended pictures, as the paper says (256 channels); the
      published code gives them raw and attended pictures (640), so the attended sound is computed
      and dropped.
    * Padding: steps that are not `valid` are zeroed before attention over time, and their result is
      0.
    * Steps: a shorter window is padded and masked; the published network takes exactly `steps`.

    Arguments
    ---------
    steps : longest window (16 published); the attention over time has weights of this size.
    visual_channels, audio_channels : pooled features of a picture and of the sound (512 and 512
        published).
    width : factor on the channels of encoders (128), attention (32) and heads (128).
    modality : "audio" or "video": zeros take the place of the other modality's features.
    dropout : in the heads (0.6 published).
    """

    layer_order = (("encoder1", "encoder2"), ATTENTION_WEIGHTS, ("vregressor", "aregressor"))

    def __init__(
        self,
        compat: bool = False,
        *,
        steps: int = 16,
        visual_channels: int = 512,
        audio_channels: int = 512,
        width: float = 1.0,
        modality: str = "audiovisual",
        dropout: float = 0.6,
    ):
        super().__init__(**arguments(locals()))
        self._declare(steps, modality, (visual_channels, 1), audio_channels)
        encoded, head = scaled(ENCODED, width), scaled(HEAD_HIDDEN, width)
        self.encoder1 = nn.Linear(audio_channels, encoded)
        self.encoder2 = nn.Linear(visual_channels, encoded)
        add_attention(self, steps, 2 * encoded, scaled(HIDDEN, width))
        read = encoded + (visual_channels if compat else encoded)
        self.vregressor, self.aregressor = (linear_head(read, head, dropout) for _ in range(2))
        initialise(self)

    def fuse(self, audio: Tensor, visual: Tensor, valid: Tensor | None) -> Tensor:
        heard, seen = masked(self.encoder1(audio), valid), masked(self.encoder2(visual), valid)
        heard, attended = attend(self, heard, seen)  # (B, steps, encoded) each
        features = torch.cat([visual if self.compat else heard, attended], dim=-1)
        return torch.cat([self.vregressor(features), self.aregressor(features)], dim=-1)


class JCA512(WindowModel, name="jca_512"):
    """`JCAPaper` without encoders and with one head: one network learns valence or arousal.

    Corrections against the published network (`compat=True` undoes them all):
    * Head: it reads attended sound and attended pictures, not raw and attended pictures; of equal
      width here.
    * Padding and steps as in `JCAPaper`.

    Arguments as of `JCAPaper`; visual_channels and audio_channels are those of the attention.
    """

    layer_order = (ATTENTION_WEIGHTS, "regressor")

    def __init__(
        self,
        compat: bool = False,
        *,
        steps: int = 16,
        visual_channels: int = 512,
        audio_channels: int = 512,
        width: float = 1.0,
        modality: str = "audiovisual",
        dropout: float = 0.6,
    ):
        super().__init__(**arguments(locals()))
        self._declare(steps, modality, (visual_channels, 1), audio_channels, outputs=1)
        add_attention(self, steps, audio_channels + visual_channels, scaled(HIDDEN, width))
        read = visual_channels + (visual_channels if compat else audio_channels)
        self.regressor = linear_head(read, scaled(HEAD_HIDDEN, width), dropout)
        initialise(self)

    def fuse(self, audio: Tensor, visual: Tensor, valid: Tensor | None) -> Tensor:
        heard, seen = attend(self, audio, visual)
        return self.regressor(torch.cat([visual if self.compat else heard, seen], dim=-1))


def add_attention(net: nn.Module, steps: int, joint: int, hidden: int) -> None:
    """Give a network the eight bias-free layers of the attention, under their published names."""
    net.affine_a, net.affine_v = (nn.Linear(steps, steps, bias=False) for _ in range(2))
    net.W_a, net.W_v = (nn.Linear(steps, hidden, bias=False) for _ in range(2))
    net.W_ca, net.W_cv = (nn.Linear(joint, hidden, bias=False) for _ in range(2))
    net.W_ha, net.W_hv = (nn.Linear(hidden, steps, bias=False) for _ in range(2))


def attend(net: nn.Module, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
    """Attended sound and pictures: (B, steps, k) each, zero where masked, in the same shapes."""
    joint = torch.cat([audio, visual], dim=-1).transpose(1, 2)  # (B, joint, steps)
    return (
        _attended(audio, over_steps(net.affine_a, joint), net.W_ca, net.W_a, net.W_ha),
        _attended(visual, over_steps(net.affine_v, joint), net.W_cv, net.W_v, net.W_hv),
    )


def _attended(
    x: Tensor, joint: Tensor, of_common: nn.Linear, of_x: nn.Linear, back: nn.Linear
) -> Tensor:
    turned = x.transpose(1, 2)  # (B, k, steps)
    common = (turned @ joint.transpose(1, 2) * joint.shape[1] ** -0.5).tanh()  # (B, k, joint)
    hidden = (of_common(common) + from_steps(of_x, turned)).relu()  # (B, k, hidden)
    return to_steps(back, hidden, x.shape[1]).transpose(1, 2) + x


def linear_head(channels: int, hidden: int, dropout: float) -> nn.Sequential:
    """(…, channels) to (…, 1), raw; without an activation."""
    return nn.Sequential(nn.Linear(channels, hidden), nn.Dropout(dropout), nn.Linear(hidden, 1))
