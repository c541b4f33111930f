"""The batches of a training: prepared in this process, or by processes that are started once.

The processes are spawned: a fork would copy a notebook's threads (IPython, PyTorch, OpenCV), which
can hang, and a forked process cannot use a GPU. They stay until the training ends, and each is told
of a batch all that it depends on.
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
IN_FLIGHT = 4  # batches of a process that may be there: two ahead, one in use, one being made
GRACE = 20  # s that a process goes on after SIGTERM, which a batch system sends to all at once


@dataclass(frozen=True)
class Task:
    """What a batch depends on: its number in an epoch, the numbers of its windows in the epoch's
    table and the windows themselves, and what the recipe has learnt so far.
    """

    epoch: int | None
    number: int
    rows: tuple[int, ...]
    windows: tuple[SimpleNamespace, ...]
    statistics: dict


class Batches(torch.utils.data.Dataset):
    """The batches of an epoch by number: always the same, whoever prepares them."""

    def __init__(self, recipe, windows: pd.DataFrame, rows: list[np.ndarray], epoch: int | None):
        self.recipe, self.rows, self.epoch = recipe, rows, epoch
        self.windows = list(windows.itertuples(index=False))

    def __len__(self) -> int:
        return len(self.rows)

    def task(self, number: int) -> Task:
        """What another process needs for batch `number`."""
        rows = tuple(map(int, self.rows[number]))
        # Named tuples of pandas cannot be sent to another process.
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
    """Processes that prepare the batches of a training; 0: the training's own does.

    On a CPU the training's process has all processors already. asked : the parameter `workers`, 0
    for one a processor; 1 works in this process, as everywhere. sharers : trainings side by side.
    """
    if device.type == "cpu":
        return 0
    share = (asked or processes.available_processors()) // sharers
    return share if share > 1 else 0


class Loader:
    """Gives the batches of one epoch after the other; its processes start with the first one.

    recipe : prepares them; its copy in a process opens its arrays for itself. count : processes, 0
    for none. pinned : in memory that a GPU reads while the next step is prepared.
    """

    def __init__(self, recipe, count: int, pinned: bool = False):
        self.recipe, self.count, self.pinned = recipe, count, pinned
        self._order: list[Task] = []
        self._loader: torch.utils.data.DataLoader | None = None

    def batches(self, batches: Batches, start: int = 0) -> Iterator[dict[str, torch.Tensor]]:
        """The batches from number `start` on, in their order.

        Where memory for fewer processes can be shared than were asked for (a container without, or
        with a small, /dev/shm), this is told, and fewer or none are started. Raises InputError
        where that memory is filled by others later on.
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
        """Make the loader with as many processes as there is shared memory for such batches."""
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
        """End the processes, whoever still holds the iterator."""
        iterator = getattr(self._loader, "_iterator", None)
        if iterator is not None:
            iterator._shutdown_workers()
        self._loader = None


def shared_room(size: int) -> tuple[int, str]:
    """For how many processes there is memory to share batches of `size` bytes through, and why not
    for more. Where it is too small, PyTorch's processes end with "Bus error", or wait for ever.
    """
    try:
        multiprocessing.get_context("spawn").Lock()
    except OSError as error:
        return 0, f"no memory can be shared with others here (/dev/shm: {error.strerror})"
    if not os.path.isdir(SHARED_MEMORY):  # macOS, Windows: as large as the memory
        return sys.maxsize, ""
    status = os.statvfs(SHARED_MEMORY)
    free = status.f_bavail * status.f_frsize
    told = f"{SHARED_MEMORY} has {free / 1e6:.0f} MB free (docker run --shm-size=8g gives more)"
    return free // max(1, size * IN_FLIGHT), told


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
    """A stop is for the training to handle, which ends this process after the batch in hand."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))
    cv2.setNumThreads(1)
