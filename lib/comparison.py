"""Compare runs: one table of CCC with intervals, raw and smoothed, and the trivial predictors below it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lib import runs
from lib.errors import InputError
from lib.metrics import EMOTIONS, ccc_table
from lib.trials import SYNTHETIC_NOTE


@dataclass(frozen=True)
class Comparison:
    """`table` (one row a run or baseline), the same as `text` for a terminal, and the `files` written."""

    table: pd.DataFrame
    text: str
    files: list[Path]


def compare(folders: list[Path], target: Path, split: str = "val") -> Comparison:
    """Read metrics.json of runs; write comparison.csv, .html and .png into `target`.

    Arguments
    ---------
    folders : run folders. Others (no metrics.json) are left out and named.
    split : "val" or "test".

    Raises InputError when not one of them has been evaluated.
    """
    there = [folder for folder in map(Path, folders) if folder.is_dir()]
    found = {folder: runs.Run(folder).read_json("metrics.json") for folder in there}
    evaluated = {folder: metrics for folder, metrics in found.items() if metrics and metrics.get(split)}
    if not evaluated:
        raise InputError("no metrics.json", where=", ".join(map(str, folders)), expected="evaluated runs",
                         todo="python -m lib run params/<name>.yaml, up to 06_inference")
    rows = [_run_row(folder, metrics, split) for folder, metrics in evaluated.items()]
    baselines = _baselines(list(evaluated.values()))
    table = pd.DataFrame(rows + [_baseline_row(name, scores) for name, scores in baselines.items()])
    plotted = ccc_table({folder.name: metrics[split] for folder, metrics in evaluated.items()}, baselines)
    notes = _notes(evaluated, [folder for folder in found if folder not in evaluated], split)
    text = "\n".join([_for_terminal(table), *notes])
    return Comparison(table, text, _write(table, plotted, notes, Path(target)))


def _run_row(folder: Path, metrics: dict, split: str) -> dict:
    p = runs.parameters(folder)
    row = {"name": folder.name, "recipe": p.get("recipe", ""), "modality": p.get("modality", "")}
    for emotion in EMOTIONS:
        scores = metrics[split].get(emotion, {})
        low, high = scores.get("ci95") or (None, None)
        row |= {emotion: scores.get("ccc"), f"{emotion}_low": low, f"{emotion}_high": high,
                f"{emotion}_smoothed": metrics.get(f"{split}_smoothed", {}).get(emotion, {}).get("ccc")}
    scores = metrics[split].get("valence", {})
    return {**row, "frames": scores.get("n_frames"), "trials": scores.get("n_trials"),
            "epoch": metrics.get("epoch"), "rules": metrics.get("rules", p.get("rules", ""))}


def _baselines(all_metrics: list[dict]) -> dict[str, dict]:
    """Trivial predictors, each once: runs on the same data have the same; where they differ, all are kept."""
    found: dict[str, dict] = {}
    for metrics in all_metrics:
        for name, scores in metrics.get("baselines", {}).items():
            if not scores.keys() & set(EMOTIONS):  # of another task
                continue
            number, unique = 1, name
            while unique in found and found[unique] != scores:
                number += 1
                unique = f"{name} ({number})"
            found[unique] = scores
    return found


def _baseline_row(name: str, scores: dict) -> dict:
    plain = {emotion: value.get("ccc") if isinstance(value, dict) else value for emotion, value in scores.items()}
    return {"name": name, "recipe": "baseline", **{emotion: plain.get(emotion) for emotion in EMOTIONS}}


def _notes(evaluated: dict, left_out: list[Path], split: str) -> list[str]:
    notes = [f"CCC on {split}, all labelled frames together; [95 % interval by bootstrap over trials]; "
             "smoothed: width chosen on val"]
    sizes = {(m[split].get("valence", {}).get("n_frames"), m[split].get("valence", {}).get("n_trials"))
             for m in evaluated.values()}
    if len(sizes) > 1:
        notes.append("the runs were evaluated on different frames: their numbers cannot be compared")
    if left_out:
        notes.append(f"not evaluated: {', '.join(folder.name for folder in left_out)}")
    if any(metrics.get("synthetic") for metrics in evaluated.values()):
        notes.append(SYNTHETIC_NOTE)
    return notes


def _for_terminal(table: pd.DataFrame) -> str:
    shown = pd.DataFrame({"run": table["name"], "modality": _column(table, "modality")})
    for emotion in EMOTIONS:
        shown[emotion] = [_with_interval(row, emotion) for row in table.to_dict("records")]
    for emotion in EMOTIONS:
        shown[f"{emotion} smoothed"] = [_number(value) for value in _column(table, f"{emotion}_smoothed")]
    for name in ("frames", "trials", "epoch"):
        shown[name] = ["" if pd.isna(value) or value == "" else str(int(value)) for value in _column(table, name)]
    return shown.to_string(index=False)


def _column(table: pd.DataFrame, name: str) -> list:
    return ["" if value is None or value != value else value for value in table.get(name, [""] * len(table))]


def _with_interval(row: dict, emotion: str) -> str:
    low, high = row.get(f"{emotion}_low"), row.get(f"{emotion}_high")
    interval = f" [{_number(low)}, {_number(high)}]" if not pd.isna(low) and not pd.isna(high) else ""
    return _number(row.get(emotion)) + interval


def _number(value: object) -> str:
    # + 0.0: what rounds to nothing is written 0.00, not -0.00.
    return "" if value == "" or pd.isna(value) else f"{round(value, 2) + 0.0:.2f}"


def _write(table: pd.DataFrame, plotted: pd.DataFrame, notes: list[str], target: Path) -> list[Path]:
    from lib import plots

    folder = runs.Run(target)
    files = [folder.write_text("comparison.csv", table.to_csv(index=False))]
    picture = folder.path("comparison.png")
    axes = plots.ccc_table_plot(plotted, note=SYNTHETIC_NOTE if SYNTHETIC_NOTE in notes else "")
    axes[0].figure.savefig(picture, dpi=150, bbox_inches="tight")
    body = table.to_html(index=False, na_rep="", float_format="{:.3f}".format, border=0)
    lines = "".join(f"<p>{note}</p>" for note in notes)
    page = (f'<!doctype html><meta charset="utf-8"><title>Comparison of runs</title>'
            f'<style>body{{font:15px sans-serif;margin:2em}}td,th{{padding:.2em .7em;text-align:right}}</style>'
            f'<h1>Comparison of runs</h1>{body}{lines}<img src="{picture.name}" width="800" alt="CCC of the runs">')
    return [*files, folder.write_text("comparison.html", page), picture]
