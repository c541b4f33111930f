"""Light-ASD (Liao et al., CVPR 2023): a small network that tells in which frames a face is
speaking.

Published weights exist (MIT): `lib.models.weights` knows them as ``light_asd_ava`` (whole face box)
and ``light_asd_talkset`` (mouth region); each needs its own crop (`lib.faces.speaker_crops`).
Specification: speaker specification §3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import InputError
from ..base import Model
from ..blocks.recurrent import recurrent
from ..blocks.whole import is_whole

GREY_MEAN, GREY_SPREAD = 0.4161, 0.1688  # of faces, published with TalkNet
ROWS_A_FRAME = 4  # rows of sound features that belong to one video frame
COEFFICIENTS = 13
CHANNELS = (32, 64, 128)
KERNELS = (3, 5)
# frames per batch of the picture stream in prediction, so that memory does not grow with a clip
AT_ONCE = 64
BATCH_NORM = {"eps": 1e-3, "momentum": 0.01}


class OneFace(Model):
    """Scores of one face in every frame, from crops and sound: what Light-ASD and LR-ASD share.

    Inputs ``face`` (B,T,S,S) grey 0–255 and ``mfcc`` (B,4T,13); outputs ``speaking`` and
    ``speaking_visual`` (B,T,2), logits of [not speaking, speaking]. `compat` changes nothing: no
    defect of the published networks is known. `modality` sets the other stream's embedding to zero;
    `face_size` is 112 with the published weights.
    """

    layer_order = ("model", ("lossAV", "lossV"))

    def __init__(
        self,
        compat: bool = False,
        *,
        width: float = 1.0,
        face_size: int = 112,
        modality: str = "audiovisual",
    ):
        super().__init__(compat, width=width, face_size=face_size, modality=modality)
        self.modality = modality
        self.model = self._streams(width)
        channels = self.model.channels
        self.lossAV = Head(channels)
        self.lossV = Head(channels)
        self.inputs = {
            "face": f"(B, T, {face_size}, {face_size}) grey 0–255",
            "mfcc": f"(B, 4T, {COEFFICIENTS})",
        }
        self.outputs = {"speaking": "(B, T, 2) logits", "speaking_visual": "(B, T, 2)"}

    def _streams(self, width: float) -> nn.Module:
        """Encoders of both streams and what joins them; `channels` of each embedding."""
        raise NotImplementedError

    def forward(self, batch):
        face, mfcc = face_and_sound(self, batch)
        seen = heard = mfcc.new_zeros(*face.shape[:2], self.lossV.FC.in_features)
        if self.modality != "audio":
            seen = self.model.visualEncoder(grey(face))
        if self.modality != "video":
            heard = self.model.audioEncoder(mfcc)
        return {
            "speaking": self.lossAV.FC(self.model(seen, heard)),
            "speaking_visual": self.lossV.FC(seen),
        }


class LightAsd(OneFace, name="light_asd"):
    """Light-ASD, see `OneFace`."""

    def _streams(self, width):
        return _Streams([max(1, round(width * count)) for count in CHANNELS])


def face_and_sound(net: Model, batch) -> tuple[Tensor, Tensor]:
    """`face` (…, T, S, S) and `mfcc` (B, 4T, 13) of a batch; zeros for what the network's modality
    does not need.

    Raises InputError if their lengths do not match.
    """
    if net.modality == "audio" and "face" not in batch:
        mfcc = net.take(batch, "mfcc")
        return mfcc.new_zeros(mfcc.shape[0], mfcc.shape[1] // ROWS_A_FRAME, 1, 1), mfcc.float()
    face = net.take(batch, "face").float()
    if net.modality == "video" and "mfcc" not in batch:
        return face, face.new_zeros(face.shape[0], ROWS_A_FRAME * face.shape[-3], COEFFICIENTS)
    mfcc = net.take(batch, "mfcc").float()
    if (
        mfcc.shape[1:] != (ROWS_A_FRAME * face.shape[-3], COEFFICIENTS)
        or face.ndim < 4
        or face.shape[0] != mfcc.shape[0]
    ):
        raise InputError(
            f"faces of shape {tuple(face.shape)} and sound features of {tuple(mfcc.shape)}",
            where=f"model {net.name}",
            expected=f"(B, T, S, S) and (B, {ROWS_A_FRAME}·T, {COEFFICIENTS})",
            todo="cut both to the same frames",
        )
    return face, mfcc


def grey(face: Tensor) -> Tensor:
    """Normalise grey values 0–255 as in the networks' training."""
    return (face / 255 - GREY_MEAN) / GREY_SPREAD


