"""VGGish: the published examples, keys, bounded memory, files that are not the right ones."""

import json

import numpy as np
import pytest
import torch

from lib import models
from lib.errors import InputError
from lib.features import vggish
from lib.models import weights
from tests.features.signals import click, tones
from tests.shared_files import shared

SMALL = 1 / 64


@pytest.mark.parametrize("fps", [25, 30])
def test_examples_are_the_published_ones(fps):
    golden = json.loads(shared("specs/goldens_features.json").read_text())["vggish_logmel"][
        f"fps_{fps}"
    ]
    found = vggish.published_examples(tones(3), fps)
    assert list(found.shape) == golden["shape"]
    for name, expected in golden.items():
        if name.startswith("example_"):
            example = found[-1 if name.endswith("last") else int(name.rpartition("_")[2])]
            assert np.abs(example[0, :4] - expected["first4"]).max() < 1e-5
            assert example[-1, 63] == pytest.approx(expected["last"], abs=1e-5)
            assert example.mean() == pytest.approx(expected.get("mean", example.mean()), abs=1e-5)
            assert (
                np.abs(
                    example[0, 24:28] - expected.get("frame0_bands_24_27", example[0, 24:28])
                ).max()
                < 1e-5
            )


@pytest.mark.parametrize(("fps", "rows"), [(30, 601), (25, 501), (60, 1202)])
def test_20_seconds_give_the_published_number_of_examples(fps, rows):
    assert len(vggish.published_examples(tones(20), fps)) == rows


@pytest.mark.parametrize("fps", [25, 30])
def test_every_frame_hears_what_the_published_rule_gives_it_in_pieces_of_any_size(fps):
    sound, times = tones(3), np.arange(3 * fps) / fps
    heard = vggish.Heard(sound, 0.0, times)
    pieces = [
        heard.examples(slice(start, min(start + 7, len(times))))
        for start in range(0, len(times), 7)
    ]
    np.testing.assert_allclose(
        np.concatenate(pieces), vggish.published_examples(sound, fps)[: len(times)], atol=1e-9
    )


@pytest.mark.parametrize("t0", [0.0, 0.08])
def test_a_click_is_heard_by_the_frames_of_the_96_hundredths_before_it(t0):
    times = 0.2 + np.arange(60) / 25
    heard = vggish.Heard(click(4, 1.6, t0), t0, times).examples(slice(0, 60))
    silent = heard.min()
    hears = times[(heard > silent + 1e-6).any(axis=(1, 2))]
    assert hears.max() <= 1.6 + 0.005
    assert hears.min() >= 1.6 - (0.96 + 0.025)
    assert 23 <= len(hears) <= 25


def test_keys_and_sizes_are_those_of_the_port():
    with torch.device("meta"):
        found = {
            key: list(value.shape) for key, value in models.create("vggish").state_dict().items()
        }
    assert list(found.items()) == list(
        json.loads(shared("specs/state_dicts/vggish.json").read_text()).items()
    )


def test_the_last_layer_is_raw_and_a_matrix_is_read_channels_last():
    net = models.create("vggish", width=SMALL).eval()
    x = torch.randn(5, 1, 96, 64)
    with torch.inference_mode():
        out, maps = net({"logmel": x})["vggish"], net.features(x)
        by_hand = net.embeddings(maps.permute(0, 2, 3, 1).reshape(5, -1))
    assert maps.shape[2:] == (6, 4)
    assert torch.equal(out, by_hand)
    assert (out < 0).any()


def test_random_weights_are_the_same_everywhere_and_say_what_they_are():
    one, other = (vggish.load.__wrapped__(None, torch.device("cpu"), SMALL, 3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    told, filled = {}, np.zeros((3, 128), np.float32)

    class Place:
        def __enter__(self):
            return filled

        def __exit__(self, *_):
            pass

    def create(shape, dtype, **facts):
        told.update(facts, shape=shape)
        return Place()

    vggish.make(
        {"sound": tones(1), "sound_facts": {"t0": 0.0}, "time": np.arange(3) / 25},
        {"weights": "random", "width": SMALL, "seed": 3},
        create,
        "cpu",
    )
    assert "mean nothing" in told["note"]
    assert told["shape"] == (3, 128)
    assert filled.any()


def test_another_file_under_the_published_name_is_refused(tmp_path):
    place = weights.path("vggish", tmp_path)
    place.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"not the file vggish-10086976\.pth"):
        vggish.load.__wrapped__(place, torch.device("cpu"))


def test_tensorflows_arrays_become_the_ports_weights(tmp_path):
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in models.create("vggish").state_dict().items()}
    layers = {"vggish/conv1": "features.0", "vggish/fc2": "embeddings.4"}
    generator = np.random.default_rng(0)
    variables = {}
    for name, layer in vggish.LAYERS.items():
        shape = (
            shapes[f"{layer}.weight"]
            if layer in layers.values()
            else (1,) * len(shapes[f"{layer}.weight"])
        )
        order = (2, 3, 1, 0) if len(shape) == 4 else (1, 0)
        variables[f"{name}/weights"] = generator.standard_normal([shape[k] for k in order])
        variables[f"{name}/biases"] = generator.standard_normal(shape[0])
    found = vggish.state_dict(variables)
    assert found.keys() == shapes.keys()
    for layer in layers.values():
        assert found[f"{layer}.weight"].shape == shapes[f"{layer}.weight"]
    assert found["features.0.weight"][5, 0, 1, 2] == np.float32(
        variables["vggish/conv1/weights"][1, 2, 0, 5]
    )
    assert found["embeddings.4.weight"][7, 9] == np.float32(variables["vggish/fc2/weights"][9, 7])
    del variables["vggish/fc2/biases"]
    with pytest.raises(InputError, match="no variable vggish/fc2/biases"):
        vggish.state_dict(variables)
    np.savez(tmp_path / "pca.npz", pca_eigen_vectors=np.eye(128), pca_means=np.zeros((128, 1)))
    pca = torch.load(
        vggish.convert_pca(tmp_path / "pca.npz", tmp_path / "pca.pth"), weights_only=True
    )
    assert pca["pca_means"].shape == (128,)


def test_without_tensorflow_the_converter_says_what_to_do(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorflow", None)
    with pytest.raises(InputError, match="TensorFlow is not installed") as told:
        vggish.read("vggish_model.ckpt")
    assert "weights get vggish" in str(told.value)
