"""Which sound is heard: track and channels; what was done is said."""

import struct

import numpy as np
import pytest

from lib.errors import InputError
from lib.media import channels, recordings, tracks
from tests.films import Sound, buzz, recorded

RATE = 8000


def level(path, track=0):
    """dB of full scale, as the networks get it."""
    samples, _ = recordings.sound(path, RATE, track)
    return 10 * np.log10(np.mean(np.square(samples)) + 1e-20)


def of(array):
    return 10 * np.log10(np.mean(np.square(array)) + 1e-20)


def noise(seconds=2.0, level=0.1, seed=0):
    return level * np.random.default_rng(seed).standard_normal((round(seconds * RATE), 1))


VOICE = buzz()


@pytest.mark.parametrize(
    ("levels", "defaults", "right"),
    [
        ((0, 1), (False, True), 2),  # what a screen recorder writes
        ((1, 0.3), (False, True), 2),
        ((0.3, 1), (True, False), 1),
        ((0, 1), (False, False), 2),
        ((1, 1), (False, False), 1),
        ((0, 0.5, 1), (False, False, False), 2),
        ((0, 1), (True, False), 2),  # a player would play nothing: the voice is what is meant
        ((0, 0), (False, True), 2),
    ],
)
def test_the_track_that_a_player_plays_is_heard(tmp_path, levels, defaults, right):
    sounds = [
        Sound(factor * VOICE, default=default)
        for factor, default in zip(levels, defaults, strict=True)
    ]
    path = recorded(tmp_path / "a.mkv", sounds, n=5)
    known = tracks.of(path)
    assert tracks.playing(known).number == right
    assert level(path) == pytest.approx(of(levels[right - 1] * VOICE), abs=0.1)
    assert tracks.fields(known) == ({"track": right} if right > 1 else {})
    (said, *_) = tracks.notes(known)
    assert f"{len(levels)} sound tracks" in said
    assert f"number {right} is taken" in said
    assert ("silent" in said) == (0 in levels)


def test_another_track_can_be_asked_for(tmp_path):
    path = recorded(tmp_path / "a.mkv", [Sound(0.1 * VOICE), Sound(VOICE, default=True)], n=5)
    assert level(path, 1) == pytest.approx(of(0.1 * VOICE), abs=0.1)
    assert "as audio_track says" in tracks.notes(tracks.of(path), 1)[0]
    with pytest.raises(InputError, match="track 3 is asked for, and there are 2") as caught:
        recordings.sound(path, RATE, 3)
    assert "audio_track" in str(caught.value)


def test_one_ordinary_track_needs_no_word(tmp_path):
    for number, samples in enumerate((VOICE, np.hstack([VOICE, VOICE]))):
        layout = "stereo" if number else "mono"
        path = recorded(tmp_path / f"{number}.mkv", [Sound(samples, layout)], n=5)
        assert (tracks.notes(tracks.of(path)), tracks.fields(tracks.of(path))) == ([], {})


def test_digital_silence_is_named(tmp_path):
    mute = recorded(tmp_path / "mute.mkv", [Sound(0 * VOICE)], n=5)
    most = recorded(
        tmp_path / "most.mkv", [Sound(np.vstack([VOICE[:4000], 0 * VOICE[4000:]]))], n=5
    )
    assert "silence from beginning to end" in tracks.notes(tracks.of(mute))[0]
    assert "silence for 75%" in tracks.notes(tracks.of(most))[0]


def test_coded_silence_is_silence(tmp_path):
    path = recorded(
        tmp_path / "a.mp4", [Sound(0 * buzz(rate=48_000), codec="aac", rate=48_000)], n=5
    )
    assert not tracks.of(path)[0].heard


# ---- channels

