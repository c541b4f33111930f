"""LR-ASD (Liao et al., IJCV 2025): a smaller successor of Light-ASD with gates.

Published weights exist (MIT): `lib.models.weights` knows them as ``lr_asd_ava`` and
``lr_asd_talkset``. Specification: LR-ASD specification §3. Inputs, encoders around the blocks and
heads are those of `light_asd`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..blocks.recurrent import recurrent
from . import light_asd
from .light_asd import BATCH_NORM, CHANNELS

KERNELS = (5, 3)  # of a block, one after the other
DROPOUT = 0.5  # before each of the two GRUs


class LrAsd(light_asd.OneFace, name="lr_asd"):
    """LR-ASD, see `light_asd.OneFace`."""

    def _streams(self, width):
        return _Streams([2 * max(1, round(width * count / 2)) for count in CHANNELS])


class _Streams(nn.Module):
    layer_order = (("visualEncoder", "audioEncoder"), "fusion", "detector")

    def __init__(self, channels: list[int]):
        super().__init__()
        self.channels = channels[-1]
        self.visualEncoder = light_asd.VisualEncoder(channels, _Block)
        self.audioEncoder = light_asd.AudioEncoder(channels, _Block)
        self.fusion = _Gate(2 * channels[-1])
        self.detector = _Detector(2 * channels[-1])

    def forward(self, seen: Tensor, heard: Tensor) -> Tensor:
        """(B, T, C) of each to (B, T, C)."""
        return self.detector(self.fusion(torch.cat([heard, seen], dim=-1)))


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
