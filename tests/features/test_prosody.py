"""Pitch, voicing and level: tones, glides, silence, noise, and frames that are centred."""

import numpy as np
import pytest

from lib.errors import InputError
from lib.features import prosody
from lib.media.recordings import FULL_SCALE
from tests.features.signals import RATE, click

SECOND = np.arange(RATE) / RATE
INSIDE = slice(4, -4)  # frames whose window lies in the sound


def harmonics(hertz, numbers, seconds=SECOND):
    """A sound of some harmonics of a pitch, the k-th 1/k as strong."""
    return sum(0.3 / k * np.sin(2 * np.pi * k * hertz * seconds + k) for k in numbers)


@pytest.mark.parametrize("hertz", [70, 110, 220, 440, 650])
@pytest.mark.parametrize("numbers", [[1], range(1, 12), [2, 3, 4]], ids=["sine", "voice", "no 1st"])
def test_the_pitch_of_a_tone_is_its_fundamental(hertz, numbers):
    found = prosody.measure(harmonics(hertz, numbers))
    assert np.abs(found.pitch[INSIDE] / hertz - 1).max() < 1e-3
    assert found.voicing[INSIDE].min() > 0.98


@pytest.mark.parametrize("hop", [80, 160, 320])
def test_a_glide_is_followed_at_the_middle_of_each_frame(hop):
    hertz = np.linspace(100, 300, RATE)
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    found = prosody.measure(sum(0.2 / k * np.sin(k * phase) for k in range(1, 10)), hop=hop)
    middles = np.minimum(hop * np.arange(1 + RATE // hop), RATE - 1)
    assert np.abs(found.pitch / hertz[middles] - 1)[INSIDE].max() < 1e-3


def test_silence_has_no_pitch_no_voicing_and_the_lowest_level():
    found = prosody.measure(np.zeros(RATE))
    assert np.isnan(found.pitch).all()
    assert not found.voicing.any()
    assert (found.level == prosody.QUIETEST).all()


def test_noise_is_hardly_ever_voiced():
    found = prosody.measure(np.random.default_rng(0).normal(0, 0.1, 4 * RATE))
    assert np.isnan(found.pitch).mean() > 0.98
    assert found.voicing.mean() < 0.3
    assert abs(found.level[INSIDE].mean() + 20) < 0.3


def test_a_voice_under_noise_keeps_its_pitch_and_loses_voicing():
    noise = np.random.default_rng(0).normal(0, 0.07, RATE)
    found = prosody.measure(harmonics(150, range(1, 12)) + noise)
    assert np.abs(found.pitch[INSIDE] / 150 - 1).max() < 0.01
    assert 0.6 < found.voicing[INSIDE].mean() < 0.98


def test_a_pause_between_two_voices_is_unvoiced():
    sound = np.concatenate([harmonics(120, range(1, 9)), np.zeros(RATE), harmonics(240, [1, 2, 3])])
    found = prosody.measure(sound)
    assert np.isnan(found.pitch[105:196]).all()
    assert np.abs(found.pitch[4:96] / 120 - 1).max() < 1e-3
    assert np.abs(found.pitch[205:296] / 240 - 1).max() < 1e-3


def test_level_is_in_decibels_under_full_scale_and_pitch_knows_nothing_of_it():
    loud = harmonics(200, range(1, 6))
    first, second = prosody.measure(loud), prosody.measure(loud / 10)
    np.testing.assert_allclose(second.level - first.level, -20, atol=1e-4)
    np.testing.assert_allclose(second.pitch, first.pitch, rtol=1e-6)
    full = prosody.measure(np.sin(2 * np.pi * 200 * SECOND))
    np.testing.assert_allclose(full.level[INSIDE], 10 * np.log10(0.5), atol=0.01)


def test_whole_numbers_of_16_bits_are_the_same_sound():
    whole = np.rint(20_000 * harmonics(130, range(1, 9))).astype(np.int16)
    fractions = prosody.measure(whole / FULL_SCALE)
    for found, expected in zip(prosody.measure(whole), fractions, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_frames_are_centred_on_multiples_of_the_hop():
    level = prosody.measure(click(2, 1.0)).level
    assert level.argmax() == 100
    np.testing.assert_allclose(level[99], level[101], atol=1e-4)
    assert (level[[98, 102]] > prosody.QUIETEST).all()  # a window reaches 23 ms to either side
    assert (level[[97, 103]] == prosody.QUIETEST).all()


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 4000])
def test_every_sound_has_a_frame_per_hop_and_one(samples):
    found = prosody.measure(np.full(samples, 0.1))
    frames = 1 + samples // 160 if samples else 0
    assert [row.shape for row in found] == [(frames,)] * 3
    assert prosody.n_frames(samples) == frames
    assert all(row.dtype == np.float32 for row in found)


def test_blocks_change_nothing(monkeypatch):
    sound = harmonics(130, range(1, 9)) + np.random.default_rng(1).normal(0, 0.01, RATE)
    whole = prosody.measure(sound)
    monkeypatch.setattr(prosody, "BLOCK", 7)
    for found, expected in zip(prosody.measure(sound), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_path_keeps_to_its_octave_where_a_frame_prefers_the_other():
    pitches = np.array([[200.0, 100.0]] * 5)
    strengths = np.array([[0.9, 0.8]] * 2 + [[0.8, 0.9]] + [[0.9, 0.8]] * 2)
    unvoiced = np.full(5, 0.45)
    assert prosody._best_path(pitches, strengths, unvoiced, 1.0).tolist() == [1] * 5
    assert prosody._best_path(pitches, strengths, unvoiced, 0.0).tolist() == [1, 1, 2, 1, 1]


def test_spoken_frames_begin_and_end_with_what_is_loud_enough():
    level = np.array([-90, -90, -90, -20, -70, -30, -59, -61, -90.0])
    assert prosody.spoken(level, margin=0) == slice(3, 7)
    assert prosody.spoken(level, margin=1) == slice(2, 8)
    assert prosody.spoken(level, margin=50) == slice(0, 9)
    assert prosody.spoken(level, below=5, margin=0) == slice(3, 4)
    assert prosody.spoken(np.full(4, prosody.QUIETEST)) == slice(0, 4)
    assert prosody.spoken(np.zeros(0)) == slice(0, 0)


@pytest.mark.parametrize(
    ("samples", "options"),
    [
        (np.zeros((2, 400)), {}),
        (np.array([0.0, np.nan]), {}),
        (np.zeros(400), {"rate": 44_100}),
        (np.zeros(400), {"hop": 0}),
    ],
    ids=["stereo", "not a number", "another rate", "no hop"],
)
def test_what_is_no_sound_of_one_channel_at_16_khz_is_refused(samples, options):
    with pytest.raises(InputError, match=r"expected: "):
        prosody.measure(samples, **options)
