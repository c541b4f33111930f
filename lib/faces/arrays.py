"""Arrays of a person's face in the store, and where faces come from: the data set's crops,
detection, the picture's centre, or nothing.

A request for a face says what is wanted (`face` of 64 px). Its source for a trial is decided here,
by the store's `faces` (the parameter of that name), and becomes a parameter of the array, so that
variants live side by side: no parameter for crops; ``faces: centre``; ``faces: none`` if a detector
is wanted but absent, so that no frame has a face; ``faces: detect`` with the person, and with the
detector if it is not the default one. The detector and its version are part of the fingerprint of
`tracks`, which all people of a video share.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import InputError, some
from ..files import COMMAND, version
from ..labels import lfan_rows
from ..media import readings, recordings, sound, stretches
from ..media.frames import spacing
from ..models import weights
from ..store import ByStretch, Maker, Request, Store, facts, fingerprint, read, request
from ..trials import has_picture
from . import (
    alignment,
    crops,
    detection,
    faces,
    films,
    following,
    looks,
    openface,
    persons,
    quality,
    tracking,
    tsav,
)

DETECTOR = "yunet"  # the detector of `faces: detect`; others are chosen by their names
CHOICES = ("auto", "crops", "detect", "centre")
# Facts of `face_valid`: frames of cuts that a track crossed, and places joined by similar looks.
CROSSED, JOINED = "crossed", "joined"
MOST_CUTS = 10_000  # of a film of hours
KEPT = "kept"  # `cuts` in a request for the raw tracks, before people are told apart
PIXELS = 16  # px, side of the pictures for the trivial predictors
NONE = "none"  # what `faces: auto` means without a detector
NO_DETECTOR = (
    f"no face detector: no frame counts as one with a face; `{COMMAND} weights get yunet` gets it, "
    "then run 02 again"
)


NO_PICTURE = f"sound only: {sound.ROW_RATE} rows per second stand for frames"


# ---- what a request means for a trial
def resolve(trial: Mapping, wanted: Request, store: Store) -> Request:
    """A request for a face with its defaults, the choice of faces and the person.

    Raises InputError for ``faces: crops`` if the data set has no crops of this trial.
    """
    parameters = {
        name: value
        for name, value in wanted.parameters.items()
        if name not in ("faces", "person", "detector")
    }
    choice = _choice(trial, wanted, parameters, store)
    if detector := detector_of(choice):
        return _detected(trial, wanted.name, parameters, store, detector)
    if choice == "crops":
        parameters |= openface.mark(trial, store, crops.csv_of(trial["crops_dir"]))
    other = {"faces": choice} if choice in ("centre", NONE) else {}
    return request(wanted.name, **parameters, **other, **_shown(trial, wanted.name, choice, store))


def _shown(trial: Mapping, name: str, choice: str, store: Store) -> dict:
    """The picture's orientation, for a face that is cut out of the video itself; detected faces
    have it in their tracks.
    """
    cut = choice == "centre" or trial["crops_dir"].endswith(tsav.SUFFIX)
    cut = cut or (choice == NONE and name == "pixels")
    return readings.of_picture(trial, store) if cut and name in ("face", "pixels") else {}


def detector_of(choice: str) -> str:
    """Name of the detector that a choice of `faces` means, "" for none."""
    if choice == "detect":
        return DETECTOR
    return choice if choice in detection.DETECTORS else ""


def _choice(trial: Mapping, wanted: Request, own: dict, store: Store) -> str:
    choice = wanted.parameters.get("detector") or wanted.parameters.get("faces", store.faces)
    if choice == "auto":
        if trial["crops_dir"]:
            return "crops"
        return "detect" if _can_detect(trial, wanted.name, own, store) else NONE
    if choice not in (*CHOICES, *detection.DETECTORS):
        raise InputError(
            f"faces: {choice}",
            expected=", ".join([*CHOICES, *detection.DETECTORS]),
            todo="correct the parameter `faces`",
        )
    if choice == "crops" and not trial["crops_dir"]:
        raise InputError(
            "this trial has no cropped faces",
            where=f"trial {trial['trial']}",
            expected="a folder of pictures, as `faces: crops` wants it",
            todo="set `faces: detect`, or put the crops where data_README.md says",
        )
    return choice


def _can_detect(trial: Mapping, name: str, own: dict, store: Store) -> bool:
    """Whether the detector's file exists, or its detections of this video do."""
    if store.weights_root is None:
        return False
    has_file = weights.path(DETECTOR, store.weights_root).is_file()
    shelf = store.shelf("trial", trial["trial"])
    return has_file or (
        any(shelf.folder.glob(f"{name}-*"))
        and bool(shelf.find(name, _detected(trial, name, own, store).parameters, VERSIONS[name]))
    )


