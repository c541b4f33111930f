"""Numbers of the expression network for the faces of a long recording: made in stretches."""

import shutil
from functools import lru_cache

import numpy as np
import pytest
import torch

from lib import arrays, models
from lib.experiments import long_films, preparing
from lib.faces import expression_crop, tracking
from lib.features import expression_arrays
from lib.parallel.mapping import Outcome
from lib.parameters import Params
from lib.store import request
from tests import film_world
from tests.film_world import opened, trial
from tests.shared_files import shared

KEYS = ("network", "network_numbers", "landmarks", "landmarks_numbers")


@pytest.fixture(scope="module")
def film(film, tmp_path_factory):
    """The films that all tests share, with files of networks beside them."""
    root = tmp_path_factory.mktemp("film")
    for path in film.iterdir():
        (root / path.name).symlink_to(path)
    for key in KEYS:
        (root / key).write_text(key)
    return root


@pytest.fixture(autouse=True)
def networks(film, monkeypatch):
    use_small_networks(monkeypatch, film)


def use_small_networks(patch, film):
    """Small networks with random weights in the place of the published ones."""
    patch.syspath_prepend(film)
    patch.setattr(expression_arrays, "_network", lambda name, inputs, device: small(name))


@lru_cache
def small(name):
    torch.manual_seed(0)
    return models.create(name, width=0.0625).eval()


def wanted(film, crop="square"):
    names = KEYS if crop == "square" else KEYS[:2]
    return request("track_face_api", {key: film / key for key in names}, crop=crop)


def rows(film, place, stretch=film_world.STRETCH, video="film", crop="square"):
    """The numbers, and the facts beside them."""
    row, here = trial(video), opened(film, place, stretch)
    arrays.make(row, wanted(film, crop), here)
    return np.array(arrays.read(row, wanted(film, crop), here)), arrays.facts(
        row, wanted(film, crop), here
    )


@pytest.fixture(scope="module")
def followed(film, tmp_path_factory):
    """Stores in which the film's faces are followed, by a stretch's length; tests copy them."""
    places = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(film)
        for stretch in (film_world.STRETCH, 600):
            places[stretch] = tmp_path_factory.mktemp("followed")
            here = opened(film, places[stretch], stretch)
            arrays.make(trial(), request("tracks", cuts="kept"), here)
    return places


