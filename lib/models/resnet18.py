"""ResNet-18 on a spectrogram, at any width. He et al. 2016; blocks from torchvision."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import resnet

PLANES = 64   # channels of the first stage at width 1, doubled at each later stage


class ResNet18(nn.Module):
    """Features of a spectrogram; keys are torchvision's, without a last layer.

    Arguments
    ---------
    planes : channels of the first stage (64 published); the features have 8 times as many.
    """

    def __init__(self, planes: int = PLANES):
        super().__init__()
        self.conv1 = nn.Conv2d(1, planes, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = _stage(planes, planes, 1)
        self.layer2 = _stage(planes, 2 * planes, 2)
        self.layer3 = _stage(2 * planes, 4 * planes, 2)
        self.layer4 = _stage(4 * planes, 8 * planes, 2)
        for module in self.modules():   # as torchvision; batch norms start at 1 and 0 by themselves
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 1, H, W) of any size to (B, 8·planes): global average of the last stage."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(picture))))   # (B, planes, H/4, W/4)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))    # (B, 8·planes, H/32, W/32)
        return x.mean(dim=(2, 3))


def _stage(before: int, after: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride > 1:
        shortcut = nn.Sequential(nn.Conv2d(before, after, kernel_size=1, stride=stride, bias=False),
                                 nn.BatchNorm2d(after))
    return nn.Sequential(resnet.BasicBlock(before, after, stride, shortcut), resnet.BasicBlock(after, after))
