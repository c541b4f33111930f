"""The batches of a training: prepared in this process, or by processes that are started once.

The processes are spawned: a fork would copy a notebook's threads (IPython, PyTorch, OpenCV), which
can hang, and a forked process cannot use a GPU. They stay until the training ends, and each is told
of a batch all that it depends on.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import torch

from ..parallel import processes

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
        self.pinned, self._order, self._loader = pinned, [], None
        if count:
            self._loader = torch.utils.data.DataLoader(
                _Prepared(recipe),
                batch_size=None,
                sampler=self._order,
                num_workers=count,
                pin_memory=pinned,
                persistent_workers=True,
                multiprocessing_context="spawn",
                worker_init_fn=_begin,
            )

    def batches(self, batches: Batches, start: int = 0) -> Iterator[dict[str, torch.Tensor]]:
        """The batches from number `start` on, in their order."""
        numbers = range(start, len(batches))
        if self._loader is not None:
            self._order[:] = [batches.task(number) for number in numbers]
            yield from self._loader
            return
        for number in numbers:
            batch = batches[number]
            pins = self.pinned
            yield {n: tensor.pin_memory() if pins else tensor for n, tensor in batch.items()}

    def close(self) -> None:
        """End the processes, whoever still holds the iterator."""
        iterator = getattr(self._loader, "_iterator", None)
        if iterator is not None:
            iterator._shutdown_workers()
        self._loader = None


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
