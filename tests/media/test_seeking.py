"""Frames from the middle of a recording: those of one pass, or a refusal."""

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from lib.media import recordings, seeking
from tests import films

N = 130
GOP = {"preset": "ultrafast", "g": "20"}
OPEN = "bframes=3:b-adapt=0:open-gop=1:scenecut=0"
# name of the file: codec, options
WRITTEN = {
    "closed.mp4": ("libx264", GOP | {"x264-params": "bframes=3:b-adapt=0:scenecut=0"}),
    "open.mp4": ("libx264", GOP | {"x264-params": OPEN}),
    "open.ts": ("libx264", GOP | {"x264-params": OPEN}),
    "refresh.ts": ("libx264", GOP | {"x264-params": "intra-refresh=1"}),
    "open.mkv": ("libx264", GOP | {"x264-params": OPEN}),
    "hevc.mkv": (
        "libx265",
        {"preset": "ultrafast", "x265-params": "keyint=20:bframes=3:open-gop=1:log-level=none"},
    ),
    "vp9.webm": ("libvpx-vp9", {"g": "20", "deadline": "realtime", "cpu-used": "8"}),
    "b.avi": ("mpeg4", {"g": "20", "bf": "2"}),
    "broadcast.ts": ("mpeg2video", {"g": "15", "bf": "2"}),
}


def pictures():
    still = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    for number in range(N):
        shown = np.roll(still, 2 * number, 1).copy()
        shown[:12, :12] = 7 * number % 255
        yield shown


def written(path, uneven=False, shown=None):
    """A film of `N` pictures; `uneven`: as cameras of telephones stamp them."""
    codec, options = WRITTEN.get(path.name, ("libx264", GOP))
    clock = Fraction(1, 25) if codec in ("mpeg2video", "mpeg4") else Fraction(1, 1000)
    ticks, drawn = 0, np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        track = container.add_stream(codec, rate=25, options=options)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        track.codec_context.time_base = clock
        for picture in shown if shown is not None else pictures():
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = ticks, clock
            ticks += int(drawn.integers(21, 90)) if uneven else int(1 / clock / 25)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return path


def compare(path, firsts=(0, 3, 19, 20, 21, 47, 78, 100)):
    times, whole = recordings.frame_times(path), [shown for _, shown in recordings.frames(path)]
    assert len(times) == len(whole) == N
    for first in firsts:
        seen = list(seeking.frames(path, times, first, first + 30))
        assert [number for number, _ in seen] == list(range(first, first + 30))
        assert all(np.array_equal(shown, whole[number]) for number, shown in seen)


@pytest.mark.parametrize("name", [*WRITTEN, "uneven.mkv"])
def test_times_between_two_seconds_are_those_of_one_pass(name, tmp_path):
    path = written(tmp_path / name, uneven="uneven" in name)
    whole, edges = recordings.frame_times(path), [-np.inf, 0.9, 1.61, 3.7, np.inf]
    parts = [seeking.times(path, *ends, 7) for ends in pairwise(edges)]
    assert np.concatenate([own for _, own, _ in parts]).tolist() == whole.tolist()
    for number, (before, _, after) in enumerate(parts):
        first, stop = np.searchsorted(whole, edges[number : number + 2])
        assert before.tolist() == whole[:first][-7:].tolist()
        assert after.tolist() == whole[stop:][:7].tolist()


def test_times_of_a_stream_without_an_index_are_refused(tmp_path):
    path = written(tmp_path / "raw.h264")
    with pytest.raises(seeking.InexactError):
        seeking.times(path, 2.0, 3.0, 7)


@pytest.mark.parametrize("name", WRITTEN)
def test_frames_after_a_jump_are_those_of_one_pass(name, tmp_path):
    compare(written(tmp_path / name))


@pytest.mark.parametrize("name", ["open.mp4", "open.mkv"])
def test_frames_of_uneven_spacing_are_found_by_their_times(name, tmp_path):
    compare(written(tmp_path / name, uneven=True))


def test_frames_that_a_viewer_turns_are_turned(tmp_path):
    compare(films.turned(written(tmp_path / "open.mp4"), films.quarter(1)), [50])


def test_interlaced_frames_are_made_whole_with_their_neighbours(tmp_path):
    flags = av.codec.context.Flags.interlaced_dct | av.codec.context.Flags.interlaced_me
    options = {"g": "15", "top": "1"}
    path = films.encode(
        tmp_path / "i.mkv", pictures(), "mpeg2video", "yuv420p", flags=flags, options=options
    )
    assert recordings.probe(path).interlaced
    compare(path)


def test_a_jump_decodes_no_more_than_it_must(tmp_path, monkeypatch):
    path = written(tmp_path / "closed.mp4")
    times, seen, real = recordings.frame_times(path), [], seeking.containers.decoded
    monkeypatch.setattr(
        seeking.containers,
        "decoded",
        lambda *given: (seen.append(frame) or frame for frame in real(*given)),
    )
    list(seeking.frames(path, times, 100, 110))
    assert len(seen) < 60


def test_a_stream_without_an_index_is_refused(tmp_path):
    path = written(tmp_path / "raw.h264")
    times = recordings.frame_times(path)
    with pytest.raises(seeking.InexactError):
        list(seeking.frames(path, times, 100, 110))


def test_stamps_that_do_not_rise_are_refused(tmp_path):
    path = written(tmp_path / "closed.mp4")
    times = recordings.frame_times(path)
    times[50] = times[49]
    with pytest.raises(seeking.InexactError, match="do not rise"):
        list(seeking.frames(path, times, 100, 110))


def test_frames_at_other_times_than_before_are_refused(tmp_path):
    path = written(tmp_path / "closed.mp4")
    times = recordings.frame_times(path)
    times[105] += 0.001
    with pytest.raises(seeking.InexactError, match="frame 105 has another time"):
        list(seeking.frames(path, times, 100, 110))


def test_a_recording_with_too_few_key_frames_is_refused(tmp_path, monkeypatch):
    path = written(tmp_path / "closed.mp4")
    monkeypatch.setattr(seeking, "FAR", 10)
    with pytest.raises(seeking.InexactError, match="no key frame"):
        list(seeking.frames(path, recordings.frame_times(path), 72, 110))


def test_folders_of_pictures_are_read_where_they_are_wanted(tmp_path):
    import cv2

    for number, picture in zip(range(1, 9), pictures(), strict=False):
        cv2.imwrite(str(tmp_path / f"img_{number:05d}.jpg"), picture)
    whole = [shown for _, shown in recordings.frames(tmp_path)]
    (one, shown), other = seeking.frames(tmp_path, recordings.frame_times(tmp_path), 4, 6)
    assert (one, other[0]) == (4, 5)
    assert np.array_equal(shown, whole[4])
