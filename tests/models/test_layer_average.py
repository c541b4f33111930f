"""A learnt average of hidden layers: by hand, inside networks over time, and what is refused."""

import pytest
import torch

from lib import models
from lib.errors import InputError
from lib.models.blocks.layer_average import LayerAverage

STACKS = [(3, 4), (1, 2)]


def test_it_begins_as_the_mean_of_the_layers_and_leaves_single_ones_as_they_are():
    x = torch.randn(2, 5, 14)
    mean = x[..., :12].reshape(2, 5, 3, 4).mean(dim=2)
    assert torch.allclose(LayerAverage(STACKS)(x), torch.cat([mean, x[..., 12:]], -1), atol=1e-6)


def test_its_weights_are_a_softmax_of_what_it_learns():
    average = LayerAverage(STACKS)
    assert [len(logits) for logits in average.logits] == [3]
    average.logits[0].data = torch.tensor([0.0, 1.0, 3.0])
    x, weights = torch.randn(1, 14), torch.tensor([0.0, 1.0, 3.0]).exp()
    expected = sum(w * x[:, 4 * k : 4 * k + 4] for k, w in enumerate(weights / weights.sum()))
    assert torch.allclose(average(x)[:, :4], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["gru", "temporal_convolution", "linear_recurrence"])
def test_a_network_over_time_learns_which_layer_to_believe(name):
    """Only the third of four layers tells the target: its weight becomes the largest."""
    torch.manual_seed(0)
    net = models.create(name, channels=16, width=0.125, layers=1, dropout=0.0, stacks=[(4, 4)])
    optimiser = torch.optim.Adam(net.parameters(), 0.03)
    for _ in range(60):
        x = torch.randn(16, 6, 16)
        error = net({"features": x})["va"] - x[..., 8:10]
        optimiser.zero_grad()
        error.square().mean().backward()
        optimiser.step()
    assert net.enter[0].logits[0].argmax() == 2


def test_without_layers_to_average_a_network_has_the_weights_that_it_always_had():
    keys = set(models.create("gru", channels=8, width=0.125).state_dict())
    assert {"enter.1.weight", "enter.2.weight"} <= keys
    assert not any("logits" in key for key in keys)


def test_a_stream_of_the_gated_fusion_averages_its_own_layers():
    given = {"streams": {"a": 8, "b": 6}, "width": 0.125, "stacks": {"a": (2, 4)}}
    net = models.create("gated_fusion", **given).eval()
    keys = [key for key in net.state_dict() if "logits" in key]
    assert keys == ["nets.0.enter.0.logits.0"]
    again = models.create("gated_fusion", **net.options)
    again.load_state_dict(net.state_dict())
    batch = {"stream_a": torch.randn(1, 5, 8), "stream_b": torch.randn(1, 5, 6)}
    batch["reliability"] = torch.ones(1, 5, 4)
    assert torch.equal(again.eval()(batch)["va"], net(batch)["va"])


def test_layers_that_are_not_those_of_the_features_are_refused():
    with pytest.raises(InputError, match="layers of 12 numbers"):
        models.create("gru", channels=16, stacks=[(3, 4)])
