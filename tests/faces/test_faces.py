from pathlib import Path

import cv2
import numpy as np
import pytest

from lib.errors import InputError
from lib.faces import crops as faces_crops
from lib.faces import faces
from lib.media import writing


def picture(seed, side=24):
    return cv2.resize(
        np.random.default_rng(seed).integers(0, 255, (4, 4, 3), np.uint8), (side, side)
    )


@pytest.fixture
def crops(tmp_path):
    """Pictures of frames 0, 1 and 4 in a folder whose name has a blank and is not ASCII."""
    folder = tmp_path / "trial é ö"
    folder.mkdir()
    for frame in (0, 1, 4):
        # cv2.imwrite cannot write everywhere, its encoder can
        (folder / f"{frame + 1:05d}.png").write_bytes(
            cv2.imencode(".png", picture(frame)[..., ::-1])[1].tobytes()
        )
    return folder


def test_picture_number_k_plus_1_belongs_to_frame_k(crops):
    assert {frame: path.name for frame, path in faces_crops.paths(crops, 5).items()} == {
        0: "00001.png",
        1: "00002.png",
        4: "00005.png",
    }
    assert faces.valid_rows(crops, 6).tolist() == [True, True, False, False, True, False]


def test_rows_are_the_pictures_in_rgb_and_black_where_there_is_no_face(crops):
    rows = np.zeros((5, 24, 24, 3), np.uint8)
    faces.fill_from_crops(rows, crops)
    assert all(np.array_equal(rows[frame], picture(frame)) for frame in (0, 1, 4))
    assert rows[[2, 3]].max() == 0


def test_other_files_in_the_folder_are_passed_over(crops):
    for name in ("Thumbs.db", "._00003.jpg", "notes.txt", "²3.jpg"):
        (crops / name).write_bytes(b"no picture")
    assert sorted(faces_crops.paths(crops, 5)) == [0, 1, 4]


def test_packed_faces_and_faces_read_in_place_are_the_same_bytes(crops):
    valid = faces.valid_rows(crops, 5)
    packed = np.zeros((5, 16, 16, 3), np.uint8)
    faces.fill_from_crops(packed, crops)
    indices = np.array([4, 0, -1, 2, 0, 1])
    one, other = faces.Faces(valid, 16, packed=packed), faces.Faces(valid, 16, crops_dir=crops)
    assert len(one) == len(other) == 5
    assert one.read(indices).tobytes() == other.read(indices).tobytes()
    assert one.read(indices)[[2, 3]].max() == 0
    assert one.read(indices)[[0, 1, 4, 5]].max(axis=(1, 2, 3)).min() > 0


def test_pictures_numbered_beyond_the_video_are_told_with_both_numbers(crops):
    with pytest.raises(InputError, match=r"1 cropped faces .*first: 5") as caught:
        faces_crops.paths(crops, 4)
    assert "1 to 4" in caught.value.expected
    (crops / "00000.png").write_bytes(b"")
    with pytest.raises(InputError, match="first: 0"):
        faces_crops.paths(crops, 5)


