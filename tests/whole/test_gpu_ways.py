"""What surrounds a training on a pretended GPU: loader processes, releases, two cards, maps."""

import shutil
from contextlib import closing
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch

from lib import arrays
from lib.training import loader
from lib.training.trainer import Trainer
from tests import fake_cuda, gpu_cases, tiny_set
from tests.gpu_cases import SMALL_STEPS, predicted, two_steps
from tests.parallel import test_ranks
from tests.tiny_set import one_thread  # noqa: F401


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Of the sets of the cases, the one that these tests learn from."""
    folder = tmp_path_factory.mktemp("gpu")
    tiny_set.make(folder / "tiny")
    return folder


def test_a_spawned_loader_feeds_a_training_on_the_gpu(root, tmp_path):
    method, table, _ = gpu_cases.cases(root)["jca"](**{**SMALL_STEPS, "device": "cuda"})
    with fake_cuda.on() as counts:
        trainer = Trainer(method, table, tmp_path)
        with mock.patch.object(loader, "workers", return_value=1):
            history = trainer.fit()
        assert counts["pinned"], "batches wait in pinned memory"
    assert history["batches"].iloc[0] >= 2


@pytest.mark.slow  # a process more
def test_a_gpu_in_a_loader_process_is_found(root, tmp_path):
    """A recipe that touched the GPU in `example` would fail in the loader's process."""
    method, table, _ = gpu_cases.cases(root)["jca"](device="cuda")
    touching = Touching(method)
    windows = method.windows(table.query("split == 'train'"), 0)
    batches = loader.Batches(touching, windows, method.batches(windows, 0), 0)
    with fake_cuda.on(), closing(loader.Loader(touching, 1)) as spawned:
        prepared = spawned.batches(batches)
        with pytest.raises((RuntimeError, AssertionError), match=r"CUDA|NVIDIA"):
            next(prepared)


class Touching:
    """A recipe whose examples are made on the GPU."""

    def __init__(self, recipe):
        self.params, self.statistics = recipe.params, {}

    def example(self, window, generator):
        return torch.zeros(1).cuda()

    def collate(self, examples, generator):
        return {"x": torch.stack(examples)}


def test_maps_of_released_layers_are_made_between_epochs(tmp_path):
    """The second release died in the forked loader, after a night."""
    changes = {"epochs": 3, "device": "cuda", "workers": 1}
    method, table, store = gpu_cases.lfan_cached(tmp_path / "tiny", **changes)
    with fake_cuda.on():
        history = two_steps(method, table, tmp_path).fit()
        values, _ = predicted(tmp_path, method, table, store)
    assert history["released"].tolist()[:2] == [1, 2]  # the third waits for a plateau
    assert np.isfinite(values["va"]).all()


NETWORK = {**test_ranks.NETWORK, "epochs": 1, "workers": 1, "val_every": 1000}
RANK = f"""
NETWORK = {NETWORK}
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from lib.training.trainer import Trainer
from tests import fake_cuda, tiny_set
root, folder = map(Path, sys.argv[1:3])
with fake_cuda.on(gpus=2):
    method = tiny_set.create(root=root, **NETWORK, device="cuda", precision="float32")
    trainer = Trainer(method, tiny_set.table(root), folder)
    assert trainer.device == torch.device("cuda", trainer.ranks.rank)
    trainer.fit()
    assert all(weight.is_cuda for weight in trainer.model.parameters())
"""


def test_two_processes_with_a_gpu_each_have_the_loss_of_one(root, tmp_path):
    with mock.patch.object(test_ranks, "SCRIPT", RANK):
        found, statuses = test_ranks.train(root / "tiny", tmp_path / "two", 2)
    assert statuses == [0, 0]
    method, table, _ = gpu_cases._tiny(root / "tiny", **NETWORK)
    alone = Trainer(method, table, tmp_path).fit()
    assert found["loss"].iloc[0] == pytest.approx(alone["loss"].iloc[0], abs=1e-5)


def test_maps_of_faces_on_the_gpu_are_those_of_the_cpu(root, tmp_path):
    """VGGish is in tests/experiments/test_preparing.py, the two-stream network's features in
    tests/recipes/test_features_of_jca.py.
    """
    method = tiny_set.create("lfan", root / "tiny", options={"cache": "always", "variants": 2})
    wanted = next(item for item in method.arrays() if item.name == "face_map")
    found = []
    for device in ("cpu", "cuda"):
        place = replace(method.store, processed_root=tmp_path / device)
        shutil.copytree(method.store.folder, place.folder)
        with fake_cuda.on() if device == "cuda" else fake_cuda.without_onednn():
            trial = method.trial("short")
            arrays.make(trial, wanted, place, device)
        found.append(np.asarray(arrays.read(trial, wanted, place), np.float32))
    np.testing.assert_allclose(*found, atol=1e-3)
    assert np.abs(found[0]).max() > 0.01
