"""``torchrun --nproc-per-node n -m lib run …``: the first process runs the experiment and writes,
the others only compute their part of every training step of notebook 05.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache

from .. import datasets, parameters, recipes, trials
from ..parallel.threads import spin
from . import bookkeeping
from .experiment import TRAIN, Experiment

# environment variable: which training it is, so that messages of one do not reach the next
TRAINING_VARIABLE = "TRAINING_NUMBER"


@lru_cache(maxsize=1)
def current() -> Process:
    """This process among those that torchrun started; the only one without torchrun."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Process(0, 1, None)
    os.environ.update(spin())  # read when PyTorch is imported
    from ..parallel import ranks  # only here: PyTorch is large

    return Process(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), ranks.store("torchrun"))


class Process:
    """One process: its `rank` among `size`; they exchange messages through `store`."""

    def __init__(self, rank: int, size: int, store):
        self.rank, self.size, self.store, self.count = rank, size, store, 0
        self.elsewhere: Callable | None = None  # trains in a job, see `sharing`

    def wait_for_plans(self) -> None:
        """Barrier: every rank plans its steps before rank 0 writes to the run folders."""
        if self.size > 1:
            self.store.set(f"planned {self.rank}", "yes")
            self.store.wait([f"planned {rank}" for rank in range(self.size)])

    def announce(self, text: str) -> None:
        """Rank 0 tells the others which run it trains next; "" when no more follow."""
        if self.size > 1:
            self.store.set(f"message {self.count}", text)
            self._counts()

    def announced(self) -> str:
        """The next name that rank 0 announces; waits for it."""
        text = self.store.get(f"message {self.count}").decode()
        self._counts()
        return text

    def _counts(self) -> None:
        self.count += 1
        os.environ[TRAINING_VARIABLE] = str(self.count)


def help_to_train(experiment: Experiment) -> None:
    """Take part in the training of notebook 05 as a rank other than 0, which writes no file."""
    from ..training.trainer import Trainer  # only here: PyTorch is large

    values = experiment.read_by(TRAIN)
    placed = parameters.placed(values)
    p = parameters.Params({name: placed[name] for name in values})
    store = datasets.store(p)
    method = recipes.create(p.recipe, p, store)
    table = trials.select(trials.read(store.trials_path), p.trials)
    usable, _ = bookkeeping.usable(method.split(table), method.arrays(), store)
    Trainer(method, usable, experiment.run.folder).fit()
