"""Faces of a long recording: followed in stretches, the same for any number of workers."""

import itertools
import json
import shutil
from functools import partial

import numpy as np
import pytest

from benchmarks import freeze
from lib import arrays, store
from lib.datasets import affwild2
from lib.datasets.samples import affect
from lib.errors import InputError
from lib.experiments import long_films, preparing
from lib.faces import detection, films, following, tracking
from lib.media import readings, seeking, stretches
from lib.parallel import mapping
from lib.parameters import Params
from lib.store import Store, request
from tests.face_world import Marks, face, picture
from tests.film_world import STRETCH, dying, opened, trial

FACE, VALID = request("face", size=32), request("face_valid")
WANTED = [request("time"), VALID, FACE]


@pytest.fixture(autouse=True)
def network(film, monkeypatch):
    monkeypatch.syspath_prepend(film)


def made(film, place, workers=1, rows=None):
    p = Params({"device": "cpu", "workers": workers, "parallel": "processes"})
    here = opened(film, place)
    return preparing.make(rows or [trial("short"), trial()], WANTED, here, p), here


def files(place):
    """Every file of a store by its place in it."""
    paths = [path for path in place.rglob("*") if path.is_file()]
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in paths}


def numbers(found):
    """Those of the long film's arrays, without what is told beside them."""
    return {name: each for name, each in found.items() if "/film/" in name and ".npy" in name}


@pytest.fixture(scope="module")
def complete(film, tmp_path_factory):
    """The store as one process makes it, from one array after the other; tests only read it."""
    place = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(film)
        for row in (trial("short"), trial()):
            arrays.make_all(row, WANTED, opened(film, place))
    return place


@pytest.fixture(scope="module")
def alone(complete):
    """Its files."""
    return files(complete)


@pytest.fixture(scope="module")
def uncut(film, tmp_path_factory):
    """The store of a version, or with a parameter, that does not cut the film; tests copy it."""
    place = tmp_path_factory.mktemp("uncut")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(film)
        arrays.make_all(trial(), WANTED, opened(film, place, stretch=600))
    return place


def test_a_film_in_stretches_has_the_same_bytes_with_one_worker_and_with_two(film, tmp_path, alone):
    for workers in (1, 2):
        outcomes, here = made(film, tmp_path / str(workers), workers)
        assert [outcome.item["trial"] for outcome in outcomes] == ["short", "film"]
        assert all(outcome.ok for outcome in outcomes)
        assert files(tmp_path / str(workers)) == alone
    told = arrays.facts(trial(), request("tracks"), here)
    assert told["made_from"]["parameters"]["stretches"] == [0, 120, 240]
    assert not [name for name in alone if "_stretch" in name or "lock" in name]


def test_01_reads_the_times_of_a_film_by_all_workers(film, tmp_path, alone):
    for workers in (1, 2):
        place = tmp_path / str(workers)
        here, rows = opened(film, place), [trial("short"), trial()]
        handed = long_films.Films(rows, [request("time")], here, networks=False).first()
        assert list(map(str, handed[:3])) == [f"film: time, stretch {k}" for k in (1, 2, 3)]
        p = Params({"workers": workers, "parallel": "processes"})
        work = partial(arrays.make, wanted=request("time"), store=here)
        outcomes = preparing.check(work, rows, here, p)
        assert [(one.item["trial"], one.value["state"]) for one in outcomes] == [
            ("short", "made"),
            ("film", "made"),
        ]
        found = files(place)
        assert found.items() <= alone.items()
        assert sum("time-" in name for name in found) == 4


def test_stretches_are_those_of_one_pass_where_faces_are_seen_clearly(film, uncut, alone):
    here = opened(film, uncut, stretch=600)
    kept = arrays.locate(trial(), request("tracks", cuts="kept"), here)
    assert "stretches" not in kept.made_from["parameters"]
    assert set(kept.made_from["inputs"]) == {"video"}, "as it was before films were cut"
    for wanted in (FACE, VALID, request("time"), request("tracks")):
        content = arrays.locate(trial(), wanted, here).path.read_bytes()
        assert content in numbers(alone).values(), wanted


def test_a_stretch_that_is_there_is_not_made_again_and_a_kill_costs_no_other(
    film, tmp_path, alone, monkeypatch
):
    here, real = opened(film, tmp_path), seeking.frames
    begun = []

    def killed(path, times, first, stop, lead=0):
        begun.append(first)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return real(path, times, first, stop, lead)

    monkeypatch.setattr(seeking, "frames", killed)
    with pytest.raises(KeyboardInterrupt):
        arrays.make_all(trial(), WANTED, here)
    assert len(list(tmp_path.rglob("tracks_stretch-*.npy"))) == 2
    assert not list(tmp_path.rglob("*.part"))
    begun.append(None)
    arrays.make_all(trial(), WANTED, here)
    followed, looked_at, faces = begun[4:5], begun[5:8], begun[8:]
    assert (followed, looked_at, faces) == ([120], [0, 0, 120], [0, 120, 240])
    assert numbers(files(tmp_path)) == numbers(alone)


