"""The arrays of a trial: locate one, make it with all its inputs, open it.

The `MAKERS` of each family list its arrays and say how each is made. To add a feature, write a
function and a `Maker` beside it.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from . import store as store_module
from .errors import InputError
from .faces import arrays, films
from .faces.arrays import KEPT
from .faces.films import QUIET
from .features import (
    encoder_arrays,
    expression_arrays,
    network_arrays,
    own,
    sound_arrays,
    speaker_arrays,
)
from .files import clear_leftovers, version
from .labels import arrays as labels_arrays
from .media import readings, stretches
from .media.seeking import InexactError
from .parallel import memory
from .parallel.locks import held
from .store import Maker, Request, Store, request
from .trials import has_picture

FAMILIES = (
    arrays,
    sound_arrays,
    speaker_arrays,
    expression_arrays,
    network_arrays,
    encoder_arrays,
    own,
    labels_arrays,
)
WHOLE = -1  # instead of a stretch's number: the whole array
TOLD_APART = "people are told apart across cuts by how they look"
MAKERS = {maker.name: maker for family in FAMILIES for maker in family.MAKERS}
NOTEBOOKS = {
    "visual": "02_preprocess_visual",
    "audio": "03_preprocess_audio",
    "labels": "04_preprocess_labels",
}


@dataclass(frozen=True)
class Located:
    """Where an array of a trial lies. `made_from` is None if its inputs are absent and it was found
    by name. `sources` are its present inputs: files, and arrays that are located already, so that
    nobody looks for them again.
    """

    request: Request
    path: Path
    made_from: dict | None
    note: str = ""
    sources: Mapping[str, Path | Located] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        return films.is_there(self.path)

    @property
    def digits(self) -> str:
        return self.path.stem.rsplit("-", 1)[1]


def locate(trial: Mapping, wanted: Request, store: Store) -> Located:
    """Find where an array of this trial lies or will lie, without computing it.

    Raises InputError if an input is absent and no array, or more than one, matches name, parameters
    and version.
    """
    maker = maker_of(wanted)
    wanted = maker.resolve(trial, wanted, store)
    remark = maker.note(wanted, store)
    shelf = store.shelf(maker.owner, trial[maker.owner])
    sources, absent = _sources(trial, wanted, maker, store)
    inputs = {name: _fingerprint(source) for name, source in sources.items()}
    if not absent:
        made_from = {
            "name": wanted.name,
            "parameters": dict(wanted.parameters),
            "version": maker.version,
            "inputs": inputs,
        }
        return Located(wanted, shelf.path(made_from), made_from, remark, sources)
    paths = _of_these(shelf.find(wanted.name, wanted.parameters, maker.version), inputs)
    if len(paths) == 1:
        remark = f"used without its inputs ({absent[0].what})"
        return Located(wanted, paths[0], None, remark, sources)
    if paths:
        raise AbsentError(
            f"{len(paths)} arrays fit and their inputs are absent: "
            f"{', '.join(p.name for p in paths)}",
            where=f"trial {trial['trial']}, array {wanted}",
            expected=f"one of them ({absent[0].what})",
            todo="remove the one you do not mean with `python -m lib store rm`",
        )
    raise absent[0]


def _of_these(paths: list[Path], inputs: Mapping) -> list[Path]:
    """Of several variants, those whose known inputs agree; all if none do."""
    if len(paths) < 2:
        return paths
    made_from = {path: store_module.facts(path)["made_from"]["inputs"] for path in paths}
    fitting = [
        path
        for path, recorded in made_from.items()
        if all(recorded.get(name, known) == known for name, known in inputs.items())
    ]
    return fitting or paths


def of_trial(trial: Mapping, requests: Iterable[Request]) -> list[Request]:
    """Those requests that are asked for of a trial (`Request.only_with`)."""
    return [array_request for array_request in requests if not lacking(trial, array_request)]


def lacking(trial: Mapping, wanted: Request) -> str:
    """What keeps an array from being asked for of a trial: "no sound", "no picture"; else ""."""
    has = {"": True, "sound": bool(trial["audio_path"]), "picture": has_picture(trial)}
    return "" if has[wanted.only_with] else f"no {wanted.only_with}"


class AbsentError(InputError):
    """An input is absent, so that an array can neither be made nor be distinguished from its
    variants.
    """


def _sources(
    trial: Mapping, wanted: Request, maker: Maker, store: Store
) -> tuple[dict[str, Path | Located], list[AbsentError]]:
    """The inputs of an array, and an error for each absent one."""
    sources: dict[str, Path | Located] = {}
    absent = []
    for name, source in maker.sources(trial, wanted).items():
        try:
            sources[name] = _source(trial, wanted, source, store)
        except AbsentError as error:
            absent.append(error)
    return sources, absent


def _source(
    trial: Mapping, wanted: Request, source: Request | Path | str, store: Store
) -> Path | Located:
    if isinstance(source, Request):
        return locate(trial, source, store)
    path = store.data_root / source
    if not path.exists():
        raise AbsentError(
            f"an input is absent: {path}",
            where=f"trial {trial['trial']}, array {wanted}",
            expected="the file, or the array made from it",
            todo="put the file back, or copy the store's folder of this trial",
        )
    return path


def _fingerprint(source: Path | Located) -> dict:
    if isinstance(source, Located):
        return {"array": source.digits}
    return store_module.fingerprint(source)


def make(
    trial: Mapping, wanted: Request, store: Store, device: str = "cpu", pack: bool = True
) -> dict:
    """Make a trial's array, and its inputs, if they are missing; returns one row of the notebook's
    report.

    With ``pack=False`` cropped faces that can be read where the data set keeps them are not copied
    into one array. Keys: trial, array, state ("made", "there", "read in place"), seconds, note,
    path. A note "made anew: …" says that an older rule made an array of the same files, and what
    differs. Raises InputError.
    """
    started = time.perf_counter()
    maker = maker_of(wanted)
    maker.prepare(trial, wanted, store)
    located = locate(trial, wanted, store)
    packed, existed = pack or not maker.in_place(trial, located.request), located.exists
    if packed and not existed and _is_to_be_told(located):
        located = _with_inputs(trial, wanted, located, store, device)
    row = _made(trial, located, store, device, packed)
    if maker.tells and not existed and located.path != locate(trial, wanted, store).path:
        # The array just made may call for more: a film whose faces were tracked has cuts.
        row = make(trial, wanted, store, device, pack) | {"state": row["state"]}
    names = {"trial": trial["trial"], "array": str(wanted)}
    return {**names, **row, "seconds": time.perf_counter() - started}


def _made(trial: Mapping, located: Located, store: Store, device: str, packed: bool) -> dict:
    """`make` for a located array: state, path and note of its row."""
    row = {"state": "there", "path": str(located.path)}
    remarks = [located.note]
    if not located.exists:
        if not packed:
            row["state"] = "read in place"
        else:
            reason = _anew(trial, located, store)
            state = _once(trial, located, store, device)
            row["state"] = "made anew" if reason and state == "made" else state
            remarks.append(reason)
    else:
        _clear(trial, located, store)
    if row["state"] == "there" and store.verify == "always":
        _check(trial, located)
    if located.exists:
        # so that damage is found here and not in the middle of a training
        store_module.read(located.path)
        facts = store_module.facts(located.path)
        remarks.append(facts.get("note", ""))
        remarks.append(f"computed on {facts['computed_on']}" if "computed_on" in facts else "")
    row["note"] = "; ".join(filter(None, dict.fromkeys(remarks)))
    return row


def _is_to_be_told(located: Located) -> bool:
    """Whether an input that does not exist yet may change the array's name."""
    sources = [source for source in located.sources.values() if isinstance(source, Located)]
    return any(
        (maker_of(source.request).tells and not source.exists) or _is_to_be_told(source)
        for source in sources
    )


