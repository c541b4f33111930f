"""Progress of long steps, for people: a line now and then under papermill, one line that moves in JupyterLab."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import pandas as pd

INTERVAL = 10.0  # s between two lines in a log


class Progress:
    """A callback ``progress(done, total, item)`` that writes ``label 12/24 (50 %) 8 s``.

    stream : where to; sys.stdout by default. `live` lines overwrite each other (JupyterLab, a terminal); in a log
    (papermill) there is one line every `INTERVAL` s, and the last one.
    """

    def __init__(self, label: str, stream: TextIO | None = None, live: bool = False):
        self.label, self.stream, self.live = label, stream or sys.stdout, live
        self.started = self.written = time.monotonic()

    def __call__(self, done: int, total: int, item: object = None) -> None:
        now = time.monotonic()
        if done < total and now - self.written < (0.5 if self.live else INTERVAL):
            return
        self.written = now
        share = f" ({100 * done // total} %)" if total else ""
        line = f"{self.label} {done}/{total}{share} {now - self.started:.0f} s"
        self.stream.write(f"\r{line}" if self.live and done < total else f"{chr(13) * self.live}{line}\n")
        self.stream.flush()


def epoch_line(history: pd.DataFrame, stream: TextIO | None = None) -> None:
    """Write one line about the last epoch: number, loss, validation scores, learning rate, seconds."""
    row = history.iloc[-1]
    scores = "  ".join(f"{name.removeprefix('val_')} {row[name]:+.3f}" for name in history if name.startswith("val_"))
    (stream or sys.stdout).write(f"epoch {row['epoch']:.0f}  loss {row['loss']:.4f}  {scores}  lr {row['lr']:.1e}  "
                                 f"{row['seconds']:.1f} s\n")
