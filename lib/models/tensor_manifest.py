"""Weights as TensorFlow.js publishes them: a manifest (JSON) of named tensors, and their numbers.

The manifest is a list of groups, each with `paths`, files that are read as one, and `weights`,
tensors in the order in which they lie there, without gaps. A tensor with `quantization` has one or
two bytes for each number, value = stored number · scale + min; any other is little-endian float32
(specification §1.1). What a manifest claims is compared with its files before any number is read.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from reprlib import repr as short

import numpy as np

from ..errors import InputError

# Limits chosen here, so that no file can demand much memory or time.
LONGEST_MANIFEST = 1 << 20  # bytes; those of face-api have 9 kB
MAX_BYTES = 8 << 20  # bytes of numbers in all; the largest network of face-api has 6.4 MB
LARGEST_NUMBER = 1e6  # absolute value; larger weights make no sense
MOST_AXES = 4
LONGEST_NAME = 200

FLOAT32 = np.dtype("<f4")
QUANTISED = {"uint8": np.dtype("u1"), "uint16": np.dtype("<u2")}
TENSOR_KEYS = {"name", "shape", "dtype", "quantization"}
QUANTISATION_KEYS = {"dtype", "scale", "min"}
REMEDY = "download the manifest and its files again, and keep them in one folder"


@dataclass(frozen=True)
class Entry:
    """One tensor of a manifest; `scale` is 0 where its numbers are not quantised."""

    name: str
    shape: tuple[int, ...]
    stored: np.dtype = FLOAT32
    scale: float = 0.0
    minimum: float = 0.0

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return math.prod(self.shape) * self.stored.itemsize


def read(manifest: Path | str) -> dict[str, np.ndarray]:
    """Tensors by name, float32, in the published order and layout.

    manifest : the JSON file; the files that it names lie in its folder. Raises InputError for any
    violation of the format above: claims that do not match the files, duplicate names, files
    outside the folder, numbers that are not finite.
    """
    manifest = Path(manifest)
    tensors: dict[str, np.ndarray] = {}
    for entries, files in _groups(manifest):
        content, start = b"".join(_bytes(path, size) for path, size in files.items()), 0
        for entry in entries:
            tensors[entry.name] = _numbers(entry, content[start : start + entry.size], manifest)
            start += entry.size
    return tensors


def _groups(manifest: Path) -> list[tuple[list[Entry], dict[Path, int]]]:
    """Tensors and files (path -> bytes) of each group, checked against each other and the
    limits.
    """
    groups = [_group(group, manifest) for group in _list(_json(manifest), "groups", manifest)]
    names: set[str] = set()
    for entry in (entry for entries, _ in groups for entry in entries):
        if entry.name in names:
            raise _wrong("a second tensor of that name", manifest, "each name once", entry.name)
        names.add(entry.name)
    total = sum(size for _, files in groups for size in files.values())
    if total > MAX_BYTES:
        raise _wrong(f"{total:,} bytes of numbers", manifest, f"at most {MAX_BYTES:,}")
    for entries, files in groups:
        claimed, size = sum(entry.size for entry in entries), sum(files.values())
        if claimed != size:
            held = ", ".join(path.name for path in files)
            expected = f"{claimed:,} bytes, as the shapes of its {len(entries)} tensors need"
            raise _wrong(f"{size:,} bytes in {held}", manifest, expected)
    return groups


def _json(manifest: Path) -> object:
    content = _bytes(manifest, LONGEST_MANIFEST, exactly=False)
    try:
        return json.loads(content, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        what = f"no manifest of weights: {str(error)[:100]}"
        raise _wrong(what, manifest, "JSON: a list of groups with weights and paths") from error


def _once(pairs: list[tuple[str, object]]) -> dict:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return mapping


def _bytes(path: Path, size: int, exactly: bool = True) -> bytes:
    """Content of a file which has that many bytes, or at most so many."""
    try:
        if not path.is_file():
            raise InputError("the file is not there", where=path, todo=REMEDY)
        with path.open("rb") as stream:
            content = stream.read(size + 1)
    except OSError as error:
        what = f"the file cannot be read: {error.strerror}"
        raise InputError(what, where=path, expected="a file that you may read") from error
    if len(content) > size or (exactly and len(content) < size):
        expected = f"{'' if exactly else 'at most '}{size:,} bytes"
        raise InputError("a file of another size", where=path, expected=expected, todo=REMEDY)
    return content


def _group(group: object, manifest: Path) -> tuple[list[Entry], dict[Path, int]]:
    if not isinstance(group, dict) or group.keys() != {"weights", "paths"}:
        raise _wrong(f"a group {short(group)}", manifest, "weights and paths")
    files: dict[Path, int] = {}
    for text in _list(group["paths"], "paths", manifest):
        path = _beside(manifest, text)
        if path in files:
            raise _wrong(f"the path {short(text)} twice", manifest, "each file once")
        files[path] = _size(path, manifest)
    entries = [_entry(value, manifest) for value in _list(group["weights"], "weights", manifest)]
    return entries, files


def _list(value: object, name: str, manifest: Path) -> list:
    if not isinstance(value, list) or not value:
        raise _wrong(f"{name}: {short(value)}", manifest, f"a list of {name}")
    return value


def _beside(manifest: Path, text: object) -> Path:
    """The file that a manifest names; the name must not lead out of its folder on any system."""
    safe = isinstance(text, str) and text.isprintable() and text != ""
    for kind in (PurePosixPath, PureWindowsPath) if safe else ():
        safe = safe and not kind(text).anchor and ".." not in kind(text).parts
    if not safe:
        raise _wrong(f"the path {short(text)}", manifest, "the name of a file beside the manifest")
    return manifest.parent / text


def _size(path: Path, manifest: Path) -> int:
    try:
        if path.is_file():
            return path.stat().st_size
    except OSError as error:  # a name that is too long for the file system
        what = f"the path {short(path.name)} cannot be read: {error.strerror}"
        raise _wrong(what, manifest, "the name of a file beside the manifest") from error
    raise _wrong(
        f"the file {short(path.name)} is not there", manifest, "a file beside the manifest"
    )


def _entry(value: object, manifest: Path) -> Entry:
    if not isinstance(value, dict) or not {"name", "shape", "dtype"} <= value.keys() <= TENSOR_KEYS:
        expected = f"a tensor with {', '.join(sorted(TENSOR_KEYS))} only"
        raise _wrong(f"an entry {short(value)}", manifest, expected)
    name, shape = value["name"], value["shape"]
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
        raise _wrong(f"a tensor named {short(name)}", manifest, "a name in plain letters")
    fits = isinstance(shape, list) and 1 <= len(shape) <= MOST_AXES
    if not fits or not all(type(n) is int and 1 <= n <= MAX_BYTES for n in shape):
        expected = f"1 to {MOST_AXES} whole numbers from 1 to {MAX_BYTES:,}"
        raise _wrong(f"shape {short(shape)}", manifest, expected, name)
    if value["dtype"] != "float32":
        raise _wrong(f"dtype {short(value['dtype'])}", manifest, "float32", name)
    if "quantization" not in value:
        return Entry(name, tuple(shape))
    return Entry(name, tuple(shape), *_quantisation(value["quantization"], manifest, name))


def _quantisation(value: object, manifest: Path, name: str) -> tuple[np.dtype, float, float]:
    if not isinstance(value, dict) or value.keys() != QUANTISATION_KEYS:
        expected = ", ".join(sorted(QUANTISATION_KEYS))
        raise _wrong(f"quantization {short(value)}", manifest, expected, name)
    kind = value["dtype"]
    if not isinstance(kind, str) or kind not in QUANTISED:
        raise _wrong(f"quantization to {short(kind)}", manifest, " or ".join(QUANTISED), name)
    for key in ("scale", "min"):
        number = value[key]
        if type(number) not in (int, float) or not abs(number) <= LARGEST_NUMBER:
            expected = f"a number up to {LARGEST_NUMBER:,.0f}"
            raise _wrong(f"{key} {short(number)}", manifest, expected, name)
    if value["scale"] <= 0:
        raise _wrong(f"scale {value['scale']}", manifest, "above 0", name)
    return QUANTISED[kind], float(value["scale"]), float(value["min"])


def _numbers(entry: Entry, content: bytes, manifest: Path) -> np.ndarray:
    numbers = np.frombuffer(content, entry.stored).astype(np.float32)
    if entry.scale:  # in float32, like the published programs
        numbers *= np.float32(entry.scale)
        numbers += np.float32(entry.minimum)
    # A NaN makes both extremes NaN, and every comparison with one is false.
    if not (numbers.min() >= -LARGEST_NUMBER and numbers.max() <= LARGEST_NUMBER):
        expected = f"numbers up to {LARGEST_NUMBER:,.0f}"
        raise _wrong("infinite or very large numbers, or none", manifest, expected, entry.name)
    return numbers.reshape(entry.shape)


def _wrong(what: str, manifest: Path, expected: str, tensor: str = "") -> InputError:
    where = f"{manifest}, tensor {tensor}" if tensor else manifest
    return InputError(what, where=where, expected=expected, todo=REMEDY)