def _with_inputs(
    trial: Mapping, wanted: Request, located: Located, store: Store, device: str
) -> Located:
    """Make the inputs of an array and locate it again: the tracks of a film (its cuts) may decide
    what it is made from. An input that cannot be made is reported by the array that needs it.
    """
    for source in maker_of(wanted).sources(trial, located.request).values():
        if isinstance(source, Request):
            make(trial, source, store, device, pack=False)
    return locate(trial, wanted, store)


def _anew(trial: Mapping, located: Located, store: Store) -> str:
    """Why an array is made again although an older rule made one of the same files; or ""."""
    fields = readings.fields(trial, store)
    if maker_of(located.request).step != "visual":
        fields.pop("stretches", None)
    if located.made_from is None:
        return ""
    if _had_no_people(trial, located, store):
        return f"made anew: {TOLD_APART}"
    if not fields:
        return ""
    maker, asked = maker_of(located.request), located.request.parameters
    shelf = store.shelf(maker.owner, trial[maker.owner])
    plain = {name: value for name, value in asked.items() if name not in readings.FIELDS}
    files = _files_of(located.made_from)
    for path in shelf.find(located.request.name, plain, maker.version):
        if _files_of(store_module.facts(path)["made_from"]) == files:
            return f"made anew: {readings.words(fields)}"
    return ""


