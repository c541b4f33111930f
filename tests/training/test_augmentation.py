"""Random changes of clips and mel segments: what they keep, what they change, how far."""

import numpy as np
import pytest

from lib.training import augmentation

SIDE = 48


def random_of(seed):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def pictures():
    """Eight pictures of a bright blob that moves to the right on a dark ground."""
    y, x = np.mgrid[:SIDE, :SIDE]
    blobs = [np.exp(-((x - 14 - 2 * t) ** 2 + (y - 20) ** 2) / 30) for t in range(8)]
    return (40 + 160 * np.stack(blobs)[..., None] * [1, 0.8, 0.6]).astype(np.uint8)


@pytest.fixture(scope="module")
def segment():
    return random_of(0).normal(size=(1, 64, 201)).astype(np.float32)


def test_each_stream_is_off_about_as_often_as_asked_and_one_at_least_stays_on():
    generator = random_of(0)
    drawn = np.array([augmentation.switched_off(3, 0.3, generator) for _ in range(2000)])
    assert drawn.mean(axis=0) == pytest.approx([0.3 - 0.3**3 / 3] * 3, abs=0.03)
    often = np.array([augmentation.switched_off(2, 1.0, generator) for _ in range(200)])
    assert (often.sum(axis=1) == 1).all()
    assert set(often[:, 0]) == {True, False}, "which one stays on is drawn, too"


def place(picture):
    """Centre of brightness (row, column)."""
    bright = picture.astype(float).sum(axis=-1)
    bright = np.clip(bright - np.median(bright) - 60, 0, None)
    return [(np.indices(bright.shape)[axis] * bright).sum() / bright.sum() for axis in (0, 1)]


def test_the_same_generator_gives_the_same_clip_and_segment(pictures, segment):
    assert np.array_equal(
        augmentation.clip(pictures, random_of(3)), augmentation.clip(pictures, random_of(3))
    )
    assert np.array_equal(
        augmentation.mel(segment, random_of(3)), augmentation.mel(segment, random_of(3))
    )
    assert not np.array_equal(
        augmentation.clip(pictures, random_of(3)), augmentation.clip(pictures, random_of(4))
    )
    assert not np.array_equal(
        augmentation.mel(segment, random_of(3)), augmentation.mel(segment, random_of(4))
    )


def test_shape_and_type_stay_and_the_input_is_not_touched(pictures, segment):
    before, heard = pictures.copy(), segment.copy()
    clip, mel = augmentation.clip(pictures, random_of(1)), augmentation.mel(segment, random_of(1))
    assert (clip.shape, clip.dtype) == (pictures.shape, np.uint8)
    assert (mel.shape, mel.dtype) == (segment.shape, np.float32)
    assert np.array_equal(pictures, before)
    assert np.array_equal(segment, heard)


def test_a_picture_without_a_face_stays_black(pictures):
    clip = pictures.copy()
    clip[[0, 5]] = 0
    for seed in range(10):
        found = augmentation.clip(clip, random_of(seed))
        assert not found[[0, 5]].any()
        assert all(found[t].any() for t in (1, 2, 3, 4, 6, 7))


def test_all_pictures_of_a_clip_are_changed_alike(pictures):
    still = np.repeat(pictures[:1], 8, axis=0)
    for seed in range(5):
        found = augmentation.clip(still, random_of(seed))
        assert all(np.array_equal(found[0], one) for one in found)


def test_half_of_the_clips_are_mirrored_and_none_moves_far(pictures):
    there = np.array([place(augmentation.clip(pictures, random_of(seed))[0]) for seed in range(60)])
    mirrored = there[:, 1] > SIDE / 2  # the blob is at column 14 of 48
    assert 15 < mirrored.sum() < 45
    columns = np.where(mirrored, SIDE - 1 - there[:, 1], there[:, 1])
    assert np.abs(columns - 14).max() < 5
    assert np.abs(there[:, 0] - 20).max() < 5


def test_motion_goes_on_in_one_direction_mirrored_or_not(pictures):
    for seed in range(10):
        columns = [place(picture)[1] for picture in augmentation.clip(pictures, random_of(seed))]
        steps = np.diff(columns)
        assert (steps > 0).all() or (steps < 0).all()


