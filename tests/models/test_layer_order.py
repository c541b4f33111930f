"""The layers of the networks, from input to head, by hand."""

import pytest
import torch
from torch import nn

from lib import models
from lib.models import layer_order

NARROW = {"can": 0.25, "lfan": 0.25, "lfan_v2": 0.25, "vggish": 0.0625}


def network(name):
    sizes = models.options(name)
    return models.create(name, **({"width": NARROW.get(name, 0.125)} if "width" in sizes else {}))


def tops(net, depth=1):
    """The parts that each layer's weights belong to, by the first words of their names."""
    return [
        sorted({".".join(key.split(".")[:depth]) for key in keys})
        for keys in layer_order.layers(net)
    ]


@pytest.mark.parametrize("name", sorted(models.REGISTRY))
def test_every_weight_is_in_one_layer_and_the_first_layers_are_not_the_last(name):
    net = network(name)
    found = layer_order.layers(net)
    names = sorted(key for keys in found for key in keys)
    assert names == sorted(key for key, _ in net.named_parameters())
    assert len(found) > 1


def test_the_layers_of_jca_and_its_kin_follow_the_equations():
    heads = ["aregressor", "vregressor"]
    assert tops(network("jca")) == [["video_attn"], ["coattn"], ["Joint"], heads, heads]
    gates = ["audio_gating_fc_layer", "video_gating_fc_layer"]
    before = [["audio_extract"], ["video_attn"], ["video_extract"], ["coattn"], ["coattn"]]
    assert tops(network("dca")) == [*before, gates, ["Joint"], heads, heads]


def test_streams_of_different_depth_end_together():
    found = tops(network("tsav"), depth=3)
    assert found[0] == ["video_model.r2plus1d.stem"]
    assert found[1] == ["audio_model.resnet.bn1", "audio_model.resnet.conv1", *found[0]]
    assert found[-2] == ["audio_model.resnet.layer4", "video_model.r2plus1d.layer4"]
    assert found[-1] == ["fc.1.bias", "fc.1.weight"]
    assert len(found) == 11, "two of the stem, eight blocks, the head"


def test_a_face_network_stands_below_what_reads_it_over_time():
    found = tops(network("lfan"))
    assert found[:26] == [["spatial"]] * 26, "input, 24 units, output"
    assert found[26] == ["temporal", "temporal1", "temporal2"]
    assert found[-1] == ["regressor"]


def test_a_network_of_somebody_is_taken_in_the_order_in_which_its_parts_were_set():
    class Mine(nn.Module):
        def __init__(self):
            super().__init__()
            self.start = nn.Parameter(torch.zeros(2, 2))
            self.norm_first = nn.LayerNorm(2)
            self.enter = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.ReLU(), nn.Linear(2, 2))
            self.both = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
            self.head = nn.Linear(2, 1)

    found = layer_order.layers(Mine())
    assert [sorted({key.rpartition(".")[0] for key in keys}) for keys in found] == [
        ["", "norm_first"],
        ["enter.0", "enter.1"],
        ["enter.3"],
        ["both.a", "both.b"],
        ["head"],
    ]
