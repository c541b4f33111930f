"""A cluster that `lib run --cluster` opened, as a notebook sees it: the same bytes for any number
of workers, and what a lost worker costs.
"""

import os
from functools import partial
from types import SimpleNamespace

import pytest

from lib import parallel
from lib.experiments import preparing
from lib.parallel import dask_workers, remote
from lib.store import request
from tests.in_workers import note_and_die, pid_and_variable
from tests.waiting import until

TRIES = 2


@pytest.fixture(scope="module")
def cluster():
    """One cluster for all tests: it takes seconds to start."""
    with dask_workers.local(1) as found:
        yield found


@pytest.fixture
def notebook(cluster, monkeypatch):
    """This process is a notebook that shall use the workers of `cluster`."""
    there = remote.Remote(cluster.scheduler_address, cluster.scheduler_address, TRIES)
    for name, value in there.environment().items():
        monkeypatch.setenv(name, value)
    return cluster


VARIABLE = partial(pid_and_variable, remote.VARIABLE)


def test_nothing_is_remote_where_nobody_opened_a_cluster():
    assert remote.current({}) is None


def test_one_item_with_one_worker_goes_to_the_cluster_whose_workers_do_not_know_of_it(notebook):
    [outcome] = parallel.map(VARIABLE, [0], workers=1)
    assert outcome.value[0] != os.getpid()
    assert outcome.value[1] is None, "what an item maps itself would wait for its own worker"


def test_arrays_are_byte_equal_to_those_of_this_machine_for_any_number_of_workers(
    notebook, sample_root, open_set, monkeypatch
):
    wanted = [request("time"), request("face", size=32), request("mel")]
    p = SimpleNamespace(workers=1, device="cpu", parallel="processes")
    stores = []
    for workers in (1, 2, 0):
        if workers:
            notebook.scale(workers)
            assert until(lambda count=workers: len(notebook.scheduler.workers) == count)
        else:
            monkeypatch.delenv(remote.VARIABLE)
        found = open_set(sample_root, f"by_{workers}")
        rows = found.table.to_dict("records")[:2]
        assert all(outcome.ok for outcome in preparing.make(rows, wanted, found.store, p))
        stores.append(found.files())
    assert len([name for name in stores[0] if name.endswith(".npy")]) >= 2 * len(wanted)
    assert stores[0] == stores[1] == stores[2]


def test_a_lost_worker_costs_its_item_a_try_and_no_other_item_anything(notebook, tmp_path):
    """Item 2 loses its worker once; item 4 all its workers, and is given up."""
    found = parallel.map(partial(note_and_die, tmp_path, {2: 1, 4: 99}), range(6))
    assert [outcome.value for outcome in found] == [0, 1, 2, 3, None, 5]
    assert "died" in found[4].error.what
    assert (tmp_path / "4").read_text().count("tried") == TRIES


def test_the_scheduler_knows_at_the_end_that_nothing_is_wanted(notebook):
    parallel.map(VARIABLE, range(2))
    assert notebook.scheduler.task_metadata[remote.ITEMS_LEFT_NAME] == 0
