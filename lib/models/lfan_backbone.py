"""IR-50 with a classifier behind it: the form in which LFAN's face network is pre-trained and published."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lib.errors import InputError
from lib.models import published
from lib.models.base import Model
from lib.models.ir50 import CHANNELS, EMBEDDING, IR50, as_pictures

FIRST = "backbone.input_layer.0.weight"


class LFANBackbone(Model, name="lfan_backbone"):
    """Classes (or two numbers, valence and arousal) of a picture; the file `res50_ir_0.887.pth` is this network.

    classes : 8 published (FER+). width, face_size : as of `lfan`.
    The published network and the corrected one are the same.
    """

    def __init__(self, compat: bool = False, *, classes: int = 8, width: float = 1.0, face_size: int = 40):
        super().__init__(compat, classes=classes, width=width, face_size=face_size)
        self.backbone = IR50(width, face_size)
        self.logits = nn.Linear(self.backbone.embedding, classes)
        self.inputs = {"frame": f"(N, 3, {face_size}, {face_size})"}
        self.outputs = {"logits": f"(N, {classes})"}

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        frame = self.take(batch, "frame")
        return {"logits": self.logits(self.backbone(as_pictures(frame) if frame.dtype == torch.uint8 else frame))}


def load(path: Path | str, face_size: int = 40) -> tuple[IR50, dict]:
    """The face network in a checkpoint of ours or in the authors' file, frozen, and what the checkpoint says of itself.

    Returns (network in evaluation mode, ``{"params", "statistics"}`` or empty for the authors' file).
    Raises InputError for a file that holds another network.
    """
    found = published.read(path)
    ours = isinstance(found.get("model"), Mapping)
    state = dict(found["model"]) if ours else published.weights_in(found, path)
    if FIRST not in state or not any(key.startswith("logits.") for key in state):
        raise InputError("weights without backbone.* and logits.*", where=path,
                         expected="res50_ir_0.887.pth, or a run of the recipe lfan_backbone",
                         todo="set backbone_run to one of these")
    width = state[FIRST].shape[0] / CHANNELS[0]
    net = LFANBackbone(classes=len(state["logits.weight"]), width=width, face_size=face_size)
    try:
        net.load_state_dict(state)
    except RuntimeError as wrong:  # its message lists keys and sizes
        raise InputError(f"weights that do not fit faces of {face_size} pixels", where=path,
                         expected=f"{EMBEDDING}·width numbers a face; {wrong}") from wrong
    said = {name: found.get(name, {}) for name in ("params", "statistics")} if ours else {}
    return net.backbone.eval().requires_grad_(False), said
