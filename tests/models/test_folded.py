"""Networks in the form that predicts: batch norms folded, clips as pictures and rows of time;
outputs stay.
"""

import numpy as np
import pytest
import torch

from lib import models
from lib.features import windows
from lib.models import forward
from lib.models.fast import overlap


def stirred(net):
    """The network in evaluation mode with batch norms that do something."""
    generator = torch.Generator().manual_seed(3)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            for values, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.4, 2.0),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.2, 0.2),
            ):
                values.uniform_(low, high, generator=generator)
    return net.eval()


def batch(channels, size, clips=2):
    generator = torch.Generator().manual_seed(4)
    return {
        "clip": torch.randint(
            0, 256, (clips, 8, size, size, channels), dtype=torch.uint8, generator=generator
        ),
        "mel": torch.randn(clips, 1, 64, 51, generator=generator),
    }


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tsav", {"channels": 4}),
        ("tsav", {"channels": 3, "modality": "video"}),
        ("tsav", {"modality": "audio"}),
        ("tsav_backbone", {"pooled": False}),
        ("tsav_backbone", {"pooled": True, "channels": 3}),
    ],
)
@pytest.mark.parametrize(("width", "size"), [(0.0625, 32), (0.75, 32), (0.125, 48)])
def test_outputs_of_the_folded_network_are_the_same(name, options, width, size):
    torch.manual_seed(1)
    net = stirred(models.create(name, width=width, face_size=size, **options))
    folded, given = net.folded(), batch(options.get("channels", 4 if name == "tsav" else 3), size)
    with torch.inference_mode():
        expected, found = net(given), folded(given)
    assert expected.keys() == found.keys()
    for key in expected:
        assert expected[key].std() > 1e-3, "a constant would prove nothing"
        torch.testing.assert_close(found[key], expected[key], atol=1e-5, rtol=1e-4)


def test_the_widths_above_are_filled_up_inside_and_no_batch_norm_is_left():
    net = stirred(models.create("tsav", width=0.75, face_size=32)).folded()
    assert not [
        each
        for each in net.modules()
        if isinstance(each, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d)
    ]
    stem = net.video_model["r2plus1d"].stem
    assert (stem.spatial.weight.shape[0], stem.temporal.weight.shape[1]) == (48, 48), (
        "34 channels at this width"
    )


def test_folding_leaves_the_network_itself_as_it_was():
    net = stirred(models.create("tsav", width=0.0625, face_size=32))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.folded()
    after = net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    "frames", [range(60, 92), range(5), range(70, 71), [100, 3, 50, 9]], ids=str
)
@pytest.mark.parametrize(("name", "channels"), [("tsav", 4), ("tsav_backbone", 3)])
def test_clips_that_share_pictures_give_what_each_gives_alone(name, channels, frames):
    torch.manual_seed(1)
    net = stirred(models.create(name, width=0.125, face_size=32, channels=channels))
    wanted = windows.clips(110)[list(frames)]  # those of early frames begin in black
    numbers, where = np.unique(wanted, return_inverse=True)
    pictures = torch.randint(0, 256, (len(numbers), 32, 32, channels), dtype=torch.uint8)
    given = {
        "pictures": pictures,
        "shown": torch.from_numpy(where.reshape(wanted.shape)),
        "mel": torch.randn(len(wanted), 1, 64, 51),
    }
    alone = {"clip": pictures[given["shown"]], "mel": given["mel"]}
    with torch.inference_mode():
        expected, found, plain = net(alone), net.folded()(given), net(given)
    for key in expected:
        assert expected[key].std() > 1e-3, "a constant would prove nothing"
        torch.testing.assert_close(found[key], expected[key], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(plain[key], expected[key], atol=0, rtol=0)


def test_what_neighbouring_clips_share_is_computed_once(monkeypatch):
    pictures = []
    factored = overlap.factored
    monkeypatch.setattr(
        overlap,
        "factored",
        lambda conv, x, *more: pictures.append(len(x)) or factored(conv, x, *more),
    )
    net = (
        models.create("tsav", width=0.0625, face_size=32, channels=3, modality="video")
        .eval()
        .folded()
    )
    shown = torch.from_numpy(windows.clips(200)[100:132] - 58)  # 32 clips of 74 pictures
    with torch.inference_mode():
        net({"pictures": torch.zeros(74, 32, 32, 3, dtype=torch.uint8), "shown": shown.long()})
    # Of 256 places: every picture; then what has both neighbours, and the first and the last of
    # each clip; then the first two and the last two.
    assert pictures == [74, (74 - 12) + 2 * 32, (74 - 24) + 4 * 32]


def test_a_network_in_training_cannot_be_folded():
    with pytest.raises(ValueError, match=r"call eval\(\) first"):
        models.create("tsav", width=0.0625, face_size=32).train().folded()


def test_a_network_without_encoders_is_its_own_fast_form():
    net = models.create("jca", width=0.0625, steps=4).eval()
    assert forward.ready(net) is net


def test_half_precision_inside_gives_full_precision_outputs_near_the_same():
    torch.manual_seed(1)
    net = stirred(models.create("tsav", width=0.125, face_size=32))
    given = batch(4, 32)
    with torch.inference_mode():
        expected, found = net(given)["va"], forward.ready(net, "bfloat16")(given)["va"]
    assert found.dtype == torch.float32
    apart = (found - expected).abs().max()
    assert 0 < apart < 0.1 * expected.abs().max()
