"""A machine that is not as it should be: a disk that fills, few open files, a read-only place, no
/dev/shm, a strict umask, a clock that goes back. All works, or is told in one sentence.
"""

import errno
import io
import itertools
import multiprocessing
import os
import resource
import stat
import time
import types
from concurrent import futures
from pathlib import Path

import numpy as np
import pytest
import torch

from lib import arrays, files, parallel, runs, store, trials
from lib.errors import InputError, explain_full_disk
from lib.experiments import notebook, pipeline
from lib.experiments.sweeps import table, worker
from lib.media import open_files, writing
from lib.models import checkpoints
from lib.parallel import locks
from lib.parallel.progress import Progress
from lib.store import Store
from lib.training import loader
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
    assert worker.judged(pipeline.EXIT_FAILED, cause, "", "")["end"] == "died", (
        "not failed: once more"
    )


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
    number = os.open("/dev/null", os.O_RDONLY)  # the lowest number that is free

    def leave(more):
        resource.setrlimit(resource.RLIMIT_NOFILE, (number + 1 + more, limit[1]))

    yield leave
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    os.close(number)


def test_the_limit_of_open_files_is_raised_as_far_as_the_system_allows(few):
    few(10)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = open_files.allowed()
    assert most == (min(hard, open_files.MAX_OPEN_FILES) if hard > 0 else open_files.MAX_OPEN_FILES)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, hard)


def test_with_64_open_files_nothing_is_started_and_one_sentence_says_why(monkeypatch):
    monkeypatch.setattr(open_files, "allowed", lambda: 64)
    said = []
    assert (
        pipeline.run([files.ROOT / "params/sample_tsav.yaml"], say=said.append)
        == pipeline.EXIT_WRONG
    )
    assert len(said) == 1
    assert "this process may open 64 files at once" in said[0]
    assert "ulimit -n" in said[0]


