import numpy as np
import pytest

from lib.errors import InputError
from lib.evaluation import baselines
from lib.features import sound_arrays

RATE = 8000


def trial(generator, n=200, colour=0.0):
    """A trial whose valence is the mean colour of its faces (times `colour`) and whose arousal is
    its loudness.
    """
    va = generator.uniform(-1, 1, size=(n, 2)).astype(np.float32)
    faces = generator.integers(100, 156, size=(n, 16, 16, 3))
    faces = faces + (colour * 90 * va[:, 0]).astype(int)[:, None, None, None]
    loud = -30 + 5 * va[:, 1:] + generator.normal(size=(n, 1))
    return {"pixels": faces.astype(np.uint8), "loudness": loud.astype(np.float32), "va": va}


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def test_pixels_are_averages_over_cells(generator):
    faces = generator.integers(0, 256, size=(3, 112, 112, 3), dtype=np.uint8)
    small = baselines.pixels(faces, 8)
    assert small.shape == (3, 192)
    assert small.reshape(3, 8, 8, 3)[1, 2, 3] == pytest.approx(
        faces[1, 28:42, 42:56].mean(axis=(0, 1)) / 255
    )
    assert baselines.mean_colour(faces) == pytest.approx(
        small.reshape(3, 64, 3).mean(axis=1), abs=1e-5
    )


def test_pixels_of_a_side_that_does_not_divide_are_averages_too():
    assert baselines.pixels(np.full((2, 100, 100, 3), 51, np.uint8), 16) == pytest.approx(
        np.full((2, 768), 0.2)
    )


def test_loudness_of_a_sine_is_its_level_on_the_clock():
    sound = 0.1 * np.sin(2 * np.pi * 200 * np.arange(4 * RATE) / RATE).astype(np.float32)
    sound[2 * RATE :] *= 10
    level = sound_arrays.loudness(sound, RATE, 0.5, [1.5, 3.5, 20.0])
    assert level.shape == (3, 1)
    # The sound is 3 dB below its peak; it starts at 0.5 s, so 2.5 s is where it gets louder; at 20
    # s there is none.
    assert level[:, 0] == pytest.approx([-23.01, -3.01, -100], abs=0.01)


def test_ridge_without_penalty_is_least_squares(generator):
    x, y = generator.normal(2, 3, size=(300, 5)), generator.normal(size=(300, 2))
    known = np.linalg.lstsq(np.column_stack([x, np.ones(300)]), y, rcond=None)[0]
    ridge = baselines.Ridge([(x[:100], y[:100]), (x[100:], y[100:])], [0.0, 1e12])
    assert ridge.predict(x)[0] == pytest.approx(np.column_stack([x, np.ones(300)]) @ known)
    assert ridge.predict(x)[1] == pytest.approx(
        np.tile(y.mean(axis=0), (300, 1)), abs=1e-6
    )  # only the mean is left


def test_ridge_equals_its_closed_form(generator):
    x, y = generator.normal(size=(50, 4)), generator.normal(size=(50, 1))
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    weights = np.linalg.solve(z.T @ z + 7 * np.eye(4), z.T @ (y - y.mean()))
    assert baselines.Ridge([(x, y)], [7.0]).predict(x)[0] == pytest.approx(z @ weights + y.mean())


def test_an_input_that_never_changes_does_no_harm(generator):
    x = np.column_stack([generator.normal(size=50), np.full(50, 3.0)])
    assert np.isfinite(baselines.Ridge([(x, x[:, :1])], [0.0]).predict(x)).all()


def test_what_can_be_predicted_is_and_the_rest_is_not(generator):
    train, val = ([trial(generator, colour=1.0) for _ in range(count)] for count in (6, 3))
    found = baselines.evaluate(train, val)
    assert found["training mean"] == {"valence": 0.0, "arousal": 0.0}
    ridges = {
        name.split(" (")[0]: scores for name, scores in found.items() if name != "training mean"
    }
    assert set(ridges) == {
        "ridge 8×8 pixels",
        "ridge 16×16 pixels",
        "ridge mean colour",
        "ridge loudness",
    }
    for name, scores in ridges.items():
        good, bad = ("arousal", "valence") if "loudness" in name else ("valence", "arousal")
        assert scores[good] > 0.9, name
        assert abs(scores[bad]) < 0.2, name
        assert scores["penalty"][good] in baselines.PENALTIES


def test_the_names_say_that_the_penalty_was_chosen_on_val(generator):
    found = baselines.evaluate([trial(generator)], [trial(generator)])
    assert all("penalty chosen on val" in name for name in found if name != "training mean")


def test_unlabelled_and_faceless_frames_change_nothing(generator):
    train, val = [trial(generator, colour=1.0)], [trial(generator, colour=1.0)]
    broken = {name: np.concatenate([rows, rows[:40]]) for name, rows in val[0].items()}
    broken["va"][-40:-20] = np.nan
    broken["pixels"][-40:] = 0
    broken["face_valid"] = np.arange(240) < 200
    whole, found = baselines.evaluate(train, val), baselines.evaluate(train, [broken])
    name = "ridge 8×8 pixels (penalty chosen on val)"
    assert found[name] == whole[name]


def test_a_trial_without_sound_is_left_out_of_loudness_only(generator):
    train, val = [trial(generator) for _ in range(3)], [trial(generator) for _ in range(2)]
    silent = [{name: rows for name, rows in one.items() if name != "loudness"} for one in train]
    assert not any("loudness" in name for name in baselines.evaluate(silent, val))
    assert any("loudness" in name for name in baselines.evaluate([train[0], *silent[1:]], val))


def test_without_labelled_validation_frames_there_is_no_baseline(generator):
    one = trial(generator)
    assert baselines.evaluate([one], []) == {}
    assert baselines.evaluate([one], [{**one, "va": np.full((200, 2), np.nan)}]) == {}


def test_ridge_without_frames_is_an_input_error():
    with pytest.raises(InputError, match="no labelled training frame"):
        baselines.Ridge([])
