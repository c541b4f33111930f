"""Time 0 of a recording: what a person calls its start."""

import numpy as np
import pytest

from lib.media import clock, recordings
from tests.films import Sound, buzz, recorded

RATE = 48_000
MPEG = {"format": "mpegts", "codec": "libx264"}
VOB = {"format": "vob", "codec": "mpeg2video"}


def film(path, first, heard, **more):
    """Pictures from `first` s, sound from `heard` s on (None: no sound)."""
    sounds = [] if heard is None else [Sound(buzz(2.0, RATE), "mono", "mp2", RATE, heard)]
    return recorded(path, sounds, first=first, **more)


@pytest.mark.parametrize(
    ("more", "first", "heard", "zero"),
    [
        (MPEG, 1.4, 1.4, 0.0),  # s: first picture in the recording's own time
        (MPEG, 24_551.0, 24_551.0, 0.0),  # a broadcast
        (VOB, 0.54, 0.54, 0.0),
        (MPEG, 3.0, 1.4, 1.6),  # a picture that is late stays late
        (MPEG, 1.4, 3.0, 0.0),  # late sound
        (MPEG, 1.4, 1.38, 0.0),  # priming
        (MPEG, 1.4, None, 0.0),
        (VOB, 2.0, 1.0, 1.0),
    ],
)
def test_other_clocks_count_from_the_first_picture_or_from_much_earlier_sound(
    tmp_path, more, first, heard, zero
):
    path = film(tmp_path / "a.mpg", first, heard, **more)
    times = recordings.frame_times(path)
    assert len(times) == 50
    assert times == pytest.approx(zero + np.arange(50) / 25, abs=0.03)
    assert [time for time, _ in recordings.frames(path)] == pytest.approx(times)
    info = recordings.probe(path)
    assert info.video_start == pytest.approx(times[0], abs=1e-3)
    if zero == 0:
        assert times[0] == 0
    if heard is not None:
        late = zero + heard - first
        assert recordings.sound(path, 8000)[1] == pytest.approx(late, abs=0.035)
        assert info.audio_start == pytest.approx(late, abs=0.035)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.avi"])
@pytest.mark.parametrize("first", [0.0, 0.04, 0.48])
def test_files_that_say_where_0_is_keep_their_times(tmp_path, name, first):
    codecs = {"a.webm": "libvpx", "a.avi": "mpeg4"}
    sounds = {"a.webm": "libopus", "a.avi": "mp2"}
    sound = Sound(buzz(2.0, RATE), "mono", sounds.get(name, "aac"), RATE)
    path = recorded(tmp_path / name, [sound], first=first, codec=codecs.get(name, "libx264"), n=25)
    assert clock.origin(path) == 0
    if name != "a.avi":  # which has no stamps
        assert recordings.frame_times(path)[0] == pytest.approx(first, abs=0.002)


def test_a_folder_of_pictures_begins_at_0(tmp_path):
    assert clock.origin(tmp_path) == 0


def test_a_sound_file_begins_with_its_first_sample(tmp_path):
    import av

    path = tmp_path / "a.mp3"
    with av.open(str(path), "w") as container:
        track = container.add_stream("mp3", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.float32(buzz(1.0, RATE).T), format="fltp", layout="mono"
        )
        frame.sample_rate = RATE
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    assert recordings.sound(path, 8000)[1] == pytest.approx(0, abs=1e-6)
