"""Recordings that are not 8-bit, progressive, upright and of constant rate: all frames, right
pictures, times.
"""

from fractions import Fraction

import cv2
import numpy as np
import pytest
from av.codec.context import Flags

from lib.faces import alignment, detection, tsav
from lib.media import recordings
from tests.films import X264, encode, quarter, ramp, spliced, turned
from tests.shared_files import shared

N = 8


def read(path, **options):
    """Times (T,) and pictures (T, H, W, 3); both ways of reading must agree on the times."""
    rows = list(recordings.frames(path, **options))
    assert np.array_equal([time for time, _ in rows], recordings.frame_times(path))
    return np.array([time for time, _ in rows]), np.stack([picture for _, picture in rows]).astype(
        int
    )


@pytest.mark.parametrize(
    ("pixels", "shape"),
    [
        ("yuv444p", (48, 64)),
        ("yuv420p10le", (48, 64)),
        ("gray", (48, 64)),
        ("gray10le", (48, 64)),
        ("yuv422p10le", (64, 48)),
        ("yuv444p", (41, 63)),
        ("yuv420p", (63, 41)),
        ("yuv444p12le", (31, 17)),
    ],
)
def test_every_depth_colour_and_size_gives_the_pictures_that_were_filmed(tmp_path, pixels, shape):
    filmed = ramp(N, *shape)
    path = encode(tmp_path / "a.mkv", filmed, pixels=pixels)
    times, seen = read(path)
    assert times == pytest.approx(np.arange(N) / 25, abs=1e-3)
    assert np.abs(seen - np.stack(filmed)).max() <= 6  # the way to YUV and back
    info = recordings.probe(path)
    assert (info.pixels, info.width, info.height, info.interlaced) == (
        pixels,
        shape[1],
        shape[0],
        False,
    )


def combed(n):
    """A bright bar that is 8 px further right in every second line: what two fields of a moving
    scene look like.
    """
    pictures = [np.full((96, 128, 3), 20, np.uint8) for _ in range(n)]
    for k, picture in enumerate(pictures):
        picture[0::2, 8 * k : 8 * k + 24] = 220
        picture[1::2, 8 * k + 8 : 8 * k + 32] = 220
    return pictures


def teeth(pictures):
    """Mean change from a line to the next one."""
    return np.abs(np.diff(pictures.astype(int), axis=1)).mean()


@pytest.mark.parametrize(
    ("name", "codec", "flags", "options"),
    [
        ("a.mpg", "mpeg2video", Flags.interlaced_dct | Flags.interlaced_me, {"b": "4000k"}),
        ("a.mp4", "libx264", None, {"x264-params": "tff=1"}),
    ],
)
def test_interlaced_frames_are_made_whole_one_for_one(tmp_path, name, codec, flags, options):
    filmed = combed(N)
    path = encode(tmp_path / name, filmed, codec, "yuv420p", flags, options)
    times, seen = read(path)
    assert recordings.probe(path).interlaced
    assert np.diff(times) == pytest.approx(np.full(N - 1, 0.04), abs=1e-3)
    assert teeth(seen) < 0.25 * teeth(np.stack(filmed))
    bar = (seen[..., 0] > 120).mean(axis=1)  # (T, W): it moves on in every frame
    assert np.all(np.diff(bar @ np.arange(128) / bar.sum(axis=1)) > 4)


def test_progressive_frames_are_not_filtered(tmp_path):
    """Stripes one line high would be smoothed away by the filter for interlaced pictures."""
    striped = [
        np.where(np.arange(48)[:, None, None] % 2, 200, 50)
        .repeat(64, 1)
        .repeat(3, 2)
        .astype(np.uint8)
    ] * 4
    _, seen = read(encode(tmp_path / "a.mkv", striped))
    assert np.abs(seen - striped[0]).max() <= 3


@pytest.mark.parametrize(
    ("matrix", "turns"),
    [(quarter(0, 1), 0), (quarter(1), -1), (quarter(-1), 1), (quarter(0, -1), 2)],
)
def test_a_recording_is_turned_as_a_viewer_would(tmp_path, matrix, turns):
    path = turned(encode(tmp_path / "a.mp4", ramp(N), "libx264", "yuv420p", options=X264), matrix)
    stored, seen = read(path, rotate=False)[1], read(path)[1]
    assert np.array_equal(seen, np.rot90(stored, turns, axes=(1, 2)))
    assert recordings.probe(path).rotation % 360 == 90 * turns % 360


@pytest.mark.parametrize(
    "matrix",
    [
        (0, 0, 0, 0, 0, 0, 0, 0, 1 << 30),
        (2**31 - 1, -(2**31), 7, 2**31 - 1, 1, 3, 5, 5, 5),
        (-1,) * 9,
    ],
)
def test_a_rotation_that_is_nonsense_leaves_whole_pictures(tmp_path, matrix):
    path = turned(encode(tmp_path / "a.mp4", ramp(N), "libx264", "yuv420p", options=X264), matrix)
    times, seen = read(path)
    assert len(times) == N
    assert sorted(seen.shape[1:3]) == [48, 64]
    if abs(recordings.probe(path).rotation) > 360:  # told as it is, so that the report can name it
        assert seen.shape[1:3] == (48, 64)


# ---- pixels that are not square

WIDE = [Fraction(64, 45), Fraction(12, 11), Fraction(8, 9), Fraction(2)]


