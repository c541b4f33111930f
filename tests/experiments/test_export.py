"""``python -m lib export``: networks of checkpoints as files, and the example in an environment
without this repository.
"""

import json
import runpy
import subprocess
import sys
import types

import pytest
import torch
from click.testing import CliRunner

from lib import models, recipes
from lib.__main__ import main
from lib.errors import InputError
from lib.experiments import export, export_examples
from lib.files import ROOT
from lib.models import checkpoints, graphs
from lib.trials import SYNTHETIC_NOTE
from tests import shared_files, tiny_set
from tests.leftovers import left_beside
from tests.tiny_set import one_thread  # noqa: F401

MOMENTS = {"mean": [1.0, 2.0, 3.0], "std": [1.0, 2.0, 4.0]}
PLAIN = {"features": ["a.npy"], "network": "gru", "layers": 1}
# The encoder's folder is not there, nor is a data root: a checkpoint is enough.
STREAMS = {
    "features": ["wavlm", "b.npy"],
    "encoders": {"wavlm": {"model": "no/such/folder"}},
    "network": "gru",
    "layers": 1,
    "every": [1, 2],
    "gate_by": ["face_quality", "loudness"],
}
TRUST = {
    "reliability face_quality(size=32)": {"mean": [1.0, 2.0], "std": [3.0, 4.0]},
    "reliability loudness": {"mean": [5.0], "std": [6.0]},
}
SOUNDS = {"vggish": {"mean": [0.0] * 128, "std": [1.0] * 128}}
SOUNDS["mfcc"] = {"mean": [0.0] * 39, "std": [1.0] * 39}
# What a checkpoint of each recipe says: parameters and statistics beside the tiny set's.
RUNS = {
    "features": ({"options": PLAIN}, {"a": MOMENTS}),
    "gated_fusion": (
        {"options": STREAMS, "step_hop": 2},
        {"a": MOMENTS, "b": {"mean": [7.0] * 2, "std": [1.0] * 2}, **TRUST},
    ),
    "lfan": ({}, {"released": 1, "width": 0.0625, **SOUNDS}),
    "lfan_backbone": ({}, {}),
    "tsav": ({}, {}),
    "utterance": (
        {"modality": "audio"},
        {"voice": {"mean": [0.0] * 75, "std": [1.0] * 75}, "counts": [1] * 8},
    ),
    "talknet": ({"width": 0.125, "face_size": 32}, {"fps": 25.0}),
}
SIZES = {"visual_channels": 6, "visual_positions": 4, "audio_channels": 5}
VOICE = RUNS["utterance"]
LINES = 40  # of an example at most


def saved(root, recipe, dataset="tiny"):
    """A checkpoint as a training leaves it, in a run folder."""
    changes, statistics = RUNS.get(recipe, ({}, {}))
    params = tiny_set.parameters(recipe, root, **changes)
    values = {**checkpoints.plain(params), "dataset": dataset}
    method = recipes.create(recipe, params, None)
    method.statistics = dict(statistics)
    if recipe in ("jca", "rjca", "dca", "jca_paper"):
        net = method._network(dict(SIZES) | {"visual_positions": 1 if "paper" in recipe else 4})
    else:
        net = method.trained({})
    path = root / "runs" / recipe / "checkpoints" / "best.pt"
    path.parent.mkdir(parents=True)
    content = {"model": net.state_dict(), "params": values, "statistics": statistics, "epoch": 3}
    torch.save({**content, "trained_on": ["1_left"], "terms": ""}, path)
    return path, net.eval()


def without_lib(folder, cwd):
    """Run the example of a folder where nobody can import lib."""
    code = (
        "import sys, runpy\nsys.modules['lib'] = None\n"
        f"runpy.run_path({str(folder / 'example.py')!r}, run_name='__main__')"
    )
    command = [sys.executable, "-I", "-W", "ignore", "-c", code]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("recipe", [*RUNS, "jca", "rjca", "dca", "jca_paper"])
def test_a_checkpoint_alone_gives_the_network_of_its_recipe(recipe, tmp_path):
    path, net = saved(tmp_path, recipe)
    source = export._source(str(path.parents[1]), "")
    assert source.name == recipe
    assert source.net.options == net.options
    weights = source.net.state_dict()
    assert all(torch.equal(weights[name], weight) for name, weight in net.state_dict().items())
    signature = export._signature(source, "onnx", {"1 × 1": 0.0})
    assert {each["name"] for each in signature["inputs"]} == set(graphs.given(net))
    assert all(each["what"] for each in signature["inputs"])
    assert signature["learnt_from"] == {"dataset": "tiny", "trials": 1}
    assert "runs_root" not in signature["parameters"]
    json.dumps(signature, allow_nan=False)


