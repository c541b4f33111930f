"""LR-ASD (Liao et al., IJCV 2025): a smaller successor of Light-ASD with gates.

Published weights of it can be had (MIT): `lib.weights` knows them as ``lr_asd_ava`` and
``lr_asd_talkset``. Specification: open_nets.md §3. Inputs, encoders around the blocks and heads are
those of `light_asd`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..base import Model
from ..blocks.recurrent import recurrent
from . import light_asd
from .light_asd import BATCH_NORM, CHANNELS, COEFFICIENTS

KERNELS = (5, 3)  # of a block, one after the other
DROPOUT = 0.5  # before each of the two GRUs


class LrAsd(Model, name="lr_asd"):
    """Scores of one face in every frame, from its crops and the sound.

    Inputs ``face`` (B,T,S,S) grey 0–255 and ``mfcc`` (B,4T,13); outputs ``speaking`` and
    ``speaking_visual`` (B,T,2), logits of [not speaking, speaking]. `compat` changes nothing: of
    the published network no defect is known. `modality` sets the other stream's embedding to zero;
    `face_size` is 112 with the published weights.
    """

    def __init__(
        self,
        compat: bool = False,
        *,
        width: float = 1.0,
        face_size: int = 112,
        modality: str = "audiovisual",
    ):
        super().__init__(compat, width=width, face_size=face_size, modality=modality)
        channels = [2 * max(1, round(width * each / 2)) for each in CHANNELS]
        self.modality = modality
        self.model = _Streams(channels)
        self.lossAV = light_asd.Head(channels[-1])
        self.lossV = light_asd.Head(channels[-1])
        self.inputs = {
            "face": f"(B, T, {face_size}, {face_size}) grey 0–255",
            "mfcc": f"(B, 4T, {COEFFICIENTS})",
        }
        self.outputs = {"speaking": "(B, T, 2) logits", "speaking_visual": "(B, T, 2)"}

    def forward(self, batch):
        face, mfcc = light_asd.face_and_sound(self, batch)
        seen = heard = mfcc.new_zeros(*face.shape[:2], self.lossV.FC.in_features)
        if self.modality != "audio":
            seen = self.model.visualEncoder(light_asd.grey(face))
        if self.modality != "video":
            heard = self.model.audioEncoder(mfcc)
        joint = self.model.fusion(torch.cat([heard, seen], dim=-1))
        return {
            "speaking": self.lossAV.FC(self.model.detector(joint)),
            "speaking_visual": self.lossV.FC(seen),
        }


class _Streams(nn.Module):
    def __init__(self, channels: list[int]):
        super().__init__()
        self.visualEncoder = light_asd.VisualEncoder(channels, _Block)
        self.audioEncoder = light_asd.AudioEncoder(channels, _Block)
        self.fusion = _Gate(2 * channels[-1])
        self.detector = _Detector(2 * channels[-1])


class _Block(nn.Module):
    """Four convolutions one after the other: twice over space, to half of the channels and to all,
    then twice over time.
    """

    REACH = sum(kernel // 2 for kernel in KERNELS)  # frames that it sees to either side

    def __init__(self, before: int, after: int, names: tuple[str, str], shapes):
        super().__init__()
        self.space, self.time = names
        convolution, norm = light_asd.layers(shapes)
        for number, kernel in enumerate(KERNELS, 1):
            into = after // 2 if number == 1 else after
            over_space, _, _ = shapes(kernel)
            setattr(
                self, f"{self.space}_{number}", convolution(before, into, over_space, bias=False)
            )
            setattr(self, f"{self.space}_norm_{number}", norm(into, **BATCH_NORM))
            before = into
        for number, kernel in enumerate(KERNELS, 1):
            _, over_time, _ = shapes(kernel)
            setattr(self, f"{self.time}_{number}", convolution(after, after, over_time, bias=False))
            setattr(self, f"{self.time}_norm_{number}", norm(after, **BATCH_NORM))

    def picture(self, x: Tensor, frames: int, stride: int) -> Tensor:
        """(BT, C, H, W) -> (BT, C', H', W')."""
        x = x.contiguous(memory_format=torch.channels_last)
        x = light_asd.over_space(*self._layer(self.space, 1), x, stride)
        x = light_asd.over_space(*self._layer(self.space, 2), x)
        height, width = x.shape[2:]
        x = light_asd.as_time(x, frames)
        for number in (1, 2):
            x = light_asd.over_time(*self._layer(self.time, number), x)
        return light_asd.as_pictures(x, height, width)

    def sound(self, x: Tensor) -> Tensor:
        """(B, C, 13, n) -> (B, C', 13, n)."""
        for name in (self.space, self.time):
            for number in (1, 2):
                x = light_asd.normed(*self._layer(name, number), x)
        return x

    def _layer(self, name: str, number: int) -> tuple[nn.Module, nn.Module]:
        return getattr(self, f"{name}_{number}"), getattr(self, f"{name}_norm_{number}")


class _Gate(nn.Module):
    """(B, T, C) times a weight between 0 and 1 per frame and channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.attention = nn.Conv1d(channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm1d(channels, **BATCH_NORM)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.bn(self.attention(x.transpose(1, 2))).transpose(1, 2)
        return x * torch.sigmoid(weights)


class _Detector(nn.Module):
    """(B, T, 2C) -> (B, T, C): a GRU in time order and one in reverse, beside each other."""

    def __init__(self, channels: int):
        super().__init__()
        self.gru_forward = nn.GRU(channels, channels // 4, batch_first=True)
        self.gru_backward = nn.GRU(channels, channels // 4, batch_first=True)
        self.attention = _Gate(channels // 2)
        for gru in (self.gru_forward, self.gru_backward):
            for name, weight in gru.named_parameters():
                if name.startswith("bias"):
                    nn.init.zeros_(weight)
                else:
                    nn.init.kaiming_normal_(weight)  # as published

    def forward(self, x: Tensor) -> Tensor:
        # each GRU has a dropout of its own, as published
        ahead = recurrent(self.gru_forward, self._dropped(x))
        back = recurrent(self.gru_backward, self._dropped(x).flip(1)).flip(1)
        return self.attention(torch.cat([ahead, back], dim=-1))

    def _dropped(self, x: Tensor) -> Tensor:
        return functional.dropout(x, DROPOUT, self.training)