def test_light_changes_within_bounds():
    grey = np.full((8, SIDE, SIDE, 3), 128, np.uint8)
    means = np.array(
        [augmentation.clip(grey, random_of(seed)).mean(axis=(0, 1, 2)) for seed in range(60)]
    )
    assert means.std(axis=0).min() > 5, "brightness varies"
    assert (means[:, 0] - means[:, 2]).std() > 2, "so does the tint"
    assert means.min() > 128 * 0.55
    assert means.max() < 128 * 1.5


def test_a_segment_keeps_its_level_within_bounds_and_is_masked_with_its_mean(segment):
    masked = 0
    for seed in range(30):
        found = augmentation.mel(segment, random_of(seed))
        assert abs(found.mean() - segment.mean()) < augmentation.MEL_LEVEL + 0.1
        silent_bands = (np.ptp(found[0], axis=1) == 0).sum()
        silent_columns = (np.ptp(found[0], axis=0) == 0).sum()
        masked += silent_bands + silent_columns
        assert silent_bands <= augmentation.MEL_MASKS * augmentation.MEL_MASK_BANDS
        assert silent_columns <= augmentation.MEL_MASKS * augmentation.MEL_MASK_COLUMNS
        values = found[0][(np.ptp(found[0], axis=1) == 0)]
        assert np.allclose(values, found.mean(), atol=0.2)
    assert masked > 0


@pytest.mark.parametrize("columns", [1, 20, 61])
def test_a_segment_shorter_than_the_masks_can_be_augmented(columns):
    short = random_of(0).normal(size=(1, 64, columns)).astype(np.float32)
    for seed in range(20):
        found = augmentation.mel(short, random_of(seed))
        assert found.shape == short.shape
        assert np.isfinite(found).all()


def test_bands_are_shifted_by_two_at_most():
    peak = np.zeros((1, 64, 50), np.float32)
    peak[:, 30] = 50
    found = [augmentation.mel(peak, random_of(seed))[0].max(axis=1) for seed in range(80)]
    uncovered = [
        int(bands.argmax()) for bands in found if bands.max() > 10
    ]  # a mask may cover the peak
    assert set(uncovered) == {28, 29, 30, 31, 32}


def test_a_mask_moves_with_its_picture_and_left_and_right_change_places_in_a_mirror(pictures):
    masks = np.zeros((8, SIDE, SIDE), np.uint8)
    masks[:, 14:20, 8:14], masks[:, 14:20, 34:40] = 223, 191  # left and right brow
    mirrored = 0
    for seed in range(20):
        found = augmentation.clip(pictures, random_of(seed), masks)
        assert found.shape == (8, SIDE, SIDE, 4)
        assert np.array_equal(found[..., :3], augmentation.clip(pictures, random_of(seed)))
        assert set(np.unique(found[..., 3])) == {0, 191, 223}
        columns = [np.nonzero(found[0, :, :, 3] == grey)[1].mean() for grey in (223, 191)]
        assert columns[0] < columns[1], (
            "the left brow stays on the left, whichever way the picture is turned"
        )
        mirrored += place(found[0, ..., :3])[1] > SIDE / 2
    assert 0 < mirrored < 20


def test_without_flip_no_clip_is_mirrored_and_all_else_is_the_same(pictures):
    for seed in range(20):
        kept = augmentation.clip(pictures, random_of(seed), flip=False)
        assert place(kept[0])[1] < SIDE / 2
        other = augmentation.clip(pictures, random_of(seed))
        assert np.array_equal(kept, other) or place(other[0])[1] > SIDE / 2


def test_hsv_jitter_is_one_draw_a_clip_and_off_unless_asked_for(pictures):
    still = np.repeat(pictures[:1], 8, axis=0)
    for seed in range(5):
        found = augmentation.clip(still, random_of(seed), hsv=True)
        assert all(np.array_equal(found[0], one) for one in found)
        assert not np.array_equal(found, augmentation.clip(still, random_of(seed)))
