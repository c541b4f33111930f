"""LSTM and GRU written as a loop over steps, for graphs of any number of steps.

`torch.export` unrolls `torch.nn.LSTM` and `torch.nn.GRU` into as many copies of a step as its
example has (PyTorch 2.11), so that a graph would hold for that number alone. A *scan* is one step
and the axis that it runs over; ONNX has an operator of that name. Formulas: the documentation of
`torch.nn.LSTM` and `torch.nn.GRU`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import InputError


def stepwise(rnn: nn.Module, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """The output of an LSTM or GRU with `batch_first`, in evaluation mode: (B, L, k) to (B, L, h).

    state : initial outputs and cells, (layers · directions, B, hidden) each; None for zeros.
    Raises InputError where this PyTorch has no scan.
    """
    scan, step, x = _scan(), _lstm if isinstance(rnn, nn.LSTM) else _gru, x.transpose(0, 1)
    directions = ("", "_reverse") if rnn.bidirectional else ("",)
    for layer in range(rnn.num_layers):
        rows = []
        for number, direction in enumerate(directions):
            weights = [getattr(rnn, f"{name}_l{layer}{direction}") for name in _WEIGHTS]
            first = _first(rnn, x, state, layer * len(directions) + number)
            projected = functional.linear(x, weights[0], weights[1])  # of all steps at once
            with_weights = step(*weights[2:])
            rows.append(scan(with_weights, first, projected, dim=0, reverse=bool(number))[1])
        x = torch.cat(rows, dim=-1) if len(rows) > 1 else rows[0]
    return x.transpose(0, 1)


_WEIGHTS = ("weight_ih", "bias_ih", "weight_hh", "bias_hh")


def linear_steps(factor: Tensor, term: Tensor, reverse: bool = False) -> Tensor:
    """(B, T, k) states h = factor · h + term of a linear recurrence (`lib.models.blocks`)."""

    def step(before: tuple[Tensor], given: tuple[Tensor, Tensor]):
        state = given[0] * before[0] + given[1]
        return (state,), state.clone()

    rows = (factor.transpose(0, 1), term.transpose(0, 1))
    first = (torch.zeros_like(factor[:, 0]),)
    return _scan()(step, first, rows, dim=0, reverse=reverse)[1].transpose(0, 1)


def _scan() -> Callable:
    try:
        from torch._higher_order_ops.scan import scan
    except ImportError:
        raise InputError(
            f"PyTorch {torch.__version__} has no scan over steps",
            where="models.export",
            expected="a version with it, as 2.11, for networks with an LSTM or a GRU",
            todo="pip install --upgrade torch",
        ) from None
    return scan


def _first(rnn: nn.Module, x: Tensor, state, row: int) -> tuple[Tensor, ...]:
    """The state before the first step, (B, hidden): output and cell of an LSTM, output of a GRU."""
    count = 2 if isinstance(rnn, nn.LSTM) else 1
    if state is None:
        return tuple(x.new_zeros(x.shape[1], rnn.hidden_size) for _ in range(count))
    return tuple(state[number][row].clone() for number in range(count))


def _lstm(weight: Tensor, bias: Tensor) -> Callable:
    def step(before: tuple[Tensor, Tensor], given: Tensor):
        gates = given + functional.linear(before[0], weight, bias)
        enter, forget, new, leave = gates.chunk(4, dim=-1)
        cell = forget.sigmoid() * before[1] + enter.sigmoid() * new.tanh()
        output = leave.sigmoid() * cell.tanh()
        return (output, cell), output.clone()

    return step


def _gru(weight: Tensor, bias: Tensor) -> Callable:
    def step(before: tuple[Tensor], given: Tensor):
        reset, update, new = given.chunk(3, dim=-1)
        of_reset, of_update, of_new = functional.linear(before[0], weight, bias).chunk(3, dim=-1)
        new = (new + (reset + of_reset).sigmoid() * of_new).tanh()
        share = (update + of_update).sigmoid()
        output = (1 - share) * new + share * before[0]
        return (output,), output.clone()

    return step
