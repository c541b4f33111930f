"""Mapping over trials: order, errors that cost one item, deaths, a full disk, Ctrl-C."""

import errno
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from lib import parallel
from lib.errors import InputError
from lib.files import ROOT
from lib.parallel import processes
from tests.waiting import alive, until


def square(x):
    if x == 3:
        raise InputError("three is damaged", where="trial 3", todo="leave it out")
    return x * x


def die(x):
    if x == 2:
        os._exit(9)
    return x


def programming_error(x):
    raise KeyError("a mistake in the code")


def surprise(x):
    return x + 0 * int(1 / (x - 2))


def fill_disk(x, as_input_error=False):
    if x != 1:
        return x
    error = OSError(errno.ENOSPC, "No space left on device", "/data/face.npy")
    if as_input_error:
        raise InputError("no space left on the device (0.0 GB free)", where="/data") from error
    raise error


def process(_):
    time.sleep(0.05)
    return os.getpid(), os.environ.get("OMP_NUM_THREADS")


@pytest.mark.parametrize("workers", [1, 2])
def test_outcomes_keep_the_order_and_a_bad_item_costs_only_itself(workers):
    calls = []
    found = parallel.map(
        square, range(6), workers, lambda done, total, outcome: calls.append((done, total))
    )
    assert [outcome.value for outcome in found] == [0, 1, 4, None, 16, 25]
    assert [outcome.ok for outcome in found] == [True, True, True, False, True, True]
    assert str(found[3].error) == str(
        InputError("three is damaged", where="trial 3", todo="leave it out")
    )
    assert calls == [(k, 6) for k in range(1, 7)]


def halves(outcome):
    """Two further items for each even one above 2."""
    return [outcome.item // 2] * 2 if outcome.item % 2 == 0 and outcome.item > 2 else []


@pytest.mark.parametrize(("workers", "items"), [(1, [8, 3]), (2, [8, 3]), (2, [8])])
def test_what_can_be_done_after_an_item_is_done_too(workers, items):
    calls = []
    found = parallel.map(
        str, items, workers, lambda done, total, _: calls.append((done, total)), then=halves
    )
    assert [outcome.item for outcome in found[: len(items)]] == items
    assert sorted(outcome.value for outcome in found[len(items) :]) == ["2"] * 4 + ["4"] * 2
    assert calls[-1] == (len(items) + 6, len(items) + 6)
    assert all(done <= total for done, total in calls)


def die_after(x):
    if x == 4:
        os._exit(9)
    return x


def test_a_worker_that_dies_with_a_further_item_costs_that_item_only():
    found = parallel.map(die_after, [8, 3], 2, then=halves)
    lost = [outcome.item for outcome in found if not outcome.ok]
    assert lost == [4, 4]
    assert sorted(outcome.item for outcome in found if outcome.ok) == [2, 2, 2, 2, 3, 8]


def own_process(x):
    return os.getpid()


def test_further_items_need_no_further_processes():
    found = parallel.map(own_process, [64], 2, then=halves)
    assert len(found) == 63
    assert len({outcome.value for outcome in found}) == 2


def test_further_items_come_before_those_that_wait():
    waiting = processes.Waiting(items := [0, 1, 2])
    assert waiting.popleft() == 0
    items += ["first", "second"]
    assert waiting.look()
    assert list(waiting) == [3, 4, 1, 2]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_mistake_in_the_code_is_raised_where_only_bad_input_is_caught(workers):
    with pytest.raises(KeyError):
        parallel.map(programming_error, range(4), workers, catch=(InputError,))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_that_nobody_foresaw_costs_its_item_and_tells_its_place_in_the_code(workers):
    found = parallel.map(surprise, range(4), workers, name="trial_{}".format)
    assert [outcome.value for outcome in found] == [0, 1, None, 3]
    error = found[2].error
    assert (error.what, error.where) == ("ZeroDivisionError: division by zero", "trial_2")
    assert "in surprise" in error.traceback
    assert "1 / (x - 2)" in error.traceback


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_input_keeps_its_words_and_carries_the_traceback_of_its_place(workers):
    error = parallel.map(square, range(6), workers)[3].error
    assert (error.what, error.where, error.todo) == ("three is damaged", "trial 3", "leave it out")
    assert "in square" in error.traceback


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("as_input_error", [False, True])
def test_a_full_disk_stops_everything_with_one_message(workers, as_input_error):
    with pytest.raises(InputError, match="no space left on the device") as caught:
        parallel.map(partial(fill_disk, as_input_error=as_input_error), range(4), workers)
    assert "/data" in caught.value.where


def test_a_worker_that_dies_costs_its_own_item_only():
    found = parallel.map(die, range(5), 2, name="trial_{}".format)
    assert [outcome.value for outcome in found] == [0, 1, None, 3, 4]
    assert "died" in found[2].error.what
    assert "exit status 9" in found[2].error.what
    assert found[2].error.where == "trial_2"


def test_work_is_shared_by_other_processes_each_with_its_part_of_the_processors():
    found = [outcome.value for outcome in parallel.map(process, range(6), 2)]
    assert len({pid for pid, _ in found}) == 2
    assert os.getpid() not in {pid for pid, _ in found}
    assert {threads for _, threads in found} == {str(max(1, processes.available_processors() // 2))}


def test_one_worker_or_one_item_stays_in_this_process():
    assert parallel.map(process, [0], 4)[0].value[0] == os.getpid()
    assert parallel.map(process, [0, 1], 1)[1].value[0] == os.getpid()
    assert parallel.map(process, [], 4) == []


def test_a_function_of_the_notebook_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(square, "__module__", "__main__")
    with pytest.raises(InputError, match="cannot import it"):
        parallel.map(partial(square), range(2), 2)


class Unpicklable(Exception):
    def __init__(self, a, b):
        super().__init__(a, b, lambda: 0)


def raise_unpicklable(x):
    raise Unpicklable(1, 2)


def test_an_error_that_cannot_be_handed_over_is_told_as_text():
    with pytest.raises(RuntimeError, match="Unpicklable"):
        parallel.map(raise_unpicklable, range(2), 2, catch=(InputError,))


INTERRUPTED = """
import sys
sys.path.insert(0, sys.argv[1])
import test_mapping
from lib import parallel
if __name__ == "__main__":
    parallel.map(test_mapping.touch_and_wait, [sys.argv[2] + "/a", sys.argv[2] + "/b"], 2)
"""


def touch_and_wait(path):
    try:
        with open(path, "w") as stream:
            stream.write(str(os.getpid()))
        time.sleep(60)
    finally:
        os.remove(path)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_or_killed_map_leaves_no_worker_behind(tmp_path, sign):
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    folder = os.path.dirname(__file__)
    root = str(ROOT)
    parent = subprocess.Popen(
        [sys.executable, script, folder, tmp_path],
        cwd=root,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    marks = [tmp_path / "a", tmp_path / "b"]
    assert until(lambda: all(mark.exists() and mark.read_text() for mark in marks))
    workers = [int(mark.read_text()) for mark in marks]
    parent.send_signal(sign)
    parent.wait(15)
    assert until(lambda: not any(alive(pid) for pid in workers))
    if sign == signal.SIGINT:
        assert b"KeyboardInterrupt" in parent.stderr.read()
        assert not any(mark.exists() for mark in marks)  # the workers' `finally` ran
    parent.stderr.close()
