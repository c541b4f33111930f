"""The page about GPUs says what is counted."""

import importlib.util

import pytest
import torch

from lib.files import ROOT


@pytest.fixture(scope="module")
def gpu_memory():
    spec = importlib.util.spec_from_file_location("gpu_memory", ROOT / "benchmarks/gpu_memory.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_a_network_keeps_is_counted_once_and_in_half_precision(gpu_memory):
    """A linear layer keeps its input, a ReLU its output, which the next layer keeps, too."""
    layers = [torch.nn.Linear(10, 20), torch.nn.ReLU(), torch.nn.Linear(20, 5)]
    net = gpu_memory._Named(torch.nn.Sequential(*layers)).to("meta")
    x = torch.empty(8, 10, device="meta")
    assert gpu_memory.kept(net, x) == 2 * 8 * (10 + 20)


@pytest.mark.slow  # builds every network at full size
def test_the_table_is_that_of_the_parameter_files(gpu_memory):
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert gpu_memory.markdown(gpu_memory.table()) in page