def test_too_many_open_files_are_told_and_no_file_is_called_damaged(tmp_path, few):
    array = shelf_of(tmp_path).write(MADE_FROM, np.zeros(3))
    table_file = trials.write(trials.table([TRIAL]), tmp_path / "trials.parquet")
    record = files.write_text(tmp_path / "a.json", "{}")
    few(0)
    for read, path in ((store.read, array), (trials.read, table_file), (files.read_json, record)):
        with pytest.raises(InputError, match="too many files are open at once"):
            read(path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


def test_a_recipe_keeps_no_more_arrays_open_than_it_may(tiny, monkeypatch):
    recipe = tiny_set.create("jca", tiny)
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


# ---- no memory that processes share


def test_without_shared_memory_batches_are_prepared_in_this_process(monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(multiprocessing.get_context("spawn"), "Lock", refuse, raising=False)
    assert loader.shared_room(1000)[0] == 0
    here = loader.Loader(None, 4)
    here._start({"x": torch.zeros(10)})
    assert (here.count, here._loader) == (0, None)
    told = capsys.readouterr().out
    assert "prepared by this process, which takes longer: no memory can be shared" in told


@pytest.mark.parametrize(("free", "count"), [(64e6, 0), (640e6, 4), (2400e6, 6)])
def test_no_more_processes_prepare_batches_than_their_memory_has_room_for(
    monkeypatch, capsys, free, count
):
    """Docker gives 64 MB; PyTorch's processes would wait for ever."""
    status = types.SimpleNamespace(f_bavail=int(free), f_frsize=1)
    monkeypatch.setattr(os, "statvfs", lambda place: status)
    monkeypatch.setattr(torch.utils.data, "DataLoader", lambda *_, **options: options)
    here = loader.Loader(None, 6)
    here._start({"faces": torch.zeros(10_000_000)})  # 40 MB
    assert here.count == count
    assert ("MB free" in capsys.readouterr().out) == (count < 6)


# ---- a place that may not be written


def read_only(*_, **__):
    raise OSError(errno.EROFS, "Read-only file system")


WRITERS = {
    "a file": lambda place: files.write_text(place / "a" / "b.txt", "x"),
    "an array": lambda place: shelf_of(place).write(MADE_FROM, np.zeros(3)),
    "a checkpoint": lambda place: checkpoints.write(WEIGHTS, place / "a" / "last.pt"),
    "a table": lambda place: trials.write(trials.table([TRIAL]), place / "a" / "trials.parquet"),
    "a record": lambda place: runs.Run(place / "a").write_json("steps/x.json", {}),
    "a video": lambda place: writing.write_video(
        place / "a.mp4", np.zeros((2, 16, 16, 3), np.uint8), np.arange(2) / 25
    ),
}
MADE_FROM = {"name": "x", "parameters": {}, "version": 1, "inputs": {}}
TRIAL = {"dataset": "d", "split": "val", "trial": "t", "video": "t"}


def shelf_of(place):
    return Store(place, "d", place).shelf("trial", "t")


@pytest.mark.parametrize("what", WRITERS)
def test_a_read_only_root_is_told_with_the_parameter_that_names_another(
    tmp_path, monkeypatch, what
):
    monkeypatch.setattr(Path, "mkdir", read_only)
    monkeypatch.setattr(Path, "replace", read_only)
    with pytest.raises(InputError, match="this place cannot be written") as told:
        WRITERS[what](tmp_path)
    assert "-p runs_root" in str(told.value)


def test_arrays_of_a_read_only_store_are_used_as_they_are(tiny, monkeypatch):
    recipe = tiny_set.create("jca", tiny)
    for name in ("mkdir", "replace", "unlink", "write_text", "write_bytes"):
        monkeypatch.setattr(Path, name, read_only)
    row = arrays.make(recipe.trial("seen"), store.request("time"), recipe.store)
    assert row["state"] == "there"
    assert recipe.n_frames("seen") == 50


# ---- a umask of people who share nothing


def test_with_a_strict_umask_all_is_written_for_its_owner_alone(tmp_path):
    before = os.umask(0o077)
    try:
        for write in WRITERS.values():
            write(tmp_path)
        with locks.locked(tmp_path / "a", 0):
            assert store.read(shelf_of(tmp_path).path(MADE_FROM)).sum() == 0
        assert checkpoints.contents(tmp_path / "a" / "last.pt").keys() == WEIGHTS.keys()
        assert trials.read(tmp_path / "a" / "trials.parquet")["trial"].tolist() == ["t"]
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes <= {0o600, 0o700}


# ---- a clock that goes back


@pytest.fixture
def back(monkeypatch):
    """Each look at the clock shows an hour less; how long something takes is told by another."""
    hours = itertools.count()
    monkeypatch.setattr(time, "time", lambda: 1.8e9 - 3600 * next(hours))


def test_a_table_of_a_sweep_shows_no_negative_seconds(tmp_path, back):
    run = runs.Run(tmp_path / "x_sweep")
    one = {"folder": str(tmp_path / "x"), "state": "running", "seconds": 5.0, "epochs": 2}
    one |= {"values": {}, "tries": 0, "host": "", "why": ""}
    run.write_json("sweep.json", {"grid": {}, "runs": {"x": one}})
    run.write_json("points/x.json", {"started": time.time(), "host": "here"})
    assert table.read(run.folder)["seconds"].tolist() == [5.0]


def test_locks_and_progress_do_not_need_a_clock_that_goes_on(tmp_path, back):
    said = io.StringIO()
    progress = Progress("things", stream=said)
    for done in range(1, 4):
        progress(done, 3, parallel.Outcome(done, seconds=0.1))
    assert "3/3" in said.getvalue()
    with locks.locked(tmp_path, 0), pytest.raises(locks.BusyError):
        threaded(lambda: locks.locked(tmp_path, 0.3).__enter__())


def threaded(function):
    """The function in another thread; raises what it raises."""
    with futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_a_file_that_was_replaced_in_the_same_second_is_read_again(tmp_path):
    """Its time may even be an earlier one than before: a name is not asked when, but what it is."""
    path = checkpoints.write({"a": 1}, tmp_path / "last.pt")
    assert checkpoints.contents(path)["a"] == 1
    checkpoints.write({"a": 2}, path)
    os.utime(path, (1, 1))
    assert checkpoints.contents(path)["a"] == 2
    first = store.fingerprint(path)
    files.write_bytes(path, path.read_bytes()[:-1] + b"x")
    os.utime(path, (0, 0))
    assert store.fingerprint(path) != first
