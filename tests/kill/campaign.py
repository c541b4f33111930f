"""Kill one command again and again, and compare with a run of it that was never killed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .killing import Case, Course, Moment, start
from .results import differences, snapshot

DELAYS = (0.0, 0.0, 1.0, 5.0, 20.0)  # ms from a change on the disk to the kill
VAIN = 5  # rounds without a kill after which the command is given up: it ends before each of them


@dataclass
class Result:
    """What came of a command's kills.

    hits : stage -> kills in it. writing : kills at a change on the disk. alone : kills of the
    command without what it started. found : differences and refusals, a line each. log : where
    each kill hit.
    """

    name: str
    seconds: float
    changes: int
    kills: int = 0
    rounds: int = 0
    writing: int = 0
    alone: int = 0
    hits: dict[str, int] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


def run(
    case: Case,
    fill: Callable[[], object],
    scratch: Path,
    kills: int,
    at_once: int,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Result:
    """Kill a command `kills` times at least, in rounds of `at_once`; after each round it is run to
    its end and what it left is compared.

    fill : brings its folder to the state before the command. The folder is left as the run that
        was never killed left it, or as the last round did.
    """
    fill()
    right = start(case, scratch)
    if right.status not in case.good:
        raise AssertionError(f"{case.name} ended with {right.status}:\n{right.text}")
    expected, generator = snapshot(case.place), np.random.default_rng(seed)
    result = Result(case.name, right.seconds, sum(changes(right).values()))
    say(f"{case.name}: {right.seconds:.0f} s, {result.changes} changes on the disk")
    vain = 0
    while result.kills < kills and vain < VAIN:
        fill()
        before = result.kills
        for moment in moments(right, at_once, generator):
            _kill(case, scratch, moment, result, say)
        _finish(case, scratch, expected, result, say)
        vain = vain + 1 if result.kills == before else 0
    return result


def _kill(case: Case, scratch: Path, moment: Moment, result: Result, say: Callable) -> None:
    course = start(case, scratch, moment)
    if not course.killed:
        if course.status not in case.good:
            result.found.append(f"{moment}: it ended with {course.status}: {course.text[-500:]}")
        return
    if course.orphans and moment.alone:
        result.found.append(f"{moment}: a process that it started was still there")
    result.kills += 1
    result.hits[course.stage] = result.hits.get(course.stage, 0) + 1
    result.writing += bool(course.hit)
    result.alone += moment.alone
    told = course.hit.replace(str(case.place), "") or f"after {course.seconds:.1f} s"
    result.log.append(f"{course.stage}: {told}")
    say(f"  kill {result.kills} in {course.stage}: {told}")


def _finish(case: Case, scratch: Path, expected: dict, result: Result, say: Callable) -> None:
    """Run it to its end, and compare."""
    course = start(case, scratch)
    result.rounds += 1
    number = f"round {result.rounds}"
    if course.status not in case.good:
        result.found.append(f"{number}: it ended with {course.status}: {course.text[-500:]}")
    lines = [f"{number}: {line}" for line in differences(snapshot(case.place), expected)]
    result.found += lines
    say(f"  {number}: finished in {course.seconds:.0f} s, {len(lines)} differences")
    for line in lines:
        say(f"    {line}")


def lengths(course: Course) -> dict[str, float]:
    """Stage -> seconds that it took."""
    begins = [*(seconds for seconds, _ in course.began.values()), course.seconds]
    pairs = itertools.pairwise(begins)
    return {name: end - begin for name, (begin, end) in zip(course.began, pairs, strict=True)}


def changes(course: Course) -> dict[str, int]:
    """Stage -> changes on the disk in it."""
    counts = [*(number for _, number in course.began.values()), course.changes]
    pairs = itertools.pairwise(counts)
    return {name: end - begin for name, (begin, end) in zip(course.began, pairs, strict=True)}


def moments(course: Course, number: int, generator: np.random.Generator) -> list[Moment]:
    """`number` moments of a round: as many in each stage, in their order, half of them (by chance)
    at a change on the disk. Stages that change nothing on it are left out.
    """
    stages = [name for name, count in changes(course).items() if count]
    places: list[int] = []
    while len(places) < number:
        places += generator.permutation(len(stages)).tolist()
    return [_moment(course, stages[place], generator) for place in sorted(places[:number])]


def _moment(course: Course, stage: str, generator: np.random.Generator) -> Moment:
    seconds, count = lengths(course)[stage], changes(course)[stage]
    if count and generator.random() < 0.5:
        delay = float(generator.choice(DELAYS))
        return Moment(stage, change=int(generator.integers(1, count + 1)), delay=delay)
    alone = bool(generator.random() < 0.3)
    return Moment(stage, seconds=float(generator.uniform(0, seconds)), alone=alone)
