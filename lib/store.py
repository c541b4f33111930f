"""Computed arrays on disk: memory-mapped, written atomically, variants side by side, independent of paths and times.

``<processed>/<dataset>/trials/<trial>/`` holds the arrays of one person, ``…/videos/<video>/`` what two people in one
video share. An array is ``<name>-<8 hex digits>.npy`` with a JSON of the same stem beside it. The digits are the hash
of ``made_from``: the array's name, its parameters, the version of its function and the fingerprints of its inputs.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from lib.errors import InputError

MEBIBYTE = 1 << 20


@dataclass(frozen=True, eq=False)
class Request:
    """An array that somebody wants: its name, the parameters that change its numbers, files it is made from.

    `files` names inputs outside the data set (a checkpoint): their content is part of the fingerprint, their place
    is not. Two requests are equal when name, parameters and files are.
    """

    name: str
    parameters: Mapping = field(default_factory=dict)
    files: Mapping = field(default_factory=dict)

    def key(self) -> str:
        return json.dumps([self.name, self.parameters, {k: str(v) for k, v in self.files.items()}], sort_keys=True)

    def __eq__(self, other) -> bool:
        return isinstance(other, Request) and self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())

    def __str__(self) -> str:
        inside = ", ".join(f"{k}={v}" for k, v in self.parameters.items())
        return f"{self.name}({inside})" if inside else self.name


def request(name: str, files: Mapping | None = None, **parameters) -> Request:
    """``request("face", size=64)`` — shorthand for a Request."""
    return Request(name, parameters, files or {})


@lru_cache(maxsize=4096)
def _file_digest(path: Path, size: int, _changed: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        digest.update(stream.read(MEBIBYTE))
        if size > MEBIBYTE:
            stream.seek(max(MEBIBYTE, size - MEBIBYTE))
            digest.update(stream.read(MEBIBYTE))
    return digest.hexdigest()


def fingerprint(path: Path) -> dict:
    """What identifies an input, whatever it is called and wherever it lies.

    A file: its size in bytes and the SHA-256 of its first and last MiB. A folder: the number of its files and the
    SHA-256 of their sorted relative names and sizes (pictures are too many to be read for this).
    """
    path = Path(path)
    if path.is_dir():
        rows = sorted(f"{Path(folder, name).relative_to(path).as_posix()} {os.stat(Path(folder, name)).st_size}"
                      for folder, _, names in os.walk(path) for name in names)
        return {"files": len(rows), "sha256": hashlib.sha256("\n".join(rows).encode()).hexdigest()}
    status = path.stat()
    # The time of change only decides whether this process reads the file again; it never enters the fingerprint.
    return {"size": status.st_size, "sha256": _file_digest(path.resolve(), status.st_size, status.st_mtime_ns)}


def digest(made_from: Mapping) -> str:
    """Eight hex digits of the SHA-256 of `made_from` with sorted keys."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:8]


@contextlib.contextmanager
def explain_full_disk(path: Path) -> Iterator[None]:
    """Turn "no space left on device" into an InputError that says how much is free and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(Path(path).anchor or "/").free / 1e9
        raise InputError(f"no space left on the device ({free:.1f} GB free)", where=path,
                         todo="free some space (`python -m lib store ls` shows what lies in the store) and start "
                              "again: what was finished is kept") from error


class Shelf:
    """The arrays of one owner (a trial or a video) in one folder."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)

    def path(self, made_from: Mapping) -> Path:
        """Place of the array; it need not exist."""
        return self.folder / f"{made_from['name']}-{digest(made_from)}.npy"

    def has(self, made_from: Mapping) -> bool:
        path = self.path(made_from)
        return path.is_file() and path.with_suffix(".json").is_file()

    def find(self, name: str, parameters: Mapping, version: int) -> list[Path]:
        """All whole arrays of that name, with these parameters and version, whatever their inputs were."""
        found = []
        for sidecar in sorted(self.folder.glob(f"{name}-????????.json")):
            made_from = json.loads(sidecar.read_text())["made_from"]
            same = (made_from["name"], made_from["version"]) == (name, version)
            if same and made_from["parameters"] == json.loads(json.dumps(parameters)):
                found.append(sidecar.with_suffix(".npy"))
        return [path for path in found if path.is_file()]

    @contextlib.contextmanager
    def creating(self, made_from: Mapping, shape: tuple, dtype, **facts) -> Iterator[np.memmap]:
        """Give a memory map to fill; the array exists only if the block ends without an error.

        `facts` (numbers, text) go into the JSON: ``t0`` and ``rate`` of whole-file arrays, a note, channel counts.
        """
        path = self.path(made_from)
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with explain_full_disk(path):
                array = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=tuple(shape))
                # A sparse file would let the disk run full only inside a memory map, which kills the process.
                _reserve(temporary)
                yield array
                array.flush()
                del array
                _sync(temporary)
                temporary.replace(path)
                sidecar = {"shape": list(shape), "dtype": str(np.dtype(dtype)), **facts, "made_from": dict(made_from)}
                _write_text(path.with_suffix(".json"), json.dumps(sidecar, indent=1, sort_keys=True))
        finally:
            temporary.unlink(missing_ok=True)

    def write(self, made_from: Mapping, array: np.ndarray, **facts) -> Path:
        """Store a whole array; see `creating`."""
        array = np.asarray(array)
        with self.creating(made_from, array.shape, array.dtype, **facts) as place:
            place[...] = array
        return self.path(made_from)


def _reserve(path: Path) -> None:
    size = path.stat().st_size
    if size and hasattr(os, "posix_fallocate"):
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, size)


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_text(text)
    temporary.replace(path)


def read(path: Path) -> np.ndarray:
    """Open an array of the store read-only, memory-mapped (an empty one is simply loaded)."""
    if json.loads(Path(path).with_suffix(".json").read_text())["shape"].count(0):
        return np.load(path)
    return np.load(path, mmap_mode="r")


def facts(path: Path) -> dict:
    """The JSON beside an array: shape, dtype, made_from and what its maker noted (``t0``, ``rate``, …)."""
    return json.loads(Path(path).with_suffix(".json").read_text())


@dataclass(frozen=True)
class Store:
    """The arrays of one data set. `data_root` is where the trial table's relative paths start."""

    processed_root: Path
    dataset: str
    data_root: Path

    @property
    def folder(self) -> Path:
        return Path(self.processed_root) / self.dataset

    @property
    def trials_path(self) -> Path:
        return self.folder / "trials.parquet"

    def shelf(self, owner: str, name: str) -> Shelf:
        """`owner` is "trial" or "video"."""
        return Shelf(self.folder / f"{owner}s" / name)


def listing(processed_root: Path) -> list[dict]:
    """One mapping an array under a processed root, broken ones too: dataset, owner, array, name, parameters, …"""
    rows = []
    for path in sorted(Path(processed_root).glob("*/*/*/*.npy")):
        sidecar = path.with_suffix(".json")
        made_from = json.loads(sidecar.read_text())["made_from"] if sidecar.is_file() else {}
        rows.append({"dataset": path.parents[2].name, "owner": path.parent.name, "array": path.stem,
                     "name": made_from.get("name", "(no JSON: unfinished)"),
                     "parameters": json.dumps(made_from.get("parameters", {}), sort_keys=True),
                     "version": made_from.get("version", 0), "mb": path.stat().st_size / 1e6, "path": str(path)})
    return rows


def remove(paths: list[Path]) -> int:
    """Delete arrays with their JSON; returns the bytes freed. The JSON goes first, so that no half array counts."""
    freed = 0
    for path in map(Path, paths):
        freed += path.stat().st_size
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink()
    return freed
