"""A checkout that may not be written (an institute's installation): named where something must be, and usable."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lib.declarations import ROOT

NOBODY = 65_534


@pytest.fixture(scope="module")
def places():
    """A read-only checkout, and a folder that the person owns; root may write everything, so nobody is asked."""
    place = Path(tempfile.mkdtemp(prefix="read only ü "))
    checkout, mine = place / "checkout", place / "mine"
    for name in ("lib", "notebooks", "params"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, checkout)
    mine.mkdir()
    place.chmod(0o755)
    for path in [checkout, *checkout.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:
        os.chown(mine, NOBODY, NOBODY)
    yield checkout, mine
    for path in [checkout, *(path for path in checkout.rglob("*") if path.is_dir())]:
        path.chmod(0o755)
    shutil.rmtree(place)


def run(places, *words):
    checkout, mine = places
    other = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    env = {**os.environ, "HOME": str(mine), "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1",
           "TMPDIR": str(mine), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "lib", "run", "params/sample_tsav.yaml", "params/overlays/smoke.yaml", *words]
    try:
        done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, timeout=300, **other)
    except PermissionError:
        pytest.skip("this Python may not be started by another user")
    if "No module named 'click'" in done.stderr:
        pytest.skip("this environment may not be read by another user")
    return done


def test_a_place_that_may_not_be_written_is_named_with_the_way_out(places):
    done = run(places, "--to", "01")
    assert done.returncode == 1
    assert "this place cannot be written (Permission denied)" in done.stdout
    assert "-p runs_root" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_with_places_elsewhere_nothing_of_the_checkout_is_written(places):
    checkout, mine = places
    before = sorted(checkout.rglob("*"))
    own = [word for name in ("data_root", "processed_root", "runs_root")
           for word in ("-p", name, str(mine / f"{name} ä"))]
    done = run(places, *own, "--to", "01")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (mine / "runs_root ä" / "sample_tsav" / "report.html").is_file()
    assert sorted(checkout.rglob("*")) == before
