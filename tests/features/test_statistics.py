"""Statistics of features: per dimension, without a division by nothing, computed once for all who
want them.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lib.errors import InputError
from lib.features import statistics
from lib.files import ROOT
from lib.store import Shelf


def test_each_dimension_has_its_mean_and_deviation_over_all_rows():
    generator = np.random.default_rng(0)
    parts = [
        generator.normal([5e5, -1, 0], [2, 3, 0], (n, 3)).astype(np.float32) for n in (40, 1, 300)
    ]
    found, together = statistics.of_dimensions(parts), np.concatenate(parts).astype(float)
    np.testing.assert_allclose(found["mean"], together.mean(axis=0))
    np.testing.assert_allclose(found["std"][:2], together.std(axis=0)[:2], rtol=1e-4)
    done = statistics.normalised(together, found)
    np.testing.assert_allclose(done[:, :2].std(axis=0), 1, rtol=1e-3)


def test_a_dimension_that_never_changes_becomes_zero():
    rows = np.full((10, 2), [7.3, 1e-9], np.float32)
    done = statistics.normalised(rows, statistics.of_dimensions([rows]))
    assert np.isfinite(done).all()
    assert np.abs(done).max() < 1e-5


def test_the_published_rule_has_one_number_for_everything():
    rows = np.arange(12.0).reshape(6, 2)
    found = statistics.of_everything([rows[:2], rows[2:]])
    assert found == {"mean": [5.5], "std": [pytest.approx(np.arange(12).std(ddof=1))]}
    assert statistics.normalised(rows, found).shape == (6, 2)
    assert statistics.of_everything([np.ones((4, 2))])["std"] == [1.0]
    assert statistics.of_everything([])["std"] == [1.0]


def test_statistics_of_other_features_are_refused():
    with pytest.raises(InputError, match="statistics of 3 dimensions"):
        statistics.normalised(np.zeros((5, 4)), {"mean": [0, 0, 0], "std": [1, 1, 1]})
    with pytest.raises(InputError, match="no row"):
        statistics.of_dimensions([np.zeros((0, 3))])


def test_rows_that_the_published_database_lacks_do_not_count_and_become_the_mean():
    rows = np.random.default_rng(0).normal(3, 2, (40, 3)).astype(np.float32)
    gaps = rows.copy()
    gaps[[4, 17]] = np.nan
    kept = np.delete(rows, [4, 17], axis=0)
    for rule in (statistics.of_dimensions, statistics.of_everything):
        found, without = rule([gaps]), rule([kept])
        assert found["mean"] == pytest.approx(without["mean"])
        assert found["std"] == pytest.approx(without["std"])
        done = statistics.normalised(gaps, found)
        assert not done[[4, 17]].any()
        np.testing.assert_array_equal(
            np.delete(done, [4, 17], axis=0), statistics.normalised(kept, found)
        )


MADE_FROM = {"name": "mfcc39", "parameters": {}, "version": 1, "inputs": {"a": "00000000"}}
FIRST = {"mean": [1 / 3, 2.0], "std": [1.0, 1e-7]}
SLOW = """
import sys, time
from pathlib import Path
from lib.features import statistics
from lib.store import Shelf
from tests.features.test_statistics import FIRST, MADE_FROM

def compute():
    with Path(sys.argv[1], "computed").open("a") as stream:
        stream.write("x")
    time.sleep(1)
    return FIRST

print(statistics.kept(Shelf(Path(sys.argv[1], "shelf")), MADE_FROM, compute) == FIRST)
"""


def test_who_comes_first_computes_and_the_others_wait_for_it(tmp_path):
    many = [
        subprocess.Popen(
            [sys.executable, "-c", SLOW, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = [one.communicate(timeout=60)[0].splitlines() for one in many]
    assert [lines[-1] for lines in said] == ["True"] * 3
    others = [line for lines in said for line in lines[:-1]]
    assert all(line.startswith("waiting for another process") for line in others)
    assert (tmp_path / "computed").read_text() == "x"
    assert (
        statistics.kept(Shelf(tmp_path / "shelf"), MADE_FROM, lambda: pytest.fail("again")) == FIRST
    )
    other = {**MADE_FROM, "inputs": {"a": "00000001"}}
    assert statistics.kept(Shelf(tmp_path / "shelf"), other, lambda: {"mean": [0.0], "std": [1.0]})[
        "mean"
    ] == [0.0]


def test_on_a_shelf_that_cannot_be_written_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(
        statistics.os, "access", lambda place, how: Path(place) != tmp_path
    )  # tests may run as root
    assert statistics.kept(Shelf(tmp_path / "shelf" / "rule"), MADE_FROM, lambda: FIRST) == FIRST
    assert not list(tmp_path.iterdir())
