"""A recurrence over minutes: the numbers of a loop over steps, and memory that grows in a line."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lib import models
from lib.models.blocks import linear_recurrence
from tests.tiny_set import one_thread  # noqa: F401

MINUTES = 18_000  # frames of ten minutes at 30 a second


def by_a_loop(factor, term):
    state, rows = torch.zeros_like(term[:, 0]), []
    for k in range(term.shape[1]):
        state = factor[:, k] * state + term[:, k]
        rows.append(state)
    return torch.stack(rows, dim=1)


def drawn(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(5)
    factor, term = torch.rand(2, *shape, generator=generator, dtype=dtype)
    return factor, term


def network(name="linear_recurrence", **options):
    torch.manual_seed(0)
    return models.create(name, channels=4, width=0.25, **options).eval()


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 37])
def test_doubling_gives_what_a_loop_over_steps_gives(steps):
    factor, term = drawn(2, steps, 3)
    found = linear_recurrence.recurrence(factor, term)
    assert torch.allclose(found, by_a_loop(factor, term), rtol=0, atol=1e-12)


def test_its_gradient_is_that_of_the_loop():
    both = [each.requires_grad_() for each in drawn(2, 11, 3)]
    assert torch.autograd.gradcheck(linear_recurrence.recurrence, both)


@torch.inference_mode()
def test_ten_minutes_in_one_pass_are_those_step_by_step(monkeypatch):
    x, net = torch.randn(1, MINUTES, 4), network()
    whole = net({"features": x})["va"]
    monkeypatch.setattr(linear_recurrence, "recurrence", by_a_loop)
    assert (whole - net({"features": x})["va"]).abs().max() < 1e-5
    assert whole.abs().max() > 1e-2


@torch.inference_mode()
def test_a_step_knows_what_was_minutes_before_and_comes_minutes_after():
    x, net = torch.randn(1, 4000, 4), network()
    before = net({"features": x})["va"]
    x[0, 2000] += 10
    apart = (net({"features": x})["va"] - before).abs().amax(dim=(0, 2))
    assert apart[1000] > 1e-5
    assert apart[3000] > 1e-5


class Largest(TorchDispatchMode):
    """Elements of the largest tensor that anything makes."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else [made]:
            if isinstance(each, torch.Tensor):
                self.count = max(self.count, each.numel())
        return made


def largest(compute, steps):
    with torch.inference_mode(), Largest() as seen:
        compute({"features": torch.zeros(1, steps, 4)})
    return seen.count


def kept(steps):
    """Bytes that a training keeps for its backward pass, each storage once."""
    sizes, net = {}, network().train()

    def note(tensor):
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        out = net({"features": torch.zeros(1, steps, 4)})["va"].sum()
    assert out.requires_grad
    return sum(sizes.values())


def test_memory_grows_in_a_line_with_the_steps():
    net = network()
    assert largest(net, 4000) <= 2.01 * largest(net, 2000)
    pairs = lambda batch: batch["features"] @ batch["features"].mT  # noqa: E731 - what could fail
    assert largest(pairs, 4000) == 4 * largest(pairs, 2000)


def test_what_a_training_keeps_grows_in_a_line_too():
    assert kept(4096) <= 2.05 * kept(2048)
