"""Progress of long steps: an occasional line in logs, one line that is updated in place in
JupyterLab.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import TextIO


def clock(seconds: float) -> str:
    """``7.3 s``, ``4 min 05 s``, ``2 h 05 min``: how long something took."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
    return span(seconds)


INTERVAL, TENTH = 30.0, 0.1  # s, and share of the work, between two lines in a log
LIVE = 0.5  # s between two updates of a line in place
BAR = 20  # characters


def is_colab() -> bool:
    """Whether this is a kernel of Google Colab."""
    return "google.colab" in sys.modules


def has_front_end() -> bool:
    """Whether a person with a browser looks at this notebook (JupyterLab, VS Code, Colab).

    Under papermill and in plain Python nobody does: a widget would be lost there.
    """
    import IPython

    shell = IPython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return False
    # Jupyter's server tells the kernels that it starts the notebook's name; papermill starts
    # kernels without a server.
    return any(name in os.environ for name in ("JPY_SESSION_NAME", "VSCODE_PID")) or is_colab()


class Progress:
    """A ``progress(done, total, item)`` that writes ``label 12/24 (50 %) 8 s, 1.5/s, 8 s left``.

    stream : where to write; default sys.stdout. live : lines overwrite each other and have a bar
        (None: if there is a browser). A log (papermill) stays short: a line after `INTERVAL` s,
        then one whenever a further `TENTH` of the work is done and `INTERVAL` s have passed, one
        for each trial that was lost, and a last one unless `last` is false. before : items that
        were done before this start; they do not count for the rate.
    """

    def __init__(
        self,
        label: str,
        stream: TextIO | None = None,
        live: bool | None = None,
        last: bool = True,
        before: int = 0,
    ):
        self.last, self.before, self.shown = last, before, 0.0  # the share at the last line
        self.label, self.stream = label, stream or sys.stdout
        self.live = has_front_end() if live is None else live
        self.started = self.written = time.monotonic()
        self.wide = 0  # characters of the line that is overwritten: a shorter one must cover it

    def __call__(self, done: int, total: int, item: object = None) -> None:
        now = time.monotonic()
        trial = "" if self.live else _trial(item)
        if not self._due(done, total, now, item):
            return
        self.written, self.shown = now, done / total if total else 0.0
        line = f"{self.label} {self._bar(done, total)}{done}/{total}{_share(done, total)}"
        line += f" {trial}" if trial else ""
        line += f" {span(now - self.started)}"
        line += _left(done - self.before, total - self.before, now - self.started)
        if self.live:
            line, self.wide = f"\r{line.ljust(self.wide)}", len(line)
        self.stream.write(line if self.live and done < total else f"{line}\n")
        self.stream.flush()

    def _due(self, done: int, total: int, now: float, item: object) -> bool:
        if self.live:
            return done >= total or now - self.written >= LIVE
        if not getattr(item, "ok", True) or (done >= total and (self.last or not total)):
            return True
        waited = now - self.written >= INTERVAL
        more = not self.shown or done / total > self.shown + TENTH - 1e-9
        return done < total and waited and more

    def _bar(self, done: int, total: int) -> str:
        filled = BAR * done // total if total else 0
        return f"[{'#' * filled}{'.' * (BAR - filled)}] " if self.live and total else ""


def _trial(item: object) -> str:
    """``10-60_left: 4.1 s`` for an outcome, and whether it was lost; "" for items that are no
    outcomes.
    """
    if not hasattr(item, "seconds"):
        return ""
    name = item.item["trial"] if isinstance(item.item, Mapping) else item.item
    return f"{name}: {item.seconds:.1f} s{'' if item.ok else ', LOST'};"


def _share(done: int, total: int) -> str:
    return f" ({100 * done // total} %)" if total else ""


def _left(done: int, total: int, passed: float) -> str:
    """Rate and remaining time, as far as they are known."""
    if not 0 < done < total or passed < 1:
        return ""
    return f", {done / passed:.3g}/s, {span(passed * (total - done) / done)} left"


def span(seconds: float) -> str:
    """``90 s``, ``12 min``, ``2 h 05 min``: how long something will take, about."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
