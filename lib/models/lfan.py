"""Leader–follower attentive fusion of faces, VGGish and MFCC (Zhang, Ding, Wei, Guan 2021; LFAN specification 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lib.models.ir50 import IR50, scaled
from lib.models.lfan_visual import LEADER, LEVELS
from lib.models.sequence import SOUNDS, SequenceModel, head
from lib.models.temporal_convolution import TemporalConvolution

FOLLOWER = 32  # channels of a sound's temporal network, and of the attention, at width 1


class LFAN(SequenceModel, name="lfan"):
    """Emotion of every frame: the faces lead, attention over the three streams of a frame follows.

    Keys and queries change their usual roles, and queries and values of the sounds are made of their keys, as
    published: a network is its equations, so both forms keep them.

    Arguments
    ---------
    modality : "audio": zeros take the place of the leader's features, "video": of the followers'; the arrays of the
        other modality are not needed.
    emotions, width, head_width, face_size, dropout, bounded : as of `lfan_visual`.

    Corrections: see `lib.models.sequence.SequenceModel`. `gn1` and `gn2` are published parameters that nothing uses.
    """

    def __init__(self, compat: bool = False, *, emotions: int = 1, width: float = 1.0, head_width: float = 0.0,
                 face_size: int = 40, modality: str = "audiovisual", dropout: float = 0.1, bounded: bool = False):
        super().__init__(compat, emotions=emotions, width=width, head_width=head_width, face_size=face_size,
                         modality=modality, dropout=dropout, bounded=bounded)
        self._declare(modality, face_size, emotions)
        self.bounded, inside = bounded, head_width or width
        self.leader, self.follower = scaled(LEADER, inside), scaled(FOLLOWER, inside)
        f = self.follower
        self.spatial = IR50(width, face_size)
        self.temporal = TemporalConvolution(self.spatial.embedding, [self.leader] * LEVELS, dropout)
        self.temporal1, self.temporal2 = (TemporalConvolution(size, [f] * LEVELS, dropout) for size in SOUNDS.values())
        for kind in ("encoder", "encoderQ", "encoderV"):   # keys, queries, values of faces, VGGish, MFCC
            for number, size in enumerate((self.leader, f, f), 1):
                self.add_module(f"{kind}{number}", nn.Linear(size, f))
        self.gn1, self.gn2 = nn.GroupNorm(1, f), nn.GroupNorm(1, f)
        self.ln = nn.LayerNorm([3, f])
        self.regressor = nn.Linear(self.leader + 3 * f, emotions)

    @property
    def backbone(self) -> IR50:
        return self.spatial

    def streams(self, faces: Tensor | None, sounds: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, leader) of the faces, (B, T, follower) of VGGish and of MFCC; zeros for what is absent."""
        some = faces if faces is not None else sounds["vggish"]
        zeros = [some.new_zeros(*some.shape[:2], size) for size in (self.leader, self.follower)]
        leader = zeros[0] if faces is None else self.temporal(faces)
        followers = [zeros[1] if name not in sounds else net(sounds[name])
                     for name, net in zip(SOUNDS, (self.temporal1, self.temporal2), strict=True)]
        return leader, *followers

    def attend(self, leader: Tensor, vggish: Tensor, mfcc: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Keys, queries (B, T, 3, f), attention (B, T, 3, 3), its rows over keys, and the fused rows (B, T, 3, f)."""
        keys = [self.encoder1(leader), self.encoder2(vggish), self.encoder3(mfcc)]
        queries = [self.encoderQ1(leader), self.encoderQ2(keys[1]), self.encoderQ3(keys[2])]
        values = [self.encoderV1(leader), self.encoderV2(keys[1]), self.encoderV3(keys[2])]
        k, q, u = (torch.stack(each, dim=2) for each in (keys, queries, values))      # (B, T, 3, f)
        attention = torch.softmax(k @ q.transpose(2, 3) / self.follower**0.5, dim=-1)
        return k, q, attention, self.ln(attention @ u + u)

    def join(self, faces, sounds, valid):
        leader, vggish, mfcc = self.streams(faces, sounds)
        fused = self.attend(leader, vggish, mfcc)[3].flatten(2)                        # (B, T, 3·f)
        return head(self.regressor(torch.cat([leader, fused], dim=-1)), self.bounded)
