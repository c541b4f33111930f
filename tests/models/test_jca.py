import pytest
import torch

from lib import models
from lib.errors import InputError
from lib.models.blocks.attention import CoAttention
from lib.models.blocks.recurrent import ResidualLSTM
from lib.training import losses

SMALL = {
    "steps": 6,
    "visual_channels": 5,
    "visual_positions": 4,
    "audio_channels": 7,
    "width": 1 / 32,
}


def _batch(n=3, length=6, visual=20, audio=7):
    generator = torch.Generator().manual_seed(0)
    return {
        "audio": torch.randn(n, length, audio, generator=generator),
        "visual": torch.randn(n, length, visual, generator=generator),
    }


def _small(**options):
    torch.manual_seed(0)
    return models.create("jca", **{**SMALL, **options})


def test_the_corrected_network_has_the_same_keys_and_differs_only_in_reading_positions():
    published, corrected = _small(compat=True).eval(), _small().eval()
    corrected.load_state_dict(published.state_dict())
    batch = _batch()
    assert not torch.allclose(published(batch)["va"], corrected(batch)["va"])
    # Given position-major features the plain view is right, and both agree.
    turned = batch["visual"].reshape(3, 6, 5, 4).transpose(2, 3).reshape(3, 6, 20)
    assert torch.allclose(
        published({**batch, "visual": turned})["va"], corrected(batch)["va"], atol=1e-6
    )


def test_a_row_of_the_corrected_view_is_one_place_of_the_picture():
    channels = torch.arange(20.0).reshape(5, 4)  # (C, P)
    places = _small()._positions(channels.reshape(1, 1, 20))
    assert torch.equal(places[0, 0], channels.T)


def test_with_pooled_features_both_forms_are_equal():
    batch = _batch(visual=5)
    options = {"visual_positions": 1}
    assert torch.allclose(
        _small(**options).eval()(batch)["va"],
        _small(compat=True, **options).eval()(batch)["va"],
        atol=1e-6,
    )


@pytest.mark.parametrize("places", [4, 1])
def test_every_weight_of_jca_gets_a_gradient(places):
    net = _small(visual_positions=places, width=1 / 8, dropout=0.0)
    batch = _batch(visual=5 * places)
    valid = torch.ones(3, 6, dtype=torch.bool)
    valid[0, 4:] = False
    losses.va_loss(
        net({**batch, "valid": valid})["va"], torch.rand(3, 6, 2), "mse", mask=valid
    ).backward()
    silent = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()}
    chooses = {
        f"video_attn.attn.{name}"
        for name in (
            "affine_audio.weight",
            "affine_audio.bias",
            "affine_video.weight",
            "affine_video.bias",
            "affine_v.weight",
            "affine_g.weight",
            "affine_h.weight",
        )
    }
    assert silent == (
        set() if places > 1 else chooses
    )  # with one position there is nothing to choose


def test_masked_steps_change_no_valid_step_and_no_gradient():
    net = _small(dropout=0.0)
    valid = torch.ones(3, 6, dtype=torch.bool)
    valid[0, 4:] = False
    valid[1, 2] = False  # a gap, not only a filled-up end
    results = []
    for other in (0.0, 50.0, float("nan")):
        batch = {
            name: x.masked_fill(~valid.unsqueeze(-1), other).requires_grad_()
            for name, x in _batch().items()
        }
        net.zero_grad()
        va = net({**batch, "valid": valid})["va"]
        va.square().sum().backward()
        assert (va[~valid] == 0).all()
        assert va[valid].any(dim=0).all()
        assert (batch["visual"].grad[~valid] == 0).all()
        results.append(
            (
                va.detach(),
                net.Joint.rnn.weight_ih_l0.grad.clone(),
                net.coattn.dcn_layers[0].dense_coattn.key1_linear.weight.grad.clone(),
            )
        )
    for one, two in zip(results[0], results[1], strict=True):
        assert torch.equal(one, two)
    assert all(torch.equal(a, b) for a, b in zip(results[0], results[2], strict=True))


def test_a_short_window_equals_a_filled_up_one():
    net = _small().eval()
    batch = _batch()
    valid = torch.arange(6).expand(3, 6) < 4
    filled = net({**batch, "valid": valid})["va"]
    short = net({name: x[:, :4] for name, x in batch.items()})["va"]
    assert short.shape == (3, 4, 2)
    assert torch.allclose(short, filled[:, :4], atol=1e-6)


