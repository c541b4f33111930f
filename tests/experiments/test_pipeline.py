"""The runner: what is skipped, taken over, set aside, made first; how it ends; and one real run
through papermill.
"""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import ipykernel
import nbformat
import pandas as pd
import pytest
import yaml

from lib import code_digest, datasets, grammar, parameters, runs, store
from lib.datasets import study
from lib.errors import InputError, full_disk
from lib.experiments import experiment, pipeline
from lib.experiments import notebook as experiments_notebook
from lib.files import MACHINE, NOTEBOOKS, ROOT, YOUR_VIDEO, resolve
from lib.models import weights
from lib.parallel import locks
from lib.parameters import Params
from lib.store import Store
from tests.waiting import until

SHARED = """run: str = ""           # machine: run folder
dataset: str = "sample"  # data: data set
runs_root: str = "runs"  # place: where run folders are
workers: int = 1         # machine: processes
parallel: str = "processes"  # machine: what they are
"""
OWN = {
    NOTEBOOKS[0]: "sample_trials: int = 24  # data: recordings; from 1 to 100\n",
    NOTEBOOKS[3]: "label_delay: int = 0  # data: frames; from 0 to 50\n",
    NOTEBOOKS[4]: 'recipe: str = "tsav"  # model: method\nepochs: int = 3  # training: passes\n'
    'lr: float = 0.1  # training: rate\nbackbone_run: str = ""  # model: run to build on\n'
    'predict_run: str = ""  # model: run to predict with\n'
    "options: dict = {}  # model: the recipe's options\n"
    "fetch_weights: bool = True  # machine: download\n# recorded: label_delay\n",
    NOTEBOOKS[
        5
    ]: 'recipe: str = "tsav"  # model: method\npredict_run: str = ""  # model: run to predict '
    "with\n"
    "bootstrap: int = 10  # report: draws\n# recorded: label_delay\n",
    YOUR_VIDEO: 'video_path: str = ""  # place: a video\n'
    'predict_run: str = ""  # model: run to predict with\n',
}
CHECK = """from pathlib import Path
from lib import parameters, runs
folder = Path("{folder}")
p = parameters.check("{step}", globals(), folder)
run = runs.start("{step}", p, folder)"""


class World:
    """Four tiny notebooks, a folder of parameter files, run folders; and notebooks' work without a
    kernel.
    """

    def __init__(self, place: Path):
        self.place, self.said, self.executed = place, [], []
        self.notebooks, self.library, self.runs = (
            place / name for name in ("notebooks", "params", "runs")
        )
        self.data, self.lost, self.unfinished = place / "data.txt", [], ""
        for folder in (self.notebooks, self.library):
            folder.mkdir()
        self.data.write_bytes(b"\0 data")  # also a video, which is no text
        for step, own in OWN.items():
            self.notebook(
                step,
                SHARED.replace('"runs"', json.dumps(str(self.runs))) + own,
                CHECK.format(folder=self.notebooks, step=step),
            )
        self.file("sample_tsav", "recipe: tsav\n")
        self.file("sample_jca", "recipe: jca\nbackbone_run: sample_tsav\n")

    def notebook(self, step, cell, *cells):
        tagged = nbformat.v4.new_code_cell(cell, metadata={"tags": ["parameters"]})
        made = nbformat.v4.new_notebook(cells=[tagged, *map(nbformat.v4.new_code_cell, cells)])
        made.metadata["kernelspec"] = {
            "name": "python3",
            "language": "python",
            "display_name": "Python 3",
        }
        nbformat.write(made, self.notebooks / f"{step}.ipynb")

    def file(self, name, text):
        (self.library / f"{name}.yaml").write_text(text)
        return self.library / f"{name}.yaml"

    def run(self, *names, start="", stop="", **overrides):
        """Returns the exit status; `executed` and `said` are of this call only."""
        self.said.clear()
        self.executed.clear()
        files = [self.library / f"{name}.yaml" for name in names]
        return pipeline.run(
            files,
            {name: str(value) for name, value in overrides.items()},
            start,
            stop,
            self.said.append,
            self.notebooks,
            self.library,
        )

    def work(self, notebook, target, values, say):
        """In the place of `notebook.execute`: what each tiny notebook does."""
        step = notebook.stem
        self.executed.append(f"{target.parent.name} {step[:2]}")
        assert target.parent.is_dir()
        places = {
            name: resolve(values[name]) for name in ("runs_root", "data_root") if name in values
        }
        run = runs.start(step, Params({**values, **places}), self.notebooks)
        target.write_text("{}")
        say("a printed line")
        if step == NOTEBOOKS[4]:
            run.path("checkpoints", "best.pt").write_text(str(values["lr"]))
        if values.get("video_path"):
            return
        made = [run.write_text(f"{step}.txt", "made")]
        run.record(
            [self.data],
            made,
            self.lost if step == NOTEBOOKS[0] else [],
            self.unfinished if step == NOTEBOOKS[4] else "",
        )

    @property
    def text(self):
        return "\n".join(self.said)


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path)
    monkeypatch.setattr(pipeline, "execute", world.work)
    return world


