"""Two scores of speaker detection that are never to be compared with each other.

`ava_ap`: faces are given, every face of every frame is scored; the number of AVA-ActiveSpeaker and
of most papers that report "mAP" on Ego4D. `ego4d_map`: faces are found and followed by the method,
too; Ego4D's official mAP@0.5. Both are areas under the same interpolated precision–recall curve
(speaker specification §3.3, §1.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from .. import intervals
from ..errors import InputError
from ..metrics import interval

IOU = 0.5  # overlap from which a face counts as found, Ego4D's own
BINS = 10  # of probabilities, for the calibration error
# px, borders of small, middle and large faces, as AVA-ActiveSpeaker's authors count
FACE_SIZES = (0, 64, 128, np.inf)


def ava_ap(scores: np.ndarray, labels: np.ndarray, uids: Sequence | None = None) -> float:
    """AVA-style average precision, 0…1, of faces that are given. It is not scikit-learn's (which
    interpolates nothing).

    scores : (n,) float, higher = speaks; never rounded before. labels : (n,) 1 or 0; −1 (not
        defined) is left out.
    uids : (n,) sortable names by which ties are ordered; by default the order given. NaN without a
        positive label.
    Raises InputError for a score that is not a number, and for other labels.
    """
    scores, labels, uids = _checked(scores, labels, uids)
    order = np.argsort(-scores, kind="stable") if uids is None else np.lexsort((uids, -scores))
    return _area(labels[order] == 1, int((labels == 1).sum()))


def ties(scores: np.ndarray) -> int:
    """How many scores equal another one: then AVA's reference depends on the order of rows."""
    counts = np.unique(np.asarray(scores), return_counts=True)[1]
    return int(counts[counts > 1].sum())


def _checked(scores, labels, uids):
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if scores.shape != labels.shape or scores.ndim != 1:
        raise InputError(
            f"scores of shape {scores.shape} for labels of shape {labels.shape}",
            expected="one score for every face of every frame",
        )
    if wrong := set(np.unique(labels).tolist()) - {-1, 0, 1}:
        raise InputError(
            f"labels {sorted(wrong)[:3]}", expected="1 speaks, 0 does not, −1 not defined"
        )
    kept = labels >= 0
    if lost := int(np.isnan(scores[kept]).sum()):
        raise InputError(
            f"{lost} labelled faces have no score",
            expected="a score for every labelled face",
            todo="predict every frame; if all are NaN, training has diverged",
        )
    return scores[kept], labels[kept], None if uids is None else np.asarray(uids)[kept]


def _area(hits: np.ndarray, positives: int) -> float:
    """Area under precision made non-increasing from the right; hits (n,) bool by falling score."""
    if not positives:
        return float("nan")
    hit_counts = np.cumsum(hits)
    precision = hit_counts / np.arange(1, len(hits) + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1] if len(hits) else precision
    return float(highest[hits].sum() / positives)  # recall rises by 1/P at each hit, and only there


# ---- faces that are given: AVA's
def speaking_scores(
    labels: Mapping[str, np.ndarray],
    predictions: Mapping[str, np.ndarray],
    videos: Mapping[str, str] | None = None,
    with_intervals: bool = True,
    subjects: Mapping[str, str] | None = None,
) -> dict:
    """{"ap", "ci95", ("why",) "accuracy", "balanced_accuracy", "positive_rate",
    "calibration_error", "ties", "n_frames", "n_trials"}.

    labels, predictions : {trial: (T,)}; label 1, 0 or −1 (NaN in float arrays), prediction a
        probability. videos : {trial: recording}. subjects : {trial: subject}. The interval leaves
        out recordings, since the faces of one share its sound, and all those together in which one
        subject is seen; it is by the arcsine of the AP's root (`lib.intervals`).
    """
    known = {name: _as_labels(values) for name, values in labels.items()}
    names = [name for name, values in known.items() if (values >= 0).any()]
    _refuse_missing(names, predictions)
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault((videos or {}).get(name, name), []).append(name)
    pairs = [_joined(group, predictions, known) for group in groups.values()]
    score, label = map(np.concatenate, zip((np.zeros(0), np.zeros(0, int)), *pairs, strict=True))
    ap = ava_ap(score, label)
    of_trial = dict(zip(names, intervals.units(names, videos or {}, subjects or {}), strict=True))
    unit = [of_trial[group[0]] for group in groups.values()]
    return {
        "ap": None if np.isnan(ap) else ap,
        **(interval(pairs, ava_ap, unit, "share") if with_intervals else {"ci95": None}),
        **_accuracies(score, label),
        "calibration_error": calibration_error(score, label) if (label >= 0).any() else None,
        "ties": ties(score[label >= 0]),
        "n_frames": int((label >= 0).sum()),
        "n_trials": len(names),
    }


