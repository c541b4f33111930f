"""How each recording is read if not in the ordinary way; stored beside its arrays.

Such a *reading* is part of the parameters of the arrays whose numbers it changes, and so of their
names: ``origin`` (s; the file's clock does not begin with the recording), ``picture`` (the video
track from 1, where the first one is a cover), ``display`` (mirrored, …), ``track`` (not the first
one), ``channels`` (not their mean), ``stamps`` (followed), ``broken`` (samples that are no
numbers), ``offset`` and ``speed`` (a separate recorder's sound, placed by what the camera heard
itself), ``stretches`` (a long recording's faces are followed in stretches that begin at these
frames). An ordinary recording has none of these.

Decoding all sound of a recording takes seconds, so the result is stored in ``reading.json`` in the
video's folder of the store, where machines without the recording find it, too.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from .. import files
from ..errors import InputError
from ..store import Request, Store, fingerprint, request
from . import recordings, separate, stretches, tracks

READING_FILE = "reading.json"
PLACED = "separate_sound"  # key of the result of `separate.placing`
VERSION = 1  # raised when a changed rule gives other results
FIELDS = (
    *("origin", "picture", "display", "track", "channels", "stamps", "broken", "offset", "speed"),
    "stretches",
)
_KNOWN: dict[tuple, dict] = {}  # of this process


def of_time(trial: Mapping, store: Store) -> dict:
    """``{"origin": s}`` where the file's clock begins elsewhere than the recording, and
    ``{"picture": n}`` where its first video track is a cover, else {}.
    """
    return {**_view(trial, store, "origin"), **_view(trial, store, "picture")}


def of_picture(trial: Mapping, store: Store) -> dict:
    """``{"display": "mirrored"}`` where a viewer does more than turn the picture, and
    ``{"picture": n}`` as in `of_time`, else {}.
    """
    return {**_view(trial, store, "display"), **_view(trial, store, "picture")}


def of_length(trial: Mapping, store: Store) -> dict:
    """``{"stretches": [0, 12600, …]}``, the first frames of the stretches that a long recording is
    worked on in (`stretches.starts`), else {}.
    """
    reading = _found(trial, store, "video_path")
    firsts = stretches.starts(reading.get("seconds", 0), reading.get("frames", 0), store.stretch)
    return {"stretches": firsts} if len(firsts) > 1 else {}


def resolve_length(trial: Mapping, wanted: Request, store: Store) -> Request:
    """The same request with the stretches of a long recording (`store.Maker.resolve`)."""
    return request(wanted.name, wanted.files, **{**of_length(trial, store), **wanted.parameters})


def of_sound(trial: Mapping, store: Store) -> dict:
    """``of_time`` where the sound is the video's own, and track, channels and stamps; of a separate
    recorder's file offset and speed.

    Raises InputError where the track that is asked for (`Store.audio_track`) is not there, and
    where a recorder's file and the camera have not heard the same.
    """
    file = trial.get("audio_path", "")
    in_video = file == trial.get("video_path", "")
    facts = tracks.fields(heard(trial, store), store.audio_track, store.data_root / file)
    if in_video:
        return {**of_time(trial, store), **facts}
    moved = of_recorder(trial, store)
    places = {"offset": moved.get("offset", 0.0), "speed": moved.get("speed", 1.0)}
    usual = {"offset": 0.0, "speed": 1.0}
    return {**facts, **{name: value for name, value in places.items() if value != usual[name]}}


def of_recorder(trial: Mapping, store: Store) -> dict:
    """What `separate.placing` finds of a trial whose sound is a file beside its video; {} where
    the sound is the video's own, or the camera has none to compare with.

    Raises InputError where the two have not heard the same.
    """
    names = [trial.get(column, "") for column in ("video_path", "audio_path")]
    if not all(names) or names[0] == names[1]:
        return {}
    folder = store.shelf("video", trial["video"]).folder
    video, sound = (store.data_root / name for name in names)
    kept = _kept(folder).get(PLACED, {})
    if not (video.is_file() and sound.is_file()):
        return kept.get("found", {})
    head = {"version": VERSION, "of": fingerprint(sound), "with": fingerprint(video)}
    if head != {name: kept.get(name) for name in head}:
        kept = {**head, "found": separate.placing(video, sound)}
        _keep(folder, PLACED, kept)
    return kept["found"]


def fields(trial: Mapping, store: Store) -> dict:
    """All fields of the reading of a trial's recording."""
    facts = {**of_time(trial, store), **of_picture(trial, store), **of_length(trial, store)}
    with contextlib.suppress(InputError):
        facts |= of_sound(trial, store)
    return facts


