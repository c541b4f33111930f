"""Exported networks: the path for whole sequences, and files that give the network's numbers."""

import pytest
import torch

from lib import models
from lib.errors import InputError
from lib.models import export, graphs
from lib.models.base import Model
from lib.models.blocks.whole import whole_sequences
from tests.tiny_set import one_thread  # noqa: F401

FUSION = {"width": 1 / 8, "visual_channels": 8, "audio_channels": 8}
LEADER = {"width": 1 / 16, "face_size": 16, "emotions": 2}
SPEAKER = {"width": 1 / 8, "face_size": 32}
TEMPORAL = {"channels": 9, "width": 1 / 8}
# The network of every recipe, and the published ones, in small.
NETWORKS = {
    "tsav": {"width": 1 / 16, "face_size": 32, "audio_seconds": 0.5, "channels": 3},
    **{name: {**FUSION, "visual_positions": 4} for name in ("jca", "rjca", "dca")},
    "jca_paper": FUSION,
    **dict.fromkeys(("lfan", "lfan_v2", "can", "lfan_visual"), LEADER),
    "lfan_backbone": {"width": 1 / 16, "face_size": 16},
    **dict.fromkeys(("gru", "transformer", "temporal_convolution", "linear_recurrence"), TEMPORAL),
    "utterance": {"width": 1 / 4},
    "gated_utterance": {"width": 1 / 8},
    "res_lstm_sa": {"channels": 9, "hidden": 8},
    **dict.fromkeys(("talknet", "talknet_mrope", "light_asd", "lr_asd"), SPEAKER),
    "face_api": {"width": 1 / 8},
    "face_api_landmarks": {"width": 1 / 8},
}
CHEAP = (
    "gru",
    "linear_recurrence",
    "transformer",
    "temporal_convolution",
    "utterance",
    "gated_utterance",
    "res_lstm_sa",
)


def network(name):
    """The network with weights drawn from a seed, batch norms with statistics that do something."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = models.create(name, **NETWORKS[name]).eval()
        for part in net.modules():
            if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.5, 1.5)
    return net


def with_masks(net, batch):
    """The batch with everything valid, as the usual path is given it."""
    shape = next(iter(batch.values())).shape[:2]
    masks = {"valid": torch.ones(shape, dtype=torch.bool)} if "valid" in net.inputs else {}
    if "pad" in net.inputs:
        masks["pad"] = torch.zeros(shape, dtype=torch.bool)
    return {**batch, **masks}


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_path_for_whole_sequences_gives_the_numbers_of_all_valid(name, steps):
    net = network(name)
    batch = graphs.example(net, 2, steps)
    with torch.inference_mode():
        usual = net(with_masks(net, batch))
        with whole_sequences():
            whole = net(batch)
    for output, values in usual.items():
        largest = max(1.0, values.abs().max())
        assert (whole[output] - values).abs().max() <= 1e-6 * largest, output


def test_a_frame_without_a_face_has_no_embedding_on_either_path():
    net = network("lfan")
    batch = graphs.example(net, 2, 5)
    batch["face_valid"] = torch.tensor([[True, True, False, True, False]] * 2)
    with torch.inference_mode():
        usual = net(batch)["emotion"]
        seen = net({**batch, "face_valid": torch.ones(2, 5, dtype=torch.bool)})
        with whole_sequences():
            whole = net(batch)["emotion"]
    assert (whole - usual).abs().max() < 1e-6
    assert (seen["emotion"] - usual).abs().max() > 1e-4


def test_sizes_are_numbers_or_letters_and_a_window_says_how_long_it_may_be():
    net = models.create("light_asd", **SPEAKER)
    assert graphs.given(net) == {"face": ["B", "T", 32, 32], "mfcc": ["B", "4T", 13]}
    assert graphs.letters(net) == {"B": (1, 0), "T": (1, 0)}
    fusion = {**FUSION, "visual_positions": 4, "steps": 6}
    assert graphs.letters(models.create("jca", **fusion))["L"] == (1, 6)
    published = models.create("jca", compat=True, **fusion)
    assert graphs.given(published)["visual"] == ["B", 6, 32]
    assert "valid" not in graphs.given(models.create("gru"))


def test_weights_alone_are_those_of_the_network(tmp_path):
    pytest.importorskip("safetensors")
    net = network("lfan")  # has weights under two names
    path = export.write(net, "safetensors", tmp_path)
    assert export.deviation(net, path) == {"weights": 0.0}
    net.regressor.bias.data += 1e-3
    with pytest.raises(InputError, match="differs from the network"):
        export.deviation(net, path)


def test_a_network_whose_path_depends_on_numbers_is_refused_with_the_reason(tmp_path):
    class Branching(Model, name="branching_for_a_test"):
        def __init__(self, compat=False):
            super().__init__(compat)
            self.inputs, self.outputs = {"features": "(B, L, 3)"}, {"va": "(B, L, 2)"}

        def forward(self, batch):
            x = batch["features"]
            return {"va": x[..., :2] if x.sum() > 0 else x[..., 1:]}

    try:
        with pytest.raises(InputError, match=r"cannot be exported.*depend") as raised:
            export.write(models.create("branching_for_a_test"), "export", tmp_path)
        assert "safetensors" in raised.value.todo
        assert not list(tmp_path.iterdir())
    finally:
        del models.REGISTRY["branching_for_a_test"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "export"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_gives_the_numbers_of_the_network_for_any_sizes(name, kind, tmp_path):
    pytest.importorskip("onnxruntime")
    net = network(name)
    tried = [(samples, steps) for samples in (1, 3) for steps in (1, 2, 7, 40)]
    tried += [(1, 1000)] if name in CHEAP else []
    deviations = export.deviation(net, export.write(net, kind, tmp_path), tuple(tried))
    assert max(deviations.values()) <= export.TOLERANCE
