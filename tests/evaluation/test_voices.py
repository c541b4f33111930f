"""What a network says of the voice in any video: whose it is, and beside the face."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from lib.errors import InputError
from lib.evaluation import people, voices
from lib.experiments import your_video
from lib.labels import csv_columns
from lib.media import recordings, sound
from lib.parameters import Params
from lib.speakers import speech
from lib.speakers import video as speakers_video
from tests.evaluation.test_people import FACE, film, parameters, root  # noqa: F401
from tests.recipes import test_utterance
from tests.recipes.test_utterance import made, trained  # noqa: F401
from tests.shared_files import shared
from tests.tiny_set import one_thread  # noqa: F401

STRETCHES = [(1600, 8000), (11_200, 16_000)]  # samples: 0.1 to 0.5 s, 0.7 to 1.0 s
RUN = {"recipe": "tsav", "dataset": "sample"}


@pytest.fixture
def silero(monkeypatch):
    """Stands for the package silero-vad: it hears two stretches of speech."""
    told = [{"start": start, "end": end} for start, end in STRETCHES]
    heard = SimpleNamespace(
        load_silero_vad=lambda: "net", get_speech_timestamps=lambda wave, net, **how: told
    )
    monkeypatch.setitem(sys.modules, "silero_vad", heard)


@pytest.fixture
def video(tmp_path):
    sound = (8000 * np.sin(np.arange(19_200) * 0.06)).astype(np.int16)
    return film(tmp_path / "talk.mp4", [FACE] * 12, sound)


def table_of(person, speaking, times=12, **columns):
    table = pd.DataFrame({"time": np.arange(times) / 10, "person": person})
    return table.assign(speaking=speaking, **columns)


def look(trained, video, tmp_path, tables):  # noqa: F811
    _, folder, _, _ = trained
    params = Params(
        {
            "voice_run": str(folder / "checkpoints" / "best.pt"),
            "runs_root": folder.parent,
            "device": "cpu",
            "weights_root": tmp_path,
            "faces": "auto",
        }
    )
    store = speakers_video.video_store(video, params, tmp_path)
    row = speakers_video.video_row(video, recordings.probe(video), video.name)
    return voices.look(row, store, params, tables)


def test_each_stretch_of_speech_has_probabilities_and_the_person_who_speaks_in_it(
    trained,  # noqa: F811
    video,
    tmp_path,
    silero,
):
    left = table_of("left", [0.9] * 6 + [0.1] * 6)
    right = table_of("right", [0.2] * 12)
    heard = look(trained, video, tmp_path, [left, right])
    table = heard.table
    assert table["start"].tolist() == pytest.approx([0.1, 0.7], abs=0.03)
    assert table["end"].tolist() == pytest.approx([0.5, 1.0], abs=0.03)
    assert table["person"].tolist() == ["left", ""]
    assert table["person_speaking"].iloc[0] == pytest.approx(0.9)
    assert np.isnan(table["person_speaking"].iloc[1])
    values = table[[name for name in table if name.startswith("voice_")]]
    assert list(values) == [f"voice_{name}" for name in voices.ravdess.CLASSES[:5]]
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-6)
    assert f"voice_{table['voice'].iloc[0]}" == values.iloc[0].idxmax()
    assert "not validated on anybody who does not act" in heard.notes[0]
    assert "CC BY-NC-SA" in heard.notes[1]


def test_a_stretch_gets_what_the_recipe_gives_a_recording_of_it(trained, video, tmp_path, silero):  # noqa: F811
    """The same numbers as those of the trained network on a recording of its own set."""
    method, folder, _, _ = trained
    predictor = voices.checkpoint.load(
        folder / "checkpoints" / "best.pt", method.params, method.store
    )
    trial = test_utterance.table(method)["trial"].iloc[0]
    sound = np.asarray(
        voices.arrays.read(
            method.trial(trial), voices.request("audio_16k", rate=16000), method.store
        )
    )
    logits = predictor.predict(trial)["expression"][0]
    expected = torch.from_numpy(logits).softmax(dim=0).numpy()
    np.testing.assert_allclose(voices._probabilities(predictor, sound), expected, atol=1e-5)


def face(probability, width, times=12):
    rows = {f"expression_{name}": 0.0 for name in voices.OF_FACE}
    rows["expression_happy"] = probability
    rows["expression_sad"] = 1 - probability
    return {**rows, "width": width, "height": width}


def test_face_and_voice_are_weighed_by_what_can_be_relied_on():
    heard = pd.DataFrame({"start": [0.25], "end": [0.75], "person": ["left"]})
    heard = heard.assign(person_speaking=0.5, voice="calm", voice_calm=0.6, voice_disgust=0.4)
    table = table_of("left", 0.5, **face(1.0, 56.0))
    table.loc[5:8, [f"expression_{name}" for name in voices.OF_FACE]] = np.nan
    joint = voices.beside_faces(table, heard)
    assert joint["joint_from"].tolist() == (
        ["face"] * 3 + ["face and voice"] * 2 + ["voice"] * 3 + [""] + ["face"] * 3
    )
    both = joint.iloc[3]  # half a face of 112 px, half a voice
    assert both["joint_happy"] == pytest.approx(0.5)
    assert both["joint_neutral"] == pytest.approx(0.3)  # the voice's calm
    assert both["joint_disgusted"] == pytest.approx(0.2)
    alone = joint.iloc[6]
    assert alone["joint_neutral"] == pytest.approx(0.6)
    assert joint.iloc[0]["joint_happy"] == 1
    assert np.isnan(joint.iloc[8]["joint_happy"])
    assert joint["voice_calm"].notna().sum() == 5
    columns = [name for name in joint if name.startswith("joint_") and name != "joint_from"]
    np.testing.assert_allclose(joint[columns].sum(axis=1)[joint["joint_from"] != ""], 1)


def test_a_voice_of_somebody_else_is_not_hers_and_unknown_classes_are_not_joined():
    heard = pd.DataFrame({"start": [0.0], "end": [1.0], "person": ["right"]})
    heard = heard.assign(person_speaking=0.9, voice="sad", voice_sad=1.0)
    table = table_of("left", 0.1, **face(1.0, 200.0))
    joint = voices.beside_faces(table, heard)
    assert joint["voice_sad"].isna().all()
    assert set(joint["joint_from"]) == {"face"}
    numbered = heard.drop(columns="voice_sad").assign(voice_0=1.0)
    assert "joint_from" not in voices.beside_faces(table, numbered)


def test_the_table_of_people_and_a_file_of_stretches_have_it(
    trained,  # noqa: F811
    root,  # noqa: F811
    video,
    tmp_path,
    silero,
):
    _, folder, _, _ = trained
    named = str(folder / "checkpoints" / "best.pt")
    params = parameters(root, voice_run=named, expression_crop="square")
    found = people.look(video, params, tmp_path / "out")
    assert (tmp_path / "out" / "talk_voice.csv") in found.files
    stretches = pd.read_csv(tmp_path / "out" / "talk_voice.csv")
    assert len(stretches) == 2
    assert stretches["person"].isna().all()  # who speaks was not asked for
    assert set(found.table["joint_from"]) == {"face"}
    assert "not validated on anybody who does not act" in found.table["note"].iloc[0]
    unknown = [
        row["name"]
        for row in csv_columns.describe([*found.table, *stretches])
        if row["meaning"] == csv_columns.UNKNOWN_COLUMN[2]
    ]
    assert unknown == []


def test_a_run_that_reads_no_voices_is_refused(tmp_path):
    torch.save({"model": {}, "params": RUN}, tmp_path / "best.pt")
    params = Params(
        {"voice_run": str(tmp_path / "best.pt"), "runs_root": tmp_path, "device": "cpu"}
    )
    with pytest.raises(InputError, match="voice_run: a run of the recipe tsav") as told:
        voices.look({}, None, params, [])
    assert "best.pt" in str(told.value.where)
    assert "python -m lib run params/ravdess.yaml" in told.value.todo


def test_without_the_detector_of_speech_the_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    with pytest.raises(InputError, match="voice_run needs the package silero-vad") as told:
        speech.stretches(np.zeros(16000, np.int16), "voice_run", "leave voice_run empty")
    assert "pip install silero-vad, or leave voice_run empty" in told.value.todo


def test_silero_hears_who_reads_and_not_the_silence():
    pytest.importorskip("silero_vad")
    film_of_speech = shared("media/grid_swwp2s.mpg")
    heard, _ = sound.decode(film_of_speech, 16000)
    found = speech.stretches(heard, "voice_run", "")
    assert 1 <= len(found) <= 3
    assert 0.5 < (found[:, 1] - found[:, 0]).sum() / 16000 < 3
    assert len(speech.stretches(np.zeros(48000, np.int16), "voice_run", "")) == 0


def test_without_a_run_one_line_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setattr(people, "fetch", lambda params: [])
    said = []
    values = {"video_path": "", "videos_path": tmp_path, "segments_path": "", "voice_run": ""}
    monkeypatch.setattr(your_video, "has_front_end", lambda: False)
    your_video.start(values, said.append)
    assert "python -m lib run params/ravdess.yaml" in said[0]


def test_a_run_that_reads_no_voices_stops_before_anything_is_fetched_or_computed(tmp_path):
    torch.save({"model": {}, "params": RUN}, tmp_path / "best.pt")
    values = {"voice_run": str(tmp_path / "best.pt"), "runs_root": tmp_path, "segments_path": ""}
    with pytest.raises(InputError, match="voice_run: a run of the recipe tsav"):
        your_video.start({**values, "video_path": tmp_path / "absent.mp4"}, print)


def test_without_the_package_nothing_is_begun(trained, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    _, folder, _, _ = trained
    values = {"voice_run": str(folder / "checkpoints" / "best.pt"), "runs_root": tmp_path}
    with pytest.raises(InputError, match="voice_run needs the package silero-vad"):
        voices.check(values)
    voices.check({"voice_run": ""})
