"""Parameters: the grammar of the notebooks' cells, YAML files, and a message for each mistake
people make.
"""

import json
import pickle
from pathlib import Path

import nbformat
import papermill
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from lib import files, grammar, parameters
from lib.errors import InputError

CELL = """run: str = ""                # machine: run folder; empty for the parameter file's stem
dataset: str = "sample"      # data: data set
recipe: str = "toy"          # model: method
modality: str = "audiovisual"  # model: streams; one of audiovisual, audio, video
lr: float = 1.0e-4           # training: learning rate; from 1.0e-7 to 1.0
epochs: int = 3              # training: passes over the data; from 1 to 1000
fold: int = 0                # data: fold, 0 for the official split; from 1 to 6
trials: list[str] = []       # data: names of trials, empty for all
widths: list[int] = [1, 5]   # report: smoothing; from 1 to 99
stream_loss: bool = False    # training: auxiliary loss
runs_root: str = "runs"      # place: where run folders are
video_path: str = ""         # place: a video to predict, empty for none
options: dict = {}           # model: what only one recipe has
"""
RECIPE = '''
import not_installed

class Recipe(not_installed.Recipe):
    class Options:
        """What only this method has."""
        channels: int = 3    # colour channels; one of 3, 4
        dropout: float = 0.5  # part of the features set to zero; from 0.0 to 0.9
'''


@pytest.fixture
def folder(tmp_path):
    """Two notebooks: 05 declares CELL, 04 the data set and `label_delay`."""
    write_notebook(tmp_path / "05_train.ipynb", CELL)
    write_notebook(
        tmp_path / "04_preprocess_labels.ipynb",
        'dataset: str = "sample"  # data: name of the data set\n'
        "label_delay: int = 0  # data: frames; from 0 to 50\n",
    )
    return tmp_path


def write_notebook(path, source, *more):
    cells = [nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})]
    notebook = nbformat.v4.new_notebook(
        cells=cells + [nbformat.v4.new_code_cell(text) for text in more]
    )
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "language": "python",
        "display_name": "Python 3",
    }
    nbformat.write(notebook, path)


@pytest.fixture
def names(folder):
    return grammar.all_declared(folder)


@pytest.fixture(autouse=True)
def recipes(tmp_path, monkeypatch):
    """A repository with one recipe, `toy`."""
    there = tmp_path / "recipes"
    there.mkdir()
    (there / "toy.py").write_text(RECIPE)
    (there / "base.py").write_text("class Recipe:\n    class Options:\n        pass\n")
    known = grammar.recipes(there)
    monkeypatch.setattr(parameters, "recipes", lambda folder=None: known)


def problem(names, **values):
    problems = parameters.validate(values, names)
    assert len(problems) == 1, problems
    return problems[0]


def file(tmp_path, text, name="a.yaml"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


# ---- grammar


def test_a_declaration_has_type_default_help_and_range(names):
    lr = names["lr"]
    assert (lr.name, lr.type, lr.default, lr.low, lr.high) == ("lr", "float", 1e-4, 1e-7, 1.0)
    assert lr.help.startswith("training: learning rate")
    assert lr.group == "training"
    assert names["modality"].choices == ("audiovisual", "audio", "video")


def test_all_notebooks_together_declare_each_parameter_once(names, folder):
    both = {
        **grammar.declared("04_preprocess_labels", folder),
        **grammar.declared("05_train", folder),
    }
    assert set(names) == set(both)
    assert "label_delay" in names


def test_papermill_sees_the_same_names(folder):
    seen = papermill.inspect_notebook(str(folder / "05_train.ipynb"))
    assert list(seen) == list(grammar.declared("05_train", folder))


GROUPS = """
class Recipe(base.Recipe):
    class Options:
        class Encoder:
            \"\"\"Settings of one.\"\"\"

            model: str = ""  # its name
            layers: list[int] = []  # which; from 0 to 48

        encoders: dict[str, Encoder] = {}  # settings by name
"""


def test_groups_of_settings_are_declared_inside_the_options_and_get_their_defaults(tmp_path):
    path = tmp_path / "grouped.py"
    path.write_text(GROUPS)
    encoders = grammar.options(path)["encoders"]
    assert encoders.read({}) == {}
    assert encoders.read({"a": {"model": "b"}}) == {"a": {"model": "b", "layers": []}}
    path.write_text(GROUPS.replace("class Encoder", "class Other"))
    with pytest.raises(InputError, match="a group that is declared nowhere"):
        grammar.options(path)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": {"modle": "b"}}, r"a: modle is no setting \(did you mean model\?\)"),
        ({"a": "b"}, "a: .* is text where a mapping belongs: write a: {model: …}"),
        ({"a": {"layers": [49]}}, "a, layers: 49 is out of range: from 0 to 48"),
        ({"a": {"layers": 9}}, r"a, layers: .* write \[9\]"),
    ],
)
def test_a_wrong_setting_of_a_group_is_told_with_the_groups_name(tmp_path, value, words):
    path = tmp_path / "grouped.py"
    path.write_text(GROUPS)
    with pytest.raises(InputError, match=words):
        grammar.options(path)["encoders"].read(value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("lr = 1.0", "declares no parameter"),
        ("print(1)", "declares no parameter"),
        ("lr: float", "declares no parameter"),
        ("lr: float = 1 / 2", "no constant"),
        ("lr: float | None = None", "type float | None"),
        ("lr: float = '1'", "default of lr"),
        ("lr: float = 1.0  # rate = speed", "equals sign"),
        ("lr: float = 1.0\nlr: float = 2.0", "twice"),
        ("lr: float = ", "cannot read"),
        ("lr: float = 1.0  # rate; from a to b", "range without numbers"),
    ],
)
def test_a_line_out_of_the_grammar_is_refused_with_its_place(line, words):
    with pytest.raises(InputError) as caught:
        grammar.parse(line, "cell")
    assert words in caught.value.what
    assert "cell, line" in caught.value.where


