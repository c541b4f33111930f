"""Sources of the clip maker: pictures or film, sound and labels of each video. One `Source` per
video.

Ego4D's layout has pictures or videos with annotated boxes and voices. Of other data sets the videos
are taken, and the labels in the store (valence and arousal, expression, action units, face found).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd

from ...datasets import ego4d
from ...datasets.ego4d_annotation import Annotations
from ...errors import InputError
from ...media import recordings
from ...store import Store, request
from . import SPLITS, Settings
from .labels import Labels, Person, of_annotation

LABEL_KINDS = ("va", "expression", "action_units")


@dataclass(frozen=True)
class Source:
    """One video. Of `pictures` (a folder) and `film` one is enough; `sound`: a wav file or film.

    label(n_frames, size) gives the `Labels` of its first `n_frames` of `size` (width, height) px.
    """

    video: str
    split: str
    fps: Fraction
    dataset: str
    pictures: Path | None
    film: Path | None
    sound: Path | None
    label: Callable[[int, tuple[int, int]], Labels]
    made_from: Mapping[str, str]

    def __str__(self) -> str:
        return self.video


def of_ego4d(
    root: Path, dataset: str, settings: Settings, expected: dict | None = None
) -> tuple[list[Source], ego4d.Layout]:
    """All videos of train and val with pictures or a film, and the layout with its report."""
    layout, sources = ego4d.look(root, expected), []
    for split in SPLITS:
        annotations = layout.annotations.get(split)
        origin = {}
        if annotations:
            origin = {"annotation": annotations.path.name, "sha256": _digest(annotations.path)}
        for uid in layout.ids[split]:
            folder, film = layout.pictures(uid), layout.video(uid)
            if folder or film:
                label = functools.partial(_annotated, layout.annotations, uid, settings)
                places = (folder, film, layout.sound(uid) or film)
                sources.append(Source(uid, split, ego4d.FPS, dataset, *places, label, origin))
    return sources, layout


@functools.lru_cache(maxsize=8)
def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _annotated(
    annotations: Mapping[str, Annotations],
    uid: str,
    settings: Settings,
    n_frames: int,
    size: tuple[int, int],
) -> Labels:
    for file in annotations.values():
        if uid in file.places:
            return of_annotation(file.read(uid), n_frames, size, settings.unit, settings.max_gap)
    return Labels((), faults=("not annotated",))


def of_trials(table: pd.DataFrame, store: Store, mismatch: str = "fit") -> list[Source]:
    """The train and val videos of a trial table; all persons of a video are in its clips."""
    sources = []
    for video, rows in table[table["split"].isin(SPLITS)].groupby("video", sort=False):
        trials = rows.to_dict("records")
        first = trials[0]
        film = store.data_root / first["video_path"]
        sound = store.data_root / first["audio_path"] if first["audio_path"] else None
        fps = Fraction(first["fps"] or recordings.probe(film).fps).limit_denominator(1001)
        label = functools.partial(_stored, trials, store, mismatch)
        sources.append(
            Source(video, first["split"], fps, store.dataset, None, film, sound, label, {})
        )
    return sources


def without_clips(table: pd.DataFrame) -> dict[str, int]:
    """Split other than `SPLITS` -> how many videos of a trial table are of it."""
    others = table[~table["split"].isin(SPLITS)]
    return others.groupby("split")["video"].nunique().to_dict()


def _stored(
    trials: list[dict], store: Store, mismatch: str, n_frames: int, size: tuple[int, int]
) -> Labels:
    """Persons of a data set without boxes: a face is visible where a crop is, or was found."""
    from ... import arrays  # imports SciPy, which only these data sets need

    faults: list[str] = []
    persons, seen = [], []
    for trial in trials:
        blocks = {}
        for kind in LABEL_KINDS:
            if trial[f"{kind}_path"]:
                label_request = request(kind, mismatch=mismatch)
                arrays.make(trial, label_request, store)
                blocks[kind] = _fit(arrays.read(trial, label_request, store), n_frames)
        seen.append(_visible(trial, store, n_frames, faults))
        visible = np.zeros(n_frames, bool) if seen[-1] is None else seen[-1]
        no_boxes, nothing = np.full((n_frames, 4), np.nan), np.zeros(n_frames, np.int8)
        persons.append(Person(trial["trial"], (), no_boxes, nothing, visible, None, blocks))
    unknown = any(mask is None for mask in seen)
    return Labels(tuple(persons), None if unknown else np.any(seen, axis=0), faults=tuple(faults))


def _visible(trial: dict, store: Store, n_frames: int, faults: list[str]) -> np.ndarray | None:
    from ... import arrays

    try:
        face_request = request("face_valid")
        choice = arrays.locate(trial, face_request, store).request.parameters.get("faces")
        if choice in ("centre", "none"):
            faults.append(
                f"trial {trial['trial']}: nobody has looked for a face (no crops, no detector)"
            )
            return None
        arrays.make(trial, face_request, store)
        return _fit(arrays.read(trial, face_request, store), n_frames).astype(bool)
    except InputError as error:
        faults.append(f"trial {trial['trial']}: not known where a face is ({error.what})")
        return None


def _fit(rows: np.ndarray, n_frames: int) -> np.ndarray:
    """The first `n_frames` rows of an array; unlabelled (NaN, −1) or False where it has none."""
    rows = np.asarray(rows)[:n_frames]
    unlabelled = {"f": np.nan, "b": False}.get(rows.dtype.kind, -1)
    out = np.full((n_frames, *rows.shape[1:]), unlabelled, rows.dtype)
    out[: len(rows)] = rows
    return out
