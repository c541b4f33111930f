"""Batches prepared here or by processes: the same ones, and the processes start once."""

import contextlib
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lib.parallel import processes
from lib.training import loader
from tests import fake_cuda, tiny_set
from tests.tiny_set import one_thread  # noqa: F401

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


def epoch_of(method, table, epoch):
    windows = method.windows(table.query("split == 'train'"), epoch)
    return loader.Batches(method, windows, method.batches(windows, epoch), epoch)


class Watched:
    """A recipe whose batches say which process made them, and what it knew."""

    def __init__(self, recipe):
        self.recipe, self.statistics, self.params = recipe, {}, recipe.params

    def example(self, window, generator):
        return self.recipe.example(window, generator)

    def collate(self, examples, generator):
        facts = {"process": torch.tensor(os.getpid()), "knew": torch.tensor(self.statistics["is"])}
        return self.recipe.collate(examples, generator) | facts


def test_processes_start_once_and_know_what_was_learnt_since(tiny):
    table, method = tiny_set.table(tiny), tiny_set.create("tsav", tiny)
    epoch_of(method, table, 0)[0]  # what is open here is not sent
    watched = Watched(method)
    spawned, makers = loader.Loader(watched, 1), set()
    for epoch in (0, 1):
        watched.statistics = {"is": epoch}
        batches = epoch_of(method, table, epoch)
        batches.recipe = watched
        start = len(batches) - 2
        for number, batch in enumerate(spawned.batches(batches, start), start):
            makers.add(int(batch.pop("process")))
            expected = batches[number]
            for name, tensor in batch.items():
                np.testing.assert_array_equal(tensor, expected[name], err_msg=name)
    spawned.close()
    assert number == len(batches) - 1
    assert len(makers) == 1
    assert os.getpid() not in makers


def test_zero_workers_are_one_a_processor_and_one_is_this_process(monkeypatch):
    monkeypatch.setattr(processes, "available_processors", lambda: 12)
    assert [loader.workers(asked, GPU) for asked in (0, 1, 2, 8)] == [12, 0, 2, 8]
    assert loader.workers(0, GPU, sharers=4) == 3
    assert loader.workers(8, CPU) == 0, "the training has all processors"


def test_a_recipe_is_sent_without_what_it_has_open(tiny):
    method = tiny_set.create("tsav", tiny)
    method.example(next(method.windows(tiny_set.table(tiny), 0).itertuples()))
    assert method._opened
    assert not method.__getstate__()["_opened"]
    assert "_recent" not in method.__getstate__()


def test_without_a_gpu_in_the_training_nothing_is_pinned(tiny):
    """Pinned memory begins CUDA: 500 MB of a card that another training may need."""
    batches = epoch_of(tiny_set.create("jca", tiny), tiny_set.table(tiny), 0)
    with fake_cuda.on() as counts:
        list(loader.Loader(batches.recipe, 0).batches(batches))
        assert not counts["pinned"]
        assert not fake_cuda.BEGUN
        list(loader.Loader(batches.recipe, 0, pinned=True).batches(batches))
        assert counts["pinned"]


def test_a_worker_that_dies_while_it_ends_hides_no_error(tiny, monkeypatch):
    def dies():
        raise RuntimeError("DataLoader worker (pid 7112) is killed by signal: Aborted.")

    spawned = loader.Loader(tiny_set.create("tsav", tiny), 2)
    spawned._loader = SimpleNamespace(_iterator=SimpleNamespace(_shutdown_workers=dies))
    with pytest.raises(ValueError, match="the training's own"), contextlib.closing(spawned):
        raise ValueError("the training's own")
    assert spawned._loader is None
