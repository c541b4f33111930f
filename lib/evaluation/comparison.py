"""Compare runs: one table of CCC with intervals, raw and smoothed; the difference of each run from
a reference on the same trials; several seeds of one experiment as one row; and the trivial
predictors.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import filterfalse
from pathlib import Path

import pandas as pd

from .. import runs
from ..errors import InputError
from ..files import clear_leftovers, damaged, write_bytes
from ..grammar import all_declared, unchanged
from ..intervals import in_brackets, rounded
from ..metrics import EMOTIONS, TASKS, ccc_table, main_score
from ..plots.html import Html, page
from ..trials import SYNTHETIC_NOTE, noted
from . import comparison_rows
from .comparison_rows import OF_TASKS
from .predictions import EVALUATE, Predictions

MAX_EXACT_NUMBER = 2**53  # larger than any score or count; larger integers are not exact in float64
OWN = "comparison"  # the files that a comparison writes, before their suffixes
DRAWN = 60  # runs in the picture; more are illegible


@dataclass(frozen=True)
class Comparison:
    """`table` (a row per run or baseline), its `text` for a terminal, the `files` written, and the
    runs `lost`, whose scores are there and cannot be read.
    """

    table: pd.DataFrame
    text: str
    files: list[Path]
    lost: list[str]


def compare(folders: list[Path], target: Path, split: str = "val", against: str = "") -> Comparison:
    """Read metrics.json of runs; write comparison.csv, .html and .png into `target`.

    Arguments
    ---------
    folders : run folders. Others (no metrics.json) are left out and named.
    split : "val" or "test".
    against : name of the reference run for the differences; by default, and for runs that were
        scored on other frames than it, the first run that was scored on the same frames.

    Raises InputError if none of them has been evaluated, or if none is called `against`.
    """
    with unchanged():
        return _compare(folders, target, split, against)


def _compare(folders: list[Path], target: Path, split: str, against: str) -> Comparison:
    evaluated, left_out = _evaluated(folders, split)
    _check_reference(against, evaluated)
    groups = _groups(evaluated, split)
    table = comparison_rows.table(evaluated, groups, split, against)
    notes = _notes(evaluated, groups, left_out, split, table)
    several, scores = len(set(groups.values())) > 1, {}
    for folder, metrics in evaluated.items():
        letter = f" ({groups[folder]})" if several else ""
        if metrics[split].keys() & set(EMOTIONS):  # the picture is of CCC
            scores[f"{folder.name}{letter}"] = metrics[split]
    shown, few = _drawn(scores)
    notes += few
    plotted = ccc_table(shown, comparison_rows.baselines(list(evaluated.values())))
    text = "\n".join([_for_terminal(_blocks(table)), *notes])
    lost = [folder.name for folder, why in left_out.items() if why is not None]
    return Comparison(table, text, _write(table, plotted, notes, Path(target)), lost)


def _drawn(named: dict[str, dict]) -> tuple[dict[str, dict], list[str]]:
    """The runs that the picture shows, in their order, and the sentence about the others."""
    if len(named) <= DRAWN:
        return named, []
    best = sorted(named, key=lambda name: _mean_of(named[name]), reverse=True)[:DRAWN]
    sentence = f"the picture shows the {DRAWN} of {len(named)} runs with the highest mean CCC"
    return {name: named[name] for name in named if name in set(best)}, [sentence]


def _mean_of(scores: dict) -> float:
    known = [(scores.get(emotion) or {}).get("ccc") for emotion in EMOTIONS]
    known = [value for value in known if value is not None and value == value]
    return sum(known) / len(known) if known else -math.inf


def _check_reference(against: str, evaluated: dict) -> None:
    names = [folder.name for folder in evaluated]
    if against and against not in names:
        raise InputError(
            f"no evaluated run is called {against!r}",
            expected=", ".join(names),
            todo="name one of the runs that are compared",
        )


def tables(
    folders: list[Path], split: str = "val", against: str = "", carried: Predictions | None = None
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """The comparison for a notebook, without files: heading -> table of comparable runs, and the
    remarks.

    carried : the predictions of one of the runs, if they are in memory.
    """
    try:
        evaluated, left_out = _evaluated(folders, split)
    except InputError:
        return {}, [f"no run has been evaluated on {split}"]
    groups = _groups(evaluated, split)
    table = comparison_rows.table(evaluated, groups, split, against, carried)
    blocks = _blocks(table)
    synthetic = {folder.name for folder, metrics in evaluated.items() if metrics.get("synthetic")}
    for block in blocks.values():
        noted(block, bool(synthetic & _single_runs(table, block["run"])))
    return blocks, _notes(evaluated, groups, left_out, split, table)


def _evaluated(folders: list[Path], split: str) -> tuple[dict[Path, dict], dict[Path, object]]:
    """Folder -> metrics of the runs with a score on this split; for the other run folders the error
    of a damaged one, or None.
    """
    once: dict[Path, Path] = {}  # a run may be named twice, as `a` and `runs/a`, or by a link
    for folder in map(Path, folders):
        once.setdefault(folder.resolve(), folder)
    # `runs/*` names what an earlier comparison wrote, too.
    given = [path for path in once.values() if not (path.is_file() and path.stem == OWN)]
    outcomes = {folder: _metrics(folder, split) for folder in given}
    evaluated = {
        folder: metrics
        for folder, metrics in outcomes.items()
        if isinstance(metrics, dict) and metrics.get(split)
    }
    if not evaluated and (broken := _broken(outcomes)):
        raise broken[0]
    if not evaluated:
        scored = any(isinstance(metrics, dict) and metrics for metrics in outcomes.values())
        only_files = bool(given) and all(path.is_file() for path in given)
        absent = "only files, and no run folder" if only_files else "no metrics.json"
        raise InputError(
            f"no scores of {split}" if scored else absent,
            where=", ".join(map(str, folders)),
            expected="the folders of evaluated runs, as runs/sample_jca or runs/*",
            todo="python -m lib run params/<name>.yaml, up to 06_inference"
            + (f"; {split} has a score where it has labels and is among `splits`" * scored),
        )
    return evaluated, {
        folder: metrics if isinstance(metrics, InputError) else None
        for folder, metrics in outcomes.items()
        if folder not in evaluated
    }


def _broken(outcomes: dict[Path, object]) -> list[InputError]:
    return [outcome for outcome in outcomes.values() if isinstance(outcome, InputError)]


def _metrics(folder: Path, split: str) -> dict | InputError | None:
    """A run's metrics.json, None without one; for a damaged run the error, so that the others can
    still be compared.
    """
    try:
        if folder.is_file():
            return None
        if not folder.is_dir():
            raise InputError("there is no such folder", where=folder, todo="correct its name")
        metrics = runs.Run(folder).read_json("metrics.json")
        if metrics and metrics.get(split):
            require_scores(folder / "metrics.json", metrics, split)
            runs.parameters(folder)
            comparison_rows.seconds(folder)
        return metrics
    except InputError as error:
        return error


def require_scores(path: Path, metrics: dict, split: str) -> None:
    """Raise InputError if the scores in a metrics.json are not numbers."""
    groups = [metrics[split], metrics.get(f"{split}_smoothed", {}), metrics.get("baselines", {})]
    if not all(isinstance(group, dict) for group in groups):
        raise damaged(path, f"{split} holds no scores", EVALUATE)
    numbers = [metrics.get("epoch"), metrics.get("n_weights")]
    for group in groups[:2]:
        for name in group.keys() & {*EMOTIONS, "mean"}:
            numbers += numbers_of(group[name], ("ccc", "n_frames", "n_trials"))
        for name in group.keys() & TASKS.keys():
            numbers += numbers_of(group[name], (main_score(group[name]), "n_frames", "n_trials"))
    for scores in groups[2].values():
        scores = scores if isinstance(scores, dict) else {"valence": "no scores"}
        entries = [scores[name] for name in EMOTIONS if name in scores]
        numbers += [value.get("ccc") if isinstance(value, dict) else value for value in entries]
        entries = [scores[name] for name in TASKS if name in scores]
        numbers += [value[main_score(value)] for value in entries if main_score(value)]
    rules = metrics.get("rules", "")
    numbers += [] if isinstance(rules, str) else [rules]
    for number in filterfalse(is_number, numbers):
        raise damaged(path, f"{str(number)[:40]!r} where a number belongs", EVALUATE)


def is_number(value: object) -> bool:
    """Whether a value of a metrics.json is a number, or None, which stands for no score."""
    return isinstance(value, int | float | None) and not abs(value or 0) > MAX_EXACT_NUMBER


def numbers_of(entry: object, names: Iterable[str]) -> list:
    """The values that must be numbers in one entry of scores: those of `names`, and its interval's
    bounds. What is no number stands for an entry or an interval of another form.
    """
    if not isinstance(entry, dict):
        return ["no scores"]
    bounds = entry.get("ci95") or []
    if not isinstance(bounds, list) or len(bounds) not in (0, 2):
        return ["no interval"]
    return [*map(entry.get, names), *bounds]


def _groups(evaluated: dict, split: str) -> dict[Path, str]:
    """Folder -> letter: runs of one letter were evaluated on the same frames, by their files."""
    letters: dict[str, str] = {}
    groups = {}
    for folder, metrics in evaluated.items():
        what = _evaluated_on(folder, metrics, split)
        if what not in letters:
            letters[what] = _letter(len(letters))
        groups[folder] = letters[what]
    return groups


def _letter(number: int) -> str:
    """A to Z, then "group 27" and so on; `number` counts from 0."""
    return chr(ord("A") + number) if number < 26 else f"group {number + 1}"


def _evaluated_on(folder: Path, metrics: dict, split: str) -> str:
    p, default = runs.parameters(folder), _defaults()
    dataset = p.get("dataset", "a data set that its run does not name")
    for name in sorted(p):  # another fold or sample set may have the same number of frames
        of_sample = name.startswith("sample_") and p.get("dataset", "").startswith("sample")
        if (name == "fold" or of_sample) and p[name] != default.get(name):
            dataset += f", {name} {p[name]}"
    entries = comparison_rows.scored(metrics[split]).values()
    counts = {(scores.get("n_frames"), scores.get("n_trials")) for scores in entries}
    ordered = sorted(counts, key=str)  # a count may be unknown
    sizes = ", ".join(_size(*count) for count in ordered) or "no score"
    return f"{dataset}, {split}: {sizes}"


def _size(frames: int | None, trials: int | None) -> str:
    if frames is None:
        return "an unknown number of labelled frames"
    if frames == trials:
        return f"{trials} labelled recordings"
    return f"{frames} labelled frames of {trials} trials"


@cache
def _defaults() -> dict:
    return {name: declaration.default for name, declaration in all_declared().items()}


def _notes(
    evaluated: dict,
    groups: dict[Path, str],
    left_out: dict[Path, object],
    split: str,
    table: pd.DataFrame,
) -> list[str]:
    notes = [_about_scores(table, split)]
    data_sets = {
        letter: _evaluated_on(folder, evaluated[folder], split) for folder, letter in groups.items()
    }
    notes += [f"data {letter}: {what}" for letter, what in data_sets.items()]
    if len(data_sets) > 1:
        notes.append(
            "the runs were evaluated on different frames: numbers of different letters cannot be "
            "compared"
        )
    notes += _about_differences(table) + _about_seeds(table)
    if len(evaluated) > 1:
        unpaired = table.attrs["unpaired"].items()
        again = "remove its folder predictions, and run its notebook 06 again"
        notes += [f"without Δ: {name}: {why}; {again}" for name, why in unpaired]
    for folder, metrics in evaluated.items():
        if metrics.get("shared") and split == "val":
            notes.append(_about_shared(folder.name, metrics))
    if len({metrics.get("rules") for metrics in evaluated.values()}) > 1:
        notes.append(
            "runs by different rules are in this table: corrected scores count labelled frames "
            "only, as the "
            "others here do; val_zero_filled in metrics.json is what the authors' code would report"
        )
    notes += _about_left_out(left_out) + _about_nameless(evaluated)
    if any(metrics.get("synthetic") for metrics in evaluated.values()):
        notes.append(SYNTHETIC_NOTE)
    return notes


def _about_scores(table: pd.DataFrame, split: str) -> str:
    parts, of_tasks = [], _of_tasks(table)
    if _has_va(table):
        parts.append(f"CCC on {split}, all labelled frames together")
    if of_tasks:
        parts.append(f"{', '.join(of_tasks.values())} on {split}")
    parts.append("[95 % interval over subjects or trials]")
    if _has_va(table):
        parts += ["mean: of both", "smoothed: width chosen on val"]
    return "; ".join([*parts, "s/epoch: training alone, on the machine of that run"])


def _of_tasks(table: pd.DataFrame) -> dict[str, str]:
    """Columns of scores of other tasks that a run has, and how they are headed."""
    return {name: title for name, title in OF_TASKS.items() if any(_known(table, name))}


def _has_va(table: pd.DataFrame) -> bool:
    """Whether columns of valence and arousal are shown: unless only other tasks have scores."""
    known = any(any(_known(table, emotion)) for emotion in EMOTIONS)
    return known or not _of_tasks(table)


def _about_left_out(left_out: dict[Path, object]) -> list[str]:
    """Runs without scores, and those whose files are damaged, each with its reason."""
    absent = [folder for folder, why in left_out.items() if why is None]
    files = [str(path) for path in absent if path.is_file()]
    notes = [f"files, and no run folders: {', '.join(files)}"] if files else []
    names = [folder.name for folder in absent if not folder.is_file()]
    notes += [f"not evaluated: {', '.join(names)}"] if names else []
    for folder, why in left_out.items():
        if why is not None:
            notes.append(f"left out: {folder.name}: {why.what} ({why.where}): {why.todo}")
    return notes


def _about_nameless(evaluated: Iterable[Path]) -> list[str]:
    """Runs whose parameters are lost."""
    names = [folder.name for folder in evaluated if not runs.parameters(folder)]
    if not names:
        return []
    return [
        f"{', '.join(names)}: without params.yaml, so that method, parameters and data set are not "
        "known: copy it from where the run was made"
    ]


def _about_shared(name: str, metrics: dict) -> str:
    """Which val trials are of people or recordings that a run knew, and its scores without."""
    shared, rest = metrics["shared"], metrics.get("val_without_shared", {})
    listed = ", ".join(f"{trial} ({why})" for trial, why in list(shared.items())[:5])
    listed += ", …" if len(shared) > 5 else ""
    known = [key for key in (*EMOTIONS, "mean") if rest.get(key, {}).get("ccc") is not None]
    scores = ", ".join(f"{key} {rounded(rest[key]['ccc'])}" for key in known)
    without = f"CCC without them: {scores}" if scores else "no other is labelled"
    return (
        f"{name}: {len(shared)} of its val trials are of people or recordings that it learnt from, "
        f"too: {listed}; {without}"
    )


def _about_differences(table: pd.DataFrame) -> list[str]:
    references = [name for name in dict.fromkeys(_column(table, "reference")) if name]
    if not references:
        return []
    note = (
        f"Δ: CCC minus that of {' or '.join(references)}, on the same trials, each subject left "
        "out of both; where the interval holds 0, these data do not show which is better; each "
        "interval is of one comparison, and of many some miss"
    )
    compared = table[[name != "" for name in _column(table, "reference")]]
    if "" in _column(compared, "mean_above_low"):
        note += "; without an interval (docs/intervals.md says when) Δ is of these trials alone"
    return [note]


def _about_seeds(table: pd.DataFrame) -> list[str]:
    """Remarks on the runs behind each row of several seeds."""
    notes, rows = [], table.to_dict("records")
    parts: dict[str, list[str]] = {}
    for row in rows:
        text = f"{row['name']} {rounded(_main(row))}"
        parts.setdefault(row.get("part_of", ""), []).append(text)
    for row in rows:
        if pd.notna(row.get("seeds")):
            text = ", ".join(parts[row["name"]])
            notes.append(
                f"{row['name']}: mean ± standard deviation over seeds [95 % interval over seeds "
                f"and subjects or trials]; {'mean CCC' if pd.notna(row['mean']) else 'score'} of "
                f"each: {text}"
            )
    return notes


def _main(row: dict) -> float | None:
    """The mean CCC of a row, else its score of another task."""
    values = [row.get(name) for name in ("mean", *OF_TASKS)]
    return next((value for value in values if value is not None and value == value), None)


def _single_runs(table: pd.DataFrame, shown: pd.Series) -> set[str]:
    """Names of the runs that stand in these rows, those behind several seeds, too."""
    parts = table.get("part_of", pd.Series("", table.index))
    return {*shown, *table["name"][parts.isin(set(shown))]}


def _for_terminal(blocks: dict[str, pd.DataFrame]) -> str:
    shown = {heading: block.to_string(index=False) for heading, block in blocks.items()}
    return "\n\n".join(
        f"{heading}\n{text}" if len(shown) > 1 else text for heading, text in shown.items()
    )


def _blocks(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """One block per letter: runs that were evaluated on different frames never share a column."""
    letters = [letter for letter in dict.fromkeys(_column(table, "data")) if letter]
    if len(letters) < 2:
        return {f"data {letters[0]}": _block(table)}
    baseline = table[[value == "baseline" for value in _column(table, "recipe")]]
    blocks = {f"data {letter}": _block(table[table["data"] == letter]) for letter in letters}
    return blocks | ({"trivial predictors": _block(baseline)} if len(baseline) else {})


def _block(table: pd.DataFrame) -> pd.DataFrame:
    """The columns as text; runs that are part of a row of several seeds are left out."""
    table = table[[name == "" for name in _column(table, "part_of")]]
    shown = pd.DataFrame({"run": table["name"].to_list()})
    for name, column in (("method", "recipe"), ("modality", "modality"), ("rules", "rules")):
        shown[name] = _column(table, column)
    shown["parameters"] = [_counted(value) for value in _column(table, "n_weights")]
    emotions = EMOTIONS if _has_va(table) else ()
    of_emotions = (*emotions, "mean") if emotions else ()
    titles = {**{name: name for name in of_emotions}, **_of_tasks(table)}
    for name, title in titles.items():
        shown[title] = [_with_interval(row, name) for row in table.to_dict("records")]
    for name in of_emotions:
        if any(value != "" for value in _column(table, f"{name}_above")):
            shown[f"Δ {name}"] = [_difference(row, name) for row in table.to_dict("records")]
    for emotion in emotions:
        shown[f"{emotion} smoothed"] = [
            rounded(value) for value in _column(table, f"{emotion}_smoothed")
        ]
    seconds = _column(table, "seconds_per_epoch")
    shown["s/epoch"] = ["" if value == "" else f"{value:.1f}" for value in seconds]
    for name in ("frames", "trials", "epoch"):
        shown[name] = list(map(_whole, _column(table, name)))
    return shown


def _whole(value: object) -> str:
    return "" if value == "" or pd.isna(value) else str(int(value))


def _counted(value: object) -> str:
    if value == "" or pd.isna(value):
        return ""
    return f"{value / 1e6:.2f} M" if value >= 1e5 else f"{int(value):,}"


def _column(table: pd.DataFrame, name: str) -> list:
    """The values of a column, "" where there is none."""
    if name not in table:
        return [""] * len(table)
    return ["" if value is None or value != value else value for value in table[name]]


def _known(table: pd.DataFrame, name: str) -> list[bool]:
    return [value != "" for value in _column(table, name)]


def _with_interval(row: dict, name: str) -> str:
    value, apart = row.get(name), row.get(f"{name}_over_seeds")
    spread = "" if pd.isna(apart) else f" ± {rounded(apart)}"
    return rounded(value) + spread + _interval(row, name)


def _difference(row: dict, name: str) -> str:
    value = row.get(f"{name}_above")
    if pd.isna(value):
        return ""
    return f"{round(value, 2) + 0.0:+.2f}{_interval(row, f'{name}_above')}"


def _interval(row: dict, name: str) -> str:
    return in_brackets(row.get(f"{name}_low"), row.get(f"{name}_high"))


def _write(
    table: pd.DataFrame, plotted: pd.DataFrame, notes: list[str], target: Path
) -> list[Path]:
    from .. import plots

    folder = runs.Run(target)
    clear_leftovers(target, f".{OWN}.*.part", deep=False)  # of a process that was killed
    files = [folder.write_table(f"{OWN}.csv", table)]
    lines = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    parts = {**_blocks(table), "What the numbers are": Html(lines)}
    pictures = []
    picture = folder.path(f"{OWN}.png")
    if plotted.empty:  # no run has a score of valence or arousal
        picture.unlink(missing_ok=True)
    else:
        axes = plots.ccc_table_plot(plotted, note=SYNTHETIC_NOTE if SYNTHETIC_NOTE in notes else "")
        drawn = plots.png(axes[0], dpi=150, bbox_inches="tight")
        pictures.append(write_bytes(picture, drawn))
        inside = base64.b64encode(drawn).decode()
        words = "CCC of the runs with 95 % intervals"
        image = f"<img src='data:image/png;base64,{inside}' width='800' alt='{words}'>"
        parts[words] = Html(image)
    written = folder.write_text(f"{OWN}.html", page("Comparison of runs", parts))
    return [*files, written, *pictures]
