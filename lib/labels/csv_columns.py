"""What the columns of our CSV files mean: unit, range, and when a value is empty.

``columns.json`` stands beside the files of a folder; data_README.md has the same as a table, and a
test holds both equal.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable
from pathlib import Path

import pandas as pd

from .. import files
from ..parallel import locks

NAME = "columns.json"
TIMES = re.compile(r"time|start|end|.+_time")  # columns of s on the clock of a recording
WAIT_SECONDS = 5.0  # s to wait for another process that writes columns.json
REMEDY = "remove it: it is written again with the next table"
UNKNOWN_COLUMN = ("", "", "of a recipe of your own: describe it in lib/labels/csv_columns.py", "")
GIVEN = ("", "text", "a column of the file that names the stretches", "empty there")
NEVER, NO_FACE = "never", "no face was found in this frame"
ONLY_SEES = "no face was found in this frame, and the network uses pictures only"
NOT_LABELLED = "the frame is not labelled"

# Pattern of the name: shown name, unit, range, meaning, empty when.
COLUMNS = {
    r"frame": ("frame", "", "from 1", "number of the video frame", NEVER),
    r"time": ("time", "s", "from 0", "on the clock of the recording", NEVER),
    r"person": (
        "person",
        "",
        "1, left, right, 1, 2, …",
        "which of several people, from the left",
        "the only one, or who is seen longest",
    ),
    r"face": ("face", "", "1, left, track 7, …", "whose face it is, in *_speakers.csv", NEVER),
    r"track": ("track", "", "from 0", "stretch over which a face was followed", NEVER),
    r"valid": ("valid", "", "0, 1", "1 where the face was found (or only sound is used)", NEVER),
    r"x|y|width|height": (
        "x, y, width, height",
        "px",
        "of the picture as a player shows it",
        "box of the face, from its upper left corner",
        NO_FACE,
    ),
    r"valence|arousal": (
        "valence, arousal",
        "",
        "−1 to 1",
        "predicted, smoothed where a width was chosen on val",
        f"the network did not learn it; or {ONLY_SEES}",
    ),
    r"(valence|arousal)_raw": (
        "valence_raw, arousal_raw",
        "",
        "about −1 to 1",
        "the network's own output, not clipped; scores are made of it, also without a face",
        "the network did not learn it",
    ),
    r"(valence|arousal)_sd": (
        "valence_sd, arousal_sd",
        "",
        "above 0",
        "how far off the network's own output may be: its standard deviation in label units, "
        "calibrated on val trials; ±1.645 of it should hold 90 % of the labels",
        "the network does not predict its uncertainty",
    ),
    r"(valence|arousal)_gate_.+": (
        "valence_gate_pixels …",
        "",
        "0 to 1",
        "weight of a stream in the prediction; those of one emotion add up to 1",
        "never; all are 0 where no stream was observed in the whole window",
    ),
    r"(valence|arousal)_derived": (
        "valence_derived, arousal_derived",
        "",
        "−1 to 1",
        "derived from the expressions' probabilities by a table; not validated",
        NO_FACE,
    ),
    r"expression": (
        "expression",
        "",
        "a number from 0, or a name",
        "the predicted expression",
        ONLY_SEES,
    ),
    r"expression_share": (
        "expression_share",
        "",
        "0 to 1",
        "share of the stretch's valid frames that have its expression",
        "the stretch has no valid frame",
    ),
    r"expression_decided": (
        "expression_decided",
        "",
        "a number from 0",
        "the expression that a trained network predicts, beside the published one's",
        ONLY_SEES,
    ),
    r"expression_\d+": (
        "expression_0 …",
        "",
        "any",
        "logit of each expression, before it is decided",
        NEVER,
    ),
    r"expression_[a-z]+": (
        "expression_happy …",
        "",
        "0 to 1",
        "probability of each expression; they add up to 1",
        NO_FACE,
    ),
    r"person_speaking": (
        "person_speaking",
        "",
        "0.5 to 1",
        "mean probability over a stretch of speech that it is this person who is heard",
        "nobody who is seen speaks in the stretch",
    ),
    r"voice": ("voice", "", "a name", "the most probable class of the voice in the stretch", NEVER),
    r"voice_.+": (
        "voice_happy …",
        "",
        "0 to 1",
        "probability of each class by the voice, in *_voice.csv per stretch of speech; not "
        "validated on anybody who does not act",
        "this person does not speak in this frame",
    ),
    r"joint_from": (
        "joint_from",
        "",
        "face, voice, face and voice",
        "what the joint probabilities are from",
        "neither face nor voice is there",
    ),
    r"joint_.+": (
        "joint_happy …",
        "",
        "0 to 1",
        "probability of each expression by face and voice, weighed by the side of the face (up to "
        "112 px) and by who speaks; not validated",
        "neither face nor voice is there",
    ),
    r"action_unit_\d+": ("action_unit_0 …", "", "0, 1", "the action unit is there", ONLY_SEES),
    r"action_unit_\d+_raw": ("action_unit_0_raw …", "", "any", "logit of the action unit", NEVER),
    r"speaking": (
        "speaking",
        "",
        "0 to 1",
        "probability that this person is heard; in *_speakers.csv 1 where it is decided so",
        "there is no sound, or the face is not seen",
    ),
    r"speaking_(no|yes)_raw": (
        "speaking_no_raw, speaking_yes_raw",
        "",
        "any",
        "logits of who speaks",
        "the face is not seen",
    ),
    r"logit": ("logit", "", "any", "score of who speaks; above 0 speaks", NEVER),
    r"probability|smoothed": (
        "probability, smoothed",
        "",
        "0 to 1",
        "that this face is the one who is heard; averaged over neighbouring frames",
        NEVER,
    ),
    r"label_(valence|arousal)": (
        "label_valence, label_arousal",
        "",
        "−1 to 1",
        "the label",
        NOT_LABELLED,
    ),
    r"label_expression|label_speaking|label_action_unit_\d+": (
        "label_expression, label_action_unit_0 …, label_speaking",
        "",
        "whole numbers; −1 unlabelled",
        "the label",
        NOT_LABELLED,
    ),
    r"trial|recording": ("trial, recording", "", "text", "what the row is of", NEVER),
    r"row": ("row", "", "from 1", "line or entry of the stretch in the file that names it", NEVER),
    r"start|end": ("start, end", "s", "from 0", "the stretch, as its file says", NEVER),
    r"text": ("text", "", "text", "what is said in the stretch", "its file has no text"),
    r"speaker": ("speaker", "", "text", "who speaks in the stretch", "its file names nobody"),
    r"frames": ("frames", "", "from 0", "frames from start up to, not including, end", NEVER),
    r"valid_share": ("valid_share", "", "0 to 1", "share of them that are valid", "there are none"),
    r".+_(mean|median|std|slope|peak|peak_time)": (
        "<value>_mean, _median, _std, _slope, _peak, _peak_time",
        "of the value; slope per s, peak_time s",
        "of the value",
        "over the stretch's valid frames; std with divisor n, slope by least squares, the highest "
        "value and when it is first reached",
        "the stretch has no such frame (slope: fewer than two)",
    ),
    r"note": ("note", "", "text", "remarks on how far to trust the values of this row", "nothing"),
}
FIELDS = ("unit", "range", "meaning", "empty_when")


def is_of_people(columns: Iterable[str]) -> bool:
    """Whether a table describes the faces of named people (`lib.evaluation.people`), and not only a
    trained network's predictions for one person.
    """
    return {"person", "expression", "valence_derived", "arousal_derived"} <= set(columns)


def is_of_frames(columns: Iterable[str]) -> bool:
    """Whether a table is one of ours with a row per frame, that is, predictions and no ratings."""
    return {"frame", "time", "valid"} <= set(columns)


def describe(names: Iterable[str]) -> list[dict]:
    """A mapping per column: name, unit, range, meaning, empty_when."""
    return [{"name": name, **dict(zip(FIELDS, _told(name), strict=True))} for name in names]


def is_described(name: str) -> bool:
    """Whether a column of one of our files is called so."""
    return _told(name) is not UNKNOWN_COLUMN


def digits(name: str, value: float) -> str:
    """A number as our CSV files have it: six significant digits, and of a time in s never less than
    milliseconds, which is what ELAN has. With six digits alone, frames would have the same time
    from 10 000 s on.
    """
    return f"{value:.3f}" if TIMES.fullmatch(name) and abs(value) >= 1000 else f"{value:.6g}"


def as_text(table: pd.DataFrame) -> str:
    """A table as CSV with the numbers' `digits`."""
    times = [name for name in table.select_dtypes("float") if TIMES.fullmatch(name)]
    texts = {
        name: ["" if value != value else digits(name, value) for value in table[name]]
        for name in times
    }
    return table.assign(**texts).to_csv(index=False, float_format="%.6g", lineterminator="\n")


