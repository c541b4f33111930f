"""Computed arrays on disk: memory-mapped, written atomically, variants side by side, independent of
paths and times.

``<processed>/<dataset>/trials/<trial>/`` holds the arrays of one person, ``…/videos/<video>/`` what
two people in one video share, ``…/statistics/<rule>/`` means and deviations over many trials. An
array is ``<name>-<8 hex digits>.npy`` with a JSON of the same stem beside it. The digits are the
hash of ``made_from``: the array's name, its parameters, the version of its function and the
fingerprints of its inputs. The JSON also has ``crc32``, the check-sum of the array's file and of
the JSON's other lines; it is no part of ``made_from``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import pickle
import tokenize
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from .errors import InputError, explain_full_disk, too_many_open
from .files import create_folder, named, short, temporary_name, walk
from .files import version as version_of_file

MEBIBYTE = 1 << 20
LARGEST_HEADER = 16_384  # bytes of a .npy file without numbers
# What NumPy raises for a header that is damaged: it is read as a Python literal.
UNREADABLE = (
    EOFError,
    pickle.UnpicklingError,
    SyntaxError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
    tokenize.TokenError,
)
LARGEST_JSON = MEBIBYTE  # bytes of the JSON beside an array: it has some hundreds


@dataclass(frozen=True, eq=False)
class Request:
    """A request for an array: its name, the parameters that change its numbers, files it is made
    from.

    `files` names inputs outside the data set (a checkpoint): their content is part of the
    fingerprint, their path is not. Two requests are equal if name, parameters and files are equal.
    `only_with` is "sound" or "picture" where a recording without does without the array
    (`lib.arrays.of_trial`).
    """

    name: str
    parameters: Mapping = field(default_factory=dict)
    files: Mapping = field(default_factory=dict)
    only_with: str = ""

    def key(self) -> str:
        return json.dumps(
            [self.name, self.parameters, {k: str(v) for k, v in self.files.items()}], sort_keys=True
        )

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


def _as_asked(trial: Mapping, wanted: Request, store: Store) -> Request:
    return wanted


def _nothing(trial: Mapping, wanted: Request, store: Store) -> None:
    """Default of `Maker.prepare`: nothing has to be downloaded before the array is made."""


def _no_note(wanted: Request, store: Store) -> str:
    return ""


def _never(trial: Mapping, wanted: Request) -> bool:
    return False


@dataclass(frozen=True)
class ByStretch:
    """How an array of a long recording is made in stretches (`lib.media.stretches`).

    Arguments
    ---------
    applies(resolved request) : whether this variant of the array is made in stretches. part(inputs,
    parameters, piece, create, device) : a context manager that yields a function of a frame's
    number and its picture, and that has written the stretch when it ends without an error. None for
    an array that needs no pictures: the times of frames, which are joined themselves, and `rows`.
    lead : whether it also needs frames before the stretch and the one after it (`Piece.begin`,
        `Piece.end`).
    join(inputs, parameters, parts, create, origin) : joins the stretches; `parts` are (array,
        facts) in order; `origin` are facts about how they were made, which are stored with the
        array.
    rows(inputs, parameters, create, device, stretch) : for an array that is computed from other
        arrays: writes the rows of some frames, a slice (`stretches.share`). All of them,
        ``slice(None)``, is the whole array.
    """

    applies: Callable[[Request], bool]
    part: Callable | None
    join: Callable
    lead: bool = False
    rows: Callable | None = None


@dataclass(frozen=True)
class Maker:
    """Describes how one kind of array is made; `lib.arrays` finds, makes and opens arrays by it.

    Arguments
    ---------
    name : of the array.
    step : "visual", "audio" or "labels": notebook 02, 03 or 04 makes it.
    owner : what the array belongs to, "trial" or "video".
    version : raised when the numbers change.
    sources(trial, request) : its inputs: paths relative to the data root, or other requests.
    make(inputs, parameters, create, device) : computes it. `inputs` has the names of the sources,
        with absolute paths or opened arrays; ``create(shape, dtype, **facts)`` opens the array to
        be filled; with a first axis of None it returns a function that appends rows.
    resolve(trial, request, store) : the request with every parameter that its numbers depend on.
    prepare(trial, request, store) : downloads what is needed before it is made, such as weights.
    note(resolved request, store) : what a report must say of a choice; "" for nothing.
    in_place(trial, resolved request) : whether the data set's own files serve without a copy in the
        store.
    open(trial, resolved request, path, store, read) : the form in which recipes get it, if that is
        not the plain array. `path` is None if it is not in the store; ``read(request)`` reads
        another array of the trial.
    network : whether a network computes it on `device`, so that a GPU serves one process at a time.
    tells : whether its content decides what other arrays are made from (cuts of a film): these are
        located again once it exists.
    by_stretch : how it is made of a long recording, if not in one piece.
    """

    name: str
    step: str
    owner: str
    version: int
    sources: Callable[[Mapping, Request], dict]
    make: Callable
    resolve: Callable[[Mapping, Request, Store], Request] = _as_asked
    prepare: Callable[[Mapping, Request, Store], None] = _nothing
    note: Callable[[Request, Store], str] = _no_note
    in_place: Callable[[Mapping, Request], bool] = _never
    open: Callable | None = None
    network: bool = False
    tells: bool = False
    by_stretch: ByStretch | None = None


@lru_cache(maxsize=4096)
def _file_digest(path: Path, version: tuple[int, int, int]) -> str:
    digest, (_, size, _) = hashlib.sha256(), version
    with path.open("rb") as stream:
        digest.update(stream.read(MEBIBYTE))
        if size > MEBIBYTE:
            stream.seek(max(MEBIBYTE, size - MEBIBYTE))
            digest.update(stream.read(MEBIBYTE))
    return digest.hexdigest()


def fingerprint(path: Path) -> dict:
    """Content fingerprint of a file or folder, independent of its name and place.

    For a file: its size in bytes and the SHA-256 of its first and last MiB. For a folder: the
    number of its files and the SHA-256 of their sorted relative names and sizes (pictures are too
    many to be read for this); linked folders are included, results of this program in it are not.
    Raises InputError for what cannot be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            rows = sorted(
                f"{entry.path} {entry.size if entry.kind != 'link' else entry.why}"
                for entry in walk(path)
                if entry.kind != "folder"
            )
            return {
                "files": len(rows),
                "sha256": hashlib.sha256(os.fsencode("\n".join(rows))).hexdigest(),
            }
        # The time of change only decides whether this process reads the file again; it never enters
        # the fingerprint.
        current = version_of_file(path)
        return {"size": current[1], "sha256": _file_digest(path.resolve(), current)}
    except OSError as error:
        raise too_many_open(error, path) or InputError(
            f"an input cannot be read ({error.strerror})",
            where=path,
            todo="look at the file's permissions and at the disk",
        ) from error


