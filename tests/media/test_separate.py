"""A separate recorder's sound is placed by what the camera heard itself, or refused."""

import numpy as np
import pytest

from lib import arrays
from lib.datasets import check
from lib.errors import InputError
from lib.media import readings, recordings, separate, synchrony, writing
from lib.media import sound as media_sound
from lib.media.drift import between
from lib.store import Store, request
from tests.films import Sound, recorded
from tests.shared_files import shared

RATE = synchrony.RATE
SOUND = request("audio_16k", rate=16_000)


def bursts(seconds, seed=0):
    """Noise that begins and ends as words do, over the hiss of a room, at `RATE` Hz."""
    draw = np.random.default_rng(seed)
    out, time = 0.003 * draw.standard_normal(round(seconds * RATE)), 0.2
    while time < seconds - 0.5:
        count = round(draw.uniform(0.05, 0.3) * RATE)
        begin = round(time * RATE)
        out[begin : begin + count] += 0.2 * draw.standard_normal(count) * np.hanning(count)
        time += draw.uniform(0.15, 0.8)
    return out


def heard(sound, start, stop, rate=RATE, speed=1.0, level=1.0, noise=0.0):
    """What a recorder writes that runs from `start` to `stop` s, its own clock `speed` times slow:
    samples at `rate` Hz, with noise of that root mean square.
    """
    times = start + speed * np.arange(round((stop - start) / speed * rate)) / rate
    out = level * between(sound, times * RATE)
    return out + noise * np.random.default_rng(9).standard_normal(len(out))


def compare(camera, recorder):
    return synchrony.match(synchrony.onsets([camera]), synchrony.onsets([recorder]))


@pytest.fixture(scope="module")
def voices():
    return bursts(20.0)


CASES = {
    "the recorder was switched on later": {"start": 6.28},
    "the recorder was switched on earlier": {"start": 0.51},
    "it is ten times as quiet": {"start": 3.3, "level": 0.1},
    "it is noisy": {"start": 7.1, "noise": 0.02},
    "it stopped before the camera": {"start": 2.0, "stop": 13.0},
}


@pytest.mark.parametrize("name", CASES)
def test_the_offset_is_found_to_20_ms(voices, name):
    how = {"stop": 18.0, **CASES[name]}
    match = compare(heard(voices, 4.0, 17.0), heard(voices, **how))
    assert match.found
    assert match.offset == pytest.approx(how["start"] - 4.0, abs=0.02)
    assert match.speed == 1
    assert match.tried == 1


@pytest.mark.parametrize("start", [33.0, 100.0])
def test_a_recorder_that_ran_for_a_part_of_a_long_film_is_found(start):
    sound = bursts(400.0)
    match = compare(sound, heard(sound, start, start + 30, noise=0.003))
    assert match.found
    assert match.offset == pytest.approx(start, abs=0.02)


