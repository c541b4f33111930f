"""What was right before recordings got a clock of their own: it must stay as it is, to the bit."""

from fractions import Fraction

import av
import numpy as np
import pytest

from lib.media import recordings
from tests.films import X264, encode, ramp

RATE = 48_000


def tone(seconds=2.0, rate=RATE):
    """(1, n) float32 of 400 Hz, at half of full scale."""
    return (0.5 * np.sin(2 * np.pi * 400 * np.arange(round(seconds * rate)) / rate))[None].astype(
        np.float32
    )


def film(path, n=50, fps=25, options=None, cut=(), sound=None, first=0):
    """An mp4 or Matroska of grey steps with a tone; `cut` leaves sound frames (from, to) out."""
    sound = tone() if sound is None else sound
    with av.open(str(path), "w", options=options or {}) as container:
        video = container.add_stream("libx264", rate=fps, options=X264)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        for k, picture in enumerate(ramp(n)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = k + first, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        packets = []
        for place in range(0, sound.shape[1], 1024):
            piece = np.ascontiguousarray(sound[:, place : place + 1024])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, place, Fraction(1, RATE)
            packets += audio.encode(frame)
        for number, packet in enumerate([*packets, *audio.encode(None)]):
            if not (cut and cut[0] <= number < cut[1]):
                container.mux(packet)
    return path


def test_a_fragmented_file_is_read_as_a_whole_one(tmp_path):
    options = {"movflags": "frag_keyframe+delay_moov"}
    whole = list(recordings.frames(film(tmp_path / "whole.mp4")))
    parts = list(recordings.frames(film(tmp_path / "parts.mp4", options=options)))
    assert [time for time, _ in parts] == pytest.approx([time for time, _ in whole], abs=1e-6)
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(parts, whole, strict=True))


def test_a_file_without_an_end_is_read_to_where_it_ends(tmp_path):
    """A recorder that lost its power leaves Matroska clusters and no index."""
    content = film(tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "endless.mkv").write_bytes(content[: len(content) * 3 // 4])
    times = recordings.frame_times(tmp_path / "endless.mkv")
    assert 0 < len(times) <= 50
    assert times == pytest.approx(np.arange(len(times)) / 25, abs=1e-3)


def test_240_frames_a_second_are_all_there(tmp_path):
    path = film(tmp_path / "a.mp4", n=120, fps=240)
    assert recordings.frame_times(path) == pytest.approx(np.arange(120) / 240, abs=1e-6)
    assert recordings.probe(path).fps == pytest.approx(240)


def test_a_hole_in_the_sound_is_silence_and_what_follows_stays_at_its_time(tmp_path):
    sound = tone()
    sound[:, 72_000:] *= 0.2  # from 1.5 s on it is quieter
    path = film(tmp_path / "a.mp4", sound=sound, cut=(20, 40))
    heard, t0 = recordings.sound(path, 16_000)
    level = np.array([np.abs(block).max() for block in np.array_split(heard, 40)])
    assert t0 == pytest.approx(0, abs=0.03)
    assert level[12:14].max() < 1e-3  # between 0.6 and 0.7 s
    changes = np.flatnonzero(np.abs(heard) > 0.3)[-1] / 16_000 + t0
    assert changes == pytest.approx(1.5, abs=0.03)


def test_the_edit_list_of_an_encoder_takes_its_priming_away(tmp_path):
    heard, t0 = recordings.sound(film(tmp_path / "a.mp4"), RATE)
    start = t0 + np.flatnonzero(np.abs(heard) > 0.1)[0] / RATE
    assert start == pytest.approx(0, abs=0.002)


def test_a_first_picture_at_33_ms_stays_there(tmp_path):
    times = recordings.frame_times(film(tmp_path / "a.mp4", fps=30, first=1))
    assert times[0] == pytest.approx(1 / 30, abs=1e-3)  # edit lists count milliseconds


COLOURS = [(220, 30, 30), (30, 220, 30), (30, 30, 220), (200, 200, 200)]


def flagged(path, pixels, **flags):
    """Four plain pictures in FFV1 whose track says the given about its colours."""
    pictures = [np.full((32, 32, 3), colour, np.uint8) for colour in COLOURS]
    with av.open(str(path), "w") as container:
        track = container.add_stream("ffv1", rate=25)
        track.width, track.height, track.pix_fmt = 32, 32, pixels
        for name, value in flags.items():
            setattr(track.codec_context, name, value)
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return path


@pytest.mark.parametrize("pixels", ["yuv444p", "yuv444p10le"])
@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"color_trc": 16, "color_primaries": 9},  # PQ and BT.2020 primaries: HDR10
        {"color_trc": 18, "color_primaries": 9},  # HLG
        {"color_trc": 1, "color_primaries": 1},  # BT.709
    ],
)
def test_flags_of_hdr_and_primaries_change_no_picture(tmp_path, pixels, flags):
    """No tone mapping: the numbers of the file count."""
    seen = [
        picture for _, picture in recordings.frames(flagged(tmp_path / "a.mkv", pixels, **flags))
    ]
    for picture, colour in zip(seen, COLOURS, strict=True):
        assert np.abs(picture.astype(int) - colour).max() <= 3


def test_coded_colours_come_back(tmp_path):
    pictures = [np.full((48, 64, 3), colour, np.uint8) for colour in COLOURS]
    seen = list(
        recordings.frames(encode(tmp_path / "a.mp4", pictures, "libx264", "yuv420p", options=X264))
    )
    for (_, picture), colour in zip(seen, COLOURS, strict=True):
        assert np.abs(picture[20, 30].astype(int) - colour).max() <= 6