def test_a_notebook_without_a_tagged_cell_is_refused(tmp_path):
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x: int = 1")]),
        tmp_path / "05_train.ipynb",
    )
    with pytest.raises(InputError, match="tagged"):
        grammar.declared("05_train", tmp_path)
    with pytest.raises(InputError, match="not there"):
        grammar.declared("06_inference", tmp_path)


def test_a_parameter_of_a_notebook_without_a_group_is_refused_with_the_groups(tmp_path):
    write_notebook(tmp_path / "05_train.ipynb", "lr: float = 0.1  # learning rate")
    with pytest.raises(InputError, match="lr names no group") as caught:
        grammar.declared("05_train", tmp_path)
    assert caught.value.expected == "place, machine, data, model, training, report"


def test_options_of_a_recipe_are_read_without_importing_it(tmp_path):
    found = grammar.recipes(tmp_path / "recipes")
    assert list(found) == ["toy"]
    assert list(found["toy"]) == ["channels", "dropout"]


BROKEN = """
rates: list[
    float
    # rows per second of each file; from 0.0 to 10.0
] = []
missing: str = (
    "refuse"  # of rows with NaN; one of refuse, neighbours
)
layers: int = 2  # of the network; from 1 to 12
"""


def test_a_comment_that_a_formatter_put_inside_a_declaration_counts():
    rates, missing, layers = grammar.parse(BROKEN, "options").values()
    assert (rates.help[:15], rates.high) == ("rows per second", 10.0)
    assert missing.choices == ("refuse", "neighbours")
    assert (layers.low, layers.high) == (1, 12)


def test_every_option_of_every_recipe_says_what_it_is():
    silent = []
    for recipe, options in grammar.recipes().items():
        inside = [each for option in options.values() for each in (option.inside or {}).values()]
        every = [*options.values(), *inside]
        silent += [f"{recipe}: {option.name}" for option in every if not option.help]
    assert silent == []


def test_a_recipe_that_inherits_from_another_has_its_options_too(tmp_path):
    there = tmp_path / "recipes"
    (there / "small.py").write_text(
        "from x import toy\nclass Recipe(toy.Recipe):\n    network = 'small'\n"
    )
    (there / "more.py").write_text(
        "class Recipe(toy.Recipe):\n    class Options:\n        layers: int = 2  # blocks\n"
    )
    found = grammar.recipes(there)
    assert list(found["small"]) == ["channels", "dropout"]
    assert list(found["more"]) == ["channels", "dropout", "layers"]


def test_what_all_recipes_have_stands_in_their_base_and_a_recipe_may_say_it_otherwise(tmp_path):
    there = tmp_path / "recipes"
    (there / "base.py").write_text(
        "class Recipe:\n    class Options:\n"
        "        ema: float = 0.0  # average\n        warmup: float = 0.0  # epochs\n"
    )
    (there / "own.py").write_text(
        "class Recipe(base.Recipe):\n    class Options:\n        warmup: int = 3  # epochs\n"
    )
    (there / "child.py").write_text("class Recipe(own.Recipe):\n    pass\n")
    found = grammar.recipes(there)
    assert sorted(found) == ["child", "own", "toy"], "the base is no recipe"
    assert [(name, each.default) for name, each in found["child"].items()] == [
        ("ema", 0.0),
        ("warmup", 3),
    ]


def test_an_earlier_training_had_the_defaults_of_options_that_came_later(monkeypatch):
    known = {"toy": {"ema": grammar.Declaration("ema", "float", 0.0)}}
    monkeypatch.setattr(grammar, "recipes", lambda: known)
    before = {"recipe": "toy", "options": {"channels": 4}, "lr": 0.1}
    assert grammar.with_options(before) == {**before, "options": {"ema": 0.0, "channels": 4}}
    assert grammar.with_options({"lr": 0.1}) == {"lr": 0.1}


# ---- mistakes in values


def test_a_typo_is_answered_with_the_nearest_name(names):
    assert problem(names, epoch=3) == "epoch: no such parameter; did you mean epochs?"
    assert problem(names, LR=0.1) == "LR: no such parameter; did you mean lr?"


def test_a_fold_that_the_same_experiment_does_not_make_is_told():
    folds = {"fold": 5, "n_folds": 5}
    (told,) = parameters.validate(folds)
    assert told.startswith("fold: 5 with n_folds: 5, which makes the folds 0 to 4")
    assert parameters.validate({**folds, "fold": 4}) == []
    assert parameters.validate({**folds, "fold_rule": "published"}) == []
    assert parameters.validate({"fold": 5}) == []  # of a file that an earlier run made


