"""Pass a recording's sound through an encoder of waveforms, in overlapping windows that are joined
in the middle of their overlap; then bring the rows onto video frames by the recording's clock.

A row of such a network stands for some 25 ms of sound, and rows begin 20 ms apart: `Grid`. Windows
begin on that grid, so that the convolutions of neighbouring windows see the same samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from ..media.sound import SPEECH_RATE, as_float
from ..media.stretches import ROWS, Share
from ..models import device as models_device
from ..models import memory
from ..store import give_back
from . import encoders
from .encoder_arrays import moments, refuse_layers, rows_in
from .encoder_files import PREPROCESSOR, read

AT_MOST, ON_CPU = 16, 1  # windows at once on a GPU and on a CPU
# s of context on either side of the part of a window that is kept. The positional convolution
# reaches 64 rows, 1.28 s, to either side (wav2vec 2.0, appendix B).
MARGIN = 2.0
BLOCK = 1 << 20  # samples that are summed up together
SLACK = 1e-6  # rows: tolerance for a frame's edge that falls on a row, however its time was rounded
EPSILON = 1e-7  # added to the variance of a recording (transformers, Wav2Vec2FeatureExtractor)


@dataclass(frozen=True)
class Grid:
    """Rows of convolutions without padding: row i sees ``stride·i`` to ``stride·i + reach``."""

    stride: int
    reach: int

    @classmethod
    def of(cls, config: Mapping) -> Grid:
        """Raises InputError for a network that takes no waveforms."""
        steps, widths = config.get("conv_stride"), config.get("conv_kernel")
        if not steps or not widths:
            raise InputError(
                f"a network of the kind {config.get('model_type', '?')} takes no waveforms",
                where="an encoder `of: sound`",
                expected="wav2vec 2.0, HuBERT, WavLM, data2vec-audio, …",
                todo="take one of these, or `of: faces`",
            )
        reach = 1
        for width, step in zip(reversed(widths), reversed(steps), strict=True):
            reach = (reach - 1) * step + width
        return cls(prod(steps), reach)

    def rows(self, samples: int) -> int:
        """Number of rows that so many samples give."""
        return max(0, (samples - self.reach) // self.stride + 1)

    def samples(self, rows: int) -> int:
        """Number of samples that so many rows need."""
        return (rows - 1) * self.stride + self.reach

    def spans(self, times: np.ndarray, t0: float, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """First row of each video frame, and the one behind its last: rows whose middle lies within
        half a frame's spacing around its time, or the nearest one where there is none.

        times : (T,) s. t0 : s, of the first sample. A decreasing time stamp counts as equal to the
        previous one.
        """
        times = np.maximum.accumulate(np.asarray(times, np.float64))
        positions = ((times - t0) * SPEECH_RATE - self.reach / 2) / self.stride  # in rows
        half = float(np.median(np.diff(positions))) / 2 if len(positions) > 1 else 0.5
        first, last = (
            np.clip(np.ceil(positions + side * half - SLACK), 0, rows).astype(int)
            for side in (-1, 1)
        )
        nearest = np.clip(np.rint(positions), 0, rows - 1).astype(int)
        none = last <= first
        return np.where(none, nearest, first), np.where(none, nearest + 1, last)


def windows(rows: int, length: int, margin: int) -> list[tuple[int, int, int]]:
    """(begin, first, last) of each window, in rows: it begins at `begin`, and of it the rows
    `first` up to `last` are kept.

    All are `length` long, or as long as the recording where that is shorter. Neighbours share at
    least 2 · `margin` rows and are joined in the middle.
    """
    length = min(length, rows)
    begins = list(range(0, rows - length, max(1, length - 2 * margin)))
    begins.append(rows - length)  # also the only one
    joints = [(left + length + right) // 2 for left, right in pairwise(begins)]
    kept = pairwise([0, *joints, rows])
    return [(begin, *edges) for begin, edges in zip(begins, kept, strict=True)]


class Heard:
    """The rows of an encoder for a recording, window by window.

    first, last : of every video frame (`Grid.spans`). width : numbers per row. notes : to be said.
    """

    def __init__(self, inputs: Mapping, encoder, parameters: Mapping, torch_device: torch.device):
        self.encoder, self.place, self.sound = encoder, torch_device, inputs["sound"]
        self.layers, self.grid = parameters.get("layers", ()), Grid.of(encoder.config)
        samples = max(len(self.sound), self.grid.reach)
        rows, t0 = self.grid.rows(samples), inputs["sound_facts"]["t0"]
        length, margin = (
            round(seconds * SPEECH_RATE / self.grid.stride)
            for seconds in (parameters["seconds"], MARGIN)
        )
        self.windows = windows(rows, length, min(margin, length // 4))
        self.length = self.grid.samples(min(length, rows))
        times = np.asarray(inputs["time"])
        if rate := parameters.get("rate"):
            times = moments(times, rate)
        self.first, self.last = self.grid.spans(times, t0, rows)
        self.mean, self.sd, self.notes = _level(Path(inputs["config"]).parent, self.sound)
        beyond = int(((times < t0) | (times - t0 > len(self.sound) / SPEECH_RATE)).sum())
        if beyond:
            which = "spans" if rate else "frames"
            self.notes.append(f"{beyond} {which} before or after the sound have its nearest row")
        if encoder.config.get("feat_extract_norm") == "group" and len(self.windows) > 1:
            self.notes.append("its first layer normalises each window by itself")
        self.width = self._rows(0, 1).shape[-1]

    def share(self, stretch: slice) -> Share:
        """Frames, or spans of a rate, that are complete with one of the stretch's windows, and the
        windows that they need. A window belongs to the stretch in which the frame lies that first
        needs it. Sums over rows begin where those of one pass begin, so that the numbers are equal.
        """
        ends = np.array([last for _, _, last in self.windows])
        borders = list(stretch.indices(len(self.first))[:2])
        windows = np.searchsorted(ends, np.append(self.first, ends[-1])[borders], side="right")
        complete = np.searchsorted(self.last, np.append(0, ends), side="right")
        first, stop = complete[windows].tolist()
        begin, end = windows.tolist()
        if first < stop:  # the first one may need rows of a window before
            begin = int(np.searchsorted(ends, self.first[first], side="right"))
        facts = {} if stretch == slice(None) else {ROWS: [first, stop, len(self.first)]}
        return Share(first, stop, slice(begin, end if first < stop else begin), facts)

    def pieces(self, some: slice = slice(None)) -> Iterator[np.ndarray]:
        """(n, k) float32, all rows of some windows, or of the recording, one after the other."""
        windows, before = self.windows[some], some.start or 0
        at_once = memory.at_once(self.place, AT_MOST, on_cpu=ON_CPU)

        def compute(start: int, stop: int) -> np.ndarray:
            return self._rows(before + start, before + stop)

        for part, values in memory.pieces(compute, len(windows), at_once):
            kept = zip(windows[part], values, strict=True)
            yield np.concatenate(
                [rows[first - begin : last - begin] for (begin, first, last), rows in kept]
            )
            give_back(self.sound)

    def _rows(self, start: int, stop: int) -> np.ndarray:
        """(n, rows, k) of some windows."""
        begins = [begin * self.grid.stride for begin, _, _ in self.windows[start:stop]]
        waves = np.zeros((len(begins), self.length), np.float32)
        for wave, begin in zip(waves, begins, strict=True):
            samples = as_float(self.sound[begin : begin + self.length])
            wave[: len(samples)] = (samples - self.mean) / self.sd
        return (
            of_waves(self.encoder, torch.from_numpy(waves).to(self.place), self.layers)
            .cpu()
            .numpy()
        )


@torch.inference_mode()
def of_waves(encoder, waves: torch.Tensor, layers=()) -> torch.Tensor:
    """(N, samples) at 16 kHz → (N, rows, k): the last layer, or hidden ones side by side."""
    outputs = encoder.see(waves, output_hidden_states=bool(layers))
    if not layers:
        return outputs.last_hidden_state
    refuse_layers(layers, len(outputs.hidden_states) - 1)
    return torch.cat([outputs.hidden_states[layer] for layer in layers], dim=-1)


def _level(folder: Path, sound: np.ndarray) -> tuple[float, float, list[str]]:
    """The mean and standard deviation by which a recording is normalised, if the network was
    trained so (else 0 and 1); and a remark.
    """
    file = folder / PREPROCESSOR
    known = read(file) if file.is_file() else {}
    rate = known.get("sampling_rate", SPEECH_RATE)
    if rate != SPEECH_RATE:
        raise InputError(
            f"an encoder of sound at {rate} Hz",
            where=file,
            expected=f"{SPEECH_RATE} Hz",
            todo="take another network",
        )
    said = [] if known else [f"no {PREPROCESSOR}, assumed: each recording is standardised"]
    if not known.get("do_normalize", True):
        return 0.0, 1.0, said
    total, squares, count = 0, 0, max(1, len(sound))
    for start in range(0, len(sound), BLOCK):
        block = np.asarray(sound[start : start + BLOCK], np.int64)
        total, squares = total + int(block.sum()), squares + int((block**2).sum())
        give_back(sound)
    unit = float(as_float(np.array([1], np.int16))[0])
    mean = total / count
    variance = max(0.0, squares / count - mean**2) * unit**2
    return mean * unit, float(np.sqrt(variance + EPSILON)), said


def on_frames(
    pieces: Iterable[np.ndarray], first: np.ndarray, last: np.ndarray, begin: int = 0, done: int = 0
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (frames, (n, k) float32): the mean of the rows `first` up to `last` of each frame.

    pieces : (m, k) each, one after the other, from row `begin` on; only what the next frames need
    of them is kept. first, last : (T,) whole numbers that never fall. done : frames that are left
    out.
    """
    rows = None
    for piece in pieces:
        rows = piece if rows is None else np.concatenate([rows, piece])
        end = begin + len(rows)
        ready = int(np.searchsorted(last, end, side="right"))
        if ready > done:
            frames = slice(done, ready)
            sums = np.zeros((len(rows) + 1, rows.shape[1]))
            np.cumsum(rows, axis=0, dtype=np.float64, out=sums[1:])
            counts = (last[frames] - first[frames])[:, None]
            means = (sums[last[frames] - begin] - sums[first[frames] - begin]) / counts
            yield frames, means.astype(np.float32)
            done = ready
        needed = min(end, int(first[done])) if done < len(first) else end
        rows, begin = rows[needed - begin :], needed


