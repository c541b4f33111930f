"""Every recipe on a pretended GPU: two steps, stopped between them, taken up again, predicted."""

import os
import shutil
import signal
from contextlib import closing
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch

from lib import arrays
from lib.evaluation import checkpoint
from lib.training import loader
from lib.training.trainer import Trainer
from tests import fake_cuda, gpu_cases, tiny_set
from tests.parallel import test_ranks
from tests.tiny_set import one_thread  # noqa: F401

NEAR = {"float32": 1e-5, "bfloat16": 2e-2, "float16": 2e-2}
# The first steps of Adam turn a rounding of a gradient near zero into a step: it must be small.
SMALL_STEPS = {"epochs": 1, "lr": 1.0e-5, "val_every": 1000}
NAMES = tuple(gpu_cases.cases(gpu_cases.Path()))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return gpu_cases.make(tmp_path_factory.mktemp("gpu"))


@pytest.fixture(scope="module")
def cpu(root, tmp_path_factory):
    """Losses and predictions of a case on the CPU, computed when they are first asked for."""
    known = {}

    def get(name):
        if name not in known:
            folder = tmp_path_factory.mktemp(f"cpu_{name}")
            method, table, store = gpu_cases.cases(root)[name](**SMALL_STEPS)
            with fake_cuda.without_onednn():  # as the pretended GPU has it
                history = two_steps(method, table, folder).fit()
                known[name] = history["loss"].iloc[0], predicted(folder, method, table, store)[0]
        return known[name]

    return get


def two_steps(method, table, folder):
    """A trainer whose epochs end after two batches."""
    trainer = Trainer(method, table, folder)
    batches = method.batches
    method.batches = lambda windows, epoch: batches(windows, epoch)[:2]
    return trainer


def predicted(folder, method, table, store):
    trial = table[table["split"] == "val"]["trial"].iloc[0]
    predictor = checkpoint.load(folder / "checkpoints" / "best.pt", method.params, store)
    return predictor.predict(trial), predictor


def stopped_and_resumed(case, folder, **changes):
    """The loss of the first epoch, stopped after its first step; predictions; the trainer."""
    method, table, store = case(**{**SMALL_STEPS, "device": "cuda", **changes})
    first = two_steps(method, table, folder)
    loss = method.loss
    method.loss = lambda *given: [os.kill(os.getpid(), signal.SIGINT), loss(*given)][1]
    with pytest.raises(KeyboardInterrupt):
        first.fit()
    method, table, store = case(**{**SMALL_STEPS, "device": "cuda", **changes})
    trainer = two_steps(method, table, folder)
    history = trainer.fit()
    assert trainer.device.type == "cuda"
    assert all(weight.is_cuda for weight in trainer.model.parameters())
    values, predictor = predicted(folder, method, table, store)
    assert all(weight.is_cuda for weight in predictor.model.parameters())
    return history["loss"].iloc[0], values, trainer


def check(root, cpu, tmp_path, name, precision, workers):
    loss, expected = cpu(name)
    asked = "float32" if precision == "float32" else "auto"
    with fake_cuda.on(bfloat16=precision != "float16"):
        case = gpu_cases.cases(root)[name]
        found, values, trainer = stopped_and_resumed(
            case, tmp_path, precision=asked, workers=workers
        )
        assert trainer.autocast["enabled"] == (precision != "float32")
        assert precision in ("float32", str(trainer.autocast["dtype"]).removeprefix("torch."))
    assert found == pytest.approx(loss, abs=NEAR[precision], rel=NEAR[precision])
    for task, rows in values.items():
        np.testing.assert_allclose(rows, expected[task], atol=NEAR[precision], err_msg=task)


# Each network and each recipe once; what remains of the table is slow. All of them run alone.
MAIN = (
    *("tsav", "lfan_backbone", "jca", "rjca", "dca", "jca_paper", "lfan_accumulate", "lfan_v2"),
    *("can", "features_gru", "features_transformer", "features_convolution"),
    *("talknet", "talknet_mrope", "light_asd"),
)


@pytest.mark.parametrize("name", MAIN)
def test_every_recipe_learns_stops_resumes_and_predicts_in_bfloat16(root, cpu, tmp_path, name):
    check(root, cpu, tmp_path, name, "bfloat16", 1)


@pytest.mark.parametrize("name", ["rjca", "dca", "features_gru"])
def test_recurrent_networks_learn_in_float16(root, cpu, tmp_path, name):
    check(root, cpu, tmp_path, name, "float16", 1)


def test_full_precision_is_that_of_the_cpu(root, cpu, tmp_path):
    check(root, cpu, tmp_path, "jca", "float32", 1)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_a_spawned_loader_feeds_a_training_on_the_gpu(root, tmp_path):
    method, table, _ = gpu_cases.cases(root)["jca"](**{**SMALL_STEPS, "device": "cuda"})
    with fake_cuda.on() as counts:
        trainer = Trainer(method, table, tmp_path)
        with mock.patch.object(loader, "workers", return_value=1):
            history = trainer.fit()
        assert counts["pinned"], "batches wait in pinned memory"
    assert history["batches"].iloc[0] >= 2


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


def test_maps_of_released_layers_are_made_between_epochs_and_read_by_the_loader(tmp_path):
    """The second release died in the forked loader, after a night."""
    method, table, store = gpu_cases.lfan_cached(tmp_path / "tiny", epochs=3, device="cuda")
    with fake_cuda.on():
        trainer = two_steps(method, table, tmp_path)
        history = trainer.fit()
        values, _ = predicted(tmp_path, method, table, store)
    assert history["released"].tolist() == [1, 2, 3]
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


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("workers", [1, 2])
def test_every_recipe_in_every_precision_with_and_without_a_loader(
    root, cpu, tmp_path, name, precision, workers
):
    check(root, cpu, tmp_path, name, precision, workers)
