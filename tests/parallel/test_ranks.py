"""One training in several processes (gloo, CPU): the same losses as one, resumed by any number, one
that writes.
"""

import os
import socket
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from lib.files import NOTEBOOKS, ROOT
from lib.parallel import ranks
from lib.training.trainer import Trainer
from tests import tiny_set
from tests.experiments.test_pipeline import CHECK, COMMAND, OWN, SHARED, World
from tests.tiny_set import one_thread  # noqa: F401

# Without batch norm, which sees a part of the batch only, and without dropout, whose masks differ.
SHARED_OPTIONS = {"warmup": 1.0, "layer_decay": 0.8, "ema": 0.9}
NETWORK = {
    "recipe": "jca",
    "va_loss": "ccc",
    "options": {"phases": 2, "dropout": 0.0, **SHARED_OPTIONS},
}
SCRIPT = """
import os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from lib.runs import NOTEBOOKS
from lib.training.trainer import Trainer
from tests import tiny_set
from tests.parallel.test_ranks import NETWORK
root, folder = map(Path, sys.argv[1:3])
epochs, stop, help_only = map(int, sys.argv[3:6])
recipe = tiny_set.create(root=root, **NETWORK, epochs=epochs)
if help_only and os.environ["RANK"] == "1":  # as the runner does it, see lib.experiments.torchrun
    from lib import datasets
    from lib.experiments import torchrun, experiment
    datasets.store = lambda p: tiny_set.store(root)
    places = {"runs_root": folder.parent, "run": folder.name}
    values = {name: str(value) if isinstance(value, Path) else value
              for name, value in {**recipe.params, **places}.items()}
    torchrun.help_to_train(experiment.Experiment((), values, NOTEBOOKS))
    sys.exit(0)
trainer = Trainer(recipe, tiny_set.table(root), folder)
if stop and trainer.ranks.rank == 1:  # one process alone is asked, inside an epoch
    import signal
    step = trainer._step
    def counted(batch, progress):
        step(batch, progress)
        if trainer.state.epoch * 100 + trainer.state.batch == stop:
            os.kill(os.getpid(), signal.SIGTERM)
    trainer._step = counted
try:
    trainer.fit()
except KeyboardInterrupt as error:
    print(error, flush=True)
    sys.exit(75)
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


def train(tiny, folder, size, epochs=3, stop=0, help_only=False):
    """Train in `size` processes, of which the second one may be one that only helps; returns the
    history and the exit statuses.
    """
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = (
        {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        if size > 1
        else {}
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, tiny, folder, *map(str, [epochs, stop, int(help_only)])],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": "1",
                **world,
                **({"RANK": str(rank)} if size > 1 else {}),
            },
        )
        for rank in range(size)
    ]
    statuses = [process.wait(timeout=300) for process in started]
    file = folder / "history.csv"
    return (pd.read_csv(file) if file.is_file() else None), statuses


@pytest.fixture(scope="module")
def alone(tiny, tmp_path_factory):
    """Folder and history of the same training in this process."""
    folder = tmp_path_factory.mktemp("alone")
    recipe = tiny_set.create(root=tiny, **NETWORK, epochs=3)
    return folder, Trainer(recipe, tiny_set.table(tiny), folder).fit()


# On every change two processes with a pretended GPU each do the same: whole/test_gpu_ways.
@pytest.mark.slow
@pytest.mark.parametrize("help_only", [False, True])
def test_two_processes_have_the_loss_curve_and_the_weights_of_one(tiny, alone, tmp_path, help_only):
    folder, history = alone
    found, statuses = train(tiny, tmp_path / "two", 2, help_only=help_only)
    assert statuses == [0, 0]
    assert found["loss"].to_numpy() == pytest.approx(history["loss"].to_numpy(), abs=1e-5)
    assert found["score"].to_numpy() == pytest.approx(history["score"].to_numpy(), abs=1e-4)
    assert history["loss"].iloc[-1] < history["loss"].iloc[0] - 1e-3, "there was something to learn"
    one, two = (
        torch.load(place / "checkpoints" / "last.pt", weights_only=True)["model"]
        for place in (folder, tmp_path / "two")
    )
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-4


@pytest.mark.slow  # six processes
def test_a_training_that_was_stopped_goes_on_in_another_number_of_processes(tiny, alone, tmp_path):
    folder = tmp_path / "changed"
    _, statuses = train(tiny, folder, 2, stop=101)
    assert statuses == [75, 75], "asked one, stopped both"
    saved = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)["state"]
    assert (saved["epoch"], saved["batch"]) == (1, 2)
    found, statuses = train(tiny, folder, 3, epochs=2)
    assert statuses == [0, 0, 0]
    found, _ = train(tiny, folder, 1)
    assert found["loss"].to_numpy() == pytest.approx(alone[1]["loss"].to_numpy(), abs=1e-5)


class FakeRanks(ranks.Ranks):
    def __init__(self, rank, size):
        self.rank, self.size = rank, size


@pytest.mark.parametrize(("number", "size"), [(8, 2), (7, 2), (7, 3), (2, 3), (1, 4), (5, 4)])
def test_the_parts_of_a_batch_are_its_items_once_each(number, size):
    batch = {"x": torch.arange(number * 3.0).reshape(number, 3), "scale": torch.tensor(2.0)}
    rows = []
    for rank in range(size):
        one = FakeRanks(rank, size)
        part = one.part(batch, number)
        assert len(part["x"]) >= 1, "a network cannot work on nothing"
        assert part["scale"] == 2.0
        first, last = one._bounds(number)
        rows += part["x"][: last - first].tolist()
    assert rows == batch["x"].tolist()


def test_without_torchrun_nothing_changes(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    one = ranks.Ranks()
    batch = {"x": torch.ones(3, 2)}
    assert (one.size, one.is_first) == (1, True)
    assert one.part(batch, 3)["x"] is batch["x"]
    assert one.whole(batch, 3)["x"] is batch["x"]
    assert one.any(True, torch.device("cpu")) is True
    assert one.from_first(lambda: 7) == 7
    monkeypatch.setenv("WORLD_SIZE", "4")  # as some schedulers set it
    assert ranks.count() == 1


def test_the_gradient_of_a_loss_over_the_batch_is_that_of_the_batch_and_not_the_mean_of_parts():
    """What `whole` and `add_gradients` do, by hand: each part's rows carry gradients, the rest is a
    constant.
    """
    from lib.training.losses import ccc_loss

    torch.manual_seed(0)
    weight, x, label = (
        torch.randn(3, dtype=torch.float64),
        torch.randn(8, 3, dtype=torch.float64),
        torch.randn(8, dtype=torch.float64),
    )
    whole = weight.clone().requires_grad_()
    ccc_loss((x @ whole)[:, None], label[:, None]).backward()
    added = torch.zeros(3, dtype=torch.float64)
    for rows in (slice(0, 4), slice(4, 8)):
        mine = weight.clone().requires_grad_()
        outputs = (x @ weight).detach().clone()
        parts = [
            (x[rows] @ mine) if rows.start == start else outputs[start : start + 4]
            for start in (0, 4)
        ]
        ccc_loss(torch.cat(parts)[:, None], label[:, None]).backward()
        added += mine.grad
    assert np.allclose(added.numpy(), whole.grad.numpy(), atol=1e-12)


HELPS = """from lib.experiments import torchrun
def helps(experiment):
    import torch
    from lib.parallel import ranks
    one = ranks.Ranks()
    with one.joined(torch.device("cpu")):
        number = torch.tensor([float(one.rank + 1)])
        torch.distributed.all_reduce(number)
    name = f"helped {experiment.run.name} {one.rank}"
    (place / name).write_text(f"sum {number.item()}")
