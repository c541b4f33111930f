"""Run folders: records, failures, parameters, refusal of another experiment; the code a notebook
uses.
"""

import csv
import errno
import json
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml

from lib import code_digest, files, models, parallel, parameters, recipes, runs, store
from lib.datasets.report import Report
from lib.errors import InputError
from tests.in_workers import read_badly
from tests.leftovers import left_beside

STEP = "05_train"
CELL = """run: str = ""  # machine: name
dataset: str = "sample"  # data: its name
recipe: str = "toy"  # model: method
lr: float = 0.1  # training: learning rate
runs_root: str = "runs"  # place: folder of the run folders
"""


@pytest.fixture
def notebooks(tmp_path):
    """A notebook 05 that imports lib.errors."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    cells = [
        nbformat.v4.new_code_cell(CELL, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(
            "%matplotlib inline\nfrom lib.store import fingerprint  # a comment"
        ),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{STEP}.ipynb")
    return folder


@pytest.fixture
def p(tmp_path):
    return {
        "run": "one",
        "dataset": "sample",
        "recipe": "toy",
        "lr": 0.1,
        "runs_root": tmp_path / "runs",
    }


@pytest.fixture
def run(p, notebooks):
    return runs.start(STEP, p, notebooks)


@pytest.fixture(autouse=True)
def nothing_used_yet(monkeypatch):
    """What earlier tests of this process found by name is no code of these runs."""
    monkeypatch.setattr(code_digest, "_used", {})


@dataclass
class Lost:
    item: str
    error: Exception


def test_starting_writes_parameters_and_environment_of_a_run_done_by_hand(run):
    written = yaml.safe_load((run.folder / "params.yaml").read_text())
    assert (written["recipe"], written["lr"]) == ("toy", 0.1)
    environment = run.read_json("environment.json")
    assert environment["versions"]["papermill"]
    assert environment["dataset"] == "sample"
    assert set(environment["git"]) == {"commit", "changed"}
    assert "one" in repr(run)


def test_a_second_notebook_adds_its_parameters(run, p, notebooks):
    runs.start(STEP, {**p, "extra": 3}, notebooks)
    assert runs.parameters(run.folder)["extra"] == 3
    assert runs.parameters(run.folder)["lr"] == 0.1


@pytest.mark.parametrize("name", ["dataset", "recipe"])
def test_the_folder_of_another_experiment_is_refused(run, p, notebooks, name):
    with pytest.raises(InputError) as caught:
        runs.start(STEP, {**p, name: "other"}, notebooks)
    assert p[name] in caught.value.what
    assert "other" in caught.value.what
    assert caught.value.todo


def test_a_record_says_what_a_step_was_made_from_and_what_it_made(run, tmp_path):
    source, made = tmp_path / "in.txt", run.write_text("figures/a.txt", "a")
    source.write_text("in")
    run.record([source], [made])
    record = run.read_json(f"steps/{STEP}.json")
    assert record["parameters"] == {"dataset": "sample", "recipe": "toy", "lr": 0.1}
    assert record["inputs"] == {str(source): store.fingerprint(source)}
    assert record["outputs"] == ["<run>/figures/a.txt"]
    assert record["lost"] == 0
    assert run.found("<run>/figures/a.txt") == made
    assert set(record["code"]) == {
        f"{STEP}.ipynb",
        "lib/__init__.py",
        "lib/files.py",
        "lib/store.py",
        "lib/errors.py",
    }
    assert not (run.folder / "failures.csv").exists()


def test_an_array_counts_by_the_json_beside_it(tmp_path):
    path = store.Shelf(tmp_path).write(
        {"name": "face", "parameters": {}, "version": 1}, np.zeros(3)
    )
    assert runs.fingerprint(path) == store.sidecar_fingerprint(path)
    assert runs.fingerprint(tmp_path / "gone") == {"missing": True}


def test_failures_are_listed_by_step_and_replaced_when_the_step_runs_again(run, p, notebooks):
    other = runs.Run(run.folder, "02_preprocess_visual")
    other._replace_failures(
        [dict.fromkeys(runs.FAILURE_COLUMNS, "") | {"step": other.step, "item": "t0"}]
    )
    run.record(
        lost=[
            Lost("t1", InputError("unreadable, at all", where="t1.mp4", todo="remove it")),
            ("t2", KeyError("x")),
        ]
    )
    rows = list(csv.DictReader((run.folder / "failures.csv").open()))
    assert [(row["step"], row["item"]) for row in rows] == [
        (other.step, "t0"),
        (STEP, "t1"),
        (STEP, "t2"),
    ]
    assert rows[1]["what"] == "unreadable, at all"
    assert rows[1]["traceback"] == "", "it was never raised"
    assert run.read_json(f"steps/{STEP}.json")["lost"] == 2
    runs.start(STEP, p, notebooks).record()
    assert [row["item"] for row in run.failures()] == ["t0"]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_traceback_of_a_lost_trial_stands_in_failures_csv(run, workers):
    run.record(lost=parallel.map(read_badly, ["t1", "t2"], workers))
    rows = run.failures()
    assert [row["item"] for row in rows] == ["t1", "t2"]
    for row in rows:
        assert row["traceback"].startswith("Traceback (most recent call last)")
        assert "in read_badly" in row["traceback"]
        assert "unreadable" in row["traceback"]


def test_the_traceback_of_a_file_that_the_data_check_left_out_stands_there_too(run):
    report = Report()
    try:
        read_badly("t3")
    except InputError as error:
        report.fault("t3", error, "left out")
    report.error("t4", "two of them", "first one used")
    run.record(lost=report.failures())
    assert ["in read_badly" in row["traceback"] for row in run.failures()] == [True, False]
    assert "traceback" not in report.problem_table()


def test_json_holds_plain_numbers_and_null_for_nan(run):
    run.write_json(
        "a.json",
        {
            "x": np.float32(0.5),
            "y": [float("nan"), np.int64(3)],
            "z": np.array([1.0, np.inf]),
            "path": Path("a/b"),
        },
    )
    found = json.loads((run.folder / "a.json").read_text())
    assert found == {"x": 0.5, "y": [None, 3], "z": [1.0, None], "path": "a/b"}
    assert run.read_json("none.json", {}) == {}


def test_a_failed_write_leaves_the_old_file_and_no_rest(run, monkeypatch):
    run.write_text("a.txt", "old")

    def full(self, *_args, **_more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="no space left"):
        run.write_text("a.txt", "new")
    assert (run.folder / "a.txt").read_text() == "old"
    assert not list(run.folder.glob(".*.part"))


def test_a_checkpoint_is_found_by_the_name_of_its_run_or_of_its_file(run, tmp_path):
    best = run.path("checkpoints", "best.pt")
    with pytest.raises(InputError, match="neither a trained run nor a weights file called one"):
        files.checkpoint("one", tmp_path / "runs")
    best.write_bytes(b"")
    assert files.checkpoint("one", tmp_path / "runs") == best
    assert files.checkpoint(str(best), tmp_path / "elsewhere") == best


def test_paths_inside_the_repository_are_kept_relative_to_it(run):
    inside = files.ROOT / "lib" / "errors.py"
    assert run.place(inside) == "lib/errors.py"
    assert run.found("lib/errors.py") == inside
    assert runs.as_text(inside) == "lib/errors.py"


def test_versions_are_read_once_and_anew_after_a_package_was_installed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    before = runs.environment()["versions"]
    with monkeypatch.context() as patch:
        patch.delattr(runs.metadata, "version")
        assert runs.environment()["versions"] == before
    folder = tmp_path / "av-999.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: av\nVersion: 999\n")
    assert runs.environment()["versions"] == {**before, "av": "999"}


# ---- code that a notebook uses


def test_code_of_a_notebook_ignores_comments_docstrings_and_the_parameters_cell(notebooks):
    before = code_digest.digests(STEP, folder=notebooks)
    path = notebooks / f"{STEP}.ipynb"
    text = path.read_text()
    path.write_text(text.replace("a comment", "another").replace("0.1", "0.2"))
    assert code_digest.digests(STEP, folder=notebooks) == before
    path.write_text(text.replace("import fingerprint", "import digest"))
    after = code_digest.digests(STEP, folder=notebooks)
    assert [name for name in after if after[name] != before[name]] == [path.name]


@pytest.mark.parametrize(
    ("line", "reached"),
    [
        ("from lib import errors", {"lib.errors"}),
        ("import lib.store as s, numpy", {"lib.store"}),
        ("from lib.store import fingerprint", {"lib.store.fingerprint"}),
        ("def f():\n    from lib import errors", {"lib.errors"}),
        ("from .mel import segment", {"lib.features.mel.segment"}),
        ("from ..store import read", {"lib.store.read"}),
        ("from . import mel", {"lib.features.mel"}),
        ("import library", set()),
    ],
)
def test_imports_are_found_anywhere_in_a_source(line, reached):
    assert code_digest._imports(line, "lib.features") == reached


def test_reachable_modules_include_packages_and_what_they_import():
    names = {path.name for path in code_digest.reachable({"lib.store.fingerprint"})}
    assert names == {"__init__.py", "store.py", "errors.py", "files.py"}


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the library: tests that edit it read only what they edit anew."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(files.ROOT / "lib", root / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.fixture
def edited(copied, monkeypatch):
    """Edit a file of the copy for this test: ``edited(file, old, new)``; digests are taken of the
    copy.
    """
    monkeypatch.setattr(code_digest, "ROOT", copied)
    monkeypatch.setattr(code_digest, "_used", {})
    originals = {}

    def edit(file: str, before: str, after: str) -> None:
        path = copied / file
        text = originals.setdefault(path, path.read_text())
        assert before in text
        path.write_text(text.replace(before, after))

    yield edit
    for path, text in originals.items():
        path.write_text(text)


@pytest.fixture
def kept(edited, monkeypatch):
    """The folder in which the digests of the copy are kept for the next process."""
    folder = code_digest.ROOT / "lib" / "__pycache__"
    folder.mkdir()
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    code_digest._sources.cache_clear()  # as a process that has just begun
    yield folder
    shutil.rmtree(folder)
    code_digest._sources.cache_clear()


def changed(step: str, modules: list[str], edit) -> set[str]:
    """Files whose digests an edit changes, of a real notebook that found these modules by name."""
    folder = files.ROOT / "notebooks"
    before = code_digest.digests(step, modules, folder)
    edit()
    after = code_digest.digests(step, modules, folder)
    return {file for file in {*before, *after} if before.get(file) != after.get(file)}


def test_the_next_process_reads_no_source_that_was_not_changed(edited, kept, monkeypatch):
    before = code_digest.digests("05_train", ["lib.recipes.jca"])
    read, tree = [], code_digest._tree
    monkeypatch.setattr(code_digest, "_tree", lambda text: read.append(text) or tree(text))
    code_digest._sources.cache_clear()  # as a process that has just begun
    assert code_digest.digests("05_train", ["lib.recipes.jca"]) == before
    cells = len(read)
    edited(
        "lib/metrics.py",
        "from __future__ import annotations",
        "from __future__ import annotations\nX = 1",
    )
    code_digest._sources.cache_clear()
    after = code_digest.digests("05_train", ["lib.recipes.jca"])
    assert {file for file in after if after[file] != before[file]} == {"lib/metrics.py"}
    assert len(read) == 2 * cells + 1  # the cells of the notebook, and one file of lib


def test_digests_that_other_rules_made_are_made_anew(kept, notebooks, monkeypatch):
    left = left_beside(kept / code_digest.CACHE_FILE)
    before = code_digest.digests(STEP, folder=notebooks)["lib/errors.py"]
    assert not left.exists(), "what a killed process left"
    monkeypatch.setattr(code_digest, "_normal", lambda tree: "by another rule")
    monkeypatch.setattr(code_digest, "RULES_VERSION", [0, 0, 0])  # an edited code_digest.py
    code_digest._sources.cache_clear()
    assert code_digest.digests(STEP, folder=notebooks)["lib/errors.py"] != before


@pytest.mark.parametrize(
    "content", ["", "[1]", '{"lib/errors.py": 3}', '{"rules": 1}', "{\x00", "[" * 3000]
)
def test_digests_that_were_kept_and_are_damaged_are_made_anew(kept, notebooks, content):
    right = code_digest.digests(STEP, folder=notebooks)
    (kept / code_digest.CACHE_FILE).write_text(content)
    code_digest._sources.cache_clear()
    assert code_digest.digests(STEP, folder=notebooks) == right


def test_an_edited_network_changes_the_digests_of_the_notebook_that_used_it(edited):
    edit = partial(edited, "lib/models/affect/jca.py", "self.steps", "self.number_of_steps")
    assert changed("05_train", ["lib.recipes.jca", "lib.models.affect.jca"], edit) == {
        "lib/models/affect/jca.py"
    }


def test_an_edited_network_that_was_not_used_changes_nothing(edited):
    edit = partial(edited, "lib/models/speakers/talknet.py", "def forward(self", "def forward(this")
    assert changed("05_train", ["lib.recipes.jca", "lib.models.affect.jca"], edit) == set()


def test_a_changed_colour_makes_only_the_notebook_of_results_run_again(edited):
    before = {step: code_digest.digests(step, ["lib.recipes.jca"]) for step in files.NOTEBOOKS}
    edited("lib/plots/style.py", "import", "import sys\nimport")
    after = {step: code_digest.digests(step, ["lib.recipes.jca"]) for step in files.NOTEBOOKS}
    assert [step for step in before if before[step] != after[step]] == [files.NOTEBOOKS[-1]]


def test_networks_recipes_and_added_data_sets_note_that_they_are_used(monkeypatch, tmp_path):
    monkeypatch.setattr(code_digest, "_used", {})
    models.create("dca", audio_channels=8, visual_channels=8, visual_positions=1, steps=4)
    assert "lib.models.affect.jca" in code_digest.used()
    assert "lib/models/affect/jca.py" in code_digest.method()
    recipes.create("dca", parameters.Params({"rules": "corrected", "options": {}}), None)
    assert "lib/recipes/jca.py" in code_digest.used()["lib.recipes.dca"]  # what it inherits from
    # A new card or address of a published file changes no method.
    assert "lib/models/weights.py" in code_digest.used()["lib.recipes.dca"]
    assert "lib/models/weights.py" not in code_digest.method()
    assert {"lib/models/networks.py", "lib/models/published.py"} <= code_digest.method().keys()


@pytest.mark.parametrize(("step", "kept"), [(files.NOTEBOOKS[1], False), (STEP, True)])
def test_a_record_of_arrays_does_not_depend_on_whether_a_network_still_had_to_compute_any(
    run, monkeypatch, step, kept
):
    """A notebook that goes on after a kill finds its arrays there, and opens no network."""
    reached = {"lib.recipes.jca": {}, "lib.models.affect.tsav": {}}
    monkeypatch.setattr(code_digest, "_used", reached)
    run.step = step
    monkeypatch.setattr(code_digest, "digests", lambda *_: {})
    modules = run._code()["modules"]
    assert "lib.recipes.jca" in modules
    assert ("lib.models.affect.tsav" in modules) == kept


def test_a_record_keeps_the_modules_that_were_found_by_name(run, monkeypatch):
    monkeypatch.setattr(code_digest, "_used", {})
    code_digest.use("lib.features.mel")
    record = run.record()
    assert record["modules"] == ["lib.features.mel"]
    assert "lib/features/mel.py" in record["code"]


# ---- places


def test_a_record_names_what_was_read_below_the_places_of_its_parameters(p, notebooks, tmp_path):
    data = tmp_path / "data" / "videos"
    data.mkdir(parents=True)
    (data / "a.mp4").write_bytes(b"a")
    run = runs.start(STEP, {**p, "data_root": tmp_path / "data"}, notebooks)
    record = run.record([data / "a.mp4"])
    assert list(record["inputs"]) == ["<data_root>/videos/a.mp4"]
    moved = runs.Run(run.folder, p={"data_root": str(tmp_path / "elsewhere")})
    assert moved.found("<data_root>/videos/a.mp4") == tmp_path / "elsewhere" / "videos" / "a.mp4"
    assert moved.found("<data_root>") == tmp_path / "elsewhere"


def test_no_place_and_nothing_of_the_machine_counts_among_the_parameters_of_a_step(p, notebooks):
    assert runs.counted(STEP, p, notebooks) == {"dataset": "sample", "recipe": "toy", "lr": 0.1}


# ---- numbers of many small files


def test_numbers_are_read_by_value_with_empty_cells_and_words_beside_them(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('frame,person,a,b,note\n1,left,0.5,,"one, and two"\n2,,-1e-3,7,\n')
    found = runs.read_numbers(file, ["b", "a"])
    table = runs.read_table(file)
    for name in ("a", "b"):
        np.testing.assert_array_equal(found[name], table[name].to_numpy(float))


def test_of_a_file_without_a_column_the_others_are_read_and_a_damaged_one_is_named(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("a\n1\n2\n")
    found = runs.read_numbers(file, ["a", "b"])
    assert list(found) == ["a"]
    assert found["a"].tolist() == [1, 2]
    file.write_text("a,b\n1,x\n")
    with pytest.raises(InputError, match="holds more than numbers"):
        runs.read_numbers(file, ["a", "b"])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("header", ["a,b", "a,b\n", "a,b\n\n"])
def test_a_table_that_ends_after_its_header_has_no_numbers_and_no_warning(tmp_path, header):
    file = tmp_path / "a.csv"
    file.write_text(header)
    assert {name: len(rows) for name, rows in runs.read_numbers(file, ["b"]).items()} == {"b": 0}


def test_parameters_of_a_run_are_read_anew_when_they_changed_and_are_the_callers_own(tmp_path):
    run = runs.Run(tmp_path)
    run.write_text("params.yaml", "lr: 1\noptions: {tasks: [va]}\n")
    runs.parameters(tmp_path)["options"]["tasks"].append("x")
    assert runs.parameters(tmp_path)["options"] == {"tasks": ["va"]}
    run.write_text("params.yaml", "lr: 2\noptions: {tasks: [va]}\n")
    assert runs.parameters(tmp_path)["lr"] == 2
