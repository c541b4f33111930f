"""Gates by reliability: what is off changes nothing, what was not observed is not looked at, rows
at their own spacing reach their steps.
"""

import pytest
import torch

from lib import models
from lib.errors import InputError
from lib.models.affect import gated_fusion

STREAMS = {"heard": 3, "seen": 5}
every_network = pytest.mark.parametrize(
    "name", ["temporal_convolution", "relative_transformer", "gru"]
)


def network(name="temporal_convolution", **options):
    torch.manual_seed(0)
    sizes = {"streams": STREAMS, "reliability": 2, "width": 0.25, "step_hop": 2}
    return models.create("gated_fusion", network=name, **{**sizes, **options}).eval()


def batch(steps=9, every=(2, 2), step_hop=2, seed=0):
    draw = torch.Generator().manual_seed(seed)
    found = {"reliability": torch.randn(2, steps, 2, generator=draw)}
    for (name, size), spacing in zip(STREAMS.items(), every, strict=True):
        rows = gated_fusion.rows_of(steps, step_hop, spacing)
        found[f"stream_{name}"] = torch.randn(2, rows, size, generator=draw)
        found[f"seen_{name}"] = torch.ones(2, rows, dtype=torch.bool)
    return found


@every_network
@torch.inference_mode()
def test_a_stream_that_is_off_has_no_part_in_the_output(name):
    net, given = network(name), batch()
    on = net(given)
    other = {**given, "stream_seen": torch.full_like(given["stream_seen"], torch.nan)}
    off = {"seen_seen": torch.zeros_like(given["seen_seen"])}
    first, second = net({**given, **off}), net({**other, **off})
    for key in ("va", "log_variance", "gates"):
        assert torch.equal(first[key], second[key])
    assert (first["gates"][:, :, 1] == 0).all()
    assert torch.allclose(first["gates"][:, :, 0], torch.ones(2, 9, 2))
    changed = {**given, "stream_seen": given["stream_seen"] + 1}
    assert not torch.allclose(net(changed)["va"], on["va"], atol=1e-4), "on, it has a part"


@torch.inference_mode()
def test_joined_by_their_values_streams_say_together_what_each_says_when_it_is_left_alone():
    net, given = network(join="values"), batch()
    both, alone = net(given), {}
    for name, other in (("heard", "seen"), ("seen", "heard")):
        off = {f"seen_{other}": torch.zeros_like(given[f"seen_{other}"])}
        alone[name] = net({**given, **off})
    for key in ("va", "log_variance"):
        says = torch.stack([alone[name][key] for name in STREAMS], dim=2)
        assert torch.allclose(both[key], (both["gates"] * says).sum(dim=2), atol=1e-6)
    read = network()
    assert read.state_dict().keys() == net.state_dict().keys(), "one checkpoint fits both"
    assert not torch.allclose(read(given)["va"], both["va"], atol=1e-4)


def test_a_join_that_is_none_is_named():
    with pytest.raises(InputError, match="join 'sum'"):
        network(join="sum")


@every_network
@torch.inference_mode()
def test_a_row_that_was_not_observed_is_not_looked_at_and_its_neighbours_speak_for_it(name):
    net, given = network(name), batch()
    given["seen_seen"][0, 4] = False
    other = {**given, "stream_seen": given["stream_seen"].clone()}
    other["stream_seen"][0, 4] = torch.nan
    first = net(given)
    assert torch.equal(first["va"], net(other)["va"])
    assert (first["gates"][0, 4, 1] > 0).all(), "the stream is there in this window"
    other["stream_seen"][0, 3] += 1
    apart = (net(other)["va"] - first["va"])[0, 4].abs().max()
    assert apart > 1e-5, "the row before it is heard at this step"


@torch.inference_mode()
def test_gates_add_up_to_one_and_without_any_stream_the_result_is_a_constant():
    net, given = network(), batch()
    assert torch.allclose(net(given)["gates"].sum(dim=2), torch.ones(2, 9, 2))
    none = {key: torch.zeros_like(rows) for key, rows in given.items() if key.startswith("seen")}
    found = net({**given, **none})
    assert (found["gates"] == 0).all()
    assert torch.isfinite(found["va"]).all()
    assert torch.allclose(found["va"], found["va"][:1, :1].expand_as(found["va"]))


@torch.inference_mode()
def test_reliability_moves_the_gates_and_nothing_else():
    net, given = network(), batch()
    less = {**given, "reliability": given["reliability"] + 2}
    first, second = net(given), net(less)
    assert not torch.allclose(first["gates"], second["gates"], atol=1e-4)
    alone = {"seen_seen": torch.zeros_like(given["seen_seen"])}  # one stream: nothing to choose
    assert torch.allclose(net({**given, **alone})["va"], net({**less, **alone})["va"])


@pytest.mark.parametrize(("steps", "every"), [(9, (2, 2)), (9, (1, 4)), (5, (3, 5)), (1, (1, 7))])
@torch.inference_mode()
def test_rows_at_their_own_spacing_are_brought_to_the_steps_linearly(steps, every):
    net = network(every=every)
    for number, spacing in enumerate(every):
        rows = gated_fusion.rows_of(steps, 2, spacing)
        assert (rows - 1) * spacing >= (steps - 1) * 2 > (rows - 2) * spacing
        at = torch.arange(rows, dtype=torch.float32)[None, :, None] * spacing  # frames
        found = net._at_steps(at, number, steps)
        assert torch.allclose(found, torch.arange(steps)[None, :, None] * 2.0)
    assert net(batch(steps, every))["va"].shape == (2, steps, 2)


@every_network
@torch.inference_mode()
def test_a_shorter_window_is_what_a_filled_up_one_is(name):
    every = (1, 4)
    net, long, short = network(name, every=every), batch(9, every), batch(6, every)
    for key, rows in short.items():
        long[key][:, : rows.shape[1]] = rows
    long["valid"] = torch.arange(9).expand(2, 9) < 6
    first, second = net(short), net(long)
    for key in ("va", "log_variance", "gates"):
        assert torch.allclose(first[key], second[key][:, :6], atol=1e-5)
        assert (second[key][:, 6:] == 0).all()


def test_gradients_reach_every_weight_and_each_stream_speaks_alone_in_training():
    net, given = network().train(), batch()
    given["seen_heard"][:, 3] = given["seen_seen"][:, 2] = False
    found = net(given)
    assert found["va_streams"].shape == (2, 9, 2, 2)
    sum(values.square().sum() for values in found.values()).backward()
    for name, weight in net.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("options", "change", "what"),
    [
        ({}, {"stream_seen": torch.zeros(2, 9, 4)}, r"stream_seen \(2, 9, 4\)"),
        ({}, {"stream_heard": torch.zeros(2, 8, 3)}, r"stream_heard \(2, 8, 3\)"),
        ({"name": "jca"}, {}, "network 'jca'"),
    ],
)
def test_what_does_not_fit_is_named(options, change, what):
    with pytest.raises(InputError, match=what):
        network(**options)({**batch(), **change})
