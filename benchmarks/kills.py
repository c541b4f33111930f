"""Kill commands at random moments (SIGKILL to all their processes), start them again, and compare
what is there in the end with a run that was never killed: `python benchmarks/kills.py WORK`.

    python benchmarks/kills.py WORK                     # all of them: two hours on two cores
    python benchmarks/kills.py WORK clips merge         # some; the others' rows are kept in WORK

The commands and the comparison are those of tests/kill. The table is printed of all that WORK
holds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import publish

from tests.kill import campaign, cases, results

# Command -> kills at least, and kills before it is run to its end.
PLAN = {
    "weights get": (24, 3),
    "clips": (20, 4),
    "sample_tsav": (24, 16),
    "sample_jca": (10, 12),
    "merge": (12, 8),
    "overlay": (10, 5),
    "sweep": (10, 6),
    "compare": (8, 4),
    "report": (8, 4),
    "export": (8, 4),
    "export-audio": (8, 4),
    "export-labels": (8, 4),
    "code digests": (8, 4),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PLAN))
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    world = cases.World(asked.work.resolve() / "place", asked.work.resolve() / "copies")
    for name in asked.names or PLAN:
        with cases.prepared(world, name) as (case, fill):
            kills, at_once = PLAN[name]
            scratch = asked.work.resolve() / "scratch"
            told = campaign.run(case, fill, scratch, kills, at_once, asked.seed, _say)
        if not told.found:
            world.keep(name)  # for commands that build on it
        place = asked.work / f"{name.replace(' ', '_')}.json"
        place.write_text(json.dumps({**dataclasses.asdict(told), "seed": asked.seed}, indent=1))
    print_table(asked.work)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def print_table(work: Path) -> None:
    files = [work / f"{name.replace(' ', '_')}.json" for name in PLAN]
    told = [json.loads(file.read_text()) for file in files if file.is_file()]
    rows = [_row(each) for each in told]
    kills, found = sum(each["kills"] for each in told), [x for each in told for x in each["found"]]
    volatile = "; ".join(f"{name}: {why}" for name, why in results.VOLATILE.items())
    notes = [
        f"{kills} kills, {len(found)} differences, seeds "
        f"{', '.join(sorted({str(each['seed']) for each in told}))}. "
        "A kill is SIGKILL to the command and all that it started, or (alone) to the command only. "
        "At a change: before the n-th change on the disk (a file opened for writing, renamed, "
        "removed; a folder made) or up to 20 ms after it; the others after a random share of "
        "the stage's seconds. "
        "After the kills of a round the same command is run to its end, and every file is "
        "compared.",
        "",
        f"Left out of the comparison: {volatile}; check-sums of checkpoint files (they hold "
        "seconds); outputs of executed notebooks (cells and how each ended are compared); of "
        "report.html, sweep.html and data_report.html all but headings; contents of logs and "
        "locks; inodes, sizes and times of sources in kept code digests.",
        *found,
    ]
    columns = ["command", "kills", "at a change", "alone", "rounds", "differences"]
    publish("kills", [*columns, "where they hit"], rows, ["torch", "papermill"], notes)


def _row(told: dict) -> tuple:
    where = ", ".join(f"{stage} {number}" for stage, number in told["hits"].items())
    numbers = (told["kills"], told["writing"], told["alone"], told["rounds"], len(told["found"]))
    return (told["name"], *numbers, where)


if __name__ == "__main__":
    main()
