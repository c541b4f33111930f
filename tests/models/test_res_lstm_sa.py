"""The published utterance network: its size, its start, and what padding does and does not do."""

import pytest
import torch

from lib import models
from lib.errors import InputError
from lib.models.blocks import recurrent


def network(compat=False, **options):
    """A small network in evaluation, with other statistics of batch norm than at its start."""
    torch.manual_seed(0)
    net = models.create("res_lstm_sa", compat, **{"channels": 6, "hidden": 8, **options})
    for norm in (net.norm, net.head_norm):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return net.eval()


def utterances(*lengths, channels=6):
    torch.manual_seed(1)
    valid = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    return {"features": torch.randn(len(lengths), max(lengths), channels), "valid": valid}


@pytest.mark.parametrize(("hidden", "weights"), [(32, 27_988), (64, 46_772), (128, 108_916)])
def test_it_has_as_many_weights_as_published(hidden, weights):
    net = models.create("res_lstm_sa", hidden=hidden)
    assert sum(weight.numel() for weight in net.parameters()) == weights


def test_forget_gates_start_with_two_and_all_other_biases_with_zero():
    net = network()
    for lstm in (net.first, net.second):
        bias = (lstm.bias_ih_l0 + lstm.bias_hh_l0).view(4, -1)
        assert (bias == torch.tensor([[0.0], [2.0], [0.0], [0.0]])).all()
        square = lstm.weight_hh_l0.T @ lstm.weight_hh_l0
        torch.testing.assert_close(square, torch.eye(lstm.hidden_size), atol=1e-5, rtol=0)
    assert not net.head.bias.any()


@torch.inference_mode()
def test_a_prediction_never_depends_on_its_batch_mates():
    batch, net = utterances(4, 9, 1), network()
    together = net(batch)["expression"]
    for row, length in enumerate((4, 9, 1)):
        alone = net({"features": batch["features"][row : row + 1, :length]})["expression"]
        torch.testing.assert_close(together[row : row + 1], alone)


@torch.inference_mode()
def test_published_padding_changes_a_prediction():
    batch, net = utterances(4, 9), network(compat=True)
    alone = net({"features": batch["features"][:1, :4]})["expression"]
    assert (net(batch)["expression"][:1] - alone).abs().max() > 1e-3
    twin = network()  # without padding both are the same network
    torch.testing.assert_close(twin({"features": batch["features"][:1, :4]})["expression"], alone)


def test_what_stands_in_padding_changes_neither_predictions_nor_statistics():
    batch = utterances(4, 9, 5)
    other = {
        **batch,
        "features": batch["features"].masked_fill(~batch["valid"][..., None], torch.nan),
    }
    first, second = network().train(), network().train()
    first.dropout.p = second.dropout.p = 0.0
    torch.testing.assert_close(first(batch)["expression"], second(other)["expression"])
    torch.testing.assert_close(first.norm.running_mean, second.norm.running_mean)
    longer = {
        name: torch.cat([rows, torch.zeros_like(rows)], dim=1) for name, rows in batch.items()
    }
    third = network().train()
    third(longer)
    torch.testing.assert_close(third.norm.running_var, first.norm.running_var)


@torch.inference_mode()
def test_an_utterance_without_a_frame_gives_numbers():
    assert torch.isfinite(network()(utterances(3, 0))["expression"]).all()


def test_gradients_reach_every_weight():
    net = network().train()
    net(utterances(4, 9, 5))["expression"].square().sum().backward()
    assert all(
        weight.grad is not None and weight.grad.abs().sum() > 0 for weight in net.parameters()
    )


def test_other_features_and_impossible_sizes_are_named():
    with pytest.raises(InputError, match=r"features \(1, 4, 5\)"):
        network()({"features": torch.zeros(1, 4, 5)})
    with pytest.raises(InputError, match="hidden = 0"):
        models.create("res_lstm_sa", hidden=0)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_layer_in_one_direction_passes_over_padding_and_holes_without_packing(
    layers, monkeypatch
):
    def refused(*_, **__):
        raise AssertionError("packed steps are four to five times as slow to learn from")

    monkeypatch.setattr(recurrent, "pack_padded_sequence", refused)
    torch.manual_seed(2)
    rnn = torch.nn.LSTM(3, 5, layers, batch_first=True).double()
    x, valid = torch.randn(4, 8, 3).double(), torch.rand(4, 8) < 0.6
    valid[3] = False
    apart = torch.zeros(4, 8, 5).double()
    for row in range(3):
        apart[row, valid[row]] = rnn(x[row, valid[row]][None])[0][0]
    together = recurrent.over_valid(rnn, x.masked_fill(~valid[..., None], torch.nan), valid)
    torch.testing.assert_close(together, apart)
    weight = torch.randn(4, 8, 5).double()
    gradients = [
        torch.autograd.grad((found * weight).sum(), list(rnn.parameters()))
        for found in (together, apart)
    ]
    for mine, right in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, right)