def _detected(
    trial: Mapping, name: str, own: dict, store: Store, detector: str = DETECTOR
) -> Request:
    other = {} if detector == DETECTOR else {"detector": detector}
    return request(
        name, _files(detector, store), **own, faces="detect", person=trial["person"], **other
    )


def _files(detector: str, store: Store) -> dict[str, Path]:
    """The detector's file by its name in the registry; none for a detector that brings its own."""
    own = detection.kind(detector).weights
    return (
        {"detector": weights.path(detector, store.weights_root or Path("weights"))} if own else {}
    )


def resolve_tracks(trial: Mapping, wanted: Request, store: Store) -> Request:
    """A request for tracks with the detector and its version. In a film with cuts, which are known
    once its faces are tracked, it means the tracks whose people were told apart by their looks.
    """
    asked = dict(wanted.parameters)
    cuts = asked.pop("cuts", "")
    name = asked.get("detector") or detector_of(store.faces) or DETECTOR
    kind = detection.kind(name)
    parameters = {
        "detector": name,
        "detector_version": kind.version,
        "side": detection.SIDE,
        "every": tracking.EVERY,
        **readings.of_picture(trial, store),
        **readings.of_length(trial, store),
        **asked,
    }
    files = wanted.files or _files(name, store)
    if cuts != KEPT and _has_cuts(trial, parameters, store):
        parameters["cuts"] = looks.JOINED_CUTS
    return request("tracks", files, **parameters)


def _has_cuts(trial: Mapping, parameters: Mapping, store: Store) -> bool:
    """Whether the store holds tracks of a video, and these have cuts."""
    shelf, video = store.shelf("video", trial["video"]), store.data_root / trial["video_path"]
    all_facts = []
    for more in ({}, {"cuts": looks.JOINED_CUTS}):
        paths = shelf.find("tracks", {**parameters, **more}, VERSIONS["tracks"])
        all_facts += [facts(path) for path in paths]
    if video.is_file():
        identity = fingerprint(video)
        all_facts = [
            entry for entry in all_facts if entry["made_from"]["inputs"].get("video") == identity
        ]
    return any(entry.get("cuts") for entry in all_facts)


def prepare(trial: Mapping, wanted: Request, store: Store) -> None:
    """Download the detector when the first array that needs it is to be made.

    Raises InputError if ``faces: detect`` is impossible; ``auto`` then takes the picture's centre.
    """
    choice = wanted.parameters.get("faces", store.faces)
    if store.weights_root is None or not store.fetch:
        return
    if detector := detector_of(choice):
        for file in _files(detector, store).values():
            weights.provide(file)
    elif choice == "auto" and not trial["crops_dir"]:
        file = weights.path(DETECTOR, store.weights_root)
        if not file.is_file():
            _try_once(file)


@lru_cache(maxsize=8)
def _try_once(file: Path) -> None:
    with contextlib.suppress(InputError):
        weights.provide(file)


def detector(table, store: Store) -> list[Path]:
    """The detector's file, existing or not, if the faces of any trial depend on it, else
    nothing.
    """
    name = detector_of(store.faces) or (
        DETECTOR if store.faces == "auto" and (table["crops_dir"] == "").any() else ""
    )
    return list(_files(name, store).values()) if name and store.weights_root is not None else []