@pytest.mark.parametrize(
    ("text", "right"),
    [("1e-4", "1.0e-4"), ("1e4", "1.0e+4"), ("1.0e4", "1.0e+4"), ("3,5", "3.5"), ("0.1", "0.1")],
)
def test_a_number_that_yaml_reads_as_text_is_answered_with_its_right_form(names, text, right):
    assert f"write {right}" in problem(names, lr=text)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("lr", [1.0], "a list where a number belongs: write 1.0"),
        ("lr", True, "a truth value where a number belongs"),
        ("lr", 2, "out of range: from 1e-07 to 1"),
        ("lr", float("nan"), "where a number belongs"),
        ("lr", None, "leave the line out"),
        ("epochs", True, "a truth value where a whole number belongs"),
        ("epochs", 3.0, "write 3"),
        ("epochs", "1e3", "write 1000"),
        ("epochs", 0, "out of range"),
        ("stream_loss", 1, "where true or false belongs"),
        ("stream_loss", "true", "where true or false belongs: write true, without quotes"),
        ("stream_loss", "Off", "write false, without quotes"),
        ("modality", "vidio", "did you mean video?"),
        ("modality", "AUDIO", "did you mean audio?"),
        ("modality", False, "put it in quotes"),
        ("trials", 171, "write [171]"),
        ("trials", [1.5], "put it in quotes"),
        ("widths", [1, 100], "out of range"),
        ("options", [1], "a list where a mapping belongs"),
        ("video_path", "no/such.mp4", "no such file"),
        ("recipe", "toi", "did you mean toy?"),
        ("runs_root", "a\0b", "control character"),
        ("runs_root", "/data/" + "x" * 300, "300 bytes, at most 255"),
        ("video_path", "x" * 9000, "9000 bytes, at most 255"),
        ("runs_root", "\ud800", "a character that is none"),
        ("run", "a\nb", "control character"),
        ("run", "  ", "a blank at an end"),
        ("run", "x" * 200, "200 bytes, at most 180"),
    ],
)
def test_each_wrong_value_gets_one_sentence(names, name, value, words):
    assert words in problem(names, **{name: value})


def test_options_are_checked_against_the_recipe(names):
    assert "did you mean channels?" in problem(names, recipe="toy", options={"chanels": 3})
    assert "none of 3, 4" in problem(names, recipe="toy", options={"channels": 5})
    assert parameters.validate({"recipe": "toy", "options": {"channels": 4}}, names) == []
    assert parameters.validate({"options": {"dropout": 0.1}}, names, partial=True) == []
    for name in ("channels", "options.channels"):  # beside `options`, where it has no effect
        assert "write options: {channels: …}" in problem(names, recipe="toy", **{name: 3})


def test_a_whole_number_is_a_float_and_a_trial_may_be_a_number(names):
    full = parameters.complete({"lr": 1, "trials": [171, "1-30-1280x720"], "fold": 2}, names)
    assert full["lr"] == 1.0
    assert isinstance(full["lr"], float)
    assert full["trials"] == ["171", "1-30-1280x720"]
    assert full["fold"] == 2


def test_the_default_fits_even_outside_its_range(names):
    assert parameters.validate({"fold": 0}, names) == []


def test_all_problems_are_listed_at_once(names):
    with pytest.raises(InputError) as caught:
        parameters.complete({"lr": "1e-4", "epoch": 1, "stream_loss": 3}, names)
    assert all(
        word in str(caught.value) for word in ("3 parameters", "lr:", "epoch:", "stream_loss:")
    )


def test_complete_fills_in_defaults_and_options(names):
    full = parameters.complete({"options": {"channels": 4}}, names)
    assert full["epochs"] == 3
    assert full["options"] == {"channels": 4, "dropout": 0.5}
    full["trials"].append("x")
    assert parameters.complete({}, names)["trials"] == []


# ---- files


def test_later_files_and_overrides_win(tmp_path):
    one = file(tmp_path, "lr: 0.1\nepochs: 5\noptions: {channels: 3, dropout: 0.1}\n")
    two = file(tmp_path, "epochs: 6\noptions: {dropout: 0.2}\n", "b.yaml")
    merged = parameters.load([one, two], {"lr": "0.5", "trials": "[1, b]", "run": ""})
    assert merged == {
        "lr": 0.5,
        "epochs": 6,
        "options": {"channels": 3, "dropout": 0.2},
        "trials": [1, "b"],
        "run": "",
    }


def test_an_empty_file_sets_nothing(tmp_path):
    assert parameters.load([file(tmp_path, "# nothing yet\n")]) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lr: 1\nlr: 2\n", "lr is set twice"),
        ("- lr\n", "no `name: value` lines"),
        ("lr: [1\n", "YAML"),
        ("trials: [010]\n", 'write "010"'),
        ("trials: [1:30]\n", 'write "1:30"'),
        ("lr: !!python/object:os.system x\n", "YAML"),
    ],
)
def test_a_file_that_would_be_misread_is_refused_with_its_name(tmp_path, text, words):
    with pytest.raises(InputError) as caught:
        parameters.load([file(tmp_path, text)])
    assert words in caught.value.what
    assert "a.yaml" in caught.value.where


