"""R(2+1)D-18 on a short clip (Tran et al., CVPR 2018) and ResNet-18 on a spectrogram (He et al.,
CVPR 2016), at any width.

Keys, first weights and outputs are those of torchvision, so that its weights fit; tests compare.
The blocks are not imported from there: torchvision imports torch's compiler, for which every kernel
and worker with a network would wait as long as for torch itself.
"""

from __future__ import annotations

from torch import Tensor, nn

from .recompute import recomputed

PLANES = 64  # channels of the first stage at width 1, doubled at each later stage
# channels between the spatial and the temporal convolution of the stem, at width 1
STEM_CHANNELS = 45


class R2Plus1D18(nn.Module):
    """Feature maps of a clip; keys are torchvision's, without a last layer.

    Arguments
    ---------
    channels : of the pictures: 3 colours, or 4 with a mask.
    planes : channels of the first stage (64 published); the maps have 8 times as many. The stem's
        45 are scaled and rounded; the planes inside a block follow by torchvision's formula.
    """

    layer_order = ("stem", "layer1", "layer2", "layer3", "layer4")

    def __init__(self, channels: int = 3, planes: int = PLANES):
        super().__init__()
        self.recompute = False  # in training, keep only what goes into each block
        stem = max(1, round(STEM_CHANNELS * planes / PLANES))
        self.stem = nn.Sequential(
            nn.Conv3d(channels, stem, (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False),
            nn.BatchNorm3d(stem),
            nn.ReLU(inplace=True),
            nn.Conv3d(stem, planes, (3, 1, 1), padding=(1, 0, 0), bias=False),
            nn.BatchNorm3d(planes),
            nn.ReLU(inplace=True),
        )
        self.layer1 = _stage(planes, planes, 1)
        self.layer2 = _stage(planes, 2 * planes, 2)
        self.layer3 = _stage(2 * planes, 4 * planes, 2)
        self.layer4 = _stage(4 * planes, 8 * planes, 2)
        for module in self.modules():  # as torchvision; batch norms start at 1 and 0 by themselves
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, clip: Tensor) -> Tensor:
        """(B, channels, T, H, W) to (B, 8·planes, T/8, H/16, W/16), each rounded up."""
        x = self.stem(clip)
        if not (self.recompute and self.training):
            return self.layer4(self.layer3(self.layer2(self.layer1(x))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = recomputed(block, x)
        return x

    def of_pictures(self, pictures: Tensor, shown: Tensor) -> Tensor:
        """The same of clips of pictures (N, H, W, channels): clip b has shown[b, t], (B, T)."""
        clip = pictures[shown].permute(0, 4, 1, 2, 3)
        # as `lib.models.affect.tsav.normalise_clip` lays it out
        return self(clip if clip.is_cuda else clip.contiguous())


class VideoBlock(nn.Module):
    """Two (2+1)D convolutions beside a shortcut; torchvision's `BasicBlock` of videos."""

    def __init__(self, before: int, after: int, stride: int, downsample: nn.Module | None):
        super().__init__()
        inside = (before * after * 27) // (before * 9 + 3 * after)  # as many weights as 3 × 3 × 3
        self.conv1 = nn.Sequential(
            _convolution(before, inside, after, stride),
            nn.BatchNorm3d(after),
            nn.ReLU(inplace=True),
        )
        self.conv2 = nn.Sequential(_convolution(after, inside, after, 1), nn.BatchNorm3d(after))
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, T, H, W) to (B, after, T/stride, H/stride, W/stride)."""
        out = self.conv2(self.conv1(x))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


def _convolution(before: int, inside: int, after: int, stride: int) -> nn.Sequential:
    """A 3 × 3 convolution of each picture, then one over 3 pictures at each place."""
    return nn.Sequential(
        nn.Conv3d(before, inside, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
        nn.BatchNorm3d(inside),
        nn.ReLU(inplace=True),
        nn.Conv3d(inside, after, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
    )


def _stage(before: int, after: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride > 1:
        shortcut = nn.Sequential(
            nn.Conv3d(before, after, 1, stride=stride, bias=False), nn.BatchNorm3d(after)
        )
    return nn.Sequential(
        VideoBlock(before, after, stride, shortcut), VideoBlock(after, after, 1, None)
    )


class ResNet18(nn.Module):
    """Features of a spectrogram; keys are torchvision's, without a last layer.

    Arguments
    ---------
    planes : channels of the first stage (64 published); the features have 8 times as many.
    """

    layer_order = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")

    def __init__(self, planes: int = PLANES):
        super().__init__()
        self.conv1 = nn.Conv2d(1, planes, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = _resnet_stage(planes, planes, 1)
        self.layer2 = _resnet_stage(planes, 2 * planes, 2)
        self.layer3 = _resnet_stage(2 * planes, 4 * planes, 2)
        self.layer4 = _resnet_stage(4 * planes, 8 * planes, 2)
        for module in self.modules():  # as torchvision; batch norms start at 1 and 0 by themselves
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 1, H, W) of any size to (B, 8·planes): global average of the last stage."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(picture))))  # (B, planes, H/4, W/4)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (B, 8·planes, H/32, W/32)
        return x.mean(dim=(2, 3))


class Block(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut; torchvision's `BasicBlock` of pictures."""

    def __init__(self, before: int, after: int, stride: int, downsample: nn.Module | None):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, after, H/stride, W/stride)."""
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


def _resnet_stage(before: int, after: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride > 1:
        shortcut = nn.Sequential(
            nn.Conv2d(before, after, kernel_size=1, stride=stride, bias=False),
            nn.BatchNorm2d(after),
        )
    return nn.Sequential(Block(before, after, stride, shortcut), Block(after, after, 1, None))