def fetch(table, store: Store) -> str:
    """Download the detector if the faces of any trial of a table depend on it and it is absent.

    Returns a sentence on the download or its failure; "" if there was nothing to do.
    """
    sentences = []
    for file in detector(table, store):
        try:
            sentences.append(
                weights.provide(file) if store.fetch or file.is_file() else NO_DETECTOR
            )
        except weights.AbsentError as error:
            sentences.append(f"{NO_DETECTOR} ({error.what})")
    return "; ".join(filter(None, sentences))


def note(resolved: Request, store: Store) -> str:
    """What a report must say of the choice that was made; "" for nothing."""
    return NO_DETECTOR if resolved.parameters.get("faces") == NONE else ""


# ---- opening arrays
def in_place(trial: Mapping, resolved: Request) -> bool:
    """Whether the data set's cropped faces are read as they are."""
    return not resolved.parameters.get("faces") and faces.in_place(trial["crops_dir"])


def open_faces(
    trial: Mapping, resolved: Request, path: Path | None, store: Store, read_other: Callable
) -> faces.Faces:
    """The faces of a trial: packed if the store has them (`path`), else read from the crops."""
    valid, size = read_other(request("face_valid")), resolved.parameters["size"]
    if path is not None:
        return faces.Faces(valid, size, packed=read(path))
    folder, times = store.data_root / trial["crops_dir"], np.asarray(read_other(request("time")))
    return faces.Faces(valid, size, crops_dir=folder, times=times)


# ---- inputs of arrays
def sources(trial: Mapping, wanted: Request) -> dict:
    """Inputs of `face`, `face_valid` and `pixels`."""
    choice = wanted.parameters.get("faces", "crops")
    if not has_picture(trial):
        raise InputError(
            "a recording without picture has no faces",
            where=f"trial {trial['trial']}: {trial['audio_path']}",
            expected="a video",
            todo="set `modality: audio`",
        )
    if choice == "detect":
        other = {
            name: wanted.parameters[name] for name in ("detector",) if name in wanted.parameters
        }
        return {
            "video": trial["video_path"],
            "tracks": request("tracks", wanted.files, **other),
            "time": request("time"),
        }
    if choice == NONE and wanted.name != "pixels":
        return {"time": request("time")}
    inputs = _crops(trial) if choice == "crops" else {"video": trial["video_path"]}
    return {**inputs, "time": request("time")}


def _crops(trial: Mapping) -> dict:
    """A folder of pictures, OpenFace's with its table, or an alignment file with the video it
    renders faces from.

    Or LFAN's pictures of the labelled frames, with the annotation that says which frames those are.
    """
    crops_dir = trial["crops_dir"]
    if crops_dir.endswith(lfan_rows.SUFFIX):
        return {"crops": crops_dir, **lfan_rows.annotation(trial)}
    if crops_dir.endswith(tsav.SUFFIX):
        return {"crops": crops_dir, "video": trial["video_path"]}
    table = crops.csv_of(crops_dir)
    return {"crops": crops_dir, **({"success": str(table)} if table else {})}


def sources_of_landmarks(trial: Mapping, wanted: Request) -> dict:
    """Inputs of `landmarks` and `mask`: detection gives both, the published TSAV database masks
    only.
    """
    if (
        wanted.name == "mask"
        and not wanted.parameters.get("faces")
        and trial["crops_dir"].endswith(tsav.SUFFIX)
    ):
        return {"alignment": trial["crops_dir"], "time": request("time")}
    if wanted.parameters.get("faces") != "detect":
        raise InputError(
            f"the array {wanted.name} needs landmarks, and cropped faces come without",
            where=f"trial {trial['trial']}",
            todo="set `faces: detect`",
        )
    return sources(trial, wanted)


def sources_of_quality(trial: Mapping, wanted: Request) -> dict:
    """Inputs of `face_quality`: the faces, and where they were detected in the picture."""
    face = request("face", size=wanted.parameters["size"])  # opened with `face_valid`: made after
    inputs = {"face_valid": request("face_valid"), "face": face, "time": request("time")}
    if wanted.parameters.get("faces") != "detect":
        return inputs
    other = {key: wanted.parameters[key] for key in ("detector",) if key in wanted.parameters}
    return {**inputs, "tracks": request("tracks", wanted.files, **other)}