def test_a_missing_file_is_answered_with_the_nearest_one(tmp_path):
    file(tmp_path, "", "sample_tsav.yaml")
    with pytest.raises(InputError, match=r"did you mean sample_tsav\.yaml"):
        parameters.load([tmp_path / "sample_tsaw.yaml"])
    with pytest.raises(InputError, match="this is a folder"):
        parameters.load([tmp_path])


# ---- the check cell


def namespace(*cells):
    """What globals() holds in a notebook after these cells."""
    space = {}
    for cell in cells:
        exec(cell, space)
    return {**space, "In": ["", "import numpy as np", *cells]}


def test_check_returns_typed_values_and_absolute_paths(folder):
    p = parameters.check("05_train", namespace(CELL), folder)
    assert p.epochs == 3
    assert p["lr"] == 1e-4
    assert p.runs_root == files.ROOT / "runs"
    assert p.video_path == ""
    assert p.options == {"channels": 3, "dropout": 0.5}
    assert "epochs" in repr(p)
    assert dict(pickle.loads(pickle.dumps(p))) == dict(p)


def test_checked_parameters_are_shown_as_a_person_would_write_them():
    shown = repr(parameters.Params({"data_root": Path("/data/set"), "lr": 0.1, "run": ""}))
    assert shown.splitlines() == ["data_root  '/data/set'", "lr         0.1", "run        ''"]


def test_check_works_without_ipython(folder):
    space = namespace(CELL)
    del space["In"]
    assert parameters.check("05_train", space, folder).epochs == 3


def test_check_accepts_what_a_merged_file_injects_for_other_notebooks(folder):
    p = parameters.check(
        "05_train", namespace(CELL, "# Parameters\nlr = 0.1\nlabel_delay = 7\n"), folder
    )
    assert p.lr == 0.1
    assert "label_delay" not in p


def test_check_refuses_an_unknown_injected_name_and_a_wrong_value_of_another_notebook(folder):
    with pytest.raises(InputError) as caught:
        parameters.check(
            "05_train", namespace(CELL, "# Parameters\nepoch = 1\nlabel_delay = 70\n"), folder
        )
    assert "did you mean epochs?" in str(caught.value)
    assert "label_delay: 70 is out of range" in str(caught.value)


def test_check_refuses_a_mistyped_line_of_the_parameters_cell_and_names_the_one_that_is_missing(
    folder,
):
    with pytest.raises(InputError) as caught:
        parameters.check("05_train", namespace(CELL.replace("epochs:", "eopchs:")), folder)
    assert "eopchs: no such parameter; did you mean epochs?" in str(caught.value)
    assert "epochs: not set" in str(caught.value)


def test_a_cell_that_was_mended_and_run_again_is_right(folder):
    wrong = CELL + "eopchs: int = 5\n"
    assert parameters.check("05_train", namespace(wrong, CELL), folder).epochs == 3
    assert parameters.check("05_train", namespace(CELL, CELL), folder).epochs == 3


def test_other_globals_and_cells_do_not_matter(folder):
    cells = (CELL, "epochz = 5", "total = 0\nfor k in range(3):\n    total += k", "x: int = 3")
    space = namespace(*cells)
    space["In"].append("%matplotlib inline")
    assert parameters.check("05_train", space, folder).epochs == 3


def test_a_value_set_in_a_later_cell_counts(folder):
    assert parameters.check("05_train", namespace(CELL, "epochs = 9"), folder).epochs == 9


def test_parameters_are_read_only_and_know_their_nearest_name(folder):
    p = parameters.check("05_train", namespace(CELL), folder)
    with pytest.raises(AttributeError, match="read-only"):
        p.epochs = 5
    with pytest.raises(AttributeError, match="did you mean epochs"):
        _ = p.epoch


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"run": "mine", "dataset": "sample", "recipe": "jca"}, "mine"),
        ({"dataset": "sample", "recipe": "jca", "modality": "audiovisual"}, "sample_jca"),
        ({"dataset": "sample", "recipe": "jca", "modality": "audio"}, "sample_jca_audio"),
    ],
)
def test_a_run_without_a_name_is_called_after_its_contents(values, name):
    assert parameters.run_name(values) == name


# ---- a parameter file in JupyterLab: later wins

WITH_FILE = """params_file: str = "FILE"  # machine: parameter file
run: str = ""  # machine: run folder
dataset: str = "sample"  # data: data set
recipe: str = "toy"  # model: method
lr: float = 1.0e-4  # training: learning rate; from 1.0e-7 to 1.0
epochs: int = 3  # training: passes; from 1 to 1000
fold: int = -1  # data: fold; from -1 to 6
runs_root: str = "ROOT"  # place: run folders
options: dict = {}  # model: what only one recipe has
"""
NONE = "# Parameters\nlr = 0.5\n"  # injected by papermill, without a parameter file