ALL = ["sample_tsav 01", "sample_tsav 04", "sample_tsav 05", "sample_tsav 06"]


# ---- skipping


def test_a_run_executes_all_notebooks_and_leaves_parameters_and_environment(world):
    assert world.run("sample_tsav", workers=2) == 0
    assert world.executed == ALL
    folder = world.runs / "sample_tsav"
    written = yaml.safe_load((folder / "params.yaml").read_text())
    assert (written["recipe"], written["workers"], written["bootstrap"]) == ("tsav", 2, 10)
    assert json.loads((folder / "environment.json").read_text())["recipe"] == "tsav"
    assert "a printed line" in world.text


def test_the_same_run_again_executes_nothing_and_says_so(world):
    world.run("sample_tsav")
    assert world.run("sample_tsav", workers=3, parallel="dask") == 0
    assert world.executed == []
    assert world.text.count("skipped, nothing changed") == 4


def test_only_the_notebooks_that_declare_a_changed_parameter_are_executed_again(world):
    world.run("sample_tsav")
    world.run("sample_tsav", bootstrap=20)
    assert world.executed == ["sample_tsav 06"]
    assert "parameters changed: bootstrap" in world.text


def test_a_changed_parameter_of_labels_is_injected_where_it_is_recorded_and_makes_it_run_again(
    world, monkeypatch
):
    seen = {}

    def work(notebook, target, values, say):
        seen[notebook.stem[:2]] = values.get("label_delay")
        world.work(notebook, target, values, say)

    monkeypatch.setattr(pipeline, "execute", work)
    world.run("sample_tsav")
    assert seen == {"01": None, "04": 0, "05": 0, "06": 0}
    world.run("sample_tsav", label_delay=3)
    assert world.executed == ALL[1:]
    assert seen == {"01": None, "04": 3, "05": 3, "06": 3}
    assert "trained with other parameters: label_delay" in world.text
    world.run("sample_tsav", label_delay=3)
    assert world.executed == []


@pytest.mark.parametrize("step", NOTEBOOKS[4:])
def test_a_recorded_parameter_counts_for_the_notebook_that_reads_it(world, step):
    """Also where no array is another one: the record of a notebook holds what it read."""
    world.run("sample_tsav")
    [planned] = experiment.plan(
        [world.library / "sample_tsav.yaml"], {"label_delay": "3"}, world.notebooks, world.library
    )
    reason = experiment.outdated(planned, step, planned.run)
    assert str(reason) == "parameters changed: label_delay"


def test_an_option_that_a_recipe_has_got_since_makes_no_run_other(world):
    step = NOTEBOOKS[4]
    world.run("sample_tsav")
    (world.runs / "sample_tsav" / "checkpoints").mkdir(exist_ok=True)
    for name in (step, "training"):
        path = world.runs / "sample_tsav" / "steps" / f"{name}.json"
        record = json.loads(path.read_text())
        options = record.get("parameters", record)["options"]
        assert options.pop("ema") == 0.0
        path.write_text(json.dumps(record))
    world.run("sample_tsav")
    assert world.executed == []


def test_changed_code_of_a_notebook_is_executed_again(world):
    world.run("sample_tsav")
    step = NOTEBOOKS[3]
    world.notebook(
        step, SHARED + OWN[step], CHECK.format(folder=world.notebooks, step=step), "print('new')"
    )
    world.run("sample_tsav")
    assert world.executed == ["sample_tsav 04"]
    assert f"code changed: {step}.ipynb" in world.text


def test_a_network_that_was_edited_is_trained_anew_and_the_old_run_is_kept(world, monkeypatch):
    now = {"lib/models/mine.py": "1"}
    monkeypatch.setattr(code_digest, "_used", {"lib.models.mine": now})
    digests = code_digest.digests
    monkeypatch.setattr(
        code_digest,
        "digests",
        lambda step, modules=(), folder=None: {
            **digests(step, (), folder),
            **(now if "lib.models.mine" in modules else {}),
        },
    )
    world.run("sample_tsav")
    assert world.run("sample_tsav") == 0
    assert world.executed == []
    now["lib/models/mine.py"] = "2"
    world.run("sample_tsav")
    assert "sample_tsav 05" in world.executed
    assert "code changed: lib/models/mine.py" in world.text
    assert (world.runs / "sample_tsav-1" / "checkpoints" / "best.pt").is_file()


def test_an_output_that_is_gone_is_made_again(world):
    world.run("sample_tsav")
    (world.runs / "sample_tsav" / f"{NOTEBOOKS[3]}.txt").unlink()
    world.run("sample_tsav")
    assert world.executed == ["sample_tsav 04"]
    assert "no longer there" in world.text


def test_first_and_last_notebook_can_be_chosen(world):
    assert world.run("sample_tsav", start="04", stop="5") == 0
    assert world.executed == ALL[1:3]
    assert world.run("sample_tsav", start="09") == 2
    assert "no notebook is called 09" in world.text