def sources_of_tracks(trial: Mapping, wanted: Request) -> dict:
    """Inputs of `tracks`: the video and the detector, for a long video also its times; with cuts
    the video and the raw tracks.
    """
    times = {"time": request("time")} if "stretches" in wanted.parameters else {}
    if "cuts" not in wanted.parameters:
        return {"video": trial["video_path"], **wanted.files, **times}
    parameters = {**wanted.parameters, "cuts": KEPT}
    followed = request("tracks", wanted.files, **parameters)
    return {"video": trial["video_path"], "tracks": followed, **times}


# ---- making arrays
def make_time(inputs, parameters, create, device) -> None:
    """(T,) float64 s: the time stamp of every frame that decodes; for a recording without picture a
    row per 1/25 s of its sound.
    """
    if "sound" in inputs:
        times = sound.frame_times(inputs["sound"])
        with create(times.shape, np.float64, note=NO_PICTURE) as out:
            out[...] = times
        return
    join_times(inputs, parameters, recordings.frame_times(inputs["video"]), create, {})


def join_times(inputs, parameters, times: np.ndarray, create, origin) -> None:
    """`make_time` of the times of all frames (`store.ByStretch`)."""
    claimed = recordings.probe(inputs["video"]).n_frames
    other = f"the container claims {claimed} frames, {len(times)} decode"
    remarks = [other if claimed not in (0, len(times)) else "", readings.words(parameters)]
    remark = "; ".join(filter(None, remarks))
    with create(times.shape, np.float64, note=remark) as out:
        out[...] = times


def resolve_time(trial: Mapping, wanted: Request, store: Store) -> Request:
    """A request for times with the recording's start, where that is not 0 of the file's clock."""
    return request(wanted.name, **{**readings.of_time(trial, store), **wanted.parameters})


def sources_of_time(trial: Mapping, wanted: Request) -> dict:
    if not trial["video_path"]:
        return {"sound": trial["audio_path"]}
    return {"video": trial["video_path"]}


def make_tracks(inputs, parameters, create, device) -> None:
    """(N, 18) float32, see `tracking.COLUMNS`: all faces of a video; the JSON has the picture's
    width and height. In a film with cuts (N, 20), with the person.
    """
    if "tracks" in inputs:
        _make_people(inputs, create)
        return
    detector, changes, size = following.detector(inputs, parameters), [], {}

    def pictures() -> Iterator[np.ndarray]:
        for _, picture in recordings.frames(inputs["video"]):
            size.update(width=picture.shape[1], height=picture.shape[0])
            yield picture

    rows = tracking.track(
        pictures(), detector, parameters["every"], parameters["side"], changes=changes
    )
    _write_tracks(rows, changes, parameters, create, size)


def _write_tracks(rows, changes, parameters, create, tracks_facts: Mapping) -> None:
    """tracks_facts : facts on the picture's size, and on how the tracks were made."""
    cuts = tracking.shot_changes(changes)[:MOST_CUTS]
    said = [readings.words(parameters), films.words(tracks_facts)]
    note = {"note": "; ".join(filter(None, said))} if any(said) else {}
    with create(
        rows.shape, np.float32, **tracks_facts, **note, **({"cuts": cuts} if cuts else {})
    ) as out:
        out[...] = rows


def join_tracks(inputs, parameters, parts, create, origin) -> None:
    """`make_tracks` of a long recording, from its stretches (`store.ByStretch`)."""
    if "tracks" in inputs:
        tracks, every = np.asarray(inputs["tracks"]), _of_shots(inputs)
        seen = (row for rows, _ in parts for row in rows)
        _write_people(inputs, looks.averaged(seen, tracks, every), create, origin)
        return
    seen = [(rows, facts) for rows, facts in parts if "width" in facts]
    following.check([facts for _, facts in seen])
    rows, changes = following.join(rows for rows, _ in seen)
    size = {name: seen[0][1][name] for name in ("width", "height")}
    _write_tracks(rows, changes, parameters, create, {**size, **origin})


