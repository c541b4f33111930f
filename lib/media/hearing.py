"""The sound of a recording as one channel on the container's clock: one track, its channels mixed,
holes filled with silence, and placed by its stamps if they drift away from its samples.

Resampling is FFmpeg's, through PyAV, frame by frame, so that hours need little memory; torchaudio
resamples whole waveforms only, to other numbers.

Resampling is FFmpeg's, through PyAV, frame by frame, so that hours need little memory; torchaudio
resamples whole waveforms only, to other numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import InputError
from . import containers, drift, tracks


def pieces(path: Path, rate: int, asked: int = 0) -> Iterator[tuple[float, np.ndarray]]:
    """(time in s of its first sample, (n,) float32) piece by piece, without a gap between them.

    asked : number of the track from 1; 0: the one that a player would play (`tracks.playing`).
    Raises InputError where there is no sound, no such track, or it does not decode.
    """
    with containers.opened(path) as container:
        if not container.streams.audio:
            raise InputError(
                "no audio track",
                where=path,
                expected="a recording with sound",
                todo="leave the recording out, or train with modality: video",
            )
        track = tracks.playing(tracks.of(path), asked, path)
        decoded = containers.decoded(container, container.streams.audio[track.number - 1], path)
        reader = _followed if track.stamps else _counted
        t0, count = None, 0
        for start, samples in reader(decoded, track, rate):
            t0 = start if t0 is None else t0
            hole = 0 if start is None else max(0, round((start - t0) * rate) - count)
            for piece in (np.zeros(hole, np.float32), samples):
                if len(piece):
                    yield t0 + count / rate, np.clip(piece, -1, 1).astype(np.float32)
                    count += len(piece)
        if not count:
            raise InputError(
                "the sound is too short to be heard",
                where=path,
                expected="a recording with sound",
                todo="leave the recording out, or train with modality: video",
            )


class _Resampler:
    """Takes frames of a track, returns one channel at the requested rate."""

    def __init__(self, rate: int, track: tracks.Track):
        self.rate, self.mix, self.is_broken = rate, track.mix, bool(track.broken)
        self.resampler = self.form = None

    def push(self, frame, anew: bool = False) -> Iterator[np.ndarray]:
        """anew : first return all that came before, as at a hole, and start again."""
        if self.is_broken:
            frame, _ = containers.finite(frame)
        form = frame.format.name, frame.layout.name, frame.sample_rate
        if anew or form != self.form:
            yield self.close()
            # A flushed resampler takes no more sound, and each resampler takes one sample format
            # only.
            self.resampler = containers.pyav().AudioResampler(format="flt", rate=self.rate)
            self.form = form
        frame.pts = None  # times are tracked separately; the filter would warn about uneven stamps
        yield self._mono(self.resampler.resample(frame))

    def close(self) -> np.ndarray:
        return self._mono([] if self.resampler is None else self.resampler.resample(None))

    def _mono(self, resampled: list) -> np.ndarray:
        # FFmpeg's own down-mix to one float channel adds 0.71 of each side and can pass 1.
        weights = self.mix.get(self.form[1]) if self.form else None
        chunks = [np.zeros(0, np.float32)]
        for frame in resampled:
            every = containers.samples(frame)
            mixed = np.asarray(weights, np.float32) @ every if weights else every.mean(axis=0)
            chunks.append(mixed)
        return np.concatenate(chunks)


def _counted(decoded, track: tracks.Track, rate: int) -> Iterator[tuple[float | None, np.ndarray]]:
    """(time where sound begins, or None where it goes on without a hole; samples)."""
    resampler, end = _Resampler(rate, track), None
    for frame in decoded:
        time = frame.time if frame.time is not None else (end or 0.0)
        begins = end is None or time - end > drift.GAP_SECONDS
        end = (time if begins else end) + frame.samples / frame.sample_rate
        *before, samples = resampler.push(frame, anew=begins)
        for rest in before:
            yield None, rest
        yield (time if begins else None), samples
    yield None, resampler.close()


def _followed(decoded, track: tracks.Track, rate: int) -> Iterator[tuple[float | None, np.ndarray]]:
    """The same of sound that is stretched to stay with its stamps."""
    starts = {first: (points, clock) for first, points, clock in track.stamps}
    resampler, stretcher, end = _Resampler(rate, track), None, -np.inf
    for number, frame in enumerate(decoded):
        begins = number in starts
        *before, samples = resampler.push(frame, anew=begins)
        if stretcher is not None:
            yield from ((None, stretcher.push(rest)) for rest in before)
        if begins:
            if stretcher is not None:
                yield None, stretcher.close()
                end = stretcher.start + stretcher.given / rate
            points, clock = starts[number]
            stretcher = drift.Stretcher(points, clock, rate, max(clock[0], end))
            yield stretcher.start, np.zeros(0, np.float32)
        yield None, stretcher.push(samples)
    yield None, stretcher.push(resampler.close())
    yield None, stretcher.close()
