"""Temporal networks on any features: convolutions, a GRU, transformers, a recurrence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..base import Model, scaled
from ..blocks.layer_average import LayerAverage, refuse_other_sizes
from ..blocks.linear_recurrence import RecurrentLayer
from ..blocks.recurrent import over_valid
from ..blocks.relative import RelativeLayer
from .window import masked

HIDDEN = 128  # channels inside at width 1


class TemporalModel(Model):
    """Valence and arousal of each step of a window of features.

    Arguments
    ---------
    channels : numbers per step, all feature arrays side by side.
    width : factor on the channels inside (128).
    layers : how often the temporal part is repeated.
    dropout : of the features and before the last layer.
    stacks : (layers, numbers of each) of every feature array whose hidden layers a learnt average
        brings together (`lib.models.blocks.layer_average`); empty for none.

    Inputs `features` (B, L, channels), `valid` (B, L) bool, which may be left out; windows of any
    length. Output `va` is raw: no tanh; 0 where a step is not valid, and the content of such a step
    affects no other.
    """

    def __init__(
        self,
        compat: bool = False,
        *,
        channels: int = 512,
        width: float = 1.0,
        layers: int = 2,
        dropout: float = 0.2,
        stacks: Sequence[Sequence[int]] = (),
    ):
        sizes = {"width": width, "layers": layers, "dropout": dropout}
        super().__init__(
            compat, channels=channels, **sizes, stacks=[list(stack) for stack in stacks]
        )
        self.inputs = {"features": f"(B, L, {channels})", "valid": "(B, L)"}
        self.outputs = {"va": "(B, L, 2)"}
        self.channels, hidden = channels, 4 * scaled(HIDDEN // 4, width)
        averages = []
        if stacks:
            refuse_other_sizes(stacks, channels, f"model {self.name}")
            averages = [LayerAverage(stacks)]
        numbers = averages[0].numbers if averages else channels
        self.enter = nn.Sequential(
            *averages, nn.Dropout(dropout), nn.Linear(numbers, hidden), nn.LayerNorm(hidden)
        )
        self.body = self._body(hidden, layers, dropout)
        self.leave = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, 2))

    def _body(self, hidden: int, layers: int, dropout: float) -> nn.Module:
        raise NotImplementedError

    def over_time(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, L, hidden), (B, L) bool -> (B, L, hidden)."""
        raise NotImplementedError

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        x = self.take(batch, "features").to(next(self.parameters()).dtype)
        if x.ndim != 3 or x.shape[2] != self.channels:
            raise self.wrong(f"features {tuple(x.shape)}", self.inputs["features"])
        valid = (
            batch["valid"].bool() if "valid" in batch else x.new_ones(x.shape[:2], dtype=torch.bool)
        )
        x = x.masked_fill(~valid.unsqueeze(-1), 0.0)  # selected: a masked step may be NaN
        x = masked(self.enter(x), valid)  # (B, L, hidden)
        return {"va": masked(self.leave(self.over_time(x, valid)), valid)}


class TemporalConvolution(TemporalModel, name="temporal_convolution"):
    """Residual convolutions over 5 steps, each layer twice as far apart as the one before (as in
    Bai et al. 2018).
    """

    def _body(self, hidden: int, layers: int, dropout: float) -> nn.Module:
        return nn.ModuleList(
            nn.Conv1d(hidden, hidden, 5, padding=2 * 2**k, dilation=2**k) for k in range(layers)
        )

    def over_time(self, x: Tensor, valid: Tensor) -> Tensor:
        for layer in self.body:
            x = masked(x + functional.gelu(layer(x.transpose(1, 2)).transpose(1, 2)), valid)
        return x


class GRU(TemporalModel, name="gru"):
    """A bidirectional GRU (Cho et al. 2014) that passes over steps that are not valid."""

    def _body(self, hidden: int, layers: int, dropout: float) -> nn.Module:
        return nn.GRU(hidden, hidden // 2, layers, batch_first=True, bidirectional=True)

    def over_time(self, x: Tensor, valid: Tensor) -> Tensor:
        return x + over_valid(self.body, x, valid)


class Transformer(TemporalModel, name="transformer"):
    """A transformer encoder (Vaswani et al. 2017), four heads, sines as positions."""

    def _body(self, hidden: int, layers: int, dropout: float) -> nn.Module:
        layer = nn.TransformerEncoderLayer(
            hidden, 4, 2 * hidden, dropout, "gelu", batch_first=True, norm_first=True
        )
        return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def over_time(self, x: Tensor, valid: Tensor) -> Tensor:
        # a row without any: attention over nothing
        looked_at = valid | ~valid.any(dim=1, keepdim=True)
        return self.body(x + _sines(x), src_key_padding_mask=~looked_at)


class RelativeTransformer(TemporalModel, name="relative_transformer"):
    """A transformer whose attention knows the distance of two steps, but not their positions.

    Queries and keys are rotated by their step (rotary positions, Su et al. 2021): a window longer
    than those in training needs no unseen positions.
    """

    def _body(self, hidden: int, layers: int, dropout: float) -> nn.Module:
        return nn.ModuleList(RelativeLayer(hidden, dropout) for _ in range(layers))

    def over_time(self, x: Tensor, valid: Tensor) -> Tensor:
        looked_at = valid | ~valid.any(dim=1, keepdim=True)
        for layer in self.body:
            x = layer(x, looked_at)
        return x


class LinearRecurrence(TemporalModel, name="linear_recurrence"):
    """A gated linear recurrence in both directions (`lib.models.blocks.linear_recurrence`).

    Memory grows linearly with the number of steps, in training, too, and each step has access to
    the whole sequence. So minutes can be one sequence.
    """

    def _body(self, hidden: int, layers: int, dropout: float) -> nn.Module:
        return nn.ModuleList(RecurrentLayer(hidden, dropout) for _ in range(layers))

    def over_time(self, x: Tensor, valid: Tensor) -> Tensor:
        for layer in self.body:
            x = layer(x, valid)
        return x


def _sines(x: Tensor) -> Tensor:
    """(L, hidden) sines and cosines of the step's number, as published."""
    step = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)[:, None]
    rate = torch.exp(
        torch.arange(0, x.shape[2], 2, device=x.device) * (-math.log(10_000.0) / x.shape[2])
    )
    return (
        torch.stack([torch.sin(step * rate), torch.cos(step * rate)], dim=-1).flatten(1).to(x.dtype)
    )
