"""The same mapping on Dask's workers: results, errors, deaths, a full disk, Ctrl-C, and a machine
without Dask.
"""

import errno
import os
import signal
import subprocess
import sys
import time
from collections import namedtuple
from functools import partial

import pytest

from lib import parallel as cluster
from lib.errors import InputError
from lib.files import ROOT
from lib.parallel import dask_workers, processes
from tests.in_workers import note_and_die
from tests.waiting import alive, until


@pytest.fixture(scope="module")
def two_workers():
    """One cluster for many tests: it takes seconds to start."""
    with dask_workers.local(2) as found:
        yield found


def half(x):
    if x == 3:
        raise InputError("three is damaged", where="trial 3", todo="leave it out")
    return {"half": x / 2 + 0 * int(1 / (x - 5))}


def fill_disk(x):
    if x == 1:
        raise OSError(errno.ENOSPC, "No space left on device", "/data/face.npy")
    return x


def place(_):
    time.sleep(0.2)
    return os.getpid(), os.environ.get("OMP_NUM_THREADS")


def torch_threads(_):
    import torch

    return torch.get_num_threads()


Future = namedtuple("Future", "key")


class Scheduler:
    """What a client knows of a scheduler: the tasks that each living worker holds."""

    def __init__(self, **holding):
        self.holding = holding

    def processing(self):
        return self.holding


def touch_and_wait(path):
    try:
        with open(path, "w") as stream:
            stream.write(str(os.getpid()))
        for _ in range(1200):
            time.sleep(0.05)
    finally:
        os.remove(path)


