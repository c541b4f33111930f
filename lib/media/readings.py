"""How each recording is read where that is not the ordinary way, kept beside its arrays.

What is not ordinary stands in the parameters of the arrays whose numbers it changes, and so in
their names: ``origin`` (s; the file's clock does not begin with the recording), ``display``
(mirrored, …), ``track`` (not the first one), ``channels`` (not their mean), ``stamps`` (followed).
An ordinary recording has none of these, and its arrays bear the names that they always had.

To hear all sound of a recording takes seconds, so what was found lies in ``reading.json`` in the
video's folder of the store, where machines without the recording find it, too.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from .. import files, store
from ..errors import InputError
from . import recordings, tracks

KEPT = "reading.json"
VERSION = 1  # raised when another rule finds something else
FIELDS = ("origin", "display", "track", "channels", "stamps")
_KNOWN: dict[tuple, dict] = {}  # of this process


def of_time(trial: Mapping, place: store.Store) -> dict:
    """``{"origin": s}`` where the file's clock begins elsewhere than the recording, else {}."""
    return _view(trial, place, "origin")


def of_picture(trial: Mapping, place: store.Store) -> dict:
    """``{"display": "mirrored"}`` where a viewer does more than turn the picture, else {}."""
    return _view(trial, place, "display")


def of_sound(trial: Mapping, place: store.Store) -> dict:
    """``of_time`` where the sound is the video's own, and track, channels and stamps.

    Raises InputError where the track that is asked for (`Store.audio_track`) is not there.
    """
    named = trial.get("audio_path", "")
    own = named == trial.get("video_path", "")
    found = tracks.fields(heard(trial, place), place.audio_track, place.data_root / named)
    return {**(of_time(trial, place) if own else {}), **found}


def fields(trial: Mapping, place: store.Store) -> dict:
    """All that is not ordinary in a trial's recording."""
    found = {**of_time(trial, place), **of_picture(trial, place)}
    with contextlib.suppress(InputError):
        found |= of_sound(trial, place)
    return found


def words(found: Mapping) -> str:
    """The same for people."""
    sentences = {
        "origin": "the file's clock begins at {:g} s: times count from the recording's start",
        "display": "the picture is {}, as the file asks a viewer to show it",
        "track": "sound track {}",
        "channels": "weights of the channels, {}",
        "stamps": "the sound is stretched to its time stamps",
    }
    return "; ".join(sentences[name].format(found[name]) for name in FIELDS if name in found)


def heard(trial: Mapping, place: store.Store) -> tuple[tracks.Track, ...]:
    """The sound tracks of a trial's recording; () where there is none, or it cannot be read."""
    kept = _found(trial, place, "audio_path")
    known = tuple(tracks.Track(**told) for told in kept.get("tracks", ()))
    path = place.data_root / trial.get("audio_path", "")
    if known and path.is_file():
        tracks.remember(path, known)
    return known


def notes(trial: Mapping, place: store.Store) -> list[str]:
    """What a person should know of a trial's recording, one sentence each.

    Raises InputError where the track that is asked for is not there.
    """
    return [*said(trial, place, "visual"), *said(trial, place, "audio")]


def said(trial: Mapping, place: store.Store, step: str) -> list[str]:
    """`notes` about the clock and the picture ("visual"), or about the sound ("audio")."""
    if step == "audio":
        return tracks.notes(heard(trial, place), place.audio_track)
    view = {**of_time(trial, place), **of_picture(trial, place)} if step == "visual" else {}
    return [words({name: value}) for name, value in view.items()]


def _view(trial: Mapping, place: store.Store, name: str) -> dict:
    value = _found(trial, place, "video_path").get(name)
    return {name: value} if value else {}


def _found(trial: Mapping, place: store.Store, column: str) -> dict:
    """What is known of the file in a column of the trial table; {} of what cannot be read."""
    named = trial.get(column, "")
    if not named:
        return {}
    path = place.data_root / named
    folder = place.shelf("video", trial["video"]).folder
    if not path.is_file():
        return _kept(folder).get(column, {})
    key = (folder, path, column, files.version(path))
    if key not in _KNOWN:
        _KNOWN[key] = _kept_or_looked(path, folder, column)
    return _KNOWN[key]


def _kept_or_looked(path: Path, folder: Path, column: str) -> dict:
    head = {"version": VERSION, "of": store.fingerprint(path)}
    kept = _kept(folder)
    told = kept.get(column, {})
    if head == {name: told.get(name) for name in head}:
        return told
    try:
        told = {**head, **(_look(path) if column == "video_path" else _listen(path))}
    except InputError:
        return {}  # the maker of the array says why
    with contextlib.suppress(OSError, InputError):  # a store that cannot be written is read as well
        text = json.dumps({**kept, column: told}, indent=1, sort_keys=True)
        files.clear_leftovers(folder, f".{KEPT}.*.part", deep=False)  # of a killed process
        files.write_text(folder / KEPT, text + "\n")
    return told


def _look(path: Path) -> dict:
    info = recordings.probe(path)
    return {"origin": info.origin, "display": info.display}


def _listen(path: Path) -> dict:
    return {"tracks": [asdict(track) for track in tracks.of(path)]}


def _kept(folder: Path) -> dict:
    try:
        told = json.loads((folder / KEPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
