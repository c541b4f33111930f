"""The tables of benchmarks/ravdess.py, from the probabilities that each fold of each seed wrote."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import ravdess_floor as floor
import report

from lib import intervals, metrics
from lib.datasets import ravdess

FIRST = (
    "Acted speech: two sentences, spoken by 24 actors, in North American English. Nothing here "
    "says anything about how people speak when they do not act."
)
PACKAGES = ("torch", "numpy", "scipy", "av")
SHUFFLES = 5
CLASSES = len(ravdess.CLASSES)
FOLDS = tuple(range(len(ravdess.FOLDS)))
FEW = "no interval"  # of less than eight actors
PUBLISHED = "mfcc_chroma"  # features that ResLSTM-SA was published with
USUAL = "voice"  # features of the networks where no others are named


def kind(network: str, features: str = USUAL, change: str = "") -> str:
    """Name of the folder with all folds and seeds of a network that reads some features."""
    named = "" if features == USUAL else features
    return "_".join(filter(None, [network, named, change]))


def runs(
    work: Path, kind: str, file: str = "probabilities.csv", folds: Sequence[int] = FOLDS
) -> dict[int, pd.DataFrame]:
    """Seed -> one row per recording of some folds, sorted by name, of the seeds in which all of
    these are finished.
    """
    found: dict[int, list[pd.DataFrame]] = {}
    for path in sorted((work / kind).glob(f"seed*_fold*/{file}")):
        seed, fold = re.fullmatch(r"seed(\d+)_fold(\d+)", path.parent.name).groups()
        if int(fold) in folds:
            found.setdefault(int(seed), []).append(pd.read_csv(path))
    return {
        seed: pd.concat(parts).sort_values("trial").reset_index(drop=True)
        for seed, parts in sorted(found.items())
        if len(parts) == len(folds)
    }


def chosen(rows: pd.DataFrame) -> np.ndarray:
    """(N,) class with the highest probability."""
    return rows[list(ravdess.CLASSES)].to_numpy().argmax(axis=1)


def averaged(seeds: dict[int, pd.DataFrame]) -> pd.DataFrame:
    """The mean of the seeds' probabilities."""
    first = next(iter(seeds.values()))
    shares = [rows[list(ravdess.CLASSES)].to_numpy() for rows in seeds.values()]
    return first.assign(**dict(zip(ravdess.CLASSES, np.mean(shares, axis=0).T, strict=True)))


def interval(predicted: np.ndarray, labels: np.ndarray, actors: np.ndarray) -> str:
    """95 % interval of the UAR over actors."""
    groups = [(predicted[actors == actor], labels[actors == actor]) for actor in np.unique(actors)]
    ends = metrics.interval(groups, metrics.uar)["ci95"]
    return "–".join(f"{end:.3f}" for end in ends) if ends else FEW


def row(name: str, predicted: np.ndarray, labels: np.ndarray, actors: np.ndarray) -> list:
    """name, UAR, interval, accuracy; for one set of 1440 predictions."""
    score = metrics.uar(predicted, labels)
    accuracy = (predicted == labels).mean()
    return [name, f"**{score:.3f}**", interval(predicted, labels, actors), f"{accuracy:.3f}"]


def of_seeds(name: str, seeds: dict[int, pd.DataFrame]) -> list[list]:
    """A row of the mean over seeds, and one of their averaged probabilities; one for one seed."""
    labels = next(iter(seeds.values()))["label"].to_numpy()
    actors = actors_of(next(iter(seeds.values())))
    if len(seeds) == 1:
        return [row(f"{name}, one seed", chosen(averaged(seeds)), labels, actors)]
    scores = np.array([metrics.uar(chosen(rows), labels) for rows in seeds.values()])
    accuracy = np.mean([(chosen(rows) == labels).mean() for rows in seeds.values()])
    each = ", ".join(f"{score:.3f}" for score in scores)
    told = f"**{scores.mean():.3f} ± {scores.std(ddof=1):.3f}**"
    first = [f"{name}, mean of {len(seeds)} seeds", told, f"seeds: {each}", f"{accuracy:.3f}"]
    together = row(f"{name}, probabilities averaged", chosen(averaged(seeds)), labels, actors)
    return [first, together]


