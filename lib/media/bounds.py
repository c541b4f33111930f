"""Estimate what reading an untrusted file would build, before anything is built: pickles, zip
archives, .npy files.

A pickle of 83 bytes can ask for a gigabyte, and one of 130 bytes can compute for ever: nested
tuples, each of them twice, whose hash visits all. `scan` executes the operations of a pickle with
sizes instead of objects.
"""

from __future__ import annotations

import pickle
import pickletools
import zipfile
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path

MOST_OPERATIONS = 10_000_000  # operations of one pickle; published ones have below a million
MOST_VALUES = 20_000_000  # in one object, shared ones counted each time; and in keys
DEEPEST = 200  # lists in lists
COPIES = 8  # factor on the file's size for the arguments of its calls, besides SPARE
SPARE = 1 << 24  # bytes
MOST_MEMBERS = 100_000  # files of an archive
CHUNK = 1 << 20  # bytes read at once

_PREFIX = {  # how long an argument is, written before it
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}


class RefusedError(pickle.UnpicklingError):
    """The file asks for something that is not built from untrusted files."""


@dataclass(slots=True)
class _Item:
    """An object as the scan sees it. values : how many values it holds, including itself; shared
    ones count each time. size : bytes of its texts. value : the value of a small number, text or
    name; for a tuple those of its elements.
    """

    values: int = 1
    size: int = 0
    depth: int = 1
    value: object = None

    def take(self, others: list[_Item]) -> None:
        self.values += sum(other.values for other in others)
        self.size += sum(other.size for other in others)
        self.depth = max([self.depth, *(other.depth + 1 for other in others)])
        if self.values > MOST_VALUES:
            raise RefusedError(f"objects of more than {MOST_VALUES:,} values, shared ones counted")
        if self.depth > DEEPEST:
            raise RefusedError(f"objects nested more than {DEEPEST} deep")


@dataclass
class Scan:
    """What a pickle would build. `end` is the first byte after it; `stored` has, for each object
    that is stored outside of it (a tensor's numbers), the key and the largest number given with it.
    """

    end: int = 0
    stored: dict[object, int] = field(default_factory=dict)


def scan(data: bytes, start: int = 0, callables: Container[str] | None = None) -> Scan:
    """Walk through the pickle that begins at byte `start` of `data`, building nothing.

    callables : dotted names that it may call, None: all that the reader knows. Raises RefusedError
    for a pickle that would take more memory, depth or time than the file's size allows, and
    pickle.UnpicklingError for a broken one.
    """
    program = _Program(data, start, callables)
    try:
        return program.walk()
    except (IndexError, ValueError, UnicodeError, KeyError) as error:
        raise pickle.UnpicklingError(f"no whole pickle: {error!r}") from error


