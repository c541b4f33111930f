"""Sixty recordings, prepared, learnt from and predicted by jobs of a real SLURM of one node, two of
which are killed in the middle: equal to the byte to what this machine makes alone.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pandas as pd
import torch
import yaml

from lib.files import ROOT
from lib.parallel import threads
from tests.waiting import until

in_the_end = partial(until, seconds=1800.0, pause=0.05)
FILES = [
    str(ROOT / "params" / "sample_tsav.yaml"),
    str(ROOT / "params" / "overlays" / "smoke.yaml"),
]
RECORDINGS, EPOCHS = 60, 4
SIZE = {"sample_trials": RECORDINGS, "sample_seconds": 1.0, "epochs": EPOCHS, "workers": 1}
RUN = "sample_tsav"
JOB = {"kind": "slurm", "cores": 1, "memory": "3GB", "interface": "lo", "walltime": "01:00:00"}


def run(place, name, *more, env=os.environ):
    """``lib run`` with arrays and runs of its own; what it says is in ``<name>.log``."""
    roots = {"processed_root": place / f"processed_{name}", "runs_root": place / f"runs_{name}"}
    words = []
    for key, value in {**SIZE, "data_root": place / "data_60", **roots}.items():
        words += ["-p", key, str(value)]
    with (place / f"{name}.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "lib", "run", *FILES, *words, *more],
            cwd=ROOT,
            env={**threads.environment(1, env), "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def cluster_file(place, name, **changes):
    file = place / f"{name}.yaml"
    file.write_text(yaml.safe_dump({**JOB, "logs": str(place / f"logs_{name}"), **changes}))
    return str(file)


def arrays(folder):
    return sorted(folder.rglob("*.npy"))


class Killer:
    """Kills two jobs with all that they started, as when their nodes are lost: one while arrays are
    made, and the one that trains.
    """

    def __init__(self, place, slurm, queued):
        self.place, self.slurm, self.queued, self.killed = place, slurm, queued, []
        self.arrays = 0  # that were there when the first one was killed
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        processed = self.place / "processed_jobs"
        if in_the_end(lambda: len(arrays(processed)) > RECORDINGS // 2):
            self.arrays = len(arrays(processed))
            self.kill(self.queued("RUNNING")[0])
        folder = self.place / "runs_jobs" / RUN
        if in_the_end((folder / "checkpoints" / "last.pt").is_file):
            pid = json.loads((folder / "cluster" / "points" / f"{RUN}.json").read_text())["pid"]
            lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
            self.kill(next(line[13:] for line in lines if line.startswith("SLURM_JOB_ID=")))

    def kill(self, job):
        subprocess.run(["scancel", "--full", "--signal=KILL", job], env=self.slurm, check=True)
        self.killed.append(job)


def contents(folder):
    """Path below the folder → content, of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def state_of(folder):
    """The weights of a run's best epoch."""
    return torch.load(folder / "checkpoints" / "best.pt", weights_only=True)["model"]


def test_sixty_recordings_by_jobs_two_of_which_are_killed_are_equal_to_the_byte(
    place, slurm, queued
):
    for name in ("processed_jobs", "runs_jobs"):  # of an earlier start, see `place`
        shutil.rmtree(place / name, ignore_errors=True)
    assert run(place, "alone").wait() == 0, (place / "alone.log").read_text()[-3000:]
    files = [
        cluster_file(place, "cpu", gpus=0, workers=2),
        cluster_file(place, "gpu", gpus=1, workers=1),
    ]
    words = [word for file in files for word in ("--cluster", file)]
    running = run(place, "jobs", *words, env=slurm)
    killer = Killer(place, slurm, queued)
    assert running.wait() == 0, (place / "jobs.log").read_text()[-3000:]

    assert len(set(killer.killed)) == 2, "one while arrays were made, one while it was trained"
    made = arrays(place / "processed_alone")
    assert RECORDINGS // 2 < killer.arrays < len(made)
    log = (place / "runs_jobs" / RUN / "cluster" / "logs" / f"{RUN}.log").read_text()
    assert log.count("05_train: not done yet") == 2, "the training was begun twice"
    assert in_the_end(lambda: not queued(), seconds=60)

    assert len([path for path in made if path.name.startswith("face-")]) == RECORDINGS
    alone, jobs = (contents(place / f"processed_{name}") for name in ("alone", "jobs"))
    assert alone.keys() == jobs.keys()
    assert [name for name in alone if alone[name] != jobs[name]] == []
    of_alone, of_jobs = (place / f"runs_{name}" / RUN for name in ("alone", "jobs"))
    for name in ("predictions", "submission"):
        made, by_jobs = contents(of_alone / name), contents(of_jobs / name)
        for files in (made, by_jobs):  # of the checkpoint's file, in which the s of epochs are
            files.pop("made_from.txt", None)
        assert len(made) > 2
        assert made == by_jobs
    weights = [state_of(folder) for folder in (of_alone, of_jobs)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    histories = [pd.read_csv(folder / "history.csv") for folder in (of_alone, of_jobs)]
    assert len(histories[0]) == EPOCHS
    pd.testing.assert_frame_equal(*(table.drop(columns="seconds") for table in histories))