def _refuse_missing(names: list[str], predictions: Mapping[str, np.ndarray]) -> None:
    if missing := [name for name in names if name not in predictions]:
        raise InputError(
            "a trial with labels has no prediction",
            where=f"trial {missing[0]}",
            expected="a prediction for every labelled frame",
        )


def _joined(
    names: list[str], predictions: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of the faces of one recording, one after the other."""
    scores = [np.asarray(predictions[name], np.float64) for name in names]
    return np.concatenate(scores), np.concatenate([labels[name] for name in names])


def _as_labels(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind != "f":
        return values
    return np.where(np.isnan(values), -1, values).astype(int)


def _accuracies(score: np.ndarray, label: np.ndarray) -> dict:
    """With many negatives accuracy says little: so two more numbers stand beside it."""
    said, yes, no = score >= 0.5, label == 1, label == 0
    if not (yes.any() and no.any()):
        return {"accuracy": None, "balanced_accuracy": None, "positive_rate": None}
    right = np.where(yes, said, ~said)
    return {
        "accuracy": float(right[yes | no].mean()),
        "positive_rate": float(yes.sum() / (yes | no).sum()),
        "balanced_accuracy": float((right[yes].mean() + right[no].mean()) / 2),
    }


def calibration_error(probability: np.ndarray, labels: np.ndarray) -> float:
    """How far probabilities are from the share of faces that speak: mean over equally wide bins,
    weighted by faces.

    probability : (n,) 0…1. labels : (n,) 1 or 0; −1 is left out.

    0 where a probability says how often it is right; NaN without a label. (Expected calibration
    error, Guo et al., ICML 2017.)
    """
    probability, labels = np.asarray(probability, np.float64), np.asarray(labels)
    probability, labels = probability[labels >= 0], labels[labels >= 0]
    if not len(labels):
        return float("nan")
    bins = np.clip((probability * BINS).astype(int), 0, BINS - 1)
    gaps = np.bincount(bins, probability, BINS) - np.bincount(bins, labels == 1, BINS)
    return float(np.abs(gaps).sum() / len(labels))


def ap_by(
    scores: np.ndarray, labels: np.ndarray, groups: np.ndarray, name: str = "group"
) -> pd.DataFrame:
    """AVA-style AP of each group of faces: `name`, faces, speaking (share), ap (or NaN)."""
    rows = []
    for group in pd.unique(np.asarray(groups)):
        chosen = (np.asarray(groups) == group) & (np.asarray(labels) >= 0)
        if chosen.any():
            speaking = float(np.mean(labels[chosen] == 1))
            rows.append(
                [group, int(chosen.sum()), speaking, ava_ap(scores[chosen], labels[chosen])]
            )
    table = pd.DataFrame(rows, columns=[name, "faces", "speaking", "ap"])
    return table.sort_values(name, ignore_index=True)


def ap_by_size(scores: np.ndarray, labels: np.ndarray, widths: np.ndarray) -> pd.DataFrame:
    """AP of small, middle and large faces; widths : (n,) px of the box."""
    names = np.array(
        [
            f"{low:.0f}–{high:.0f} px" if np.isfinite(high) else f"from {low:.0f} px"
            for low, high in pairwise(FACE_SIZES)
        ]
    )
    return ap_by(scores, labels, names[np.digitize(widths, FACE_SIZES[1:-1])], "face size")


def ap_by_faces(
    scores: np.ndarray, labels: np.ndarray, videos: np.ndarray, frames: np.ndarray
) -> pd.DataFrame:
    """AP by the number of faces that a frame has; videos, frames : (n,) of each face, whole numbers
    or names.
    """
    keys = pd.DataFrame({"video": videos, "frame": frames})
    counts = keys.groupby(["video", "frame"])["frame"].transform("size").to_numpy()
    return ap_by(scores, labels, counts, "faces a frame")


def breakdown(
    labels: Mapping[str, np.ndarray],
    predictions: Mapping[str, np.ndarray],
    boxes: Mapping[str, np.ndarray],
    videos: Mapping[str, str],
) -> dict[str, list[dict]]:
    """`ap_by_size` and `ap_by_faces` of trials as rows for JSON: {"by_size": […], "by_faces": […]},
    None for no AP.

    labels, predictions : as in `speaking_scores`. boxes : {trial: (T, 4)} x, y, width, height, px.
    """
    parts = []
    for name, values in labels.items():
        part = {"video": videos[name], "frame": np.arange(len(values)), "label": _as_labels(values)}
        part |= {"score": predictions[name], "width": boxes[name][:, 2]}
        parts.append(pd.DataFrame(part))
    none = pd.DataFrame(columns=["video", "frame", "label", "score", "width"])
    faces = pd.concat(parts or [none])
    faces = faces[faces["label"] >= 0].astype({"label": int, "score": float, "width": float})
    score, label = faces["score"].to_numpy(), faces["label"].to_numpy()
    tables = {
        "by_size": ap_by_size(score, label, faces["width"].to_numpy()),
        "by_faces": ap_by_faces(score, label, faces["video"].to_numpy(), faces["frame"].to_numpy()),
    }
    return {
        name: table.astype(object).where(table.notna(), None).to_dict("records")
        for name, table in tables.items()
    }


# ---- faces that are found: Ego4D's
def ego4d_map(
    detections: Mapping[str, np.ndarray], speakers: Mapping[str, np.ndarray], iou: float = IOU
) -> float:
    """Ego4D's mAP@0.5 of speakers, with the faces' detection and tracking in it, 0…1.

    detections : {video: (n, 6)} frame, x1, y1, x2, y2, score of **every** face that was found.
    speakers : {video: (m, 5)} frame, x1, y1, x2, y2 of the faces that speak, and no others.

    A detection is a hit if the speaker's box that it overlaps most does so by at least `iou`
    (pixels count inclusively) and no detection of a higher score had it; a face in a frame without
    speakers is a miss. NaN without a speaker. Raises InputError for numbers that are not finite.
    """
    scores, owners, positives = [], [], 0
    for video in sorted({*detections, *speakers}):
        faces = _rows(detections.get(video, np.zeros((0, 6))), 6, video)
        truth = _rows(speakers.get(video, np.zeros((0, 5))), 5, video)
        owner = _best_overlap(faces, truth, iou)
        scores.append(faces[:, 5])
        owners.append(np.where(owner >= 0, owner + positives, -1))
        positives += len(truth)
    score, owner = (np.concatenate(part) if part else np.zeros(0) for part in (scores, owners))
    owner = owner[np.argsort(-score, kind="stable")].astype(np.int64)
    _, first = np.unique(owner, return_index=True)
    hits = np.zeros(len(owner), bool)
    hits[first] = True
    return _area(hits & (owner >= 0), positives)


def _rows(rows: np.ndarray, columns: int, video: str) -> np.ndarray:
    rows = np.asarray(rows, np.float64).reshape(-1, columns)
    if not np.isfinite(rows).all():
        raise InputError(
            "a box or score is not a number",
            where=f"video {video}",
            expected="finite numbers",
            todo="leave such a face out, or predict again",
        )
    return rows


def _best_overlap(detections: np.ndarray, truth: np.ndarray, iou: float) -> np.ndarray:
    """(n,) row of the speaker's box that each detection overlaps most, −1 below `iou`."""
    best, owner = np.full(len(detections), -1.0), np.full(len(detections), -1, np.int64)
    order = np.argsort(truth[:, 0], kind="stable")
    frames = truth[order, 0]
    first = np.searchsorted(frames, detections[:, 0], side="left")
    last = np.searchsorted(frames, detections[:, 0], side="right")
    for nth in range(int((last - first).max(initial=0))):  # as often as a frame has speakers
        rows = np.flatnonzero(first + nth < last)
        candidate = order[first[rows] + nth]
        overlap = _iou(detections[rows, 1:5], truth[candidate, 1:5])
        better = overlap > best[rows]
        best[rows[better]], owner[rows[better]] = overlap[better], candidate[better]
    return np.where(best >= iou, owner, -1)


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) intersection over union of boxes (n, 4); the last pixel counts, as in PASCAL VOC."""
    width, height = (
        np.minimum(a[:, i + 2], b[:, i + 2]) - np.maximum(a[:, i], b[:, i]) + 1 for i in (0, 1)
    )
    both = np.where((width > 0) & (height > 0), width * height, 0.0)
    area = [(box[:, 2] - box[:, 0] + 1) * (box[:, 3] - box[:, 1] + 1) for box in (a, b)]
    return both / np.maximum(area[0] + area[1] - both, 1e-12)
