"""Arrays on who speaks in a video: crops of all faces, scores of all faces, and one person's
probability.

Rows of `track_crops` and `track_speaking` are those of `tracks`: one per face and frame, whoever it
is. `speaking` is the row of one trial: NaN where the person is not seen.

Those of a long recording are made in stretches (`lib.media.stretches`). Each track has overlapping
windows on a grid of its own, which begins with the track; a window belongs to the stretch in which
it begins, so the windows, and the scores, are those of one piece.
"""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from ..faces import films, persons, speaker_crops, tracking
from ..faces.arrays import KEPT
from ..faces.faces import give_back
from ..files import weights_file
from ..media import readings, stretches
from ..models import weights
from ..store import ByStretch, Maker, Request, Store, request
from . import mfcc

WEIGHTS = "light_asd_ava"  # the published network that is used by default if its file exists
VERSIONS = {"track_crops": 2, "track_speaking": 1, "speaking": 1}  # 2: pixels are made square


def network_file(
    named: str, weights_root: Path | None, runs_root: Path | None = None
) -> Path | None:
    """The file of the network that tells who speaks: a run's checkpoint, a weights file, or
    Light-ASD's if it exists.

    named : run, or file relative to the repository root; "" means Light-ASD's. Returns None if
        there is none.
    """
    if not named:
        path = weights.path(WEIGHTS, weights_root) if weights_root is not None else None
        return path if path is not None and path.is_file() else None
    return weights_file(named, Path(runs_root or "runs"))


def wanted(
    file: Path, crop: str, size: int, durations: Sequence[float] = (), name: str = "speaking"
) -> Request:
    """The request for a person's speaking probability, by the network in `file`, which sees `crop`
    at `size` px.

    durations : s of the pieces that scores are averaged over, () for windows
        (`lib.features.speaker_scores.score`).
    name : "track_speaking" for the scores of all faces.
    """
    more = {"durations": [float(duration) for duration in durations]} if len(durations) else {}
    return request(name, {"network": file}, crop=crop, size=size, **more)


def resolve(trial: Mapping, asked: Request, store: Store) -> Request:
    """The same request with the person in it."""
    return request(asked.name, asked.files, **{**asked.parameters, "person": trial["person"]})


# ---- what they are made from
def sources_of_crops(trial: Mapping, asked: Request) -> dict:
    timed = {"time": request("time")} if stretches.is_cut(asked) else {}
    return {"video": trial["video_path"], "tracks": request("tracks", cuts=KEPT), **timed}


def sources_of_scores(trial: Mapping, asked: Request) -> dict:
    parameters = {name: asked.parameters[name] for name in ("crop", "size")}
    return {
        "crops": request("track_crops", **parameters),
        "tracks": request("tracks", cuts=KEPT),
        "time": request("time"),
        "sound": request("audio_16k", rate=mfcc.RATE),
        **asked.files,
    }


def sources_of_speaking(trial: Mapping, asked: Request) -> dict:
    parameters = {name: value for name, value in asked.parameters.items() if name != "person"}
    return {
        "scores": request("track_speaking", asked.files, **parameters),
        "tracks": request("tracks"),
        "time": request("time"),
    }


# ---- making them
@contextlib.contextmanager
def part_of_crops(inputs, parameters, piece, create, device) -> Iterator[Callable]:
    """(n, S, S) uint8, one row for every row of `tracks` in the frames of a stretch
    (`store.ByStretch`).
    """
    tracks, size = np.asarray(inputs["tracks"]), parameters["size"]
    first, stop = tracking.rows(tracks, piece.first, piece.stop)
    with create((stop - first, size, size), np.uint8) as out:

        def feed(frame: int, picture: np.ndarray) -> None:
            shown = range(*tracking.rows(tracks, frame, frame + 1))
            grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if shown else None
            for row in shown:
                box = tracks[row, tracking.BOX]
                out[row - first] = speaker_crops.cut(grey, box, parameters["crop"], size)
            give_back(out, frame - piece.first)

        yield feed


make_crops = partial(films.in_one_pass, part_of_crops)


def make_scores(inputs, parameters, create, device) -> None:
    """(N, 2) float32 logits of [not speaking, speaking], one row for every row of `tracks`."""
    heard = _Heard(inputs, parameters, device)
    with create((len(heard.tracks), 2), np.float32) as out:
        for face in heard.faces():
            out[face.rows] = heard.scores(face, heard.logits(face, face.windows))


def make_windows(inputs, parameters, create, device, stretch: slice) -> None:
    """(n, 2) float32: the logits of all windows that begin in the frames of a stretch, one after
    the other (`store.ByStretch.rows`).
    """
    heard = _Heard(inputs, parameters, device)
    begin, end, _ = stretch.indices(len(inputs["time"]))
    logits, before, count = [], 0, 0
    for face in heard.faces():
        inside = []
        for window in face.windows:
            frame, length = heard.frame(face, window), window[1] - window[0]
            if begin <= frame < end:
                inside.append(window)
            before += length if frame < begin else 0
            count += length
        logits += heard.logits(face, inside)
    length = sum(map(len, logits))
    borders = [before, before + length, count]
    with create((length, 2), np.float32, begin=begin, **{stretches.ROWS: borders}) as out:
        out[...] = np.concatenate([np.empty((0, 2), np.float32), *logits])


