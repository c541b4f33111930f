"""34 cepstra and 12 chroma values every 42.7 ms: the features that ResLSTM-SA was published with.

The published system (arXiv 2606.03359) took librosa's numbers of recordings at 48 kHz: window and
FFT of 4096 samples, hop 2048. Here window and hop are as long in seconds at any rate; at 16 kHz, as
the store has the sound, they are 1365 and 683 samples with an FFT of 2048, and the bands end at 8
kHz instead of 24.

The bands are torchaudio's. Chroma and tuning are written from the description of librosa's
algorithm (its documentation; Ellis 2007, "Chroma feature analysis and synthesis"), since no package
of this repository has them; a test compares all numbers with those of librosa 0.11.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from ..media.sound import SPEECH_RATE
from .voice import played

RATE = SPEECH_RATE  # Hz, of the sound in the store
WINDOW, HOP = 4096 / 48_000, 2048 / 48_000  # s
CEPSTRA, CHROMA, BANDS = 34, 12, 128
COLUMNS = CEPSTRA + CHROMA
PERIOD = round(HOP * RATE) / RATE  # s from one row in the store to the next, as it is played
PUBLISHED_SCALE = 32768  # of 16 bits, as librosa reads them; the store's own is 32767
SMALLEST = 1e-10  # power of silence: −100 dB
RANGE = 80.0  # dB below the loudest band of the recording that are kept
BLOCK = 2000  # frames transformed at a time: 85 s, 40 MB

CONCERT_PITCH = 440.0  # Hz, the A of octave 4
FROM_A_TO_C = 3  # semitones: chroma begin with C, octaves here with A
CENTRE, SPREAD = 5.0, 2.0  # octaves: where the filters are highest, and the deviation around it
LOWEST, HIGHEST = 150.0, 4000.0  # Hz, of the peaks that tell the tuning
LEAST = 0.1  # of the frame's largest power, for a peak
CENTS = 100  # classes of the tuning's histogram


def measure(samples: np.ndarray, rate: int = RATE, speed: float = 1.0) -> np.ndarray:
    """Cepstra and chroma of a whole sound.

    Arguments
    ---------
    samples : (n,) mono, float in −1…1, or int16 as the store keeps it.
    rate : samples per second.
    speed : factor by which the sound is first played faster (`lib.features.voice.played`).

    Returns (1 + n // hop, 46) float32: 34 cepstra of the bands in dB, from coefficient 0; then 12
    chroma values in 0…1 from C on, in digital silence all 0. Row j is centred on sample ``j · hop``
    of the sound as played; silence lies before and after it. Two properties are those of the whole
    sound: bands are at most 80 dB below its loudest one, and chroma are relative to its tuning.
    """
    whole = np.asarray(samples).dtype == np.int16
    sound = played(np.asarray(samples, np.float64) / (PUBLISHED_SCALE if whole else 1.0), speed)
    bands, peaks = [], []
    for power in powers(sound, rate):
        bands.append(power @ _bands(power.shape[1], rate))
        peaks.append(_peaks(power, rate))
    bank = chroma_bank(sizes(rate)[2], rate, tuning(*np.concatenate(peaks, axis=1)))
    # Spectra are computed again: only now the tuning is known, and those of hours fill the memory.
    chroma = np.concatenate([power @ bank for power in powers(sound, rate)])
    highest = chroma.max(axis=1, keepdims=True)
    chroma = np.divide(chroma, highest, out=chroma, where=highest > np.finfo(np.float32).tiny)
    return np.column_stack([_cepstra(np.concatenate(bands)), chroma]).astype(np.float32)


def sizes(rate: int) -> tuple[int, int, int]:
    """Samples of window, hop and FFT (a power of two): 1365, 683, 2048 at 16 kHz."""
    window = round(WINDOW * rate)
    return window, round(HOP * rate), 1 << (window - 1).bit_length()


def powers(sound: np.ndarray, rate: int) -> Iterator[np.ndarray]:
    """Power spectra of a sound (n,), block by block: (≤ 2000, points / 2 + 1) each.

    The periodic Hann window lies in the middle of the FFT's points, these around sample j · hop.
    They are rounded to single precision, as librosa has them: the tuning is a mode, and where two
    cents have equally many peaks the last digits decide.
    """
    window, hop, points = sizes(rate)
    frames, before = 1 + len(sound) // hop, (points - window) // 2
    hann = np.zeros(points)
    hann[before : before + window] = np.hanning(window + 1)[:-1]
    padded = np.pad(sound.astype(np.float32), points // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, points)[::hop][:frames]
    for first in range(0, frames, BLOCK):
        spectrum = np.fft.rfft(windows[first : first + BLOCK] * hann)
        yield np.abs(spectrum.astype(np.complex64)) ** 2


@cache
def _bands(bins: int, rate: int) -> np.ndarray:
    """(bins, 128) triangular bands on Slaney's mel scale up to half the rate, each of one area."""
    from torchaudio.functional import melscale_fbanks  # takes half a second to import

    return melscale_fbanks(
        bins, 0.0, rate / 2, BANDS, rate, norm="slaney", mel_scale="slaney"
    ).numpy()


def _cepstra(bands: np.ndarray) -> np.ndarray:
    """(T, 128) power of all frames -> (T, 34)."""
    from scipy.fft import dct  # takes long to import, and training needs only rows that are there

    levels = 10 * np.log10(np.maximum(bands, SMALLEST))
    levels = np.maximum(levels, levels.max() - RANGE)
    return dct(levels, type=2, axis=1, norm="ortho")[:, :CEPSTRA]


def semitones(hertz: np.ndarray) -> np.ndarray:
    """Semitones above the A four octaves below concert pitch, 27.5 Hz."""
    return CHROMA * np.log2(np.asarray(hertz) / (CONCERT_PITCH / 16))


def chroma_bank(points: int, rate: int, tuning: float) -> np.ndarray:
    """(points / 2 + 1, 12) weights of the bins of an FFT in each semitone of the octave, from C.

    Arguments
    ---------
    points : of the FFT.
    rate : samples per second.
    tuning : semitones, −0.5…0.5, by which the sound's notes are higher than concert pitch.

    A bin counts as a Gaussian of its distance to the semitone in any octave, whose deviation is
    half a semitone, or half the distance of two bins where these are farther apart. The weights of
    a bin have an L2 norm of 1, and fall off by another Gaussian two octaves from 880 Hz.
    """
    places = semitones(np.arange(1, points // 2 + 2) * rate / points) - tuning
    # The constant has no place: it gets one so far below that it has a share in all semitones.
    places = np.concatenate([places[:1] - 1.5 * CHROMA, places])
    widths = np.maximum(np.diff(places), 1.0)[:, None]
    places = places[:-1, None]
    half = CHROMA / 2
    away = np.mod(places - np.arange(CHROMA) - FROM_A_TO_C + half, CHROMA) - half
    weights = np.exp(-0.5 * (2 * away / widths) ** 2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    return weights * np.exp(-0.5 * ((places / CHROMA - CENTRE) / SPREAD) ** 2)


def _peaks(power: np.ndarray, rate: int) -> np.ndarray:
    """(2, N) Hz and power of the peaks of spectra (T, bins) from 150 to 4000 Hz, which are at least
    a tenth of their frame's largest power; by a parabola through three bins.
    """
    hertz = np.arange(power.shape[1]) * rate / (2 * (power.shape[1] - 1))
    inside = ((hertz >= LOWEST) & (hertz < HIGHEST))[1:-1]
    before, here, after = power[:, :-2], power[:, 1:-1], power[:, 2:]
    loud = here > LEAST * power.max(axis=1, keepdims=True)
    frame, bin = np.nonzero(inside & loud & (here > before) & (here >= after))
    before, here, after = before[frame, bin], here[frame, bin], after[frame, bin]
    rise, bend = (after - before) / 2, before + after - 2 * here
    near = np.abs(rise) < np.abs(bend)  # else the parabola's top lies beyond the neighbour
    shift = np.where(near, -rise / np.where(near, bend, 1.0), 0.0)
    places = ((bin + 1 + shift) * hertz[1]).astype(np.float32)
    return np.stack([places, here + rise * shift / 2])


def tuning(hertz: np.ndarray, power: np.ndarray) -> float:
    """Semitones, −0.5…0.49, by which most peaks are higher than concert pitch: the cent from which
    on most of them lie, of those at least as strong as the median. 0 without peaks.

    hertz, power : (N,) of the peaks.
    """
    if not len(hertz):
        return 0.0
    beyond = np.mod(semitones(hertz[power >= np.median(power)]), 1.0)
    beyond = np.where(beyond >= 0.5, beyond - 1, beyond)
    counts, edges = np.histogram(beyond, np.linspace(-0.5, 0.5, CENTS + 1))
    return float(edges[counts.argmax()])


def make(inputs, parameters, create, device) -> None:
    """(T', 46) float32, see `measure`; beside it t0 in s, of the first row, and rate in rows per s,
    both on the recording's clock.
    """
    speed = parameters.get("speed", 1.0)
    rows = measure(np.asarray(inputs["sound"]), RATE, speed)
    rate = RATE / sizes(RATE)[1] / speed
    with create(rows.shape, np.float32, t0=inputs["sound_facts"]["t0"], rate=rate) as out:
        out[...] = rows
