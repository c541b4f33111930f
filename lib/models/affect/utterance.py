"""A network per utterance: convolutions over spectrum and time, attentive statistics."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import InputError
from ...parallel import masks
from ..base import Model, scaled
from ..blocks.whole import is_whole, laid_out
from .sequence import frames

MAP_CHANNELS = (16, 24, 32)  # of the convolutions over bands and time, at width 1
HIDDEN = 64  # channels of the convolutions over time, at width 1
ATTENTION_CHANNELS = 32  # channels inside the attention, at width 1
SMALLEST_VARIANCE = 1e-5


class Utterance(Model, name="utterance"):
    """The expression of an utterance, from a spectrum and any other numbers per frame.

    Arguments
    ---------
    channels : numbers per frame; the first `bands` are those of a spectrum, in the order of
        frequency.
    bands : bands of the spectrum, a multiple of 8; 0: there is none.
    classes : values that are predicted: logits of expressions, or 2 for valence and arousal.
    output : name of the output, "expression" or "va".
    width : factor on the channels inside.
    dropout : before the last layer; half as much, of whole channels, after each layer over time.

    Inputs `features` (B, T, channels), standardised, and `valid` (B, T) bool; without it all are.
    Output (B, classes).

    Three convolutions see the spectrum as a picture, so that a voice may lie higher or lower. The
    first makes one frame of two; the other numbers are averaged to the same rate and join its maps
    before two convolutions over time. Mean and standard deviation over time, weighted per channel
    by an attention that knows the unweighted ones (Okabe et al. 2018; the context: Desplanques et
    al. 2020), go to one linear layer. Frames that are not valid enter neither statistics of batch
    norm nor the pooling, and convolutions see zeros there, as behind the end of a longer
    recording: what is predicted for one recording does not depend on the others of its batch.
    """

    def __init__(
        self,
        compat: bool = False,
        *,
        channels: int = 75,
        bands: int = 64,
        classes: int = 8,
        output: str = "expression",
        width: float = 1.0,
        dropout: float = 0.2,
    ):
        sizes = {"channels": channels, "bands": bands, "classes": classes}
        super().__init__(compat, **sizes, output=output, width=width, dropout=dropout)
        _check(**sizes)
        self.inputs = {"features": f"(B, T, {channels})", "valid": "(B, T) bool, optional"}
        self.outputs = {output: f"(B, {classes})"}
        self.channels, self.bands, self.output = channels, bands, output
        maps = [scaled(number, width) for number in MAP_CHANNELS] if bands else []
        hidden = scaled(HIDDEN, width)
        inside = (maps[-1] * bands // 2 ** len(maps) if maps else 0) + channels - bands
        before = [1, *maps[:-1]]
        pairs = enumerate(zip(before, maps, strict=True)) if maps else ()
        self.spectrum = nn.ModuleList(MapLayer(*pair, first=not n) for n, pair in pairs)
        self.first = TimeLayer(inside, hidden, 5, dropout / 2)
        self.second = TimeLayer(hidden, hidden, 3, dropout / 2)
        self.pool = AttentiveStatistics(hidden, scaled(ATTENTION_CHANNELS, width))
        self.norm = nn.BatchNorm1d(2 * hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * hidden, classes)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        x, valid = frames(self, batch, self.channels)
        others, half = halved(x[..., self.bands :], valid)
        if self.bands:
            maps = x[..., : self.bands].unsqueeze(1)  # (B, 1, T, bands)
            for layer in self.spectrum:
                maps = layer(maps, half)
            maps = maps.transpose(1, 2).flatten(2)  # (B, T / 2, maps · bands / 8)
            others = torch.cat([maps, others], dim=2)
        x = self.second(self.first(others, half), half)
        return {self.output: self.head(self.dropout(self.norm(self.pool(x, half))))}


class MapLayer(nn.Module):
    """Convolution over time and bands, which halves the bands (the first one also the time), batch
    norm over the valid frames, ReLU: (B, C, T, F) to (B, C', T', F / 2); valid (B, T').
    """

    def __init__(self, channels: int, out: int, first: bool):
        super().__init__()
        side, stride = (5, (2, 2)) if first else (3, (1, 2))
        self.conv = nn.Conv2d(channels, out, side, stride, padding=side // 2, bias=False)
        self.conv.to(memory_format=torch.channels_last)  # a tenth faster on a CPU
        self.norm = nn.BatchNorm1d(out)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        x = self.conv(laid_out(x)).permute(0, 2, 3, 1)  # (B, T', F, C)
        return functional.relu(norm_rows(self.norm, x, valid)).permute(0, 3, 1, 2)


class TimeLayer(nn.Module):
    """Convolution over time, batch norm over the valid frames, GELU, dropout of whole channels; a
    shortcut where the channels stay as many. (B, T, C) to (B, T, C'), zeros where not valid.
    """

    def __init__(self, channels: int, out: int, side: int, dropout: float):
        super().__init__()
        self.conv = nn.Conv1d(channels, out, side, padding=side // 2, bias=False)
        self.norm = nn.BatchNorm1d(out)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        y = norm_rows(self.norm, self.conv(x.transpose(1, 2)).transpose(1, 2), valid)
        y = self.dropout(functional.gelu(y).transpose(1, 2)).transpose(1, 2)
        return x + y if x.shape == y.shape else y


class AttentiveStatistics(nn.Module):
    """(B, T, C) to (B, 2 C): mean and standard deviation over the valid frames, weighted per
    channel by an attention that sees the frame beside the unweighted mean and deviation.
    """

    def __init__(self, channels: int, inside: int):
        super().__init__()
        self.enter = nn.Linear(3 * channels, inside)
        self.leave = nn.Linear(inside, channels)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        weight = valid.to(x.dtype).unsqueeze(-1)
        count = weight.sum(dim=1, keepdim=True).clamp(min=1)
        mean = (x * weight).sum(dim=1, keepdim=True) / count
        variance = ((x - mean).square() * weight).sum(dim=1, keepdim=True) / count
        context = [mean, (variance + SMALLEST_VARIANCE).sqrt()]
        seen = torch.cat([x, *(part.expand_as(x) for part in context)], dim=2)
        score = self.leave(torch.tanh(self.enter(seen)))
        heard = valid | ~valid.any(dim=1, keepdim=True)  # no frame at all: attention over zeros
        share = score.masked_fill(~heard.unsqueeze(-1), -torch.inf).softmax(dim=1)
        mean = (share * x).sum(dim=1)
        variance = (share * x.square()).sum(dim=1) - mean.square()
        return torch.cat([mean, variance.clamp(min=SMALLEST_VARIANCE).sqrt()], dim=1)


def halved(x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, C) to the mean of the valid ones of each two frames, (B, ⌈T / 2⌉, C), and which of
    these have any, (B, ⌈T / 2⌉) bool. `x` holds zeros where it is not valid.
    """
    if is_whole():
        return _halved_whole(x, valid)
    if x.shape[1] % 2:
        x = functional.pad(x, (0, 0, 0, 1))
        valid = masks.derived(partial(functional.pad, pad=(0, 1)), valid)
    count = valid.unflatten(1, (-1, 2)).sum(dim=2).clamp(min=1).unsqueeze(-1)
    any_of_two = masks.derived(lambda mask: mask.unflatten(1, (-1, 2)).any(dim=2), valid)
    return x.unflatten(1, (-1, 2)).sum(dim=2) / count, any_of_two


def _halved_whole(x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """`halved` for any number of frames in one graph."""
    total, count = (
        rows[:, ::2] + functional.pad(rows, (0, 0, 0, 1))[:, 1::2]  # no row after the last one
        for rows in (x, valid.to(x.dtype).unsqueeze(-1))
    )
    return total / count.clamp(min=1), count.squeeze(-1) > 0


def norm_rows(norm: nn.Module, x: Tensor, valid: Tensor) -> Tensor:
    """Batch norm of (B, T, …, C) over the valid frames (B, T) only; zeros elsewhere.

    Like `sequence.norm_over`, with dimensions between; rows are picked by index, which is faster on
    a CPU than by mask.
    """
    if is_whole():
        moments = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        return functional.batch_norm(x.movedim(-1, 1), *moments, eps=norm.eps).movedim(1, -1)
    flat = x.flatten(0, 1)
    index = masks.rows(valid)
    rows = flat.index_select(0, index)
    if rows.numel() > rows.shape[-1] or not norm.training:  # one row has no variance
        rows = norm(rows.flatten(0, -2)).view(rows.shape)
    return torch.zeros_like(flat).index_copy(0, index, rows).view(x.shape)


def _check(channels: int, bands: int, classes: int) -> None:
    if bands % 8 or not 0 <= bands <= channels or channels < 1 or classes < 1:
        raise InputError(
            f"channels = {channels}, bands = {bands}, classes = {classes}",
            where="model utterance",
            expected="at least 1 channel and class; bands a multiple of 8, at most channels",
        )
