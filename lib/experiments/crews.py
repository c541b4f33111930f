"""``torchrun --nproc-per-node n -m lib run …``: the first process runs the experiment and writes,
the others compute their part of what its notebook 05 trains.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache

from .. import datasets, parameters, recipes, trials
from ..parallel.threads import spin
from . import bookkeeping
from .experiment import TRAIN, Experiment

# in the environment: trainings one after the other must not answer each other
TRAINING = "TRAINING_NUMBER"


@lru_cache(maxsize=1)
def current() -> Crew:
    """The processes that torchrun started this one with; without torchrun this one alone."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Crew(0, 1, None)
    os.environ.update(spin())  # read when PyTorch is imported
    from ..parallel import ranks  # only here: PyTorch is large

    return Crew(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), ranks.store("crew"))


class Crew:
    """This process (`rank`) among `size`; `store` is what they leave messages in."""

    def __init__(self, rank: int, size: int, store):
        self.rank, self.size, self.store, self.count = rank, size, store, 0
        self.elsewhere: Callable | None = None  # trains in a job, see `sharing`

    def has_planned(self) -> None:
        """All look at the run folders before the first one changes them."""
        if self.size > 1:
            self.store.set(f"planned {self.rank}", "yes")
            self.store.wait([f"planned {rank}" for rank in range(self.size)])

    def says(self, text: str) -> None:
        """The first process is about to train the run of that name; "" when it is done with all."""
        if self.size > 1:
            self.store.set(f"message {self.count}", text)
            self._counts()

    def hears(self) -> str:
        """What the first process says next."""
        text = self.store.get(f"message {self.count}").decode()
        self._counts()
        return text

    def _counts(self) -> None:
        self.count += 1
        os.environ[TRAINING] = str(self.count)


def help_to_train(experiment: Experiment) -> None:
    """What notebook 05 computes of an experiment, in this process, without writing anything."""
    from ..training.trainer import Trainer  # only here: PyTorch is large

    own = experiment.read_by(TRAIN)
    placed = parameters.placed(own)
    p = parameters.Params({name: placed[name] for name in own})
    store = datasets.store(p)
    method = recipes.create(p.recipe, p, store)
    table = trials.select(trials.read(store.trials_path), p.trials)
    usable, _ = bookkeeping.usable(method.split(table), method.arrays(), store)
    Trainer(method, usable, experiment.run.folder).fit()
