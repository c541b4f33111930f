"""The two layers that follow attention, or a recurrence, in a block over time."""

from __future__ import annotations

from torch import nn


def feed_forward(hidden: int, dropout: float) -> nn.Sequential:
    """(…, hidden) -> (…, hidden) of each step by itself, twice as wide in between."""
    return nn.Sequential(
        nn.Linear(hidden, 2 * hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * hidden, hidden)
    )
