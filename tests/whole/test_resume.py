"""Killing the computation of arrays at any moment leaves whole arrays only; the next run does what
is missing.
"""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from lib import arrays, parallel, trials
from lib.datasets import affwild2
from lib.files import ROOT
from lib.store import Store, request

SCRIPT = """
import sys
from tests.whole.test_resume import work
if __name__ == "__main__":
    work(*sys.argv[1:])
"""
WANTED = [
    request("time"),
    request("face_valid"),
    request("face", size=32),
    request("pixels"),
    request("audio_44k", rate=44100),
    request("loudness"),
    request("va", mismatch="fit"),
]


def work(root, processed):
    """What notebooks 02 to 04 do."""
    table, place = (
        affwild2.find(Path(root), "sample")[0],
        Store(Path(processed), "sample", Path(root)),
    )
    make = partial(arrays.make_all, requests=WANTED, store=place)
    return parallel.map(make, table.to_dict("records"), 1, name=trials.name)


def whole(processed):
    """Name in the store -> content, of every array that exists, that is: with its JSON."""
    return {
        path.relative_to(processed).as_posix(): path.read_bytes()
        for path in sorted(processed.rglob("*.npy"))
        if path.with_suffix(".json").is_file() and not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def undisturbed(sample_root, tmp_path_factory):
    processed = tmp_path_factory.mktemp("undisturbed")
    assert all(outcome.ok for outcome in work(sample_root, processed))
    return whole(processed)


@pytest.mark.parametrize("killed_after", [1, 9, 20])
def test_a_killed_run_leaves_whole_arrays_and_the_next_one_makes_what_is_missing(
    sample_root, tmp_path, undisturbed, killed_after
):
    script, processed = tmp_path / "script.py", tmp_path / "processed"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(sample_root), str(processed)]
    running = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    end = time.monotonic() + 60
    while (
        len(list(processed.rglob("*.npy"))) < killed_after
        and running.poll() is None
        and time.monotonic() < end
    ):
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.wait()
    left = whole(processed)
    assert left.items() <= undisturbed.items()
    assert all(outcome.ok for outcome in work(sample_root, processed))
    assert whole(processed) == undisturbed


def test_the_second_run_takes_up_only_what_is_missing(sample_root, tmp_path, undisturbed):
    processed = tmp_path / "processed"
    work(sample_root, processed)
    removed = sorted(processed.rglob("face-*.npy"))[:2]
    for path in removed:
        path.unlink()
    rows = [row for outcome in work(sample_root, processed) for row in outcome.value]
    assert sorted(row["array"] for row in rows if row["state"] == "made") == ["face(size=32)"] * 2
    assert whole(processed) == undisturbed
