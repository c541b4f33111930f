"""The contract of every network (docs/contracts.md, "Model"), tested on those that tell who
speaks.
"""

import re

import pytest
import torch

from lib import models

NARROW = {"visual_width": 1 / 16, "audio_width": 1 / 4, "attention_width": 1 / 4, "face_size": 16}
SMALL = {"width": 1 / 8, "face_size": 16}
ALL = {"light_asd": SMALL, "lr_asd": SMALL, "talknet": NARROW, "talknet_mrope": NARROW}
every_network = pytest.mark.parametrize("name", sorted(ALL))
CLIPS, FRAMES = 2, 6


def create(name, **more):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return models.create(name, **{**ALL[name], **more}).eval()


def declared(text):
    """``(B, 4T, 13) …`` as numbers."""
    places = re.match(r"\(([^)]*)\)", text).group(1).split(",")
    sizes = {"B": CLIPS, "T": FRAMES, "4T": 4 * FRAMES}
    return tuple(sizes.get(place.strip()) or int(place) for place in places)


def batch(net):
    """Random tensors of the shapes that the network declares."""
    made = {name: torch.rand(declared(shape)) for name, shape in net.inputs.items()}
    made["face"] *= 255
    for name, value in (("pad", False), ("visible", True)):
        if name in made:
            made[name] = torch.full_like(made[name], value, dtype=torch.bool)
    for name in {"time", "audio_time"} & made.keys():
        made[name] = torch.arange(FRAMES).expand(CLIPS, -1) / 25
    return made


@every_network
def test_outputs_are_those_that_are_declared_and_of_their_shapes(name):
    net = create(name)
    with torch.no_grad():
        found = net(batch(net))
    assert found.keys() == net.outputs.keys()
    assert {key: tuple(value.shape) for key, value in found.items()} == {
        key: declared(shape) for key, shape in net.outputs.items()
    }
    assert all(value.isfinite().all() for value in found.values())


@every_network
def test_what_is_optional_may_be_left_out_and_is_all_valid_then(name):
    net = create(name)
    whole = batch(net)
    needed = {key: value for key, value in whole.items() if "optional" not in net.inputs[key]}
    if name == "talknet_mrope":
        whole["position"] = torch.zeros_like(whole["position"])
    with torch.no_grad():
        torch.testing.assert_close(
            net(needed)["speaking"], net(whole)["speaking"], atol=1e-5, rtol=1e-5
        )


@every_network
@pytest.mark.parametrize("mode", ["audiovisual", "audio", "video"])
def test_every_weight_of_a_modality_in_use_learns(name, mode):
    net = create(name, modality=mode).train()
    sum(value.square().mean() for value in net(batch(net)).values()).backward()
    idle = {
        key
        for key, weight in net.named_parameters()
        if weight.grad is None or not weight.grad.any()
    }
    unused = (
        "layer1.downsample",
        ".se.fc.",
    )  # published without a use; two narrow units, which may both be dead
    other = {"audio": ("visual",), "video": ("audio",), "audiovisual": ()}[mode]
    named = {key for key in idle if not any(part in key.lower() for part in (*unused, *other))}
    # Keys that a constant stream multiplies, and biases before a softmax, may stand still.
    assert not {key for key in named if "encoder" in key.lower() or "frontend" in key.lower()}
    assert len(named) < 0.3 * len(list(net.parameters()))


@every_network
def test_a_state_fits_the_same_network_again_and_is_found_by_name(name):
    one, other = create(name), models.create(name, **ALL[name]).eval()
    other.load_state_dict(one.state_dict())
    items = batch(one)
    with torch.no_grad():
        assert torch.equal(one(items)["speaking"], other(items)["speaking"])


@every_network
def test_a_network_says_what_it_takes_and_gives(name):
    text = " ".join(repr(create(name)).split())
    assert "face (B, T, 16, 16) grey 0–255" in text
    assert "speaking (B, T, 2) logits" in text
    assert "face_size=16" in text