def test_where_no_notebook_is_left_to_execute_nothing_is_called_done(world):
    assert world.run("sample_tsav", start="05", stop="04") == 2
    assert "no notebook is left to execute from 05 to 04" in world.text
    network = world.place / "network.pt"
    network.write_bytes(b"")
    assert world.run("sample_tsav", start="05", stop="05", predict_run=network) == 2
    assert "no notebook is left to execute from 05 to 05" in world.text
    assert not world.runs.exists()


def test_an_interrupted_step_is_not_skipped_although_its_old_record_fits(world, monkeypatch):
    world.run("sample_tsav")

    def interrupt(*_):
        raise KeyboardInterrupt("stopped in epoch 2")

    monkeypatch.setattr(pipeline, "execute", interrupt)
    assert world.run("sample_tsav", bootstrap=20) == 130
    assert "stopped in epoch 2" in world.text
    monkeypatch.setattr(pipeline, "execute", world.work)
    world.run("sample_tsav")
    assert world.executed == ["sample_tsav 06"]
    assert "goes on where it stopped" in world.text


# ---- notebook 05 without the runner


def test_notebook_05_keeps_a_training_with_other_parameters_as_the_runner_does(world, capsys):
    world.run("sample_tsav")
    folder = world.runs / "sample_tsav"
    values = yaml.safe_load((folder / "params.yaml").read_text())
    names = grammar.declared(NOTEBOOKS[4], world.notebooks)
    p = Params({**{name: values[name] for name in names}, "runs_root": world.runs})
    assert experiment.begin_training(p, world.notebooks).folder == folder
    assert capsys.readouterr().out == ""
    assert (folder / "checkpoints" / "best.pt").is_file()
    experiment.begin_training(Params({**p, "lr": 0.5}), world.notebooks)
    told = capsys.readouterr().out
    assert told == "trained with other parameters: lr; the old run is kept as sample_tsav-1\n"
    assert (world.runs / "sample_tsav-1" / "checkpoints" / "best.pt").is_file()
    assert not (folder / "checkpoints").is_dir()
    assert (folder / "steps" / f"{NOTEBOOKS[3]}.json").is_file()
    world.run("sample_tsav", lr=0.5)
    assert world.executed == ALL[2:]


def test_a_run_folder_of_another_parameter_file_is_told(world, capsys):
    world.run("sample_tsav")
    p = {"runs_root": world.runs, "run": "sample_tsav", "params_file": "params/a.yaml"}
    runs.start(NOTEBOOKS[0], p, world.notebooks)
    runs.start(NOTEBOOKS[0], {**p, "params_file": "params/b.yaml"}, world.notebooks)
    assert capsys.readouterr().out.endswith(
        "was made with params/a.yaml, this notebook reads params/b.yaml\n"
    )
    runs.start(NOTEBOOKS[0], {**p, "params_file": ""}, world.notebooks)
    assert runs.parameters(world.runs / "sample_tsav")["params_file"] == "params/b.yaml"


# ---- other runs


def test_equal_preparation_is_taken_over_from_another_run(world):
    world.run("sample_tsav")
    assert world.run("sample_jca") == 0
    assert world.executed == ["sample_jca 05", "sample_jca 06"]
    assert world.text.count("taken over from sample_tsav") == 2
    assert (world.runs / "sample_jca" / f"{NOTEBOOKS[0]}.ipynb").is_file()
    assert (world.runs / "sample_jca" / f"{NOTEBOOKS[0]}.txt").is_file()


def test_preparation_of_another_folder_of_recordings_is_not_taken_over(tmp_path, monkeypatch):
    step = NOTEBOOKS[1]
    (tmp_path / "other" / "steps").mkdir(parents=True)
    (tmp_path / "other" / "steps" / f"{step}.json").write_text("{}")
    (tmp_path / "other" / f"{step}.ipynb").write_text("{}")
    monkeypatch.setattr(experiment, "outdated", lambda *_: False)
    monkeypatch.setattr(experiment, "processed_name", lambda _: "folder-mine")
    mine = types.SimpleNamespace(run=runs.Run(tmp_path / "mine"), values={"dataset": "folder"})
    for name, taken in (("folder-other", ""), ("folder-mine", "other")):
        monkeypatch.setattr(study, "data_of", lambda _, name=name: name)
        assert experiment.take_over(mine, step) == taken


def test_different_preparation_is_not_taken_over(world):
    world.run("sample_tsav")
    world.run("sample_jca", label_delay=3)
    assert world.executed == ["sample_jca 04", "sample_jca 05", "sample_jca 06"]


def test_a_missing_run_that_this_one_builds_on_is_made_first_with_the_same_overlay(world):
    world.file("small", "epochs: 1\n")
    assert world.run("sample_jca", "small", lr=0.5, sample_trials=6) == 0
    assert world.executed == [*ALL, "sample_jca 05", "sample_jca 06"]
    assert "sample_tsav is not there yet and is made first: sample_jca builds on it" in world.text
    backbone = runs.parameters(world.runs / "sample_tsav")
    assert (backbone["epochs"], backbone["sample_trials"], backbone["lr"]) == (1, 6, 0.1)


