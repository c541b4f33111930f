"""The two small networks of face-api (MIT) on one cropped face: seven expressions, 68 landmarks.

Published weights of both exist, each a manifest with a file of numbers beside it
(`lib.models.load_published`). Specification: the face-api specification §1 and §2. Which pictures
they were trained on is not known, nor was an accuracy ever published.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import InputError
from ..base import Model, scaled

SIZE = 112  # px, side of the face that both networks see (§1.2)
# red, green and blue of the training pictures, published (§1.2)
MEAN_RGB = (122.782, 117.001, 104.298)
CHANNELS = (32, 64, 128, 256)  # of the four blocks (§1.1)
CLASSES = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")  # in this order
POINTS = 68  # the usual scheme, from the viewer's left to right (§2.3)


class FaceApi(Model):
    """What both networks share: four blocks of separable convolutions, then the picture's mean.

    Input ``face`` (B, 112, 112, 3) RGB 0–255, uint8 or float, as the store keeps faces; it is
    normalised inside. `compat` changes nothing: no defect of the published networks is known.
    width : factor on the channels, for tests; published weights exist for 1 only.
    """

    def __init__(self, compat: bool, width: float, numbers: int):
        super().__init__(compat, width=width)
        channels = [scaled(count, width) for count in CHANNELS]
        self.dense0 = _Block(channels[0], nn.Conv2d(3, channels[0], 3, stride=2))
        for number, (before, after) in enumerate(pairwise(channels), 1):
            block = _Block(after, _Separable(before, after, stride=2))
            self.add_module(f"dense{number}", block)
        self.fc = nn.Linear(channels[-1], numbers)
        self.register_buffer("mean", torch.tensor(MEAN_RGB).view(3, 1, 1), persistent=False)
        self.inputs = {"face": f"(B, {SIZE}, {SIZE}, 3) RGB 0–255"}

    def features(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(B, 256) numbers of each face, none below 0: the input of the last layer."""
        face = self.take(batch, "face")
        if face.ndim != 4 or face.shape[1:] != (SIZE, SIZE, 3):
            what, where = f"faces of shape {tuple(face.shape)}", f"model {self.name}"
            todo = "cut them with lib.faces.expression_crop.cut"
            raise InputError(what, where=where, expected=self.inputs["face"], todo=todo)
        # one copy of the pictures, in float32
        x = (face.permute(0, 3, 1, 2) - self.mean.float()).div_(255)  # (B, 3, 112, 112)
        for number in range(len(CHANNELS)):
            x = self.get_submodule(f"dense{number}")(x)  # 56, 28, 14, 7 px
        return x.mean(dim=(2, 3))


class FaceApiExpression(FaceApi, name="face_api"):
    """Logits of seven expressions, in the order of `CLASSES`, and the 256 numbers before them.

    Instead of ``face``, ``features`` (B, 256) may be given: the store keeps them per face.
    Its outputs saturate, and the crop decides how good they are (`lib.faces.expression_crop`).
    By the measurements of §1.6 *happy* and *neutral* can be trusted, *disgusted* and *angry* not.
    """

    def __init__(self, compat: bool = False, *, width: float = 1.0):
        super().__init__(compat, width, len(CLASSES))
        expression, features = f"(B, {len(CLASSES)}) logits", f"(B, {self.fc.in_features})"
        self.outputs = {"expression": expression, "features": features}

    def forward(self, batch):
        features = batch["features"] if "features" in batch else self.features(batch)
        return {"expression": self.fc(features), "features": features}


class FaceApiLandmarks(FaceApi, name="face_api_landmarks"):
    """68 landmarks, x to the right and y down, as fractions of the square that was fed in.

    They may lie slightly outside 0…1, and jitter by a few pixels of 112 from frame to frame.
    """

    def __init__(self, compat: bool = False, *, width: float = 1.0):
        super().__init__(compat, width, 2 * POINTS)
        self.outputs = {"landmarks": f"(B, {POINTS}, 2) fractions of the square"}

    def forward(self, batch):
        return {"landmarks": self.fc(self.features(batch)).unflatten(1, (POINTS, 2))}


class _Block(nn.Module):
    """Four convolutions; the first halves the picture, each sees the sum of those before it."""

    def __init__(self, channels: int, first: nn.Module):
        super().__init__()
        self.conv0 = first
        self.conv1 = _Separable(channels, channels)
        self.conv2 = _Separable(channels, channels)
        self.conv3 = _Separable(channels, channels)

    def forward(self, x):
        # Stride 2 on an even size: zeros at the right and the bottom only, as TensorFlow pads.
        # What a convolution gave is changed in place: new memory for each step took a tenth of the
        # time on a processor.
        total = functional.relu(self.conv0(functional.pad(x, (0, 1, 0, 1))), inplace=True)
        total = self.conv1(total).add_(total)
        for layer in (self.conv2, self.conv3):
            total = layer(functional.relu(total)).add_(total)
        return functional.relu(total, inplace=True)


class _Separable(nn.Module):
    """A 3 × 3 filter for each channel, without bias or activation, then 1 × 1 across channels."""

    def __init__(self, before: int, after: int, stride: int = 1):
        super().__init__()
        padding = 1 if stride == 1 else 0  # with stride 2 the block has padded already
        self.depthwise = nn.Conv2d(before, before, 3, stride, padding, groups=before, bias=False)
        self.pointwise = nn.Conv2d(before, after, 1)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))
