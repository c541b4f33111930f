"""Compare runs: one table of CCC with intervals, raw and smoothed, and the trivial predictors below
it.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from .. import runs
from ..errors import InputError
from ..grammar import all_declared
from ..metrics import EMOTIONS, ccc_table
from ..plots.html import Html, page
from ..trials import SYNTHETIC_NOTE, noted


@dataclass(frozen=True)
class Comparison:
    """`table` (one row a run or baseline), the same as `text` for a terminal, and the `files`
    written.
    """

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
    evaluated, left_out = _evaluated(folders, split)
    groups = _groups(evaluated, split)
    table, notes = _table(evaluated, groups, split), _notes(evaluated, groups, left_out, split)
    named = {
        folder.name + (f" ({groups[folder]})" if len(set(groups.values())) > 1 else ""): metrics[
            split
        ]
        for folder, metrics in evaluated.items()
    }
    plotted = ccc_table(named, _baselines(list(evaluated.values())))
    text = "\n".join([_for_terminal(_blocks(table)), *notes])
    return Comparison(table, text, _write(table, plotted, notes, Path(target)))


def tables(folders: list[Path], split: str = "val") -> tuple[dict[str, pd.DataFrame], list[str]]:
    """The same for a notebook, without files: heading -> table of what can be compared, and the
    sentences below.
    """
    try:
        evaluated, left_out = _evaluated(folders, split)
    except InputError:
        return {}, [f"no run has been evaluated on {split}"]
    groups = _groups(evaluated, split)
    blocks = _blocks(_table(evaluated, groups, split))
    synthetic = {folder.name for folder, found in evaluated.items() if found.get("synthetic")}
    for block in blocks.values():
        noted(block, bool(synthetic & set(block["run"])))
    return blocks, _notes(evaluated, groups, left_out, split)


def _evaluated(folders: list[Path], split: str) -> tuple[dict[Path, dict], list[Path]]:
    """Folder -> metrics of those that have a score on this split, and the other run folders."""
    there = [folder for folder in map(Path, folders) if folder.is_dir()]
    found = {folder: runs.Run(folder).read_json("metrics.json") for folder in there}
    evaluated = {
        folder: metrics for folder, metrics in found.items() if metrics and metrics.get(split)
    }
    if not evaluated:
        raise InputError(
            "no metrics.json",
            where=", ".join(map(str, folders)),
            expected="evaluated runs",
            todo="python -m lib run params/<name>.yaml, up to 06_inference",
        )
    return evaluated, [folder for folder in found if folder not in evaluated]


def _table(evaluated: dict[Path, dict], groups: dict[Path, str], split: str) -> pd.DataFrame:
    rows = [_run_row(folder, metrics, split, groups) for folder, metrics in evaluated.items()]
    baselines = _baselines(list(evaluated.values()))
    return pd.DataFrame(rows + [_baseline_row(name, scores) for name, scores in baselines.items()])


def _groups(evaluated: dict, split: str) -> dict[Path, str]:
    """Folder -> letter: runs of one letter were evaluated on the same frames, by all that the files
    tell.
    """
    letters: dict[str, str] = {}
    found = {folder: _evaluated_on(folder, metrics, split) for folder, metrics in evaluated.items()}
    for what in found.values():
        letters.setdefault(
            what, chr(ord("A") + len(letters)) if len(letters) < 26 else f"group {len(letters) + 1}"
        )
    return {folder: letters[what] for folder, what in found.items()}


def _evaluated_on(folder: Path, metrics: dict, split: str) -> str:
    p, default = runs.parameters(folder), _defaults()
    dataset = p.get("dataset", "a data set without a name")
    # Another fold, or another sample set, may have as many frames.
    names = [
        name
        for name in p
        if name == "fold" or (name.startswith("sample_") and dataset.startswith("sample"))
    ]
    dataset += "".join(
        f", {name} {p[name]}" for name in sorted(names) if p[name] != default.get(name)
    )
    counts = {
        (scores.get("n_frames"), scores.get("n_trials"))
        for name, scores in metrics[split].items()
        if name in EMOTIONS and scores.get("n_frames") != 0
    }  # 0: an emotion that was not learnt
    told = ", ".join(
        f"{frames} labelled frames of {trials} trials" for frames, trials in sorted(counts, key=str)
    )
    return f"{dataset}, {split}: {told or 'no valence and arousal'}"


@cache
def _defaults() -> dict:
    return {name: one.default for name, one in all_declared().items()}


def _run_row(folder: Path, metrics: dict, split: str, groups: dict[Path, str]) -> dict:
    p = runs.parameters(folder)
    row = {
        "name": folder.name,
        "recipe": p.get("recipe", ""),
        "modality": p.get("modality", ""),
        "rules": metrics.get("rules", p.get("rules", "")),
        "data": groups[folder],
    }
    for name in (*EMOTIONS, "mean"):
        scores = metrics[split].get(name, {})
        low, high = scores.get("ci95") or (None, None)
        row |= {name: scores.get("ccc"), f"{name}_low": low, f"{name}_high": high}
    for emotion in EMOTIONS:
        row[f"{emotion}_smoothed"] = (
            metrics.get(f"{split}_smoothed", {}).get(emotion, {}).get("ccc")
        )
    both = [row[emotion] for emotion in EMOTIONS]
    if (
        row["mean"] is None and None not in both
    ):  # of a run from before the mean was kept: without an interval
        row["mean"] = sum(both) / len(both)
    scores = metrics[split].get("valence", {})
    return {
        **row,
        "frames": scores.get("n_frames"),
        "trials": scores.get("n_trials"),
        "epoch": metrics.get("epoch"),
        "n_weights": metrics.get("n_weights"),
        "seconds_per_epoch": _seconds(folder),
    }


def _seconds(folder: Path) -> float | None:
    """Median seconds of a training epoch, validation not counted; None for what was not trained
    here.
    """
    place = folder / "history.csv"
    return float(pd.read_csv(place)["seconds"].median()) if place.is_file() else None


def _baselines(all_metrics: list[dict]) -> dict[str, dict]:
    """Trivial predictors, each once: runs on the same data have the same; where they differ, all
    are kept.
    """
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
    plain = {
        emotion: value.get("ccc") if isinstance(value, dict) else value
        for emotion, value in scores.items()
    }
    both = [plain.get(emotion) for emotion in EMOTIONS]
    mean = sum(both) / len(both) if None not in both else None
    return {
        "name": name,
        "recipe": "baseline",
        "data": "",
        **dict(zip(EMOTIONS, both, strict=True)),
        "mean": mean,
    }


def _notes(evaluated: dict, groups: dict[Path, str], left_out: list[Path], split: str) -> list[str]:
    notes = [
        f"CCC on {split}, all labelled frames together; [95 % interval over subjects or trials]; "
        "mean: of both; "
        "smoothed: width chosen on val; s/epoch: training alone, on the machine of that run"
    ]
    told = {
        letter: _evaluated_on(folder, evaluated[folder], split) for folder, letter in groups.items()
    }
    notes += [f"data {letter}: {what}" for letter, what in told.items()]
    if len(told) > 1:
        notes.append(
            "the runs were evaluated on different frames: numbers of different letters cannot be "
            "compared"
        )
    if len({metrics.get("rules") for metrics in evaluated.values()}) > 1:
        notes.append(
            "runs by different rules are in this table: corrected scores count labelled frames "
            "only, as the "
            "others here do; val_zero_filled in metrics.json is what the authors' code would report"
        )
    if left_out:
        notes.append(f"not evaluated: {', '.join(folder.name for folder in left_out)}")
    if any(metrics.get("synthetic") for metrics in evaluated.values()):
        notes.append(SYNTHETIC_NOTE)
    return notes


def _for_terminal(blocks: dict[str, pd.DataFrame]) -> str:
    shown = {heading: block.to_string(index=False) for heading, block in blocks.items()}
    return "\n\n".join(
        f"{heading}\n{text}" if len(shown) > 1 else text for heading, text in shown.items()
    )


def _blocks(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """One block for each letter: what was evaluated on different frames never stands in one
    column.
    """
    letters = [letter for letter in dict.fromkeys(_column(table, "data")) if letter]
    if len(letters) < 2:
        return {f"data {letters[0]}": _block(table)}
    baseline = table[[value == "baseline" for value in _column(table, "recipe")]]
    blocks = {f"data {letter}": _block(table[table["data"] == letter]) for letter in letters}
    return blocks | ({"trivial predictors": _block(baseline)} if len(baseline) else {})


def _block(table: pd.DataFrame) -> pd.DataFrame:
    shown = pd.DataFrame({"run": table["name"].to_list()})
    for name, column in (("method", "recipe"), ("modality", "modality"), ("rules", "rules")):
        shown[name] = _column(table, column)
    shown["parameters"] = [_counted(value) for value in _column(table, "n_weights")]
    for name in (*EMOTIONS, "mean"):
        shown[name] = [_with_interval(row, name) for row in table.to_dict("records")]
    for emotion in EMOTIONS:
        shown[f"{emotion} smoothed"] = [
            _number(value) for value in _column(table, f"{emotion}_smoothed")
        ]
    shown["s/epoch"] = [
        "" if value == "" else f"{value:.1f}" for value in _column(table, "seconds_per_epoch")
    ]
    for name in ("frames", "trials", "epoch"):
        shown[name] = [
            "" if pd.isna(value) or value == "" else str(int(value))
            for value in _column(table, name)
        ]
    return shown


def _counted(value: object) -> str:
    return (
        ""
        if value == "" or pd.isna(value)
        else f"{value / 1e6:.2f} M"
        if value >= 1e5
        else f"{int(value):,}"
    )


def _column(table: pd.DataFrame, name: str) -> list:
    return [
        "" if value is None or value != value else value
        for value in table.get(name, [""] * len(table))
    ]


def _with_interval(row: dict, emotion: str) -> str:
    low, high = row.get(f"{emotion}_low"), row.get(f"{emotion}_high")
    interval = (
        f" [{_number(low)}, {_number(high)}]" if not pd.isna(low) and not pd.isna(high) else ""
    )
    value = row.get(emotion)
    return _number("" if value is None else value) + interval


def _number(value: object) -> str:
    # + 0.0: what rounds to nothing is written 0.00, not -0.00.
    return "" if value == "" or pd.isna(value) else f"{round(value, 2) + 0.0:.2f}"


def _tables(table: pd.DataFrame) -> str:
    parts = [part for _, part in table.groupby("data", sort=False)]
    how = {"index": False, "na_rep": "", "float_format": "{:.3f}".format, "border": 0}
    return "".join(part.dropna(axis=1, how="all").to_html(**how) for part in parts)


def _write(
    table: pd.DataFrame, plotted: pd.DataFrame, notes: list[str], target: Path
) -> list[Path]:
    from .. import plots

    folder = runs.Run(target)
    files = [folder.write_text("comparison.csv", table.to_csv(index=False))]
    picture = folder.path("comparison.png")
    axes = plots.ccc_table_plot(plotted, note=SYNTHETIC_NOTE if SYNTHETIC_NOTE in notes else "")
    axes[0].figure.savefig(picture, dpi=150, bbox_inches="tight")
    lines = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    shown = f'{_tables(table)}{lines}<img src="{picture.name}" width="800" alt="CCC of the runs">'
    return [
        *files,
        folder.write_text("comparison.html", page("Comparison of runs", {"": Html(shown)})),
        picture,
    ]
