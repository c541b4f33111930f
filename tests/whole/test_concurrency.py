"""Several threads or processes write one file, another one reads it: it is always whole."""

import multiprocessing
from threading import Thread

import pytest
import torch

from lib import arrays, files, store, trials
from lib.datasets import affwild2
from lib.models import checkpoints
from lib.store import Store, request


def checkpoint(path, number):
    saved = {"model": {"weight": torch.full((300, 100), float(number))}, "epoch": number}
    checkpoints.write(saved, path)


def table(path, number):
    names = [f"t{k}" for k in range(1 + number)]
    row = {"dataset": "d", "split": "val", "n_frames": number}
    trials.write(trials.table([{**row, "trial": name, "video": name} for name in names]), path)


def record(path, number):
    files.write_text(path, f'{{"numbers": {[number] * (1 + 100 * number)}}}\n')


WRITERS = {"last.pt": checkpoint, "trials.parquet": table, "record.json": record}


def write(folder, first, saves):
    store._sync = lambda place: None  # a power cut is not what is tried here
    for number in range(first, first + saves):
        for kind, save in WRITERS.items():
            save(folder / kind, number % 20)


def read(kind, path):
    """What a reader takes from the file; equal numbers if it is whole."""
    if kind == "last.pt":
        saved = checkpoints.contents(path)
        assert (saved["model"]["weight"] == saved["epoch"]).all()
    elif kind == "trials.parquet":
        rows = trials.read(path)
        assert set(rows["n_frames"]) == {len(rows) - 1}
    else:
        numbers = files.read_json(path)["numbers"]
        assert len(numbers) == 1 + 100 * numbers[0]


CONTEXT = multiprocessing.get_context("spawn")
PROCESS = CONTEXT.Process


@pytest.mark.parametrize(
    ("start", "saves"), [(Thread, 40), pytest.param(PROCESS, 200, marks=pytest.mark.slow)]
)
def test_what_two_write_a_third_can_always_read(tmp_path, monkeypatch, start, saves):
    monkeypatch.setattr(store, "_sync", lambda place: None)
    for kind, save in WRITERS.items():
        save(tmp_path / kind, 1)
    writers = [start(target=write, args=(tmp_path, k, saves)) for k in (0, 7)]
    for writer in writers:
        writer.start()
    readings = 0
    while any(writer.is_alive() for writer in writers):
        for kind in WRITERS:
            read(kind, tmp_path / kind)
        readings += 1
    for writer in writers:
        writer.join()
        assert getattr(writer, "exitcode", 0) == 0
    for kind in WRITERS:
        read(kind, tmp_path / kind)
    assert readings, "both were still writing"
    found = sorted(each.name for each in tmp_path.iterdir())
    assert found == sorted(WRITERS), "nothing temporary is left"


# ---- arrays that two runs want at once

WANTED = (request("time"), request("va", mismatch="fit"), request("loudness"), request("mel"))


def make_arrays(root, processed, begin):
    """What notebooks 03 and 04 of a run do, from the moment that both have begun."""
    table = affwild2.find(root, "sample")[0]
    place = Store(processed, "sample", root)
    begin.wait()
    for trial in table.to_dict("records"):
        arrays.make_all(trial, WANTED, place)


@pytest.mark.slow
def test_two_processes_that_make_the_same_arrays_leave_each_once_and_whole(sample_root, tmp_path):
    begin = CONTEXT.Barrier(2)
    own = (sample_root, tmp_path, begin)
    both = [PROCESS(target=make_arrays, args=own) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
        assert each.exitcode == 0
    files_of = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert files_of == {".npy", ".json"}, "no lock and nothing unfinished is left"
    found = list(tmp_path.rglob("*.npy"))
    assert len(found) > 4 * 5
    assert all(store.verify(path) for path in found)
