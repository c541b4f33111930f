"""LFAN's features of sound that is not as it should be: every frame has its row, or the trial is
named.
"""

import wave

import numpy as np
import pytest

from lib import arrays
from lib.errors import InputError
from lib.media import writing
from lib.store import Store, request
from tests.tiny_set import one_thread  # noqa: F401

FRAMES, FPS = 30, 25
FEATURES = (request("mfcc39"), request("vggish", weights="random", width=1 / 64, seed=0))
LOUD = slice(12, 20)  # frames that are heard


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A video without sound; its sound lies beside it in wav files of many kinds."""
    place = tmp_path_factory.mktemp("data")
    black = (np.zeros((32, 32, 3), np.uint8) for _ in range(FRAMES))
    writing.write_video(place / "v.mp4", black, np.arange(FRAMES) / FPS)
    return place


def write(root, rate, channels, seconds=FRAMES / FPS):
    """A tone of 440 Hz in the loud frames, silence elsewhere; in stereo on the left only."""
    time = np.arange(round(rate * seconds)) / rate
    heard = (time >= LOUD.start / FPS) & (time < LOUD.stop / FPS)
    samples = np.zeros((len(time), channels), "<i2")
    samples[:, 0] = 12_000 * np.sin(2 * np.pi * 440 * time) * heard
    name = f"{rate}_{channels}_{len(time)}.wav"
    with wave.open(str(root / name), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return name


def made(root, place, audio_path):
    row = {
        "trial": "v",
        "person": "",
        "video": "v",
        "dataset": "folder",
        "split": "train",
        "subject": "v",
        "video_path": "v.mp4",
        "audio_path": audio_path,
        "crops_dir": "",
        "va_path": "",
        "expression_path": "",
        "action_units_path": "",
        "n_frames": FRAMES,
        "fps": float(FPS),
        "duration": FRAMES / FPS,
    }
    store = Store(place, "folder", root)
    for item in FEATURES:
        arrays.make(row, item, store)
    return [np.asarray(arrays.read(row, item, store)) for item in FEATURES]


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (8_000, 1), (44_100, 2), (96_000, 2)])
def test_sound_of_any_rate_and_number_of_channels_gives_every_frame_its_row(
    root, tmp_path, rate, channels
):
    mfcc, embedding = made(root, tmp_path, write(root, rate, channels))
    assert mfcc.shape == (FRAMES, 39)
    assert embedding.shape == (FRAMES, 128)
    assert np.isfinite(mfcc).all()
    assert np.isfinite(embedding).all()
    loudness = mfcc[:, 12]  # the coefficient c0
    inside = np.zeros(FRAMES, bool)
    inside[LOUD.start : LOUD.stop - 1] = True
    outside = np.ones(FRAMES, bool)
    outside[LOUD.start - 1 : LOUD.stop + 1] = False
    assert loudness[inside].min() > loudness[outside].max() + 20


def test_a_sound_that_ends_before_its_video_is_followed_by_silence(root, tmp_path):
    mfcc, embedding = made(root, tmp_path, write(root, 16_000, 1, seconds=16 / FPS))
    assert len(mfcc) == len(embedding) == FRAMES
    assert mfcc[13, 12] > 20
    assert not mfcc[18:].any(), "digital silence is 39 zeros"
    assert np.isfinite(embedding).all()


def test_a_video_without_sound_is_named_and_told_what_to_do(root, tmp_path):
    with pytest.raises(InputError, match="no audio track") as caught:
        made(root, tmp_path, "")
    assert "modality: video" in caught.value.todo
