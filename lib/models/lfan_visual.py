"""The leader alone: faces, causal temporal convolution, one linear layer (LFAN specification 3.3)."""

from __future__ import annotations

from torch import nn

from lib.models.ir50 import IR50, scaled
from lib.models.sequence import SequenceModel, head
from lib.models.temporal_convolution import TemporalConvolution

LEADER = 128   # channels of the faces' temporal network at width 1
LEVELS = 4     # blocks: 121 frames


class LFANVisual(SequenceModel, name="lfan_visual"):
    """Emotion of every frame from the faces up to it.

    Arguments
    ---------
    emotions : 1 (published: a network an emotion), or 2 for both.
    width : factor on the channels of the face network; head_width : of all that follows, 0 for the same.
    face_size : side of the crops in pixels, 40 published.
    dropout : in the temporal network, whole channels. bounded : tanh at the end (published: none).

    Corrections: see `lib.models.sequence.SequenceModel`.
    """

    def __init__(self, compat: bool = False, *, emotions: int = 1, width: float = 1.0, head_width: float = 0.0,
                 face_size: int = 40, modality: str = "video", dropout: float = 0.1, bounded: bool = False):
        super().__init__(compat, emotions=emotions, width=width, head_width=head_width, face_size=face_size,
                         modality=modality, dropout=dropout, bounded=bounded)
        self._declare("video", face_size, emotions, {})
        self.bounded, inside = bounded, head_width or width
        leader = scaled(LEADER, inside)
        self.spatial = IR50(width, face_size)
        self.temporal = TemporalConvolution(self.spatial.embedding, [leader] * LEVELS, dropout)
        self.regressor = nn.Linear(leader, emotions)

    @property
    def backbone(self) -> IR50:
        return self.spatial

    def join(self, faces, sounds, valid):
        return head(self.regressor(self.temporal(faces)), self.bounded)
