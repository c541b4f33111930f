"""The arrays of a trial: find where one lies, make it with all that it is made from, open it.

What arrays there are and how each comes about stands in the `MAKERS` of each family. To add a
feature, write a function and a `Maker` beside it.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from . import store
from .errors import InputError
from .faces import arrays
from .features import expression_arrays, network_arrays, own, sound_arrays, speaker_arrays
from .labels import arrays as labels_arrays
from .parallel.locks import held
from .store import Maker, Request, Store

FAMILIES = (
    arrays,
    sound_arrays,
    speaker_arrays,
    expression_arrays,
    network_arrays,
    own,
    labels_arrays,
)
MAKERS = {maker.name: maker for family in FAMILIES for maker in family.MAKERS}
NOTEBOOKS = {
    "visual": "02_preprocess_visual",
    "audio": "03_preprocess_audio",
    "labels": "04_preprocess_labels",
}


@dataclass(frozen=True)
class Located:
    """Where an array of a trial lies. `made_from` is None when its inputs are absent and it was
    found by name.
    """

    request: Request
    path: Path
    made_from: dict | None
    note: str = ""

    @property
    def exists(self) -> bool:
        return self.path.is_file() and self.path.with_suffix(".json").is_file()

    @property
    def digits(self) -> str:
        return self.path.stem.rsplit("-", 1)[1]


def locate(trial: Mapping, wanted: Request, place: Store) -> Located:
    """Find where an array of this trial lies or will lie, without computing it.

    Raises InputError when an input is absent and no array, or more than one, fits by name,
    parameters and version.
    """
    maker = maker_of(wanted)
    wanted = maker.resolve(trial, wanted, place)
    remark = maker.note(wanted, place)
    shelf = place.shelf(maker.owner, trial[maker.owner])
    inputs, absent = _fingerprints(trial, wanted, maker, place)
    if not absent:
        made_from = {
            "name": wanted.name,
            "parameters": dict(wanted.parameters),
            "version": maker.version,
            "inputs": inputs,
        }
        return Located(wanted, shelf.path(made_from), made_from, remark)
    found = shelf.find(wanted.name, wanted.parameters, maker.version)
    if len(found) == 1:
        return Located(wanted, found[0], None, f"used without its inputs ({absent[0].what})")
    if found:
        raise AbsentError(
            f"{len(found)} arrays fit and their inputs are absent: "
            f"{', '.join(p.name for p in found)}",
            where=f"trial {trial['trial']}, array {wanted}",
            expected=f"one of them ({absent[0].what})",
            todo="remove the one you do not mean with `python -m lib store rm`",
        )
    raise absent[0]


class AbsentError(InputError):
    """An input is absent, so that an array can neither be made nor be told from its variants."""


def _fingerprints(
    trial: Mapping, wanted: Request, maker: Maker, place: Store
) -> tuple[dict, list[AbsentError]]:
    inputs, absent = {}, []
    for name, source in maker.sources(trial, wanted).items():
        path = None if isinstance(source, Request) else place.data_root / source
        if path is None:
            try:
                inputs[name] = {"array": locate(trial, source, place).digits}
            except AbsentError as error:
                absent.append(error)
        elif path.exists():
            inputs[name] = store.fingerprint(path)
        else:
            absent.append(
                AbsentError(
                    f"an input is absent: {path}",
                    where=f"trial {trial['trial']}, array {wanted}",
                    expected="the file, or the array made from it",
                    todo="put the file back, or copy the store's folder of this trial",
                )
            )
    return inputs, absent


def make(
    trial: Mapping, wanted: Request, place: Store, device: str = "cpu", pack: bool = True
) -> dict:
    """See that a trial has an array, and all that it is made from; returns a row of the notebook's
    report.

    With ``pack=False`` what can be read where the data set put it (cropped faces) is not copied
    into one array. Keys: trial, array, state ("made", "there", "read in place"), seconds, note,
    path. Raises InputError.
    """
    started = time.perf_counter()
    maker = maker_of(wanted)
    maker.prepare(trial, wanted, place)
    located = locate(trial, wanted, place)
    row = {
        "trial": trial["trial"],
        "array": str(wanted),
        "state": "there",
        "note": located.note,
        "path": str(located.path),
    }
    if not located.exists:
        if not pack and maker.in_place(trial, located.request):
            row["state"] = "read in place"
        else:
            row["state"] = _once(trial, located, place, device)
    if row["state"] == "there" and place.verify == "always":
        _check(trial, located)
    if located.exists:
        store.read(located.path)  # a damaged one is found here, not in the middle of a training
        row["note"] = "; ".join(
            filter(None, [located.note, store.facts(located.path).get("note", "")])
        )
    return {**row, "seconds": time.perf_counter() - started}


def _once(trial: Mapping, located: Located, place: Store, device: str) -> str:
    """Compute an array unless another process does so at this moment: then it is waited for."""
    with held(located.path.with_name(f".{located.path.stem}.lock"), math.inf, remove=True):
        if located.exists:
            return "there"
        _compute(trial, located, place, device)
    return "made"


def _compute(trial: Mapping, located: Located, place: Store, device: str) -> None:
    maker = maker_of(located.request)
    inputs = {}
    for name, source in maker.sources(trial, located.request).items():
        if not isinstance(source, Request):
            inputs[name] = place.data_root / source
            continue
        make(trial, source, place, device, pack=False)
        check(trial, [source], place)
        inputs[name] = opened(trial, source, place)
        with contextlib.suppress(FileNotFoundError):
            inputs[f"{name}_facts"] = store.facts(locate(trial, source, place).path)
    shelf = place.shelf(maker.owner, trial[maker.owner])

    def create(shape, dtype, **facts):
        return shelf.creating(located.made_from, shape, dtype, **facts)

    maker.make(inputs, located.request.parameters, create, device)


def make_all(
    trial: Mapping,
    requests: Iterable[Request],
    place: Store,
    device: str = "cpu",
    pack: bool = True,
    optional: Iterable[Request] = (),
) -> list[dict]:
    """`make` for several arrays of one trial: the unit of work that ``cluster.map`` hands out.

    optional : arrays that a trial may lack; where one cannot be made, its row says "not possible"
        and why.
    """
    rows = [make(trial, wanted, place, device, pack) for wanted in requests]
    for wanted in optional:
        try:
            rows.append(make(trial, wanted, place, device, pack))
        except InputError as error:
            rows.append(
                {
                    "trial": trial["trial"],
                    "array": str(wanted),
                    "state": "not possible",
                    "note": error.what,
                    "path": "",
                    "seconds": 0.0,
                }
            )
    return rows


def read(trial: Mapping, wanted: Request, place: Store) -> np.ndarray:
    """An array of a trial, memory-mapped and read-only. Raises InputError naming the notebook that
    makes it.
    """
    return store.read(_existing(trial, wanted, place).path)


def facts(trial: Mapping, wanted: Request, place: Store) -> dict:
    """What stands in the JSON beside an array: ``t0``, ``rate``, shape, …"""
    return store.facts(_existing(trial, wanted, place).path)


def _existing(trial: Mapping, wanted: Request, place: Store) -> Located:
    located = locate(trial, wanted, place)
    if not located.exists:
        raise InputError(
            f"the array {wanted} is not there",
            where=f"trial {trial['trial']}: {located.path}",
            todo=f"run notebook {NOTEBOOKS[maker_of(wanted).step]} with the same parameters",
        )
    return located


def require(trial: Mapping, wanted: Request, place: Store) -> None:
    """Raise InputError, naming the notebook to run, unless a trial's array is there and whole."""
    check(trial, [wanted], place)
    opened(trial, wanted, place)


