"""Weights that others trained, as torchvision gives them: filled in, first layers fitted, refused
where they do not.
"""

from urllib.error import URLError

import pytest
import torch
from torchvision.models import ResNet18_Weights, resnet18
from torchvision.models.video import R2Plus1D_18_Weights, r2plus1d_18

from lib import models
from lib.errors import InputError
from lib.models import published


@pytest.fixture(scope="module")
def theirs():
    """Random weights under torchvision's own names, in place of a download."""
    torch.manual_seed(5)
    return {
        "video": r2plus1d_18(weights=None).state_dict(),
        "audio": resnet18(weights=None).state_dict(),
    }


@pytest.fixture
def offline(theirs, monkeypatch):
    monkeypatch.setattr(R2Plus1D_18_Weights, "get_state_dict", lambda *_, **__: theirs["video"])
    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", lambda *_, **__: theirs["audio"])


def test_both_encoders_get_torchvisions_weights_and_their_first_layers_fit(theirs, offline):
    net = models.create("tsav", channels=4)
    mask = net.video_model["r2plus1d"].stem[0].weight[:, 3].detach().clone()
    last = net.fc[1].weight.detach().clone()
    found = published.pretrained(net).state_dict()
    video, audio = "video_model.r2plus1d.", "audio_model.resnet."
    assert torch.equal(
        found[video + "layer3.1.conv2.0.3.weight"], theirs["video"]["layer3.1.conv2.0.3.weight"]
    )
    assert torch.equal(
        found[audio + "layer4.0.bn1.running_var"], theirs["audio"]["layer4.0.bn1.running_var"]
    )
    assert torch.equal(found[video + "stem.0.weight"][:, :3], theirs["video"]["stem.0.weight"])
    assert torch.equal(found[video + "stem.0.weight"][:, 3], mask)
    grey = torch.randn(1, 1, 9, 9)
    conv = torch.nn.functional.conv2d
    torch.testing.assert_close(
        conv(grey, found[audio + "conv1.weight"]),
        conv(grey.expand(1, 3, 9, 9), theirs["audio"]["conv1.weight"]),
        atol=1e-5,
        rtol=1e-4,
    )
    assert torch.equal(found["fc.1.weight"], last)


def test_another_width_is_refused_before_anything_is_fetched(monkeypatch):
    monkeypatch.setattr(
        R2Plus1D_18_Weights, "get_state_dict", lambda *_, **__: pytest.fail("fetched")
    )
    with pytest.raises(InputError, match=r"set `width: 1\.0`"):
        published.pretrained(models.create("tsav", width=0.125))


def test_without_a_connection_the_message_says_where_the_file_could_go(monkeypatch):
    def fail(*_, **__):
        raise URLError("no route")

    monkeypatch.setattr(R2Plus1D_18_Weights, "get_state_dict", fail)
    with pytest.raises(InputError, match=r"cannot be had.*no route[\s\S]*checkpoints"):
        published.pretrained(models.create("tsav"))