def test_another_recording_is_refused_and_so_is_one_that_repeats_itself(voices):
    match = compare(heard(voices, 4.0, 17.0), bursts(16.0, seed=1))
    assert not match.found
    assert match.peak < synchrony.CLEAR
    click = np.zeros(RATE // 2)
    click[:200] = 0.5  # a metronome: any beat fits
    assert not compare(np.tile(click, 20), np.tile(click, 30)).found


@pytest.mark.parametrize("samples", [np.zeros(4 * RATE), np.zeros(0), np.zeros(5)])
def test_silence_and_nothing_match_nothing(voices, samples):
    assert not compare(voices, samples).found
    assert not compare(samples, voices).found


@pytest.mark.parametrize(("start", "speed"), [(3.0, 1.0004), (-5.0, 0.9996), (0.5, 1.0)])
def test_clocks_that_run_apart_are_told_and_stay_together_to_the_end(monkeypatch, start, speed):
    monkeypatch.setattr(synchrony, "WINDOW_SECONDS", 15.0)
    monkeypatch.setattr(synchrony, "LONG_SECONDS", 20.0)
    sound = bursts(70.0, seed=4)
    match = compare(heard(sound, 6.0, 66.0), heard(sound, 6 + start, 69.0, speed=speed))
    assert match.found
    assert match.tried > 1
    assert match.speed == pytest.approx(speed, abs=3e-5)
    for time in (5.0, 58.0):  # s on the camera's clock
        recorder = (time - start) / speed
        assert match.offset + match.speed * recorder == pytest.approx(time, abs=0.02)


@pytest.mark.parametrize("start", [-2.0, 1.5])
@pytest.mark.parametrize(
    "name", ["media/grid_dialogue_2faces.mp4", "media/mpf_speech_noface_10001.mp4"]
)
def test_real_speech_is_placed_at_another_rate_and_level_with_noise(name, start, tmp_path):
    samples, _ = recordings.sound(shared(name), RATE)
    early = max(0.0, -start)
    camera = samples[round(early * RATE) :]
    other = heard(samples, max(0.0, start), len(samples) / RATE, 11_025, level=0.3, noise=0.003)
    (tmp_path / "recorder.wav").write_bytes(writing.wav(np.round(32767 * other), 11_025))
    recorder, _ = recordings.sound(tmp_path / "recorder.wav", RATE)
    match = compare(camera, recorder)
    assert match.found
    assert match.offset == pytest.approx(start, abs=0.02)


def test_real_speech_of_somebody_else_is_refused():
    names = ("grid_swwp2s.mpg", "grid_pwij3p.mpg", "grid_bbaf2n.mpg", "mpf_speech_noface_10001.mp4")
    sounds = [recordings.sound(shared(f"media/{name}"), RATE)[0] for name in names]
    for k, first in enumerate(sounds):
        assert not any(compare(first, second).found for second in sounds[k + 1 :])


# ---- in the product


def trial(sound="anna.wav"):
    row = {"trial": "anna", "video": "anna", "person": "", "crops_dir": "", "split": "test"}
    paths = dict.fromkeys(("va_path", "expression_path", "action_units_path"), "")
    return {**row, **paths, "video_path": "anna.mkv", "audio_path": sound}


def study(tmp_path, camera, recorder, rate=16_000):
    """A data root of anna.mkv with the camera's sound and anna.wav; a store for it."""
    tracks = [] if camera is None else [Sound(camera[:, None], codec="flac", rate=RATE)]
    recorded(tmp_path / "anna.mkv", tracks, n=100)
    (tmp_path / "anna.wav").write_bytes(writing.wav(np.round(32767 * recorder), rate))
    return Store(tmp_path / "processed", "films", tmp_path, "centre")


def test_the_sound_beside_a_video_is_stored_on_its_clock_and_told(tmp_path, voices):
    place = study(tmp_path, heard(voices, 4.0, 8.0), heard(voices, 3.25, 9.0, 16_000, level=0.5))
    row = arrays.make(trial(), SOUND, place)
    located = arrays.locate(trial(), SOUND, place)
    assert located.made_from["parameters"]["offset"] == pytest.approx(-0.75, abs=0.02)
    assert "begins at -0.7" in row["note"]
    facts, samples = (get(trial(), SOUND, place) for get in (arrays.facts, arrays.read))
    right = heard(voices, 3.25, 9.0, 16_000, level=0.5)
    assert facts["t0"] == pytest.approx(-0.75, abs=0.02)
    assert np.abs(np.asarray(samples) / 32767 - right).max() < 2e-4
    told = [fault["what"] for fault in check.check_trial(trial(), place)["faults"]]
    assert any("comparing it with the camera's own sound" in sentence for sentence in told)
    assert not any("the sound starts" in sentence for sentence in told)
    own = arrays.locate(trial("anna.mkv"), SOUND, place)  # ordinary sound keeps its name
    assert set(own.made_from["parameters"]) == {"rate"}


def test_a_machine_without_the_recordings_finds_the_sound_that_was_placed(tmp_path, voices):
    place = study(tmp_path, heard(voices, 4.0, 8.0), heard(voices, 3.25, 9.0, 16_000))
    arrays.make(trial(), SOUND, place)
    away = Store(place.processed_root, place.dataset, tmp_path / "elsewhere", "centre")
    here = arrays.locate(trial(), SOUND, place).path
    assert arrays.locate(trial(), SOUND, away).path == here


def test_a_sound_file_of_another_recording_is_refused_with_what_to_do(tmp_path, voices):
    place = study(tmp_path, heard(voices, 4.0, 8.0), bursts(6.0, seed=1), RATE)
    with pytest.raises(InputError, match="do not sound alike") as caught:
        arrays.make(trial(), SOUND, place)
    assert "separate_sound: false" in caught.value.todo
    assert "anna.mkv" in caught.value.todo
    assert "do not sound alike" in check.check_trial(trial(), place)["errors"]


def test_two_that_do_not_sound_alike_are_compared_once(tmp_path, voices, monkeypatch):
    place = study(tmp_path, heard(voices, 4.0, 8.0), bursts(6.0, seed=2), RATE)
    calls, match = [], synchrony.match
    monkeypatch.setattr(synchrony, "match", lambda *both: calls.append(1) or match(*both))
    for _ in range(3):
        assert "offset" not in readings.fields(trial(), place)
    assert len(calls) == 1


@pytest.mark.parametrize("camera", [None, np.zeros(4 * RATE)])
def test_beside_a_camera_that_heard_nothing_the_file_begins_with_the_video(
    tmp_path, voices, camera
):
    place = study(tmp_path, camera, heard(voices, 3.0, 7.0))
    assert readings.of_recorder(trial(), place) == {}
    assert set(arrays.locate(trial(), SOUND, place).made_from["parameters"]) == {"rate"}


def test_stretched_pieces_lie_where_the_clocks_say():
    tone = np.sin(2 * np.pi * 200 * np.arange(60 * RATE) / RATE)
    pieces = ((k / RATE, tone[k : k + 5000]) for k in range(0, len(tone), 5000))
    out = list(separate.placed(pieces, RATE, 2.0, 1.001))
    assert out[0][0] == pytest.approx(2.0)
    joined = np.concatenate([piece for _, piece in out])
    times = 2.0 + np.arange(len(joined)) / RATE
    right = np.sin(2 * np.pi * 200 * (times - 2.0) / 1.001)
    assert np.abs(joined - right)[100:-100].max() < 1e-3
    assert len(joined) / RATE == pytest.approx(60.06, abs=0.01)


@pytest.mark.parametrize(("start", "first", "count"), [(-2.0, 2.0, 4.96), (1.0, 0.0, 3.96)])
def test_of_a_recorder_that_runs_longer_than_the_film_only_its_time_is_shown(start, first, count):
    samples = np.arange(20 * RATE)
    kept, begins = media_sound.during(samples, start, RATE, np.arange(100) / 25)
    assert begins == pytest.approx(max(start, 0.0))
    assert kept[0] == first * RATE
    assert len(kept) == round(count * RATE)
