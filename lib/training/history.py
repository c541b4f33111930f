"""The history of a training for people: a line per epoch, and TensorBoard."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pandas as pd


def epoch_line(history: pd.DataFrame, stream: TextIO | None = None) -> None:
    """Write one line about the last epoch: number, loss, validation scores, learning rate,
    seconds.
    """
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


def tensorboard(folder: Path) -> list[Callable]:
    """Where TensorBoard is installed: a function for `Trainer.on_epoch` that writes
    ``<folder>/tensorboard``.
    """
    if importlib.util.find_spec("tensorboard") is None:
        return []
    from torch.utils.tensorboard import SummaryWriter

    def write(history: pd.DataFrame) -> None:
        row = history.iloc[-1].to_dict()
        with SummaryWriter(str(Path(folder) / "tensorboard")) as writer:
            for name, value in row.items():
                writer.add_scalar(name, value, int(row["epoch"]))

    return [write]
