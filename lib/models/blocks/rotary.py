"""Rotary positions on several axes (mRoPE): time, and row and column of the face in the picture.

A head of size d has d/2 pairs of channels (i and i + d/2); each pair belongs to one axis and is
rotated by its frequency times the token's position on that axis. So a product of two tokens depends
only on the difference of their positions. Formulas: Qwen2-VL and Qwen3 as described in the speaker
specification §4.1, the `axial` layout in §4.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import InputError

LAYOUTS = ("axial", "chunk", "interleave")


def axes(sections: Sequence[int], layout: str) -> Tensor:
    """Which axis (0 time, 1 row, 2 column) each pair of channels belongs to, (d/2,) int64.

    sections : pairs of each axis. layout : "chunk" and "axial": one axis after the other
        (Qwen2-VL); "interleave":
    pairs 1, 4, 7, … rows and 2, 5, 8, … columns until their sections end, others time (Qwen3).
    """
    if layout not in LAYOUTS or len(sections) != 3 or min(sections) < 0:
        raise InputError(
            f"layout {layout!r}, sections {list(sections)}",
            where="models.blocks.rotary",
            expected=f"{', '.join(LAYOUTS)}; the pairs of time, row, column",
        )
    if layout != "interleave":
        return torch.tensor([axis for axis in range(3) for _ in range(sections[axis])])
    pair_axes = [0] * sum(sections)
    for axis in (1, 2):
        places = range(axis, len(pair_axes), 3)[: sections[axis]]
        if len(places) < sections[axis]:
            raise InputError(
                f"sections {list(sections)} cannot be interleaved",
                where="models.blocks.rotary",
                expected="rows and columns with at most a third of the pairs each",
            )
        for pair in places:
            pair_axes[pair] = axis
    return torch.tensor(pair_axes)


def frequencies(
    sections: Sequence[int], layout: str, theta: float = 1000.0, theta_space: float = 16.0
) -> Tensor:
    """Radians per unit of position for each pair, (d/2,) float64.

    chunk, interleave : theta^(−2i/d) for pair i, whatever its axis.
    axial : each axis has a ladder of its own, theta^(−j/n) for the j-th of its n pairs, with
        `theta_space` for row and column.
    """
    pairs = sum(sections)
    if layout != "axial":
        return theta ** (-torch.arange(pairs, dtype=torch.float64) / pairs)
    ladders = [
        base ** (-torch.arange(n, dtype=torch.float64) / max(n, 1))
        for base, n in zip((theta, theta_space, theta_space), sections, strict=True)
    ]
    return torch.cat(ladders)


def angles(positions: Tensor, which: Tensor, speed: Tensor) -> Tensor:
    """Angle of each token and pair, (B, N, d/2) float32.

    positions : (B, N, 3) time, row, column. which : (d/2,) axis of each pair. speed : (d/2,), see
        `frequencies`.
    """
    return positions.float()[..., which] * speed.float()


def rotate(tokens: Tensor, angle: Tensor) -> Tensor:
    """Queries or keys (B, heads, N, d) turned by `angle` (B, N, d/2), computed in float32."""
    first, second = tokens.float().chunk(2, dim=-1)
    cosine, sine = angle.cos()[:, None], angle.sin()[:, None]
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1).to(
        tokens.dtype
    )
