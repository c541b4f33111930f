"""Record of a sweep: ``sweep.json``, the state of each run, written after every event."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ... import grammar, runs
from ...errors import EXIT_DONE, EXIT_FAILED, EXIT_LOST
from ..experiment import Experiment, record_of
from .facts import NAME, read

PREPARE = ".prepare"  # suffix of a run's name: the task that makes its arrays


def is_finished(experiment: Experiment, before: Mapping, defaults: Mapping) -> bool:
    """Whether an earlier start finished this run with these parameters, and the records of its
    notebooks and what the last one wrote exist.

    defaults : of all parameters, the recipe's options under "options". A parameter that was
        introduced after that run counts as having had its default.
    """
    if before.get("state") != "finished":
        return False
    recorded = runs.parameters(experiment.run.folder)
    recorded = {
        **defaults,
        **recorded,
        "options": {**defaults.get("options", {}), **recorded.get("options", {})},
    }
    without_effect = grammar.of_groups(
        grammar.all_declared(experiment.notebooks), grammar.WITHOUT_EFFECT
    )
    now = {
        name: runs.as_text(value)
        for name, value in experiment.values.items()
        if name not in without_effect
    }
    if any(
        recorded.get(name) != value for name, value in now.items() if value or recorded.get(name)
    ):
        return False
    run, steps = experiment.run, experiment.steps()
    records = [record_of(run, step) for step in steps]
    if not all(record and not record["unfinished"] for record in records):
        return False
    # Arrays and checkpoints may be removed once a run is finished; its results are what it is for.
    return all(run.found(path).exists() for path in records[-1]["outputs"]) if steps else True


class Book:
    """Keeps ``sweep.json`` in the folder of a sweep, `run`.

    experiments : by the name of their run. points : of the grid. facts : about the sweep, kept as
        they are.
    `finished` : names of runs that an earlier start finished and that are not run again.
    """

    def __init__(
        self, run: runs.Run, experiments: Mapping[str, Experiment], points: list, facts: Mapping
    ):
        self.run, self.experiments = run, experiments
        before, defaults = read(run.folder).get("runs", {}), _defaults(experiments)
        self.finished = [
            name
            for name, experiment in experiments.items()
            if is_finished(
                experiment, before.get(name, {}), defaults[experiment.values.get("recipe", "")]
            )
        ]
        values = {point.name: dict(point.values) for point in points}
        self.runs = {
            name: self._row(name, values.get(name, {}), before.get(name, {}))
            for name in experiments
        }
        self.facts = {**facts, "started": time.strftime("%Y-%m-%d %H:%M:%S"), "ended": ""}
        self.save()

    def _row(self, name: str, values: Mapping, before: Mapping) -> dict:
        experiment = self.experiments[name]
        row = {
            "values": values,
            "folder": str(experiment.run.folder),
            "state": "waiting",
            "epochs": experiment.values.get("epochs"),
            "host": "",
            "seconds": 0.0,
            "tries": 0,
            "why": "",
        }
        if name in self.finished:
            row |= {
                key: before[key]
                for key in ("state", "status", "host", "seconds", "tries", "why")
                if key in before
            }
        return row | {"earlier": before.get("seconds", 0.0)}

    def note(self, event) -> None:
        """Record an event of `lib.parallel.tasks.run`; the event of a preparation counts for its
        run.
        """
        row, prepares = self.runs[event.name.removesuffix(PREPARE)], event.name.endswith(PREPARE)
        state = event.state
        if prepares:
            state = {"running": "preparing", "finished": "waiting"}.get(event.state, event.state)
        if not (state == "blocked" and row["state"] in ("failed", "gave up")):  # which says more
            row |= {"state": state, "why": event.why}
        row["tries"] = event.tries
        row["prepared" if prepares else "ran"] = event.seconds
        row["seconds"] = round(row["earlier"] + row.get("prepared", 0.0) + row.get("ran", 0.0), 2)
        row["host"] = event.host or row["host"]
        if event.status is not None:
            row["status"] = event.status
        self.save()

    def save(self, **facts) -> None:
        """Write it, with these facts changed."""
        self.facts |= facts
        self.run.write_json(NAME, {**self.facts, "runs": self.runs})

    def status(self) -> int:
        """Exit status: FAILED when a run is not finished, LOST when something was lost in one."""
        rows = self.runs.values()
        if any(row["state"] != "finished" for row in rows):
            return EXIT_FAILED
        return EXIT_LOST if any(row.get("status") == EXIT_LOST for row in rows) else EXIT_DONE

    def told(self, event) -> str:
        """One line for a log: ``[3/24] jca_fold0: finished, 12.3 s on node3``."""
        done = sum(row["state"] == "finished" for row in self.runs.values())
        name = event.name.replace(PREPARE, " (arrays)")
        facts = [
            f"{event.seconds:.1f} s" if event.seconds else "",
            f"on {event.host}" if event.host else "",
            f"try {event.tries + 1}"
            if event.tries and event.state in ("running", "waiting")
            else "",
            event.why,
        ]
        more = ", ".join(fact for fact in facts if fact)
        return f"[{done}/{len(self.runs)}] {name}: {event.state}{f', {more}' if more else ''}"


def _defaults(experiments: Mapping[str, Experiment]) -> dict[str, dict]:
    """Recipe → defaults of all parameters, as files keep them."""
    by_recipe: dict[str, dict] = {}
    options = grammar.recipes()
    for experiment in experiments.values():
        recipe = experiment.values.get("recipe", "")
        if recipe not in by_recipe:
            plain = grammar.defaults(grammar.all_declared(experiment.notebooks))
            option_defaults = grammar.defaults(options.get(recipe, {}))
            by_recipe[recipe] = {name: runs.as_text(value) for name, value in plain.items()} | {
                "options": option_defaults
            }
    return by_recipe
