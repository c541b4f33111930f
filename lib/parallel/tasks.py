"""Hand out long tasks to the workers of a Dask cluster: one per worker, in the order of their
dependencies, and again when a worker died.

`lib.parallel.mapping.map` is for many short, independent items; this module is for trainings. It
needs the package `distributed`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from distributed import Client, KilledWorker, wait
from distributed.client import FutureCancelledError

from ..errors import InputError
from .dask_workers import POLL_SECONDS, WorkerSetup

MISSING_SECONDS = 5.0  # s that a worker may be missing before its task goes to another one
RESCALE = 3.0  # s between two checks whether jobs must be started again
FINISHED, CONTINUE, FAILED, DIED = "finished", "continue", "failed", "died"  # how a try ends

# Final states of a task; STOPPED: the person stopped everything, the task can be continued.
GAVE_UP, STOPPED, BLOCKED = "gave up", "stopped", "blocked"
ENDS = (FINISHED, FAILED, GAVE_UP, STOPPED, BLOCKED)


@dataclass
class Task:
    """A task: `payload` is the argument of the work function.

    needs : tasks that must be finished before this one starts. after : tasks that must have ended
        before, successfully or not.
    """

    name: str
    payload: Mapping
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    tries: int = 0  # tries that died or came back without progress
    seconds: float = 0.0  # of all tries
    avoid: set = field(default_factory=set)  # workers on which it died
    mark: object = None  # value of `progress` at the start of the last try


@dataclass(frozen=True)
class Event:
    """What happened to a task: `state` (running, waiting, an end), `why`, the worker's `host`."""

    name: str
    state: str
    tries: int = 0
    host: str = ""
    seconds: float = 0.0
    why: str = ""
    status: int | None = None


def run(
    tasks: list[Task],
    cluster,
    work: Callable[[Mapping], Mapping],
    tries: int = 3,
    tell: Callable[[Event], None] = lambda event: None,
    tick: Callable[[], None] = lambda: None,
    progress: Callable[[Task], object] = lambda task: None,
    stopping: Callable[[], bool] = lambda: False,
    jobs=None,
) -> dict[str, Event]:
    """Run all tasks; returns name → its last event.

    Arguments
    ---------
    work : importable function of ``{**payload, "slot": k}``, k the worker's number on its machine.
        It returns ``{"end": FINISHED | CONTINUE | FAILED | DIED, "status", "why", "host",
        "seconds", "leave", "not_started"}``; with "leave" its worker's job is ended (its time is
        over), with "not_started" the try does not count.
    tries : how often a task may die, or come back with CONTINUE although `progress(task)` stayed
        the same.
    tell : called with each event; tick : called a few times a second.
    stopping : once it returns True no further task starts, and running ones are waited for (`work`
        must notice the stop request itself).
    jobs : `jobs.Jobs` of a cluster whose workers are jobs: a job that ended is replaced while there
        is work.
    """
    with Client(cluster, set_as_default=False) as client:
        client.register_plugin(WorkerSetup())
        return _Dispatcher(client, tasks, work, tries, tell, progress, stopping, jobs).run(tick)


