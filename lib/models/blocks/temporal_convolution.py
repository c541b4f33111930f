"""Causal temporal convolution network with weight normalisation (LFAN specification 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

KERNEL = 5  # taps


class CausalConv(nn.Module):
    """1-D convolution over the past: output t sees inputs t − (kernel − 1)·dilation … t.

    The kernel is ``weight_g · weight_v / ‖weight_v‖``, the norm over input channels and taps of
    each output channel.
    """

    def __init__(self, inside: int, outside: int, kernel: int, dilation: int):
        super().__init__()
        self.dilation, self.reach = dilation, (kernel - 1) * dilation
        plain = nn.Conv1d(inside, outside, kernel)
        self.bias = nn.Parameter(plain.bias.detach().clone())
        self.weight_g = nn.Parameter(plain.weight.detach().norm(dim=(1, 2), keepdim=True))
        self.weight_v = nn.Parameter(plain.weight.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        # torch's own function: its gradient is the one that the published weights were trained
        # with.
        weight = torch._weight_norm(self.weight_v, self.weight_g, 0)
        return functional.conv1d(
            functional.pad(x, (self.reach, 0)), weight, self.bias, dilation=self.dilation
        )


class Block(nn.Module):
    """Two convolutions, each with LeakyReLU and dropout, beside a shortcut; then LeakyReLU.

    Dropout takes whole channels of a window with `whole_channels` (LFAN), single values otherwise
    (its later versions).
    """

    def __init__(
        self,
        inside: int,
        outside: int,
        kernel: int,
        dilation: int,
        dropout: float,
        whole_channels: bool,
    ):
        super().__init__()
        self.conv1 = CausalConv(inside, outside, kernel, dilation)
        self.conv2 = CausalConv(outside, outside, kernel, dilation)
        # The published file holds both convolutions under two names.
        self.net = nn.ModuleDict({"0": self.conv1, "4": self.conv2})
        self.dropout = nn.Dropout1d(dropout) if whole_channels else nn.Dropout(dropout)
        self.downsample = nn.Conv1d(inside, outside, 1) if inside != outside else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(functional.leaky_relu(self.conv1(x)))
        y = self.dropout(functional.leaky_relu(self.conv2(y)))
        return functional.leaky_relu(y + (x if self.downsample is None else self.downsample(x)))


class TemporalConvolution(nn.Module):
    """Blocks of dilation 1, 2, 4, …: (B, T, inside) -> (B, T, channels[-1]), no future.

    Four blocks of kernel 5 see 121 frames (`receptive_field`). The published Xavier start of the
    convolutions edited what weight normalisation replaces and had no effect; it is left out.
    """

    def __init__(
        self,
        inside: int,
        channels: Sequence[int],
        dropout: float = 0.1,
        whole_channels: bool = True,
    ):
        super().__init__()
        before = [inside, *channels]
        self.network = nn.Sequential(
            *(
                Block(before[k], channels[k], KERNEL, 2**k, dropout, whole_channels)
                for k in range(len(channels))
            )
        )
        self.receptive_field = 1 + 2 * (KERNEL - 1) * (2 ** len(channels) - 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.transpose(1, 2)).transpose(1, 2)
