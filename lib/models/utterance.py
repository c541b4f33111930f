"""An utterance network: convolutions over spectrum and time, attentive statistics, one answer per recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.errors import InputError
from lib.models.base import Model
from lib.models.sequence import norm_over
from lib.models.window import scaled

MAP_CHANNELS = (16, 32, 48)  # of the convolutions over bands and time, at width 1
HIDDEN = 96  # channels of the convolutions over time, at width 1
ATTENTION = 32  # channels inside the attention, at width 1
STRIDE = 2  # frames that the first layer makes one of
SMALLEST_VARIANCE = 1e-5


class Utterance(Model, name="utterance"):
    """The expression of an utterance from a spectrum and any other numbers per frame.

    Arguments
    ---------
    channels : numbers per frame; the first `bands` are those of a spectrum, in the order of frequency.
    bands : bands of the spectrum, a multiple of 8; 0: there is none.
    classes : expressions.
    width : factor on the channels inside.
    dropout : before the last layer; half as much, of whole channels, after each layer over time.

    Inputs `features` (B, T, channels), standardised, and `valid` (B, T) bool; without it all are.
    Output `expression` (B, classes): logits.

    Three convolutions see the spectrum as a picture, so that a voice may lie higher or lower. The
    first makes one frame of two; the other numbers are averaged to the same rate and join its maps
    before two convolutions over time. Mean and standard deviation over time, weighted per channel by
    an attention that knows the unweighted ones (Okabe et al. 2018; the context: Desplanques et al.
    2020), go to one linear layer. Frames that are not valid enter neither statistics of batch norm
    nor the pooling, and convolutions see zeros there, as behind the end of a longer recording: what
    is predicted for one recording does not depend on the others of its batch.
    """

    def __init__(
        self,
        compat: bool = False,
        *,
        channels: int = 75,
        bands: int = 64,
        classes: int = 8,
        width: float = 1.0,
        dropout: float = 0.2,
    ):
        sizes = {"channels": channels, "bands": bands, "classes": classes}
        super().__init__(compat, **sizes, width=width, dropout=dropout)
        self._check(**sizes)
        self.inputs = {"features": f"(B, T, {channels})", "valid": "(B, T) bool, optional"}
        self.outputs = {"expression": f"(B, {classes})"}
        self.channels, self.bands = channels, bands
        maps = [scaled(number, width) for number in MAP_CHANNELS] if bands else []
        hidden = scaled(HIDDEN, width)
        inside = (maps[-1] * bands // 2 ** len(maps) if maps else 0) + channels - bands
        self.spectrum = nn.ModuleList(MapLayer(*pair, first) for pair, first in _pairs(maps))
        self.first = TimeLayer(inside, hidden, 5, dropout / 2)
        self.second = TimeLayer(hidden, hidden, 3, dropout / 2)
        self.pool = AttentiveStatistics(hidden, scaled(ATTENTION, width))
        self.norm = nn.BatchNorm1d(2 * hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * hidden, classes)
