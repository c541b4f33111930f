"""Weights that others trained, as torchvision gives them: filled in, first layers fitted, refused
where they do not.
"""

import hashlib
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from lib import models
from lib.errors import InputError
from lib.experiments import pipeline
from lib.models import published, weights
from lib.models.blocks import residual


@pytest.fixture(scope="module")
def theirs():
    """Random weights under torchvision's own names, in place of a download."""
    from torchvision.models import resnet18  # seconds, in every process that collects tests
    from torchvision.models.video import r2plus1d_18

    torch.manual_seed(5)
    return {
        "video": r2plus1d_18(weights=None).state_dict(),
        "audio": resnet18(weights=None).state_dict(),
    }


@pytest.fixture
def folder(theirs, tmp_path, monkeypatch):
    """A folder of weights with both files, whose first digits are those of the registry here."""
    for name, part in zip(weights.INITIAL, ("video", "audio"), strict=True):
        known = weights.REGISTRY[name]
        torch.save(theirs[part], tmp_path / known.file)
        digits = hashlib.sha256((tmp_path / known.file).read_bytes()).hexdigest()[:8]
        monkeypatch.setitem(weights.REGISTRY, name, replace(known, sha256=digits))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("kinetics_r2plus1d_18", "R2Plus1D_18_Weights.KINETICS400_V1"),
        ("imagenet_resnet18", "ResNet18_Weights.IMAGENET1K_V1"),
    ],
)
def test_address_and_first_digits_are_those_that_torchvision_names(name, theirs):
    from torchvision.models import get_weight

    known, url = weights.entry(name), get_weight(theirs).url
    assert known.url == url
    assert url.endswith(f"-{known.sha256}.pth")
    assert len(known.sha256) == 8


def test_both_encoders_compute_what_torchvisions_networks_do(theirs):
    from torchvision.models import resnet18
    from torchvision.models.video import r2plus1d_18

    torch.manual_seed(1)
    clip, picture = torch.randn(2, 3, 4, 32, 32), torch.randn(2, 1, 48, 40)
    heard = {**theirs["audio"], "conv1.weight": theirs["audio"]["conv1.weight"][:, :1]}
    pairs = [
        (residual.R2Plus1D18(3), r2plus1d_18(weights=None), theirs["video"], clip),
        (residual.ResNet18(), resnet18(weights=None), heard, picture),
    ]
    pairs[1][1].conv1 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    for ours, other, state, x in pairs:
        other.fc = torch.nn.Identity()
        mine = {name: value for name, value in state.items() if not name.startswith("fc.")}
        ours.load_state_dict(mine)
        other.load_state_dict(mine)
        found = ours(x)  # in training, so that the means of the batch norms count, too
        expected = other(x)
        torch.testing.assert_close(found if found.ndim == 2 else found.mean((2, 3, 4)), expected)
        assert list(dict(ours.named_parameters())) == list(dict(other.named_parameters()))


def test_both_encoders_get_torchvisions_weights_and_their_first_layers_fit(theirs, folder):
    net = models.create("tsav", channels=4)
    mask = net.video_model["r2plus1d"].stem[0].weight[:, 3].detach().clone()
    last = net.fc[1].weight.detach().clone()
    found = published.pretrained(net, folder).state_dict()
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


def test_another_width_is_refused_before_anything_is_fetched(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "get", lambda *_, **__: pytest.fail("fetched"))
    with pytest.raises(InputError, match=r"set `width: 1\.0`"):
        published.pretrained(models.create("tsav", width=0.125), tmp_path)


def test_without_the_files_the_message_says_how_to_get_them_and_what_to_do_without(tmp_path):
    with pytest.raises(InputError, match=r"weights get kinetics_r2plus1d_18[\s\S]*initial: random"):
        published.pretrained(models.create("tsav"), tmp_path, fetched=False)


def test_a_file_of_another_content_is_refused(folder):
    place = folder / weights.entry("imagenet_resnet18").file
    place.write_bytes(place.read_bytes() + b"x")
    with pytest.raises(InputError, match=r"this is not the file resnet18-f37072fd\.pth"):
        published.pretrained(models.create("tsav"), folder)


def test_a_training_run_fetches_them_with_a_line_each_or_says_the_command(folder, monkeypatch):
    values = {"options": {"initial": "pretrained"}, "weights_root": str(folder)}
    lines, experiment = [], SimpleNamespace(values=values)
    pipeline._fetch_initial(experiment, lines.append)
    assert lines == []  # both are there
    (folder / weights.entry("imagenet_resnet18").file).unlink()
    monkeypatch.setattr(weights, "get", lambda name, root: None)
    pipeline._fetch_initial(experiment, lines.append)
    assert len(lines) == 1
    assert "fetched imagenet_resnet18" in lines[0]
    values["fetch_weights"] = False
    with pytest.raises(InputError, match="weights get imagenet_resnet18"):
        pipeline._fetch_initial(experiment, lines.append)
