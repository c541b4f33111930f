"""The networks of face-api: published weights against goldens, and what holds without them."""

import json

import numpy as np
import pytest
import torch

from lib import models
from lib.errors import InputError
from lib.faces import expression_crop
from lib.models import tensor_manifest
from lib.models.affect import face_api
from tests.shared_files import shared

FILES = {
    "face_api": "face_expression_model-weights_manifest.json",
    "face_api_landmarks": "face_landmark_68_model-weights_manifest.json",
}
# Reached on a CPU: 4e-5 (logits), 5e-6 (features), 7e-7 (landmarks); goldens have six digits.
LOGITS, FEATURES, LANDMARKS, STAGES = 2e-4, 1e-4, 1e-5, 1e-4


def manifest(name):
    return shared(f"weights/face_api/{FILES[name]}")


def goldens(name):
    content = json.loads(shared("specs/goldens_open_nets.json").read_text())
    return content["face_api_expression" if name == "face_api" else name]


def picture(k, rows=112, columns=112):
    """The goldens' picture k, (rows, columns, 3) uint8."""
    i, j, c = np.ogrid[:rows, :columns, :3]
    rings = ((i - 56 - 4 * k) ** 2 + (j - 50 + 6 * k) ** 2) // (24 - 6 * k)
    return ((rings + 30 * c + 70 * k) % 256).astype(np.uint8)


def batch(*pictures):
    return {"face": torch.from_numpy(np.stack(pictures))}


@pytest.mark.parametrize("k", [0, 1, 2])
def test_logits_and_features_are_those_of_the_published_program(k):
    golden = goldens("face_api")[f"picture_{k}"]
    assert picture(k).sum() == golden["pixel_sum"]
    out = models.load_published("face_api", manifest("face_api"))(batch(picture(k)))
    logits, features = out["expression"][0].numpy(), out["features"][0].numpy()
    assert logits == pytest.approx(golden["logits"], abs=LOGITS)
    assert features[:8] == pytest.approx(golden["features_0_7"], abs=FEATURES)
    assert features.sum() == pytest.approx(golden["features_sum"], rel=1e-5)
    assert (features > 0).sum() == golden["features_nonzero"]
    probabilities = out["expression"].softmax(1)[0].numpy()
    assert probabilities == pytest.approx(golden["probabilities"], abs=1e-5)


@pytest.mark.parametrize("k", [0, 1])
def test_landmarks_are_those_of_the_published_program(k):
    golden = goldens("face_api_landmarks")[f"picture_{k}"]
    net = models.load_published("face_api_landmarks", manifest("face_api_landmarks"))
    points = net(batch(picture(k)))["landmarks"][0].flatten().numpy()
    assert points[:10] == pytest.approx(golden["first_10"], abs=LANDMARKS)
    assert points[-4:] == pytest.approx(golden["last_4"], abs=LANDMARKS)
    assert points.min() == pytest.approx(golden["min"], abs=LANDMARKS)
    assert points.max() == pytest.approx(golden["max"], abs=LANDMARKS)


@pytest.mark.parametrize("name", FILES)
def test_every_block_agrees_at_its_edges_and_in_its_channels(name):
    net, stages = models.load_published(name, manifest(name)), {}
    for number in range(4):
        block = net.get_submodule(f"dense{number}")
        keep = lambda _, __, out, key=f"dense{number}": stages.update({key: out[0].numpy()})  # noqa: E731
        block.register_forward_hook(keep)
    net(batch(picture(0)))
    for key, golden in goldens(name)["picture_0"]["stages"].items():
        if key == "input_after_normalisation_c0_i0_j0_3":
            seen = (picture(0)[0, :4, 0] - face_api.MEAN_RGB[0]) / 255
            assert seen == pytest.approx(golden, abs=STAGES)
            continue
        found = stages[key]
        assert list(found.transpose(1, 2, 0).shape) == golden["shape_hwc"]
        rows = {"": found, "_first_row": found[:, 0], "_last_row": found[:, -1]}
        rows |= {"_first_column": found[:, :, 0], "_last_column": found[:, :, -1]}
        for part, numbers in rows.items():
            assert numbers.mean() == pytest.approx(golden[f"mean{part}"], abs=STAGES), (key, part)
        channels = found.mean(axis=(1, 2))[:6]
        assert channels == pytest.approx(golden["mean_of_channels_0_5"], abs=STAGES)


