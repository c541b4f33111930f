"""How busy the workers of a real SLURM are, on one node, as `lib run --cluster` starts and feeds
them.

    python benchmarks/cluster_scale.py waited [--trials 2000] [--waits 0.25 0.5 1.0]
    python benchmarks/cluster_scale.py computed [--trials 2000] [--minutes 10] [--workers 2]
                                                [--seconds 1]

As root, with Debian's slurm-wlm and munge: `tests/cluster/slurm_node.sh` makes the scheduler, and
it is taken down at the end.

*Waited*: eight jobs of a worker each, whose items sleep a known time, as one that waits for a disk
or a GPU does; so the share of time that they are busy shows what our hand-out and Dask cost, and
not what this machine's processors can do. *Computed*: as many short recordings as the minutes
allow, of which two jobs (or --workers) really make `time`, `face` and `mel`. A trial is one of 60
recordings of 1 s (--seconds), under a name of its own. On a machine that others use as well,
`nice -n -10` before the first one keeps their work out of the numbers; the table says so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import report
import yaml

from lib.datasets import affwild2
from lib.datasets.samples import affect
from lib.experiments import preparing, sharing
from lib.parallel import mapping
from lib.store import Store, request

NODE = ROOT / "tests" / "cluster" / "slurm_node.sh"
LEAST = 85.0  # % of the time that workers should be busy
WORKERS = 8
RECORDINGS = 60
ARRAYS = [request("time"), request("face", size=32), request("mel")]
JOB = {"kind": "slurm", "cores": 1, "memory": "1500MB", "gpus": 0, "interface": "lo"}
ABOUT_COMPUTED = (
    f"Each trial's `time`, `face` and `mel` are really made; the trials are {RECORDINGS} "
    "recordings of {:g} s under many names. Driver and scheduler need the same processors, which "
    "were busy {:.0f} % of the time; a worker is busy while it has an item, also where it waits "
    "for a processor."
)
PROBE = 40  # trials that tell how many the minutes allow
HEAD = ["", "workers", "trials", "s of each", "all s", "busy, %", "of the driver, ms per trial"]


@contextlib.contextmanager
def scheduler(place: Path) -> Iterator[None]:
    """A SLURM of this machine alone, while the block lasts."""
    subprocess.run(["bash", NODE, "start", place], check=True)
    with mock.patch.dict(os.environ, {"SLURM_CONF": str(place / "slurm.conf")}):
        try:
            yield
        finally:
            subprocess.run(["scancel", "--user=root"])
            subprocess.run(["bash", NODE, "stop", place], check=True)


@contextlib.contextmanager
def jobs(place: Path, count: int) -> Iterator[float]:
    """So many jobs, all of whose workers stand: the seconds that took."""
    file = place / f"{count}.yaml"
    spec = {**JOB, "workers": count, "walltime": "01:00:00", "logs": str(place / "logs")}
    file.write_text(yaml.safe_dump(spec))
    with sharing.opened(sharing.roles((str(file),)), print) as keepers:
        began = time.perf_counter()
        while len(keepers[0].cluster.scheduler.workers) < count:
            mapping.map(sleeping(0.2), range(4 * count))
        yield time.perf_counter() - began


def wait(seconds: float, trial: object) -> None:
    """What a worker does that waits for something."""
    time.sleep(seconds)


def sleeping(seconds: float) -> partial:
    """`wait`, by the name under which workers import it."""
    from benchmarks import cluster_scale

    return partial(cluster_scale.wait, seconds)


def row(what: str, workers: int, map_all, each: float = 0.0) -> tuple[list[str], float]:
    """Call `map_all`, which returns outcomes; a row of the table, and seconds per trial.

    each : s that an item is known to take; 0 where its worker measures it.
    """
    wall, processor = time.perf_counter(), time.process_time()
    outcomes = map_all()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    assert all(outcome.ok for outcome in outcomes)
    own = sum(each or outcome.seconds for outcome in outcomes)
    busy = 100 * own / (workers * wall)
    aim = f" (at least {LEAST:.0f})"
    cells = [what, workers, f"{len(outcomes):,}", f"{own / len(outcomes):.3f}", f"{wall:.0f}"]
    cells += [f"{busy:.1f}{aim}", f"{1000 * processor / len(outcomes):.1f}"]
    print(cells, flush=True)
    return list(map(str, cells)), wall / len(outcomes)


def waited(place: Path, trials: int, seconds: list[float]) -> tuple[list[list[str]], str]:
    """Rows of items that sleep, and how long all workers took to stand."""
    rows = []
    with jobs(place, WORKERS) as stood:
        for each in seconds:
            work = partial(mapping.map, sleeping(each), range(trials))
            rows.append(row("waited", WORKERS, work, each)[0])
    told = f"Until all {WORKERS} workers stood: {stood:.0f} s, not counted."
    return rows, f"Items sleep, as if for a disk or a GPU: nothing is computed. {told}"


def computed(
    place: Path, most: int, minutes: float, workers: int, seconds: float
) -> tuple[list[str], float]:
    """The row of items that are real work, and how busy the processors were, in %."""
    root = affect.make(place / "data", trials=RECORDINGS, seconds=seconds, workers=2)
    table, _ = affwild2.find(root, root.name)
    store = Store(place / "processed", root.name, root)
    rows = copies(table.to_dict("records"), PROBE + most)
    p = SimpleNamespace(workers=1, device="cpu", parallel="processes")
    make = partial(preparing.make, requests=ARRAYS, store=store, p=p)
    with jobs(place, workers):
        _, each = row("probe", workers, partial(make, rows[:PROBE]))
        allowed = min(most, int(60 * minutes / each))
        before = processors()
        cells = row("computed", workers, partial(make, rows[PROBE : PROBE + allowed]))[0]
        idle, every = (now - then for now, then in zip(processors(), before, strict=True))
        return cells, 100 * (1 - idle / every)


def processors() -> tuple[int, int]:
    """Ticks that all processors of this machine were idle, and all ticks, since it started."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    return ticks[3] + ticks[4], sum(ticks[:8])


def copies(rows: list[dict], count: int) -> list[dict]:
    """So many trials: the given ones again and again, under other names."""
    found = []
    for number in range(count):
        trial = dict(rows[number % len(rows)])
        for name in ("trial", "video"):
            trial[name] = f"{trial[name]}-{number}"
        found.append(trial)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["waited", "computed"])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--waits", nargs="*", type=float, default=[0.25, 0.5, 1.0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=2, help="of real work")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a recording")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, scheduler(Path(folder) / "node"):
        if given.part == "waited":
            rows, note = waited(Path(folder), given.trials, given.waits)
        else:
            work = given.trials, given.minutes, given.workers, given.seconds
            cells, busy = computed(Path(folder), *work)
            rows, note = [cells], ABOUT_COMPUTED.format(given.seconds, busy)
        asked = subprocess.run(["sinfo", "--version"], capture_output=True, text=True, check=True)
    notes = [
        f"{asked.stdout.strip()}, one node, jobs of one worker each, started and fed as by "
        f"`lib run --cluster`. {note}",
        f"Niceness: {os.getpriority(os.PRIO_PROCESS, 0)}. Load of the machine at the end (1, 5, 15 "
        f"minutes), others' work included: {os.getloadavg()}.",
    ]
    name = f"cluster_scale_{given.part}"
    report.publish(name, HEAD, rows, ["distributed", "dask-jobqueue"], notes)


if __name__ == "__main__":
    main()