@pytest.fixture
def filed(tmp_path, monkeypatch):
    """A folder with 05 and 06, whose cells name a parameter file; gives the cell's text, too."""
    monkeypatch.setattr(
        parameters, "recipes", lambda *_: {"toy": grammar.parse("a: int = 1\nb: int = 2", "toy")}
    )
    own = tmp_path / "mine.yaml"
    own.write_text("recipe: toy\nlr: 0.003\nlabel_delay: 4\noptions: {a: 5}\n")
    cell = WITH_FILE.replace("FILE", str(own)).replace("ROOT", str(tmp_path / "runs"))
    write_notebook(tmp_path / "05_train.ipynb", cell)
    write_notebook(tmp_path / "06_inference.ipynb", cell)
    write_notebook(
        tmp_path / "04_preprocess_labels.ipynb", "label_delay: int = 0  # data: s; from 0 to 9\n"
    )
    return tmp_path, cell


def checked(filed, *cells, step="05_train"):
    """Parameters after these cells, in the place of the cell where it is None."""
    folder, cell = filed
    return parameters.check(step, namespace(*(each or cell for each in cells)), folder)


def test_the_file_wins_over_the_shipped_default_and_is_told(filed, capsys):
    p = checked(filed, None)
    assert (p.lr, p.epochs, p.run) == (0.003, 3, "mine")
    assert p.options == {"a": 5, "b": 2}
    assert p.elsewhere["label_delay"] == 4
    told = capsys.readouterr().out
    assert told.startswith(
        f"from {filed[0] / 'mine.yaml'}, other than the cell shows:\n    run mine"
    )
    assert "lr 0.003 (cell 0.0001)" in told
    assert "options {a: 5} (cell {})" in told


def test_what_is_told_of_many_parameters_is_broken_between_them_only(capsys):
    rows = [f"name_{number} {number / 7:.4f} (cell 0.0)" for number in range(9)]
    parameters._write_rows("from a.yaml, other than the cell shows", rows)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == "from a.yaml, other than the cell shows:"
    assert ", ".join(line.strip().rstrip(",") for line in lines) == ", ".join(rows)
    assert max(map(len, lines)) <= parameters.LINE_WIDTH
    parameters._write_rows("head", rows[:1])
    assert capsys.readouterr().out == f"head: {rows[0]}\n"


@pytest.mark.parametrize(
    ("line", "lr"),
    [
        ("lr: float = 0.01", 0.01),  # another value than the shipped one
        ("lr: float = 0.0001", 0.003),  # the shipped one: nobody set it
        ("lr = 1.0e-4", 0.0001),  # without its type it is kept
    ],
)
def test_a_line_counts_by_its_value_or_without_its_type_always(filed, line, lr, capsys):
    edited = filed[1].replace("lr: float = 1.0e-4", line)
    assert checked(filed, edited).lr == lr
    assert checked(filed, None, line).lr == lr  # in a cell of its own
    assert ("set here: lr" in capsys.readouterr().out) == (lr != 0.003)


def test_a_saved_cell_does_not_change_the_default_of_a_notebook(filed, monkeypatch):
    """JupyterLab saves what a person edited; the lines as shipped are kept beside lib."""
    folder, cell = filed
    kept = grammar.declare(folder, folder / "declared.json")
    monkeypatch.setattr(grammar, "DECLARED_FILE", kept)
    monkeypatch.setattr(grammar, "SHIPPED", folder)
    grammar._kept.cache_clear()
    edited = cell.replace("epochs: int = 3", "epochs: int = 30")
    write_notebook(folder / "05_train.ipynb", edited)
    assert grammar.declared("05_train", folder)["epochs"].default == 3
    assert checked(filed, edited).epochs == 30
    grammar._kept.cache_clear()


def test_only_cells_since_the_parameters_cell_ran_last_count(filed):
    assert checked(filed, None, "lr = 0.2").lr == 0.2
    assert checked(filed, None, "lr = 0.2", None).lr == 0.003
    assert checked(filed, None, NONE, None).lr == 0.003


def test_what_papermill_injected_wins_and_reads_a_file_only_if_it_names_one(filed):
    assert checked(filed, None, NONE).lr == 0.5
    assert checked(filed, None, NONE).run == "sample_toy"
    named = f"# Parameters\nparams_file = {str(filed[0] / 'mine.yaml')!r}\nepochs = 9\n"
    assert (checked(filed, None, named).lr, checked(filed, None, named).epochs) == (0.003, 9)
    assert checked(filed, None, named, "epochs = 7").epochs == 9


@pytest.mark.parametrize(
    ("cell", "lr"),
    [
        ("# Parameters of mine\nlr = 0.2", (0.2, "mine")),
        ("# Parameters: mine\nlr = 10**-2", (0.01, "mine")),
        ("# Parameters\nlr = 10**-2", (0.01, "sample_toy")),  # taken for papermill's
    ],
)
def test_a_remark_of_ones_own_is_no_injected_cell_and_an_expression_is_no_error(filed, cell, lr):
    p = checked(filed, None, cell)
    assert (p.lr, p.run) == lr


@pytest.mark.parametrize("value", ["None", "['a.yaml']", "Path('a.yaml')"])
def test_a_parameter_file_that_is_no_text_is_refused_as_such(filed, value):
    with pytest.raises(InputError, match=r"params_file: .* where text belongs"):
        checked(filed, None, f"from pathlib import Path\nparams_file = {value}")


@pytest.mark.parametrize("name", ["a/b", "..", ".", "c:\\\\x", "a\\x00b"])
def test_a_run_is_the_name_of_one_folder_in_notebooks_too(filed, name):
    with pytest.raises(InputError, match="cannot be the name of a folder"):
        checked(filed, None, f'run = "{name}"')


