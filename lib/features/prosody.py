"""How a voice is used: pitch, voicing and level per frame of a sound.

Pitch is Boersma's (1993, "Accurate short-term analysis of the fundamental frequency and the
harmonics-to-noise ratio of a sampled sound", IFA Proceedings 17, 97–110): the autocorrelation of a
Hann-windowed frame divided by that of the window, a few candidates per frame, and the best path
through all frames, on which a frame may also be unvoiced. Costs and thresholds are the paper's. Its
sinc interpolation is done here by zero-padding the spectrum, and a parabola at each maximum. This
is our own code because torchaudio's pitch detection is another method (cross-correlation and a
median filter) without a decision on voicing.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..media.recordings import FULL_SCALE

RATE = 16_000  # Hz
HOP = 160  # samples: 10 ms
LOWEST, HIGHEST = 65.0, 700.0  # Hz: chosen here, from a man's low voice to a scream
PERIODS = 3  # of the lowest pitch in a window
FINER = 4  # values of the autocorrelation per sample
CANDIDATES = 6  # per frame, beside "unvoiced"
VOICING_THRESHOLD = 0.45
SILENCE_THRESHOLD = 0.03  # share of the highest peak of the sound
OCTAVE_COST = 0.01  # favours the higher one of two equally strong pitches
OCTAVE_JUMP_COST = 0.35  # per octave, from one frame to the next
VOICING_CHANGE_COST = 0.14
COST_HOP = 160  # samples: the last two costs are meant for frames that are 10 ms apart
QUIETEST = -100.0  # dB, the level of digital silence
BLOCK = 1000  # frames transformed at a time: 100 MB
TINY = np.finfo(np.float64).tiny


class Prosody(NamedTuple):
    """One value per frame, (T,) float32 each.

    pitch : Hz, NaN where no voice sounds.
    voicing : 0…1, the normalised autocorrelation at the pitch, or its highest value without one.
    level : dB under full scale, the root mean square of a Hann-weighted window; −100 and above.
    """

    pitch: np.ndarray
    voicing: np.ndarray
    level: np.ndarray


def measure(samples: np.ndarray, rate: int = RATE, hop: int = HOP) -> Prosody:
    """Pitch, voicing and level of a sound.

    Arguments
    ---------
    samples : (n,) mono, float in −1…1, or int16 as the store keeps it.
    rate : samples per second; must be 16 000.
    hop : samples from one frame to the next. Frame j is centred on sample ``j · hop``; silence lies
        before and after the sound.

    Returns T = 1 + n // hop values each, and none of an empty sound. Whether a frame is voiced
    depends on the whole sound: on its highest peak, and on the path through its frames.
    Raises InputError for another rate, several channels, or samples that are no numbers.
    """
    samples = _checked(samples, rate, hop)
    frames = n_frames(len(samples), hop)
    if not frames:
        return Prosody(*(np.zeros(0, np.float32) for _ in Prosody._fields))
    highest = np.abs(samples - samples.mean()).max()
    blocks = []
    for first in range(0, frames, BLOCK):
        windows = _windows(samples, first, min(first + BLOCK, frames), hop)
        blocks.append((*_candidates(windows), _unvoiced(windows, highest), _level(windows)))
    pitches, strengths, unvoiced, level = map(np.concatenate, zip(*blocks, strict=True))
    path = _best_path(pitches, strengths, unvoiced, COST_HOP / hop)
    pitch, voicing = _along(path, pitches, strengths)
    return Prosody(*(row.astype(np.float32) for row in (pitch, voicing, level)))


def n_frames(n_samples: int, hop: int = HOP) -> int:
    """Frames of a sound: 1 + n // hop, and none of an empty one."""
    return 1 + n_samples // hop if n_samples else 0


def spoken(level: np.ndarray, below: float = 40.0, margin: int = 10) -> slice:
    """The frames from the first to the last that is not silent.

    Arguments
    ---------
    level : (T,) dB.
    below : dB under the loudest frame at which silence begins.
    margin : frames of silence that are kept on either side, where there are so many.

    Returns a slice of 0…T.
    """
    level = np.asarray(level)
    loud = np.flatnonzero(level >= level.max(initial=QUIETEST) - below)
    if not len(loud):
        return slice(0, len(level))
    return slice(max(int(loud[0]) - margin, 0), min(int(loud[-1]) + margin + 1, len(level)))


def _checked(samples: np.ndarray, rate: int, hop: int) -> np.ndarray:
    samples = np.asarray(samples)
    if rate != RATE:
        raise InputError(
            f"sound at {rate} Hz",
            where="features.prosody",
            expected=f"{RATE} Hz",
            todo="read it with audio.decode(path, prosody.RATE)",
        )
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise InputError(
            f"sound of shape {samples.shape}, or with values that are no numbers",
            where="features.prosody",
            expected="(n,) finite samples of one channel",
        )
    if hop < 1:
        raise InputError(f"hop = {hop}", where="features.prosody", expected="at least 1 sample")
    scale = FULL_SCALE if samples.dtype == np.int16 else 1.0
    return samples.astype(np.float64) / scale


@cache
def _hann() -> np.ndarray:
    """(W,) window of three periods of the lowest pitch; W is odd, so that it has a middle."""
    length = 2 * round(PERIODS * RATE / LOWEST / 2) + 1
    return np.hanning(length + 2)[1:-1]