def _make_people(inputs, create) -> None:
    """Tracks with their persons, by how the faces look on both sides of cuts."""
    pictures = (picture for _, picture in recordings.frames(inputs["video"]))
    every = looks.look(pictures, np.asarray(inputs["tracks"]), _of_shots(inputs))
    _write_people(inputs, every, create, {})


def _of_shots(inputs) -> list[looks.Stretch]:
    return looks.stretches(np.asarray(inputs["tracks"]), inputs["tracks_facts"]["cuts"])


def _write_people(inputs, every: list[looks.Stretch], create, more: Mapping) -> None:
    """more : facts about how they were looked at."""
    tracks_facts, tracks = inputs["tracks_facts"], np.asarray(inputs["tracks"])
    rows = looks.with_people(tracks, looks.join(tracks, every))
    kept = {name: tracks_facts[name] for name in ("width", "height", "cuts")}
    count = len({stretch.who for stretch in every})
    note = (
        f"{len(tracks_facts['cuts'])} cuts: {len(every)} stretches of faces, by their looks {count}"
    )
    with create(rows.shape, np.float32, note=f"{note} people", **kept, **more) as out:
        out[...] = rows


@contextlib.contextmanager
def part_of_tracks(inputs, parameters, piece, create, device) -> Iterator[Callable]:
    """A stretch of a long recording (`store.ByStretch`): its raw tracks; in a second pass, if the
    recording has cuts, the looks of its faces, (n, 3, bins) float32.
    """
    if "tracks" not in inputs:
        with following.part(inputs, parameters, piece, create, device) as feed:
            yield feed
        return
    tracks, every = np.asarray(inputs["tracks"]), _of_shots(inputs)
    asked = looks.looked_at(tracks, every)
    asked = {frame: rows for frame, rows in asked.items() if piece.first <= frame < piece.stop}
    places = iter(range(sum(map(len, asked.values()))))
    shape = (sum(map(len, asked.values())), len(looks.BODY_PARTS), looks.BINS)
    with create(shape, np.float32) as out:

        def feed(frame: int, picture: np.ndarray) -> None:
            for _, row in asked.get(frame, ()):
                out[next(places)] = looks.histograms(picture, tracks[row, tracking.BOX])

        yield feed


def people(tracks: np.ndarray) -> list[persons.Person]:
    """`persons.find` for an array of the store. The last result is cached, because it takes long
    for a film and each of its stretches asks.
    """
    path = getattr(tracks, "filename", None)
    return _people(Path(path), version(path)) if path else persons.find(tracks)


@lru_cache(maxsize=2)
def _people(path: Path, _version: tuple) -> list[persons.Person]:
    return persons.find(read(path))


def points(inputs, parameters) -> tuple[np.ndarray, str]:
    """(T, 5, 2) landmarks of the trial's person in the picture, NaN if not seen; a note."""
    tracks, seen = np.asarray(inputs["tracks"]), people(inputs["tracks"])
    person = persons.choose(seen, parameters["person"], inputs["tracks_facts"]["width"])
    called = f" called {parameters['person']}" if seen else ""
    return persons.landmarks(
        tracks, person, len(inputs["time"])
    ), "" if person else f"nobody{called} was found"


def joining(inputs, parameters) -> dict:
    """Facts about a person who was followed over cuts: ``joined``, (s, similarity) of each place,
    and ``others``, the number of frames that show only faces of other looks; {} without cuts.
    """
    tracks, tracks_facts = np.asarray(inputs["tracks"]), inputs["tracks_facts"]
    if tracks.shape[1] <= persons.WHO:
        return {}
    person = persons.choose(people(inputs["tracks"]), parameters["person"], tracks_facts["width"])
    if person is None:
        return {}
    times = np.asarray(inputs["time"])
    places = persons.joined(tracks, person, tracks_facts["cuts"])
    joined = [[round(float(times[frame]), 3), round(alike, 3)] for frame, alike in places]
    others = len(np.unique(tracks[:, 0])) - person.n_frames
    return {JOINED: joined, "others": others}


