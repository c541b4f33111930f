"""The later leader–follower network, multi-head, of ABAW3 and ABAW5 (LFAN specification 3.5)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..base import arguments, scaled
from ..blocks.ir50 import IR50
from ..blocks.temporal_convolution import TemporalConvolution
from .lfan import LFANBackbone
from .sequence import SOUNDS, SequenceModel, head, norm_over

CHANNELS = {"video": (256, 256, 128, 128), "vggish": (64, 64, 32, 32), "mfcc": (32,) * 4}
MODAL, HEADS = 32, 2  # numbers of a modality inside the attention, and its heads


class SelfAttention(nn.Module):
    """Attention over the modalities of a frame: name -> (B, T, size) to (B, T, modalities·MODAL).

    Each head's third of a modality's projection is query, key and value in this order; values are
    added to what attention gives; the result is ordered head, modality, dimension.
    """

    def __init__(self, sizes: Mapping[str, int], modal: int, heads: int):
        super().__init__()
        self.heads, self.each = heads, modal // heads
        self.qkv_proj = nn.ModuleDict(
            {name: nn.Linear(size, 3 * heads * self.each) for name, size in sizes.items()}
        )
        total = len(sizes) * heads * self.each
        self.o_proj = nn.Linear(total, total)

    def attention(self, streams: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(B, T, heads, M, M) weights, rows = queries, and (B, T, heads, M, each) values."""
        rows = [
            projection(streams[name]).unflatten(-1, (self.heads, 3 * self.each))
            for name, projection in self.qkv_proj.items()
        ]
        query, key, value = torch.stack(rows, dim=3).chunk(3, dim=-1)  # (B, T, heads, M, each)
        return torch.softmax(query @ key.transpose(-1, -2) / self.each**0.5, dim=-1), value

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        weights, value = self.attention(streams)
        return self.o_proj((weights @ value + value).flatten(2))


