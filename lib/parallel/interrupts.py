"""Ctrl-C and SIGTERM as a stop request that the work honours at a safe point."""

from __future__ import annotations

import contextlib
import signal
from typing import Self


class Interrupts:
    """Record the first Ctrl-C or SIGTERM as a stop request (`asked`), which the caller honours
    later, for example between batches; a second one interrupts at once.
    """

    def __init__(self):
        self.asked, self.before = False, {}

    def __enter__(self) -> Self:
        # Python allows handlers in the main thread only; elsewhere the main thread handles signals.
        with contextlib.suppress(ValueError):
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number, frame) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *_) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
