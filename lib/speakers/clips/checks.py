"""Results of checks of a tree of clips: what was checked, what was expected, and every failure by
name.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from ...errors import InputError
from ...media import pictures

MAX_LISTED = 12  # numbers of missing pictures that one message lists


@dataclass
class Checks:
    """Rows (check, expected, found), failures (check, where, what); places without `root`."""

    root: str = ""
    rows: list[dict] = field(default_factory=list)
    failures: list[dict] = field(default_factory=list)

    def compare(self, check: str, expected: object, value: object, where: object = "") -> None:
        self.rows.append({"check": check, "expected": expected, "found": value})
        if expected != value:
            self.fail(check, where, f"{value}, expected {expected}")

    def fail(self, check: str, where: object, what: str) -> None:
        self.failures.append({"check": check, "where": str(where), "what": what})

    def table(self) -> pd.DataFrame:
        """Columns check, expected, found, ok."""
        failed = {failure["check"] for failure in self.failures}
        return pd.DataFrame(
            [row | {"ok": row["check"] not in failed} for row in self.rows],
            columns=["check", "expected", "found", "ok"],
        )

    def failure_table(self) -> pd.DataFrame:
        """Columns check, where, what; one row per failure."""
        failures = pd.DataFrame(self.failures, columns=["check", "where", "what"])
        return failures.assign(
            where=[where.removeprefix(f"{self.root}/") for where in failures["where"]]
        )

    def errors(self) -> list[tuple[str, InputError]]:
        """(check, error) pairs, for ``run.record(lost=…)``."""
        todo, pairs = "python -m lib clips all, or mend it", []
        for failure in self.failures:
            error = InputError(failure["what"], where=failure["where"], todo=todo)
            pairs.append((failure["check"], error))
        return pairs


def same(checks: Checks, check: str, expected: set[str], present: set[str], where: object) -> None:
    """Names that should be in a place against those that are."""
    checks.rows.append({"check": check, "expected": len(expected), "found": len(present)})
    for name in sorted(expected - present):
        checks.fail(check, where, f"{name} is missing")
    for name in sorted(present - expected):
        checks.fail(check, where, f"{name} should not be there")


def numbers(expected: set[int], there: set[int], where: object, check: str, checks: Checks) -> None:
    """Numbers of the pictures that should be in a place against those that are."""
    for wrong, what in (
        (sorted(expected - there), "missing"),
        (sorted(there - expected), "too many"),
    ):
        if wrong:
            names = ", ".join(pictures.PATTERN % number for number in wrong[:MAX_LISTED])
            checks.fail(
                check,
                where,
                f"{len(wrong)} pictures {what}: {names}{', …' if len(wrong) > MAX_LISTED else ''}",
            )
