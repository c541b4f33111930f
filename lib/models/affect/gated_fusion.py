"""Gated fusion by reliability: a temporal network per stream, and gates that weight the streams at
each step; valence and arousal with their uncertainty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ...errors import InputError, nearest_name
from .. import base
from ..base import Model, Rows, scaled
from ..blocks.whole import is_traced, is_whole
from . import temporal

STREAMS = {"audio": 128, "visual": 512}
HIDDEN = 64  # channels of a gate and of the heads at width 1
TARGETS = 2  # valence, arousal
JOINS = ("features", "values")
LETTERS = "TUVWXYZACDEFGHIJKMOPQRS"  # of rows at other spacings than the steps' own: not B, L, N
# Bounds of the log-variance: deviations from 0.03 to 4.5 in label units, so that one very certain
# frame cannot outweigh all others, and none becomes infinite in half precision.
LOG_VARIANCE = (-7.0, 3.0)


class GatedFusion(Model, name="gated_fusion"):
    """Mean and log-variance of valence and arousal at each step of a window, from any streams.

    Each stream has rows at its own spacing, and its own temporal network (`network`). A row that
    was not observed (no face, sound that is not the person's) is replaced by a learnt vector, so
    that its content is ignored and its neighbours decide. The output is interpolated linearly at
    the target steps. One gate for valence and one for arousal weight the streams at each step, by a
    softmax over those that were observed anywhere in the window; the inputs of a gate are the
    reliability of all inputs, whether its stream was observed at this step, and the output of its
    stream. Without any stream the result is a constant.

    Arguments
    ---------
    streams : name -> numbers per row. reliability : numbers per step that measure it.
    stacks : name -> (layers, numbers of each) of a stream whose hidden layers a learnt average
        brings together.
    network, layers, dropout, width : of each stream's network (`lib.models.affect.temporal`).
    join : what the gates weight: "features", the streams' outputs, of which a head reads the
        weighted sum; or "values", the head's predictions from each stream: the head then never
        reads a mixture, and if a single stream is left the prediction is that stream's own. The
        number of weights is the same.
    step_hop : frames from one target step to the next. every : frames from one row to the next, of
        each stream in order; empty or 0 for `step_hop`.

    Inputs, for each stream: `stream_<name>` (B, T, numbers), whose row k lies at frame k · every
    after the first target, and `seen_<name>` (B, T) bool, which rows were observed; T is L where
    rows are as far apart as steps, else a letter of its own (`lengths`). `reliability` (B, L, r);
    `valid` (B, L) bool, which steps there are. Outputs: `va` and `log_variance` (B, L, 2), 0 where
    a step is not valid; `gates` (B, L, streams, 2); in training also `va_streams`
    (B, L, streams, 2), the prediction from each stream alone.
    """

    gates_each = TARGETS  # gates of each stream

    def __init__(
        self,
        compat: bool = False,
        *,
        streams: Mapping[str, int] = STREAMS,
        reliability: int = 4,
        network: str = "temporal_convolution",
        layers: int = 2,
        dropout: float = 0.2,
        width: float = 1.0,
        join: str = "features",
        step_hop: int = 1,
        every: Sequence[int] = (),
        stacks: Mapping[str, Sequence[int]] | None = None,
    ):
        settings = {"streams": dict(streams), "reliability": reliability, "network": network}
        sizes = {"layers": layers, "dropout": dropout, "width": width}
        stacks = {name: list(stack) for name, stack in (stacks or {}).items()}
        settings |= {"join": join, "step_hop": step_hop, "every": list(every), "stacks": stacks}
        super().__init__(compat, **settings, **sizes)
        if join not in JOINS:
            raise self.wrong(f"join {join!r}", " or ".join(JOINS))
        self.join = join
        self.streams, self.reliability, self.step_hop = dict(streams), reliability, step_hop
        spacing = [*every, *[0] * len(streams)][: len(streams)]
        self.every = [number or step_hop for number in spacing]
        self.spacings = self._spacings()
        self._declare()
        self.nets = nn.ModuleList(
            _over_time(network, channels, sizes, stacks.get(name))
            for name, channels in streams.items()
        )
        hidden, inner = self.nets[0].leave[1].in_features, scaled(HIDDEN, width)
        self.missing = nn.Parameter(torch.zeros(len(streams), hidden))
        sees = hidden + reliability + 1
        self.gates = nn.ModuleList(
            perceptron(sees, inner, dropout, self.gates_each) for _ in streams
        )
        self.layer_order = self._order(self._add_heads(hidden, inner, dropout))

    def _add_heads(self, hidden: int, inner: int, dropout: float) -> tuple[str | list[str], ...]:
        """Add the heads that read the weighted streams; returns their parts for `layer_order`."""
        self.heads = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(hidden), perceptron(hidden, inner, dropout))
            for _ in range(TARGETS)
        )
        return tuple(f"heads.{number}" for number in range(TARGETS))

    def _order(self, heads: tuple[str | list[str], ...]) -> tuple[tuple, ...]:
        """The streams' networks side by side, then heads and gates (`lib.models.layer_order`)."""
        enter, body, leave = (
            tuple(f"nets.{number}.{part}" for number in range(len(self.nets)))
            for part in ("enter", "body", "leave")
        )
        gates = tuple(f"gates.{number}" for number in range(len(self.gates)))
        return ("missing", *enter), body, (*heads, *gates, *leave)

    def _spacings(self) -> dict[str, int]:
        """Letter -> spacing of the rows that it counts, where that is not the steps' own."""
        apart = [spacing for spacing in dict.fromkeys(self.every) if spacing != self.step_hop]
        if len(apart) > len(LETTERS):
            raise self.wrong(f"{len(apart)} different spacings", f"at most {len(LETTERS)}")
        return dict(zip(LETTERS, apart, strict=False))

    def _declare(self) -> None:
        letters = {every: letter for letter, every in self.spacings.items()}
        lengths = [letters.get(every, "L") for every in self.every]
        for (name, size), length in zip(self.streams.items(), lengths, strict=True):
            self.inputs[f"stream_{name}"] = f"(B, {length}, {size})"
        for name, length in zip(self.streams, lengths, strict=True):
            self.inputs[f"seen_{name}"] = f"(B, {length}) bool, optional"
        self.inputs |= {"reliability": f"(B, L, {self.reliability})", "valid": "(B, L)"}
        self.outputs = {"va": "(B, L, 2)", "log_variance": "(B, L, 2)"}
        self.outputs["gates"] = f"(B, L, {len(self.streams)}, 2)"

    def lengths(self) -> dict[str, Rows]:
        return {letter: Rows("L", self.step_hop, every) for letter, every in self.spacings.items()}

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        says, gates, alone, valid = self._read(batch)
        outputs = self._heads(says, gates)
        outputs["gates"] = gates
        if self.training:
            outputs["va_streams"] = alone
        return {name: _only(values, valid) for name, values in outputs.items()}

    def _read(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The streams' outputs at each step (B, L, S, hidden), their gates (B, L, S, gates_each),
        the predictions from each alone (B, L, S, k), and which steps exist (B, L) bool.
        """
        reliability, valid = self._steps(batch)
        says, logits, alone, present = [], [], [], []
        for number, name in enumerate(self.streams):
            x, seen, exists = self._rows(batch, name, number, valid)
            x = self._embedded(number, x, seen, exists)
            x, observed = (
                self._at_steps(rows, number, valid.shape[1])
                for rows in (x, seen.to(x.dtype).unsqueeze(-1))
            )
            says.append(x)
            logits.append(self.gates[number](torch.cat([x, reliability, observed], dim=-1)))
            alone.append(self.nets[number].leave(x))
            present.append(seen.any(dim=1))
        gates = _weights(torch.stack(logits, dim=2), torch.stack(present, dim=1))
        return torch.stack(says, dim=2), gates, torch.stack(alone, dim=2), valid

    def _steps(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """`reliability`, zeros where there is no step, and which steps exist, (B, L) bool."""
        reliability = self.take(batch, "reliability").to(self.missing.dtype)
        valid = batch.get("valid")
        if valid is None:
            valid = reliability.new_ones(reliability.shape[:2], dtype=torch.bool)
        valid = valid.bool()
        return reliability.masked_fill(~valid.unsqueeze(-1), 0.0), valid

    def _rows(
        self, batch: Mapping[str, Tensor], name: str, number: int, valid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A stream's rows, zeros where not observed; which rows were observed, and which exist."""
        x = self.take(batch, f"stream_{name}").to(self.missing.dtype)
        needed = self._needed(valid.shape[1], number, x)
        if x.ndim != 3 or x.shape[1:] != (needed, self.streams[name]):
            raise self.wrong(
                f"stream_{name} {tuple(x.shape)}",
                f"(B, {needed}, {self.streams[name]}) for {valid.shape[1]} steps",
            )
        exists = self._existing(valid, number, needed)
        seen = batch.get(f"seen_{name}")
        seen = exists if seen is None else seen.bool() & exists
        return x.masked_fill(~seen.unsqueeze(-1), 0.0), seen, exists  # selected: it may be NaN

    def _needed(self, steps: int, number: int, x: Tensor) -> int:
        """Rows of a stream for some steps. In a graph they are as many as there are: no size of it
        can be a rounded quotient of another, and who runs it is told the rule (`lengths`).
        """
        every = self.every[number]
        if every == self.step_hop:
            return steps
        return x.shape[1] if is_traced() else rows_of(steps, self.step_hop, every)

    def _existing(self, valid: Tensor, number: int, rows: int) -> Tensor:
        """(B, T) bool: rows up to the one at or behind the last valid step."""
        every = self.every[number]
        if every == self.step_hop:
            return valid
        if is_whole():
            return valid.new_ones(valid.shape[0], rows)
        steps = torch.arange(valid.shape[1], device=valid.device)
        last = (valid * steps).amax(dim=1, keepdim=True) * self.step_hop
        before = (torch.arange(rows, device=valid.device) - 1) * every
        return (before < last) & valid.any(dim=1, keepdim=True)

    def _embedded(self, number: int, x: Tensor, seen: Tensor, exists: Tensor) -> Tensor:
        net = self.nets[number]
        x = torch.where(seen.unsqueeze(-1), net.enter(x), self.missing[number])
        return net.over_time(x.masked_fill(~exists.unsqueeze(-1), 0.0), exists)

    def _at_steps(self, rows: Tensor, number: int, steps: int) -> Tensor:
        """(B, T, k) rows of a stream to (B, steps, k), linearly in time."""
        every = self.every[number]
        if every == self.step_hop:
            return rows
        frame = torch.arange(steps, device=rows.device) * self.step_hop
        before = frame // every
        after = (before + 1).clamp(max=rows.shape[1] - 1)
        share = ((frame - before * every) / every).to(rows.dtype)[:, None]
        return rows[:, before] * (1 - share) + rows[:, after] * share

    def _heads(self, says: Tensor, gates: Tensor) -> dict[str, Tensor]:
        """(B, L, S, hidden) and gates (B, L, S, 2) to mean and log-variance."""
        values = []
        for target, head in enumerate(self.heads):
            weights = gates[..., target].unsqueeze(-1)
            if self.join == "values":
                joined = (weights * head(says)).sum(dim=2)
            else:
                joined = head((weights * says).sum(dim=2))
            values.append(joined)  # (B, L, 2): mean, log-variance
        mean, spread = torch.stack(values, dim=-1).unbind(dim=2)
        return {"va": mean, "log_variance": spread.clamp(*LOG_VARIANCE)}


def rows_of(steps: int, step_hop: int, every: int) -> int:
    """Number of rows of a stream, `every` frames apart, that reach the last target step."""
    return Rows("L", step_hop, every).count(steps)


def refuse_network(name: str) -> None:
    """Raise InputError for a name that is no temporal network's."""
    kinds = [
        known for known, kind in base.REGISTRY.items() if issubclass(kind, temporal.TemporalModel)
    ]
    if name in kinds:
        return
    near = nearest_name(name, kinds)
    raise InputError(
        f"network {name!r}",
        where="model gated_fusion",
        expected=", ".join(sorted(kinds)),
        todo=f"did you mean {near}?" if near else "correct the option `network`",
    )


def _over_time(
    network: str, channels: int, sizes: Mapping, stack: Sequence[int] | None
) -> nn.Module:
    """The temporal network of one stream. Raises InputError for an unknown name."""
    refuse_network(network)
    stacks = [stack] if stack else []
    return base.REGISTRY[network](channels=channels, **sizes, stacks=stacks)


def perceptron(channels: int, inner: int, dropout: float, numbers: int = TARGETS) -> nn.Module:
    """Two linear layers, from `channels` numbers over `inner` ones to `numbers`."""
    return nn.Sequential(
        nn.Linear(channels, inner), nn.GELU(), nn.Dropout(dropout), nn.Linear(inner, numbers)
    )


def _weights(logits: Tensor, present: Tensor) -> Tensor:
    """(B, L, S, 2) logits to weights that sum to 1 over the streams that are present (B, S); all 0
    if none is.
    """
    present = present[:, None, :, None]
    lowest = torch.finfo(logits.dtype).min
    return logits.masked_fill(~present, lowest).softmax(dim=2) * present


def _only(values: Tensor, valid: Tensor) -> Tensor:
    """Zeros where a step is not valid."""
    return values.masked_fill(~valid[(...,) + (None,) * (values.ndim - 2)], 0.0)
