"""Leader–follower networks: the published keys, outputs stage by stage, and what the corrected form
does otherwise.
"""

import json

import numpy as np
import pytest
import torch
from torch import nn

from lib import models
from tests.models.golden_fill import fill, wave
from tests.shared_files import shared

NETWORKS = ("lfan_visual", "lfan", "lfan_v2", "can")
SMALL = {"width": 1 / 16, "head_width": 1 / 4}
FRAMES = 130
every_network = pytest.mark.parametrize("name", NETWORKS)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def goldens(name):
    return json.loads(shared("specs/goldens_lfan.json").read_text())[name]


def keys(name):
    return {
        key: list(shape)
        for key, shape in json.loads(shared(f"specs/state_dicts/{name}.json").read_text()).items()
    }


def inputs(frames=FRAMES):
    return {
        "frame": wave(np.sin, 0.01, 1, FRAMES, 3, 40, 40)[:, :frames],
        "vggish": wave(np.cos, 0.01, 1, FRAMES, 128)[:, :frames],
        "mfcc": wave(np.sin, 0.02, 1, FRAMES, 39)[:, :frames],
    }


def near(values, expected, tolerance=1e-4):
    return (
        np.abs(np.asarray(values, float).ravel() - np.asarray(expected, float).ravel()).max()
        < tolerance
    )


# ---- published


@every_network
def test_keys_shapes_and_parameters_are_the_published_ones_in_their_order(name):
    for compat in (True, False):
        with torch.device("meta"):
            net = models.create(name, compat)
        found = {key: list(value.shape) for key, value in net.state_dict().items()}
        assert list(found.items()) == list(keys(name).items())
        assert sum(weight.numel() for weight in net.parameters()) == goldens(name)["params"]


def test_parts_have_the_published_numbers_of_parameters():
    with torch.device("meta"):
        net = models.create("lfan", compat=True)
        wrapper = models.create("lfan_backbone", compat=True)
    count = lambda module: sum(weight.numel() for weight in module.parameters())  # noqa: E731
    face = net.backbone
    assert count(face) == 37_283_520
    assert [count(face.output_layer), count(face.body[21:]), count(face.body[7:21])] == [
        6_556_160,
        13_115_392,
        16_271_104,
    ]
    assert [count(net.temporal), count(net.temporal1), count(net.temporal2)] == [
        968_832,
        60_960,
        43_872,
    ]
    assert net.temporal.receptive_field == 121
    assert len(wrapper.state_dict()) == 351
    assert {key.split(".")[0] for key in wrapper.state_dict()} == {"backbone", "logits"}
    net.release(())
    trainable = sum(weight.numel() for weight in net.parameters() if weight.requires_grad)
    assert trainable == 1_092_929


@pytest.fixture(scope="module")
def embedded():
    """The face network of `lfan` run once (that of `lfan_visual` is filled alike): parts,
    embeddings, lengths.
    """
    net = fill(models.create("lfan", compat=True), goldens("lfan")["G"])
    net.release(())
    seen, golden = {}, goldens("lfan_visual")["ir50_stages_frame0"]

    def keep(part):
        def hook(module, given, found):
            seen.setdefault(part, found[0])

        return hook

    for part in golden:
        net.backbone.get_submodule(part).register_forward_hook(keep(part))
    with torch.no_grad():
        before = net.backbone(inputs()["frame"][0], stop="output_layer")
        lengths = net.backbone.output_layer(before).norm(dim=1)
        return net, seen, before, net.backbone(before, "output_layer")[None], lengths


@pytest.mark.slow  # 37 million weights, 130 faces
def test_the_face_network_gives_the_published_numbers_stage_by_stage(embedded):
    golden, (_, seen, _, faces, lengths) = goldens("lfan_visual"), embedded
    for part, expected in golden["ir50_stages_frame0"].items():
        assert near(seen[part].flatten()[:4], expected["first4"])
        assert float(seen[part].std(unbiased=False)) == pytest.approx(expected["std"], abs=1e-4)
    for frame in (0, 129):
        found = faces[0, frame]
        assert near([*found[:4], found[-1]], golden[f"ir50_frame{frame}"])
    assert near(lengths[[0, 129]], golden["ir50_norm_before_l2"])


@pytest.mark.slow  # 37 million weights, 130 faces
def test_lfan_visual_gives_the_published_numbers(embedded):
    golden, before = goldens("lfan_visual"), embedded[2]
    net = fill(models.create("lfan_visual", compat=True), golden["G"])
    with torch.no_grad():
        out, faces = (
            net({"frame_map": before[None]})["emotion"],
            net.backbone(before, "output_layer")[None],
        )
        hidden = net.temporal(faces)
        assert near(hidden[0, 0, :4], golden["tcn_t0"])
        assert near(hidden[0, 129, :4], golden["tcn_t129"])
        assert near(out[0, golden["t"], 0], golden["out"])
        for start, expected in golden["out_t129_from_frame"].items():
            assert near(net.join(faces[:, int(start) :], {}, None)[0, -1], expected)


