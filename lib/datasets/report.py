"""Check report of a data set: counts against expected ones, contradictions (errors), gaps
(warnings).
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ..errors import InputError

PROBLEM = ["severity", "item", "what", "done", "where", "expected", "todo"]
READ = "read so"  # value of `done` if nothing is lost and the message is only information
ROWS_PER_MESSAGE = 3  # items with the same message that a page shows in a row each
# Text of a page instead of a table of problems without rows.
NO_PROBLEMS = "nothing is missing or damaged"


@dataclass
class Report:
    """Collects counts, problems and the inventory of files; nothing is repaired, everything is
    reported.
    """

    counts: list[dict] = field(default_factory=list)
    problems: list[dict] = field(default_factory=list)
    files: list[dict] = field(default_factory=list)

    def count(self, item: str, count: int, expected: tuple[int, ...] = ()) -> None:
        """Note a count, and the right ones (of several releases; empty = unknown)."""
        nearest = min(expected, key=lambda number: abs(number - count), default=float("nan"))
        self.counts.append(
            {
                "item": item,
                "found": count,
                "expected": nearest,
                "state": _state(count, nearest) if expected else "not known",
                "releases": ", ".join(map(str, expected)),
            }
        )

    def error(self, item: str, what: str, done: str, **details: str) -> None:
        """Report a contradiction: `what` is wrong with `item`, and what was `done` about it.

        details : `where`, `expected` and `todo`, as in an InputError.
        """
        self._add("error", item, what, done, details)

    def warning(self, item: str, what: str, done: str, **details: str) -> None:
        """Report a missing counterpart or something unusual."""
        self._add("warning", item, what, done, details)

    def fault(self, item: str, error: InputError, done: str) -> None:
        """Report an InputError that a file raised; its traceback goes into failures.csv."""
        self.error(
            item,
            error.what,
            done,
            where=error.where,
            expected=error.expected,
            todo=error.todo,
            traceback=traceback_of(error),
        )

    def passed_over(self, path: Path, notes: Iterable[str]) -> None:
        """Report what a reader noted of a table: lines that are no row, quotation marks."""
        for note in notes:
            self.warning(path.name, note, "the rest is read", where=str(path))

    def note(self, file: str, what: str, why: str = "", right: str = "") -> None:
        """Add a line to the inventory: a file or folder, relative to the data root, and what it is
        used as; or why it is not used, and what would be right.
        """
        self.files.append({"file": file, "what": what, "why": why, "right": right})

    def nothing(self, what: str, *, where: object, expected: str, todo: str) -> InputError:
        """The error of a data set of which nothing is left. It ends the work before the problems
        are shown, so that it holds the first of them, which tell more than `expected` and `todo`.
        """
        if not self.problems:
            return InputError(what, where=where, expected=expected, todo=todo)
        first = sorted(self.problems, key=lambda row: row["severity"])[:ROWS_PER_MESSAGE]
        told = "; ".join(f"{row['item']} {row['what']} ({row['where']})" for row in first)
        more = len(self.problems) - len(first)
        return InputError(
            f"{what} that can be used: {told}{f'; and {more} more problems' if more else ''}",
            where=where,
            expected=first[0]["expected"] or expected,
            todo=first[0]["todo"] or todo,
        )

    def _add(self, severity: str, item: str, what: str, done: str, details: dict) -> None:
        self.problems.append(
            {
                "severity": severity,
                "item": item,
                "what": what,
                "done": done,
                "where": "",
                "expected": "",
                "todo": "",
                "traceback": "",
                **details,
            }
        )

    def count_table(self) -> pd.DataFrame:
        """Columns item, found, expected (of the nearest release), state, releases (every number
        that is right).
        """
        return pd.DataFrame(self.counts, columns=["item", "found", "expected", "state", "releases"])

    def file_table(self) -> pd.DataFrame:
        """Columns file, what (it was used as, or "not used"), why, right; what is not used
        first.
        """
        files = pd.DataFrame(self.files, columns=["file", "what", "why", "right"])
        files = files.assign(used=files["what"] != "not used")
        return files.sort_values(["used", "file"]).drop(columns="used").reset_index(drop=True)

    def problem_table(self) -> pd.DataFrame:
        """Columns severity, item, what, done, where, expected, todo; errors first, then losses and
        open decisions, then mere information.
        """
        problems = pd.DataFrame(self.problems, columns=PROBLEM)
        problems = problems.assign(told=problems["done"] == READ)
        problems = problems.sort_values(["severity", "told", "item"], kind="stable")
        problems = problems.drop(columns="told").reset_index(drop=True)
        problems.attrs["nothing"] = NO_PROBLEMS
        return problems

    def problem_page(self) -> pd.DataFrame:
        """`problem_table` for people: a message on over `ROWS_PER_MESSAGE` items is one row."""
        table = self.problem_table()
        same = ["severity", "what", "done", "expected", "todo"]
        rows = []
        for _, group in table.groupby(same, sort=False, dropna=False):
            if len(group) <= ROWS_PER_MESSAGE:
                rows += [(index, row) for index, row in group.iterrows()]
                continue
            first = group.iloc[0].copy()
            shown = ", ".join(group["item"].astype(str)[:ROWS_PER_MESSAGE])
            first["item"] = f"{len(group)}: {shown}, … (all in data_report.csv)"
            first["where"] = f"{first['where']}, …"
            rows.append((group.index[0], first))
        rows = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
        page = pd.DataFrame(rows, columns=PROBLEM).reset_index(drop=True)
        page.attrs["nothing"] = NO_PROBLEMS
        return page

    def failures(self) -> list[tuple[str, InputError]]:
        """The errors as (item, error) pairs, for ``run.record(lost=…)``."""
        return [(row["item"], _error(row)) for row in self.problems if row["severity"] == "error"]


def _error(row: dict) -> InputError:
    error = InputError(
        f"{row['what']} ({row['done']})",
        where=row["where"],
        expected=row["expected"],
        todo=row["todo"] or "mend or replace it",
    )
    error.traceback = row["traceback"]
    return error


def traceback_of(error: InputError) -> str:
    """The traceback of a caught error as text, "" for one that was never raised."""
    return error.traceback or (
        "".join(traceback.format_exception(error)) if error.__traceback__ else ""
    )


def _state(count: int, expected: float) -> str:
    """How a count compares to the nearest right one."""
    if count == expected:
        return "ok"
    return "missing" if count < expected else "extra"
