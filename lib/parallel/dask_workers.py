"""The pool `each` on Dask's workers instead of our own processes, on this machine or on any Dask
cluster.

This module needs the package `distributed`; `lib.parallel.mapping` imports it only when somebody
asks for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import pickle
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker

from distributed import Client, KilledWorker, LocalCluster, WorkerPlugin, wait

from ..errors import InputError
from . import processes, remote, threads

PATIENCE = 60.0  # s until a worker of this machine must stand: the first one, or any again
POLL_SECONDS = 0.25  # s between two looks at how many workers there are
FETCH = 10.0  # s within which an answer must be fetched from its worker
ANSWERED = ("finished", "error", "cancelled")  # not "lost", which Dask's `done` takes for done
TELL = 1.0  # s between two reports to the scheduler of how many items are left


def each(
    function: Callable,
    items: list,
    workers: int,
    cluster: object = None,
    tries: int = 1,
    growing: bool = False,
) -> Iterator[tuple[int, object]]:
    """Yield ``(index, function(items[index]))`` as results arrive; arguments and guarantees are
    those of `processes.each`.

    cluster : an open Dask cluster or the address of its scheduler; it stays open and decides itself
        how many workers it has. None starts `workers` on this machine, one thread each, and ends
        them.
    tries : how many workers an item may lose before `Death` is returned instead of its value. A
        scheduler that is given by its address is also told how many items are left.
    """
    if cluster is None and (workers <= 1 or (len(items) <= 1 and not growing)):
        yield from ((index, function(item)) for index, item in enumerate(items))
        return
    processes.must_be_importable(function)
    with contextlib.ExitStack() as stack:
        most = workers if growing else min(workers, len(items))
        cluster = cluster or stack.enter_context(local(most))
        client = stack.enter_context(Client(cluster, set_as_default=False))
        client.register_plugin(WorkerSetup())
        tell = isinstance(cluster, str)
        if tell:
            stack.callback(client.set_metadata, remote.ITEMS_LEFT_NAME, 0)
        patience = PATIENCE if isinstance(cluster, LocalCluster) else float("inf")
        yield from _hand_out(client, function, items, tries, tell, patience)


@contextlib.contextmanager
def local(workers: int) -> Iterator[LocalCluster]:
    """A cluster of `workers` processes of this machine, on free ports; they end with the block,
    however it ends.

    A worker that dies is replaced; its item is not tried again, because it would most often kill
    the next worker, too.
    """
    unused = resource_tracker._resource_tracker._fd is None
    with tempfile.TemporaryDirectory(prefix="dask-", ignore_cleanup_errors=True) as folder:
        try:
            # Workers are added later: an interruption while Dask starts them would leave them
            # behind.
            with LocalCluster(
                n_workers=0,
                threads_per_worker=1,
                host="127.0.0.1",
                memory_limit=0,
                local_directory=folder,
                env={**threads.spin(), **threads.limits(1)},
                silence_logs=logging.CRITICAL,
                dashboard_address=None,
                scheduler_kwargs={"allowed_failures": 0, "dashboard_address": "127.0.0.1:0"},
            ) as cluster:
                cluster.scale(workers)
                _await_one(cluster)
                yield cluster
        finally:
            # Python's tracker of shared memory would keep a notebook's kernel from ending, see
            # `processes`.
            if unused:
                resource_tracker._resource_tracker._stop()


def _await_one(cluster: LocalCluster) -> None:
    try:
        cluster.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError as error:
        raise _no_worker("stood after", PATIENCE, cluster.scheduler_address) from error


def _no_worker(what: str, seconds: float, address: str) -> InputError:
    return InputError(
        f"no Dask worker {what} {seconds:.0f} s",
        where=address,
        todo='use `parallel: processes`; a script needs `if __name__ == "__main__":`',
    )


@dataclass(eq=False)
class _Handed:
    """An item that the worker at `address` has (None: any worker).

    ahead : what that worker computes first. ended : whether it was computed to its end.
    """

    index: int
    address: str | None
    ahead: _Handed | None = None
    ended: bool = False

    def end(self) -> None:
        """Note that it was computed."""
        self.ended, self.ahead = True, None

    def killed(self, death: processes.Death) -> bool:
        """Whether the worker that died was computing this item: it did not only keep it for later,
        or its answer, or compute it anew as its answer was lost with another worker.
        """
        kept = self.ahead is not None and not self.ahead.ended
        return not self.ended and not (kept and death.cause == _cause(self.address))


def _hand_out(
    client: Client, function: Callable, items: list, tries: int, tell: bool, patience: float
) -> Iterator[tuple[int, object]]:
    """Submit items to living workers, to each its next one before its last answer is fetched.
    Raises InputError once no worker has lived for `patience` seconds.

    A worker that dies takes only the item with it that it computed. Each keeps a second one, which
    it begins while its answer travels; not the last ones, which could wait behind a long one, nor
    where an item may lose one worker only: it may kill a second one, which computes the lost answer
    of the one before it.
    """
    waiting, busy, lost = processes.Waiting(items), {}, Counter()
    empty = 0  # looks one after the other at which no worker lived
    answered: list[tuple] = []  # (future, handed)
    last = -TELL
    while waiting.look() or busy or answered:
        if tell and time.monotonic() - last > TELL:  # those who start jobs
            last = time.monotonic()
            client.set_metadata(remote.ITEMS_LEFT_NAME, len(waiting) + len(busy))
        alive = list(client.nthreads())
        empty = 0 if alive else empty + 1
        if empty * POLL_SECONDS > patience:
            # A worker that is killed while Dask starts it is not always replaced.
            raise _no_worker("was left for", patience, client.scheduler.address)
        most = 2 if tries > 1 and len(waiting) > len(alive) else 1
        for address, ahead in _free(client, alive, busy, most):
            if waiting:
                handed = _Handed(waiting.popleft(), address, ahead)
                busy[_submit(client, (function, items[handed.index]), address)] = handed
        yield from _values(answered, busy, waiting, lost, tries)
        if busy:
            with client.as_current(), contextlib.suppress(TimeoutError):
                wait(list(busy), timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")
        answered = [(future, busy[future]) for future in busy if future.status in ANSWERED]
        for future, handed in answered:
            del busy[future]
            if future.status == "finished":
                handed.end()


def _values(
    answered: list[tuple], busy: dict, waiting: processes.Waiting, lost: Counter, tries: int
) -> Iterator[tuple[int, object]]:
    """(index, value or `Death`) of items that were answered; others go back to `busy` or, if they
    may lose a further worker, to `waiting`.
    """
    for future, handed in answered:
        try:
            value = _receive(future)
        except TimeoutError:
            # Its worker died with it: Dask computes it anew, beside the others.
            busy[future] = handed
            continue
        died = isinstance(value, processes.Death)
        lost[handed.index] += died and handed.killed(value)
        if died and lost[handed.index] < tries:
            waiting.append(handed.index)  # behind the others: it may be what kills workers
            continue
        yield handed.index, value


def _free(
    client: Client, alive: list[str], busy: dict, most: int
) -> list[tuple[str | None, _Handed | None]]:
    """(address, its last item or None) of the workers `alive` that have fewer than `most` items,
    those without any first. None while it is unknown which worker has an item that any worker could
    take, or whose worker left before it began; (None, None), any worker, where none lives and
    nothing was given.
    """
    if not alive and not busy:
        return [(None, None)]
    items: dict[str, list[_Handed]] = {address: [] for address in alive}
    holders = {future.key: handed.address for future, handed in busy.items()}
    if not all(address in items for address in holders.values()):
        processing = client.processing()
        address_of = {str(key): address for address, keys in processing.items() for key in keys}
        holders = {key: address_of.get(str(key)) for key in holders}
    if not all(address in items for address in holders.values()):
        return []
    for future, handed in busy.items():
        items[holders[future.key]].append(handed)
    free = [address for address in items if len(items[address]) < most]
    free.sort(key=lambda address: len(items[address]))
    return [(address, items[address][-1] if items[address] else None) for address in free]


def _submit(client: Client, task: tuple, address: str | None):
    """A future of the task on that worker, or on any other one if that worker has left."""
    # Pickled to bytes: Dask would search lists and dictionaries for parts of its own graphs.
    return client.submit(
        processes.answer,
        pickle.dumps(task),
        pure=False,
        workers=[address] if address else None,
        allow_other_workers=bool(address),
    )


def _receive(future) -> object:
    """The result of an item. Raises TimeoutError if it cannot be fetched any more."""
    try:
        value, error = pickle.loads(future.result(timeout=FETCH))
    except KilledWorker as killed:
        return processes.Death(_cause(killed.last_worker.address))
    if error is not None:
        raise error
    return value


def _cause(address: str | None) -> str:
    """How the death of that worker is told."""
    return f"Dask worker {address}"


class WorkerSetup(WorkerPlugin):
    """Worker plugin: signals and environment at start, clean-up at the end."""

    name = "setup"
    idempotent = True  # else each `map` would end what workers still do for an earlier one

    def setup(self, worker) -> None:
        """Ignore Ctrl-C, which the parent handles; `map` inside an item must not use the cluster
        again.
        """
        os.environ.pop(remote.VARIABLE, None)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def teardown(self, worker) -> None:
        """Stop the item in hand, so that its `finally` removes unfinished files."""
        for thread in list(worker.active_threads):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread), ctypes.py_object(SystemExit)
            )
