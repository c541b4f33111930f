"""Networks in the form for prediction: batch norms folded into convolutions, 3-D convolutions
computed as 2-D ones.

Outputs are the same to rounding. The convolutions of R(2+1)D reach either over the picture, (1, k,
k), or over time, (k, 1, 1). With the channels last, the same memory is a batch of pictures for the
one and a batch of (time, places) for the other, so that both run as two-dimensional convolutions
without a copy between them. On a CPU these are faster than three-dimensional ones; a batch norm
with the channels last is much slower, which is why it goes first. There the clips of neighbouring
frames share what they have in common, too (`lib.models.fast.overlap`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from . import overlap

# R(2+1)D has 45, 230, 460 and 921 channels inside: processors work on 8, 16 or 32 at once
MULTIPLE = 16
WORTH = 32  # with fewer channels than this, padding channels costs more than it gains
# blocks whose maps of a single clip fill a processor's cache; later ones are faster with many clips
CACHED_BLOCKS = 4


def folded(net: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A copy of a network with `audio_model` and `video_model` (TSAV, its backbone) to predict.

    dtype : of weights and activations inside the two encoders (bfloat16 is less exact); what they
        return is float32.
    """
    if net.training:
        raise ValueError("a network in training mode cannot be folded: call eval() first")
    copied = copy.deepcopy(net)
    copied.audio_model["resnet"] = FoldedResNet(net.audio_model["resnet"]).to(dtype)
    copied.video_model["r2plus1d"] = FoldedR2Plus1D(net.video_model["r2plus1d"]).to(dtype)
    return copied.requires_grad_(False)


class FoldedResNet(nn.Module):
    """`lib.models.blocks.residual.ResNet18` with folded batch norms and the channels last."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.stem = Planar(net.conv1, net.bn1)
        stages = (net.layer1, net.layer2, net.layer3, net.layer4)
        self.blocks = nn.Sequential(*(_PlanarBlock(block) for stage in stages for block in stage))

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 1, H, W) to (B, 8·planes) float32."""
        x = picture.to(self.stem.weight.dtype).contiguous(memory_format=torch.channels_last)
        x = functional.max_pool2d(self.stem(x).relu_(), 3, 2, 1)
        return self.blocks(x).float().mean(dim=(2, 3))


class _PlanarBlock(nn.Module):
    def __init__(self, block: nn.Module):
        super().__init__()
        self.conv1, self.conv2 = Planar(block.conv1, block.bn1), Planar(block.conv2, block.bn2)
        self.shortcut = Planar(*block.downsample) if block.downsample is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x).relu_()).add_(self.shortcut(x)).relu_()


class FoldedR2Plus1D(nn.Module):
    """`blocks.residual.R2Plus1D18` with folded batch norms and two-dimensional convolutions."""

    def __init__(self, net: nn.Module):
        super().__init__()
        spatial, norm, _, temporal, second, _ = net.stem
        self.stem = _Factored(spatial, norm, temporal, second)
        stages = (net.layer1, net.layer2, net.layer3, net.layer4)
        self.blocks = nn.Sequential(*(_FactoredBlock(block) for stage in stages for block in stage))

    def forward(self, clip: Tensor) -> Tensor:
        """(B, channels, T, H, W) to (B, 8·planes, T/8, H/16, W/16) float32."""
        # (B, T, H, W, C) from here on
        x = clip.to(self.stem.spatial.weight.dtype).permute(0, 2, 3, 4, 1)
        return self._rest(
            (self.stem(part).relu_() for part in (x.split(1) if _alone(x) else [x])), 0
        )

    def of_pictures(self, pictures: Tensor, shown: Tensor) -> Tensor:
        """The same of clips that show pictures (N, H, W, channels): clip b shows number shown[b,
        t], (B, T) long.

        Clips of neighbouring frames show mostly the same pictures; a CPU processes each picture
        once (a GPU processes whole clips).
        """
        if not _alone(pictures):
            return self(pictures[shown].permute(0, 4, 1, 2, 3))
        x, shown, first = overlap.begin(self, pictures.to(self.stem.spatial.weight.dtype), shown)
        return self._rest((x[rows][None] for rows in shown), first)

    def _rest(self, clips: Iterable[Tensor], first: int) -> Tensor:
        """From block `first` on; (b, T, H, W, C) each."""
        large = torch.cat([self.blocks[first:CACHED_BLOCKS](clip) for clip in clips])
        return self.blocks[CACHED_BLOCKS:](large).permute(0, 4, 1, 2, 3).float()


