"""Recordings that are not 8-bit, progressive, upright and of constant rate: all frames, right pictures, times."""

import numpy as np
import pytest
from av.codec.context import Flags

from lib import media
from tests.films import X264, encode, quarter, ramp, spliced, turned

N = 8


def read(path, **options):
    """Times (T,) and pictures (T, H, W, 3); both ways of reading must agree on the times."""
    rows = list(media.frames(path, **options))
    assert np.array_equal([time for time, _ in rows], media.frame_times(path))
    return np.array([time for time, _ in rows]), np.stack([picture for _, picture in rows]).astype(int)


@pytest.mark.parametrize(("pixels", "shape"), [
    ("yuv444p", (48, 64)), ("yuv420p10le", (48, 64)), ("gray", (48, 64)), ("gray10le", (48, 64)),
    ("yuv422p10le", (64, 48)), ("yuv444p", (41, 63)), ("yuv420p", (63, 41)), ("yuv444p12le", (31, 17))])
def test_every_depth_colour_and_size_gives_the_pictures_that_were_filmed(tmp_path, pixels, shape):
    filmed = ramp(N, *shape)
    path = encode(tmp_path / "a.mkv", filmed, pixels=pixels)
    times, seen = read(path)
    assert times == pytest.approx(np.arange(N) / 25, abs=1e-3)
    assert np.abs(seen - np.stack(filmed)).max() <= 6  # the way to YUV and back
    info = media.probe(path)
    assert (info.pixels, info.width, info.height, info.interlaced) == (pixels, shape[1], shape[0], False)


def combed(n):
    """A bright bar that is 8 px further right in every second line: what two fields of a moving scene look like."""
    pictures = [np.full((96, 128, 3), 20, np.uint8) for _ in range(n)]
    for k, picture in enumerate(pictures):
        picture[0::2, 8 * k:8 * k + 24] = 220
        picture[1::2, 8 * k + 8:8 * k + 32] = 220
    return pictures


def teeth(pictures):
    """Mean change from a line to the next one."""
    return np.abs(np.diff(pictures.astype(int), axis=1)).mean()


@pytest.mark.parametrize(("name", "codec", "flags", "options"), [
    ("a.mpg", "mpeg2video", Flags.interlaced_dct | Flags.interlaced_me, {"b": "4000k"}),
    ("a.mp4", "libx264", None, {"x264-params": "tff=1"})])
def test_interlaced_frames_are_made_whole_one_for_one(tmp_path, name, codec, flags, options):
    filmed = combed(N)
    path = encode(tmp_path / name, filmed, codec, "yuv420p", flags, options)
    times, seen = read(path)
    assert media.probe(path).interlaced
    assert np.diff(times) == pytest.approx(np.full(N - 1, 0.04), abs=1e-3)
    assert teeth(seen) < 0.25 * teeth(np.stack(filmed))
    bar = (seen[..., 0] > 120).mean(axis=1)  # (T, W): it moves on in every frame
    assert np.all(np.diff(bar @ np.arange(128) / bar.sum(axis=1)) > 4)


def test_progressive_frames_are_not_filtered(tmp_path):
    """Stripes one line high would be smoothed away by the filter for interlaced pictures."""
    striped = [np.where(np.arange(48)[:, None, None] % 2, 200, 50).repeat(64, 1).repeat(3, 2).astype(np.uint8)] * 4
    _, seen = read(encode(tmp_path / "a.mkv", striped))
    assert np.abs(seen - striped[0]).max() <= 3


@pytest.mark.parametrize(("matrix", "turns"), [(quarter(0, 1), 0), (quarter(1), -1), (quarter(-1), 1),
                                               (quarter(0, -1), 2)])
def test_a_recording_is_turned_as_a_viewer_would(tmp_path, matrix, turns):
    path = turned(encode(tmp_path / "a.mp4", ramp(N), "libx264", "yuv420p", options=X264), matrix)
    stored, seen = read(path, rotate=False)[1], read(path)[1]
    assert np.array_equal(seen, np.rot90(stored, turns, axes=(1, 2)))
    assert media.probe(path).rotation % 360 == 90 * turns % 360


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0, 0, 0, 0, 0, 1 << 30), (2**31 - 1, -2**31, 7, 2**31 - 1, 1, 3, 5, 5, 5),
                                    (-1,) * 9])
def test_a_rotation_that_is_nonsense_leaves_whole_pictures(tmp_path, matrix):
    path = turned(encode(tmp_path / "a.mp4", ramp(N), "libx264", "yuv420p", options=X264), matrix)
    times, seen = read(path)
    assert len(times) == N
    assert sorted(seen.shape[1:3]) == [48, 64]
    if abs(media.probe(path).rotation) > 360:  # told as it is, so that the report can name it
        assert seen.shape[1:3] == (48, 64)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "ffv1")])
@pytest.mark.parametrize("stamps", [[0, 1, 2, 3, 2, 3, 4, 5], [10, 11, 11, 11, 12, 13, 14, 15],
                                    [10, 13, 14, 20, 27, 28, 40, 41]])
def test_stamps_that_go_back_stand_still_or_jump_are_kept_frame_by_frame(tmp_path, name, codec, stamps):
    path = encode(tmp_path / name, ramp(N), codec, "yuv420p", options=X264 if codec == "libx264" else {},
                  stamps=[stamp + 8 for stamp in stamps])
    times, seen = read(path)
    assert times == pytest.approx((np.array(stamps) + 8) / 25, abs=1e-3)
    assert np.all(np.diff(seen.mean(axis=(1, 2, 3))) > 2)  # the pictures stay in the order of coding


def test_a_recording_that_changes_its_size_keeps_the_first_one(tmp_path):
    path = spliced(tmp_path / "a.mkv", [ramp(4), ramp(4, 96, 128), ramp(4, 30, 40)])
    times, seen = read(path)
    assert (len(times), seen.shape[1:]) == (12, (48, 64, 3))
    assert np.abs(seen[4:8] - seen[:4]).mean() < 3
