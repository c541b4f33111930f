"""The examples of docs/add_a_model.md and docs/add_a_dataset.md, run as they stand there."""

import re
import sys
import types

import numpy as np
import pytest
import torch
import yaml

from lib import arrays, datasets, grammar, models, parallel, parameters, recipes
from lib.errors import InputError
from lib.evaluation import checkpoint
from lib.files import ROOT
from lib.media import writing
from lib.models import checkpoints, weights
from lib.models.base import REGISTRY
from lib.store import Store, request
from lib.training import trainer
from tests import tiny_set
from tests.recipes.test_features import prepared
from tests.tiny_set import one_thread  # noqa: F401


def blocks(name, language):
    return re.findall(
        rf"```{language}\n(.*?)```", (ROOT / "docs" / name).read_text(encoding="utf-8"), re.DOTALL
    )


@pytest.fixture
def module(monkeypatch):
    """``module("lib.models.affect.my_fusion", text)``: as if the text were that file."""

    def run(name, text):
        made = types.ModuleType(name)
        made.__package__ = name.rpartition(".")[0]
        monkeypatch.setitem(sys.modules, name, made)
        exec(compile(text, name, "exec"), vars(made))
        return made

    monkeypatch.setitem(REGISTRY, "my_fusion", None)  # so that the name is gone afterwards
    return run


def test_the_model_of_the_guide_has_forty_lines_and_learns(module, tmp_path):
    text = blocks("add_a_model.md", "python")[0]
    assert len(text.strip().splitlines()) <= 40
    module("lib.models.affect.my_fusion", text)
    net = models.create("my_fusion", steps=4, audio_channels=3, visual_channels=5, width=0.1).eval()
    assert net({"audio": torch.randn(2, 4, 3), "visual": torch.randn(2, 4, 5)})["va"].shape == (
        2,
        4,
        2,
    )

    experiment = yaml.safe_load(blocks("add_a_model.md", "yaml")[0])
    assert not parameters.validate(experiment)
    root = tiny_set.make(tmp_path / "tiny")
    small = {
        "steps": 8,
        "step_hop": 2,
        "audio_seconds": 0.5,
        "lr": 0.01,
        "epochs": 4,
        "va_loss": "mse",
    }
    method = tiny_set.create("features", root, **small, options=experiment["options"])
    table, lost = prepared(root, method)
    assert not lost
    history = trainer.Trainer(method, table, tmp_path / "run").fit()
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    predictor = checkpoint.load(tmp_path / "run/checkpoints/best.pt", method.params, method.store)
    assert np.isfinite(predictor.predict("seen")["va"]).all()


def test_the_encoders_of_the_guide_are_an_experiment_that_fits():
    experiment = yaml.safe_load(blocks("features.md", "yaml")[0])
    assert not parameters.validate(experiment)
    wavlm = parameters.complete(experiment)["options"]["encoders"]["wavlm"]
    assert (wavlm["layers"], wavlm["kept"]) == ([9, 24], "float16")


def test_the_recipe_of_the_guide_puts_the_model_beside_the_published_ones(
    module, tmp_path, monkeypatch
):
    first, second = blocks("add_a_model.md", "python")
    module("lib.models.affect.my_fusion", first)
    module("lib.recipes.my_fusion", second)
    monkeypatch.setattr(recipes, "NAMES", [*recipes.NAMES, "my_fusion"])
    root = tiny_set.make(tmp_path / "tiny")
    like_jca = tiny_set.create("jca", root)
    method = recipes.create("my_fusion", like_jca.params, like_jca.store)
    windows = method.windows(tiny_set.table(root), 0)[:3]
    batch = method.collate([method.example(window) for window in windows.itertuples(index=False)])
    assert torch.isfinite(method.loss(method.model()(batch), batch)["total"])


def test_the_data_set_of_the_guide_is_found_and_its_labels_are_read(module, tmp_path):
    module("lib.datasets.my_set", blocks("add_a_dataset.md", "python")[0])
    for name in ("a", "b", "stranger"):
        path = tmp_path / "films" / f"{name}.mp4"
        path.parent.mkdir(exist_ok=True)
        writing.write_video(
            path, (np.full((32, 32, 3), k, np.uint8) for k in range(10)), np.arange(10) / 25
        )
    (tmp_path / "people.csv").write_text("name,person,split\na,anna,train\nb,ben,val\n")
    (tmp_path / "ratings").mkdir()
    (tmp_path / "ratings" / "a.csv").write_text("time,valence,arousal\n0,0,1\n1,1,0\n")
    table, report = datasets.find(
        parameters.Params({"dataset": "my_set", "data_root": str(tmp_path)})
    )
    assert table[["trial", "subject", "split", "va_path"]].to_numpy().tolist() == [
        ["a", "anna", "train", "ratings/a.csv"],
        ["b", "ben", "val", ""],
    ]
    assert "nobody in people.csv" in " ".join(report.problem_table()["what"])
    place = Store(tmp_path / "processed", "my_set", tmp_path)
    wanted = request("va", mismatch="fit")
    made = parallel.map(lambda row: arrays.make(row, wanted, place), table.to_dict("records"), 1)
    assert all(outcome.ok for outcome in made)
    assert np.asarray(arrays.read(table.iloc[0].to_dict(), wanted, place))[5] == pytest.approx(
        [0.2, 0.8]
    )


