"""The prediction of a long recording in parts: the same file, whoever computes them."""

from dataclasses import replace
from functools import cache, partial

import pytest

from lib import arrays, files
from lib.errors import InputError
from lib.evaluation import checkpoint, prediction, sharing
from lib.evaluation.prediction import Predictor
from lib.evaluation.predictions import Predictions
from lib.experiments import preparing
from lib.models import forward
from lib.parallel import mapping, remote
from lib.parameters import Params
from lib.store import request
from tests import tiny_set
from tests.evaluation.test_prediction import predictor, state, train
from tests.tiny_set import one_thread  # noqa: F401

LONG, SHORT = "1_left", "short"  # 2.4 s, .28 s
STRETCH = 1.0  # s
NO_PROCESS = 99_999_999  # a number that no process has
RUNS = {"teacher": 3, "jca": 2}  # parts: jca has only two batches


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The tiny set with a run that predicts frame by frame and one that does so in windows."""
    root = tiny_set.make(tmp_path_factory.mktemp("tiny"))
    train(root, "teacher", "tsav", options={"frame_step": 20})
    train(root, "jca", "jca")
    return root


def opened(root, run, stretch=STRETCH):
    """The predictor of a run for a store whose recordings are cut at so many s."""
    p = tiny_set.parameters("tsav", root, run=run)
    place = replace(tiny_set.store(root), stretch=stretch)
    return checkpoint.load(checkpoint.checkpoint_path(p), p, place)


def tables(folder):
    """Every file of predictions by its place."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """``whole(run)``: files of one piece."""

    @cache
    def made(run):
        folder = tmp_path_factory.mktemp("whole")
        predictions = prediction.begin(folder, predictor(tiny, run))
        for trial in (SHORT, LONG):
            prediction.predict_trial(predictor(tiny, run), predictions, trial)
        return tables(predictions.folder)

    return made


def shared(found, folder):
    """`preparing.predict` as notebook 06 calls it; outcomes and the folder."""
    predictions = prediction.begin(folder, found)
    work, parts = (
        partial(each, found, predictions) for each in (prediction.predict_item, prediction.parts)
    )
    return preparing.predict(work, [SHORT, LONG], "cpu", parts), predictions


@pytest.mark.parametrize("run", RUNS)
def test_parts_of_a_long_recording_give_the_file_of_one_piece(tiny, tmp_path, run, whole):
    found = opened(tiny, run)
    predictions = prediction.begin(tmp_path / "cut", found)
    own = prediction.parts(found, predictions, LONG)
    assert [str(part) for part in own] == [
        f"1_left: prediction, stretch {number + 1}" for number in range(RUNS[run])
    ]
    assert prediction.parts(found, predictions, SHORT) == []
    outcomes, _ = shared(found, tmp_path / "cut")
    assert [(one.item, one.ok) for one in outcomes] == [(SHORT, True), (LONG, True)]
    assert tables(tmp_path / "cut") == whole(run)
    assert prediction.parts(found, predictions, LONG) == [], "it is there"


def test_two_workers_make_the_bytes_of_one(tiny, tmp_path, whole, monkeypatch):
    real = mapping.map

    def by_two(work, items, workers=1, *given, environments=(), **more):
        return real(work, items, 2, *given, **more)

    monkeypatch.setattr(mapping, "map", by_two)
    outcomes, predictions = shared(opened(tiny, "teacher"), tmp_path / "two")
    assert all(one.ok for one in outcomes), [one.error for one in outcomes]
    assert tables(predictions.folder) == whole("teacher")


def test_a_kill_costs_the_part_in_hand_and_no_other(tiny, tmp_path, whole, monkeypatch):
    real, begun = forward.predict, []

    def killed(model, recipe, windows, device):
        begun.append(len(windows))
        if len(begun) == 2:
            raise KeyboardInterrupt
        return real(model, recipe, windows, device)

    monkeypatch.setattr(forward, "predict", killed)
    folder = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        shared(opened(tiny, "teacher"), folder)
    kept = list((folder / sharing.FOLDER).iterdir())
    assert [path.name for path in kept] == ["1_left-0.npz"]
    shared(opened(tiny, "teacher"), folder)
    windows = [16, 24, 24, 20, 7]  # of 60 in batches of 8; killed and made again; of the short one
    assert sorted(begun) == sorted(windows)
    assert tables(folder) == whole("teacher")


def test_parts_that_were_made_from_something_else_are_not_joined(tiny, tmp_path, whole):
    found, folder = opened(tiny, "jca"), tmp_path / "other"
    predictions = prediction.begin(folder, found)
    for part in sharing.parts(found.recipe, LONG):
        sharing.outputs(found, folder, part, "other arrays")
        file = sharing._path(folder, part)
        if part.number:
            file.write_bytes(file.read_bytes()[:100])
    other = state(folder)
    prediction.predict_trial(found, predictions, LONG)
    assert state(folder) != other
    assert predictions.path(LONG).read_bytes() == whole("jca")["1_left.csv"]
    assert not (folder / sharing.FOLDER).exists()


def test_parts_of_another_trial_stay(tmp_path):
    for name in ("a-0", "a-12", "a-1-0", "b-0"):
        path = tmp_path / sharing.FOLDER / f"{name}.npz"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    sharing.remove(tmp_path, "a")
    assert sorted(p.stem for p in (tmp_path / sharing.FOLDER).iterdir()) == ["a-1-0", "b-0"]


def test_what_fails_in_a_part_is_the_reason_why_the_trial_is_lost(tiny, tmp_path, monkeypatch):
    real = Predictor.outputs

    def failing(self, windows):
        if len(windows) > 7:
            raise InputError("the network is tired", where="test")
        return real(self, windows)

    monkeypatch.setattr(Predictor, "outputs", failing)
    short, long = shared(opened(tiny, "teacher"), tmp_path / "failed")[0]
    assert short.ok
    assert long.error.what == "the network is tired"


def test_parts_that_were_computed_from_a_damaged_array_are_not_kept(tiny, tmp_path):
    found, folder = opened(tiny, "jca"), tmp_path / "damaged"
    predictions = Predictions(folder)
    for part in prediction.parts(found, predictions, LONG):
        prediction.predict_item(found, predictions, part)
    path = arrays.locate(found.recipe.trial(LONG), request("face_valid"), found.recipe.store).path
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([1 - content[-1]]))
    try:
        with pytest.raises(InputError, match="damaged"):
            prediction.predict_trial(found, predictions, LONG)
    finally:
        path.write_bytes(content)
    assert not (folder / sharing.FOLDER).exists()


def test_parts_of_other_batches_and_damaged_ones_are_made_again(tiny, tmp_path, whole):
    """As after a kill, where somebody changed the size of a batch, or a disk lost bits."""
    folder = tmp_path / "mixed"
    other, found = opened(tiny, "teacher"), opened(tiny, "teacher")
    other.recipe.params = Params({**other.recipe.params, "batch_size": 12})
    predictions = prediction.begin(folder, found)
    own = prediction.parts(found, predictions, LONG)
    for each, part in zip((found, other, found), own, strict=True):
        prediction.predict_item(each, predictions, part)
    kept = folder / sharing.FOLDER / "1_left-2.npz"
    content = kept.read_bytes()
    directory = content.rindex(b"PK\x01\x02")
    kept.write_bytes(content[: directory + 10] + b"\x63" + content[directory + 11 :])
    (kept.parent / f".1_left-0.npz.{NO_PROCESS}-{files.MACHINE}{0:08x}.part").touch()
    outcomes, _ = shared(found, folder)
    assert all(one.ok for one in outcomes), [one.error for one in outcomes]
    assert tables(folder) == whole("teacher")


def test_a_clusters_workers_make_the_bytes_of_one(tiny, tmp_path, whole, monkeypatch):
    """As under `lib run --cluster`: this process, the notebook's, computes nothing."""
    dask_workers = pytest.importorskip("lib.parallel.dask_workers")
    expected = whole("teacher")
    monkeypatch.setattr(forward, "predict", None)
    with dask_workers.local(1) as cluster:
        there = remote.Remote(cluster.scheduler_address, cluster.scheduler_address)
        for name, value in there.environment().items():
            monkeypatch.setenv(name, value)
        outcomes, predictions = shared(opened(tiny, "teacher"), tmp_path / "cluster")
    assert all(one.ok for one in outcomes), [one.error for one in outcomes]
    assert tables(predictions.folder) == expected
