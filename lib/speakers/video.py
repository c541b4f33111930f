"""Who speaks when in a video: one score per face and frame, and files for other programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .. import arrays as arrays_module
from .. import trials
from ..errors import InputError
from ..faces import arrays, persons
from ..faces.tracking import BOX
from ..features import speaker_arrays
from ..files import named, write_text
from ..labels import csv_columns
from ..media import recordings, separate
from ..media.frames import ends, runs, spacing
from ..models import weights
from ..store import Store, request
from .arrays import device_of, durations

SMOOTH = 2  # frames to either side of the running mean, as in the published display (§3.4)
THRESHOLD = 0.5  # probability from which a face counts as speaking
# frames of a track below which its scores are not shown: so little sound tells a network nothing
MIN_TRACK_FRAMES = 3
LEAST_RATE = 0.5  # of the frames per second that a network learnt from; below it is said


@dataclass(frozen=True)
class Found:
    """Result of a speaker search: store, trial row, request for the faces' scores."""

    store: Store
    row: dict
    scores: object
    network: str
    note: str = ""


def find(
    video: Path,
    network: Path,
    params: Mapping,
    folder: Path,
    store: Store | None = None,
    row: Mapping | None = None,
) -> Found:
    """Track all faces of a video and score them; arrays are stored under ``<folder>/arrays``, or in
    `store`.

    network : a run's checkpoint, or a weights file as its authors published it
        (`lib.features.speaker_scores.load`).
    params : weights_root, device, faces, ``speaker_durations`` (s; scores are averaged over pieces
        of each, as published; none: windows). Raises InputError for a video without sound or
        picture, and for weights of another network.
    """
    from ..features import speaker_scores

    video, info = Path(video), recordings.probe(video)
    heard = separate.heard(video, info.audio_codec, params.get(separate.PARAMETER, False))
    if not heard:
        raise InputError(
            "this video has no sound, so nobody can be heard",
            where=video,
            expected="a recording with sound",
            todo="give a recording with sound",
        )
    device = device_of(params)
    detector = speaker_scores.load(Path(network), device)
    store = store or video_store(video, params, folder)
    row = dict(row) if row else video_row(video, info, heard.name)
    weights.provide(weights.path(arrays.DETECTOR, store.weights_root or Path("weights")))
    crop, size = speaker_scores.grey_size(detector)
    scores = speaker_arrays.wanted(Path(network), crop, size, durations(params), "track_speaking")
    arrays_module.make_all(row, [request("time"), request("tracks"), scores], store, device)
    card = weights.card_line(detector.name)
    times = np.asarray(arrays_module.read(row, request("time"), store))
    notes = [f"speaking: {detector.name}; {card}" if card else "", of_rate(times, detector.fps)]
    return Found(store, row, scores, detector.name, "; ".join(filter(None, notes)))


def of_rate(times: np.ndarray, learnt_from: float) -> str:
    """What must be said of a recording with far fewer frames than a network learnt from, "" for
    others: between two of them lips open and close unseen, and a frame that is held looks silent.

    times : (T,) s of the frames. learnt_from : frames per second.
    """
    step = spacing(times)
    if step * learnt_from * LEAST_RATE <= 1 + 1e-6:  # rounding
        return ""
    return (
        f"who speaks is uncertain: frames per second are {1 / step:.3g}, "
        f"and the network learnt from {learnt_from:g}"
    )


def video_store(video: Path, params: Mapping, folder: Path) -> Store:
    """A store of its own for one video."""
    root = params.get("weights_root")
    return Store(
        Path(folder) / "arrays",
        "video",
        Path(video).parent,
        params.get("faces", "auto"),
        Path(root) if root else None,
        audio_track=params.get("audio_track", 0),
    )


def video_row(video: Path, info: recordings.Info, heard: str) -> dict:
    """The trial row of a video that belongs to no data set; `heard` is the file with its sound."""
    stem = trials.usable(video.stem)
    return {
        **dict.fromkeys(trials.TEXT_COLUMNS, ""),
        **dict.fromkeys(("trial", "video", "subject"), stem),
        "dataset": "video",
        "split": "test",
        "video_path": video.name,
        "audio_path": heard,
        "n_frames": info.n_frames,
        "fps": info.fps,
        "duration": info.duration,
    }


