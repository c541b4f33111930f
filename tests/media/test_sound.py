import numpy as np
import pytest

from lib import arrays
from lib.errors import InputError
from lib.media import recordings, sound, writing
from lib.store import request

RATE = 8000


def test_sound_is_kept_in_16_bits_and_comes_back_within_one_step():
    samples = np.array([0, recordings.FULL_SCALE, -recordings.FULL_SCALE], np.int16)
    assert sound.as_float(samples).tolist() == [0, 1, -1]
    assert sound.as_float(samples).dtype == np.float32


@pytest.mark.parametrize("start", [0.0, 0.25])
def test_a_decoded_click_is_at_its_time_on_the_containers_clock(tmp_path, start):
    click = np.zeros(44100, np.float32)
    click[22050] = 0.9
    pictures = (np.zeros((32, 32, 3), np.uint8) for _ in range(25))
    path = writing.write_video(
        tmp_path / "ä b.mp4", pictures, np.arange(25) / 25, click, sound_start=start
    )
    samples, t0 = sound.decode(path, 44100)
    assert samples.dtype == np.int16
    assert t0 + np.abs(samples).argmax() / 44100 == pytest.approx(0.5 + start, abs=1e-3)


def test_a_recording_without_sound_says_so(tmp_path):
    path = writing.write_video(
        tmp_path / "a.mp4", iter([np.zeros((32, 32, 3), np.uint8)] * 3), np.arange(3) / 25
    )
    with pytest.raises(InputError, match="no audio track"):
        sound.decode(path, 44100)


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (1.0, 1.5),
        (0.9, 1.1),
        (1.9, 2.3),
        (0.0, 3.0),
        (0.1, 0.3),
        (2.5, 2.6),
        (1.2, 1.2),
        (1.5, 1.2),
    ],
)
def test_a_piece_of_sound_has_silence_where_the_file_has_none(start, stop):
    samples = np.arange(1, RATE + 1, dtype=np.int16)  # heard from 1 s to 2 s
    piece = sound.between(samples, 1.0, RATE, start, stop)
    wanted = np.round((start - 1) * RATE) + np.arange(max(0, round((stop - start) * RATE)))
    right = np.where((wanted >= 0) & (wanted < RATE), (wanted + 1) / recordings.FULL_SCALE, 0)
    assert piece.dtype == np.float32
    assert piece == pytest.approx(right, abs=1e-6)


# ---- what a frame hears: indices


def published_seconds(fps, frame, rate=44100):
    """Start and length in s of a frame (from 1) of a long video that starts at 0, by the published
    rule.
    """
    found = sound.segments(np.arange(400) / fps, 10**9, 0.0, rate, "published")[frame - 1]
    return found[0] / rate, (found[1] - found[0]) / rate


@pytest.mark.parametrize(
    ("frame", "start", "length"),
    [(1, 0, 1 / 30), (2, 0, 1 / 30), (32, 0, 1.0333), (33, 0.0333, 1.0333), (101, 2.3, 1.0333)],
)
def test_the_published_segments_are_those_of_the_specification(frame, start, length):
    assert published_seconds(30, frame) == (
        pytest.approx(start, abs=1e-4),
        pytest.approx(length, abs=1e-4),
    )


@pytest.mark.parametrize(("fps", "length"), [(30, 1.0333), (25, 1.24), (24, 1.2917), (60, 0.5167)])
def test_a_published_segment_is_31_frame_intervals_at_any_rate(fps, length):
    for frame in (33, 100, 399):
        assert published_seconds(fps, frame)[1] == pytest.approx(length, abs=1e-4)
    assert round(published_seconds(30, 300)[1] * 44100) == 45_570


@pytest.mark.parametrize("t0", [0.0, 0.4, -0.2])
def test_the_published_wav_begins_with_the_picture_and_ends_with_the_file(t0):
    times = np.arange(100) / 25
    found = sound.segments(times, 120_000, t0, 44100, "published")
    assert found[50] / 44100 + t0 == pytest.approx(
        np.array([19, 50]) / 25, abs=1e-4
    )  # heard on the picture's clock
    assert found[0, 0] == -round(t0 * 44100)  # silence that was put in front, or what was cut off
    assert found.max() == 120_000


@pytest.mark.parametrize("fps", [15, 24, 25, 30000 / 1001, 60])
@pytest.mark.parametrize(
    ("anchor", "seconds"), [("end", 1.28), ("end", 32 / 15), ("centre", 10.0), ("centre", 0.5)]
)
@pytest.mark.parametrize("rate", [44100, 16000])
def test_corrected_segments_have_one_length_and_lie_at_their_frame(fps, anchor, seconds, rate):
    times, t0 = 0.033 + np.arange(200) / fps, 0.21
    found = sound.segments(times, 50_000, t0, rate, anchor, seconds)
    assert set(found[:, 1] - found[:, 0]) == {round(seconds * rate)}
    middle = t0 + found.mean(axis=1) / rate
    off = middle - (times if anchor == "centre" else times - seconds / 2)
    assert np.abs(off).max() <= 0.005 + 1 / rate  # half of the 10 ms grid
    assert np.abs(found[:, 0] * 100 / rate - np.rint(found[:, 0] * 100 / rate)).max() < 1e-9


def test_the_columns_of_the_spectrogram_are_the_same_places():
    from lib.features import mel

    times = np.random.default_rng(0).uniform(0, 60, 300)
    for anchor, seconds in (("end", 1.067), ("centre", 10.0)):
        starts = sound.segments(times, 10**7, 0.123, 44100, anchor, seconds)[:, 0]
        assert np.array_equal(starts, mel.HOP * mel.start_column(times, 0.123, seconds, anchor))


def test_a_look_back_is_32_frames_of_the_slowest_video():
    assert [sound.look_back(fps) for fps in (25, 30, 15)] == [1.28, 1.067, 2.133]


def test_an_unknown_anchor_is_refused():
    with pytest.raises(InputError, match="anchor 'left'"):
        sound.segments(np.arange(3), 10, 0.0, 44100, "left")


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (1, 3, [2, 3]),
        (-2, 1, [0, 0, 1]),
        (3, 6, [4, 0, 0]),
        (9, 11, [0, 0]),
        (-5, -3, [0, 0]),
        (-1, 5, [0, 1, 2, 3, 4, 0]),
        (2, 2, []),
        (3, 1, []),
    ],
)
def test_a_cut_goes_on_with_silence_on_both_sides(start, stop, expected):
    found = sound.cut(np.array([1, 2, 3, 4], np.int16), start, stop)
    assert (found.tolist(), found.dtype) == (expected, np.int16)


@pytest.mark.parametrize("rate", [44100, 16000])
def test_the_store_holds_the_sound_at_both_rates_on_one_clock(open_set, sample_root, rate):
    opened = open_set(sample_root)
    wanted = request(f"audio_{rate // 1000}k", rate=rate)
    arrays.make(opened.trial("3"), wanted, opened.store)  # its sound is 80 ms late
    samples, facts = opened.read("3", wanted), arrays.facts(opened.trial("3"), wanted, opened.store)
    heard, t0 = recordings.sound(opened.root / opened.trial("3")["video_path"], rate)
    assert (facts["t0"], facts["rate"], samples.dtype) == (t0, rate, np.int16)
    assert np.abs(sound.as_float(samples) - heard).max() <= 1 / recordings.FULL_SCALE
