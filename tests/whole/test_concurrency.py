"""Several threads or processes write one file, another one reads it: it is always whole."""

import multiprocessing
from threading import Thread

import pytest
import torch

from lib import files, store, trials
from lib.models import checkpoints


def checkpoint(path, number):
    saved = {"model": {"weight": torch.full((300, 100), float(number))}, "epoch": number}
    with files.temporary_name(path) as temporary:
        torch.save(saved, temporary)
        temporary.replace(path)


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


PROCESS = multiprocessing.get_context("spawn").Process


@pytest.mark.parametrize(
    ("start", "saves"), [(Thread, 40), pytest.param(PROCESS, 100, marks=pytest.mark.slow)]
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
