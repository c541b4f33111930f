"""Map a function over trials or videos: in this process, in processes, or on Dask's workers."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from ..errors import FULL_DISK, InputError, full_disk, full_gpu
from . import memory, processes, remote


@dataclass(frozen=True)
class Outcome:
    """What became of an item: the `value` that the function returned or the `error` that it raised,
    and `seconds`.
    """

    item: object
    value: object = None
    error: Exception | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.error is None


def map(
    function: Callable,
    items: Iterable,
    workers: int = 1,
    progress: Callable | None = None,
    catch: tuple[type[Exception], ...] = (Exception,),
    name: Callable = str,
    parallel: object = "processes",
    environments: Sequence[Mapping[str, str]] = (),
    networks: bool = False,
    then: Callable[[Outcome], Iterable] | None = None,
) -> list[Outcome]:
    """``function(item)`` for every item; one bad item does not stop the others.

    Arguments
    ---------
    function : importable function (or `functools.partial` of one) of one item; items and results
        are pickled.
    workers : 1 works in this process; 0 means one per processor. Never more workers than items are
        started.
    progress : called as ``progress(done, total, outcome)`` in this process, in the order of
        completion.
    catch : exceptions that become the `error` of their item, always as an InputError that keeps the
        `traceback` as text: one unexpected trial must not cost a night of work. Any other exception
        stops everything and is raised.
    name : what an item is called in messages.
    parallel : what the workers are: "processes" of this machine; "dask", the same from Dask's
        LocalCluster; or an open Dask cluster of any kind, which has its own number of workers. The
        values do not depend on it.
    environments : for processes only: variables that each worker has in addition to this process's
        environment, such as the GPU that it sees.
    networks : whether the function computes with networks, for which a cluster may have jobs with
        GPUs.
    then : a function of an outcome that returns further items; they are handed out before the
        waiting ones.

    If `lib run --cluster` opened a cluster (`lib.parallel.remote`), its workers do the work,
    whatever `workers` and `parallel` (unless it is a cluster) say, and an item whose worker is lost
    is tried again.

    Returns the outcomes in the order of the items, those of further items at the end. A worker that
    dies (out of memory) costs only its own item. Raises InputError at once when the disk is full,
    because every other item would fail in the same way, and when Dask is asked for but not
    installed.
    """
    items = list(items)
    done: list[Outcome | None] = [None] * len(items)
    work = partial(_one, function, catch)
    workers = workers or processes.available_processors()
    each = _workers(parallel, environments, networks)
    # Closing the generator ends the workers at once, whatever stopped this loop.
    with closing(each(work, items, workers, growing=then is not None)) as finished:
        for count, (index, outcome) in enumerate(finished, 1):
            done[index] = _with_item(outcome, items[index], name)
            further = list(then(done[index])) if then else []
            items += further
            done += [None] * len(further)
            if progress:
                progress(count, len(items), done[index])
    return done


def _workers(
    parallel: object, environments: Sequence[Mapping[str, str]] = (), networks: bool = False
) -> Callable:
    """`processes.each`, or its counterpart on Dask's workers."""
    cluster = remote.current() if isinstance(parallel, str) else None
    if cluster:
        address = cluster.gpu if networks else cluster.cpu
        return partial(with_dask("--cluster").each, cluster=address, tries=cluster.tries)
    if parallel == "processes":
        return partial(processes.each, environments=environments)
    dask_workers = with_dask("parallel: dask")
    return dask_workers.each if parallel == "dask" else partial(dask_workers.each, cluster=parallel)


def with_dask(asked_by: str):
    """The module `lib.parallel.dask_workers`. Raises InputError if Dask is not installed."""
    try:
        from . import dask_workers
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("dask", "distributed"):
            raise
        raise InputError(
            f"the package {error.name} is not installed",
            where=asked_by,
            todo='pip install -e ".[cluster]", or use `parallel: processes`',
        ) from error
    return dask_workers


def _with_item(outcome: Outcome | processes.Death, item: object, name: Callable) -> Outcome:
    """The outcome with the item itself instead of its pickled copy; a `Death` becomes an error."""
    if isinstance(outcome, Outcome):
        if outcome.error is not None and not outcome.error.where:
            outcome.error.where = name(item)
        return Outcome(item, outcome.value, outcome.error, outcome.seconds)
    error = InputError(
        f"the process that worked on this died ({outcome.cause}; most often: not enough memory)",
        where=name(item),
        todo="close other programs or set `workers: 1`, then run again: the others are kept",
    )
    return Outcome(item, None, error)


def _one(function: Callable, catch: tuple, item: object) -> Outcome:
    """Run one item, in the worker: an error becomes an outcome while it still has its cause."""
    start = time.perf_counter()
    try:
        return Outcome(None, function(item), None, time.perf_counter() - start)
    except (OSError, *catch) as error:
        if _is_full_disk(error) and not isinstance(error, InputError):
            raise full_disk(getattr(error, "filename", None) or "") from error
        if type(error).__name__ == "OutOfMemoryError":  # of PyTorch, which need not be installed
            raise full_gpu(str(error)) from error
        if _is_full_disk(error) or _is_full_gpu(error) or not isinstance(error, catch):
            raise
        return Outcome(None, None, _explained(error), time.perf_counter() - start)
    finally:
        memory.give_back_freed()


def _explained(error: Exception) -> InputError:
    """The error with its traceback as text, which is lost on the way to another process."""
    story = "".join(traceback.format_exception(error))
    if not isinstance(error, InputError):
        error = InputError(
            f"{type(error).__name__}: {error}",
            todo="the program was not prepared for this file: its "
            "traceback stands in failures.csv; leave the file out, or report it",
        )
    error.traceback = story
    return error


def _is_full_gpu(error: BaseException) -> bool:
    return isinstance(error, InputError) and error.cause == "gpu"


def _is_full_disk(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            return True
        error = error.__cause__ or error.__context__
    return False