def test_a_stretch_that_was_damaged_is_made_again_and_told(film, tmp_path, alone, monkeypatch):
    here, real = opened(film, tmp_path), seeking.frames

    def killed(*given, **how):
        if len(list(tmp_path.rglob("face_stretch-*.npy"))) == 2:
            raise KeyboardInterrupt
        return real(*given, **how)

    with monkeypatch.context() as patch:
        patch.setattr(seeking, "frames", killed)
        with pytest.raises(KeyboardInterrupt):
            arrays.make_all(trial(), WANTED, here)
    damaged = min(tmp_path.rglob("face_stretch-*.npy"))
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    notes = [row["note"] for row in arrays.make_all(trial(), WANTED, here)]
    assert [" of 3 was damaged on disk and made again" in note for note in notes] == [0, 0, 1]
    assert numbers(files(tmp_path)) == numbers(alone)


def test_a_worker_that_dies_with_a_stretch_does_not_lose_the_film(film, tmp_path, alone):
    outcomes, _ = made_by(film, tmp_path, dying)
    assert all(outcome.ok for outcome in outcomes)
    assert (tmp_path / "died").exists()
    (tmp_path / "died").unlink()
    assert files(tmp_path) == alone


def made_by(film, place, work):
    """`made` with 2 workers that do `work` of their items."""
    real = mapping.map
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            mapping, "map", lambda first, *given, **more: real(partial(work, first), *given, **more)
        )
        return made(film, place, 2)


class Tired(Marks):
    """A detector that fails when it has looked at many pictures."""

    def detect(self, picture):
        if len(self.asked) > 20:
            raise InputError("the detector is tired", where="test")
        return super().detect(picture)


def test_a_film_of_which_a_stretch_fails_is_lost_with_the_reason_and_others_are_not(
    film, tmp_path, monkeypatch
):
    monkeypatch.setattr(following, "detector", lambda *given: Tired(lambda frame: []))
    short, long = made(film, tmp_path)[0]
    assert short.ok
    assert long.error.what == "the detector is tired"
    assert not list(tmp_path.rglob("*.part"))


def test_a_film_that_cannot_be_jumped_into_is_decoded_in_one_pass_and_says_so(
    film, tmp_path, alone, monkeypatch
):
    def refused(path, *given):
        raise seeking.InexactError("it has no index", where=path)

    monkeypatch.setattr(seeking, "frames", refused)
    outcomes, here = made(film, tmp_path)
    assert all(outcome.ok for outcome in outcomes)
    assert (
        "decoded in one pass: it has no index"
        in arrays.facts(trial(), request("tracks", cuts="kept"), here)["note"]
    )
    assert numbers(files(tmp_path)) == numbers(alone)


def test_a_jump_that_shows_other_pictures_is_found_out_at_the_border(
    film, tmp_path, alone, monkeypatch
):
    real = seeking.frames

    def wrong(path, times, first, stop, lead=0):
        for number, shown in real(path, times, first, stop, lead):
            yield number, 255 - shown if first == 120 else shown

    monkeypatch.setattr(seeking, "frames", wrong)
    arrays.make_all(trial(), WANTED, opened(film, tmp_path))
    told = arrays.facts(trial(), request("tracks", cuts="kept"), opened(film, tmp_path))
    assert "stretch 3 does not see what the one before saw" in told[films.ONE_PASS]
    arrays_only = {name: content for name, content in alone.items() if name.endswith(".npy")}
    found = files(tmp_path)
    assert all(
        content == arrays_only[name] for name, content in found.items() if name in arrays_only
    )


def test_times_of_which_neighbours_do_not_agree_are_read_in_one_pass(
    film, tmp_path, alone, monkeypatch
):
    real = seeking.times

    def wrong(path, begin, end, more):
        before, own, after = real(path, begin, end, more)
        return before, own[1:] if begin > 0 else own, after

    monkeypatch.setattr(seeking, "times", wrong)
    arrays.make(trial(), request("time"), opened(film, tmp_path))
    (path,) = tmp_path.rglob("time-*.npy")
    assert path.read_bytes() in numbers(alone).values()