@pytest.mark.parametrize("recipe", ["sample_jca", "mine"])
def test_a_run_that_no_notebook_to_be_executed_builds_on_is_not_made(world, recipe):
    world.file("mine", "predict_run: sample_tsav\nrecipe: tsav\n")
    assert world.run(recipe, stop="04") == 0
    assert world.executed == [f"{recipe} 01", f"{recipe} 04"]


def test_with_a_run_to_predict_with_training_is_left_out(world):
    world.run("sample_tsav")
    assert world.run("sample_tsav", run="mine", predict_run="sample_tsav") == 0
    assert world.executed == ["mine 06"]


def test_a_video_needs_only_the_trained_run_and_touches_nothing_else(world):
    world.run("sample_tsav")
    folder = world.runs / "sample_tsav"
    before = {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "params.yaml"
    }
    assert world.run("sample_tsav", video_path=world.data) == 0
    assert [path.name for path in (folder / "videos").rglob("*.ipynb")] == [f"{YOUR_VIDEO}.ipynb"]
    assert world.executed == ["data yo"]
    assert all(path.read_bytes() == content for path, content in before.items())
    world.run("sample_tsav")
    assert world.executed == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "backbone_run: nobody\n",
            "no run, no weights file and no parameter file is called nobody",
        ),
        ("backbone_run: circle\n", "in a circle: circle → circle"),
        ("epoch: 1\nlr: 1e-4\n", "did you mean epochs?"),
        ("run: a/b\n", "cannot be the name of a folder"),
    ],
)
def test_wrong_parameters_start_nothing(world, text, words):
    world.file("circle", text)
    assert world.run("circle") == 2
    assert words in world.text
    assert world.executed == []
    assert not world.runs.exists()


def test_a_network_to_start_from_that_is_not_there_is_told_before_anything_starts(world):
    world.file("mine", "recipe: tsav\noptions: {start_from: nowhere}\n")
    assert world.run("mine") == 2
    assert "neither a trained run nor a weights file called nowhere" in world.text
    assert world.executed == []
    assert world.run("mine", stop="04") == 0  # no notebook that would start from it
    world.run("sample_tsav", run="nowhere")
    assert world.run("mine") == 0
    assert world.executed[-2:] == ["mine 05", "mine 06"]
    shutil.rmtree(world.runs / "nowhere")
    assert world.run("mine") == 0  # trained already


def test_a_published_network_to_start_from_is_fetched_before_the_training(world, monkeypatch):
    file, fetched = f"{world.place}/weights/light_asd_ava.model", []
    world.file("mine", f"recipe: tsav\noptions: {{start_from: {file}}}\n")
    monkeypatch.setattr(weights, "provide", lambda path: fetched.append(path) or "fetched it")
    assert world.run("mine") == 0
    assert fetched == [Path(file)]
    assert world.run("mine", fetch_weights=False, run="other") == 1
    assert "weights get light_asd_ava" in world.text
    assert world.executed == []  # what comes before the training was taken over


# ---- trainings are never overwritten


def test_another_parameter_of_training_keeps_the_old_run_under_another_name(world):
    world.run("sample_tsav")
    assert world.run("sample_tsav", lr=0.5) == 0
    assert world.executed == ALL[2:]
    assert "trained with other parameters: lr; the old run is kept as sample_tsav-1" in world.text
    assert (world.runs / "sample_tsav-1" / "checkpoints" / "best.pt").read_text() == "0.1"
    world.run("sample_tsav", lr=0.6)
    assert (world.runs / "sample_tsav-2" / "checkpoints" / "best.pt").read_text() == "0.5"


def test_more_epochs_resume_and_fewer_do_not(world):
    world.run("sample_tsav")
    world.run("sample_tsav", epochs=5)
    assert world.executed == ["sample_tsav 05"]
    assert not (world.runs / "sample_tsav-1").exists()
    world.run("sample_tsav", epochs=4)
    assert (world.runs / "sample_tsav-1").exists()


def test_changed_data_keep_the_old_training_too(world):
    world.run("sample_tsav")
    world.data.write_text("other data")
    world.run("sample_tsav")
    assert world.executed == ALL
    assert (world.runs / "sample_tsav-1" / "checkpoints" / "best.pt").is_file()


def test_a_data_root_that_moved_counts_as_the_same_and_one_with_other_data_does_not(
    world, tmp_path
):
    for step, own in OWN.items():
        world.notebook(
            step,
            SHARED.replace('"runs"', json.dumps(str(world.runs)))
            + own
            + 'data_root: str = "data"  # place: of the data set\n',
            CHECK.format(folder=world.notebooks, step=step),
        )
    first, moved, other = (tmp_path / name for name in ("first", "moved", "other"))
    first.mkdir()
    world.data = first / "data.txt"
    world.data.write_text("data")
    world.run("sample_tsav", data_root=first)
    first.rename(moved)
    world.run("sample_tsav", data_root=moved)
    assert world.executed == []
    other.mkdir()
    world.data = other / "data.txt"
    world.data.write_text("other data")
    world.run("sample_tsav", data_root=other)
    assert world.executed == ALL
    assert "inputs changed: <data_root>/data.txt" in world.text


