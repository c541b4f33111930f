"""The synthetic voice of the sample set: pitch, syllable rate, loudness and brightness follow
arousal.

Source and filter: a pulse train at the pitch, five vowels of three formants each, one vowel per
syllable. All constants are those of the sample specification §4; the formants are Peterson and
Barney's (1952) means of /i ɛ ɑ ɔ u/ for men.
"""

from __future__ import annotations

import numpy as np

from .curves import Curve, curve

RATE = 44100
# Hz
VOWELS = (
    (270, 2290, 3010),
    (530, 1840, 2480),
    (730, 1090, 2440),
    (570, 840, 2410),
    (300, 870, 2240),
)
BANDWIDTHS = (60, 90, 150)  # Hz
# dB at arousal 1; with 5 loudness tells too much (ridge CCC above .45): trials share a mean
LOUDER = 4
FADE = 0.02  # s in which talking and a vowel set in


def talking(
    generator: np.random.Generator, seconds: float, turns: list[tuple[float, float]]
) -> np.ndarray:
    """Where a person talks, (n,) 0…1 at `RATE`: phrases of 1.2–3.5 s, pauses of 0.4–1.1 s, within
    `turns` (s).
    """
    mask = np.zeros(round(seconds * RATE), np.float32)
    now = generator.uniform(0, 0.4)
    while now < seconds:
        stop = now + generator.uniform(1.2, 3.5)
        mask[round(now * RATE) : round(stop * RATE)] = 1
        now = stop + generator.uniform(0.4, 1.1)
    own = np.zeros_like(mask)
    for start, stop in turns:
        own[round(start * RATE) : round(stop * RATE)] = 1
    return _faded(mask * own)


def _faded(mask: np.ndarray) -> np.ndarray:
    """Ramps inside the phrases, so that nothing is heard (or seen) outside of them."""
    width = round(FADE * RATE)
    total = np.cumsum(np.concatenate([np.zeros(width // 2), mask, np.zeros(width - width // 2)]))
    mean = (total[width:] - total[:-width]) / width
    return (np.clip(2 * mean - 1, 0, 1)).astype(np.float32)


def envelope(
    generator: np.random.Generator, talks: np.ndarray, arousal: Curve
) -> tuple[np.ndarray, np.ndarray]:
    """Syllables while a person talks, 3.5 + 1.5·a per second.

    Returns the envelope s (n,) 0…1 (sin(π·phase)^0.8) and the number of each sample's vowel (n,).
    """
    a = arousal(np.arange(len(talks)) / RATE)
    phase = np.cumsum(3.5 + 1.5 * a) / RATE
    s = np.sin(np.pi * (phase % 1)) ** 0.8 * talks
    syllable = phase.astype(int)
    vowels = generator.integers(0, len(VOWELS), size=syllable[-1] + 1)
    return (s / max(s.max(), 1e-9)).astype(np.float32), vowels[syllable]


def speak(
    generator: np.random.Generator,
    s: np.ndarray,
    vowels: np.ndarray,
    arousal: Curve,
    rate: int = RATE,
    spread: float = 5.0,
) -> np.ndarray:
    """The voice (n,) float32 of a person with random pitch, vocal tract and level.

    s, vowels : (n,) of `envelope`, at `rate` Hz. spread : dB about −24 in which the level is drawn.
    """
    n = len(s)
    a = arousal(np.arange(n) / rate).astype(np.float32)
    voiced = _vowels(generator, _source(generator, a, rate), vowels, rate) * s
    voice = _loud(_tilted(voiced, a), a)
    level = 10 ** ((-24 + generator.uniform(-spread, spread)) / 20)
    power = np.sqrt(np.mean(voice[s > 0] ** 2)) if np.any(s > 0) else 1.0
    noise = generator.standard_normal(n, dtype=np.float32) * 10 ** (-25 / 20)
    return np.clip((voice / power + noise) * level, -1, 1).astype(np.float32)


def _source(generator: np.random.Generator, a: np.ndarray, rate: int) -> np.ndarray:
    """Pulse train at base·(1 + 0.3·a)·(1 + 4 % slow random), plus 1 % noise."""
    n = len(a)
    slow = curve(generator, n / rate, (0.3, 0.7))(np.arange(n) / rate)
    pitch = generator.uniform(95, 235) * (1 + 0.3 * a) * (1 + 0.04 * slow)
    periods = np.cumsum(pitch / rate).astype(int)
    return np.diff(periods, prepend=0) + 0.01 * generator.standard_normal(n)


def _vowels(
    generator: np.random.Generator, source: np.ndarray, vowels: np.ndarray, rate: int
) -> np.ndarray:
    tract = generator.uniform(0.9, 1.2)
    voiced = np.zeros(len(source), np.float32)
    kernel = np.ones(round(FADE * rate)) / round(FADE * rate)
    for number, formants in enumerate(VOWELS):
        sound = source
        for frequency, bandwidth in zip(formants, BANDWIDTHS, strict=True):
            sound = _resonance(sound, frequency * tract, bandwidth, rate)
        # one vowel glides into the next
        weight = _filtered(kernel[:1], [1, kernel[0] - 1], vowels == number)
        voiced += (weight * sound / sound.std()).astype(np.float32)
    return voiced


def _resonance(sound: np.ndarray, frequency: float, bandwidth: float, rate: int) -> np.ndarray:
    radius, angle = np.exp(-np.pi * bandwidth / rate), 2 * np.pi * frequency / rate
    return _filtered([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], sound)


def _tilted(sound: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Mix of a bright version, w = 0.1 + 0.4·(a + 1) of it, and a dark one (a pole at 0.94) of the
    same power.
    """
    bright = np.diff(sound, prepend=0)
    dark = _filtered([0.06], [1, -0.94], sound)
    w = 0.1 + 0.4 * (a + 1)
    return w * bright / max(bright.std(), 1e-9) + (1 - w) * dark / max(dark.std(), 1e-9)


def _loud(sound: np.ndarray, a: np.ndarray) -> np.ndarray:
    return sound * 10 ** (LOUDER * a / 20)


def _filtered(above: list, below: list, signal: np.ndarray) -> np.ndarray:
    """A recursive filter. SciPy's signals take 0.7 s to import, which every notebook would pay: so
    here.
    """
    from scipy.signal import lfilter

    return lfilter(above, below, signal)
