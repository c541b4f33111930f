import numpy as np
import pytest

from lib import audio, media
from lib.errors import InputError

RATE = 8000


def test_sound_is_kept_in_16_bits_and_comes_back_within_one_step():
    samples = np.array([0, audio.FULL_SCALE, -audio.FULL_SCALE], np.int16)
    assert audio.as_float(samples).tolist() == [0, 1, -1]
    assert audio.as_float(samples).dtype == np.float32


@pytest.mark.parametrize("start", [0.0, 0.25])
def test_a_decoded_click_is_at_its_time_on_the_containers_clock(tmp_path, start):
    click = np.zeros(44100, np.float32)
    click[22050] = 0.9
    pictures = (np.zeros((32, 32, 3), np.uint8) for _ in range(25))
    path = media.write_video(tmp_path / "ä b.mp4", pictures, np.arange(25) / 25, click, sound_start=start)
    samples, t0 = audio.decode(path, 44100)
    assert samples.dtype == np.int16
    assert t0 + np.abs(samples).argmax() / 44100 == pytest.approx(0.5 + start, abs=1e-3)


def test_a_recording_without_sound_says_so(tmp_path):
    path = media.write_video(tmp_path / "a.mp4", iter([np.zeros((32, 32, 3), np.uint8)] * 3), np.arange(3) / 25)
    with pytest.raises(InputError, match="no audio track"):
        audio.decode(path, 44100)


@pytest.mark.parametrize(("start", "stop"), [(1.0, 1.5), (0.9, 1.1), (1.9, 2.3), (0.0, 3.0), (0.1, 0.3), (2.5, 2.6),
                                             (1.2, 1.2), (1.5, 1.2)])
def test_a_piece_of_sound_has_silence_where_the_file_has_none(start, stop):
    samples = np.arange(1, RATE + 1, dtype=np.int16)  # heard from 1 s to 2 s
    piece = audio.between(samples, 1.0, RATE, start, stop)
    wanted = np.round((start - 1) * RATE) + np.arange(max(0, round((stop - start) * RATE)))
    right = np.where((wanted >= 0) & (wanted < RATE), (wanted + 1) / audio.FULL_SCALE, 0)
    assert piece.dtype == np.float32
    assert piece == pytest.approx(right, abs=1e-6)
