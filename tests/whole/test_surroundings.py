"""A machine that is not as it should be: a disk that fills, few open files, a read-only place, no
/dev/shm, a strict umask, a clock that goes back. All works, or is told in one sentence.
"""

import errno
import os
import resource
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lib import files, parallel, runs, store, trials
from lib.errors import InputError, explain_full_disk
from lib.experiments import notebook, pipeline
from lib.experiments.sweeps import table, worker
from lib.media import open_files
from lib.models import checkpoints
from lib.parallel.progress import Progress
from lib.store import Store
from tests import tiny_set

WEIGHTS = {"model": {f"w{number}": torch.zeros(20_000) for number in range(4)}}


# ---- a disk that fills


class Filling:
    """A file that takes so many bytes; then the disk is full."""

    def __init__(self, stream, room):
        self.stream, self.room = stream, room

    def write(self, content):
        self.room -= len(content)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.stream.write(content)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()

    def __getattr__(self, name):
        return getattr(self.stream, name)


@pytest.mark.parametrize("room", [0, 1000, 100_000, 320_000])
def test_a_disk_that_fills_while_a_checkpoint_is_written_is_told_as_one(
    tmp_path, monkeypatch, room
):
    """PyTorch then raises a RuntimeError of its own: "unexpected pos 1001472 vs 1001424"."""
    path, opened = checkpoints.write({"model": {}}, tmp_path / "last.pt"), Path.open
    before = path.read_bytes()
    monkeypatch.setattr(Path, "open", lambda *words: Filling(opened(*words), room))
    with pytest.raises(InputError, match="no space left on the device") as told:
        checkpoints.write(WEIGHTS, path)
    monkeypatch.undo()
    assert told.value.cause == "disk"
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["last.pt"]


def test_a_point_of_a_sweep_whose_disk_filled_is_tried_again(tmp_path, monkeypatch):
    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda *words: Filling(opened(*words), 1000))
    with pytest.raises(InputError) as told:
        checkpoints.write(WEIGHTS, tmp_path / "last.pt")

    class Error:  # of the notebook, as papermill hands it on
        ename, evalue = "InputError", str(told.value)

    cause = notebook._cause(Error())
    assert worker.judged(pipeline.FAILED, cause, "", "")["end"] == "died", "not failed: once more"


def test_a_file_that_may_not_be_so_large_is_told(tmp_path):
    """`ulimit -f`, or FAT."""
    limit, path = resource.getrlimit(resource.RLIMIT_FSIZE), tmp_path / "last.pt"
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    try:
        with pytest.raises(InputError, match="may not be as large as this one"):
            checkpoints.write(WEIGHTS, path)
        with pytest.raises(InputError, match="may not be as large as this one"):
            files.write_bytes(path, bytes(200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not list(tmp_path.iterdir())


def test_an_error_that_is_none_of_the_disk_stays_as_it_is(tmp_path):
    with pytest.raises(RuntimeError, match="shape"), explain_full_disk(tmp_path):
        raise RuntimeError("shape")
    with pytest.raises(OSError, match="input/output"), explain_full_disk(tmp_path):
        raise OSError(errno.EIO, "input/output error")


# ---- few open files


@pytest.fixture
def few():
    """``few(3)``: so many files more may be opened in this process."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = open("/dev/null")  # its number is the lowest that is free

    def leave(more):
        resource.setrlimit(resource.RLIMIT_NOFILE, (number.fileno() + 1 + more, limit[1]))

    yield leave
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    number.close()


def test_the_limit_of_open_files_is_raised_as_far_as_the_system_allows(few):
    few(10)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = open_files.allowed()
    assert most == (min(hard, open_files.MOST) if hard > 0 else open_files.MOST)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, hard)


def test_with_64_open_files_nothing_is_started_and_one_sentence_says_why():
    command = f"ulimit -n 64; exec {sys.executable} -m lib run params/sample_tsav.yaml"
    done = subprocess.run(["sh", "-c", command], cwd=files.ROOT, capture_output=True, text=True)
    assert done.returncode == pipeline.WRONG, done.stdout + done.stderr
    assert "this process may open 64 files at once" in done.stdout
    assert "ulimit -n" in done.stdout
    assert not done.stderr


def test_too_many_open_files_are_told_and_no_file_is_called_damaged(tmp_path, few):
    shelf = Store(tmp_path, "d", tmp_path).shelf("trial", "t")
    made_from = {"name": "x", "parameters": {}, "version": 1, "inputs": {}}
    path = shelf.write(made_from, np.zeros(3))
    table_path = trials.write(
        trials.table([{"dataset": "d", "split": "val", "trial": "t", "video": "t"}]),
        tmp_path / "trials.parquet",
    )
    record = files.write_text(tmp_path / "a.json", "{}")
    readers = {store.mapped: path, trials.read: table_path, files.read_json: record}
    held, told = [], []
    few(1)
    for read in (lambda: store.read(path), *(lambda r=r, p=p: r(p) for r, p in readers.items())):
        held.append(os.dup(0)) if not held else None
        with pytest.raises((InputError, OSError)) as caught:
            read()
        told.append(caught.value)
    for number in held:
        os.close(number)
    for error in told:
        assert "damaged" not in str(error)
        assert "remove it" not in str(error)


def test_a_recipe_keeps_no_more_arrays_open_than_it_may(tmp_path, monkeypatch):
    recipe = tiny_set.create("jca", tiny_set.make(tmp_path / "tiny"))
    wanted = recipe.arrays()[0]
    names = list(recipe._trials)
    right = [np.array(recipe.read(name, wanted)) for name in names]
    assert len(recipe._opened) == len(names) > 2
    monkeypatch.setattr(open_files, "arrays_at_once", lambda: 2)
    recipe._opened.clear()
    for _ in range(2):
        for name, rows in zip(names, right, strict=True):
            np.testing.assert_array_equal(recipe.read(name, wanted), rows)
            assert recipe.read(name, wanted) is recipe.read(name, wanted)
            assert len(recipe._opened) <= 2
