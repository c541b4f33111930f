"""Clips as the public TalkNet code for Ego4D reads them: its table, its boxes, its folders. For
comparison only.

``<root>/talknet/`` is that code's folder ``data``: ``ego4d/csv/active_speaker_{train,val}.csv``
(tab-separated, no header: id, boxes, rate, labels, first frame), ``ego4d/bbox/<id>.json``,
``video_imgs/<clip>/img_%05d.jpg``, ``wave/<clip>.wav`` (speaker specification §1.2, §1.4; it
ignores its own option for another place, §5, E-15). A clip is a "video" of its own and its pictures
have the numbers that its boxes say, which that code assumes and its own scripts do not keep. Each
run of boxes without a gap is an entity, so that labels cannot slip; frame 0, which that code
silently leaves out, is left out here, too.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from ...datasets.ego4d_annotation import written_box
from ...files import safe_name
from ...media import frames, pictures
from . import schema
from .disk import Disk

FOLDER = "talknet"
TABLE_FOLDER, BOX_FOLDER = os.path.join("ego4d", "csv"), os.path.join("ego4d", "bbox")
MIN_BOXES = 2  # boxes of an entity: the public code takes no fewer


def write(root: Path, lines: dict[str, list[dict]], disk: Disk | None = None) -> int:
    """Write everything for the units of an index; returns how many entities there are."""
    disk, target, total = disk or Disk(), os.path.join(root, FOLDER), 0
    for folder in (TABLE_FOLDER, BOX_FOLDER, "video_imgs", "wave"):
        disk.make_folder(os.path.join(target, folder))
    for split, units in lines.items():
        rows = []
        for path in dict.fromkeys(line["path"] for line in units):
            rows += _clip(Path(root) / path, target, disk)
        text = "".join("\t".join(row) + "\n" for row in rows)
        disk.write(os.path.join(target, TABLE_FOLDER, f"active_speaker_{split}.csv"), text.encode())
        total += len(rows)
    return total


def _clip(path: Path, folder: str, disk: Disk) -> list[tuple[str, ...]]:
    clip = schema.read(path)
    name = safe_name(clip["clip_id"].replace("/clip_", "_"))
    _media(clip, path.parent, name, folder, disk)
    rate, rows = clip["fps"][0] / clip["fps"][1], []
    for person in clip["persons"]:
        boxes = schema.boxes(person, clip["n_frames"], path)
        track = safe_name("-".join(person["track_ids"]) or person["person_id"])
        for number, (first, last) in enumerate(_runs(np.isfinite(boxes[:, 0]))):
            entity = f"{name}:{track}:{number}"
            items = [
                written_box(frame, boxes[frame].tolist(), clip["start_frame"])
                for frame in range(first, last)
            ]
            disk.write(
                os.path.join(folder, BOX_FOLDER, f"{entity}.json"), json.dumps(items).encode()
            )
            labels = [int(value == 1) for value in person["asd"][first:last]]
            rows.append((entity, str(last - first), str(rate), str(labels), str(first)))
    return rows


def _runs(there: np.ndarray) -> list[tuple[int, int]]:
    """Runs (first, last + 1) of True from frame 1 on, of at least `MIN_BOXES`."""
    there = there.copy()
    there[:1] = False
    return [(first, stop) for first, stop in frames.runs(there) if stop - first >= MIN_BOXES]


def _media(description: dict, clip: Path, name: str, folder: str, disk: Disk) -> None:
    disk.place(
        str(clip / description["audio"]["path"]),
        os.path.join(folder, "wave", f"{name}.wav"),
        "hard",
    )
    target = os.path.join(folder, "video_imgs", name)
    disk.make_folder(target)
    for frame in range(description["n_frames"]):
        source = (
            clip
            / description["frames"]["dir"]
            / (pictures.PATTERN % (description["frames"]["first"] + frame))
        )
        disk.place(str(source), os.path.join(target, pictures.PATTERN % frame), "hard")
