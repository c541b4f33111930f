"""TalkNet's two streams: faces and sound of a clip -> one vector per frame each (speaker
specification §3.2).

`valid` (B, T) says which frames are no padding. If it is given, padded frames are set to zero
before every convolution over time, and means over time (squeeze-and-excitation, global norm) are
taken over valid frames only, so that a clip's result does not depend on the amount of padding.
Without it everything is as published.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..base import Model
from ..blocks.synchrony_attention import AttentionLayer, Look
from ..blocks.whole import is_traced
from .light_asd import Head, face_and_sound, grey

# of the batch norms of the picture stream; their momentum is an option
NORM_OPTIONS = {"eps": 1e-3}
SE_SHARE, SE_SMALLEST = 8, 2


def masked(x: Tensor, valid: Tensor | None) -> Tensor:
    """(…, n) with the last axis zeroed where `valid` (B, n) is False; x has the batch first."""
    if valid is None:
        return x
    return x * valid.view(len(valid), *[1] * (x.ndim - 2), -1).to(x.dtype)


class VisualFrontend(nn.Module):
    """(B, T, S, S) normalised grey -> (B, T, 8c): convolution over five frames, then residual."""

    layer_order = ("frontend3D", "resnet")

    def __init__(self, channels: int, momentum: float, joined: bool):
        super().__init__()
        # published: the batch is one long sequence, so clips see their neighbours
        self.joined = joined
        self.frontend3D = nn.Sequential(
            nn.Conv3d(1, channels, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
            nn.BatchNorm3d(channels, momentum=momentum, **NORM_OPTIONS),
            nn.ReLU(),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )
        self.resnet = _ResNet(channels, momentum)

    def forward(self, face: Tensor, valid: Tensor | None) -> Tensor:
        clips, frames, height, width = face.shape
        if valid is not None:
            face = face * valid[:, :, None, None].to(face.dtype)
        shape = (clips, 1, frames, height, width)
        if self.joined:
            shape = (1, 1, clips * frames, height, width)
        x = self.frontend3D(face.reshape(shape))  # (B, c, T, S/4, S/4)
        x = x.transpose(1, 2).flatten(0, 1)  # (BT, c, S/4, S/4)
        return self.resnet(x).view(clips, frames, -1)


class _ResNet(nn.Module):
    layer_order = ("layer1", "layer2", "layer3", "layer4")

    def __init__(self, channels, momentum):
        super().__init__()
        for number, (before, after) in enumerate([(1, 1), (1, 2), (2, 4), (4, 8)], 1):
            layer = _DoubleBlock(
                before * channels, after * channels, 1 if number == 1 else 2, momentum
            )
            setattr(self, f"layer{number}", layer)

    def forward(self, x):
        for number in (1, 2, 3, 4):
            x = getattr(self, f"layer{number}")(x)
        return x.mean(dim=(2, 3))  # published: 4×4 of a 112-px face


class _DoubleBlock(nn.Module):
    """Two residual blocks; the second one's shortcut is the first one's sum *before* its norm."""

    def __init__(self, before, after, stride, momentum):
        super().__init__()

        def norm():
            return nn.BatchNorm2d(after, momentum=momentum, **NORM_OPTIONS)

        self.conv1a = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1a = norm()
        self.conv2a = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        # without use where the stride is 1
        self.downsample = nn.Conv2d(before, after, 1, stride, bias=False)
        self.outbna = norm()
        self.conv1b = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn1b = norm()
        self.conv2b = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.outbnb = norm()
        self.stride = stride

    def forward(self, x):
        a = self.conv2a(functional.relu(self.bn1a(self.conv1a(x))))
        middle = a + (x if self.stride == 1 else self.downsample(x))
        y = functional.relu(self.outbna(middle))
        b = self.conv2b(functional.relu(self.bn1b(self.conv1b(y))))
        return functional.relu(self.outbnb(b + middle))


class GlobalNorm(nn.Module):
    """Mean and variance over channels and time of each clip, (B, C, T)."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, channels, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1))

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        if valid is None:
            mean = x.mean((1, 2), keepdim=True)
            variance = x.var((1, 2), keepdim=True, unbiased=False)
        else:
            count = valid.sum(1).clamp(min=1).view(-1, 1, 1) * x.shape[1]
            mean = masked(x, valid).sum((1, 2), keepdim=True) / count
            variance = masked((x - mean).square(), valid).sum((1, 2), keepdim=True) / count
        if is_traced():  # the same in other words: onnxscript 0.7 takes an added 1e-8 for 0
            return self.gamma * (x - mean) / (torch.sqrt(variance * 1e8 + 1) * 1e-4) + self.beta
        return self.gamma * (x - mean) / torch.sqrt(variance + 1e-8) + self.beta