def test_a_short_recording_is_made_from_what_it_always_was(film, tmp_path):
    here = opened(film, tmp_path)
    assert readings.of_length(trial("short"), here) == {}
    tracks = arrays.locate(trial("short"), request("tracks"), here)
    assert "stretches" not in tracks.made_from["parameters"]
    assert set(tracks.made_from["inputs"]) == {"video"}


@pytest.mark.slow
def test_arrays_of_short_recordings_bear_the_names_that_are_frozen(tmp_path):
    root = affect.make(tmp_path, trials=6, seconds=2.5, workers=1)
    table, _ = affwild2.find(root, root.name)
    here, frozen = (
        Store(tmp_path / "p", root.name, root),
        json.loads(freeze.FROZEN.read_text())["arrays"],
    )
    rows = table.to_dict("records")
    asked = (request("time"), request("face", size=32), VALID, request("pixels"))
    paths = {}
    for row, wanted in itertools.product(rows, asked):
        arrays.make(row, wanted, here)
        path = arrays.locate(row, wanted, here).path
        paths[path] = (path.parent / wanted.name).relative_to(here.processed_root).as_posix()
    digits = freeze.portable(here.processed_root)
    assert len(paths) == len(rows) * (len(asked) - 1) + table["video"].nunique()
    for path, name in paths.items():
        assert digits[path.stem.rsplit("-", 1)[1]] in frozen[name], name


def test_a_machine_without_the_film_finds_its_arrays(film, tmp_path, complete):
    here = opened(film, complete)
    path = arrays.locate(trial(), FACE, here).path
    readings._KNOWN.clear()
    away = Store(
        here.processed_root, "films", tmp_path / "elsewhere", "centerface", stretch=STRETCH
    )
    assert arrays.locate(trial(), FACE, away).path == path


def test_what_was_made_in_one_pass_before_is_made_anew_and_says_why(film, tmp_path, uncut):
    shutil.copytree(uncut, tmp_path, dirs_exist_ok=True)
    rows = arrays.make_all(trial(), WANTED, opened(film, tmp_path))
    assert [row["state"] for row in rows] == ["there", "made anew", "made anew"]
    assert "a long recording: faces are followed in 3 stretches" in rows[1]["note"]


# ---- joining what was followed
FRAMES = 330


def followed(faces, cut, every=6):
    """Rows of `FRAMES` frames, followed in the stretches that begin at the frames of `cut`."""
    parts, facts = [], []
    for piece in stretches.pieces(cut, FRAMES):
        follower = following.Follower(Marks(faces), every, detection.SIDE, piece)
        for frame in range(piece.begin, piece.end):
            follower.feed(frame, picture(frame, faces(frame)))
        parts.append(follower.rows())
        facts.append(follower.facts)
    following.check(facts)
    return following.join(parts)


def coming(frame):
    """Three who come and go, one of them with a low score, and one who begins at a border."""
    rows = [face(60 + frame / 10, 90)] * (frame not in range(100, 131))
    rows += [face(170, 80, score=0.9 if frame < 20 or frame > 200 else 0.5)]
    return rows + [face(260, 90)] * (frame in range(180, 290))


def test_stretches_are_joined_to_the_rows_of_one_pass():
    changes: list[float] = []
    shown = [picture(frame, coming(frame)) for frame in range(FRAMES)]
    whole = tracking.track(shown, Marks(coming), changes=changes)
    rows, found = followed(coming, [0, 120])
    assert np.array_equal(found, np.array(changes, np.float32))
    assert np.array_equal(rows, whole)


def test_a_face_of_low_score_that_nobody_saw_clearly_before_a_border_ends_there():
    rows, _ = followed(coming, [0, 180])
    whole, _ = followed(coming, [0])
    ends = [int(rows[rows[:, 1] == name][-1, 0]) for name in np.unique(rows[:, 1])]
    assert 180 in ends
    low = (whole[:, 2] > 100) & (whole[:, 2] < 200)
    lost = set(whole[low, 0].astype(int)) - set(rows[(rows[:, 2] > 100) & (rows[:, 2] < 200), 0])
    assert lost == set(range(181, 201))


def test_empty_stretches_and_films_without_faces_are_joined():
    rows, changes = followed(lambda frame: [], [0, 120, 240, 600])
    assert rows.shape == (0, 18)
    assert len(changes) == FRAMES - 1


def test_the_stretches_of_an_array_are_named_by_it(tmp_path):
    whole = {"name": "face", "parameters": {"size": 32}, "version": 3, "inputs": {}}
    shelf = store.Shelf(tmp_path)
    paths = [stretches.path_of(shelf, whole, number).name for number in range(3)]
    assert len(set(paths)) == 3
    assert not shelf.find("face", {"size": 32}, 3)
