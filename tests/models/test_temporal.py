"""Networks over time: what is masked changes nothing, windows of any length, a wrong input is
named.
"""

import pytest
import torch

from lib import models
from lib.errors import InputError

NETWORKS = [
    *("temporal_convolution", "gru", "transformer", "relative_transformer", "linear_recurrence")
]
every_network = pytest.mark.parametrize("name", NETWORKS)


def network(name, **options):
    torch.manual_seed(0)
    return models.create(name, channels=6, width=0.25, **options).eval()


@every_network
@torch.inference_mode()
def test_windows_of_any_length_give_two_numbers_a_step(name):
    for length in (1, 5, 33):
        assert network(name)({"features": torch.randn(3, length, 6)})["va"].shape == (3, length, 2)


@every_network
@torch.inference_mode()
def test_what_stands_in_masked_steps_changes_no_other_and_gives_zero(name):
    x, valid = torch.randn(2, 9, 6), torch.ones(2, 9, dtype=torch.bool)
    valid[0, 6:] = valid[1, 3] = False
    other = torch.where(valid.unsqueeze(-1), x, torch.nan)
    first, second = (network(name)({"features": rows, "valid": valid})["va"] for rows in (x, other))
    assert torch.allclose(first, second, atol=1e-6)
    assert (first[~valid] == 0).all()
    assert torch.isfinite(network(name)({"features": x, "valid": valid & False})["va"]).all()


@every_network
@torch.inference_mode()
def test_a_shorter_window_is_what_a_filled_up_one_is(name):
    x = torch.randn(1, 9, 6)
    valid = torch.arange(9)[None] < 6
    short = network(name)({"features": x[:, :6]})["va"]
    assert torch.allclose(
        short, network(name)({"features": x, "valid": valid})["va"][:, :6], atol=1e-5
    )


@every_network
@torch.inference_mode()
def test_a_step_sees_its_neighbours_on_both_sides(name):
    x = torch.randn(1, 9, 6)
    for moved in (3, 5):
        changed = x.clone()
        changed[0, moved] += 1
        apart = (network(name)({"features": changed})["va"] - network(name)({"features": x})["va"])[
            0, 4
        ]
        assert apart.abs().max() > 1e-5


@every_network
def test_gradients_reach_every_weight(name):
    net = network(name).train()
    net({"features": torch.randn(2, 9, 6)})["va"].square().sum().backward()
    assert all(
        weight.grad is not None and weight.grad.abs().sum() > 0 for weight in net.parameters()
    )


@every_network
def test_another_number_of_features_is_named(name):
    with pytest.raises(InputError, match=r"features \(2, 9, 5\)"):
        network(name)({"features": torch.randn(2, 9, 5)})


@torch.inference_mode()
def test_a_relative_transformer_does_not_know_where_in_a_window_it_is():
    net, absolute = network("relative_transformer"), network("transformer")
    x, valid = torch.randn(1, 12, 6), torch.arange(12)[None] < 8
    later = torch.roll(x, 4, dims=1)
    for one, equal in ((net, True), (absolute, False)):
        first = one({"features": x, "valid": valid})["va"][:, :8]
        second = one({"features": later, "valid": valid.roll(4, dims=1)})["va"][:, 4:]
        assert torch.allclose(first, second, atol=1e-5) == equal


@torch.inference_mode()
def test_a_relative_transformer_knows_which_of_two_steps_is_nearer():
    net = network("relative_transformer")
    x = torch.randn(1, 9, 6)
    swapped = x[:, [0, 1, 2, 3, 4, 5, 7, 6, 8]]
    first, second = (net({"features": rows})["va"][0, 4] for rows in (x, swapped))
    assert not torch.allclose(first, second, atol=1e-5)