def test_predicting_alone_with_other_training_parameters_is_refused(world):
    world.run("sample_tsav")
    assert world.run("sample_tsav", start="06", lr=0.5) == 2
    assert "trained with other parameters: lr" in world.text


def test_a_training_from_before_a_parameter_came_had_its_default(world):
    world.run("sample_tsav")
    steps = world.runs / "sample_tsav" / "steps" / "training.json"
    before = json.loads(steps.read_text())
    del before["lr"]
    steps.write_text(json.dumps(before))
    assert world.run("sample_tsav", start="06", lr=0.5) == 2
    assert world.run("sample_tsav", start="06") == 0


def test_the_folder_of_another_recipe_is_refused(world):
    world.run("sample_tsav")
    assert world.run("sample_jca", run="sample_tsav", backbone_run="") == 2
    assert "belongs to the recipe tsav, not to jca" in world.text


# ---- ends


def test_lost_trials_are_named_give_status_3_and_are_tried_again(world):
    world.lost = [("trial_7", InputError("unreadable", where="trial_7.mp4"))]
    assert world.run("sample_tsav") == 3
    assert "trial_7: unreadable" in world.text
    assert world.run("sample_tsav", start="04") == 3
    world.lost = []
    assert world.run("sample_tsav") == 0
    assert world.executed == ["sample_tsav 01"]


def test_a_notebook_that_stops_in_time_gives_status_75_and_goes_on(world):
    world.unfinished = "time limit of 1 h"
    assert world.run("sample_tsav") == 75
    assert world.executed == ALL[:3]
    world.unfinished = ""
    assert world.run("sample_tsav") == 0
    assert world.executed == ALL[2:]
    assert "goes on where it stopped" in world.text


def batch(world, files, **overrides):
    world.said.clear()
    return pipeline.batch(
        files, [], overrides, world.said.append, notebooks=world.notebooks, library=world.library
    )


def test_a_batch_of_ten_with_a_broken_one_finishes_nine_and_says_which_failed(world, monkeypatch):
    files = [
        world.file(f"e{number}", f"recipe: tsav\nlr: 0.{number + 1}\n") for number in range(10)
    ]
    files[4].write_bytes("recipe: tsav\n".encode("utf-16"))
    assert batch(world, files) == pipeline.EXIT_FAILED
    assert "9 of 10 experiments are done" in world.said
    assert [line.split("/")[-1] for line in world.said if line.endswith("NOT STARTED")] == [
        "e4.yaml: NOT STARTED"
    ]
    trained = [place.parents[1].name for place in world.runs.glob("*/checkpoints/best.pt")]
    assert sorted(trained) == [f"e{number}" for number in range(10) if number != 4]
    assert all((world.runs / name / "report.html").is_file() for name in trained)


def test_two_files_of_a_batch_do_not_take_turns_in_one_run_folder(world):
    first = world.file("e0", "recipe: tsav\nlr: 0.1\n")
    second = world.file("e1", "recipe: tsav\nlr: 0.2\nrun: e0\n")
    assert batch(world, [first, first, second]) == pipeline.EXIT_FAILED
    assert "1 of 2 experiments are done" in world.said
    assert [line for line in world.said if line.endswith("set `run` in it")]
    assert [place.name for place in world.runs.iterdir()] == ["e0"]
    assert yaml.safe_load((world.runs / "e0" / "params.yaml").read_text())["lr"] == 0.1


def test_a_notebook_that_fails_does_not_stop_a_batch(world, monkeypatch):
    """One of three dies in its training, another one has lost a trial."""

    def work(notebook, target, values, say):
        if values["run"] == "e1" and notebook.stem == NOTEBOOKS[4]:
            raise experiments_notebook.NotebookFailed("05_train stopped in cell 4")
        world.lost = [("7", InputError("damaged"))] if values["run"] == "e2" else []
        world.work(notebook, target, values, say)

    monkeypatch.setattr(pipeline, "execute", work)
    files = [
        world.file(f"e{number}", f"recipe: tsav\nlr: 0.{number + 1}\nsample_trials: {number + 2}\n")
        for number in range(3)
    ]
    assert batch(world, files) == pipeline.EXIT_FAILED
    assert [line.rpartition(": ")[2] for line in world.said[-3:]] == [
        "done",
        "FAILED",
        "done, but something was lost",
    ]
    assert batch(world, [files[0], files[2]]) == pipeline.EXIT_LOST


def test_an_interrupt_ends_a_batch(world, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "execute", interrupted)
    assert (
        batch(world, [world.file("e0", "recipe: tsav\n"), world.file("e1", "recipe: tsav\n")])
        == 130
    )
    assert not (world.runs / "e1").exists()


