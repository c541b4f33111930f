"""The history of a training for people: a line per epoch, and TensorBoard."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pandas as pd

from ..parallel.progress import Progress


def epoch_line(history: pd.DataFrame, stream: TextIO | None = None) -> None:
    """Write a line about the last epoch: number, loss, validation scores, rate, seconds."""
    row = history.iloc[-1]
    scores = "  ".join(
        f"{name.removeprefix('val_')} {row[name]:+.3f}"
        for name in history
        if name.startswith("val_")
    )
    (stream or sys.stdout).write(
        f"epoch {row['epoch']:.0f}  loss {row['loss']:.4f}  {scores}  lr {row['lr']:.1e}  "
        f"{row['seconds']:.1f} s\n"
    )


class EpochProgress:
    """For `Trainer.on_step`: progress of an epoch, and the remaining time.

    One line updated in place if there is a browser; in a log an occasional line, none for epochs of
    less than half a minute (see `lib.parallel.progress.Progress`).
    """

    def __init__(self, epochs: int, stream: TextIO | None = None, live: bool | None = None):
        self.epochs, self.options = epochs, {"stream": stream, "live": live, "last": False}
        self.epoch, self.progress = 0, None

    def __call__(self, epoch: int, done: int, total: int) -> None:
        if epoch != self.epoch:
            label = f"epoch {epoch} of {self.epochs}, batch"
            self.epoch, self.progress = epoch, Progress(label, before=done, **self.options)
        self.progress(done, total)


def tensorboard(folder: Path) -> list[Callable]:
    """If TensorBoard is installed: a function for `Trainer.on_epoch` that writes its files."""
    if importlib.util.find_spec("tensorboard") is None:
        return []
    from torch.utils.tensorboard import SummaryWriter

    def write(history: pd.DataFrame) -> None:
        row = history.iloc[-1].to_dict()
        with SummaryWriter(str(Path(folder) / "tensorboard")) as writer:
            for name, value in row.items():
                writer.add_scalar(name, value, int(row["epoch"]))

    return [write]
