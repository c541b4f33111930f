"""A process pool of spawned workers that talk to the parent over one pipe each.

Workers import the module of the function, so it must be importable. Forked workers would copy a
notebook's threads (IPython, torch, OpenCV), which can hang, and could not use a GPU.
`multiprocessing` is not used because its resource tracker keeps a notebook's kernel from ending for
14 s (ipykernel 7.4, measured).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, Pipe, wait

from ..errors import InputError
from . import threads as parallel_threads

GRACE = 5.0  # s that a worker has to remove unfinished files before it is killed
GONE = (EOFError, BrokenPipeError, ConnectionResetError)


@dataclass(frozen=True)
class Death:
    """Returned instead of a value when the worker process died; `cause` says how."""

    cause: str


@dataclass(eq=False)
class _Worker:
    """A worker process, the parent's end of its pipe, and the index of its current item."""

    process: subprocess.Popen
    pipe: Connection
    environment: Mapping[str, str]
    index: int = -1


def each(
    function: Callable,
    items: list,
    workers: int,
    environments: Sequence[Mapping[str, str]] = (),
    growing: bool = False,
) -> Iterator[tuple[int, object]]:
    """Yield ``(index, function(items[index]))`` as results arrive.

    Arguments
    ---------
    function : importable function of one item (or a `functools.partial` of one); items and values
        are pickled.
    workers : number of processes; never more than items are started. 1 works in this process.
    environments : one per worker; a worker that replaces a dead one gets the dead one's.
    growing : whether items may be appended to the list after a value was yielded; they are handed
        out before the waiting ones.

    Each worker has one item at a time. When a worker dies (out of memory), its item gets a `Death`
    instead of a value and a new worker takes over. An exception of the function ends all workers
    and is raised; closing the iterator ends them, too.
    """
    # On Windows a pipe's end cannot be passed to a child process.
    if workers <= 1 or (len(items) <= 1 and not growing) or sys.platform == "win32":
        yield from ((index, function(item)) for index, item in enumerate(items))
        return
    must_be_importable(function)
    yield from _in_pool(function, items, workers, deque(environments or [{}] * workers))


def _in_pool(
    function: Callable, items: list, workers: int, free: deque
) -> Iterator[tuple[int, object]]:
    """`each` with several processes. free : an environment for each of them."""
    waiting, busy, idle, started = Waiting(items), [], [], []
    try:
        while waiting.look() or busy:
            while waiting and len(busy) < workers:
                if not idle:
                    threads = max(1, available_processors() // workers)
                    idle.append(_start(threads, free.popleft()))
                    started.append(idle[-1])
                busy.append(idle.pop())
                _hand_out(busy[-1], function, items, waiting)
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                index, value = worker.index, _receive(worker)
                if isinstance(value, Death):
                    busy.remove(worker)
                    free.append(worker.environment)
                elif not waiting:
                    busy.remove(worker)
                    idle.append(worker)
                else:
                    _hand_out(worker, function, items, waiting)
                yield index, value
    finally:
        _end(started)


class Waiting(deque):
    """Queue of the indices of items that no worker has begun; `look` puts items that were appended
    to the list meanwhile first.
    """

    def __init__(self, items: list):
        super().__init__(range(len(items)))
        self._items, self._known = items, len(items)

    def look(self) -> bool:
        """Whether any item waits."""
        self.extendleft(range(len(self._items) - 1, self._known - 1, -1))
        self._known = len(self._items)
        return bool(self)


def available_processors() -> int:
    """Processors that this process may use (a container or batch system may grant fewer)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def must_be_importable(function: Callable) -> None:
    """Raise InputError for a function that is defined in a notebook: workers cannot import it."""
    if isinstance(function, partial):
        for part in (function.func, *filter(callable, function.args)):
            must_be_importable(part)
    elif getattr(function, "__module__", "") == "__main__":
        raise InputError(
            f"{getattr(function, '__name__', function)} is defined in this notebook or script: "
            "other "
            "processes cannot import it",
            todo="move it to a module of lib, or use workers=1",
        )


# ---- the parent's side
def _start(threads: int, own: Mapping[str, str]) -> _Worker:
    here, there = Pipe()
    environment = {
        **parallel_threads.environment(threads),
        **own,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-c", f"from {__name__} import serve; serve()", str(there.fileno())]
    with there:
        # In a session of its own: the parent handles Ctrl-C, and a kernel that ends does not wait
        # for the worker.
        process = subprocess.Popen(
            command,
            pass_fds=[there.fileno()],
            start_new_session=True,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    return _Worker(process, here, own)


def _hand_out(worker: _Worker, function: Callable, items: list, waiting: deque) -> None:
    worker.index = waiting.popleft()
    with contextlib.suppress(*GONE):  # the worker died: `_receive` notices that and reports it
        worker.pipe.send_bytes(pickle.dumps((function, items[worker.index])))


def _receive(worker: _Worker) -> object:
    try:
        value, error = worker.pipe.recv()
    except GONE:
        status = worker.process.wait(GRACE)
        return Death(f"signal {-status}" if status < 0 else f"exit status {status}")
    if error is not None:
        raise error
    return value


def _end(workers: list[_Worker]) -> None:
    """Ask all workers to end, so that the function's `finally` removes unfinished files; kill those
    that do not.
    """
    for worker in workers:
        worker.pipe.close()
        worker.process.terminate()
    deadline = time.monotonic() + GRACE
    for worker in workers:
        try:
            worker.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()


# ---- the worker's side
def serve() -> None:
    """Body of a worker process: take items from the pipe, one at a time, until it is closed."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = Connection(int(sys.argv[1]))
    tasks: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_take, args=(pipe, tasks), daemon=True).start()
    with contextlib.suppress(*GONE):
        while True:
            pipe.send_bytes(answer(tasks.get()))


def _leave(*_) -> None:
    """Exit by an exception, so that `finally` removes unfinished files; ignore further signals."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def _take(pipe: Connection, tasks: queue.SimpleQueue) -> None:
    """Read items in a thread, so that the end of the parent is noticed in the middle of an item."""
    try:
        while True:
            tasks.put(pipe.recv_bytes())
    except (*GONE, OSError):
        os.kill(os.getpid(), signal.SIGTERM)


def answer(task: bytes) -> bytes:
    """Pickle of (value, None), or (None, the error to raise), for a pickled (function, item)."""
    try:
        function, item = pickle.loads(task)
        _limit_threads()
        return pickle.dumps((function(item), None))
    except Exception as error:  # sent to the parent, which raises it
        story = "".join(traceback.format_exception(error))
        error.add_note(story)
        try:
            return pickle.dumps((None, error))
        except (pickle.PicklingError, TypeError, AttributeError):
            return pickle.dumps((None, RuntimeError(story)))


def _limit_threads() -> None:
    """Set the thread limit in libraries that do not read it from the environment."""
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(threads)