def how_read(trial: Mapping, store: Store) -> str:
    """How the reading of a trial's recording differs from the ordinary way, in words; "" if it does
    not.
    """
    words = [readings.words(readings.fields(trial, store))]
    with contextlib.suppress(InputError):
        tracks = locate(trial, request("tracks"), store) if trial["video_path"] else None
        if tracks is not None and "cuts" in tracks.request.parameters:
            words.append(TOLD_APART)
    return "; ".join(filter(None, words))


def _had_no_people(trial: Mapping, located: Located, store: Store) -> bool:
    """Whether the array exists as earlier versions made it, which took all faces after a cut for
    one person's.
    """
    inputs = located.made_from["inputs"]
    if "tracks" not in inputs or located.request.name == "tracks":
        return False
    tracks, kept = (
        locate(trial, request("tracks", **more), store) for more in ({}, {"cuts": KEPT})
    )
    if tracks.path == kept.path or inputs["tracks"]["array"] != tracks.digits:
        return False
    before = {**located.made_from, "inputs": {**inputs, "tracks": {"array": kept.digits}}}
    maker = maker_of(located.request)
    return store.shelf(maker.owner, trial[maker.owner]).path(before).is_file()


def _files_of(made_from: Mapping) -> dict:
    """The inputs of an array that are files."""
    return {name: source for name, source in made_from["inputs"].items() if "array" not in source}


def _clear(trial: Mapping, located: Located, store: Store) -> None:
    """Remove the stretches that a process left when it was killed after the whole array was
    written.
    """
    with contextlib.suppress(OSError):
        films.lock(located.path).unlink()
    if firsts := stretches_of(trial, located, store):
        owner = maker_of(located.request).owner
        films.remove(store.shelf(owner, trial[owner]), located.made_from, len(firsts))


def _once(trial: Mapping, located: Located, store: Store, device: str) -> str:
    """Compute an array, or wait for it if another process is computing it."""
    with held(films.lock(located.path), math.inf, remove=True, quiet=QUIET):
        if located.exists:
            return "there"
        clear_leftovers(located.path.parent, f".{located.path.stem}.*.part", deep=False)
        _compute(trial, located, store, device)
    return "made"


def _compute(trial: Mapping, located: Located, store: Store, device: str) -> None:
    memory.keep_freed()
    maker = maker_of(located.request)
    inputs = _inputs(trial, located, store, device)
    shelf = store.shelf(maker.owner, trial[maker.owner])
    computed_on = _computed_on(device) if maker.network else {}

    def create(shape, dtype, **facts):
        if shape[0] is None:
            return shelf.growing(located.made_from, tuple(shape[1:]), dtype, **facts, **computed_on)
        return shelf.creating(located.made_from, shape, dtype, **facts, **computed_on)

    if firsts := stretches_of(trial, located, store):
        film = _film(trial, located, store, firsts, inputs, device)
        film.put_together(film.noting(create))
        films.remove(shelf, located.made_from, len(firsts))
    else:
        maker.make(inputs, located.request.parameters, create, device)