def digest(made_from: Mapping) -> str:
    """Eight hex digits of the SHA-256 of `made_from` with sorted keys."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:8]


class Shelf:
    """The arrays of one owner (a trial or a video) in one folder."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)

    def path(self, made_from: Mapping) -> Path:
        """Path of the array, which need not exist."""
        return self.folder / f"{made_from['name']}-{digest(made_from)}.npy"

    def find(self, name: str, parameters: Mapping, version: int) -> list[Path]:
        """All arrays of that name, with these parameters and version, made of any inputs."""
        paths = []
        for sidecar in sorted(self.folder.glob(f"{name}-????????.json")):
            made_from = facts(sidecar)["made_from"]
            expected = {
                "name": name,
                "parameters": json.loads(json.dumps(parameters)),
                "version": version,
            }
            if expected == {key: made_from.get(key) for key in expected}:
                paths.append(sidecar.with_suffix(".npy"))
        return [path for path in paths if path.is_file()]

    @contextlib.contextmanager
    def creating(self, made_from: Mapping, shape: tuple, dtype, **facts) -> Iterator[np.memmap]:
        """Yield a memory map to fill; the array exists only if the block ends without an error.

        `facts` (numbers, text) go into the JSON: ``t0`` and ``rate`` of whole-file arrays, a note,
        channel counts.
        """
        with self._whole_or_not(made_from) as (data, record):
            array = np.lib.format.open_memmap(data, mode="w+", dtype=dtype, shape=tuple(shape))
            # Space is allocated first: if the disk ran full inside the memory map of a sparse file,
            # the process would be killed.
            _reserve(data)
            yield array
            array.flush()
            del array
            record |= {"shape": list(shape), "dtype": str(np.dtype(dtype)), **facts}

    @contextlib.contextmanager
    def growing(self, made_from: Mapping, row: tuple, dtype, **facts) -> Iterator[Callable]:
        """Like `creating`, for an array of unknown length: yields a function that appends rows,
        each of shape `row`, so that long recordings need no memory.
        """
        head = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
        count = 0
        with self._whole_or_not(made_from) as (data, record):
            with data.open("w+b") as stream:
                np.lib.format.write_array_header_1_0(stream, {**head, "shape": (0, *row)})
                start = stream.tell()

                def append(rows: np.ndarray) -> None:
                    nonlocal count
                    stream.write(np.ascontiguousarray(rows, dtype).data)
                    count += len(rows)

                yield append
                stream.seek(0)
                # NumPy leaves room for the digits of the first axis, so the header keeps its size.
                np.lib.format.write_array_header_1_0(stream, {**head, "shape": (count, *row)})
                if stream.tell() != start:
                    raise RuntimeError(f"the header of {data} has grown")
            _reserve(data)  # some file systems notice only later that they have no space left
            record |= {"shape": [count, *row], "dtype": str(np.dtype(dtype)), **facts}

    @contextlib.contextmanager
    def _whole_or_not(self, made_from: Mapping) -> Iterator[tuple[Path, dict]]:
        """Atomic write of an array: yields a temporary path, and a mapping for its JSON; both files
        appear when the block ends without an error.
        """
        path, record = self.path(made_from), {}
        with (
            explain_full_disk(path),
            temporary_name(path) as data,
            temporary_name(path.with_suffix(".json")) as sidecar,
        ):
            create_folder(self.folder)
            yield data, record
            _sync(data)
            record["made_from"] = dict(made_from)
            record["crc32"] = checksum(data, record)
            sidecar.write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
            # The JSON comes last: without it, an array does not count as existing.
            data.replace(path)
            sidecar.replace(path.with_suffix(".json"))

    def write(self, made_from: Mapping, array: np.ndarray, **facts) -> Path:
        """Store a whole array; see `creating`."""
        array = np.asarray(array)
        with self.creating(made_from, array.shape, array.dtype, **facts) as target:
            target[...] = array
        return self.path(made_from)


