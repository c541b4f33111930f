"""What several test files share: one tiny sample data set of real media files a session, and ways
to work on it.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lib import arrays, parallel, store, trials
from lib import parameters as params
from lib.datasets import affwild2
from lib.datasets.report import Report
from lib.datasets.samples import affect
from lib.experiments.notebook import ADDRESSES
from lib.media.sound import SOUND_RATE
from lib.parallel import locks
from lib.store import Store, request

# nbformat, which tests import, would import it and wait 3 s: see lib.experiments.notebook.
sys.modules.setdefault(ADDRESSES, None)

# A shell ignores Ctrl-C for what it starts in the background, and whatever that starts inherits it:
# `make test &` too must be able to interrupt what it tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Trials 1 (uneven frame times), 2-25-640x240_left and _right (one video), 3 (sound 80 ms late), 4,
# 5 (test).
SAMPLE = {"trials": 6, "seconds": 2.0}
NAME = affect.folder_name(0, **SAMPLE)


@dataclass(frozen=True)
class Opened:
    """A data set on disk with its trial table, check report and store."""

    table: pd.DataFrame
    report: Report
    store: Store

    @property
    def root(self) -> Path:
        return self.store.data_root

    def trial(self, name: str) -> dict:
        return self.table.set_index("trial", drop=False).loc[name].to_dict()

    def make(self, wanted, pack: bool = True) -> list[parallel.Outcome]:
        """What notebooks 02–04 do: every array of every trial; a bad trial does not stop the
        others.
        """
        work = partial(arrays.make_all, requests=wanted, store=self.store, pack=pack)
        return parallel.map(work, self.table.to_dict("records"), 1, name=trials.name)

    def read(self, name: str, wanted):
        return arrays.read(self.trial(name), wanted, self.store)

    def files(self) -> dict[str, bytes]:
        """Every file of the store by its place in it."""
        return {
            path.relative_to(self.store.folder).as_posix(): path.read_bytes()
            for path in sorted(self.store.folder.rglob("*"))
            if path.is_file()
        }


def look(root: Path, processed: Path) -> Opened:
    table, report = affwild2.find(root, NAME)
    return Opened(table, report, Store(processed, NAME, root))


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk():
    """Thousands of small arrays need not survive a power cut; on a busy disk, waiting for it takes
    minutes.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_sync", lambda path: None)
        patch.setattr(np.memmap, "flush", lambda array: None)
        yield


# Files whose fixtures run whole notebooks, or start processes: first, so that no worker is left
# alone with one of them at the end.
LONGEST = (
    *("whole/test_notebooks", "whole/test_gpu", "whole/test_clip_notebooks"),
    *("whole/test_notebooks_speakers", "whole/test_notebooks_utterances", "parallel/test_ranks"),
    *("parallel/test_remote", "parallel/test_dask_workers", "whole/test_gpu_ways"),
    *("experiments/test_pipeline", "evaluation/test_prediction", "datasets/test_folder_files"),
)


# Nothing that collecting imports or makes is garbage before the end, but the garbage collector goes
# through all of it again and again, which takes a fifth of the time of collecting. (gc.freeze would
# spare the tests it, too, but then Hypothesis warns that it does not see who refers to what.) While
# tests run, whole collections are ten times as rare as usual: they took a twentieth of the time.
gc.disable()
gc.set_threshold(700, 10, 100)


def pytest_collection_finish():
    gc.enable()


def pytest_collection_modifyitems(items):
    """The longest files first, the others in their order; with pytest's plug-in xdist only where
    `--no-loadscope-reorder` leaves that to us.
    """
    places = {f"tests/{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.split("::")[0], len(places)))


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    """The recordings of `tests.film_world` and its detector of faces; tests only read them."""
    from tests import film_world  # OpenCV, in every process that collects tests

    return film_world.write(tmp_path_factory.mktemp("film"))


class NetworkError(AssertionError):
    """A test wanted to reach another machine."""


@pytest.fixture(scope="session", autouse=True)
def no_network():
    """No test opens a connection to another machine; this one may be reached."""
    plain = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}

    def guarded(name):
        def reach(self, *words):
            if self.family in (socket.AF_INET, socket.AF_INET6):
                host = str(words[-1][0])
                if host not in ("localhost", "::1", "0.0.0.0", "::") and host[:4] != "127.":
                    raise NetworkError(f"a test opens a connection to {host}")
            return plain[name](self, *words)

        return reach

    with pytest.MonkeyPatch.context() as patch:
        for name in plain:
            patch.setattr(socket.socket, name, guarded(name), raising=False)
        yield


@pytest.fixture(scope="session")
def sample_root(tmp_path_factory) -> Path:
    """The sample set, made once for all workers of xdist; nobody writes into it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "sample"
    with locks.held(locks.beside(folder), wait=600):
        return affect.make(folder, workers=1, **SAMPLE)


@pytest.fixture
def copied_root(sample_root, tmp_path) -> Path:
    """A copy of the sample set that a test may damage; of the crops, those of trial 4 only are a
    copy.
    """
    copy, crops = tmp_path / "data" / sample_root.name, "cropped_aligned"
    shutil.copytree(sample_root, copy, ignore=shutil.ignore_patterns(crops))
    shutil.copytree(sample_root / crops / "4", copy / crops / "4")
    for folder in (sample_root / crops).iterdir():
        if folder.name != "4":
            (copy / crops / folder.name).symlink_to(folder)
    return copy


@pytest.fixture
def open_set(tmp_path) -> Callable[..., Opened]:
    """``open_set(root, "processed")``: look at a data set, with a store of its own in a folder of
    this test.
    """
    return lambda root, processed="processed": look(root, tmp_path / processed)


@pytest.fixture
def opened(sample_root, open_set) -> Opened:
    """The sample set with an empty store."""
    return open_set(sample_root)


@pytest.fixture(scope="session")
def made(sample_root, tmp_path_factory, wanted) -> Opened:
    """The sample set with all arrays made; nobody writes into its store."""
    found = look(sample_root, tmp_path_factory.mktemp("made"))
    assert all(outcome.ok for outcome in found.make(wanted))
    return found


@pytest.fixture(scope="session")
def wanted() -> list:
    """All that notebooks 02–04 can be asked for without a trained network."""
    return [
        request("time"),
        request("face_valid"),
        request("face", size=32),
        request("pixels"),
        request("audio_44k", rate=SOUND_RATE),
        request("mel"),
        request("loudness"),
        *(request(kind, mismatch="fit") for kind in ("va", "expression", "action_units")),
    ]


@pytest.fixture
def parameters(sample_root, tmp_path) -> Callable[..., params.Params]:
    """``parameters(recipe="tsav")``: checked parameters of the sample set, everything computed in a
    test's folder.
    """

    def complete(**changes) -> params.Params:
        places = {
            "data_root": str(sample_root.parent),
            "processed_root": str(tmp_path / "processed"),
            "runs_root": str(tmp_path / "runs"),
        }
        values = {
            "dataset": "sample",
            "sample_trials": SAMPLE["trials"],
            "sample_seconds": SAMPLE["seconds"],
            "run": "tried",
            "device": "cpu",
            "workers": 1,
            **places,
            **changes,
        }
        full = params.complete(values)
        return params.Params(
            {name: Path(value) if name.endswith("_root") else value for name, value in full.items()}
        )

    return complete


@pytest.fixture(autouse=True)
def close_figures():
    """No test finds the figures of another one."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
