"""Which track of a file is its picture, where there is a cover or a second film in it; and sound
that ends before the picture in a file that does not say how long it is.
"""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from lib.datasets import check, folder
from lib.media import readings, recordings
from lib.store import Store
from tests.films import Sound, ramp, recorded


def picture(content, number=0):
    frame = av.VideoFrame.from_ndarray(content, format="rgb24")
    frame.pts, frame.time_base = number, Fraction(1, 25)
    return frame


def with_cover(path):
    """An mp4 whose cover stands in the file before its film, as some programs write it."""
    with av.open(str(path), "w", format="mp4") as container:
        film = container.add_stream("mpeg4", rate=25)
        film.height, film.width, film.pix_fmt = 48, 64, "yuv420p"
        cover = container.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = 200, 200, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux([*cover.encode(picture(ramp(1, 200, 200)[0])), *cover.encode(None)])
        for number, content in enumerate(ramp(25)):
            container.mux(film.encode(picture(content, number)))
        container.mux(film.encode(None))
    content = path.read_bytes()
    boxes = {kind: content[place : place + size] for place, size, kind in _boxes(content)}
    moov = boxes[b"moov"]
    inside = [moov[place : place + size] for place, size, _ in _boxes(moov[8:], 8)]
    first = [box for box in inside if box[4:8] in (b"mvhd", b"udta")]
    others = [box for box in inside if box not in first]
    path.write_bytes(content.replace(moov, moov[:8] + b"".join([*first, *others])))
    return path


def _boxes(content, offset=0):
    place = 0
    while place < len(content):
        size, kind = struct.unpack(">I4s", content[place : place + 8])
        yield place + offset, size, kind
        place += size


def with_two(path):
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("ffv1", rate=25) for _ in range(2)]
        for track, height in zip(tracks, (48, 96), strict=True):
            track.height, track.width, track.pix_fmt = height, 64, "yuv420p"
        for number in range(25):
            for track in tracks:
                container.mux(track.encode(picture(ramp(1, track.height)[0], number)))
        for track in tracks:
            container.mux(track.encode(None))
    return path


@pytest.fixture
def warned(tmp_path):
    def of(root):
        table, _ = folder.find(root)
        place = Store(tmp_path / "processed", "folder", root)
        return check.check_trial(table.iloc[0].to_dict(), place)["warnings"]

    (tmp_path / "data").mkdir()
    of.root = tmp_path / "data"
    return of


def test_a_cover_before_the_film_is_not_the_film(warned):
    path = with_cover(warned.root / "a.mp4")
    with av.open(str(path)) as container:
        assert [track.codec_context.name for track in container.streams] == ["mjpeg", "mpeg4"]
    info = recordings.probe(path)
    assert (info.width, info.height, info.picture, info.others) == (64, 48, 1, ())
    assert len(recordings.frame_times(path)) == 25
    assert next(recordings.frames(path))[1].shape == (48, 64, 3)
    assert "the picture is video track 2, as the ones before it are a cover" in warned(warned.root)


def test_only_arrays_of_a_film_behind_a_cover_bear_another_name(warned, tmp_path):
    with_cover(warned.root / "a.mp4")
    with_two(warned.root / "b.mkv")
    place = Store(tmp_path / "processed", "folder", warned.root)
    for row in folder.find(warned.root)[0].to_dict("records"):
        expected = {"picture": 2} if row["trial"] == "a" else {}
        assert readings.of_time(row, place) == readings.of_picture(row, place) == expected


def test_a_second_film_in_a_file_is_named(warned):
    path = with_two(warned.root / "a.mkv")
    assert recordings.probe(path).others == ("64×96",)
    assert "2 tracks of pictures; others are 64×96" in warned(warned.root)


@pytest.mark.parametrize(("seconds", "start", "is_told"), [(0.5, 0, True), (1.9, 0, False),
                                                           (1.0, 1.0, False)])  # fmt: skip
def test_sound_that_ends_early_is_named_where_the_file_does_not_say_so(
    warned, seconds, start, is_told
):
    tone = np.sin(np.arange(round(8000 * seconds)) / 3)[:, None].astype(np.float32) / 2
    recorded(warned.root / "a.mkv", [Sound(tone, start=start)])
    assert ("before the picture or has holes" in warned(warned.root)) == is_told