class Head(nn.Module):
    """Two logits per frame; `FC` is the published name."""

    def __init__(self, channels: int):
        super().__init__()
        self.FC = nn.Linear(channels, 2)


class _Streams(nn.Module):
    layer_order = (("visualEncoder", "audioEncoder"), "GRU")

    def __init__(self, channels: list[int]):
        super().__init__()
        self.channels = channels[-1]
        self.visualEncoder = VisualEncoder(channels, _Block)
        self.audioEncoder = AudioEncoder(channels, _Block)
        self.GRU = _Fusion(channels[-1])

    def forward(self, seen: Tensor, heard: Tensor) -> Tensor:
        """(B, T, C) of each to (B, T, C)."""
        return self.GRU(seen + heard)


class VisualEncoder(nn.Module):
    """(B, T, S, S) -> (B, T, C); three blocks, then the maximum over the picture.

    block : the class of the blocks; its `REACH` is how many frames one of them sees to either side.
    """

    layer_order = ("block1", "block2", "block3")

    def __init__(self, channels: Sequence[int], block: type[nn.Module]):
        super().__init__()
        self.reach = len(channels) * block.REACH
        for number, (before, after) in enumerate(zip([1, *channels], channels, strict=False), 1):
            setattr(self, f"block{number}", block(before, after, ("s", "t"), over_picture))

    def forward(self, face):
        if self.training or is_whole() or face.shape[1] <= AT_ONCE + 2 * self.reach:
            return self._whole(face)
        pieces = []
        # pieces overlap, and frames that a piece's edge affects are cut off: the numbers are the
        # same
        for start in range(0, face.shape[1], AT_ONCE):
            before = min(start, self.reach)
            values = self._whole(face[:, start - before : start + AT_ONCE + self.reach])
            pieces.append(values[:, before : before + AT_ONCE])
        return torch.cat(pieces, dim=1)

    def _whole(self, face):
        clips, frames = face.shape[:2]
        x = face.flatten(0, 1)[:, None]  # (BT, 1, S, S): frames are samples
        for number in (1, 2, 3):
            x = getattr(self, f"block{number}").picture(x, frames, stride=2 if number == 1 else 1)
            x = functional.max_pool2d(x, 3, 2, 1) if number < 3 else x
        return x.amax(dim=(2, 3)).view(clips, frames, -1)


class AudioEncoder(nn.Module):
    """(B, 4T, 13) -> (B, T, C); pooled over time only, then the mean of the 13 rows."""

    layer_order = ("block1", "block2", "block3")

    def __init__(self, channels: Sequence[int], block: type[nn.Module]):
        super().__init__()
        for number, (before, after) in enumerate(zip([1, *channels], channels, strict=False), 1):
            setattr(self, f"block{number}", block(before, after, ("m", "t"), over_sound))

    def forward(self, mfcc):
        x = mfcc.transpose(1, 2)[:, None]  # (B, 1, 13, 4T)
        for number in (1, 2, 3):
            x = getattr(self, f"block{number}").sound(x)
            x = functional.max_pool2d(x, (1, 3), (1, 2), (0, 1)) if number < 3 else x
        return x.mean(dim=2).transpose(1, 2)


def over_picture(kernel: int) -> tuple[tuple, tuple, tuple]:
    """Shapes of a kernel over the picture, over time, and of one value."""
    return (1, kernel, kernel), (kernel, 1, 1), (1, 1, 1)


def over_sound(kernel: int) -> tuple[tuple, tuple, tuple]:
    """Shapes of a kernel over the 13 coefficients, over time, and of one value."""
    return (kernel, 1), (1, kernel), (1, 1)


def layers(shapes: Callable) -> tuple[type[nn.Module], type[nn.Module]]:
    """Convolution and batch norm for kernels of these shapes."""
    return (nn.Conv3d, nn.BatchNorm3d) if shapes is over_picture else (nn.Conv2d, nn.BatchNorm2d)