def _inputs(trial: Mapping, located: Located, store: Store, device: str) -> dict:
    """The inputs of an array, opened, and made if they are missing."""
    inputs = {}
    for name, source in located.sources.items():
        inputs[name] = source
        if isinstance(source, Located):
            below = maker_of(source.request)
            below.prepare(trial, source.request, store)
            _made(trial, source, store, device, packed=not below.in_place(trial, source.request))
            _check_kept(trial, source, store)
            inputs[name] = _open(trial, source, store, partial(_made_first, trial, store, device))
            if source.exists:  # faces may be read in place
                inputs[f"{name}_facts"] = store_module.facts(source.path)
    return inputs


# ---- long recordings
def stretches_of(trial: Mapping, located: Located, store: Store) -> list[int]:
    """First frames of the stretches in which an array is made; [] for one that is made in one
    piece.
    """
    by = maker_of(located.request).by_stretch
    if by is None or located.made_from is None or not by.applies(located.request):
        return []
    return readings.of_length(trial, store).get("stretches", [])


def open_stretches(trial: Mapping, located: Located, store: Store) -> list[int]:
    """Numbers of the missing stretches of a missing array."""
    maker = maker_of(located.request)
    shelf = store.shelf(maker.owner, trial[maker.owner])
    paths = (
        stretches.path_of(shelf, located.made_from, number)
        for number in range(len(stretches_of(trial, located, store)))
    )
    return [number for number, path in enumerate(paths) if not films.is_there(path)]


def make_part(
    trial: Mapping, wanted: Request, number: int, store: Store, device: str = "cpu"
) -> str:
    """Make one stretch of an array unless it or the array exists, so that many workers share a
    film; with number `WHOLE` the whole array.

    Returns "made", "there", or "left" if the recording must be decoded from its beginning; then the
    worker that joins the stretches does it.
    """
    maker_of(wanted).prepare(trial, wanted, store)
    located = locate(trial, wanted, store)
    firsts = stretches_of(trial, located, store)
    if number == WHOLE:
        return _made(trial, located, store, device, packed=True)["state"]
    if located.exists or number >= len(firsts):
        return "there"
    try:
        inputs = _inputs(trial, located, store, device)
        return _film(trial, located, store, firsts, inputs, device).make(number)
    except InexactError:
        return "left"


def _film(
    trial: Mapping, located: Located, store: Store, firsts: list[int], inputs: dict, device: str
) -> films.Cut:
    maker = maker_of(located.request)
    shelf = store.shelf(maker.owner, trial[maker.owner])
    parameters = located.request.parameters
    by = maker.by_stretch
    if by.part:
        kind = films.Film
    elif by.rows:
        kind = films.Rows
    else:
        kind = films.Clock
    return kind(shelf, located.made_from, firsts, by, inputs, parameters, device)


def _computed_on(device: str) -> dict[str, str]:
    """The note that is stored with an array that a network computed on a device other than a CPU.

    In float32 without TF32 its numbers equal those of a CPU up to rounding, so `made_from` is the
    same.
    """
    from .models import device as models_device  # torch is needed for these arrays only

    torch_device = models_device.pick(device)
    return {} if torch_device.type == "cpu" else {"computed_on": models_device.told(torch_device)}


def make_all(
    trial: Mapping,
    requests: Iterable[Request],
    store: Store,
    device: str = "cpu",
    pack: bool = True,
    optional: Iterable[Request] = (),
) -> list[dict]:
    """`make` for several arrays of one trial: the unit of work for `lib.parallel.mapping.map`.

    optional : arrays that a trial may lack; the row of such an array then says "not possible" and
        why. So does that of an array that is not asked for of this trial (`Request.only_with`).
    """
    requests, optional = list(requests), list(optional)
    rows = []
    for array_request in requests:
        if reason := lacking(trial, array_request):
            rows.append(
                _not_possible(trial, array_request, f"the recording has {reason}: done without")
            )
        else:
            rows.append(make(trial, array_request, store, device, pack))
    for array_request in optional:
        try:
            rows.append(make(trial, array_request, store, device, pack))
        except InputError as error:
            rows.append(_not_possible(trial, array_request, error.what))
    _say(rows, trial, [*requests, *optional], store)
    return rows


def _not_possible(trial: Mapping, wanted: Request, why: str) -> dict:
    row = {"trial": trial["trial"], "array": str(wanted), "state": "not possible"}
    return {**row, "note": why, "path": "", "seconds": 0.0}


