"""Predictions as one object: written once in the digits of their file, opened no second time, and
never more of them in memory than is allowed.
"""

import pickle
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch

from lib import runs
from lib.errors import InputError
from lib.evaluation import (
    comparison,
    errors,
    pages,
    prediction,
    predictions,
    segments,
    submission,
    uncertainty,
)
from lib.evaluation import scores as scoring
from lib.evaluation.predictions import Predictions
from lib.experiments import report
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401


def rows(frames=50, seed=0, **columns):
    """A table with numbers of many digits."""
    values = np.random.default_rng(seed).normal(size=(frames, 4)) * [1, 1e-5, 1e5, 1 / 3]
    table = pd.DataFrame(values, columns=["valence", "arousal", "valence_raw", "arousal_raw"])
    table.insert(0, "frame", np.arange(1, frames + 1))
    return table.assign(**columns)


def equal(first, second):
    pd.testing.assert_frame_equal(first, second, check_exact=True)


@pytest.fixture
def counted(monkeypatch):
    """How often files of predictions are written and read: {("read", folder, trial): count}."""
    counts = Counter()

    def count(module, name, kind):
        function = getattr(module, name)

        def counting(path, *arguments, **how):
            if str(path).endswith(".csv") and "predictions" in str(path):
                counts[kind, path.parent.name, path.stem] += 1
            return function(path, *arguments, **how)

        monkeypatch.setattr(module, name, counting)

    count(pd, "read_csv", "read")
    count(runs, "read_numbers", "read")
    count(predictions.files, "write_text", "write")
    return counts


def test_what_is_carried_is_what_the_file_says_to_the_digit(tmp_path):
    labels = [np.nan] * 49 + [1 / 3]
    given = rows(valid=1, person="left", label_valence=labels, note="a note, a sum")
    carried = Predictions(tmp_path)
    path = carried.write("a", given)
    assert path.read_text() == given.to_csv(index=False, float_format="%.6g")
    equal(carried.table("a"), Predictions(tmp_path).table("a"))
    assert (carried.table("a")["valence"] != given["valence"]).any()
    names = ("valence_raw", "label_valence")
    from_file = runs.read_numbers(path, names)
    for name, values in carried.numbers("a", names).items():
        np.testing.assert_array_equal(values, from_file[name])


def test_the_numbers_of_the_frames_are_there_where_they_are_asked_for(tmp_path):
    carried = Predictions(tmp_path)
    carried.write("a", rows())
    for opened in (carried, Predictions(tmp_path)):
        numbers = opened.numbers("a", ["frame", "valence"])
        assert list(numbers) == ["frame", "valence"]
        np.testing.assert_array_equal(numbers["frame"], np.arange(1, 51))


def test_a_table_is_read_once_and_one_that_was_written_is_not(tmp_path, counted):
    folder = tmp_path / "predictions"
    Predictions(folder).write("a", rows())
    opened = Predictions(folder)
    for _ in range(3):
        opened.table("a"), opened.pairs("a"), opened.numbers("a", ["valence_raw"])
    assert counted["read", "predictions", "a"] == 1
    opened.write("a", rows(seed=1))
    equal(opened.table("a"), Predictions(folder).table("a"))
    assert counted["read", "predictions", "a"] == 2  # by the object that was made to compare with


def test_a_file_that_somebody_else_replaced_is_opened_anew(tmp_path):
    mine, others = Predictions(tmp_path), Predictions(tmp_path)
    mine.write("a", rows())
    others.write("a", rows(frames=7, seed=1))
    assert len(mine.table("a")) == 7
    others.path("a").unlink()
    with pytest.raises(InputError, match=r"a\.csv"):
        mine.table("a")


def test_no_more_tables_are_kept_than_the_bound_allows(tmp_path, counted):
    folder = tmp_path / "predictions"
    size = predictions._bytes(rows())
    few = Predictions(folder, bound=2 * size)
    for trial in "abc":
        few.write(trial, rows())
    assert few._size <= 2 * size
    few.table("c"), few.table("b")
    assert not counted["read", "predictions", "b"] + counted["read", "predictions", "c"]
    few.table("a")
    assert counted["read", "predictions", "a"] == 1
    few.table("c")  # let go for a
    assert counted["read", "predictions", "c"] == 1
    few.write("large", rows(frames=200))
    assert few._size == 2 * size, "one that is too large does not drive the others out"
    none = Predictions(folder, bound=0)
    equal(none.table("a"), few.table("a"))
    assert none._size == 0


def test_a_column_that_is_added_to_a_table_is_not_carried(tmp_path):
    carried = Predictions(tmp_path)
    carried.write("a", rows())
    table = carried.table("a")
    table["valence"] = 0.0
    table["more"] = 0.0
    equal(carried.table("a"), Predictions(tmp_path).table("a"))


def test_another_process_gets_the_folder_and_no_tables(tmp_path):
    carried = Predictions(tmp_path, bound=10**6)
    carried.write("a", rows())
    there = pickle.loads(pickle.dumps(carried))
    equal(there.table("a"), carried.table("a"))
    assert (there.folder, there._size) == (tmp_path, 0)
    there.write("a", rows(seed=1))
    assert there._size == 0
    equal(carried.table("a"), there.table("a"))