def test_a_mistyped_name_in_a_cell_of_ones_own_is_told_with_the_nearest(filed, capsys):
    checked(filed, None, "epoch = 5\ntotal = 3\nlr = 0.2", "option = dict(a=1)")
    told = capsys.readouterr().out
    assert "option is" not in told, "what a notebook computes is nobody's setting"
    assert "not used: epoch is no parameter; did you mean epochs?\n" in told
    assert "total" not in told


def test_options_are_merged_key_by_key(filed):
    assert checked(filed, None, 'options = {"b": 7}').options == {"a": 5, "b": 7}


def test_another_recipe_or_data_set_than_the_files_is_refused_with_a_file_that_fits(filed):
    with pytest.raises(InputError, match="recipe: jca is set here") as caught:
        checked(filed, None, 'recipe = "jca"')
    assert caught.value.todo.startswith('params_file = "params/sample_jca.yaml"')


def test_the_run_is_called_after_the_file_and_its_fold(filed):
    (filed[0] / "mine.yaml").write_text("fold: 2\n")
    assert checked(filed, None).run == "mine_fold2"
    assert checked(filed, None, 'run = "other"').run == "other"


def test_no_file_is_read_where_the_cell_names_none(filed):
    assert checked(filed, None, 'params_file = ""').lr == 1e-4
    assert checked(filed, None, 'params_file = ""').run == "sample_toy"


def test_make_lab_names_a_file_for_all_notebooks(filed, monkeypatch):
    other = file(filed[0], "lr: 0.7\n", "other.yaml")
    monkeypatch.setenv(parameters.PARAMS_FILE, str(other))
    assert checked(filed, None).lr == 0.7
    assert checked(filed, None, f"params_file = {str(filed[0] / 'mine.yaml')!r}").lr == 0.003


def test_what_training_decided_comes_from_the_run(filed, capsys):
    run = filed[0] / "runs" / "mine"
    (run / "checkpoints").mkdir(parents=True)
    (run / "params.yaml").write_text("recipe: toy\ndataset: sample\nlr: 0.02\nfold: -1\n")
    assert checked(filed, None, step="06_inference").lr == 0.003
    (run / "checkpoints" / "best.pt").touch()
    capsys.readouterr()
    assert checked(filed, None, step="06_inference").lr == 0.02
    assert "from the training of mine, other than the cell shows: lr 0.02" in (
        capsys.readouterr().out
    )
    assert checked(filed, None, "lr = 0.4", step="06_inference").lr == 0.4
    assert checked(filed, None).lr == 0.003


# ---- what notebooks 01 to 04 recorded


@pytest.fixture
def after_04(filed):
    """05 and 06 read `label_delay` and `data_root` that 04 declares; the run folder of `filed`."""
    folder, cell = filed
    own = folder / "mine.yaml"
    own.write_text(f"recipe: toy\nlabel_delay: 4\ndata_root: {folder}\n")
    for step in ("05_train", "06_inference"):
        write_notebook(folder / f"{step}.ipynb", cell + "# recorded: label_delay, data_root\n")
    write_notebook(
        folder / "04_preprocess_labels.ipynb",
        "label_delay: int = 0  # data: s; from 0 to 9\n"
        'data_root: str = "data"  # place: the data\n',
    )
    return folder / "runs" / "mine"


def record(run, step, finished, root, **values):
    (run / "steps").mkdir(parents=True, exist_ok=True)
    text = json.dumps({"finished": finished, "parameters": values})
    (run / "steps" / f"{step}.json").write_text(text)
    (run / "params.yaml").write_text(f"recipe: toy\ndataset: sample\ndata_root: {root}\n")


@pytest.mark.parametrize("step", ["05_train", "06_inference"])
def test_what_earlier_notebooks_recorded_wins_over_the_file_and_is_told(
    filed, after_04, step, capsys
):
    data = after_04.parent
    record(after_04, "04_preprocess_labels", "2026-02-01T00:00:00", data, label_delay=2)
    record(after_04, "02_preprocess_visual", "2026-01-01T00:00:00", data, label_delay=9)
    p = checked(filed, None, step=step)
    assert (p.label_delay, p.data_root) == (2, data)
    told = capsys.readouterr().out
    assert f"as notebooks 01 to 04 recorded it, other than {filed[0] / 'mine.yaml'}:" in told
    assert "label_delay 2 (4 there)" in told
    assert checked(filed, None, "label_delay = 3", step=step).label_delay == 3
    assert "set here: label_delay 3" in capsys.readouterr().out
    assert checked(filed, None, "# Parameters\nlabel_delay = 7\n", step=step).label_delay == 7


def test_what_a_person_keeps_elsewhere_is_fetched_before_what_was_recorded_is_read(filed, after_04):
    """On Colab a machine is empty: the run folder of 01 to 04 comes from Google Drive."""

    def fetch(lies):
        assert (lies["run"], lies["runs_root"]) == ("mine", after_04.parent)
        record(
            after_04,
            "04_preprocess_labels",
            "2026-02-01T00:00:00",
            lies["data_root"],
            label_delay=2,
        )

    folder, cell = filed
    p = parameters.check("05_train", namespace(cell), folder, fetch)
    assert p.label_delay == 2


