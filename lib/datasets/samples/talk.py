"""From turns to sound and moving mouths: specification of the sample conversations §2.

The mouth follows the syllables of its own voice with a lag. When it moves in silence it makes the
movements of inaudible speech, or it chews: only the agreement of sound and movement tells who
speaks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import voice
from .curves import curve
from .turns import FPS, ON_SCREEN, Plan, Turn

RATE = 16_000  # Hz
ROOM_NOISE = np.float32(10 ** (-49 / 20))  # 25 dB below a voice of middle level
EDGE = 0.05  # s for the fade-in and fade-out of a phrase
# how far each vowel of `voice.VOWELS` opens the mouth
OPENNESS = (0.69, 0.85, 1.0, 0.92, 0.73)
WIDENESS = (1.0, 0.5, 0.0, -0.5, -1.0)  # and how wide it makes it, −1…1
CHEWING_OPENING = 0.85  # how far chewing opens it
SLOW = (0.3, 0.7)  # s between the knots of slow changes


@dataclass(frozen=True)
class Talk:
    """Sound and mouths of a conversation.

    sound : (n,) float32 at `RATE`, sample i at i / RATE s.   opening : (2, T) 0…1 of each face.
        wide : (2, T) −1…1.
    """

    sound: np.ndarray
    opening: np.ndarray
    wide: np.ndarray


@dataclass(frozen=True)
class _Syllables:
    """A person's clock of syllables, (n,) each at `RATE`: phase (whole part = number), strength,
    vowel.
    """

    phase: np.ndarray
    strength: np.ndarray
    vowel: np.ndarray

    def envelope(self, gate: np.ndarray) -> np.ndarray:
        return (np.sin(np.pi * (self.phase % 1)) ** 0.9 * self.strength * gate).astype(np.float32)


def perform(generator: np.random.Generator, plan: Plan) -> Talk:
    """Draw three persons and let them act out the plan."""
    n = plan.n_frames * RATE // FPS
    sound, opening, wide = ROOM_NOISE * generator.standard_normal(n, dtype=np.float32), [], []
    for speaker in range(3):
        syllables = _syllables(generator, n)
        turns = [turn for turn in plan.turns if turn.speaker == speaker]
        said = syllables.envelope(_gate(turns, n))
        heard = said > 0  # a third of the time: only this is worth filtering
        if heard.any():
            sound[heard] += voice.speak(
                generator, said[heard], syllables.vowel[heard], np.zeros_like, RATE, 4.0
            )
        if speaker in ON_SCREEN:
            mouth = _mouth(generator, plan, speaker, syllables, said)
            opening.append(mouth[0])
            wide.append(mouth[1])
    return Talk(np.clip(sound, -1, 1), np.stack(opening), np.stack(wide))


def _slow(
    generator: np.random.Generator, times: np.ndarray, knots: tuple[float, float] = SLOW
) -> np.ndarray:
    return curve(generator, times[-1], knots)(times)


def _syllables(generator: np.random.Generator, n: int) -> _Syllables:
    times = np.arange(n) / RATE
    rate = generator.uniform(3.2, 5) * (1 + 0.18 * _slow(generator, times))  # syllables a second
    phase = np.cumsum(rate) / RATE + generator.uniform()
    number = phase.astype(int)
    strengths = generator.uniform(0.7, 1, number[-1] + 1)
    vowels = generator.integers(0, len(voice.VOWELS), number[-1] + 1)
    return _Syllables(phase, strengths[number], vowels[number])


def _gate(turns: list[Turn], n: int) -> np.ndarray:
    """(n,) 0…1: 1 in the turns, 0 in their pauses, with soft edges inside them."""
    mask = np.zeros(n, np.float32)
    for turn in turns:
        mask[turn.start * RATE // FPS : turn.stop * RATE // FPS] = 1
        for start, stop in turn.pauses:
            mask[round(start * RATE) : round(stop * RATE)] = 0
    width = round(EDGE * RATE)
    total = np.cumsum(np.concatenate([np.zeros(width // 2), mask, np.zeros(width - width // 2)]))
    return np.clip(2 * (total[width:] - total[:-width]) / width - 1, 0, 1).astype(np.float32)


def _mouth(
    generator: np.random.Generator, plan: Plan, face: int, syllables: _Syllables, said: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Opening and width (T,) of one face: its own voice, silent speech and chewing."""
    n, times = len(said), np.arange(plan.n_frames) / FPS
    unheard = [Turn(face, start, stop) for start, stop, chews in plan.moves[face] if not chews]
    chewed = [Turn(face, start, stop) for start, stop, chews in plan.moves[face] if chews]
    lag = generator.uniform(-1, 2) / FPS
    at = np.clip(np.round((times - lag) * RATE).astype(int), 0, n - 1)
    speech = said + syllables.envelope(_gate(unheard, n))
    rate = generator.uniform(1.2, 2.6)
    chew = CHEWING_OPENING * np.sin(np.pi * (rate * times % 1)) ** 0.9 * _gate(chewed, n)[at]
    s = speech[at] * np.array(OPENNESS)[syllables.vowel[at]] + chew
    gain = generator.uniform(0.85, 1.15)
    gamma = generator.uniform(0.8, 1.25)
    rest = generator.uniform(0, 0.06)
    opening = gain * s**gamma * (1 + 0.15 * _slow(generator, times)) + rest
    opening += 0.024 * generator.standard_normal(len(times)) + 0.04 * _slow(
        generator, times, (0.2, 0.3)
    )
    width = np.array(WIDENESS)[syllables.vowel[at]] * np.minimum(1, 2 * speech[at]) + 0.2 * chew
    return np.clip(opening, 0, 1), width
