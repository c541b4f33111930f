import errno
import struct

import av
import numpy as np
import pytest

from lib.errors import InputError
from lib.media import chunks, containers, recordings, writing
from tests.shared_files import shared

RATE = 44100


def pictures(n, height=48, width=64):
    return (np.full((height, width, 3), (5 * k) % 250, np.uint8) for k in range(n))


def noise_with_click(at, seconds=2.0, rate=RATE):
    sound = np.random.default_rng(0).normal(size=int(seconds * rate)).astype(np.float32) * 1e-4
    sound[round(at * rate)] = 0.9
    return sound


@pytest.fixture
def recording(tmp_path):
    return writing.write_video(
        tmp_path / "a.mp4", pictures(50), np.arange(50) / 25, noise_with_click(1.0)
    )


def test_probe_says_what_is_in_the_file(recording):
    info = recordings.probe(recording)
    assert (info.width, info.height, info.n_frames, info.fps) == (64, 48, 50, 25.0)
    assert (info.video_codec, info.audio_codec, info.audio_rate, info.rotation) == (
        "h264",
        "aac",
        RATE,
        0,
    )
    assert info.duration == pytest.approx(2.0)


def test_ffmpeg_says_nothing_to_python_while_a_recording_is_open_or_closed(recording):
    """A decoding thread that logs waits for Python's lock, which the one who closes the file has;
    torchvision before 0.26 turns logging on when it is imported.
    """
    av.logging.set_level(av.logging.ERROR)
    with containers.opened(recording):
        assert av.logging.get_level() is None
        av.logging.set_level(av.logging.ERROR)
    assert av.logging.get_level() is None


def test_a_title_that_is_no_utf_8_stops_no_recording(tmp_path):
    path = tmp_path / "titled.avi"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "QQQQ"
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        black = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux([*stream.encode(black), *stream.encode()])
    content = path.read_bytes()
    assert content.count(b"QQQQ") == 1
    path.write_bytes(content.replace(b"QQQQ", b"M\xfc\xff\xfe"))
    assert recordings.probe(path).n_frames == 1


def test_pictures_come_back_in_order_with_their_times(recording):
    got = list(recordings.frames(recording))
    assert [time for time, _ in got] == pytest.approx(np.arange(50) / 25)
    assert all(abs(picture.mean() - 5 * k % 250) < 4 for k, (_, picture) in enumerate(got))
    assert got[0][1].shape == (48, 64, 3)


def test_reading_can_start_later(recording):
    time, picture = next(recordings.frames(recording, start=20))
    assert time == pytest.approx(0.8)
    assert picture.mean() == pytest.approx(100, abs=4)


@pytest.mark.parametrize(
    "name", ["pyfeat_no_face.mp4", "mpf_face_h265_aac.mp4", "mpf_face_vp8_opus.webm"]
)
def test_times_without_a_look_at_the_pictures_are_those_of_the_frames(name, monkeypatch):
    path, asked = shared(f"media/{name}"), []
    decoded = containers.decoded

    def noted(container, track, where):
        asked.append(dict(track.codec_context.options))
        return decoded(container, track, where)

    monkeypatch.setattr(containers, "decoded", noted)
    times = [time for time, _ in recordings.frames(path)]
    assert all("skip_loop_filter" not in options for options in asked)
    assert recordings.frame_times(path).tolist() == times
    assert asked[-1] == {"skip_loop_filter": "all"}


def test_uneven_frame_times_are_kept(tmp_path):
    times = np.cumsum(np.tile([1 / 30, 1 / 24, 1 / 15], 10)) - 1 / 30
    path = writing.write_video(tmp_path / "a.mp4", pictures(30), times)
    assert recordings.frame_times(path) == pytest.approx(times, abs=1e-5)


@pytest.mark.parametrize("rate", [44100, 16000])
@pytest.mark.parametrize("start", [0.0, 0.08])
def test_a_click_comes_back_at_its_time_on_the_clock(tmp_path, start, rate):
    path = writing.write_video(
        tmp_path / "a.mp4",
        pictures(50),
        np.arange(50) / 25,
        noise_with_click(1.0),
        sound_start=start,
    )
    sound, t0 = recordings.sound(path, rate)
    assert t0 + np.abs(sound).argmax() / rate == pytest.approx(1.0 + start, abs=1e-3)
    assert recordings.probe(path).audio_start == pytest.approx(t0)


