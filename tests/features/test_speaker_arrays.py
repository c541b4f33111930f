"""Crops and scores of all faces for a network that tells who speaks: of a long recording, in
stretches.
"""

import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from lib import arrays, store
from lib.experiments import long_films
from lib.features import speaker_arrays, speaker_scores
from lib.store import request
from tests import film_world
from tests.film_world import opened, trial
from tests.recipes.test_talknet import OPTIONS, SMALL

CROPS, TRACKS = request("track_crops", crop="box", size=16), request("tracks", cuts="kept")
LENGTHS = {"cut": film_world.STRETCH, "whole": 600}  # s of a stretch


@pytest.fixture(autouse=True)
def network(film, monkeypatch):
    monkeypatch.syspath_prepend(film)


def followed(film, place, stretch):
    """`place`, with a store in which the film's faces are followed."""
    arrays.make(trial(), TRACKS, opened(film, place, stretch))
    return place


@pytest.fixture(scope="module")
def tracked(film, tmp_path_factory):
    """A folder with such a store of the film in stretches, `cut`, and of one pass, `whole`; tests
    copy it.
    """
    root = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(film)
        for name, stretch in LENGTHS.items():
            followed(film, root / name, stretch)
    return root


@pytest.fixture
def copied(tracked, tmp_path):
    """The folder with a copy of both."""
    return Path(shutil.copytree(tracked, tmp_path, dirs_exist_ok=True))


def made(film, place, stretch=film_world.STRETCH, video="film"):
    """The crops, and what they are made from."""
    row, here = trial(video), opened(film, place, stretch)
    arrays.make(row, CROPS, here)
    return np.array(arrays.read(row, CROPS, here)), arrays.locate(row, CROPS, here).made_from


def test_a_long_film_has_the_crops_of_one_pass(film, copied):
    here = opened(film, copied / "cut")
    parts = [str(part) for part in long_films.Films([trial()], [CROPS], here, True).first()]
    assert parts == [f"film: track_crops, stretch {number}" for number in (1, 2, 3)]
    for number in (2, 0):
        assert arrays.make_part(trial(), CROPS, number, here) == "made"
    cut, told = made(film, copied / "cut")
    whole, plain = made(film, copied / "whole", stretch=600)
    assert len(cut) > film_world.N
    assert cut.std() > 1
    assert np.array_equal(cut, whole)
    assert told["parameters"]["stretches"] == [0, 120, 240]
    assert set(plain["inputs"]) == {"video", "tracks"}, "as it was before films were cut"
    assert plain["parameters"] == dict(CROPS.parameters)
    assert not list(copied.rglob("*_stretch-*"))


def test_a_damaged_stretch_is_made_again_and_never_joined(film, copied):
    here = opened(film, copied / "cut")
    for number in range(3):
        arrays.make_part(trial(), CROPS, number, here)
    first = min(copied.rglob("track_crops_stretch-*.npy"))
    content = bytearray(first.read_bytes())
    content[-5] ^= 1
    first.write_bytes(content)
    cut, _ = made(film, copied / "cut")
    assert np.array_equal(cut, made(film, copied / "whole", stretch=600)[0])


def test_a_film_in_which_nobody_is_has_no_crops(film, tmp_path):
    assert made(film, tmp_path, video="nobody")[0].shape == (0, 16, 16)


# ---- scores of a long film
HEARD = {**trial(), "audio_path": "film.wav"}
SHORT_STRETCH = 2.4  # s
SHORT_WINDOW = 50  # frames: windows of a face that is always seen cross both borders


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small network that tells who speaks, as a run of `talknet` leaves it."""
    options = OPTIONS | {"network": "light_asd"}
    params = {**SMALL, "modality": "audiovisual", "rules": "corrected", "options": options}
    params |= {"clip_length": SHORT_WINDOW}
    path = tmp_path_factory.mktemp("network") / "best.pt"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = speaker_scores.network(params)
    torch.save({"model": net.state_dict(), "params": params, "statistics": {"fps": 25.0}}, path)
    return path


@pytest.fixture(scope="module")
def spoken(film, tmp_path_factory):
    """The film with a sound beside it."""
    folder = tmp_path_factory.mktemp("spoken")
    (folder / "film.mp4").symlink_to(film / "film.mp4")
    sound = np.random.default_rng(0).normal(size=16000 * 15) * 3000
    with wave.open(str(folder / "film.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(sound.astype("<i2").tobytes())
    return folder


@pytest.fixture(scope="module")
def cropped(film, tracked, spoken, tmp_path_factory):
    """A folder with stores of the film's sound and crops, by their names in `LENGTHS`, and one in
    shorter stretches; tests copy it.
    """
    root = Path(shutil.copytree(tracked, tmp_path_factory.mktemp("cropped") / "stores"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(film)
        followed(film, root / "short", SHORT_STRETCH)
        for name, stretch in {**LENGTHS, "short": SHORT_STRETCH}.items():
            here = opened(spoken, root / name, stretch)
            for asked in (request("audio_16k", rate=16000), CROPS):
                arrays.make(HEARD, asked, here)
    return root


def heard(spoken, cropped, name, place, stretch):
    """The store of that name, copied to a place."""
    return opened(spoken, shutil.copytree(cropped / name, place), stretch)


def scores(trained, durations=()):
    return speaker_arrays.wanted(trained, "box", 16, durations, "track_speaking")


@pytest.mark.parametrize("durations", [(), (1, 3)])
def test_a_long_film_has_the_scores_of_one_piece(spoken, cropped, trained, tmp_path, durations):
    asked, found = scores(trained, durations), []
    for name, stretch in LENGTHS.items():
        here = heard(spoken, cropped, name, tmp_path / name, stretch)
        if name == "cut":
            parts = [str(part) for part in long_films.Films([HEARD], [asked], here, True).first()]
            assert parts == [f"film: track_speaking, stretch {number}" for number in (1, 2, 3)]
            for number in (2, 0):
                assert arrays.make_part(HEARD, asked, number, here) == "made"
            sizes = [len(store.read(path)) for path in tmp_path.rglob("*_stretch-*.npy")]
            assert len(sizes) == 2
            assert min(sizes) > SHORT_WINDOW / 2
        arrays.make(HEARD, asked, here)
        located = arrays.locate(HEARD, asked, here)
        found.append((located.path.read_bytes(), located.made_from["parameters"]))
    assert np.std(arrays.read(HEARD, asked, here), axis=0).min() > 0
    assert found[0] == found[1]
    assert not list(tmp_path.rglob("*_stretch-*"))


def test_a_stretch_in_which_no_window_begins_has_no_scores(spoken, cropped, trained, tmp_path):
    asked, found = scores(trained, durations=(20,)), []  # s: each track is one piece
    for name, stretch in (("short", SHORT_STRETCH), ("whole", 600)):
        here = heard(spoken, cropped, name, tmp_path / name, stretch)
        if name == "short":
            for number in range(6):
                arrays.make_part(HEARD, asked, number, here)
            sizes = [len(store.read(path)) for path in tmp_path.rglob("*_stretch-*.npy")]
            assert min(sizes) == 0
            assert sum(sizes) == len(arrays.read(HEARD, TRACKS, here))
        arrays.make(HEARD, asked, here)
        found.append(arrays.locate(HEARD, asked, here).path.read_bytes())
    assert found[0] == found[1]
