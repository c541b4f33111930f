"""Gated fusion for one prediction per recording: streams are weighted per step, then pooled."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..base import scaled
from .gated_fusion import GatedFusion, perceptron
from .utterance import ATTENTION_CHANNELS, AttentiveStatistics, halved

STREAMS = {"spectrum": 64, "melody": 7, "loudness": 4}


class GatedUtterance(GatedFusion, name="gated_utterance"):
    """The expression of an utterance, from any streams of rows at the same times.

    Streams, their networks over time, the learnt vectors where a row was not observed, and the
    gates are those of `GatedFusion`; there is one gate per stream and step. A step is the mean of
    the observed ones of two rows, as in `Utterance`. The weighted streams are pooled by attentive
    statistics, as in `Utterance`, and read by one head. Without any stream the result is a
    constant.

    Arguments
    ---------
    classes : values that are predicted: logits of expressions, or 2 for valence and arousal.
    output : name of the output, "expression" or "va".
    streams, reliability, network, layers, dropout, width : as of `GatedFusion`.

    Inputs, for each stream: `stream_<name>` (B, T, numbers), standardised, and `seen_<name>` (B, T)
    bool, which rows were observed; `reliability` (B, T, r); `valid` (B, T) bool, which rows there
    are. Outputs: `output` (B, classes); `gates` (B, streams), the mean weight of each over the
    valid steps; in training also `alone` (B, streams, classes), the mean over steps of the
    predictions of the stream's own last layer.
    """

    gates_each = 1

    def __init__(
        self,
        compat: bool = False,
        *,
        streams: Mapping[str, int] = STREAMS,
        reliability: int = 4,
        classes: int = 8,
        output: str = "expression",
        network: str = "temporal_convolution",
        layers: int = 2,
        dropout: float = 0.2,
        width: float = 1.0,
    ):
        if not (streams and classes > 0):
            raise self.wrong(f"{len(streams)} streams, classes = {classes}", "at least 1 of each")
        self.classes, self.output = classes, output
        sizes = {"layers": layers, "dropout": dropout, "width": width}
        settings = {"streams": streams, "reliability": reliability, "network": network}
        super().__init__(compat, **settings, **sizes)
        self.options = {**settings, "streams": dict(streams), "classes": classes, "output": output}
        self.options |= sizes

    def _add_heads(self, hidden: int, inner: int, dropout: float) -> tuple[str | list[str], ...]:
        self.pool = AttentiveStatistics(hidden, scaled(ATTENTION_CHANNELS, self.options["width"]))
        head = perceptron(2 * hidden, inner, dropout, self.classes)
        self.head = nn.Sequential(nn.LayerNorm(2 * hidden), head)
        for net in self.nets:
            net.leave[1] = nn.Linear(hidden, self.classes)
        return (["pool", "head"],)

    def _declare(self) -> None:
        for name, size in self.streams.items():
            self.inputs[f"stream_{name}"] = f"(B, T, {size})"
        for name in self.streams:
            self.inputs[f"seen_{name}"] = "(B, T) bool, optional"
        self.inputs |= {"reliability": f"(B, T, {self.reliability})", "valid": "(B, T), optional"}
        self.outputs = {self.output: f"(B, {self.classes})", "gates": f"(B, {len(self.streams)})"}

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        says, gates, alone, valid = self._read(self._halved(batch))
        joined = (gates * says).sum(dim=2).masked_fill(~valid.unsqueeze(-1), 0.0)  # (B, T, hidden)
        outputs = {self.output: self.head(self.pool(joined, valid))}
        outputs["gates"] = over_time(gates, valid).squeeze(-1)
        if self.training:
            outputs["alone"] = over_time(alone, valid)
        return outputs

    def _halved(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The batch at half the rate of its rows."""
        reliability, valid = self._steps(batch)
        steps = {}
        steps["reliability"], steps["valid"] = halved(reliability, valid)
        for name in self.streams:
            x = self.take(batch, f"stream_{name}").to(self.missing.dtype)
            seen = batch.get(f"seen_{name}")
            seen = valid if seen is None else seen.bool() & valid
            x = x.masked_fill(~seen.unsqueeze(-1), 0.0)  # selected: it may be NaN
            steps[f"stream_{name}"], steps[f"seen_{name}"] = halved(x, seen)
        return steps


def over_time(values: Tensor, valid: Tensor) -> Tensor:
    """(B, T, …) to the mean over the valid steps (B, T), 0 where there is none."""
    weights = valid.to(values.dtype)
    weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.einsum("bt,bt...->b...", weights, values)