class _Program:
    def __init__(self, data: bytes, start: int, callables: Container[str] | None):
        self.data, self.place, self.callables = data, start, callables
        self.stack: list[_Item] = []
        self.marks: list[int] = []
        self.memo: dict[int, _Item] = {}
        self.hashed = self.built = 0
        self.found = Scan()

    def walk(self) -> Scan:
        data, operations = self.data, _OPERATIONS
        for _ in range(MOST_OPERATIONS):
            name, kind, do = operations[data[self.place]]
            start = self.place + 1
            if kind is not None and kind < 0:
                argument = self._argument(name, kind, start)
            else:
                self.place = start + (kind or 0)
                argument = data[start : self.place]
            if self.place > len(data):
                raise pickle.UnpicklingError("the file ends before its last number or text")
            if do is None:
                self.found.end = self.place
                self.stack.pop()
                return self.found
            do(self, name, argument)
        raise RefusedError(f"more than {MOST_OPERATIONS:,} operations")

    def _argument(self, name: str, kind: int, start: int) -> bytes:
        """The bytes of an argument whose length is written before it, or which ends with its
        line.
        """
        if kind == pickletools.UP_TO_NEWLINE:
            self.place = start
            for _ in range(2 if name in ("GLOBAL", "INST") else 1):
                # bytes and memory maps both have `find`.
                self.place = self.data.find(b"\n", self.place) + 1
                if not self.place:
                    raise pickle.UnpicklingError("a line without an end")
            return self.data[start : self.place - 1]
        first = start + _PREFIX[kind]
        self.place = first + int.from_bytes(self.data[start:first], "little")
        return self.data[first : self.place]

    # Handlers of one kind of operation each, called with its name and argument.
    def _refuse(self, name: str, argument: bytes) -> None:
        raise RefusedError(f"an object from elsewhere ({name})")

    def _nothing(self, name: str, argument: bytes) -> None:
        pass

    def _push(self, name: str, argument: bytes) -> None:
        self.stack.append(_Item(1, len(argument)))

    def _push_number(self, name: str, argument: bytes) -> None:
        few = len(argument) <= 20
        self.stack.append(_Item(1, 0, 1, _number(name, argument) if few else None))

    def _push_text(self, name: str, argument: bytes) -> None:
        self.stack.append(_Item(1, len(argument), 1, argument.decode(errors="replace")))

    def _push_name(self, name: str, argument: bytes) -> None:
        self.stack.append(_Item(value=_name(argument)))

    def _push_name_of_stack(self, name: str, argument: bytes) -> None:
        module, inside = self._popped(2)
        self.stack.append(_Item(value=f"{module.value}.{inside.value}"))

    def _get(self, name: str, argument: bytes) -> None:
        self.stack.append(self.memo[_number(name, argument)])

    def _put(self, name: str, argument: bytes) -> None:
        number = len(self.memo) if name == "MEMOIZE" else _number(name, argument)
        if not 0 <= number <= len(self.data):  # the reader keeps a table as long as the number
            raise RefusedError(f"a memo of {number:,} places in a file of {len(self.data):,} bytes")
        self.memo[number] = self.stack[-1]

    def _mark(self, name: str, argument: bytes) -> None:
        self.marks.append(len(self.stack))

    def _duplicate(self, name: str, argument: bytes) -> None:
        self.stack.append(self.stack[-1])

    def _pop(self, name: str, argument: bytes) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()  # a mark alone, as the reader takes it
        else:
            self._popped(1)

    def _pop_to_mark(self, name: str, argument: bytes) -> None:
        self._to_mark()

    def _few(self, name: str, argument: bytes) -> None:
        self._join(self._popped(int(name[-1])))  # TUPLE1, TUPLE2, TUPLE3

    def _many(self, name: str, argument: bytes) -> None:
        items = self._to_mark()
        if name in ("DICT", "FROZENSET"):
            self._hash(items[:: 2 if name == "DICT" else 1])
        self._join(items)

    def _append(self, name: str, argument: bytes) -> None:
        items = self._to_mark() if name == "APPENDS" else self._popped(1)
        self.stack[-1].take(items)

    def _set(self, name: str, argument: bytes) -> None:
        items = self._popped(2) if name == "SETITEM" else self._to_mark()
        self._hash(items if name == "ADDITEMS" else items[::2])
        self.stack[-1].take(items)

    def _build(self, name: str, argument: bytes) -> None:
        state = self._popped(1)
        self._given(state)
        self.stack[-1].take(state)

    def _reduce(self, name: str, argument: bytes) -> None:
        self._call(self._popped(3 if name == "NEWOBJ_EX" else 2))

    def _instance(self, name: str, argument: bytes) -> None:
        first = [_Item(value=_name(argument))] if name == "INST" else []
        self._call([*first, *self._to_mark()])

    def _popped(self, count: int) -> list[_Item]:
        if len(self.stack) - count < (self.marks[-1] if self.marks else 0):
            raise pickle.UnpicklingError("an operation without its objects")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def _to_mark(self) -> list[_Item]:
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def _join(self, items: list[_Item]) -> None:
        whole = _Item(value=tuple(item.value for item in items) if len(items) < 8 else None)
        whole.take(items)
        self.stack.append(whole)

    def _hash(self, keys: list[_Item]) -> None:
        self.hashed += sum(key.values for key in keys)
        if self.hashed > MOST_VALUES:
            raise RefusedError(f"keys of more than {MOST_VALUES:,} values")

    def _call(self, items: list[_Item]) -> None:
        called = items[0].value
        if self.callables is not None and called not in self.callables:
            raise pickle.UnpicklingError(f"GLOBAL {called} may not be called here")
        self._given(items[1:])
        made = _Item()
        made.take(items)
        self.stack.append(made)

    def _given(self, items: list[_Item]) -> None:
        self.built += sum(item.size + item.values for item in items)
        if self.built > COPIES * len(self.data) + SPARE:
            raise RefusedError(f"{self.built:,} bytes out of {len(self.data):,}, by repetition")

    def _store(self, name: str, argument: bytes) -> None:
        """A tensor's numbers: ("storage", type, key, device, how many)."""
        where = self._popped(1)[0] if name == "BINPERSID" else _Item(value=argument.decode())
        parts = where.value if isinstance(where.value, tuple) else (where.value,)
        key = next((part for part in parts[2:] if isinstance(part, str)), len(self.found.stored))
        count = max([0, *(part for part in parts if isinstance(part, int))])
        self.found.stored[key] = max(self.found.stored.get(key, 0), count)
        self.stack.append(_Item())


