"""The pretended GPU refuses what a real one refuses: the tests that use it can fail."""

import io
import os

import numpy as np
import pytest
import torch
from torch import nn

from tests import fake_cuda
from tests.tiny_set import one_thread  # noqa: F401


@pytest.fixture
def gpu():
    with fake_cuda.on() as counts:
        yield counts


def test_a_tensor_says_where_it_lies_and_holds_real_values(gpu):
    x = torch.arange(6.0).reshape(2, 3).to("cuda")
    assert x.device == torch.device("cuda", 0)
    assert x.is_cuda
    assert (x * torch.tensor(2.0)).sum().item() == 30, "a single number may lie on the CPU"
    assert x[torch.tensor([1])].device.type == "cuda", "indices may lie on the CPU"
    assert not x.cpu().is_cuda
    np.testing.assert_array_equal(x.cpu().numpy(), np.arange(6.0).reshape(2, 3))
    made = [torch.zeros(2, device=x.device), x.new_zeros(2), x.new_tensor([1.0]), x.to(torch.half)]
    assert all(tensor.is_cuda for tensor in made)
    assert not torch.zeros(2).is_cuda


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda x: x + torch.zeros(2, 3), "same device"),
        (lambda x: torch.cat([x, torch.zeros(2, 3)]), "same device"),
        (lambda x: x.masked_fill(torch.zeros(2, 3, dtype=torch.bool), 0.0), "same device"),
        (lambda x: torch.zeros(4)[x[:, 0].long()], "indices should be either on cpu"),
        (lambda x: x.numpy(), "Use Tensor.cpu"),
        (lambda x: np.asarray(x), "Use Tensor.cpu"),
        (lambda x: x.pin_memory(), "cannot pin"),
        (lambda x: nn.Linear(3, 2)(x), "same device"),
    ],
)
def test_what_a_gpu_refuses_is_refused(gpu, wrong, told):
    with pytest.raises((RuntimeError, TypeError), match=told):
        wrong(torch.ones(2, 3).to("cuda"))


def test_a_network_learns_there_and_its_file_opens_elsewhere(gpu):
    net = nn.Sequential(nn.Conv3d(2, 3, 3), nn.Flatten(), nn.Linear(3, 2)).to("cuda")
    net(torch.randn(4, 2, 3, 3, 3, device="cuda")).sum().backward()
    optimizer = torch.optim.AdamW(net.parameters())
    optimizer.step()
    assert all(weight.is_cuda and weight.grad.is_cuda for weight in net.parameters())
    assert optimizer.state_dict()["state"][0]["exp_avg"].is_cuda
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    assert not any(item.is_cuda for item in torch.load(file, weights_only=True).values())


def test_recurrent_layers_are_float16_under_autocast_as_in_cudnn(gpu):
    lstm, x = nn.LSTM(3, 4).to("cuda"), torch.randn(5, 2, 3, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        assert lstm(x)[0].dtype == torch.float16
        assert nn.Linear(3, 2).to("cuda")(x).dtype == torch.bfloat16
    assert lstm(x)[0].dtype == torch.float32


def test_a_process_that_was_forked_after_cuda_had_begun_cannot_use_it(gpu):
    torch.zeros(1, device="cuda")
    child = os.fork()
    if not child:  # pytest must not go on twice
        try:
            torch.zeros(1, device="cuda")
            os._exit(0)
        except RuntimeError as error:
            os._exit(7 if "forked" in str(error) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_waits_are_counted(gpu):
    x = torch.ones(3, device="cuda")
    counts = dict(gpu)
    assert not counts.get("wait")
    x.sum().item(), x[x > 0], x.tolist(), x.cpu(), bool(torch.isfinite(x).all())
    assert gpu["wait"] == 5


def test_what_is_larger_than_the_memory_is_refused():
    with fake_cuda.on(limit=1000), pytest.raises(torch.OutOfMemoryError, match="out of memory"):
        torch.zeros(1000, device="cuda")


def test_outside_there_is_no_gpu():
    with fake_cuda.on():
        assert torch.cuda.device_count() == 1
    assert not torch.cuda.is_available()
    with torch.inference_mode():
        assert torch.zeros(1).is_inference()