def test_two_pictures_of_one_number_are_told(crops):
    (crops / "2.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"one number: 00002\.png and 2\.jpg"):
        faces_crops.paths(crops, 5)


def test_pictures_without_numbers_are_not_taken_for_a_trial_without_faces(tmp_path):
    (tmp_path / "frame_1.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"no cropped face has a number .*frame_1\.jpg"):
        faces_crops.paths(tmp_path, 5)


def test_an_empty_folder_is_a_trial_without_faces_and_a_missing_one_an_error(tmp_path):
    assert not faces.valid_rows(tmp_path, 5).any()
    with pytest.raises(InputError, match="not there"):
        faces.valid_rows(tmp_path / "absent", 5)


JPEG = cv2.imencode(".jpg", picture(0, 112))[1].tobytes()
PROGRESSIVE = cv2.imencode(".jpg", picture(0, 112), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
PNG = cv2.imencode(".png", picture(0, 112))[1].tobytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage" * 50,
        JPEG[:300],
        JPEG[: len(JPEG) // 2],
        JPEG[:-2],
        JPEG[:-1],
        PROGRESSIVE[: len(PROGRESSIVE) // 2],
        PROGRESSIVE[:-2],
        PNG[: len(PNG) // 2],
        None,
    ],
)
def test_a_damaged_picture_is_told_with_its_file_and_never_half_grey(tmp_path, content):
    path = tmp_path / "00001.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read") as caught:
        faces.read_crop(path, 32)
    assert caught.value.where == str(path)
    assert "delete the file" in caught.value.todo


@pytest.mark.parametrize(
    "content", [JPEG, JPEG + bytes(7), JPEG + b"behind the picture", PROGRESSIVE, PNG]
)
def test_a_whole_picture_is_read_whatever_stands_behind_it(tmp_path, content):
    (tmp_path / "1.jpg").write_bytes(content)
    assert (
        np.abs(
            faces.read_crop(tmp_path / "1.jpg", 112)[..., ::-1].astype(int) - picture(0, 112)
        ).mean()
        < 8
    )


def test_grey_pictures_become_three_channels(tmp_path):
    (tmp_path / "1.png").write_bytes(cv2.imencode(".png", picture(0)[..., 0])[1].tobytes())
    assert np.array_equal(
        faces.read_crop(tmp_path / "1.png", 24), np.repeat(picture(0)[..., :1], 3, axis=2)
    )


def test_the_largest_square_in_the_middle_is_taken():
    wide = np.zeros((4, 8, 3), np.uint8)
    wide[:, 2:6] = 1
    assert faces.centre_square(wide).shape == (4, 4, 3)
    assert faces.centre_square(wide).min() == 1
    assert faces.centre_square(np.swapaxes(wide, 0, 1)).min() == 1


def test_shrinking_averages_and_does_not_alias():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert set(faces.resize(stripes, 16).ravel().tolist()) == {100}
    assert faces.resize(stripes, 64) is stripes
    assert faces.resize(stripes, 80).shape == (80, 80, 3)


def test_without_crops_the_centre_of_every_frame_is_the_face(tmp_path):
    pictures = [np.full((32, 64, 3), 20 * k, np.uint8) for k in range(4)]
    for shown in pictures:
        shown[:, :16] = shown[:, 48:] = 255  # outside the square
    path = writing.write_video(tmp_path / "a.mp4", iter(pictures), np.arange(4) / 25)
    rows = np.zeros((4, 16, 16, 3), np.uint8)
    faces.fill_from_video(rows, path)
    inside = rows[:, 4:12, 4:12].mean(axis=(1, 2, 3))
    assert inside == pytest.approx([0, 20, 40, 60], abs=4)


def test_memory_that_is_given_back_loses_nothing(tmp_path):
    array = np.lib.format.open_memmap(
        tmp_path / "a.npy", mode="w+", dtype=np.uint8, shape=(700, 8, 8, 3)
    )
    for index in range(len(array)):
        array[index] = index % 251
        faces.give_back(array, index)
    assert np.array_equal(array[:, 0, 0, 0], np.arange(700) % 251)
    del array
    assert np.array_equal(np.load(tmp_path / "a.npy")[:, 7, 7, 2], np.arange(700) % 251)
    faces.give_back(np.zeros(3), 255)  # an array in memory stays as it is


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is counted by Linux")
def test_filling_a_long_array_takes_no_more_memory_than_a_short_one(tmp_path):
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    array = np.lib.format.open_memmap(
        tmp_path / "a.npy", mode="w+", dtype=np.uint8, shape=(4 * 256, 112, 112, 3)
    )
    before = resident()
    for index in range(len(array)):
        array[index] = 7
        faces.give_back(array, index)
    assert resident() - before < array.nbytes / 4  # 38 MB
