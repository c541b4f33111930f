"""TalkNet, with and without positions, and Light-ASD: keys, published numbers, what positions must
and must not do.
"""

import json
import math

import numpy as np
import pytest
import torch

from lib import models
from lib.errors import InputError
from lib.models.blocks import rotary
from lib.models.blocks.synchrony_attention import AttentionLayer, Look
from lib.models.speakers.light_asd import grey, normed
from tests.models import golden_fill
from tests.shared_files import shared

NETS = ("talknet", "talknet_mrope")
NARROW = {"visual_width": 1 / 16, "audio_width": 1 / 4, "attention_width": 1 / 4, "face_size": 16}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def specified(name):
    return json.loads(shared(f"specs/{name}").read_text())


def narrow(name="talknet_mrope", **more):
    net = models.create(name, **{**NARROW, **more}).eval()
    with (
        torch.no_grad()
    ):  # running statistics as after some training, so that masks have something to hide
        for entry, value in net.state_dict().items():
            if entry.endswith("running_mean"):
                value.normal_(0, 0.3)
    return net


def batch(frames, clips=1, fps=25.0, size=16):
    time = torch.arange(frames)[None].repeat(clips, 1) / fps
    return {
        "face": 255 * torch.rand(clips, frames, size, size),
        "mfcc": 5 * torch.randn(clips, 4 * frames, 13),
        "time": time,
        "audio_time": time + 0.0125,
    }


@torch.no_grad()
def run(net, items):
    return net(items)["speaking"]


# ---- published networks


@pytest.mark.parametrize("name", [*NETS, "light_asd", "lr_asd"])
def test_keys_and_shapes_are_the_published_ones(name):
    expected = specified(f"state_dicts/{'talknet' if name in NETS else name}.json")
    with torch.device("meta"):
        for compat in (False, True):
            state = models.create(name, compat=compat).state_dict()
            assert {key: list(value.shape) for key, value in state.items()} == expected
            assert list(state) == list(expected)


def wave(step, *shape):
    return golden_fill.wave(np.sin, step, *shape)


def golden_inputs():
    return {
        "mfcc": 20 * wave(0.01, 1, 100, 13),
        "face": 127.5 + 127.5 * wave(0.001, 1, 25, 112, 112),
    }


def close(found, expected, absolute=0.0, relative=1e-4):
    for place, values in expected.items():
        frame = int(place.removeprefix("t"))
        torch.testing.assert_close(
            found[0, frame, : len(values)],
            torch.tensor(values),
            atol=absolute or 1e-5,
            rtol=relative,
        )


@pytest.mark.parametrize(("section", "gain"), [("talknet", math.sqrt(2)), ("talknet_G2", 2.0)])
def test_talknet_gives_the_published_numbers(section, gain):
    expected = specified("goldens_asd.json")[section]
    net = golden_fill.fill(models.create("talknet", compat=True), gain)
    assert sum(weight.numel() for weight in net.model.parameters()) == expected["params_model"]
    with torch.no_grad():
        found = net(golden_inputs())
        for name in ("audio_embed", "visual_embed"):
            close(found[name], expected[name])
        for name, key in (
            ("speaking", "logits_av"),
            ("speaking_audio", "logits_a"),
            ("speaking_visual", "logits_v"),
        ):
            close(found[name], expected[key], absolute=1e-4, relative=0)
        for module in net.modules():
            if isinstance(module, torch.nn.PReLU):
                module.weight.fill_(0.25)
        if section == "talknet":
            close(
                run(net, golden_inputs()),
                expected["with_prelu_0.25"]["logits_av"],
                absolute=1e-4,
                relative=0,
            )


@pytest.mark.parametrize("weights", ["ava", "talkset"])
def test_light_asd_with_its_authors_weights_gives_the_published_numbers(weights):
    expected = specified("goldens_asd.json")["light_asd"][weights]
    net = models.load_published("light_asd", shared(f"weights/light_asd_{weights}.model"))
    assert "MIT" in net.licence
    with torch.no_grad():
        found = net(golden_inputs())
        close(found["speaking"], expected["logits_av"], absolute=1e-4, relative=0)
        close(found["speaking_visual"], expected["logits_v"], absolute=1e-4, relative=0)
        close(net.model.visualEncoder(grey(golden_inputs()["face"])), expected["visual_embed"])
        close(net.model.audioEncoder(golden_inputs()["mfcc"]), expected["audio_embed"])


