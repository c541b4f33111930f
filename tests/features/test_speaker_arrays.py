"""Crops of all faces for a network that tells who speaks: of a long recording, in stretches."""

import numpy as np
import pytest

from lib import arrays
from lib.experiments import long_films
from lib.store import request
from tests import film_world
from tests.film_world import opened, trial

CROPS = request("track_crops", crop="box", size=16)


@pytest.fixture(autouse=True)
def network(film, monkeypatch):
    monkeypatch.syspath_prepend(film)


def made(film, place, stretch=film_world.STRETCH, video="film"):
    """The crops, and what they are made from."""
    row, here = trial(video), opened(film, place, stretch)
    arrays.make(row, CROPS, here)
    return np.array(arrays.read(row, CROPS, here)), arrays.locate(row, CROPS, here).made_from


def test_a_long_film_has_the_crops_of_one_pass(film, tmp_path):
    here = opened(film, tmp_path / "cut")
    arrays.make(trial(), request("tracks", cuts="kept"), here)
    parts = [str(part) for part in long_films.Films([trial()], [CROPS], here, True).first()]
    assert parts == [f"film: track_crops, stretch {number}" for number in (1, 2, 3)]
    for number in (2, 0):
        assert arrays.make_part(trial(), CROPS, number, here) == "made"
    cut, told = made(film, tmp_path / "cut")
    whole, plain = made(film, tmp_path / "whole", stretch=600)
    assert len(cut) > film_world.N
    assert cut.std() > 1
    assert np.array_equal(cut, whole)
    assert told["parameters"]["stretches"] == [0, 120, 240]
    assert set(plain["inputs"]) == {"video", "tracks"}, "as it was before films were cut"
    assert plain["parameters"] == dict(CROPS.parameters)
    assert not list(tmp_path.rglob("*_stretch-*"))


def test_a_film_in_which_nobody_is_has_no_crops(film, tmp_path):
    assert made(film, tmp_path, video="nobody")[0].shape == (0, 16, 16)