torchrun.help_to_train = helps
"""
TRAINS = """from lib.parallel import ranks
import torch
one = ranks.Ranks()
with one.joined(torch.device("cpu")):
    number = torch.tensor([float(one.rank + 1)])
    torch.distributed.all_reduce(number)
(here := run.folder / "checkpoints" / "best.pt")
before = here.read_text() if here.is_file() else "none"
if one.is_first:
    run.path("checkpoints", "best.pt").write_text(f"sum {number.item()}")
run.write_text(f"rank{one.rank}.txt", before)
print("trained by", one.rank)
run.record([], [])"""


@pytest.mark.slow  # notebooks under torchrun
def test_torchrun_lets_the_first_process_write_and_the_others_help_in_training(tmp_path):
    """Two trainings one after the other: sample_jca builds on sample_tsav, which is not there. The
    second process has no notebook: here something else than a training is done beside the first's.
    """
    world = World(tmp_path)
    for step, own in OWN.items():
        cell = SHARED.replace('"runs"', f'"{world.runs}"') + own
        last = (
            TRAINS
            if step == NOTEBOOKS[4]
            else "run.record([], [run.write_text('rank.txt', 'alone')])"
        )
        world.notebook(step, cell, CHECK.format(folder=world.notebooks, step=step), last)
    text = COMMAND.replace("sample_tsav", "sample_jca").replace('"", "01"', '"", "05"')
    (tmp_path / "command.py").write_text(text.replace("place =", f"{HELPS}place =", 1))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            tmp_path / "command.py",
            tmp_path,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("sample_tsav", "sample_jca"):
        folder = world.runs / name
        assert (folder / "checkpoints" / "best.pt").read_text() == "sum 3.0"
        assert (folder / "rank0.txt").is_file()
        assert not (folder / "rank1.txt").exists(), "the second process executes no notebook"
        assert (tmp_path / f"helped {name} 1").read_text() == "sum 3.0"
        assert "trained by 0" in (folder / f"{NOTEBOOKS[4]}.ipynb").read_text()
    assert done.stdout.count("01_download_check: not done yet") == 1, "once, by the first process"
    assert len(list(tmp_path.glob("helped *"))) == 2
