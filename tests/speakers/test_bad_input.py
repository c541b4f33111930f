"""Videos and files that are not as one would wish: a clear message, or a result that is defined."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from lib import models, plots
from lib.errors import InputError
from lib.features import mfcc, speaker_arrays, speaker_scores
from lib.media import recordings
from lib.speakers import arrays, overlay, video
from lib.store import Store
from tests.face_world import face
from tests.shared_files import shared

SIZE = 16
NARROW = {"visual_width": 1 / 16, "audio_width": 1 / 4, "attention_width": 1 / 4, "face_size": SIZE}
NETS = {
    "light_asd": {"width": 1 / 8, "face_size": SIZE},
    "lr_asd": {"width": 1 / 8, "face_size": SIZE},
    "talknet": NARROW,
    "talknet_mrope": NARROW,
}


def detector(name, fps=25.0, window=30):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return speaker_scores.Detector(
        models.create(name, **NETS[name]).eval(), name, "box", SIZE, fps, window
    )


def scores(monkeypatch, net, frames, fps, sound):
    """Scores of one face that is seen in frames 0 … frames−1 of a video of this rate."""
    monkeypatch.setattr(speaker_scores, "load", lambda path, device: net)
    kept = {}

    class Place:
        def __init__(self, shape, dtype):
            kept["array"] = np.full(shape, np.nan, dtype)

        def __enter__(self):
            return kept["array"]

        def __exit__(self, *_):
            pass

    crops = np.random.default_rng(0).integers(0, 255, (frames, SIZE, SIZE)).astype(np.uint8)
    tracks = np.array([[frame, 0, *face(40, 30), 0] for frame in range(frames)], np.float32)
    inputs = {
        "network": "x",
        "tracks": tracks,
        "time": np.arange(frames) / fps,
        "crops": crops,
        "sound": sound,
        "sound_facts": {"t0": 0.0},
    }
    speaker_arrays.make_scores(inputs, {}, Place, "cpu")
    return kept["array"]


def noise(seconds):
    return np.random.default_rng(1).normal(0, 1000, round(seconds * mfcc.RATE))


@pytest.mark.parametrize("name", sorted(NETS))
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_face_for_a_few_frames_has_finite_scores(monkeypatch, name, frames):
    found = scores(monkeypatch, detector(name), frames, 25, noise(1))
    assert found.shape == (frames, 2)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", sorted(NETS))
def test_where_the_sound_ends_before_the_picture_silence_is_heard(monkeypatch, name):
    sound = noise(0.8)
    sound[-1] = 0  # else pre-emphasis would be heard one sample longer
    short = scores(monkeypatch, detector(name), 50, 25, sound)
    padded = scores(
        monkeypatch, detector(name), 50, 25, np.concatenate([sound, np.zeros(3 * mfcc.RATE)])
    )
    np.testing.assert_allclose(short, padded, atol=1e-5)
    assert np.isfinite(scores(monkeypatch, detector(name), 50, 25, np.zeros(0))).all()


@pytest.mark.parametrize("fps", [24, 25, 30000 / 1001, 60])
@pytest.mark.parametrize("trained", [25.0, 30.0])
def test_a_video_of_any_frame_rate_has_a_score_for_each_of_its_frames(monkeypatch, fps, trained):
    found = scores(monkeypatch, detector("talknet_mrope", trained), 61, fps, noise(3))
    assert found.shape == (61, 2)
    assert np.isfinite(found).all()
    assert len(np.unique(found[:, 1])) > 20


def test_a_track_of_ten_minutes_is_never_taken_in_one_piece():
    class Blind(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, batch):
            return {"speaking": torch.zeros(*batch["face"].shape[:2], 2)}

    asked = []

    def faces(start, stop):
        asked.append(stop - start)
        return np.zeros((stop - start, 2, 2), np.uint8)

    net = speaker_scores.Detector(Blind(), "blind", "box", 2, 25.0, 500)
    found = speaker_scores.score(
        net, faces, np.zeros(600 * mfcc.RATE, np.int16), mfcc.starts(15_000, 25)
    )
    assert len(found) == 15_000
    assert max(asked) == 500


@pytest.mark.parametrize(
    ("name", "options"), [("jca", {}), ("tsav", {"width": 1 / 16, "face_size": 32})]
)
def test_the_weights_of_a_network_that_does_not_tell_who_speaks_are_refused(
    tmp_path, name, options
):
    torch.save(models.create(name, **options).state_dict(), tmp_path / "some.model")
    with pytest.raises(InputError) as told:
        speaker_scores.load(tmp_path / "some.model")
    assert "some.model" in str(told.value)
    assert "talknet" in str(told.value) or "light_asd" in str(told.value)


def test_a_trial_without_sound_has_no_column_of_who_is_heard(tmp_path):
    torch.save(models.create("light_asd").state_dict(), tmp_path / "light_asd_ava.model")
    silent = {
        "trial": "v",
        "video": "v",
        "person": "",
        "audio_path": "",
        "video_path": "v.mp4",
        "crops_dir": "",
    }
    params = {"weights_root": tmp_path, "device": "cpu"}
    assert arrays.column(silent, params, Store(tmp_path, "video", tmp_path), make=True) is None


def test_a_video_without_a_face_gives_empty_files_and_a_sentence(tmp_path):
    film, weights = shared("media/pyfeat_no_face.mp4"), shared("weights/light_asd_ava.model")
    params = {"weights_root": weights.parent, "device": "cpu"}
    found = video.find(film, weights, params, tmp_path)
    values, name = video.table(found), film.stem
    video.write(values, found, tmp_path)
    assert values.empty
    assert list(pd.read_csv(tmp_path / f"{name}_speakers.csv")) == list(values)
    told = json.loads((tmp_path / f"{name}_speakers.json").read_text())
    assert told["faces"] == told["speech"] == []
    assert (tmp_path / f"{name}_speakers.rttm").read_text() == ""
    plots.of_video(values)
    picture = next(iter(recordings.frames(film)))[1]
    assert not (overlay.draw(picture, values).astype(int) - media_fitted(picture)).any()


def media_fitted(picture):
    return picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
