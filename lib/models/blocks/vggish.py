"""VGGish: 0.96 s of log-mel spectrogram to 128 numbers (Hershey 2017; LFAN specification 1.7)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ..base import Model, scaled

ROWS, BANDS = 96, 64
CHANNELS = (64, 128, 256, 256, 512, 512)  # convolutions; a pool after the 1st, 2nd, 4th and 6th
DENSE = 4096
EMBEDDING = 128


class VGGish(Model, name="vggish"):
    """Embedding of a log-mel example before any activation; keys are those of the PyTorch port.

    The published network and the corrected one are the same. The port ends with one more ReLU,
    which LFAN's features do not have: neither has this network. width : factor on the channels
    inside; the output keeps 128 numbers.
    """

    def __init__(self, compat: bool = False, *, width: float = 1.0):
        super().__init__(compat, width=width)
        layers: list[nn.Module] = []
        before = 1
        for number, channels in enumerate(scaled(count, width) for count in CHANNELS):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
            layers += [nn.MaxPool2d(2, 2)] if number in (0, 1, 3, 5) else []
            before = channels
        self.features = nn.Sequential(*layers)
        dense = scaled(DENSE, width)
        self.embeddings = nn.Sequential(
            nn.Linear(before * (ROWS // 16) * (BANDS // 16), dense),
            nn.ReLU(),
            nn.Linear(dense, dense),
            nn.ReLU(),
            nn.Linear(dense, EMBEDDING),
        )
        self.inputs = {"logmel": f"(N, 1, {ROWS}, {BANDS})"}
        self.outputs = {"vggish": f"(N, {EMBEDDING})"}

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        maps = self.features(self.take(batch, "logmel"))  # (N, C, 6, 4)
        # TensorFlow's order: channels last, before the matrix becomes a vector.
        return {"vggish": self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))}
