"""TSAV without its last layer: features of pictures and sound for fusion networks (specification 2.6)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lib.errors import InputError
from lib.models.base import Model
from lib.models.folded import folded
from lib.models.r2plus1d import PLANES
from lib.models.tsav import encoders, scaled_planes, video_maps

STEM = "video_model.r2plus1d.stem.0.weight"


class TSAVBackbone(Model, name="tsav_backbone"):
    """Features of the two TSAV streams, each computed only when its input (`lib.models.tsav`) is in the batch.

    The published network and the corrected one are the same; the published forward also fed `fc` with
    features of a wrong width and died there (specification 3.1 no. 1), which `compat` does not repeat. `fc`
    is kept for its keys and is not used.

    Arguments
    ---------
    width, face_size : as of the TSAV network it comes from.
    channels : 3 (published: the mask's weights are cut off) or 4.
    pooled : False (published): all positions of the last stage; True: their mean, P = 1.
    head_size : rows of `fc` (17 published).

    Attributes: visual_channels C, visual_positions P, audio_channels A.
    Outputs: `visual` (B, C·P) in (C, T, H, W) order, `audio` (B, A).
    """

    def __init__(self, compat: bool = False, *, width: float = 1.0, face_size: int = 112, channels: int = 3,
                 pooled: bool = False, head_size: int = 17):
        super().__init__(compat, width=width, face_size=face_size, channels=channels, pooled=pooled,
                         head_size=head_size)
        planes = scaled_planes(width)
        self.pooled = pooled
        self.visual_channels = self.audio_channels = 8 * planes
        self.visual_positions = 1 if pooled else positions(face_size)
        self.audio_model, self.video_model = encoders(planes, channels)
        self.fc = nn.Sequential(nn.Dropout(0.0), nn.Linear(16 * planes, head_size))
        self.inputs = {"clip": f"(B, {channels}, 8, {face_size}, {face_size})", "mel": "(B, 1, 64, M)"}
        self.outputs = {"visual": f"(B, {self.visual_channels}·{self.visual_positions})",
                        "audio": f"(B, {self.audio_channels})"}

    def folded(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        return folded(self, dtype)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not {"clip", "pictures", "mel"} & batch.keys():
            raise InputError("neither clip nor mel in the batch", where="model tsav_backbone",
                             expected="at least one of them")
        outputs = {}
        if {"clip", "pictures"} & batch.keys():
            maps = video_maps(self.video_model["r2plus1d"], batch)          # (B, C, 1, S/16, S/16)
            outputs["visual"] = maps.mean(dim=(2, 3, 4)) if self.pooled else maps.flatten(1)
        if "mel" in batch:
            outputs["audio"] = self.audio_model["resnet"](batch["mel"])
        return outputs


def positions(face_size: int) -> int:
    """Places in the last feature map of 8 pictures: 49 at 112 pixels, 16 at 64."""
    return (-(-face_size // 16)) ** 2


def backbone_from_tsav(state: Mapping[str, Tensor], *, face_size: int = 112, channels: int = 3,
                       pooled: bool = False) -> TSAVBackbone:
    """Frozen backbone in evaluation mode with the weights of a TSAV network of any width.

    Arguments
    ---------
    state : state dict of a `tsav` network, with 3 or 4 channels.
    face_size, channels, pooled : see `TSAVBackbone`; with fewer channels the mask's weights are cut off.

    Raises InputError if the state dict is that of another network or has too few channels.
    """
    try:
        width = state["audio_model.resnet.conv1.weight"].shape[0] / PLANES
        head_size, stem = state["fc.1.weight"].shape[0], state[STEM]
    except KeyError as missing:
        raise InputError(f"weights without {missing}", where="backbone_from_tsav",
                         expected="the state dict of a tsav network") from None
    if stem.shape[1] < channels:
        raise InputError(f"weights for {stem.shape[1]} channels", where=STEM, expected=f"{channels} or more")
    net = TSAVBackbone(width=width, face_size=face_size, channels=channels, pooled=pooled,
                       head_size=head_size)
    try:
        net.load_state_dict({**state, STEM: stem[:, :channels]})
    except RuntimeError as wrong:   # its message lists the keys
        raise InputError("weights that do not fit", where="backbone_from_tsav",
                         expected=str(wrong)) from wrong
    return net.eval().requires_grad_(False)
