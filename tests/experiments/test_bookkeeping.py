"""What notebooks say of arrays beyond those of one trial."""

import numpy as np

from lib.experiments import bookkeeping
from lib.parallel import Outcome
from lib.store import Shelf


def _made(folder, trial, columns):
    made_from = {"name": "feature", "parameters": {"file": "pose.npy"}, "version": 1, "inputs": {}}
    path = Shelf(folder / trial).write(made_from, np.zeros((4, columns), np.float32))
    row = {"trial": trial, "array": "feature(pose)", "state": "made", "seconds": 0.1, "note": ""}
    return Outcome({"trial": trial}, [{**row, "path": str(path)}])


def test_files_of_features_with_other_columns_than_most_are_named_where_they_are_read(tmp_path):
    outcomes = [_made(tmp_path, name, columns) for name, columns in (("a", 3), ("b", 3), ("c", 5))]
    assert bookkeeping.notes(outcomes[:2]).empty
    (note,) = bookkeeping.notes(outcomes).values.tolist()
    assert note[:2] == ["c", "feature(pose)"]
    assert note[2].startswith("5 columns, 3 in most trials")
