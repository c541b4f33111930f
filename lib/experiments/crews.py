"""``torchrun --nproc-per-node n -m lib run …``: one experiment by several processes, of which the
first one writes.

The first process runs all notebooks. When it comes to 05 it tells the others, which execute 05
beside it: with a runs folder of their own in a temporary place, in which the other runs and the
checkpoints are the real ones.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from .. import files
from .experiment import TRAIN, Experiment
from .notebook import execute

# in the environment: trainings one after the other must not answer each other
TRAINING = "TRAINING_NUMBER"


@lru_cache(maxsize=1)
def current() -> Crew:
    """The processes that torchrun started this one with; without torchrun this one alone."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Crew(0, 1, None)
    from ..parallel import ranks  # only here: PyTorch is large

    return Crew(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), ranks.store("crew"))


class Crew:
    """This process (`rank`) among `size`; `store` is what they leave messages in."""

    def __init__(self, rank: int, size: int, store):
        self.rank, self.size, self.store, self.count = rank, size, store, 0
        self.elsewhere: Callable | None = None  # trains in a job, see `sharing`

    @property
    def follows(self) -> bool:
        """Whether this process only helps in training."""
        return self.rank > 0

    def has_planned(self) -> None:
        """All look at the run folders before the first one changes them."""
        if self.size > 1:
            self.store.set(f"planned {self.rank}", "yes")
            self.store.wait([f"planned {rank}" for rank in range(self.size)])

    def trains(self, experiment: Experiment) -> None:
        """The first process is about to execute 05 of this experiment: the others do, too."""
        if self.size > 1:
            (experiment.run.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
            self._say(f"train {experiment.run.name}")
            os.environ[TRAINING] = str(self.count)

    def ends(self) -> None:
        """The first process is done with everything, in whatever way."""
        if self.size > 1:
            self._say("end")

    def _say(self, text: str) -> None:
        self.store.set(f"message {self.count}", text)
        self.count += 1

    def follow(self, planned: list[Experiment], run: Callable = execute) -> int:
        """What the others do: 05 whenever the first process does it. Returns the exit status 0."""
        known = {experiment.run.name: experiment for experiment in planned}
        while True:
            text = self.store.get(f"message {self.count}").decode()
            self.count += 1
            if text == "end":
                return 0
            os.environ[TRAINING] = str(self.count)
            with tempfile.TemporaryDirectory(prefix="rank-") as place:
                _beside(known[text.removeprefix("train ")], Path(place), run)


def _beside(experiment: Experiment, place: Path, run: Callable) -> None:
    """Execute 05 without writing into the run folder."""
    real, root = files.resolve(experiment.values["runs_root"]), place / "runs"
    own = root / experiment.run.name
    own.mkdir(parents=True)
    for other in real.iterdir():
        if other.name != own.name:
            (root / other.name).symlink_to(other.absolute())
    (own / "checkpoints").symlink_to((experiment.run.folder / "checkpoints").absolute())
    values = {**experiment.read_by(TRAIN), "runs_root": str(root)}
    run(
        experiment.notebooks / f"{TRAIN}.ipynb", place / f"{TRAIN}.ipynb", values, lambda line: None
    )