def actors_of(rows: pd.DataFrame) -> np.ndarray:
    """(N,) actor of each recording."""
    return np.array([ravdess.facts(name).actor for name in rows["trial"]])


def floors(data: Path, work: Path) -> list[list]:
    """Rows of the ridge regressions; kept in a file, as they take a minute."""
    path = work / "floors.json"
    if not path.is_file():
        table, _ = ravdess.find(data)
        table = table.sort_values("trial").reset_index(drop=True)
        path.write_text(json.dumps(_floors(floor.features(data, table), table), indent=1))
    return json.loads(path.read_text())


def _floors(x: np.ndarray, table: pd.DataFrame) -> list[list]:
    actors = actors_of(table)
    labels = np.array([ravdess.facts(name).label for name in table["trial"]])
    own = floor.of_speakers(x, actors)
    rows = [
        row("floor: 100 statistics, ridge", floor.crossed(x, table, labels), labels, actors),
        row(
            "the same, normalised per actor (needs the test actor's recordings)",
            floor.crossed(own, table, labels),
            labels,
            actors,
        ),
    ]
    scores = []
    for seed in range(SHUFFLES):
        mixed = floor.shuffled(labels, actors, seed)
        scores.append(metrics.uar(floor.crossed(x, table, mixed), mixed))
    told = f"{np.mean(scores):.3f} ± {np.std(scores, ddof=1):.3f}"
    name = f"the same, labels shuffled within each actor, {SHUFFLES} times"
    return [*rows, [name, told, "", ""]]


def recalls(seeds: dict[int, pd.DataFrame]) -> list[list]:
    """Recall of each class, mean over seeds, and of the averaged probabilities."""
    labels = next(iter(seeds.values()))["label"].to_numpy()
    together = chosen(averaged(seeds))
    rows = []
    for number, name in enumerate(ravdess.CLASSES):
        known = labels == number
        each = [(chosen(part)[known] == number).mean() for part in seeds.values()]
        most = np.bincount(together[known & (together != number)], minlength=CLASSES).argmax()
        rows.append(
            [
                name,
                int(known.sum()),
                f"{np.mean(each):.3f}",
                f"{(together[known] == number).mean():.3f}",
                ravdess.CLASSES[most],
            ]
        )
    return rows


def parts(seeds: dict[int, pd.DataFrame]) -> list[list]:
    """UAR among women and men, strong and normal intensity, and in each fold: mean over seeds."""
    first = next(iter(seeds.values()))
    labels, facts = first["label"].to_numpy(), [ravdess.facts(name) for name in first["trial"]]
    strong = np.array([fact.strong for fact in facts])
    woman, actors = np.array([fact.woman for fact in facts]), actors_of(first)
    groups = {
        "women": woman,
        "men": ~woman,
        "strong (no neutral in it)": strong,
        "normal, without neutral": ~strong & (labels > 0),
        "normal, with neutral": ~strong,
    }
    for number, members in enumerate(ravdess.FOLDS):
        groups[f"fold {number + 1}: actors {', '.join(map(str, members))}"] = np.isin(
            actors, members
        )
    together, rows = chosen(averaged(seeds)), []
    for name, use in groups.items():
        each = [metrics.uar(chosen(part)[use], labels[use]) for part in seeds.values()]
        both = metrics.uar(together[use], labels[use])
        rows.append([name, int(use.sum()), f"{np.mean(each):.3f}", f"{both:.3f}"])
    return rows


def confusion(seeds: dict[int, pd.DataFrame]) -> list[list]:
    """Of the averaged probabilities: a row per true class, in shares."""
    labels, together = next(iter(seeds.values()))["label"].to_numpy(), chosen(averaged(seeds))
    rows = []
    for number, name in enumerate(ravdess.CLASSES):
        counts = np.bincount(together[labels == number], minlength=CLASSES)
        rows.append([name, *(f"{share:.2f}" for share in counts / counts.sum())])
    return rows


