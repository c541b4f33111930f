"""What the label of the sound means: an annotated or detected voice, or any sound by level."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from .. import speech
from . import RATE, sample_of
from .labels import Labels
from .sound import Sound
from .sources import Source
from .video import Facts

# dB: a frame at most this far below the video's loudest one counts as having sound
BELOW_LOUDEST = 40.0
# mean square of 16-bit rounding noise: below it there is no sound however quiet the rest
SILENCE_POWER = 1e-7


def relabel(labels: Labels, voice: str, source: Source, facts: Facts) -> Labels:
    """Labels with `speech` by the rule `voice`; who speaks (`asd`) stays as it was annotated."""
    if voice == "voice":
        return labels
    sound = Sound(source, facts.n_samples).between(0, sample_of(facts.n_frames, source.fps))
    rule = energy if voice == "energy" else detected
    return replace(labels, speech=rule(sound, facts.n_frames, source.fps))


def energy(sound: np.ndarray, n_frames: int, fps: Fraction) -> np.ndarray:
    """(T,) bool: where there is any sound, within `BELOW_LOUDEST` dB of the loudest frame.

    sound : (n,) int16 at 16 kHz, sample 0 at frame 0.
    """
    edges = np.array([sample_of(frame, fps) for frame in range(n_frames + 1)])
    total = np.concatenate([[0], np.cumsum((np.asarray(sound, np.float64) / 32768) ** 2)])
    edges = np.minimum(edges, len(sound))
    power = np.diff(total[edges]) / np.maximum(np.diff(edges), 1)
    return power > max(SILENCE_POWER, power.max(initial=0) * 10 ** (-BELOW_LOUDEST / 10))


def detected(sound: np.ndarray, n_frames: int, fps: Fraction) -> np.ndarray:
    """(T,) bool: where Silero's detector hears a voice. Its weights come inside its wheel; nothing
    is downloaded.

    Raises InputError when the package is not installed.
    """
    spoken = speech.stretches(
        sound, "audio_label: vad", "set audio_label to voice or energy"
    ).tolist()
    mask = np.zeros(n_frames, bool)
    for start, end in spoken:
        mask[int(start * fps / RATE) : -int(-end * fps // RATE)] = True
    return mask
