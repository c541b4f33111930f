"""TSAV, and its features of pictures and sound for fusion networks (specification 2.6)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..base import Model, arguments, scaled
from ..blocks.residual import PLANES, R2Plus1D18, ResNet18
from ..fast.folded import folded

STEM = "video_model.r2plus1d.stem.0.weight"


class TSAVBackbone(Model, name="tsav_backbone"):
    """Features of the two TSAV streams, each computed only when its input
    (`lib.models.affect.tsav`) is in the batch.

    The published network and the corrected one are the same; the published forward also passed
    features of a wrong width to `fc` and failed there (specification 3.1 no. 1), which `compat`
    does not repeat. `fc` is kept for its keys and is not used.

    Arguments
    ---------
    width, face_size : as of the TSAV network it comes from.
    channels : 3 (published: the mask's weights are cut off) or 4.
    pooled : False (published): all positions of the last stage; True: their mean, P = 1.
    head_size : rows of `fc` (17 published).

    Attributes: visual_channels C, visual_positions P, audio_channels A.
    Outputs: `visual` (B, C·P) in (C, T, H, W) order, `audio` (B, A).
    """

    layer_order = (("audio_model", "video_model"), "fc")

    def __init__(
        self,
        compat: bool = False,
        *,
        width: float = 1.0,
        face_size: int = 112,
        channels: int = 3,
        pooled: bool = False,
        head_size: int = 17,
    ):
        super().__init__(**arguments(locals()))
        planes = scaled_planes(width)
        self.pooled = pooled
        self.visual_channels = self.audio_channels = 8 * planes
        self.visual_positions = 1 if pooled else positions(face_size)
        self.audio_model, self.video_model = encoders(planes, channels)
        self.fc = nn.Sequential(nn.Dropout(0.0), nn.Linear(16 * planes, head_size))
        self.inputs = {
            "clip": f"(B, {channels}, 8, {face_size}, {face_size})",
            "mel": "(B, 1, 64, M)",
        }
        self.outputs = {
            "visual": f"(B, {self.visual_channels}·{self.visual_positions})",
            "audio": f"(B, {self.audio_channels})",
        }

    def folded(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        return folded(self, dtype)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not {"clip", "pictures", "mel"} & batch.keys():
            raise InputError(
                "neither clip nor mel in the batch",
                where="model tsav_backbone",
                expected="at least one of them",
            )
        outputs = {}
        if {"clip", "pictures"} & batch.keys():
            maps = video_maps(self.video_model["r2plus1d"], batch)  # (B, C, 1, S/16, S/16)
            outputs["visual"] = maps.mean(dim=(2, 3, 4)) if self.pooled else maps.flatten(1)
        if "mel" in batch:
            outputs["audio"] = self.audio_model["resnet"](batch["mel"])
        return outputs


def positions(face_size: int) -> int:
    """Places in the last feature map of 8 pictures: 49 at 112 pixels, 16 at 64."""
    return (-(-face_size // 16)) ** 2


def backbone_from_tsav(
    state: Mapping[str, Tensor], *, face_size: int = 112, channels: int = 3, pooled: bool = False
) -> TSAVBackbone:
    """Frozen backbone in evaluation mode with the weights of a TSAV network of any width.

    Arguments
    ---------
    state : state dict of a `tsav` network, with 3 or 4 channels.
    face_size, channels, pooled : see `TSAVBackbone`; fewer channels cut the mask's weights off.

    Raises InputError if the state dict is that of another network or has too few channels.
    """
    try:
        width = state["audio_model.resnet.conv1.weight"].shape[0] / PLANES
        head_size, stem = state["fc.1.weight"].shape[0], state[STEM]
    except KeyError as missing:
        raise InputError(
            f"weights without {missing}",
            where="backbone_from_tsav",
            expected="the state dict of a tsav network",
        ) from None
    if stem.shape[1] < channels:
        raise InputError(
            f"weights for {stem.shape[1]} channels", where=STEM, expected=f"{channels} or more"
        )
    net = TSAVBackbone(
        width=width, face_size=face_size, channels=channels, pooled=pooled, head_size=head_size
    )
    try:
        net.load_state_dict({**state, STEM: stem[:, :channels]})
    except RuntimeError as wrong:  # its message lists the keys
        raise InputError(
            "weights that do not fit", where="backbone_from_tsav", expected=str(wrong)
        ) from wrong
    return net.eval().requires_grad_(False)


# Means and standard deviations of red, green, blue (Kinetics-400, torchvision) and mask
# (specification 1.1).
CLIP_MEAN = (0.43216, 0.394666, 0.37645, 0.5)
CLIP_STD = (0.22803, 0.22145, 0.216989, 0.225)


def normalise_clip(clip: Tensor) -> Tensor:
    """Convert pictures of 0…255 to the network's input, on their device.

    Arguments
    ---------
    clip : (B, T, H, W, C) uint8; C = 3 (RGB) or 4 (RGB and mask); black where there is no picture.

    Returns (B, C, T, H, W) float32: value / 255, minus the channel's mean, divided by its standard
    deviation.
    """
    normalised = _normalise(clip).permute(0, 4, 1, 2, 3)
    # a GPU is faster with the channels last in memory
    return normalised if normalised.is_cuda else normalised.contiguous()


def _normalise(pictures: Tensor) -> Tensor:
    mean, std = (
        torch.tensor(x[: pictures.shape[-1]], device=pictures.device) for x in (CLIP_MEAN, CLIP_STD)
    )
    return (pictures.float() / 255 - mean) / std


def video_maps(encoder: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """(B, C, T', H', W') of a batch's clips, given as `clip` or, where clips overlap, as `pictures`
    and `shown`.

    Arguments
    ---------
    encoder : `lib.models.blocks.residual.R2Plus1D18` or its folded form.
    pictures : (N, S, S, channels) uint8, each once. shown : (B, 8) long, which each clip shows.
    """
    if "pictures" in batch:
        return encoder.of_pictures(_normalise(batch["pictures"]), batch["shown"])
    return encoder(as_clip(batch["clip"]))


class TSAV(Model, name="tsav"):
    """Expression, valence, arousal and action units of the last picture of a clip.

    The published network and the corrected one are the same: TSAV's defects lie in its data rules
    (the sound of early and late frames, file names), not in the network. `compat` is accepted and
    recorded only.

    Arguments
    ---------
    width : factor on all channel counts; 1 is published. At 1/8 each stream gives 64 features.
    face_size : side of the pictures in pixels (112 published); any size runs.
    audio_seconds : length of the sound segment (10 published); any length runs.
    channels : 4 with the mask (published), or 3.
    expressions, action_units : numbers of classes (7 and 8 published; newer challenges 8 and 12; 0
        for none).
    modality : "audio" or "video": the other encoder is not run, its input is not needed, its
        features are zeros and its weights get no gradient.
    dropout : before the last layer (0 published).
    stream_outputs : in training mode return `va_video` (B, 2) too: the same last layer with the
        sound's features set to zero, for an auxiliary loss (sample specification 5). Only with both
        modalities.

    `clip` is float and normalised as by `normalise_clip`; a uint8 clip (B, 8, S, S, C) is
    normalised here, so that a quarter of the bytes travels to the device. Clips that overlap can be
    given as `pictures` and `shown` instead (`video_maps`). Outputs are raw: no activation.
    """

    layer_order = (("audio_model", "video_model"), "fc")

    def __init__(
        self,
        compat: bool = False,
        *,
        width: float = 1.0,
        face_size: int = 112,
        audio_seconds: float = 10.0,
        channels: int = 4,
        expressions: int = 7,
        action_units: int = 8,
        modality: str = "audiovisual",
        dropout: float = 0.0,
        stream_outputs: bool = False,
    ):
        super().__init__(**arguments(locals()))
        self.modality = modality
        self.stream_outputs = stream_outputs and modality == "audiovisual"
        # In the published order.
        self.sizes = {"expression": expressions, "va": 2, "action_units": action_units}
        planes = scaled_planes(width)
        self.n_features = 8 * planes
        self.audio_model, self.video_model = encoders(planes, channels)
        n_outputs = sum(self.sizes.values())
        self.fc = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * self.n_features, n_outputs))
        if modality != "audio":
            self.inputs["clip"] = f"(B, {channels}, 8, {face_size}, {face_size})"
        if modality != "video":
            self.inputs["mel"] = f"(B, 1, 64, {1 + int(100 * audio_seconds + 1e-6)})"
        self.outputs = {name: f"(B, {size})" for name, size in self.sizes.items()}

    def folded(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        return folded(self, dtype)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        audio = video = None
        if self.modality != "video":
            audio = self.audio_model["resnet"](self.take(batch, "mel"))
        if self.modality != "audio":
            video = self._video(batch)
        audio = torch.zeros_like(video) if audio is None else audio  # (B, n_features)
        video = torch.zeros_like(audio) if video is None else video
        outputs = self._head(audio, video)
        if self.stream_outputs and self.training:
            outputs["va_video"] = self._head(torch.zeros_like(audio), video)["va"]
        return outputs

    def _video(self, batch: Mapping[str, Tensor]) -> Tensor:
        if "pictures" not in batch:
            self.take(batch, "clip")
        return video_maps(self.video_model["r2plus1d"], batch).mean(dim=(2, 3, 4))

    def _head(self, audio: Tensor, video: Tensor) -> dict[str, Tensor]:
        columns = self.fc(torch.cat([audio, video], dim=1))  # (B, E + 2 + U)
        return dict(zip(self.sizes, columns.split(list(self.sizes.values()), dim=1), strict=True))


def encoders(planes: int, channels: int) -> tuple[nn.ModuleDict, nn.ModuleDict]:
    """The two encoders under their published names."""
    if channels not in (3, 4):
        raise InputError(
            f"channels = {channels}", where="TSAV", expected="3 (RGB) or 4 (RGB and mask)"
        )
    return (
        nn.ModuleDict({"resnet": ResNet18(planes)}),
        nn.ModuleDict({"r2plus1d": R2Plus1D18(channels, planes)}),
    )


def scaled_planes(width: float) -> int:
    """Channels of the first stages; all other channel counts are functions of it."""
    return scaled(PLANES, width)


def as_clip(clip: Tensor) -> Tensor:
    """A float clip as it is, a uint8 one (B, T, H, W, C) normalised."""
    return normalise_clip(clip) if clip.dtype == torch.uint8 else clip
