"""Random changes of training clips of a speaker network: of the crops, and of the sound in a batch.

Everything is computed in floating point. (TalkNet's Ego4D code mixes noise into sound of RMS 0.1
and casts the sum to whole numbers, which makes every such clip silent; the original squares 16-bit
numbers, which overflow: speaker specification §5.)
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..faces.speaker_crops import FILL

AUGMENTATIONS = ("published", "light", "none")
SMALLEST_CROP, ROTATION = 0.7, 15.0  # published: share of the side; ± degrees
GAIN, OFFSET, SHIFT = 0.2, 15.0, 3  # light: ± of the exponent of e, ± grey values, ± px of 64
SNR = 5.0  # ± dB, published
POWER = 1e-4  # keeps the level of silence finite, as published
MIN_SHIFT_SECONDS, MAX_SHIFT_SECONDS = 0.5, 2.0  # s by which a sound is shifted


def faces(clip: np.ndarray, kind: str, generator: np.random.Generator) -> np.ndarray:
    """(T, S, S) uint8 crops of a clip, all changed the same way -> (T, S, S) float32, 0–255.

    kind : "published": as it is, mirrored, a square of 70–100 % cut out, or rotated by up to 15°,
        one of the four (speaker specification §3.1); "light": mirror, brightness, contrast and a
        small shift (specification of the sample conversations §4); "none".
    """
    side = clip.shape[-1]
    if kind == "published":
        choice = generator.integers(4)
        if choice == 1:
            return clip[..., ::-1].astype(np.float32)
        if choice == 2:
            return _warped(clip, _cut_out(side, generator))
        angle = generator.uniform(-ROTATION, ROTATION)  # drawn even if nothing is changed
        if choice == 0:
            return clip.astype(np.float32)
        return _warped(clip, cv2.getRotationMatrix2D((side / 2 - 0.5,) * 2, angle, 1.0))
    if kind == "light":
        mirror, most = generator.random() < 0.5, SHIFT * side / 64
        matrix = np.array(
            [[1, 0, generator.uniform(-most, most)], [0, 1, generator.uniform(-most, most)]]
        )
        gain, offset = np.exp(generator.uniform(-GAIN, GAIN)), generator.uniform(-OFFSET, OFFSET)
        moved = _warped(clip[..., ::-1] if mirror else clip, matrix)
        return np.clip(gain * moved + offset, 0, 255).astype(np.float32)
    return clip.astype(np.float32)


def _cut_out(side: int, generator: np.random.Generator) -> np.ndarray:
    width = side * generator.uniform(SMALLEST_CROP, 1)
    x, y = generator.uniform(0, side - width, 2)
    scale = side / width
    return np.array([[scale, 0, -scale * x], [0, scale, -scale * y]])


def _warped(clip: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    side = clip.shape[-1]
    how = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_CONSTANT, "borderValue": FILL}
    frames = (np.ascontiguousarray(frame) for frame in clip)
    warped = [cv2.warpAffine(frame, matrix, (side, side), **how) for frame in frames]
    return np.stack(warped).astype(np.float32)


def level(sound: np.ndarray) -> float:
    """Power in dB of samples on any scale, as the published code measures it."""
    if not len(sound):
        return -40.0
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64)) + POWER))


def mix(sound: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Add `noise`, repeated or cut to length, `snr` dB below `sound`; both (n,) on the scale of
    int16, float64 out.

    Silence has no level that noise could be set by: it stays as it is.
    """
    sound = np.asarray(sound, np.float64)
    if not len(noise) or not np.any(noise) or not np.any(sound):
        return sound
    noise = np.resize(np.asarray(noise, np.float64), len(sound))
    return sound + noise * np.sqrt(10 ** ((level(sound) - level(noise) - snr) / 10))


def shifted(n: int, rate: float, generator: np.random.Generator) -> int:
    """Cyclic shift of a clip's sound of n samples: 0.5–2 s, at most half of it, in either
    direction.
    """
    most = min(MAX_SHIFT_SECONDS * rate, n / 2)
    sign = generator.choice((-1, 1))
    return int(sign * round(generator.uniform(min(MIN_SHIFT_SECONDS * rate, most), most)))


Labels = dict[str, np.ndarray]


def sounds(
    heard: Sequence[np.ndarray],
    labels: Sequence[Labels],
    videos: Sequence[str],
    rates: Sequence[float],
    negatives: float,
    noise: float,
    generator: np.random.Generator,
) -> tuple[list[np.ndarray], list[Labels]]:
    """Wrong sound for some clips of a batch, noise in others; new arrays, none in place.

    Arguments
    ---------
    heard : sound of each clip, (n,) on the scale of int16.
    labels : of each clip, (T,) 1, 0 or −1: ``speaking``, this face is heard; ``voice``, anybody is.
    videos : the recording of each clip: another one's sound is taken, never that of the other face
        of the same recording.
    rates : frames per second of each clip.
    negatives : share of clips that get sound of another clip, shifted sound or none, a third each;
        with replaced sound, `speaking` becomes 0.
    noise : share of the other clips into which another clip's sound is mixed; their labels stay
        (speaker specification §3.1).
    """
    out, new_labels = [], []
    for row, (sound, label) in enumerate(zip(heard, labels, strict=True)):
        others = [other for other in range(len(heard)) if videos[other] != videos[row]]
        other = int(generator.choice(others)) if others else None
        sound = np.asarray(sound, np.float64)
        label = {name: rows.copy() for name, rows in label.items()}
        if generator.random() < negatives:
            stranger = None if other is None else (heard[other], labels[other]["voice"])
            sound, label["voice"] = _wrong(sound, label["voice"], stranger, rates[row], generator)
            label["speaking"][label["speaking"] >= 0] = 0
        elif other is not None and generator.random() < noise:
            sound = mix(sound, heard[other], generator.uniform(-SNR, SNR))
            voice = label["voice"]
            label["voice"] = np.maximum(voice, np.resize(labels[other]["voice"], len(voice)))
        out.append(sound)
        new_labels.append(label)
    return out, new_labels


def _wrong(sound, voice, stranger, rate, generator):
    """Sound of another recording, shifted sound, or none; and in which frames a voice is in it."""
    kind = generator.integers(3)
    if kind == 0 and stranger is not None:
        foreign = np.resize(np.asarray(stranger[0], np.float64), len(sound))
        return foreign, np.resize(stranger[1], len(voice))
    if kind == 1:
        frames = shifted(len(voice), rate, generator)
        return np.roll(sound, round(frames * len(sound) / len(voice))), np.roll(voice, frames)
    return np.zeros_like(sound), np.where(voice < 0, voice, 0)
