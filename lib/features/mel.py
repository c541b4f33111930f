"""Mel spectrograms: the power of a whole file once, the segment of a frame as a slice of it.

Constants are TSAV's (specification 1.4): 44.1 kHz, window 20 ms, hop 10 ms, 1024-point FFT,
periodic Hann, 64 HTK bands from 0 to 22.05 kHz without area norm, power 2; decibels, 80 dB floor;
(x + 14.8) / 19.895.

Corrected rule (specification 7.2): column j of a file is centred on its sample 441·j, and silence
lies before and after the file. A column that touches no sound is exactly zero, so a segment is a
slice of the file's columns, filled up with zeros, however far it reaches outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch

from ..errors import InputError
from ..media import sound

RATE = 44_100  # Hz
HOP = 441  # samples: 10 ms
WINDOW = 882  # samples: 20 ms
FFT = 1024  # next power of two
BANDS = 64
COLUMNS_A_SECOND = RATE // HOP
FLOOR = 80.0  # dB below the loudest value of the segment
SMALLEST = 1e-10  # power of silence: -100 dB
MEAN, SPREAD = -14.8, 19.895  # dB, the published normalisation
BLOCK = 2000  # columns transformed at a time: 20 s, 30 MB; larger ones are no faster


def columns(seconds: float) -> int:
    """Columns of a segment: 1 + 100 · seconds, rounded down (1001 for 10 s)."""
    return 1 + int(np.floor(seconds * COLUMNS_A_SECOND + 1e-6))


def power_mel(waveform: np.ndarray, rate: int = RATE) -> np.ndarray:
    """Power mel spectrogram of a whole file on its 441-sample grid.

    Arguments
    ---------
    waveform : (n,) float, mono, -1…1, or int16 as the store keeps it.
    rate : samples per second; must be 44 100.

    Returns (columns, 64) float32, power; row j is centred on sample 441·j. Rows before the first
    and after the last one would be exactly zero.
    """
    return np.concatenate([np.zeros((0, BANDS), np.float32), *power_blocks(waveform, rate)])


def power_blocks(waveform: np.ndarray, rate: int = RATE) -> Iterator[np.ndarray]:
    """`power_mel` block by block, so that hours need little memory: (≤ 2000, 64) float32."""
    waveform = _checked(waveform, rate)
    # Of a window only samples -440…440 round its centre have weight (the first Hann value is 0).
    total = 1 + -(-(waveform.size - 1) // HOP) if waveform.size else 0
    for first in range(0, total, BLOCK):
        yield _power_between(waveform, first, min(BLOCK, total - first))


def start_column(
    time: np.ndarray | float, t0: float, seconds: float, anchor: str = "centre"
) -> np.ndarray | int:
    """First column of the segment of a frame, rounded to the file's grid.

    Arguments
    ---------
    time : s, frame time(s) on the container's clock; a number or (T,) float.
    t0 : s, time of the file's first sample on the same clock.
    seconds : length of the segment.
    anchor : "centre": time ± seconds/2 (TSAV); "end": [time - seconds, time] (JCA).

    Returns int or (T,) int64; may be negative or beyond the file.
    """
    if anchor not in ("centre", "end"):
        raise InputError(f"anchor {anchor!r}", where="mel.start_column", expected="centre or end")
    before = seconds / 2 if anchor == "centre" else seconds
    column = np.floor((np.asarray(time, np.float64) - before - t0) * COLUMNS_A_SECOND + 0.5).astype(
        np.int64
    )
    return int(column) if column.ndim == 0 else column


def segment(mel: np.ndarray, start: int, columns: int) -> np.ndarray:
    """Normalised segment of one frame.

    Arguments
    ---------
    mel : (n, 64) float, power of the file (`power_mel`).
    start, columns : first column (may lie outside the file) and number of columns.

    Returns (64, columns) float32, the network's input; silence is (-100 + 14.8) / 19.895 = -4.2825.
    """
    return segments(mel, [start], columns)[0, 0]


def segments(mel: np.ndarray, starts: np.ndarray, columns: int) -> np.ndarray:
    """Normalised segments of several frames of one file, see `segment`.

    Returns (N, 1, 64, columns) float32.
    """
    return tensors(mel, starts, columns).numpy()


def stream(
    mel: np.ndarray,
    starts: np.ndarray,
    columns: int,
    device: torch.device | str = "cpu",
    at_once: int = 256,
) -> Iterator[torch.Tensor]:
    """`segments` of any number of frames, `at_once` at a time: (≤ at_once, 1, 64, columns)."""
    starts = np.asarray(starts, np.int64)
    for first in range(0, len(starts), at_once):
        yield tensors(mel, starts[first : first + at_once], columns, device)


def tensors(
    mel: np.ndarray, starts: np.ndarray, columns: int, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """`segments` as a tensor that is computed on `device` and stays there."""
    starts = np.asarray(starts, np.int64)
    if starts.size == 0:
        return torch.zeros(0, 1, BANDS, columns, device=device)
    first, stop = int(starts.min()), int(starts.max()) + columns
    # far apart: the columns between them need not be computed
    if stop - first > starts.size * columns:
        return torch.cat(
            [tensors(mel, starts[i : i + 1], columns, device) for i in range(starts.size)]
        )
    power = torch.from_numpy(_extended(mel, first, stop)).to(device)
    levels = (_decibels(power.T.contiguous()) - MEAN) / SPREAD  # (64, stop - first)
    positions = torch.from_numpy(starts - first).to(device)
    # (N, 64, columns), the one large copy
    chosen = levels.unfold(1, columns, 1).transpose(0, 1)[positions]
    loudest = levels.amax(dim=0).unfold(0, columns, 1)[positions].amax(dim=1)  # (N,)
    return torch.maximum(chosen, loudest[:, None, None] - FLOOR / SPREAD, out=chosen).unsqueeze(1)


def plain_segment(waveform: np.ndarray, start: int, columns: int) -> np.ndarray:
    """The same segment, cut from the waveform and transformed alone: slow, to test `segment`.

    Arguments
    ---------
    waveform : (n,) float, mono, -1…1.
    start, columns : in columns of the file's grid.

    Returns (64, columns) float32.
    """
    power = torch.from_numpy(_power_between(_checked(waveform, RATE), start, columns).T)
    return _published_decibels(power).numpy()


def published_span(time: float, seconds: float = 10.0) -> tuple[int, int]:
    """Offset and length in samples that the published code reads for a frame (specification 1.4).

    It means [time - 5 s, time + 5 s], but is too short before 10 s: 5 s -> [0, 5], 7 s -> [2, 9].
    """
    longest = int(seconds * RATE)
    offset = max(int(time * RATE - longest + longest // 2), 0)
    return offset, min(longest, max(int(time * RATE), WINDOW))


def published_segment(waveform: np.ndarray, time: float, seconds: float = 10.0) -> np.ndarray:
    """Network input by the published rule, defects included (specification 1.4).

    Reflected edges, early segments without look-ahead, and zero power filled in on the left where
    fewer samples were read, so that late segments stand too far right.

    Arguments
    ---------
    waveform : (n,) float, mono 44.1 kHz, -1…1, sample 0 at the first video frame.
    time : s, of the frame: its stamp as it is. Where the first frame's is not 0, all segments lie
        too late by that much: another defect that is kept (§1.8: sound that begins with the
        picture, stamps that need not).

    Returns (1, 64, columns) float32.
    """
    offset, length = published_span(time, seconds)
    piece = _checked(waveform, RATE)[offset : offset + length]
    read = torch.from_numpy(_extended(piece, 0, len(piece)))
    n_columns = columns(seconds)
    power = torch.zeros(BANDS, n_columns)
    if read.numel() > FFT // 2:  # reflection needs more samples than it adds
        spectrum = _transform(read, center=True)
        power[:, n_columns - spectrum.shape[1] :] = spectrum
    return _published_decibels(power).unsqueeze(0).numpy()


def published_input(waveform: torch.Tensor) -> np.ndarray:
    """(64, 1 + n // 441) float32: a waveform (n,) with reflected edges, in decibels, normalised
    (specification 2.3).
    """
    return _published_decibels(_transform(waveform, center=True)).numpy()


def _transform(sound: torch.Tensor, center: bool) -> torch.Tensor:
    """(n,) samples -> (64, columns) power, bit for bit that of torchaudio's MelSpectrogram (a test
    checks it); written out, so that columns in the middle of a recording can be computed alone.
    """
    spectrum = torch.stft(
        sound, FFT, HOP, WINDOW, torch.hann_window(WINDOW), center=center, return_complex=True
    )
    return torch.matmul(spectrum.abs().pow(2).T, _bands()).T


@cache
def _bands() -> torch.Tensor:
    """(513, 64) weights of triangular HTK mel bands: 2595 · log10(1 + f / 700), to 22.05 kHz."""
    from torchaudio.functional import melscale_fbanks  # takes half a second to import

    return melscale_fbanks(FFT // 2 + 1, 0.0, RATE / 2, BANDS, RATE)


def _power_between(waveform: np.ndarray, start: int, columns: int) -> np.ndarray:
    """(columns, 64) power of columns start… of the zero-extended waveform."""
    first = start * HOP - FFT // 2
    sound = _extended(waveform, first, first + (columns - 1) * HOP + FFT)
    return _transform(torch.from_numpy(sound), center=False).T.contiguous().numpy()


def _extended(array: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Rows start…stop-1 of an array that goes on with zeros on both sides, as a float32 copy."""
    rows = sound.cut(array, start, stop)
    return sound.as_float(rows) if rows.dtype == np.int16 else rows.astype(np.float32)


def _decibels(power: torch.Tensor) -> torch.Tensor:
    return 10 * torch.log10(power.clamp_min(SMALLEST))


def _published_decibels(power: torch.Tensor) -> torch.Tensor:
    """(64, columns) power to the network's input, the floor below the loudest value of all."""
    levels = _decibels(power)
    return (torch.maximum(levels, levels.max() - FLOOR) - MEAN) / SPREAD


def _checked(waveform: np.ndarray, rate: int) -> np.ndarray:
    waveform = np.asarray(waveform)
    if rate != RATE:
        raise InputError(
            f"sound at {rate} Hz",
            where="mel",
            expected=f"{RATE} Hz",
            todo="read it with media.sound(path, mel.RATE)",
        )
    if waveform.ndim != 1:
        raise InputError(
            f"a waveform of shape {waveform.shape}", where="mel", expected="(n,), mono"
        )
    return waveform if waveform.dtype == np.int16 else waveform.astype(np.float32, copy=False)
