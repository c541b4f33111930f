"""Results of a sweep: merged scores with intervals, which parameters mattered, pictures of the
grid.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ... import runs
from ...errors import InputError
from ...metrics import EMOTIONS, TASKS, main_score
from . import facts
from . import table as sweeps_table

REPEATS = ("fold", "seed")  # runs that differ in these only are parts of one result
GOOD = ("finished",)
SCORE_NAMES = (*EMOTIONS, "mean", *TASKS)


@dataclass(frozen=True)
class Results:
    """`merged` (a row per result), `mattered` (a row per parameter), as `text`, the `files`."""

    merged: pd.DataFrame
    mattered: pd.DataFrame
    text: str
    files: list[Path]


def finish(folder: Path, with_intervals: bool = True) -> Results:
    """Write results.csv, mattered.csv, results.html and pictures of a sweep; draw its page anew."""
    run, table = runs.Run(folder), sweeps_table.read(folder)
    grid = facts.read(folder)["grid"]
    points = table[[bool(values) for values in _values(run, table)]]
    scores = merged(folder, points, grid, with_intervals)
    causes, note = mattered(points, grid), sweeps_table.note(folder)
    files = [
        run.write_table("results.csv", scores),
        run.write_table("mattered.csv", causes),
        *draw(folder, points, grid, causes, note),
    ]
    run.write_text("results.html", _page(scores, causes, files, folder, note))
    sweeps_table.write(folder)
    return Results(scores, causes, _text(scores, causes, note, sweeps_table.measure(table)), files)


def _values(run: runs.Run, table: pd.DataFrame) -> list[Mapping]:
    known = facts.read(run.folder)["runs"]
    return [known[name]["values"] for name in table["run"]]


# ---- merged
def merged(
    folder: Path, points: pd.DataFrame, grid: Mapping[str, Sequence], with_intervals: bool = True
) -> pd.DataFrame:
    """One row per result: runs that differ only in fold or seed are merged and scored again, with
    an interval.

    Columns: the grid's other parameters, runs, and for each measure (valence, arousal, mean;
    speaking, expression, action_units) its value, low and high; `why` says why there is no score,
    or which runs are missing. Merged runs lie in ``<folder>/merged_…``.
    """
    repeats = next(([name] for name in REPEATS if name in grid), [])
    names = [name for name in grid if name not in repeats]
    groups = points.groupby(names, sort=False) if names else [((), points)]
    rows = []
    for values, group in groups:
        values = values if isinstance(values, tuple) else (values,)
        done = group[group["state"].isin(GOOD)]
        row = {**dict(zip(names, values, strict=True)), "runs": f"{len(done)} of {len(group)}"}
        rows.append(
            row
            | _result(folder, list(done["run"]), [str(value) for value in values], with_intervals)
        )
    return pd.DataFrame(rows)


def _result(folder: Path, names: list[str], values: list[str], with_intervals: bool) -> dict:
    if not names:
        return {"why": "no run is finished"}
    known = facts.read(folder)["runs"]
    folders = [Path(known[name]["folder"]) for name in names]
    target = folder / "_".join(["merged", *values])
    try:
        all_metrics = [sweeps_table.metrics_of(path) for path in folders]
    except InputError as error:
        return {"why": f"{Path(error.where).parent.name}: {error.what}"}
    val = [metrics.get("val") or {} for metrics in all_metrics]
    if not any(scores.get(name) for scores in val for name in EMOTIONS):
        return _mean([_scores(metrics) for metrics in all_metrics])
    try:
        if len(folders) > 1:
            from ...evaluation import merging  # only here: PyTorch comes with it

            merging.join(folders, target, with_intervals=with_intervals)
        return _scores(
            runs.Run(target).read_json("metrics.json", {}) if len(folders) > 1 else all_metrics[0]
        )
    except InputError as error:
        return {"why": error.what}


def _scores(metrics: Mapping) -> dict:
    row = {}
    for name in SCORE_NAMES:
        entry = (metrics.get("val") or {}).get(name) or {}
        key = main_score(entry)
        if key and entry[key] is not None:
            low, high = entry.get("ci95") or (None, None)
            row |= {name: entry[key], f"{name}_low": low, f"{name}_high": high}
    return row or {"why": "no score in metrics.json"}


def _mean(each: Sequence[Mapping]) -> dict:
    """The mean of the scores of runs that cannot be merged (who speaks), without an interval."""
    if len(each) == 1:
        return dict(each[0])
    shared = [name for name in SCORE_NAMES if all(name in scores for scores in each)]
    means = {name: sum(scores[name] for scores in each) / len(each) for name in shared}
    return {
        **means,
        **{f"{name}_{end}": None for name in shared for end in ("low", "high")},
        "why": "mean of the runs" if shared else "no score in metrics.json",
    }


# ---- what mattered
def mattered(points: pd.DataFrame, grid: Mapping[str, Sequence]) -> pd.DataFrame:
    """How much of the scores' variance each parameter of the grid explains by itself (one-way η²),
    largest first.

    Columns: parameter, best (its value with the highest mean), mean_of_best, spread (highest minus
    lowest mean), share (of the variance of all finished points' score; shares of parameters that
    act together do not add to 1).
    """
    known = points[points["score"].notna()]
    rows = []
    for name in [name for name in grid if len(grid[name]) > 1]:
        groups = known.groupby(name, sort=False)["score"]
        means, whole = groups.mean(), known["score"].mean()
        total = float(((known["score"] - whole) ** 2).sum())
        between = float((groups.size() * (means - whole) ** 2).sum())
        if len(means) > 1:
            rows.append(
                {
                    "parameter": name,
                    "best": means.idxmax(),
                    "mean_of_best": means.max(),
                    "spread": means.max() - means.min(),
                    "share": between / total if total else 0.0,
                }
            )
    columns = ["parameter", "best", "mean_of_best", "spread", "share"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        "share", ascending=False, ignore_index=True
    )


def draw(
    folder: Path,
    points: pd.DataFrame,
    grid: Mapping[str, Sequence],
    causes: pd.DataFrame,
    note: str,
) -> list[Path]:
    """A line plot (one parameter varies) or a heat map of the two that mattered most."""
    from ... import plots

    names, measure = list(causes["parameter"]), sweeps_table.measure(points)
    if not names:
        return []
    plots.theme()
    if len(names) == 1:
        ax = plots.grid_line(points, names[0], measure=measure, note=note)
    else:
        down, across = sorted(names[:2], key=lambda name: len(grid[name]), reverse=True)
        ax = plots.grid_heat(points, down, across, measure=measure, note=note)
    return [plots.save(ax, folder / "figures" / "grid.png", close=True)]


# ---- for people
def _text(scores: pd.DataFrame, causes: pd.DataFrame, note: str, measure: str) -> str:
    parts = [
        f"merged: {measure} on val, all labelled frames together [95 % interval over "
        "subjects or trials]",
        _readable(scores).to_string(index=False),
    ]
    if len(causes):
        parts += [
            f"which parameter mattered: share of the variance of the points' {measure}",
            causes.to_string(index=False, float_format="{:.3f}".format),
        ]
    return "\n".join(parts + ([note] if note else []))


def _readable(scores: pd.DataFrame) -> pd.DataFrame:
    """Interval and value in one column; empty columns are left out."""
    shown = scores.copy()
    for name in SCORE_NAMES:
        if name in scores:
            rows = scores.rename(
                columns={name: "score", f"{name}_low": "low", f"{name}_high": "high"}
            )
            shown[name] = [sweeps_table.interval(row) for row in rows.to_dict("records")]
    return shown.drop(columns=[name for name in shown if name.endswith(("_low", "_high"))]).fillna(
        ""
    )


def _page(
    scores: pd.DataFrame, causes: pd.DataFrame, files: list[Path], folder: Path, note: str
) -> str:
    pictures = "".join(
        f'<img src="{html.escape(name)}" alt="scores of the grid" width="600">'
        for name in (path.relative_to(folder).as_posix() for path in files)
        if name.endswith(".png")
    )
    return (
        f"<h2>Merged</h2>{_readable(scores).to_html(index=False, border=0)}<h2>Which parameter "
        "mattered</h2>"
        f"{causes.to_html(index=False, border=0, float_format='{:.3f}'.format)}{pictures}"
        f"<p>{html.escape(note)}</p>"
    )