@pytest.mark.slow
def test_lfan_visual_gives_the_published_numbers_with_another_slope_of_its_prelus():
    golden = goldens("lfan_visual")["with_prelu_0.25"]
    net = fill(models.create("lfan_visual", compat=True), 2.0)
    for module in net.modules():
        if isinstance(module, nn.PReLU):
            nn.init.constant_(module.weight, 0.25)
    net.release(())
    faces = net.backbone(inputs()["frame"][0])
    assert near([*faces[0, :4], faces[0, -1]], golden["ir50_frame0"])
    with torch.no_grad():
        assert near(
            net.join(faces[None], {}, None)[0, goldens("lfan_visual")["t"], 0], golden["out"]
        )


@pytest.mark.slow  # 37 million weights, 130 faces
def test_lfan_gives_the_published_numbers_stage_by_stage(embedded):
    golden, (net, _, before, faces, _) = goldens("lfan"), embedded
    sounds = {name: inputs()[name] for name in ("vggish", "mfcc")}
    with torch.no_grad():
        streams = net.streams(faces, sounds)
        for name, stream in zip(("visual", "vggish", "mfcc"), streams, strict=True):
            assert near(stream[0, 129, :4], golden[f"tcn_{name}_t129"])
            if name != "visual":
                assert near(stream[0, 0, :4], golden[f"tcn_{name}_t0"])
        key, query, attention, fused = net.attend(*streams)
        for row, name in enumerate(("visual", "vggish", "mfcc")):
            assert near(key[0, 129, row, :4], golden["k_t129"][name])
            assert near(query[0, 129, row, :4], golden["q_t129"][name])
            assert near(fused[0, 129, row, :4], golden["fused_t129"][f"{name}_row"])
        assert near(attention[0, 0], golden["attention_t0"])
        assert near(attention[0, 129], golden["attention_t129"])
        out = net({"frame_map": before[None], **sounds})["emotion"]
    assert near(out[0, golden["t"], 0], golden["out"])


# The first two frames need two frames of faces; the whole clip needs all of them and takes its
# time.
first_frames = pytest.mark.parametrize("frames", [2, pytest.param(FRAMES, marks=pytest.mark.slow)])


def later_network(name, frames):
    """A network of ABAW3, its embeddings and sounds of the first frames."""
    net = fill(models.create(name, compat=True), goldens(name)["G"])
    net.release(())
    given = inputs(frames)
    return (
        net,
        net.backbone(given["frame"][0])[None],
        {sound: given[sound] for sound in ("vggish", "mfcc")},
    )


@first_frames
def test_lfan_v2_gives_the_published_numbers_stage_by_stage(frames):
    golden, (net, faces, sounds) = goldens("lfan_v2"), later_network("lfan_v2", frames)
    assert near([*faces[0, 0, :4], faces[0, 0, -1]], golden["ir50_frame0"])
    known = [t for t in golden["t"] if t < frames]
    with torch.no_grad():
        streams = net.read(faces, sounds, None)
        attention = net.fusion["layers"].self_attn.attention(streams)[0]
        for t in {0, 129} & set(range(frames)):
            for head in (0, 1):
                assert near(attention[0, t, head], golden[f"attention_t{t}"][f"head{head}"])
        out = net.join(faces, sounds, None)[0, known, 0]
        assert near(out, golden["out"][: len(known)])
        assert near(torch.atanh(out), golden["out_before_tanh"][: len(known)], 1e-3)
        if frames == FRAMES:
            for name, stream in {"video": faces, **sounds}.items():
                assert near(net.temporal[name](stream)[0, 129, :4], golden["tcn_t129"][name])
            fused = net.fusion["layers"](streams)[0, 129]
            assert near([*fused[:4], fused[-1]], golden["fused_t129"])


@first_frames
def test_can_gives_the_published_numbers_stage_by_stage(frames):
    golden, (net, faces, sounds) = goldens("can"), later_network("can", frames)
    assert near([*faces[0, 0, :4], faces[0, 0, -1]], golden["ir50_frame0"])
    assert net.temporal["video"].receptive_field == 249
    known = [t for t in golden["t"] if t < frames]
    with torch.no_grad():
        out = net.join(faces, sounds, None)[0, known, 0]
        assert near(out, golden["out"][: len(known)])
        if frames == FRAMES:
            for name, stream in {"video": faces, **sounds}.items():
                assert near(net.temporal[name](stream)[0, 129, :4], golden["tcn_t129"][name])
            projected, weights = net.gate(faces, sounds, None)
            for number, name in enumerate(("video", "vggish", "mfcc")):
                assert near(projected[0, 129, 128 * number :][:4], golden["projected_t129"][name])
            channels = golden["gate_t129"]["channel"]
            assert weights[0, 129].topk(4).indices.tolist() == channels
            assert near(weights[0, 129, channels], golden["gate_t129"]["weight"])
            assert near((weights * projected)[0, 129, channels], golden["gated_t129"])
            assert near(net.fc1(weights * projected)[0, 129, :4], golden["fc1_t129"])
