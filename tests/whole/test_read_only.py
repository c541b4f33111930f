"""A checkout that may not be written (an institute's installation): named where something must be,
and usable.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lib.files import ROOT

# Root may write what nobody may; without these rights it is a person like others.
WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []


@pytest.fixture(scope="module")
def places():
    """A read-only checkout, and a folder that the person owns."""
    if WITHOUT_RIGHTS and not shutil.which(WITHOUT_RIGHTS[0]):
        pytest.skip("root may write everything, and setpriv is not there")
    place = Path(tempfile.mkdtemp(prefix="read only ü "))
    checkout, mine = place / "checkout", place / "mine"
    for name in ("lib", "notebooks", "params"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, checkout)
    mine.mkdir()
    for path in [checkout, *checkout.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield checkout, mine
    for path in [checkout, *(path for path in checkout.rglob("*") if path.is_dir())]:
        path.chmod(0o755)
    shutil.rmtree(place)


def run(places, *words):
    checkout, mine = places
    env = {
        **os.environ,
        "HOME": str(mine),
        "PYTHONPATH": str(checkout),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(mine),
        "OMP_NUM_THREADS": "1",
    }
    command = [
        *WITHOUT_RIGHTS,
        sys.executable,
        "-m",
        "lib",
        "run",
        "params/sample_tsav.yaml",
        "params/overlays/smoke.yaml",
        *words,
    ]
    return subprocess.run(
        command, cwd=checkout, env=env, capture_output=True, text=True, timeout=600
    )


def test_a_place_that_may_not_be_written_is_named_with_the_way_out(places):
    done = run(places, "--to", "01")
    assert done.returncode == 1
    assert "this place cannot be written (Permission denied)" in done.stdout
    assert "-p runs_root" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_with_places_elsewhere_nothing_of_the_checkout_is_written(places):
    checkout, mine = places
    before = sorted(checkout.rglob("*"))
    own = [
        word
        for name in ("data_root", "processed_root", "runs_root")
        for word in ("-p", name, str(mine / f"{name} ä"))
    ]
    done = run(
        places, *own, "-p", "measure_seconds", "0", "-p", "sample_seconds", "1", "--to", "01"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (mine / "runs_root ä" / "sample_tsav" / "report.html").is_file()
    assert sorted(checkout.rglob("*")) == before
