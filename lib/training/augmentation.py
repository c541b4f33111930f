"""Random changes of faces and mel segments, one draw per clip (sample specification, §5)."""

from __future__ import annotations

import cv2
import numpy as np

ROLL = 5.0  # ± degrees
SCALE = 0.06  # ± share
SHIFT = 0.036  # ± share of the side
GAIN = 0.12  # ± share, brightness of the whole picture
GRADIENT = 0.12  # ± share from the middle to the edge, in a random direction
CHANNEL_GAIN = 0.06  # ± share, each colour
GAMMA = 0.12  # exponent of e, ±
OFFSET = 0.04  # ± share of white
# ± hue (of 180), saturation and value (of 255): TSAV's helper (its specification, §1.1)
HSV = (10, 25, 20)

# Grey values of a mask that are swapped in a mirror image: left and right brow, left and right eye
# (TSAV §1.2).
MIRRORED_GREY = {223: 191, 191: 223, 159: 127, 127: 159}
MEL_LEVEL = 0.12  # ± normalised units (one is 19.895 dB)
MEL_SHIFT = 2  # ± bands
MEL_MASKS = 2  # of each kind
MEL_MASK_BANDS = 8
MEL_MASK_COLUMNS = 60  # 0.6 s


def clip(
    pictures: np.ndarray,
    generator: np.random.Generator,
    masks: np.ndarray | None = None,
    flip: bool = True,
    hsv: bool = False,
) -> np.ndarray:
    """The same clip moved, mirrored and re-lit; black pictures (no face) stay black.

    pictures : (T, S, S, 3) uint8 RGB.
    masks : (T, S, S) uint8 drawn from landmarks: they move with the pictures, and in a mirror left
        and right brows and eyes change their grey values.
    flip : mirror half of the clips.
    hsv : jitter hue, saturation, value too. Returns (T, S, S, 3), with masks (T, S, S, 4).
    """
    side = pictures.shape[1]
    matrix = _affine(side, generator)
    mirror = generator.random() < 0.5 and flip
    lookup = _lookup(generator)
    light = _gradient(side, generator)
    shifts = [generator.integers(-most, most + 1) for most in HSV] if hsv else None
    out = np.zeros_like(pictures)
    for picture, target in zip(pictures, out, strict=True):
        if not picture.any():
            continue
        moved = cv2.warpAffine(
            picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        moved = cv2.LUT(moved[:, ::-1] if mirror else moved, lookup)
        target[...] = np.clip(moved * light, 0, 255)
        if shifts:
            target[...] = _jittered(target, shifts)
    if masks is None:
        return out
    moved = np.stack([_moved_mask(mask, matrix, mirror) for mask in masks])
    return np.concatenate([out, moved[..., None]], axis=-1)


def _jittered(picture: np.ndarray, shifts: list[int]) -> np.ndarray:
    """(S, S, 3) uint8 RGB with hue (round the circle), saturation and value shifted."""
    values = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV).astype(np.int16) + np.array(shifts, np.int16)
    values[..., 0] %= 180
    return cv2.cvtColor(np.clip(values, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)


def _moved_mask(mask: np.ndarray, matrix: np.ndarray, mirror: bool) -> np.ndarray:
    """(S, S) uint8; nearest neighbours, so that grey values stay names of parts."""
    moved = cv2.warpAffine(mask, matrix, mask.shape[::-1], flags=cv2.INTER_NEAREST)
    if not mirror:
        return moved
    swapped = np.arange(256, dtype=np.uint8)
    swapped[list(MIRRORED_GREY)] = list(MIRRORED_GREY.values())
    return cv2.LUT(np.ascontiguousarray(moved[:, ::-1]), swapped)


def _affine(side: int, generator: np.random.Generator) -> np.ndarray:
    centre = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D(
        (centre, centre), generator.uniform(-ROLL, ROLL), 1 + generator.uniform(-SCALE, SCALE)
    )
    matrix[:, 2] += generator.uniform(-SHIFT, SHIFT, 2) * side
    return matrix


def _lookup(generator: np.random.Generator) -> np.ndarray:
    """(1, 256, 3) uint8 table: gain, gain of each colour, gamma and offset at once."""
    level = np.linspace(0, 1, 256)[:, None]
    gains = (1 + generator.uniform(-GAIN, GAIN)) * (
        1 + generator.uniform(-CHANNEL_GAIN, CHANNEL_GAIN, 3)
    )
    curve = (level * gains) ** np.exp(generator.uniform(-GAMMA, GAMMA)) + generator.uniform(
        -OFFSET, OFFSET
    )
    return np.round(np.clip(curve, 0, 1) * 255).astype(np.uint8)[None]


def _gradient(side: int, generator: np.random.Generator) -> np.ndarray:
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    angle, strength = generator.uniform(0, 2 * np.pi), generator.uniform(0, GRADIENT)
    return (1 + strength * (np.cos(angle) * ramp[None] + np.sin(angle) * ramp[:, None]))[
        ..., None
    ].astype(np.float32)


def mel(segment: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(1, 64, columns) normalised -> the same, at another level, with shifted bands and masks.

    Masks take the segment's mean, as in SpecAugment (Park et al. 2019): the lowest value would be a
    silence that speech never has, and sound then learns worse (measured on the sample set, sound
    alone: CCC .83 instead of .90).
    """
    bands, columns = segment.shape[1:]
    out = np.roll(segment, generator.integers(-MEL_SHIFT, MEL_SHIFT + 1), axis=1)
    out = (out + generator.uniform(-MEL_LEVEL, MEL_LEVEL)).astype(np.float32)
    mean = out.mean()
    for _ in range(MEL_MASKS):
        wide = generator.integers(0, MEL_MASK_BANDS + 1)
        long = generator.integers(0, min(MEL_MASK_COLUMNS, columns) + 1)
        band = generator.integers(0, bands - wide + 1)
        column = generator.integers(0, columns - long + 1)
        out[:, band : band + wide] = mean
        out[:, :, column : column + long] = mean
    return out


def switched_off(count: int, chance: float, generator: np.random.Generator) -> np.ndarray:
    """(count,) bool: streams that are switched off in an example, with equal probability; at least
    one stays on.
    """
    drawn, kept = generator.random(count) < chance, generator.integers(count)
    if drawn.all():
        drawn[kept] = False
    return drawn


def mask(
    rows: np.ndarray,
    bands: int,
    generator: np.random.Generator,
    masks: int,
    most_bands: int,
    time_share: float,
) -> None:
    """Hide neighbouring bands, and neighbouring frames, in place (SpecAugment, Park et al. 2019).

    rows : (T, k) standardised, so that 0 is the mean, which masks take; the first `bands` columns
        are those of a spectrum. masks : of each kind; `most_bands`: widest one; `time_share`: of
        all frames, longest one.
    """
    frames = len(rows)
    for _ in range(masks):
        wide = generator.integers(0, min(most_bands, bands) + 1)
        long = generator.integers(0, int(time_share * frames) + 1)
        band = generator.integers(0, bands - wide + 1)
        first = generator.integers(0, frames - long + 1)
        rows[:, band : band + wide] = 0
        rows[first : first + long] = 0