def needs_network(trial: Mapping, wanted: Request, store: Store) -> bool:
    """Whether a network computes this array or one of its inputs."""
    if lacking(trial, wanted):
        return False
    maker = maker_of(wanted)
    sources = maker.sources(trial, maker.resolve(trial, wanted, store)).values()
    asked = [source for source in sources if isinstance(source, Request)]
    return maker.network or any(needs_network(trial, source, store) for source in asked)


def make_before_networks(
    trial: Mapping,
    requests: Iterable[Request],
    store: Store,
    pack: bool = True,
    optional: Iterable[Request] = (),
) -> list[dict]:
    """`make_all` for arrays that need no network, and for the inputs of the others: many processes
    do this, while one process per GPU runs `make_by_networks`.
    """
    plain, others = _apart(trial, requests, store)
    plain_optional, other_optional = _apart(trial, optional, store)
    rows = make_all(trial, plain, store, "cpu", pack, plain_optional)
    for array_request in [*others, *other_optional]:
        with contextlib.suppress(InputError):  # reported by the process that makes the array
            _make_inputs(trial, array_request, store)
    return rows


def make_by_networks(
    trial: Mapping,
    requests: Iterable[Request],
    store: Store,
    device: str,
    pack: bool = True,
    optional: Iterable[Request] = (),
) -> list[dict]:
    """`make_all` for the arrays that `make_before_networks` left."""
    network_requests, possible = (
        _apart(trial, requests, store)[1],
        _apart(trial, optional, store)[1],
    )
    return make_all(trial, network_requests, store, device, pack, possible)


def _apart(trial: Mapping, requests: Iterable[Request], store: Store) -> tuple[list, list]:
    """Requests that need no network, and those that do."""
    apart: tuple[list, list] = ([], [])
    for array_request in requests:
        apart[needs_network(trial, array_request, store)].append(array_request)
    return apart


def _make_inputs(trial: Mapping, wanted: Request, store: Store) -> None:
    maker = maker_of(wanted)
    maker.prepare(trial, wanted, store)  # without its network an array cannot be located
    if locate(trial, wanted, store).exists:
        return
    for source in maker.sources(trial, maker.resolve(trial, wanted, store)).values():
        if isinstance(source, Request) and needs_network(trial, source, store):
            _make_inputs(trial, source, store)
        elif isinstance(source, Request):
            make(trial, source, store, pack=False)


def _say(rows: list[dict], trial: Mapping, asked: list[Request], store: Store) -> None:
    """Note once what is unusual about the recording's picture (02) or sound (03)."""
    if not rows:
        return
    step = maker_of(asked[0]).step
    said = " ".join(row["note"] for row in rows)
    with contextlib.suppress(InputError):  # no such track: the rows say so
        new = [words for words in readings.said(trial, store, step) if words not in said]
        rows[0]["note"] = "; ".join(filter(None, [rows[0]["note"], *new]))


def read(trial: Mapping, wanted: Request, store: Store) -> np.ndarray:
    """An array of a trial, memory-mapped, read-only. Raises InputError with its notebook."""
    return store_module.read(_existing(trial, wanted, store).path)


def facts(trial: Mapping, wanted: Request, store: Store) -> dict:
    """The content of the JSON beside an array: ``t0``, ``rate``, shape, …"""
    return store_module.facts(_existing(trial, wanted, store).path)


def _existing(trial: Mapping, wanted: Request, store: Store) -> Located:
    located = locate(trial, wanted, store)
    if not located.exists:
        raise _not_there(trial, wanted, located, store)
    return located


def _not_there(trial: Mapping, wanted: Request, located: Located, store: Store) -> InputError:
    changed = _changed(trial, located, store)
    since = f": {changed} has changed since it was made, and may still be copied" if changed else ""
    return InputError(
        f"the array {wanted} is not there{since}",
        where=f"trial {trial['trial']}: {located.path}",
        todo=f"run notebook {NOTEBOOKS[maker_of(wanted).step]} with the same parameters",
    )


