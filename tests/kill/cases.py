"""The commands that are killed, each in a folder of its own, and what must be there before."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lib.files import NOTEBOOKS

from .killing import Case, start

LIB = (sys.executable, "-m", "lib")
SMOKE = "params/overlays/smoke.yaml"
TINY = {"device": "cpu", "workers": "1", "sample_trials": "6", "sample_seconds": "1.5"}


@dataclass(frozen=True)
class World:
    """A folder in which all cases work: always the same path, because checkpoints and parameter
    files hold it. Between cases it is filled from copies that `kept` names.
    """

    place: Path
    copies: Path

    def keep(self, name: str) -> None:
        """Keep a copy of what is there now, unless there is one of that name."""
        if not self.has(name):
            shutil.copytree(self.place, self.copies / name, symlinks=True)

    def has(self, name: str) -> bool:
        """Whether there is a copy of that name."""
        return (self.copies / name).is_dir()

    def fill(self, name: str) -> None:
        """Bring the folder back to a copy, or empty it ("")."""
        shutil.rmtree(self.place, ignore_errors=True)
        if name:
            shutil.copytree(self.copies / name, self.place, symlinks=True)
        else:
            self.place.mkdir(parents=True)


def places(world: World) -> tuple[str, ...]:
    """`-p` for all that a sample experiment reads and writes, and its size."""
    roots = {f"{name}_root": str(world.place / name) for name in ("data", "processed", "runs")}
    words = [word for pair in {**roots, **TINY}.items() for word in ("-p", *pair)]
    return tuple(words)


def of_notebooks() -> dict[str, str]:
    """A stage for each notebook, and one for the report after them."""
    stages = {"start": "$^"}
    stages |= {name: rf"^  {number}/6 {name}" for number, name in enumerate(NOTEBOOKS, 1)}
    return stages | {"report": rf"^  6/6 {NOTEBOOKS[-1]}: (done|skipped)"}


def experiment(world: World, name: str) -> Case:
    """`lib run` of a sample experiment with the smoke overlay."""
    words = (*LIB, "run", f"params/{name}.yaml", SMOKE, *places(world))
    return Case(name, words, world.place, of_notebooks())


def sweep(world: World) -> Case:
    """Two trainings, with two learning rates, of `sample_tsav`, on the arrays that it left."""
    grid = ("--grid", "lr=0.001,0.003", "--workers", "1", "-p", "notebooks", '["05"]')
    words = (*LIB, "sweep", "params/sample_tsav.yaml", SMOKE, *grid, *places(world))
    stages = {
        "start": "$^",
        "arrays": r"\(arrays\): running",
        "first point": r"lr0\.001: running",
        "second point": r"lr0\.003: running",
        "table": r"lr0\.003: finished",
    }
    return Case("sweep", words, world.place, stages)


def clips(world: World) -> Case:
    """`clips all` of conversations that notebook 01 made."""
    roots = (*places(world), "-p", "clip_length", "20")
    words = (*LIB, "clips", "all", "params/sample_clips.yaml", *roots)
    return Case("clips", words, world.place, {"start": "$^", "clips": "make \\+ renumber"})


def made_conversations(world: World) -> Case:
    words = (*LIB, "run", "params/sample_clips.yaml", *places(world), "--to", "01")
    return Case("conversations", words, world.place, {"start": "$^"})


def merge(world: World) -> Case:
    """Two evaluated runs of the same recordings."""
    folders = [str(world.place / "runs" / name) for name in ("sample_tsav", "sample_jca")]
    words = (*LIB, "merge", *folders, "--to", str(world.place / "runs" / "both"))
    return Case("merge", words, world.place, {"start": "$^"})


def overlay(world: World) -> Case:
    """Notebook 06 again, which now draws two recordings with their curves."""
    more = ("-p", "overlays", "2", "--from", "06")
    words = (*LIB, "run", "params/sample_tsav.yaml", SMOKE, *places(world), *more)
    stages = {"start": "$^", "notebook": "1/1 06_inference", "report": "1/1 06_inference: done"}
    return Case("overlay", words, world.place, stages)


def compare(world: World) -> Case:
    """A table and a picture of two runs."""
    folders = [str(world.place / "runs" / name) for name in ("sample_tsav", "sample_jca")]
    words = (*LIB, "compare", *folders, "--to", str(world.place / "compared"))
    return Case("compare", words, world.place, {"start": "$^"})


def report(world: World) -> Case:
    """The page of a run, anew."""
    words = (*LIB, "report", str(world.place / "runs" / "sample_tsav"))
    return Case("report", words, world.place, {"start": "$^"})


def export(world: World) -> Case:
    """The weights of a run's network, with what they are and an example."""
    run, out = str(world.place / "runs" / "sample_jca"), str(world.place / "exported")
    words = (*LIB, "export", run, "--to", "safetensors", "--out", out)
    return Case("export", words, world.place, {"start": "$^"})


