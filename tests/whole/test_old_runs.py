"""A run and a store of before the thirteen packages go on with the code of today, in the same
folder, as after `git pull`. Minutes; only where git holds the old commit.
"""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from lib.files import ROOT

BEFORE = "64a1711"  # the last commit in which the modules of `lib` lay side by side
CODE = ("lib", "notebooks", "params")
FILES = ("params/sample_tsav.yaml", "params/overlays/smoke.yaml")
RUN = "runs/smoke/sample_tsav"

pytestmark = pytest.mark.slow


def command(folder, *words):
    done = subprocess.run(
        [sys.executable, "-m", "lib", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory):
    """A folder in which the old code made a run of two epochs, and the code of today lies now."""
    folder, archive = tmp_path_factory.mktemp("clone"), ["git", "archive", BEFORE]
    if subprocess.run(["git", "cat-file", "-e", BEFORE], cwd=ROOT, check=False).returncode:
        pytest.skip(f"git has no commit {BEFORE} here: a clone without its history")
    old = subprocess.run(archive, cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x"], cwd=folder, input=old, check=True)
    command(folder, "run", *FILES)
    for name in CODE:
        shutil.rmtree(folder / name)
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def arrays(folder):
    return {path: path.read_bytes() for path in (folder / "data/processed").rglob("*.npy")}


def test_an_old_run_and_its_store_are_listed_and_compared(upgraded):
    scores = json.loads((upgraded / RUN / "metrics.json").read_text())["val"]
    found = command(upgraded, "compare", RUN)
    [row] = [line for line in found.splitlines() if "sample_tsav" in line and " tsav " in line]
    for emotion in ("valence", "arousal"):
        assert f" {scores[emotion]['ccc']:.2f} " in row
    listed = command(upgraded, "store", "ls")
    assert all(f"/{path.stem}" in listed for path in arrays(upgraded))


def test_an_old_run_is_resumed_from_its_store_and_predicts(upgraded):
    before = arrays(upgraded)
    epochs = pd.read_csv(upgraded / RUN / "history.csv")
    said = command(upgraded, "run", *FILES, "-p", "epochs", "3")
    assert "epoch 3  loss" in said
    assert "epoch 2  loss" not in said  # gone on with, not begun anew
    assert not (upgraded / f"{RUN}-1").exists()
    resumed = pd.read_csv(upgraded / RUN / "history.csv")
    assert len(resumed) == 3
    pd.testing.assert_series_equal(resumed["loss"][:2], epochs["loss"][:2])
    after = arrays(upgraded)
    assert all(after[path] == content for path, content in before.items())
    predicted = pd.read_csv(upgraded / RUN / "predictions" / "3.csv")
    assert predicted["valence"].between(-1, 1).all()
