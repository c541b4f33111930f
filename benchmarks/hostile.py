"""What hostile and damaged files cost: `python benchmarks/hostile.py [--count 300] [--seed 0]`. Two
minutes.

First table: files that ask for more than their size, each kind by its reader: seconds of processor
time, and how much the process grew. Second table: `count` mutated copies of a real file of each
reader (bits, cuts, gaps, repeats, other values), and how many were answered with anything but a
value or a clear error. Both use the tables of the tests.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import Watch, memory, publish

from lib import files
from lib.errors import InputError
from lib.media import documents, pickles
from lib.models import published
from tests.media import test_documents, test_pickles
from tests.models import test_checkpoints
from tests.whole import test_damage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="mutated copies for each reader")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        greedy = [row for kind in _kinds(Path(place)) for row in [_cost(*kind)]]
        damaged = [
            _answers(name, Path(place, name.replace("'", "")), options.seed, options.count)
            for name in test_damage.READERS
        ]
    publish(
        "hostile_sizes",
        ["hostile file", "bytes", "answer", "s of a processor", "MB"],
        greedy,
        ["torch", "numpy", "pyyaml"],
        ["s: of the reader alone. MB: what the process grew while it read."],
    )
    wrong = sum(row[2] for row in damaged)
    publish(
        "hostile_damage",
        ["reader", "damaged copies", "wrong answers", "s"],
        damaged,
        ["torch", "numpy", "pandas", "pyarrow", "av"],
        [
            f"{wrong} of {options.count * len(damaged):,} damaged files, seed {options.seed}, were "
            "answered with anything but a value or a clear error."
        ],
    )


def _kinds(place: Path):
    for name, (text, _) in test_documents.HOSTILE.items():
        yield f"YAML: {name}", len(text), lambda text=text: documents.yaml_value(text, "here")
    for name, content in test_pickles.GREEDY.items():
        path = files.write_bytes(place / "greedy.pkl", content)
        yield f"pickle: {name}", len(content), lambda path=path: pickles.read(path)
    for name, content in test_checkpoints.GREEDY.items():
        for zipped in (True, False):
            path = test_checkpoints.program(place / "greedy.pt", content, zipped)
            kind = "weights, zip" if zipped else "weights, old form"
            yield f"{kind}: {name}", path.stat().st_size, lambda path=path: published.read(path)


def _cost(name: str, size: int, read) -> tuple:
    before, started = memory("RssAnon"), time.process_time()
    with Watch() as watch:
        try:
            read()
            answer = "read"
        except InputError:
            answer = "refused"
    seconds = time.process_time() - started
    return name, f"{size:,}", answer, f"{seconds:.3f}", f"{max(0.0, watch.most - before):.0f}"


def _answers(name: str, place: Path, seed: int, count: int) -> tuple:
    place.mkdir()
    started = time.perf_counter()
    wrong = test_damage.wrong_answers(name, place, seed, count)
    return name, count, len(wrong), f"{time.perf_counter() - started:.1f}"


if __name__ == "__main__":
    main()
