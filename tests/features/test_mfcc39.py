"""39 MFCC: openSMILE's numbers, and the row of each frame on the container's clock."""

import json

import numpy as np
import pytest

from lib.errors import InputError
from lib.features import mfcc39
from tests.features.signals import changed, click, tones
from tests.shared_files import shared

TIMES = np.arange(50) / 25  # 2 s


def test_rows_are_those_of_opensmile():
    golden, sound = json.loads(shared("specs/goldens_lfan.json").read_text())["mfcc39"], tones(2)
    assert [*sound[:4], sound[1000], sound[31999], np.abs(sound.astype(int)).sum()] == [
        *golden["x_check"]["first4"],
        *list(golden["x_check"].values())[1:],
    ]
    found = mfcc39.mfcc39(sound)
    assert found.shape == (golden["rows"], 39)
    for row, parts in golden["row"].items():
        expected = np.concatenate([parts["static"], parts["delta"], parts["acceleration"]])
        assert (
            np.abs(found[int(row)] - expected).max() < 3e-4
        )  # asked for: 2e-4 of float64, and six digits printed


def test_digital_silence_is_39_zeros_and_too_little_sound_no_row():
    assert not mfcc39.mfcc39(np.zeros(4000, np.int16)).any()
    assert mfcc39.mfcc39(np.zeros(399, np.int16)).shape == (0, 39)


def test_blocks_change_nothing(monkeypatch):
    whole = mfcc39.static(tones(2))
    monkeypatch.setattr(mfcc39, "BLOCK", 7)
    np.testing.assert_allclose(mfcc39.static(tones(2)), whole, atol=1e-9)


def test_stereo_is_refused():
    with pytest.raises(InputError, match=r"expected: .*mono"):
        mfcc39.mfcc39(np.zeros((2, 4000), np.int16))


@pytest.mark.parametrize("t0", [0.0, 0.08, -0.5])
@pytest.mark.parametrize("first", [0.0, 0.3])
def test_a_click_appears_in_the_rows_of_the_frames_around_it(t0, first):
    """A row covers 25 ms from its frame on; slopes see four rows, 40 ms, on either side."""
    times = first + TIMES
    found = mfcc39.on_frames(click(3, 1.2, t0), t0, times)
    seen = times[changed(found[:, :13], 0)]
    assert len(seen)
    assert (seen > 1.2 - 0.025 - 0.005).all()
    assert (seen <= 1.2 + 0.005).all()
    around = times[changed(found, 0)]
    assert around.min() >= 1.2 - 0.075
    assert around.max() <= 1.2 + 0.05


def test_every_frame_has_a_row_whatever_the_sound_lacks():
    """Halves of 10 ms go to the even row; where there is no sound it is silent."""
    for sound, t0 in (
        (tones(1), 0.5),
        (np.zeros(0, np.int16), 0.0),
        (tones(1), -5.0),
        (tones(1), 9.0),
    ):
        found = mfcc39.on_frames(sound, t0, TIMES)
        assert found.shape == (50, 39)
        assert np.isfinite(found).all()
    later = mfcc39.on_frames(tones(1), 0.5, TIMES)
    assert not later[:10].any()
    assert later[20:30].any(axis=1).all()
    assert mfcc39.on_frames(tones(1), 0.0, np.zeros(0)).shape == (0, 39)
    assert mfcc39.grid(np.array([0.0, 0.005, 0.015, 0.03])).tolist() == [0, 0, 2, 3]


def test_frames_of_an_even_grid_take_the_published_rows():
    sound, times = tones(2), np.arange(55) / 30
    rows = [round(frame / 30 / 0.01) for frame in range(55)]
    assert mfcc39.grid(times).tolist() == rows
    # Shorter sound, but for the last rows, whose slopes reach behind the end of what is heard.
    np.testing.assert_allclose(
        mfcc39.on_frames(sound, 0.0, times)[:-4], mfcc39.mfcc39(sound)[rows][:-4], atol=1e-4
    )
