import json

import numpy as np
import pytest
import torch

from lib import models
from lib.errors import InputError
from lib.models.affect.tsav import (
    CLIP_MEAN,
    CLIP_STD,
    backbone_from_tsav,
    normalise_clip,
    positions,
)
from tests.models.golden_fill import GAIN_TSAV, cosine, fill, sine
from tests.shared_files import shared

SMALL = {"width": 1 / 16, "face_size": 32, "audio_seconds": 0.5}


def _goldens():
    return json.loads(shared("specs/goldens_tsav_jca.json").read_text())


def _shapes(net):
    return [(key, list(value.shape)) for key, value in net.state_dict().items()]


def _published_shapes(name):
    return list(json.loads(shared(f"specs/state_dicts/{name}.json").read_text()).items())


def _batch(channels=4, n=3, side=32, columns=51):
    generator = torch.Generator().manual_seed(0)
    return {
        "clip": torch.randn(n, channels, 8, side, side, generator=generator),
        "mel": torch.randn(n, 1, 64, columns, generator=generator),
    }


def test_tsav_has_the_published_keys_and_outputs():
    net = models.create("tsav", compat=True)
    assert _shapes(net) == _published_shapes("tsav")
    assert sum(p.numel() for p in net.parameters()) == 42_489_995
    fill(net, GAIN_TSAV)
    with torch.no_grad():
        outputs = net({"clip": sine(1, 4, 8, 112, 112), "mel": cosine(1, 1, 64, 1001)})
    found = torch.cat([outputs["expression"], outputs["va"], outputs["action_units"]], dim=1)[0]
    assert np.abs(found.numpy() - _goldens()["tsav"]).max() < 1e-5  # asked for: 1e-3


def test_the_backbone_has_the_published_keys_and_outputs():
    net = models.create("tsav_backbone", compat=True)
    assert _shapes(net) == _published_shapes("tsav_backbone")
    fill(net, GAIN_TSAV)
    with torch.no_grad():
        outputs = net({"clip": sine(1, 3, 8, 112, 112), "mel": cosine(1, 1, 64, 104)})
    for name, golden in _goldens()["tsav_backbone"].items():
        if name not in outputs:
            continue
        x = outputs[name][0].numpy()
        assert np.abs(x[:4] - golden["first4"]).max() < 1e-5  # asked for: 1e-4
        expected = [golden[key] for key in ("last", "mean", "std")]
        assert [x[-1], x.mean(), x.std()] == pytest.approx(expected, abs=1e-5)
        assert [x[int(i)] for i in golden["at"]] == pytest.approx(
            list(golden["at"].values()), abs=1e-5
        )
        for channel, mean in golden.get("mean_of_channel", {}).items():
            assert x.reshape(512, 49)[int(channel)].mean() == pytest.approx(mean, abs=1e-5)


@pytest.mark.parametrize(
    ("width", "planes", "stem"), [(1 / 8, 8, 6), (1 / 64, 1, 1), (0.25, 16, 11)]
)
def test_width_scales_all_channel_counts(width, planes, stem):
    state = models.create("tsav", width=width).state_dict()
    assert state["video_model.r2plus1d.stem.0.weight"].shape[:2] == (stem, 4)
    assert state["audio_model.resnet.conv1.weight"].shape[0] == planes
    assert state["fc.1.weight"].shape == (17, 16 * planes)
    # Conv2Plus1D's formula from the scaled planes: layer4.0 goes from 4 to 8 times the first.
    middle = (4 * planes * 8 * planes * 27) // (4 * planes * 9 + 3 * 8 * planes)
    assert state["video_model.r2plus1d.layer4.0.conv1.0.0.weight"].shape[0] == middle


def test_outputs_are_as_declared_for_other_classes_and_channels():
    net = models.create("tsav", **SMALL, channels=3, expressions=8, action_units=12).eval()
    outputs = net(_batch(3))
    assert {name: tuple(x.shape) for name, x in outputs.items()} == {
        "expression": (3, 8),
        "va": (3, 2),
        "action_units": (3, 12),
    }
    assert net.outputs == {"expression": "(B, 8)", "va": "(B, 2)", "action_units": "(B, 12)"}


def test_every_weight_of_tsav_gets_a_gradient():
    torch.manual_seed(0)
    net = models.create("tsav", **SMALL, stream_outputs=True)
    sum(x.square().sum() for x in net(_batch()).values()).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(
    ("modality", "given", "silent"),
    [("audio", "mel", "video_model"), ("video", "clip", "audio_model")],
)
def test_an_absent_modality_is_zeros_after_its_encoder_which_is_not_run(modality, given, silent):
    torch.manual_seed(0)
    net = models.create("tsav", **SMALL, modality=modality, stream_outputs=True)
    assert list(net.inputs) == [given]
    outputs = net({given: _batch()[given]})
    assert "va_video" not in outputs
    outputs["va"].sum().backward()
    for name, p in net.named_parameters():
        assert (p.grad is None) == name.startswith(silent), name
    weight = net.fc[1].weight.grad
    zeros = weight[:, net.n_features :] if modality == "audio" else weight[:, : net.n_features]
    assert not zeros.any()
    with pytest.raises(InputError, match=f"no input '{given}'"):
        net({})