class _Dispatcher:
    """The state of `run`."""

    def __init__(self, client, tasks, work, tries, tell, progress, stopping, jobs):
        self.client = client
        self.work = work
        self.limit = tries
        self.tell = tell
        self.progress = progress
        self.stopping, self.jobs = stopping, jobs
        self.tasks = {task.name: task for task in tasks}
        self.waiting = list(self.tasks)
        self.busy: dict = {}  # future → (name, worker's address)
        self.slots: dict[str, int] = {}  # address → number on its machine
        self.names: dict[str, str] = {}  # address → name, by which the cluster knows its job
        self.missing: dict[str, float] = {}  # address → since when
        self.sent_away: set[str] = set()
        self.last: dict[str, Event] = {}
        self.scaled = 0.0

    def run(self, tick: Callable) -> dict[str, Event]:
        while self.busy or (self.waiting and not self.stopping()):
            living = self._living()
            self._rescale(living)
            if not self.stopping():
                self._block()
                for name, address in self._pairs(living):
                    self._start(name, address)
            self._await()
            for future in [future for future in self.busy if future.done()]:
                self._finish(future)
            self._drop_lost(living)
            tick()
        for name in self.waiting:
            self._end(
                self.tasks[name], STOPPED, why="not started" if name not in self.last else "stopped"
            )
        return self.last

    # ---- workers

    def _living(self) -> dict[str, Mapping]:
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        self.names |= {address: facts.get("name", address) for address, facts in workers.items()}
        self.slots = {address: slot for address, slot in self.slots.items() if address in workers}
        for address in sorted(workers, key=lambda one: str(workers[one].get("name", one))):
            if address not in self.slots:
                here = {
                    self.slots[other]
                    for other in self.slots
                    if workers[other]["host"] == workers[address]["host"]
                }
                self.slots[address] = next(k for k in range(len(here) + 1) if k not in here)
        return {
            address: facts for address, facts in workers.items() if address not in self.sent_away
        }

    def _rescale(self, living: Mapping) -> None:
        """Start jobs for waiting tasks; end the job of an idle worker if no task waits."""
        if self.jobs is None or self.stopping() or time.monotonic() - self.scaled < RESCALE:
            return
        self.scaled = time.monotonic()
        if not self.waiting:
            taken = {address for _, address in self.busy.values()}
            self.jobs.release(
                [facts["name"] for address, facts in living.items() if address not in taken]
            )
            return
        try:
            # Only tasks that can start count: processors would stand idle while arrays are made.
            ready = sum(self._is_ready(name) for name in self.waiting)
            self.jobs.keep(ready + len(self.busy), {facts["name"] for facts in living.values()})
        except InputError:
            # At the start a person must act; later the scheduler may merely be down for an hour.
            if not self.last:
                raise

    def _pairs(self, living: Mapping) -> Iterator[tuple[str, str]]:
        """Pairs of a task that can start and a free worker; not the worker that it died on if there
        is another.
        """
        taken = {address for _, address in self.busy.values()}
        free = [address for address in living if address not in taken]
        for name in [name for name in self.waiting if self._is_ready(name)]:
            avoid = self.tasks[name].avoid if set(living) - self.tasks[name].avoid else set()
            address = next((worker for worker in free if worker not in avoid), None)
            if address is not None:
                free.remove(address)
                yield name, address

    def _is_ready(self, name: str) -> bool:
        task = self.tasks[name]
        return all(self._ended(other) == FINISHED for other in task.needs) and all(
            self._ended(other) for other in task.after
        )

    def _ended(self, name: str) -> str:
        """The final state of a task, "" if it has none yet; an unknown task counts as finished."""
        if name not in self.tasks:
            return FINISHED
        state = self.last[name].state if name in self.last else ""
        return state if state in ENDS else ""

    def _block(self) -> None:
        """End the tasks whose dependency has failed for good."""
        for name in list(self.waiting):
            lost = [
                other
                for other in self.tasks[name].needs
                if self._ended(other) in (FAILED, GAVE_UP, BLOCKED)
            ]
            if lost:
                self.waiting.remove(name)
                self._end(self.tasks[name], BLOCKED, why=f"needs {lost[0]}")

    # ---- tasks

    def _start(self, name: str, address: str) -> None:
        task = self.tasks[name]
        self.waiting.remove(name)
        task.mark = self.progress(task)
        future = self.client.submit(
            self.work,
            {**task.payload, "slot": self.slots[address]},
            pure=False,
            retries=0,
            workers=[address],
            allow_other_workers=False,
        )
        self.busy[future] = (name, address)
        self._say(task, "running")

    def _await(self) -> None:
        if not self.busy:
            time.sleep(POLL_SECONDS)
            return
        with self.client.as_current(), contextlib.suppress(TimeoutError):
            wait(list(self.busy), timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")

    def _finish(self, future) -> None:
        name, address = self.busy.pop(future)
        result = _result(future)
        task = self.tasks[name]
        task.seconds += result.get("seconds", 0.0)
        if result.get("leave"):
            self._send_away(address)
        facts = {key: result[key] for key in ("host", "why", "status") if key in result}
        if result["end"] in (FINISHED, FAILED):
            self._end(task, result["end"], **facts)
        elif self.stopping():
            self._end(task, STOPPED, **facts)
        else:
            self._again(task, address, result, facts)

    def _again(self, task: Task, address: str, result: Mapping, facts: Mapping) -> None:
        """Queue the task again, unless it used all its tries."""
        if result["end"] == DIED:
            task.tries += 1
            task.avoid.add(address)
        elif not result.get("not_started"):
            task.tries = task.tries + 1 if self.progress(task) == task.mark else 0
        if task.tries >= self.limit:
            self._end(
                task, GAVE_UP, **{**facts, "why": f"{task.tries} tries: {facts.get('why', '')}"}
            )
            return
        self.waiting.insert(0, task.name)
        self._say(task, "waiting", **facts)

    def _send_away(self, address: str) -> None:
        """End the job of a worker whose time is nearly over, instead of letting it stand idle."""
        self.sent_away.add(address)
        if self.jobs is not None and address in self.names:
            self.jobs.release([self.names[address]])

    def _drop_lost(self, living: Mapping) -> None:
        """Give up tasks of workers that left: Dask would let such a task wait for its worker for
        ever.
        """
        now = time.monotonic()
        for future, (name, address) in list(self.busy.items()):
            if address in living or address in self.sent_away or future.done():
                self.missing.pop(address, None)
            elif now - self.missing.setdefault(address, now) > MISSING_SECONDS:
                del self.busy[future]
                future.cancel(force=True)
                self._lost(self.tasks[name], address)

    def _lost(self, task: Task, address: str) -> None:
        result = {"end": DIED, "why": f"its worker left ({address})"}
        if self.stopping():
            self._end(task, STOPPED, why=result["why"])
        else:
            self._again(task, address, result, {"why": result["why"]})

    def _end(self, task: Task, state: str, **facts) -> None:
        self._say(task, state, **facts)

    def _say(self, task: Task, state: str, **facts) -> None:
        event = Event(task.name, state, task.tries, seconds=round(task.seconds, 2), **facts)
        self.last[task.name] = event
        self.tell(event)


def _result(future) -> Mapping:
    try:
        return future.result()
    except KilledWorker as killed:
        return {"end": DIED, "why": f"its worker died ({killed.last_worker.address})"}
    except FutureCancelledError:
        return {"end": DIED, "why": "its worker left"}
    # of the worker, not of the task, which answers with a mapping: another worker may do
    except Exception as error:
        return {"end": DIED, "why": f"{type(error).__name__} on the worker: {error}"}
