"""The size of what is computed at once on a GPU."""

import pytest
import torch

from lib.errors import InputError
from lib.models import memory
from lib.parallel import mapping
from tests import fake_cuda

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