def _told(name: str) -> tuple[str, ...]:
    matches = (fields[1:] for pattern, fields in COLUMNS.items() if re.fullmatch(pattern, name))
    return next(matches, UNKNOWN_COLUMN)


def record(folder: Path, names: Iterable[str], given: Collection[str] = ()) -> Path:
    """Add these columns to ``columns.json`` of a folder; given : those that come from a person's
    own file. Raises InputError if the file is damaged.
    """
    file, names = Path(folder) / NAME, list(names)
    lock = locks.beside(file)
    if _added(_recorded(file), names, given) or lock.is_file():  # it may be of a killed process
        with locks.held(lock, math.inf, remove=True, quiet=WAIT_SECONDS):
            before = _recorded(file)  # including what other processes wrote meanwhile
            rows = [*before, *_added(before, names, given)]
            files.write_text(file, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return file


def _added(before: list[dict], names: list[str], given: Collection[str]) -> list[dict]:
    """What is not described yet."""
    known = {row["name"] for row in before}
    added = describe(name for name in names if name not in known and name not in given)
    fields = dict(zip(FIELDS, GIVEN, strict=True))
    return [*added, *({"name": name, **fields} for name in given if name not in known)]


def _recorded(file: Path) -> list[dict]:
    """What is described already. Raises InputError for a damaged file."""
    if not file.is_file():
        return []
    rows = files.read_json(file, REMEDY)
    have_names = isinstance(rows, list) and all(
        isinstance(row, dict) and isinstance(row.get("name"), str) for row in rows
    )
    if not have_names:
        raise files.damaged(file, "it is no list of columns with their names", REMEDY)
    return rows


def table() -> str:
    """The table of data_README.md."""
    head = "| column | unit | range | meaning | empty when |\n|---|---|---|---|---|\n"
    rows = [[f"`{fields[0]}`", *fields[1:]] for fields in COLUMNS.values()]
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows)