def test_a_place_that_is_no_text_is_refused_and_nothing_is_fetched_for_it(filed, after_04):
    folder, cell = filed
    with pytest.raises(InputError, match="runs_root"):
        parameters.check("05_train", namespace(cell, "runs_root = [3]"), folder, pytest.fail)


@pytest.mark.parametrize("options", ["[1]", "{'start_from': 3}"])
def test_options_that_are_none_are_refused_before_anything_is_fetched(filed, after_04, options):
    folder, cell = filed
    with pytest.raises(InputError, match=r"options|start_from"):
        parameters.check("05_train", namespace(cell, f"options = {options}"), folder, pytest.fail)


def test_where_nothing_is_recorded_the_file_counts_and_the_first_notebook_is_named(
    filed, after_04, capsys
):
    p = checked(filed, None)
    assert (p.label_delay, p.data_root) == (4, filed[0])
    told = capsys.readouterr().out
    assert "notebooks 01 to 04 have recorded nothing yet" in told
    assert f"until then {filed[0] / 'mine.yaml'} says" in told
    [notebook] = [word for word in told.split() if word.endswith(".ipynb")]
    assert (files.ROOT / notebook).is_file()


def test_a_recorded_folder_that_is_gone_gives_way_to_the_files(filed, after_04):
    """A run folder that was copied from another machine."""
    record(after_04, "04_preprocess_labels", "2026", "/gone/data", label_delay=2)
    p = checked(filed, None)
    assert (p.label_delay, p.data_root) == (2, filed[0])


def test_the_record_of_another_experiment_does_not_count(filed, after_04):
    record(after_04, "04_preprocess_labels", "2026", filed[0], label_delay=2)
    (after_04 / "params.yaml").write_text("recipe: other\ndataset: sample\n")
    assert checked(filed, None).label_delay == 4


@pytest.mark.parametrize("delay", [4, 5])  # as the file says, and another one
def test_what_a_training_decided_wins_over_what_was_recorded(filed, after_04, delay):
    record(after_04, "04_preprocess_labels", "2026", filed[0], label_delay=2)
    (after_04 / "checkpoints").mkdir()
    (after_04 / "checkpoints" / "best.pt").touch()
    with (after_04 / "params.yaml").open("a") as stream:
        stream.write(f"label_delay: {delay}\n")
    assert checked(filed, None, step="06_inference").label_delay == delay
    assert checked(filed, None).label_delay == 2


@pytest.mark.parametrize("text", ["{", '{"finished": "2026"}'])
def test_a_damaged_record_is_named(filed, after_04, text):
    record(after_04, "04_preprocess_labels", "2026", filed[0], label_delay=2)
    (after_04 / "steps" / "04_preprocess_labels.json").write_text(text)
    with pytest.raises(InputError, match=r"04_preprocess_labels\.json"):
        checked(filed, None)


def test_a_recorded_name_that_nobody_declares_is_refused_with_the_nearest(filed, after_04):
    folder, cell = filed
    write_notebook(folder / "05_train.ipynb", cell + "# recorded: label_dely\n")
    with pytest.raises(InputError, match="did you mean label_delay"):
        checked(filed, None)


@pytest.mark.parametrize("injected", [{}, {"lr": 0.5}, {"params_file": "FILE", "epochs": 8}])
def test_a_kernel_and_papermill_read_the_same_rule(filed, injected, tmp_path):
    """The cells as a kernel runs them: `In` holds them, the injected one comes with papermill."""
    folder, cell = filed
    check = f"""from pathlib import Path
from lib import grammar, parameters
parameters.recipes = lambda *_: {{"toy": grammar.parse("a: int = 1\\nb: int = 2", "toy")}}
p = parameters.check("05_train", globals(), Path({str(folder)!r}))
print((p.lr, p.epochs, p.run))"""
    write_notebook(tmp_path / "book.ipynb", cell, check)
    values = {
        name: value if value != "FILE" else str(folder / "mine.yaml")
        for name, value in injected.items()
    }
    done = papermill.execute_notebook(
        tmp_path / "book.ipynb", None, values, cwd=files.ROOT, progress_bar=False
    )
    text = "".join(output.get("text", "") for output in done.cells[-1].outputs)
    last = {0: "(0.003, 3, 'mine')", 1: "(0.5, 3, 'sample_toy')", 2: "(0.003, 8, 'mine')"}
    assert last[len(injected)] in text


def test_cells_that_a_person_runs_in_ipython_are_read_in_their_order(filed):
    """The shell of JupyterLab's kernel, without a kernel: cells are edited and run again."""
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config)
    folder, cell = filed
    edited = cell.replace("epochs: int = 3", "epochs: int = 30")
    for source, values in (
        (cell, (0.003, 3)),
        ("import os\nlr = 1.0e-4", (0.0001, 3)),
        ("%pwd", (0.0001, 3)),
        (edited, (0.003, 30)),
        ("epochs += 1", (0.003, 31)),
    ):
        assert shell.run_cell(source, store_history=True).success
        p = parameters.check("05_train", shell.user_ns, folder)
        assert (p.lr, p.epochs) == values