def _changed(trial: Mapping, located: Located, store: Store) -> str:
    """The name of a file that was another one when this array was made; "" if there is none."""
    wanted, maker = located.request, maker_of(located.request)
    shelf = store.shelf(maker.owner, trial[maker.owner])
    present = located.made_from["inputs"] if located.made_from else {}
    for path in shelf.find(wanted.name, wanted.parameters, maker.version):
        earlier = store_module.facts(path)["made_from"]["inputs"]
        for name, source in located.sources.items():
            if isinstance(source, Path) and earlier.get(name) != present.get(name):
                return source.name
    return ""


def require(trial: Mapping, wanted: Request, store: Store) -> None:
    """Raise InputError, naming the notebook to run, unless a trial's array exists and is whole."""
    check(trial, [wanted], store)
    opened(trial, wanted, store)


def check(trial: Mapping, requests: Iterable[Request], store: Store) -> None:
    """Compare the existing arrays of a trial with their check-sums, each once per process; this
    takes as long as reading them. With ``verify="never"`` nothing is done. Arrays that earlier
    versions wrote without a check-sum count as intact.

    Raises InputError that names the damaged array and how to make it again.
    """
    for array_request in of_trial(trial, requests) if store.verify != "never" else ():
        _check_kept(trial, locate(trial, array_request, store), store)


def _check_kept(trial: Mapping, located: Located, store: Store) -> None:
    if store.verify != "never" and located.exists:
        _check(trial, located)


def _check(trial: Mapping, located: Located) -> None:
    try:
        _verified(located.path, version(located.path))
    except store_module.DamagedError as error:
        notebook = NOTEBOOKS[maker_of(located.request).step]
        raise store_module.DamagedError(
            error.what,
            where=f"trial {trial['trial']}: {error.where}",
            expected=error.expected,
            todo=f"{error.todo} by {notebook}",
        ) from error


@lru_cache(maxsize=100_000)
def _verified(path: Path, _version: tuple) -> bool:
    return store_module.verify(path)


def opened(trial: Mapping, wanted: Request, store: Store) -> object:
    """An array of a trial in the form that recipes use: `lib.faces.faces.Faces` for a face; else
    `read`.
    """
    located = locate(trial, wanted, store)
    if not _is_there(trial, located):
        raise _not_there(trial, wanted, located, store)
    return _open(trial, located, store)


def is_there(trial: Mapping, wanted: Request, store: Store) -> bool:
    """Whether an array of a trial can be `opened`: made, or the data set's own files."""
    try:
        located = locate(trial, wanted, store)
    except AbsentError:  # neither it, nor what it is made from
        return False
    return _is_there(trial, located)


def _is_there(trial: Mapping, located: Located) -> bool:
    maker = maker_of(located.request)
    in_place = maker.open is not None and maker.in_place(trial, located.request)
    return located.exists or in_place


def _open(
    trial: Mapping, located: Located, store: Store, read_other: Callable | None = None
) -> object:
    """`opened` for an existing array. read_other : gives the arrays that it is opened with, which
    have to be there by default.
    """
    maker = maker_of(located.request)
    if maker.open is None:
        return store_module.read(located.path)
    path = located.path if located.exists else None
    read_other = read_other or partial(_read_of, trial, store)
    return maker.open(trial, located.request, path, store, read_other)


def _read_of(trial: Mapping, store: Store, wanted: Request) -> np.ndarray:
    return read(trial, wanted, store)


def _made_first(trial: Mapping, store: Store, device: str, wanted: Request) -> np.ndarray:
    """`read`, of an array that is made if it is missing: faces are opened with `face_valid`, which
    may come later among the arrays that a recipe asks for, or not at all.
    """
    if not locate(trial, wanted, store).exists:
        make(trial, wanted, store, device)
    return read(trial, wanted, store)


def maker_of(wanted: Request) -> Maker:
    """The maker of a request. Raises InputError for an array that nobody makes."""
    if wanted.name not in MAKERS:
        raise InputError(f"no array is called {wanted.name!r}", expected=", ".join(MAKERS))
    return MAKERS[wanted.name]


def of_step(requests: Iterable[Request], step: str) -> list[Request]:
    """The requests that notebook 02 ("visual"), 03 ("audio") or 04 ("labels") makes."""
    return list(
        dict.fromkeys(
            array_request for array_request in requests if maker_of(array_request).step == step
        )
    )
