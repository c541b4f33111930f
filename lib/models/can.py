"""Channel attention over the joined streams, ABAW3's second network (after End2You; LFAN specification 3.5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.models.ir50 import scaled
from lib.models.lfan_v2 import Streams
from lib.models.sequence import head, norm_over

# Other widths and depths than lfan_v2's: the faces have five levels, 249 frames.
CHANNELS = {"video": (256, 256, 128, 128, 128), "vggish": (128, 128, 64, 64), "mfcc": (32,) * 4}
PROJECTED = 128  # channels of a modality at width 1


class CAN(Streams, name="can"):
    """Emotion of every frame: each stream is projected, a softmax over all channels gates them.

    Arguments as of `lfan_v2`. `conv_c` is a published parameter that nothing uses. Corrections: see `SequenceModel`.
    """

    def __init__(self, compat: bool = False, *, emotions: int = 1, width: float = 1.0, head_width: float = 0.0,
                 face_size: int = 40, modality: str = "audiovisual", dropout: float = 0.2, bounded: bool = True):
        super().__init__(compat, emotions=emotions, width=width, head_width=head_width, face_size=face_size,
                         modality=modality, dropout=dropout, bounded=bounded)
        self._declare(modality, face_size, emotions)
        self.bounded, inside = bounded, head_width or width
        self.temporal, spatial, self.bn = self._streams(CHANNELS, width, inside, face_size, dropout)
        self.spatial = spatial  # behind the batch norms, as in the published files
        each = scaled(PROJECTED, inside)
        total = each * len(self.last)
        self.fuse = nn.ModuleDict({"attn": nn.ModuleList(nn.Linear(size, each) for size in self.last.values()),
                                   "weights": nn.Linear(total, total)})
        self.conv_c = nn.Conv1d(total, each, 1)
        self.bn1, self.fc1, self.fc2 = nn.BatchNorm1d(total), nn.Linear(total, total), nn.Linear(total, emotions)

    def gate(self, faces, sounds, valid) -> tuple[Tensor, Tensor]:
        """(B, T, channels) of the projected streams, one after the other, and their weights, which sum to 1."""
        streams = self.read(faces, sounds, valid)
        projected = torch.cat([layer(streams[name]) for name, layer in zip(self.last, self.fuse["attn"], strict=True)],
                              dim=-1)
        return projected, torch.softmax(self.fuse["weights"](projected), dim=-1)

    def join(self, faces, sounds, valid):
        projected, weights = self.gate(faces, sounds, valid)
        x = functional.leaky_relu(norm_over(self.bn1, self.fc1(projected * weights), valid))
        return head(self.fc2(x), self.bounded)
