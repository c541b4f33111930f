"""Pseudo-labels: valence and arousal guessed from a frame's expression, and the other way round.

TSAV's authors filled both in "using the distribution of EX and VA labels" (specification 1.9);
their exact mapping is not published. Here: an expression stands for the mean valence and arousal of
the training frames that have both labels, and a place in the valence-arousal plane for the shares
of the expressions of those in the same cell of a grid.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

CELLS = 5  # of each axis from -1 to 1


def fit(va: np.ndarray, expression: np.ndarray, n_classes: int) -> dict:
    """Statistics of the training frames that the guesses need, as plain numbers.

    va : (N, 2), NaN unlabelled. expression : (N,) int, -1 unlabelled. Returns {"va": (E, 2) means,
        "expression":
    (CELLS², E) shares} as lists; None for an entry without any frame that has both labels; {}
    without such frames at all.
    """
    both = np.isfinite(va).all(axis=1) & (expression >= 0)
    if not both.any():
        return {}
    cell, known, values = _cell(va[both]), expression[both], va[both]
    means = [
        values[known == k].mean(axis=0).tolist() if (known == k).any() else None
        for k in range(n_classes)
    ]
    counts = [np.bincount(known[cell == c], minlength=n_classes) for c in range(CELLS**2)]
    return {
        "va": means,
        "expression": [(n / n.sum()).tolist() if n.sum() else None for n in counts],
    }


def complete(
    va: np.ndarray, expression: int, statistics: Mapping
) -> tuple[np.ndarray, np.ndarray | None]:
    """(2,) valence and arousal, guessed if missing and possible; (E,) shares of expressions, None =
    no guess.
    """
    va, known = np.asarray(va, np.float32), bool(np.isfinite(va).all())
    if statistics and not known and expression >= 0 and statistics["va"][expression] is not None:
        return np.array(statistics["va"][expression], np.float32), None
    if statistics and known and expression < 0:
        shares = statistics["expression"][int(_cell(va[None])[0])]
        return va, None if shares is None else np.array(shares, np.float32)
    return va, None


def _cell(va: np.ndarray) -> np.ndarray:
    cells = np.clip(((va + 1) / 2 * CELLS).astype(int), 0, CELLS - 1)
    return cells[:, 0] * CELLS + cells[:, 1]
