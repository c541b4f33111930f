"""Exported networks: the path for whole sequences, and files that give the network's numbers."""

import types

import pytest
import torch
import torch.fx.experimental

from lib import models
from lib.errors import InputError
from lib.models import export, graphs
from lib.models.affect.temporal import TemporalModel
from lib.models.base import Model
from lib.models.blocks.stepwise import linear_steps
from lib.models.blocks.whole import whole_sequences
from tests.tiny_set import one_thread  # noqa: F401

# The extra `export` asks for it; everything else works with earlier ones (`make test-lowest`).
pytestmark = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 11), reason="before PyTorch 2.11"
)
FUSION = {"width": 1 / 8, "visual_channels": 8, "audio_channels": 8}
LEADER = {"width": 1 / 16, "face_size": 16, "emotions": 2}
SPEAKER = {"width": 1 / 8, "face_size": 32}
TEMPORAL = {"channels": 9, "width": 1 / 8}
OVER_TIME = (
    "gru",
    "transformer",
    "temporal_convolution",
    "linear_recurrence",
    "relative_transformer",
)
GATED = {"streams": {"audio": 6, "visual": 5}, "reliability": 2, "width": 1 / 8}
APART = {**GATED, "step_hop": 2, "every": [4, 2]}  # as in params/sample_gated_fusion.yaml
# Every network in small; behind a colon another form of it.
NETWORKS = {
    "tsav": {"width": 1 / 16, "face_size": 32, "audio_seconds": 0.5, "channels": 3},
    **{name: {**FUSION, "visual_positions": 4} for name in ("jca", "rjca", "dca")},
    **dict.fromkeys(("jca_paper", "jca_512"), FUSION),
    **dict.fromkeys(("lfan", "lfan_v2", "can", "lfan_visual"), LEADER),
    "lfan_backbone": {"width": 1 / 16, "face_size": 16},
    **dict.fromkeys(OVER_TIME, TEMPORAL),
    "gru: layers averaged": {**TEMPORAL, "stacks": [[2, 3], [1, 3]]},
    "gated_fusion": GATED,
    **{f"gated_fusion: {name}": {**APART, "network": name} for name in OVER_TIME},
    "gated_fusion: values": {**APART, "join": "values"},
    "gated_fusion: no reliability": {**APART, "every": [3, 5], "reliability": 0},
    "gated_fusion: rows between steps": {**APART, "step_hop": 4, "every": [1, 3]},
    "gated_fusion: rows far apart": {**APART, "every": [512, 512]},
    "gated_fusion: layers averaged": {**APART, "stacks": {"audio": [2, 3]}},
    "utterance": {"width": 1 / 4},
    "utterance: no spectrum": {"width": 1 / 4, "channels": 11, "bands": 0},
    **{
        f"gated_utterance{form}": {"width": 1 / 8, **options}
        for form, options in {
            "": {},
            **{f": {name}": {"network": name} for name in OVER_TIME if name != OVER_TIME[2]},
            ": no reliability": {"reliability": 0},
        }.items()
    },
    "res_lstm_sa": {"channels": 9, "hidden": 8},
    **dict.fromkeys(("talknet", "talknet_mrope", "light_asd", "lr_asd"), SPEAKER),
    "face_api": {"width": 1 / 8},
    "face_api_landmarks": {"width": 1 / 8},
    "tsav_backbone": {"width": 1 / 16, "face_size": 32, "channels": 3},
    "vggish": {"width": 1 / 16},
}


