"""Mix several channels down to one: their mean, unless that would lose the voice.

Two channels in opposite phase cancel out in a mean, and a voice in one of six channels comes out
16 dB too low. So the mean is taken only if it keeps the power of the loudest channel; otherwise
channels are selected or inverted by level and correlation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# dB; where the mean has so much less power than the loudest channel, it is not taken
MAX_LOSS_DB = 6.0
QUIET_DB = 12.0  # dB below the loudest channel; a channel that is quieter adds only noise
OPPOSED = -0.25  # correlation with the loudest channel below which a channel is inverted


def weights(product: np.ndarray, names: Sequence[str]) -> tuple[list[float], str]:
    """The weight of every channel, and a sentence about it.

    Arguments
    ---------
    product : (C, C), sums over all samples of channel i times channel j.
    names : of the channels, as FFmpeg calls them (FL, FR, FC, …).

    Returns the weights, and "" where they are those of a plain mean: where that has at least a
    quarter of the loudest channel's power, or there is nothing to hear.
    """
    count, powers = len(product), np.diag(product)
    mean = np.full(count, 1 / count)
    loudest = int(powers.argmax())
    if powers[loudest] <= 0 or _power(product, mean) >= _below(powers[loudest], MAX_LOSS_DB):
        return mean.tolist(), ""
    kept = np.flatnonzero(powers >= _below(powers[loudest], QUIET_DB))
    related = product[loudest, kept] / np.sqrt(powers[loudest] * powers[kept])
    chosen = np.zeros(count)
    chosen[kept] = np.where(related < OPPOSED, -1, 1) / len(kept)
    if _power(product, chosen) < _below(powers[loudest], MAX_LOSS_DB):
        chosen *= np.sqrt(len(kept))  # uncorrelated: their sum, at the power of their mean
    if _power(product, chosen) < _below(powers[loudest], MAX_LOSS_DB):
        chosen = np.eye(count)[loudest]
    return chosen.tolist(), _sentence(chosen, _called(names), mean, product)


def _power(product: np.ndarray, chosen: np.ndarray) -> float:
    return float(chosen @ product @ chosen)


def _below(power: float, decibels: float) -> float:
    return power * 10 ** (-decibels / 10)


def _called(names: Sequence[str]) -> list[str]:
    known = {"FL": "left", "FR": "right", "FC": "centre"}
    if len(names) == 2:  # what has no names is stereo, too
        return ["left", "right"]
    numbered = [f"number {number}" for number in range(1, len(names) + 1)]
    words = [known.get(name, name) for name in names]
    return numbered if len(set(words)) < len(words) or "NONE" in words else words


def _sentence(chosen, names: list[str], mean, product) -> str:
    kept = [name for name, weight in zip(names, chosen, strict=True) if weight]
    over = [name for name, weight in zip(names, chosen, strict=True) if weight < 0]
    power = max(_power(product, mean), 1e-20)
    gained = min(99.0, 10 * np.log10(_power(product, chosen) / power))
    what = (
        f"of {len(names)} channels, {' and '.join(kept)} {'is' if len(kept) == 1 else 'are'} heard"
    )
    turned = f", {' and '.join(over)} turned over (opposite phase)" if over else ""
    return f"{what}{turned}: the mean of all would be {gained:.0f} dB quieter"
