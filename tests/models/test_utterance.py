"""The utterance network: its size, and that a recording never sees its batch mates."""

import pytest
import torch

from lib import models
from lib.errors import InputError
from lib.models.affect import utterance
from tests.models.test_res_lstm_sa import utterances

SMALL = {"channels": 19, "bands": 16, "classes": 3, "width": 0.25}


def network(**options):
    """A small network in evaluation, with other statistics of batch norm than at its start."""
    torch.manual_seed(0)
    net = models.create("utterance", **{**SMALL, **options})
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm1d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return net.eval()


def test_it_has_as_many_weights_as_its_documentation_says():
    net = models.create("utterance")
    assert sum(weight.numel() for weight in net.parameters()) == 118_472


@torch.inference_mode()
@pytest.mark.parametrize("bands", [16, 0])
def test_a_prediction_never_depends_on_its_batch_mates(bands):
    batch, net = utterances(4, 9, 1, channels=19), network(bands=bands)
    together = net(batch)["expression"]
    for row, length in enumerate((4, 9, 1)):
        alone = net({"features": batch["features"][row : row + 1, :length]})["expression"]
        torch.testing.assert_close(together[row : row + 1], alone)


def test_what_stands_in_padding_changes_neither_predictions_nor_statistics():
    batch = utterances(4, 9, 5, channels=19)
    hidden = batch["features"].masked_fill(~batch["valid"][..., None], torch.nan)
    first, second = network(dropout=0.0).train(), network(dropout=0.0).train()
    here = first(batch)["expression"]
    torch.testing.assert_close(here, second({**batch, "features": hidden})["expression"])
    norm = first.spectrum[0].norm
    torch.testing.assert_close(norm.running_var, second.spectrum[0].norm.running_var)
    longer = {name: torch.cat([rows, torch.zeros_like(rows)], 1) for name, rows in batch.items()}
    third = network(dropout=0.0).train()
    torch.testing.assert_close(here, third(longer)["expression"])
    torch.testing.assert_close(norm.running_var, third.spectrum[0].norm.running_var)


@torch.inference_mode()
def test_a_recording_without_a_frame_gives_numbers():
    assert torch.isfinite(network()(utterances(3, 0, channels=19))["expression"]).all()


def test_halving_takes_the_mean_of_the_valid_ones():
    x = torch.tensor([[[1.0], [3.0], [5.0], [0.0], [0.0]]])
    valid = torch.tensor([[True, True, True, False, False]])
    half, there = utterance.halved(x, valid)
    assert half.flatten().tolist() == [2, 5, 0]
    assert there.tolist() == [[True, True, False]]


def test_gradients_reach_every_weight():
    net = network(output="va", classes=2).train()
    net(utterances(4, 9, 5, channels=19))["va"].square().sum().backward()
    without = [name for name, weight in net.named_parameters() if weight.grad is None]
    assert without == []
    assert all(weight.grad.abs().sum() > 0 for weight in net.parameters() if weight.ndim > 1)


@pytest.mark.parametrize("options", [{"bands": 12}, {"bands": 24}, {"classes": 0}])
def test_impossible_sizes_are_named(options):
    with pytest.raises(InputError, match="bands a multiple of 8"):
        network(**options)


def test_other_features_are_named():
    with pytest.raises(InputError, match=r"features \(1, 4, 5\)"):
        network()({"features": torch.zeros(1, 4, 5)})