@pytest.mark.parametrize(
    ("name", "numbers", "last"), [("face_api", 323_687, 7), ("face_api_landmarks", 356_840, 136)]
)
def test_the_published_files_fill_every_weight_once(name, numbers, last):
    tensors = tensor_manifest.read(manifest(name))
    assert sum(tensor.size for tensor in tensors.values()) == numbers
    assert len(tensors) == 49
    assert tensors["fc/weights"].shape == (256, last)
    net = models.load_published(name, manifest(name))
    assert sum(weight.numel() for weight in net.parameters()) == numbers
    assert not net.training
    assert "MIT" in repr(net)
    for key, golden in goldens(name)["weights_after_dequantisation"].items():
        tensor, _, index = key.partition("[")  # dense0/conv0/filters[0,0,0,0:4]
        numbers = tensors[tensor][indices(index)] if index else tensors[tensor]
        assert numbers == pytest.approx(golden, abs=1e-6), key


def indices(text):
    parts = [part.split(":") for part in text.rstrip("]").split(",")]
    return tuple(slice(*map(int, part)) if len(part) > 1 else int(part[0]) for part in parts)


def bilinear_without_shift(square, size=112):
    """The tensor path of the published program: source position = target index × side / size."""
    at = np.arange(size) * len(square) / size
    low = at.astype(int)
    high, share = np.minimum(low + 1, len(square) - 1), at - low
    rows = square[low] * (1 - share)[:, None, None] + square[high] * share[:, None, None]
    return rows[:, low] * (1 - share)[:, None] + rows[:, high] * share[:, None]


def test_a_face_that_is_not_square_is_padded_as_published():
    golden = goldens("face_api")["not_square"]
    square = expression_crop.padded(picture(0, 90, 70))
    resized = bilinear_without_shift(square.astype(np.float32)).astype(np.float32)
    assert resized[50, 12:18, 0] == pytest.approx(
        golden["pixels_after_resize_c0_row50_cols_12_17"], abs=1e-3
    )
    out = models.load_published("face_api", manifest("face_api"))(batch(resized))
    probabilities = out["expression"].softmax(1)[0].numpy()
    assert probabilities == pytest.approx(golden["probabilities"], abs=1e-5)
    net = models.load_published("face_api_landmarks", manifest("face_api_landmarks"))
    points = net(batch(resized))["landmarks"][0].numpy()
    points = (points * 90 - (10, 0)) / (70, 90)
    expected = golden["landmarks_relative_to_the_70_x_90_picture_first_10"]
    assert points.flatten()[:10] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", FILES)
def test_a_face_gives_the_same_alone_and_among_others_as_bytes_and_as_numbers(name):
    net = models.create(name, width=1 / 8).eval()
    faces = [picture(k) for k in range(3)]
    together = net(batch(*faces))
    for key, value in together.items():
        alone = net(batch(faces[1].astype(np.float32)))[key]
        assert torch.allclose(value[1], alone[0], atol=1e-5)
        assert len(value) == 3


def test_outputs_have_the_shapes_that_the_networks_declare():
    net = models.create("face_api", width=1 / 8)
    out = net(batch(picture(0), picture(1)))
    assert {key: tuple(value.shape) for key, value in out.items()} == {
        "expression": (2, len(face_api.CLASSES)),
        "features": (2, 32),
    }
    assert net.shapes() == {"face": (112, 112, 3)}
    assert (out["features"] >= 0).all()
    points = models.create("face_api_landmarks", width=1 / 8)(batch(picture(0)))["landmarks"]
    assert tuple(points.shape) == (1, 68, 2)


@pytest.mark.parametrize("shape", [(112, 112, 3), (1, 3, 112, 112), (1, 96, 96, 3)])
def test_faces_of_another_shape_are_refused_with_the_right_one(shape):
    net = models.create("face_api", width=1 / 32)
    with pytest.raises(InputError) as raised:
        net({"face": torch.zeros(shape)})
    assert "(B, 112, 112, 3)" in raised.value.expected


def test_weights_of_the_other_network_are_refused_by_their_last_layer():
    with pytest.raises(InputError, match="another shape: fc/weights 256×136, fc/bias 136"):
        models.load_published("face_api", manifest("face_api_landmarks"))


def test_other_networks_are_not_loaded_from_a_manifest():
    with pytest.raises(InputError, match="missing: audio_model"):
        models.load_published("tsav", manifest("face_api"))


def test_what_is_changed_in_place_changes_neither_numbers_nor_what_is_learnt():
    torch.manual_seed(0)
    block = face_api._Block(6, torch.nn.Conv2d(3, 6, 3, stride=2)).double()
    x = torch.randn(2, 3, 16, 16).double()
    total = torch.relu(block.conv0(torch.nn.functional.pad(x, (0, 1, 0, 1))))
    for layer in (block.conv1, block.conv2, block.conv3):
        total = total + layer(torch.relu(total))
    found, right, kept = block(x), torch.relu(total), x.clone()
    assert torch.equal(found, right)
    assert torch.equal(x, kept)
    weights = list(block.parameters())
    both = [torch.autograd.grad(out.square().sum(), weights) for out in (found, right)]
    for mine, true in zip(*both, strict=True):
        torch.testing.assert_close(mine, true)