@torch.inference_mode()
def make(
    inputs: Mapping,
    parameters: Mapping,
    create: Callable,
    device: str,
    stretch: slice = slice(None),
) -> None:
    """Fill (T, k): the mean of the network's rows within each frame's span, or the nearest one; at
    a rate (M, k), within each span of it. See `lib.store.Maker`. stretch : frames, of a long
    recording.
    """
    torch_device = models_device.pick(device)
    encoder = encoders.load(inputs, parameters, torch_device)
    heard = Heard(inputs, encoder, parameters, torch_device)
    dtype = encoders.kept(parameters)
    note = "; ".join(filter(None, [encoders.told(inputs, parameters, encoder), *heard.notes]))
    rate = parameters.get("rate")
    times = np.asarray(inputs["time"])
    facts = {"rate": rate, "t0": float(times[0])} if rate else {}
    share = heard.share(rows_in(stretch, times, rate) if rate else stretch)
    shape = share.stop - share.first, heard.width
    with create(shape, dtype, note=note, **facts, **share.told) as out:
        begins = [first for _, first, _ in heard.windows[share.items]]
        pieces, begin = heard.pieces(share.items), begins[0] if begins else 0
        for frames, values in on_frames(pieces, heard.first, heard.last, begin, share.first):
            here = slice(frames.start - share.first, frames.stop - share.first)
            out[here] = encoders.fitting(values, dtype)
            give_back(out)
