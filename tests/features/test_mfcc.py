import json

import numpy as np
import pytest

from lib.errors import InputError
from lib.features import mfcc
from tests.shared_files import shared


def published_signal():
    time = np.arange(48_000) / 16_000
    tones = 0.4 * np.sin(2 * np.pi * 220 * time) + 0.2 * np.sin(
        2 * np.pi * 1300 * time * (1 + 0.1 * time)
    )
    return np.round(32767 * tones).astype(np.int16)


@pytest.mark.parametrize("fps", [25, 30])
def test_rows_are_those_of_the_published_package(fps):
    expected = json.loads(shared("specs/goldens_features.json").read_text())["talknet_mfcc"][
        f"fps_{fps}"
    ]
    assert mfcc.window(fps) == expected["window"]
    starts = mfcc.published_starts(90, fps)[: expected["rows"]]
    assert starts[1] == expected["hop"]
    found = mfcc.rows(published_signal(), starts, mfcc.window(fps))
    for row, name in ((0, "row_0"), (10, "row_10"), (-1, "row_last")):
        np.testing.assert_allclose(found[row], expected[name], atol=2e-5)


@pytest.mark.parametrize(
    ("fps", "ms_after_15_s"), [(25, 0), (50, 0), (30, -37.5), (24, 30), (60, 75)]
)
def test_the_published_hop_slips_and_the_exact_one_does_not(fps, ms_after_15_s):
    frames = 15 * fps
    exact, published = mfcc.starts(frames, fps), mfcc.published_starts(frames, fps)
    np.testing.assert_array_equal(exact[::4], np.floor(np.arange(frames) * 16_000 / fps + 0.5))
    assert published[-1] - exact[-1] == pytest.approx(
        16 * ms_after_15_s, abs=2
    )  # specification §5, E-4


def test_four_rows_belong_to_each_frame_and_sound_that_ends_early_is_silence():
    sound = published_signal()[:16_000]
    found = mfcc.of_clip(sound, 50, 25)
    assert found.shape == (200, 13)
    np.testing.assert_allclose(found[:96], mfcc.of_clip(sound, 24, 25))
    assert found[101:, 0] == pytest.approx(np.log(np.finfo(float).eps))
    np.testing.assert_allclose(
        mfcc.of_clip(sound, 50, 25, "published")[99:150], found[:51], atol=1e-4
    )


def test_a_louder_sound_moves_the_first_coefficient_only():
    quiet, loud = (
        mfcc.of_clip(factor * published_signal().astype(float), 10, 25) for factor in (0.1, 0.3)
    )
    np.testing.assert_allclose(loud[:, 0] - quiet[:, 0], 2 * np.log(3), atol=1e-4)
    np.testing.assert_allclose(loud[:, 1:], quiet[:, 1:], atol=1e-3)


def test_windows_before_and_after_a_sound_are_silent_and_those_inside_do_not_depend_on_them():
    sound = published_signal()[:8000]
    found = mfcc.rows(sound, np.array([-50_000, 1600, 90_000]), 400)
    np.testing.assert_allclose(found[1], mfcc.rows(sound, np.array([1600]), 400)[0])
    assert (found[[0, 2], 0] < -36).all()


def test_rows_at_times_count_from_where_the_sound_begins():
    assert mfcc.at_times(np.array([2.5, 2.54]), 2.43, 25).tolist() == [
        1120,
        1280,
        1440,
        1600,
        1760,
        1920,
        2080,
        2240,
    ]


def test_sound_that_is_no_sound_is_refused():
    for samples in (np.zeros((2, 3)), np.array([0.0, np.nan])):
        with pytest.raises(InputError, match="sound of shape"):
            mfcc.rows(samples, np.array([0]), 400)
    assert mfcc.rows(np.zeros(0), np.array([0, 5]), 400).shape == (2, 13)
