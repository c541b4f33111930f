"""Map a function over trials or videos: in this process, or in processes of this machine.

Workers start from a clean server process (``forkserver``; ``spawn`` where there is none). A plain fork would
copy a notebook's threads (IPython, torch, OpenCV), which can hang, and cannot use a GPU; the server imports
the function's module once and each worker then starts in milliseconds. So `function` must be importable: one
of `lib`, not one that was defined in a notebook.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait as wait_for_end

from lib.errors import InputError

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Outcome:
    """What became of one item: `value` of the function, or the `error` that it raised; `seconds` it took."""

    item: object
    value: object = None
    error: Exception | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.error is None


def map(function: Callable, items: Iterable, workers: int = 1, progress: Callable | None = None,
        catch: tuple[type[Exception], ...] = (InputError,), name: Callable = str) -> list[Outcome]:
    """``function(item)`` for every item; one bad item does not stop the others.

    Arguments
    ---------
    function : importable function (or `functools.partial` of one) of one item; items and results are pickled.
    workers : 1 works in this process; 0 is one a processor. More than the number of items are not started.
    progress : called as ``progress(done, total, outcome)`` in this process, in the order of completion.
    catch : exceptions that become the `error` of their item. Any other one stops everything and is raised.
    name : what an item is called in messages.

    Returns the outcomes in the order of the items. A worker that dies (no memory) costs its own item only.
    Raises InputError at once when the disk is full: every other item would fail in the same way.
    """
    items = list(items)
    workers = min(workers or available_processors(), len(items))
    done: list[Outcome | None] = [None] * len(items)
    finished = _in_this_process(function, items, catch) if workers <= 1 else \
        _in_processes(function, items, workers, catch, name)
    with closing(finished):  # whatever stops this loop also ends the workers, at once
        for count, (index, outcome) in enumerate(finished, 1):
            done[index] = outcome
            if progress:
                progress(count, len(items), outcome)
    return done


def available_processors() -> int:
    """Processors that this process may use (a container or a batch system may grant fewer than there are)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_this_process(function, items, catch):
    for index, item in enumerate(items):
        yield index, _one(function, item, catch)


def _one(function: Callable, item: object, catch: tuple) -> Outcome:
    """Run one item; also the body of a worker, so that an error keeps its cause until it has been judged."""
    start = time.perf_counter()
    try:
        return Outcome(item, function(item), None, time.perf_counter() - start)
    except (OSError, *catch) as error:
        if _is_full_disk(error):
            raise _disk_full(error) from error
        if not isinstance(error, catch):
            raise
        return Outcome(item, None, error, time.perf_counter() - start)


class DiskFull(InputError):
    """No space left: an InputError that ends the whole map."""

    def __reduce__(self):
        return partial(DiskFull, where=self.where, expected=self.expected, todo=self.todo), (self.what,)


def _disk_full(error: Exception) -> DiskFull:
    if isinstance(error, InputError):
        return DiskFull(error.what, where=error.where, expected=error.expected, todo=error.todo)
    return DiskFull("no space left on the device", where=getattr(error, "filename", None) or "",
                    todo="free some space and start again: what was finished is kept")


def _is_full_disk(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            return True
        error = error.__cause__ or error.__context__
    return False


def _in_processes(function, items, workers, catch, name):
    """Yield ``(index, outcome)`` as they come."""
    waiting = list(range(len(items)))[::-1]
    while waiting:
        suspects: list[int] = []
        for index, outcome in _until_a_death(function, items, waiting, suspects, workers, catch):
            yield index, outcome
        # Which of the items under way ended its process is not known: each is tried again by itself.
        for index in suspects:
            dead: list[int] = []
            alone = list(_until_a_death(function, items, [index], dead, 1, catch))
            yield alone[0] if alone else (index, Outcome(items[index], None, _death(name(items[index]))))


def _death(item: str) -> InputError:
    return InputError("the process that worked on this died (most often: not enough memory)", where=item,
                      todo="close other programs or set `workers: 1`, then run again: the others are kept")


def _until_a_death(function, items, waiting, suspects, workers, catch):
    """Work through `waiting`, from its end, with a fresh pool; what a death interrupted goes to `suspects`.

    Only `workers` items at a time are handed to the pool, so that a death has few suspects.
    """
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=_context(function), initializer=_prepare_worker,
                               initargs=(max(1, available_processors() // workers),))
    running: dict[Future, int] = {}
    whole = False
    try:
        while (waiting or running) and not suspects:
            while waiting and len(running) < workers:
                future = pool.submit(_one, function, items[waiting[-1]], catch)
                running[future] = waiting.pop()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                index = running.pop(future)
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    suspects += [index, *running.values()]
                    running.clear()
                    break
                yield index, outcome
        whole = not suspects
    except BrokenProcessPool:  # the pool broke between two results: submit() says so
        suspects += running.values()
    finally:
        _close(pool, set(multiprocessing.active_children()) - others, whole)


def _close(pool: ProcessPoolExecutor, processes: set, whole: bool) -> None:
    """End the workers; after an error or Ctrl-C without waiting for what they are doing."""
    if not whole:
        for process in processes:
            process.terminate()
    pool.shutdown(wait=whole, cancel_futures=True)
    if not whole:
        end = time.monotonic() + 5
        for process in processes:
            process.join(max(0.0, end - time.monotonic()))
            if process.is_alive():
                process.kill()


def _context(function: Callable):
    methods: Sequence[str] = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    while isinstance(function, partial):
        function = function.func
    if function.__module__ == "__main__":
        raise InputError(f"{function.__name__} is defined in this notebook, other processes cannot import it",
                         todo="move it to a module of lib, or use workers=1")
    context.set_forkserver_preload(["lib.cluster", function.__module__])
    return context


def _prepare_worker(threads: int) -> None:
    """In a new worker: its share of the processors, a clean end, no life without its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that unfinished files are removed
    for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
        os.environ[f"{library}_NUM_THREADS"] = str(threads)
    # Libraries that are imported already have read the environment.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    wait_for_end([multiprocessing.parent_process().sentinel])
    os._exit(1)