def check(trial: Mapping, requests: Iterable[Request], place: Store) -> None:
    """Compare those arrays of a trial that are there with their check-sums, at the speed of the
    disk, and each once per process; with ``verify="never"`` nothing is done. Arrays that were
    written before there were check-sums count as right.

    Raises InputError that names the damaged one and how it is made anew.
    """
    if place.verify == "never":
        return
    for wanted in requests:
        located = locate(trial, wanted, place)
        if located.exists:
            _check(trial, located)


def _check(trial: Mapping, located: Located) -> None:
    status = located.path.stat()
    try:
        _verified(located.path, status.st_ino, status.st_size, status.st_mtime_ns)
    except store.DamagedError as error:
        notebook = NOTEBOOKS[maker_of(located.request).step]
        raise store.DamagedError(
            error.what,
            where=f"trial {trial['trial']}: {error.where}",
            expected=error.expected,
            todo=f"{error.todo} by {notebook}",
        ) from error


@lru_cache(maxsize=100_000)
def _verified(path: Path, *version: int) -> bool:
    return store.verify(path)


def opened(trial: Mapping, wanted: Request, place: Store) -> object:
    """An array of a trial as others use it: `lib.faces.faces.Faces` of a face, packed or read in
    place; else `read`.
    """
    maker = maker_of(wanted)
    if maker.open is None:
        return read(trial, wanted, place)
    located = locate(trial, wanted, place)
    if not located.exists and not maker.in_place(trial, located.request):
        _existing(trial, wanted, place)
    path = located.path if located.exists else None
    return maker.open(trial, located.request, path, place, partial(_read_of, trial, place))


def _read_of(trial: Mapping, place: Store, wanted: Request) -> np.ndarray:
    return read(trial, wanted, place)


def maker_of(wanted: Request) -> Maker:
    """The maker of a request. Raises InputError for an array that nobody makes."""
    if wanted.name not in MAKERS:
        raise InputError(f"no array is called {wanted.name!r}", expected=", ".join(MAKERS))
    return MAKERS[wanted.name]


def of_step(requests: Iterable[Request], step: str) -> list[Request]:
    """Those of the requests that belong to notebook 02 ("visual"), 03 ("audio") or 04 ("labels"),
    each once.
    """
    return list(dict.fromkeys(wanted for wanted in requests if maker_of(wanted).step == step))