def test_the_streams_of_a_voice_are_told_with_their_own_statistics(tmp_path, monkeypatch):
    changes, statistics = VOICE
    told = {"mean": list(map(float, range(75))), "std": [2.0] * 75}
    options = {"options": {"network": "gated_utterance"}, "width": 0.125}
    monkeypatch.setitem(RUNS, "utterance", (changes | options, statistics | {"voice": told}))
    path, net = saved(tmp_path, "utterance", dataset="ravdess")
    source = export._source(str(path.parents[1]), "")
    assert source.net.options == net.options
    signature = export._signature(source, "onnx", {"1 × 1": 0.0})
    inputs = {each["name"]: each for each in signature["inputs"]}
    assert all(each["what"] for each in signature["inputs"] + signature["outputs"])
    assert inputs["stream_melody"]["normalisation"]["mean"] == [*range(64, 70), 73]
    assert inputs["reliability"]["normalisation"]["mean"] == [69, 0, 71, 0]
    assert inputs["seen_melody"]["dtype"] == "bool"
    assert inputs["seen_melody"]["normalisation"] is None
    assert signature["outputs"][0]["columns"][0] == "neutral"


@pytest.mark.parametrize("network", ["utterance", "gated_utterance"])
def test_a_network_of_face_and_voice_needs_its_checkpoint_only(tmp_path, monkeypatch, network):
    options = {"network": network, "features": ["face_api", "voice", "mine.npy"]}
    options |= {"files_of": {"mine.npy": "sound"}}
    moments = {"voice": VOICE[1]["voice"], "stream face_api": {"mean": [0.5] * 256}}
    moments |= {"stream mine.npy": {"mean": [0.25] * 3, "std": [1.0] * 3}, "counts": [1] * 8}
    moments["stream face_api"]["std"] = [2.0] * 256
    monkeypatch.setitem(RUNS, "utterance", ({"options": options, "width": 0.125}, moments))
    path, net = saved(tmp_path, "utterance", dataset="ravdess")
    source = export._source(str(path.parents[1]), "")
    assert source.net.options == net.options
    inputs = export._signature(source, "onnx", {"1 × 1": 0.0})["inputs"]
    told = {one["name"]: one["normalisation"] for one in inputs}
    assert all(one["what"] for one in inputs)
    means = [told[name]["mean"] for name in told if name.startswith(("features", "stream"))]
    assert [value for mean in means for value in mean] == [0.0] * 75 + [0.5] * 256 + [0.25] * 3
    assert ("seen_mine_npy" in told) == (network == "gated_utterance")


def test_streams_of_a_gated_fusion_are_told_with_how_many_rows_belong_to_the_steps(
    tmp_path, monkeypatch
):
    changes, statistics = RUNS["gated_fusion"]
    factor = {"valence": 1.5, "arousal": 0.5}
    monkeypatch.setitem(RUNS, "gated_fusion", (changes, statistics | {"sd_factor": factor}))
    path, _ = saved(tmp_path, "gated_fusion")
    signature = export._signature(export._source(str(path), ""), "onnx", {})
    inputs = {each["name"]: each for each in signature["inputs"]}
    assert inputs["stream_wavlm"]["shape"] == ["B", "T", 3]
    assert inputs["stream_b_npy"]["shape"] == ["B", "L", 2]
    assert "feature wavlm, 1 video frames apart" in inputs["stream_wavlm"]["what"]
    assert inputs["stream_b_npy"]["normalisation"]["mean"] == [7.0, 7.0]
    assert inputs["seen_wavlm"]["dtype"] == "bool"
    trust = inputs["reliability"]["normalisation"]
    assert (trust["mean"], trust["std"]) == ([1, 2, 0, 0, 5, 0], [3, 4, 1, 1, 6, 1])
    rule = {"rule": "ceil((L - 1) * 2 / 1) + 1", "of": "L", "step_hop": 2, "every": 1}
    assert signature["letters"]["T"] == {"least": 1, "most": None, **rule}
    assert signature["letters"]["L"] == {"least": 1, "most": None}
    outputs = {each["name"]: each for each in signature["outputs"]}
    assert outputs["log_variance"]["columns"] == ["valence", "arousal"]
    assert "for valence and for arousal" in outputs["gates"]["what"]
    assert signature["sd_factor"] == factor


def test_the_example_makes_as_many_rows_as_belong_to_its_steps(tmp_path, monkeypatch, capsys):
    path, net = saved(tmp_path, "gated_fusion")
    signature = export._signature(export._source(str(path), ""), "onnx", {})
    (tmp_path / "signature.json").write_text(json.dumps(signature), encoding="utf-8")
    (tmp_path / "example.py").write_text(export_examples.example("onnx", "model.onnx"))
    shapes = {}

    class Session:
        def __init__(self, file):
            self.file = file

        def run(self, names, inputs):
            shapes.update({name: values.shape for name, values in inputs.items()})
            outputs = net({name: torch.from_numpy(values) for name, values in inputs.items()})
            return [outputs[name].detach().numpy() for name in names]

    runtime = types.SimpleNamespace(InferenceSession=Session)
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    runpy.run_path(str(tmp_path / "example.py"))
    assert capsys.readouterr().out.startswith("va (2, 2, 2) ['valence', 'arousal']")
    assert (shapes["stream_wavlm"], shapes["stream_b_npy"]) == ((2, 3, 3), (2, 2, 2))


