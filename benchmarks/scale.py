"""What sharing many trials costs beside the work: `mapping.map` with a function that does next to
nothing (`len`).

    python benchmarks/scale.py [--trials 10000] [--ways processes cluster]

By two processes of this machine, and by two workers of a Dask cluster as notebooks use it under
``lib run --cluster``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import report

from lib.parallel import dask_workers, mapping, remote

MOST = 20.0  # ms per trial
WORKERS = 2
WAYS = ("processes", "cluster")


def row(way: str, trials: int) -> list[str]:
    """Map over so many trials; a row of the table."""
    wall, processor, before = time.perf_counter(), time.process_time(), report.memory("RssAnon")
    outcomes = mapping.map(len, [f"trial_{k}" for k in range(trials)], WORKERS)
    assert all(outcome.ok for outcome in outcomes)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return [
        way,
        f"{trials:,}",
        f"{1000 * wall / trials:.2f} (at most {MOST:.0f})",
        f"{1000 * processor / trials:.2f}",
        f"{report.memory('RssAnon') - before:.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    given = parser.parse_args()
    rows = [row("processes", given.trials)] if "processes" in given.ways else []
    if "cluster" in given.ways:
        rows.append(by_cluster(given.trials))
    head = ["way", "trials", "ms per trial", "of it processor of the driver", "memory more, MB"]
    note = f"{WORKERS} workers; the cluster's scheduler is in the driver's process. "
    note += f"Load of the machine (1, 5, 15 minutes): {os.getloadavg()}."
    report.publish("scale", head, rows, ["distributed"], [note])


def by_cluster(trials: int) -> list[str]:
    with dask_workers.local(WORKERS) as cluster:
        there = remote.Remote(cluster.scheduler_address, cluster.scheduler_address)
        with mock.patch.dict(os.environ, there.environment()):
            mapping.map(len, ["first"])  # workers load what they need
            return row("a cluster's workers", trials)


if __name__ == "__main__":
    main()
