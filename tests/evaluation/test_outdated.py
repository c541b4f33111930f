"""A run that learnt from arrays of older rules says so when it is used."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from lib import arrays, trials
from lib.evaluation import outdated
from lib.store import Store, request
from tests.films import Sound, buzz, recorded

RATE = 48_000
SOUND = request("audio_16k", rate=16_000)


@pytest.fixture
def place(tmp_path):
    voice = buzz(0.5, RATE)
    recorded(tmp_path / "plain.mp4", [Sound(voice, "mono", "aac", RATE)], n=3)
    sounds = [Sound(factor * voice, "mono", "flac", RATE) for factor in (0, 1)]
    recorded(tmp_path / "two.mkv", sounds, n=3)
    store = Store(tmp_path / "processed", "films", tmp_path)
    rows = [
        {
            "trial": name[:-4],
            "video": name[:-4],
            "dataset": "films",
            "split": "train",
            "video_path": name,
            "audio_path": name,
        }
        for name in ("plain.mp4", "two.mkv")
    ]
    trials.write(trials.table(rows), store.trials_path)
    return store


def run(tmp_path, place, names):
    """A run's folder with the record of a training that read these arrays."""
    inputs = {f"<processed_root>/films/videos/{name}": {} for name in names}
    record = tmp_path / "runs" / "mine" / "steps" / "05_train.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"inputs": inputs}))
    return tmp_path / "runs" / "mine" / "checkpoints" / "best.pt"


def today(place):
    rows = trials.read(place.trials_path).to_dict("records")
    return [arrays.locate(row, SOUND, place).path for row in rows]


RECIPE = SimpleNamespace(arrays=lambda: [SOUND])


def test_arrays_of_older_rules_are_named_with_their_reason(tmp_path, place):
    plain, two = today(place)
    old = place.shelf("video", "two").write({"name": "audio_16k"}, np.zeros(3))
    best = run(tmp_path, place, [f"plain/{plain.name}", f"two/{old.name}"])
    said = outdated.sentence(best, RECIPE, place)
    assert (
        "run mine was trained on arrays by older rules of 1 recordings (two: sound track 2)" in said
    )
    assert two != old


def test_a_run_on_arrays_of_today_has_nothing_to_say(tmp_path, place):
    best = run(tmp_path, place, [f"{path.parent.name}/{path.name}" for path in today(place)])
    assert outdated.sentence(best, RECIPE, place) == ""


def test_a_file_without_a_run_has_nothing_to_say(place):
    assert outdated.sentence("best.pt", RECIPE, place) == ""