def patterned_inputs():
    """Face and sound of the formulas in goldens_open_nets.json, 12 frames."""
    t, i, j = torch.meshgrid(torch.arange(12), torch.arange(112), torch.arange(112), indexing="ij")
    face = (3 * i + 5 * j + 17 * t + i * j // 16 + t * j // 2) % 256
    n, c = torch.meshgrid(torch.arange(48), torch.arange(13), indexing="ij")
    mfcc = ((37 * n + 53 * c + n * c) % 201 - 100) / 5
    return {"face": face[None].float(), "mfcc": mfcc[None]}


def ends(found, expected):
    """The numbers of frames 0 and 11; ``t0_128_131`` begins at channel 128."""
    for place, values in expected.items():
        frame, first = (*place.removeprefix("t").split("_"), "0")[:2]
        seen = found[0, int(frame), int(first) :][: len(values)]
        torch.testing.assert_close(seen, torch.tensor(values), atol=1e-4, rtol=0)


@pytest.mark.parametrize("weights", ["ava", "talkset"])
def test_lr_asd_with_its_authors_weights_gives_the_published_numbers(weights):
    expected = specified("goldens_open_nets.json")["lr_asd"][weights]
    file = {"ava": "pretrain_AVA", "talkset": "finetuning_TalkSet"}[weights]
    net = models.load_published("lr_asd", shared(f"weights/lr_asd/{file}.model"))
    assert "MIT" in net.licence
    assert sum(weight.numel() for weight in net.model.parameters()) == 836_640
    items = patterned_inputs()
    with torch.no_grad():
        found = net(items)
        for key, name in (("logits_av", "speaking"), ("logits_v", "speaking_visual")):
            torch.testing.assert_close(
                found[name][0], torch.tensor(expected[key]), atol=2e-4, rtol=0
            )
        heard = net.model.audioEncoder(items["mfcc"])
        seen = net.model.visualEncoder(grey(items["face"]))
        joint = net.model.fusion(torch.cat([heard, seen], dim=-1))
        ends(heard, expected["audio_embed"])
        ends(seen, expected["visual_embed"])
        ends(joint, expected["fusion"])
        ends(net.model.detector(joint), expected["detector"])
        again = net(golden_inputs())["speaking"][0, :, 1]
        scores = torch.tensor(expected["scores_on_the_inputs_of_goldens_asd_T25"])
        torch.testing.assert_close(again, scores, atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", ["light_asd", "lr_asd"])
def test_a_clip_gives_the_same_in_evaluation_whether_it_is_taken_whole_or_in_pieces(
    monkeypatch, name
):
    net = models.create(name, width=1 / 8, face_size=16).eval()
    items = batch(90)
    whole = run(net, items)
    monkeypatch.setattr("lib.models.speakers.light_asd.AT_ONCE", 16)
    torch.testing.assert_close(run(net, items), whole, atol=1e-6, rtol=1e-5)


def test_light_asd_folds_its_norms_without_changing_a_number():
    net = models.create("light_asd", width=1 / 8, face_size=16)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
    block, x = net.model.audioEncoder.block1, torch.randn(1, 1, 13, 20)
    norm, convolution = block.bn_m_3, block.m_3
    by_hand = torch.relu(
        norm.eval()(torch.nn.functional.conv2d(x, convolution.weight, padding=(1, 0)))
    )
    found = normed(convolution, norm, x)
    torch.testing.assert_close(found, by_hand, atol=1e-5, rtol=1e-4)


def test_weights_of_another_network_are_named(tmp_path):
    torch.save(models.create("talknet", **NARROW).state_dict(), tmp_path / "talknet.model")
    with pytest.raises(InputError, match="not the weights of light_asd") as told:
        models.load_published("light_asd", tmp_path / "talknet.model")
    assert "talknet" in told.value.todo


def test_what_the_ego4d_version_saves_beside_the_weights_is_passed_over(tmp_path):
    state = {
        f"module.{key}": value
        for key, value in models.create("talknet", **NARROW).state_dict().items()
    }
    state["module.lossAV.criterion.weight"] = torch.tensor([1.0, 4.0])
    torch.save(state, tmp_path / "old.model")
    net = models.load_published("talknet_mrope", tmp_path / "old.model", **NARROW)
    assert torch.equal(net.lossAV.FC.weight, state["module.lossAV.FC.weight"])


# ---- corrections


def test_a_clip_does_not_see_its_neighbour_in_the_batch_unless_published_rules_are_asked_for():
    one, other = batch(12), batch(12)
    both = {name: torch.cat([one[name], other[name]]) for name in one}
    for compat in (False, True):
        net = models.create("talknet", compat=compat, **NARROW).eval()
        alike = torch.allclose(run(net, both)[:1], run(net, one), atol=1e-5)
        assert alike != compat


@pytest.mark.parametrize("name", NETS)
def test_padding_leaves_valid_frames_as_they_are(name):
    net, items = narrow(name), batch(20)
    longer = {
        key: torch.cat([value, 9 + torch.rand(1, value.shape[1] // 2, *value.shape[2:])], dim=1)
        for key, value in items.items()
    }
    longer["pad"] = torch.arange(30)[None] >= 20
    torch.testing.assert_close(run(net, longer)[:, :20], run(net, items), atol=1e-4, rtol=1e-4)
    del longer["pad"]
    assert not torch.allclose(run(net, longer)[:, :20], run(net, items), atol=1e-3)


@pytest.mark.parametrize(("modality", "without"), [("audio", "face"), ("video", "mfcc")])
def test_a_network_for_one_sense_does_not_need_the_other(modality, without):
    net, items = narrow("talknet", modality=modality), batch(10)
    alone = {key: value for key, value in items.items() if key != without}
    assert torch.equal(run(net, alone), run(net, items))


def test_faces_and_sound_of_different_lengths_are_refused():
    items = batch(10)
    with pytest.raises(InputError, match="faces of shape"):
        narrow("talknet")({**items, "mfcc": items["mfcc"][:, :39]})


def test_attention_of_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(InputError, match="10 channels wide"):
        models.create("talknet", attention_width=10 / 128)


# ---- positions: the acceptance tests of the specification (§4.3; the first one is above)


def test_without_strength_positions_change_nothing():
    plain, turned, items = narrow("talknet"), narrow(), batch(30)
    turned.load_state_dict(plain.state_dict())
    torch.testing.assert_close(
        run(turned, {**items, "strength": 0.0}), run(plain, items), atol=1e-5, rtol=0
    )
    assert not torch.allclose(run(turned, items), run(plain, items), atol=1e-4)


def test_a_later_start_changes_nothing():
    net, items = narrow(), batch(40)
    later = {
        **items,
        "time": items["time"] + 40.0,
        "audio_time": items["audio_time"] + 40.0,
    }  # 1000 positions
    torch.testing.assert_close(run(net, later), run(net, items), atol=1e-4, rtol=0)


def test_chunks_are_those_of_qwen2_vl():
    sections, theta, positions = (
        (16, 24, 24),
        1e6,
        torch.tensor([[[3.0, 5.0, 7.0], [11.0, 2.0, 0.0]]]),
    )
    angle = rotary.angles(
        positions, rotary.axes(sections, "chunk"), rotary.frequencies(sections, "chunk", theta)
    )
    pair = torch.arange(64)
    speed = theta ** (-2 * pair / 128)
    axis = torch.where(pair < 16, 0, torch.where(pair < 40, 1, 2))
    torch.testing.assert_close(angle, (positions[..., axis] * speed).float())
    tokens = torch.randn(1, 2, 2, 128)
    doubled = torch.cat([angle, angle], dim=-1)[:, None]
    half = torch.cat([-tokens[..., 64:], tokens[..., :64]], dim=-1)
    torch.testing.assert_close(
        rotary.rotate(tokens, angle), tokens * doubled.cos() + half * doubled.sin()
    )


def test_interleaving_is_that_of_qwen3():
    assert rotary.axes((4, 2, 2), "interleave").tolist() == [0, 1, 2, 0, 1, 2, 0, 0]
    assert rotary.axes((6, 5, 5), "interleave").tolist() == [0, 1, 2] * 5 + [0]
    with pytest.raises(InputError, match="cannot be interleaved"):
        rotary.axes((0, 4, 4), "interleave")


def test_each_axis_has_a_ladder_of_its_own_by_default():
    speed = rotary.frequencies((4, 2, 2), "axial", 1000, 16)
    np.testing.assert_allclose(2 * np.pi / speed[:4], [6.28, 35.3, 198.7, 1117], rtol=1e-3)
    np.testing.assert_allclose(speed[4:], [1, 0.25, 1, 0.25])


def test_the_same_seconds_give_the_same_angles_at_any_frame_rate():
    net = narrow()
    looks = [
        net.looks(
            {"time": (torch.arange(6 * fps)[None] / fps)[:, :: fps // 5]},
            torch.zeros(1, 30, 32),
            None,
        )
        for fps in (25, 30)
    ]
    torch.testing.assert_close(looks[0][0].q_angle, looks[1][0].q_angle)
    assert looks[0][0].q_angle.abs().max() > 100


def test_all_frames_masked_give_finite_numbers():
    net, items = narrow(), batch(8)
    for name in ("pad", "visible"):
        hidden = (
            torch.ones(1, 8, dtype=torch.bool)
            if name == "pad"
            else torch.zeros(1, 8, dtype=torch.bool)
        )
        assert run(net, {**items, name: hidden}).isfinite().all()


def test_nobody_to_look_at_adds_nothing():
    layer, tokens = AttentionLayer(32, 2).eval(), torch.randn(1, 5, 32)
    with torch.no_grad():
        found = layer(tokens, torch.randn(1, 5, 32), Look(torch.ones(1, 5, dtype=torch.bool)))
        x = layer.norm1(tokens)
        torch.testing.assert_close(
            found, layer.norm2(x + layer.linear2(torch.relu(layer.linear1(x))))
        )


def test_another_order_of_frames_matters_with_positions_only():
    plain, turned = narrow("talknet"), narrow()
    turned.load_state_dict(plain.state_dict())
    order, visual, audio = torch.randperm(20), torch.randn(1, 20, 32), torch.randn(1, 20, 32)
    items = {"time": torch.arange(20)[None] / 25}
    with torch.no_grad():
        for net, matters in ((plain, False), (turned, True)):
            here = net.attend(visual, audio, *net.looks(items, visual, None))["speaking"]
            there = net.attend(visual[:, order], audio[:, order], *net.looks(items, visual, None))[
                "speaking"
            ]
            assert torch.allclose(here[:, order], there, atol=1e-5) != matters


@pytest.mark.parametrize("frames", [1, 60, 450, 1800])
def test_clips_of_any_length_run(frames):
    assert run(narrow(visual_width=1 / 32), batch(frames)).shape == (1, frames, 2)


# ---- the rest of the positions


def test_sound_does_not_look_at_faces_that_are_not_seen():
    net, items = narrow(), batch(16)
    visible = torch.arange(16)[None] < 12
    embedded = net.embed(items["face"], items["mfcc"], None)
    changed = embedded[0].clone()
    changed[:, 12:] += 3.0
    with torch.no_grad():
        for seen, alike in ((visible, True), (torch.ones_like(visible), False)):
            looks = net.looks({**items, "visible": seen}, embedded[0], None)
            source = [
                net.model.crossV2A.self_attn(embedded[1], visual, looks[1])
                for visual in (embedded[0], changed)
            ]
            assert torch.allclose(*source, atol=1e-5) == alike


def test_one_candidate_among_several_is_the_single_mode():
    net, items = narrow(), batch(10)
    alone = run(net, items)
    several = run(net, {**items, "face": items["face"][:, None]})
    torch.testing.assert_close(several[:, 0], alone, atol=1e-5, rtol=1e-4)


def test_of_several_candidates_each_has_its_place():
    net, items = narrow(), batch(10)
    faces = 255 * torch.rand(1, 2, 10, 16, 16)
    place = torch.zeros(1, 2, 10, 2)
    place[:, 1] = 8.0
    found = run(net, {**items, "face": faces, "position": place})
    assert found.shape == (1, 2, 10, 2)
    moved = run(
        net, {**items, "face": faces, "position": place + 3.0}
    )  # the camera moves: nothing changes
    torch.testing.assert_close(found, moved, atol=1e-4, rtol=0)
    assert not torch.allclose(found, run(net, {**items, "face": faces}), atol=1e-5)
    swapped = run(net, {**items, "face": faces.flip(1), "position": place.flip(1)})
    torch.testing.assert_close(swapped.flip(1), found, atol=1e-4, rtol=0)


def test_a_window_hides_what_is_far_away():
    layer = AttentionLayer(32, 2).eval()
    time, tokens = torch.arange(10.0)[None], torch.randn(1, 10, 32)
    changed = tokens.clone()
    changed[:, 9] += 1.0
    with torch.no_grad():
        for window, alike in ((3.0, True), (0.0, False)):
            look = Look(q_time=time, k_time=time, window=window)
            found = [layer.self_attn(tokens, keys, look)[:, 0] for keys in (tokens, changed)]
            assert torch.allclose(*found, atol=1e-6) == alike


def test_pairs_that_do_not_fill_a_head_are_refused():
    with pytest.raises(InputError, match=r"cross_pairs \[4, 2, 1\]"):
        models.create("talknet_mrope", cross_pairs=(4, 2, 1))


def test_positions_can_be_trained_with_masks_and_without_nan():
    net, items = models.create("talknet_mrope", **NARROW).train(), batch(12, clips=2)
    items |= {"pad": torch.arange(12)[None].repeat(2, 1) >= 9, "visible": torch.rand(2, 12) > 0.5}
    items["visible"][1] = False
    sum(value.square().mean() for value in net(items).values()).backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in net.parameters())
