"""Export results for annotation programs: ELAN's ``.eaf`` and Praat's ``.TextGrid``, with a tier
per person and kind of value.
"""

from __future__ import annotations

import mimetypes
import os
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from ..files import named, whole
from ..media.frames import ends
from ..speakers.video import THRESHOLD

THIRD = 1 / 3  # the middle one of three bins reaches from minus this to this
BIN_NAMES = {"valence": ("negative", "neutral", "positive"), "arousal": ("low", "medium", "high")}
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Stretches = list[tuple[float, float, str]]  # start and end in s, what holds in between


def tiers(table: pd.DataFrame) -> dict[str, Stretches]:
    """Tier -> its stretches, in order and without overlap, of a table of people
    (`lib.evaluation.people`).

    For each person: ``<person> speaking``, ``<person> expression``, and valence and arousal in
    three bins; derived ones say so in their names. Frames without a value belong to no stretch.
    """
    out: dict[str, Stretches] = {}
    for person, rows in table.groupby("person", sort=False):
        times = rows["time"].to_numpy(float)
        for name, values in _values(rows).items():
            out[f"{person} {name}"] = _stretches(values, times, ends(times))
    return out


def _values(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Name of a tier -> its label in each frame, "" for none."""
    labels = {}
    if "speaking" in rows:
        speaks = rows["speaking"].to_numpy(float) > THRESHOLD  # false for NaN
        labels["speaking"] = np.where(speaks, "speaking", "")
    labels["expression"] = rows["expression"].fillna("").astype(str).to_numpy(object)
    for name in ("valence", "arousal"):
        for column in (name, f"{name}_derived"):
            if column in rows:
                labels[column.replace("_", " ")] = _binned(
                    rows[column].to_numpy(float), BIN_NAMES[name]
                )
    return labels


def _binned(values: np.ndarray, words: tuple[str, str, str]) -> np.ndarray:
    names = np.array([*words, ""], object)
    bins = np.digitize(values, [-THIRD, THIRD])
    return names[np.where(np.isnan(values), 3, bins)]


def _stretches(values: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> Stretches:
    """Runs of one value in frames that begin and end at these times (T,) in s."""
    changes = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    return [
        (float(starts[first]), float(stops[last - 1]), str(values[first]))
        for first, last in pairwise(changes)
        if last > first and values[first] and stops[last - 1] > starts[first]
    ]


def write(table: pd.DataFrame, video: Path, folder: Path, note: str = "") -> tuple[Path, Path]:
    """``<video>.eaf``, which names the recording, and ``<video>.TextGrid``; returns both paths.

    note : what a user must know of the values; a property of the .eaf, a tier of the .TextGrid.
    """
    by_tier = tiers(table)
    eaf, grid = (named(folder, video.stem, ending) for ending in (".eaf", ".TextGrid"))
    elan = _elan(by_tier, video, folder, note)
    for target, made in ((eaf, elan), (grid, _praat(by_tier, table, note))):
        with whole(target) as part:
            made.to_file(str(part))
    return eaf, grid


def _elan(by_tier: dict[str, Stretches], video: Path, folder: Path, note: str):
    from pympi.Elan import Eaf

    eaf = Eaf(author="affect-notebooks")
    eaf.remove_tier("default")
    address = Path(video).absolute().as_uri()
    kind = mimetypes.guess_type(video.name)[0] or "unknown"
    eaf.add_linked_file(address, relpath=_of_xml(_relative(video, folder)), mimetype=kind)
    eaf.add_property("note", _of_xml(note))
    for tier, stretches in by_tier.items():
        eaf.add_tier(tier)
        for start, end, word in stretches:
            first, last = max(0, round(1000 * start)), round(1000 * end)
            if last > 0:  # ELAN has no times before 0
                eaf.add_annotation(tier, first, max(last, first + 1), word)
    return eaf


def _relative(video: Path, folder: Path) -> str:
    """The recording as seen from the folder of the file that links it, as ELAN writes it; where no
    way leads there (another drive), beside that file.
    """
    try:
        way = os.path.relpath(Path(video).absolute(), Path(folder).absolute())
    except ValueError:
        return f"./{video.name}"
    way = way.replace(os.sep, "/")
    return way if way.startswith("../") else f"./{way}"


def _of_xml(text: str) -> str:
    """A text with � for each sign that XML cannot hold: control characters, halves of pairs."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _praat(by_tier: dict[str, Stretches], table: pd.DataFrame, note: str):
    from pympi.Praat import TextGrid

    times = table["time"].to_numpy(float)
    last = float(ends(np.unique(times))[-1]) if len(times) else 1.0
    grid = TextGrid(xmin=min(0.0, times.min(initial=0.0)), xmax=last)
    for name, stretches in by_tier.items():
        tier = grid.add_tier(name)
        for start, end, word in stretches:
            tier.add_interval(start, end, word, check=False)  # they do not overlap; it is quadratic
    if note:
        words = _of_xml(note).replace('"', "'").replace("\n", "; ")
        grid.add_tier("note").add_interval(grid.xmin, last, words)
    return grid