def table(search: Found, smooth: int = SMOOTH, threshold: float = THRESHOLD) -> pd.DataFrame:
    """One row per face and frame, sorted, with the `COLUMNS` of the CSV file.

    frame (1-based), time (s), face (its name: left, right, a number), track, x, y, width, height
    (px), logit (of speaking, less that of not speaking), probability, smoothed (probability of the
    running mean of logits), speaking (0 or 1). Tracks of fewer than 3 frames are left out.
    """
    from ..features import speaker_scores

    tracks = np.asarray(arrays_module.read(search.row, request("tracks"), search.store))
    logits = np.asarray(arrays_module.read(search.row, search.scores, search.store))
    times = np.asarray(arrays_module.read(search.row, request("time"), search.store))
    names = face_names(tracks)
    difference = (logits[:, 1] - logits[:, 0]).astype(np.float32)
    level = difference.copy()
    for track in names:
        rows = tracks[:, 1] == track
        level[rows] = speaker_scores.smooth(difference[rows], smooth)
    frames = tracks[:, 0].astype(int)
    numbers = tracks[:, 1].astype(int)
    out = pd.DataFrame(
        {
            "frame": frames + 1,
            "time": times[frames],
            "face": [names[k] for k in numbers],
            "track": numbers,
            **dict(zip(("x", "y", "width", "height"), tracks[:, BOX].T.round(2), strict=True)),
            "logit": difference,
            "probability": _sigmoid(difference),
            "smoothed": _sigmoid(level),
        }
    )
    out["speaking"] = (out["smoothed"] > threshold).astype(int)
    long_enough = out.groupby("track")["frame"].transform("size") >= MIN_TRACK_FRAMES
    return out[long_enough].reset_index(drop=True)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(np.asarray(x, np.float64), -500, 500)))


def face_names(tracks: np.ndarray) -> dict[int, str]:
    """Track -> name of the face: the person's (`lib.faces.persons`), else ``track 7``."""
    names = {int(track): f"track {int(track)}" for track in np.unique(tracks[:, 1])}
    for person in persons.find(tracks):
        names |= dict.fromkeys(person.tracks, person.name or "1")
    return names


def segments(values: pd.DataFrame, times: np.ndarray) -> pd.DataFrame:
    """Who speaks when: face, start, stop (s), in order; a stretch ends with its last frame.

    values : the table of faces. times : (T,) s of all frames, those without a face too.
    """
    rows, stops = [], ends(times)
    for (face, _), track_rows in values.groupby(["face", "track"], sort=False):
        numbers = track_rows["frame"].to_numpy()
        for first, last in runs(track_rows["speaking"] == 1):
            cuts = np.flatnonzero(np.diff(numbers[first:last]) > 1) + first + 1
            for begin, end in zip(np.r_[first, cuts], np.r_[cuts, last], strict=True):
                start, stop = times[numbers[begin] - 1], stops[numbers[end - 1] - 1]
                rows.append([face, start, stop])
    stretches = pd.DataFrame(rows, columns=["face", "start", "stop"]).astype(
        {"start": float, "stop": float}
    )
    return stretches.sort_values(["start", "face"], ignore_index=True)


def write(values: pd.DataFrame, search: Found, folder: Path) -> list[Path]:
    """Write ``<video>_speakers.csv``, ``.json`` and ``.rttm`` into `folder`; returns the three
    paths. ``columns.json`` there says what the columns are.
    """
    times = np.asarray(arrays_module.read(search.row, request("time"), search.store), np.float64)
    name, spoken = search.row["video"], segments(values, times)
    csv_columns.record(folder, values.columns)
    content = csv_columns.as_text(values)
    return [
        write_text(named(folder, f"{name}_speakers", ".csv"), content),
        write_text(
            named(folder, f"{name}_speakers", ".json"),
            json.dumps(as_json(values, spoken, search), indent=1),
        ),
        write_text(named(folder, f"{name}_speakers", ".rttm"), rttm(spoken, name)),
    ]


def as_json(values: pd.DataFrame, spoken: pd.DataFrame, search: Found) -> dict:
    """The same as numbers and text: faces, boxes and scores per frame, and who speaks when."""
    faces = [
        {
            "face": face,
            "frames": rows["frame"].tolist(),
            "boxes": rows[["x", "y", "width", "height"]].to_numpy().round(2).tolist(),
            "logit": rows["logit"].astype(float).round(4).tolist(),
            "probability": rows["smoothed"].round(4).tolist(),
            "speaking": rows["speaking"].tolist(),
        }
        for face, rows in values.groupby("face")
    ]
    return {
        "video": search.row["video_path"],
        "network": search.network,
        "note": search.note,
        "boxes": "x, y, width, height in px; frames are counted from 1",
        "faces": faces,
        "speech": spoken.round(4).to_dict("records"),
    }


def rttm(spoken: pd.DataFrame, name: str) -> str:
    """Speech in NIST's Rich Transcription format (RTTM): one line per stretch."""
    clean = "_".join(name.split())
    return "".join(
        f"SPEAKER {clean} 1 {row.start:.3f} {row.stop - row.start:.3f} <NA> <NA> "
        f"{str(row.face).replace(' ', '_')} <NA> <NA>\n"
        for row in spoken.itertuples()
    )


def learnt(checkpoint: Path) -> bool:
    """Whether a file holds a network that tells who speaks: one of the recipe talknet, or a
    published one. Raises InputError for a file without weights.
    """
    from ..models import published

    if Path(checkpoint).suffix == published.MANIFEST:
        return False
    content = published.read(checkpoint)
    if published.is_run(content):
        return content["params"].get("recipe") == "talknet"
    return published.SPEAKER_HEAD in published.weights_in(content, checkpoint)
