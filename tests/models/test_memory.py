"""The size of what is computed at once on a GPU."""

import copy

import numpy as np
import pytest
import torch

from lib.errors import InputError
from lib.models import forward, memory
from lib.models.blocks.residual import R2Plus1D18
from lib.parallel import mapping
from lib.training.trainer import Trainer
from tests import fake_cuda, tiny_set
from tests.tiny_set import one_thread  # noqa: F401

GPU, CPU = torch.device("cuda"), torch.device("cpu")


def test_as_many_are_taken_as_fit_into_the_free_memory():
    with fake_cuda.on(free=10_000):
        assert memory.at_once(GPU, 256, bytes_each=700) == 10
        assert memory.at_once(GPU, 8, bytes_each=700) == 8
        assert memory.at_once(GPU, 256, bytes_each=10**6) == 1
        assert memory.at_once(CPU, 256, bytes_each=700, on_cpu=32) == 32


def test_the_size_is_halved_where_memory_runs_out_and_nothing_is_left_out():
    tried = []

    def compute(start, stop):
        tried.append(stop - start)
        return torch.zeros(stop - start, 100, device="cuda").shape[0]

    with fake_cuda.on(limit=4 * 100 * 3):
        found = list(memory.pieces(compute, 10, 8))
    assert tried == [8, 4, 2, 2, 2, 2, 2]
    assert [rows.start for rows, _ in found] == [0, 2, 4, 6, 8]
    assert found[-1][0].stop == 10


def too_large(item):
    with fake_cuda.on(limit=4):
        return list(memory.pieces(lambda *bounds: torch.zeros(5, device="cuda"), 3, 2))


def raising(item):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")


@pytest.mark.parametrize("function", [too_large, raising])
def test_out_of_memory_ends_the_work_and_is_never_blamed_on_a_file(function):
    """Before, each trial was lost with "the program was not prepared for this file"."""
    with pytest.raises(InputError, match="GPU's memory is full") as told:
        mapping.map(function, ["trial 1", "trial 2"])
    assert "trial 1" not in str(told.value)
    assert "face_size" in told.value.todo


def test_prediction_halves_a_batch_that_does_not_fit(tmp_path):
    tiny = tiny_set.make(tmp_path)
    method = tiny_set.create("tsav", tiny, batch_size=32)
    windows = method.windows(tiny_set.table(tiny).query("trial == 'seen'"))[:20]
    model = method.model().eval()
    with fake_cuda.without_onednn():
        expected = forward.predict(model, method, windows, CPU)["va"]
    with fake_cuda.on(limit=1_500_000):
        found = forward.predict(model.to("cuda"), method, windows, GPU)["va"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_training_that_does_not_fit_says_what_to_change(tmp_path):
    method = tiny_set.create("tsav", tiny_set.make(tmp_path / "tiny"), device="cuda")
    with fake_cuda.on(limit=100_000):
        training = Trainer(method, tiny_set.table(tmp_path / "tiny"), tmp_path)
        with pytest.raises(InputError, match="GPU's memory is full") as told:
            training.fit()
    assert "accumulate" in told.value.todo
    assert "batch of 8" in told.value.where


def test_computing_twice_gives_the_same_gradients_and_counts_a_batch_once():
    torch.manual_seed(0)
    net, clip = R2Plus1D18(3, 4), torch.randn(2, 3, 8, 16, 16)
    grads, states = [], []
    for recompute in (False, True):
        one = copy.deepcopy(net)
        one.recompute = recompute
        one(clip).square().mean().backward()
        grads.append([weight.grad for weight in one.parameters()])
        states.append(one.state_dict())
    assert all(map(torch.equal, *grads))
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_less_is_kept_where_it_is_computed_twice():
    net, clip, kept = R2Plus1D18(3, 4), torch.randn(2, 3, 8, 16, 16), []
    for net.recompute in (False, True):
        sizes = []
        hooks = torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, sizes=sizes: sizes.append(tensor.numel()) or tensor,
            lambda tensor: tensor,
        )
        with hooks:
            net(clip)
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 2


def test_parts_of_a_batch_have_their_share_of_the_loss(tmp_path):
    tiny = tiny_set.make(tmp_path)
    method = tiny_set.create("tsav", tiny, options={"accumulate": 3})
    batch = {"va": torch.arange(8.0), "clip": torch.zeros(8, 2)}
    shares = [(share, len(part["va"]), len(part["clip"])) for share, part in method.pieces(batch)]
    assert shares == [(3 / 8, 3, 3), (3 / 8, 3, 3), (2 / 8, 2, 2)]
