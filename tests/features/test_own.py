"""Features of any rate -> rows of frames; NaN, another trial's, times that go back are named."""

import numpy as np
import pytest

from lib.errors import InputError
from lib.features import own
from lib.features.own import aligned

FRAMES = np.arange(50) / 25


def rows(time):
    return np.stack([time, 2 * time, np.ones_like(time)], axis=1).astype(np.float32)


def test_rows_a_frame_stay_as_they_are():
    found, how = aligned(rows(FRAMES), None, FRAMES)
    assert np.array_equal(found, rows(FRAMES))
    assert how == "one row per frame"


@pytest.mark.parametrize(("rate", "method"), [(100.0, "mean"), (10.0, "linear")])
def test_a_time_array_or_a_rate_puts_rows_at_their_frames(rate, method):
    time = np.arange(0, 2.2, 1 / rate)
    for given in ({"time": time}, {"time": None, "rate": rate}):
        found, how = aligned(rows(time), frames=FRAMES, **given)
        assert np.abs(found[1:-1, 0] - FRAMES[1:-1]).max() < 0.6 / rate
        assert how.endswith(method)


def test_pictures_are_flattened():
    assert aligned(np.ones((50, 4, 4, 3)), None, FRAMES)[0].shape == (50, 48)


def test_features_that_begin_a_little_late_are_held_at_the_ends():
    time = np.arange(0.3, 1.7, 0.02)
    found, _ = aligned(rows(time), time, FRAMES)
    assert np.isfinite(found).all()
    assert np.allclose(found[0], found[FRAMES <= 0.26])


def test_nan_loses_the_trial_unless_neighbours_are_asked_for():
    broken = rows(FRAMES)
    broken[[7, 20, 21]] = np.nan
    with pytest.raises(InputError, match="in 3 of 50 rows, the first is row 8") as caught:
        aligned(broken, None, FRAMES, where="x.npy")
    assert "missing: neighbours" in caught.value.todo
    found, how = aligned(broken, None, FRAMES, missing="neighbours")
    assert np.allclose(found[[20, 21], 0], FRAMES[[19, 22]])
    assert "3 rows without numbers" in how
    with pytest.raises(InputError, match="50 of 50"):
        aligned(np.full((50, 2), np.nan), None, FRAMES, missing="neighbours")


@pytest.mark.parametrize(
    ("n", "time", "told"),
    [
        (48, None, "one row per frame: 48 rows for 50 frames, the last one is repeated"),
        (52, None, "52 rows for 50 frames, the last ones are not used"),
        (16, np.arange(4, 20) / 10, "; 8 frames without a row near them took the nearest"),
        (14, np.r_[np.arange(4), np.arange(10, 20)] / 10, "; 17 frames without a row near them"),
    ],
)
def test_frames_that_have_no_row_of_their_own_are_told(n, time, told):
    assert told in aligned(np.ones((n, 2)), time, FRAMES)[1]


@pytest.mark.parametrize(
    ("n", "time", "what"),
    [
        (80, None, "80 rows of features, and the video has 50 frames: of another trial"),
        (
            80,
            np.arange(80) / 10,
            "go from 0.00 to 7.90 s, the video from 0.00 to 1.96 s: of another trial",
        ),
        (80, np.arange(80) / 100, "go from 0.00 to 0.79 s"),
        (80, np.arange(79) / 40, "80 rows of features and 79 times"),
        (50, np.r_[0, 0.5, 0.4, np.linspace(0.6, 2, 47)], "go back or stand still at row 3"),
    ],
)
def test_features_of_another_trial_are_refused(n, time, what):
    with pytest.raises(InputError, match=what):
        aligned(np.ones((n, 2)), time, FRAMES)


@pytest.mark.parametrize(
    "content",
    [
        *(b"no array", b"PK\x03\x04", np.zeros((50, 0)), np.array(["a", "b"])),
        np.array([{"a": 1}], dtype=object),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_and_never_executed(tmp_path, content):
    path = tmp_path / "x.npy"
    path.write_bytes(content) if isinstance(content, bytes) else np.save(
        path, content, allow_pickle=True
    )
    with pytest.raises(InputError):
        own.load(path)


def test_statistics_of_the_sound_are_mean_and_spread_around_each_frame():
    power = np.tile(
        10 ** (np.arange(300)[:, None] / 100), (1, 64)
    )  # the level in dB rises by 0.1 a column
    made = {}

    class Create:
        def __init__(self, shape, dtype):
            made["out"] = self.out = np.zeros(shape, dtype)

        def __enter__(self):
            return self.out

        def __exit__(self, *_):
            pass

    times = np.array([0.5, 1.0, 9.0])
    own.make_statistics(
        {"mel": power, "mel_facts": {"t0": 0.0, "rate": 100.0}, "time": times},
        {"seconds": 0.2},
        Create,
        "cpu",
    )
    assert made["out"].shape == (3, 128)
    assert np.allclose(made["out"][:2, 0], [4.95, 9.95])  # columns 40–59 and 90–109
    assert np.allclose(made["out"][0, 64:], np.std(np.arange(20) * 0.1), atol=1e-4)
    assert np.allclose(made["out"][2, 0], 29.9, atol=1e-3)  # beyond the sound: its last column


def test_a_mean_of_few_rows_is_refused_by_the_name_of_its_own_option():
    with pytest.raises(InputError, match="align: mean, with 10 rows per second") as caught:
        aligned(np.ones((20, 2)), np.arange(20) / 10, FRAMES, "mean")
    assert "`align`" in caught.value.todo