def further(outcome):
    return [outcome.item // 2] * 2 if outcome.item > 2 else []


def test_what_can_be_done_after_an_item_is_done_too(two_workers):
    found = cluster.map(str, [8], 2, parallel=two_workers, then=further)
    assert [outcome.value for outcome in found] == ["8", *["4"] * 2, *["2"] * 4]


def test_outcomes_are_those_of_the_processes_backend(two_workers):
    told = []
    mine = cluster.map(
        half,
        range(7),
        2,
        lambda done, total, outcome: told.append((done, total, outcome.item)),
        name="trial_{}".format,
        parallel=two_workers,
    )
    other = cluster.map(half, range(7), 2, name="trial_{}".format)
    assert [outcome.value for outcome in mine] == [outcome.value for outcome in other]
    assert [outcome.value for outcome in mine if outcome.ok] == [
        {"half": x / 2} for x in (0, 1, 2, 4, 6)
    ]
    assert [str(outcome.error) for outcome in mine] == [str(outcome.error) for outcome in other]
    assert (mine[5].error.what, mine[5].error.where) == (
        "ZeroDivisionError: division by zero",
        "trial_5",
    )
    assert "in half" in mine[5].error.traceback
    assert "in half" in mine[3].error.traceback
    assert [(done, total) for done, total, _ in told] == [(k, 7) for k in range(1, 8)]
    assert sorted(item for *_, item in told) == list(range(7))


def test_an_answer_that_died_with_its_worker_is_waited_for_beside_the_others(
    two_workers, monkeypatch
):
    receive, asked = dask_workers._receive, []

    def late(future):
        asked.append(future)
        if len(asked) == 1:
            raise TimeoutError
        return receive(future)

    monkeypatch.setattr(dask_workers, "_receive", late)
    found = cluster.map(str, range(4), 2, parallel=two_workers)
    assert [outcome.value for outcome in found] == ["0", "1", "2", "3"]
    assert len(asked) == 5, "one was asked for twice"
    assert "lost" not in dask_workers.ANSWERED


def test_where_all_workers_died_and_none_came_the_items_are_not_waited_for_without_end(
    two_workers, monkeypatch
):
    """Dask does not always replace a worker that is killed while it starts. The next `map` does not
    end what workers still do.
    """
    with monkeypatch.context() as patched:
        patched.setattr(dask_workers, "PATIENCE", 0.6)
        patched.setattr(dask_workers.Client, "nthreads", lambda self: {})
        with pytest.raises(InputError, match="no Dask worker was left for 1 s") as caught:
            cluster.map(time.sleep, [1.5, 1.5], 2, parallel=two_workers)
    assert "parallel: processes" in caught.value.todo
    workers = set(two_workers.scheduler.workers)
    assert all(outcome.ok for outcome in cluster.map(place, range(4), 2, parallel=two_workers))
    assert set(two_workers.scheduler.workers) == workers


# On every change test_remote compares arrays of a cluster's workers with this machine's.
@pytest.mark.slow
def test_arrays_of_two_trials_are_byte_equal_to_those_of_the_processes_backend(
    two_workers, sample_root, open_set
):
    from lib import arrays, trials  # here, because workers import this file
    from lib.store import request

    wanted = [
        request("time"),
        request("face", size=32),
        request("mel"),
        request("va", mismatch="fit"),
    ]
    stores = []
    for name, parallel in (("by_dask", two_workers), ("by_processes", "processes")):
        found = open_set(sample_root, name)
        work = partial(arrays.make_all, requests=wanted, store=found.store)
        rows = found.table.to_dict("records")[:2]
        assert all(
            outcome.ok
            for outcome in cluster.map(work, rows, 2, name=trials.name, parallel=parallel)
        )
        stores.append(found.files())
    assert len([name for name in stores[0] if name.endswith(".npy")]) >= 2 * len(wanted)
    assert stores[0] == stores[1]


def test_a_worker_that_is_killed_costs_its_item_only_and_the_item_is_not_tried_again(
    two_workers, tmp_path
):
    found = cluster.map(
        partial(note_and_die, tmp_path, {2: 99}),
        range(12),
        2,
        name="trial_{}".format,
        parallel=two_workers,
    )
    assert [outcome.value for outcome in found] == [0, 1, None, *range(3, 12)]
    assert "died" in found[2].error.what
    assert found[2].error.where == "trial_2"
    assert (tmp_path / "2").read_text() == "tried\n"


def test_a_full_disk_stops_everything_with_one_message(two_workers):
    with pytest.raises(InputError, match="no space left on the device") as caught:
        cluster.map(fill_disk, range(4), 2, parallel=two_workers)
    assert caught.value.where == "/data/face.npy"


def test_a_mistake_in_the_code_is_raised_where_only_bad_input_is_caught(two_workers):
    with pytest.raises(ZeroDivisionError):
        cluster.map(half, [4, 5], 2, catch=(InputError,), parallel=two_workers)


def test_a_function_of_the_notebook_is_refused_with_the_way_out(two_workers, monkeypatch):
    monkeypatch.setattr(half, "__module__", "__main__")
    with pytest.raises(InputError, match="cannot import it"):
        cluster.map(half, range(2), 2, parallel=two_workers)


def test_torch_computes_with_one_thread_in_a_worker(two_workers):
    assert [
        outcome.value for outcome in cluster.map(torch_threads, range(2), 2, parallel=two_workers)
    ] == [1, 1]


def test_workers_are_other_processes_and_gone_afterwards():
    values = [outcome.value for outcome in cluster.map(place, range(8), 2, parallel="dask")]
    pids = {pid for pid, _ in values}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert {threads for _, threads in values} == {"1"}
    assert not any(alive(pid) for pid in pids)


def test_one_worker_or_one_item_stays_in_this_process():
    assert cluster.map(place, [], 4, parallel="dask") == []
    assert cluster.map(place, [0], 4, parallel="dask")[0].value[0] == os.getpid()


INTERRUPTED = """
import sys
sys.path.insert(0, sys.argv[1])
import test_dask_workers
from lib import parallel
if __name__ == "__main__":
    marks = [f"{sys.argv[2]}/{letter}" for letter in "abcdefgh"]
    parallel.map(test_dask_workers.touch_and_wait, marks, 2, parallel="dask")
"""


def test_ctrl_c_leaves_no_worker_and_no_unfinished_file_behind(tmp_path):
    script, marks = tmp_path / "script.py", [tmp_path / "a", tmp_path / "b"]  # others wait
    script.write_text(INTERRUPTED)
    parent = subprocess.Popen(
        [sys.executable, script, ROOT / "tests" / "parallel", tmp_path],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    with parent:
        assert until(lambda: all(mark.exists() and mark.read_text() for mark in marks))
        workers = [int(mark.read_text()) for mark in marks]
        time.sleep(1)  # until each worker keeps a second item
        os.killpg(parent.pid, signal.SIGINT)  # as a terminal does it: the workers get it, too
        assert b"KeyboardInterrupt" in parent.stderr.read()
    assert until(lambda: not any(alive(pid) for pid in workers))
    assert not list(tmp_path.glob("?"))  # the workers' `finally` ran, and no further item began


def test_dask_is_imported_only_when_it_is_chosen():
    code = (
        "import sys; from lib import parallel; parallel.map(abs, [1, 2], 2); sys.exit('dask' "
        "in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("absent", ["dask", "distributed"])
def test_without_the_package_the_message_says_how_to_install_it(monkeypatch, absent):
    for name in [name for name in sys.modules if name.split(".")[0] in ("dask", "distributed")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "lib.parallel.dask_workers")
    monkeypatch.delattr("lib.parallel.dask_workers")
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(InputError, match="not installed") as caught:
        cluster.map(half, range(2), 2, parallel="dask")
    assert 'pip install -e ".[cluster]"' in str(caught.value)


@pytest.mark.parametrize(
    ("given_to", "holding", "most", "free"),
    [
        ({"x": "a"}, {"a": ["x"], "b": []}, 1, ["b"]),
        ({"x": "a"}, {"a": ["x"], "b": []}, 2, ["b", "a"]),
        ({"x": "a", "y": "a"}, {"a": ["x", "y"], "b": []}, 2, ["b"]),
        ({"x": None}, {"a": ["x"], "b": []}, 1, ["b"]),
        ({"x": None}, {"a": []}, 2, []),
        ({"x": "left"}, {"a": ["x"], "b": []}, 1, ["b"]),
        ({"x": "left"}, {"a": ["x"], "b": []}, 2, ["b", "a"]),
        ({"x": "left"}, {"a": [], "b": []}, 2, []),
        ({}, {"a": []}, 1, ["a"]),
    ],
)
def test_no_worker_is_given_more_items_than_it_may_keep(given_to, holding, most, free):
    """Also where an item was given to whoever comes first, or its worker left before it began."""
    busy = {
        Future(key): dask_workers._Handed(index, address)
        for index, (key, address) in enumerate(given_to.items())
    }
    found = dask_workers._free(Scheduler(**holding), list(holding), busy, most)
    assert [address for address, _ in found] == free
    for address, ahead in found:
        assert (ahead is None) == (not holding[address]), address


def test_a_death_counts_for_the_item_that_was_computed_and_for_no_other():
    death = processes.Death(dask_workers._cause("a"))
    first = dask_workers._Handed(0, "a")
    second = dask_workers._Handed(1, "a", first)
    assert first.killed(death)
    assert not second.killed(death), "the worker kept it behind the first one"
    assert second.killed(processes.Death(dask_workers._cause("b"))), "it was moved there"
    first.end()
    assert second.killed(death)
    assert not first.killed(death), "the worker only kept its answer"
    second.end()
    assert second.ahead is None, "else all items that a worker ever had stay in memory"


@pytest.mark.parametrize(("tries", "most"), [(1, 1), (3, 2)])
def test_workers_keep_a_second_item_where_an_item_may_lose_several(
    two_workers, monkeypatch, tries, most
):
    seen, free = [], dask_workers._free

    def watched(client, alive, busy, count):
        seen.append(count)
        return free(client, alive, busy, count)

    monkeypatch.setattr(dask_workers, "_free", watched)
    found = dict(dask_workers.each(abs, list(range(-9, 0)), 2, two_workers, tries))
    assert found == {index: 9 - index for index in range(9)}
    assert max(seen) == most
    assert seen[-1] == 1, "the last ones wait behind none"