def test_printed_lines_come_whole_and_an_overwritten_line_in_its_last_state():
    said = []
    lines = experiments_notebook._Lines(said.append)
    for part in ("epoch 1 ", "loss 0.5\n\n", "10 %\r20 %", "\r30 %\n", "no end"):
        lines.write(part)
    lines.write("\n")
    assert said == ["epoch 1 loss 0.5", "30 %", "no end"]


@pytest.mark.parametrize(
    "line", ["File {lib}/store.py:12, in f", '  File "{lib}/store.py", line 12, in f']
)
def test_of_an_error_in_the_code_the_deepest_place_in_lib_is_told(line):
    more = "\n  File /usr/site-packages/torch/a.py:9\nFile {lib}/parallel/mapping.py:3"
    assert experiments_notebook._last_place((line + more).format(lib=ROOT / "lib")) == [
        "in lib/store.py:12"
    ]
    assert experiments_notebook._last_place("File /usr/a.py:9") == []


def test_a_full_disk_is_told_in_one_message(world, monkeypatch):
    import papermill

    def full(*_args, **_more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(papermill, "execute_notebook", full)
    monkeypatch.setattr(pipeline, "execute", experiments_notebook.execute)
    assert world.run("sample_tsav", stop="01") == 1
    assert "no space left on the device" in world.text


@pytest.mark.parametrize(
    ("raised", "cause"),
    [
        (experiments_notebook.NotebookFailed("05_train stopped", "memory"), "memory"),
        (experiments_notebook.NotebookFailed("a mistake"), ""),
        (full_disk("/data"), "disk"),
        (InputError("no label file"), ""),
    ],
)
def test_whether_the_machine_was_at_fault_is_told_beside_the_status(
    world, monkeypatch, raised, cause
):
    def fail(*_):
        raise raised

    monkeypatch.setattr(pipeline, "execute", fail)
    planned = experiment.plan(
        [world.library / "sample_tsav.yaml"], {}, world.notebooks, world.library
    )
    assert pipeline.carry_out(planned, say=world.said.append) == (1, cause)


@pytest.mark.parametrize(
    ("name", "value", "cause"),
    [
        ("MemoryError", "", "memory"),
        ("OutOfMemoryError", "CUDA out of memory", "memory"),
        ("ValueError", "x", ""),
        ("InputError", "no space left on the device (0.0 GB free)", "disk"),
        ("OSError", "[Errno 28] No space left on device", "disk"),
        ("KeyError", "disk", ""),
    ],
)
def test_the_cause_of_an_error_in_a_notebook_is_known_by_its_name(name, value, cause):
    class Error:
        ename, evalue = name, value

    assert experiments_notebook._cause(Error()) == cause


def test_sigterm_is_to_be_continued_and_ctrl_c_is_not(world, monkeypatch):
    for error, status in (
        (experiments_notebook.Terminated("stopped in epoch 2"), 75),
        (KeyboardInterrupt("by hand"), 130),
    ):

        def interrupt(*_, error=error):
            raise error

        monkeypatch.setattr(pipeline, "execute", interrupt)
        assert world.run("sample_tsav") == status
        assert str(error) in world.text


@pytest.mark.parametrize(
    ("error", "status"), [(experiments_notebook.Terminated(), 75), (KeyboardInterrupt(), 130)]
)
def test_what_ends_one_experiment_from_outside_starts_no_further_one(
    world, monkeypatch, error, status
):
    started = []

    def end(*_):
        started.append(1)
        raise error

    monkeypatch.setattr(pipeline, "execute", end)
    files = [world.file(name, "recipe: tsav\n") for name in ("one", "two")]
    assert pipeline.batch(files, [], {}, notebooks=world.notebooks, library=world.library) == status
    assert len(started) == 1


# ---- with papermill


def test_notebooks_run_through_papermill_and_an_error_is_told_in_a_few_lines(tmp_path):
    world = World(tmp_path)
    one, four = NOTEBOOKS[0], NOTEBOOKS[3]
    world.notebook(
        one,
        SHARED + OWN[one],
        CHECK.format(folder=world.notebooks, step=one),
        "import os\nprint('in', os.getcwd())\n"
        "run.record([], [run.write_text('a.txt', str(p.sample_trials))])",
    )
    world.notebook(
        four,
        SHARED + OWN[four],
        CHECK.format(folder=world.notebooks, step=four),
        "from lib.errors import InputError\n"
        "raise InputError('no label file', where='t1', todo='look')",
    )
    assert world.run("sample_tsav", stop="04", runs_root=world.runs, sample_trials=7) == 1
    folder = world.runs / "sample_tsav"
    assert (folder / "a.txt").read_text() == "7"
    assert f"in {ROOT}" in world.text
    assert world.said[-1].splitlines() == [
        f"{four} stopped in cell 4",
        "  no label file",
        "    where: t1",
        "    what to do: look",
        f"  executed notebook: {folder / four}.ipynb",
    ]
    executed = nbformat.read(folder / f"{one}.ipynb", 4)
    assert "injected-parameters" in executed.cells[1].metadata["tags"]
    # The message is all that is red in the notebook; the frames are kept in failures.csv.
    stopped = nbformat.read(folder / f"{four}.ipynb", 4)
    shown = [o for c in stopped.cells if c.cell_type == "code" for o in c.outputs if "ename" in o]
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in shown[0].traceback] == [
        "no label file",
        "  where: t1",
        "  what to do: look",
    ]
    assert all(line.startswith("\x1b[31m") for line in shown[0].traceback)
    row = runs.Run(folder).failures()[0]
    assert (row["step"], row["what"], row["where"]) == (four, "no label file", "t1")
    assert "raise InputError" in row["traceback"]


