"""Plain files of speaker predictions: AVA-ActiveSpeaker's CSV, and the text files of Ego4D's
tracker and evaluation.

AVA: ``video_id,frame_timestamp,x1,y1,x2,y2,label,entity_id[,score]``, boxes as shares of the
picture. Ego4D, blank between the numbers: ``frame pid x1 y1 x2 y2`` and, after a prediction,
``score label``; ground truth: ``speak`` (0, 1). Specifications: speaker specification §1.4, §1.5,
§3.3.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import InputError
from ..files import write_text
from ..labels.official import read_text
from . import metrics

AVA_COLUMNS = ("video_id", "frame_timestamp", "x1", "y1", "x2", "y2", "label", "entity_id")
AUDIBLE = "SPEAKING_AUDIBLE"
AVA_LABELS = (AUDIBLE, "SPEAKING_NOT_AUDIBLE", "NOT_SPEAKING")
BOX = ("x1", "y1", "x2", "y2")
CLOSE = 1e-9  # largest difference between boxes of ground truth and prediction


def read_ava(path: Path, scores: bool = False) -> pd.DataFrame:
    """Rows of an AVA file, with a column `score` when `scores` (of predictions); a header line is
    optional.

    Raises InputError with the line of what is not a number, of an unknown label, and of a face that
    stands there twice.
    """
    columns = [*AVA_COLUMNS, *(["score"] if scores else [])]
    rows = []
    for number, row in enumerate(csv.reader(io.StringIO(read_text(path))), start=1):
        if row and row[0] != AVA_COLUMNS[0]:
            rows.append(_ava_row(row, columns, f"{path}:{number}"))
    table = pd.DataFrame(rows, columns=columns)
    twice = table[_uids(table).duplicated()]
    if len(twice):
        raise InputError(
            f"face {_uids(twice).iloc[0]} stands there twice",
            where=path,
            expected="one row per face",
            todo="remove one of them",
        )
    return table


def _ava_row(row: list[str], columns: list[str], where: str) -> list:
    if len(row) < len(columns):
        raise InputError(f"{len(row)} columns", where=where, expected=",".join(columns))
    try:
        numbers = [float(value) for value in row[2:6]]
        score = [float(row[8])] if len(columns) > 8 else []
        float(row[1])
    except ValueError as error:
        raise InputError(
            f"not a number: {error}", where=where, expected=",".join(columns)
        ) from error
    if row[6] not in AVA_LABELS:
        raise InputError(f"label {row[6]!r}", where=where, expected=", ".join(AVA_LABELS))
    if not np.isfinite([*numbers, *score]).all():
        raise InputError("a box or score is not finite", where=where)
    return [row[0], row[1], *numbers, row[6], row[7], *score]


def _uids(table: pd.DataFrame) -> pd.Series:
    return table["video_id"] + ":" + table["frame_timestamp"].astype(str) + ":" + table["entity_id"]


def write_ava(path: Path, table: pd.DataFrame) -> Path:
    """Write predictions (columns of AVA, `score`); every label is SPEAKING_AUDIBLE, as asked."""
    rows = table.assign(label=AUDIBLE)[[*AVA_COLUMNS, "score"]]
    return write_text(path, rows.to_csv(index=False))


def ava_ap(truth: pd.DataFrame, predictions: pd.DataFrame) -> dict:
    """{"ap", "ties", "n_frames"} of two tables of `read_ava`, matched by face, never by order.

    Raises InputError when a face of one is not in the other, its box differs, or a prediction is
    not of the label SPEAKING_AUDIBLE, whose score AVA asks for.
    """
    if other := set(predictions["label"]) - {AUDIBLE}:
        raise InputError(
            f"predictions of {', '.join(sorted(other))}",
            expected=f"{AUDIBLE} in every row",
            todo="write the score of speaking for every face, as `write_ava` does",
        )
    truth, scored = (
        table.assign(uid=_uids(table)).set_index("uid") for table in (truth, predictions)
    )
    only = truth.index.symmetric_difference(scored.index)
    if len(only):
        raise InputError(
            f"{len(only)} faces are in one file only, for example {only[0]}",
            expected="a prediction for every face of the ground truth, and no other",
        )
    scored = scored.loc[truth.index]
    apart = np.abs(truth[list(BOX)].to_numpy() - scored[list(BOX)].to_numpy()).max(axis=1)
    if (apart > CLOSE).any():
        raise InputError(
            f"the boxes of {int((apart > CLOSE).sum())} faces differ, for example of "
            f"{truth.index[apart.argmax()]}",
            expected="the boxes of the ground truth",
        )
    labels = (truth["label"] == AUDIBLE).to_numpy().astype(int)
    scores = scored["score"].to_numpy(float)
    return {
        "ap": metrics.ava_ap(scores, labels, np.argsort(np.argsort(truth.index.to_numpy(str)))),
        "ties": metrics.ties(scores),
        "n_frames": len(labels),
    }


# ---- Ego4D
def read_ego4d(path: Path) -> pd.DataFrame:
    """Columns frame, pid, x1, y1, x2, y2 and, where there are more numbers, `score` (7: also ground
    truth) and `label`.

    Raises InputError with the line of what is not a number, and for lines of different lengths.
    """
    lines = [
        (number, line.split())
        for number, line in enumerate(read_text(path).split("\n"), start=1)
        if line.strip()
    ]
    lengths = {len(words) for _, words in lines}
    if lengths - {6, 7, 8} or len(lengths) > 1:
        raise InputError(
            f"lines of {sorted(lengths)} numbers",
            where=path,
            expected="frame pid x1 y1 x2 y2 [score [label]]",
        )
    columns = ["frame", "pid", *BOX, "score", "label"][: max(lengths, default=6)]
    rows = []
    for number, words in lines:
        try:
            rows.append([int(words[0]), words[1], *(float(word) for word in words[2:])])
        except ValueError as error:
            raise InputError(f"not a number: {error}", where=f"{path}:{number}") from error
    return pd.DataFrame(rows, columns=columns)


def write_ego4d(
    path: Path, table: pd.DataFrame, scores: Iterable[str] = ("score", "label")
) -> Path:
    """Write ``frame pid x1 y1 x2 y2 score label``; scores not rounded: ties destroy a ranking."""
    names = ["frame", "pid", *BOX, *(name for name in scores if name in table)]
    lines = (
        " ".join(f"{value:.10g}" if isinstance(value, float) else str(value) for value in row)
        for row in table[names].itertuples(index=False)
    )
    return write_text(path, "".join(f"{line}\n" for line in lines))


def ego4d_map(results: Path, truth: Path, names: Iterable[str]) -> float:
    """Ego4D's mAP@0.5 of ``<results>/<name>.txt`` against ``<truth>/<name>.txt`` (column 7: speaks)
    of the clips named.

    Raises InputError when a clip has no result: one without a face has an empty file.
    """
    detections, speakers = {}, {}
    for name in names:
        if not (Path(results) / f"{name}.txt").is_file():
            raise InputError(
                f"clip {name} has no result",
                where=results,
                expected=f"{name}.txt",
                todo="write an empty file where nobody was found",
            )
        rows = read_ego4d(Path(results) / f"{name}.txt")
        annotated = read_ego4d(Path(truth) / f"{name}.txt")
        if len(rows) and "score" not in rows:
            raise InputError(
                "no scores",
                where=Path(results) / f"{name}.txt",
                expected="frame pid x1 y1 x2 y2 score",
            )
        detections[name] = rows.reindex(columns=["frame", *BOX, "score"]).to_numpy(float)
        speaking = annotated[annotated["score"] == 1] if "score" in annotated else annotated
        speakers[name] = speaking[["frame", *BOX]].to_numpy(float)
    return metrics.ego4d_map(detections, speakers)
