"""LFAN: its face network (IR-50) with the classifier of pre-training, the leader, and the whole
network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ...errors import InputError
from .. import published
from ..base import Model, arguments, scaled
from ..blocks.ir50 import CHANNELS, EMBEDDING, IR50, as_pictures
from ..blocks.temporal_convolution import TemporalConvolution
from .sequence import SOUNDS, SequenceModel, head

FIRST_WEIGHT = "backbone.input_layer.0.weight"


class LFANBackbone(Model, name="lfan_backbone"):
    """Classes (or valence and arousal) of a picture; the file `res50_ir_0.887.pth` is this network.

    classes : 8 published (FER+). width, face_size : as of `lfan`.
    The published network and the corrected one are the same.
    """

    layer_order = ("backbone", "logits")

    def __init__(
        self, compat: bool = False, *, classes: int = 8, width: float = 1.0, face_size: int = 40
    ):
        super().__init__(**arguments(locals()))
        self.backbone = IR50(width, face_size)
        self.logits = nn.Linear(self.backbone.embedding, classes)
        self.inputs = {"frame": f"(N, 3, {face_size}, {face_size})"}
        self.outputs = {"logits": f"(N, {classes})"}

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        frame = self.take(batch, "frame")
        return {
            "logits": self.logits(
                self.backbone(as_pictures(frame) if frame.dtype == torch.uint8 else frame)
            )
        }


def load(path: Path | str, face_size: int = 40) -> tuple[IR50, dict]:
    """The face network in a checkpoint of ours or in the authors' file, frozen, and the
    checkpoint's parameters and statistics.

    Returns (network in evaluation mode, ``{"params", "statistics"}`` or empty for the authors'
    file). Raises InputError for a file that holds another network.
    """
    content = published.read(path)
    ours = published.is_run(content)
    state = dict(content["model"]) if ours else published.weights_in(content, path)
    if FIRST_WEIGHT not in state or not any(key.startswith("logits.") for key in state):
        raise InputError(
            "weights without backbone.* and logits.*",
            where=path,
            expected="res50_ir_0.887.pth, or a run of the recipe lfan_backbone",
            todo="set backbone_run to one of these",
        )
    width = state[FIRST_WEIGHT].shape[0] / CHANNELS[0]
    net = LFANBackbone(classes=len(state["logits.weight"]), width=width, face_size=face_size)
    try:
        net.load_state_dict(state)
    except RuntimeError as wrong:  # its message lists keys and sizes
        raise InputError(
            f"weights that do not fit faces of {face_size} pixels",
            where=path,
            expected=f"{EMBEDDING}·width numbers per face; {wrong}",
        ) from wrong
    said = {name: content.get(name, {}) for name in ("params", "statistics")} if ours else {}
    return net.backbone.eval().requires_grad_(False), said


LEADER = 128  # channels of the faces' temporal network at width 1
LEVELS = 4  # blocks: 121 frames


class LFANVisual(SequenceModel, name="lfan_visual"):
    """Emotion of every frame from the faces up to it.

    Arguments
    ---------
    emotions : 1 (published: one network per emotion), or 2 for both.
    width : factor on the channels of the face network; head_width : of all that follows, 0 for the
        same.
    face_size : side of the crops in pixels, 40 published.
    dropout : in the temporal network, whole channels. bounded : tanh at the end (published: none).

    Corrections: see `lib.models.affect.sequence.SequenceModel`.
    """

    def __init__(
        self,
        compat: bool = False,
        *,
        emotions: int = 1,
        width: float = 1.0,
        head_width: float = 0.0,
        face_size: int = 40,
        modality: str = "video",
        dropout: float = 0.1,
        bounded: bool = False,
    ):
        super().__init__(**arguments(locals()))
        self._declare("video", face_size, emotions, {})
        self.bounded, inside = bounded, head_width or width
        leader = scaled(LEADER, inside)
        self.spatial = IR50(width, face_size)
        self.temporal = TemporalConvolution(self.spatial.embedding, [leader] * LEVELS, dropout)
        self.regressor = nn.Linear(leader, emotions)

    def join(self, faces, sounds, valid):
        return head(self.regressor(self.temporal(faces)), self.bounded)


FOLLOWER = 32  # channels of a sound's temporal network, and of the attention, at width 1


class LFAN(SequenceModel, name="lfan"):
    """Emotion of every frame: the faces lead, attention over the three streams of a frame follows.

    Keys and queries change their usual roles, and queries and values of the sounds are made of
    their keys, as published: a network is its equations, so both forms keep them.

    Arguments
    ---------
    modality : "audio": zeros take the place of the leader's features, "video": of the followers';
        the arrays of the other modality are not needed.
    emotions, width, head_width, face_size, dropout, bounded : as of `lfan_visual`.

    Corrections: see `lib.models.affect.sequence.SequenceModel`. `gn1` and `gn2` are published
    parameters that nothing uses.
    """

    layer_order = (
        (["spatial", "temporal"], "temporal1", "temporal2"),
        ("encoder1", "encoder2", "encoder3"),
        (*(f"encoder{kind}{number}" for kind in "QV" for number in (1, 2, 3)), "gn1", "gn2", "ln"),
        "regressor",
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
        dropout: float = 0.1,
        bounded: bool = False,
    ):
        super().__init__(**arguments(locals()))
        self._declare(modality, face_size, emotions)
        self.bounded, inside = bounded, head_width or width
        self.leader, self.follower = scaled(LEADER, inside), scaled(FOLLOWER, inside)
        f = self.follower
        self.spatial = IR50(width, face_size)
        self.temporal = TemporalConvolution(self.spatial.embedding, [self.leader] * LEVELS, dropout)
        self.temporal1, self.temporal2 = (
            TemporalConvolution(size, [f] * LEVELS, dropout) for size in SOUNDS.values()
        )
        # Keys, queries, values of faces, VGGish, MFCC.
        for kind in ("encoder", "encoderQ", "encoderV"):
            for number, size in enumerate((self.leader, f, f), 1):
                self.add_module(f"{kind}{number}", nn.Linear(size, f))
        self.gn1, self.gn2 = nn.GroupNorm(1, f), nn.GroupNorm(1, f)
        self.ln = nn.LayerNorm([3, f])
        self.regressor = nn.Linear(self.leader + 3 * f, emotions)

    def streams(
        self, faces: Tensor | None, sounds: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, leader) of faces, (B, T, follower) of VGGish and MFCC; zeros if absent."""
        reference = faces if faces is not None else sounds["vggish"]
        zeros = [
            reference.new_zeros(*reference.shape[:2], size) for size in (self.leader, self.follower)
        ]
        leader = zeros[0] if faces is None else self.temporal(faces)
        followers = [
            zeros[1] if name not in sounds else net(sounds[name])
            for name, net in zip(SOUNDS, (self.temporal1, self.temporal2), strict=True)
        ]
        return leader, *followers

    def attend(
        self, leader: Tensor, vggish: Tensor, mfcc: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Keys, queries (B, T, 3, f), attention (B, T, 3, 3) over keys, fused rows (B, T, 3, f)."""
        keys = [self.encoder1(leader), self.encoder2(vggish), self.encoder3(mfcc)]
        queries = [self.encoderQ1(leader), self.encoderQ2(keys[1]), self.encoderQ3(keys[2])]
        values = [self.encoderV1(leader), self.encoderV2(keys[1]), self.encoderV3(keys[2])]
        k, q, u = (torch.stack(rows, dim=2) for rows in (keys, queries, values))  # (B, T, 3, f)
        attention = torch.softmax(k @ q.transpose(2, 3) / self.follower**0.5, dim=-1)
        return k, q, attention, self.ln(attention @ u + u)

    def join(self, faces, sounds, valid):
        leader, vggish, mfcc = self.streams(faces, sounds)
        fused = self.attend(leader, vggish, mfcc)[3].flatten(2)  # (B, T, 3·f)
        return head(self.regressor(torch.cat([leader, fused], dim=-1)), self.bounded)