def give_back(array: np.ndarray) -> None:
    """Release the pages of a memory-mapped array from this process; the operating system keeps them
    for the file. Otherwise memory would grow with the recording.
    """
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _reserve(path: Path) -> None:
    size = path.stat().st_size
    if size and hasattr(os, "posix_fallocate"):
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, size)


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def read(path: Path) -> np.ndarray:
    """Open an array of the store read-only, memory-mapped (an empty one is simply loaded).

    Raises InputError for one that is damaged.
    """
    record = facts(path)
    try:
        array = mapped(path, empty=0 in record["shape"])
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise too_many_open(error, path) or _damaged(path, str(error)) from error
    if (list(array.shape), str(array.dtype)) != (record["shape"], record["dtype"]):
        raise _damaged(
            path,
            f"it holds {array.dtype}{array.shape}, "
            f"its JSON says {record['dtype']}{record['shape']}",
        )
    return array


def mapped(path: Path, empty: bool = False) -> np.ndarray:
    """Open a .npy file of numbers read-only and memory-mapped: it takes no more memory than is
    read, whatever its header claims. An `empty` array, which cannot be mapped, is loaded.

    Raises OSError, or ValueError for a damaged file.
    """
    if empty and Path(path).stat().st_size > LARGEST_HEADER:
        raise ValueError("it should be empty, and holds numbers")
    with open(path, "rb") as stream:
        if stream.read(2) == b"PK":  # NumPy would open it as a zip, whatever it is called
            raise ValueError("an archive (.npz), and not one array")
    try:
        return np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
    except UNREADABLE as error:
        raise ValueError(str(error) or type(error).__name__) from error


