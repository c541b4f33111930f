"""Streams of a recording that are weighed, then pooled: what is off has no part, batch mates
neither, and one head answers.
"""

import pytest
import torch

from lib import models
from lib.errors import InputError

STREAMS = {"spectrum": 8, "melody": 3}
SMALL = {"streams": STREAMS, "reliability": 2, "classes": 3, "width": 0.25}


def network(**options):
    torch.manual_seed(0)
    return models.create("gated_utterance", **{**SMALL, **options}).eval()


def batch(*lengths, seed=0):
    """Recordings of some lengths, NaN behind their ends."""
    draw, longest = torch.Generator().manual_seed(seed), max(lengths)
    valid = torch.arange(longest) < torch.tensor(lengths)[:, None]
    found = {"valid": valid}
    sizes = {f"stream_{name}": size for name, size in STREAMS.items()} | {"reliability": 2}
    for name, size in sizes.items():
        rows = torch.randn(len(lengths), longest, size, generator=draw)
        found[name] = rows.masked_fill(~valid[..., None], torch.nan)
    return found


def off(given, name):
    """The batch with a stream that was not observed."""
    return {**given, f"seen_{name}": torch.zeros_like(given["valid"])}


@torch.inference_mode()
def test_a_stream_that_is_off_has_no_part_and_what_is_said_without_it_is_something_else():
    net, given = network(), batch(9, 6)
    on, first = net(given), net(off(given, "melody"))
    other = {**given, "stream_melody": torch.full_like(given["stream_melody"], torch.nan)}
    second = net(off(other, "melody"))
    assert torch.equal(first["expression"], second["expression"])
    torch.testing.assert_close(first["gates"], torch.tensor([[1.0, 0.0]] * 2))
    assert torch.isfinite(first["expression"]).all()
    assert not torch.allclose(first["expression"], on["expression"], atol=1e-3)
    torch.testing.assert_close(on["gates"].sum(dim=1), torch.ones(2))


@torch.inference_mode()
def test_without_any_stream_and_without_a_row_it_gives_numbers():
    net, given = network(), batch(5, 0)
    assert torch.isfinite(net(given)["expression"]).all()
    nothing = off(off(given, "melody"), "spectrum")
    found = net(nothing)
    assert torch.isfinite(found["expression"]).all()
    assert (found["gates"] == 0).all()


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["temporal_convolution", "relative_transformer", "gru"])
def test_a_prediction_never_depends_on_its_batch_mates(kind):
    net, given = network(network=kind), batch(4, 9, 1)
    together = net(given)
    for row, length in enumerate((4, 9, 1)):
        alone = {name: rows[row : row + 1, :length] for name, rows in given.items()}
        for name, values in net(alone).items():
            torch.testing.assert_close(together[name][row : row + 1], values)


@torch.inference_mode()
def test_a_step_is_the_mean_of_what_was_observed_in_two_rows():
    net, given = network(), batch(6)
    seen = torch.tensor([[True, False, True, True, False, False]])
    half = net._halved({**given, "seen_melody": seen})
    rows = given["stream_melody"][0]
    expected = torch.stack([rows[0], rows[2:4].mean(dim=0), torch.zeros(3)])
    torch.testing.assert_close(half["stream_melody"][0], expected)
    assert half["seen_melody"].tolist() == [[True, True, False]]
    assert half["valid"].all()


def test_gradients_reach_every_weight_and_each_stream_speaks_alone_in_training():
    net, given = network(output="va", classes=2).train(), batch(9, 6)
    seen = given["valid"].clone()
    seen[:, 2:4] = False  # a step that was not observed
    given |= {"seen_spectrum": seen, "seen_melody": seen}
    found = net(given)
    assert found["alone"].shape == (2, 2, 2)
    sum(values.square().sum() for values in found.values()).backward()
    for name, weight in net.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_its_options_make_the_network_that_its_weights_fit():
    net = network()
    again = models.create("gated_utterance", **net.options)
    again.load_state_dict(net.state_dict())
    given = batch(7)
    torch.testing.assert_close(again.eval()(given), net(given))


@pytest.mark.parametrize("options", [{"streams": {}}, {"classes": 0}])
def test_without_streams_or_classes_it_is_refused(options):
    with pytest.raises(InputError, match="at least 1 of each"):
        network(**options)