def test_statistics_of_the_training_stand_beside_the_input_that_they_belong_to(tmp_path):
    path, _ = saved(tmp_path, "features")
    source = export._source(str(path), "")
    (features,) = export._signature(source, "onnx", {})["inputs"]
    assert features["normalisation"] == {"scale": 1.0, **MOMENTS, "axis": 2}
    (frame, *_, seen) = export._signature(
        export._source(str(saved(tmp_path, "lfan")[0]), ""), "onnx", {}
    )["inputs"]
    assert (frame["name"], frame["normalisation"]["mean"]) == ("frame", [0.5] * 3)
    assert (seen["name"], seen["dtype"]) == ("face_valid", "bool")


def test_the_command_writes_a_network_that_runs_without_this_repository(tmp_path):
    pytest.importorskip("onnxruntime")
    path, _ = saved(tmp_path, "features", dataset="sample")
    done = CliRunner().invoke(main, ["export", str(path.parents[1]), "--to", "onnx"])
    assert done.exit_code == 0, done.output
    assert SYNTHETIC_NOTE in done.output
    folder = path.parents[1] / "export" / "onnx"
    assert sorted(each.name for each in folder.iterdir()) == [
        "example.py",
        "model.onnx",
        "signature.json",
    ]
    assert [each.name for each in folder.parent.iterdir()] == ["onnx"]
    signature = json.loads((folder / "signature.json").read_text(encoding="utf-8"))
    assert signature["outputs"][0]["columns"] == ["valence", "arousal"]
    assert signature["note"] == SYNTHETIC_NOTE
    assert max(signature["largest_deviation"].values()) < 1e-5
    assert len((folder / "example.py").read_text(encoding="utf-8").splitlines()) <= LINES
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = without_lib(folder, elsewhere)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("va (2, 2, 2) ['valence', 'arousal']")


def test_weights_alone_are_listed_without_this_repository(tmp_path):
    pytest.importorskip("safetensors")
    path, net = saved(tmp_path, "features")
    left = left_beside(tmp_path / "out" / "signature.json")
    written = export.write(str(path), "safetensors", tmp_path / "out")
    assert not left.exists()
    assert written.deviation == 0
    done = without_lib(written.folder, tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(net.state_dict())


def test_what_is_no_network_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(InputError, match="neither a trained run nor a weights file"):
        export.write("no_such_run", "onnx", tmp_path / "out")
    wrong = tmp_path / "some.pt"
    torch.save({"state_dict": {"a": torch.zeros(1)}}, wrong)
    with pytest.raises(InputError, match="no network that is known here"):
        export.write(str(wrong), "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_exporting_needs_no_package_until_it_is_asked_for():
    blocked = ("onnx", "onnxscript", "onnxruntime", "safetensors")
    code = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in blocked)
    code += (
        "from lib import models\nfrom lib.errors import InputError\n"
        "from lib.models import export\nfrom pathlib import Path\n"
        "for kind in ('onnx', 'safetensors'):\n"
        "    try:\n        export.write(models.create('gru'), kind, Path())\n"
        "    except InputError as error:\n        print(error)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout.count("pip install onnx onnxscript onnxruntime") == 2, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "export"])
@pytest.mark.parametrize("name", ["face_api", "light_asd", "lr_asd"])
def test_published_weights_are_exported_by_their_file(name, kind, tmp_path):
    pytest.importorskip("onnxruntime")
    files = {
        "face_api": "weights/face_api/face_expression_model-weights_manifest.json",
        "light_asd": "weights/light_asd_ava.model",
        "lr_asd": "weights/lr_asd/pretrain_AVA.model",
    }
    path = shared_files.shared(files[name])
    written = export.write(str(path), kind, tmp_path / "out")
    assert written.deviation <= export.export.TOLERANCE
    signature = json.loads((written.folder / "signature.json").read_text(encoding="utf-8"))
    assert signature["licence"].startswith("MIT")
    assert signature["network"] == name
    done = without_lib(written.folder, tmp_path)
    assert done.returncode == 0, done.stderr
    assert models.REGISTRY[name].name == name


def test_files_of_a_person_and_of_another_export_are_not_replaced(tmp_path):
    pytest.importorskip("safetensors")
    path, _ = saved(tmp_path, "features")
    out = tmp_path / "out"
    out.mkdir()
    (out / "example.py").write_text("mine")
    with pytest.raises(InputError, match=r"no export of this network as safetensors: example\.py"):
        export.write(str(path), "safetensors", out)
    assert (out / "example.py").read_text() == "mine"
    (out / "example.py").unlink()
    export.write(str(path), "safetensors", out)
    (out / "model.safetensors").unlink()  # as a process that was killed leaves it
    (out / "example.py").unlink()
    export.write(str(path), "safetensors", out)
    other, _ = saved(tmp_path / "another", "gated_fusion")
    with pytest.raises(InputError, match="the folder has files"):
        export.write(str(other), "safetensors", out)