def _alone(x: Tensor) -> bool:
    """Whether clips are processed one by one in the first blocks: not on a GPU, nor when
    compiled.
    """
    return not (x.is_cuda or torch.compiler.is_compiling())


class _FactoredBlock(nn.Module):
    def __init__(self, block: nn.Module):
        super().__init__()
        (first, norm1, _), (second, norm2) = block.conv1, block.conv2
        self.conv1 = _Factored(first[0], first[1], first[3], norm1)
        self.conv2 = _Factored(second[0], second[1], second[3], norm2)
        self.stride, self.shortcut = 1, None
        if block.downsample is not None:
            self.stride, self.shortcut = block.downsample[0].stride[0], Planar(*block.downsample)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x).relu_())
        # a 1×1 convolution: places that its stride skips are never read
        if self.shortcut is not None:
            x = _over_pictures(self.shortcut, x[:, :: self.stride, :: self.stride, :: self.stride])
        return y.add_(x).relu_()


class _Factored(nn.Module):
    """A convolution over the picture, then one over time."""

    def __init__(self, spatial: nn.Conv3d, norm: nn.Module, temporal: nn.Conv3d, second: nn.Module):
        super().__init__()
        inside = spatial.out_channels
        extra = -inside % MULTIPLE if inside >= WORTH else 0
        self.spatial = Planar(spatial, norm, extra_out=extra)
        self.temporal = Planar(temporal, second, extra_in=extra)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C), contiguous, to the same with other sizes."""
        return _over_time(self.temporal, _over_pictures(self.spatial, x).relu_())


class Planar(nn.Module):
    """A two-dimensional convolution with a batch norm folded in, of one in two or three dimensions.

    Of a three-dimensional one the axis of size 1 is dropped: (1, k, k) has k × k places, (k, 1, 1)
    k × 1, (1, 1, 1) one. `extra_in`, `extra_out` channels of zeros are added.
    """

    def __init__(
        self, conv: nn.Conv2d | nn.Conv3d, norm: nn.Module, extra_in: int = 0, extra_out: int = 0
    ):
        super().__init__()
        weight, bias = fuse_conv_bn_weights(
            conv.weight.detach(),
            conv.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight.detach(),
            norm.bias.detach(),
        )
        self.stride, self.padding = conv.stride, conv.padding
        if weight.ndim == 5:
            over_time = weight.shape[2] > 1
            weight = weight[:, :, :, 0] if over_time else weight[:, :, 0]
            kept = [0, 1] if over_time else [1, 2]
            self.stride, self.padding = (
                tuple(size[k] for k in kept) for size in (conv.stride, conv.padding)
            )
            if weight.shape[2:] == (1, 1):  # its input was subsampled already
                self.stride = (1, 1)
        weight = functional.pad(weight, (0, 0, 0, 0, 0, extra_in, 0, extra_out))
        self.weight = nn.Parameter(
            weight.contiguous(memory_format=torch.channels_last), requires_grad=False
        )
        self.bias = nn.Parameter(functional.pad(bias.detach(), (0, extra_out)), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) with the channels last in memory."""
        return functional.conv2d(x, self.weight, self.bias, self.stride, self.padding)


def _over_pictures(conv: Planar, x: Tensor) -> Tensor:
    batch, length = x.shape[:2]
    y = conv(x.flatten(0, 1).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B·T, H', W', C')
    return y.reshape(batch, length, *y.shape[1:])


def _over_time(conv: Planar, x: Tensor) -> Tensor:
    y = conv(x.flatten(2, 3).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, T', H·W, C')
    return y.reshape(len(x), y.shape[1], *x.shape[2:4], y.shape[3])
