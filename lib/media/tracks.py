"""The sound tracks of a recording, decoded once from end to end: how loud each is, which one a
player would play, how to mix its channels, whether its time stamps agree with its samples.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import version
from . import channels, containers, drift

LEAST_AMPLITUDE = 2.0**-15  # of full scale: one step of 16 bits; anything lower is digital silence
MOSTLY = 0.5  # share of its length; a track that is silent for longer is reported


@dataclass(frozen=True)
class Track:
    """One sound track. `number` counts from 1. `level` is the root mean square of its loudest
    channel in dB of full scale, `silent` the share of its length in which no channel is heard;
    `mix` has the weights of its channels (`channels.weights`) by layout where they are not all one;
    `stamps` is what `drift.course` found, empty where stamps and samples agree; `broken` counts
    samples that are no numbers (`containers.finite`).
    """

    number: int
    default: bool = False
    title: str = ""
    level: float = -np.inf
    silent: float = 1.0
    seconds: float = 0.0
    mix: Mapping[str, Sequence[float]] = field(default_factory=dict)
    said: Sequence[str] = ()  # what `channels.weights` says of them
    stamps: Sequence = ()
    broken: int = 0

    @property
    def heard(self) -> bool:
        """Whether it has any sound."""
        return self.silent < 1

    def __str__(self) -> str:
        level = f"{self.level:.0f} dB" if self.heard else "silent"
        words = [self.title, level, "marked as default" if self.default else ""]
        return f"{self.number} ({', '.join(filter(None, words))})"


_KNOWN: dict[tuple, tuple[Track, ...]] = {}  # of this process; hours are not decoded twice


def of(path: Path) -> tuple[Track, ...]:
    """All sound tracks of a file; none: (). Raises InputError for a file that cannot be opened."""
    if Path(path).is_dir():
        return ()
    key = _place(path)
    if key not in _KNOWN:
        _KNOWN[key] = _listened(Path(path))
    return _KNOWN[key]


def remember(path: Path, known: Sequence[Track]) -> None:
    """Take over the result of an earlier process for this file."""
    _KNOWN[_place(path)] = tuple(known)


def _place(path: Path) -> tuple:
    return Path(path).absolute(), version(path) if Path(path).exists() else ()


def _listened(path: Path) -> tuple[Track, ...]:
    with containers.opened(path) as container:
        streams = enumerate(container.streams.audio, 1)
        listeners = [_Listener(number, stream) for number, stream in streams]
        if listeners:
            _listen(container, {listener.index: listener for listener in listeners})
    return tuple(listener.track() for listener in listeners)


def _listen(container, listeners: dict) -> None:
    """Decode all sound in one pass. Undecodable parts are skipped here; reading the sound reports
    them.
    """
    error = containers.pyav().error.FFmpegError
    with contextlib.suppress(error):  # of a file that ends in the middle
        for packet in container.demux(list(container.streams.audio)):
            frames = []
            with contextlib.suppress(error):
                frames = packet.decode()
            for frame in frames:
                listeners[packet.stream.index].hear(frame)


class _Listener:
    """What is known of a track while it is decoded."""

    def __init__(self, number: int, track):
        self.number, self.index = number, track.index
        flags = containers.pyav().stream.Disposition
        self.default = bool(track.disposition & flags.default)
        words = (track.metadata.get(name, "") for name in ("title", "language"))
        self.title = next((word for word in words if word not in ("", "und")), "")
        self.products: dict[str, np.ndarray] = {}
        self.names: dict[str, list[str]] = {}
        self.samples: dict[str, int] = {}
        self.seconds = self.silence = 0.0
        self.broken = 0
        self.times, self.lengths = array("d"), array("d")

    def hear(self, frame) -> None:
        samples, length = containers.samples(frame), frame.samples / frame.sample_rate
        layout = frame.layout.name
        with np.errstate(invalid="ignore"):
            product = samples @ samples.T
        if not np.isfinite(product).all():
            frame, broken = containers.finite(frame)
            self.broken += broken
            samples = containers.samples(frame)
            product = samples @ samples.T
        if layout not in self.names:
            self.names[layout] = [channel.name for channel in frame.layout.channels]
            self.products[layout], self.samples[layout] = np.zeros_like(product), 0
        self.products[layout] = self.products[layout] + product
        self.samples[layout] += frame.samples
        self.seconds += length
        if np.diag(product).max() < LEAST_AMPLITUDE**2 * frame.samples:
            self.silence += length
        self.times.append(np.nan if frame.time is None else frame.time)
        self.lengths.append(length)

    def track(self) -> Track:
        powers = [np.diag(self.products[name]).max() / self.samples[name] for name in self.samples]
        mix, said = {}, []
        for layout, product in self.products.items():
            weights, words = channels.weights(product, self.names[layout])
            if words:
                mix[layout] = weights
                said.append(words)
        return Track(
            self.number,
            self.default,
            self.title,
            float(10 * np.log10(max([*powers, 1e-20]))),
            min(1.0, self.silence / self.seconds) if self.seconds else 1.0,
            self.seconds,
            mix,
            tuple(dict.fromkeys(said)),
            drift.course(np.array(self.times), np.array(self.lengths)),
            self.broken,
        )


def playing(tracks: Sequence[Track], asked: int = 0, where: object = "") -> Track:
    """The track that is heard: the one asked for, else what a player would play.

    That is the first one that is marked as default and has sound in it, else the first one with
    sound. asked : number from 1, 0 for none. Raises InputError where there is no such track.
    """
    if asked:
        if asked > len(tracks):
            raise InputError(
                f"sound track {asked} is asked for, and there are {len(tracks)}",
                where=where,
                expected="one of " + ", ".join(map(str, tracks)),
                todo="correct the parameter `audio_track`; 0 takes the one that a player plays",
            )
        return tracks[asked - 1]
    marked = [track for track in tracks if track.default]
    heard = [track for track in (*marked, *tracks) if track.heard]
    return (heard or marked or list(tracks))[0]


def notes(tracks: Sequence[Track], asked: int = 0) -> list[str]:
    """Sentences on what is unusual about the sound that is used; none for ordinary sound."""
    if not tracks:
        return []
    track, words = playing(tracks, asked), []
    if len(tracks) > 1:
        usual = track.number == playing(tracks).number
        why = "as a player would" if usual else "as audio_track says"
        listed = ", ".join(map(str, tracks))
        words.append(f"{len(tracks)} sound tracks, {listed}: number {track.number} is taken, {why}")
    if not track.heard:
        words.append("the sound is digital silence from beginning to end")
    elif track.silent > MOSTLY:
        words.append(f"the sound is digital silence for {track.silent:.0%} of its length")
    if track.broken:
        words.append(f"{track.broken} samples of the sound are no numbers: silence in their place")
    return [*words, *track.said, *drift.said(track.stamps)]


def fields(tracks: Sequence[Track], asked: int = 0, where: object = "") -> dict:
    """How the sound differs from the mean of all channels of the first track, as part of
    `made_from`; {} if it does not. Raises InputError if there is no such track.
    """
    if not tracks:
        return {}
    track = playing(tracks, asked, where)
    mixed = "; ".join(
        f"{layout}: " + " ".join(f"{weight:.3g}" for weight in weights)
        for layout, weights in track.mix.items()
    )
    facts = {
        "track": track.number if track.number > 1 else 0,
        "channels": mixed,
        "stamps": "followed" if track.stamps else "",
        "broken": "silence" if track.broken else "",
    }
    return {name: value for name, value in facts.items() if value}
