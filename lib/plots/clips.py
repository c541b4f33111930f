"""Pictures of clips for notebook 04, read from the clips themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import plots
from ..media import pictures
from ..speakers.clips import schema

STRIP = 10  # moments in a strip
SIDE = 96  # px of a face in it
VOICE_NAMES = {
    "speech": "any voice",
    "speech_wearer": "the wearer",
    "speech_offscreen": "out of the picture",
}


def timeline(root: Path, note: str, name: str):
    """Time line of who is seen and speaks, and of any voice, in the clip `name`
    (``<split>/<video>/clip_f…``).
    """
    clip = schema.read(Path(root) / name / "clip.json")
    persons = {
        f"person {person['person_id']}": (person["visible"] == 1, person["asd"] == 1)
        for person in clip["persons"]
        if person["visible"].any()
    }
    voices = {label: clip[key] == 1 for key, label in VOICE_NAMES.items() if key in clip}
    return plots.clip_timeline(_times(clip), persons, voices, title=clip["clip_id"], note=note)


def strip(root: Path, note: str, name: str):
    """Faces of every person of a clip at some moments, framed by their label."""
    clip_folder = Path(root) / name
    clip = schema.read(clip_folder / "clip.json")
    moments = np.unique(np.linspace(0, clip["n_frames"] - 1, STRIP).round().astype(int))
    seen = [person for person in clip["persons"] if person["boxes"]]
    folder, pattern, first = (clip["frames"][key] for key in ("dir", "pattern", "first"))
    shown = [
        pictures.read(clip_folder / folder / (pattern % (first + moment))) for moment in moments
    ]
    boxes = [schema.boxes(person, clip["n_frames"], clip_folder / "clip.json") for person in seen]
    faces = [_faces(person_boxes[moments], shown) for person_boxes in boxes]
    return plots.speaking_strip(
        faces,
        [person["asd"][moments] for person in seen],
        _times(clip)[moments],
        [f"person {person['person_id']}" for person in seen],
        title=clip["clip_id"],
        note=note,
    )


def _times(clip: dict) -> np.ndarray:
    return (clip["start_frame"] + np.arange(clip["n_frames"])) * clip["fps"][1] / clip["fps"][0]


def _faces(boxes: np.ndarray, pictures: list[np.ndarray]) -> np.ndarray:
    """(N, SIDE, SIDE, 3): the face's box, white where there is none."""
    import cv2

    out = np.full((len(boxes), SIDE, SIDE, 3), 255, np.uint8)
    for row, (picture, box) in enumerate(zip(pictures, boxes, strict=True)):
        if np.isfinite(box).all():
            x1, y1, x2, y2 = np.round(box).astype(int)
            piece = picture[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
            out[row] = cv2.resize(piece, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return out