def test_a_mask_of_ones_equals_no_mask():
    net, batch = _small().eval(), _batch()
    ones = torch.ones(3, 6, dtype=torch.bool)
    assert torch.allclose(net(batch)["va"], net({**batch, "valid": ones})["va"], atol=1e-6)


def test_neighbours_in_the_batch_change_nothing():
    net, batch = _small().eval(), _batch()
    valid = torch.tensor([[1, 1, 1, 0, 0, 0], [1] * 6, [0] * 6], dtype=torch.bool)
    together = net({**batch, "valid": valid})["va"]
    assert torch.isfinite(together).all()
    assert (together[2] == 0).all()
    for i in range(3):
        alone = net({name: x[i : i + 1] for name, x in {**batch, "valid": valid}.items()})["va"]
        assert torch.allclose(alone[0], together[i], atol=1e-6)


def test_the_lstm_passes_over_masked_steps_in_both_directions():
    torch.manual_seed(0)
    lstm = ResidualLSTM(3, 4).eval()
    x = torch.randn(2, 7, 3)
    valid = torch.tensor([[1, 1, 0, 1, 1, 0, 0], [0, 1, 1, 1, 1, 1, 1]], dtype=torch.bool)
    found = lstm(x, valid)
    for row in range(2):
        alone = lstm(x[row : row + 1, valid[row]])  # the valid steps only, without a mask
        assert torch.allclose(found[row, valid[row]], alone[0], atol=1e-6)


def test_co_attention_layers_have_weights_of_their_own():
    torch.manual_seed(0)
    two = CoAttention(6, (4, 8), layers=2).eval()
    first, second = two(torch.randn(2, 6, 4), torch.randn(2, 6, 8))
    assert (first.shape, second.shape) == ((2, 6, 4), (2, 6, 8))
    assert not torch.equal(
        two.dcn_layers[0].linears[0][0].weight, two.dcn_layers[1].linears[0][0].weight
    )


@pytest.mark.parametrize(("modality", "given"), [("audio", "audio"), ("video", "visual")])
def test_an_absent_modality_is_zeros_and_not_required(modality, given):
    net, batch = _small(modality=modality).eval(), _batch()
    assert set(net.inputs) == {given, "valid"}
    both = _small().eval()
    absent = "visual" if given == "audio" else "audio"
    expected = both({given: batch[given], absent: torch.zeros_like(batch[absent])})["va"]
    assert torch.equal(net({given: batch[given]})["va"], expected)
    assert torch.equal(net(batch)["va"], expected)  # what is given all the same is not looked at


@pytest.mark.parametrize(
    ("width", "inside", "head"), [(1, 512, 128), (0.125, 64, 16), (0.001, 2, 1)]
)
def test_width_scales_the_inside_and_not_the_inputs(width, inside, head):
    net = models.create(
        "jca", width=width, visual_channels=64, visual_positions=16, audio_channels=64
    )
    shapes = {name: tuple(x.shape) for name, x in net.state_dict().items()}
    assert shapes["video_attn.attn.affine_video.weight"] == (inside, 64)
    assert shapes["video_attn.attn.affine_v.weight"] == (16, inside)
    assert shapes["coattn.dcn_layers.0.linears.1.0.weight"] == (64, inside + 64)
    assert shapes["Joint.linear.weight"] == (inside, 2 * inside + 64)
    assert shapes["vregressor.0.weight"] == (head, inside)


def test_half_precision_features_are_accepted():
    net, batch = _small().eval(), _batch()
    half = {name: x.half() for name, x in batch.items()}
    assert net(half)["va"].dtype == torch.float32
    assert torch.allclose(net(half)["va"], net(batch)["va"], atol=1e-2)


def test_initial_weights_are_xavier_with_zero_biases():
    net = models.create("jca", width=0.25)
    query = net.coattn.dcn_layers[0].dense_coattn.query_linear
    assert query.weight.abs().max() <= (6 / (2 * query.in_features)) ** 0.5
    assert not query.bias.any()
    assert net.Joint.rnn.bias_ih_l0.any()
    assert net.Joint.init_hidden.any()


def test_sizes_that_do_not_fit_are_named():
    net, batch = _small(), _batch(length=7)
    with pytest.raises(InputError, match="a window of 7 steps") as raised:
        net(batch)
    assert "at most 6" in raised.value.expected
    with pytest.raises(InputError, match="visual"):
        net(_batch(visual=21))
    with pytest.raises(InputError, match="a window of 5 steps"):
        _small(compat=True)(_batch(length=5))
    with pytest.raises(InputError, match="no input 'visual'"):
        net({"audio": _batch()["audio"]})