LAYOUTS = {
    "opposite phase": ("stereo", [VOICE, -VOICE], 0, "turned over"),
    "opposite and quieter": ("stereo", [0.7 * VOICE, -VOICE], -1.5, "turned over"),
    "left alone": ("stereo", [VOICE, 0 * VOICE], 0, "left is heard"),
    "right alone": ("stereo", [0.003 * noise(), VOICE], 0, "right is heard"),
    "centre of 5.1": ("5.1", [0, 0, VOICE, 0, 0, 0], 0, "centre is heard"),
    "centre and hiss": (
        "5.1",
        [0.01 * noise(seed=1), 0.01 * noise(seed=2), VOICE, 0, 0, 0],
        0,
        "centre is heard",
    ),
    "centre, music left and right": (
        "5.1",
        [noise(seed=1), noise(seed=2), VOICE, 0, 0, 0],
        -3,
        "are heard",
    ),
    "7.1, both rear": ("7.1", [0, 0, 0, 0, VOICE, VOICE, 0, 0], 0, "are heard"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_voice_is_not_lost_among_channels(tmp_path, name):
    layout, columns, lost, said = LAYOUTS[name]
    samples = np.hstack([column + 0 * VOICE for column in columns])
    path = recorded(tmp_path / "a.mkv", [Sound(samples, layout, "flac")], n=5)
    assert level(path) == pytest.approx(of(VOICE) + lost, abs=2.0)
    assert said in tracks.notes(tracks.of(path))[0]
    assert layout in tracks.fields(tracks.of(path))["channels"]


@pytest.mark.parametrize(
    "columns", [(VOICE, 0.4 * VOICE), (VOICE, noise()), (noise(seed=1), noise(seed=2))]
)
def test_ordinary_stereo_stays_the_mean(tmp_path, columns):
    path = recorded(tmp_path / "a.mkv", [Sound(np.hstack(columns), "stereo")], n=5)
    assert tracks.fields(tracks.of(path)) == {}
    samples, _ = recordings.sound(path, RATE)
    assert samples == pytest.approx(np.mean(np.hstack(columns), axis=1), abs=1e-3)


def test_eight_people_with_a_microphone_each_are_all_heard():
    product = np.diag([1.0, 0.9, 0.8, 0.9, 1.0, 0.7, 0.8, 0.9])
    found, said = channels.weights(product, ["NONE"] * 8)
    assert np.count_nonzero(found) == 8
    assert found @ product @ found == pytest.approx(0.875)
    assert "number 3" in said


def test_one_of_two_sounds_that_are_almost_opposite_is_better_than_none():
    found, _ = channels.weights(np.array([[1.0, -0.2], [-0.2, 0.07]]), ["FL", "FR"])
    assert np.asarray(found) @ np.array([[1.0, -0.2], [-0.2, 0.07]]) @ found > 0.25


def test_silence_is_a_plain_mean():
    assert channels.weights(np.zeros((2, 2)), ["FL", "FR"]) == ([0.5, 0.5], "")


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s32le", "pcm_f32le", "pcm_s24le"])
def test_every_sample_format_has_its_level(tmp_path, codec):
    import av

    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        track = container.add_stream(codec, rate=RATE, layout="stereo")
        form = track.codec_context.format.name
        frame = av.AudioFrame.from_ndarray(
            np.float32(np.hstack([VOICE, VOICE])).reshape(1, -1), format="flt", layout="stereo"
        )
        frame.sample_rate = RATE
        resampler = av.AudioResampler(format=form, layout="stereo", rate=RATE)
        for piece in resampler.resample(frame):
            container.mux(track.encode(piece))
        container.mux(track.encode(None))
    assert tracks.of(path)[0].level == pytest.approx(of(VOICE), abs=0.2)
    assert tracks.fields(tracks.of(path)) == {}


@pytest.mark.parametrize("codec", ["pcm_f32le", "pcm_f64le"])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_samples_that_are_no_numbers_are_silence_and_told(tmp_path, codec, layout):
    count = {"mono": 1, "stereo": 2}[layout]
    tone = np.repeat(np.sin(np.arange(16_000) / 5)[:, None] / 2, count, 1)
    spoilt = tone.copy()
    spoilt[100::500, 0] = np.nan
    spoilt[200::500, -1] = -np.inf
    path = tmp_path / "a.wav"
    body = spoilt.astype({"pcm_f32le": "<f4", "pcm_f64le": "<f8"}[codec])
    size = body.itemsize
    head = (16, 3, count, 8000, 8000 * count * size, count * size, 8 * size)
    path.write_bytes(
        b"RIFF" + struct.pack("<I", 36 + body.nbytes) + b"WAVEfmt "
        + struct.pack("<IHHIIHH", *head) + b"data" + struct.pack("<I", body.nbytes) + body.tobytes()
    )  # fmt: skip
    (track,) = tracks.of(path)
    assert track.broken == 64
    assert abs(track.level + 9.03) < 0.1
    assert tracks.notes([track])[0].startswith("64 samples of the sound are no numbers")
    assert tracks.fields([track]) == {"broken": "silence"}
    heard, start = recordings.sound(path, 8000)
    assert start == 0
    assert np.abs(heard - tone.mean(axis=1)).mean() < 0.01
    assert tracks.Track(1).broken == 0


def test_sound_of_a_single_sample_is_refused_as_too_short(tmp_path):
    path = tmp_path / "a.wav"
    head = struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16_000, 2, 16)
    path.write_bytes(b"RIFF&\0\0\0WAVEfmt " + head + b"data\2\0\0\0\0\1")
    with pytest.raises(InputError, match="too short to be heard"):
        recordings.sound(path, 16_000)