def brought(path: Path, expected: str, todo: str) -> np.ndarray:
    """`mapped` for a file that a person or another program wrote; nothing in it is executed. Raises
    InputError, which says what was `expected` and what to do.
    """
    try:
        return mapped(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"this array cannot be read ({str(error)[:80]})",
            where=path,
            expected=expected,
            todo=todo,
        ) from error


def facts(path: Path | str) -> dict:
    """The JSON beside an array: shape, dtype, made_from and its maker's notes (``t0``, …).

    Raises InputError for one that is damaged.
    """
    path = os.path.splitext(path)[0] + ".json"  # as text: a listing reads a hundred thousand
    try:
        with open(path, encoding="utf-8") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > LARGEST_JSON:
                raise ValueError(f"its JSON has {size / 1e6:.1f} MB")
            record = json.loads(stream.read())
    except OSError as error:
        raise too_many_open(error, path) or error from None
    except (ValueError, RecursionError) as error:
        raise _damaged(Path(path), str(error)) from error
    if not isinstance(record, dict) or not {"shape", "dtype", "made_from"} <= record.keys():
        raise _damaged(Path(path), "its JSON lacks shape, dtype or made_from")
    if not isinstance(record["made_from"], dict) or not isinstance(record["shape"], list):
        raise _damaged(Path(path), "its JSON has no list as shape, or no mapping as made_from")
    return record


def checksum(path: Path, array_facts: Mapping) -> str:
    """CRC-32 of an array's file and of its JSON without the check-sum, 8 hex digits."""
    total, buffer = 0, memoryview(bytearray(MEBIBYTE))
    with Path(path).open("rb") as stream:
        while size := stream.readinto(buffer):
            total = zlib.crc32(buffer[:size], total)
    return f"{zlib.crc32(_without_checksum(array_facts), total):08x}"


def _without_checksum(array_facts: Mapping) -> bytes:
    """The JSON of an array without its check-sum, as earlier versions wrote it."""
    rest = {name: value for name, value in array_facts.items() if name != "crc32"}
    return json.dumps(rest, indent=1, sort_keys=True).encode()


def verify(path: Path) -> bool:
    """Compare an array with its check-sum. Returns False if it has none (earlier versions wrote
    none), so that nothing is known. Reads the whole file.

    Raises InputError for a damaged array, whose check-sum, name or shape differs.
    """
    told = facts(path)
    read(path)
    if not Path(path).stem.endswith(f"-{digest(told['made_from'])}"):
        raise _damaged(path, "its name does not fit what its JSON says that it was made from")
    if "crc32" not in told:
        return False
    try:
        now = checksum(path, told)
    except OSError as error:
        told = too_many_open(error, path)
        raise told or _damaged(path, f"it cannot be read ({error.strerror})") from error
    if now != told["crc32"]:
        raise _damaged(path, f"its check-sum is {now}, and was {told['crc32']} when it was written")
    return True


def sidecar_fingerprint(path: Path) -> dict:
    """`fingerprint` of the JSON beside an array, without its check-sum: an array that is made again
    counts as the same, whether or not the earlier one had a check-sum.
    """
    sidecar = Path(path).with_suffix(".json")
    try:
        record = facts(sidecar)
    except (OSError, InputError):
        return fingerprint(sidecar)
    if "crc32" not in record:
        return fingerprint(sidecar)
    text = _without_checksum(record)
    return {"size": len(text), "sha256": hashlib.sha256(text).hexdigest()}


class DamagedError(InputError):
    """An array of the store is not as it was written."""


def _damaged(path: Path, how: str) -> DamagedError:
    root = Path(path).absolute().parents[3:4]  # of <processed>/<dataset>/trials/<trial>/<array>
    return DamagedError(
        f"a computed array is damaged: {how}",
        where=path,
        expected="an array as it was written",
        todo=f"remove it with `python -m lib store rm {Path(path).stem}"
        f"{f' --root {short(root[0])}' if root else ''}`, then type the same command again, or run "
        "its notebook: it is made anew",
    )


