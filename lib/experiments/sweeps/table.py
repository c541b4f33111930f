"""The table of a sweep, which grows while it runs; it is made from files alone, at any time."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

import pandas as pd

from ... import files, runs
from ...errors import InputError
from ...evaluation import comparison
from ...evaluation.predictions import EVALUATE
from ...intervals import in_brackets, rounded
from ...metrics import EMOTIONS, SHOWN, TASKS, main_score
from ...plots import html as plots_html
from ...trials import SYNTHETIC_NOTE
from . import facts

COLOURS = {
    "finished": "#cfe8cf",
    "running": "#fff3c4",
    "preparing": "#fff3c4",
    "failed": "#f4c7c3",
    "gave up": "#f4c7c3",
    "blocked": "#f4c7c3",
}
OPEN = ("waiting", "running", "preparing")
DECIMALS = 3  # decimals of a score: runs of a sweep lie close together

# Entries of metrics.json, of which the first one present counts.
MEASURED = ("mean", *EMOTIONS, *TASKS)
REFRESH = 5  # s after which a browser loads the page again


def read(folder: Path) -> pd.DataFrame:
    """One row per run: point, the grid's parameters, state, epoch, best, measure, score, low, high,
    seconds, host, ….

    best : of all epochs, on the validation windows of training; score : of notebook 06, every
        labelled frame, with its 95 % interval; measure : what both are, see `score`. Raises
        InputError when there is no sweep in that folder.
    """
    content = facts.read(folder)
    if not content:
        raise InputError(
            "no sweep.json", where=folder, expected="the folder of a sweep, runs/<run>_sweep"
        )
    rows = [_row(folder, name, run, content["grid"]) for name, run in content["runs"].items()]
    return pd.DataFrame(rows)


def _row(folder: Path, name: str, one: Mapping, grid: Mapping) -> dict:
    run_folder, ended = Path(one["folder"]), one["state"] not in OPEN
    beat, _ = _undamaged(lambda: runs.Run(folder).read_json(f"points/{name}.json", {}))
    metrics, damage = _undamaged(lambda: metrics_of(run_folder)) if ended else ({}, "")
    running = one["state"] in ("running", "preparing")
    started = beat.get("started")
    known = running and isinstance(started, int | float)
    since = max(0.0, time.time() - started) if known else 0.0
    epoch, best = _history(run_folder) if one["state"] != "waiting" or one["seconds"] else (0, None)
    row = {
        "run": name,
        **{key: one["values"].get(key, "") for key in grid},
        "state": one["state"],
        "epoch": f"{epoch}/{one.get('epochs')}" if epoch else "",
        "best": best,
    }
    row |= dict(
        zip(
            ("measure", "score", "low", "high"),
            score(metrics),
            strict=True,
        )
    )
    return row | {
        "seconds": round(one["seconds"] + since, 1),
        "tries": one["tries"],
        "host": (beat.get("host", "") if running else one["host"]) or one["host"],
        "why": one["why"] or damage,
    }


def _history(folder: Path) -> tuple[int, float | None]:
    """Epochs done and the best score of them."""
    try:
        history = runs.read_table(folder / "history.csv")
    except InputError:  # absent so far, half written, or damaged
        return 0, None
    best = history["score"].max() if "score" in history else float("nan")
    return len(history), None if pd.isna(best) else float(best)


def _undamaged(read: Callable[[], dict]) -> tuple[dict, str]:
    """What `read` returns; {} and the reason for a damaged file, which costs a row of the table its
    numbers, and not the table.
    """
    try:
        return read(), ""
    except InputError as error:
        return {}, error.what


def metrics_of(folder: Path) -> dict:
    """metrics.json of a run, {} without one. Raises InputError if it is damaged, or if a score in
    it is no number.
    """
    metrics = runs.Run(folder).read_json("metrics.json", {})
    val = metrics.get("val") or {}
    for name in MEASURED:
        entry = (val.get(name) or {}) if isinstance(val, dict) else val
        if not all(map(comparison.is_number, comparison.numbers_of(entry, [main_score(entry)]))):
            path = Path(folder) / "metrics.json"
            raise files.damaged(path, f"no scores: {name}", EVALUATE)
    return metrics


def score(metrics: Mapping) -> tuple[str, float | None, float | None, float | None]:
    """Name of the measure, its value on val, and the interval's bounds; "" and None without a
    score.

    The CCC of valence and arousal, their mean or the one that was learnt; else AP, UAR, macro-F1 or
    mean F1: the main score of the first entry in `MEASURED`.
    """
    val = metrics.get("val") or {}
    for name in MEASURED:
        entry = val.get(name) or {}
        key = main_score(entry)
        if key and entry[key] is not None:
            return SHOWN[key], entry[key], *(entry.get("ci95") or (None, None))
    return "", None, None, None


def measure(table: pd.DataFrame) -> str:
    """Name of the measure in a table; "score" while none is known, and if runs differ in it."""
    measures = {name for name in table["measure"] if name}
    return measures.pop() if len(measures) == 1 else "score"


# ---- for people
def text(table: pd.DataFrame) -> str:
    """The table for a terminal."""
    shown = table.copy()
    shown["score"] = [interval(row) for row in table.to_dict("records")]
    shown["best"] = [rounded(value, DECIMALS) for value in table["best"]]
    shown["seconds"] = [f"{value:.0f}" if value else "" for value in table["seconds"]]
    shown["tries"] = [str(value) if value else "" for value in table["tries"]]
    shown["why"] = [str(value)[:60] for value in table["why"]]
    empty = [name for name in ("why", "tries", "host", "score") if not any(shown[name])]
    counts = table["state"].value_counts()
    return (
        _headed(shown.drop(columns=empty)).to_string(index=False)
        + "\n"
        + ", ".join(f"{count} {state}" for state, count in counts.items())
    )


def _headed(shown: pd.DataFrame) -> pd.DataFrame:
    """The table with the name of the measure in the headings of `best` and `score`, unless runs
    differ in it.
    """
    name, differ = measure(shown), shown["measure"].replace("", pd.NA).nunique() > 1
    return shown.drop(columns=["low", "high"] if differ else ["measure", "low", "high"]).rename(
        columns={"best": f"best {name}", "score": name}
    )


def interval(row: Mapping) -> str:
    """``0.431 [0.300, 0.512]`` of a row with score, low and high."""
    return rounded(row["score"], DECIMALS) + in_brackets(row["low"], row["high"], DECIMALS)


def write(folder: Path) -> pd.DataFrame:
    """Write ``sweep.csv`` and ``sweep.html`` anew; returns the table."""
    table, run = read(folder), runs.Run(folder)
    run.write_table("sweep.csv", table)
    run.write_text("sweep.html", page(folder, table))
    return table


def page(folder: Path, table: pd.DataFrame) -> str:
    """sweep.html: the table, at the end results and pictures. It reloads itself while it runs."""
    about = facts.read(folder, ("files", "cluster", "started", "ended"))
    said = f"started {about['started']}, " + (
        f"ended {about['ended']}" if about["ended"] else "running"
    )
    results = folder / "results.html"
    more = results.read_text(encoding="utf-8") if about["ended"] and results.is_file() else ""
    heading = html.escape(
        f"{said}; files: {', '.join(map(str, about['files']))}; workers: {about['cluster']}"
    )
    return plots_html.page(
        folder.name,
        {"": plots_html.Html(f"<p>{heading}</p>{as_html(table)}{more}")},
        reload=0 if about["ended"] else REFRESH,
    )


def as_html(table: pd.DataFrame) -> str:
    """The table with its states in colour."""
    shown = _headed(
        table.assign(
            score=[interval(row) for row in table.to_dict("records")],
            best=[rounded(value, DECIMALS) for value in table["best"]],
        )
    )
    head = "".join(f"<th>{html.escape(name)}</th>" for name in shown)
    rows = "".join(map(_html_of, shown.to_dict("records")))
    return f"<table><tr>{head}</tr>{rows}</table>"


def _html_of(row: Mapping) -> str:
    """A line of the table."""
    cells = "".join(f"<td>{html.escape(str(value))}</td>" for value in row.values())
    colour = COLOURS.get(row["state"], "none")
    return f'<tr style="background:{colour}">{cells}</tr>'


def show(folder: Path, follow: bool = False, interval: float = 2.0):
    """For a notebook cell: ``table.show("runs/sample_jca_sweep")``; the last expression of the cell
    shows it.

    follow : draw the table again every `interval` s until the sweep has ended (interrupt the kernel
        to stop).
    """
    from IPython.display import HTML, display

    folder = Path(folder)
    if not follow:
        return HTML(as_html(read(folder)))
    handle = display(HTML(as_html(read(folder))), display_id=True)
    while not facts.read(folder, ["ended"])["ended"]:
        time.sleep(interval)
        handle.update(HTML(as_html(read(folder))))
    return None


class Screen:
    """Keeps files and terminal up to date; called with the folder. On a terminal the table is
    redrawn in place, a log gets lines.
    """

    def __init__(self, stream: TextIO | None = None, live: bool | None = None):
        self.stream = stream or sys.stdout
        self.live = self.stream.isatty() if live is None else live
        self.height = 0

    def tell(self, line: str) -> None:
        """A line for each event; on a terminal the table below is drawn anew."""
        self._clear()
        self.stream.write(f"{time.strftime('%H:%M:%S')} {line}\n")
        self.stream.flush()

    def __call__(self, folder: Path) -> None:
        table = write(folder)
        if self.live:
            self._clear()
            lines = text(table)
            self.stream.write(f"{lines}\n")
            self.stream.flush()
            self.height = lines.count("\n") + 1

    def _clear(self) -> None:
        if self.live and self.height:
            self.stream.write(f"\x1b[{self.height}F\x1b[J")
            self.height = 0


def note(folder: Path) -> str:
    """The sentence about networks trained on sample data if a run of the sweep was; else ""."""
    for point in facts.read(folder)["runs"].values():
        metrics, _ = _undamaged(lambda path=point["folder"]: metrics_of(path))
        if metrics.get("synthetic"):
            return SYNTHETIC_NOTE
    return ""