class Encoder(nn.Module):
    """Attention, dropout, layer norm; no shortcut round it."""

    def __init__(self, sizes: Mapping[str, int], modal: int, heads: int, dropout: float):
        super().__init__()
        self.self_attn = SelfAttention(sizes, modal, heads)
        self.norm1 = nn.LayerNorm(self.self_attn.o_proj.out_features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        return self.norm1(self.dropout(self.self_attn(streams)))


class Streams(SequenceModel):
    """Temporal convolution and batch norm of faces and sounds, common to `lfan_v2` and `can`."""

    def _streams(
        self,
        channels: Mapping[str, tuple[int, ...]],
        width: float,
        inside: float,
        face_size: int,
        dropout: float,
    ) -> tuple[nn.ModuleDict, nn.ModuleDict, nn.ModuleDict]:
        """Temporal networks, face network and batch norms."""
        visual = LFANBackbone(width=width, face_size=face_size)
        sizes = {"video": visual.backbone.embedding, **SOUNDS}
        scaled_to = {name: [scaled(count, inside) for count in channels[name]] for name in sizes}
        self.last = {name: counts[-1] for name, counts in scaled_to.items()}
        temporal = nn.ModuleDict(
            {
                name: TemporalConvolution(size, scaled_to[name], dropout, whole_channels=False)
                for name, size in sizes.items()
            }
        )
        return (
            temporal,
            nn.ModuleDict({"visual": visual}),
            nn.ModuleDict({name: nn.BatchNorm1d(size) for name, size in self.last.items()}),
        )

    @property
    def backbone(self) -> IR50:
        return self.spatial["visual"].backbone

    def read(
        self, faces: Tensor | None, sounds: Mapping[str, Tensor], valid: Tensor | None
    ) -> dict[str, Tensor]:
        """name -> (B, T, its channels); zeros for what is absent."""
        inputs = {**({} if faces is None else {"video": faces}), **sounds}
        reference = next(iter(inputs.values()))
        streams = {}
        for name, size in self.last.items():
            if name in inputs:
                streams[name] = norm_over(self.bn[name], self.temporal[name](inputs[name]), valid)
            else:
                streams[name] = reference.new_zeros(*reference.shape[:2], size)
        return streams


class LFANv2(Streams, name="lfan_v2"):
    """Emotion of every frame: faces lead, two heads attend over the three streams of a frame; tanh
    at the end.

    Arguments as of `lfan`; dropout takes single values, not channels. Corrections: see
    `SequenceModel`.
    """

    layer_order = ("spatial", "temporal", "bn", "fusion", "regressor")

    def __init__(
        self,
        compat: bool = False,
        *,
        emotions: int = 1,
        width: float = 1.0,
        head_width: float = 0.0,
        face_size: int = 40,
        modality: str = "audiovisual",
        dropout: float = 0.1,
        bounded: bool = True,
    ):
        super().__init__(**arguments(locals()))
        self._declare(modality, face_size, emotions)
        self.bounded, inside = bounded, head_width or width
        self.temporal, self.spatial, self.bn = self._streams(
            CHANNELS, width, inside, face_size, dropout
        )
        modal = HEADS * max(1, scaled(MODAL, inside) // HEADS)
        self.fusion = nn.ModuleDict({"layers": Encoder(self.last, modal, HEADS, dropout)})
        self.regressor = nn.Linear(self.last["video"] + 3 * modal, emotions)

    def join(self, faces, sounds, valid):
        streams = self.read(faces, sounds, valid)
        fused = self.fusion["layers"](streams)
        return head(self.regressor(torch.cat([streams["video"], fused], dim=-1)), self.bounded)


# Other widths and depths than lfan_v2's: the faces have five levels, 249 frames.
CAN_CHANNELS = {"video": (256, 256, 128, 128, 128), "vggish": (128, 128, 64, 64), "mfcc": (32,) * 4}
PROJECTED = 128  # channels of a modality at width 1


class CAN(Streams, name="can"):
    """Emotion of every frame: each stream is projected, a softmax over all channels gates them.

    Arguments as of `lfan_v2`. `conv_c` is a published parameter that nothing uses. Corrections: see
    `SequenceModel`.
    """

    layer_order = (
        "spatial",
        "temporal",
        "bn",
        tuple(f"fuse.attn.{number}" for number in range(3)),
        "fuse.weights",
        ("conv_c", "fc1"),
        "bn1",
        "fc2",
    )

    def __init__(
        self,
        compat: bool = False,
        *,
        emotions: int = 1,
        width: float = 1.0,
        head_width: float = 0.0,
        face_size: int = 40,
        modality: str = "audiovisual",
        dropout: float = 0.2,
        bounded: bool = True,
    ):
        super().__init__(**arguments(locals()))
        self._declare(modality, face_size, emotions)
        self.bounded, inside = bounded, head_width or width
        self.temporal, spatial, self.bn = self._streams(
            CAN_CHANNELS, width, inside, face_size, dropout
        )
        self.spatial = spatial  # behind the batch norms, as in the published files
        projected = scaled(PROJECTED, inside)
        total = projected * len(self.last)
        self.fuse = nn.ModuleDict(
            {
                "attn": nn.ModuleList(nn.Linear(size, projected) for size in self.last.values()),
                "weights": nn.Linear(total, total),
            }
        )
        self.conv_c = nn.Conv1d(total, projected, 1)
        self.bn1 = nn.BatchNorm1d(total)
        self.fc1, self.fc2 = nn.Linear(total, total), nn.Linear(total, emotions)

    def gate(self, faces, sounds, valid) -> tuple[Tensor, Tensor]:
        """(B, T, channels) of the projected streams in a row, and weights with the sum 1."""
        streams = self.read(faces, sounds, valid)
        projected = torch.cat(
            [
                layer(streams[name])
                for name, layer in zip(self.last, self.fuse["attn"], strict=True)
            ],
            dim=-1,
        )
        return projected, torch.softmax(self.fuse["weights"](projected), dim=-1)

    def join(self, faces, sounds, valid):
        projected, weights = self.gate(faces, sounds, valid)
        x = functional.leaky_relu(norm_over(self.bn1, self.fc1(projected * weights), valid))
        return head(self.fc2(x), self.bounded)
