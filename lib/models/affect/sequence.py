"""The base of all leader–follower networks: faces and sound are checked, masked and embedded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...parallel import masks
from ..base import Model
from ..blocks.ir50 import IR50, as_pictures
from ..blocks.whole import is_whole

SOUNDS = {"vggish": 128, "mfcc": 39}  # features of a frame


class SequenceModel(Model):
    """A network on a window of T frames: `frame` or `frame_map`, `vggish`, `mfcc`, `valid` ->
    `emotion` (B, T, k).

    `frame` is (B, T, 3, S, S) in −1…1, or (B, T, S, S, 3) uint8, which is normalised here.
    `frame_map` is the output of a frozen part of the face network, that is, the input of its part
    `map_to` (attribute; a cut of `lib.models.blocks.ir50`), as (B, T, C, H, W) or (B, T, 512), also
    float16; it takes the place of `frame`. `valid` (B, T) says which frames exist, `face_valid` (B,
    T) which of them show a face; both may be left out.

    Corrections against the published networks (`compat=True` undoes them all):
    * Batch norm of frozen parts of the face network keeps its statistics, and their dropout is off;
      published, both go on in training, so that "frozen" layers drift.
    * Frames that are not valid (padding) and frames without a face never run through the face
      network nor through any batch norm; their embedding is zero. Published, they are black
      pictures and zeros like any other.
    * The result of a frame that is not valid is 0.
    """

    modality: str
    map_to = "output_layer"

    @property
    def backbone(self) -> IR50:
        """The face network."""
        return self.spatial

    def _declare(
        self, modality: str, face_size: int, emotions: int, sounds: Mapping[str, int] = SOUNDS
    ) -> None:
        self.modality, self.n_emotions, self.face_size = modality, emotions, face_size
        self.sounds = dict(sounds)
        if modality != "audio":
            self.inputs["frame"] = f"(B, T, 3, {face_size}, {face_size})"
        if modality != "video":
            self.inputs |= {name: f"(B, T, {size})" for name, size in self.sounds.items()}
        if not self.compat:
            self.inputs["valid"] = "(B, T)"
            if modality != "audio":
                self.inputs["face_valid"] = "(B, T) bool, optional"
        self.outputs = {"emotion": f"(B, T, {emotions})"}
        if emotions not in (1, 2):
            raise self.wrong(f"emotions = {emotions}", "1, or 2 for both at once")

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        sounds = {}
        if self.modality != "video":
            sounds = {name: self._sound(batch, name) for name in self.sounds}
        faces = self._faces(batch) if self.modality != "audio" else None
        valid = None if self.compat else batch.get("valid")
        values = self.join(faces, sounds, None if valid is None else valid.bool())
        if valid is not None:
            values = values.masked_fill(~valid.bool().unsqueeze(-1), 0.0)
        return {"emotion": values}

    def join(
        self, faces: Tensor | None, sounds: Mapping[str, Tensor], valid: Tensor | None
    ) -> Tensor:
        """(B, T, E) embeddings or None, name -> (B, T, size), (B, T) bool or None -> (B, T, k)."""
        raise NotImplementedError

    def _sound(self, batch: Mapping[str, Tensor], name: str) -> Tensor:
        x = self.take(batch, name).float()
        if x.ndim != 3 or x.shape[2] != self.sounds[name]:
            raise self.wrong(f"{name} {tuple(x.shape)}", self.inputs[name])
        if self.compat or "valid" not in batch:
            return x
        # Selected, not multiplied: padding may be NaN.
        return x.masked_fill(~batch["valid"].bool().unsqueeze(-1), 0.0)

    def _faces(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(B, T, E) embeddings, zero where there is no face."""
        start = self.map_to if "frame_map" in batch else "frame"
        x = batch["frame_map"] if "frame_map" in batch else self.take(batch, "frame")
        self._check_faces(x, start)
        shape, flat = x.shape[:2], x.flatten(0, 1)
        seen = None if self.compat else _both(batch.get("valid"), batch.get("face_valid"))
        index = None if seen is None or is_whole() else masks.rows(seen)
        if index is not None:
            flat = flat[index]
        flat = as_pictures(flat) if flat.dtype == torch.uint8 else flat.float()
        if flat.shape[0]:
            embeddings = self.backbone(flat, start)
        else:
            embeddings = flat.new_zeros(0, self.backbone.embedding)
        if seen is not None and is_whole():
            return embeddings.unflatten(0, shape).masked_fill(~seen.unsqueeze(-1), 0.0)
        if index is not None:
            every = embeddings.new_zeros(seen.numel(), embeddings.shape[1])
            embeddings = every.index_put((index,), embeddings)
        return embeddings.unflatten(0, shape)

    def _check_faces(self, x: Tensor, start: str) -> None:
        side, name = self.face_size, "frame"
        shape, expected = (3, side, side), self.inputs["frame"]
        if start != "frame":
            name, shape = "frame_map", self.backbone.shapes[start]
            expected = f"(B, T, {shape})"
        elif x.dtype == torch.uint8:
            shape = (side, side, 3)
        if tuple(x.shape[2:]) != shape:
            raise self.wrong(f"{name} {tuple(x.shape)}", expected)

    def release(self, groups: Sequence[str]) -> None:
        """Freeze the face network but for the named groups (`ir50.RELEASE_ORDER`)."""
        self.backbone.requires_grad_(False)
        for name in groups:
            for module in self.backbone.group(name):
                module.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> SequenceModel:
        super().train(mode)
        if mode and not self.compat:
            for module in self.backbone.parts():
                if not any(weight.requires_grad for weight in module.parameters()):
                    module.eval()
        return self


def _both(*valid: Tensor | None) -> Tensor | None:
    present = [mask.bool() for mask in valid if mask is not None]
    return masks.derived(lambda *each: torch.stack(each).all(dim=0), *present) if present else None


def frames(net: Model, batch: Mapping[str, Tensor], channels: int) -> tuple[Tensor, Tensor]:
    """The inputs `features` (B, T, channels), zeros in padding, and `valid` (B, T) bool of a
    batch; without `valid` all frames are. Raises InputError for features of another shape.
    """
    x = net.take(batch, "features").to(net.head.weight.dtype)
    if x.ndim != 3 or x.shape[2] != channels:
        where, expected = f"model {net.name}", net.inputs["features"]
        raise InputError(f"features {tuple(x.shape)}", where=where, expected=expected)
    valid = batch.get("valid")
    valid = x.new_ones(x.shape[:2], dtype=torch.bool) if valid is None else valid.bool()
    return x.masked_fill(~valid.unsqueeze(-1), 0.0), valid  # selected: padding may hold anything


def norm_over(norm: nn.Module, x: Tensor, valid: Tensor | None) -> Tensor:
    """Batch norm of (B, T, C) over the valid frames only; zeros elsewhere. None: over all."""
    if valid is None or is_whole():
        return norm(x.transpose(1, 2)).transpose(1, 2)
    flat, index = x.flatten(0, 1), masks.rows(valid)
    out = torch.zeros_like(flat)
    if len(index) > 1 or not norm.training:  # one row has no variance
        out = out.index_put((index,), norm(flat[index]).to(out.dtype))
    return out.view(x.shape)


def head(values: Tensor, bounded: bool) -> Tensor:
    return torch.tanh(values) if bounded else values