SLEEPER = """import time
from lib import runs
try:
    Path(r"{mark}").write_text("1")
    time.sleep(60)
finally:
    Path(r"{mark}").unlink()"""
COMMAND = """import sys
from pathlib import Path
from lib.experiments import pipeline
place = Path(sys.argv[1])
file, overrides = place / "params/sample_tsav.yaml", {"runs_root": str(place / "runs")}
sys.exit(pipeline.run([file], overrides, "", "01", print,
                      place / "notebooks", place / "params"))"""


def test_ctrl_c_ends_the_kernel_too_and_gives_status_130(tmp_path):
    world, mark, one = World(tmp_path), tmp_path / "mark", NOTEBOOKS[0]
    world.notebook(
        one,
        SHARED + OWN[one],
        CHECK.format(folder=world.notebooks, step=one),
        SLEEPER.format(mark=mark),
    )
    (tmp_path / "command.py").write_text(COMMAND)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "command.py", tmp_path],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    end = time.monotonic() + 30
    while not mark.exists() and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert not mark.exists()  # the notebook's own `finally` ran
    assert "interrupted: what was finished is kept" in out
    if ipykernel.version_info[0] >= 7:  # earlier ones write where they were stopped themselves
        assert "Traceback" not in err


def test_an_array_of_the_store_is_an_input_by_its_json(world, tmp_path):
    import numpy as np

    shelf = store.Shelf(tmp_path / "shelf")
    world.data = shelf.write({"name": "face", "parameters": {}, "version": 1}, np.zeros(3))
    world.run("sample_tsav", stop="01")
    world.run("sample_tsav", stop="01")
    assert world.executed == []


def planned(file, **overrides):
    return experiment.plan([ROOT / "params" / file], overrides, ROOT / "notebooks", ROOT / "params")


def test_a_run_that_is_made_first_keeps_its_own_data(tmp_path):
    """Nothing synthetic is ever written into somebody's folder of recordings."""
    made = planned("my_videos.yaml", data_root=str(tmp_path / "mine"), runs_root=str(tmp_path))
    assert [each.values["run"] for each in made] == ["sample_tsav", "my_videos"]
    assert made[0].values["data_root"] == "data"
    assert made[0].values["runs_root"] == str(tmp_path)
    assert made[1].values["data_root"] == str(tmp_path / "mine")
    made = planned("sample_jca.yaml", data_root=str(tmp_path), runs_root=str(tmp_path))
    assert {each.values["data_root"] for each in made} == {str(tmp_path)}, "of the same data set"


def test_a_run_of_other_recordings_gets_a_name_of_its_own_unless_it_was_named(tmp_path):
    folders = [tmp_path / name / "talks" for name in ("day1", "day2")]
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        (folder / "a.mp4").write_bytes(bytes([number]))
    places = {"runs_root": str(tmp_path / "runs"), "processed_root": str(tmp_path / "processed")}

    def made(folder, **more):
        return planned("expression.yaml", data_root=str(folder), **places, **more)[-1]

    for folder in folders:
        one = made(folder)
        name = experiment.processed_name(one.values)
        table = pd.DataFrame({"video_path": ["a.mp4"], "audio_path": [""]})
        study.write(Store(tmp_path / "processed", name, folder), table)
        outputs = {f"<processed_root>/{name}/trials.parquet": {}}
        one.run.write_json("steps/01_download_check.json", {"outputs": outputs})
    assert [made(folder).values["run"] for folder in folders] == ["expression", "expression-2"]
    assert made(folders[1]).renamed == "expression"
    named = made(folders[1], run="expression")
    with pytest.raises(InputError, match="is of other recordings") as told:
        pipeline._refuse_other_recordings(named)
    assert told.value.todo == "-p run expression-2"
    in_notebook = parameters.placed({**named.values, "data_root": str(folders[1])})
    with pytest.raises(InputError, match="is of other recordings") as told:
        datasets.store(in_notebook)  # in JupyterLab, where no runner chose the name
    assert told.value.todo == 'in the parameters cell: run = "expression-2"'
    moved = (tmp_path / "day1").rename(tmp_path / "archive") / "talks"
    for folder in (folders[1], moved):
        own = made(folder).values
        assert datasets.store(parameters.placed(own)).data_root == folder
    assert made(moved).values["run"] == "expression"


OPENS = r"(runs\.start|begin_training)\("  # what writes into a run folder first


def test_every_notebook_asks_whose_run_it_is_before_it_writes_there():
    for name in NOTEBOOKS:
        cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4).cells
        cells = [cell.source for cell in cells if re.search(OPENS, cell.source)]
        assert len(cells) == 1, name
        assert cells[0].index("datasets.store(p)") < re.search(OPENS, cells[0]).start(), name


