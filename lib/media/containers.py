"""Media files through PyAV (FFmpeg): open one, decode a track from its first frame to its last,
with times.

PyAV is imported only when a file is opened, so that networks can be trained from stored arrays on a
machine without PyAV.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from . import kinds, orientation

if TYPE_CHECKING:
    import av


REMEDY = "play the file in a video player; copy or download it again, or leave the recording out"

# FFmpeg's motion-adaptive deinterlacing filter: one picture per frame, only for frames marked as
# interlaced.
DEINTERLACE = ("yadif", "mode=send_frame:deint=interlaced")
# longer pixels are a damaged header: wide-screen DV has 64:45, anamorphic lenses 2:1
MAX_ASPECT = 4.0


def pyav():
    """The module av. Raises InputError where the package is not installed."""
    try:
        import av
    except ImportError as error:
        raise InputError(
            f"media files cannot be read here: {error}",
            expected="the Python package av (PyAV)",
            todo="pip install av, or copy the processed folder from a machine that made the arrays",
        ) from error
    # torchvision before 0.26 turns FFmpeg's log on when it is imported: a decoding thread that has
    # something to say then waits for Python's lock, and whoever closes the file waits for the
    # thread and has the lock. Recordings that were a little damaged never came to an end.
    av.logging.set_level(None)
    return av


def _reading(av) -> dict[str, str]:
    """Option for titles and names that are not UTF-8: before PyAV 19 they are replaced, because a
    file could not be opened otherwise; later versions need no option and have none.
    """
    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


@contextmanager
def opened(path: Path):
    """The container of a recording. Raises InputError when the file is missing, empty or no
    recording.
    """
    path, av = Path(path), pyav()
    if not path.is_file():
        raise InputError("the recording is not there", where=path, todo="correct the path")
    if path.stat().st_size == 0:
        raise InputError(
            "the file is empty (0 bytes)",
            where=path,
            expected="a recording",
            todo="copy or download it again",
        )
    kinds.refuse_text(path)
    try:
        container = av.open(str(path), **_reading(av))
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"not a recording that can be read ({reason})",
            where=path,
            expected="a media file such as mp4, avi, mov or webm",
            todo=REMEDY,
        ) from error
    with container:
        pictures = [picture(container)] if container.streams.video else []
        for track in [*pictures, *container.streams.audio[:1]]:
            if track.codec_context is None:
                raise InputError(
                    f"the {track.type} track is coded in a way that nothing here decodes",
                    where=path,
                    expected="a codec that FFmpeg knows",
                    todo="write it again with the program that recorded it: as H.264, AAC in mp4",
                )
        try:
            yield container
        finally:
            pyav()  # while the caller had the file, torchvision may have been imported


def picture(container):
    """The video track that a player shows: the first one that is no cover, the first where all are.

    The caller must have checked that there is one.
    """
    tracks = container.streams.video
    return next((track for track in tracks if not is_cover(track)), tracks[0])


def is_cover(track) -> bool:
    """Whether a video track is one picture that stands for the file in a player's list."""
    return bool(track.disposition & pyav().stream.Disposition.attached_pic)


def timed(container, path: Path, looked_at: bool = True) -> Iterator[tuple[float, av.VideoFrame]]:
    """(time in s, frame as it is stored) of the first video track, in display order.

    looked_at : False where only times are wanted: pictures are then left without the last step of
        their decoding, the smoothing of block edges, a quarter of the work (H.264). There are as
        many frames, at the same times.
    """
    if not container.streams.video:
        raise InputError(
            "no video track",
            where=path,
            expected="a recording with picture",
            todo="leave the file out; trainings on sound alone take it (`modality: audio`)",
        )
    track = picture(container)
    track.thread_type = "AUTO"
    if not looked_at:
        track.codec_context.options = {"skip_loop_filter": "all"}
    step, last = 1 / float(track.average_rate or 25), None
    for frame in decoded(container, track, path):
        # Some AVI frames carry no time stamp: they follow the last frame at the average rate.
        time = frame.time
        if time is None:
            time = 0.0 if last is None else last + step
        last = time
        yield time, frame


def progressive(
    frames: Iterator[tuple[float, av.VideoFrame]],
) -> Iterator[tuple[float, av.VideoFrame, orientation.Orientation]]:
    """(time, frame, how it is shown) for each frame of `timed`; interlaced frames are deinterlaced,
    one for one.

    The filter returns a frame only after it got the next one, so times and orientations wait in a
    queue.
    """
    graph, waiting = None, deque()
    for time, frame in frames:
        if graph is None and not frame.interlaced_frame:
            yield time, frame, orientation.of(frame)
            continue
        graph = graph or _deinterlacer(frame)
        waiting.append((time, orientation.of(frame)))
        graph.push(frame)
        yield from _whole(graph, waiting)
    if graph is not None:
        graph.push(None)
        yield from _whole(graph, waiting)


