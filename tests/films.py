"""Recordings as odd as cameras and programs make them, for tests: any codec, pixel format, stamps
and rotation.
"""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

X264 = {"preset": "ultrafast", "x264-params": "bframes=0"}  # stamps in the order of coding
ONE = 1 << 16  # of the fixed-point numbers in an mp4's display matrix


def encode(
    path: Path,
    pictures,
    codec="ffv1",
    pixels="yuv444p",
    flags=None,
    options=None,
    stamps=None,
    fps=25,
    aspect=None,
) -> Path:
    """Write `pictures` (H, W, 3) uint8 RGB with that codec and pixel format.

    stamps : in frames, default 0, 1, 2, …; aspect : width of a pixel by its height, a Fraction.
    """
    pictures, packets = list(pictures), []
    with av.open(str(path), "w") as container:
        track = container.add_stream(codec, rate=fps)
        (track.height, track.width), track.pix_fmt = pictures[0].shape[:2], pixels
        track.codec_context.time_base = Fraction(1, fps)
        track.options = options or {}
        if aspect:
            track.codec_context.sample_aspect_ratio = aspect
        if flags:
            track.codec_context.flags |= flags
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, fps)
            packets += track.encode(frame)
        for k, packet in enumerate(
            packet for packet in [*packets, *track.encode(None)] if packet.size
        ):
            if stamps is not None:
                packet.pts, packet.dts = stamps[k], k
            container.mux(packet)
    return path


def only_sound(path: Path) -> Path:
    """An mp4 of one second of silence at 44.1 kHz and no picture."""
    with av.open(str(path), "w", format="mp4") as container:
        track = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 44100), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 44100
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return path


def turned(path: Path, matrix: tuple[int, ...]) -> Path:
    """Write the nine numbers of a display matrix into an mp4's track header (ISO/IEC 14496-12,
    8.3.2).
    """
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40
    content[place : place + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
    return path


def quarter(sine: int, cosine: int = 0) -> tuple[int, ...]:
    """The display matrix of an angle of which sine and cosine are −1, 0 or 1."""
    return (cosine * ONE, sine * ONE, 0, -sine * ONE, cosine * ONE, 0, 0, 0, 1 << 30)


def spliced(path: Path, parts: list) -> Path:
    """Motion JPEG in Matroska whose pictures change their size on the way; each of `parts` is a
    list of pictures.
    """
    with av.open(str(path), "w") as container:
        track = container.add_stream("mjpeg", rate=25)
        (track.height, track.width), track.pix_fmt = parts[0][0].shape[:2], "yuvj420p"
        number = 0
        for pictures in parts:
            coder = av.CodecContext.create("mjpeg", "w")
            (coder.height, coder.width), coder.pix_fmt = pictures[0].shape[:2], "yuvj420p"
            coder.time_base = Fraction(1, 25)
            for picture in pictures:
                for packet in coder.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                    packet.pts = packet.dts = number
                    packet.time_base, packet.stream = Fraction(1, 25), track
                    container.mux(packet)
                    number += 1
    return path


def ramp(n, height=48, width=64):
    """`n` pictures whose grey rises from left to right and from frame to frame."""
    across = np.linspace(0, 150, width)[None, :, None]
    return [
        np.repeat(np.repeat(across + 4 * k, height, 0), 3, 2).astype(np.uint8) for k in range(n)
    ]