class _TemporalBlock(nn.Module):
    """ReLU, norm, depth-wise convolution over time, PReLU, global norm, mixing; a shortcut."""

    def __init__(self, channels):
        super().__init__()
        self.net = nn.ModuleList(
            [
                nn.ReLU(),
                nn.BatchNorm1d(channels),
                nn.Conv1d(channels, channels, 3, 1, 1, groups=channels, bias=False),
                nn.PReLU(),
                GlobalNorm(channels),
                nn.Conv1d(channels, channels, 1, bias=False),
            ]
        )

    def forward(self, x, valid):
        relu, norm, over_time, prelu, whole, mix = self.net
        y = prelu(over_time(masked(norm(relu(x)), valid)))
        return x + mix(whole(y, valid))


class VisualTCN(nn.Module):
    """(B, C, T) -> (B, C, T): five temporal blocks."""

    def __init__(self, channels: int):
        super().__init__()
        self.net = nn.ModuleList(_TemporalBlock(channels) for _ in range(5))

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        for block in self.net:
            x = block(x, valid)
        return x


class VisualConv1D(nn.Module):
    """(B, C, T) -> (B, d, T)."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv1d(channels, channels // 2, 5, 1, 2),
            nn.BatchNorm1d(channels // 2),
            nn.ReLU(),
            nn.Conv1d(channels // 2, out, 1),
        )

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        return self.net(masked(x, valid))


class _Squeeze(nn.Module):
    """Squeeze-and-excitation: channels scaled by what the mean over rows and valid time says."""

    def __init__(self, channels):
        super().__init__()
        narrow = max(SE_SMALLEST, channels // SE_SHARE)
        self.fc = nn.Sequential(
            nn.Linear(channels, narrow), nn.ReLU(), nn.Linear(narrow, channels), nn.Sigmoid()
        )

    def forward(self, x, valid):
        if valid is None:
            mean = x.mean((2, 3))
        else:
            mean = masked(x, valid).sum((2, 3)) / (
                valid.sum(1, keepdim=True).clamp(min=1) * x.shape[2]
            )
        return x * self.fc(mean)[:, :, None, None]


class _SoundBlock(nn.Module):
    """Residual block with the ReLU before the first norm, as published."""

    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.se = _Squeeze(after)
        self.downsample = None
        if before != after or stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x, valid):
        y = masked(self.bn1(functional.relu(self.conv1(x))), valid)
        y = self.se(self.bn2(self.conv2(y)), valid)
        return masked(
            functional.relu(y + (x if self.downsample is None else self.downsample(x))), valid
        )


class AudioEncoder(nn.Module):
    """(B, 4T, 13) -> (B, T, d): residual, with squeeze-and-excitation; the mean of the rows."""

    layer_order = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")

    def __init__(self, channels: int, out: int):
        super().__init__()
        widths = (channels, 2 * channels, 4 * channels, out)  # 16, 32, 64, 128
        self.conv1 = nn.Conv2d(1, channels, 7, (2, 1), 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        before = channels
        for number, (after, count) in enumerate(zip(widths, (3, 4, 6, 3), strict=True), 1):
            stride = 2 if number in (2, 3) else 1
            blocks = [
                _SoundBlock(before if n == 0 else after, after, stride if n == 0 else 1)
                for n in range(count)
            ]
            setattr(self, f"layer{number}", nn.ModuleList(blocks))
            before = after

    def forward(self, mfcc: Tensor, valid: Tensor | None) -> Tensor:
        at = [
            None if valid is None else valid.repeat_interleave(times, 1) for times in (4, 2, 1, 1)
        ]
        x = masked(mfcc.transpose(1, 2)[:, None], at[0])  # (B, 1, 13, 4T)
        x = masked(functional.relu(self.bn1(self.conv1(x))), at[0])  # (B, c, 7, 4T)
        for number, after in enumerate((at[0], *at[1:]), 1):
            for block in getattr(self, f"layer{number}"):
                x = block(x, after)
        return x.mean(dim=2).transpose(1, 2)


# published channels: first of the picture, first of the sound, of a token
PICTURE_CHANNELS, SOUND_CHANNELS, ATTENTION_CHANNELS = (64, 16, 128)
HEAD_DIM = 16  # channels of a head in cross attention; twice as many in self attention


class TalkNet(Model, name="talknet"):
    """Scores of one face in every frame, by cross attention of lips and sound, then self attention.

    Inputs ``face`` (B,T,S,S) grey 0–255, ``mfcc`` (B,4T,13), ``pad`` (B,T) bool, True where a frame
    only fills up. Outputs: logits of [not speaking, speaking] ``speaking``, ``speaking_audio``,
    ``speaking_visual`` (B,T,2), and ``audio_embed``, ``visual_embed`` (B,T,d) before attention.
    ``face`` may be left out with ``modality: audio``.

    `visual_width`, `audio_width`, `attention_width` are factors on the channels of picture, sound
    and attention (d = 128); 0 takes `width`. Heads keep their size, so there are d/16 of them.

    Corrections against the published code, which `compat` undoes: each clip has its own 3-D
    convolution (published: the batch is one sequence, and clips see their neighbours); `pad` is
    respected by convolutions, squeeze, global norm and attention (published: unknown).
    """

    layer_order = ("model", ("lossAV", "lossA", "lossV"))

    def __init__(
        self,
        compat: bool = False,
        *,
        width: float = 1.0,
        visual_width: float = 0.0,
        audio_width: float = 0.0,
        attention_width: float = 0.0,
        face_size: int = 112,
        modality: str = "audiovisual",
        dropout: float = 0.1,
        visual_momentum: float = 0.01,
        **more: object,
    ):
        chosen = {
            "visual_width": visual_width or width,
            "audio_width": audio_width or width,
            "attention_width": attention_width or width,
        }
        super().__init__(
            compat,
            width=width,
            **chosen,
            face_size=face_size,
            modality=modality,
            dropout=dropout,
            visual_momentum=visual_momentum,
            **more,
        )
        picture = max(1, round(PICTURE_CHANNELS * chosen["visual_width"]))
        sound = max(1, round(SOUND_CHANNELS * chosen["audio_width"]))
        self.modality, self.tokens = modality, self._tokens(chosen["attention_width"])
        self.model = _Parts(picture, sound, self.tokens, dropout, visual_momentum, joined=compat)
        self.lossAV, self.lossA = Head(2 * self.tokens), Head(self.tokens)
        self.lossV = Head(self.tokens)
        self._declare(face_size)

    def _tokens(self, attention_width: float) -> int:
        """Channels of a token. Raises InputError where heads would not fill them."""
        tokens = ATTENTION_CHANNELS * attention_width
        if tokens % HEAD_DIM:
            raise self.wrong(
                f"attention {tokens:g} channels wide",
                f"a multiple of {HEAD_DIM}: attention_width {HEAD_DIM / ATTENTION_CHANNELS:g}, "
                f"{2 * HEAD_DIM / ATTENTION_CHANNELS:g}, …",
            )
        return int(tokens)

    def _declare(self, face_size: int) -> None:
        """Declare inputs and outputs."""
        self.inputs = {
            "face": f"(B, T, {face_size}, {face_size}) grey 0–255",
            "mfcc": "(B, 4T, 13)",
            "pad": "(B, T) bool, optional",
        }
        scores = ("speaking", "speaking_audio", "speaking_visual")
        self.outputs = dict.fromkeys(scores, "(B, T, 2) logits")
        for name in ("audio_embed", "visual_embed"):
            self.outputs[name] = f"(B, T, {self.tokens})"

    def forward(self, batch):
        face, mfcc = face_and_sound(self, batch)
        valid = None if self.compat or "pad" not in batch else ~batch["pad"].bool()
        visual, audio = self.embed(face, mfcc, valid)
        return self.attend(visual, audio, *self.looks(batch, visual, valid))

    def embed(self, face: Tensor, mfcc: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        """Picture and sound of every frame as (B, T, d) each; zeros where `modality` has none."""
        parts, shape = self.model, (*face.shape[:2], self.tokens)
        visual = audio = None
        if self.modality != "audio":
            x = parts.visualFrontend(grey(face), valid).transpose(1, 2)  # (B, 8c, T)
            visual = parts.visualConv1D(parts.visualTCN(x, valid), valid).transpose(1, 2)
        if self.modality != "video":
            audio = parts.audioEncoder(mfcc, valid)
        visual = mfcc.new_zeros(shape) if visual is None else visual
        return visual, mfcc.new_zeros(shape) if audio is None else audio

    def looks(self, batch, visual: Tensor, valid: Tensor | None) -> tuple[Look, Look, Look]:
        """The attention restrictions of sound to picture, picture to sound, and self attention:
        unpadded frames only.
        """
        blind = None if valid is None else ~valid
        return Look(blind), Look(blind), Look(blind)

    def attend(
        self, visual: Tensor, audio: Tensor, to_audio: Look, to_visual: Look, to_both: Look
    ) -> dict:
        """Cross attention, self attention and heads. `to_audio`: keys are sound, and so on."""
        parts = self.model
        heard = parts.crossA2V(audio, visual, to_audio)
        seen = parts.crossV2A(visual, audio, to_visual)
        both = torch.cat([heard, seen], dim=2)  # (B, T, 2d)
        both = parts.selfAV(both, both, to_both)
        return {
            "speaking": self.lossAV.FC(both),
            "speaking_audio": self.lossA.FC(heard),
            "speaking_visual": self.lossV.FC(seen),
            "audio_embed": audio,
            "visual_embed": visual,
        }


class _Parts(nn.Module):
    layer_order = (
        (["visualFrontend", "visualTCN", "visualConv1D"], "audioEncoder"),
        ("crossA2V", "crossV2A"),
        "selfAV",
    )

    def __init__(
        self, picture: int, sound: int, tokens: int, dropout: float, momentum: float, joined: bool
    ):
        super().__init__()
        heads = tokens // HEAD_DIM
        self.visualFrontend = VisualFrontend(picture, momentum, joined)
        self.visualTCN = VisualTCN(8 * picture)
        self.visualConv1D = VisualConv1D(8 * picture, tokens)
        self.audioEncoder = AudioEncoder(sound, tokens)
        self.crossA2V = AttentionLayer(tokens, heads, dropout)
        self.crossV2A = AttentionLayer(tokens, heads, dropout)
        self.selfAV = AttentionLayer(2 * tokens, heads, dropout)
