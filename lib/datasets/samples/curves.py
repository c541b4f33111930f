"""Labels of the sample set: drawn valence and arousal curves, and the annotation files in the
official form.

Expression and action units follow from the face's own parameters, valence v, arousal a and mouth
opening s:

* expression, from angle θ = atan2(a, v) and radius r in the valence–arousal plane: Neutral where r
  < 0.3 or θ in 270…300°; Happiness −60…60°, Surprise 60…105°, Fear 105…130°, Anger 130…155°,
  Disgust 155…195°, Sadness 195…270°.
* action units, where the face moves visibly (`face`): AU1 v > 0.33 (inner brows rise 0.75 px), AU2
  v > 0.5 (outer brows rise 1.1 px), AU4 v < −0.3 (brows fall and draw together), AU6 v > 0.6, AU12
  v > 0.2 (mouth corners up), AU15 v < −0.2 (mouth corners down), AU20 v > 0.75 (mouth wide), AU25 s
  > 0.15 (lips part).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...labels.official import ACTION_UNITS, EXPRESSIONS

KNOTS = (2.0, 3.5)  # s between two values of a label curve (sample specification §1)
CURVES = 4  # curves drawn per trial and emotion, of which the best balanced one is kept
LAG, LAGS = 0.5, 6  # s; steps of it over which one emotion must not tell the other
DRAWS = 200  # sets of curves drawn per split, of which the best is kept

# From this angle on (degrees): this expression.
SECTORS = ((-60, 4), (60, 6), (105, 3), (130, 1), (155, 2), (195, 5), (270, 0))


@dataclass(frozen=True)
class Curve:
    """A slow curve in −0.95…0.95: cosine interpolation between knots. Call it with times in s."""

    knots: np.ndarray  # (K,) s
    values: np.ndarray  # (K,)

    def __call__(self, times: np.ndarray) -> np.ndarray:
        right = np.clip(np.searchsorted(self.knots, times, side="right"), 1, len(self.knots) - 1)
        left = right - 1
        part = (times - self.knots[left]) / (self.knots[right] - self.knots[left])
        weight = (1 - np.cos(np.pi * np.clip(part, 0, 1))) / 2
        return self.values[left] * (1 - weight) + self.values[right] * weight


def curve(
    generator: np.random.Generator, seconds: float, period: tuple[float, float] = KNOTS
) -> Curve:
    """Draw a curve: knots `period` apart (s, uniform), values 0.95·sign(u)·|u|^0.7 with u uniform
    in −1…1.
    """
    steps = generator.uniform(*period, size=int(seconds / period[0]) + 3)
    knots = np.cumsum(steps) - steps[0] * (1 + generator.uniform())
    u = generator.uniform(-1, 1, size=len(knots))
    return Curve(knots, 0.95 * np.sign(u) * np.abs(u) ** 0.7)


def draw(
    seed: int, trials: dict[int, tuple[np.ndarray, np.ndarray]]
) -> dict[int, tuple[Curve, Curve]]:
    """Valence and arousal of one split: of `DRAWS` sets the one with least correlation and means.

    Arguments
    ---------
    trials : trial's number -> (frame times (T,) s, labelled (T,) bool). Only labelled frames count.

    Drawn by chance alone, sound would "predict" valence wherever the two happen to go together.
    Returns the trial's number -> (valence, arousal).
    """
    return min(
        (_set(seed, trials, draw) for draw in range(DRAWS)), key=lambda drawn: _fault(drawn, trials)
    )


def _set(seed: int, trials: dict, draw: int) -> dict[int, tuple[Curve, Curve]]:
    drawn = {}
    for trial, (times, labelled) in trials.items():
        generator = np.random.default_rng([seed, trial, 0, draw])
        drawn[trial] = tuple(_balanced(generator, times, labelled) for _ in range(2))
    return drawn


def _balanced(generator: np.random.Generator, times: np.ndarray, labelled: np.ndarray) -> Curve:
    """Of several curves the one with the mean nearest to 0: otherwise who it is would tell much of
    the label.
    """
    curves = [curve(generator, times[-1]) for _ in range(CURVES)]
    return min(curves, key=lambda one: abs(one(times[labelled]).mean()))


def _fault(drawn: dict, trials: dict) -> float:
    va = np.concatenate(
        [
            np.stack([one(times[labelled]) for one in drawn[trial]], axis=1)
            for trial, (times, labelled) in trials.items()
        ]
    )
    correlation = abs(np.corrcoef(va.T)[0, 1])
    # Wanted are a spread of at least 0.5 in both and, well kept, a correlation below 0.1.
    broken = np.maximum(0, 0.5 - va.std(axis=0)).sum() + max(0, correlation - 0.05)
    return (
        correlation + np.abs(va.mean(axis=0)).sum() + _told_by_accident(drawn, trials) + 10 * broken
    )


def _told_by_accident(drawn: dict, trials: dict) -> float:
    """Largest |correlation| of an emotion with the other one seconds before or after, its size, or
    the time in a trial.

    A network that sees a minute at once learns such accidents too (measured: valence from sound
    alone, CCC .42).
    """
    curves = [
        [one(np.arange(0, times[-1], LAG)) for one in drawn[trial]]
        for trial, (times, _) in trials.items()
    ]
    places = [np.linspace(-1, 1, len(v)) for v, _ in curves]
    pairs = [
        ([v for v, _ in curves], places),
        ([a for _, a in curves], places),
        ([v**2 for v, _ in curves], [a for _, a in curves]),
        ([v for v, _ in curves], [a**2 for _, a in curves]),
    ]
    for shift in range(1, 1 + min(LAGS, min(map(len, places)) - 3)):  # recordings of tests last 2 s
        pairs += [
            ([v[:-shift] for v, _ in curves], [a[shift:] for _, a in curves]),
            ([v[shift:] for v, _ in curves], [a[:-shift] for _, a in curves]),
        ]
    return max(
        abs(np.corrcoef(np.concatenate(one), np.concatenate(other))[0, 1]) for one, other in pairs
    )


def expression(valence: np.ndarray, arousal: np.ndarray) -> np.ndarray:
    """Expression (T,) int8, number in the official order, by the rule in the module's docstring."""
    angle = (np.degrees(np.arctan2(arousal, valence)) + 60) % 360 - 60
    starts, numbers = np.array(SECTORS).T
    classes = numbers[np.searchsorted(starts, angle, side="right") - 1]
    return np.where(np.hypot(valence, arousal) < 0.3, 0, classes).astype(np.int8)


