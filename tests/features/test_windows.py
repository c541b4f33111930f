import numpy as np
import pytest

from lib.errors import InputError
from lib.features import windows


def test_a_clip_ends_at_its_target_and_is_black_before_the_first_frame():
    clips = windows.clips(50)
    assert clips.dtype == np.int32
    assert clips.shape == (50, 8)
    assert clips[49].tolist() == [7, 13, 19, 25, 31, 37, 43, 49]
    assert clips[41].tolist() == [-1, 5, 11, 17, 23, 29, 35, 41]
    assert clips[0].tolist() == [-1] * 7 + [0]


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (32, [3, 7, 11, 15, 19, 23, 27, 31]),
        (31, [9, 12, 15, 18, 21, 24, 27, 30]),
        (24, [2, 5, 8, 11, 14, 17, 20, 23]),
        (23, [8, 10, 12, 14, 16, 18, 20, 22]),
        (16, [1, 3, 5, 7, 9, 11, 13, 15]),
        (15, [7, 8, 9, 10, 11, 12, 13, 14]),
        (8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (7, [0, 1, 2, 3, 4, 5, 6, 6]),
        (1, [0] * 8),
        (0, [-1] * 8),
    ],
)
def test_eight_of_the_existing_frames_are_chosen_as_published(n, expected):
    # `expected` counts within the n existing frames, which lie scattered over the last 32 of 100.
    where = np.sort(np.random.default_rng(n).choice(np.arange(68, 100), n, replace=False))
    present = np.zeros(100, bool)
    present[:68] = True  # older frames exist too and must not be used
    present[where] = True
    chosen = windows.look_back(present)[99]
    assert chosen.tolist() == [where[i] if i >= 0 else -1 for i in expected]


def test_looking_back_agrees_with_a_plain_loop_at_every_frame():
    present = np.random.default_rng(0).random(400) < 0.5
    present[100:180] = False
    present[200:260] = True
    fast = windows.look_back(present)
    for t in range(400):
        frames = [f for f in range(max(0, t - 31), t + 1) if present[f]]
        step = len(frames) // 8
        plain = frames[::-1][::step][:8][::-1] if step else frames + frames[-1:] * (8 - len(frames))
        assert fast[t].tolist() == (plain or [-1] * 8)


@pytest.mark.parametrize("hop", [32, 8])
def test_every_frame_is_a_target_exactly_once_whatever_the_length(hop):
    for n_frames in range(1, 2001):
        targets = windows.sequences(n_frames, hop=hop)
        used = targets[targets >= 0]
        assert used.size == n_frames
        assert (np.bincount(used, minlength=n_frames) == 1).all()
        assert (targets[:, 0] >= 0).all()  # no window without a target


def test_filled_up_steps_come_last_and_one_phase_is_a_part_of_all():
    targets = windows.sequences(1000)
    assert ((targets < 0).cumsum(axis=1) <= (targets < 0).sum(axis=1)[:, None]).all()
    assert (np.diff((targets < 0).astype(int), axis=1) >= 0).all()
    phases = [windows.sequences(1000, phases=[phase]) for phase in range(32)]
    assert np.array_equal(np.concatenate(phases), targets)
    assert windows.sequences(5, phases=[7]).shape == (0, 16)
    assert windows.sequences(0).shape == (0, 16)


@pytest.mark.parametrize(
    ("n_frames", "training", "evaluation"),
    [
        (300, 0, 32),
        (481, 1, 32),
        (500, 20, 32),
        (512, 32, 33),
        (513, 32, 34),
        (600, 32, 64),
        (1000, 40, 64),
        (1024, 64, 65),
        (3000, 160, 192),
        (5000, 288, 320),
    ],
)
def test_the_published_rule_gives_the_published_number_of_windows(n_frames, training, evaluation):
    assert windows.published_sequences(n_frames, training=True).shape == (training, 16)
    targets = windows.published_sequences(n_frames, training=False)
    assert targets.shape == (evaluation, 16)
    assert np.array_equal(np.sort(targets[targets >= 0]), np.arange(n_frames))


def test_a_published_training_window_is_lost_when_one_of_its_steps_has_no_row():
    rows = np.ones(512, bool)
    rows[64:97] = (
        False  # 33 frames: only the steps that end at frames 95 and 96 lie wholly in the gap
    )
    kept = windows.published_sequences(512, training=True, rows=rows)
    assert kept.shape[0] == 30
    assert not np.isin([95, 96], kept).any()
    assert windows.published_sequences(512, training=True, rows=np.zeros(512, bool)).shape == (
        0,
        16,
    )


def test_impossible_arguments_are_named():
    with pytest.raises(InputError, match="n_frames = -1"):
        windows.clips(-1)
    with pytest.raises(InputError, match="phases"):
        windows.sequences(10, hop=4, phases=[4])
    with pytest.raises(InputError, match="type int64"):
        windows.look_back(np.arange(3))


# ---- overlapping windows, pieces with history (LFAN)


@pytest.mark.parametrize(
    ("n_frames", "expected"),
    [
        (700, [0, 200, 400]),
        (450, [0, 150]),
        (300, [0]),
        (12, [0]),
        (0, []),
        (301, [0, 1]),
        (500, [0, 200]),
    ],
)
def test_overlapping_windows_end_with_the_trial(n_frames, expected):
    assert windows.overlapping(n_frames).tolist() == expected


@pytest.mark.parametrize("n_frames", [0, 1, 7, 50, 51])
def test_pieces_with_history_have_every_frame_as_a_target_once_with_all_its_past(n_frames):
    start, first, stop = windows.with_history(n_frames, 10, 24)
    targets = [frame for a, b in zip(first, stop, strict=True) for frame in range(a, b)]
    assert targets == list(range(n_frames))
    assert (start == np.maximum(first - 24, 0)).all()


@pytest.mark.parametrize(
    ("n_frames", "dilation", "size"),
    [(0, 6, 32), (1, 6, 32), (100, 6, 32), (401, 6, 32), (50, 4, 8)],
)
def test_frames_whose_clips_share_most_stand_together_and_none_is_lost(n_frames, dilation, size):
    order = windows.together(n_frames, dilation, size)
    assert sorted(order.tolist()) == list(range(n_frames))
    block = dilation * size
    whole = [order[start : start + size] for start in range(0, n_frames // block * block, size)]
    assert all((np.diff(some) == dilation).all() for some in whole)
    clips = windows.clips(n_frames, dilation=dilation)
    assert all(len(np.unique(clips[some])) <= size + 7 + 1 for some in whole), (
        "a picture more a clip, and black"
    )
    assert all(abs(place - frame) < block for place, frame in enumerate(order)), (
        "a recording is read block by block"
    )