def told_of_joining(joining_facts: Mapping) -> str:
    """A sentence on the facts of `face_valid`; "" without cuts."""
    if JOINED not in joining_facts:
        return ""
    joined, others = joining_facts[JOINED], joining_facts.get("others", 0)
    shown = some([f"at {time:.1f} s ({alike:.2f})" for time, alike in joined], 8)
    count = "a cut" if len(joined) == 1 else f"{len(joined)} cuts"
    words = [f"joined across {count}, as the faces look alike: {shown}"] if joined else []
    if others:
        words.append(f"in {others} frames only others are seen, who look unlike, with cuts between")
    return "; ".join(words)


def told_of_crossing(cuts: Sequence[int]) -> str:
    """A sentence on the cuts that a track crossed; "" if none did."""
    if not cuts:
        return ""
    shown = some([*map(str, cuts)], 8)
    count = "a cut was" if len(cuts) == 1 else f"{len(cuts)} cuts were"
    return f"{count} crossed, at frame {shown}: it may be several people"


def make_face(inputs, parameters, create, device) -> None:
    """(T, S, S, 3) uint8 RGB; black where there is no face."""
    size = parameters.get("size", PIXELS)
    landmarks, remark = points(inputs, parameters) if "tracks" in inputs else (None, "")
    with create((len(inputs["time"]), size, size, 3), np.uint8, note=remark) as out:
        if landmarks is not None:
            faces.fill_aligned(out, inputs["video"], landmarks)
        elif "crops" in inputs and inputs["crops"].suffix == tsav.SUFFIX:
            tsav.fill_faces(out, inputs["crops"], inputs["video"])
        elif "crops" in inputs and inputs["crops"].suffix == lfan_rows.SUFFIX:
            lfan_rows.fill_faces(out, inputs["crops"], inputs.get("annotation"))
        elif "crops" in inputs:
            faces.fill_from_crops(out, inputs["crops"], np.asarray(inputs["time"]))
        elif "video" in inputs:
            faces.fill_from_video(out, inputs["video"])


@contextlib.contextmanager
def part_of_face(inputs, parameters, piece, create, device) -> Iterator[Callable]:
    """`make_face` of a stretch of a long recording (`store.ByStretch`)."""
    size = parameters.get("size", PIXELS)
    landmarks, remark = points(inputs, parameters)
    shape = (piece.stop - piece.first, size, size, 3)
    with create(shape, np.uint8, note=remark) as out:

        def feed(frame: int, picture: np.ndarray) -> None:
            if np.isfinite(landmarks[frame, 0, 0]):
                out[frame - piece.first] = alignment.align(picture, landmarks[frame], size)
            faces.give_back(out, frame - piece.first)

        yield feed


def make_valid(inputs, parameters, create, device) -> None:
    """(T,) bool: whether the person's face was found."""
    n_frames, remark, joining_facts = len(inputs["time"]), "", {}
    if "tracks" in inputs:
        landmarks, remark = points(inputs, parameters)
        joining_facts = joining(inputs, parameters)
        remark = remark or told_of_joining(joining_facts)
        valid = np.isfinite(landmarks[:, 0, 0])
    elif "crops" in inputs and inputs["crops"].suffix == lfan_rows.SUFFIX:
        valid = lfan_rows.valid_rows(inputs["crops"], n_frames, inputs.get("annotation"))
    elif "crops" in inputs:
        if inputs["crops"].suffix == tsav.SUFFIX:
            valid = tsav.valid_rows(inputs["crops"], n_frames)
        else:
            valid = faces.valid_rows(inputs["crops"], n_frames, np.asarray(inputs["time"]))
            remark = _told_by_openface(inputs)
    else:
        valid = np.full(n_frames, "video" in inputs)
    with create((n_frames,), bool, note=remark, **joining_facts) as out:
        out[...] = valid


def _told_by_openface(inputs: Mapping) -> str:
    """Remarks on OpenFace's table; "" for crops without a table."""
    if not (table := inputs.get("success")):
        return ""
    times = np.asarray(inputs["time"])
    return "; ".join(openface.notes(Path(table), len(times), spacing(times)))