def words(reading: Mapping) -> str:
    """The same for people."""
    sentences = {
        "origin": "the file's clock begins at {:g} s: times count from the recording's start",
        "picture": "the picture is video track {}, as the ones before it are a cover",
        "display": "the picture is {}, as the file asks a viewer to show it",
        "track": "sound track {}",
        "channels": "weights of the channels, {}",
        "broken": "samples of the sound that are no numbers are {}",
        "stamps": "the sound is stretched to its time stamps",
        "offset": "the sound file begins at {:+.3f} s of the recording",
        "speed": "the sound is stretched by {:.6f}, as the recorder's clock ran apart",
        "stretches": "a long recording: faces are followed in {} stretches",
    }
    values = dict(reading)
    if "stretches" in values:
        values["stretches"] = len(values["stretches"])
    return "; ".join(sentences[name].format(values[name]) for name in FIELDS if name in values)


def heard(trial: Mapping, store: Store) -> tuple[tracks.Track, ...]:
    """The sound tracks of a trial's recording; () where there is none, or it cannot be read."""
    kept = _found(trial, store, "audio_path")
    known = tuple(tracks.Track(**track) for track in kept.get("tracks", ()))
    path = store.data_root / trial.get("audio_path", "")
    if known and path.is_file():
        tracks.remember(path, known)
    return known


def notes(trial: Mapping, store: Store) -> list[str]:
    """Sentences on what is unusual about a trial's recording.

    Raises InputError where the track that is asked for is not there.
    """
    return [*said(trial, store, "visual"), *said(trial, store, "audio")]


def said(trial: Mapping, store: Store, step: str) -> list[str]:
    """`notes` about the clock and the picture ("visual"), or about the sound ("audio")."""
    if step == "audio":
        sentences = tracks.notes(heard(trial, store), store.audio_track)
        moved = of_recorder(trial, store)
        return [*sentences, separate.said(moved)] if moved else sentences
    view = {**of_time(trial, store), **of_picture(trial, store)} if step == "visual" else {}
    return [words({name: value}) for name, value in view.items()]


def _view(trial: Mapping, store: Store, name: str) -> dict:
    value = _found(trial, store, "video_path").get(name)
    return {name: value} if value else {}


def _found(trial: Mapping, store: Store, column: str) -> dict:
    """The reading of the file in a column of the trial table; {} for an unreadable file."""
    file = trial.get(column, "")
    if not file:
        return {}
    path = store.data_root / file
    folder = store.shelf("video", trial["video"]).folder
    if not path.is_file():
        return _kept(folder).get(column, {})
    key = (folder, path, column, files.version(path))
    if key not in _KNOWN:
        _KNOWN[key] = _kept_or_looked(path, folder, column)
    return _KNOWN[key]


def _kept_or_looked(path: Path, folder: Path, column: str) -> dict:
    head = {"version": VERSION, "of": fingerprint(path)}
    reading = _kept(folder).get(column, {})
    # Earlier versions did not store a recording's length, nor which of its tracks is the picture. A
    # level that is NaN comes from sound with samples that are not finite.
    whole = column != "video_path" or {"seconds", "picture"} <= reading.keys()
    levels = [track.get("level") for track in reading.get("tracks", ()) if isinstance(track, dict)]
    whole = whole and not any(level != level for level in levels)
    if whole and head == {name: reading.get(name) for name in head}:
        return reading
    try:
        reading = {**head, **(_look(path) if column == "video_path" else _listen(path))}
    except InputError:
        return {}  # the array's maker reports why
    _keep(folder, column, reading)
    return reading


def _keep(folder: Path, column: str, reading: Mapping) -> None:
    with contextlib.suppress(OSError, InputError):  # a read-only store
        text = json.dumps({**_kept(folder), column: reading}, indent=1, sort_keys=True)
        files.clear_leftovers(folder, f".{READING_FILE}.*.part", deep=False)  # of a killed process
        files.write_text(folder / READING_FILE, text + "\n")


def _look(path: Path) -> dict:
    info = recordings.probe(path)
    seconds, frames = recordings.length(info)
    track = info.picture + 1 if info.picture else 0
    shown = {"origin": info.origin, "picture": track, "display": info.display}
    return {**shown, "seconds": seconds, "frames": frames}


def _listen(path: Path) -> dict:
    return {"tracks": [asdict(track) for track in tracks.of(path)]}


def _kept(folder: Path) -> dict:
    try:
        content = json.loads((folder / READING_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    columns = content.items() if isinstance(content, dict) else ()
    return {column: value for column, value in columns if isinstance(value, dict)}
