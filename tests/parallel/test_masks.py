"""Masks on a GPU keep their copy, through all that is derived from them."""

import torch

from lib.parallel import masks
from tests import fake_cuda

VALID = torch.tensor([[True, False, True, True], [False, True, False, False]])


def on_gpu():
    return masks.to_device(VALID, torch.device("cuda"))


def waits(work):
    before = fake_cuda.COUNTS["wait"]
    work()
    return fake_cuda.COUNTS["wait"] - before


def test_lengths_and_rows_of_a_mask_are_known_without_waiting():
    with fake_cuda.on():
        mask = on_gpu()
        assert waits(lambda: masks.lengths(mask)) == 0
        assert waits(lambda: masks.rows(mask)) == 0
        assert masks.rows(mask).is_cuda
        assert masks.lengths(mask).tolist() == [3, 1]
        assert masks.rows(mask).cpu().tolist() == [0, 2, 3, 5]


def test_what_is_derived_from_masks_keeps_its_copy_and_a_stranger_is_fetched():
    with fake_cuda.on():
        mask = on_gpu()
        cut = masks.derived(lambda each: each[:, 1:], mask)
        both = masks.derived(torch.logical_and, cut, cut)
        assert waits(lambda: masks.on_host(both)) == 0
        assert masks.on_host(both).tolist() == VALID[:, 1:].tolist()
        stranger = masks.derived(torch.logical_and, cut, ~cut)
        assert waits(lambda: masks.on_host(stranger)) == 1
        assert not masks.on_host(stranger).any()


def test_on_the_processor_a_mask_is_its_own_copy_and_numbers_keep_none():
    assert masks.to_device(VALID, torch.device("cpu")) is VALID
    assert masks.on_host(VALID) is not None
    assert masks.rows(VALID).tolist() == [0, 2, 3, 5]
    with fake_cuda.on():
        numbers = masks.to_device(torch.zeros(2), torch.device("cuda"))
        assert waits(lambda: masks.on_host(numbers)) == 1
