"""Data loader: the batches of a training, prepared in this process or by workers that are started
once.

The workers are spawned: forked ones would copy a notebook's threads (IPython, PyTorch, OpenCV),
which can hang, and could not use a GPU. They live until the training ends, and each batch is sent
to them with everything that it depends on.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import torch

from ..errors import InputError
from ..parallel import processes

SHARED_MEMORY = "/dev/shm"  # of Linux
IN_FLIGHT = 4  # batches of a worker in memory: two ahead, one in use, one being made
GRACE = 20  # s that a worker goes on after SIGTERM, which a batch system sends to all


@dataclass(frozen=True)
class Task:
    """Everything a batch depends on: its number in the epoch, the row numbers of its windows in the
    epoch's table, the windows themselves, and the recipe's statistics.
    """

    epoch: int | None
    number: int
    rows: tuple[int, ...]
    windows: tuple[SimpleNamespace, ...]
    statistics: dict


class Batches(torch.utils.data.Dataset):
    """The batches of an epoch by number: the same whichever process prepares them."""

    def __init__(self, recipe, windows: pd.DataFrame, rows: list[np.ndarray], epoch: int | None):
        self.recipe, self.rows, self.epoch = recipe, rows, epoch
        self.windows = list(windows.itertuples(index=False))

    def __len__(self) -> int:
        return len(self.rows)

    def task(self, number: int) -> Task:
        """The message to a worker for batch `number`."""
        rows = tuple(map(int, self.rows[number]))
        # pandas' named tuples cannot be pickled.
        windows = tuple(SimpleNamespace(**self.windows[row]._asdict()) for row in rows)
        return Task(self.epoch, number, rows, windows, self.recipe.statistics)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        return prepare(self.recipe, self.task(number))


def prepare(recipe, task: Task) -> dict[str, torch.Tensor]:
    """The tensors of a batch."""
    examples = [
        recipe.example(window, _generator(recipe, task, row))
        for row, window in zip(task.rows, task.windows, strict=True)
    ]
    return recipe.collate(examples, _generator(recipe, task, task.number, 1))


def _generator(recipe, task: Task, *numbers: int) -> np.random.Generator | None:
    if task.epoch is None:
        return None
    return np.random.default_rng([recipe.params.seed, task.epoch, 3, *numbers])


def workers(asked: int, device: torch.device, sharers: int = 1) -> int:
    """Number of workers that prepare batches; 0: the training's own process does.

    On a CPU the training itself uses all processors, so there are none. asked : the parameter
    `workers`, 0 for one per processor; 1 works in this process, as everywhere. sharers : number of
    trainings side by side.
    """
    if device.type == "cpu":
        return 0
    share = (asked or processes.available_processors()) // sharers
    return share if share > 1 else 0


class Loader:
    """Yields the batches of each epoch; its workers start with the first epoch.

    recipe : prepares the batches; its copy in a worker opens the arrays itself. count : workers, 0
    for none. pinned : in page-locked memory, which a GPU can read while the next step is prepared.
    """

    def __init__(self, recipe, count: int, pinned: bool = False):
        self.recipe, self.count, self.pinned = recipe, count, pinned
        self._order: list[Task] = []
        self._loader: torch.utils.data.DataLoader | None = None

    def batches(self, batches: Batches, start: int = 0) -> Iterator[dict[str, torch.Tensor]]:
        """The batches from number `start` on, in their order.

        If shared memory suffices for fewer workers than were asked for (a container with a small
        /dev/shm, or none), a line says so, and fewer or none are started. Raises InputError if
        other processes fill that memory later.
        """
        numbers = range(start, len(batches))
        if self.count and self._loader is None and numbers:
            self._start(batches[start])
        if self._loader is not None:
            self._order[:] = [batches.task(number) for number in numbers]
            with _shared_memory_explained():
                yield from self._loader
            return
        for number in numbers:
            batch = batches[number]
            pins = self.pinned
            yield {n: tensor.pin_memory() if pins else tensor for n, tensor in batch.items()}

    def _start(self, batch: Mapping[str, torch.Tensor]) -> None:
        """Start as many workers as there is shared memory for such batches."""
        room, why = shared_room(sum(tensor.nbytes for tensor in batch.values()))
        if room < self.count:
            self.count = room if room > 1 else 0
            which = f"{self.count} processes" if self.count else "this process"
            sys.stdout.write(f"batches are prepared by {which}, which takes longer: {why}\n")
        if self.count:
            self._loader = torch.utils.data.DataLoader(
                _Prepared(self.recipe),
                batch_size=None,
                sampler=self._order,
                num_workers=self.count,
                pin_memory=self.pinned,
                persistent_workers=True,
                multiprocessing_context="spawn",
                worker_init_fn=_begin,
            )

    def close(self) -> None:
        """End the workers, even if the iterator is still referenced."""
        iterator = getattr(self._loader, "_iterator", None)
        self._loader = None
        # A worker that dies while it ends ("terminate called without an active exception", of
        # PyTorch's threads) is reported as an error here. Nobody waits for its batches any more,
        # and it must not hide the error that a training ends with. The others are ended as well.
        with contextlib.suppress(RuntimeError):
            if iterator is not None:
                iterator._shutdown_workers()


def shared_room(size: int) -> tuple[int, str]:
    """For how many workers the shared memory suffices, with batches of `size` bytes, and why not
    for more. With too little of it PyTorch's workers end with "Bus error", or wait for ever.
    """
    try:
        multiprocessing.get_context("spawn").Lock()
    except OSError as error:
        return 0, f"no memory can be shared with others here (/dev/shm: {error.strerror})"
    if not os.path.isdir(SHARED_MEMORY):  # macOS, Windows: limited only by the memory
        return sys.maxsize, ""
    status = os.statvfs(SHARED_MEMORY)
    free = status.f_bavail * status.f_frsize
    note = f"{SHARED_MEMORY} has {free / 1e6:.0f} MB free (docker run --shm-size=8g gives more)"
    return free // max(1, size * IN_FLIGHT), note


@contextlib.contextmanager
def _shared_memory_explained() -> Iterator[None]:
    """Turn PyTorch's errors of a full /dev/shm into an InputError that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if not re.search("shared memory|Bus error|shm", str(error)):
            raise
        raise InputError(
            "processes that prepare batches found no room in the memory that they share",
            where=SHARED_MEMORY,
            expected="a few batches for each of them (docker run gives 64 MB)",
            todo="set `workers: 1`, a smaller batch_size, or `docker run --shm-size=8g`; the last "
            "checkpoint is whole",
        ) from error


class _Prepared(torch.utils.data.Dataset):
    def __init__(self, recipe):
        self.recipe = recipe

    def __getitem__(self, task: Task) -> dict[str, torch.Tensor]:
        self.recipe.statistics = task.statistics
        return prepare(self.recipe, task)


def _begin(number: int) -> None:
    """Start of a worker: ignore stop signals, since the training handles them and ends this process
    after the batch in hand.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))
    cv2.setNumThreads(1)
