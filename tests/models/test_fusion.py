"""What must hold for every fusion network: published keys and outputs, masks, lengths, neighbours,
modalities.
"""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import models
from lib.errors import InputError
from lib.training import losses
from tests.models.golden_fill import GAIN_FUSION, cosine, fill, wave
from tests.shared_files import shared

STEPS, AUDIO, CHANNELS = 6, 7, 5
ALL = ["jca", "rjca", "dca", "jca_paper", "jca_512"]


def small(name, **options):
    torch.manual_seed(0)
    positions = {"visual_positions": 4} if "visual_positions" in models.options(name) else {}
    return models.create(
        name,
        **{
            "steps": STEPS,
            "visual_channels": CHANNELS,
            "audio_channels": AUDIO,
            "width": 1 / 16,
            **positions,
            **options,
        },
    )


def batch_for(net, n=3, length=STEPS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(n, length, size, generator=generator) for name, size in net.sizes.items()
    }


@pytest.mark.parametrize("name", ALL)
def test_keys_shapes_and_outputs_are_the_published_ones(name):
    net = models.create(name, compat=True)
    published = json.loads(shared(f"specs/state_dicts/{name}.json").read_text())
    assert [(key, list(value.shape)) for key, value in net.state_dict().items()] == list(
        published.items()
    )
    golden = json.loads(shared("specs/goldens_tsav_jca.json").read_text())[name]
    assert sum(weight.numel() for weight in net.parameters()) == golden["params"]
    fill(net, GAIN_FUSION)
    with torch.no_grad():
        va = net(
            {"audio": wave(np.sin, 0.01, 2, 16, 512), "visual": cosine(2, 16, net.sizes["visual"])}
        )["va"]
    assert va.shape == (2, 16, len(golden["out"]))
    for emotion, values in enumerate(golden["out"]):
        found = [*va[0, :4, emotion].tolist(), va[1, 15, emotion].item()]
        assert found == pytest.approx(values, abs=1e-5)  # asked for: 1e-4


@pytest.mark.parametrize("name", ["jca", "rjca", "dca", "jca_512"])
def test_corrected_networks_keep_all_keys_and_shapes(name):
    shapes = [
        {
            key: value.shape
            for key, value in small(name, compat=compat, audio_channels=CHANNELS)
            .state_dict()
            .items()
        }
        for compat in (False, True)
    ]
    assert shapes[0] == shapes[1]


def test_the_heads_of_the_paper_read_both_attended_modalities():
    published, corrected = models.create("jca_paper", compat=True), models.create("jca_paper")
    assert published.vregressor[0].in_features == 640
    assert corrected.vregressor[0].in_features == 256
    batch = batch_for(small("jca_paper"))
    for compat in (False, True):
        net = small("jca_paper", compat=compat)
        net(batch)["va"].sum().backward()
        # The published network computes the attended sound and drops it.
        assert bool(net.W_ha.weight.grad is not None) is not compat


@pytest.mark.parametrize("name", ALL)
def test_every_weight_of_the_corrected_network_learns(name):
    net = small(name, dropout=0.0, width=1 / 4)
    va = net(batch_for(net))["va"]
    losses.mse_loss(va, torch.rand(va.shape)).backward()
    assert [
        key
        for key, weight in net.named_parameters()
        if weight.grad is None or not weight.grad.any()
    ] == []


@pytest.mark.parametrize("name", ALL)
def test_what_stands_in_masked_steps_changes_no_valid_step_and_no_gradient(name):
    net = small(name, dropout=0.0).eval()
    valid = torch.ones(3, STEPS, dtype=torch.bool)
    valid[0, 4:] = False
    valid[1, 2] = False  # a gap, not only a filled-up end
    found = []
    for other in (0.0, 50.0, float("nan")):
        batch = {
            key: x.masked_fill(~valid.unsqueeze(-1), other) for key, x in batch_for(net).items()
        }
        net.zero_grad()
        va = net({**batch, "valid": valid})["va"]
        va.square().sum().backward()
        assert (va[~valid] == 0).all()
        assert va[valid].any()
        found.append(
            [
                va.detach(),
                *(weight.grad.clone() for weight in net.parameters() if weight.grad is not None),
            ]
        )
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


@settings(max_examples=15, deadline=None)
@given(
    name=st.sampled_from(ALL),
    seed=st.integers(0, 99),
    rows=st.lists(st.lists(st.booleans(), min_size=STEPS, max_size=STEPS), min_size=2, max_size=4),
)
def test_neighbours_in_the_batch_never_change_a_prediction(name, seed, rows):
    net, valid = small(name).eval(), torch.tensor(rows)
    batch = {**batch_for(net, len(rows), seed=seed), "valid": valid}
    together = net(batch)["va"]
    for i in range(len(rows)):
        alone = net({key: x[i : i + 1] for key, x in batch.items()})["va"]
        assert torch.allclose(alone[0], together[i], atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_any_number_of_steps_up_to_the_longest_is_as_a_filled_up_window(name):
    net = small(name).eval()
    batch = batch_for(net)
    for length in (1, 4, STEPS):
        valid = torch.arange(STEPS).expand(3, STEPS) < length
        filled = net({**batch, "valid": valid})["va"]
        short = net({key: x[:, :length] for key, x in batch.items()})["va"]
        assert short.shape[1] == length
        assert torch.allclose(short, filled[:, :length], atol=1e-5)
    with pytest.raises(InputError, match="a window of 7 steps"):
        net(batch_for(net, length=STEPS + 1))
    with pytest.raises(InputError, match="a window of 5 steps"):
        small(name, compat=True)(batch_for(net, length=STEPS - 1))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("modality", "given"), [("audio", "audio"), ("video", "visual")])
def test_an_absent_modality_is_zeros_and_not_required(name, modality, given):
    net, both = small(name, modality=modality).eval(), small(name).eval()
    batch = batch_for(net)
    assert set(net.inputs) == {given, "valid"}
    zeros = {key: x if key == given else torch.zeros_like(x) for key, x in batch.items()}
    assert torch.equal(net({given: batch[given]})["va"], both(zeros)["va"])


@pytest.mark.parametrize("name", ALL)
def test_features_of_another_size_are_named(name):
    net = small(name)
    with pytest.raises(InputError, match="audio") as told:
        net({**batch_for(net), "audio": torch.zeros(3, STEPS, AUDIO + 1)})
    assert name in str(told.value)


def test_the_gates_of_dca_mix_attended_and_unattended_features():
    net = small("dca", dropout=0.0).eval()
    visual, audio = torch.randn(2, STEPS, 32), torch.randn(2, STEPS, 32)
    attended = net.coattn(visual, audio)
    for bias, expected in (
        (torch.tensor([50.0, 0.0]), (visual, audio)),
        (torch.tensor([0.0, 50.0]), attended),
    ):
        for gate in (net.video_gating_fc_layer, net.audio_gating_fc_layer):
            gate.bias.data.copy_(bias)
        for one, two in zip(net._attend(visual, audio, None), expected, strict=True):
            assert torch.allclose(one, two.relu(), atol=1e-5)
