"""The base of all fusion networks: features of a window of steps are checked, filled up and
masked.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...parallel import masks
from ..base import Model, scaled  # noqa: F401 - models that people write take `scaled` from here
from ..blocks.whole import is_whole


class WindowModel(Model):
    """A network on the features of a window of steps: `audio` (B, L, A) and `visual` (B, L, C·P),
    `valid` (B, L).

    A subclass sets `sizes` (name -> features of a step) by `_declare` and defines `fuse`. Attention
    over time has weights of the window's length, so that shorter windows are filled up and masked;
    under `compat` a window has exactly `steps` steps and a mask is ignored, as published.
    """

    sizes: dict[str, int]

    def _declare(
        self, steps: int, modality: str, visual: tuple[int, int], audio: int, outputs: int = 2
    ) -> None:
        """Sizes, inputs, outputs. visual : a step's channels and positions; audio : channels."""
        self.steps, self.modality = steps, modality
        self.visual_channels, self.visual_positions = visual
        self.audio_channels = audio
        self.sizes = {"audio": audio, "visual": visual[0] * visual[1]}
        shape = f"{visual[0]}·{visual[1]}" if visual[1] > 1 else f"{visual[0]}"
        for name, size, absent in (("audio", audio, "video"), ("visual", shape, "audio")):
            if modality != absent:
                self.inputs[name] = f"(B, L, {size})"
        if not self.compat:
            self.inputs["valid"] = "(B, L)"
        self.outputs = {"va": f"(B, L, {outputs})"}

    def limits(self) -> dict[str, tuple[int, int]]:
        return {"L": (self.steps if self.compat else 1, self.steps)}

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        audio, visual, valid = self._read(batch)
        length = audio.shape[1]
        if not is_whole() and length < self.steps:
            audio, visual, valid = self._fill_up(audio, visual, valid)
        va = self.fuse(audio, visual, valid)
        if not isinstance(va, Tensor) or va.dim() != 3:
            found = tuple(va.shape) if isinstance(va, Tensor) else type(va).__name__
            raise self.wrong(f"fuse returned {found}", "a tensor (B, L, 2): two numbers per step")
        if valid is not None:
            va = va.masked_fill(~valid.unsqueeze(-1), 0.0)
        return {"va": va[:, :length]}

    def fuse(self, audio: Tensor, visual: Tensor, valid: Tensor | None) -> Tensor:
        """(B, steps, A) and (B, steps, C·P), (B, steps) bool or None = all -> (B, steps, 2)."""
        raise self.wrong("a network without fuse", "fuse(audio, visual, valid) -> (B, L, 2)")

    def _read(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Sound, pictures (zeros for the absent modality) and mask (None = all valid), checked."""
        dtype = next(self.parameters()).dtype
        inputs = {
            name: self.take(batch, name).to(dtype) for name in self.sizes if name in self.inputs
        }
        for name, x in inputs.items():
            if x.ndim != 3 or x.shape[2] != self.sizes[name]:
                raise self.wrong(f"{name} {tuple(x.shape)}", self.inputs[name])
        reference = next(iter(inputs.values()))
        self._check_length(reference.shape[1])
        for name in self.sizes.keys() - inputs.keys():
            inputs[name] = reference.new_zeros(*reference.shape[:2], self.sizes[name])
        valid = None if self.compat else batch.get("valid")
        if valid is None:
            return inputs["audio"], inputs["visual"], None
        valid = valid.bool()
        # Selected, not multiplied: a masked step may hold NaN.
        return (
            *(inputs[name].masked_fill(~valid.unsqueeze(-1), 0.0) for name in ("audio", "visual")),
            valid,
        )

    def _check_length(self, length: int) -> None:
        if length > self.steps or (self.compat and length != self.steps):
            raise self.wrong(
                f"a window of {length} steps",
                f"{'' if self.compat else 'at most '}{self.steps} (the option steps)",
            )

    def _fill_up(
        self, audio: Tensor, visual: Tensor, valid: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        missing = self.steps - audio.shape[1]
        if valid is None:
            valid = torch.ones(audio.shape[:2], dtype=torch.bool, device=audio.device)
        audio, visual = (functional.pad(x, (0, 0, 0, missing)) for x in (audio, visual))
        return audio, visual, masks.derived(partial(functional.pad, pad=(0, missing)), valid)


def masked(x: Tensor, valid: Tensor | None) -> Tensor:
    """(B, L, k) with zeros where not valid (B, L); None = all valid."""
    return x if valid is None else x * valid.unsqueeze(-1)


def initialise(net: nn.Module) -> None:
    """Xavier-uniform weights, zero biases of linear layers, as published; LSTMs keep torch's."""
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
