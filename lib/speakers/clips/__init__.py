"""Clips of equal length with sound and labels, from any data set: where videos are cut.

Definitions: speaker specification §2.2, §2.3. Frames count from 0 in their video; every cut of
sound is integer arithmetic, so that neighbouring clips tile without gap or overlap at any frame
rate. Modules: `sources` (what a data set offers), `labels` (voices and boxes -> labels per frame),
`make`, `numbering`, `index`, `verify`, `prune`, `plan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from ...errors import InputError

VERSION = 2  # of the written descriptions; raised when the same input gives other ones
SCHEMA = "avclip/1"
RATE = 16_000  # Hz of a clip's sound
MIN_TAIL = 1.0  # s; a last clip that is shorter is dropped and reported
MAX_GAP = 15  # frames between two boxes of a track that are filled by interpolation
FRAME_RULES = ("hard", "sym", "copy", "move", "none")
TAILS = ("keep", "drop", "pad")
NUMBERINGS = ("global", "clip")
CLIP_UNITS, VOICE_RULES = ("person", "track"), ("voice", "vad", "energy")
SPLITS = ("train", "val")  # test is never written


@dataclass(frozen=True)
class Settings:
    """Settings by which trees of clips of the same data differ; written into ``dataset.json``.

    length, hop : frames; hop 0 = length.
    frames : how pictures get into a clip (hard and symbolic links, copies, moved, or none: the
        description points at where they are).
    tail : what becomes of a last clip that is shorter.
    numbering : names of pictures after renumbering: the frame's number in its video, or in its
        clip.
    unit : one sequence per person, or one per track.
    voice : what the sound's label means.
    no_sound : a video without sound is taken, silent.
    max_gap : frames. min_tail : s.
    """

    length: int = 450
    hop: int = 0
    frames: str = "hard"
    tail: str = "keep"
    numbering: str = "global"
    unit: str = "person"
    voice: str = "voice"
    no_sound: bool = False
    max_gap: int = MAX_GAP
    min_tail: float = MIN_TAIL

    def __post_init__(self) -> None:
        if self.length < 1 or self.hop < 0 or self.max_gap < 0:
            raise InputError(
                f"clips of {self.length} frames every {self.hop or self.length}",
                expected="at least 1",
                todo="correct clip_length and clip_hop",
            )
        for name, value, choices in (
            ("frames", self.frames, FRAME_RULES),
            ("tail", self.tail, TAILS),
            ("numbering", self.numbering, NUMBERINGS),
            ("unit", self.unit, CLIP_UNITS),
            ("voice", self.voice, VOICE_RULES),
        ):
            if value not in choices:
                raise InputError(
                    f"clips with {name}: {value}", expected=f"one of {', '.join(choices)}"
                )

    @property
    def step(self) -> int:
        return self.hop or self.length

    def told(self) -> dict:
        return asdict(self) | {"hop": self.step}


def settings_of(params: Mapping) -> Settings:
    """The settings in an experiment's parameters."""
    return Settings(
        length=params["clip_length"],
        hop=params["clip_hop"],
        frames=params["clip_frames"],
        tail=params["clip_tail"],
        numbering=params["clip_numbering"],
        unit=params["clip_unit"],
        voice=params["audio_label"],
        no_sound=params["clip_no_sound"],
    )


def root_of(params: Mapping, processed: Path) -> Path:
    """Folder of the tree: clips_root, or ``dataset_clips_L<length>`` below `processed`."""
    folder = str(params["clips_root"])
    if folder in ("", "."):
        return processed / f"dataset_clips_L{params['clip_length']}"
    return Path(folder)


@dataclass(frozen=True)
class Span:
    """One clip of a video: frames `start` to `stop` (exclusive), of which `n_frames` are there.

    They differ only with ``tail: pad``, where the name keeps the nominal end.
    """

    start: int
    stop: int
    n_frames: int

    @property
    def name(self) -> str:
        return f"clip_f{self.start:06d}"

    @property
    def sound_name(self) -> str:
        return f"audio_f{self.start:06d}_f{self.stop - 1:06d}.wav"


def spans(n_frames: int, fps: Fraction, settings: Settings) -> tuple[list[Span], int]:
    """All clips of a video, and the number of frames that its tail policy drops.

    A clip begins every `step` frames. The last one may be shorter: `keep` takes it from `min_tail`
    s on, `drop` never, `pad` always, at its full length. With a hop below the length, clips that
    hold no new frame are left out.
    """
    clips, covered = [], 0
    for start in range(0, n_frames, settings.step):
        stop = min(start + settings.length, n_frames)
        if stop <= covered:
            break
        whole = stop - start == settings.length
        if (
            whole
            or settings.tail == "pad"
            or (settings.tail == "keep" and stop - start >= settings.min_tail * fps)
        ):
            clips.append(
                Span(
                    start, start + settings.length if settings.tail == "pad" else stop, stop - start
                )
            )
            covered = stop
    return clips, n_frames - covered if settings.step <= settings.length else 0


def sample_of(frame: int, fps: Fraction, rate: int = RATE) -> int:
    """First sample of a frame, floor(frame · rate / fps), exactly."""
    return frame * rate * fps.denominator // fps.numerator


def first_number(span: Span, numbering: str) -> int:
    """Number in the name of a clip's first picture, after renumbering."""
    return span.start if numbering == "global" else 0
