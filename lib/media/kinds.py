"""The kind of a file by its first bytes, not by its name: a recording, a sound, a picture, a text.

The signatures are those of the containers' own specifications. Nothing is decoded, so that a
hundred thousand files can be looked at.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..errors import InputError

HEAD_BYTES = 1100  # bytes that are read: five packets of a transport stream of 204 bytes, and a bit
# Suffixes of recordings. A file with such a suffix is expected to be one, whatever it contains.
VIDEO_SUFFIXES = (
    ".mp4",
    ".avi",
    ".mov",
    ".mkv",
    ".webm",
    ".mpg",
    ".mpeg",
    ".m4v",
    ".wmv",
    ".ogg",
    ".ogv",
    ".3gp",
    ".3g2",
    ".flv",
    ".m2ts",
    ".vob",
    ".mxf",
    ".asf",
    ".rm",
    ".rmvb",
)
SOUND_SUFFIXES = (
    *(".wav", ".mp3", ".m4a", ".m4b", ".aac", ".flac", ".oga", ".opus", ".wma", ".mka", ".weba"),
    *(".aif", ".aiff", ".aifc", ".caf", ".amr", ".ac3", ".au", ".w64", ".rf64", ".sph", ".nist"),
)
RECORDING_SUFFIXES = (*VIDEO_SUFFIXES, *SOUND_SUFFIXES)
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".heic", ".webp", ".svg")

# First bytes of containers of pictures in motion.
VIDEO_STARTS = (
    b"\x1aE\xdf\xa3",  # EBML: Matroska, WebM
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF: wmv
    b"FLV\x01",
    b".RMF",
    b"\x00\x00\x01\xba",  # MPEG programme stream, as on a DVD
    b"\x00\x00\x01\xb3",  # MPEG-1 and -2 without a container
    b"\x00\x00\x00\x01\x67",  # H.264 without a container: its first parameters
    b"\x00\x00\x01\x67",
    b"\x00\x00\x00\x01\x40\x01",  # H.265, the same
    b"\x1f\x07\x00",  # DV
    b"DKIF",  # IVF
    b"nut/multimedia container",
)
MXF = b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02"  # after up to 64 KiB of anything
SOUND_STARTS = (
    *(b"ID3", b"fLaC", b"FORM", b"caff", b"#!AMR", b".snd", b"riff\x2e\x91\xcf\x11"),
    *(b"\xff\xfb", b"\xff\xf3", b"\xff\xf1", b"\xff\xf9", b"\x0b\x77"),
)
SPHERE = b"NIST_1A\n"  # NIST SPHERE, whose header is a text; .wav, too
PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\x00", b"MM\x00*")
# ISO/IEC 14496-12: the type of the first box, and which brands are no recordings.
FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof", b"styp")
PICTURE_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif", b"crx ")
SOUND_BRANDS = (b"M4A ", b"M4B ", b"M4P ")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f]")  # in no text of a person
# Five packets of a transport stream in a row, of 188, 192 or 204 bytes, each begins with 0x47.
_TRANSPORT = tuple(re.compile(rb"(?s)G(?:.{%d}G){4}" % (size - 1)) for size in (188, 192, 204))


def kind(path: Path | str) -> str:
    """ "video", "sound", "picture", "text", or "" for an unknown signature.

    An animated GIF is a recording. A container with the suffix of a sound file counts as sound.
    Raises OSError for an unreadable file.
    """
    suffix = os.path.splitext(path)[1].lower()
    head = start(path)
    form = of_bytes(head)
    if form == "video" and suffix in SOUND_SUFFIXES:
        return "sound"
    if head.startswith(b"GIF8"):
        return "video" if _moves(path) else "picture"
    if form in ("", "text") and suffix in VIDEO_SUFFIXES:  # refused elsewhere, with its own reason
        return "video"
    return form


def start(path: Path | str, count: int = HEAD_BYTES) -> bytes:
    """The first bytes of a file."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        return os.read(handle, count)
    finally:
        os.close(handle)


def of_bytes(head: bytes) -> str:
    """`kind` of the first `HEAD_BYTES` bytes of a file, by its signature alone."""
    if head.startswith(SPHERE):
        return "sound"
    if is_text(head):
        return "video" if head.startswith(b"YUV4MPEG2 ") else "text"
    if head[4:8] in FIRST_BOXES:
        brand = head[8:12] if head[4:8] == b"ftyp" else b""
        return "picture" if brand in PICTURE_BRANDS else _sound_or_video(brand in SOUND_BRANDS)
    if head.startswith((b"RIFF", b"RF64")):
        return {b"AVI ": "video", b"WAVE": "sound", b"WEBP": "picture"}.get(head[8:12], "")
    if head.startswith(b"OggS"):
        return _sound_or_video(not any(word in head for word in (b"theora", b"OVP80", b"video")))
    if head.startswith(VIDEO_STARTS) or MXF in head or _is_transport_stream(head):
        return "video"
    if head.startswith(SOUND_STARTS):
        return "sound"
    return "picture" if head.startswith(PICTURE_STARTS) else ""


def _sound_or_video(is_sound: bool) -> str:
    return "sound" if is_sound else "video"


def _is_transport_stream(head: bytes) -> bool:
    """Whether several packets in a row begin with the sync byte; a recording may begin in the
    middle of a packet.
    """
    return any(packets.search(head) for packets in _TRANSPORT)


def _moves(path: Path | str) -> bool:
    """Whether a GIF has several pictures: a control block precedes each."""
    content = start(path, 1 << 22)
    return content.count(b"\x00\x21\xf9\x04") > 1 or b"NETSCAPE2.0" in content


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are text: UTF-8 or UTF-16, without control characters."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    if not head or _CONTROL.search(head):
        return False
    body = head[:-4] if len(head) > 64 else head  # a character of several bytes may be cut in two
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def refuse_text(path: Path) -> None:
    """Raise InputError for a text instead of a recording: the error page of a failed download, or a
    playlist, which would open other files.
    """
    head = start(path)
    if of_bytes(head) != "text":
        return
    shown = head[:60].decode("utf-8", "replace").strip().split("\n")[0]
    page = "the page of a web site" if b"<html" in head[:HEAD_BYTES].lower() else "a text"
    raise InputError(
        f"not a recording that can be read: {page}, it begins with {shown!r}",
        where=path,
        expected="a media file such as mp4, avi, mov or webm",
        todo="copy or download it again",
    )
