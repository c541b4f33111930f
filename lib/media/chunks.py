"""Chunks of sound files (WAV, RF64, AIFF): how long their headers say the sound is, in bytes."""

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


def end(path: Path) -> int:
    """The byte after the last sample, as the header claims it; 0 for a file of another kind, and
    for one whose length was not known when its header was written.
    """
    with Path(path).open("rb") as file:
        head = file.read(12)
        order, samples = _FORMS.get(head[:4], ("", b""))
        if not order or head[8:12] not in _KINDS:
            return 0
        size = _size_of(file, samples, order)
        return file.tell() + size if _is_known(size) else 0


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