def make_quality(inputs, parameters, create, device) -> None:
    """(T, 2) float32: size and sharpness of the person's face (`quality`), NaN where not seen.

    The size is known where the face was detected in the picture; of cropped faces it is NaN.
    """
    n_frames = len(inputs["time"])
    out = np.full((n_frames, len(quality.COLUMNS)), np.nan, np.float32)
    remark = "the size of a face is known where it was detected: not of crops, nor of the centre"
    if "tracks" in inputs:
        tracks, width = np.asarray(inputs["tracks"]), inputs["tracks_facts"]["width"]
        person = persons.choose(people(inputs["tracks"]), parameters["person"], width)
        out[:, 0], remark = quality.sizes(persons.boxes(tracks, person, n_frames)), ""
    out[:, 1] = quality.of_faces(inputs["face"])
    with create(out.shape, np.float32, note=remark) as array:
        array[...] = out


def make_landmarks(inputs, parameters, create, device) -> None:
    """(T, 5, 2) float32, NaN if not seen: px of the picture, or of a face (``aligned=<side>``)."""
    landmarks, remark = points(inputs, parameters)
    with create(landmarks.shape, np.float32, note=remark) as out:
        out[...] = (
            aligned(landmarks, parameters["aligned"]) if parameters.get("aligned") else landmarks
        )


def aligned(landmarks: np.ndarray, size: int) -> np.ndarray:
    """(T, 5, 2) landmarks of the picture as they lie in the aligned faces of side `size`."""
    out = np.full_like(landmarks, np.nan)
    for row in np.flatnonzero(np.isfinite(landmarks[:, 0, 0])):
        out[row] = alignment.transform(landmarks[row], alignment.similarity(landmarks[row], size))
    return out


def make_mask(inputs, parameters, create, device) -> None:
    """(T, 112, 112) uint8: TSAV's fourth channel, from five landmarks; black where not seen."""
    if "alignment" in inputs:  # 68 published landmarks
        with create((len(inputs["time"]), tsav.SIZE, tsav.SIZE), np.uint8) as out:
            tsav.fill_masks(out, inputs["alignment"])
        return
    landmarks, remark = points(inputs, parameters)
    size = parameters.get("size", alignment.TEMPLATE_SIZE)
    remark = "; ".join(filter(None, [remark, "approximate: from five landmarks instead of 68"]))
    with create((len(landmarks), size, size), np.uint8, note=remark) as out:
        for row, five in enumerate(aligned(landmarks, size)):
            if np.isfinite(five[0, 0]):
                out[row] = alignment.mask(five, size)


# 2: interlaced pictures are made whole, those that change their size are scaled. 3: pixels are made
# square.
VERSIONS = {
    "tracks": 3,
    "face": 3,
    "face_valid": 1,
    "face_quality": 1,
    "pixels": 3,
    "landmarks": 1,
    "mask": 1,
}


def _is_detected(resolved: Request) -> bool:
    return resolved.parameters.get("faces") == "detect"


TIMES = ByStretch(stretches.always, None, join_times)
FOLLOWED = ByStretch(stretches.is_cut, part_of_tracks, join_tracks, lead=True)
ALIGNED = ByStretch(_is_detected, part_of_face, stretches.concatenated)


def _of_a_face(name: str, source: Callable, make: Callable, **more) -> Maker:
    return Maker(
        name, "visual", "trial", VERSIONS[name], source, make, resolve, prepare, note, **more
    )


MAKERS = [
    Maker("time", "visual", "video", 1, sources_of_time, make_time, resolve_time, by_stretch=TIMES),
    Maker(
        "tracks",
        "visual",
        "video",
        VERSIONS["tracks"],
        sources_of_tracks,
        make_tracks,
        resolve_tracks,
        tells=True,
        by_stretch=FOLLOWED,
    ),
    _of_a_face("face_valid", sources, make_valid),
    _of_a_face("face", sources, make_face, in_place=in_place, open=open_faces, by_stretch=ALIGNED),
    _of_a_face("face_quality", sources_of_quality, make_quality),
    _of_a_face("pixels", sources, make_face, by_stretch=ALIGNED),
    _of_a_face("landmarks", sources_of_landmarks, make_landmarks),
    _of_a_face("mask", sources_of_landmarks, make_mask),
]
