"""How notebooks are executed: what comes before their first cell."""

import subprocess
import sys

from lib.files import ROOT

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