_DONE_BY = {
    _Program._refuse: "EXT1 EXT2 EXT4 NEXT_BUFFER READONLY_BUFFER",
    _Program._nothing: "PROTO FRAME",
    _Program._push_number: "INT BININT BININT1 BININT2 LONG LONG1 LONG4",
    _Program._push_text: "UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8",
    _Program._push_name: "GLOBAL",
    _Program._push_name_of_stack: "STACK_GLOBAL",
    _Program._get: "GET BINGET LONG_BINGET",
    _Program._put: "PUT BINPUT LONG_BINPUT MEMOIZE",
    _Program._mark: "MARK",
    _Program._duplicate: "DUP",
    _Program._pop: "POP",
    _Program._pop_to_mark: "POP_MARK",
    _Program._few: "TUPLE1 TUPLE2 TUPLE3",
    _Program._many: "TUPLE LIST DICT FROZENSET",
    _Program._append: "APPEND APPENDS",
    _Program._set: "SETITEM SETITEMS ADDITEMS",
    _Program._build: "BUILD",
    _Program._reduce: "REDUCE NEWOBJ NEWOBJ_EX",
    _Program._instance: "INST OBJ",
    _Program._store: "PERSID BINPERSID",
}
_BY_NAME = {name: do for do, names in _DONE_BY.items() for name in names.split()} | {"STOP": None}
# Byte -> name, length of its argument (as `pickletools` has it), handler; None ends the pickle.
_OPERATIONS = {
    ord(each.code): (each.name, each.arg and each.arg.n, _BY_NAME.get(each.name, _Program._push))
    for each in pickletools.opcodes
}


def _number(name: str, argument: bytes) -> int:
    if name in ("PUT", "GET", "INT", "LONG"):
        return int(argument.rstrip(b"L"))
    return int.from_bytes(argument, "little", signed=name in ("BININT", "LONG1", "LONG4"))


def _name(argument: bytes) -> str:
    return argument.decode(errors="replace").replace("\n", ".")


def is_archive(path: Path) -> bool:
    """Whether a file is a zip archive, possibly a damaged one."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # one that says that it is the last of several
        return True


def archive(path: Path, names: str = "") -> list[bytes]:
    """Check a zip archive as PyTorch writes it, reading all of it once; returns the content of the
    members whose name ends in `names`.

    Raises RefusedError for an archive that would be larger when unpacked, and zipfile.BadZipFile,
    naming the member, for a wrong check-sum: a bit has changed.
    """
    contents, chunk = [], memoryview(bytearray(CHUNK))
    try:
        with zipfile.ZipFile(path) as whole:
            members = whole.infolist()
            total = sum(member.file_size for member in members)
            packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
            if len(members) > MOST_MEMBERS or packed or total > Path(path).stat().st_size:
                raise RefusedError(
                    f"an archive of {len(members)} members, {total:,} bytes when unpacked"
                )
            for member in members:
                with whole.open(member) as stream:
                    if names and member.filename.endswith(names):
                        contents.append(stream.read())
                    while stream.readinto(chunk):  # the check-sum is compared at its end
                        pass
    except (OSError, NotImplementedError, EOFError, ValueError, RuntimeError) as error:
        raise zipfile.BadZipFile(str(error)) from error  # encrypted, cut, or places outside
    return contents
