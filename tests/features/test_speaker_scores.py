import numpy as np
import pytest
import torch

from lib import models
from lib.errors import InputError
from lib.features import mfcc, speaker_scores


class Echo(torch.nn.Module):
    """Says of each frame how bright its face is, and how long the clip was that it saw."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.lengths = []

    def forward(self, batch):
        bright = batch["face"].mean((2, 3))
        self.lengths.append(bright.shape[1])
        assert batch["mfcc"].shape[1] == 4 * bright.shape[1]
        return {"speaking": torch.stack([-bright, bright], dim=2)}


def detector(window=30, fps=25.0):
    return speaker_scores.Detector(Echo(), "echo", "box", 4, fps, window)


def faces(start, stop):
    return np.repeat(np.arange(start, stop, dtype=np.uint8), 16).reshape(-1, 4, 4)


def test_windows_overlap_by_a_third_and_end_with_the_piece():
    assert speaker_scores.windows(450, 450) == [(0, 450)]
    assert speaker_scores.windows(900, 450) == [(0, 450), (300, 750), (450, 900)]
    assert speaker_scores.windows(3, 450) == [(0, 3)]
    assert speaker_scores.windows(0, 450) == []


def test_overlapping_windows_count_most_in_their_middle():
    ones, threes = np.ones((30, 2)), np.full((30, 2), 3.0)
    found = speaker_scores.average([(0, ones), (20, threes)], 60)
    assert found[:20] == pytest.approx(1)
    assert found[30:50] == pytest.approx(3)
    assert np.isnan(found[50:]).all()
    assert np.all(np.diff(found[19:31, 0]) > 0)
    assert found[20, 0] == pytest.approx((10 * 1 + 1 * 3) / 11)


def test_a_long_face_is_scored_in_windows_and_each_frame_where_it_belongs():
    net = detector()
    found = speaker_scores.score(net, faces, np.zeros(100_000), mfcc.starts(100, 25))
    assert found[:, 1] == pytest.approx(np.arange(100))
    assert net.net.lengths == [30] * 5


def test_the_published_averaging_cuts_into_pieces_of_each_duration():
    net = detector()
    found = speaker_scores.score(
        net, faces, np.zeros(100_000), mfcc.starts(60, 25), durations=speaker_scores.DURATIONS
    )
    assert found[:, 1] == pytest.approx(np.arange(60))
    assert net.net.lengths == [25, 25, 10, 50, 10, 60, 60, 60, 60]


def test_a_duration_that_is_given_twice_is_scored_once_and_weighs_twice():
    """Frame 25 of 30 is the first of its piece of 1 s and lies in the middle of that of 2 s."""

    class Place(Echo):
        def forward(self, batch):
            super().forward(batch)
            place = torch.arange(batch["face"].shape[1])[None, :, None].float()
            return {"speaking": place.expand(1, -1, 2)}

    def found(*durations):
        net = speaker_scores.Detector(Place(), "place", "box", 4, 25.0, 30)
        return speaker_scores.score(net, faces, np.zeros(100_000), mfcc.starts(30, 25), durations)[
            25, 1
        ], net.net.lengths

    assert found(1, 2) == (pytest.approx((0 + 25) / 2), [25, 5, 30])
    assert found(1, 1, 1, 2) == (pytest.approx((3 * 0 + 25) / 4), [25, 5, 30])


@pytest.mark.parametrize("fps", [24, 25, 30000 / 1001, 60])
def test_a_video_of_any_rate_is_seen_on_the_networks_own_grid(fps):
    times = 7.0 + np.arange(int(4 * fps)) / fps
    when, shown = speaker_scores.grid(times, 25.0)
    assert np.diff(when) == pytest.approx(1 / 25)
    assert (
        np.abs(times[shown] - when)[:-1].max() <= 0.5 / fps + 1e-6
    )  # the last one may lie behind the last frame
    assert when[-1] - times[-1] <= 0.5 / 25 + 1e-6
    assert times[-1] - when[-1] <= 1 / 25
    logits = np.stack([-when, when], axis=1)
    inside = times <= when[-1]
    assert speaker_scores.on_frames(logits, when, times)[inside, 1] == pytest.approx(
        times[inside], abs=1e-5
    )


def test_at_the_networks_own_rate_nothing_is_moved():
    _, shown = speaker_scores.grid(0.033 + np.arange(300) / 25, 25.0)
    np.testing.assert_array_equal(shown, np.arange(300))


def test_uneven_time_stamps_and_a_single_frame_have_a_grid_too():
    _, shown = speaker_scores.grid(np.array([0.0, 0.033, 0.1, 0.133, 0.2]), 25.0)
    assert shown.tolist() == [0, 1, 2, 3, 3, 4]
    assert speaker_scores.grid(np.array([3.0]), 25.0)[1].tolist() == [0]


def test_the_running_mean_includes_both_ends():
    assert speaker_scores.smooth(np.array([0.0, 3, 0, 0]), 1) == pytest.approx([1.5, 1, 1, 0])
    assert speaker_scores.smooth(np.zeros(0), 2).size == 0


def test_probability_needs_both_logits():
    assert speaker_scores.probability(np.array([[5.0, 5.0], [0.0, 2.0]])) == pytest.approx(
        [0.5, 1 / (1 + np.exp(-2))]
    )
    assert np.isnan(speaker_scores.probability(np.array([[np.nan, 1.0]])))[0]


def test_a_published_file_is_known_by_its_keys_and_its_crop_by_its_name(tmp_path):
    for network in ("light_asd", "lr_asd"):
        for name, crop in ((f"{network}_talkset.model", "mouth"), (f"any_{network}.model", "box")):
            torch.save(models.create(network).state_dict(), tmp_path / name)
            found = speaker_scores.load(tmp_path / name)
            assert (found.name, found.crop, found.fps, found.size) == (network, crop, 25.0, 112)


def test_a_run_of_another_recipe_is_refused(tmp_path):
    torch.save({"model": {}, "params": {"recipe": "tsav"}}, tmp_path / "best.pt")
    with pytest.raises(InputError, match="a run of the recipe tsav"):
        speaker_scores.load(tmp_path / "best.pt")
