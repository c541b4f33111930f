"""What stands in for a point of a sweep in tests: a function that returns at once and leaves a run
folder behind.

What it does is written in ``<runs>/behave.json``: name of the run → what happens at the first,
second, … try.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from lib import runs
from lib.experiments.sweeps import worker

CCC = {"lr": {0.1: 0.5, 0.2: 0.3}, "sample_trials": {6: 0.0, 7: 0.02}}


def quick(task):
    """Everything that `worker.work` promises, without a notebook."""
    run, name = task["experiment"].run, task["name"] + (".prepare" if task["stop"] else "")
    calls = run.folder.parent / "calls" / name
    calls.parent.mkdir(parents=True, exist_ok=True)
    number = len(calls.read_text().split()) if calls.is_file() else 0
    with calls.open("a") as stream:
        stream.write(f"{task['slot']} ")
    behave = run.folder.parent / "behave.json"
    plan = json.loads(behave.read_text()).get(name, []) if behave.is_file() else []
    return answer(task, run, plan[number] if number < len(plan) else "finish")


def answer(task, run, what):
    common = {"host": "here", "seconds": 0.5}
    if what == "kill the worker":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "wait for stop":
        while not worker.why_stop({"walltime": 0, **task}):
            time.sleep(0.02)
        return {"end": "continue", "status": 75, "why": "stopped", **common}
    if what == "step forward":
        run.path("checkpoints", "last.pt").write_text(str(time.time_ns()))
        return {"end": "continue", "status": 75, "why": "the walltime ended", **common}
    if what == "disk of worker 0":
        if task["slot"] == 0:
            return {"end": "died", "status": 1, "why": "no space left on the device", **common}
        what = "finish"
    if what == "mistake":
        raise ZeroDivisionError("in the worker")
    ends = {
        "no progress": ("continue", 75),
        "die": ("died", -9),
        "fail": ("failed", 1),
        "lose": ("finished", 3),
        "finish": ("finished", 0),
    }
    end, status = ends[what]
    if end == "finished":
        finish(run, task["experiment"], task["stop"])
    return {"end": end, "status": status, "why": what if status else "", **common}


def finish(run, experiment, stop):
    steps = experiment.steps("", stop)
    for step in steps:
        if not (run.folder / "steps" / f"{step}.json").is_file():
            outputs = ["<run>/metrics.json"] if step == experiment.steps()[-1] else []
            record = {"inputs": {}, "code": {}, "parameters": {}, "outputs": outputs}
            run.write_json(f"steps/{step}.json", {**record, "unfinished": "", "lost": 0})
    if not stop:
        value = sum(scores[experiment.values[name]] for name, scores in CCC.items())
        run.write_text("history.csv", f"epoch,score\n1,{value / 2}\n2,{value}\n3,{value - 0.1}\n")
        run.write_json(
            "metrics.json",
            {
                "val": {"valence": {"ccc": value, "ci95": [value - 0.1, value + 0.1]}},
                "synthetic": True,
            },
        )
        runs.remember(run, {name: runs.as_text(one) for name, one in experiment.values.items()})


def calls(place: Path, name: str) -> int:
    file = place / "calls" / name
    return len(file.read_text().split()) if file.is_file() else 0