def test_sound_is_one_float_channel_within_one(recording):
    sound, t0 = recordings.sound(recording, RATE)
    assert (sound.dtype, sound.ndim, t0) == (np.float32, 1, 0.0)
    assert np.abs(sound).max() <= 1
    assert len(sound) / RATE == pytest.approx(2.0, abs=0.05)


def test_the_same_input_gives_the_same_bytes(recording, tmp_path):
    again = writing.write_video(
        tmp_path / "b.mp4", pictures(50), np.arange(50) / 25, noise_with_click(1.0)
    )
    assert again.read_bytes() == recording.read_bytes()


def test_odd_sizes_lose_their_last_row_and_column(tmp_path):
    info = recordings.probe(
        writing.write_video(tmp_path / "a.mp4", pictures(5, 49, 65), np.arange(5) / 25)
    )
    assert (info.width, info.height, info.audio_codec) == (64, 48, "")


def test_progress_is_told(tmp_path):
    told = []
    writing.write_video(
        tmp_path / "a.mp4", pictures(3), np.arange(3) / 25, progress=lambda *a: told.append(a)
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_break_leaves_no_half_written_file(tmp_path):
    def broken():
        yield from pictures(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writing.write_video(tmp_path / "a.mp4", broken(), np.arange(9) / 25)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "_encode", full)
    with pytest.raises(InputError, match="no space left"):
        writing.write_video(tmp_path / "a.mp4", pictures(3), np.arange(3) / 25)


def test_times_that_go_back_are_refused(tmp_path):
    with pytest.raises(InputError, match="do not increase"):
        writing.write_video(tmp_path / "a.mp4", pictures(3), [0, 0.2, 0.1])


def test_a_missing_an_empty_and_a_foreign_file_are_named(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no recording " * 100)
    for name, what in [("absent", "not there"), ("empty", "empty"), ("text", "not a recording")]:
        with pytest.raises(InputError, match=what) as caught:
            recordings.probe(tmp_path / f"{name}.mp4")
        assert f"{name}.mp4" in str(caught.value)


def test_a_recording_without_sound_says_so(tmp_path):
    path = writing.write_video(tmp_path / "a.mp4", pictures(3), np.arange(3) / 25)
    with pytest.raises(InputError, match="no audio track"):
        recordings.sound(path, RATE)


def test_a_recording_without_picture_says_so(tmp_path):
    import wave

    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(2), file.setsampwidth(2), file.setframerate(RATE)
        file.writeframes(np.full((RATE, 2), [16384, 8192], "<i2").tobytes())
    assert recordings.probe(tmp_path / "a.wav").video_codec == ""
    with pytest.raises(InputError, match="no video track"):
        recordings.frame_times(tmp_path / "a.wav")
    sound, t0 = recordings.sound(tmp_path / "a.wav", RATE)  # and two channels become their mean
    assert (len(sound), t0, sound.mean()) == (RATE, 0.0, pytest.approx(0.375, abs=1e-4))


def test_a_cut_off_file_has_fewer_frames_than_it_claims(recording, tmp_path):
    whole = recording.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: -len(whole) // 3])
    assert (
        0
        < len(recordings.frame_times(tmp_path / "cut.mp4"))
        < recordings.probe(tmp_path / "cut.mp4").n_frames
    )


def sound_file(path, samples=4801):
    """A sound file of 16 bits, in the form that its suffix names (FFmpeg writes it)."""
    options = {"rf64": "always"} if path.stem == "rf64" else {}
    with av.open(str(path), "w", options=options) as container:
        codec = "pcm_s16be" if path.suffix == ".aiff" else "pcm_s16le"
        track = container.add_stream(codec, rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.ones((1, samples), np.int16), "s16", "mono")
        frame.rate = 16_000
        for packet in (*track.encode(frame), *track.encode(None)):
            container.mux(packet)
    return path


@pytest.mark.parametrize("name", ["a.wav", "rf64.wav", "a.aiff"])
def test_the_bytes_that_a_cut_off_sound_file_lacks_are_counted(tmp_path, name):
    path = sound_file(tmp_path / name)
    content = path.read_bytes()
    assert recordings.missing_bytes(path) == 0
    path.write_bytes(content[:-1000])
    assert recordings.missing_bytes(path) == 1000


def noisy(path, video, audio, seconds=1):
    """Noise, of pictures or sound, in the container that the file's name tells."""
    generator = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        if video:
            track = container.add_stream(video, rate=25, width=32, height=32, pix_fmt="yuv420p")
            pictures = generator.integers(0, 255, (25 * seconds, 32, 32, 3), np.uint8)
            frames = [av.VideoFrame.from_ndarray(picture, "rgb24") for picture in pictures]
        else:
            track = container.add_stream(audio, rate=48_000, layout="mono")
            sound = generator.integers(-9000, 9000, (1, 48_000 * seconds), np.int16)
            frames = [av.AudioFrame.from_ndarray(sound, "s16", "mono")]
            frames[0].rate = 48_000
        for frame in (*frames, None):
            container.mux(track.encode(frame))
    return path


def test_the_seconds_that_a_cut_off_flac_file_lacks_are_counted(tmp_path):
    """Its header counts samples; what is left of it decodes without an error."""
    path = noisy(tmp_path / "a.flac", "", "flac", seconds=3)
    content = path.read_bytes()
    assert recordings.missing_seconds(path) == 0.0
    path.write_bytes(content[: len(content) // 2])
    rest = recordings.sound(path, 16_000)[0].size / 16_000
    assert recordings.missing_seconds(path) == pytest.approx(3 - rest, abs=0.3)
    assert recordings.missing_seconds(sound_file(tmp_path / "a.wav")) == 0.0


def wav(claimed, samples, after=b"", before=b""):
    """A wav file of 8 bits at 8 kHz that claims some bytes of sound."""
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    body = form + before + b"data" + struct.pack("<I", claimed) + samples + after
    return b"RIFF" + struct.pack("<I", min(len(body) + 4, 0xFFFFFFFF)) + b"WAVE" + body


def test_a_whole_wav_of_any_form_lacks_nothing(tmp_path):
    sound, note = bytes(801), b"LIST" + struct.pack("<I", 5) + b"notes\0"
    contents = {
        **{f"streamed {size:x}": wav(size, sound) for size in (0, 0xFFFFFFFF, 0x7FFFF000)},
        "odd": wav(801, sound),
        "padded, a chunk after it": wav(801, sound, b"\0" + note),
        "odd chunk before it": wav(801, sound, before=note),
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.wav").write_bytes(content)
        assert recordings.missing_bytes(tmp_path / f"{name}.wav") == 0, name
    (tmp_path / "cut.wav").write_bytes(wav(901, sound, before=note))
    assert recordings.missing_bytes(tmp_path / "cut.wav") == 100


CUT = {
    "a.mkv": ("mpeg4", ""),
    "a.webm": ("libvpx", ""),
    "a.avi": ("mpeg4", ""),
    "a.mka": ("", "libopus"),
    "a.mp3": ("", "libmp3lame"),
}


@pytest.mark.parametrize("name", CUT)
def test_the_bytes_that_a_cut_off_copy_lacks_are_counted_by_its_header(tmp_path, name):
    """Its index is at its end and gone, and FFmpeg plays what is left without an error."""
    path = noisy(tmp_path / name, *CUT[name])
    content = path.read_bytes()
    assert recordings.missing_bytes(path) == 0
    path.write_bytes(content[:-1000])
    assert 500 < recordings.missing_bytes(path) <= 1000  # tags may follow the last frame


def test_an_mp3_with_a_tag_before_its_sound_and_one_without_a_length_lack_nothing(tmp_path):
    path = noisy(tmp_path / "a.mp3", "", "libmp3lame")
    content = path.read_bytes()
    sound = (
        content[10 + int.from_bytes(content[6:10], "big") :] if content[:3] == b"ID3" else content
    )
    tag = b"ID3\x04\0\0" + bytes([0, 0, 2, 5]) + bytes(2 * 128 + 5)
    path.write_bytes(tag + sound)
    assert recordings.missing_bytes(path) == 0
    path.write_bytes((tag + sound)[:-1000])
    assert recordings.missing_bytes(path) > 500
    first = max(sound.find(b"Xing"), sound.find(b"Info"))
    for untold in (sound[:first] + bytes(4) + sound[first + 4 :], sound[: first + 7] + b"\0"):
        path.write_bytes(untold + bytes(2000))
        assert chunks.end(path) == 0


def test_recorders_that_do_not_know_the_length_claim_none(tmp_path):
    path = noisy(tmp_path / "a.mkv", "mpeg4", "")
    content = path.read_bytes()
    segment = content.index(b"\x18\x53\x80\x67") + 4
    live = content[:segment] + b"\x01" + b"\xff" * 7 + content[segment + 8 :]
    path.write_bytes(live[:-1000])
    assert chunks.end(path) == 0
    path = noisy(tmp_path / "a.avi", "mpeg4", "")
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(4) + content[8:-1000])
    assert chunks.end(path) == 0
    path.write_bytes(content + b"RIFF" + struct.pack("<I", 5000) + b"AVIX" + bytes(100))
    assert recordings.missing_bytes(path) == 5000 - 4 - 100  # the second list of a long film


def test_a_file_cut_off_in_its_index_is_an_input_error(recording, tmp_path):
    (tmp_path / "cut.mp4").write_bytes(recording.read_bytes()[:500])
    with pytest.raises(InputError, match="not a recording"):
        recordings.probe(tmp_path / "cut.mp4")


@pytest.mark.parametrize(
    ("name", "n_frames"),
    [
        ("mpf_face_h264_mp3.mp4", 31),
        ("mpf_face_h265_aac.mp4", 31),
        ("mpf_face_vp8_opus.webm", 31),
        ("mpf_face_xvid_aac.avi", 31),
        ("grid_bbaf2n.mpg", 75),
        ("pyfeat_no_face.mp4", 95),
    ],
)
def test_real_recordings_of_many_codecs_are_read(name, n_frames):
    path = shared("media") / name
    times = recordings.frame_times(path)
    sound, t0 = recordings.sound(path, 16000)
    assert (len(times), t0) == (n_frames, 0.0)
    assert np.all(np.diff(times) > 0)
    assert len(sound) / 16000 == pytest.approx(times[-1] - times[0], abs=0.1)


def test_variable_frame_rate_and_sound_that_starts_late_are_kept():
    path = shared("media/pyfeat_face_noface.mov")
    steps = np.diff(recordings.frame_times(path))
    assert (steps.min(), steps.max()) == (
        pytest.approx(0.014, abs=1e-3),
        pytest.approx(0.042, abs=1e-3),
    )
    sound, t0 = recordings.sound(path, 16000)
    assert t0 == pytest.approx(2.43, abs=0.001)
    assert len(sound) / 16000 == pytest.approx(3.96, abs=0.01)


def test_a_recording_that_starts_late_keeps_its_first_time():
    path = shared("media/mpf_face_video_01.mp4")
    assert recordings.frame_times(path)[0] == pytest.approx(0.0334, abs=1e-4)
    assert recordings.probe(path).video_start == pytest.approx(0.0334, abs=1e-4)


def test_rotation_is_reported_and_applied():
    path = shared("media/mpf_new_face_video-90.mp4")
    info = recordings.probe(path)
    stored = next(recordings.frames(path, rotate=False))[1]
    seen = next(recordings.frames(path))[1]
    assert (info.rotation, info.width, info.height) == (-90, 480, 640)
    assert np.array_equal(seen, np.rot90(stored, -1))


def test_a_track_that_does_not_decode_is_an_input_error():
    with pytest.raises(InputError, match="theora"):
        recordings.frame_times(shared("media/mpf_face_theora_vorbis.ogg"))
