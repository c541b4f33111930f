"""Crops, augmentations and losses of speaker networks."""

import numpy as np
import pytest
import torch

from lib.errors import InputError
from lib.faces import speaker_crops
from lib.speakers import augmentation, losses

# ---- crops


def test_the_mouth_crop_reaches_from_nose_to_chin():
    assert speaker_crops.region([10, 20, 60, 100], "mouth") == pytest.approx(
        [40 - 35, 70 - 15, 40 + 35, 70 + 55]
    )
    assert speaker_crops.region([[10, 20, 60, 100]], "box")[0] == pytest.approx([10, 20, 70, 120])
    with pytest.raises(InputError, match="crop 'nose'"):
        speaker_crops.region([0, 0, 1, 1], "nose")


def test_a_crop_shows_what_is_in_the_box():
    picture = np.add.outer(np.arange(100), np.arange(160)).astype(np.uint8)
    np.testing.assert_array_equal(
        speaker_crops.cut(picture, [20, 30, 16, 16], "box", 16), picture[30:46, 20:36]
    )
    small = speaker_crops.cut(picture, [20, 30, 32, 32], "box", 16)
    np.testing.assert_allclose(
        small, picture[30:62, 20:52].reshape(16, 2, 16, 2).mean((1, 3)), atol=0.5
    )


def test_what_lies_outside_the_picture_is_grey_and_does_not_move_the_rest():
    picture = np.full((50, 50), 200, np.uint8)
    found = speaker_crops.cut(picture, [-8, 42, 16, 16], "box", 16)
    assert (found[:8, 8:] == 200).all()
    assert (found[8:] == speaker_crops.FILL).all()
    assert (found[:, :8] == speaker_crops.FILL).all()


@pytest.mark.parametrize("box", [[np.nan] * 4, [5, 5, 0, 10], [5, 5, -3, 10], [500, 5, 10, 10]])
def test_a_box_that_is_none_gives_grey(box):
    assert (
        speaker_crops.cut(np.zeros((50, 50), np.uint8), box, "box", 8) == speaker_crops.FILL
    ).all()


# ---- augmentation


def test_noise_has_the_level_that_was_asked_for():
    generator = np.random.default_rng(0)
    sound, noise = (generator.normal(0, scale, 16_000) for scale in (3000, 25))
    for snr in (-5.0, 0.0, 5.0):
        added = augmentation.mix(np.round(sound).astype(np.int16), noise, snr) - np.round(sound)
        assert 10 * np.log10(np.mean(sound**2) / np.mean(added**2)) == pytest.approx(snr, abs=0.01)


def test_loud_16_bit_sound_does_not_overflow_and_quiet_float_sound_does_not_vanish():
    loud = np.full(1000, 30_000, np.int16)
    assert np.all(augmentation.mix(loud, loud, 0.0) == pytest.approx(60_000))
    quiet = 0.1 * np.sin(np.arange(1000))
    assert np.count_nonzero(augmentation.mix(quiet, quiet[::-1], 5.0)) > 990


def test_silence_stays_silence_and_short_noise_is_repeated():
    assert not augmentation.mix(np.zeros(10), np.ones(10), 0.0).any()
    added = augmentation.mix(np.ones(7), np.array([1.0, -1.0]), 0.0) - 1
    assert np.sign(added).tolist() == [1, -1, 1, -1, 1, -1, 1]


def test_a_shift_is_half_a_second_to_two_and_never_all_the_way_round():
    generator = np.random.default_rng(0)
    long = [abs(augmentation.shifted(300, 30, generator)) for _ in range(200)]
    assert (min(long), max(long)) == (pytest.approx(15, abs=1), pytest.approx(60, abs=1))
    short = [abs(augmentation.shifted(20, 30, generator)) for _ in range(50)]
    assert set(short) == {10}


@pytest.mark.parametrize("kind", augmentation.AUGMENTATIONS)
def test_all_frames_of_a_clip_are_changed_alike(kind):
    clip = np.repeat(
        np.random.default_rng(0).integers(0, 255, (1, 32, 32)).astype(np.uint8), 3, axis=0
    )
    seen = set()
    for seed in range(12):
        found = augmentation.faces(clip, kind, np.random.default_rng(seed))
        assert found.dtype == np.float32
        assert found.shape == clip.shape
        assert np.array_equal(found[0], found[2])
        assert 0 <= found.min() <= found.max() <= 255
        seen.add(found.tobytes())
    assert len(seen) == 1 if kind == "none" else len(seen) > 3


# ---- losses


def test_frames_without_a_label_do_not_count():
    logits, target = torch.randn(2, 5, 2), torch.randint(0, 2, (2, 5))
    target[:, 3:] = -1
    expected = torch.nn.functional.cross_entropy(
        logits[:, :3].reshape(-1, 2), target[:, :3].reshape(-1)
    )
    torch.testing.assert_close(losses.speaking_loss(logits, target), expected)
    weighted = torch.nn.functional.cross_entropy(
        logits[:, :3].reshape(-1, 2), target[:, :3].reshape(-1), torch.tensor([1.0, 4.0])
    )
    torch.testing.assert_close(losses.speaking_loss(logits, target, 4.0), weighted)


def test_a_batch_without_labels_gives_zero_that_can_be_differentiated():
    logits = torch.randn(2, 5, 2, requires_grad=True)
    losses.speaking_loss(logits, torch.full((2, 5), -1)).backward()
    assert not logits.grad.any()
    embedded = torch.randn(1, 4, 8, requires_grad=True)
    loss = losses.synchrony_loss(
        embedded, torch.randn(1, 4, 8), torch.zeros(1, 4, dtype=torch.bool)
    )
    loss.backward()
    assert loss.item() == 0


def test_synchrony_is_the_cross_entropy_of_finding_the_own_frame_both_ways():
    audio, visual = torch.randn(1, 6, 8), torch.randn(1, 6, 8)
    speaking = torch.tensor([[True, False, True, True, False, False]])
    alike = (
        torch.nn.functional.normalize(audio[0], dim=1)
        @ torch.nn.functional.normalize(visual[0], dim=1).T
        / 0.1
    )
    rows, frames = torch.where(speaking[0])[0], torch.arange(6)[speaking[0]]
    expected = (
        torch.nn.functional.cross_entropy(alike[rows], frames)
        + torch.nn.functional.cross_entropy(alike.T[rows], frames)
    ) / 2
    torch.testing.assert_close(losses.synchrony_loss(audio, visual, speaking), expected)


def test_unseen_frames_are_no_wrong_answers():
    audio, visual = torch.randn(1, 6, 8), torch.randn(1, 6, 8)
    speaking = torch.tensor([[True, True, False, False, False, False]])
    valid = torch.arange(6)[None] < 4
    found = losses.synchrony_loss(audio, visual, speaking, valid=valid)
    torch.testing.assert_close(
        found, losses.synchrony_loss(audio[:, :4], visual[:, :4], speaking[:, :4])
    )
    assert found.isfinite()
