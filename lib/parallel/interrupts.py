"""Ctrl-C and SIGTERM as a request that is granted at a good moment."""

from __future__ import annotations

import signal


class Interrupts:
    """Turns the first Ctrl-C or SIGTERM into a wish (`asked`) that is granted between batches; the
    second one acts.
    """

    def __enter__(self) -> Interrupts:
        self.asked = False
        self.before = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._note)
        except ValueError:
            pass  # not in the main thread: whoever runs us there handles signals
        return self

    def _note(self, number, frame) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *_) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