def test_the_declared_lines_are_those_of_the_committed_cells(tmp_path):
    """After a change of a parameters cell: ``python -m lib declare``."""
    written = grammar.declare(target=tmp_path / "declared.json")
    assert written.read_text() == grammar.DECLARED_FILE.read_text()


# ---- this repository's own

NOTEBOOKS = [n for n in files.NOTEBOOKS if (files.ROOT / "notebooks" / f"{n}.ipynb").is_file()]


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_papermill_sees_every_parameter_of(notebook):
    path = files.ROOT / "notebooks" / f"{notebook}.ipynb"
    assert list(papermill.inspect_notebook(str(path))) == list(grammar.declared(notebook))


def test_a_name_that_notebooks_share_is_declared_alike():
    known = {}
    for notebook in NOTEBOOKS:
        for name, declaration in grammar.declared(notebook).items():
            assert known.setdefault(name, declaration) == declaration, f"{name} in {notebook}"


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_no_cell_gives_a_parameter_another_value_in(notebook):
    import ast

    cells = json.loads((files.ROOT / "notebooks" / f"{notebook}.ipynb").read_text())["cells"]
    names = set(grammar.read_by(notebook))
    for cell in cells:
        if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", []):
            stored = {
                node.id
                for node in ast.walk(ast.parse("".join(cell["source"])))
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
            assert not stored & names


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"])
def test_a_file_written_on_windows_is_read(tmp_path, before):
    """Line ends of two characters, and Notepad's mark at the beginning."""
    path = tmp_path / "windows.yaml"
    path.write_bytes(
        before
        + "# Prüfung\r\nrecipe: tsav\r\nlr: 1.0e-3\r\noptions:\r\n  frame_step: 4\r\n".encode()
    )
    assert parameters.load([path]) == {"recipe": "tsav", "lr": 1e-3, "options": {"frame_step": 4}}


def test_a_file_that_is_no_utf_8_is_named(tmp_path):
    path = tmp_path / "other.yaml"
    path.write_bytes("recipe: tsav".encode("utf-16"))
    with pytest.raises(InputError, match=r"(?s)other.yaml.*UTF-8"):
        parameters.load([path])


# ---- many runs at once


def test_while_files_are_unchanged_each_is_looked_at_once(monkeypatch):
    looked, version = [], grammar.version
    monkeypatch.setattr(grammar, "version", lambda path: looked.append(path) or version(path))
    with grammar.unchanged():
        first = grammar.all_declared()
        first["made up"] = None
        count = len(looked)
        again = grammar.all_declared()
    assert count > 0
    assert len(looked) == count
    assert "made up" not in again
    assert grammar.all_declared() == again
    assert len(looked) > count, "afterwards a changed file is seen again"


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        ("1 9", "write [1.0, 9.0]"),
        ("(1, 9)", "write [1.0, 9.0]"),
        ("−1;1", "write [-1.0, 1.0]"),
        ("1-9", "write [first, second]"),
        ({"1": None}, "write [first, second]"),
    ],
)
def test_how_a_list_is_written_is_said_as_it_would_be_read(text, way_out):
    (problem,) = parameters.validate({"label_range": text})
    assert problem.endswith(way_out)


def test_a_number_that_is_not_finite_and_one_in_wide_digits_are_told_as_such():
    assert "is not finite where a number" in parameters.validate({"lr": float("nan")})[0]
    assert "write 9, without quotes" in parameters.validate({"epochs": "９"})[0]


def test_a_question_for_all_parameters_looks_for_added_files_once(monkeypatch):
    """A runner asks at each step; it looked once per notebook."""
    looked, look = [], grammar._data_sets
    monkeypatch.setattr(grammar, "_data_sets", lambda folder: looked.append(1) or look(folder))
    assert "recipe" in grammar.all_declared()
    assert len(looked) == 1
    grammar.read_by("06_inference")
    assert len(looked) == 2, "a file may have been added since"


@pytest.mark.parametrize("folder", ["datasets", "recipes"])
def test_a_file_of_the_library_that_is_no_python_is_named_with_its_line(tmp_path, folder):
    (tmp_path / "mine.py").write_text("x = 1\nrows = [\n")
    look = {"datasets": grammar._data_sets, "recipes": grammar.recipes}[folder]
    with pytest.raises(InputError, match="Python cannot read: '\\[' was never closed") as caught:
        look(tmp_path)
    assert caught.value.where == f"{tmp_path / 'mine.py'}:2"


@pytest.mark.parametrize(
    ("name", "folder", "needed"),
    [
        ("dataset", "datasets", "function find(root, dataset, progress)"),
        ("recipe", "recipes", "class Recipe"),
    ],
)
def test_an_added_file_that_lacks_what_it_needs_is_not_told_as_absent(
    tmp_path, monkeypatch, name, folder, needed
):
    (tmp_path / "lib" / folder).mkdir(parents=True)
    (tmp_path / "lib" / folder / "mine.py").write_text("def look(): ...\n")
    monkeypatch.setattr(parameters, "PACKAGE", tmp_path / "lib")
    problems = "\n".join(parameters.validate({name: "mine"}))
    assert f"{folder}/mine.py is there, but has no {needed}" in problems
    assert "no file lib/recipes/mine.py" not in problems
