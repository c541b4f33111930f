"""ResLSTM-SA: two LSTMs with a shortcut and one attention vector, the emotion of an utterance.

Source: the repository ResLSTM-SER and its paper (arXiv 2606.03359); its start is repeated here too.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..base import Model
from ..blocks.recurrent import over_valid
from .sequence import frames, norm_over


class ResLSTMSA(Model, name="res_lstm_sa"):
    """The expression of an utterance from features per frame.

    Arguments
    ---------
    channels : features per frame; 46 published (34 cepstra, 12 chroma values).
    hidden : width of the second LSTM; 32, 64 and 128 published (27 988, 46 772, 108 916 weights).
    classes : expressions.
    dropout : before the last layer; 0.02…0.5 was searched, the value is unknown.

    Inputs `features` (B, T, channels), standardised, and `valid` (B, T) bool; without it all are.
    Output `expression` (B, classes): logits.

    Corrections against the published network (`compat=True` undoes them): the first batch norm and
    the softmax over time know which frames are padding. Published, a padded frame enters the norm's
    statistics, and has score 0 and vector 0 in the attention, so that a prediction depends on how
    much its batch mates are longer. The LSTMs pass over padding in both.
    """

    def __init__(
        self,
        compat: bool = False,
        *,
        channels: int = 46,
        hidden: int = 64,
        classes: int = 8,
        dropout: float = 0.3,
    ):
        options = {"channels": channels, "hidden": hidden, "classes": classes}
        super().__init__(compat, **options, dropout=dropout)
        for option, value in options.items():
            if value < 1:
                raise self.wrong(f"{option} = {value}", "above 0")
        self.inputs = {"features": f"(B, T, {channels})", "valid": "(B, T) bool, optional"}
        self.outputs = {"expression": f"(B, {classes})"}
        self.channels = channels
        self.first = nn.LSTM(channels, channels, batch_first=True)
        self.norm = nn.BatchNorm1d(channels)
        self.second = nn.LSTM(channels, hidden, batch_first=True)
        self.attention = nn.Linear(hidden, 1, bias=False)
        self.head_norm = nn.BatchNorm1d(hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)
        self._initialise()

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        x, valid = frames(self, batch, self.channels)
        x = x + over_valid(self.first, x, valid)  # (B, T, channels)
        x = norm_over(self.norm, x, None if self.compat else valid)
        x = over_valid(self.second, x, valid)  # (B, T, hidden), zeros in padding
        score = self.attention(x)  # (B, T, 1)
        if not self.compat:
            heard = valid | ~valid.any(dim=1, keepdim=True)  # no frame at all: attention over zeros
            score = score.masked_fill(~heard.unsqueeze(-1), -torch.inf)
        context = (score.softmax(dim=1) * x).sum(dim=1)  # (B, hidden)
        return {"expression": self.head(self.dropout(self.head_norm(context)))}

    def _initialise(self) -> None:
        """The published start: forget gates have 1 in both bias vectors, which makes 2."""
        for lstm in (self.first, self.second):
            nn.init.xavier_normal_(lstm.weight_ih_l0)
            nn.init.orthogonal_(lstm.weight_hh_l0)
            for bias in (lstm.bias_ih_l0, lstm.bias_hh_l0):
                nn.init.zeros_(bias)
                nn.init.ones_(bias[lstm.hidden_size : 2 * lstm.hidden_size])
        nn.init.xavier_normal_(self.attention.weight)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)
