"""The numbers per frame of a voice: bands, speeds, and what a network gets of them."""

import numpy as np
import pytest

from benchmarks import ravdess
from lib.features import voice
from lib.features.filterbanks import mel
from tests.features.test_prosody import SECOND, harmonics

BANDS, PITCH, VOICED, OWN, BRIDGED = voice.BANDS, 64, 65, 66, 67


@pytest.fixture(scope="module")
def spoken():
    """Half a second of silence, a voice at 150 Hz, silence."""
    quiet = np.zeros(8000)
    return np.concatenate([quiet, harmonics(150, range(1, 12)), quiet])


def test_a_full_sine_has_0_db_in_its_band_and_little_elsewhere():
    hertz = 1000.0
    rows = voice.decibels(np.sin(2 * np.pi * hertz * SECOND))
    edges = np.linspace(mel(voice.LOWEST), mel(voice.HIGHEST), BANDS + 2)
    band = np.abs(edges[1:-1] - mel(hertz)).argmin()
    inside = rows[3:-3]
    assert (inside.argmax(axis=1) == band).all()
    assert -3 < inside[:, band].max() <= 0.01 + 2.0  # a window's main lobe has three bins
    assert inside[:, : band - 4].max() < -60
    assert voice.decibels(np.zeros(1000)).max() == pytest.approx(-120)


def test_whole_numbers_of_16_bits_are_the_same_sound(spoken):
    whole = np.rint(32767 * spoken).astype(np.int16)
    np.testing.assert_allclose(
        voice.measure(whole)[30:70], voice.measure(whole / 32767)[30:70], rtol=1e-5, atol=1e-3
    )


@pytest.mark.parametrize("speed", [0.9, 1.0, 1.1])
def test_a_faster_voice_is_shorter_and_higher(spoken, speed):
    rows = voice.measure(spoken, speed)
    assert abs(len(rows) - len(spoken) / 320 / speed) <= 1
    assert np.nanmedian(rows[:, BANDS]) == pytest.approx(150 * speed, rel=2e-3)


def test_what_a_network_gets_is_the_spoken_part_against_its_own_means(spoken):
    rows = voice.prepared(voice.measure(spoken))
    assert rows.shape == (63, voice.COLUMNS)  # 1 s, 2 frames that the windows reach, 2 · 5 more
    assert rows.dtype == np.float32
    voiced = rows[:, VOICED] == 1
    assert 48 <= voiced.sum() <= 54
    inside = np.flatnonzero(voiced)[3:-3]  # a window at the voice's edge is half silence
    np.testing.assert_allclose(rows[inside, PITCH], np.log2(150 / 200), atol=2e-3)
    assert np.isnan(rows[~voiced, PITCH]).all()
    np.testing.assert_allclose(rows[inside, OWN], 0, atol=2e-3)
    assert np.isfinite(rows[:, BRIDGED]).all()
    np.testing.assert_allclose(rows[:, -1], np.log(0.63), rtol=1e-5)
    quieter = voice.prepared(voice.measure(spoken / 10))
    np.testing.assert_allclose(quieter[:, :BANDS], rows[:, :BANDS], atol=1e-2)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(5000), np.full(1, 0.1)])
def test_silence_and_nothing_give_rows_without_infinity(samples):
    rows = voice.prepared(voice.measure(samples))
    assert rows.shape[1] == voice.COLUMNS
    assert len(rows) == (1 + len(samples) // 320 if len(samples) else 0)
    assert not np.isinf(rows).any()


def test_a_slope_is_that_of_a_line():
    np.testing.assert_allclose(voice.slope(0.5 * np.arange(9))[2:-2], 0.5)
    assert voice.slope(np.full(3, 7.0)).tolist() == [0, 0, 0]


def test_of_a_sound_that_is_four_times_as_loud_one_column_alone_is_another():
    """What benchmarks/ravdess.py --equal-levels takes away is all that level says."""
    time = np.arange(16_000) / 16_000
    noise = np.random.default_rng(0).normal(size=16_000)
    sound = 0.1 * np.sin(2 * np.pi * 200 * time) * np.hanning(16_000) + 1e-3 * noise
    quiet, loud = (voice.prepared(voice.measure(gain * sound)) for gain in (1, 4))
    moved = np.nanmax(np.abs(loud - quiet), axis=0)
    assert np.flatnonzero(moved > 1e-3).tolist() == [ravdess.LEVEL]
    assert moved[ravdess.LEVEL] == pytest.approx(20 * np.log10(4), abs=1e-3)
