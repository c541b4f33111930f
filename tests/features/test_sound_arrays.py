"""Sound of hours: the same numbers, in little memory."""

import tracemalloc

import numpy as np
import pytest

from lib.features import mel, sound_arrays
from lib.media.sound import as_float

RATE = 44_100


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """(n,) int16, three minutes, memory-mapped as the store gives it."""
    path = tmp_path_factory.mktemp("sound") / "a.npy"
    random = np.random.default_rng(0)
    np.save(path, (3000 * random.standard_normal(180 * RATE)).astype(np.int16))
    return np.load(path, mmap_mode="r")


def test_loudness_has_the_numbers_of_one_sum_over_all_samples(sound):
    times = np.r_[-3.0, np.linspace(0, 180, 400), 23.7, 500.0]
    found = sound_arrays.loudness(sound, RATE, 0.5, times)[:, 0]
    power = np.concatenate([[0.0], np.cumsum(np.square(as_float(sound), dtype=np.float64))])
    ends = (
        np.clip(np.round((times - 0.5 + half) * RATE).astype(int), 0, len(sound))
        for half in (-0.5, 0.5)
    )
    first, last = ends
    level = np.sqrt(np.maximum(power[last] - power[first], 0) / np.maximum(last - first, 1))
    right = (20 * np.log10(np.maximum(level, sound_arrays.SILENCE))).astype(np.float32)
    assert np.array_equal(found, right)


@pytest.mark.parametrize(
    "work",
    [
        lambda sound: sound_arrays.loudness(sound, RATE, 0.0, np.arange(180.0)),
        lambda sound: sum(len(block) for block in mel.power_blocks(sound, RATE)),
    ],
)
def test_memory_does_not_grow_with_the_sound(sound, work):
    tracemalloc.start()
    work(sound)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6  # the samples alone are 63 MB as float64


def test_blocks_of_a_spectrogram_are_the_whole(sound):
    short = sound[: 50 * RATE]
    blocks = list(mel.power_blocks(short, RATE))
    assert len(blocks) == 3
    assert np.array_equal(np.concatenate(blocks), mel.power_mel(short))