@pytest.fixture(scope="module")
def alone(film, followed, tmp_path_factory):
    """Store of the film as one process makes it, faces cut by their landmarks; and its rows."""
    place = tmp_path_factory.mktemp("alone")
    shutil.copytree(followed[film_world.STRETCH], place, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        use_small_networks(patch, film)
        return place, rows(film, place)


@pytest.mark.parametrize("crop", ["square", "detector"])
def test_a_long_film_has_the_rows_of_one_pass(film, tmp_path, alone, followed, crop):
    shutil.copytree(followed[film_world.STRETCH], tmp_path / "cut")
    shutil.copytree(followed[600], tmp_path / "whole")
    cut, told = alone[1] if crop == "square" else rows(film, tmp_path / "cut", crop=crop)
    whole, plain = rows(film, tmp_path / "whole", stretch=600, crop=crop)
    assert len(cut) > film_world.N
    assert np.abs(cut).max() > 0
    np.testing.assert_allclose(cut, whole, rtol=1e-5, atol=1e-6)
    assert told["made_from"]["parameters"]["stretches"] == [0, 120, 240]
    assert ("boxes" in told["made_from"]["inputs"]) == (crop == "square")
    assert set(plain["made_from"]["inputs"]) == {"video", "tracks", *wanted(film, crop).files}
    assert plain["made_from"]["parameters"] == {"crop": crop}, "as it was before films were cut"
    assert not list(tmp_path.rglob("*_stretch-*"))


def test_a_film_in_which_nobody_is_has_no_rows(film, tmp_path):
    assert rows(film, tmp_path, video="nobody")[0].shape == (0, small("face_api").fc.in_features)


def done(film, place, networks, backwards):
    """Who does what is handed out of the film, in one order or the other; names of the parts."""
    here, row = opened(film, place), trial()
    films = long_films.Films([row], [wanted(film)], here, networks)

    def whole(trial):
        return arrays.make_all(trial, [wanted(film)] if networks else [], here)

    waiting, names = films.first(), []
    while waiting:
        item = waiting.pop(-1 if backwards else 0)
        if isinstance(item, long_films.Part):
            names.append(str(item))
        waiting += films.then(Outcome(item, long_films.do(whole, here, "cpu", item), None, 0.0))
    return names


def arrays_of(place):
    return {path.name: path.read_bytes() for path in place.rglob("*.npy")}


def test_stretches_give_the_same_bytes_in_any_order(film, tmp_path, alone):
    names = done(film, tmp_path, networks=True, backwards=True)
    for array in ("tracks", expression_arrays.BOXES, "track_face_api"):
        assert sum(name.startswith(f"film: {array}, stretch") for name in names) == 3
    assert arrays_of(tmp_path) == arrays_of(alone[0])


def test_what_a_network_computes_is_left_to_who_has_a_gpu(film, tmp_path):
    names = done(film, tmp_path, networks=False, backwards=False)
    assert any("tracks, stretch" in name for name in names)
    assert not any("face_api" in name or expression_arrays.BOXES in name for name in names)


@pytest.mark.slow
def test_two_workers_share_the_faces_of_a_film(film, tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.syspath_prepend(film)
    root = shared("weights/face_api").parent
    files = {
        key: path.parent / "face_api" / path.name
        for key, path in expression_arrays.files("square", root).items()
    }
    asked = request("track_face_api", files, crop="square")
    for workers in (1, 2):
        p = Params({"device": "cpu", "workers": workers, "parallel": "processes"})
        here = opened(film, tmp_path / str(workers))
        (outcome,) = preparing.make([trial()], [asked], here, p)
        assert outcome.ok, outcome.error
    assert arrays_of(tmp_path / "1") == arrays_of(tmp_path / "2")


@pytest.mark.parametrize("batch", [1, 3, 16, 1000])
def test_squares_are_the_same_however_many_landmarks_are_known_at_a_time(batch):
    """Tracks that come, go and miss frames; for a while their landmarks draw together."""
    generator = np.random.default_rng(batch)
    present = [(frame, track) for frame in range(60) for track in range(3)]
    present = [one for one in present if generator.random() < 0.8 and one[0] > 10 * one[1]]
    tracks = np.zeros((len(present), len(tracking.COLUMNS)), np.float32)
    tracks[:, :2] = present
    tracks[:, 2:6] = generator.uniform(40, 60, (len(present), 4))
    size = np.where(tracks[:, 0] // 10 % 3 == 2, 10, 45)[:, None]
    corner = tracks[:, 2:4] + generator.uniform(-2, 2, (len(present), 2))
    boxes = np.concatenate([corner, corner + size], axis=1)
    crop, seen = expression_arrays._Squares(tracks), 0
    for first in range(0, len(tracks), batch):
        crop.take(np.arange(first, min(first + batch, len(tracks))), boxes[first : first + batch])
        assert crop.known >= seen
        seen = crop.known
    assert crop.known == len(tracks)
    whole = expression_arrays.squares({"boxes": boxes}, "square", tracks)
    np.testing.assert_array_equal(crop.centre, whole[0])
    np.testing.assert_array_equal(crop.side, whole[1])
    assert crop.remark == whole[2] != ""
    for track in range(3):  # the rule itself, over all of a track at once
        rows = np.flatnonzero(tracks[:, 1] == track)
        at, length = expression_crop.from_corners(boxes[rows])
        longer = expression_crop.of_box(tracks[rows, tracking.BOX])[1]
        good = length >= expression_arrays.DRAWN_TOGETHER * expression_crop.WIDENED * longer
        np.testing.assert_array_equal(crop.centre[rows[good]], at[good])
        np.testing.assert_array_equal(crop.side[rows[good]], length[good])
        assert (~good).any()
        assert good.any()


def test_a_square_is_used_only_when_the_landmarks_that_it_depends_on_are_known():
    tracks = np.zeros((6, len(tracking.COLUMNS)), np.float32)
    tracks[:, 0], tracks[:, 2:6] = range(6), 50
    crop = expression_arrays._Squares(tracks)
    known = []
    for row in range(6):
        crop.take(np.array([row]), np.array([[50.0, 50, 95, 95]]))
        known.append(crop.known)
    assert known == [0, 0, 1, 2, 3, 6]
