import pytest
import torch

from lib import models
from lib.errors import InputError
from lib.models.base import Model


def test_an_unknown_name_is_answered_with_the_nearest_one():
    with pytest.raises(InputError, match="unknown model 'tsaw'") as raised:
        models.create("tsaw")
    assert "'tsav'" in raised.value.todo


def test_an_unknown_option_is_answered_with_the_nearest_one():
    with pytest.raises(InputError, match="unknown option 'widht'") as raised:
        models.create("jca", widht=0.5)
    assert "'width'" in raised.value.todo


def test_options_lists_names_and_defaults():
    assert models.options("jca")["steps"] == 16
    assert "compat" not in models.options("tsav")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tsav", {"modality": "sound"}),
        ("tsav", {"channels": 5}),
        ("tsav", {"width": 0}),
        ("jca", {"steps": 0}),
        ("jca", {"modality": "visual"}),
    ],
)
def test_impossible_options_are_refused(name, options):
    with pytest.raises(InputError):
        models.create(name, **options)


def test_a_network_prints_its_options_inputs_outputs_and_weights():
    text = repr(models.create("tsav", width=1 / 8, face_size=64, audio_seconds=4, channels=3))
    assert "width=0.125" in text
    assert "clip (B, 3, 8, 64, 64), mel (B, 1, 64, 401)" in text
    assert "va (B, 2)" in text
    assert "video_model" in text
    assert (
        len([line for line in text.splitlines() if line.startswith("  ") and line[2] != " "]) == 5
    )


@pytest.mark.parametrize("name", sorted(models.REGISTRY))
def test_a_network_tells_every_option_that_it_can_have(name):
    given = {"width": 0.25} if "width" in models.options(name) else {}
    given |= {"streams": {"a": 2}} if "streams" in models.options(name) else {}
    assert set(models.create(name, **given).options) == set(models.options(name))


def test_a_new_class_is_known_by_its_name():
    class Nothing(Model, name="nothing_for_a_test"):
        def __init__(self, compat=False, *, size=1):
            super().__init__(compat, size=size)

    try:
        net = models.create("nothing_for_a_test", compat=True, size=3)
        assert net.compat
        assert net.options == {"size": 3}
        with pytest.raises(InputError, match="no input 'mel', only clip"):
            net.take({"clip": torch.zeros(1)}, "mel")
    finally:
        del models.REGISTRY["nothing_for_a_test"]


def test_no_line_of_a_description_is_longer_than_a_page_is_wide():
    options = {
        "width": 1 / 8,
        "visual_channels": 64,
        "visual_positions": 49,
        "audio_channels": 64,
        "steps": 16,
        "dropout": 0.123456789,
        "modality": "audiovisual",
    }
    text = repr(models.create("jca", **options))
    first = text.splitlines()[:2]
    assert max(map(len, first)) <= 102
    assert all(f"{name}={value!r}" in " ".join(text.split()) for name, value in options.items())


def test_a_copy_that_kept_its_name_takes_no_networks_place():
    published = models.REGISTRY["jca"]
    with pytest.raises(InputError, match="two networks are called 'jca'") as caught:
        type("Mine", (Model,), {"__module__": "lib.models.affect.mine"}, name="jca")
    assert "lib.models.affect.jca and lib.models.affect.mine" in caught.value.where
    assert models.REGISTRY["jca"] is published


@pytest.mark.parametrize(
    ("fused", "said"),
    [({"va": torch.zeros(2, 8, 2)}, "dict"), (torch.zeros(2, 2), r"\(2, 2\)")],
)
def test_a_fusion_that_returns_no_value_per_step_says_what_it_returned(monkeypatch, fused, said):
    net = models.create("jca", width=0.25, steps=8, visual_channels=16, audio_channels=16)
    monkeypatch.setattr(type(net), "fuse", lambda *_: fused)
    batch = {name: torch.zeros(2, 8, size) for name, size in net.sizes.items()}
    with pytest.raises(InputError, match=f"fuse returned {said}"):
        net(batch)


def test_names_that_are_imported_on_first_use_are_offered_before():
    assert {"create", "options", "Model", "load_published"} <= set(dir(models))
    with pytest.raises(AttributeError, match="no attribute 'creat'"):
        models.creat("jca")
