"""Recurrent layers in the precision of their weights, over valid steps only; a bidirectional LSTM
with a learned initial state and a shortcut (specification 2.7 A 4).
"""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from ...parallel import masks
from .stepwise import stepwise
from .whole import is_traced, is_whole


class ResidualLSTM(nn.Module):
    """Two-layer BiLSTM; input and output side by side through a linear layer; L2-normalised.

    Arguments
    ---------
    channels : features of the input.
    hidden : of each direction (256 published); the result has twice as many.
    dropout : between the two layers (0 in `Joint`, 0.1 in RJCA's modality LSTMs).
    """

    def __init__(self, channels: int, hidden: int, dropout: float = 0.0):
        super().__init__()
        # Rows 0…3 are the initial outputs, the others the initial cells.
        self.init_hidden = nn.Parameter(torch.empty(8, hidden))
        self.linear = nn.Linear(channels + 2 * hidden, 2 * hidden)
        self.rnn = nn.LSTM(
            channels, hidden, 2, batch_first=True, bidirectional=True, dropout=dropout
        )
        nn.init.xavier_uniform_(self.init_hidden)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, L, channels) to (B, L, 2·hidden) of length 1; valid (B, L) bool, None = all.

        The LSTM passes over steps that are not valid, both ways; their own rows have no meaning.
        """
        start = self.init_hidden.unsqueeze(1).expand(-1, x.shape[0], -1).contiguous()
        state = start.chunk(2)  # h0, c0: (4, B, hidden)
        if valid is None:
            output = recurrent(self.rnn, x, state)
        else:
            output = over_valid(self.rnn, x, valid, state)
        return functional.normalize(self.linear(torch.cat([x, output], dim=-1)), dim=-1)


def recurrent(
    rnn: nn.Module, x: Tensor | PackedSequence, state: tuple[Tensor, Tensor] | None = None
) -> Tensor | PackedSequence:
    """Output of a recurrent layer in the precision of its weights, outside autocast.

    Under autocast cuDNN works in float16 whatever autocast's dtype is, which overflows, and which
    does not meet bfloat16 in one operation. x (B, L, k) or packed; `state` is the initial one, None
    for zeros. Every recurrent layer of the networks here is run by this function.
    """
    if is_traced():
        return stepwise(rnn, x, state)
    weight = next(rnn.parameters())
    with without_autocast(weight.device.type):
        start = None if state is None else tuple(part.to(weight.dtype) for part in state)
        return rnn(x.to(weight.dtype), start)[0]


def without_autocast(device_type: str) -> contextlib.AbstractContextManager:
    """A block in the precision of its tensors, on a device of this type."""
    known = torch.amp.is_autocast_available(device_type)  # of "meta" there is none
    return torch.autocast(device_type, enabled=False) if known else contextlib.nullcontext()


def over_valid(
    rnn: nn.Module, x: Tensor, valid: Tensor, state: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """A recurrent network's output over the valid steps only; rows of the others hold zeros.

    x (B, L, k), valid (B, L) bool; `state` is the initial one, None for zeros. Inside
    `whole_sequences` all steps are valid, and nothing is sorted or packed.
    """
    if is_whole():
        return recurrent(rnn, x, state)
    order = (~valid).byte().argsort(dim=1, stable=True).unsqueeze(-1)  # valid steps first, in order
    if not rnn.bidirectional:
        # No valid step hears the padding behind it. On a processor a step of training is four to
        # five times as fast as with packed steps, whose gradients are put together one by one.
        x = x.masked_fill(~valid.unsqueeze(-1), 0.0)
        output = recurrent(rnn, x.gather(1, order.expand_as(x)), state)
        output = output.scatter(1, order.expand_as(output), output)
        return output.masked_fill(~valid.unsqueeze(-1), 0.0)
    # Sorted here: if PyTorch sorts, unpacking reads the order back from the GPU and waits for it.
    # An empty row needs one step, too.
    length, longest_first = masks.lengths(valid).clamp(min=1).sort(descending=True)
    back = longest_first.argsort().to(x.device, non_blocking=True)
    longest_first = longest_first.to(x.device, non_blocking=True)
    steps = x.gather(1, order.expand_as(x)).index_select(0, longest_first)
    packed = pack_padded_sequence(steps, length, batch_first=True)
    if state is not None:
        state = tuple(part.index_select(1, longest_first) for part in state)
    packed = recurrent(rnn, packed, state)
    output, _ = pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
    output = output.index_select(0, back)
    return torch.zeros_like(output).scatter(1, order.expand_as(output), output)
