"""The sound of a video as clips need it: 16 kHz, mono, from the first frame, any piece of it."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...media import recordings
from . import RATE, Settings, Span, sample_of
from .sources import Source


def sound_of(span: Span, fps: Fraction) -> tuple[int, int]:
    """First and last (exclusive) sample of a clip; of a filled-up one, at its nominal end."""
    return sample_of(span.start, fps), sample_of(span.stop, fps)


class Sound:
    """The sound of a video from its first frame: a wav file in pieces, a film's at once."""

    def __init__(self, source: Source, n_samples: int):
        self.source, self.total, self.film = source, n_samples, None

    @staticmethod
    def length(source: Source, settings: Settings) -> int:
        """Samples that there are; 0 without sound."""
        if source.sound is None:
            if settings.no_sound:
                return 0
            raise InputError(
                "no sound",
                where=f"video {source.video}",
                expected=f"wav/{source.video}.wav",
                todo="extract it, or set `clip_no_sound: true` for silent clips",
            )
        if source.sound.suffix.lower() == ".wav":
            with _opened(source.sound) as file:
                return file.getnframes()
        return len(_of_film(source))

    def between(self, first: int, last: int) -> np.ndarray:
        """(last − first,) int16; silence where there is no sound."""
        out = np.zeros(last - first, "<i2")
        if self.total <= first:
            return out
        if self.source.sound.suffix.lower() == ".wav":
            with _opened(self.source.sound) as file:
                file.setpos(first)
                piece = np.frombuffer(file.readframes(min(last, self.total) - first), "<i2")
        else:
            self.film = _of_film(self.source) if self.film is None else self.film
            piece = self.film[first:last]
        out[: len(piece)] = piece
        return out


def _opened(path: Path):
    """A wav file of the one right kind."""
    try:
        file = wave.open(str(path))  # noqa: SIM115 - the caller closes it
    except FileNotFoundError as error:
        raise InputError(
            "the wav file is not there", where=path, todo="extract it again"
        ) from error
    except (wave.Error, EOFError, OSError) as error:
        raise InputError(
            f"the wav file cannot be read ({error or 'it ends in its header'})",
            where=path,
            expected=f"{RATE} Hz, mono, 16 bits",
            todo="extract it again",
        ) from error
    kind = (file.getframerate(), file.getnchannels(), file.getsampwidth())
    if kind != (RATE, 1, 2):
        file.close()
        raise InputError(
            f"a wav file of {kind[0]} Hz, {kind[1]} channels, {8 * kind[2]} bits",
            where=path,
            expected=f"{RATE} Hz, mono, 16 bits",
            todo=f"extract it again: ffmpeg -i VIDEO -ac 1 -ar {RATE} {path.name}",
        )
    return file


def _of_film(source: Source) -> np.ndarray:
    """(n,) int16 from the time of the first frame on."""
    sound, t0 = recordings.sound(source.sound, RATE)
    start = recordings.probe(source.film).video_start if source.film else 0.0
    shift = round((t0 - start) * RATE)
    sound = np.concatenate([np.zeros(shift, np.float32), sound]) if shift > 0 else sound[-shift:]
    return np.round(sound * recordings.FULL_SCALE).astype("<i2")
