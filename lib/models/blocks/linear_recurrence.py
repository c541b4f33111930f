"""A gated linear recurrence over time, in both directions: memory grows linearly with the number of
steps, so that a recording of minutes can be one sequence.

h(t) = (1 − g(t)) · h(t−1) + g(t) · z(t), where gate g and candidate z look at step t alone (minGRU,
Feng et al. 2024, arXiv 2410.01201). Such a recurrence is a prefix sum of pairs (factor, term),
which doubling computes in log₂ T passes (Hillis and Steele 1986) where a loop needs T.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .feed_forward import feed_forward
from .recurrent import without_autocast
from .stepwise import linear_steps
from .whole import is_traced

# Time constants of the channels in steps before training (decay to 1/e): from one syllable to the
# next up to a minute at 30 steps per second, evenly spaced in their logarithms.
SHORTEST, LONGEST = 2.0, 2000.0


class RecurrentLayer(nn.Module):
    """A recurrence in each direction and a feed-forward part, each after a layer norm and beside a
    shortcut (pre-norm).

    hidden : channels, even: half run forwards, half backwards. dropout : of both results.
    """

    def __init__(self, hidden: int, dropout: float):
        super().__init__()
        self.dropout = dropout
        self.norm_recurrence, self.norm_forward = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.gate, self.candidate = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.join = nn.Linear(hidden, hidden)
        self.forward_part = feed_forward(hidden, dropout)
        steps = torch.logspace(math.log10(SHORTEST), math.log10(LONGEST), hidden // 2)
        with torch.no_grad():  # the logit of 1 / steps
            self.gate.bias.copy_(-torch.log(steps - 1).repeat(2))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, T, hidden) to the same; the state passes over steps that are not valid (B, T)."""
        rows = self.norm_recurrence(x)
        # In half precision a factor near 1 is rounded to 1, and the state would never decay.
        exact = torch.promote_types(x.dtype, torch.float32)
        gate = self.gate(rows).to(exact).sigmoid() * valid.unsqueeze(-1)
        ahead, back = _both(1 - gate, gate * self.candidate(rows).to(exact))
        more = self.join(torch.cat([ahead, back], dim=-1).to(x.dtype))
        x = x + functional.dropout(more, self.dropout, self.training)
        more = self.forward_part(self.norm_forward(x))
        return x + functional.dropout(more, self.dropout, self.training)


def _both(factor: Tensor, term: Tensor) -> tuple[Tensor, Tensor]:
    """Half of the channels in time order, half in reverse, in the precision that they have."""
    factors, terms = factor.chunk(2, dim=-1), term.chunk(2, dim=-1)
    if is_traced():  # in single precision anyway; not every graph with a switch of it can be kept
        return linear_steps(factors[0], terms[0]), linear_steps(factors[1], terms[1], True)
    with without_autocast(factor.device.type):
        back = recurrence(factors[1].flip(1), terms[1].flip(1)).flip(1)
        return recurrence(factors[0], terms[0]), back


def recurrence(factor: Tensor, term: Tensor) -> Tensor:
    """(B, T, k) states h(t) = factor(t) · h(t−1) + term(t), h(−1) = 0."""
    return _Recurrence.apply(factor, term)


class _Recurrence(torch.autograd.Function):
    """The gradient of a linear recurrence is one in reverse: factors and states are all that is
    kept, where the passes of doubling would keep log₂ T times as much.
    """

    @staticmethod
    def forward(context, factor, term):
        states = doubled(factor, term)
        context.save_for_backward(factor, states)
        return states

    @staticmethod
    def backward(context, gradient):
        factor, states = context.saved_tensors
        after = functional.pad(factor[:, 1:], (0, 0, 0, 1))  # the factor from t to t + 1
        of_term = doubled(after.flip(1), gradient.flip(1)).flip(1)
        before = functional.pad(states[:, :-1], (0, 0, 1, 0))
        return of_term * before, of_term


def doubled(factor: Tensor, term: Tensor) -> Tensor:
    """The same by doubling: after pass p each state knows the last 2^p steps."""
    reach = 1
    while reach < term.shape[1]:
        more = factor[:, reach:] * term[:, :-reach]
        term = torch.cat([term[:, :reach], term[:, reach:] + more], dim=1)
        if 2 * reach < term.shape[1]:
            longer = factor[:, reach:] * factor[:, :-reach]
            factor = torch.cat([factor[:, :reach], longer], dim=1)
        reach *= 2
    return term