def markdown(columns: list[str], rows: list[list]) -> list[str]:
    """A table as lines."""
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return [*lines, *("| " + " | ".join(map(str, values)) + " |" for values in rows), ""]


def paired(
    first: dict[int, pd.DataFrame], second: dict[int, pd.DataFrame], names: str
) -> list[str]:
    """How much better the probabilities of one network are, averaged over the seeds that both
    networks have, with an interval over actors. names : of both, as a sentence has them.
    """
    both = sorted(first.keys() & second.keys())
    rows, other = (averaged({seed: seeds[seed] for seed in both}) for seeds in (first, second))
    labels, actors = rows["label"].to_numpy(), actors_of(rows)
    mine, theirs = chosen(rows), chosen(other)
    left_out = [
        metrics.uar(mine[use], labels[use]) - metrics.uar(theirs[use], labels[use])
        for use in (actors != actor for actor in np.unique(actors))
    ]
    gain = metrics.uar(mine, labels) - metrics.uar(theirs, labels)
    ends = intervals.around(gain, left_out)["ci95"]
    which = f"seeds {', '.join(map(str, both))} of each, averaged" if len(both) > 1 else "one seed"
    told = f"{names}, paired by actor ({which}):"
    return [f"{told} {gain:+.3f} [{between(ends)}].", ""]


def between(ends: Sequence[float] | None) -> str:
    """The ends of an interval of a difference; said where there is none."""
    return ", ".join(f"{end:+.3f}" for end in ends) if ends else FEW


def publish(data: Path, work: Path) -> str:
    """Print the tables, keep them with today's date under benchmarks/results, and return them.

    Details are those of the first network. Without ours the file has another name, and no floors.
    """
    seeds, other = runs(work, "utterance"), runs(work, "res_lstm_sa")
    own = runs(work, kind("res_lstm_sa", PUBLISHED))
    mixed, equal = runs(work, "utterance_shuffled"), runs(work, "utterance_equal_levels")
    rows = of_seeds("utterance network", seeds) if seeds else []
    rows += of_seeds("ResLSTM-SA-h64 on the same features", other) if other else []
    rows += of_seeds("ResLSTM-SA-h64 on the 46 features it was published with", own) if own else []
    rows += of_seeds("utterance network, every recording equally loud", equal) if equal else []
    rows += of_seeds("utterance network, labels shuffled within each actor", mixed) if mixed else []
    columns = ["method", "UAR", "95 % over actors", "accuracy"]
    name = "ravdess" if seeds else "ravdess_res_lstm_sa"
    lines = [f"# {name}", "", FIRST, "", report.machine(PACKAGES), ""]
    lines += markdown(columns, rows + (floors(data, work) if seeds else []))
    names = "The first network against ResLSTM-SA-h64"
    lines += paired(seeds, other, names) if seeds.keys() & other.keys() else []
    lines += paired(seeds, own, f"{names} on its own") if seeds.keys() & own.keys() else []
    if seeds := seeds or own:
        both = ["recordings", "mean of seeds", "averaged"]
        lines += ["Recall of each class:", ""]
        lines += markdown(["class", *both, "most taken for"], recalls(seeds))
        lines += ["UAR of parts of the recordings:", "", *markdown(["part", *both], parts(seeds))]
        lines += ["Averaged probabilities, shares of each true class (rows):", ""]
        lines += markdown(["", *ravdess.CLASSES], confusion(seeds))
    lines += [
        "UAR: mean of the recall of the eight classes over all 1440 recordings together, each "
        "predicted by the fold that did not learn from its actor. ± is the deviation over seeds "
        "(n − 1). Intervals: each of the 24 actors is left out in turn (docs/intervals.md).",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    report.RESULTS.mkdir(exist_ok=True)
    (report.RESULTS / f"{time.strftime('%Y-%m-%d')}_{name}.md").write_text(text)
    return text