def test_the_video_stream_alone_is_an_output_in_training_only():
    torch.manual_seed(0)
    net = models.create("tsav", **SMALL, stream_outputs=True)
    batch = _batch()
    video = net(batch)["va_video"]
    louder = net({**batch, "mel": batch["mel"] * 3})
    assert torch.equal(louder["va_video"], video)
    assert not torch.equal(louder["va"], net(batch)["va"])
    assert "va_video" not in net.eval()(batch)


def test_clips_are_normalised_per_channel_and_black_is_the_published_black():
    clip = torch.zeros(1, 8, 4, 5, 4, dtype=torch.uint8)
    clip[0, 2, 1, 3] = torch.tensor([255, 128, 0, 51])
    x = normalise_clip(clip)
    assert x.shape == (1, 4, 8, 4, 5)
    assert x.dtype == torch.float32
    assert x[0, :, 0, 0, 0].tolist() == pytest.approx(
        [-1.8952, -1.7822, -1.7349, -2.2222], abs=1e-4
    )
    value = (np.array([255, 128, 0, 51]) / 255 - CLIP_MEAN) / CLIP_STD
    assert x[0, :, 2, 1, 3].tolist() == pytest.approx(value.tolist(), abs=1e-5)
    assert torch.equal(normalise_clip(clip[..., :3]), x[:, :3])


def test_a_uint8_clip_is_normalised_by_the_network_itself():
    torch.manual_seed(1)
    clip = torch.randint(0, 256, (2, 8, 32, 32, 4), dtype=torch.uint8)
    net = models.create("tsav", **SMALL, modality="video").eval()
    assert torch.equal(net({"clip": clip})["va"], net({"clip": normalise_clip(clip)})["va"])


@pytest.mark.parametrize(("face_size", "places"), [(112, 49), (64, 16), (32, 4), (40, 9)])
def test_positions_follow_from_the_size_of_the_pictures(face_size, places):
    assert positions(face_size) == places
    net = models.create("tsav_backbone", width=1 / 64, face_size=face_size).eval()
    assert (net.visual_channels, net.visual_positions, net.audio_channels) == (8, places, 8)
    assert net({"clip": torch.zeros(2, 3, 8, face_size, face_size)})["visual"].shape == (
        2,
        8 * places,
    )


def test_a_backbone_from_a_small_tsav_gives_the_same_features():
    torch.manual_seed(0)
    tsav = models.create("tsav", width=0.134, face_size=64, channels=3, action_units=12).eval()
    batch = _batch(3, side=64)
    every = backbone_from_tsav(tsav.state_dict(), face_size=64)
    pooled = backbone_from_tsav(tsav.state_dict(), face_size=64, pooled=True)
    assert not any(p.requires_grad for p in every.parameters())
    assert not every.training
    features = every(batch)
    assert features["visual"].shape == (3, 72 * 16)
    means = features["visual"].reshape(3, 72, 16).mean(dim=2)  # 16 places of a channel together
    assert torch.allclose(pooled(batch)["visual"], means, atol=1e-6)
    whole = tsav.fc(torch.cat([features["audio"], means], dim=1))
    assert torch.allclose(whole[:, 7:9], tsav(batch)["va"], atol=1e-5)


def test_a_backbone_computes_only_what_its_inputs_allow():
    net = models.create("tsav_backbone", width=1 / 16, face_size=32, pooled=True).eval()
    batch = _batch(3)
    assert net({"mel": batch["mel"]}).keys() == {"audio"}
    assert net({"clip": batch["clip"]}).keys() == {"visual"}
    with pytest.raises(InputError, match="neither"):
        net({})


def test_the_mask_channel_is_cut_off_and_wrong_weights_are_named():
    state = models.create("tsav", width=1 / 16).state_dict()
    net = backbone_from_tsav(state, face_size=32)
    key = "video_model.r2plus1d.stem.0.weight"
    assert torch.equal(net.state_dict()[key], state[key][:, :3])
    assert backbone_from_tsav(state, channels=4).state_dict()[key].shape[1] == 4
    with pytest.raises(InputError, match="3 channels"):
        backbone_from_tsav(net.state_dict(), channels=4)
    with pytest.raises(InputError, match=r"audio_model\.resnet\.conv1"):
        backbone_from_tsav(models.create("jca", width=1 / 16).state_dict())
    state.pop("audio_model.resnet.bn1.bias")
    with pytest.raises(InputError, match="do not fit"):
        backbone_from_tsav(state)