def join_windows(inputs, parameters, parts: Sequence, create, origin: Mapping) -> None:
    """`make_scores` from the logits of all windows (`store.ByStretch.join`)."""
    heard = _Heard(inputs, parameters, "cpu")
    begins = [facts["begin"] for _, facts in parts]
    places = [0] * len(parts)

    def of_face(face: _Face) -> Iterator[np.ndarray]:
        for window in face.windows:
            number = bisect.bisect_right(begins, heard.frame(face, window)) - 1
            start = places[number]
            places[number] += window[1] - window[0]
            yield parts[number][0][start : places[number]]

    with create((len(heard.tracks), 2), np.float32, **origin) as out:
        for face in heard.faces():
            out[face.rows] = heard.scores(face, of_face(face))


@dataclass(frozen=True)
class _Face:
    """A tracked face on the network's frame grid.

    rows : of `tracks`. times : (n,) s, of the frames in which it is tracked. when : (T,) s of the
    grid. shown : (T,) which of the rows is shown at each. rules : see `speaker_scores.rules`.
    """

    rows: np.ndarray
    times: np.ndarray
    when: np.ndarray
    shown: np.ndarray
    rules: list

    @property
    def windows(self) -> Iterator[tuple[int, int]]:
        """(start, stop) on the grid of each window in which it is scored."""
        return (window for _, windows in self.rules for window in windows)


class _Heard:
    """All faces of a video, its sound, and the network that scores them."""

    def __init__(self, inputs: Mapping, parameters: Mapping, device: str):
        from . import speaker_scores  # torch is needed for these arrays only

        self._net = speaker_scores
        self._detector = speaker_scores.load(
            inputs["network"], device if device != "auto" else _device()
        )
        self._crops, self._sound = inputs["crops"], inputs["sound"]
        self._t0 = inputs["sound_facts"]["t0"]
        self._times, self.tracks = np.asarray(inputs["time"]), np.asarray(inputs["tracks"])
        self._durations = parameters.get("durations", ())

    def faces(self) -> Iterator[_Face]:
        """Every track, in the order of their numbers."""
        for track in np.unique(self.tracks[:, 1]):
            rows = np.flatnonzero(self.tracks[:, 1] == track)
            times = self._times[self.tracks[rows, 0].astype(int)]
            when, shown = self._net.grid(times, self._detector.fps)
            rules = self._net.rules(self._detector, len(when), self._durations)
            yield _Face(rows, times, when, shown, rules)

    def frame(self, face: _Face, window: tuple[int, int]) -> int:
        """The video's frame with which a window begins."""
        return int(self.tracks[face.rows[face.shown[window[0]]], 0])

    def logits(self, face: _Face, windows: Iterable[tuple[int, int]]) -> Iterator[np.ndarray]:
        """(stop − start, 2) float32 of each window."""
        first = mfcc.at_times(face.when, self._t0, self._detector.fps)
        crops, rows = self._crops, face.rows[face.shown]
        for start, stop in windows:
            yield self._net.logits(
                self._detector, lambda a, b: crops[rows[a:b]], self._sound, first, start, stop
            )

    def scores(self, face: _Face, every: Iterable[np.ndarray]) -> np.ndarray:
        """(n, 2) float32 of the frames in which it is tracked, from the logits of its windows."""
        logits = self._net.joined(face.rules, every, len(face.when))
        return self._net.on_frames(logits, face.when, face.times)


def _device() -> str:
    from ..models import device

    return str(device.pick("auto"))


def make_speaking(inputs, parameters, create, device) -> None:
    """(T,) float32, probability that the trial's person is heard; NaN where not seen."""
    from . import speaker_scores

    tracks, scores = np.asarray(inputs["tracks"]), np.asarray(inputs["scores"])
    person = persons.choose(
        persons.find(tracks), parameters["person"], inputs["tracks_facts"]["width"]
    )
    out = np.full(len(inputs["time"]), np.nan, np.float32)
    if person is not None:
        rows = np.isin(tracks[:, 1], person.tracks)
        out[tracks[rows, 0].astype(int)] = speaker_scores.probability(scores[rows])
    with create(out.shape, np.float32) as target:
        target[...] = out


MAKERS = [
    Maker(
        "track_crops",
        "visual",
        "video",
        VERSIONS["track_crops"],
        sources_of_crops,
        make_crops,
        readings.resolve_length,
        by_stretch=ByStretch(stretches.is_cut, part_of_crops, stretches.concatenated),
    ),
    Maker(
        "track_speaking",
        "audio",
        "video",
        VERSIONS["track_speaking"],
        sources_of_scores,
        make_scores,
        network=True,
        by_stretch=ByStretch(stretches.always, None, join_windows, rows=make_windows),
    ),
    Maker(
        "speaking",
        "audio",
        "trial",
        VERSIONS["speaking"],
        sources_of_speaking,
        make_speaking,
        resolve,
    ),
]
