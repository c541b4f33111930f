"""The six notebooks: their form, one run of all of them from a sample set to scores, and papermill
by hand.
"""

import ast
import builtins
import contextlib
import csv
import io
import itertools
import json
import logging
import os
import re
import subprocess
import sys
import types
from functools import partial

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
from nbconvert import HTMLExporter

from lib import grammar, parameters, recipes, runs, trials
from lib.errors import InputError
from lib.evaluation import segments, submission
from lib.experiments import bookkeeping, experiment, pipeline
from lib.experiments.notebook import execute as execute_in_kernel
from lib.files import NOTEBOOKS, ROOT, YOUR_VIDEO
from lib.models import checkpoints
from lib.parallel import mapping
from tests import in_process, tiny_encoders
from tests.tiny_set import one_thread  # noqa: F401

FOLDER = ROOT / "notebooks"
LONGEST = 16  # lines of a cell, but for the parameters
every_notebook = pytest.mark.parametrize("name", NOTEBOOKS)


def notebook(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code(name):
    return [cell for cell in notebook(name).cells if cell.cell_type == "code"]


def tagged(name):
    return [cell for cell in code(name) if "parameters" in cell.metadata.get("tags", [])]


def parsed(cell):
    lines = [line for line in cell.source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    return ast.parse("\n".join(lines))


# ---- form


def test_there_are_six_notebooks_and_one_for_a_recording_of_ones_own():
    there = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    assert there == sorted([*NOTEBOOKS, YOUR_VIDEO])
    assert [name[:2] for name in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06"]


@every_notebook
def test_a_notebook_is_valid_and_stores_neither_outputs_nor_counts(name):
    found = notebook(name)
    nbformat.validate(found)
    for cell in code(name):
        assert cell.outputs == []
        assert cell.execution_count is None
    assert found.metadata.kernelspec.name == "python3"
    assert not set(found.metadata) - {"kernelspec", "language_info"}, (
        "nothing of the machine it was written on"
    )


@every_notebook
def test_a_notebook_begins_with_its_one_title_and_says_what_goes_in_and_comes_out(name):
    texts = [cell.source for cell in notebook(name).cells if cell.cell_type == "markdown"]
    titles = [line for text in texts for line in text.splitlines() if line.startswith("# ")]
    assert len(titles) == 1
    assert notebook(name).cells[0].source.startswith(titles[0])
    assert titles[0].startswith(f"# {int(name[:2])} ")
    for word in ("**In:**", "**Out:**", "**Time:**"):
        assert word in texts[0]
    neighbours = NOTEBOOKS[max(NOTEBOOKS.index(name) - 1, 0) : NOTEBOOKS.index(name) + 2]
    assert all(other in texts[0] for other in neighbours if other != name)


def test_the_cells_that_clone_and_set_up_are_the_same_in_all():
    first = {tuple(cell.source for cell in code(name)[:2]) for name in NOTEBOOKS}
    assert len(first) == 1
    clone, set_up = first.pop()
    assert "git" in clone
    assert "lib" in set_up


@every_notebook
def test_set_up_and_check_are_collapsed_and_their_output_is_not(name):
    """In JupyterLab, and in Colab under a title of one line; papermill keeps both."""
    clone, set_up, _, check = code(name)[:4]
    for cell in (clone, set_up, check):
        assert cell.metadata == {"jupyter": {"source_hidden": True}, "cellView": "form"}
        assert cell.source.startswith("# @title ")
    others = [cell for cell in code(name) if cell not in (clone, set_up, check)]
    assert not [cell for cell in others if "jupyter" in cell.metadata]


@every_notebook
def test_the_set_up_cell_finds_lib_where_nothing_is_installed(name, tmp_path):
    """JupyterLab starts a kernel in notebooks/; nothing but the checkout tells where lib is."""
    cells = "\n".join(cell.source for cell in code(name)[:2])
    script = cells + "\nfrom lib import files; print(files.ROOT)"
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    # -S: no site-packages, so also no `pip install -e .`
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], cwd=FOLDER, env=env, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(ROOT), done.stderr


@every_notebook
def test_exactly_one_cell_holds_the_parameters_and_nothing_but_declarations(name):
    cells = tagged(name)
    assert len(cells) == 1
    assert code(name).index(cells[0]) == 2, "after the set-up cell"
    assert all(isinstance(node, ast.AnnAssign) for node in parsed(cells[0]).body)
    found = grammar.parse(cells[0].source, name)
    assert all(declaration.help for declaration in found.values())


@every_notebook
def test_papermill_sees_the_parameters_that_lib_sees(name):
    logging.getLogger("papermill").setLevel(logging.ERROR)
    seen = papermill.inspect_notebook(str(FOLDER / f"{name}.ipynb"))
    found = grammar.declared(name)
    assert list(seen) == list(found)
    for parameter, facts in seen.items():
        assert ast.literal_eval(facts["default"]) == found[parameter].default
        assert facts["inferred_type_name"] == found[parameter].type
        assert facts["help"] == found[parameter].help


def test_a_parameter_that_two_notebooks_share_has_one_type_default_and_comment():
    found = {}
    for name in NOTEBOOKS:
        for parameter, declaration in grammar.declared(name).items():
            found.setdefault(parameter, {}).setdefault(str(declaration), []).append(name)
    assert {parameter: kinds for parameter, kinds in found.items() if len(kinds) > 1} == {}


def test_every_parameter_belongs_to_a_group_and_every_folder_and_file_to_the_places():
    names = grammar.all_declared()
    assert {
        name: each.group for name, each in names.items() if each.group not in grammar.GROUPS
    } == {}
    folders = {name for name in names if name.endswith(("_root", "_path"))}
    assert grammar.of_groups(names, ["place"]) == folders


def test_what_a_training_may_be_continued_with_is_the_same_for_runner_and_trainer(tmp_path):
    """Both follow from the groups: the clips' folder may move, a label delay may not change."""
    names = grammar.all_declared()
    values = {**grammar.defaults(names), "run": "one", "runs_root": str(tmp_path)}
    counted = experiment.training_parameters(experiment.Experiment((), values, FOLDER))
    free = grammar.of_groups(names, grammar.NOT_OF_A_TRAINING)
    assert not free & counted.keys()
    assert {"clips_root", "measure_seconds", "bootstrap"} <= free
    assert {"label_delay", "epochs", "recipe", "clip_length"} <= counted.keys()


def test_a_default_is_inside_its_own_range():
    """Or a person who writes the default's neighbour is refused: 0 is allowed, so is 1."""
    found = grammar.all_declared()
    outside = [
        name
        for name, one in found.items()
        if isinstance(one.default, int | float)
        and not isinstance(one.default, bool)
        and not one.low <= one.default <= one.high
    ]
    assert outside == []
    assert parameters.validate({"seed": 1, "sample_seed": 2}) == []


def test_all_parameters_stand_together_in_the_same_order():
    order = {}
    for name in NOTEBOOKS:
        places = {parameter: place for place, parameter in enumerate(grammar.declared(name))}
        assert list(places)[:2] == ["params_file", "run"]
        order[name] = places
    places_first = ["data_root", "processed_root", "runs_root"]
    for places in order.values():
        there = [place for place in places_first if place in places]
        assert sorted(there, key=places.get) == there


@pytest.mark.parametrize("name", [*NOTEBOOKS, YOUR_VIDEO])
def test_the_parameters_stand_in_three_blocks_under_their_heads(name):
    lines = tagged(name)[0].source.splitlines()
    assert [line for line in lines if line.startswith("# ----")] == [
        "# ---- what you set",
        "# ---- where things lie",
        "# ---- rarely",
    ]
    assert lines[0] == "# ---- what you set"
    where = lines[lines.index("# ---- where things lie") : lines.index("# ---- rarely")]
    roots = [line for line in lines if line.partition(":")[0].endswith("_root")]
    assert set(roots) <= set(where)


def test_a_name_stands_in_the_same_block_wherever_it_is_declared():
    blocks = {}
    for name in [*NOTEBOOKS, YOUR_VIDEO]:
        head = ""
        for line in tagged(name)[0].source.splitlines():
            head = line if line.startswith("# ----") else head
            if line and not line.startswith("#"):
                blocks.setdefault(line.partition(":")[0], set()).add(head)
    assert {name: heads for name, heads in blocks.items() if len(heads) > 1} == {}


def test_what_is_only_for_clips_stands_last_in_the_only_notebook_that_cuts_them():
    names = list(grammar.declared("04_preprocess_labels"))
    clips = {name for name in names if name.startswith("clip_")} | {"cut_clips", "audio_label"}
    assert set(names[-len(clips) :]) == clips
    others = [name for name in NOTEBOOKS if name != "04_preprocess_labels"]
    assert not [name for name in others if "clip_hop" in grammar.declared(name)]


def test_what_05_and_06_need_of_data_and_labels_is_recorded_by_earlier_notebooks():
    earlier = {}
    for name in NOTEBOOKS[:4]:
        earlier |= grammar.declared(name)
        assert grammar.recorded(name) == {}
    for name, most in (("05_train", 30), ("06_inference", 22)):
        own, left = grammar.declared(name), grammar.recorded(name)
        assert len(own) <= most
        assert not own.keys() & left.keys()
        assert {word: earlier[word] for word in left} == left
        assert {"dataset", "data_root", "label_delay", "sample_trials"} <= left.keys()


@every_notebook
def test_a_notebook_defines_no_functions_or_classes(name):
    for cell in code(name):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        assert not [node for node in ast.walk(parsed(cell)) if isinstance(node, kinds)]


@every_notebook
def test_every_name_of_a_notebook_is_imported_or_defined_in_it(name):
    """Also in cells that the sample experiments do not reach, such as the folds."""
    nodes = [node for cell in code(name) for node in ast.walk(parsed(cell))]
    known = {
        alias.asname or alias.name.split(".")[0]
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    known |= {
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    used = {
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    assert used - known - set(dir(builtins)) == set()


@every_notebook
def test_cells_are_short_and_lines_fit_the_page(name):
    for number, cell in enumerate(code(name)):
        lines = cell.source.splitlines()
        # Set-up, parameters and check come first, the same way in all six.
        assert len(lines) <= LONGEST or number < 4, cell.source
        assert max(map(len, lines)) <= 100
        assert lines[-1].strip()


@every_notebook
def test_no_cell_decides_by_the_name_of_a_method(name):
    methods = {*recipes.NAMES, "recipe", "model"}
    for cell in code(name):
        tests = [
            node.test
            for node in ast.walk(parsed(cell))
            if isinstance(node, ast.If | ast.IfExp | ast.While)
        ]
        tests += [
            node for node in ast.walk(parsed(cell)) if isinstance(node, ast.Compare | ast.Match)
        ]
        for test in tests:
            inside = list(ast.walk(test))
            words = {node.value for node in inside if isinstance(node, ast.Constant)}
            words |= {node.attr for node in inside if isinstance(node, ast.Attribute)}
            words |= {node.id for node in inside if isinstance(node, ast.Name)}
            assert not words & methods, ast.unparse(test)


@every_notebook
def test_the_parameters_are_checked_right_after_their_cell(name):
    cell = code(name)[3].source
    assert f'parameters.check("{name}", globals(), fetch=colab.fetch)' in cell


@every_notebook
def test_the_last_cell_says_what_comes_next(name):
    last = code(name)[-1].source
    assert ".record(" in last
    following = NOTEBOOKS[NOTEBOOKS.index(name) + 1 : NOTEBOOKS.index(name) + 2]
    assert "print(" in last
    assert all(next_one in last for next_one in following)


@every_notebook
def test_every_step_is_introduced_by_a_sentence(name):
    kinds = "".join(cell.cell_type[0] for cell in notebook(name).cells)
    assert kinds.startswith("mcccc"), "title, then clone, set-up, parameters, check"
    assert "ccc" not in kinds[5:], "no more than two cells of code without a word between them"
    assert kinds.count("m") >= 5


@pytest.mark.parametrize(
    "file",
    [
        file
        for folder in (".", "overlays")
        for file in sorted((ROOT / "params" / folder).glob("*.yaml"))
    ],
    ids=lambda path: path.stem,
)
def test_every_parameter_file_fits_the_notebooks(file):
    assert (
        parameters.validate(parameters.load([file]), partial=file.parent.name == "overlays") == []
    )


def test_the_runner_injects_complete_values_and_no_parameter_file(tmp_path):
    """Also from a run's own params.yaml, which names the file that it was made from."""
    file = tmp_path / "params.yaml"
    file.write_text("recipe: jca\nparams_file: params/sample_tsav.yaml\n")
    found = experiment.read([file], {}, FOLDER)
    for name in NOTEBOOKS:
        injected = found.read_by(name)
        assert injected["params_file"] == ""
        assert injected.keys() == grammar.read_by(name).keys()
    assert found.read_by("05_train")["lr"] == 1e-4
    assert found.read_by("05_train")["label_delay"] == 0.0


def executed(name, words, names):
    """Execute the cells of a notebook that hold one of `words`, with these names in their kernel;
    what they showed.
    """
    shown = []
    names = {**names, "display": lambda *things: shown.extend(map(str, things))}
    names["print"] = lambda *things: shown.append(" ".join(map(str, things)))
    for cell in code(name):
        if any(word in cell.source for word in words):
            exec(cell.source, names)
    return shown


@pytest.fixture
def drawing(tmp_path):
    """What the last cells of 06 need: two trials, of which one has no film to draw into."""

    def write_trial(trial, **_):
        if trial["trial"] == "lost":
            raise InputError("the video is damaged", where="lost.mp4", todo="copy it again")
        return tmp_path / "drawn.mp4"

    here = runs.Run(tmp_path / "run", "06_inference", parameters.complete({}))
    known = types.SimpleNamespace
    return here, {
        "p": known(overlays=2, workers=1, runs_root=tmp_path, segments_path=""),
        "table": pd.DataFrame({"trial": ["lost", "drawn"]}),
        "outcomes": [],
        "bookkeeping": bookkeeping,
        "unread": [],
        "segment_statistics": segments,
        "here": here,
        "checkpoint": tmp_path / "best.pt",
        "checkpoints": known(worth=str),
        "store": known(trials_path=tmp_path / "trials.parquet"),
        "overlay": known(write_trial=write_trial),
        "viewer": known(video=str),
        "trial_table": trials,
        "write_report": lambda run, predictions: run.path("report.html"),
        "predictions": tmp_path / "predictions",
        "colab": known(save=str),
        "partial": partial,
        "mapping": mapping,
        "Progress": lambda _: None,
    }


def test_a_video_that_could_not_be_drawn_is_recorded_as_lost(drawing, tmp_path):
    here, names = drawing
    shown = executed("06_inference", ["overlay.write_trial", "here.record("], names)
    assert str(tmp_path / "drawn.mp4") in shown
    assert f"1 videos -> {here.path('videos')}" in shown
    [row] = here.failures()
    assert (row["step"], row["item"]) == ("06_inference", "video of lost")
    assert (row["what"], row["todo"]) == ("the video is damaged", "copy it again")
    assert pipeline._lost(here, str) == pipeline.EXIT_LOST == 3


def test_the_section_of_videos_says_what_to_set_where_none_are_wanted(drawing):
    _, names = drawing
    names["p"].overlays = 0
    [line] = executed("06_inference", ["overlay.write_trial"], names)
    assert "overlays = 3" in line


# ---- one run of everything

SMOKE = ROOT / "params" / "overlays" / "smoke.yaml"
BOTH = ("sample_tsav", "sample_rjca")  # emotions; the second builds on the first
FILES = {name: [ROOT / "params" / f"{name}.yaml", SMOKE] for name in (*BOTH, "sample_lfan")}


class World:
    """A root for data, arrays and runs; every call of the runner keeps its status and what it
    said.
    """

    def __init__(self, place):
        self.place = place
        self.places = {f"{name}_root": str(place / name) for name in ("data", "processed", "runs")}

    def run(self, name, **overrides):
        said = []
        status = pipeline.run(
            FILES[name], {**self.places, "workers": "1", **overrides}, say=said.append
        )
        return status, "\n".join(said)

    def folder(self, name):
        return self.place / "runs" / name

    def metrics(self, name):
        return json.loads((self.folder(name) / "metrics.json").read_text())


def first_in_kernels(notebook, target, values, say):
    """Those of the first run have a kernel each, those of the run that builds on it need none."""
    execute = execute_in_kernel if target.parent.name == BOTH[0] else in_process.execute
    execute(notebook, target, values, say)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    one = World(
        tmp_path_factory.mktemp("a world ü")
    )  # paths with blanks and letters that are not ASCII
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # networks this small only wait for a second thread
        patch.setattr(pipeline, "execute", first_in_kernels)
        one.first = one.run("sample_rjca")
        yield one


def test_one_command_in_an_empty_folder_makes_the_run_it_builds_on_and_then_itself(world):
    status, said = world.first
    assert status == 0, said
    assert "sample_tsav is not there yet and is made first: sample_rjca builds on it" in said
    for name in NOTEBOOKS:
        assert re.search(rf"{name}: done in", said)
        assert all((world.folder(run) / f"{name}.ipynb").is_file() for run in BOTH)


def test_a_second_method_takes_over_the_notebook_that_would_be_equal(world):
    """The data set is the same: it is not looked through again for another recipe."""
    assert "01_download_check: taken over from sample_tsav" in world.first[1]


def test_a_second_method_uses_the_arrays_of_the_first(world):
    assert world.first[1].count("05_train: done in") == 2
    # Faces are made once: notebook 02 of the second run finds them there.
    shapes = [
        json.loads(path.read_text()) for path in (world.place / "processed").rglob("face-*.json")
    ]
    names = [path.parent.name for path in (world.place / "processed").rglob("face-*.json")]
    assert len(names) == len(set(names)) == 6
    assert {tuple(one["shape"][1:]) for one in shapes} == {(32, 32, 3)}


@pytest.mark.parametrize("name", BOTH)
def test_a_run_folder_holds_what_is_needed_to_repeat_and_to_judge_it(world, name):
    folder = world.folder(name)
    for part in (
        "params.yaml",
        "environment.json",
        "history.csv",
        "metrics.json",
        "checkpoints/best.pt",
        "checkpoints/last.pt",
        "figures/training_curves.png",
        "figures/ccc.png",
        "figures/error_by_trial.png",
        "figures/circumplex.png",
        "submission/predictions.csv",
    ):
        assert (folder / part).is_file(), part
    assert list(folder.glob("figures/traces_*.png"))
    assert not (folder / "failures.csv").is_file()
    page = (folder / "report.html").read_text()
    assert trials.SYNTHETIC_NOTE in page
    assert page.count("data:image/png;base64,") >= 12, (
        "figures of the run, and those of the six notebooks"
    )
    assert not re.search(r"""src=(?!["']?data:)|href=["']?[a-z]+:""", page), "nothing is fetched"
    assert len(page) < 2e6
    complete = parameters.load([folder / "params.yaml"])
    assert parameters.validate(complete) == []
    assert complete["epochs"] == 2
    assert len(pd.read_csv(folder / "history.csv")) == 2
    assert json.loads((folder / "environment.json").read_text())["versions"]["torch"]


@pytest.mark.parametrize("name", BOTH)
def test_scores_stand_raw_and_smoothed_beside_the_trivial_predictors(world, name):
    found = world.metrics(name)
    assert {
        "val",
        "val_smoothed",
        "baselines",
        "smoothing",
        "epoch",
        "rules",
        "synthetic",
    } <= found.keys()
    assert found["synthetic"] is True
    for emotion in ("valence", "arousal"):
        assert -1 <= found["val"][emotion]["ccc"] <= 1
        assert found["val"][emotion]["ci95"] is None
        assert "trials" in found["val"][emotion]["why"]
        assert found["val"][emotion]["n_frames"] > 0
    assert len(found["baselines"]) == 5
    assert "test" not in found, "hidden labels are not read unless they are named"


def trials_of(world):
    return trials.read(next((world.place / "processed").glob("sample-*/trials.parquet")))


def frames_of(world, *splits):
    """Trial -> frames, of some splits."""
    table = trials_of(world)
    return table[table["split"].isin(splits)].set_index("trial")["n_frames"].to_dict()


def predicted(world, folder):
    """Trial -> rows of its prediction file; all frames of val and test are there."""
    rows = {path.stem: pd.read_csv(path) for path in (folder / "predictions").glob("*.csv")}
    frames = {trial: len(each) for trial, each in rows.items()}
    assert frames == frames_of(world, "val", "test")
    return rows


@pytest.mark.parametrize("name", BOTH)
def test_every_frame_of_val_and_test_is_predicted_and_ready_to_be_sent(world, name):
    splits = trials_of(world).set_index("trial")["split"]
    folder = world.folder(name)
    for trial, rows in predicted(world, folder).items():
        assert rows[["valence", "arousal"]].abs().to_numpy().max() <= 1
        assert rows[["valence_raw", "arousal_raw"]].notna().to_numpy().all()
        known = rows[["label_valence", "label_arousal"]].notna().to_numpy().any()
        assert known == (splits[trial] == "val")
    assert frames_of(world, "test")
    assert submission.validate(folder / "submission", frames_of(world, "test")) == []


def test_executed_notebooks_carry_the_sentence_about_sample_networks(world):
    """In the printed text; pictures have it drawn in, which other tests look at."""
    for name in BOTH:
        executed = (world.folder(name) / "06_inference.ipynb").read_text()
        assert trials.SYNTHETIC_NOTE in executed


def test_a_network_of_the_sample_set_shows_words_before_each_score_and_no_score_beside_its_name(
    world,
):
    """On the page that nbconvert makes of 06: CCC and F1 only in grey tables below the words."""
    book = nbformat.read(world.folder("sample_tsav") / "06_inference.ipynb", as_version=4)
    book.cells = [cell for cell in book.cells if cell.cell_type == "code"]
    page, _ = HTMLExporter(exclude_input=True, template_name="basic").from_notebook_node(book)
    note = trials.SYNTHETIC_NOTE
    tables = re.findall(r"(.{0,300})(<table.*?</table>)", page, re.DOTALL)
    scored = [(before, table) for before, table in tables if re.search(r"\d\.\d", table)]
    assert scored
    for before, table in scored:
        assert note in before
        assert re.match("<table[^>]*color:#8a8a8a", table)
    told = re.sub(r"<[^>]*>", " ", re.sub(r"<table.*?</table>", "", page, flags=re.DOTALL))
    assert f"{note}\nrun sample_tsav, trained on sample" in told
    assert not re.search(r"(CCC|F1|AP)\W+(valence|arousal|expression)?\W*[-−]?\d\.\d", told)


@pytest.mark.slow  # twelve kernels, a face network and a fusion network
def test_a_run_that_learns_one_emotion_says_so_and_leaves_the_other_out(world):
    status, said = world.run("sample_lfan", emotion="valence")
    assert status == 0, said
    found = world.metrics("sample_lfan")["val"]
    assert found["valence"]["n_frames"] > 0
    assert found["arousal"]["ccc"] is None
    assert "no submission: arousal was not learnt" in said
    page = (world.folder("sample_lfan") / "06_inference.ipynb").read_text()
    assert "no frame has both emotions" in page
    assert len(list((world.folder("sample_lfan") / "errors").glob("*.html"))) > 1
    worst = (world.folder("sample_lfan") / "errors" / "index.html").read_text()
    assert "<td>valence</td>" in worst
    assert "<td>arousal</td>" not in worst


def test_that_no_clips_are_cut_stands_once_and_no_step_is_silent(world):
    for name in NOTEBOOKS:
        cells = nbformat.read(world.folder("sample_tsav") / f"{name}.ipynb", as_version=4).cells
        shown = [str(cell.outputs) for cell in cells if cell.cell_type == "code"]
        assert sum("no clips are cut" in text for text in shown) == (name[:2] == "04")
    first = nbformat.read(world.folder("sample_tsav") / f"{NOTEBOOKS[0]}.ipynb", as_version=4)
    table = next(cell for cell in first.cells if cell.get("id") == "01-21")
    assert "absent" not in str(table.outputs)


def test_the_last_notebook_shows_the_other_runs_beside_this_one(world):
    cells = nbformat.read(world.folder("sample_rjca") / "06_inference.ipynb", as_version=4).cells
    cell = next(cell for cell in cells if cell.get("id") == "06-compare")
    shown = "".join(str(output) for output in cell.outputs)
    for part in ("sample_tsav", "sample_rjca", "ridge 8×8", "parameters", "s/epoch", "CCC on val"):
        assert part in shown


def test_executed_notebooks_show_tables_and_pictures_and_no_warning(world):
    for name in NOTEBOOKS:
        cells = nbformat.read(world.folder("sample_tsav") / f"{name}.ipynb", as_version=4).cells
        outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
        assert any("image/png" in output.get("data", {}) for output in outputs), (
            f"a picture in {name}"
        )
        errors = [output.text for output in outputs if output.get("name") == "stderr"]
        assert errors == [], f"{name} writes to stderr"


# ---- two pretrained encoders, with what the world has already


def walked(name, values):
    """All cells of a notebook in this process, with these values set below the parameters cell; a
    kernel of its own would cost more than the work. Returns what it printed and showed.
    """
    names, shown = {"__name__": "__main__", "In": [""]}, io.StringIO()
    with contextlib.redirect_stdout(shown):
        for cell in code(name):
            sources = [cell.source]
            if "parameters" in cell.metadata.get("tags", []):
                sources.append("\n".join(f"{key} = {value!r}" for key, value in values.items()))
            for source in sources:
                names["In"].append(source)
                exec(compile(source, name, "exec"), names)
    return shown.getvalue()


@pytest.fixture(scope="module")
def encoded(world, tmp_path_factory):
    """What the notebooks showed of an experiment with two tiny random encoders, by name."""
    models = tiny_encoders.make(tmp_path_factory.mktemp("encoders"))
    encoders = {
        "wavlm": {"model": str(models / "wavlm"), "rate": 8.0},
        "dino": {"model": str(models / "dino")},
    }
    options = {"features": ["wavlm", "dino"], "encoders": encoders, "network": "jca", "layers": 1}
    values = {"recipe": "features", "dataset": "sample", "steps": 8, "step_hop": 2}
    file = models / "two_encoders.yaml"
    file.write_text(json.dumps({**values, "options": options}))
    given = {**world.places, "workers": "1", "measure_seconds": "0"}
    found = experiment.read([file, SMOKE], given, FOLDER)
    return {name: walked(name, found.read_by(name)) for name in NOTEBOOKS}


def test_two_encoders_go_through_the_six_notebooks(world, encoded):
    for name, following in itertools.pairwise(NOTEBOOKS):
        assert f"next: {following}" in encoded[name]
    processed = world.place / "processed"
    # Two of the six trials are people in one video, whose sound is read once.
    made = {"videos/*/encoder_sound": (8.0, 5), "trials/*/encoder_faces": (0.0, 6)}
    for place, (rate, count) in made.items():
        found = list(processed.glob(f"*/{place}-*.json"))
        told = [json.loads(path.read_text()) for path in found]
        assert len(told) == count
        assert {each["made_from"]["parameters"].get("rate", 0.0) for each in told} == {rate}
        assert {each["shape"][1] for each in told} == {16}
    assert not (world.folder("two_encoders") / "failures.csv").is_file()


def test_the_run_of_two_encoders_has_scores_and_every_frame(world, encoded):
    folder = world.folder("two_encoders")
    saved = checkpoints.load(folder / "checkpoints" / "best.pt")["statistics"]
    assert set(saved) == {
        "encoder_sound(model=wavlm, rate=8.0, seconds=20.0)",
        "encoder_faces(model=dino, size=32)",
    }
    for name, rows in predicted(world, folder).items():
        assert np.isfinite(rows[["valence_raw", "arousal_raw"]].to_numpy()).all(), name
    found = json.loads((folder / "metrics.json").read_text())
    assert found["synthetic"] is True
    assert {"val", "baselines", "smoothing"} <= found.keys()
    assert submission.validate(folder / "submission", frames_of(world, "test")) == []


@pytest.fixture(scope="module")
def of_recordings(world, tmp_path_factory):
    """What the notebooks showed of one valence and arousal per recording, from voice and face."""
    options = {"task": "va", "features": ["voice", "pixels"], "speeds": [1.0], "keep": "best"}
    values = {"recipe": "utterance", "dataset": "sample", "width": 0.25, "va_loss": "mse"}
    file = tmp_path_factory.mktemp("utterances") / "voice_and_face.yaml"
    file.write_text(json.dumps({**values, "options": options}))
    given = {**world.places, "workers": "1", "measure_seconds": "0", "epochs": "2"}
    found = experiment.read([file, SMOKE], given, FOLDER)
    return {name: walked(name, found.read_by(name)) for name in NOTEBOOKS}


def test_voice_and_face_of_a_whole_recording_go_through_the_six_notebooks(world, of_recordings):
    for name, following in itertools.pairwise(NOTEBOOKS):
        assert f"next: {following}" in of_recordings[name]
    folder = world.folder("voice_and_face")
    assert not (folder / "failures.csv").is_file()
    saved = checkpoints.load(folder / "checkpoints" / "best.pt")["statistics"]
    assert len(saved) == 2, "voice and pixels, each with its mean and spread"
    found = json.loads((folder / "metrics.json").read_text())
    assert found["val"]["valence"]["n_frames"] == found["val"]["valence"]["n_trials"] == 2
    for name, rows in predicted(world, folder).items():
        assert rows[["valence_raw", "arousal_raw"]].nunique().max() == 1, name


def test_the_same_command_again_does_nothing(world):
    status, said = world.run("sample_rjca", workers="2")
    assert status == 0
    assert said.count("skipped, nothing changed") == 6
    assert "done in" not in said


# ---- papermill by hand


def by_hand(world, where, name, *more):
    """papermill as a person types it, in another folder; lib is installed there or found by
    PYTHONPATH.
    """
    places = [word for place, path in world.places.items() for word in ("-p", place, path)]
    files = [word for file in FILES["sample_tsav"] for word in ("-f", str(file))]
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
    }
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(FOLDER / f"{name}.ipynb"),
        "out.ipynb",
        *files,
        *places,
        *more,
    ]
    return subprocess.run(command, cwd=where, env=env, capture_output=True, text=True, timeout=300)


def test_papermill_by_hand_works_from_any_folder(world, tmp_path):
    done = by_hand(world, tmp_path, "05_train", "-p", "run", "by_hand", "-p", "epochs", "1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path.name for path in tmp_path.iterdir()] == ["out.ipynb"], (
        "nothing is written where one stands"
    )
    assert (world.folder("by_hand") / "checkpoints" / "best.pt").is_file()
    rows = list(csv.DictReader((world.folder("by_hand") / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["1"]


def test_a_typo_and_a_wrong_type_are_refused_by_the_check_cell_with_what_was_meant(world, tmp_path):
    wrong = ("-p", "clip_hopp", "1", "-r", "label_rate", "1e-4")
    done = by_hand(world, tmp_path, "04_preprocess_labels", *wrong)
    assert done.returncode != 0
    told = done.stderr + done.stdout
    assert "clip_hopp: no such parameter; did you mean clip_hop?" in told
    assert 'label_rate: "1e-4" is text where a number belongs: write 1.0e-4' in told
    executed = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    counts = [cell.execution_count for cell in executed.cells if cell.cell_type == "code"]
    assert sum(count is not None for count in counts) <= 5, (
        "clone, set-up, parameters, injected, check; nothing after it"
    )
