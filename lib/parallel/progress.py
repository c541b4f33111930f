"""Progress of long steps, for people: a line now and then under papermill, one line that moves in
JupyterLab.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO


def clock(seconds: float) -> str:
    """``7.3 s``, ``4 min 05 s``."""
    return (
        f"{seconds:.1f} s"
        if seconds < 60
        else f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
    )


if TYPE_CHECKING:
    pass


INTERVAL = 10.0  # s between two lines in a log
LIVE = 0.5  # s between two states of a line that moves
BAR = 20  # characters


def has_front_end() -> bool:
    """Is there a person with a browser (JupyterLab, VS Code, Colab)?

    papermill and plain Python have none: a widget would be lost there, and nobody could press its
    buttons.
    """
    import IPython

    shell = IPython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return False
    # Jupyter's server names the notebook to the kernels that it starts; papermill starts kernels
    # without a server.
    return (
        any(name in os.environ for name in ("JPY_SESSION_NAME", "VSCODE_PID"))
        or "google.colab" in sys.modules
    )


class Progress:
    """A callback ``progress(done, total, item)`` that writes ``label 12/24 (50 %) 8 s, 1.5/s, 8 s
    left``.

    stream : where to; sys.stdout by default. `live` lines overwrite each other and have a bar
        (None: where there is a
    person with a browser). A log (papermill) has a line for each trial, that is: each outcome of
    ``cluster.map``, and of smaller things one every `INTERVAL` s, and the last one.
    """

    def __init__(self, label: str, stream: TextIO | None = None, live: bool | None = None):
        self.label, self.stream = label, stream or sys.stdout
        self.live = has_front_end() if live is None else live
        self.started = self.written = time.monotonic()
        self.wide = 0  # characters of the line that is overwritten: a shorter one must cover it

    def __call__(self, done: int, total: int, item: object = None) -> None:
        now = time.monotonic()
        trial = "" if self.live else _trial(item)
        if done < total and not trial and now - self.written < (LIVE if self.live else INTERVAL):
            return
        self.written = now
        line = f"{self.label} {self._bar(done, total)}{done}/{total}{_share(done, total)}"
        line += f" {trial}" if trial else ""
        line += f" {_span(now - self.started)}{_left(done, total, now - self.started)}"
        if self.live:
            line, self.wide = f"\r{line.ljust(self.wide)}", len(line)
        self.stream.write(line if self.live and done < total else f"{line}\n")
        self.stream.flush()

    def _bar(self, done: int, total: int) -> str:
        filled = BAR * done // total if total else 0
        return f"[{'#' * filled}{'.' * (BAR - filled)}] " if self.live and total else ""


def _trial(item: object) -> str:
    """``10-60_left: 4.1 s`` of an outcome, and that it was lost; "" of anything smaller."""
    if not hasattr(item, "seconds"):
        return ""
    name = item.item["trial"] if isinstance(item.item, Mapping) else item.item
    return f"{name}: {item.seconds:.1f} s{'' if item.ok else ', LOST'};"


def _share(done: int, total: int) -> str:
    return f" ({100 * done // total} %)" if total else ""


def _left(done: int, total: int, passed: float) -> str:
    """Rate and time left, as far as they can be known."""
    if not 0 < done < total or passed < 1:
        return ""
    return f", {done / passed:.3g}/s, {_span(passed * (total - done) / done)} left"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
