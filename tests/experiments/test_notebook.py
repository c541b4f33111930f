"""How notebooks are executed: what comes before their first cell."""

import os
import subprocess
import sys

from lib.experiments import notebook
from lib.files import NOTEBOOKS, ROOT

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


def test_only_a_training_keeps_freed_memory_and_a_persons_own_setting_wins(monkeypatch):
    for name in notebook.MEMORY:
        monkeypatch.delenv(name, raising=False)
    seen = {}
    for step in NOTEBOOKS:
        with notebook._environment_of(ROOT / "notebooks" / f"{step}.ipynb"):
            seen[step] = {name: os.environ.get(name) for name in notebook.MEMORY}
    nothing = dict.fromkeys(notebook.MEMORY)
    assert seen == dict.fromkeys(NOTEBOOKS, nothing) | {"05_train": notebook.MEMORY}
    assert not notebook.MEMORY.keys() & os.environ.keys()
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")
    with notebook._environment_of(ROOT / "notebooks" / "05_train.ipynb"):
        assert os.environ["MALLOC_TOP_PAD_"] == "1"
    assert os.environ["MALLOC_TOP_PAD_"] == "1"
