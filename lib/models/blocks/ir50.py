"""IR-50: the face network of leader–follower fusion, in parts that can be frozen and released, and
run from cached maps.

LFAN specification 3.1: the ArcFace layout whose first stage keeps the picture's size (40 → 40 → 20
→ 10 → 5), then a linear layer to 512 numbers of length one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..base import scaled
from .whole import is_whole

UNITS_PER_STAGE = (3, 4, 14, 3)  # bottleneck units of the four stages
CHANNELS = (64, 128, 256, 512)  # of each stage at width 1
EMBEDDING = 512  # numbers of a face at width 1

# Where a computation may start: the index, in running order, of the first module still to be run.
# The names are those of the groups that training releases, the last one first (specification 3.6);
# stage3_end: the last three units of it.
CUTS = {"frame": 0, "stage3_end": 19, "stage4": 22, "output_layer": 25, "embedding": 26}
RELEASE_ORDER = ("output_layer", "stage4", "stage3_end")
# frames per batch without gradients: 105 MB of the widest activation
AT_ONCE = 256


class Unit(nn.Module):
    """Batch norm, convolution, PReLU, convolution (stride), batch norm; beside it a shortcut."""

    def __init__(self, inside: int, outside: int, stride: int):
        super().__init__()
        if inside == outside:
            self.shortcut_layer = nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inside),
            nn.Conv2d(inside, outside, 3, 1, 1, bias=False),
            nn.PReLU(outside),
            nn.Conv2d(outside, outside, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outside),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut_layer(x) + self.res_layer(x)


class IR50(nn.Module):
    """Pictures (N, 3, S, S), normalised, to embeddings (N, 512·width) of length one.

    width : factor on all channel counts. face_size : S, 40 published.
    """

    layer_order = ("input_layer", "body", "output_layer")

    def __init__(self, width: float = 1.0, face_size: int = 40):
        super().__init__()
        channels = [scaled(channel_count, width) for channel_count in CHANNELS]
        self.embedding, self.side = scaled(EMBEDDING, width), face_size
        sides = [face_size]
        for _ in range(3):
            sides.append(-(-sides[-1] // 2))
        self.shapes = {
            "stage3_end": (channels[2], sides[2], sides[2]),
            "stage4": (channels[2], sides[2], sides[2]),
            "output_layer": (channels[3], sides[3], sides[3]),
            "embedding": (self.embedding,),
        }
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, channels[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.PReLU(channels[0]),
        )
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(channels[3]),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(channels[3] * sides[3] ** 2, self.embedding),
            nn.BatchNorm1d(self.embedding),
        )
        inside, units = channels[0], []
        for stage, (outside, count) in enumerate(zip(channels, UNITS_PER_STAGE, strict=True)):
            for number in range(count):
                units.append(Unit(inside, outside, 2 if stage and not number else 1))
                inside = outside
        self.body = nn.Sequential(*units)

    def parts(self, start: str = "frame", stop: str = "embedding") -> list[nn.Module]:
        """The modules from one cut to another, in running order."""
        return [self.input_layer, *self.body, self.output_layer][CUTS[start] : CUTS[stop]]

    def group(self, name: str) -> list[nn.Module]:
        """The modules that are released together: from this cut to the next one."""
        cuts = list(CUTS)
        return self.parts(name, cuts[cuts.index(name) + 1])

    def forward(self, x: Tensor, start: str = "frame", stop: str = "embedding") -> Tensor:
        """Run from one cut to another; an embedding that was computed has length one."""
        modules = self.parts(start, stop)
        frozen = [
            module for module in modules if not any(p.requires_grad for p in module.parameters())
        ]
        quiet = len(frozen) == len(modules) and not any(module.training for module in modules)
        if quiet and not is_whole():
            with torch.no_grad():
                pieces = x.split(AT_ONCE) if len(x) else [x]
                x = torch.cat([_run(modules, piece) for piece in pieces])
        else:
            x = _run(modules, x)
        # A cached embedding is normalised already.
        return functional.normalize(x, dim=1) if stop == "embedding" and modules else x


def _run(modules: list[nn.Module], x: Tensor) -> Tensor:
    for module in modules:
        x = module(x)
    return x


def as_pictures(frame: Tensor) -> Tensor:
    """(N, S, S, 3) uint8 as (N, 3, S, S) float in −1…1: value / 255, minus 0.5, divided by 0.5."""
    return (frame.float() / 255 - 0.5).div(0.5).permute(0, 3, 1, 2).contiguous()