def action_units(valence: np.ndarray, opening: np.ndarray) -> np.ndarray:
    """Action units (T, 8) int8 0/1 in the official order, by the rule in the module's docstring."""
    v = valence
    return np.stack(
        [v > 0.33, v > 0.5, v < -0.3, v > 0.6, v > 0.2, v < -0.2, v > 0.75, opening > 0.15], axis=1
    ).astype(np.int8)


def va_text(va: np.ndarray, unlabelled: str = "-5") -> str:
    """The official VA file of (T, 2) values, NaN = unlabelled (written as `-5` or `-5.0`; both
    occur).
    """
    rows = [f"{unlabelled},{unlabelled}" if np.isnan(v) else f"{v:.3f},{a:.3f}" for v, a in va]
    return "\n".join(["valence,arousal", *rows, ""])


def expression_text(numbers: np.ndarray) -> str:
    """The official EX file of (T,) expressions, −1 = unlabelled."""
    return "\n".join([",".join(EXPRESSIONS), *map(str, numbers.tolist()), ""])


def action_units_text(units: np.ndarray) -> str:
    """The official AU file of (T, 8) action units, −1 = unlabelled."""
    return "\n".join(
        [",".join(ACTION_UNITS), *(",".join(map(str, row)) for row in units.tolist()), ""]
    )
