"""How notebooks are executed: what comes before their first cell."""

import os
import subprocess
import sys

import nbformat

from lib.experiments import notebook
from lib.files import EXECUTED_IN, NOTEBOOKS, ROOT

PAPERMILL = """
import sys
from lib.experiments import notebook
assert notebook.imported_papermill().execute_notebook
print("lark" in sys.modules, notebook.ADDRESSES in sys.modules)
"""


def test_papermill_is_imported_without_a_grammar_of_addresses_which_takes_seconds():
    words = [sys.executable, "-c", PAPERMILL]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"], done.stderr


def test_only_a_training_keeps_freed_memory_and_a_persons_own_setting_wins(monkeypatch, tmp_path):
    for name in notebook.MEMORY:
        monkeypatch.delenv(name, raising=False)
    seen = {}
    for step in NOTEBOOKS:
        with notebook._environment_of(ROOT / "notebooks" / f"{step}.ipynb", tmp_path / "a.ipynb"):
            seen[step] = {name: os.environ.get(name) for name in notebook.MEMORY}
    nothing = dict.fromkeys(notebook.MEMORY)
    assert seen == dict.fromkeys(NOTEBOOKS, nothing) | {"05_train": notebook.MEMORY}
    assert not notebook.MEMORY.keys() & os.environ.keys()
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")
    with notebook._environment_of(ROOT / "notebooks" / "05_train.ipynb", tmp_path / "a.ipynb"):
        assert os.environ["MALLOC_TOP_PAD_"] == "1"
    assert os.environ["MALLOC_TOP_PAD_"] == "1"


def test_a_run_that_a_notebook_starts_leaves_the_notebook_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(EXECUTED_IN, "outer")
    with notebook._environment_of(ROOT / "notebooks" / "05_train.ipynb", tmp_path / "a.ipynb"):
        assert os.environ[EXECUTED_IN] == str(tmp_path)
    assert os.environ[EXECUTED_IN] == "outer"


def test_files_beside_an_executed_notebook_are_linked_from_where_it_lies(tmp_path):
    """papermill works in the root; a link from there would lead nowhere."""
    run, source = tmp_path / "runs" / "one", tmp_path / "source.ipynb"
    video = run / "videos" / "large.mp4"
    video.parent.mkdir(parents=True)
    video.write_bytes(b"0" * 100)
    cell = f"""
from lib.plots import viewer
viewer.EMBEDDED = 99
viewer.video({str(video)!r})
"""
    parameters = nbformat.v4.new_code_cell("", metadata={"tags": ["parameters"]})
    book = nbformat.v4.new_notebook(cells=[parameters, nbformat.v4.new_code_cell(cell)])
    nbformat.write(book, source)
    notebook.execute(source, run / "06_inference.ipynb", {}, print)
    done = nbformat.read(run / "06_inference.ipynb", as_version=4)
    (output,) = done.cells[-1].outputs
    assert '<video src="videos/large.mp4"' in output.data["text/html"]
    assert '<a href="videos/large.mp4"' in output.data["text/html"]
    assert EXECUTED_IN not in os.environ