def test_a_data_set_and_a_recipe_are_choices_by_being_a_file(tmp_path):
    for folder, text in (
        ("datasets", blocks("add_a_dataset.md", "python")[0]),
        ("recipes", blocks("add_a_model.md", "python")[1]),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(text)
    (tmp_path / "datasets" / "helper.py").write_text("def find(root, report):\n    pass\n")
    (tmp_path / "recipes" / "jca.py").write_text((ROOT / "lib" / "recipes" / "jca.py").read_text())
    found = grammar.parse(
        'dataset: str = "a"  # data; one of a, b\nrecipe: str = "x"  # method; one of x', "cell"
    )
    found = grammar._with_added(found, tmp_path)
    assert found["dataset"].choices == ("a", "b", "mine")
    assert found["recipe"].choices == ("x", "jca", "mine")
    real = grammar.all_declared()["dataset"].choices
    assert not {"crop_folders", "folder_labels", "report"} & set(real)


def test_the_table_of_weights_names_every_file_of_the_registry_and_invents_no_check_sum():
    text = (ROOT / "docs" / "weights.md").read_text(encoding="utf-8")
    rows = {
        row.split("|")[1].strip(" `"): row for row in text.splitlines() if row.startswith("| `")
    }
    assert set(rows) == {entry.file for entry in weights.REGISTRY.values()}
    for entry in weights.REGISTRY.values():
        told = re.findall(r"`([0-9a-f]{8,})…?`", rows[entry.file])
        assert all((entry.sha256 or entry.md5).startswith(one) for one in told)
        assert bool(told) == bool(entry.sha256 or entry.md5)
        assert ("weights get" in rows[entry.file]) == bool(entry.url)
        assert ("never tried" in rows[entry.file]) == bool(entry.url and not entry.tried)


def test_fine_tuning_starts_from_another_run_and_is_one_parameter_file(tmp_path):
    values = parameters.load([ROOT / "params" / "my_labels.yaml"])
    assert not parameters.validate(values)
    assert values["options"]["start_from"] == "sample_tsav"
    before = parameters.load([ROOT / "params" / "sample_tsav.yaml"])
    assert {name: values[name] for name in ("recipe", "width", "face_size", "audio_seconds")} == {
        name: before[name] for name in ("recipe", "width", "face_size", "audio_seconds")
    }

    root = tiny_set.make(tmp_path / "tiny")
    first = tiny_set.create("tsav", root, epochs=1, options={"tasks": ["va"], "frame_step": 20})
    trainer.Trainer(first, tiny_set.table(root), root / "runs" / "first").fit()
    tuned = tiny_set.create(
        "tsav", root, epochs=1, options={"tasks": ["va"], "start_from": "first"}
    )
    begun = trainer.Trainer(tuned, tiny_set.table(root), tmp_path / "tuned").model
    saved = checkpoints.load(root / "runs/first/checkpoints/best.pt")["model"]
    assert all(torch.equal(value, saved[name]) for name, value in begun.state_dict().items())
    assert all(weight.requires_grad for weight in begun.parameters())
    assert tuned.files() == [root / "runs/first/checkpoints/best.pt"]
    wider = tiny_set.create(
        "tsav", root, width=0.125, options={"tasks": ["va"], "start_from": "first"}
    )
    with pytest.raises(InputError, match="weights do not fit this network, the first is"):
        trainer.Trainer(wider, tiny_set.table(root), tmp_path / "wider")


def test_the_authors_file_may_be_a_start_and_loses_its_mask_channel(tmp_path):
    root = tiny_set.make(tmp_path / "tiny")
    tasks = ["va", "expression", "action_units"]
    theirs = models.create("tsav", compat=True, width=0.0625, channels=4)
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "theirs.pth.tar")
    method = tiny_set.create(
        "tsav", root, options={"tasks": tasks, "start_from": str(tmp_path / "theirs.pth.tar")}
    )
    net = trainer.Trainer(method, tiny_set.table(root), tmp_path / "run").model
    stem = net.video_model["r2plus1d"].stem[0].weight
    assert torch.equal(stem, theirs.video_model["r2plus1d"].stem[0].weight[:, :3])
    assert all(weight.requires_grad for weight in net.parameters())
