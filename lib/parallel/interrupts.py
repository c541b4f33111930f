"""Ctrl-C and SIGTERM as a request that is granted at a good moment."""

from __future__ import annotations

import contextlib
import signal
from typing import Self


class Interrupts:
    """Turns the first Ctrl-C or SIGTERM into a wish (`asked`) that is granted later, for example
    between batches; the second one acts.
    """

    def __init__(self):
        self.asked, self.before = False, {}

    def __enter__(self) -> Self:
        # Not in the main thread, whoever runs us there handles signals.
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
