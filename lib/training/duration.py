"""Estimate how long a training takes from its first steps; stop one that would take too long."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ..errors import InputError
from ..parallel.progress import span

TIMED_STEPS = 20  # steps that are timed; the first one, which also plans, is not counted
SHOWN_OPTIONS = ("width", "face_size", "audio_seconds", "batch_size", "epochs", "workers", "device")
OPTIONS = ("frame_step", "tasks")  # of a recipe, where it has them


class Duration:
    """Counts the steps of one call of `Trainer.fit`; `steps` is called after each.

    params : of the training; `hours_at_most` is the limit in h, 0 for none.
    """

    def __init__(self, params: Mapping):
        self.params, self.limit = params, float(params.get("hours_at_most", 0.0))
        self.count, self.began = 0, 0.0
        self.hours = 0.0  # what the whole training will take, once it is known

    def step(self, left: int, later: int) -> bool:
        """Note a step; `left` steps remain in this epoch, `later` in the following ones.

        Returns whether the training will take too long: decided once, after `TIMED_STEPS` steps or
        at the end of the first epoch, before anything is saved.
        """
        self.count += 1
        now = time.monotonic()
        if self.count == 1:
            self.began = now
        judged = bool(self.hours)
        if judged or self.count == 1 or (self.count < TIMED_STEPS and left):
            return False
        seconds = (now - self.began) / (self.count - 1)
        self.hours = seconds * (self.count + left + later) / 3600
        return bool(self.limit) and self.hours > self.limit

    def refusal(self) -> InputError:
        """The error that names the time, the limit and the parameters that cause it."""
        settings = [f"{name} {self.params[name]}" for name in SHOWN_OPTIONS if name in self.params]
        options = self.params.get("options", {})
        settings += [f"{name} {options[name]}" for name in OPTIONS if name in options]
        return InputError(
            f"this training would take {span(3600 * self.hours)}, by the time of its first "
            f"{self.count} steps on this machine; nothing was trained",
            where=", ".join(settings),
            expected=f"at most {self.limit:g} h (`hours_at_most`)",
            todo="a smaller `width`, fewer `epochs`, a larger `frame_step`, another machine; or "
            "hours_at_most 0 for no limit",
        )