@dataclass(frozen=True)
class Store:
    """The arrays of one data set. `data_root` is where the trial table's relative paths start.

    `faces` says where faces come from (auto, crops, detect, centre; see `lib.faces.arrays`),
    `weights_root` is the folder of the face detector (None: there is none). `label_delay` (s),
    `label_resample`, `label_rate` (Hz) and `label_range` complete a request for labels
    (`lib.labels.arrays`). `fetch`: whether published weights may be downloaded when needed.
    `audio_track` is the number of the sound track, from 1; 0: the one that a player would play
    (`lib.media.tracks`). `verify` says when arrays are compared with their check-sums: "start",
    before a training, a prediction or another array uses them; "never"; "always", also when they
    are only found to exist. `stretch` (s): a recording longer than two stretches is processed in
    stretches of at most this length (`lib.media.stretches`); it is no parameter, as arrays of long
    recordings depend on it.
    """

    processed_root: Path
    dataset: str
    data_root: Path
    faces: str = "auto"
    weights_root: Path | None = None
    label_delay: float = 0.0
    label_resample: str = "linear"
    label_rate: float = 0.0
    label_range: tuple[float, ...] = ()
    fetch: bool = True
    audio_track: int = 0
    verify: str = "start"
    stretch: float = 600.0

    @property
    def folder(self) -> Path:
        return Path(self.processed_root) / self.dataset

    @property
    def trials_path(self) -> Path:
        return self.folder / "trials.parquet"

    def shelf(self, owner: str, name: str) -> Shelf:
        """The shelf of an owner. owner : "trial", "video" or, for numbers over many trials,
        "statistic".
        """
        return Shelf(_folder_of(self.folder / f"{owner}s", name))


def _folder_of(parent: Path, name: str) -> Path:
    """The folder of a trial or video; a folder from before names were made safe is kept in use."""
    before, safe = parent / name, named(parent, name)
    kept = before != safe and before.parent == parent and before.name == name and before.is_dir()
    return before if kept and name not in (".", "..") else safe


def listing(processed_root: Path) -> list[dict]:
    """One mapping per array under a processed root, including broken ones: dataset, owner, array,
    name, parameters, …

    Files that a killed process left (hidden files that end in .part) are listed, too, so that they
    can be removed.
    """
    root, rows = Path(processed_root), []
    for parts in sorted(_arrays_below(str(root), 3)):
        path = os.path.join(root, *parts)
        size = _size(path)
        if not size and not os.path.lexists(path):  # removed since: another process computes
            continue
        state, made_from = _made_from(path)
        rows.append(
            {
                "dataset": parts[0],
                "owner": parts[2],
                "array": os.path.splitext(parts[-1])[0],
                "name": made_from.get("name", state),
                "parameters": json.dumps(made_from.get("parameters", {}), sort_keys=True),
                "version": made_from.get("version", 0),
                "mb": size / 1e6,
                "path": path,
            }
        )
    return rows


def _size(path: str | Path) -> int:
    """Bytes of a file; 0 of one that is gone and of a link that leads nowhere."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _arrays_below(folder: str, depth: int) -> Iterator[tuple[str, ...]]:
    """Relative paths of the arrays `depth` folders below `folder`, and of unfinished files."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, PermissionError):  # no arrays there
        return
    for entry in entries:
        if depth and entry.is_dir():
            for parts in _arrays_below(entry.path, depth - 1):
                yield entry.name, *parts
        elif not depth and _is_array(entry.name):
            yield (entry.name,)


def _is_array(name: str) -> bool:
    return name.endswith(".npy") or (name.startswith(".") and name.endswith(".part"))


def _made_from(path: str) -> tuple[str, dict]:
    try:
        return "", facts(path)["made_from"]
    except FileNotFoundError:
        return "(no JSON: unfinished)", {}
    except InputError:
        return "(JSON damaged)", {}


def remove(paths: list[Path]) -> int:
    """Delete arrays with their JSON; returns the bytes freed. The JSON goes first, so that an array
    without it never counts as whole.
    """
    freed = 0
    for path in map(Path, paths):
        freed += _size(path)
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    return freed
