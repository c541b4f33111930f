"""Recordings as odd as cameras and programs make them, for tests: any codec, pixel format, stamps
and rotation.
"""

import struct
from dataclasses import dataclass
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


@dataclass
class Sound:
    """A sound track: samples (n, channels) −1…1. `start` s of its first stamp, `speed` stretches
    its stamps (a number, or a function of s), not its samples.
    """

    samples: np.ndarray
    layout: str = "mono"
    codec: str = "pcm_s16le"
    rate: int = 8000
    start: float = 0.0
    speed: object = 1.0
    default: bool | None = None


def recorded(
    path: Path, sounds=(), n=50, fps=25, first=0.0, format=None, codec="libx264", pictures=None
) -> Path:
    """A recording of `n` pictures (or those given) from `first` s on with any sound tracks."""
    pictures = list(pictures) if pictures is not None else ramp(n)
    with av.open(str(path), "w", format=format) as container:
        video = container.add_stream(codec, rate=fps, options=X264 if codec == "libx264" else {})
        (video.height, video.width), video.pix_fmt = pictures[0].shape[:2], "yuv420p"
        tracks = [(container.add_stream(s.codec, rate=s.rate, layout=s.layout), s) for s in sounds]
        for track, sound in tracks:
            if sound.default is not None:
                flag = av.stream.Disposition.default
                track.disposition = flag if sound.default else av.stream.Disposition(0)
        packets = []
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = (
                round((first + k / fps) * fps * 100),
                Fraction(1, fps * 100),
            )
            packets += video.encode(frame)
        packets += video.encode(None)
        for track, sound in tracks:
            packets += _sound_packets(track, sound)
        for packet in sorted(packets, key=lambda p: float((p.dts or 0) * p.time_base)):
            container.mux(packet)
    return path


def _sound_packets(track, sound: Sound) -> list:
    size, packets = track.codec_context.frame_size or sound.rate // 40, []
    whole = sound.codec in ("pcm_s16le", "mp2", "flac")
    for place in range(0, len(sound.samples), size):
        piece, time = sound.samples[place : place + size], place / sound.rate
        if whole:
            data = np.round(piece * 32767).astype(np.int16).reshape(1, -1)
        else:
            data = np.ascontiguousarray(piece.T, np.float32)
        frame = av.AudioFrame.from_ndarray(
            data, format="s16" if whole else "fltp", layout=sound.layout
        )
        stamp = sound.start + (sound.speed(time) if callable(sound.speed) else time * sound.speed)
        frame.sample_rate, frame.time_base = sound.rate, Fraction(1, sound.rate)
        frame.pts = round(stamp * sound.rate)
        packets += track.encode(frame)
    return packets + track.encode(None)


def buzz(seconds=2.0, rate=8000, level=0.2, pitch=140) -> np.ndarray:
    """(n, 1): a tone with overtones, root mean square about 0.17 at level 0.2."""
    t = np.arange(round(seconds * rate)) / rate
    return level * sum(np.sin(2 * np.pi * pitch * h * t) / h for h in range(1, 6))[:, None]
