"""A real SLURM of one node for the tests of this folder (`make test-slurm`, as root, with Debian's
slurm-wlm and munge; not in CI).
"""

import os
import subprocess
from pathlib import Path

import pytest

NODE = Path(__file__).with_name("slurm_node.sh")


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """SLURM_TEST_PLACE keeps data and runs of an earlier start."""
    kept = os.environ.get("SLURM_TEST_PLACE")
    return Path(kept) if kept else tmp_path_factory.mktemp("slurm")


@pytest.fixture(scope="session")
def slurm(place):
    """The environment in which its commands find the scheduler; it is taken down at the end."""
    done = subprocess.run(["bash", NODE, "start", place / "node"], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    environment = {**os.environ, "SLURM_CONF": str(place / "node" / "slurm.conf")}
    try:
        assert done.returncode == 0, done.stderr
        yield environment
        subprocess.run(["scancel", "--user=root"], env=environment)
    finally:
        subprocess.run(["bash", NODE, "stop", place / "node"], check=True)


@pytest.fixture
def queued(slurm):
    """``queued()``: numbers of the jobs that the scheduler has; of a state, if it is given."""

    def ask(state=""):
        command = ["squeue", "--noheader", "--format=%i", *([f"--states={state}"] if state else [])]
        done = subprocess.run(command, env=slurm, capture_output=True, text=True, check=True)
        return done.stdout.split()

    return ask