def test_another_recording_of_the_same_name_gets_a_folder_of_its_own(tmp_path):
    run, videos = runs.Run(tmp_path / "run"), []
    for day in ("day1", "day2", "day3/x", "day4/x"):
        videos.append(tmp_path / day / "interview.mp4")
        videos[-1].parent.mkdir(parents=True)
        videos[-1].write_text(day)
    names = [runs.folder_of_video(run, video).name for video in (*videos, *videos)]
    own = ["interview", "day2-interview", "x-interview", "x-interview-2"]
    assert names == [*own, *own]


def test_the_same_experiment_at_the_same_time_waits_and_says_for_whom(world):
    world.run("sample_tsav")
    with locks.locked(world.runs / "sample_tsav", 0):
        other = threading.Thread(target=world.run, args=["sample_tsav"])
        other.start()
        assert until(lambda: f"number {os.getpid()} on" in world.text)
        assert "sample_tsav: another process works on this run" in world.text
        assert "skipped" not in world.text
    other.join()
    assert "skipped, nothing changed" in world.text
    assert not list(world.runs.rglob(".lock"))


def test_two_runs_that_build_on_one_absent_run_make_it_once(world):
    """Both plan to make it; who comes second waits for the first, and then skips what is done."""
    world.file("other", "recipe: jca\nbackbone_run: sample_tsav\n")
    lines, works = {"sample_jca": [], "other": []}, world.work

    def slowly(*words):  # the first notebook ends when the other run has said that it waits
        works(*words)
        if len(world.executed) == 1:
            assert until(lambda: "another process works on this run" in str(lines))

    def run(name):
        files = [world.library / f"{name}.yaml"]
        places = (world.notebooks, world.library)
        statuses.append(pipeline.run(files, {}, "", "", lines[name].append, *places))

    statuses = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "execute", slowly)
        both = [threading.Thread(target=run, args=[name]) for name in lines]
        for each in both:
            each.start()
        for each in both:
            each.join()
    assert statuses == [0, 0]
    made = sorted(line for line in world.executed if line.startswith("sample_tsav"))
    assert made == ALL
    assert {"sample_jca 06", "other 06"} <= set(world.executed)
    assert not list(world.runs.rglob(".lock"))


def test_a_kind_of_input_error_is_told_as_one(tmp_path):
    damaged = store.DamagedError("it is damaged", where="a.npy", todo="remove it")
    told = types.SimpleNamespace(ename="DamagedError", evalue=str(damaged), exec_count=5)
    text = experiments_notebook._told(told, Path("05_train.ipynb"), tmp_path / "05_train.ipynb")
    assert text.splitlines()[1:4] == [
        "  it is damaged",
        "    where: a.npy",
        "    what to do: remove it",
    ]


# ---- killed: SIGKILL leaves no chance to clean up


class Killed(BaseException):
    """In the place of SIGKILL: nobody catches it."""


def test_a_notebook_killed_after_its_record_is_executed_again_and_not_taken_over(
    world, monkeypatch
):
    """Papermill writes the executed copy once more when the last cell, which records, has ended."""

    def killed(*words):
        world.work(*words)
        raise Killed

    monkeypatch.setattr(pipeline, "execute", killed)
    with pytest.raises(Killed):
        world.run("sample_tsav")
    monkeypatch.setattr(pipeline, "execute", world.work)
    world.run("sample_tsav", run="other", stop="01")
    assert world.executed == ["other 01"], "another run does not take over an unfinished one"
    mark = experiment.begun(runs.Run(world.runs / "sample_tsav"), NOTEBOOKS[0])
    assert mark.is_file()
    world.run("sample_tsav", stop="01")
    assert "taken over from other" in world.text
    assert not mark.exists()
    mark.touch()
    shutil.rmtree(world.runs / "other")
    world.run("sample_tsav", stop="01")
    assert world.executed == ["sample_tsav 01"]
    assert "goes on where it stopped" in world.text
    world.run("sample_tsav", stop="01")
    assert world.executed == []


def test_a_run_killed_before_its_report_writes_it_the_next_time(world, monkeypatch):
    def killed(run):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.report, "write", killed)
        with pytest.raises(Killed):
            world.run("sample_tsav")
    page = world.runs / "sample_tsav" / "report.html"
    assert not page.exists()
    world.run("sample_tsav")
    assert world.executed == []
    assert page.is_file()
    assert sorted(path.suffix for path in (page.parent / "steps").iterdir()) == [".json"] * 5
    page.unlink()
    world.run("sample_tsav")
    assert not page.exists(), "a report that a person removed is not made again"


def test_unfinished_files_of_a_killed_run_are_removed_by_the_next_one(world):
    world.run("sample_tsav")
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = world.runs / "sample_tsav" / "steps" / f".06.json.{ended.pid}-{MACHINE}01234567.part"
    left.write_text("{")
    world.run("sample_tsav")
    assert not left.exists()