@cache
def _hann_lags() -> np.ndarray:
    """(lags,) autocorrelation of the window, 1 at lag 0."""
    lags = _autocorrelation(np.ones((1, len(_hann()))))[0]
    return lags / lags[0]


def _windows(samples: np.ndarray, first: int, last: int, hop: int) -> np.ndarray:
    """(N, W) samples around the middles of frames first … last − 1; zeros outside the sound."""
    half = len(_hann()) // 2
    start, stop = first * hop - half, (last - 1) * hop + half + 1
    inside = samples[max(start, 0) : stop]
    before = max(-start, 0)
    padded = np.pad(inside, (before, stop - start - before - len(inside)))
    return np.lib.stride_tricks.sliding_window_view(padded, len(_hann()))[::hop]


def _level(windows: np.ndarray) -> np.ndarray:
    mean_square = (windows**2) @ _hann() / _hann().sum()
    return np.maximum(10 * np.log10(np.maximum(mean_square, TINY)), QUIETEST)


def _unvoiced(windows: np.ndarray, highest: float) -> np.ndarray:
    """(N,) strength of the candidate "unvoiced": higher than any pitch's in a silent frame."""
    centred = windows - windows.mean(axis=1, keepdims=True)
    half, reach = centred.shape[1] // 2, centred.shape[1] // (2 * PERIODS)
    peak = np.abs(centred[:, half - reach : half + reach + 1]).max(axis=1)
    share = peak / highest if highest > 0 else np.zeros_like(peak)  # a constant is as silent as 0
    quiet = 2 - share * (1 + VOICING_THRESHOLD) / SILENCE_THRESHOLD
    return VOICING_THRESHOLD + np.maximum(quiet, 0)


def _autocorrelation(windows: np.ndarray) -> np.ndarray:
    """(N, lags) of Hann-weighted windows, `FINER` values per sample, up to the longest period."""
    points = 1 << (2 * len(_hann()) - 1).bit_length()
    power = np.abs(np.fft.rfft(windows * _hann(), points)) ** 2
    longest = FINER * int(np.ceil(RATE / LOWEST)) + 2
    return np.fft.irfft(power, FINER * points)[:, : longest + 1]


def _candidates(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, W) -> pitches in Hz and their strengths, (N, K) each; NaN and 0 if there are fewer."""
    lags = _autocorrelation(windows - windows.mean(axis=1, keepdims=True))
    lags = lags / np.maximum(lags[:, :1], TINY) / _hann_lags()
    before, here, after = lags[:, :-2], lags[:, 1:-1], lags[:, 2:]
    highest = (here >= before) & (here > after) & (here > 0)
    bend = np.where(highest, before - 2 * here + after, -1.0)
    shift = np.where(highest, (before - after) / (2 * bend), 0.0)
    strength = here - (before - after) * shift / 4
    pitch = RATE * FINER / (np.arange(1, lags.shape[1] - 1) + shift)
    usable = highest & (pitch >= LOWEST) & (pitch <= HIGHEST)
    heard = np.where(usable, pitch, LOWEST)
    merit = np.where(usable, strength + OCTAVE_COST * np.log2(heard / LOWEST), -np.inf)
    best = np.argsort(-merit, axis=1, kind="stable")[:, :CANDIDATES]
    usable, pitch, strength = (
        np.take_along_axis(values, best, axis=1) for values in (usable, pitch, strength)
    )
    # Dividing by the window's autocorrelation can lift noise above 1: such values are folded back.
    strength = np.where(strength > 1, 1 / np.maximum(strength, 1), strength)
    return np.where(usable, pitch, np.nan), np.where(usable, strength, 0.0)


def _best_path(
    pitches: np.ndarray, strengths: np.ndarray, unvoiced: np.ndarray, per_frame: float
) -> np.ndarray:
    """(T,) candidate of each frame on the best path (Viterbi): 0 unvoiced, k the k-th pitch.

    per_frame : factor on the costs of a change for frames that are not 10 ms apart.
    """
    octaves = np.log2(pitches / LOWEST)  # (T, K)
    merit = np.where(np.isnan(pitches), -np.inf, strengths + OCTAVE_COST * octaves)
    merit = np.concatenate([unvoiced[:, None], merit], axis=1)  # (T, 1 + K)
    octaves = np.nan_to_num(octaves)
    cost = np.full((merit.shape[1], merit.shape[1]), VOICING_CHANGE_COST * per_frame)
    cost[0, 0] = 0.0
    came_from, total = np.zeros(merit.shape, np.int64), merit[0]
    for frame in range(1, len(merit)):
        jump = np.abs(octaves[frame - 1][:, None] - octaves[frame])
        cost[1:, 1:] = OCTAVE_JUMP_COST * per_frame * jump
        reached = total[:, None] - cost
        came_from[frame] = reached.argmax(axis=0)
        total = reached.max(axis=0) + merit[frame]
    path = np.zeros(len(merit), np.int64)
    path[-1] = total.argmax()
    for frame in range(len(merit) - 1, 0, -1):
        path[frame - 1] = came_from[frame, path[frame]]
    return path


def _along(
    path: np.ndarray, pitches: np.ndarray, strengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pitch (T,), NaN where unvoiced, and voicing (T,) of a path through the candidates."""
    frames, chosen = np.arange(len(path)), np.maximum(path - 1, 0)
    pitch = np.where(path > 0, pitches[frames, chosen], np.nan)
    return pitch, np.where(path > 0, strengths[frames, chosen], strengths.max(axis=1))