class _Block(nn.Module):
    """Two branches (kernels 3 and 5), each over space and then over time, added, then mixed by a
    1×1 convolution.

    The convolutions over the picture are stored with three axes as published, and computed with
    two: frames as samples over space, pixels as one axis over time. On a CPU this is several times
    faster.
    """

    REACH = KERNELS[-1] // 2  # frames that it sees to either side

    def __init__(self, before: int, after: int, names: tuple[str, str], shapes):
        super().__init__()
        space, time = names
        convolution, norm = layers(shapes)
        for kernel in KERNELS:
            over_space, over_time, one = shapes(kernel)
            setattr(self, f"{space}_{kernel}", convolution(before, after, over_space, bias=False))
            setattr(self, f"bn_{space}_{kernel}", norm(after, **BATCH_NORM))
            setattr(self, f"{time}_{kernel}", convolution(after, after, over_time, bias=False))
            setattr(self, f"bn_{time}_{kernel}", norm(after, **BATCH_NORM))
        self.last = convolution(after, after, one, bias=False)
        self.bn_last = norm(after, **BATCH_NORM)

    def picture(self, x: Tensor, frames: int, stride: int) -> Tensor:
        """(BT, C, H, W) -> (BT, C', H', W')."""
        x = x.contiguous(memory_format=torch.channels_last)
        total = None
        for kernel in KERNELS:
            y = over_space(*self._layer(f"s_{kernel}"), x, stride)
            height, width = y.shape[2:]
            y = over_time(*self._layer(f"t_{kernel}"), as_time(y, frames))
            total = y if total is None else total + y
        return as_pictures(over_time(*self._layer("last"), total), height, width)

    def sound(self, x: Tensor) -> Tensor:
        """(B, C, 13, n) -> (B, C', 13, n)."""
        branches = []
        for kernel in KERNELS:
            y = normed(*self._layer(f"m_{kernel}"), x)
            branches.append(normed(*self._layer(f"t_{kernel}"), y))
        return normed(*self._layer("last"), branches[0] + branches[1])

    def _layer(self, name: str) -> tuple[nn.Module, nn.Module]:
        return getattr(self, name), getattr(self, f"bn_{name}")


def over_space(convolution: nn.Conv3d, norm: nn.BatchNorm3d, x: Tensor, stride: int = 1) -> Tensor:
    """(BT, C, H, W) -> (BT, C', H', W'): frames are samples."""
    return normed(convolution, norm, x, convolution.weight[:, :, 0], stride)


def over_time(convolution: nn.Conv3d, norm: nn.BatchNorm3d, x: Tensor) -> Tensor:
    """(B, C, T, HW) -> (B, C', T, HW): pixels are one axis."""
    return normed(convolution, norm, x, convolution.weight[..., 0])


def as_time(x: Tensor, frames: int) -> Tensor:
    """(BT, C, H, W) -> (B, C, T, HW)."""
    pixels = x.shape[2] * x.shape[3]
    return x.permute(0, 2, 3, 1).reshape(-1, frames, pixels, x.shape[1]).permute(0, 3, 1, 2)


def as_pictures(x: Tensor, height: int, width: int) -> Tensor:
    """(B, C, T, HW) -> (BT, C, H, W)."""
    return x.permute(0, 2, 3, 1).reshape(-1, height, width, x.shape[1]).permute(0, 3, 1, 2)


def normed(
    convolution: nn.Module,
    norm: nn.Module,
    x: Tensor,
    weight: Tensor | None = None,
    stride: int = 1,
) -> Tensor:
    """Convolution, batch norm, ReLU; edges are padded by half a kernel. In evaluation the norm is
    folded into the convolution, which saves one pass over the data.

    weight : (C', C, h, w) in place of the convolution's, which may have a third axis.
    """
    weight = convolution.weight if weight is None else weight
    padding = (weight.shape[2] // 2, weight.shape[3] // 2)
    if norm.training:
        x = functional.conv2d(x, weight, None, stride, padding)
        moments = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        return functional.relu_(functional.batch_norm(x, *moments, True, norm.momentum, norm.eps))
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    weight = weight * scale[:, None, None, None]
    return functional.relu_(functional.conv2d(x, weight, shift, stride, padding))


class _Fusion(nn.Module):
    """Two one-way GRUs one after the other: the second reads the first one's output backwards."""

    def __init__(self, channels: int):
        super().__init__()
        self.gru_forward = nn.GRU(channels, channels, batch_first=True)
        self.gru_backward = nn.GRU(channels, channels, batch_first=True)

    def forward(self, x):
        x = functional.gelu(recurrent(self.gru_forward, x))
        x = functional.gelu(recurrent(self.gru_backward, x.flip(1)))
        return x.flip(1)