def export_audio(world: World) -> Case:
    """One short sound per frame of the sample set."""
    words = (*LIB, "export-audio", "params/sample_tsav.yaml", *places(world))
    return Case("export-audio", words, world.place, {"start": "$^"})


def export_labels(world: World) -> Case:
    """One table of labels per trial of the sample set."""
    words = (*LIB, "export-labels", "params/sample_tsav.yaml", *places(world))
    return Case("export-labels", words, world.place, {"start": "$^"})


COPY = """
import shutil, sys
for name in ("lib", "notebooks"):
    kept = shutil.ignore_patterns("__pycache__")
    shutil.copytree(name, f"{sys.argv[1]}/checkout/{name}", ignore=kept)
"""
DIGEST = """
import sys
sys.path.insert(0, sys.argv[1])
from lib import code_digest
folder = code_digest.ROOT / "lib" / "__pycache__"
folder.mkdir(exist_ok=True)
sys.dont_write_bytecode = False  # now that all is imported: only the digests are kept
print("digests", flush=True)
code_digest.digests("05_train", ["lib.recipes.jca"])
"""


def copied_checkout(world: World) -> Case:
    words = (sys.executable, "-c", COPY, str(world.place))
    return Case("checkout", words, world.place, {"start": "$^"})


def code_digests(world: World) -> Case:
    """What a notebook's start finds in the sources and keeps beside them, in a copy of them."""
    words = (sys.executable, "-c", DIGEST, str(world.place / "checkout"))
    return Case("code digests", words, world.place, {"start": "$^", "digests": "^digests"})


FETCH = """
import sys
from lib.models import weights
from lib.__main__ import main
name, sha256, size, url, root = sys.argv[1:]
weights.REGISTRY[name] = weights.Weights(
    name, f"{name}.bin", "noise", "none", "a test", int(size), sha256
)
print("fetching", flush=True)
main(["weights", "get", name, "--url", url, "--root", root])
"""
FILE = np.random.default_rng(0).integers(0, 256, 3_000_000, np.uint8).tobytes()
PIECE, PAUSE = 50_000, 0.01  # bytes, s


class Slow(http.server.BaseHTTPRequestHandler):
    """Gives FILE in pieces, from where it is asked to."""

    def do_GET(self) -> None:
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        if start >= len(FILE):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(FILE) - start))
        self.end_headers()
        try:
            for place in range(start, len(FILE), PIECE):
                self.wfile.write(FILE[place : place + PIECE])
                time.sleep(PAUSE)
        except OSError:
            return  # who asked was killed

    def log_message(self, *words) -> None:
        """Nothing is printed."""


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The address of a server on this machine that gives FILE slowly."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/file"
    finally:
        server.shutdown()
        server.server_close()


def fetching(world: World, url: str) -> Case:
    """`weights get` from that server."""
    told = ("made_up", hashlib.sha256(FILE).hexdigest(), str(len(FILE)), url)
    words = (sys.executable, "-c", FETCH, *told, str(world.place / "weights"))
    return Case("weights get", words, world.place, {"start": "$^", "fetching": "^fetching"})


# ---- what a command needs
Prepared = tuple[Case, Callable[[], None]]


@contextlib.contextmanager
def prepared(world: World, name: str) -> Iterator[Prepared]:
    """The command of a name, and a function that brings its folder to the state before it; what it
    builds on is made and kept first.
    """
    below = BELOW[name]
    made = made_before(world, below)
    world.fill(made)
    with served() as url:
        case = fetching(world, url) if name == "weights get" else COMMANDS[name](world)
        yield case, partial(world.fill, made)


def made_before(world: World, name: str) -> str:
    """See that there is a copy of what a command leaves; returns its name."""
    if name and not world.has(name):
        world.fill(made_before(world, BELOW[name]))
        done = start(COMMANDS[name](world), world.copies.parent / "scratch")
        if done.status:
            raise AssertionError(f"{name} ended with {done.status}:\n{done.text}")
        world.keep(name)
    return name


COMMANDS = {
    "sample_tsav": partial(experiment, name="sample_tsav"),
    "sample_jca": partial(experiment, name="sample_jca"),
    "conversations": made_conversations,
    "clips": clips,
    "merge": merge,
    "overlay": overlay,
    "sweep": sweep,
    "compare": compare,
    "report": report,
    "export": export,
    "export-audio": export_audio,
    "export-labels": export_labels,
    "checkout": copied_checkout,
    "code digests": code_digests,
}
# The command whose results a command begins with.
BELOW = {
    **dict.fromkeys(("sample_tsav", "conversations", "checkout", "weights get"), ""),
    **dict.fromkeys(("sample_jca", "overlay", "sweep"), "sample_tsav"),
    **dict.fromkeys(("report", "export-audio", "export-labels"), "sample_tsav"),
    "clips": "conversations",
    **dict.fromkeys(("merge", "compare", "export"), "sample_jca"),
    "code digests": "checkout",
}
