import numpy as np
import pytest

from lib.errors import InputError
from lib.speakers import roles


def test_roles_of_sure_scores_are_what_one_would_say():
    speaking = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    found = roles.roles(speaking, np.array([1.0, 1.0, 1.0, 0.0]))
    assert [roles.ROLES[k] for k in found[0].argmax(-1)] == [
        "self",
        "other",
        "off-screen",
        "silent",
    ]
    assert [roles.ROLES[k] for k in found[1].argmax(-1)] == [
        "other",
        "self",
        "off-screen",
        "silent",
    ]
    np.testing.assert_allclose(found.sum(-1), 1)


def test_an_unseen_face_shares_what_the_others_leave_with_voices_outside():
    found = roles.roles(np.array([[np.nan], [0.2]]), np.array([1.0]))[0, 0]
    assert found[0] == pytest.approx(found[2])
    assert found[1] == pytest.approx(0.2)
    assert found[3] == 0


def test_roles_need_a_row_a_face():
    with pytest.raises(InputError, match="speaking of shape"):
        roles.roles(np.zeros(4), np.zeros(4))


def test_groups_are_self_somebody_else_or_nobody():
    own = np.array([0.9, 0.1, 0.1, np.nan, 0.8])
    assert roles.group(own, [np.array([0.1, 0.9, 0.2, 0.9, 0.9])]).tolist() == [0, 1, 2, -1, 0]
    assert roles.group(own, []).tolist() == [0, 2, 2, -1, 0]


def test_a_flicker_of_a_frame_is_smoothed_away_and_what_is_not_seen_stays_unknown():
    speaking = np.array([0.1, 0.1, 0.9, 0.1, 0.1, np.nan, np.nan, 0.9, 0.9, 0.9])
    found = roles.smoothed(speaking)
    np.testing.assert_array_equal(found, [0.1, 0.1, 0.1, 0.1, 0.1, np.nan, np.nan, 0.9, 0.9, 0.9])
    assert np.isnan(roles.smoothed(np.full(3, np.nan))).all()


def test_shuffled_groups_are_those_of_another_trial_with_the_same_shares():
    groups = {name: np.full(30, number, np.int8) for number, name in enumerate("abc")}
    found = roles.shuffled(groups, seed=3)
    assert all((found[name] != groups[name]).all() for name in groups)
    assert sorted(int(rows[0]) for rows in found.values()) == [0, 1, 2]
    alone = roles.shuffled({"a": np.arange(10) % 3}, seed=1)["a"]
    assert sorted(alone) == sorted(np.arange(10) % 3)
    assert (alone != np.arange(10) % 3).any()


def test_error_is_split_by_who_speaks_and_shuffling_takes_the_difference_away():
    generator = np.random.default_rng(0)
    labels, predictions, groups = {}, {}, {}
    for trial in map(str, range(10)):
        group = np.repeat(generator.permutation(3).repeat(4), 25).astype(np.int8)  # 300 frames
        truth = np.sin(np.arange(300)[:, None] / 20 + generator.uniform(0, 6, 2))
        noise = generator.normal(0, 1, (300, 2)) * (group == 1)[:, None]
        labels[trial], predictions[trial], groups[trial] = (
            truth,
            np.clip(truth + noise, -1, 1),
            group,
        )
    found = roles.va_by_group(labels, predictions, groups, with_intervals=True)
    assert found["speaking"]["valence"]["mae"] == 0
    assert found["somebody else speaking"]["valence"]["mae"] > 0.3
    mixed = [found["shuffled"][name]["valence"]["mae"] for name in roles.SPEAKING_GROUPS]
    assert max(mixed) - min(mixed) < 0.15
    assert found["speaking"]["arousal"]["n_frames"] == 1000
    assert found["speaking"]["valence"]["ci95"] is None
    assert "the same whichever trial" in found["speaking"]["valence"]["why"]
    table = roles.table(found)
    assert len(table) == 12
    assert table["shuffled"].sum() == 6


def test_nothing_known_gives_an_empty_table():
    assert roles.table({}).empty