def disc(height=96, width=128, radius=30):
    """A white disc on black."""
    return cv2.circle(
        np.zeros((height, width, 3), np.uint8), (width // 2, height // 2), radius, (255,) * 3, -1
    )


def squeezed(picture, aspect):
    """The picture as a camera with such pixels stores it: even sides, as 4:2:0 wants them."""
    height, width = picture.shape[:2]
    return cv2.resize(
        picture, (round(width / aspect / 2) * 2, height), interpolation=cv2.INTER_AREA
    )


def extent(picture):
    """Height and width of what is bright."""
    bright = picture[..., 0] > 128
    return bright.any(axis=1).sum(), bright.any(axis=0).sum()


@pytest.mark.parametrize("aspect", WIDE)
@pytest.mark.parametrize(
    ("name", "codec", "options"), [("a.mp4", "libx264", X264), ("a.avi", "mpeg4", {"b": "4M"})]
)
def test_a_disc_is_round_whatever_the_shape_of_the_pixels(tmp_path, aspect, name, codec, options):
    filmed = squeezed(disc(), aspect)
    path = encode(tmp_path / name, [filmed] * 3, codec, "yuv420p", options=options, aspect=aspect)
    seen, stored = read(path)[1], read(path, square=False)[1]
    assert stored.shape[1:3] == filmed.shape[:2]
    assert seen.shape[1:3] == (96, round(filmed.shape[1] * aspect))
    assert extent(seen[1]) == pytest.approx((61, 61), abs=2)
    assert recordings.probe(path).pixel_aspect == pytest.approx(float(aspect))
    assert recordings.probe(path).width == filmed.shape[1]


def test_pixels_are_made_square_before_the_picture_is_turned(tmp_path):
    path = encode(
        tmp_path / "a.mp4",
        [squeezed(disc(96, 160), 2)] * 3,
        "libx264",
        "yuv420p",
        options=X264,
        aspect=Fraction(2),
    )
    seen = read(turned(path, quarter(1)))[1]
    assert seen.shape[1:3] == (160, 96)
    assert extent(seen[1]) == pytest.approx((61, 61), abs=2)


@pytest.mark.parametrize("aspect", [Fraction(20), Fraction(1, 20)])
def test_pixels_of_a_shape_that_is_nonsense_are_taken_as_square(tmp_path, aspect):
    path = encode(tmp_path / "a.mp4", ramp(3), "libx264", "yuv420p", options=X264, aspect=aspect)
    assert read(path)[1].shape[1:3] == (48, 64)
    assert recordings.probe(path).pixel_aspect == pytest.approx(
        float(aspect)
    )  # told as it is, for the report


def test_published_matrices_count_the_stored_pixels(tmp_path, monkeypatch):
    filmed = squeezed(disc(), Fraction(2))  # 64 wide
    path = encode(
        tmp_path / "a.mp4", [filmed] * 2, "libx264", "yuv420p", options=X264, aspect=Fraction(2)
    )
    matrix = np.array([[1.0, 0, 24], [0, 1, 8]])  # moves the 64×96 picture to the middle of 112×112
    monkeypatch.setattr(
        tsav, "read", lambda _: (np.stack([matrix] * 2), np.zeros((2, 68, 2), np.float32))
    )
    faces = np.zeros((2, 112, 112, 3), np.uint8)
    tsav.fill_faces(faces, tmp_path / "x.pkl", path)
    assert np.abs(faces[0, 8:104, 24:88].astype(int) - filmed).max() <= 12  # coded as H.264


def test_an_aligned_face_is_the_same_when_it_was_filmed_with_long_pixels(tmp_path):
    """Half of the pixels of a row are missing in the second film; without the right width the eyes
    lie 4 px off.
    """
    picture = next(recordings.frames(shared("media/pyfeat_WolfgangLanger_Pexels.mp4")))[1]
    path = encode(
        tmp_path / "a.mp4",
        [squeezed(picture, 2)],
        "libx264",
        "yuv420p",
        options=X264,
        aspect=Fraction(2),
    )
    detector = detection.create(
        "yunet", shared("weights/face_detection_yunet_2023mar.onnx"), detection.SIDE
    )
    points = []
    for seen in (
        picture,
        next(recordings.frames(path))[1],
        next(recordings.frames(path, square=False))[1],
    ):
        five = detector.detect(seen)[0, 4:14].reshape(5, 2)
        points.append(alignment.transform(five, alignment.similarity(five, 112)))
    right, long, squeezed_flat = points
    assert np.abs(long - right).mean() < 1
    assert np.abs(squeezed_flat - right).mean() > 2


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "ffv1")])
@pytest.mark.parametrize(
    "stamps",
    [[0, 1, 2, 3, 2, 3, 4, 5], [10, 11, 11, 11, 12, 13, 14, 15], [10, 13, 14, 20, 27, 28, 40, 41]],
)
def test_stamps_that_go_back_stand_still_or_jump_are_kept_frame_by_frame(
    tmp_path, name, codec, stamps
):
    path = encode(
        tmp_path / name,
        ramp(N),
        codec,
        "yuv420p",
        options=X264 if codec == "libx264" else {},
        stamps=[stamp + 8 for stamp in stamps],
    )
    times, seen = read(path)
    assert times == pytest.approx((np.array(stamps) + 8) / 25, abs=1e-3)
    assert np.all(
        np.diff(seen.mean(axis=(1, 2, 3))) > 2
    )  # the pictures stay in the order of coding


def test_a_recording_that_changes_its_size_keeps_the_first_one(tmp_path):
    path = spliced(tmp_path / "a.mkv", [ramp(4), ramp(4, 96, 128), ramp(4, 30, 40)])
    times, seen = read(path)
    assert (len(times), seen.shape[1:]) == (12, (48, 64, 3))
    assert np.abs(seen[4:8] - seen[:4]).mean() < 3
