"""Read untrusted pickles as data: lists, dicts, numbers, texts and NumPy arrays; nothing else is
ever built.

A pickle is a program. This reader accepts only the few names that NumPy writes and replaces them by
small classes of its own, so that not even NumPy's own code for rebuilding arrays (which trusts
sizes and flags in the file) is run.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np

from ..errors import InputError
from .bounds import RefusedError, scan

MAX_BYTES = 2 << 30  # bytes; the published files are below 100 MB
_ARRAY_MODULES = (
    "numpy.core.multiarray",
    "numpy._core.multiarray",
    "numpy.core.numeric",
    "numpy._core.numeric",
)


class _Dtype:
    """Stands in for numpy.dtype: plain numbers, truth values and texts of fixed length."""

    def __init__(self, code, *_):
        code = code.decode("ascii") if isinstance(code, bytes) else code
        if isinstance(code, str) and code.startswith(
            "a"
        ):  # NumPy's old name of "S", on its way out
            code = f"S{code[1:]}"
        if not isinstance(code, str) or (dtype := np.dtype(code)).kind not in "biufcSUO":
            raise RefusedError(f"an array of type {code!r}")
        self.dtype = dtype

    def __setstate__(self, state):
        order = state[1].decode() if isinstance(state[1], bytes) else state[1]
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands in for numpy.ndarray until `_plain` extracts the value."""

    def __init__(self, *_):
        self.value = None

    def __setstate__(self, state):
        _, shape, dtype, fortran, data = state
        self.value = _array(data, dtype, shape, "F" if fortran else "C")


def _array(data, dtype, shape, order="C"):
    if not isinstance(dtype, _Dtype):
        raise RefusedError("an array without a type")
    if dtype.dtype.kind == "O":  # an array of objects is read as a list of allowed values
        return list(data)
    raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
    return np.frombuffer(raw, dtype.dtype).reshape(shape, order=order).copy()


def _scalar(dtype, data=b""):
    return _array(data, dtype, (1,))[0].item()


def _from_buffer(data, dtype, shape, order):
    array = _Array()
    array.value = _array(data, dtype, shape, order)
    return array


def _encode(text, encoding="latin1"):
    return text.encode("latin1")  # how Python 3 writes bytes for Python 2


def _empty():
    return b""  # how Python 3 writes no bytes for Python 2


class _ArrayType:
    """Stands in for the name numpy.ndarray, which is only passed to `_Array`."""


class _Reader(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("numpy", "ndarray"):
            return _ArrayType
        if (module, name) == ("numpy", "dtype"):
            return _Dtype
        if module in _ARRAY_MODULES and name in ("_reconstruct", "scalar", "_frombuffer"):
            return {"_reconstruct": _Array, "scalar": _scalar, "_frombuffer": _from_buffer}[name]
        if (module, name) == ("_codecs", "encode"):
            return _encode
        if (module, name) == ("__builtin__", "bytes"):
            return _empty
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise RefusedError(f"the file asks for {module}.{name}")


# Exceptions that damaged pickles are known to raise.
DAMAGED = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RecursionError,
    MemoryError,
    ImportError,
    OverflowError,
    SyntaxError,
    UnicodeError,
)


def read(path: Path) -> object:
    """The content of a pickle: lists, tuples, dicts, numbers, texts, None and arrays, nested as
    they were.

    Its size in memory is estimated first (`bounds.scan`). Raises InputError, naming the reason, if
    the file holds anything else, would take too much memory, is damaged or absent.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("the pickle is not there", where=path, todo="correct the path")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(
            f"a pickle of {path.stat().st_size / 1e9:.1f} GB", where=path, expected="at most 2 GB"
        )
    try:
        content = path.read_bytes()
        scan(content)
        return _plain(_Reader(io.BytesIO(content), encoding="latin1").load(), {})
    except RefusedError as error:
        raise InputError(
            f"this pickle is refused: {error}",
            where=path,
            expected="lists, dicts, numbers, texts and NumPy arrays only",
            todo="do not open it with Python's own pickle unless you trust who made it",
        ) from error
    except DAMAGED as error:
        raise InputError(
            f"this pickle is damaged ({type(error).__name__}: {str(error)[:80]})",
            where=path,
            expected="a whole file",
            todo="fetch it again",
        ) from error


def _plain(value, known: dict):
    """Replace stand-ins by real arrays; a value that occurs twice is converted once."""
    if id(value) in known:
        return known[id(value)][1]
    if isinstance(value, _Array):
        if value.value is None:
            raise RefusedError("an array without content")
        result = _plain(value.value, known) if isinstance(value.value, list) else value.value
    elif isinstance(value, list):
        result = []
        known[id(value)] = (value, result)
        result.extend(_plain(item, known) for item in value)
    elif isinstance(value, dict):
        result = {}
        known[id(value)] = (value, result)
        result.update((_plain(key, known), _plain(item, known)) for key, item in value.items())
    elif isinstance(value, tuple):
        result = tuple(_plain(item, known) for item in value)
    elif value is None or isinstance(
        value, bool | int | float | complex | str | bytes | np.ndarray
    ):
        result = value
    else:
        raise RefusedError(f"a {type(value).__name__}")
    known[id(value)] = (value, result)  # also the value: an id is valid while its object lives
    return result
