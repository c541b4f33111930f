"""Handing out tasks: whose worker left, order, slots, jobs that are replaced and given back."""

import pytest

from lib.errors import InputError
from lib.parallel import tasks as parallel_tasks
from lib.parallel.tasks import Event, Task


class Future:
    def __init__(self):
        self.cancelled = False

    def done(self):
        return False

    def cancel(self, force):
        self.cancelled = force


class Client:
    def __init__(self, workers):
        self.workers, self.submitted = workers, []

    def scheduler_info(self, n_workers):
        assert n_workers == -1, "the default would show five workers only"
        return {"workers": self.workers}

    def submit(self, work, payload, **options):
        self.submitted.append((payload, options["workers"]))
        return Future()


class Jobs:
    def __init__(self, refuse=False):
        self.refuse, self.kept, self.released = refuse, [], []

    def keep(self, wanted, standing):
        self.kept.append((wanted, standing))
        if self.refuse:
            raise InputError("invalid partition")

    def release(self, names):
        self.released += names


def worker(name, host="node"):
    return {"name": name, "host": host}


def made(tasks, workers, jobs=None, tries=3, stopping=lambda: False, progress=lambda task: None):
    told = []
    found = parallel_tasks._Dispatcher(
        Client(workers), tasks, None, tries, told.append, progress, stopping, jobs
    )
    found.told = told
    return found


def start(one):
    for name, address in one._pairs(one._living()):
        one._start(name, address)
    return [payload for payload, _ in one.client.submitted]


def test_a_worker_that_left_in_order_gives_its_task_to_another_one(monkeypatch):
    monkeypatch.setattr(parallel_tasks, "MISSING_SECONDS", 0.0)
    one = made([Task("a", {})], {"tcp://1": worker("w1")})
    start(one)
    future = next(iter(one.busy))
    one._drop_lost({})
    one._drop_lost({})
    assert future.cancelled is True
    assert one.waiting == ["a"]
    assert (one.tasks["a"].tries, one.tasks["a"].avoid) == (1, {"tcp://1"})
    assert "its worker left" in one.told[-1].why


def test_a_worker_that_is_there_again_in_time_keeps_its_task():
    one = made([Task("a", {})], {"tcp://1": worker("w1")})
    start(one)
    one._drop_lost({})
    one._drop_lost({"tcp://1": worker("w1")})
    assert one.missing == {}
    assert len(one.busy) == 1


def test_each_worker_of_a_machine_has_a_number_that_stays_and_a_new_one_takes_the_free_number():
    one = made(
        [Task(name, {}) for name in "abc"],
        {"tcp://1": worker("w1"), "tcp://2": worker("w2"), "tcp://3": worker("w3", "other")},
    )
    assert [payload["slot"] for payload in start(one)] == [0, 1, 0]
    one.client.workers.pop("tcp://1")
    one.client.workers["tcp://9"] = worker("w9")
    one._living()
    assert one.slots == {"tcp://2": 1, "tcp://3": 0, "tcp://9": 0}


def test_a_task_waits_for_what_it_needs_and_for_what_comes_before_it():
    tasks = [
        Task("late", {}, needs=("first",)),
        Task("after", {}, after=("first",)),
        Task("first", {}),
    ]
    one = made(tasks, {f"tcp://{k}": worker(f"w{k}") for k in range(3)})
    start(one)
    assert [event.name for event in one.told] == ["first"]
    one._end(one.tasks["first"], parallel_tasks.FAILED)
    one._block()
    start(one)
    assert [(event.name, event.state) for event in one.told] == [
        ("first", "running"),
        ("first", "failed"),
        ("late", "blocked"),
        ("after", "running"),
    ]


def test_where_it_died_a_task_goes_only_if_there_is_no_other_worker():
    one = made(
        [Task("a", {}, avoid={"tcp://1"})], {"tcp://1": worker("w1"), "tcp://2": worker("w2")}
    )
    assert [address for _, address in one._pairs(one._living())] == ["tcp://2"]
    one.client.workers.pop("tcp://2")
    assert [address for _, address in one._pairs(one._living())] == ["tcp://1"]


def test_a_worker_whose_time_is_over_is_sent_away_and_gets_nothing_more():
    jobs = Jobs()
    one = made([Task("a", {}), Task("b", {})], {"tcp://1": worker("w1")}, jobs)
    start(one)
    one._send_away("tcp://1")
    assert jobs.released == ["w1"], (
        "its job is ended, it does not stand idle to the end of its walltime"
    )
    assert one._living() == {}


def test_jobs_are_kept_while_something_waits_and_idle_ones_are_given_back(monkeypatch):
    monkeypatch.setattr(parallel_tasks, "RESCALE", -1.0)
    jobs = Jobs()
    one = made(
        [Task("a", {}), Task("b", {})], {"tcp://1": worker("w1"), "tcp://2": worker("w2")}, jobs
    )
    one._rescale(one._living())
    assert jobs.kept == [(2, {"w1", "w2"})]
    start(one)
    one.busy.popitem()
    one._rescale(one._living())
    assert jobs.released == ["w2"]


def test_no_job_is_asked_for_what_cannot_start_yet(monkeypatch):
    monkeypatch.setattr(parallel_tasks, "RESCALE", -1.0)
    jobs = Jobs()
    one = made(
        [Task("arrays", {}), *(Task(name, {}, needs=("arrays",)) for name in "abc")], {}, jobs
    )
    one._rescale({})
    assert jobs.kept == [(1, set())]
    one.waiting.remove("arrays")
    one._end(one.tasks["arrays"], parallel_tasks.FINISHED)
    one._rescale({})
    assert jobs.kept[-1] == (3, set())


def test_a_refused_job_stops_a_sweep_at_its_start_only(monkeypatch):
    monkeypatch.setattr(parallel_tasks, "RESCALE", -1.0)
    one = made([Task("a", {}), Task("b", {})], {}, Jobs(refuse=True))
    with pytest.raises(InputError, match="invalid partition"):
        one._rescale({})
    one.last["a"] = Event("a", "running")
    one._rescale({})


def test_a_try_that_was_not_started_does_not_count_and_progress_starts_the_count_anew():
    steps = iter([0, 0, 1, 1, 1])
    one = made([Task("a", {})], {"tcp://1": worker("w1")}, progress=lambda task: next(steps))
    task = one.tasks["a"]
    task.mark = next(steps)
    one._again(task, "tcp://1", {"end": "continue", "not_started": True}, {})
    assert task.tries == 0
    one._again(task, "tcp://1", {"end": "continue"}, {})
    assert task.tries == 1, "nothing moved"
    one._again(task, "tcp://1", {"end": "continue"}, {})
    assert task.tries == 0, "it moved"