def test_a_table_without_a_column_that_is_needed_is_damaged_however_it_came(tmp_path):
    carried = Predictions(tmp_path)
    carried.write("a", rows())
    for opened in (carried, Predictions(tmp_path)):
        with pytest.raises(InputError, match="no column time"):
            opened.table("a", ["time"])


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.sort_values("valence_raw"),
        lambda table: table.drop(index=[3, 4]),
        lambda table: pd.concat([table, table[-2:]]),
    ],
    ids=["sorted", "removed", "added"],
)
def test_rows_that_are_no_longer_the_frames_in_their_order_are_told(tmp_path, change):
    carried = Predictions(tmp_path)
    change(rows()).to_csv(carried.path("a"), index=False)
    with pytest.raises(InputError, match="rows were sorted, removed or added"):
        carried.table("a")
    with pytest.raises(InputError, match="rows were sorted, removed or added"):
        carried.numbers("a", ["valence_raw"])


def test_semicolons_of_a_spreadsheet_are_told(tmp_path):
    carried = Predictions(tmp_path)
    path = carried.write("a", rows())
    path.write_text(path.read_text().replace(",", ";"))
    for read in (carried.table, lambda trial: carried.numbers(trial, ["valence_raw"])):
        with pytest.raises(InputError, match="semicolons separate its columns"):
            read("a")


def test_a_file_that_somebody_changed_is_not_as_it_was_written(tmp_path):
    carried = Predictions(tmp_path)
    path = carried.write("a", rows())
    assert carried.is_as_written("a")
    path.write_text(path.read_text().replace("1", "2", 1))
    assert not carried.is_as_written("a")
    carried._checksum("a").unlink()
    assert carried.is_as_written("a"), "a run from before there were check-sums"
    path.unlink()
    assert not carried.is_as_written("a")


# ---- notebook 06
@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def run(tiny, tmp_path):
    """A run folder, the trials of a network that only sees, and the network."""
    method = tiny_set.create("jca", tiny, modality="video")
    torch.manual_seed(0)
    about = {"size": 1, "sha256": "0"}
    network = method.model().eval()
    found = prediction.Predictor(method, network, torch.device("cpu"), about, 7, True)
    table = tiny_set.table(tiny)
    table = table[table["split"].isin(["val", "test"])].reset_index(drop=True)
    here = runs.Run(tmp_path / "runs" / "mine", "06_inference", dict(method.params))
    given = {name: str(value) for name, value in method.params.items() if name.endswith("_root")}
    runs.remember(here, {**method.params, **given})
    return here, table, found


def of_notebook(here, table, found, store):
    """What notebook 06 calls on predictions, cell by cell; returns them and the scores."""
    carried = prediction.begin(here.path("predictions"), found)
    for trial in table["trial"]:
        prediction.predict_trial(found, carried, trial)
    scores = scoring.finish(found, table, carried, [1, 5], 20)
    by_speaker = scoring.by_speaker(table, carried, scores)
    here.write_json("metrics.json", scores)
    by_trial = scoring.by_trial(table, carried)
    segments.of_run("", table, carried, here)
    pages.traces(carried, "", by_trial["trial"].iloc[0])
    pages.whole_trial(table, store, tiny_set.FACE, carried, "", by_trial["trial"].iloc[0])
    parts = errors.parts(table, carried)
    uncertainty.coverage(table, carried), uncertainty.reliability(table, carried)
    given = (table, store, carried)
    errors.write_all(errors.worst(parts, 1), *given, here.path("errors"), parts, tiny_set.FACE)
    both = scoring.pairs(table, carried)
    submission.submit(found, table, carried, here.path("submission"))
    compared, _ = comparison.tables([here.folder], "val", here.name, carried)
    report.write(here, carried)
    return carried, {
        "scores": scores,
        "by_trial": by_trial,
        "by_speaker": by_speaker,
        "parts": parts,
        "pairs": both,
        "compared": compared,
    }


def test_notebook_06_reads_no_file_of_predictions_again(run, tiny, counted):
    """A trial's file is written when it is predicted, so that a notebook that was stopped goes on,
    and once more, complete; all scores are those that its digits give.
    """
    here, table, found = run
    store = tiny_set.store(tiny)
    carried, results = of_notebook(here, table, found, store)
    assert not [name for kind, *name in counted if kind == "read"]
    written = {path.stem for path in here.path("predictions").glob("*.csv")}
    assert written == set(table["trial"])
    assert {counted["write", "predictions", trial] for trial in written} == {2}
    assert max(counted["write", "every_frame", trial] for trial in written) == 1
    text = {trial: carried.path(trial).read_bytes() for trial in written}
    again, from_files = of_notebook(here, table, found, store)
    assert {trial: again.path(trial).read_bytes() for trial in written} == text
    assert from_files["scores"] == results["scores"]
    for name in ("by_trial", "by_speaker", "parts"):
        equal(from_files[name], results[name])
    np.testing.assert_array_equal(from_files["pairs"][0], results["pairs"][0])
    for heading, block in results["compared"].items():
        equal(from_files["compared"][heading], block)