def network(name):
    """The network with weights drawn from a seed, batch norms with statistics that do something."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = models.create(name.partition(":")[0], **NETWORKS[name]).eval()
        for part in net.modules():
            if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.5, 1.5)
    return net


def with_masks(net, batch, samples, steps):
    """The batch with everything valid, as the usual path is given it."""
    letter = "L" if "L" in graphs.letters(net) else "T"
    shape = (samples, graphs.chosen(net, samples, steps).get(letter, 1))
    masks = {"valid": torch.ones(shape, dtype=torch.bool)} if "valid" in net.inputs else {}
    if "pad" in net.inputs:
        masks["pad"] = torch.zeros(shape, dtype=torch.bool)
    return {**batch, **masks}


def test_no_network_is_forgotten():
    ours = {name for name, kind in models.REGISTRY.items() if kind.__module__.startswith("lib.")}
    assert ours == {name.partition(":")[0] for name in NETWORKS}
    temporal = {name for name in ours if issubclass(models.REGISTRY[name], TemporalModel)}
    assert temporal == set(OVER_TIME)


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_path_for_whole_sequences_gives_the_numbers_of_all_valid(name, steps):
    net = network(name)
    batch = graphs.example(net, 2, steps)
    with torch.inference_mode():
        usual = net(with_masks(net, batch, 2, steps))
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


def test_rows_at_a_spacing_of_their_own_have_a_letter_that_follows_from_the_steps():
    net = models.create("gated_fusion", **{**APART, "streams": dict.fromkeys("abcd", 3)})
    net = models.create("gated_fusion", **{**net.options, "every": [4, 0, 3, 4]})
    shapes = graphs.given(net)
    assert [shapes[f"stream_{name}"][1] for name in "abcd"] == ["T", "L", "U", "T"]
    assert [shapes[f"seen_{name}"] for name in "abc"] == [["B", "T"], ["B", "L"], ["B", "U"]]
    assert str(net.lengths()["U"]) == "ceil((L - 1) * 2 / 3) + 1"
    assert [graphs.chosen(net, 1, steps)["U"] for steps in (1, 2, 3, 4)] == [1, 2, 3, 3]
    spacings = {"streams": {f"s{k}": 1 for k in range(24)}, "every": range(2, 26)}
    with pytest.raises(InputError, match="24 different spacings"):
        models.create("gated_fusion", width=1 / 8, **spacings)


@pytest.mark.parametrize("name", ["gated_fusion: temporal_convolution", "linear_recurrence"])
def test_a_graph_holds_for_any_lengths_that_follow_from_one_another(name, tmp_path):
    options = {**NETWORKS[name], "layers": 1}
    net = models.create(name.partition(":")[0], **options).eval()
    path = export.write(net, "export", tmp_path)
    found = export.deviation(net, path, ((1, 1), (3, 2), (1, 30)))
    assert len(found) == 3
    assert max(found.values()) <= export.TOLERANCE


def test_an_earlier_pytorch_is_named_as_the_reason(monkeypatch):
    monkeypatch.setattr(torch.fx.experimental, "_config", types.SimpleNamespace())
    with pytest.raises(InputError, match="cannot make a graph for all sizes") as told:
        graphs.program(models.create("gru", channels=9, width=1 / 8))
    assert "PyTorch 2.11" in told.value.expected


def test_weights_alone_are_those_of_the_network(tmp_path):
    pytest.importorskip("safetensors")
    net = network("lfan")  # has weights under two names
    path = export.write(net, "safetensors", tmp_path)
    assert export.deviation(net, path) == {"weights": 0.0}
    net.regressor.bias.data += 1e-3
    with pytest.raises(InputError, match="differs from the network"):
        export.deviation(net, path)


def branching(x):
    return x[..., :2] if x.sum() > 0 else x[..., 1:]


def switching(x):
    with torch.autocast("cpu", enabled=False):
        return linear_steps(x[..., :2], x[..., :2])


@pytest.mark.parametrize(("way", "reason"), [(branching, "depend"), (switching, "autocast")])
def test_a_network_of_which_there_is_no_graph_is_refused_with_the_reason(way, reason, tmp_path):
    class Branching(Model, name="branching_for_a_test"):
        def __init__(self, compat=False):
            super().__init__(compat)
            self.inputs, self.outputs = {"features": "(B, L, 3)"}, {"va": "(B, L, 2)"}

        def forward(self, batch):
            return {"va": way(batch["features"])}

    try:
        with pytest.raises(InputError, match=f"cannot be exported.*{reason}") as raised:
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
    over_time = {letter for letter, (_, most) in graphs.letters(net).items() if not most}
    tried += [(1, 1000)] if over_time - set(graphs.TRACED) else []
    deviations = export.deviation(net, export.write(net, kind, tmp_path), tuple(tried))
    assert max(deviations.values()) <= export.TOLERANCE
