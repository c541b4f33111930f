"""A tiny set in RAVDESS's layout, made of harmonics: the higher the class, the higher the voice."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

RATE = 16_000
ACTORS = (1, 2, 3, 5, 10, 23)  # of all five folds: 4, 0, 1, 0, 2, 3
EMOTIONS = (1, 3, 5)


def name(
    emotion: int, actor: int, repetition: int = 1, intensity: int = 1, channel: int = 1
) -> str:
    """A recording's name without suffix."""
    return f"03-{channel:02}-{emotion:02}-{intensity:02}-01-{repetition:02}-{actor:02}"


def voice(emotion: int, actor: int, repetition: int, seconds: float = 0.6) -> np.ndarray:
    """(n,) int16: a tenth of a second of silence around harmonics that fade in and out."""
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = (90 if actor % 2 else 170) * 1.2 ** (emotion - 1) + 3 * repetition
    tone = sum(np.sin(2 * np.pi * k * pitch * time + k) / k for k in range(1, 8))
    loud = 0.1 * np.hanning(len(time)) * tone
    quiet = np.random.default_rng([emotion, actor, repetition]).normal(0, 1e-4, len(time) // 6)
    return np.rint(32767 * np.concatenate([quiet, loud, quiet])).astype(np.int16)


def write(path: Path, samples: np.ndarray, channels: int = 1, rate: int = RATE) -> Path:
    """A wav file of 16 bits; every channel the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(samples, channels).tobytes())
    return path


def make(root: Path, actors=ACTORS, emotions=EMOTIONS, repetitions=(1, 2)) -> Path:
    """Actors' folders below `root`; returns it."""
    for actor in actors:
        for emotion in emotions:
            for repetition in repetitions:
                path = root / f"Actor_{actor:02}" / f"{name(emotion, actor, repetition)}.wav"
                write(path, voice(emotion, actor, repetition))
    return root
