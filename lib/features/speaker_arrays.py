"""Arrays on who speaks in a video: crops of all faces, scores of all faces, and one person's
probability.

Rows of `track_crops` and `track_speaking` are those of `tracks`: one per face and frame, whoever it
is. `speaking` is the row of one trial: NaN where the person is not seen.

The crops of a long recording are made in stretches (`lib.media.stretches`). Its scores are not:
each track has overlapping windows on a grid of its own, which begins with the track.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from .. import weights
from ..faces import films, persons, speaker_crops, tracking
from ..faces.arrays import KEPT
from ..faces.faces import give_back
from ..files import weights_file
from ..media import readings, stretches
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
        place = weights.path(WEIGHTS, weights_root) if weights_root is not None else None
        return place if place is not None and place.is_file() else None
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
    more = {"durations": [float(each) for each in durations]} if len(durations) else {}
    return request(name, {"network": file}, crop=crop, size=size, **more)


def resolve(trial: Mapping, asked: Request, store: Store) -> Request:
    """The same request with the person in it."""
    return request(asked.name, asked.files, **{**asked.parameters, "person": trial["person"]})


# ---- what they are made from
def sources_of_crops(trial: Mapping, asked: Request) -> dict:
    timed = {"time": request("time")} if stretches.is_cut(asked) else {}
    return {"video": trial["video_path"], "tracks": request("tracks", cuts=KEPT), **timed}


def sources_of_scores(trial: Mapping, asked: Request) -> dict:
    own = {name: asked.parameters[name] for name in ("crop", "size")}
    return {
        "crops": request("track_crops", **own),
        "tracks": request("tracks", cuts=KEPT),
        "time": request("time"),
        "sound": request("audio_16k", rate=mfcc.RATE),
        **asked.files,
    }


def sources_of_speaking(trial: Mapping, asked: Request) -> dict:
    own = {name: value for name, value in asked.parameters.items() if name != "person"}
    return {
        "scores": request("track_speaking", asked.files, **own),
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
    from . import speaker_scores  # torch is needed for this array only

    detector = speaker_scores.load(inputs["network"], device if device != "auto" else _device())
    tracks, times = np.asarray(inputs["tracks"]), np.asarray(inputs["time"])
    t0 = inputs["sound_facts"]["t0"]
    with create((len(tracks), 2), np.float32) as out:
        for track in np.unique(tracks[:, 1]):
            rows = np.flatnonzero(tracks[:, 1] == track)
            seen_at = times[tracks[rows, 0].astype(int)]
            heard = (inputs["sound"], t0, parameters.get("durations", ()))
            out[rows] = _of_track(detector, inputs["crops"], rows, seen_at, *heard)


def _device() -> str:
    from ..models import device

    return str(device.pick("auto"))


def _of_track(detector, crops, rows, times, sound, t0, durations):
    from . import speaker_scores

    when, shown = speaker_scores.grid(times, detector.fps)
    first = mfcc.at_times(when, t0, detector.fps)
    logits = speaker_scores.score(
        detector, lambda start, stop: crops[rows[shown[start:stop]]], sound, first, durations
    )
    return speaker_scores.on_frames(logits, when, times)


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
    with create(out.shape, np.float32) as place:
        place[...] = out


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