def _deinterlacer(frame: av.VideoFrame):
    graph = pyav().filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    graph.link_nodes(source, graph.add(*DEINTERLACE), graph.add("buffersink")).configure()
    return graph


def _whole(graph, waiting: deque) -> Iterator[tuple[float, av.VideoFrame, orientation.Orientation]]:
    while waiting:
        try:
            frame = graph.vpull()
        except pyav().error.FFmpegError:  # needs the next frame first
            return
        time, shown = waiting.popleft()
        yield time, frame, shown


def pixel_aspect(track) -> float:
    """Width of a stored pixel by its height, as the file says it; 1 where it says nothing."""
    return float(track.sample_aspect_ratio or 1)


def square_size(track, frame: av.VideoFrame) -> tuple[int, int]:
    """Width and height of a frame with square pixels: stretched in width, as viewers do; absurd
    ratios are ignored.
    """
    aspect = pixel_aspect(track)
    return (
        round(frame.width * aspect) if 1 / MAX_ASPECT <= aspect <= MAX_ASPECT else frame.width
    ), frame.height


def packets(container, track, path: Path) -> Iterator:
    """The packets of a track. Raises InputError where the container itself is damaged there."""
    av, packets = pyav(), container.demux(track)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            raise InputError(
                f"the {track.type} track cannot be read to its end ({error.strerror})",
                where=path,
                expected="a whole recording",
                todo="leave the recording out, or save what is good: ffmpeg -i OLD NEW.mp4",
            ) from error
        if packet is None:
            return
        yield packet


def decoded(container, track, path: Path) -> Iterator:
    """Every frame of a track. A damaged packet of sound is skipped (it leaves a hole), one of
    picture is an error.
    """
    good = refused = 0
    reason, av = "", pyav()
    for packet in packets(container, track, path):
        try:
            got = packet.decode()
        except av.error.FFmpegError as error:
            refused, reason, got = refused + 1, error.strerror, []
        if refused and (track.type == "video" or refused > good + 8):
            break
        good += len(got)
        yield from got
    if not good or refused > (good if track.type == "audio" else 0):
        raise InputError(
            f"the {track.type} track ({track.codec_context.name}) does not decode: "
            f"{reason or 'nothing in it'} after {good} frames",
            where=path,
            expected="a track that decodes to its end",
            todo="leave the recording out, or save what is good: ffmpeg -i OLD NEW.mp4",
        )


# number of channels from which PyAV 18.1 reads beyond the end of a planar frame
PLANAR_CHANNELS = 8


def samples(frame: av.AudioFrame) -> np.ndarray:
    """(channels, n) float32 or float64 in −1…1 of a piece of sound, whatever its format."""
    count = frame.layout.nb_channels
    if frame.format.is_planar and count >= PLANAR_CHANNELS:
        packed = pyav().AudioResampler(format=frame.format.packed.name).resample(frame)
        return np.concatenate([samples(piece) for piece in packed], axis=1)
    stored = frame.to_ndarray()
    if not frame.format.is_planar:
        stored = np.ascontiguousarray(stored.reshape(-1, count).T)
    if stored.dtype.kind == "u":  # 8 bits
        return stored.astype(np.float64) / 128 - 1
    if stored.dtype.kind != "i":
        return stored
    return stored / -float(np.iinfo(stored.dtype).min)


def finite(frame: av.AudioFrame) -> tuple[av.AudioFrame, int]:
    """The frame with silence instead of samples that are not finite (faulty programs write them
    into floating-point files), and their number. A single one would spoil everything computed from
    it.
    """
    if frame.format.name.removesuffix("p") not in ("flt", "dbl"):
        return frame, 0
    every = samples(frame)
    broken = int(every.size - np.isfinite(every).sum())
    if not broken:
        return frame, 0
    whole = np.nan_to_num(every, nan=0.0, posinf=0.0, neginf=0.0)
    stored = whole if frame.format.is_planar else whole.T.reshape(1, -1)
    mended = pyav().AudioFrame.from_ndarray(
        np.ascontiguousarray(stored), format=frame.format.name, layout=frame.layout.name
    )
    mended.sample_rate, mended.pts, mended.time_base = frame.sample_rate, frame.pts, frame.time_base
    return mended, broken
