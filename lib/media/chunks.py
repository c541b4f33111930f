"""How many bytes the header of a file says that it has: of sound files made of chunks (WAV, RF64,
AIFF), of AVI, of Matroska and WebM, and of MP3 where its first frame tells (Xing's and LAME's).
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

# First four bytes -> byte order of the sizes, chunk with the samples.
_FORMS = {
    b"RIFF": ("little", b"data"),
    b"RF64": ("little", b"data"),
    b"RIFX": ("big", b"data"),
    b"FORM": ("big", b"SSND"),
}
_KINDS = (b"WAVE", b"AIFF", b"AIFC")
_ELSEWHERE = 0xFFFFFFFF  # a size that does not fit: the chunk ds64 of an RF64 file has it
# Programs that write into a pipe do not know the length: they claim 0, or nearly 2 or 4 GiB, less
# what precedes the samples.
_LIMITS, _NEAR = (1 << 31, 1 << 32), 1 << 12


# AVI: lists that follow each other, of 1 GiB each; names of the first and of the others
_LISTS = (b"AVI ", b"AVIX")
# Matroska: names of the header and of the one element that all else is in
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
# MP3: what a first frame without sound is marked by, within so many bytes of its beginning
_MARKS, _MARK_WITHIN = (b"Xing", b"Info"), 64
_FRAMES_TOLD, _BYTES_TOLD = 1, 2  # flags that follow the mark


def end(path: Path) -> int:
    """The byte after the last one that the header claims (of sound files, after the last sample); 0
    for a file of another kind, and for one whose length was not known when its header was written.
    """
    with Path(path).open("rb") as file:
        head = file.read(12)
        if head[:4] == _EBML:
            return _end_of_segment(file)
        if head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
            return _end_of_mp3(file, head)
        order, samples = _FORMS.get(head[:4], ("", b""))
        if head[:4] == b"RIFF" and head[8:12] == _LISTS[0]:
            return _end_of_lists(file)
        if not order or head[8:12] not in _KINDS:
            return 0
        size = _size_of(file, samples, order)
        return file.tell() + size if _is_known(size) else 0


def _end_of_lists(file: BinaryIO) -> int:
    """The end of the last list of an AVI file that has begun; 0 where one tells no size."""
    position = 0
    while True:
        file.seek(position)
        head = file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:12] not in _LISTS:
            return position
        size = int.from_bytes(head[4:8], "little")
        if not _is_known(size):
            return 0
        position += 8 + size + size % 2


def _end_of_segment(file: BinaryIO) -> int:
    file.seek(len(_EBML))
    header = _number(file)
    file.seek(file.tell() + max(header, 0))
    if file.read(len(_SEGMENT)) != _SEGMENT:
        return 0
    size = _number(file)
    return file.tell() + size if size > 0 else 0


def _number(file: BinaryIO) -> int:
    """A size as Matroska writes it: as many bytes as the first has leading zeros, and one. −1 for
    the one that stands for "unknown", and at the file's end.
    """
    first = file.read(1)
    if not first or first == b"\0":
        return -1
    more = 8 - first[0].bit_length()
    bits = 7 * (more + 1)
    value = int.from_bytes(first + file.read(more), "big") & ((1 << bits) - 1)
    return value if value != (1 << bits) - 1 else -1


def _end_of_mp3(file: BinaryIO, head: bytes) -> int:
    start = 0
    if head[:3] == b"ID3":  # a tag before the sound; seven bits of each byte of its size count
        size = 0
        for byte in head[6:10]:
            size = size << 7 | byte & 0x7F
        start = 10 + size
    file.seek(start)
    frame = file.read(4 + _MARK_WITHIN)
    place = max(frame.find(mark) for mark in _MARKS)
    if frame[:1] != b"\xff" or place < 0:
        return 0
    file.seek(start + place + 4)
    flags = int.from_bytes(file.read(4), "big")
    if flags & _FRAMES_TOLD:
        file.read(4)
    size = int.from_bytes(file.read(4), "big") if flags & _BYTES_TOLD else 0
    return start + size if _is_known(size) else 0


def _size_of(file: BinaryIO, samples: bytes, order: str) -> int:
    """The claimed size of the chunk of samples, at whose first byte the file is left; 0 without."""
    large = 0
    while len(head := file.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], order)
        if name == samples:
            return large if size == _ELSEWHERE and large else size
        start = file.tell()
        if name == b"ds64":  # sizes of the whole file and of its samples, 8 bytes each
            large = int.from_bytes(file.read(16)[8:], order)
        file.seek(start + size + size % 2)
    return 0


def _is_known(size: int) -> bool:
    return size > 0 and not any(0 <= limit - size <= _NEAR for limit in _LIMITS)
